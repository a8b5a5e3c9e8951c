"""Read a prepared cohort: volumes, label targets, sites and the split by patient.

A cohort is a folder of NIfTI volumes and one ``manifest.json``, as ``python -m data_scripts.prepare`` writes it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import nibabel
import numpy as np
from nibabel.spatialimages import SpatialImage

from riskmap.data.volumes import KEPT_VOLUMES, CohortError, read_volume, remedy
from riskmap.project.choices import unknown
from riskmap.project.files import digest_of, read_json, sha256_of_file

FORMAT = 1
PARTS = ("source_train", "source_val", "target_train", "target_val", "target_test")
_KEYS = (
    *("name", "title", "licence", "citation", "simulated", "modalities", "label_table", "targets", "spacing"),
    *("shape", "sites", "subjects", "split"),
)


@dataclass(frozen=True)
class Target:
    """A label that can be learned: which raw label values make up which class.

    ``values`` maps raw label values to class indices; every other value is class 0, the background.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    values: dict[int, int]

    @property
    def num_classes(self) -> int:
        """Number of classes, background included."""
        return len(self.classes)


@dataclass(frozen=True)
class Cohort:
    """A prepared cohort, opened with :meth:`open`.

    Args:
        folder: where the manifest lies.
        name: short name.
        title: name for figures; says when the patients are simulated.
        licence: terms of use.
        citation: what to cite.
        simulated: whether the patients are simulated.
        modalities: sequences, for instance ("FLAIR", "T1", "T1ce", "T2").
        label_table: raw label value to structure.
        targets: name to :class:`Target`.
        spacing: voxel size in mm along X, Y, Z.
        shape: voxels along X, Y, Z (to the right, the front and the top).
        sites: subject to institution.
        patients: subject, which is one scan, to who was scanned; most data sets have one scan of each patient.
        split: part to subjects, all scans of a patient in one; "target_train" is the pool from which each seed draws
            its training patients.
        keeps_volumes: whether volumes stay in memory for the next reader, up to a fixed number of bytes in all.
    """

    folder: Path
    name: str
    title: str
    licence: str
    citation: str
    simulated: bool
    modalities: tuple[str, ...]
    label_table: dict[int, str]
    targets: dict[str, Target]
    spacing: tuple[float, float, float]
    shape: tuple[int, int, int]
    sites: dict[str, str]
    patients: dict[str, str]
    split: dict[str, tuple[str, ...]]
    _files: dict[str, dict[str, dict[str, str]]] = field(repr=False)
    keeps_volumes: bool = True

    @classmethod
    def open(cls, folder: str | Path) -> "Cohort":
        """Open a prepared cohort and check that its manifest is sound and its files exist.

        Raises:
            CohortError: if it is not; the message names the folder and the command that makes it.
        """
        folder = Path(folder)
        path = folder / "manifest.json"
        if not path.is_file():
            raise CohortError(f"no prepared cohort in {folder}: {path.name} is missing. {remedy(folder)}")
        try:
            manifest = read_json(path)
        except ValueError as error:
            raise CohortError(f"{error}. {remedy(folder)}") from error
        cohort = cls._from_manifest(folder, manifest)
        absent = [each["path"] for each in cohort._stored_files() if not (folder / each["path"]).is_file()]
        if absent:
            raise CohortError(f"{len(absent)} files of {folder} are missing, first {absent[0]}. {remedy(folder)}")
        return cohort

    @classmethod
    def _from_manifest(cls, folder: Path, manifest: Any) -> "Cohort":
        version = manifest.get("format") if isinstance(manifest, dict) else None
        if version != FORMAT:
            raise CohortError(
                f"manifest of {folder} has format {version!r}, this version reads {FORMAT}. {remedy(folder)}"
            )
        lacking = [key for key in _KEYS if key not in manifest]
        if lacking:
            raise CohortError(f"manifest of {folder} lacks {', '.join(lacking)}. {remedy(folder)}")
        subjects, split = manifest["subjects"], manifest["split"]
        dealt = [subject for part in split.values() for subject in part]
        if sorted(split) != sorted(PARTS) or sorted(dealt) != sorted(subjects):
            raise CohortError(
                f"split of {folder} must deal each subject out once, to {', '.join(PARTS)}. {remedy(folder)}"
            )
        torn = cls._torn(subjects, split)
        if torn:
            raise CohortError(f"split of {folder} has scans of {torn} in several parts. {remedy(folder)}")
        return cls(
            folder=folder,
            name=manifest["name"],
            title=manifest["title"],
            licence=manifest["licence"],
            citation=manifest["citation"],
            simulated=manifest["simulated"],
            modalities=tuple(manifest["modalities"]),
            label_table={int(value): name for value, name in manifest["label_table"].items()},
            targets={
                name: Target(
                    name=name,
                    title=entry["title"],
                    classes=tuple(entry["classes"]),
                    values={int(value): index for value, index in entry["values"].items()},
                )
                for name, entry in manifest["targets"].items()
            },
            spacing=tuple(manifest["spacing"]),
            shape=tuple(manifest["shape"]),
            sites=dict(manifest["sites"]),
            patients={subject: entry.get("patient", subject) for subject, entry in subjects.items()},
            split={part: tuple(split[part]) for part in PARTS},
            _files={subject: entry["files"] for subject, entry in subjects.items()},
        )

    @staticmethod
    def _torn(subjects: Any, split: Any) -> str:
        """Return a patient whose scans lie in several parts, or an empty text."""
        where: dict[str, str] = {}
        for part, scans in split.items():
            for scan in scans:
                patient = subjects[scan].get("patient", scan)
                if where.setdefault(patient, part) != part:
                    return patient
        return ""

    @property
    def subjects(self) -> tuple[str, ...]:
        """All subjects, in the order of the archive."""
        return tuple(self._files)

    @property
    def tasks(self) -> tuple["Task", ...]:
        """Every sequence with every target."""
        return tuple(Task(modality, target) for modality in self.modalities for target in self.targets)

    @property
    def finest_target(self) -> str:
        """The target with the most classes, the first of several."""
        return max(self.targets, key=lambda name: self.targets[name].num_classes)

    @cached_property
    def digest(self) -> str:
        """Short hash over voxels, targets and split: the same digest means the same data."""
        return digest_of(
            {
                "voxels": {
                    subject: {name: record["sha256"] for name, record in files.items()}
                    for subject, files in self._files.items()
                },
                "targets": {
                    name: [list(target.classes), sorted(target.values.items())] for name, target in self.targets.items()
                },
                "split": {part: list(subjects) for part, subjects in self.split.items()},
            }
        )

    def part(self, name: str) -> tuple[str, ...]:
        """Return the subjects of one part of the split.

        Raises:
            CohortError: if there is no such part, or it is empty, as most are of a cohort that was prepared unsplit.
        """
        self._check("part", name, self.split)
        if not self.split[name]:
            filled = ", ".join(part for part, subjects in self.split.items() if subjects)
            raise CohortError(f"part {name!r} of cohort {self.name} is empty; its subjects are all in {filled}")
        return self.split[name]

    def scans_by_patient(self, part: str) -> dict[str, tuple[str, ...]]:
        """Return the patients of one part, and the subjects that are scans of each.

        Raises:
            CohortError: as :meth:`part`.
        """
        scans: dict[str, tuple[str, ...]] = {}
        for subject in self.part(part):
            patient = self.patients[subject]
            scans[patient] = (*scans.get(patient, ()), subject)
        return scans

    def image(self, subject: str, modality: str) -> np.ndarray:
        """Return one sequence, of mean 0 and standard deviation 1 in the brain and exactly 0 outside.

        Args:
            subject: one of :attr:`subjects`.
            modality: one of :attr:`modalities`.

        Returns:
            A new float32 array.

        Shape:
            - Output: :math:`(X, Y, Z)` = :attr:`shape`.

        Raises:
            CohortError: if the subject or the sequence is unknown, or the file is damaged.
        """
        self._check("sequence", modality, self.modalities)
        stored, step = self._read(subject, modality)
        return stored.astype(np.float32) * np.float32(step)

    def labels(self, subject: str, target: str) -> np.ndarray:
        """Return the class indices of a target, as a new uint8 array of :attr:`shape`.

        Raises:
            CohortError: if the subject or the label is unknown, or the file is damaged.
        """
        self._check("label", target, self.targets)
        table = np.zeros(256, dtype=np.uint8)
        for value, index in self.targets[target].values.items():
            table[value] = index
        return table[self._read(subject, "label")[0]]

    def raw_labels(self, subject: str) -> np.ndarray:
        """Return the label values of the data set itself, as :attr:`label_table` names them (uint8)."""
        return self._read(subject, "label")[0].copy()

    def brain(self, subject: str) -> np.ndarray:
        """Return where the brain is, as a new boolean array of :attr:`shape`."""
        return self._read(subject, "brain")[0] > 0

    def affine(self, subject: str) -> np.ndarray:
        """Return the matrix [4, 4] from voxels to mm."""
        self._check("subject", subject, self._files)
        image = nibabel.load(self.folder / self._files[subject]["brain"]["path"])
        return cast(SpatialImage, image).affine

    def verify(self) -> None:
        """Compare every file with its hash in the manifest.

        Raises:
            CohortError: if some differ; all of them are listed.
        """
        bad = [
            record["path"]
            for record in self._stored_files()
            if not (self.folder / record["path"]).is_file()
            or sha256_of_file(self.folder / record["path"]) != record["sha256"]
        ]
        if bad:
            raise CohortError(
                f"{len(bad)} files of {self.folder} differ from the manifest or are missing: {', '.join(bad)}. "
                f"Delete their folders, then {remedy(self.folder)}"
            )

    def _stored_files(self) -> Iterable[dict[str, str]]:
        return (record for files in self._files.values() for record in files.values())

    def _read(self, subject: str, name: str) -> tuple[np.ndarray, float]:
        self._check("subject", subject, self._files)
        record = self._files[subject][name]
        read = KEPT_VOLUMES.read if self.keeps_volumes else read_volume
        stored, step = read(self.folder / record["path"], record["sha256"])
        if stored.shape != self.shape:
            raise CohortError(f"{record['path']} has shape {stored.shape}, the manifest says {self.shape}")
        return stored, step

    def _check(self, kind: str, value: str, allowed: Iterable[str]) -> None:
        if value not in tuple(allowed):
            raise CohortError(unknown(f"unknown {kind} {value!r} in cohort {self.name}", allowed, str(value)))


