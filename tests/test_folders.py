"""Folders as they come: each kind of trouble ends in the right numbers or in a word."""

import gzip
import shutil
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from folders import GRID, SHAPE, change, describe, file_of, head, notes, patients, prepared, reasons, store

from data_scripts.archives import subject as subject_module
from data_scripts.archives.background import find_background
from data_scripts.archives.own_layout import Description, read_description
from data_scripts.archives.places import Listing
from data_scripts.archives.volumes import PLACE_TOLERANCE
from riskmap.data.cohort import Cohort, CohortError
from riskmap.project import writing
from riskmap.project.files import read_json, write_json
from riskmap.training.making import choose_patients


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def with_header(path, affine=GRID, **fields):
    """Rewrite fields of a stored header, by their place in it."""
    places = {"codes": (252, "<hh"), "qform": (256, "<6f"), "rows": (280, "<12f"), "slope": (112, "<ff")}
    raw = bytearray(gzip.decompress(path.read_bytes()))
    for name, values in fields.items():
        start, form = places[name]
        struct.pack_into(form, raw, start, *values)
    path.write_bytes(gzip.compress(bytes(raw)))


# --- the brain, the background and the labels -----------------------------------------------------------------------


def cavity(voxels):
    """The middle of the lesion at 0, as clipping leaves it."""
    return np.where(head(0, "seg") == 1, 0, voxels)


def test_a_cavity_of_0_is_brain_and_keeps_its_label(tmp_path, out):
    root = patients(tmp_path / "mine", 1)
    for kind in ("flair", "t1"):
        change(root, "P01", kind, cavity)
    _, manifest = prepared(root, out)
    cohort = Cohort.open(out)
    assert cohort.raw_labels("P01")[cohort.brain("P01")].tolist().count(1) == (head(0, "seg") == 1).sum()
    assert not notes(manifest, "P01"), "a hole needs no word"


def test_labels_outside_the_brain_are_kept_counted_and_named(tmp_path, out, capsys):
    root = patients(tmp_path / "mine", 1)

    def with_fluid(labels):
        labels = labels.copy()
        labels[1:3, 14, 11] = 2
        return labels

    change(root, "P01", "seg", with_fluid)
    _, manifest = prepared(root, out)
    cohort = Cohort.open(out)
    assert (cohort.raw_labels("P01") > 0).sum() == (head(0, "seg") > 0).sum() + 2
    assert notes(manifest, "P01") == ["2 labelled voxels lie outside what the images show; they are kept"]
    assert "P01: 2 labelled voxels" in capsys.readouterr().out


def test_a_second_call_tells_the_same(tmp_path, out):
    root = patients(tmp_path / "mine", 1)
    change(root, "P01", "flair", lambda voxels: np.where(voxels > 0, voxels, -5))
    first, second = (prepared(root, out)[1] for _ in range(2))
    assert notes(first, "P01") == notes(second, "P01") == ["background of FLAIR: -5"]


def test_a_label_that_is_lost_at_the_new_voxel_size_is_named(tmp_path, out):
    root = patients(tmp_path / "mine", 1)

    def with_speck(labels):
        labels = np.where(labels == 1, 4, labels)
        labels[8, 14, 11] = 1
        return labels

    change(root, "P01", "seg", with_speck)
    _, manifest = prepared(root, out, "--spacing", "12")
    assert "label value 1, of 1 voxels, is lost at the new voxel size" in notes(manifest, "P01")


def scored(voxels):
    return (voxels - voxels.mean()) / voxels.std()


def padded_ct(voxels):
    """A body in noisy air within a round field of view, padded with a lower value."""
    air = np.random.default_rng(9).normal(-1000, 8, SHAPE)
    rows = np.indices(SHAPE[:2]) - np.array([12, 14])[:, None, None]
    field = ((rows / np.array([12, 14])[:, None, None]) ** 2).sum(0) < 1
    return np.where(field[:, :, None], np.where(voxels > 0, 40 + voxels / 50, air), -2048).astype(np.float32)


def noisy(voxels):
    return np.where(voxels > 0, voxels, np.abs(np.random.default_rng(5).normal(0, 6, SHAPE))).astype(np.float32)


def framed(voxels):
    """Noisy air, and a frame of 0 around all."""
    return np.pad(noisy(voxels)[2:-2, 2:-2, 2:-2], 2)


