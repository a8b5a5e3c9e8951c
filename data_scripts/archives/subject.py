"""One subject: from its files in the archive to its prepared volumes, or to the reason why it is skipped."""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
from nibabel.affines import voxel_sizes

from data_scripts.archives.background import find_background
from data_scripts.archives.geometry import brain_of, extent_in_mm, to_box, z_scores
from data_scripts.archives.layout import Layout, SubjectFiles
from data_scripts.archives.preparation import Preparation
from data_scripts.archives.volumes import (
    SubjectError,
    UnknownLabelError,
    check_files,
    files_of,
    read_subject,
    save_volume,
)
from riskmap.project.files import read_json, sha256_of_file, write_json
from riskmap.project.folders import whole_folder

_SOURCES = "sources.json"
# a change of volume that a reader should know of
_MUCH = 0.2


@dataclass(frozen=True)
class Outcome:
    """What became of a subject.

    Args:
        subject: name.
        files: name of a prepared volume (a modality, "label" or "brain") to its path below the prepared folder and its
            hash; empty where nothing was written.
        reason: why the subject is skipped; empty: it is sound.
        notes: what was found and handled in a way that the reader should know.
        unknown_labels: values of its labels that the layout does not know.
    """

    subject: str
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    reason: str = ""
    notes: tuple[str, ...] = ()
    unknown_labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Boxed:
    """A subject's volumes in the box: z-scored images, labels and brain, with the affine and the notes."""

    scores: np.ndarray
    labels: np.ndarray
    brain: np.ndarray
    affine: np.ndarray
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Size:
    """How large a subject is, in mm along X, Y, Z: a voxel, and the box around its brain."""

    voxel: tuple[float, ...]
    brain: tuple[float, ...]


def measure_subject(layout: Layout, files: SubjectFiles) -> Size | Outcome:
    """Return how large a subject is, or why it is not sound."""
    try:
        with _costs_one_subject():
            _, labels, outsides, affine, _ = _read(layout, files)
            brain, _ = brain_of(outsides, labels)
            return Size(tuple(voxel_sizes(affine).tolist()), tuple(extent_in_mm(brain, affine)))
    except SubjectError as error:
        return _skipped(files, error)


def check_subject(layout: Layout, preparation: Preparation, files: SubjectFiles) -> Outcome:
    """Do all that :func:`prepare_subject` does, except writing."""
    try:
        with _costs_one_subject():
            return Outcome(files.subject, notes=_boxed(layout, preparation, files).notes)
    except SubjectError as error:
        return _skipped(files, error)


def prepare_subject(out: Path, layout: Layout, preparation: Preparation, files: SubjectFiles) -> Outcome:
    """Write the prepared volumes of one subject into a folder of its own below ``out``, whole or not at all.

    What was prepared from the very same files is kept.
    """
    subject, target = files.subject, out / files.subject
    names = {**{modality: modality.lower() for modality in layout.modalities}, "label": "label", "brain": "brain"}
    paths = {name: target / f"{subject}_{suffix}.nii.gz" for name, suffix in names.items()}
    try:
        with _costs_one_subject():
            check_files(files)
            hashes = _hashes(files)
            kept = _notes_of(target, hashes, paths)
            boxed = _boxed(layout, preparation, files) if kept is None else None
    except SubjectError as error:
        # what an earlier call made of files that have since been damaged is no longer true
        shutil.rmtree(target, ignore_errors=True)
        return _skipped(files, error)
    notes = tuple(kept or ()) if boxed is None else boxed.notes
    if boxed is not None:
        volumes = dict(zip(names, (*boxed.scores, boxed.labels, boxed.brain.astype(np.uint8)), strict=True))
        with whole_folder(target) as folder:
            for name, voxels in volumes.items():
                save_volume(folder / paths[name].name, voxels, boxed.affine)
            made = {path.name: sha256_of_file(folder / path.name) for path in paths.values()}
            write_json(folder / _SOURCES, {"files": hashes, "notes": notes, "volumes": made})
    made = read_json(target / _SOURCES)["volumes"]
    records = {
        name: {"path": path.relative_to(out).as_posix(), "sha256": made[path.name]} for name, path in paths.items()
    }
    return Outcome(subject, records, notes=notes)


