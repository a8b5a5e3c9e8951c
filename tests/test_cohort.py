"""The cohort reader: what it returns, and how it says what is wrong."""

import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest

from riskmap.data.cohort import PARTS, Cohort, CohortError, Task
from riskmap.project.files import read_json, write_json

FIRST = "FeTS21_Training_001"


@pytest.fixture
def folder(tiny_cohort, tmp_path):
    """A copy of the tiny cohort that a test may damage."""
    return shutil.copytree(tiny_cohort.folder, tmp_path / "cohort")


def edit_manifest(folder, **changes):
    manifest = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", {**manifest, **changes})


def test_cohort_describes_itself(tiny_cohort):
    assert tiny_cohort.simulated is True
    assert "Simulated" in tiny_cohort.title
    assert tiny_cohort.modalities == ("FLAIR", "T1", "T1ce", "T2")
    assert tiny_cohort.spacing == (4.0, 4.0, 4.0)
    assert tiny_cohort.label_table[4] == "enhancing tumour"
    assert tiny_cohort.targets["WT"].num_classes == 2
    assert tiny_cohort.targets["REGIONS"].num_classes == 4


def test_the_finest_target_has_the_most_classes(tiny_cohort):
    assert tiny_cohort.finest_target == "REGIONS"
    whole_first = {name: tiny_cohort.targets[name] for name in ("WT", "TC")}
    assert replace(tiny_cohort, targets=whole_first).finest_target == "WT"


def test_targets_nest_and_map_the_raw_labels(tiny_cohort):
    raw = tiny_cohort.raw_labels(FIRST)
    whole, core, enhancing = (tiny_cohort.labels(FIRST, name) for name in ("WT", "TC", "ET"))
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(whole, raw > 0)
    np.testing.assert_array_equal(core, np.isin(raw, [1, 4]))
    np.testing.assert_array_equal(enhancing, raw == 4)
    np.testing.assert_array_equal(tiny_cohort.labels(FIRST, "REGIONS"), np.where(raw == 4, 3, raw))


def test_arrays_may_be_changed_without_changing_the_cohort(tiny_cohort):
    for read in (
        lambda: tiny_cohort.image(FIRST, "FLAIR"),
        lambda: tiny_cohort.labels(FIRST, "WT"),
        lambda: tiny_cohort.raw_labels(FIRST),
        lambda: tiny_cohort.brain(FIRST),
    ):
        before = read().copy()
        read()[:] = 1
        np.testing.assert_array_equal(read(), before)


def test_parts_are_disjoint_and_complete(tiny_cohort):
    dealt = [subject for part in PARTS for subject in tiny_cohort.part(part)]
    assert sorted(dealt) == sorted(tiny_cohort.subjects)
    assert len(dealt) == len(set(dealt))


@pytest.mark.parametrize(
    ("call", "pieces"),
    [
        (lambda cohort: cohort.image(FIRST, "FLAIRE"), ["sequence 'FLAIRE'", "'FLAIR'?", "FLAIR, T1, T1ce, T2"]),
        (lambda cohort: cohort.labels(FIRST, "wt"), ["label 'wt'", "did you mean 'WT'?", "WT, TC, ET, REGIONS"]),
        (lambda cohort: cohort.brain("FeTS21_Training_01"), ["subject 'FeTS21_Training_01'", "did you mean 'FeTS21_"]),
        (lambda cohort: cohort.part("target_tests"), ["part 'target_tests'", "'target_test'?", "source_train"]),
        (lambda cohort: cohort.part("zzz"), ["unknown part 'zzz' in cohort tiny. Allowed: source_train"]),
        (lambda cohort: Task.parse("t2:lesion").check(cohort), ["label 'LESION'", "WT, TC, ET"]),
        (lambda cohort: Task.parse("PET:WT").check(cohort), ["sequence 'PET'", "FLAIR, T1"]),
    ],
)
def test_unknown_names_are_met_with_what_is_allowed(tiny_cohort, call, pieces):
    with pytest.raises(CohortError) as caught:
        call(tiny_cohort)
    assert all(piece in str(caught.value) for piece in pieces)


