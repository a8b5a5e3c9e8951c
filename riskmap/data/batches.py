"""Training batches of patches that depend on a seed and a step alone: one way for slices and for volumes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from monai.transforms.utils import create_rotate, create_scale
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from riskmap.data.patients import SliceSet

# how often and how far patches are changed: what nnU-Net does at a fraction of its ranges, for few steps
_TURNED_SHARE, _TURN, _SCALING = 0.2, 0.15, 0.1
_INTENSITY_SHARE, _FACTOR, _OFFSET = 0.5, 0.1, 0.1
_INTERPOLATION = {"image": "bilinear", "label": "nearest", "weight": "bilinear"}


@dataclass(frozen=True)
class _Places:
    """Pixels, as flat indices into [N, 1, *spatial], and the running sum of their chances; None: all alike."""

    pixels: np.ndarray
    chances: np.ndarray | None

    @classmethod
    def alike(cls, mask: Tensor) -> Self:
        return cls(_where(mask), None)

    @classmethod
    def weighted(cls, chances: Tensor) -> Self:
        pixels = _where(chances > 0)
        return cls(pixels, np.cumsum(chances.flatten().double().cpu().numpy()[pixels]))

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        if self.chances is None:
            return self.pixels[generator.integers(max(len(self.pixels), 1), size=count)]
        drawn = generator.random(count) * self.chances[-1]
        # rounding may reach the sum itself, behind which there is no pixel
        return self.pixels[np.searchsorted(self.chances, drawn, side="right").clip(max=len(self.pixels) - 1)]


class PatchSampler:
    """Draw augmented batches of patches; batch ``step`` depends on the seed and the step, on nothing before it.

    A run that is killed and goes on at step t therefore sees the very batches it would have seen. The first patches of
    a batch are centred on foreground, as MONAI's ``RandCropByPosNegLabeld`` and nnU-Net do, since most of a brain
    holds no tumour; the centres of the others are drawn in proportion to ``places`` (as ``RandWeightedCropd`` does), by
    default alike wherever the image is not 0; on the foreground ``label_places`` does the same. A patch that would
    leave the image is moved back inside.

    Each patch is turned round left and right in one case of two, is turned by up to 0.15 rad and scaled by up to 10 %
    in one of five (labels by nearest neighbour), and its grey values are scaled and shifted a little in one of two.
    Image, label and weight move together, so that each patch of a map belongs to its patch of the image.

    All patches of a batch are cut and changed at once, on the device where the data lie: one transform per patch costs
    more than the network's step.

    Args:
        data: images, labels and weights, [N, 1, *spatial]; those smaller than a patch are padded with 0.
        size: side of a patch in pixels.
        per_step: patches per batch.
        num_foreground: how many of them are centred on foreground, where there is any.
        seed: at least 0.
        places: how likely a pixel is the centre of one of the other patches, [N, 1, *spatial], at least 0 and not all
            0; None: alike wherever the image is not 0.
        label_places: how likely a foreground pixel is the centre of one of the first patches, alike; values elsewhere
            do not count. None: all alike.
        augment: whether patches are changed.
        device: where the batches are made; None: where the data are.

    Raises:
        ValueError: ``places`` or ``label_places`` does not fit the data, or holds no such numbers.
    """

    def __init__(
        self,
        data: SliceSet,
        size: int,
        per_step: int,
        num_foreground: int,
        seed: int,
        *,
        places: Tensor | None = None,
        label_places: Tensor | None = None,
        augment: bool = True,
        device: torch.device | None = None,
    ) -> None:
        self.size, self.per_step, self.seed, self.augment = size, per_step, seed, augment
        self._whole = {key: _padded(values, size).to(device) for key, values in data.tensors().items()}
        self._spatial = tuple(self._whole["image"].shape[2:])
        foreground = self._whole["label"] > 0
        self._num_foreground = num_foreground if foreground.any() else 0
        if label_places is None or not self._num_foreground:
            self._foreground = _Places.alike(foreground)
        else:
            label_places = label_places * (data.labels > 0)
            self._foreground = _Places.weighted(_padded(_checked("label_places", label_places, data), size))
        if places is None:
            inside = self._whole["image"] != 0
            self._elsewhere = _Places.alike(inside if inside.any() else ~inside)
        else:
            self._elsewhere = _Places.weighted(_padded(_checked("places", places, data), size))

    def batch(self, step: int) -> dict[str, Tensor]:
        """Return {"image", "label"[, "weight"]}, each [B, 1, size, size(, size)], of the given step."""
        generator = np.random.default_rng((self.seed, step))
        images, corners = self._corners(self._centres(generator))
        flipped = generator.random(self.per_step) < (0.5 if self.augment else 0.0)
        patches = self._cut(images, corners, flipped)
        return self._changed(patches, generator) if self.augment else patches

    def _centres(self, generator: np.random.Generator) -> np.ndarray:
        """Draw the centres of a batch, as flat indices into [N, 1, *spatial]."""
        at_foreground = self._foreground.draw(generator, self._num_foreground)
        return np.concatenate([at_foreground, self._elsewhere.draw(generator, self.per_step - self._num_foreground)])

    def _corners(self, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the image of each centre [B], and the first pixel of the patch around it [B, axes]."""
        image, *position = np.unravel_index(centres, (len(self._whole["image"]), *self._spatial))
        last = np.array(self._spatial) - self.size
        return image, np.clip(np.stack(position, axis=1) - self.size // 2, 0, last)

    def _cut(self, images: np.ndarray, corners: np.ndarray, flipped: np.ndarray) -> dict[str, Tensor]:
        """Return the patches, those that are flipped turned round along the first spatial axis."""
        places: list[tuple[int | slice, ...]] = [
            (int(image), slice(None), *(slice(first, first + self.size) for first in corner))
            for image, corner in zip(images, corners.tolist(), strict=True)
        ]
        turned = flipped.tolist()
        return {
            key: torch.stack(
                [values[at].flip(1) if flip else values[at] for at, flip in zip(places, turned, strict=True)]
            )
            for key, values in self._whole.items()
        }

    def _changed(self, patches: dict[str, Tensor], generator: np.random.Generator) -> dict[str, Tensor]:
        turned = np.flatnonzero(generator.random(self.per_step) < _TURNED_SHARE)
        matrices = _turns(generator, len(turned), len(self._spatial))
        if len(turned):
            _turn(patches, torch.from_numpy(turned), matrices)
        image = patches["image"]
        factors, offsets = (
            torch.from_numpy(np.where(generator.random(len(image)) < _INTENSITY_SHARE, drawn, 0.0)).to(image)
            for drawn in (
                generator.uniform(-_FACTOR, _FACTOR, len(image)),
                generator.uniform(-_OFFSET, _OFFSET, len(image)),
            )
        )
        column = (-1, *[1] * (image.ndim - 1))
        patches["image"] = image * (1 + factors.view(column)) + offsets.view(column)
        return patches


def _padded(values: Tensor, size: int) -> Tensor:
    """Return values [N, 1, *spatial] padded with 0 on both sides to at least ``size`` along each spatial axis."""
    lacking = [max(size - side, 0) for side in values.shape[2:]]
    # torch names the last axis first
    margins = [margin for total in reversed(lacking) for margin in (total // 2, total - total // 2)]
    return pad(values, margins).contiguous()


def _where(mask: Tensor) -> np.ndarray:
    """Return the flat indices of the true pixels, in half the memory where that is enough."""
    found = torch.nonzero(mask.flatten()).flatten()
    return found.to(torch.int32 if mask.numel() < 2**31 else torch.int64).cpu().numpy()


def _checked(name: str, places: Tensor, data: SliceSet) -> Tensor:
    if places.shape != data.labels.shape:
        raise ValueError(f"{name} has shape {list(places.shape)}; the labels have {list(data.labels.shape)}")
    if not (places.isfinite().all() and places.min() >= 0 and places.max() > 0):
        raise ValueError(
            f"{name} must be finite, at least 0 and not all 0, got values from "
            f"{places.min().item():g} to {places.max().item():g}"
        )
    return places


def _turns(generator: np.random.Generator, count: int, axes: int) -> np.ndarray:
    """Draw ``count`` matrices [axes, axes] that turn by a small angle in each plane and scale each axis a little."""
    angles = generator.uniform(-_TURN, _TURN, (count, 1 if axes == 2 else 3))
    scales = 1 + generator.uniform(-_SCALING, _SCALING, (count, axes))
    # of coordinates with a one at their end, which is left away
    made = [create_rotate(axes, angle) @ create_scale(axes, scale) for angle, scale in zip(angles, scales, strict=True)]
    return np.stack(made)[:, :axes, :axes] if made else np.zeros((0, axes, axes))


def _turn(patches: Mapping[str, Tensor], which: Tensor, matrices: np.ndarray) -> None:
    """Turn and scale some patches about their middle, in place; what comes from outside repeats the border."""
    for key, values in patches.items():
        chosen = values[which].float()
        # torch takes the shift as a last column
        theta = torch.from_numpy(np.pad(matrices, ((0, 0), (0, 0), (0, 1)))).to(chosen)
        grid = affine_grid(theta, list(chosen.shape), align_corners=False)
        moved = grid_sample(chosen, grid, mode=_INTERPOLATION[key], padding_mode="border", align_corners=False)
        values[which] = moved.to(values.dtype)
