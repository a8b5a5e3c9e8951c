"""Training batches of slices, and of patches of volumes, that depend on a seed and a step alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from monai.data import get_track_meta, set_track_meta
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

from riskmap.data.patients import SliceSet


@contextmanager
def plain_tensors() -> Iterator[None]:
    """Let MONAI's transforms skip their record of affines, which costs more than the transforms themselves here."""
    before = get_track_meta()
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(before)


class BatchSampler:
    """Draw augmented training batches; batch ``step`` depends on the seed and the step, on nothing before it.

    A run that is killed and goes on at step t therefore sees the very batches it would have seen. Half of each
    batch is drawn from slices that hold foreground, as nnU-Net does, since most slices of a brain hold no tumour.
    Augmentation is MONAI's: a left-right flip, and small changes of scale and offset of the intensities. The weight
    map is flipped with its image, like a label.
    """

    def __init__(self, slices: SliceSet, batch_size: int, seed: int, augment: bool = True) -> None:
        self.slices = slices
        self.batch_size = batch_size
        self.seed = seed
        self._with_foreground = torch.nonzero(slices.labels.flatten(1).any(1)).flatten().numpy()
        keys = list(slices.sample(0))
        self._augmentation = Compose(
            [
                RandFlipd(keys, prob=0.5, spatial_axis=0),
                RandScaleIntensityd(["image"], factors=0.1, prob=0.5),
                RandShiftIntensityd(["image"], offsets=0.1, prob=0.5),
            ]
            if augment
            else []
        )

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """Return {"image", "label"[, "weight"]}, each [B, 1, H, W], of the given step."""
        generator = np.random.default_rng((self.seed, step))
        chosen = generator.integers(len(self.slices), size=self.batch_size)
        if len(self._with_foreground):
            half = self.batch_size // 2
            chosen[:half] = generator.choice(self._with_foreground, size=half)
        self._augmentation.set_random_state(seed=int(generator.integers(2**32)))
        with plain_tensors():
            samples = [self._augmentation(self.slices.sample(int(index))) for index in chosen]
        return {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}


MODES = {"image": "bilinear", "label": "nearest", "weight": "bilinear"}
_INDICES = ("label_fg_indices", "label_bg_indices")


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

    def __init__(self, volumes: SliceSet, side: int, per_step: int, seed: int, augment: bool = True) -> None:
        self.per_step = per_step
        self.seed = seed
        keys = list(volumes.sample(0))
        size = (side,) * 3
        prepare = Compose([SpatialPadd(keys, size), FgBgToIndicesd(["label"])])
        with plain_tensors():
            self._samples = [prepare(volumes.sample(index)) for index in range(len(volumes))]
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
        centred = (self.per_step + 1) // 2 if self._with_foreground else 0
        chosen = [*generator.choice(self._with_foreground, size=centred)] if centred else []
        chosen += [*generator.integers(len(self._samples), size=self.per_step - centred)]
        for transform in (self._at_foreground, self._anywhere):
            transform.set_random_state(seed=int(generator.integers(2**32)))
        with plain_tensors():
            patches = [self._at_foreground(self._samples[index])[0] for index in chosen[:centred]]
            patches += [self._anywhere(self._samples[index]) for index in chosen[centred:]]
        return {key: torch.stack([patch[key] for patch in patches]) for key in self._keys}
