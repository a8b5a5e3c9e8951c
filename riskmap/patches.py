"""Patients as volumes in memory, and batches of 3-D patches in which image, label and weight are cut alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.transforms import (
    Compose,
    FgBgToIndicesd,
    RandAffined,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSpatialCropd,
    SpatialPadd,
    Transform,
)

from riskmap.checks import check_count
from riskmap.cohort import Cohort, Task
from riskmap.networks import NetworkConfig
from riskmap.slices import SliceSet, load_slices, plain_tensors

MODES = {"image": "bilinear", "label": "nearest", "weight": "bilinear"}
_INDICES = ("label_fg_indices", "label_bg_indices")


@dataclass(frozen=True)
class PatchConfig:
    """How a network of volumes sees them.

    Args:
        size: side of the cubes in voxels, of training and of the sliding window; a multiple of the factor by which the
            network lowers the resolution (8 with four levels). A smaller volume is padded.
        per_step: patches per optimiser step, at least 1.
    """

    size: int = 48
    per_step: int = 2

    def __post_init__(self) -> None:
        check_count("size", self.size, 1)
        check_count("per_step", self.per_step, 1)


def choose_dimensions(
    spatial_dims: int, channels: Sequence[int] = NetworkConfig.channels, patch_size: int = PatchConfig.size
) -> tuple[NetworkConfig, PatchConfig | None]:
    """Return the network of slices (2) or of volumes (3), and for volumes how they are cut.

    Raises:
        ValueError: ``spatial_dims`` is neither 2 nor 3, or the patch cannot be halved as often as the network does.

    >>> choose_dimensions(2)[1] is None, choose_dimensions(3)[1].size
    (True, 48)
    """
    if spatial_dims not in (2, 3):
        raise ValueError(f"spatial_dims must be 2 (slices) or 3 (volumes), got {spatial_dims!r}")
    network = NetworkConfig(spatial_dims, tuple(channels))
    if spatial_dims == 2:
        return network, None
    factor = 2 ** (len(network.channels) - 1)
    if patch_size % factor:
        raise ValueError(f"patch_size must be a multiple of {factor} with {len(channels)} levels, got {patch_size}")
    return network, PatchConfig(patch_size)


def load_volumes(cohort: Cohort, subjects: Sequence[str], task: Task) -> SliceSet:
    """Read whole patients for one task, as :func:`riskmap.slices.load_slices` reads their slices.

    Shape: images and labels of the result are [N, 1, X, Y, Z], one element per patient.

    Raises:
        ValueError: no patient was named.
    """
    if not subjects:
        raise ValueError("subjects is empty; name at least one patient")
    images = np.stack([cohort.image(subject, task.modality) for subject in subjects])
    labels = np.stack([cohort.labels(subject, task.target) for subject in subjects])
    return SliceSet(torch.from_numpy(images)[:, None], torch.from_numpy(labels)[:, None], tuple(subjects))


def load_patients(cohort: Cohort, subjects: Sequence[str], task: Task, patches: PatchConfig | None) -> SliceSet:
    """Read patients as volumes where they are cut into patches, otherwise as slices."""
    return (load_slices if patches is None else load_volumes)(cohort, subjects, task)


def augmentations(keys: Sequence[str]) -> list[Transform]:
    """Return MONAI's random transforms of a patch: what moves pixels moves every key, the rest is for the image alone.

    A left-right flip, in one patch of five a small turn and scaling (labels by nearest neighbour, image and weight
    linearly), and small changes of scale and offset of the intensities.
    """
    return [
        RandFlipd(keys, prob=0.5, spatial_axis=0),
        RandAffined(
            keys,
            prob=0.2,
            rotate_range=(0.15, 0.15, 0.15),
            scale_range=(0.1, 0.1, 0.1),
            mode=[MODES[key] for key in keys],
            padding_mode="border",
        ),
        RandScaleIntensityd(["image"], factors=0.1, prob=0.5),
        RandShiftIntensityd(["image"], offsets=0.1, prob=0.5),
    ]


class PatchSampler:
    """Draw augmented batches of patches; batch ``step`` depends on the seed and the step, as in ``BatchSampler``.

    Half of each batch is centred on foreground, the other half lies anywhere. Image, label and weight are keys of one
    sample, so that each patch of the map belongs to its patch of the image.
    """

    def __init__(self, volumes: SliceSet, config: PatchConfig, seed: int, augment: bool = True) -> None:
        self.volumes = volumes
        self.config = config
        self.seed = seed
        keys = ["image", "label"] + (["weight"] if volumes.weights is not None else [])
        size = (config.size,) * 3
        prepare = Compose([SpatialPadd(keys, size), FgBgToIndicesd(["label"])])
        with plain_tensors():
            self._samples = [prepare(self._sample(index)) for index in range(len(volumes))]
        self._with_foreground = [index for index, each in enumerate(self._samples) if len(each[_INDICES[0]])]
        changes = augmentations(keys) if augment else []
        at_foreground = RandCropByPosNegLabeld(
            keys, "label", size, pos=1, neg=0, fg_indices_key=_INDICES[0], bg_indices_key=_INDICES[1]
        )
        self._at_foreground = Compose([at_foreground, *changes])
        self._anywhere = Compose([RandSpatialCropd(keys, size, random_size=False), *changes])
        self._keys = keys

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """Return {"image", "label"[, "weight"]}, each [B, 1, size, size, size], of the given step."""
        generator = np.random.default_rng((self.seed, step))
        centred = (self.config.per_step + 1) // 2 if self._with_foreground else 0
        chosen = [*generator.choice(self._with_foreground, size=centred)] if centred else []
        chosen += [*generator.integers(len(self._samples), size=self.config.per_step - centred)]
        for transform in (self._at_foreground, self._anywhere):
            transform.set_random_state(seed=int(generator.integers(2**32)))
        with plain_tensors():
            patches = [self._at_foreground(self._samples[index])[0] for index in chosen[:centred]]
            patches += [self._anywhere(self._samples[index]) for index in chosen[centred:]]
        return {key: torch.stack([patch[key] for patch in patches]) for key in self._keys}

    def _sample(self, index: int) -> dict[str, torch.Tensor]:
        sample = {"image": self.volumes.images[index], "label": self.volumes.labels[index]}
        if self.volumes.weights is not None:
            sample["weight"] = self.volumes.weights[index]
        return sample
