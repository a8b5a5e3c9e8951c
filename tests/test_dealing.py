"""Cohorts that are dealt out anew: the same files in other splits, and the splits of the real patients."""

import shutil
from itertools import combinations

import numpy as np
import pytest

from data_scripts import prepare_real
from data_scripts.archives.dealing import deal_anew
from riskmap.data.simulated import ensure_cohort
from riskmap.project.files import read_json, write_json
from riskmap.training.runs import folder_of
from riskmap.training.specs import SourceSpec

PARTS = ("target_train", "target_val")


def test_a_new_split_holds_the_same_volumes(tiny_cohort, tmp_path):
    first, second, third = tiny_cohort.subjects[:3]
    split = {"source_train": [first], "target_train": [second], "target_test": [third]}
    dealt = tiny_cohort.open(deal_anew(tiny_cohort.folder, tmp_path / "deep" / "anew", split))
    assert dealt.name == "anew"
    assert dealt.subjects == (first, second, third)
    assert {part: list(each) for part, each in dealt.split.items() if each} == split
    np.testing.assert_array_equal(dealt.image(second, "FLAIR"), tiny_cohort.image(second, "FLAIR"))
    np.testing.assert_array_equal(dealt.labels(third, "TC"), tiny_cohort.labels(third, "TC"))
    assert dealt.digest != tiny_cohort.digest
    dealt.verify()
    with pytest.raises(ValueError, match="part 'source_val' of cohort anew is empty"):
        dealt.part("source_val")


def other_data_set(tiny_cohort, folder, **changes):
    """Deal the tiny cohort out as if it were another data set, with some entries of its manifest changed."""
    deal_anew(tiny_cohort.folder, folder, {"target_test": tiny_cohort.subjects})
    write_json(folder / "manifest.json", {**read_json(folder / "manifest.json"), **changes})
    return folder


def test_two_data_sets_become_one_cohort(tiny_cohort, tmp_path):
    source = other_data_set(tiny_cohort, tmp_path / "other", title="Another", modalities=["T1", "FLAIR"])
    first, second = tiny_cohort.subjects[:2]
    folder = deal_anew(
        tiny_cohort.folder, tmp_path / "both", {"source_train": [first], "target_test": [second]}, source
    )
    both = tiny_cohort.open(folder)
    assert both.modalities == ("FLAIR", "T1")
    assert both.title == f"{tiny_cohort.title}; source: Another"
    assert both.licence == tiny_cohort.licence
    np.testing.assert_array_equal(both.image(first, "T1"), tiny_cohort.image(first, "T1"))


def test_a_source_learns_only_what_its_own_labels_mean(tiny_cohort, tmp_path):
    """Where 1 is a whole tumour, the target's table would call it a tumour core."""
    whole = {"WT": {"title": "whole tumour", "classes": ["background", "tumour"], "values": {"1": 1}}}
    source = other_data_set(
        tiny_cohort, tmp_path / "other", targets=whole, label_table={"0": "background", "1": "tumour"}
    )
    patients = tiny_cohort.subjects
    split = {"source_train": patients[:2], "source_val": patients[2:3], "target_train": patients[3:4]}
    both = tiny_cohort.open(deal_anew(tiny_cohort.folder, tmp_path / "both", split, source))
    assert folder_of(SourceSpec("FLAIR:WT"), both, tmp_path)
    with pytest.raises(ValueError, match=r"cannot learn TC: its patients come from another data set, .* WT alone"):
        folder_of(SourceSpec("FLAIR:TC"), both, tmp_path)
    assert folder_of(SourceSpec("FLAIR:TC"), tiny_cohort, tmp_path)


