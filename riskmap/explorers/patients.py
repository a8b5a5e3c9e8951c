"""Explorers of patients: the sequences of a cohort, and the risk map from the hardness to the weights."""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from riskmap.data.cohort import Cohort, Task
from riskmap.data.patients import volume_to_slices
from riskmap.explorers.base import Explorer, choice, number_slider, panels, slice_slider
from riskmap.explorers.picture import wipe
from riskmap.figures.images import busiest_slice, plot_class_contours, plot_overlay, plot_slice
from riskmap.leep import LeepStatistics
from riskmap.risk import SCALINGS, WEIGHTINGS, TransferRiskMap
from riskmap.training.views import view_patient

ALL_SEQUENCES = "all, side by side"
_LARGE = (5.3, 5.7)
_HIGHEST_WEIGHT = 30.0


def explore_cohort(cohort: Cohort, target: str, subjects: Sequence[str] | None = None) -> Explorer:
    """Return an explorer of a cohort: one patient's slice in every sequence or large in one, with a label's outline.

    Args:
        cohort: a prepared cohort.
        target: the label that is outlined first.
        subjects: patients to choose from; the target training patients if None.
    """
    subjects = list(subjects or cohort.part("target_train"))
    figure = panels(len(cohort.modalities))
    side_by_side, small = list(figure.axes), figure.get_size_inches().copy()
    large = figure.add_axes((0.02, 0.02, 0.96, 0.91))
    large.set_in_layout(False)
    image, outlined = lru_cache(maxsize=8)(cohort.image), lru_cache(maxsize=2)(cohort.labels)

    def draw(patient: str, sequence: str, height: int, label: str) -> str:
        labels = outlined(patient, label)[..., height]
        spec = cohort.targets[label]
        together = sequence == ALL_SEQUENCES
        shown = dict(zip(side_by_side, cohort.modalities, strict=True)) if together else {large: sequence}
        figure.set_size_inches(*(small if together else _LARGE))
        for ax in figure.axes:
            ax.set_visible(ax in shown)
        for ax, modality in shown.items():
            wipe(ax)
            plot_slice(ax, image(patient, modality)[..., height], title=modality)
            plot_class_contours(ax, labels, spec.num_classes)
        area = (labels > 0).sum() * cohort.spacing[0] * cohort.spacing[1] / 100
        return (
            f"Patient {patient} of site {cohort.sites[patient]}, axial slice {height}, "
            f"{'all sequences' if together else sequence}: the outline holds {area:.1f} cm² of {spec.title}."
        )

    middle = busiest_slice(cohort.labels(subjects[0], target))
    inputs = {
        "patient": choice("patient", subjects),
        "sequence": choice("sequence", [ALL_SEQUENCES, *cohort.modalities]),
        "height": slice_slider(middle, cohort.shape[2] - 1),
        "label": choice("label", list(cohort.targets), target),
    }
    strip = [{"patient": s, "height": busiest_slice(cohort.labels(s, target))} for s in subjects[:2]]
    return Explorer(figure, inputs, draw, strip)


