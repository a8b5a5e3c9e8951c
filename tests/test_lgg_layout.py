"""The LGG set as Kaggle gives it: TIFF slices, colours for sequences, no voxel size."""

import numpy as np
import pytest
from folders import head, notes, reasons
from PIL import Image

from data_scripts import prepare as prepare_script
from riskmap.data.cohort import Cohort
from riskmap.project.files import read_json

NAMES = ("TCGA_CS_4941_19960909", "TCGA_DU_5849_19950405", "TCGA_HT_A61A_20000127")
SEQUENCES = ("T1", "FLAIR", "T1ce")


def volumes(seed):
    """Three sequences of uint8 and a mask of 0 and 255, [X, Y, Z] to the right, the front and the top."""
    images = [(head(seed + 10 * place, "flair") / 2).astype(np.uint8) for place in range(3)]
    return images, (head(seed, "seg") > 0).astype(np.uint8) * 255


def write(folder, images, mask):
    """Write each slice as a screen shows it: the front on top, the patient's right on the left."""
    folder.mkdir(parents=True)
    for number in range(mask.shape[2]):
        seen = [volume[::-1, ::-1, number].T for volume in (*images, mask)]
        Image.fromarray(np.stack(seen[:3], axis=-1)).save(folder / f"{folder.name}_{number + 1}.tif")
        Image.fromarray(seen[3]).save(folder / f"{folder.name}_{number + 1}_mask.tif")


@pytest.fixture
def kaggle(tmp_path):
    root = tmp_path / "kaggle_3m"
    for seed, name in enumerate(NAMES):
        write(root / name, *volumes(seed))
    (root / "data.csv").write_text("Patient,RNASeqCluster\n")
    return root


def prepared(root, out, *options):
    command = ["--archive", str(root), "--out", str(out), "--unsplit", "--jobs", "1", "--spacing", "native"]
    status = prepare_script.main([*command, *options])
    return status, read_json(out / "manifest.json") if (out / "manifest.json").is_file() else {}


def test_colours_become_sequences_and_slices_lie_as_they_are_seen(kaggle, tmp_path):
    status, manifest = prepared(kaggle, tmp_path / "out", "--strict")
    assert status == 0
    assert manifest["spacing"] == [1.0, 1.0, 1.0]
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.modalities == SEQUENCES
    assert cohort.sites == dict(zip(NAMES, ("CS", "DU", "HT"), strict=True))
    images, mask = volumes(1)
    brain = cohort.brain(NAMES[1])
    places = [np.argwhere(each) for each in (brain, images[0] > 0)]
    assert places[0].shape == places[1].shape
    inside = images[2][images[2] > 0].astype(float)
    expected = (inside - inside.mean()) / inside.std()
    # in the order of the voxels: right, front and top are where they were
    np.testing.assert_allclose(cohort.image(NAMES[1], "T1ce")[brain], expected, atol=1e-3)
    assert np.array_equal(cohort.raw_labels(NAMES[1])[brain], mask[images[0] > 0])
    assert any("no voxel size" in note for note in notes(manifest, NAMES[1]))


def test_a_copy_of_flair_is_a_sequence_that_is_missing(kaggle, tmp_path):
    images, mask = volumes(5)
    write(kaggle / "TCGA_HT_7473_19970826", [images[1], images[1], images[2]], mask)
    write(kaggle / "TCGA_HT_7475_19970918", [images[0], images[1], images[1]], mask)
    assert reasons(prepared(kaggle, tmp_path / "out")[1]) == {
        "TCGA_HT_7473_19970826": "missing modality T1: a copy of FLAIR stands in for it",
        "TCGA_HT_7475_19970918": "missing modality T1ce: a copy of FLAIR stands in for it",
    }


def test_a_slice_that_is_missing_or_odd_is_named(kaggle, tmp_path):
    (kaggle / NAMES[0] / f"{NAMES[0]}_7.tif").unlink()
    (kaggle / NAMES[1] / f"{NAMES[1]}_3_mask.tif").unlink()
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(kaggle / NAMES[2] / f"{NAMES[2]}_2_mask.tif")
    status = prepare_script.main(["--archive", str(kaggle), "--out", str(tmp_path / "out"), "--unsplit", "--dry-run"])
    assert status == 2


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / f"{folder.name}_7.tif").unlink(), "without gaps; lacking: 7"),
        (lambda folder: (folder / f"{folder.name}_3_mask.tif").unlink(), "without gaps; lacking: 3"),
        (lambda folder: (folder / f"{folder.name}_22_mask.tif").unlink(), "wrong shape"),
        (lambda folder: (folder / f"{folder.name}_2.tif").write_bytes(b"II*"), "cannot identify image file"),
        (
            lambda folder: Image.fromarray(np.zeros((5, 5), np.uint8)).save(folder / f"{folder.name}_2_mask.tif"),
            "slices differ in size",
        ),
    ],
)
def test_each_damage_costs_one_patient(damage, reason, kaggle, tmp_path):
    damage(kaggle / NAMES[1])
    _, manifest = prepared(kaggle, tmp_path / "out")
    assert list(reasons(manifest)) == [NAMES[1]]
    assert reason in reasons(manifest)[NAMES[1]]
