"""Bring a subject into the box of the prepared form: orientation, voxel size, frame and intensities."""

from collections.abc import Hashable, Sequence
from typing import Any, cast

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, CropForegroundd, Orientationd, ResizeWithPadOrCropd, SpatialResample
from nibabel.affines import from_matvec, voxel_sizes

from data_scripts.archives.layout import Layout
from data_scripts.archives.volumes import SubjectError

# U-Nets with three halvings need it
VOXEL_MULTIPLE = 8


def box_shape(box: Sequence[float], spacing: float) -> tuple[int, int, int]:
    """Return the voxels of a box in mm along each axis.

    Raises:
        ValueError: if the spacing is not positive, or an axis is not a multiple of 8 voxels.

    >>> box_shape((192, 224, 176), 2)
    (96, 112, 88)
    """
    if not spacing > 0:
        raise ValueError(f"spacing must be above 0 mm, got {spacing}")
    if len(box) != 3 or not all(length > 0 for length in box):
        raise ValueError(f"box must be three lengths above 0 mm, got {tuple(box)}")
    voxels = [length / spacing for length in box]
    step = VOXEL_MULTIPLE
    x, y, z = (max(1, round(count / step)) * step for count in voxels)
    nearest = x, y, z
    if not np.allclose(voxels, nearest, rtol=0, atol=1e-6):
        suggestion = " ".join(f"{count * spacing:g}" for count in nearest)
        raise ValueError(
            f"box {tuple(box)} mm is {tuple(round(count, 3) for count in voxels)} voxels at {spacing:g} mm; each axis "
            f"must be a multiple of {step} voxels; the nearest is --box {suggestion}"
        )
    return nearest


def to_box(
    images: np.ndarray,
    labels: np.ndarray,
    affine: np.ndarray,
    layout: Layout,
    spacing: float,
    shape: tuple[int, int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Turn a subject to RAS, resample it, and crop or pad it to the box, the brain in the middle.

    Args:
        images: float32 [C, X, Y, Z], 0 outside the brain.
        labels: uint8 [X, Y, Z], values of the layout's label table.
        affine: from voxels to mm [4, 4].
        layout: the layout that they come from.
        spacing: voxel size to resample to, in mm; nothing is resampled that has it already.
        shape: voxels of the box.

    Returns:
        Images [C, *shape], labels [*shape], brain [*shape] (bool) and the new affine.

    Raises:
        SubjectError: if the brain is empty or larger than the box.
    """
    values = np.array(sorted(layout.label_table), dtype=np.uint8)
    channels = {
        "images": images,
        "labels": (labels == values[:, None, None, None]).astype(np.float32),
        "brain": images.any(axis=0, keepdims=True).astype(np.float32),
    }
    keys = list(channels)
    subject: dict[Hashable, Any] = {
        key: MetaTensor(np.ascontiguousarray(channel), affine=torch.as_tensor(affine))
        for key, channel in channels.items()
    }
    subject = Orientationd(keys, axcodes="RAS", labels=None)(subject)
    # MONAI's types promise a plain tensor where a MetaTensor comes out
    subject = {key: _resample(cast(MetaTensor, channel), spacing) for key, channel in subject.items()}
    subject["brain"] = subject["brain"] >= 0.5
    extent = [int(places[-1] - places[0] + 1) for places in _occupied(np.asarray(subject["brain"][0]))]
    if any(length > limit for length, limit in zip(extent, shape, strict=True)):
        raise SubjectError(
            f"brain of {tuple(extent)} voxels does not fit into the box of {shape} voxels at {spacing:g} mm"
        )
    subject = Compose(
        [
            CropForegroundd(keys, source_key="brain", allow_smaller=False),
            ResizeWithPadOrCropd(keys, spatial_size=shape),
        ]
    )(subject)
    brain = np.asarray(subject["brain"][0]).astype(bool)
    weights = np.asarray(subject["labels"])
    chosen = values[weights.argmax(axis=0)] * brain
    return np.asarray(subject["images"]), chosen, brain, np.asarray(subject["brain"].affine)


def _resample(volume: MetaTensor, spacing: float) -> torch.Tensor:
    """Resample [C, X, Y, Z] linearly to ``spacing`` mm, unless it is there already.

    The outer faces stay in place, not the centres of the first voxels: then halving the resolution averages neighbours
    where it would otherwise drop every second voxel.
    """
    affine = np.asarray(volume.affine)
    ratio = spacing / voxel_sizes(affine)
    if np.allclose(ratio, 1, atol=1e-3):
        return volume
    size = np.maximum(np.rint(np.asarray(volume.shape[1:]) / ratio), 1).astype(int)
    moved = affine @ from_matvec(np.diag(ratio), (ratio - 1) / 2)
    return SpatialResample(mode="bilinear", align_corners=True)(volume, dst_affine=moved, spatial_size=size)


def _occupied(mask: np.ndarray) -> list[np.ndarray]:
    """Return the indices along each axis at which a mask holds anything."""
    axes = range(mask.ndim)
    places = [np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
    if not places[0].size:
        raise SubjectError("no brain is left after resampling")
    return places


def z_scores(images: np.ndarray, brain: np.ndarray, modalities: Sequence[str]) -> np.ndarray:
    """Give each image mean 0 and standard deviation 1 inside the brain, and 0 outside."""
    scores = np.zeros_like(images)
    for image, score, modality in zip(images, scores, modalities, strict=True):
        inside = image[brain].astype(np.float64)
        deviation = inside.std()
        if deviation == 0:
            raise SubjectError(f"{modality} has one value in the whole brain")
        score[brain] = (inside - inside.mean()) / deviation
    return scores
