"""One subject: from its files in the archive to its prepared volumes, or to the reason why it is skipped."""

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_scripts.archives.geometry import to_box, z_scores
from data_scripts.archives.layout import Layout, SubjectFiles
from data_scripts.archives.preparation import Preparation
from data_scripts.archives.volumes import SubjectError, check_files, files_of, read_subject, save_volume
from riskmap.project.files import read_json, sha256_of_file, write_json
from riskmap.project.folders import whole_folder


@dataclass(frozen=True)
class Outcome:
    """What became of a subject.

    Args:
        subject: name.
        files: name of a prepared volume (a modality, "label" or "brain") to its path below the prepared folder and its
            hash; empty where nothing was written.
        reason: why the subject is skipped; empty: it is sound.
    """

    subject: str
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    reason: str = ""


def check_subject(layout: Layout, preparation: Preparation, files: SubjectFiles) -> Outcome:
    """Do all that :func:`prepare_subject` does, except writing."""
    try:
        _boxed(layout, preparation, files)
    except SubjectError as error:
        return Outcome(files.subject, reason=str(error))
    return Outcome(files.subject)


def prepare_subject(out: Path, layout: Layout, preparation: Preparation, files: SubjectFiles) -> Outcome:
    """Write the prepared volumes of one subject into a folder of its own below ``out``, whole or not at all.

    What was prepared from the very same files is kept.
    """
    subject, target = files.subject, out / files.subject
    names = {**{modality: modality.lower() for modality in layout.modalities}, "label": "label", "brain": "brain"}
    paths = {name: target / f"{subject}_{suffix}.nii.gz" for name, suffix in names.items()}
    try:
        check_files(files)
        if not _is_current(target, files):
            scores, labels, brain, affine = _boxed(layout, preparation, files)
            volumes = dict(zip(names, (*scores, labels, brain.astype(np.uint8)), strict=True))
            with whole_folder(target) as folder:
                for name, voxels in volumes.items():
                    save_volume(folder / paths[name].name, voxels, affine)
                write_json(folder / "sources.json", _hashes(files))
    except SubjectError as error:
        # what an earlier call made of files that have since been damaged is no longer true
        shutil.rmtree(target, ignore_errors=True)
        return Outcome(subject, reason=str(error))
    records = {
        name: {"path": path.relative_to(out).as_posix(), "sha256": sha256_of_file(path)} for name, path in paths.items()
    }
    return Outcome(subject, records)


def _boxed(
    layout: Layout, preparation: Preparation, files: SubjectFiles
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return a subject's z-scored images, its labels, its brain and its affine; SubjectError if it is not sound."""
    images, labels, affine = read_subject(files, layout)
    images, labels, brain, affine = to_box(
        images, labels, affine, layout, float(preparation.spacing), preparation.shape
    )
    return z_scores(images, brain, layout.modalities), labels, brain, affine


def _is_current(target: Path, files: SubjectFiles) -> bool:
    """Tell whether a subject has been prepared from just these files."""
    record = target / "sources.json"
    return record.is_file() and read_json(record) == _hashes(files)


def _hashes(files: SubjectFiles) -> dict[str, str]:
    """Return the hash of each file by its place in the archive's folder of the subject."""
    # images and labels of one subject may have one name in two folders
    volumes = [*files.images.values(), files.label]
    names = Counter(path.name for path in set(volumes))
    return {
        (part.name if names[path.name] == 1 else f"{part.parent.name}/{part.name}"): sha256_of_file(part)
        for path in dict.fromkeys(volumes)
        for part in files_of(path)
    }