def test_a_cohort_whose_volumes_are_gone_leaves_no_manifest(tiny_cohort, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.copy(tiny_cohort.folder / "manifest.json", moved)
    with pytest.raises(ValueError, match=r"files of .* are missing"):
        deal_anew(moved, tmp_path / "new", {"target_test": tiny_cohort.subjects[:1]})
    assert not (tmp_path / "new" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("split", "changes", "message"),
    [
        ({"test": ["a"]}, {}, "parts are source_train, .* got test"),
        ({"target_test": ["nobody"]}, {}, "no subject 'nobody' in"),
        ({"target_val": ["FeTS21_Training_001"], "target_test": ["FeTS21_Training_001"]}, {}, "is dealt out twice"),
        ({}, {"shape": [1, 2, 3]}, r"has volumes of \[1, 2, 3\] voxels"),
        ({}, {"modalities": ["PET"]}, "have no sequence in common"),
    ],
)
def test_what_cannot_be_dealt_out_is_named_and_nothing_is_written(split, changes, message, tiny_cohort, tmp_path):
    source = other_data_set(tiny_cohort, tmp_path / "other", **changes) if changes else None
    with pytest.raises(ValueError, match=message):
        deal_anew(tiny_cohort.folder, tmp_path / "new", split, source)
    assert not (tmp_path / "new").exists()


def test_a_patient_of_two_scans_is_not_torn(tiny_cohort, tmp_path):
    source = other_data_set(tiny_cohort, tmp_path / "one")
    manifest = read_json(source / "manifest.json")
    first, second = tiny_cohort.subjects[:2]
    for subject in (first, second):
        manifest["subjects"][subject]["patient"] = "one"
    write_json(source / "manifest.json", manifest)
    with pytest.raises(ValueError, match="has scans of one in several parts"):
        deal_anew(source, tmp_path / "torn", {"target_train": [first], "target_test": [second]})


SITES = {
    f"{site}_{index:02}": site
    for site, count in (("CS", 16), ("DU", 41), ("EZ", 1), ("HT", 30))
    for index in range(count)
}


def test_no_patient_that_choices_are_made_on_is_published():
    splits = prepare_real.split_lgg(SITES)
    chosen_on = {patient for part in PARTS for patient in splits["lgg_dev"][part]}
    assert len(chosen_on) == 16
    for name in ("lgg", "lgg_sites"):
        target = {patient for part, each in splits[name].items() if part.startswith("target") for patient in each}
        assert target.isdisjoint(chosen_on)
    # so that no patient counts twice in a mean over pairs
    assert set(splits["lgg"]["target_test"]).isdisjoint(splits["lgg_sites"]["target_test"])
    assert splits["lgg_dev"]["source_train"] == splits["lgg"]["source_train"]
    assert len(splits["lgg"]["target_test"]) == 30
    for split in splits.values():
        assert all(set(one).isdisjoint(two) for one, two in combinations(split.values(), 2))


def test_across_sites_source_and_target_have_a_site_each():
    split = prepare_real.split_lgg(SITES)["lgg_sites"]
    sites = {part: {SITES[patient] for patient in each} for part, each in split.items()}
    assert {part[:6]: site for part, site in sites.items()} == {"source": {"DU"}, "target": {"HT"}}


def test_a_data_set_that_is_not_whole_or_not_there_is_named(tmp_path):
    fewer = dict(list(SITES.items())[:-1])
    with pytest.raises(ValueError, match=r"71 patients cannot be dealt out as .*is the data set whole"):
        prepare_real.split_lgg(fewer)
    with pytest.raises(ValueError, match=r"no dataset.yaml in .*tcga_lgg_kaggle3m"):
        prepare_real.prepare_real(tmp_path, tmp_path / "out")
    assert prepare_real.main(["--archives", str(tmp_path), "--out", str(tmp_path / "out")]) == 2


def test_who_lacks_the_real_patients_is_told_how_they_are_prepared(tmp_path):
    with pytest.raises(ValueError, match=r"no cohort 'lgg_dev'.*python -m data_scripts.prepare_real --archives FOLDER"):
        ensure_cohort("lgg_dev", tmp_path)


def test_a_data_set_that_lacks_a_patient_is_refused_before_anything_is_dealt_out(tmp_path, monkeypatch, tiny_archive):
    """All three are checked for their number; here one that has eight."""
    monkeypatch.setattr(prepare_real, "read_description", lambda path: None)
    monkeypatch.setattr(prepare_real, "own_layout", lambda description: "auto")
    monkeypatch.setattr(prepare_real, "_SETS", dict.fromkeys(prepare_real._SETS, (4.0, (192.0, 224.0, 192.0), 9)))
    for name in prepare_real._SETS:
        shutil.copytree(tiny_archive, tmp_path / name)
        (tmp_path / name / "dataset.yaml").touch()
    with pytest.raises(ValueError, match="has 8 sound patients, and 9 are dealt out"):
        prepare_real.prepare_real(tmp_path, tmp_path / "out", jobs=1)
    assert not (tmp_path / "out" / "lgg").exists()
