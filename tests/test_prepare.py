"""The prepared form: its volumes, its split, and what is refused."""

import csv
import shutil

import nibabel
import numpy as np
import pytest
from conftest import TINY_BOX, TINY_SPACING, TINY_SPLIT, TINY_SUBJECTS

from data_scripts import command_line
from data_scripts.archives.geometry import box_shape, to_box
from data_scripts.archives.layouts import LAYOUTS, detect_layout, find_iseg2019
from data_scripts.archives.preparation import DEFAULT_SPLIT
from data_scripts.archives.prepare import prepare
from data_scripts.archives.split import SOURCE_PARTS, TARGET_PARTS, split_by_site, split_subjects
from data_scripts.archives.volumes import SubjectError, read_subject, save_volume
from data_scripts.prepare import main
from riskmap.data.cohort import PARTS, Cohort
from riskmap.project.files import read_json, sha256_of_file, write_json
from riskmap.project.folders import OtherParametersError

FIRST = "FeTS21_Training_001"
ARGUMENTS = {"spacing": TINY_SPACING, "box": TINY_BOX, "split": TINY_SPLIT, "jobs": 1}


@pytest.fixture
def archive(tiny_archive, tmp_path):
    """A copy of the tiny archive that a test may damage."""
    return shutil.copytree(tiny_archive, tmp_path / "archive")


def file_of(archive, name, subject=FIRST):
    return archive / subject / f"{subject}_{name}.nii.gz"


def change(path, function):
    """Rewrite a volume after ``function(voxels, affine)`` has returned both anew."""
    image = nibabel.load(path)
    voxels, affine = function(np.asarray(image.dataobj), image.affine.copy())
    nibabel.Nifti1Image(voxels, affine).to_filename(path)


def test_volumes_are_z_scored_inside_the_brain_and_zero_outside(tiny_cohort):
    for subject in tiny_cohort.subjects:
        brain = tiny_cohort.brain(subject)
        for modality in tiny_cohort.modalities:
            image = tiny_cohort.image(subject, modality)
            assert image.shape == (48, 56, 48)
            assert image[brain].mean() == pytest.approx(0, abs=1e-3)
            assert image[brain].std() == pytest.approx(1, abs=1e-3)
            assert not image[~brain].any()
        assert not tiny_cohort.raw_labels(subject)[~brain].any()


def test_volumes_are_turned_to_ras_and_otherwise_the_archive_s_own(tiny_archive, tiny_cohort):
    raw = nibabel.as_closest_canonical(nibabel.load(file_of(tiny_archive, "t1ce")))
    labels = nibabel.as_closest_canonical(nibabel.load(file_of(tiny_archive, "seg")))
    brain = tiny_cohort.brain(FIRST)
    inside = np.asarray(raw.dataobj)[np.asarray(raw.dataobj) > 0]
    expected = (inside - inside.mean()) / inside.std()
    np.testing.assert_allclose(tiny_cohort.image(FIRST, "T1ce")[brain], expected, atol=1e-3)
    np.testing.assert_array_equal(
        tiny_cohort.raw_labels(FIRST)[brain], np.asarray(labels.dataobj)[np.asarray(raw.dataobj) > 0]
    )
    # positions in mm are kept: the brain's middle lies where it lay
    prepared = nibabel.load(file_of(tiny_cohort.folder, "t1ce"))
    assert nibabel.aff2axcodes(prepared.affine) == ("R", "A", "S")
    middles = [
        image.affine @ [*np.argwhere(mask).mean(axis=0), 1]
        for image, mask in ((prepared, brain), (raw, np.asarray(raw.dataobj) > 0))
    ]
    np.testing.assert_allclose(*middles, atol=1e-3)


def test_the_brain_lies_in_the_middle(tiny_cohort):
    for subject in tiny_cohort.subjects:
        for axis, places in enumerate(np.nonzero(tiny_cohort.brain(subject))):
            before, after = places.min(), tiny_cohort.shape[axis] - 1 - places.max()
            assert abs(before - after) <= 1


