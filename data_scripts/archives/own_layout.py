"""A folder of NIfTI files of the reader's own, described by a few lines of YAML."""

import re
from functools import partial
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data_scripts.archives.layout import Layout, SubjectFiles, matching
from riskmap.data.cohort import Task
from riskmap.project.files import digest_of
from riskmap.project.yaml_files import read_yaml

PLACE = "{subject}"
DESCRIPTION_FILE = "dataset.yaml"
_SUFFIXES = (".nii", ".nii.gz", ".hdr")


class Description(BaseModel):
    """What ``dataset.yaml`` tells of a folder.

    Args:
        title, licence, citation: kept in the manifest.
        images: modality to the place of its files below the folder, with ``{subject}`` for the name of a subject, such
            as ``FLAIR: "{subject}/{subject}_flair.nii.gz"``.
        label: the same for the files of labels.
        label_values: each value in a label file (0..255) and what it means; 0 is the background.
        targets: what can be segmented: target to class to the label values that make the class, such as
            ``WT: {whole tumour: [1, 2, 4]}``; all other values are background.
        sites: site to its subjects, for transfer across sites; may be left out.
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
    orientation_in_header: bool = True

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for place in (*self.images.values(), self.label):
            if PLACE not in place or not place.endswith(_SUFFIXES):
                raise ValueError(f"{place!r} must hold {PLACE} and end in one of {', '.join(_SUFFIXES)}")
        if len({*self.images.values(), self.label}) <= len(self.images):
            raise ValueError("two entries of images and label lead to the same file")
        for modality in self.images:
            spelled = Task.parse(f"{modality}:X").modality
            if spelled != modality:
                raise ValueError(f"modality {modality!r} must be written {spelled!r}")
        for target, classes in self.targets.items():
            self._check_target(target, classes)
        if self.label_values.get(0) != "background" or not all(0 <= value <= 255 for value in self.label_values):
            raise ValueError(f"label_values must lie in 0..255, with 0: background, got {self.label_values}")
        return self

    def _check_target(self, target: str, classes: dict[str, list[int]]) -> None:
        if target != target.upper():
            raise ValueError(f"target {target!r} must be written {target.upper()!r}")
        values = [value for of_class in classes.values() for value in of_class]
        unknown = sorted(set(values) - (set(self.label_values) - {0}))
        if unknown:
            allowed = ", ".join(str(value) for value in self.label_values if value)
            raise ValueError(f"target {target} uses label value {unknown[0]}; label_values has {allowed}")
        if not classes or not all(classes.values()) or len(values) != len(set(values)):
            raise ValueError(f"target {target} needs at least one class, each with label values of its own")


def read_description(path: str | Path) -> Description:
    """Read and check ``dataset.yaml``.

    Raises:
        ValueError: the file is missing or no YAML, or an entry is missing, unknown, of a wrong type or at odds with
            another; all problems are named.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is missing; it describes the folder (see notebooks/own_data.yaml)")
    return read_yaml(path, Description)


def own_layout(description: Description) -> Layout:
    """Return the layout that a description describes."""
    return Layout(
        name="own",
        title=description.title,
        find=partial(_find_described, description=description),
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


def _find_described(archive: Path, description: Description) -> list[SubjectFiles]:
    """Find every subject of which at least one image is there, in the order of the numbers in their names."""
    places = description.images
    sites = {subject: site for site, subjects in description.sites.items() for subject in subjects}
    found = {subject for place in places.values() for subject in _subjects(archive, place)}
    return [
        SubjectFiles(
            archive=archive,
            subject=subject,
            images={modality: archive / place.replace(PLACE, subject) for modality, place in places.items()},
            label=archive / description.label.replace(PLACE, subject),
            site=sites.get(subject, "unknown"),
        )
        for subject in sorted(found, key=_by_number)
    ]


def _subjects(archive: Path, place: str) -> set[str]:
    """Return the names that stand for ``{subject}`` in the files of one place."""
    first, *others = [re.escape(part) for part in place.split(PLACE)]
    pattern = first + r"(?P<subject>[^/]+)" + r"(?P=subject)".join(others)
    names = (path.relative_to(archive).as_posix() for path in matching(archive, r".*" + _suffix(place)))
    return {match["subject"] for name in names if (match := re.fullmatch(pattern, name))}


def _suffix(place: str) -> str:
    return re.escape(next(suffix for suffix in reversed(_SUFFIXES) if place.endswith(suffix)))


def _by_number(name: str) -> list[Any]:
    """Sort 2 before 10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
