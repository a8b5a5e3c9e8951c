"""Patients in memory, as axial slices or as whole volumes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from riskmap.data.cohort import Cohort, Task


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

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return {"image", "label"[, "weight"]}, each [N, 1, *spatial]."""
        tensors = {"image": self.images, "label": self.labels}
        return tensors if self.weights is None else tensors | {"weight": self.weights}

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


def load_volumes(cohort: Cohort, subjects: Sequence[str], task: Task) -> SliceSet:
    """Read whole patients for one task, as :func:`load_slices` reads their slices.

    Shape: images and labels of the result are [N, 1, X, Y, Z], one element per patient.

    Raises:
        ValueError: no patient was named.
    """
    if not subjects:
        raise ValueError("subjects is empty; name at least one patient")
    images = np.stack([cohort.image(subject, task.modality) for subject in subjects])
    labels = np.stack([cohort.labels(subject, task.target) for subject in subjects])
    return SliceSet(torch.from_numpy(images)[:, None], torch.from_numpy(labels)[:, None], tuple(subjects))


def load_patients(cohort: Cohort, subjects: Sequence[str], task: Task, spatial_dims: int) -> SliceSet:
    """Read patients as volumes for a network of 3 spatial dimensions, otherwise as slices."""
    return (load_volumes if spatial_dims == 3 else load_slices)(cohort, subjects, task)