BACKGROUNDS = {
    "a minimum below 0": scored,
    "CT's -1024": lambda voxels: np.where(voxels > 0, 40 + voxels / 50, -1024),
    "a constant above 0": lambda voxels: voxels + 100,
    "a round field of CT, padded": padded_ct,
    "noise": noisy,
    "noise within a frame of 0": framed,
    "noise that was rounded to 0 mostly": lambda voxels: np.where(
        voxels > 0, voxels, np.rint(np.abs(np.random.default_rng(5).normal(0, 0.6, SHAPE)))
    ),
    "nearly one value": lambda voxels: scored(voxels) + 1e-7 * np.random.default_rng(1).normal(size=SHAPE),
}


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_a_background_that_is_not_0_is_found_and_told(kind, tmp_path, out):
    root = patients(tmp_path / "mine", 1)
    for sequence in ("flair", "t1"):
        change(root, "P01", sequence, BACKGROUNDS[kind])
    _, manifest = prepared(root, out)
    cohort, true = Cohort.open(out), int((head(0) > 0).sum())
    assert int(cohort.brain("P01").sum()) == pytest.approx(true, rel=0.02)
    assert [note.split(":")[0] for note in notes(manifest, "P01")] == ["background of FLAIR", "background of T1"]
    image = cohort.image("P01", "FLAIR")
    assert not image[~cohort.brain("P01")].any()


def test_a_crop_from_within_a_body_is_brain_as_a_whole_and_told():
    crop = np.random.default_rng(0).normal(300, 40, (16, 20, 12))
    background = find_background(crop)
    assert not background.outside.any()
    assert "whole field counts as brain" in background.found


def test_a_crop_with_a_few_voxels_of_0_has_no_background_and_one_with_many_says_so():
    crop = np.random.default_rng(0).normal(300, 40, (16, 20, 12))
    crop[3, 3, :4] = 0
    assert not find_background(crop).outside.any()
    crop[6:10, 6:12] = 0
    background = find_background(crop)
    assert np.array_equal(background.outside, crop == 0)
    assert "voxels of exactly 0 are taken for it" in background.found


def test_two_bodies_in_noise_are_both_kept():
    both = np.concatenate([head(0), head(1)[:, ::-1]])
    air = np.abs(np.random.default_rng(2).normal(0, 4, both.shape))
    background = find_background(np.where(both > 0, both, air))
    assert np.count_nonzero(~background.outside) == pytest.approx(np.count_nonzero(both), rel=0.01)


def test_a_dark_rim_beside_a_mask_is_tissue():
    """A slab of one slice fills as much of its box as a field of view does."""
    rows = np.indices((60, 60)) - 29.5
    radius = np.sqrt((rows**2).sum(0))
    noise = np.random.default_rng(0).normal(0, 2, radius.shape)
    slab = np.select([radius < 18, radius < 24, radius < 28], [100 + noise, 40 + noise, 20 + noise])[:, :, None]
    assert np.array_equal(find_background(slab).outside, slab == 0)


def test_air_that_is_not_found_is_at_least_suspected():
    field = np.abs(np.random.default_rng(0).normal(0, 6, (30, 30, 30)))
    field[:, :4] = field[:, -4:] = 0
    assert "more than 60% of the volume" in find_background(field).found


def test_a_background_of_0_is_found_without_a_word_and_dark_tissue_stays():
    voxels = head(0)
    # half of the brain is dark and even, as fluid and grey matter are on T1
    voxels[12:] = np.where(voxels[12:] > 0, 60 + voxels[12:] / 100, 0)
    background = find_background(voxels)
    assert np.array_equal(background.outside, voxels == 0)
    assert (background.level, background.found) == (0.0, "")


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["LABEL", "BRAIN", "T1/POST", "../T1", "T1 POST", "", "-T1", "flair", "É"])
def test_a_name_that_the_prepared_form_cannot_keep_is_refused_before_anything_is_read(name, tmp_path, out, capsys):
    images = {"FLAIR": "{subject}/{subject}_flair.nii.gz", name: "{subject}/{subject}_t1.nii.gz"}
    root = describe(tmp_path / "mine", images=images)
    assert prepared(root, out) == (2, {})
    assert repr(name) in (told := capsys.readouterr().err) or "task must read" in told
    assert not out.exists()


