"""A folder of NIfTI files of the reader's own, described by a few lines of YAML."""

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data_scripts.archives.layout import Layout, SubjectFiles, by_number, patient_of
from data_scripts.archives.places import SESSION, SUBJECT, SUFFIXES, Listing
from riskmap.data.cohort import Task
from riskmap.project.choices import did_you_mean
from riskmap.project.files import digest_of
from riskmap.project.yaml_files import read_yaml

DESCRIPTION_FILE = "dataset.yaml"
PATIENT = "{patient}"
# what a file of the prepared form can be called, and "FLAIR:WT" can be read back from
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
# the prepared form has files of these names itself
_RESERVED = ("LABEL", "BRAIN")


class Description(BaseModel):
    """What ``dataset.yaml`` tells of a folder.

    Args:
        title, licence, citation: kept in the manifest.
        images: modality to the place of its files below the folder, with ``{subject}`` for the name of a subject, such
            as ``FLAIR: "{subject}/{subject}_flair.nii.gz"``; where patients have several sessions, ``{session}`` stands
            for theirs, such as ``"sub-{subject}/ses-{session}/anat/sub-{subject}_ses-{session}_FLAIR.nii.gz"``.
        label: the same for the files of labels.
        label_values: each value in a label file (0..255) and what it means; 0 is the background.
        targets: what can be segmented: target to class to the label values that make the class, such as
            ``WT: {whole tumour: [1, 2, 4]}``; all other values are background.
        sites: site to its subjects, for transfer across sites; may be left out.
        patient: which subjects are scans of one patient, so that the split keeps them together: a pattern of their
            names, such as ``"{patient}_visit*"``, or a table of patients and their subjects. Left out: each subject is
            a patient, but for sessions as BIDS names them (``sub-01_ses-1``).
        orientation_in_header: false where headers tell nothing reliable (see ``data_scripts.archives.layout.Layout``).
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    title: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    citation: str = ""
    images: dict[str, str] = Field(min_length=1)
    label: str
    label_values: dict[int, str] = Field(min_length=2)
    targets: dict[str, dict[str, list[int]]] = Field(min_length=1)
    sites: dict[str, list[str]] = {}
    patient: str | dict[str, list[str]] = ""
    orientation_in_header: bool = True

    @model_validator(mode="after")
    def _agree(self) -> Self:
        places = [*self.images.values(), self.label]
        for place in places:
            if SUBJECT not in place or not place.endswith(SUFFIXES):
                raise ValueError(f"{place!r} must hold {SUBJECT} and end in one of {', '.join(SUFFIXES)}")
        if len({SESSION in place for place in places}) > 1:
            raise ValueError(f"{SESSION} must stand in all places of images and label, or in none")
        if len(set(places)) < len(places):
            raise ValueError("two entries of images and label lead to the same file")
        for modality in self.images:
            spelled = Task.parse(f"{modality}:X").modality
            if spelled != modality:
                raise ValueError(f"modality {modality!r} must be written {spelled!r}")
            check_name("modality", modality)
        for target, classes in self.targets.items():
            self._check_target(target, classes)
        if self.label_values.get(0) != "background" or not all(0 <= value <= 255 for value in self.label_values):
            raise ValueError(f"label_values must lie in 0..255, with 0: background, got {self.label_values}")
        _check_listed_once("sites", self.sites)
        if isinstance(self.patient, dict):
            _check_listed_once("patient", self.patient)
        elif self.patient and self.patient.count(PATIENT) != 1:
            raise ValueError(f"patient must hold {PATIENT} once, with * for what differs, got {self.patient!r}")
        return self

    def _check_target(self, target: str, classes: dict[str, list[int]]) -> None:
        if target != target.upper():
            raise ValueError(f"target {target!r} must be written {target.upper()!r}")
        check_name("target", target)
        values = [value for of_class in classes.values() for value in of_class]
        unknown = sorted(set(values) - (set(self.label_values) - {0}))
        if unknown:
            allowed = ", ".join(str(value) for value in self.label_values if value)
            raise ValueError(f"target {target} uses label value {unknown[0]}; label_values has {allowed}")
        if not classes or not all(classes.values()) or len(values) != len(set(values)):
            raise ValueError(f"target {target} needs at least one class, each with label values of its own")


def check_name(kind: str, name: str) -> None:
    """Raise ValueError unless the prepared form can store a modality or a target under this name."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{kind} {name!r} must consist of letters, digits and . _ + -, and begin with one of the first"
        )
    if name in _RESERVED:
        raise ValueError(
            f"{kind} {name!r} must have another name: {' and '.join(_RESERVED)} are the prepared form's own"
        )


