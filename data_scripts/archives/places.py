"""Which files of a folder fit the places that a description names, and which were probably meant."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from data_scripts.archives.layout import VOLUME, matching

SUBJECT, SESSION = "{subject}", "{session}"
SUFFIXES = (".nii", ".nii.gz", ".hdr")
_SHOWN = 10


@dataclass(frozen=True, order=True)
class Scan:
    """Whose files they are: a subject, and one of its sessions where places tell sessions apart."""

    subject: str
    session: str = ""

    @property
    def name(self) -> str:
        """The name in the prepared form."""
        return f"{self.subject}_{self.session}" if self.session else self.subject


class Listing:
    """The volumes of a folder, each under the one place that it fits best.

    A file may fit several places: ``case01_seg.nii.gz`` fits ``{subject}.nii.gz`` and ``{subject}_seg.nii.gz``. It
    belongs to the one with more letters of its own, so that a mask is never an image of another subject.

    Args:
        archive: the folder.
        places: kind ("label" or a modality) to place, with ``{subject}`` and perhaps ``{session}``; a volume may be
            compressed or not, whichever of the two the place says.
    """

    def __init__(self, archive: Path, places: Mapping[str, str]) -> None:
        self.archive = archive
        self.places = places

    def found(self) -> set[Scan]:
        """Return the scans of which a file is there."""
        return {scan for scan in self._scans.values() if scan is not None}

    def file(self, place: str, scan: Scan) -> Path:
        """Return where a file of a scan is, or would be."""
        path = self.archive / place.replace(SUBJECT, scan.subject).replace(SESSION, scan.session)
        other = _other_suffix(path)
        return other if not path.is_file() and other.is_file() else path

    def nothing_found(self) -> str:
        """Return why no subject was found: what was sought, and what is nearest to it."""
        sought = ", ".join(self.places.values())
        parts = [f"no file of {self.archive} fits {sought}"]
        names = [name for name, _ in self._files]
        if names:
            # of the names alone: the letters of a subject's would outweigh the rest
            stem = next(iter(self.places.values()))
            nearest = max(names, key=lambda name: difflib.SequenceMatcher(None, stem, name).ratio())
            parts.append(f"the nearest of {len(names)} volumes is {nearest}")
        return "; ".join([*parts, *self._links()])

    def passed_over(self) -> list[str]:
        """Say which volumes nearly fit a place and belong to no subject that was found, and which folders are links."""
        known = {scan.name.lower() for scan in self.found()}
        near = []
        for name, _ in self._files:
            if self._scans[name] is None:
                loose = [match for place in self.places.values() if (match := _fit(place, name, loosely=True))]
                if loose and not any(match.name.lower() in known for match in loose):
                    near.append(name)
        said = []
        if near:
            more = f" and {len(near) - _SHOWN} more" if len(near) > _SHOWN else ""
            said.append(
                f"{len(near)} volumes nearly fit {', '.join(self.places.values())}, and are not read: "
                f"{', '.join(near[:_SHOWN])}{more}"
            )
        names = {name for name, _ in self._files}
        twice = sorted(name for name in names if f"{name}.gz" in names)
        if twice:
            some = ", ".join(twice[:_SHOWN])
            said.append(f"{len(twice)} volumes are there compressed and not, and one of both is read: {some}")
        return [*said, *self._links()]

    @cached_property
    def _files(self) -> list[tuple[str, Path]]:
        """The volumes below the folder, with their places in it."""
        paths = matching(self.archive, VOLUME)
        return [(path.relative_to(self.archive).as_posix(), path) for path in paths if not path.is_dir()]

    @cached_property
    def _scans(self) -> dict[str, Scan | None]:
        """Whose each volume is; None where it fits no place."""
        # with more letters of its own first
        places = sorted(self.places.values(), key=lambda place: -len(re.sub(r"{\w+}", "", place)))
        return {name: next((fit for place in places if (fit := _fit(place, name))), None) for name, _ in self._files}

    def _links(self) -> list[str]:
        links = [
            path.relative_to(self.archive).as_posix()
            for path in matching(self.archive, r".*")
            if path.is_symlink() and path.is_dir()
        ]
        if not links:
            return []
        more = f" and {len(links) - _SHOWN} more" if len(links) > _SHOWN else ""
        return [f"{len(links)} folders are links, which are not followed: {', '.join(links[:_SHOWN])}{more}"]


def _fit(place: str, name: str, *, loosely: bool = False) -> Scan | None:
    """Return whose file it is if its name fits a place; loosely: in any case, any folder and any format."""
    stem = next(place.removesuffix(suffix) for suffix in (".nii.gz", ".nii", ".hdr") if place.endswith(suffix))
    pattern, named = "", set()
    for part in re.split(r"({subject}|{session})", stem):
        if part not in (SUBJECT, SESSION):
            pattern += re.escape(part)
            continue
        key = part.strip("{}")
        pattern += f"(?P={key})" if key in named else f"(?P<{key}>[^/]+)"
        named.add(key)
    suffix = r"\.hdr" if place.endswith(".hdr") else r"\.nii(?:\.gz)?"
    if loosely:
        pattern, suffix = rf"(?:.*/)?{pattern}", VOLUME.removeprefix("(?i).*")
    match = re.fullmatch(pattern + suffix, name, re.IGNORECASE if loosely else 0)
    return Scan(**match.groupdict()) if match else None


def _other_suffix(path: Path) -> Path:
    """Return the same volume compressed if it is plain, and plain if it is compressed."""
    if path.suffix == ".hdr":
        return path
    return path.with_suffix("") if path.suffix == ".gz" else path.with_name(f"{path.name}.gz")
