"""Patients as axial slices in memory, and training batches that depend on a seed and a step alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from monai.data import get_track_meta, set_track_meta
from monai.transforms import Compose, RandFlipd, RandScaleIntensityd, RandShiftIntensityd

from riskmap.cohort import Cohort, Task


def volume_to_slices(volume: np.ndarray) -> torch.Tensor:
    """Turn a volume [X, Y, Z] into axial slices [Z, 1, X, Y], sharing memory where numpy can."""
    return torch.from_numpy(np.ascontiguousarray(volume.transpose(2, 0, 1)))[:, None]


def slices_to_volume(slices: torch.Tensor) -> np.ndarray:
    """Turn axial slices [Z, X, Y] back into a volume [X, Y, Z]."""
    return slices.numpy().transpose(1, 2, 0)


@dataclass(frozen=True)
class SliceSet:
    """Slices of some patients for one task; in 3-D an element is a whole volume.

    Shape:
        images: float32 [N, 1, H, W] (or [N, 1, X, Y, Z]), z-scored; labels: uint8, alike, class indices;
        weights: float32, alike, weight of each pixel in the loss, or None (every pixel counts alike);
        subjects: N names, the patient of each element.
    """

    images: torch.Tensor
    labels: torch.Tensor
    subjects: tuple[str, ...]
    weights: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def with_weights(self, weights: torch.Tensor | None) -> "SliceSet":
        """Return the same slices with other pixel weights.

        Raises:
            ValueError: the weights do not have the labels' shape.
        """
        if weights is not None and weights.shape != self.labels.shape:
            raise ValueError(f"weights has shape {list(weights.shape)}; the labels have {list(self.labels.shape)}")
        return replace(self, weights=weights)


def load_slices(cohort: Cohort, subjects: Sequence[str], task: Task) -> SliceSet:
    """Read the slices that hold any brain, of some patients, for one task.

    Args:
        cohort: a prepared cohort.
        subjects: names of its patients; the order is kept.
        task: the sequence that is the image and the target that is the label.

    Raises:
        ValueError: no patient was named.
    """
    if not subjects:
        raise ValueError("subjects is empty; name at least one patient")
    images, labels, owners = [], [], []
    for subject in subjects:
        holds_brain = cohort.brain(subject).any(axis=(0, 1))
        images.append(volume_to_slices(cohort.image(subject, task.modality)[..., holds_brain]))
        labels.append(volume_to_slices(cohort.labels(subject, task.target)[..., holds_brain]))
        owners += [subject] * int(holds_brain.sum())
    return SliceSet(torch.cat(images), torch.cat(labels), tuple(owners))


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
        keys = ["image", "label"] + (["weight"] if slices.weights is not None else [])
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
            samples = [self._augmentation(self._sample(int(index))) for index in chosen]
        return {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}

    def _sample(self, index: int) -> dict[str, torch.Tensor]:
        sample = {"image": self.slices.images[index], "label": self.slices.labels[index]}
        if self.slices.weights is not None:
            sample["weight"] = self.slices.weights[index]
        return sample
