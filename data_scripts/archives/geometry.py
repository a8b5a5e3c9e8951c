"""Bring a subject into the box of the prepared form: brain, voxel size, frame and intensities."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, cast

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, CropForegroundd, ResizeWithPadOrCropd, SpatialResample
from nibabel.affines import from_matvec, voxel_sizes
from scipy import ndimage

from data_scripts.archives.layout import Layout
from data_scripts.archives.volumes import SubjectError

# U-Nets with three halvings need it
VOXEL_MULTIPLE = 8
# a head at 0.2 mm; what asks for more has a wrong header
_MOST_VOXELS = 10**9


def box_shape(box: Sequence[float], spacing: Sequence[float]) -> tuple[int, int, int]:
    """Return the voxels of a box in mm along each axis.

    Raises:
        ValueError: if an axis is not a multiple of 8 voxels.

    >>> box_shape((192, 224, 176), (2, 2, 2))
    (96, 112, 88)
    """
    if len(box) != 3 or not all(0 < length < np.inf for length in box):
        raise ValueError(f"box must be three lengths above 0 mm, got {tuple(box)}")
    voxels = [length / side for length, side in zip(box, spacing, strict=True)]
    x, y, z = (max(1, round(count / VOXEL_MULTIPLE)) * VOXEL_MULTIPLE for count in voxels)
    nearest = x, y, z
    if not np.allclose(voxels, nearest, rtol=0, atol=1e-6):
        suggestion = " ".join(f"{count * side:g}" for count, side in zip(nearest, spacing, strict=True))
        raise ValueError(
            f"box {tuple(box)} mm is {tuple(round(count, 3) for count in voxels)} voxels at {_in_mm(spacing)} mm; each "
            f"axis must be a multiple of {VOXEL_MULTIPLE} voxels; the nearest is --box {suggestion}"
        )
    return nearest


def box_around(
    extents: Iterable[Sequence[float]], spacing: Sequence[float], margin: float = 1.0
) -> tuple[float, float, float]:
    """Return the smallest box in mm, of whole multiples of 8 voxels, that holds a brain of each of these sizes.

    Args:
        extents: sizes in mm along X, Y, Z.
        spacing: voxel size in mm.
        margin: voxels more along each axis: one that a brain covers by half or more counts as brain.

    >>> box_around([(35, 50, 36), (30, 60, 30)], (1, 1, 1))
    (40.0, 64.0, 40.0)
    """
    largest = np.max([*extents], axis=0) / np.asarray(spacing)
    blocks = np.ceil(np.round(largest + margin, 3) / VOXEL_MULTIPLE).astype(int)
    x, y, z = (float(count * VOXEL_MULTIPLE * side) for count, side in zip(blocks, spacing, strict=True))
    return x, y, z


def _in_mm(spacing: Sequence[float]) -> str:
    return f"{spacing[0]:g}" if len(set(spacing)) == 1 else " x ".join(f"{side:g}" for side in spacing)


def brain_of(outsides: Sequence[np.ndarray], labels: np.ndarray) -> tuple[np.ndarray, int]:
    """Return where the brain is: what is not background in every image, without holes, and all that has a label.

    Holes are filled as nnU-Net does it (Isensee et al., Nature Methods 18, 2021): a cavity that is 0 is brain as well.

    Args:
        outsides: the background of each image, [X, Y, Z].
        labels: [X, Y, Z].

    Returns:
        The brain (bool), and how many labelled voxels lie outside what the images show.
    """
    shown = ndimage.binary_fill_holes(~np.logical_and.reduce(outsides))
    labelled = labels > 0
    return shown | labelled, int(np.count_nonzero(labelled & ~shown))


def extent_in_mm(brain: np.ndarray, affine: np.ndarray) -> list[float]:
    """Return the size of the box around a brain along X, Y, Z, in mm."""
    lengths = [int(places[-1] - places[0] + 1) for places in _occupied(brain)]
    return [float(length * side) for length, side in zip(lengths, voxel_sizes(affine), strict=True)]


def to_box(
    images: np.ndarray,
    labels: np.ndarray,
    brain: np.ndarray,
    affine: np.ndarray,
    layout: Layout,
    spacing: Sequence[float],
    shape: tuple[int, int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Resample a subject, and crop or pad it to the box, the brain in the middle.

    Args:
        images: float32 [C, X, Y, Z], 0 outside the brain.
        labels: uint8 [X, Y, Z], values of the layout's label table; 0 outside the brain.
        brain: bool [X, Y, Z].
        affine: from voxels to mm [4, 4].
        layout: the layout that they come from.
        spacing: voxel size to resample to along X, Y, Z, in mm; nothing is resampled that has it already.
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
        "brain": brain[None].astype(np.float32),
    }
    keys = list(channels)
    subject: dict[Hashable, Any] = {
        key: MetaTensor(np.ascontiguousarray(channel), affine=torch.as_tensor(affine))
        for key, channel in channels.items()
    }
    # MONAI's types promise a plain tensor where a MetaTensor comes out
    subject = {key: _resample(cast(MetaTensor, channel), spacing) for key, channel in subject.items()}
    chosen = _decide(np.asarray(subject["labels"]))
    # rounding may leave a label that has won its voxel just below half of it
    subject["brain"] = (subject["brain"] >= 0.5) | torch.as_tensor(values[chosen] > 0)
    extent = [int(places[-1] - places[0] + 1) for places in _occupied(np.asarray(subject["brain"][0]))]
    if any(length > limit for length, limit in zip(extent, shape, strict=True)):
        raise SubjectError(
            f"brain of {tuple(extent)} voxels does not fit into the box of {shape} voxels at {_in_mm(spacing)} mm"
        )
    subject = Compose(
        [
            CropForegroundd(keys, source_key="brain", allow_smaller=False),
            ResizeWithPadOrCropd(keys, spatial_size=shape),
        ]
    )(subject)
    brain = np.asarray(subject["brain"][0]).astype(bool)
    chosen = values[_decide(np.asarray(subject["labels"]))] * brain
    return np.asarray(subject["images"]), chosen, brain, np.asarray(subject["brain"].affine)


def _decide(weights: np.ndarray) -> np.ndarray:
    """Return the place of the label of each voxel: the largest, where labels together outweigh the background.

    So the union of labels, such as a whole tumour, is as large as if it were a label of its own.

    Args:
        weights: of each value, the background first, [K, X, Y, Z].
    """
    labels = weights[1:].argmax(axis=0) + 1
    return np.where(weights[1:].sum(axis=0) > weights[0], labels, 0)


def _resample(volume: MetaTensor, spacing: Sequence[float]) -> torch.Tensor:
    """Resample [C, X, Y, Z] linearly to ``spacing`` mm, unless it is there already.

    The outer faces stay in place, not the centres of the first voxels: then halving the resolution averages neighbours
    where it would otherwise drop every second voxel.
    """
    affine = np.asarray(volume.affine)
    ratio = np.asarray(spacing) / voxel_sizes(affine)
    if np.allclose(ratio, 1, atol=1e-3):
        return volume
    size = np.maximum(np.rint(np.asarray(volume.shape[1:]) / ratio), 1).astype(int)
    if size.prod() > _MOST_VOXELS:
        raise SubjectError(f"{size.tolist()} voxels at {_in_mm(spacing)} mm are too many; is its voxel size right?")
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
