"""Find the background of an image: 0 in most data sets, another constant, padding, or the noise of the air."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

# the corners of a volume, a tenth of each axis, hold air or padding if anything does
_CORNER = 0.1
# values that lie this close together, in parts of the image's range, are one value
_ONE_VALUE = 1e-4
# air is noise: it lies within so many (robust) standard deviations of its middle
_NOISE_REACH = 6.0
# a body is far brighter than the noise of the air, fills more of the image than a few specks, and leaves most of the
# border to the air
_CONTRAST, _LEAST_BODY, _MOST_AT_BORDER = 10.0, 0.05, 0.25
# what fills more of its own box than a body does is a field of view, in which the air begins
_FIELD = 0.75
# padding, the round field of a CT, and the air in it
_MOST_LAYERS = 3


@dataclass(frozen=True)
class Background:
    """Where an image shows nothing.

    Args:
        outside: True at the background, [X, Y, Z].
        level: the value of the background next to the body; 0 where there is none.
        found: what it is, in words; empty: it is 0, as in most data sets.
    """

    outside: np.ndarray
    level: float
    found: str


def find_background(image: np.ndarray) -> Background:
    """Find the background from the corners of an image inwards.

    The corners are one value (0, CT's -1024, a minimum below 0) or noise around one, or there is no background: a crop
    from within a body. What is left may be a field of view whose own border is background again.

    Args:
        image: [X, Y, Z], finite.

    Returns:
        Voxels of exactly 0 are background where no other was found, as a mask leaves them behind.
    """
    outside = np.zeros(image.shape, dtype=bool)
    border, level, found = _corners(image.shape), 0.0, []
    for _ in range(_MOST_LAYERS):
        layer = _layer(image, border, outside)
        if layer is None:
            break
        outside, level, kind = layer
        if kind:
            found.append(kind)
        inside = ~outside
        if not inside.any() or inside[_box_of(inside)].mean() < _FIELD:
            break
        border = inside & ndimage.binary_dilation(outside)
        if not border.any():
            break
    if not outside.any():
        outside = image == 0
        if not outside.any():
            found.append("none was found, so that the whole field counts as brain")
    return Background(outside, level, " and ".join(found))


def _layer(image: np.ndarray, border: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, float, str] | None:
    """Return the background with what the border begins, its value and its kind; None where that is no background."""
    values = image[border].astype(np.float64)
    level = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - level)))
    reach = float(image.max()) - float(image.min())
    if spread <= _ONE_VALUE * reach:
        within = max(_NOISE_REACH * spread, _ONE_VALUE * reach if level else 0.0)
        outside = before | (np.abs(image - level) <= within)
        return (outside, level, f"{level:.6g}" if level else "") if not outside.all() else None
    limit = level + _NOISE_REACH * spread
    above = (image > limit) & ~before
    body = image[above]
    if (
        above.sum() < _LEAST_BODY * image.size
        or above[border].mean() > _MOST_AT_BORDER
        or float(np.median(body)) - level < _CONTRAST * spread
    ):
        return None
    labelled, _ = ndimage.label(above)
    largest = labelled == np.bincount(labelled[above]).argmax()
    return ~largest, level, f"noise around {level:.6g}, up to {limit:.6g}"


def _corners(shape: tuple[int, ...]) -> np.ndarray:
    """Return where the eight corners of a volume are."""
    corners = np.ones(shape, dtype=bool)
    for axis, length in enumerate(shape):
        place = np.minimum(np.arange(length), np.arange(length)[::-1])
        near = place < max(1, round(_CORNER * length))
        corners &= near.reshape([-1 if other == axis else 1 for other in range(len(shape))])
    return corners


def _box_of(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box that holds a mask."""
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    return tuple(box)
