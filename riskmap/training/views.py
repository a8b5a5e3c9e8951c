"""A source network on single patients: what it says of each, and how hard it finds it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from riskmap.data.cohort import Cohort, Task
from riskmap.data.patients import slices_to_volume, volume_to_slices
from riskmap.leep import LeepStatistics
from riskmap.training.prediction import predict_probabilities


@dataclass(frozen=True)
class PatientView:
    """A target patient and what the source network says of each of its pixels.

    Shape: image [X, Y, Z]; labels [X, Y, Z]; probabilities [Z, K_s, X, Y], the source's softmax.
    """

    image: np.ndarray
    labels: np.ndarray
    probabilities: torch.Tensor


def view_patient(
    cohort: Cohort,
    subject: str,
    task: Task,
    source: nn.Module,
    window: int | None = None,
    precision: str = "auto",
) -> PatientView:
    """Read a patient for a task and let the source network look at every slice, or slide over the volume."""
    image = cohort.image(subject, task.modality)
    if window is None:
        probabilities = torch.cat(list(predict_probabilities(source, volume_to_slices(image), precision)))
    else:
        (found,) = predict_probabilities(source, torch.from_numpy(image)[None, None], precision, window=window)
        probabilities = found[0].permute(3, 0, 1, 2)
    return PatientView(image, cohort.labels(subject, task.target), probabilities)


def hardness_of(view: PatientView, statistics: LeepStatistics) -> np.ndarray:
    """Return the hardness h = -log E[y] of a patient's voxels under given statistics, [X, Y, Z], in nats.

    The statistics may come from other patients: then h tells how surprising this patient is to them.
    """
    labels = volume_to_slices(view.labels).long()
    return slices_to_volume(statistics.hardness(view.probabilities, labels)[:, 0])


def statistics_of(view: PatientView) -> LeepStatistics:
    """Return the LEEP statistics of one patient's own voxels."""
    labels = volume_to_slices(view.labels).long()
    statistics = LeepStatistics(view.probabilities.shape[1], int(labels.max()) + 1)
    return statistics.update(view.probabilities, labels)


def describe_view(view: PatientView, statistics: LeepStatistics) -> dict[str, float]:
    """Return what the source says inside and outside the label, within the brain, and how hard both are.

    Returns:
        The mean of 1 - softmax of the source's background (0..1), and the mean hardness (nats), each inside the
        foreground of the label and in the rest of the brain; NaN where there is no such voxel.
    """
    inside = view.labels > 0
    rest = (view.image != 0) & ~inside
    found = {
        "softmax": slices_to_volume(1 - view.probabilities[:, 0]),
        "hardness (nats)": hardness_of(view, statistics),
    }
    regions = {"in the label": inside, "in the rest of the brain": rest}
    return {
        f"{name} {where}": float(values[region].mean()) if region.any() else float("nan")
        for name, values in found.items()
        for where, region in regions.items()
    }
