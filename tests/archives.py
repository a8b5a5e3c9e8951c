"""Tiny archives in each layout, made by renaming simulated ones: the layouts as the tests know them."""

import csv
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np

SEQUENCES = ("flair", "t1", "t1ce", "t2")
FROM_2023 = {"flair": "t2f", "t1": "t1n", "t1ce": "t1c", "t2": "t2w", "seg": "seg"}
MSD_OF_FETS = {1: 2, 2: 1, 4: 3}
DATASET = {
    "name": "BRATS",
    "licence": "CC-BY-SA 4.0",
    "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
    "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
}


def subjects_of(archive: Path, count: int) -> list[Path]:
    """Return the folders of the first subjects of a simulated archive in the layout of FeTS 2021."""
    return sorted(path for path in archive.iterdir() if path.is_dir())[:count]


def relabel(voxels: np.ndarray, table: dict[int, int]) -> np.ndarray:
    """Replace label values."""
    changed = voxels.copy()
    for old, new in table.items():
        changed[voxels == old] = new
    return changed


def rewrite(source: Path, path: Path, table: dict[int, int] | None = None) -> None:
    """Store a volume under another name, which decides the format, with other label values."""
    image = nibabel.load(source)
    voxels = np.asarray(image.dataobj)
    nibabel.Nifti1Image(relabel(voxels, table or {}), image.affine).to_filename(path)


def in_folders(archive, out, count, name, *, suffix=".nii.gz", separator="_", names=None, table=None) -> Path:
    """Write subjects as ``NAME/NAME_flair.nii.gz``; ``name(index)`` is the folder's."""
    for index, folder in enumerate(subjects_of(archive, count), start=1):
        target = out / name(index)
        target.mkdir(parents=True)
        for sequence in (*SEQUENCES, "seg"):
            spelled = (names or {}).get(sequence, sequence)
            path = target / f"{target.name}{separator}{spelled}{suffix}"
            rewrite(folder / f"{folder.name}_{sequence}.nii.gz", path, table if sequence == "seg" else None)
    return out


def fets2021(archive: Path, out: Path, count: int = 5) -> Path:
    """FeTS 2021: ids with leading zeros."""
    in_folders(archive, out, count, "FeTS21_Training_{:03d}".format)
    rows = [(f"FeTS21_Training_{index:03d}", str(1 + index % 2)) for index in range(1, count + 1)]
    write_table(out / "partitioning_1.csv", ("Subject_ID", "Partition_ID"), rows)
    return out


def fets2022(archive: Path, out: Path, count: int = 5) -> Path:
    """FeTS 2022: the table's columns swapped, its ids without leading zeros."""
    in_folders(archive, out, count, "FeTS2022_{:05d}".format)
    rows = [(str(1 + index % 2), f"FeTS2022_{index}") for index in range(1, count + 1)]
    write_table(out / "partitioning_1.csv", ("Partition_ID", "Subject_ID"), rows)
    return out


def brats2020(archive: Path, out: Path, count: int = 5) -> Path:
    """BraTS 2020 in its common copy: not compressed, and the mask of case 355 under its odd name."""
    in_folders(archive, out, count, lambda i: f"BraTS20_Training_{355 if i == 1 else i:03d}", suffix=".nii")
    folder = out / "BraTS20_Training_355"
    (folder / f"{folder.name}_seg.nii").rename(folder / "W39_1998.09.19_Segm.nii")
    return out


def brats2021(archive: Path, out: Path, count: int = 5) -> Path:
    """BraTS 2021; its first case has no enhancing tumour."""
    in_folders(archive, out, count, "BraTS2021_{:05d}".format)
    first = out / "BraTS2021_00001" / "BraTS2021_00001_seg.nii.gz"
    rewrite(first, first, {4: 1})
    return out


def brats2023(archive: Path, out: Path, count: int = 6) -> Path:
    """BraTS 2023: new suffixes, enhancing tumour is 3, and two scans of one patient."""
    return in_folders(
        archive,
        out,
        count,
        lambda i: f"BraTS-GLI-{max(i, 2):05d}-{0 if i > 1 else 1:03d}",
        separator="-",
        names=FROM_2023,
        table={4: 3},
    )


def brats2024(archive: Path, out: Path, count: int = 6) -> Path:
    """BraTS 2024: scans after treatment, counted from 100, with a resection cavity in every second."""
    in_folders(archive, out, count, "BraTS-GLI-{:05d}-100".format, separator="-", names=FROM_2023, table={4: 3})
    for index in range(1, count + 1, 2):
        name = f"BraTS-GLI-{index:05d}-100"
        path = out / name / f"{name}-seg.nii.gz"
        rewrite(path, path, {1: 4})
    return out


def msd(archive: Path, out: Path, count: int = 5, dataset: dict | None = None) -> Path:
    """MSD Task 1: one file of four axes per case, its own order of labels, and Apple's files."""
    for folder in ("imagesTr", "labelsTr", "imagesTs"):
        (out / folder).mkdir(parents=True)
    for index, folder in enumerate(subjects_of(archive, count), start=1):
        name = f"BRATS_{index:03d}.nii.gz"
        images = [nibabel.load(folder / f"{folder.name}_{sequence}.nii.gz") for sequence in SEQUENCES]
        stacked = np.stack([np.asarray(image.dataobj) for image in images], axis=-1)
        nibabel.Nifti1Image(stacked, images[0].affine).to_filename(out / "imagesTr" / name)
        rewrite(folder / f"{folder.name}_seg.nii.gz", out / "labelsTr" / name, MSD_OF_FETS)
        (out / "imagesTr" / f"._{name}").write_bytes(b"Mac OS X")
    shutil.copy(out / "imagesTr" / "BRATS_001.nii.gz", out / "imagesTs" / "BRATS_900.nii.gz")
    (out / "dataset.json").write_text(json.dumps(dataset or DATASET))
    return out


def iseg(infants: Path, out: Path) -> Path:
    """iSeg: the simulated infants, whose layout it is, and a test subject without labels; no name tells the year."""
    shutil.copytree(infants, out, ignore=shutil.ignore_patterns("*.json"))
    for modality in ("T1", "T2"):
        for suffix in (".hdr", ".img"):
            shutil.copy(out / f"subject-1-{modality}{suffix}", out / f"subject-11-{modality}{suffix}")
    return out


def iseg2017(infants: Path, out: Path) -> Path:
    """iSeg-2017: as iSeg, in its own folder."""
    iseg(infants, out / "iSeg-2017-Training")
    return out


def iseg2019(infants: Path, out: Path) -> Path:
    """iSeg-2019: as iSeg, in its own folder."""
    iseg(infants, out / "iSeg-2019-Training")
    return out


def write_table(path: Path, columns: tuple[str, str], rows: list[tuple[str, str]]) -> None:
    """Write a table of sites."""
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
