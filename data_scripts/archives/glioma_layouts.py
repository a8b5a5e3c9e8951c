"""Glioma archives: FeTS, BraTS and Task 1 of the Medical Segmentation Decathlon; all offer the same targets."""

import csv
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from data_scripts.archives.layout import BRAIN_BOX, Layout, SubjectFiles, matching
from riskmap.project.files import read_json

MODALITIES = ("FLAIR", "T1", "T1ce", "T2")
SUFFIXES = {"FLAIR": "flair", "T1": "t1", "T1ce": "t1ce", "T2": "t2"}
SUFFIXES_FROM_2023 = {"FLAIR": "t2f", "T1": "t1n", "T1ce": "t1c", "T2": "t2w"}
NECROTIC, OEDEMA, ENHANCING = "necrotic core", "oedema", "enhancing tumour"
# what surgery left, from BraTS 2024 on
CAVITY = "resection cavity"
MSD_CHANNELS = MODALITIES
MSD_LABELS = ("background", "edema", "non-enhancing tumor", "enhancing tumor")


def find_in_folders(
    archive: Path, folder_pattern: str, suffixes: Mapping[str, str] = SUFFIXES, separator: str = "_"
) -> list[SubjectFiles]:
    """Find ``NAME/NAME_{suffix}.nii.gz`` or ``.nii`` at any depth, for folders whose name matches.

    A group named ``patient`` in the pattern tells whose scan it is where a patient may have several.
    """
    sites = read_partitioning(archive)
    found = []
    for folder in matching(archive, folder_pattern):
        matched = re.fullmatch(folder_pattern, folder.name)
        if matched is None or not folder.is_dir():
            continue
        patient = matched.groupdict().get("patient", "")
        stem = f"{folder.name}{separator}"
        found.append(
            SubjectFiles(
                archive=archive,
                subject=folder.name,
                images={modality: _volume(folder / f"{stem}{suffixes[modality]}") for modality in MODALITIES},
                label=_mask(folder, _volume(folder / f"{stem}seg")),
                site=sites.get(_number(patient or folder.name), "unknown"),
                patient=patient,
            )
        )
    return found


def find_msd(archive: Path) -> list[SubjectFiles]:
    """Find ``imagesTr/BRATS_###.nii.gz`` of four axes and ``labelsTr/BRATS_###.nii.gz``, at any depth.

    Test subjects, whose labels are kept back, lie in ``imagesTs``.

    Raises:
        ValueError: if the ``dataset.json`` beside them is missing or names another order of channels or labels.
    """
    parts = {"imagesTr": False, "labelsTr": False, "imagesTs": True}
    paths = [path for path in matching(archive, r"BRATS_\d+\.nii\.gz") if path.parent.name in parts]
    names = sorted({(path.parent.parent, parts[path.parent.name], path.name) for path in paths})
    for root in sorted({root for root, _, _ in names}):
        _check_dataset(root / "dataset.json")
    return [
        SubjectFiles(
            archive=archive,
            subject=name.removesuffix(".nii.gz"),
            images=dict.fromkeys(MODALITIES, root / ("imagesTs" if is_test else "imagesTr") / name),
            label=root / "labelsTr" / name,
            channels={modality: MSD_CHANNELS.index(modality) for modality in MODALITIES},
            is_test=is_test,
        )
        for root, is_test, name in names
    ]


def read_partitioning(archive: Path) -> dict[int, str]:
    """Read from ``partitioning_1.csv`` which institution each subject comes from, by the number of its id.

    The columns come in either order, and ids with or without leading zeros and the text before them. An archive
    without the table has no sites.

    Raises:
        ValueError: if a column is missing, an id has no number, or a subject is listed with two sites.
    """
    tables = matching(archive, r"partitioning_1\.csv")
    if not tables:
        return {}
    table = tables[0]
    # spreadsheets begin a table with a mark of its encoding
    with table.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream, skipinitialspace=True)
        if not {"Subject_ID", "Partition_ID"} <= set(reader.fieldnames or ()):
            raise ValueError(f"{table} must have the columns Subject_ID and Partition_ID, got {reader.fieldnames}")
        rows = [(row["Subject_ID"] or "", (row["Partition_ID"] or "").strip()) for row in reader]
    sites: dict[int, str] = {}
    for subject, site in rows:
        if not re.search(r"\d\s*$", subject):
            raise ValueError(f"{table} must list ids that end in a number, got {subject!r}")
        if sites.setdefault(_number(subject), site) != site:
            raise ValueError(f"{table} lists {subject!r} with two sites, {sites[_number(subject)]} and {site}")
    return sites


