"""The volumes of a prepared cohort: read from their files, and kept for the next reader up to a number of bytes."""

from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import cast

import nibabel
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.spatialimages import SpatialImage

# what the volumes that are kept may take: 40 patients' image, label and brain at 2 mm, a handful at 1 mm
_BYTES_IN_MEMORY = 256 * 2**20


class CohortError(ValueError):
    """A cohort is missing, damaged, or lacks what was asked for."""


def read_volume(path: Path, sha256: str) -> tuple[np.ndarray, float]:
    """Read stored integers and their step."""
    try:
        proxy = cast(ArrayProxy, cast(SpatialImage, nibabel.load(path)).dataobj)
        stored = proxy.get_unscaled()
    except (OSError, EOFError, ValueError, nibabel.filebasedimages.ImageFileError) as error:
        raise CohortError(f"{path} cannot be read: {error}. {remedy(path.parents[1])}") from error
    stored = np.array(stored)
    stored.setflags(write=False)
    return stored, float(proxy.slope)


class KeptVolumes:
    """The volumes that were read last, up to a number of bytes (functools.lru_cache counts entries of any size)."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[tuple[Path, str], tuple[np.ndarray, float]] = OrderedDict()
        self._lock = Lock()

    @property
    def num_bytes(self) -> int:
        return sum(stored.nbytes for stored, _ in self._kept.values())

    def read(self, path: Path, sha256: str) -> tuple[np.ndarray, float]:
        """Return a volume; the hash is part of the key, so a remade cohort is read anew."""
        key = (path, sha256)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        volume = read_volume(path, sha256)
        with self._lock:
            self._kept[key] = volume
            while self.num_bytes > self.limit:
                self._kept.popitem(last=False)
        return volume


KEPT_VOLUMES = KeptVolumes(_BYTES_IN_MEMORY)


def remedy(folder: Path) -> str:
    """Return the sentence that says how a prepared cohort is made."""
    return (
        f"Make it with: python -m data_scripts.prepare --archive ARCHIVE --out {folder} "
        "(python -m data_scripts.simulate_fets2021 --out ARCHIVE simulates an archive)"
    )
