"""Folders of a reader's own, of small generated heads, and how they are prepared."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import yaml

from data_scripts import prepare_folder
from riskmap.project.files import read_json

GRID = np.diag([4.0, 4.0, 4.0, 1.0])
SHAPE = (24, 28, 22)
DESCRIPTION = {
    "title": "Mine",
    "licence": "mine",
    "images": {"FLAIR": "{subject}/{subject}_flair.nii.gz", "T1": "{subject}/{subject}_t1.nii.gz"},
    "label": "{subject}/{subject}_seg.nii.gz",
    "label_values": {0: "background", 1: "core", 2: "oedema", 4: "rim"},
    "targets": {"WT": {"tumour": [1, 2, 4]}, "TC": {"core": [1, 4]}},
}
KINDS = ("flair", "t1", "seg")


def head(seed: int, kind: str = "flair") -> np.ndarray:
    """An ellipsoid of positive noise, 0 outside, or the labels of a lesion on its right side."""
    place = np.indices(SHAPE) - np.array([12, 14, 11])[:, None, None, None]
    inside = ((place / np.array([8, 9, 7])[:, None, None, None]) ** 2).sum(0) < 1
    distance = np.sqrt(((place - np.array([3, 2, 1])[:, None, None, None]) ** 2).sum(0))
    labels = (np.select([distance < 1.5, distance < 2.5, distance < 3.5], [1, 4, 2]) * inside).astype(np.uint8)
    if kind == "seg":
        return labels
    noise = np.random.default_rng([seed, KINDS.index(kind)]).normal(300, 30, SHAPE)
    return ((noise + 80 * (labels > 0)).clip(1) * inside).astype(np.float32)


def store(path: Path, voxels: np.ndarray, affine: np.ndarray = GRID) -> Path:
    """Write a volume."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(voxels, affine).to_filename(path)
    return path


def describe(root: Path, **changes: Any) -> Path:
    """Write the description, with other entries where they are given."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.yaml").write_text(yaml.safe_dump(DESCRIPTION | changes, sort_keys=False), encoding="utf-8")
    return root


def patients(root: Path, names: int | list[str] = 3, **changes: Any) -> Path:
    """Write patients P01, P02 .. (or of other names) with all that the description asks for."""
    several = [f"P{number:02d}" for number in range(1, names + 1)] if isinstance(names, int) else names
    for number, name in enumerate(several):
        for kind in KINDS:
            store(root / name / f"{name}_{kind}.nii.gz", head(number, kind))
    return describe(root, **changes)


def file_of(root: Path, name: str, kind: str) -> Path:
    """Return one of their files."""
    return root / name / f"{name}_{kind}.nii.gz"


def change(root: Path, name: str, kind: str, function: Any, affine: np.ndarray = GRID) -> None:
    """Rewrite the voxels of a file."""
    path = file_of(root, name, kind)
    store(path, function(np.asarray(nibabel.load(path).dataobj)), affine)


def prepared(root: Path, out: Path, *options: str, unsplit: bool = True) -> tuple[int, dict[str, Any]]:
    """Prepare a folder by its command; return the exit status and the manifest, empty where there is none."""
    choices = ["--spacing", "4", "--jobs", "1", *(["--unsplit"] if unsplit else [])]
    status = prepare_folder.main(["--archive", str(root), "--out", str(out), *choices, *options])
    manifest = out / "manifest.json"
    return status, read_json(manifest) if manifest.is_file() else {}


def reasons(manifest: dict[str, Any]) -> dict[str, str]:
    """Return why each subject was skipped."""
    return {problem["subject"]: problem["reason"] for problem in manifest["problems"]}


def notes(manifest: dict[str, Any], name: str) -> list[str]:
    """Return what is said of a subject that was kept."""
    return [each["note"] for each in manifest["notes"] if each["subject"] == name]