def test_resampling_keeps_volumes_and_does_not_shift_labels(tiny_archive, tmp_path):
    manifest = prepare(tiny_archive, tmp_path / "fine", spacing=3, box=(192, 216, 192), jobs=1)
    assert manifest["shape"] == [64, 72, 64]
    cohort = Cohort.open(tmp_path / "fine")
    for subject in cohort.subjects[:3]:
        raw = nibabel.as_closest_canonical(nibabel.load(file_of(tiny_archive, "seg", subject)))
        coarse, fine = np.asarray(raw.dataobj) > 0, cohort.raw_labels(subject) > 0
        assert fine.sum() * 3**3 == pytest.approx(coarse.sum() * 4**3, rel=0.1)
        prepared = nibabel.load(file_of(cohort.folder, "label", subject))
        middle_fine = prepared.affine @ [*np.argwhere(fine).mean(axis=0), 1]
        middle_coarse = raw.affine @ [*np.argwhere(coarse).mean(axis=0), 1]
        assert np.abs(middle_fine - middle_coarse).max() < 0.5


def test_halving_the_resolution_averages_neighbours_and_keeps_places():
    voxels = np.random.default_rng(0).uniform(1, 2, (2, 16, 16, 16)).astype(np.float32)
    labels = np.zeros((16, 16, 16), dtype=np.uint8)
    labels[4:8, 6:10, 2:4] = 2
    images, halved, brain, affine = to_box(
        voxels, labels, np.ones(labels.shape, dtype=bool), np.eye(4), LAYOUTS["fets2021"], (2, 2, 2), (16, 8, 8)
    )
    blocks = voxels.reshape(2, 8, 2, 8, 2, 8, 2).mean(axis=(2, 4, 6))
    assert brain.sum() == 8**3
    np.testing.assert_allclose(images[:, 4:12], blocks, rtol=1e-5)
    np.testing.assert_array_equal(halved[4:12], labels[::2, ::2, ::2])
    # the box's first voxels along the first axis are padding
    np.testing.assert_allclose(affine @ [4, 0, 0, 1], [0.5, 0.5, 0.5, 1], atol=1e-5)


def test_iseg_is_prepared_by_the_same_call(tiny_infants, tmp_path):
    manifest = prepare(tiny_infants, tmp_path / "out", spacing=4, box=(160, 192, 160), jobs=1)
    assert manifest["layout"] == "iseg2019"
    assert manifest["simulated"] is True
    assert manifest["orientation_in_header"] is False
    assert manifest["problems"] == []
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.modalities == ("T1", "T2")
    assert set(np.unique(cohort.labels("subject-3", "TISSUE"))) == {0, 1, 2, 3}
    labels = np.asarray(nibabel.load(tiny_infants / "subject-3-label.hdr").dataobj)[..., 0]
    np.testing.assert_array_equal(cohort.raw_labels("subject-3")[cohort.brain("subject-3")], labels[labels > 0])


def test_iseg_subjects_are_sorted_by_number_and_apple_s_files_ignored(tmp_path):
    for number in (10, 2, 1):
        (tmp_path / f"subject-{number}-T1.hdr").touch()
    (tmp_path / "._subject-3-T1.hdr").touch()
    assert [files.subject for files in find_iseg2019(tmp_path)] == ["subject-1", "subject-2", "subject-10"]


def cut_short(path, count):
    path.write_bytes(path.read_bytes()[:-count])


def with_nan(voxels, affine):
    voxels = voxels.astype(np.float32)
    voxels[0, 0, 0] = np.nan
    return voxels, affine


def with_shifted_affine(voxels, affine):
    affine[0, 3] += 1
    return voxels, affine


def with_unknown_label(voxels, affine):
    voxels = voxels.copy()
    voxels[voxels == 4] = 3
    return voxels, affine


def with_far_end(voxels, affine, value):
    voxels = np.pad(voxels, ((0, 30), (0, 0), (0, 0)))
    voxels[-1] = value
    return voxels, affine


