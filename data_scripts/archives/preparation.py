"""By which choices an archive is prepared: size of the volumes, who is taken, and who goes to which part."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from data_scripts.archives.geometry import box_around, box_shape
from data_scripts.archives.layout import Layout, SubjectFiles
from data_scripts.archives.split import split_by_site
from riskmap.data.cohort import PARTS

# the voxel size that the subjects have
NATIVE = "native"
# so many times the median's length, a brain is no brain
_OUTLYING = 4.0
DEFAULT_SPLIT = (12, 4, 8, 4, 12)


@dataclass(frozen=True)
class Preparation:
    """The choices by which an archive is prepared.

    Args:
        spacing: voxel size in mm, > 0: one number, or three along X, Y, Z; "native": the median of the subjects' own
            along each axis, so that nothing is resampled that has it.
        box: size of the prepared volumes in mm; each a multiple of 8 voxels. None: that of the layout, or the smallest
            that holds the brain of every subject.
        split: relative sizes of the parts in ``PARTS``, each >= 1; all scans of a patient go to one part.
        seed: seed of the split.
        source_sites: for transfer across sites: subjects of these sites alone fill the source's parts, all others the
            target's, each group in the shares of its own parts; empty: sites are mixed.
        sites: prepare subjects of these sites alone; empty: of all.
        subjects: prepare these alone: names, or one number that no subject has for a name and that counts from the
            archive's first; empty: all.
        unsplit: put all subjects into this part and leave the other parts empty, for patients that are looked at and
            not trained on; one subject is enough. Empty: split.

    Raises:
        ValueError: if a choice is out of range, or ``unsplit`` and ``source_sites`` are both given.
    """

    spacing: float | str | Sequence[float] = 2.0
    box: Sequence[float] | None = None
    split: Sequence[int] = DEFAULT_SPLIT
    seed: int = 0
    source_sites: Sequence[str] = ()
    sites: Sequence[str] = ()
    subjects: Sequence[str] = ()
    unsplit: str = ""

    def __post_init__(self) -> None:
        if self.spacing != NATIVE:
            if self.box is None:
                _ = self.voxel
            else:
                box_shape(self.box, self.voxel)
        if len(self.split) != len(PARTS) or min(self.split) < 1:
            raise ValueError(f"split must be {len(PARTS)} whole numbers >= 1 ({', '.join(PARTS)}), got {self.split}")
        if self.unsplit and self.source_sites:
            raise ValueError(
                "unsplit leaves the source's parts empty, so source_sites cannot fill them: give one of both"
            )
        if self.unsplit and self.unsplit not in PARTS:
            raise ValueError(f"unsplit must be one of {', '.join(PARTS)}, got {self.unsplit!r}")

    @property
    def voxel(self) -> tuple[float, float, float]:
        """Voxel size in mm along X, Y, Z."""
        sides: Sequence[Any] = [self.spacing] * 3 if isinstance(self.spacing, (int, float)) else self.spacing
        if len(sides) != 3 or not all(isinstance(side, (int, float)) and 0 < side < np.inf for side in sides):
            raise ValueError(f"spacing must be above 0 mm: one number, three, or {NATIVE!r}, got {self.spacing!r}")
        x, y, z = map(float, sides)
        return x, y, z

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the prepared volumes along X, Y, Z; see :meth:`fitted`."""
        if self.box is None:
            raise ValueError("the box is not known before the subjects were measured")
        return box_shape(self.box, self.voxel)

    @property
    def needs_sizes(self) -> bool:
        """Whether the subjects must be measured before their volumes have a shape."""
        return self.box is None or self.spacing == NATIVE

    def fitted(self, voxels: Sequence[Sequence[float]], brains: Sequence[Sequence[float]]) -> Self:
        """Return the same choices with a voxel size and a box for subjects of these sizes, in mm along X, Y, Z."""
        # headers are float32
        native = tuple(float(f"{side:.6g}") for side in np.median(voxels, axis=0))
        voxel = native if self.spacing == NATIVE else self.voxel
        # what is not resampled keeps its size to the voxel
        margin = 0.0 if np.allclose(voxels, voxel, rtol=1e-3, atol=0) else 1.0
        # one wrong voxel size must not make everyone's box
        usual = [brain for brain in brains if np.all(np.asarray(brain) <= _OUTLYING * np.median(brains, axis=0))]
        return replace(self, spacing=voxel, box=self.box or box_around(usual or brains, voxel, margin))

    def parameters(self, layout: Layout) -> dict[str, Any]:
        """Return what a prepared folder remembers of its making, as JSON: a call that differs in it is refused."""
        parameters: dict[str, Any] = {
            "layout": layout.name,
            "spacing": self.voxel[0] if len(set(self.voxel)) == 1 else list(self.voxel),
            "box": [float(length) for length in self.box or ()],
        }
        if not self.unsplit:
            parameters["split"] = [int(size) for size in self.split]
        parameters["seed"] = int(self.seed)
        # only where they are used: folders that were prepared before the options existed stay valid
        optional = {
            "source_sites": sorted(set(self.source_sites)),
            "sites": sorted(set(self.sites)),
            "subjects": list(self.subjects),
            "unsplit": self.unsplit,
            "described": layout.fingerprint,
        }
        return parameters | {name: choice for name, choice in optional.items() if choice}

    def select(self, found: Sequence[SubjectFiles]) -> list[SubjectFiles]:
        """Keep the subjects of the chosen sites, then those that are named or the first ones.

        Raises:
            ValueError: if a site or a name is unknown, or nothing is left.
        """
        is_count = _is_count(self.subjects, {files.subject for files in found})
        _require_known("sites", self.sites, {files.site for files in found})
        _require_known("subjects", () if is_count else self.subjects, {files.subject for files in found})
        chosen = [files for files in found if not self.sites or files.site in self.sites]
        if is_count:
            chosen = chosen[: int(self.subjects[0])]
        elif self.subjects:
            chosen = [files for files in chosen if files.subject in self.subjects]
        if not chosen:
            raise ValueError("no labelled subject of the archive is left to prepare; choose other sites or subjects")
        return chosen

    def deal_out(self, sound: Sequence[SubjectFiles]) -> dict[str, list[str]]:
        """Deal the patients out to ``PARTS`` and give each part all scans, by name, of its patients.

        Raises:
            ValueError: if there are fewer patients than parts that need one, or ``source_sites`` does not fit them.
        """
        if self.unsplit:
            if not sound:
                raise ValueError("no subject is sound")
            return {part: [files.subject for files in sound] if part == self.unsplit else [] for part in PARTS}
        scans: dict[str, list[SubjectFiles]] = {}
        for files in sound:
            scans.setdefault(files.patient or files.subject, []).append(files)
        sites = {patient: several[0].site for patient, several in scans.items()}
        parts = split_by_site(sites, self.split, self.seed, self.source_sites)
        return {part: [files.subject for patient in dealt for files in scans[patient]] for part, dealt in parts.items()}


def _is_count(subjects: Sequence[str], known: set[str]) -> bool:
    """Tell a count from a name: a subject that is called by that number is meant itself."""
    if isinstance(subjects, str) or len(subjects) != 1 or str(subjects[0]) in known:
        return False
    return str(subjects[0]).isdecimal()


def _require_known(kind: str, wanted: Sequence[str], known: set[str]) -> None:
    unknown = [wanted] if isinstance(wanted, str) else sorted(set(wanted) - known)
    if unknown:
        some = ", ".join(sorted(known)[:20])
        raise ValueError(f"{kind} must be a list of those in the archive ({some}), got {', '.join(unknown)}")