def test_a_missing_cohort_names_folder_and_command(tmp_path):
    with pytest.raises(
        CohortError, match=r"no prepared cohort in .*nothing.*python -m data_scripts\.prepare"
    ) as caught:
        Cohort.open(tmp_path / "nothing")
    assert f"--out {tmp_path / 'nothing'}" in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "manifest.json").write_text("{"), "is not valid JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "has format None"),
        (lambda folder: edit_manifest(folder, format=2), "has format 2, this version reads 1"),
        (lambda folder: edit_manifest(folder, split={part: [] for part in PARTS}), "must deal each subject out once"),
        (lambda folder: edit_manifest(folder, split={"train": []}), "must deal each subject out once"),
        (lambda folder: (folder / FIRST / f"{FIRST}_t1.nii.gz").unlink(), "1 files of .* are missing, first"),
    ],
)
def test_a_damaged_cohort_does_not_open(folder, damage, message):
    damage(folder)
    with pytest.raises(CohortError, match=message):
        Cohort.open(folder)


def test_a_manifest_without_a_key_names_it(folder):
    manifest = read_json(folder / "manifest.json")
    del manifest["targets"]
    write_json(folder / "manifest.json", manifest)
    with pytest.raises(CohortError, match="lacks targets"):
        Cohort.open(folder)


def test_verify_lists_every_changed_file(folder):
    cohort = Cohort.open(folder)
    cohort.verify()
    names = [f"{FIRST}/{FIRST}_t1.nii.gz", f"{FIRST}/{FIRST}_label.nii.gz"]
    for name in names:
        (folder / name).write_bytes((folder / name).read_bytes()[:-1] + b"x")
    with pytest.raises(CohortError, match="2 files") as caught:
        cohort.verify()
    assert all(name in str(caught.value) for name in names)


def test_an_unreadable_volume_is_named(folder):
    path = folder / FIRST / f"{FIRST}_t2.nii.gz"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CohortError, match=r"_t2\.nii\.gz cannot be read"):
        Cohort.open(folder).image(FIRST, "T2")


def test_a_volume_of_another_shape_is_named(folder):
    edit_manifest(folder, shape=[48, 56, 56])
    with pytest.raises(CohortError, match="the manifest says"):
        Cohort.open(folder).brain(FIRST)


def test_digest_follows_data_targets_and_split_but_not_the_place(tiny_cohort, folder):
    assert Cohort.open(folder).digest == tiny_cohort.digest
    manifest = read_json(folder / "manifest.json")
    split = dict(manifest["split"])
    split["target_train"], split["target_test"] = split["target_test"], split["target_train"]
    targets = {name: target for name, target in manifest["targets"].items() if name != "ET"}
    subjects = {
        **manifest["subjects"],
        FIRST: {
            **manifest["subjects"][FIRST],
            "files": {
                **manifest["subjects"][FIRST]["files"],
                "T1": {**manifest["subjects"][FIRST]["files"]["T1"], "sha256": "0" * 64},
            },
        },
    }
    digests = {tiny_cohort.digest}
    for change in ({"split": split}, {"targets": targets}, {"subjects": subjects}):
        write_json(folder / "manifest.json", {**manifest, **change})
        digests.add(Cohort.open(folder).digest)
    assert len(digests) == 4


def test_a_cohort_travels_to_other_processes(tiny_cohort):
    copy = pickle.loads(pickle.dumps(tiny_cohort))
    assert copy == tiny_cohort
    np.testing.assert_array_equal(copy.image(FIRST, "T2"), tiny_cohort.image(FIRST, "T2"))


@pytest.mark.parametrize(
    ("text", "spelled", "slug"),
    [
        ("flair:wt", "FLAIR:WT", "flair-wt"),
        ("T1CE:tc", "T1ce:TC", "t1ce-tc"),
        (" t1 : Tissue ", "T1:TISSUE", "t1-tissue"),
    ],
)
def test_tasks_are_read_in_any_case(text, spelled, slug):
    task = Task.parse(text)
    assert str(task) == spelled
    assert task.slug == slug
    assert Task.parse(str(task)) == task


@pytest.mark.parametrize("text", ["", "FLAIR", "FLAIR:", ":WT", "FLAIR:WT:TC"])
def test_a_text_that_is_no_task_is_refused(text):
    with pytest.raises(ValueError, match=r"task must read SEQUENCE:LABEL.*got"):
        Task.parse(text)


def test_check_returns_the_task_itself(tiny_cohort):
    task = Task("T1ce", "TC")
    assert task.check(tiny_cohort) is task
