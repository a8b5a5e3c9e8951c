"""Volumes that are stored as one picture per slice."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from data_scripts.archives.layout import by_number


def slices_of(pattern: Path) -> list[Path]:
    """Return the pictures that a path with ``*`` for the number stands for, in the order of the numbers."""
    return sorted(pattern.parent.glob(pattern.name), key=lambda path: by_number(path.name))


def read_stack(paths: Sequence[Path]) -> np.ndarray:
    """Stack pictures as they are seen on a radiologist's screen: the patient's right on the left, the front on top.

    Args:
        paths: one slice each, numbered from 1, the lowest first.

    Returns:
        [X, Y, Z] or, of colours, [X, Y, Z, 3], in the pictures' dtype; axes run to the right, the front and the top.

    Raises:
        ValueError: a slice is missing, or they differ in size.
    """
    numbers = [int(re.findall(r"\d+", path.name)[-1]) for path in paths]
    lacking = sorted({*range(1, max(numbers) + 1)} - {*numbers})
    if lacking or len(numbers) != len(set(numbers)):
        raise ValueError(f"slices must be numbered from 1 without gaps; lacking: {', '.join(map(str, lacking))}")
    slices = []
    for path in paths:
        with Image.open(path) as picture:
            slices.append(np.asarray(picture))
    if len({each.shape for each in slices}) > 1:
        raise ValueError(f"slices differ in size: {sorted({each.shape for each in slices})}")
    # rows run to the back and columns to the left
    volume = np.stack(slices, axis=2)[::-1, ::-1].swapaxes(0, 1)
    return np.ascontiguousarray(volume)
