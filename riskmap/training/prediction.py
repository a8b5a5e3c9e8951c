"""Predictions of whole patients.

Any network will do that maps images [N, 1, *spatial] to logits [N, C, *spatial]: only its softmax is used.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from torch import nn

from riskmap.data.cohort import Cohort, Task
from riskmap.data.patients import SliceSet, slices_to_volume, volume_to_slices
from riskmap.measure.overlap import dice_of_volume
from riskmap.training.device import choose_precision


@torch.no_grad()
def predict_probabilities(
    network: nn.Module,
    images: torch.Tensor,
    precision: str = "auto",
    batch_size: int = 32,
    window: int | None = None,
) -> Iterator[torch.Tensor]:
    """Yield softmax probabilities of ``images`` in batches, on the CPU.

    Args:
        network: maps images [N, 1, *spatial] to logits [N, C, *spatial].
        images: what it looks at.
        precision: see :func:`riskmap.training.device.choose_precision`.
        batch_size: images at a time; with a window one at a time.
        window: side of MONAI's sliding window, for volumes that do not fit the network at once; windows overlap by
            half, and their logits are averaged with more weight in the middle. None: each image in one piece.

    Shape: images [N, 1, H, W] or [N, 1, X, Y, Z] to batches [B, C, *spatial], float32, which sum to 1 over C.
    """
    device = next(network.parameters()).device
    number_format = choose_precision(precision, device, images.ndim - 2)
    network.eval()
    for batch in images.split(batch_size if window is None else 1):
        with torch.autocast(device.type, dtype=number_format, enabled=number_format != torch.float32):
            if window is None:
                logits = network(batch.to(device))
            else:
                roi = (window,) * (images.ndim - 2)
                logits = sliding_window_inference(
                    batch.to(device), roi, 4, lambda patch: network(patch).float(), overlap=0.5, mode="gaussian"
                )
        yield logits.float().softmax(dim=1).cpu()


def predict_volume(
    network: nn.Module, volume: np.ndarray, precision: str = "auto", window: int | None = None
) -> np.ndarray:
    """Return the predicted class of each voxel of a volume [X, Y, Z], as uint8.

    A network of slices looks at them one by one; with ``window`` it is a network of volumes.
    """
    if window is not None:
        (found,) = predict_probabilities(network, torch.from_numpy(volume)[None, None], precision, window=window)
        return _most_likely(found)[0].numpy()
    classes = np.zeros(volume.shape, dtype=np.uint8)
    # a slice without brain holds nothing to find, so it stays background
    holds_brain = volume.any(axis=(0, 1))
    if holds_brain.any():
        slices = volume_to_slices(volume[..., holds_brain])
        batches = predict_probabilities(network, slices, precision)
        classes[..., holds_brain] = slices_to_volume(torch.cat([_most_likely(batch) for batch in batches]))
    return classes


def predict_patients(
    network: nn.Module,
    cohort: Cohort,
    subjects: Sequence[str],
    task: Task,
    precision: str = "auto",
    window: int | None = None,
) -> dict[str, np.ndarray]:
    """Return {subject: predicted classes [X, Y, Z]}; see :func:`predict_volume`."""
    return {s: predict_volume(network, cohort.image(s, task.modality), precision, window) for s in subjects}


def mean_dice_of_slices(
    network: nn.Module, slices: SliceSet, num_classes: int, precision: str = "auto", window: int | None = None
) -> float:
    """Return the mean Dice over patients and foreground classes, each patient's slices (or volume) taken together."""
    batches = predict_probabilities(network, slices.images, precision, window=window)
    found = [_most_likely(batch) for batch in batches]
    classes = torch.cat(found).numpy()
    owners = np.array(slices.subjects)
    labels = slices.labels[:, 0].numpy()
    per_patient = [
        dice_of_volume(classes[owners == subject], labels[owners == subject], num_classes)
        for subject in dict.fromkeys(slices.subjects)
    ]
    return float(np.mean(per_patient))


def _most_likely(probabilities: torch.Tensor) -> torch.Tensor:
    # the same as argmax(1), which takes a slow path over channels on the CPU
    return probabilities.max(dim=1).indices.to(torch.uint8)
