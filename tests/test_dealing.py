"""Cohorts that are dealt out anew: the same files in other splits, and the splits of the real patients."""

from itertools import combinations

import numpy as np
import pytest

from data_scripts import prepare_real
from data_scripts.archives.dealing import deal_anew
from riskmap.project.files import read_json, write_json

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
