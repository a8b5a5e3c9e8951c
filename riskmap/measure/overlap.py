"""How well a prediction covers the truth: Dice and Hausdorff distance of whole patients, never of pooled slices."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance
from monai.networks.utils import one_hot

from riskmap.data.cohort import Cohort, Task


def dice_of_volume(prediction: np.ndarray, labels: np.ndarray, num_classes: int) -> list[float]:
    """Return MONAI's Dice of each foreground class over a patient's whole volume.

    ``Dice = 2 |P and Y| / (|P| + |Y|)``, 0..1. A class that is empty in both counts 1, in one of them 0.

    Shape: prediction and labels [X, Y, Z], class indices; the result has ``num_classes - 1`` entries.
    """
    found, true = _around_foreground(prediction, labels)
    dice = compute_dice(
        _one_hot(found, num_classes),
        _one_hot(true, num_classes),
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
    predicted, truth = _around_foreground(prediction, labels)
    distances = []
    for index in range(1, num_classes):
        found, true = predicted == index, truth == index
        if found.any() and true.any():
            masks = [torch.from_numpy(mask)[None, None].float() for mask in (found, true)]
            options: dict[str, Any] = {"include_background": True, "percentile": 95, "spacing": spacing}
            with warnings.catch_warnings():
                # MONAI 1.6 warns of an argument that it passes to itself
                warnings.simplefilter("ignore", FutureWarning)
                distance = compute_hausdorff_distance(masks[0], masks[1], **options)
            distances.append(float(distance))
        else:
            distances.append(0.0 if found.any() == true.any() else diagonal)
    return distances


def score_patients(
    predictions: dict[str, np.ndarray], cohort: Cohort, task: Task, *, hausdorff: bool = True
) -> dict[str, dict[str, list[Any]]]:
    """Score whole patients, never pooled slices.

    Returns:
        {subject: {"dice": [per foreground class], "hausdorff95_mm": [...], "empty": [class absent from the truth]}}
    """
    num_classes = cohort.targets[task.target].num_classes
    scores: dict[str, dict[str, list[Any]]] = {}
    for subject, prediction in predictions.items():
        labels = cohort.labels(subject, task.target)
        scores[subject] = {
            "dice": dice_of_volume(prediction, labels, num_classes),
            "empty": [not bool((labels == index).any()) for index in range(1, num_classes)],
        }
        if hausdorff:
            scores[subject]["hausdorff95_mm"] = hausdorff95_of_volume(prediction, labels, num_classes, cohort.spacing)
    return scores


def _one_hot(classes: np.ndarray, num_classes: int) -> torch.Tensor:
    return one_hot(torch.from_numpy(classes.astype(np.int64))[None, None], num_classes)


def _around_foreground(prediction: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut both to the box that holds the foreground of either: no score looks further, and most of a volume is air."""
    foreground = (prediction > 0) | (labels > 0)
    if not foreground.any():
        foreground = np.ones_like(foreground)
    axes = range(foreground.ndim)
    along = [np.flatnonzero(foreground.any(axis=tuple(each for each in axes if each != axis))) for axis in axes]
    box = tuple(slice(found[0], found[-1] + 1) for found in along)
    return prediction[box], labels[box]
