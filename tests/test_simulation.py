"""The simulated archives: layout, determinism, resuming, and looks that can be put in numbers."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time

import nibabel
import numpy as np
import pytest
from conftest import TINY_SEED, TINY_SPACING, TINY_SUBJECTS

from data_scripts import simulate_fets2021, simulate_iseg2019
from data_scripts.simulation.fields import smooth_noise
from data_scripts.simulation.scanner import site_of
from riskmap.project.files import read_json, sha256_of_file
from riskmap.project.folders import OtherParametersError, whole_folder
from riskmap.project.paths import PROJECT_ROOT

SEQUENCES = ("flair", "t1", "t1ce", "t2")


def read_patient(archive, index):
    subject = f"FeTS21_Training_{index:03d}"
    return {
        name: np.asarray(nibabel.load(archive / subject / f"{subject}_{name}.nii.gz").dataobj)
        for name in (*SEQUENCES, "seg")
    }


def hashes(archive, pattern):
    return {path.name: sha256_of_file(path) for path in sorted(archive.rglob(pattern))}


def test_fets_layout_is_exact(tiny_archive):
    folders = sorted(path.name for path in tiny_archive.iterdir() if path.is_dir())
    assert folders == [f"FeTS21_Training_{index:03d}" for index in range(1, TINY_SUBJECTS + 1)]
    for folder in folders:
        names = sorted(path.name for path in (tiny_archive / folder).iterdir())
        assert names == sorted(f"{folder}_{name}.nii.gz" for name in (*SEQUENCES, "seg"))
    with (tiny_archive / "partitioning_1.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["Subject_ID", "Partition_ID"]
    assert [row[0] for row in rows] == folders
    assert len({row[1] for row in rows}) >= 3
    images = [nibabel.load(path) for path in sorted((tiny_archive / folders[0]).iterdir())]
    assert nibabel.aff2axcodes(images[0].affine) == ("L", "P", "S")
    assert len({image.shape for image in images}) == 1
    np.testing.assert_allclose(images[0].header.get_zooms(), TINY_SPACING)


@pytest.mark.parametrize("index", range(1, TINY_SUBJECTS + 1))
def test_patients_are_skull_stripped_and_have_every_label(tiny_archive, index):
    volumes = read_patient(tiny_archive, index)
    brains = [volumes[name] > 0 for name in SEQUENCES]
    assert all(np.array_equal(brains[0], brain) for brain in brains)
    assert 0.15 < brains[0].mean() < 0.5
    assert set(np.unique(volumes["seg"])) <= {0, 1, 2, 4}
    assert {2, 4} <= set(np.unique(volumes["seg"]))
    assert not (volumes["seg"].astype(bool) & ~brains[0]).any()


def test_signals_look_like_the_sequences(tiny_archive):
    contrasts = []
    for index in range(1, TINY_SUBJECTS + 1):
        volumes = read_patient(tiny_archive, index)
        healthy = (volumes["seg"] == 0) & (volumes["flair"] > 0)
        mean = {name: [volumes[name][volumes["seg"] == value].mean() for value in (2, 4)] for name in SEQUENCES}
        contrasts.append(
            [
                mean["flair"][0] / volumes["flair"][healthy].mean(),
                mean["t1ce"][1] / volumes["t1ce"][healthy].mean(),
                mean["t1"][0] / volumes["t1"][healthy].mean(),
                mean["t2"][0] / volumes["t2"][healthy].mean(),
            ]
        )
    oedema_flair, rim_t1ce, oedema_t1, oedema_t2 = np.median(contrasts, axis=0)
    assert oedema_flair > 1.2
    assert rim_t1ce > 1.15
    assert oedema_t1 < 0.95
    assert oedema_t2 > 1.1


def test_sites_differ_in_contrast(tiny_archive):
    def spread(index):
        voxels = read_patient(tiny_archive, index)["t1"]
        inside = voxels[voxels > 0]
        return inside.std() / inside.mean()

    spreads = {site: [] for site in (2, 3)}
    for index in range(1, TINY_SUBJECTS + 1):
        if site_of(index) in spreads:
            spreads[site_of(index)].append(spread(index))
    assert max(spreads[2]) < min(spreads[3])


def test_a_subject_depends_on_seed_and_index_alone(tiny_archive, tmp_path):
    """Neither the number of processes nor that of subjects, nor the day, changes a bit; the seed does."""
    again = simulate_fets2021.simulate(tmp_path / "again", 3, TINY_SEED, TINY_SPACING, jobs=1)
    made = hashes(again, "*.nii.gz")
    expected = hashes(tiny_archive, "*.nii.gz")
    assert made == {name: expected[name] for name in made}
    assert len(made) == 15
    other = simulate_fets2021.simulate(tmp_path / "other", 1, TINY_SEED + 1, TINY_SPACING, jobs=1)
    assert all(made[name] != value for name, value in hashes(other, "*.nii.gz").items())


def test_manifest_holds_the_hash_of_every_file(tiny_archive):
    manifest = read_json(tiny_archive / "manifest.json")
    assert manifest["simulated"] is True
    assert len(manifest["files"]) == 5 * TINY_SUBJECTS + 1
    assert all(sha256_of_file(tiny_archive / name) == value for name, value in manifest["files"].items())


def test_a_killed_run_leaves_whole_subjects_and_goes_on(tiny_archive, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "data_scripts.simulate_fets2021", "--out", str(out), "--jobs", "1"]
    command += ["--subjects", str(TINY_SUBJECTS), "--seed", str(TINY_SEED), "--spacing", str(TINY_SPACING)]
    process = subprocess.Popen(command, cwd=PROJECT_ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None and not (out / "FeTS21_Training_002").exists():
            time.sleep(0.01)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (out / "manifest.json").exists()
    left = sorted(path for path in out.glob("FeTS21_*"))
    assert 2 <= len(left) < TINY_SUBJECTS
    assert all(len(list(folder.iterdir())) == 5 for folder in left)
    kept = {path: path.stat().st_mtime_ns for folder in left for path in folder.iterdir()}
    (out / ".part-left" / "FeTS21_Training_008").mkdir(parents=True)

    simulate_fets2021.simulate(out, TINY_SUBJECTS, TINY_SEED, TINY_SPACING, jobs=1)
    assert hashes(out, "*.nii.gz") == hashes(tiny_archive, "*.nii.gz")
    assert all(path.stat().st_mtime_ns == moment for path, moment in kept.items())
    assert not list(out.glob(".part-*"))


@pytest.mark.parametrize("change", [{"seed": 1}, {"subjects": 9}, {"spacing": 8}])
def test_other_parameters_into_the_same_folder_are_refused(tiny_archive, change):
    parameters = {"subjects": TINY_SUBJECTS, "seed": TINY_SEED, "spacing": TINY_SPACING, **change}
    with pytest.raises(OtherParametersError, match=next(iter(change))):
        simulate_fets2021.simulate(tiny_archive, **parameters)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OtherParametersError, match="not empty"):
        simulate_iseg2019.simulate(tmp_path, 1, spacing=8)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subjects": 0}, "subjects must be between 1 and"),
        ({"seed": -1}, "seed must be between 0 and"),
        ({"spacing": 9}, "spacing must be between 1 and 8"),
        ({"jobs": 0}, "jobs must be at least 1"),
    ],
)
def test_parameters_out_of_range_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_fets2021.simulate(tmp_path / "out", **arguments)


def test_fractional_spacing_is_refused(tmp_path):
    with pytest.raises(TypeError, match="spacing must be a whole number"):
        simulate_fets2021.simulate(tmp_path / "out", spacing=1.5)


def test_command_reports_errors_by_its_exit_status(tiny_archive, capsys):
    assert simulate_fets2021.main(["--out", str(tiny_archive), "--seed", "1"]) == 2
    assert "begun with other parameters" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--jobs", "--subjects"])
def test_a_count_that_makes_no_sense_is_refused_at_once(tmp_path, capsys, option):
    with pytest.raises(SystemExit) as caught:
        simulate_fets2021.main(["--out", str(tmp_path / "out"), option, "-1"])
    assert caught.value.code == 2
    assert f"{option}: must be a whole number of at least 1, got '-1'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_told_without_a_traceback(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert simulate_iseg2019.main(["--out", str(tmp_path / "file" / "out"), "--subjects", "1"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_an_error_within_a_subject_leaves_nothing(tmp_path):
    def write_half():
        with whole_folder(tmp_path / "subject") as folder:
            (folder / "half").touch()
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert not list(tmp_path.iterdir())


def test_iseg_layout_is_exact(tiny_infants):
    names = sorted(path.name for path in tiny_infants.iterdir() if path.suffix in (".hdr", ".img"))
    assert names == sorted(
        f"subject-{index}-{name}.{suffix}"
        for index in range(1, 6)
        for name in ("T1", "T2", "label")
        for suffix in ("hdr", "img")
    )
    label = nibabel.load(tiny_infants / "subject-1-label.hdr")
    assert label.shape == (36, 48, 64, 1)
    assert set(np.unique(label.dataobj)) == {0, 10, 150, 250}


def test_infant_grey_and_white_matter_are_nearly_isointense(tiny_infants):
    labels = np.asarray(nibabel.load(tiny_infants / "subject-1-label.hdr").dataobj)
    image = np.asarray(nibabel.load(tiny_infants / "subject-1-T1.hdr").dataobj)
    csf, grey, white = (image[labels == value].mean() for value in (10, 150, 250))
    assert abs(white / grey - 1) < 0.25
    assert csf < 0.85 * grey
    assert not image[labels == 0].any()


def test_an_incomplete_infant_is_made_again(tiny_infants, tmp_path):
    archive = shutil.copytree(tiny_infants, tmp_path / "infants")
    (archive / "subject-2-T2.img").unlink()
    simulate_iseg2019.simulate(archive, 5, spacing=TINY_SPACING, jobs=1)
    assert hashes(archive, "subject-*") == hashes(tiny_infants, "subject-*")


@pytest.mark.parametrize("sigma", [0.8, 3.0, 12.0])
def test_smooth_noise_is_standardised_and_smooth(sigma):
    noise = smooth_noise((40, 44, 48), sigma, np.random.default_rng(0))
    assert noise.shape == (40, 44, 48)
    assert noise.mean() == pytest.approx(0, abs=1e-4)
    assert noise.std() == pytest.approx(1, abs=1e-4)
    # Gaussian smoothing of white noise leaves a correlation of exp(-1 / (4 sigma^2)) between neighbours
    neighbours = np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]
    assert neighbours == pytest.approx(np.exp(-1 / (4 * sigma**2)), abs=0.1)
