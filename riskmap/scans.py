"""A source network on single patients: what it says of each, in numbers and as a picture beside one another."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from riskmap import plots
from riskmap.explore_images import PatientView
from riskmap.leep import LeepStatistics
from riskmap.slices import slices_to_volume, volume_to_slices


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


def plot_source_row(
    axes: Sequence[Axes],
    own: PatientView,
    target: PatientView,
    hardness: np.ndarray,
    height: int,
    *,
    titles: tuple[str, str],
    top: float,
) -> list[Axes]:
    """Draw a patient in four panels: the source at home, the target's image, the source on it, and the hardness.

    Args:
        axes: four, where to draw.
        own: the patient on the sequence and with the label that the source has learned.
        target: the same patient on the target's sequence and with its label.
        hardness: of the target's voxels, [X, Y, Z], in nats.
        height: the axial slice z.
        titles: the source's task and the target's.
        top: hardness of the brightest colour, in nats; the same for all rows that are compared.
    """
    at = (..., height)
    foreground = [slices_to_volume(1 - view.probabilities[:, 0])[at] for view in (own, target)]
    image = target.image[at]
    plots.plot_overlay(
        axes[0], own.image[at], foreground[0], limits=(0, 1), title=f"source on {titles[0]}", opacity=0.6
    )
    plots.plot_slice(axes[1], image, title=titles[1])
    plots.plot_overlay(axes[2], image, foreground[1], limits=(0, 1), title=f"source on {titles[1]}", opacity=0.6)
    plots.plot_overlay(axes[3], image, hardness[at], limits=(0, top), title="hardness h")
    for ax, view in zip(axes, (own, target, target, target), strict=True):
        outlined = None if ax is axes[1] else "white"
        plots.plot_class_contours(ax, view.labels[at], int(view.labels.max()) + 1, colour=outlined)
    for ax, words in zip(
        axes, ("dark 0, bright 1", "", "dark 0, bright 1", f"dark 0, bright {top:.3g} nats"), strict=True
    ):
        ax.set_xlabel(words)
    return list(axes)
