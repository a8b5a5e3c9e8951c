"""What a layout is: where the files of a subject lie, what they hold, and under which terms."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# what volumes are called by programs of the field, read here or not
VOLUME = r"(?i).*\.(?:nii|hdr|img|mgz|mgh|mha|mhd|nrrd|nhdr)(?:\.gz)?"
# millimetres that hold an adult's brain
BRAIN_BOX = (192.0, 224.0, 176.0)


@dataclass(frozen=True)
class SubjectFiles:
    """Where the files of one subject are expected to be; they need not exist.

    Args:
        archive: the folder that none of the files may lead out of.
        subject: name.
        images: modality to file; several may share one file of four axes. A name with ``*`` stands for a picture per
            slice, and three modalities for its colours.
        label: the file of the labels.
        site: institution, "unknown" where no table tells it.
        channels: modality to its place along the fourth axis; empty: one file per modality.
        patient: who was scanned, where one patient may be several subjects; empty: the subject.
        is_test: whether the data set keeps this subject's labels to itself.
    """

    archive: Path
    subject: str
    images: dict[str, Path]
    label: Path
    site: str = "unknown"
    channels: dict[str, int] = field(default_factory=dict)
    patient: str = ""
    is_test: bool = False


@dataclass(frozen=True)
class Layout:
    """A data set: where its files lie, what they hold, and under which terms.

    Args:
        name: short name; "own" for every layout that was read from a description.
        title: name of the data set for readers.
        find: lists the subjects of an archive, given its folder.
        modalities: sequences, in the order in which images are stacked.
        label_table: value in a label file (0..255) to structure.
        targets: what can be segmented, as the manifest of a prepared cohort writes it.
        orientation_in_header: False where headers tell nothing reliable: then the axes are taken to run to the right,
            the front and the top, and only voxel sizes are read from the header.
        licence: terms of use.
        citation: what to cite.
        fingerprint: tells layouts apart that were read from a description; empty for those that are known by name.
        title_of: names the data set of an archive where several share the layout.
        passed_over: says which files of an archive were probably meant, and are not read.
        stand_in: the sequence of which a copy stands for one that a patient lacks; empty: nothing stands in.
        box: size in mm of the prepared volumes unless another is asked for; None: as large as the brains need.
    """

    name: str
    title: str
    find: Callable[[Path], list[SubjectFiles]]
    modalities: tuple[str, ...]
    label_table: dict[int, str]
    targets: dict[str, dict[str, Any]]
    orientation_in_header: bool
    licence: str
    citation: str
    fingerprint: str = ""
    title_of: Callable[[Path], str] | None = None
    passed_over: Callable[[Path], list[str]] | None = None
    stand_in: str = ""
    box: tuple[float, float, float] | None = None


def matching(archive: Path, pattern: str) -> list[Path]:
    """List paths at any depth whose whole name matches; hidden ones are other systems' notes or half-written."""
    return [
        path
        for path in sorted(archive.rglob("*"))
        if re.fullmatch(pattern, path.name)
        and not any(part.startswith(".") for part in path.relative_to(archive).parts)
    ]


def patient_of(name: str) -> str:
    """Return whose scan it is by the name of a session as BIDS has it; empty where the name tells no session.

    >>> patient_of("sub-01_ses-2"), patient_of("01_ses-2_run-1"), patient_of("P01")
    ('sub-01', '01', '')
    """
    match = re.fullmatch(r"(?P<patient>.+?)_ses-[A-Za-z0-9]+(_.*)?", name)
    return match["patient"] if match else ""


def by_number(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts names by the numbers in them: 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