@pytest.mark.parametrize("name", ["T1+C", "2D_FLAIR", "CON", "ADC-0.8", "SOURCES"])
def test_a_name_that_a_tool_may_give_is_stored_under_its_own(name, tmp_path, out):
    images = {"FLAIR": "{subject}/{subject}_flair.nii.gz", name: "{subject}/{subject}_t1.nii.gz"}
    targets = {name: {"tumour": [1, 2, 4]}}
    prepared(patients(tmp_path / "mine", 1, images=images, targets=targets), out)
    cohort = Cohort.open(out)
    assert cohort.modalities == ("FLAIR", name)
    assert not np.array_equal(cohort.image("P01", name), cohort.image("P01", "FLAIR"))
    assert cohort.labels("P01", name).any()


def test_subjects_that_differ_in_capitals_alone_are_both_named(tmp_path, out):
    root = patients(tmp_path / "mine", ["P1", "p1", "P2"])
    assert set(reasons(prepared(root, out)[1])) == {"P1", "p1"}


def test_a_subject_cannot_take_the_place_of_the_manifest(tmp_path, out):
    root = patients(tmp_path / "mine", ["manifest.json", "P2"])
    _, manifest = prepared(root, out)
    assert "cannot be called 'manifest.json'" in reasons(manifest)["manifest.json"]
    assert list(manifest["subjects"]) == ["P2"]


# --- where voxels lie -------------------------------------------------------------------------------------------------


def turned(degrees):
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, -sin, 0, 0], [sin, cos, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]) @ GRID


def shifted(part):
    return GRID + part * np.array([[0, 0, 0, 4.0], [0] * 4, [0] * 4, [0] * 4])


def sheared(part):
    return GRID + np.array([[0, 4.0 * part / (SHAPE[1] - 1), 0, 0], [0] * 4, [0] * 4, [0] * 4])


def spaced(part):
    # GRID is centred nowhere: the far corner moves by the sum over the axis
    return GRID @ np.diag([1 + part / (SHAPE[0] - 1), 1, 1, 1])


@pytest.mark.parametrize("moved", [shifted, sheared, spaced])
def test_what_counts_is_how_far_voxels_lie_apart(moved, tmp_path, out):
    root = patients(tmp_path / "mine", 2)
    change(root, "P01", "t1", lambda voxels: voxels, moved(0.9 * PLACE_TOLERANCE))
    change(root, "P02", "t1", lambda voxels: voxels, moved(1.1 * PLACE_TOLERANCE))
    found = reasons(prepared(root, out)[1])
    assert list(found) == ["P02"]
    assert "corners of the volumes lie 0.44 mm apart, and less than 0.4 mm is allowed" in found["P02"]


def test_a_small_turn_of_a_large_volume_is_no_small_thing(tmp_path, out):
    root = patients(tmp_path / "mine", 1)
    change(root, "P01", "t1", lambda voxels: voxels, turned(0.5))
    assert prepared(root, out)[0] == 2