def _number(subject: str) -> int:
    """Return the last number in an id."""
    return int(re.findall(r"\d+", subject)[-1])


def _volume(stem: Path) -> Path:
    """Return the compressed file, or the plain one where that alone is there."""
    compressed, plain = (stem.with_name(f"{stem.name}{suffix}") for suffix in (".nii.gz", ".nii"))
    return plain if plain.is_file() and not compressed.is_file() else compressed


def _mask(folder: Path, usual: Path) -> Path:
    """Return the mask: case 355 of BraTS 2020 calls it ``W39_1998.09.19_Segm.nii``."""
    if usual.is_file():
        return usual
    others = matching(folder, r".*_Segm\.nii(\.gz)?")
    return others[0] if len(others) == 1 else usual


def _check_dataset(path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"{path} is missing; it tells the order of channels and labels")
    content = read_json(path)
    for key, expected, spellings in (
        ("modality", MSD_CHANNELS, {"t1w": "T1", "t1gd": "T1ce", "t2w": "T2"}),
        ("labels", MSD_LABELS, {}),
    ):
        entry = content.get(key) if isinstance(content, dict) else None
        entry = entry if isinstance(entry, dict) else {}
        told = [str(entry.get(str(place))) for place in range(max(len(expected), len(entry)))]
        spelled = [spellings.get(name.lower(), name).lower().replace("tumour", "tumor") for name in told]
        if spelled != [name.lower() for name in expected]:
            raise ValueError(f"{path} must give {key} in the order {', '.join(expected)}, got {', '.join(told)}")


def _region(title: str, values: tuple[int, ...]) -> dict[str, Any]:
    return {"title": title, "classes": ["background", title], "values": {str(value): 1 for value in values}}


def _glioma(
    name: str,
    find: Callable[[Path], list[SubjectFiles]],
    title: str,
    necrotic: int,
    oedema: int,
    enhancing: int,
    licence: str,
    citation: str,
    cavity: int | None = None,
) -> Layout:
    """Describe a glioma archive by the values of its three labels, or four where patients were operated on."""
    table = {0: "background", necrotic: NECROTIC, oedema: OEDEMA, enhancing: ENHANCING}
    after_surgery = {}
    if cavity is not None:
        table[cavity] = CAVITY
        after_surgery["RC"] = _region(CAVITY, (cavity,))
    return Layout(
        name=name,
        title=title,
        find=find,
        modalities=MODALITIES,
        label_table=dict(sorted(table.items())),
        targets={
            "WT": _region("whole tumour", (necrotic, oedema, enhancing)),
            "TC": _region("tumour core", (necrotic, enhancing)),
            "ET": _region("enhancing tumour", (enhancing,)),
            **after_surgery,
            "REGIONS": {
                "title": "tumour sub-regions",
                "classes": ["background", NECROTIC, OEDEMA, ENHANCING],
                "values": {str(necrotic): 1, str(oedema): 2, str(enhancing): 3},
            },
        },
        orientation_in_header=True,
        licence=licence,
        citation=citation,
        box=BRAIN_BOX,
    )


def _registered(title: str) -> str:
    return f"{title}: registration with the organisers; research use, with citation."