UNREADABLE = {
    "missing modality": (lambda archive: file_of(archive, "t1ce").unlink(), "missing modality T1ce: no "),
    "missing label": (lambda archive: file_of(archive, "seg").unlink(), "missing label: no "),
    "wrong shape": (
        lambda archive: change(file_of(archive, "t2"), lambda voxels, affine: (voxels[:-1], affine)),
        "wrong shape: T2 has",
    ),
    "four axes": (
        lambda archive: change(file_of(archive, "t2"), lambda voxels, affine: (np.stack([voxels] * 2, -1), affine)),
        "three axes are needed",
    ),
    "other affine": (
        lambda archive: change(file_of(archive, "t1"), with_shifted_affine),
        "affine of T1 differs",
    ),
    "unknown label": (
        lambda archive: change(file_of(archive, "seg"), with_unknown_label),
        "unknown label value 3",
    ),
    "truncated": (lambda archive: cut_short(file_of(archive, "flair"), 20), "truncated or unreadable file"),
    "checksum lost": (lambda archive: cut_short(file_of(archive, "flair"), 8), "truncated or unreadable file"),
    "not an image": (
        lambda archive: file_of(archive, "flair").write_bytes(b"<html>not found</html>"),
        "truncated or unreadable file",
    ),
    "NaN": (lambda archive: change(file_of(archive, "t2"), with_nan), "T2 has 1 voxels that are NaN"),
    "all zero": (
        lambda archive: change(file_of(archive, "t1"), lambda voxels, affine: (voxels * 0, affine)),
        "T1 is zero everywhere",
    ),
}


@pytest.mark.parametrize("damage", UNREADABLE)
def test_each_damage_has_a_named_reason(tiny_archive, tmp_path, damage):
    shutil.copytree(tiny_archive / FIRST, tmp_path / FIRST)
    (files,) = LAYOUTS["fets2021"].find(tmp_path)
    read_subject(files, LAYOUTS["fets2021"])
    harm, reason = UNREADABLE[damage]
    harm(tmp_path)
    with pytest.raises(SubjectError, match=reason):
        read_subject(files, LAYOUTS["fets2021"])


def test_damaged_subjects_are_skipped_and_all_are_listed(archive, tmp_path):
    second, third, fourth = (f"FeTS21_Training_{index:03d}" for index in (2, 3, 4))
    shutil.copytree(archive / FIRST, archive / "copy" / FIRST)
    cut_short(file_of(archive, "flair", second), 20)
    for name in ("flair", "t1", "t1ce", "t2", "seg"):
        value = 0 if name == "seg" else 300
        change(file_of(archive, name, third), lambda voxels, affine, value=value: with_far_end(voxels, affine, value))
    change(file_of(archive, "t1", fourth), lambda voxels, affine: ((voxels > 0).astype("i2"), affine))
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="4 sound subjects are too few"):
        prepare(archive, out, **ARGUMENTS)
    assert not (out / "manifest.json").exists()

    shutil.rmtree(archive / "copy")
    manifest = prepare(archive, out, **ARGUMENTS)
    assert [problem["subject"] for problem in manifest["problems"]] == [second, third, fourth]
    reasons = [problem["reason"] for problem in manifest["problems"]]
    assert "truncated" in reasons[0]
    assert "does not fit into the box" in reasons[1]
    assert "T1 has one value in the whole brain" in reasons[2]
    assert set(manifest["subjects"]) == set(manifest["sites"]) == {path.name for path in out.glob("FeTS*")}
    assert len(manifest["subjects"]) == TINY_SUBJECTS - 3
    assert not list(out.rglob(".part-*"))
    assert read_json(out / "manifest.json") == manifest
    Cohort.open(out).verify()


def test_every_copy_of_a_duplicate_subject_is_skipped(archive, tmp_path):
    shutil.copytree(archive / FIRST, archive / "copy" / FIRST)
    manifest = prepare(archive, tmp_path / "out", **ARGUMENTS)
    assert manifest["problems"] == [{"subject": FIRST, "reason": "duplicate subject: found 2 times in the archive"}]
    assert FIRST not in manifest["subjects"]


def test_strict_turns_skipped_subjects_into_an_exit_status(archive, tmp_path, capsys):
    file_of(archive, "t2").unlink()
    command = ["--archive", str(archive), "--out", str(tmp_path / "out"), "--spacing", "4", "--jobs", "1"]
    command += ["--box", "192", "224", "192"]
    assert main(command) == 0
    assert f"skipped {FIRST}: missing modality T2" in capsys.readouterr().err
    assert main([*command, "--strict"]) == 1