def test_a_volume_that_is_stored_the_other_way_round_lies_where_it_says(tmp_path, out):
    root = patients(tmp_path / "mine", 1)
    plain = Cohort.open(prepared(root, out)[1] and out)
    flip = GRID @ np.array([[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    change(root, "P01", "seg", lambda voxels: voxels[::-1], flip)
    prepared(root, out.with_name("again"))
    again = Cohort.open(out.with_name("again"))
    np.testing.assert_array_equal(again.raw_labels("P01"), plain.raw_labels("P01"))


def test_an_orientation_that_no_header_gives_is_not_guessed(tmp_path, out):
    root = patients(tmp_path / "mine", 3)
    with_header(file_of(root, "P02", "seg"), codes=(0, 0))
    found = reasons(prepared(root, out)[1])
    assert list(found) == ["P02"]
    assert "orientation of P02_seg.nii.gz is unknown" in found["P02"]
    assert "orientation_in_header: false" in found["P02"]
    # said once for all of them, the order of the voxels is taken
    describe(root, orientation_in_header=False)
    assert not reasons(prepared(root, out.with_name("again"))[1])


def test_analyze_files_have_no_orientation_to_rely_on(tmp_path, out):
    root = tmp_path / "mine"
    images = {"FLAIR": "{subject}/{subject}_flair.hdr", "T1": "{subject}/{subject}_t1.hdr"}
    for kind in ("flair", "t1", "seg"):
        path = root / "P01" / f"P01_{kind}.hdr"
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.AnalyzeImage(head(0, kind).astype(np.int16), GRID).to_filename(path)
    describe(root, images=images, label="{subject}/{subject}_seg.hdr")
    assert prepared(root, out) == (2, {})
    describe(root, images=images, label="{subject}/{subject}_seg.hdr", orientation_in_header=False)
    assert prepared(root, out)[0] == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((float("nan"),) * 12, "affine of P01_flair.nii.gz holds NaN or infinity"),
        ((4, 0, 0, 0, 4, 0, 0, 0, 0, 0, 4, 0), "makes a volume of no thickness"),
        ((4, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0), "makes a volume of no thickness"),
    ],
)
def test_an_affine_that_is_none_is_said_to_be_none(rows, message, tmp_path, out, capsys):
    root = patients(tmp_path / "mine", 1)
    with_header(file_of(root, "P01", "flair"), codes=(0, 1), rows=rows)
    assert prepared(root, out)[0] == 2
    assert message in capsys.readouterr().err


# --- whose scans ------------------------------------------------------------------------------------------------------

SESSIONS = [f"sub-{number:02d}_ses-{session}" for number in range(1, 9) for session in (1, 2)]


def parts_of_patients(manifest):
    parts = {}
    for part, names in manifest["split"].items():
        for name in names:
            parts.setdefault(name.split("_")[0], set()).add(part)
    return parts


@pytest.mark.parametrize(
    ("names", "changes"),
    [
        (SESSIONS, {}),
        ([name.removeprefix("sub-") for name in SESSIONS], {}),
        ([name.replace("sub-", "pat").replace("_ses-", "_v") for name in SESSIONS], {"patient": "{patient}_v*"}),
        (
            [f"{number:02d}_{visit}" for number in range(1, 9) for visit in "ab"],
            {"patient": {f"p{number}": [f"{number:02d}_a", f"{number:02d}_b"] for number in range(1, 9)}},
        ),
    ],
    ids=["BIDS", "BIDS without sub", "pattern", "table"],
)
def test_scans_of_a_patient_stay_together_and_the_manifest_shows_whose_they_are(names, changes, tmp_path, out):
    _, manifest = prepared(patients(tmp_path / "mine", names, **changes), out, unsplit=False)
    assert all(len(parts) == 1 for parts in parts_of_patients(manifest).values())
    assert len({entry["patient"] for entry in manifest["subjects"].values()}) == 8
    cohort = Cohort.open(out)
    # a shot is a patient, with all that was scanned
    scans = choose_patients(cohort, 1, 0)
    assert len(scans) == 2
    assert len({cohort.patients[scan] for scan in scans}) == 1


def test_a_tree_of_sessions_is_read_by_their_place(tmp_path, out):
    root = tmp_path / "bids"
    for session in ("1", "2"):
        stem = root / "sub-01" / f"ses-{session}" / "anat" / f"sub-01_ses-{session}"
        for kind, suffix in (("flair", "FLAIR"), ("seg", "dseg")):
            store(stem.with_name(f"{stem.name}_{suffix}.nii.gz"), head(int(session), kind))
    place = "sub-{subject}/ses-{session}/anat/sub-{subject}_ses-{session}_"
    describe(root, images={"FLAIR": f"{place}FLAIR.nii.gz"}, label=f"{place}dseg.nii.gz")
    prepared(root, out)
    assert Cohort.open(out).patients == {"01_1": "01", "01_2": "01"}


def test_a_manifest_that_tears_a_patient_is_refused(tmp_path, out):
    _, manifest = prepared(patients(tmp_path / "mine", SESSIONS), out, unsplit=False)
    scan = next(iter(manifest["split"]["target_test"]))
    manifest["split"]["target_test"].remove(scan)
    manifest["split"]["source_train"].append(scan)
    write_json(out / "manifest.json", manifest)
    with pytest.raises(CohortError, match=rf"has scans of {scan.split('_')[0]} in several parts"):
        Cohort.open(out)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patient": "{patient}_v*"}, "patient '{patient}_v*' does not fit 3 subjects, first 'P01'"),
        ({"patient": "P*"}, "must hold {patient} once"),
        ({"patient": {"a": ["P01", "P4"]}}, "patient lists 1 subjects that the folder does not hold: P4"),
        ({"patient": {"a": ["P01"], "b": ["P01"]}}, "patient lists 'P01' twice, under 'a' and 'b'"),
        ({"sites": {"a": ["P01", "P3"]}}, "sites lists 1 subjects that the folder does not hold: P3; did you mean"),
        ({"sites": {"a": ["P01"], "b": ["P02", "P01"]}}, "sites lists 'P01' twice, under 'a' and 'b'"),
    ],
)
def test_lists_that_name_nobody_or_somebody_twice_are_refused(changes, message, tmp_path, out, capsys):
    assert prepared(patients(tmp_path / "mine", **changes), out) == (2, {})
    assert message in capsys.readouterr().err


