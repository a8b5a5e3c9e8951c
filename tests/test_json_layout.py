"""Folders that a dataset.json describes: nnU-Net's raw layout, versions 1 and 2, and the Decathlon's tasks."""

import nibabel
import numpy as np
import pytest
from folders import GRID, head, prepared, reasons, store

from data_scripts import prepare_msd
from data_scripts.archives.json_layout import json_layout
from riskmap.data.cohort import Cohort
from riskmap.project.files import write_json

VERSION_1 = {
    "name": "Mine",
    "description": "gliomas",
    "licence": "CC0",
    "reference": "Somebody",
    "modality": {"0": "FLAIR", "1": "T1w (mm)"},
    "labels": {"0": "background", "1": "core", "2": "oedema", "4": "rim"},
}
VERSION_2 = {
    "channel_names": {"1": "T1w (mm)", "0": "FLAIR"},
    "labels": {"background": 0, "core": 1, "oedema": 2, "rim": 4, "whole": [1, 2, 4]},
    "file_ending": ".nii.gz",
}


def raw_folder(root, content, *, in_one_file=False, cases=("a_1", "a_2", "a_10"), **changes):
    """Cases in the layout, and one without labels."""
    for number, case in enumerate((*cases, "hidden")):
        folder = root / ("imagesTs" if case == "hidden" else "imagesTr")
        images = [head(number, kind) for kind in ("flair", "t1")]
        if in_one_file:
            store(folder / f"{case}.nii.gz", np.stack(images, axis=-1))
        else:
            for place, image in enumerate(images):
                store(folder / f"{case}_{place:04d}.nii.gz", image)
        if case != "hidden":
            store(root / "labelsTr" / f"{case}.nii.gz", head(number, "seg"))
    (root / "imagesTr" / "._a_1_0000.nii.gz").write_bytes(b"Mac OS X")
    write_json(root / "dataset.json", content | changes)
    return root


@pytest.mark.parametrize(
    ("content", "in_one_file"), [(VERSION_1, False), (VERSION_2, False), (VERSION_1, True)], ids=["1", "2", "Decathlon"]
)
def test_each_version_gives_the_same_volumes(content, in_one_file, tmp_path):
    root = raw_folder(tmp_path / "Dataset001_Mine", content, in_one_file=in_one_file)
    # the folder above is as good
    status, manifest = prepared(tmp_path, tmp_path / "out", "--strict")
    assert status == 0
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.subjects == ("a_1", "a_2", "a_10")
    assert manifest["left_out"] == ["hidden"]
    assert manifest["passed_over"] == []
    assert cohort.modalities == ("FLAIR", "T1W_MM")
    for name, values in {"CORE": [1], "OEDEMA": [2], "RIM": [4]}.items():
        assert np.array_equal(cohort.labels("a_2", name) > 0, np.isin(cohort.raw_labels("a_2"), values))
    assert cohort.targets["ALL"].classes == ("background", "core", "oedema", "rim")
    assert ("WHOLE" in cohort.targets) is (content is VERSION_2)
    # z-scores of what the files hold, channel by channel
    for place, (modality, kind) in enumerate(zip(cohort.modalities, ("flair", "t1"), strict=True)):
        image, inside = cohort.image("a_2", modality), head(1, kind)
        inside = inside[inside > 0]
        expected = (inside - inside.mean()) / inside.std()
        np.testing.assert_allclose(np.sort(image[cohort.brain("a_2")]), np.sort(expected), atol=2e-3)
        assert place < 2
    assert cohort.title == ("Mine - gliomas" if content is VERSION_1 else root.name)


def test_a_region_counts_all_its_values(tmp_path):
    raw_folder(tmp_path / "mine", VERSION_2)
    prepared(tmp_path / "mine", tmp_path / "out")
    cohort = Cohort.open(tmp_path / "out")
    assert np.array_equal(cohort.labels("a_1", "WHOLE") > 0, cohort.raw_labels("a_1") > 0)


def test_regions_alone_keep_their_values(tmp_path):
    labels = {"background": 0, "whole": [1, 2, 4], "core": [1, 4], "rim": 4}
    layout = json_layout(raw_folder(tmp_path / "mine", VERSION_2, labels=labels) / "dataset.json")
    assert layout.label_table == {0: "background", 1: "value 1", 2: "value 2", 4: "rim"}
    assert layout.targets["CORE"]["values"] == {"1": 1, "4": 1}


def test_one_channel_in_three_axes_as_the_hippocampi_are(tmp_path):
    root = tmp_path / "Task04_Hippocampus"
    for number in (1, 3):
        store(root / "imagesTr" / f"hippocampus_{number:03d}.nii.gz", head(number)[4:20, 5:23, 4:18])
        store(
            root / "labelsTr" / f"hippocampus_{number:03d}.nii.gz",
            (head(number, "seg")[4:20, 5:23, 4:18] > 0).astype("u1"),
        )
    write_json(root / "dataset.json", {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "Anterior"}})
    command = ["--task", "Task04_Hippocampus", "--archive", str(root), "--out", str(tmp_path / "out")]
    assert prepare_msd.main([*command, "--spacing", "native", "--unsplit", "--jobs", "1", "--strict"]) == 0
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.shape == (16, 24, 16)
    assert [str(task) for task in cohort.tasks] == ["MRI:ANTERIOR"]