@contextmanager
def _costs_one_subject() -> Iterator[None]:
    """Turn whatever goes wrong in reading a subject into a SubjectError, so that it costs no other subject."""
    try:
        yield
    except SubjectError:
        raise
    # readers of files that anyone may have written raise anything
    except Exception as error:
        raise SubjectError(f"cannot be read: {type(error).__name__}: {' '.join(str(error).split())}") from error


def _skipped(files: SubjectFiles, error: SubjectError) -> Outcome:
    unknown = error.values if isinstance(error, UnknownLabelError) else ()
    return Outcome(files.subject, reason=str(error), unknown_labels=unknown)


def _read(
    layout: Layout, files: SubjectFiles
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray, list[str]]:
    """Return a subject's images with their background at 0, its labels, these backgrounds, its affine and notes."""
    images, labels, affine = read_subject(files, layout)
    outsides, notes = [], _doubts(layout, files, images)
    for modality, image in zip(layout.modalities, images, strict=True):
        background = find_background(image)
        image -= np.float32(background.level)
        image[background.outside] = 0
        outsides.append(background.outside)
        if background.found:
            notes.append(f"background of {modality}: {background.found}")
    return images, labels, outsides, affine, notes


def _doubts(layout: Layout, files: SubjectFiles, images: np.ndarray) -> list[str]:
    """Say what of a subject's images the reader should look at."""
    doubts = []
    if "*" in files.label.name:
        doubts.append("pictures tell no voxel size: each counts as 1 mm, so that distances in mm mean nothing")
    for (name, image), (other, another) in combinations(zip(layout.modalities, images, strict=True), 2):
        if np.array_equal(image, another):
            doubts.append(f"{name} and {other} are the same image, voxel by voxel")
    return doubts


def _boxed(layout: Layout, preparation: Preparation, files: SubjectFiles) -> _Boxed:
    """Bring a subject into the box; SubjectError if it is not sound."""
    images, labels, outsides, was, notes = _read(layout, files)
    brain, num_outside = brain_of(outsides, labels)
    if num_outside:
        notes.append(f"{num_outside} labelled voxels lie outside what the images show; they are kept")
    scores, boxed_labels, boxed_brain, affine = to_box(
        images, labels, brain, was, layout, preparation.voxel, preparation.shape
    )
    notes += _changed_volumes(labels, boxed_labels, np.prod(voxel_sizes(was)) / np.prod(preparation.voxel))
    return _Boxed(z_scores(scores, boxed_brain, layout.modalities), boxed_labels, boxed_brain, affine, tuple(notes))


def _changed_volumes(before: np.ndarray, after: np.ndarray, ratio: float) -> list[str]:
    """Say which label values are lost, or change their volume by much, at a voxel of ``1 / ratio`` times the volume."""
    notes = []
    for value in np.unique(before[before > 0]).tolist():
        there, left = np.count_nonzero(before == value), np.count_nonzero(after == value)
        if not left:
            notes.append(f"label value {value}, of {there} voxels, is lost at the new voxel size")
        elif abs(left / (there * ratio) - 1) > _MUCH:
            notes.append(f"label value {value} changes its volume by more than {_MUCH:.0%} at the new voxel size")
    return notes


def _notes_of(target: Path, hashes: dict[str, str], paths: Mapping[str, Path]) -> list[str] | None:
    """Return the notes of a subject whose volumes are there as they were made of just these files; None otherwise."""
    record = target / _SOURCES
    kept = read_json(record) if record.is_file() else {}
    there = {path.name: sha256_of_file(path) for path in paths.values() if path.is_file()}
    return list(kept["notes"]) if (kept.get("files"), kept.get("volumes")) == (hashes, there) else None


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