# --- who is there -----------------------------------------------------------------------------------------------------


def test_a_mask_beside_its_image_is_no_patient(tmp_path, out):
    root = tmp_path / "flat"
    for number in (1, 2):
        store(root / f"case{number}.nii.gz", head(number))
        store(root / f"case{number}_t1.nii.gz", head(number, "t1"))
        store(root / f"case{number}_seg.nii.gz", head(number, "seg"))
    images = {"FLAIR": "{subject}.nii.gz", "T1": "{subject}_t1.nii.gz"}
    describe(root, images=images, label="{subject}_seg.nii.gz")
    status, manifest = prepared(root, out, "--strict")
    assert (status, list(manifest["subjects"])) == (0, ["case1", "case2"])


def test_volumes_are_read_compressed_or_not(tmp_path, out):
    root = patients(tmp_path / "mine", 2)
    for kind in ("flair", "seg"):
        path = file_of(root, "P02", kind)
        nibabel.load(path).to_filename(path.with_suffix(""))
        path.unlink()
    assert list(prepared(root, out)[1]["subjects"]) == ["P01", "P02"]


def test_near_misses_are_listed(tmp_path, out, capsys):
    root = patients(tmp_path / "mine", 4)
    for kind in ("flair", "t1", "seg"):
        file_of(root, "P02", kind).rename(root / "P02" / f"P02_{kind}.NII.GZ")
        target = root / "more" / "P03" / file_of(root, "P03", kind).name
        target.parent.mkdir(parents=True, exist_ok=True)
        file_of(root, "P03", kind).rename(target)
    file_of(root, "P04", "flair").rename(root / "P04" / "P04_FLAIR.nii.gz")
    (root / "P05").symlink_to(root / "P01")
    _, manifest = prepared(root, out)
    near, links = manifest["passed_over"]
    assert near.startswith("6 volumes nearly fit")
    assert "P02/P02_flair.NII.GZ" in near
    assert "more/P03/P03_seg.nii.gz" in near
    assert links == "1 folders are links, which are not followed: P05"
    assert reasons(manifest) == {"P04": "missing modality FLAIR: no P04_flair.nii.gz"}
    assert "not read: 6 volumes nearly fit" in capsys.readouterr().err


def test_files_of_another_kind_are_no_near_misses(tmp_path):
    root = patients(tmp_path / "mine", 1)
    store(root / "P01" / "P01_t2.nii.gz", head(0))
    store(root / "atlas.nii.gz", head(0))
    description = read_description(root / "dataset.yaml")
    listing = Listing(root, {**description.images, "label": description.label})
    assert listing.passed_over() == []


@pytest.mark.parametrize("number", ["10", "2"])
def test_a_subject_that_is_called_by_a_number_is_meant_itself(number, tmp_path, out):
    root = patients(tmp_path / "mine", ["2", "7", "10"])
    assert list(prepared(root, out, "--subjects", number)[1]["subjects"]) == [number]


def test_a_number_that_names_nobody_is_a_count(tmp_path, out):
    root = patients(tmp_path / "mine", ["2", "7", "10"])
    assert list(prepared(root, out, "--subjects", "1")[1]["subjects"]) == ["2"]


# --- one odd file -----------------------------------------------------------------------------------------------------


def colours(path):
    voxels = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.Nifti1Image(voxels, GRID).to_filename(path)


def beyond_float32(path):
    nibabel.Nifti1Image(np.where(head(0) > 0, 1e300, 0), GRID).to_filename(path)


def complex_numbers(path):
    nibabel.Nifti1Image(head(0).astype(np.complex64), GRID).to_filename(path)