def _check_listed_once(kind: str, table: dict[str, list[str]]) -> None:
    listed: dict[str, str] = {}
    for name, subjects in table.items():
        for subject in subjects:
            if listed.setdefault(subject, name) != name:
                raise ValueError(f"{kind} lists {subject!r} twice, under {listed[subject]!r} and {name!r}")


def read_description(path: str | Path) -> Description:
    """Read and check ``dataset.yaml``.

    Raises:
        ValueError: the file is missing or no YAML, or an entry is missing, unknown, of a wrong type or at odds with
            another; all problems are named.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"{path} is missing; it describes the folder (see notebooks/own_data.yaml), unless a dataset.json of "
            "nnU-Net's raw layout does"
        )
    return read_yaml(path, Description)


def own_layout(description: Description) -> Layout:
    """Return the layout that a description describes."""
    return Layout(
        name="own",
        title=description.title,
        find=partial(_find_described, description=description),
        passed_over=partial(_passed_over, description=description),
        modalities=tuple(description.images),
        label_table=dict(sorted(description.label_values.items())),
        targets={
            name: {
                "title": " and ".join(classes),
                "classes": ["background", *classes],
                "values": {str(v): index for index, values in enumerate(classes.values(), 1) for v in values},
            }
            for name, classes in description.targets.items()
        },
        orientation_in_header=description.orientation_in_header,
        licence=description.licence,
        citation=description.citation,
        fingerprint=digest_of(description.model_dump(mode="json")),
    )


def _listing(archive: Path, description: Description) -> Listing:
    return Listing(archive, {**description.images, "label": description.label})


def _find_described(archive: Path, description: Description) -> list[SubjectFiles]:
    """Find every subject of which at least one file is there, in the order of the numbers in their names.

    Raises:
        ValueError: no file fits (the nearest is named), or a site or patient lists a subject that is not there, or the
            pattern of patients does not fit a subject.
    """
    listing = _listing(archive, description)
    found = sorted(listing.found(), key=lambda scan: by_number(scan.name))
    if not found:
        raise ValueError(listing.nothing_found())
    names = [scan.name for scan in found]
    sites = {subject: site for site, subjects in description.sites.items() for subject in subjects}
    _check_there("sites", sites, names)
    patients = _patients(description.patient, names)
    return [
        SubjectFiles(
            archive=archive,
            subject=scan.name,
            images={modality: listing.file(place, scan) for modality, place in description.images.items()},
            label=listing.file(description.label, scan),
            site=sites.get(scan.name, "unknown"),
            patient=patients.get(scan.name, scan.subject if scan.session else ""),
        )
        for scan in found
    ]


def _passed_over(archive: Path, description: Description) -> list[str]:
    """Say which files of the folder were probably meant, and are not read."""
    return _listing(archive, description).passed_over()


def _patients(told: str | dict[str, list[str]], names: Iterable[str]) -> dict[str, str]:
    """Return who was scanned, for each scan of which that is told."""
    if isinstance(told, dict):
        table = {subject: patient for patient, subjects in told.items() for subject in subjects}
        _check_there("patient", table, names)
        return table
    if not told:
        return {name: patient for name in names if (patient := patient_of(name))}
    pattern = re.escape(told).replace(re.escape(PATIENT), "(?P<patient>.+?)").replace(re.escape("*"), ".*")
    matches = {name: re.fullmatch(pattern, name) for name in names}
    odd = [name for name, match in matches.items() if match is None]
    if odd:
        raise ValueError(f"patient {told!r} does not fit {len(odd)} subjects, first {odd[0]!r}; a table can name them")
    return {name: match["patient"] for name, match in matches.items() if match is not None}


def _check_there(kind: str, listed: Iterable[str], names: Iterable[str]) -> None:
    there = set(names)
    absent = [name for name in listed if name not in there]
    if absent:
        raise ValueError(
            f"{kind} lists {len(absent)} subjects that the folder does not hold: {', '.join(absent[:10])}"
            f"{did_you_mean(absent[0], sorted(there))}"
        )
