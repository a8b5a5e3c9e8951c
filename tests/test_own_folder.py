"""A reader's own folder: its description, what is wrong with it, and the way into the prepared form."""

import shutil

import numpy as np
import pytest
import yaml

from data_scripts import prepare_folder
from data_scripts.archives.own_folder import EXAMPLE, describe_cohort, own_folder, prepare_own, show_description
from data_scripts.archives.own_layout import Description, own_layout, read_description
from data_scripts.archives.prepare import prepare
from riskmap.data.cohort import Cohort
from riskmap.project.files import read_json
from riskmap.project.paths import PROJECT_ROOT

ARGUMENTS = {"spacing": 4, "box": (192, 224, 192), "jobs": 1}
OPTIONS = ["--spacing", "4", "--box", "192", "224", "192", "--jobs", "1"]


@pytest.fixture
def own(tiny_archive, tmp_path):
    """Two patients in a reader's own naming: images and labels apart, the numbers without leading zeros."""
    folder = tmp_path / "mine"
    for number, subject in (("2", "FeTS21_Training_001"), ("10", "FeTS21_Training_002")):
        for kind in ("flair", "t1ce", "seg"):
            path = folder / ("labels" if kind == "seg" else f"images/{kind}") / f"P{number}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tiny_archive / subject / f"{subject}_{kind}.nii.gz", path)
    (folder / "images" / "flair" / "._P2.nii.gz").write_bytes(b"Mac OS X")
    content = {
        "title": "Mine",
        "licence": "not to be passed on",
        "images": {"FLAIR": "images/flair/P{subject}.nii.gz", "T1ce": "images/t1ce/P{subject}.nii.gz"},
        "label": "labels/P{subject}.nii.gz",
        "label_values": {0: "background", 1: "core", 2: "oedema", 4: "rim"},
        "targets": {"WT": {"tumour": [1, 2, 4]}, "PARTS": {"core": [1, 4], "oedema": [2]}},
        "sites": {"north": ["10"]},
    }
    (folder / "dataset.yaml").write_text(yaml.safe_dump(content))
    return folder


def test_a_folder_is_prepared_by_its_description(own, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["--archive", str(own), "--out", str(out), "--unsplit", "target_train", *OPTIONS]
    assert prepare_folder.main(command) == 0
    assert "not to be passed on" in capsys.readouterr().out
    cohort = Cohort.open(out)
    assert cohort.part("target_train") == ("2", "10"), "sorted by number, Apple's file left out"
    assert cohort.modalities == ("FLAIR", "T1ce")
    assert cohort.sites == {"2": "unknown", "10": "north"}
    assert cohort.targets["PARTS"].classes == ("background", "core", "oedema")
    raw = cohort.raw_labels("2")
    assert np.array_equal(cohort.labels("2", "PARTS"), np.select([(raw == 1) | (raw == 4), raw == 2], [1, 2]))
    assert not cohort.simulated


def test_the_same_voxels_come_out_as_by_the_layout_s_own_reader(tiny_archive, tiny_cohort, tmp_path):
    prepare(tiny_archive, tmp_path / "out", own_layout(read_description(EXAMPLE)), **ARGUMENTS)
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.subjects == tiny_cohort.subjects
    assert cohort.simulated, "the archive's own manifest says so"
    for subject in cohort.subjects[:2]:
        assert np.array_equal(cohort.image(subject, "T1ce"), tiny_cohort.image(subject, "T1ce"))
        assert np.array_equal(cohort.labels(subject, "TC"), tiny_cohort.labels(subject, "TC"))


def test_a_subject_without_one_of_its_files_is_named(own, tmp_path, capsys):
    (own / "images" / "t1ce" / "P10.nii.gz").unlink()
    command = ["--archive", str(own), "--out", str(tmp_path / "out"), "--unsplit", "--strict", *OPTIONS]
    assert prepare_folder.main(command) == 1
    assert "10: missing modality T1ce: no P10.nii.gz" in capsys.readouterr().err


def test_another_description_is_another_cohort(own, tmp_path, capsys):
    command = ["--archive", str(own), "--out", str(tmp_path / "out"), "--unsplit", *OPTIONS]
    assert prepare_folder.main(command) == 0
    text = (own / "dataset.yaml").read_text()
    (own / "dataset.yaml").write_text(text.replace("north", "south"))
    assert prepare_folder.main(command) == 2
    assert "begun with other parameters (described" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"imagse": {}}, r"unknown parameter 'imagse' in .*did you mean 'images'\?"),
        ({"label": "labels/P.nii.gz"}, r"'labels/P.nii.gz' must hold \{subject\}"),
        ({"label": "labels/{subject}.png"}, r"must hold \{subject\} and end in one of .nii, .nii.gz, .hdr"),
        ({"images": {"t1ce": "{subject}.nii"}}, r"modality 't1ce' must be written 'T1ce'"),
        ({"images": {"A": "{subject}.nii", "B": "{subject}.nii"}}, r"lead to the same file"),
        ({"targets": {"WT": {"tumour": [1, 3]}}}, r"target WT uses label value 3; label_values has 1, 2, 4"),
        ({"targets": {"WT": {"core": [1], "rim": [1]}}}, r"target WT needs .*label values of its own"),
        ({"targets": {"wt": {"tumour": [1]}}}, r"target 'wt' must be written 'WT'"),
        ({"label_values": {0: "nothing", 1: "a", 2: "b", 4: "c"}}, r"with 0: background"),
        ({"label_values": {0: "background", 1: "a", 2: "b", 4: "c", 300: "d"}}, r"must lie in 0..255"),
        ({"licence": 3}, r"licence: Input should be a valid string"),
    ],
)
def test_what_is_wrong_in_a_description_is_named(own, change, message):
    path = own / "dataset.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    with pytest.raises(ValueError, match=message) as caught:
        read_description(path)
    assert str(path) in str(caught.value)


def test_a_missing_or_broken_description_is_named(own):
    (own / "dataset.yaml").write_text("images: [")
    with pytest.raises(ValueError, match=r"dataset\.yaml is not valid YAML"):
        own_folder(own, "", "")
    (own / "dataset.yaml").unlink()
    with pytest.raises(ValueError, match=r"dataset\.yaml is missing; .*own_data\.yaml"):
        own_folder(own, "", "")


def test_a_prepared_cohort_is_a_folder_of_nifti_files_too(tiny_cohort, tmp_path):
    description = describe_cohort(tiny_cohort)
    assert Description.model_validate(yaml.safe_load(show_description(description))) == description
    again = prepare_own(tiny_cohort.folder, description, tmp_path, **ARGUMENTS)
    assert again.folder == tmp_path / "prepared" / f"own_{tiny_cohort.folder.name}_4mm"
    subject = tiny_cohort.subjects[0]
    assert np.array_equal(again.labels(subject, "REGIONS"), tiny_cohort.labels(subject, "REGIONS"))
    assert again.targets["REGIONS"].classes == tiny_cohort.targets["REGIONS"].classes
    assert read_json(again.folder / "manifest.json")["layout"] == "own"


def test_the_examples_describe_what_they_say(real_glioma, tmp_path):
    description = read_description(PROJECT_ROOT / "notebooks" / "real_scan.yaml")
    (found,) = own_layout(description).find(real_glioma)
    assert all(path.is_file() for path in (*found.images.values(), found.label))
    assert "doi 10.1038/sdata.2017.117" in description.citation