def no_header(path):
    raw = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<8h", raw, 40, 9, -5, 7, 0, 0, 0, 0, 0)
    path.write_bytes(gzip.compress(bytes(raw)))


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_loop(path):
    path.unlink()
    path.symlink_to(path)


def mirrored(path):
    """Left and right by one half of the header, right and left by the other."""
    image = nibabel.Nifti1Image(head(0), GRID)
    image.set_sform(GRID @ np.diag([-1, 1, 1, 1]), 1)
    image.set_qform(GRID, 1)
    image.to_filename(path)


def flat(path):
    nibabel.Nifti1Image(head(0)[:, :, 11], GRID).to_filename(path)


ODD = [colours, beyond_float32, complex_numbers, no_header, a_folder, a_loop, mirrored, flat]


@pytest.mark.parametrize("damage", ODD)
def test_one_odd_file_costs_its_patient_and_nobody_else(damage, tmp_path, out):
    root = patients(tmp_path / "mine", 3)
    damage(file_of(root, "P02", "flair"))
    status, manifest = prepared(root, out, "--strict")
    assert status == 1
    assert list(manifest["subjects"]) == ["P01", "P03"]
    assert list(reasons(manifest)) == ["P02"]
    assert reasons(manifest)["P02"]


def test_whatever_a_reader_raises_costs_one_patient(tmp_path, out, monkeypatch):
    read = subject_module.read_subject

    def fails(files, layout):
        if files.subject == "P02":
            raise RecursionError("a reader of\nits own")
        return read(files, layout)

    monkeypatch.setattr(subject_module, "read_subject", fails)
    _, manifest = prepared(patients(tmp_path / "mine", 3), out)
    assert reasons(manifest) == {"P02": "cannot be read: RecursionError: a reader of its own"}


@pytest.mark.parametrize("is_packed", [False, True])
def test_where_nothing_can_be_written_nothing_is_read(is_packed, tmp_path, out, monkeypatch, capsys):
    monkeypatch.setattr(writing, "can_write", lambda folder: folder.name != "closed")
    root = patients(tmp_path / "mine", 1)
    closed = ["--unpack-to", str(tmp_path / "closed")] if is_packed else []
    archive = Path(shutil.make_archive(str(tmp_path / "mine"), "zip", root)) if is_packed else root
    assert prepared(archive, out if is_packed else tmp_path / "closed", *closed) == (2, {})
    named = "--unpack-to" if is_packed else "--out"
    told = capsys.readouterr().err
    assert told.startswith(f"error: no right to write into {tmp_path / 'closed'} ({named}); name a folder")


def test_a_full_disk_is_no_fault_of_a_patient(tmp_path, out, monkeypatch, capsys):
    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(subject_module, "save_volume", fails)
    assert prepared(patients(tmp_path / "mine", 2), out) == (2, {})
    assert "No space left" in capsys.readouterr().err
    assert not [*out.glob("P*")]


# --- labels -----------------------------------------------------------------------------------------------------------


def test_labels_that_are_whole_up_to_storage_are_whole(tmp_path, out):
    root = patients(tmp_path / "mine", 3)
    labels = head(0, "seg")
    store(file_of(root, "P01", "seg"), np.where(labels == 4, np.nextafter(np.float32(4), 0), labels.astype("f4")))
    for name, dtype in (("P02", "i2"), ("P03", "u1")):
        scaled = nibabel.Nifti1Image(labels.astype("f8"), GRID)
        scaled.set_data_dtype(dtype)
        scaled.to_filename(file_of(root, name, "seg"))
    _, manifest = prepared(root, out)
    assert not manifest["problems"]
    cohort = Cohort.open(out)
    for name in ("P01", "P02", "P03"):
        assert np.bincount(cohort.raw_labels(name).ravel())[1:].tolist() == np.bincount(labels.ravel())[1:].tolist()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.4, "label value 1.399999976158142 is not whole (1 such values)"),
        (3.0, "unknown label value 3 (1 unknown); known are 0, 1, 2, 4"),
        (np.nan, "label has voxels that are NaN or infinite"),
        (-1.0, "unknown label value -1 (1 unknown); known are 0, 1, 2, 4"),
    ],
)
def test_a_value_that_is_no_label_is_given_exactly(value, reason, tmp_path, out):
    root = patients(tmp_path / "mine", 2)
    change(root, "P01", "seg", lambda labels: np.where(labels == 4, np.float32(value), labels.astype("f4")))
    assert reasons(prepared(root, out)[1]) == {"P01": reason}