@pytest.mark.parametrize("jobs", ["-1", "0", "two"])
def test_a_number_of_jobs_that_makes_no_sense_is_refused_at_once(tiny_archive, tmp_path, capsys, jobs):
    with pytest.raises(SystemExit) as caught:
        main(["--archive", str(tiny_archive), "--out", str(tmp_path / "out"), "--jobs", jobs])
    assert caught.value.code == 2
    assert f"--jobs: must be a whole number of at least 1, got '{jobs}'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (PermissionError("read-only"), 2, "error: read-only"),
        (RuntimeError("a process died"), 1, "a process died"),
        (KeyboardInterrupt(), 130, "stopped; the same command goes on with what "),
    ],
)
def test_the_command_ends_as_every_other(tiny_archive, tmp_path, monkeypatch, capsys, error, status, message):
    def stop(*_, **__):
        raise error

    monkeypatch.setattr(command_line, "prepare", stop)
    assert main(["--archive", str(tiny_archive), "--out", str(tmp_path / "out")]) == status
    assert message in capsys.readouterr().err


def test_too_few_sound_subjects_are_an_error_that_lists_the_problems(archive, tmp_path, capsys):
    for index in range(1, 5):
        subject = f"FeTS21_Training_{index:03d}"
        file_of(archive, "t1", subject).unlink()
    command = ["--archive", str(archive), "--out", str(tmp_path / "out"), "--spacing", "4", "--jobs", "1"]
    assert main([*command, "--box", "192", "224", "192"]) == 2
    message = capsys.readouterr().err
    assert "4 sound subjects are too few" in message
    assert f"{FIRST}: missing modality T1" in message
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_truncated_analyze_file_is_named(tiny_infants, tmp_path):
    archive = shutil.copytree(tiny_infants, tmp_path / "archive")
    shutil.copy(archive / "subject-1-T1.hdr", archive / "subject-6-T1.hdr")
    cut_short(archive / "subject-1-T2.img", 20)
    with pytest.raises(ValueError, match=r"4 sound .*subject-1: truncated.*subject-6: missing modality T1") as caught:
        prepare(archive, tmp_path / "out", spacing=4, box=(160, 192, 160), jobs=1)
    assert str(tmp_path) not in str(caught.value)


def test_a_second_call_goes_on_and_takes_up_mended_files(archive, tiny_archive, tiny_cohort, tmp_path):
    out = tmp_path / "tiny"
    cut_short(file_of(archive, "flair"), 20)
    prepare(archive, out, **ARGUMENTS)
    second = file_of(out, "flair", "FeTS21_Training_002")
    moment = second.stat().st_mtime_ns
    shutil.copy(file_of(tiny_archive, "flair"), file_of(archive, "flair"))
    manifest = prepare(archive, out, **ARGUMENTS)
    assert second.stat().st_mtime_ns == moment
    assert manifest["problems"] == []
    # nothing of the detour is left: the cohort equals the one that was made in two processes in one go
    assert manifest == read_json(tiny_cohort.folder / "manifest.json")
    cut_short(file_of(archive, "flair"), 20)
    assert len(prepare(archive, out, **ARGUMENTS)["problems"]) == 1
    assert not (out / FIRST).exists()


def test_other_parameters_into_the_same_folder_are_refused(tiny_archive, tiny_cohort):
    with pytest.raises(OtherParametersError, match="seed 0 there, 1 here"):
        prepare(tiny_archive, tiny_cohort.folder, **ARGUMENTS, seed=1)


def test_real_archives_carry_their_own_terms(archive, tmp_path):
    for name in ("manifest.json", "parameters.json", "partitioning_1.csv"):
        (archive / name).unlink()
    manifest = prepare(archive, tmp_path / "out", **ARGUMENTS)
    assert manifest["simulated"] is False
    assert "registration" in manifest["licence"]
    assert set(manifest["sites"].values()) == {"unknown"}


def test_a_half_simulated_archive_is_refused(archive, tmp_path):
    (archive / "manifest.json").unlink()
    with pytest.raises(ValueError, match="half-simulated"):
        prepare(archive, tmp_path / "out", **ARGUMENTS)