@dataclass(frozen=True)
class Task:
    """What a network learns: to segment the label ``target`` on images of the sequence ``modality``.

    >>> task = Task.parse("flair:wt")
    >>> str(task), task.slug
    ('FLAIR:WT', 'flair-wt')
    """

    modality: str
    target: str

    @classmethod
    def parse(cls, text: str) -> "Task":
        """Read "SEQUENCE:LABEL", in capitals or not; "T1ce" is spelled as the field spells it.

        Raises:
            ValueError: if the text does not have this form.
        """
        modality, colon, target = (part.strip() for part in str(text).partition(":"))
        if not (modality and colon and target) or ":" in target:
            raise ValueError(f"task must read SEQUENCE:LABEL, for instance FLAIR:WT, got {text!r}")
        modality = "T1ce" if modality.lower() == "t1ce" else modality.upper()
        return cls(modality, target.upper())

    def check(self, cohort: Cohort) -> "Task":
        """Return the task itself if the cohort has its sequence and its label.

        Raises:
            CohortError: if not; the message names what the cohort has.
        """
        cohort._check("sequence", self.modality, cohort.modalities)
        cohort._check("label", self.target, cohort.targets)
        return self

    @property
    def slug(self) -> str:
        """The task in a form that suits file names."""
        return f"{self.modality}-{self.target}".lower()

    def __str__(self) -> str:
        return f"{self.modality}:{self.target}"