_MENZE = (
    "Menze BH, et al. The Multimodal Brain Tumor Image Segmentation Benchmark (BRATS). IEEE TMI 34(10):1993-2024, 2015."
)
_BAKAS = (
    "Bakas S, et al. Advancing The Cancer Genome Atlas glioma MRI collections with expert segmentation labels and "
    "radiomic features. Scientific Data 4:170117, 2017."
)
# the three papers that the data use agreement of FeTS 2021 asks for
_FETS = (
    "Pati S, Baid U, Zenk M, et al. The Federated Tumor Segmentation (FeTS) Challenge. arXiv:2105.05874, 2021. "
    "Reina GA, et al. OpenFL: An open-source framework for Federated Learning. arXiv:2105.06413, 2021. "
    f"{_BAKAS}"
)
# and those that the agreement of BraTS has asked for since 2018, with the summary of its first years
_BRATS = (
    f"{_MENZE} {_BAKAS} Bakas S, et al. Identifying the Best Machine Learning Algorithms for Brain Tumor Segmentation, "
    "Progression Assessment, and Overall Survival Prediction in the BRATS Challenge. arXiv:1811.02629, 2018."
)
_RSNA = (
    "Baid U, et al. The RSNA-ASNR-MICCAI BraTS 2021 Benchmark on Brain Tumor Segmentation and Radiogenomic "
    f"Classification. arXiv:2107.02314, 2021. {_MENZE} {_BAKAS}"
)
_ANTONELLI = (
    "Antonelli M, et al. The Medical Segmentation Decathlon. Nature Communications 13:4128, 2022. Simpson AL, et al. "
    "A large annotated medical image dataset for the development and evaluation of segmentation algorithms. "
    "arXiv:1902.09063, 2019."
)
_POST_TREATMENT = (
    "de Verdier MC, Saluja R, Gagnon L, et al. The 2024 Brain Tumor Segmentation (BraTS) Challenge: Glioma "
    f"Segmentation on Post-treatment MRI. arXiv:2405.18368, 2024. {_BRATS}"
)
# title, pattern of the folders, suffixes, separator, value of enhancing tumour, what to cite
_IN_FOLDERS = {
    "fets2021": ("FeTS 2021", r"FeTS21_Training_\d+", SUFFIXES, "_", 4, _FETS),
    "fets2022": ("FeTS 2022", r"FeTS2022_\d+", SUFFIXES, "_", 4, _FETS),
    "brats2020": ("BraTS 2020", r"BraTS20_Training_\d+", SUFFIXES, "_", 4, _BRATS),
    "brats2021": ("BraTS 2021", r"BraTS2021_\d+", SUFFIXES, "_", 4, _RSNA),
    "brats2023": ("BraTS 2023", r"(?P<patient>BraTS-GLI-\d+)-0\d\d", SUFFIXES_FROM_2023, "-", 3, _RSNA),
    # scans after treatment are counted from 100
    "brats2024": ("BraTS 2024", r"(?P<patient>BraTS-GLI-\d+)-1\d\d", SUFFIXES_FROM_2023, "-", 3, _POST_TREATMENT),
}
GLIOMA_LAYOUTS = {
    name: _glioma(
        name,
        partial(find_in_folders, folder_pattern=pattern, suffixes=suffixes, separator=separator),
        title,
        necrotic=1,
        oedema=2,
        enhancing=enhancing,
        licence=_registered(title),
        citation=citation,
        cavity=4 if name == "brats2024" else None,
    )
    for name, (title, pattern, suffixes, separator, enhancing, citation) in _IN_FOLDERS.items()
}
MSD_LAYOUTS = {
    "msd_brain_tumour": _glioma(
        "msd_brain_tumour",
        find_msd,
        "Medical Segmentation Decathlon, Task 1 (brain tumour)",
        necrotic=2,
        oedema=1,
        enhancing=3,
        licence=(
            "Medical Segmentation Decathlon: CC-BY-SA 4.0. Its patients are those of BraTS 2016 and 2017 under other "
            "names: never mix it with FeTS or BraTS as source and held-out target."
        ),
        citation=f"{_ANTONELLI} {_MENZE} {_BAKAS}",
    )
}