def test_sites_are_those_of_the_table(tiny_cohort):
    assert set(tiny_cohort.sites) == set(tiny_cohort.subjects)
    assert tiny_cohort.sites[FIRST] == "1"
    assert len(set(tiny_cohort.sites.values())) >= 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spacing": 0}, "spacing must be above 0"),
        ({"spacing": 4, "box": (192, 224, 176)}, r"nearest is --box 192 224 192"),
        ({"box": (192, 224)}, "box must be three lengths"),
        ({"split": (1, 1, 1, 1, 0)}, "split must be 5 whole numbers >= 1"),
        ({"source_sites": ("1", "9")}, r"sound subjects have \('1', '2', '3', '4'\), got \('1', '9'\)"),
        ({"source_sites": "1"}, "source_sites must be a list of sites .* got '1'"),
        ({"source_sites": (1,)}, r"source_sites must be a list of sites .* got \(1,\)"),
        ({"source_sites": ("1", "2", "3", "4")}, "must leave at least one site to the target"),
        ({"source_sites": ("4",)}, r"1 sound subjects are too few: the 2 parts .*\(source_train, source_val\)"),
        ({"source_sites": ("1", "2", "3")}, r"1 sound subjects are too few: the 3 parts .*target_test"),
        ({"unsplit": "elsewhere"}, "unsplit must be one of source_train, .*, got 'elsewhere'"),
        ({"layout": "nowhere"}, "layout must be auto or one of fets2021, fets2022"),
        ({"layout": "iseg2019"}, "holds no subject in the layout iseg2019"),
    ],
)
def test_arguments_out_of_range_are_named(tiny_archive, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        prepare(tiny_archive, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_choice_that_does_not_exist_is_named(tiny_archive, tmp_path):
    with pytest.raises(TypeError, match="spacign"):
        prepare(tiny_archive, tmp_path / "out", spacign=4)


def test_an_archive_that_is_not_there_or_not_known_is_named(tmp_path):
    with pytest.raises(ValueError, match="is not a folder"):
        prepare(tmp_path / "none", tmp_path / "out")
    with pytest.raises(ValueError, match="fits no known layout"):
        detect_layout(tmp_path)


@pytest.mark.parametrize("count", [5, 6, 8, 10, 39, 40, 341])
def test_split_is_disjoint_complete_seeded_and_in_proportion(count):
    subjects = [f"subject-{index}" for index in range(count)]
    parts = split_subjects(subjects, (14, 2, 8, 4, 12), seed=0)
    assert tuple(parts) == PARTS
    assert sorted(subject for part in parts.values() for subject in part) == sorted(subjects)
    assert min(map(len, parts.values())) >= 1
    ideal = np.array([14, 2, 8, 4, 12]) / 40 * count
    assert np.abs([len(part) for part in parts.values()] - np.maximum(ideal, 1)).max() <= 1.5
    assert parts == split_subjects(subjects, (14, 2, 8, 4, 12), seed=0)
    assert parts != split_subjects(subjects, (14, 2, 8, 4, 12), seed=1)


def test_default_split_of_forty_is_exact():
    parts = split_subjects([str(index) for index in range(40)], DEFAULT_SPLIT, seed=3)
    assert [len(part) for part in parts.values()] == [12, 4, 8, 4, 12]


# three sites of unlike size, mixed in the order of the archive
FORTY_SITES = {f"subject-{index}": "1231231"[index % 7] for index in range(40)}


@pytest.mark.parametrize("source_sites", [("1",), ("2", "3"), ("3", "1", "3")])
def test_split_by_site_keeps_the_sites_apart_and_the_shares(source_sites):
    parts = split_by_site(FORTY_SITES, DEFAULT_SPLIT, 0, source_sites)
    assert tuple(parts) == PARTS
    assert sorted(subject for part in parts.values() for subject in part) == sorted(FORTY_SITES)
    for names, shares, sites in (
        (SOURCE_PARTS, DEFAULT_SPLIT[:2], set(source_sites)),
        (TARGET_PARTS, DEFAULT_SPLIT[2:], {"1", "2", "3"} - set(source_sites)),
    ):
        assert {FORTY_SITES[subject] for name in names for subject in parts[name]} == sites
        sizes = np.array([len(parts[name]) for name in names])
        assert np.abs(sizes - np.array(shares) / sum(shares) * sizes.sum()).max() < 1
    assert parts == split_by_site(FORTY_SITES, DEFAULT_SPLIT, 0, source_sites)
    assert parts != split_by_site(FORTY_SITES, DEFAULT_SPLIT, 1, source_sites)


def test_without_source_sites_the_split_is_the_mixed_one():
    assert split_by_site(FORTY_SITES, DEFAULT_SPLIT, 3) == split_subjects(list(FORTY_SITES), DEFAULT_SPLIT, seed=3)


def test_source_sites_on_the_command_line_keep_sites_apart(tiny_archive, tiny_cohort, tmp_path, capsys):
    out = tmp_path / "across"
    command = ["--archive", str(tiny_archive), "--out", str(out), "--spacing", "4", "--jobs", "1"]
    command += ["--box", "192", "224", "192", "--source-sites", "3", "1"]
    assert main(command) == 0
    assert "8 subjects in" in capsys.readouterr().out
    cohort = Cohort.open(out)
    with (tiny_archive / "partitioning_1.csv").open(newline="") as stream:
        table = {row["Subject_ID"]: row["Partition_ID"] for row in csv.DictReader(stream)}
    source = [subject for part in SOURCE_PARTS for subject in cohort.part(part)]
    target = [subject for part in TARGET_PARTS for subject in cohort.part(part)]
    assert {table[subject] for subject in source} == {"1", "3"}
    assert {table[subject] for subject in target} == set(table.values()) - {"1", "3"}
    assert sorted(source + target) == sorted(table)
    assert read_json(out / "manifest.json")["parameters"]["source_sites"] == ["1", "3"]
    # the volumes do not depend on the split, and a mixed cohort does not record the option
    plain = read_json(tiny_cohort.folder / "manifest.json")
    assert read_json(out / "manifest.json")["subjects"] == plain["subjects"]
    assert set(plain["parameters"]) == {"layout", "spacing", "box", "split", "seed"}
    with pytest.raises(OtherParametersError, match="source_sites"):
        prepare(tiny_archive, out, **ARGUMENTS | {"split": DEFAULT_SPLIT})


def test_site_whose_only_subject_is_unsound_is_named(archive, tmp_path):
    # site 4 has one subject, and the target needs it beside the two of site 2
    last = f"FeTS21_Training_{TINY_SUBJECTS:03d}"
    file_of(archive, "t1", last).unlink()
    with pytest.raises(ValueError, match=rf"2 sound subjects are too few.*{last}: missing modality T1"):
        prepare(archive, tmp_path / "across", **ARGUMENTS, source_sites=("1", "3"))
    with pytest.raises(ValueError, match=r"sound subjects have \('1', '2', '3'\), got \('4', '1'\)"):
        prepare(archive, tmp_path / "four", **ARGUMENTS, source_sites=("4", "1"))


def test_box_shape_accepts_fractional_spacing():
    assert box_shape((120, 96, 48), (1.5, 1.5, 1.5)) == (80, 64, 32)
    assert box_shape((120, 96, 48), (1.5, 1, 6)) == (80, 96, 8)


@pytest.mark.parametrize("largest", [1e-3, 5.0, 700.0])
def test_stored_floats_keep_zero_and_fourteen_bits(tmp_path, largest):
    voxels = np.random.default_rng(0).uniform(-largest, largest, (8, 8, 8)).astype(np.float32)
    voxels[:2] = 0
    path = tmp_path / "volume.nii.gz"
    save_volume(path, voxels, np.eye(4))
    image = nibabel.load(path)
    read = np.asarray(image.dataobj)
    assert image.get_data_dtype() == np.int16
    assert not read[:2].any()
    assert np.abs(read - voxels).max() <= largest * 2**-15 * 1.01
    digest = sha256_of_file(path)
    save_volume(path, voxels, np.eye(4))
    assert sha256_of_file(path) == digest


def test_partitioning_without_its_columns_is_named(archive, tmp_path):
    (archive / "partitioning_1.csv").write_text("subject,site\n")
    with pytest.raises(ValueError, match="columns Subject_ID and Partition_ID"):
        prepare(archive, tmp_path / "out", layout="fets2021", **ARGUMENTS)


def test_manifest_written_by_hand_does_not_confuse_the_description(archive, tmp_path):
    write_json(archive / "manifest.json", {"simulated": False})
    assert prepare(archive, tmp_path / "out", **ARGUMENTS)["title"] == "FeTS 2021"
