"""Predictions of whole patients and their scores.

Any network will do that maps images [N, 1, *spatial] to logits [N, C, *spatial]: only its softmax is used.
"""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.metrics import compute_dice, compute_hausdorff_distance
from monai.networks.utils import one_hot
from torch import nn

from riskmap.cohort import Cohort, Task
from riskmap.compute import choose_precision
from riskmap.slices import SliceSet, slices_to_volume, volume_to_slices


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
        precision: see :func:`riskmap.compute.choose_precision`.
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
        found = [_most_likely(batch) for batch in predict_probabilities(network, slices, precision)]
        classes[..., holds_brain] = slices_to_volume(torch.cat(found))
    return classes


def dice_of_volume(prediction: np.ndarray, labels: np.ndarray, num_classes: int) -> list[float]:
    """Return MONAI's Dice of each foreground class over a patient's whole volume.

    ``Dice = 2 |P and Y| / (|P| + |Y|)``, 0..1. A class that is empty in both counts 1, in one of them 0.

    Shape: prediction and labels [X, Y, Z], class indices; the result has ``num_classes - 1`` entries.
    """
    dice = compute_dice(
        _one_hot(prediction, num_classes),
        _one_hot(labels, num_classes),
        include_background=False,
        ignore_empty=False,
    )
    return dice[0].tolist()


def hausdorff95_of_volume(
    prediction: np.ndarray, labels: np.ndarray, num_classes: int, spacing: Sequence[float]
) -> list[float]:
    """Return MONAI's 95th percentile Hausdorff distance of each foreground class, in mm.

    A class that is empty in both counts 0; one that is empty in one of them counts the volume's diagonal.

    Shape: prediction and labels [X, Y, Z], class indices; the result has ``num_classes - 1`` entries.
    """
    diagonal = float(np.linalg.norm(np.asarray(prediction.shape) * np.asarray(spacing)))
    distances = []
    for index in range(1, num_classes):
        found, true = prediction == index, labels == index
        if found.any() and true.any():
            pair = [torch.from_numpy(mask)[None, None].float() for mask in (found, true)]
            with warnings.catch_warnings():
                # MONAI 1.6 warns of an argument that it passes to itself
                warnings.simplefilter("ignore", FutureWarning)
                distance = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=spacing)
            distances.append(float(distance))
        else:
            distances.append(0.0 if found.any() == true.any() else diagonal)
    return distances


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


def score_patients(
    predictions: dict[str, np.ndarray], cohort: Cohort, task: Task, *, hausdorff: bool = True
) -> dict[str, dict[str, list[float] | bool]]:
    """Score whole patients, never pooled slices.

    Returns:
        {subject: {"dice": [per foreground class], "hausdorff95_mm": [...], "empty": [class absent from the truth]}}
    """
    num_classes = cohort.targets[task.target].num_classes
    scores = {}
    for subject, prediction in predictions.items():
        labels = cohort.labels(subject, task.target)
        scores[subject] = {
            "dice": dice_of_volume(prediction, labels, num_classes),
            "empty": [not bool((labels == index).any()) for index in range(1, num_classes)],
        }
        if hausdorff:
            scores[subject]["hausdorff95_mm"] = hausdorff95_of_volume(prediction, labels, num_classes, cohort.spacing)
    return scores


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


def _one_hot(classes: np.ndarray, num_classes: int) -> torch.Tensor:
    return one_hot(torch.from_numpy(classes.astype(np.int64))[None, None], num_classes)
