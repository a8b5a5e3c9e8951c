"""Archive layouts: how each data set names its files, and what its label values mean.

A new layout is a function that finds subjects and an entry in ``LAYOUTS``.
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SubjectFiles:
    """Where the files of one subject are expected to be; they need not exist."""

    subject: str
    images: dict[str, Path]
    label: Path
    site: str


@dataclass(frozen=True)
class Layout:
    """A data set: where its files lie, what they hold, and under which terms.

    ``orientation_in_header`` is False where headers tell nothing reliable: then the axes are taken to run to the right,
    the front and the top, and only voxel sizes are read from the header.
    """

    title: str
    find: Callable[[Path], list[SubjectFiles]]
    modalities: tuple[str, ...]
    label_table: dict[int, str]
    targets: dict[str, dict[str, Any]]
    orientation_in_header: bool
    licence: str
    citation: str


def find_fets2021(archive: Path) -> list[SubjectFiles]:
    """Find ``FeTS21_Training_###/FeTS21_Training_###_{flair,t1,t1ce,t2,seg}.nii.gz`` at any depth."""
    folders = [path for path in _matching(archive, r"FeTS21_Training_\d+") if path.is_dir()]
    sites = _read_partitioning(archive)
    return [
        SubjectFiles(
            subject=folder.name,
            images={
                modality: folder / f"{folder.name}_{modality.lower()}.nii.gz"
                for modality in LAYOUTS["fets2021"].modalities
            },
            label=folder / f"{folder.name}_seg.nii.gz",
            site=sites.get(folder.name, "unknown"),
        )
        for folder in folders
    ]


def find_iseg2019(archive: Path) -> list[SubjectFiles]:
    """Find ``subject-N-{T1,T2,label}.{hdr,img}`` at any depth, in the order of N."""
    paths = _matching(archive, r"subject-\d+-(?:T1|T2|label)\.(?:hdr|img)")
    found = {(path.parent, path.name.split("-")[1]) for path in paths}
    return [
        SubjectFiles(
            subject=f"subject-{int(number)}",
            images={
                modality: folder / f"subject-{number}-{modality}.hdr" for modality in LAYOUTS["iseg2019"].modalities
            },
            label=folder / f"subject-{number}-label.hdr",
            site="1",
        )
        for folder, number in sorted(found, key=lambda each: (int(each[1]), each))
    ]


def detect_layout(archive: Path) -> str:
    """Return the name of the one layout that finds subjects in ``archive``.

    Raises:
        ValueError: if none does, or more than one.
    """
    names = [name for name, layout in LAYOUTS.items() if layout.find(archive)]
    if len(names) != 1:
        seen = f"fits {' and '.join(names)}" if names else "fits no known layout"
        raise ValueError(f"archive {archive} {seen}; name one of {', '.join(LAYOUTS)} with --layout")
    return names[0]


def _matching(archive: Path, pattern: str) -> list[Path]:
    """List paths at any depth whose whole name matches; hidden ones are other systems' notes or half-written."""
    return [
        path
        for path in sorted(archive.rglob("*"))
        if re.fullmatch(pattern, path.name)
        and not any(part.startswith(".") for part in path.relative_to(archive).parts)
    ]


def _read_partitioning(archive: Path) -> dict[str, str]:
    """Read which institution each subject comes from; an archive without the table has no sites."""
    tables = _matching(archive, r"partitioning_1\.csv")
    if not tables:
        return {}
    with tables[0].open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if not {"Subject_ID", "Partition_ID"} <= set(reader.fieldnames or ()):
            raise ValueError(f"{tables[0]} must have the columns Subject_ID and Partition_ID, got {reader.fieldnames}")
        return {row["Subject_ID"]: row["Partition_ID"] for row in reader}


def _region(title: str, values: tuple[int, ...]) -> dict[str, Any]:
    return {"title": title, "classes": ["background", title], "values": {str(value): 1 for value in values}}


LAYOUTS = {
    "fets2021": Layout(
        title="FeTS 2021",
        find=find_fets2021,
        modalities=("FLAIR", "T1", "T1ce", "T2"),
        label_table={0: "background", 1: "necrotic core", 2: "oedema", 4: "enhancing tumour"},
        targets={
            "WT": _region("whole tumour", (1, 2, 4)),
            "TC": _region("tumour core", (1, 4)),
            "ET": _region("enhancing tumour", (4,)),
            "REGIONS": {
                "title": "tumour sub-regions",
                "classes": ["background", "necrotic core", "oedema", "enhancing tumour"],
                "values": {"1": 1, "2": 2, "4": 3},
            },
        },
        orientation_in_header=True,
        licence="FeTS 2021: registration with the organisers; research use, with citation.",
        citation=(
            "Pati S, Baid U, Zenk M, et al. The Federated Tumor Segmentation (FeTS) Challenge. arXiv:2105.05874, 2021. "
            "Menze BH, et al. The Multimodal Brain Tumor Image Segmentation Benchmark (BRATS). IEEE TMI "
            "34(10):1993-2024, 2015."
        ),
    ),
    "iseg2019": Layout(
        title="iSeg-2019",
        find=find_iseg2019,
        modalities=("T1", "T2"),
        label_table={0: "background", 10: "CSF", 150: "grey matter", 250: "white matter"},
        targets={
            "TISSUE": {
                "title": "brain tissue",
                "classes": ["background", "CSF", "grey matter", "white matter"],
                "values": {"10": 1, "150": 2, "250": 3},
            },
        },
        orientation_in_header=False,
        licence=(
            "iSeg-2019: registration with the organisers; no redistribution; use only to prepare a challenge entry "
            "unless the organisers allow more."
        ),
        citation=(
            "Sun Y, Gao K, Wu Z, et al. Multi-Site Infant Brain Segmentation Algorithms: The iSeg-2019 Challenge. "
            "IEEE TMI 40(5):1363-1376, 2021."
        ),
    ),
}