def explore_risk_map(
    cohort: Cohort,
    task: Task,
    source: nn.Module,
    statistics: LeepStatistics,
    subjects: Sequence[str],
    window: int | None = None,
    precision: str = "auto",
) -> Explorer:
    """Return an explorer of the risk map, from the hardness of a slice to the weights of its pixels.

    Args:
        cohort: a prepared cohort.
        task: the target task.
        source: the frozen source network.
        statistics: LEEP statistics of the source on the target's training pixels.
        subjects: target *training* patients, the first is shown first; together they are the data set's scale.
        window: side of the sliding window of a network of volumes; None for a network of slices. The map is shown, and
            scaled with "image", slice by slice.
        precision: of the source network's pass, see :func:`riskmap.training.device.choose_precision`.
    """
    keep = lru_cache(maxsize=max(len(subjects), 4))
    view = keep(lambda subject: view_patient(cohort, subject, task, source, window, precision))
    figure = panels(4, width=11.25)
    spec = cohort.targets[task.target]

    @cache  # as many as the slider has places
    def fitted(smoothing: float) -> TransferRiskMap:
        views = (view(subject) for subject in subjects)
        batches = ((v.probabilities, volume_to_slices(v.labels).long()) for v in views)
        return TransferRiskMap(statistics, scaling="dataset", smoothing=smoothing).fit(batches)

    def risk_map(ceiling: float, **choices: Any) -> TransferRiskMap:
        bound = ceiling if ceiling < _HIGHEST_WEIGHT else None
        risk = TransferRiskMap(statistics, slope=4.0, ceiling=bound, **choices)
        if risk.scaling == "dataset":
            limits = fitted(risk.smoothing)
            risk.dataset_limits, risk.dataset_mean = limits.dataset_limits, limits.dataset_mean
        return risk

    def draw(patient: str, height: int, opacity: float, **choices: Any) -> str:
        shown = view(patient)
        image, labels = shown.image[..., height], shown.labels[..., height]
        batch = (shown.probabilities[height : height + 1], torch.from_numpy(labels)[None].long())
        risk = risk_map(**choices)
        hardness, weights = risk.hardness(*batch)[0, 0].numpy(), risk(*batch)[0, 0].numpy()
        foreground = 1 - shown.probabilities[height, 0].numpy()
        layers = [
            ("source's softmax", foreground, 1.0, "foreground"),
            ("hardness h", hardness, max(float(hardness.max()), 1e-6), "nats"),
            (f"weight: {risk.scaling}, {risk.weighting}", weights, max(float(weights.max()), 1.0), ""),
        ]
        for ax in figure.axes:
            wipe(ax)
        plot_slice(figure.axes[0], image, title=str(task))
        for ax, (name, values, top, unit) in zip(figure.axes[1:], layers, strict=True):
            plot_overlay(ax, image, values, limits=(0.0, top), title=name, opacity=opacity)
            # a label instead of a colour bar: less to draw at every move
            ax.set_xlabel(f"dark 0, bright {top:.3g} {unit}")
        for ax in figure.axes:
            colour = "white" if ax is not figure.axes[0] else None
            plot_class_contours(ax, labels, spec.num_classes, colour=colour)
        return _describe_weights(patient, height, spec.title, labels, image != 0, hardness, weights)

    first = cohort.labels(subjects[0], task.target)
    inputs = {
        "patient": choice("patient", subjects),
        "height": slice_slider(busiest_slice(first), cohort.shape[2] - 1),
        "scaling": choice("scaling", SCALINGS),
        "weighting": choice("weighting", WEIGHTINGS),
        "base": number_slider("base b", 10.0, 1.0, _HIGHEST_WEIGHT, 1.0),
        "ceiling": number_slider(
            f"upper bound ({_HIGHEST_WEIGHT:g}: none)", _HIGHEST_WEIGHT, 1.0, _HIGHEST_WEIGHT, 1.0
        ),
        "smoothing": number_slider("smoothing (pixels)", 0.0, 0.0, 4.0, 0.5),
        "opacity": number_slider("opacity", 0.8, 0.0, 1.0, 0.1),
    }
    strip = [
        {"scaling": "image", "weighting": "power"},
        {"scaling": "dataset", "weighting": "affine"},
        {"scaling": "dataset", "weighting": "hardness"},
    ]
    return Explorer(figure, inputs, draw, strip)


def _describe_weights(
    patient: str,
    height: int,
    title: str,
    labels: np.ndarray,
    inside: np.ndarray,
    hardness: np.ndarray,
    weights: np.ndarray,
) -> str:
    foreground = labels > 0
    if not foreground.any():
        return f"Patient {patient}, slice {height}: no {title} here; mean weight {weights.mean():.2f}."
    background = inside & ~foreground
    share = weights[foreground].sum() / max(weights.sum(), 1e-12)
    # labels of tissue may cover all that is not air
    rest = f", {hardness[background].mean():.2f} in the rest of the image" if background.any() else ""
    return (
        f"Patient {patient}, slice {height}: {title} covers {foreground.mean():.1%} of the pixels and carries "
        f"{share:.0%} of the weight. Mean hardness {hardness[foreground].mean():.2f} nats inside{rest}; "
        f"weights from {weights.min():.2f} to {weights.max():.2f}."
    )