def test_what_is_no_file_of_a_case_is_named(tmp_path, capsys):
    root = raw_folder(tmp_path / "mine", VERSION_2)
    (root / "imagesTr" / "a_1_0000.nrrd").write_bytes(b"")
    (root / "labelsTr" / "a_2.nii.gz").rename(root / "labelsTr" / "a2.nii.gz")
    status, manifest = prepared(root, tmp_path / "out", "--strict")
    assert status == 1
    assert manifest["passed_over"] == ["1 files of mine are no .nii.gz of a case: imagesTr/a_1_0000.nrrd"]
    assert reasons(manifest) == {
        "a2": "missing modality FLAIR: no a2_0000.nii.gz",
        "a_2": "missing label: no a_2.nii.gz",
    }
    assert "not read: 1 files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channel_names": {}}, "must have the entry channel_names or modality"),
        ({"channel_names": {"1": "FLAIR", "2": "T1"}}, "channels must be numbered from 0, got 1, 2"),
        ({"channel_names": {"0": "t1 w", "1": "T1_W"}}, "channels must have different names, got T1_W, T1_W"),
        ({"channel_names": {"0": "label"}}, "channel 'LABEL' must have another name"),
        ({"channel_names": {"0": "()"}}, "channel '' must consist of letters"),
        ({"labels": {"background": 0, "core": 1, "ignore": 2}}, "has an 'ignore' label"),
        ({"labels": {"background": 0, "core": 300}}, "whole numbers of 0..255, got 'core': 300"),
        ({"labels": {"background": 0, "core": 1, "rim": 1}}, "labels must have different values"),
        ({"labels": {"background": 0, "core a": 1, "core_a": 2}}, "two names that are both written CORE_A"),
        ({"labels": {"background": 0}}, "at least one label beside the background"),
        ({"labels": {"background": 1, "t": 0}}, "0 for the background and for nothing else, got 'background': 1"),
        ({"labels": {"background": 0, "t": 1, "whole": [0, 1]}}, "for nothing else, got 'whole': [0, 1]"),
        ({"labels": {"0": "background", "1": "t", "2": "t"}}, "labels must have different names"),
        ({"file_ending": ".png"}, "file_ending must be .nii.gz or .nii, got '.png'; convert the files to NIfTI"),
    ],
)
def test_a_description_that_cannot_be_used_is_named(changes, message, tmp_path, capsys):
    root = raw_folder(tmp_path / "mine", VERSION_2, cases=("a_1",), **changes)
    assert prepared(root, tmp_path / "out") == (2, {})
    told = capsys.readouterr().err
    assert message in told
    assert "dataset.json" in told


def test_two_data_sets_in_one_folder_are_named(tmp_path, capsys):
    for name in ("Dataset001_A", "Dataset002_B"):
        raw_folder(tmp_path / "raw" / name, VERSION_2, cases=("a_1",))
    assert prepared(tmp_path / "raw", tmp_path / "out") == (2, {})
    assert "holds several data sets (Dataset001_A, Dataset002_B)" in capsys.readouterr().err


def test_a_folder_that_nothing_describes_is_told_both_ways(tmp_path, capsys):
    store(tmp_path / "raw" / "a.nii.gz", head(0))
    assert prepared(tmp_path / "raw", tmp_path / "out") == (2, {})
    told = capsys.readouterr().err
    assert "dataset.yaml is missing" in told
    assert "dataset.json" in told


def test_a_case_s_own_name_may_end_in_four_digits(tmp_path):
    root = tmp_path / "Task04"
    for number in (0, 1):
        store(root / "imagesTr" / f"case_{number:04d}.nii.gz", head(number))
        store(root / "labelsTr" / f"case_{number:04d}.nii.gz", head(number, "seg"))
    write_json(root / "dataset.json", {**VERSION_1, "modality": {"0": "MRI"}})
    status, manifest = prepared(root, tmp_path / "out", "--strict")
    assert (status, list(manifest["subjects"])) == (0, ["case_0000", "case_0001"])


def test_sessions_of_a_patient_stay_together(tmp_path):
    cases = tuple(f"sub-{number:02d}_ses-{session}" for number in range(8) for session in (1, 2))
    _, manifest = prepared(raw_folder(tmp_path / "mine", VERSION_2, cases=cases), tmp_path / "out", unsplit=False)
    for names in manifest["split"].values():
        assert {name[:6] for name in names} & {name[:6] for name in set(cases) - set(names)} == set()


def test_files_of_four_axes_need_a_channel_for_each(tmp_path):
    root = raw_folder(tmp_path / "mine", VERSION_1, in_one_file=True)
    path = root / "imagesTr" / "a_1.nii.gz"
    nibabel.Nifti1Image(np.stack([head(0)] * 3, axis=-1), GRID).to_filename(path)
    assert "the last with 2 channels (FLAIR, T1W_MM)" in reasons(prepared(root, tmp_path / "out")[1])["a_1"]
