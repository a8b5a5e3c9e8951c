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
# a border of one value has hardly any other; a smaller share of it is noise that was rounded
_ONE_VALUE_SHARE = 0.95
# noise of the air in magnitude images lies near 0: below so many of its standard deviations
_NEAR_ZERO = 3.0
# a part of a body is no speck of noise
_LEAST_PART = 0.1
# a head fills less of its volume, if its background was found
_MOST_BODY = 0.6
# so few voxels of exactly 0 are no background
_FEW = 0.01
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
        if outside.mean() < _FEW:
            outside[:] = False
            found.append("none was found, so that the whole field counts as brain")
        else:
            found.append("none at the corners, so that voxels of exactly 0 are taken for it")
    elif not found and (~outside).mean() > _MOST_BODY:
        found.append(f"0, but the rest fills more than {_MOST_BODY:.0%} of the volume: is the air in it not 0?")
    return Background(outside, level, " and ".join(found))


def _layer(image: np.ndarray, border: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, float, str] | None:
    """Return the background with what the border begins, its value and its kind; None where that is no background."""
    values = image[border].astype(np.float64)
    level = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - level)))
    reach = float(image.max()) - float(image.min())
    if spread <= _ONE_VALUE * reach:
        within = max(_NOISE_REACH * spread, _ONE_VALUE * reach if level else 0.0)
        if np.mean(np.abs(values - level) <= within) < _ONE_VALUE_SHARE:
            # a quantile of noise in place of the spread, which is 0
            noise = _noise(image, border, before, level, float(np.quantile(values, 0.99) - level) / 2.33)
            if noise is not None:
                return noise
        outside = before | (np.abs(image - level) <= within)
        return (outside, level, f"{level:.6g}" if level else "") if not outside.all() else None
    # what a mask has left at its rim is tissue, but for noise near 0
    is_masked = before.any() and not image[before].any()
    if is_masked and level > _NEAR_ZERO * spread:
        return None
    return _noise(image, border, before, level, spread)


def _noise(
    image: np.ndarray, border: np.ndarray, before: np.ndarray, level: float, spread: float
) -> tuple[np.ndarray, float, str] | None:
    """Return the background if it is noise of this middle and spread; None where no body stands out from it."""
    limit = level + _NOISE_REACH * spread
    above = (image > limit) & ~before
    bright = image[above]
    if (
        above.sum() < _LEAST_BODY * image.size
        or above[border].mean() > _MOST_AT_BORDER
        or float(np.median(bright)) - level < _CONTRAST * spread
    ):
        return None
    labelled, _ = ndimage.label(above)
    sizes = np.bincount(labelled.ravel())
    sizes[0] = 0
    body = np.isin(labelled, np.flatnonzero(sizes >= _LEAST_PART * sizes.max()))
    return ~body, level, f"noise around {level:.6g}, up to {limit:.6g}, in {np.mean(~body):.0%} of the volume"


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