@pytest.mark.parametrize("holders", [["P01", "P02"], ["P02", "P04", "P05", "P06"]])
def test_a_value_that_many_patients_have_is_another_release_and_refused_as_a_whole(holders, tmp_path, out, capsys):
    root = patients(tmp_path / "mine", 6)
    for name in holders:
        change(root, name, "seg", lambda labels: np.where(labels == 1, 3, labels))
    assert prepared(root, out) == (2, {})
    told = capsys.readouterr().err
    assert f"label value 3 is in {len(holders)} of 6 subjects, and Mine does not know it" in told
    assert "1 core, 2 oedema, 4 rim" in told


# --- box and voxel size -----------------------------------------------------------------------------------------------


def test_the_box_is_found_from_the_largest_brain(tmp_path, out):
    root = patients(tmp_path / "mine", 2)
    inside = np.argwhere(head(0) > 0)
    extent = inside.max(axis=0) - inside.min(axis=0) + 1
    _, manifest = prepared(root, out)
    assert manifest["shape"] == [int(-(-length // 8) * 8) for length in extent], "15, 17 and 13 voxels"
    assert manifest["parameters"]["box"] == [length * 4.0 for length in manifest["shape"]]
    # resampled, a brain may reach into one voxel more
    _, manifest = prepared(root, out.with_name("fine"), "--spacing", "2")
    assert manifest["shape"] == [int(-(-(2 * length + 1) // 8) * 8) for length in extent]
    assert not manifest["problems"]


def test_the_voxel_size_is_one_number_three_or_the_patients_own(tmp_path, out):
    root = patients(tmp_path / "mine", 3)
    thick = np.diag([4.0, 4.0, 8.0, 1.0])
    for name in ("P01", "P02"):
        for kind in ("flair", "t1", "seg"):
            change(root, name, kind, lambda voxels: voxels, thick)
    _, manifest = prepared(root, out, "--spacing", "native")
    assert manifest["spacing"] == [4.0, 4.0, 8.0]
    assert manifest["parameters"]["spacing"] == [4.0, 4.0, 8.0]
    cohort = Cohort.open(out)
    # nothing of P01 was resampled
    assert (
        np.bincount(cohort.raw_labels("P01").ravel())[1:].tolist() == np.bincount(head(0, "seg").ravel())[1:].tolist()
    )
    assert np.allclose(np.diag(cohort.affine("P01"))[:3], [4, 4, 8])
    _, manifest = prepared(root, out.with_name("three"), "--spacing", "4", "8", "8")
    assert manifest["spacing"] == [4.0, 8.0, 8.0]


@pytest.mark.parametrize("spacing", [["0"], ["4", "4"], ["nan"], ["4", "native", "4"], ["inf"]])
def test_a_voxel_size_that_is_none_is_refused(spacing, tmp_path, out, capsys):
    root = patients(tmp_path / "mine", 1)
    assert prepared(root, out, "--spacing", *spacing) == (2, {})
    assert "spacing must be above 0 mm: one number, three, or 'native'" in capsys.readouterr().err


def test_patients_of_whom_none_is_sound_are_all_named_before_the_box_is_sought(tmp_path, out, capsys):
    root = patients(tmp_path / "mine", 2)
    for name in ("P01", "P02"):
        file_of(root, name, "seg").unlink()
    assert prepared(root, out) == (2, {})
    assert "no subject is sound; P01: missing label: no P01_seg.nii.gz; P02: missing" in capsys.readouterr().err
    assert not out.exists()


def test_a_patient_of_a_wrong_voxel_size_makes_nobody_else_s_box(tmp_path, out):
    root = patients(tmp_path / "mine", 4)
    usual = prepared(root, out)[1]["shape"]
    for kind in ("flair", "t1", "seg"):
        change(root, "P02", kind, lambda voxels: voxels, GRID @ np.diag([1000, 1000, 1000, 1]))
    _, manifest = prepared(root, out.with_name("again"))
    assert manifest["shape"] == usual
    assert list(reasons(manifest)) == ["P02"]
    assert "is its voxel size right?" in reasons(manifest)["P02"]


def test_a_patient_with_twice_as_many_slices_has_a_place_in_the_box(tmp_path, out):
    root = patients(tmp_path / "mine", 4)
    for kind in ("flair", "t1", "seg"):
        change(root, "P02", kind, lambda voxels: np.repeat(voxels, 3, axis=2))
    _, manifest = prepared(root, out)
    assert not manifest["problems"]
    assert manifest["shape"][2] == 40


def test_lengths_in_other_units_are_read_as_what_they_are(tmp_path, out):
    root = patients(tmp_path / "mine", 2)
    for kind in ("flair", "t1", "seg"):
        image = nibabel.Nifti1Image(head(1, kind), GRID @ np.diag([1000, 1000, 1000, 1]))
        image.header.set_xyzt_units("micron")
        image.to_filename(file_of(root, "P02", kind))
    _, manifest = prepared(root, out, "--spacing", "native")
    assert manifest["spacing"] == [4.0, 4.0, 4.0]
    assert list(manifest["subjects"]) == ["P01", "P02"]


@pytest.mark.parametrize("side", [0.0315, 0.0004, 250.0])
def test_a_native_voxel_of_any_size_is_kept(side, tmp_path, out):
    root = patients(tmp_path / "mine", 1)
    for kind in ("flair", "t1", "seg"):
        change(root, "P01", kind, lambda voxels: voxels, np.diag([side, side, side, 1]))
    _, manifest = prepared(root, out, "--spacing", "native")
    assert manifest["spacing"] == pytest.approx([side] * 3, rel=1e-5)
    cohort = Cohort.open(out)
    assert np.array_equal(np.bincount(cohort.raw_labels("P01").ravel())[1:], np.bincount(head(0, "seg").ravel())[1:])


def test_a_union_of_labels_is_as_large_as_a_label_of_its_own(tmp_path, out):
    """A voxel that is 0.4 background and 0.3 of each of two labels is tumour."""
    root = patients(tmp_path / "mine", 1)
    mixed = np.random.default_rng(0).choice([1, 2, 4], SHAPE).astype(np.uint8)
    change(root, "P01", "seg", lambda labels: np.where(labels > 0, mixed, 0))
    _, manifest = prepared(root, out, "--spacing", "8")
    several = Cohort.open(out).labels("P01", "WT").sum()
    change(root, "P01", "seg", lambda labels: (labels > 0).astype(np.uint8))
    prepared(root, out.with_name("one"), "--spacing", "8")
    assert several == Cohort.open(out.with_name("one")).labels("P01", "WT").sum() > 0
    assert any("changes its volume by more than 20%" in note for note in notes(manifest, "P01"))


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_prepared_volume_that_was_changed_since_is_made_anew(damage, tmp_path, out):
    root = patients(tmp_path / "mine", 2)
    _, first = prepared(root, out)
    path = out / "P01" / "P01_label.nii.gz"
    if damage == "gone":
        path.unlink()
    else:
        store(path, np.zeros(first["shape"], dtype=np.uint8))
    _, again = prepared(root, out)
    assert again["subjects"] == first["subjects"]
    Cohort.open(out).verify()


def test_a_volume_that_is_there_twice_is_named(tmp_path, out):
    root = patients(tmp_path / "mine", 1)
    nibabel.Nifti1Image(head(0) * 0, GRID).to_filename(root / "P01" / "P01_seg.nii")
    (twice,) = prepared(root, out)[1]["passed_over"]
    assert twice == "1 volumes are there compressed and not, and one of both is read: P01/P01_seg.nii"


def test_two_sequences_that_are_one_image_are_told(tmp_path, out):
    root = patients(tmp_path / "mine", 1)
    store(file_of(root, "P01", "t1"), head(0, "flair"))
    assert notes(prepared(root, out)[1], "P01") == ["FLAIR and T1 are the same image, voxel by voxel"]


def test_all_notes_are_in_the_manifest_and_each_kind_is_printed_once(tmp_path, out, capsys):
    root = patients(tmp_path / "mine", 5)
    for number in range(1, 6):
        change(root, f"P{number:02d}", "flair", lambda voxels: np.where(voxels > 0, voxels, -7))
    _, manifest = prepared(root, out)
    assert len(read_json(out / "manifest.json")["notes"]) == len(manifest["notes"]) == 5
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note:")]
    assert told == ["note: P01, P02, P03 and 2 more: background of FLAIR: -7"]


def test_the_description_knows_all_its_entries():
    assert set(Description.model_fields) >= {"patient", "sites", "orientation_in_header"}
