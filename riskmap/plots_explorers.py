"""Figures that only the explorers draw; as in ``riskmap.plots``, each draws into given axes and returns them.

Nothing is told by colour alone: marks, hatches, dashes and places say the same.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from riskmap.plots import BLUE, GREY, ORANGE, SKY, VERMILION, plot_class_contours, plot_slice
from riskmap.statistics import Estimate

# ((left, right), (bottom, top)) in pixels of a slice [X, Y]
Window = tuple[tuple[float, float], tuple[float, float]]

_OUTLINES = ((ORANGE, "solid"), (SKY, "dashed"), (VERMILION, "dotted"))
_BARS = ((BLUE, ""), ("#DDDDDD", "///"))


def plot_outlines(
    ax: Axes, image: np.ndarray, outlines: Mapping[str, np.ndarray], *, num_classes: int = 2, title: str = ""
) -> Axes:
    """Draw a slice and the outlines of up to three labellings, told apart by colour and dashes.

    Args:
        ax: where to draw.
        image: [X, Y], any unit.
        outlines: class indices [X, Y] by the name for the legend.
        num_classes: every class above 0 is outlined.
        title: above the picture.
    """
    plot_slice(ax, image, title=title)
    for labels, (colour, style) in zip(outlines.values(), _OUTLINES, strict=False):
        plot_class_contours(ax, labels, num_classes, colour=colour, style=style)
    handles = [
        Line2D([], [], color=colour, linestyle=style, linewidth=2, label=name)
        for name, (colour, style) in zip(outlines, _OUTLINES, strict=False)
    ]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), frameon=False, fontsize=9)
    return ax


def plot_frame(ax: Axes, window: Window) -> Axes:
    """Draw the frame of a window over a slice."""
    (left, right), (bottom, top) = window
    ax.add_patch(Rectangle((left, bottom), right - left, top - bottom, fill=False, edgecolor="white", linewidth=1))
    return ax


def enlarge(ax: Axes, window: Window) -> Axes:
    """Show only a window of a slice."""
    ax.set(xlim=window[0], ylim=window[1], facecolor="black")
    return ax


def window_of(mask: np.ndarray, margin: int = 4) -> Window:
    """Return the smallest square window around a mask [X, Y] that is not empty, grown by a margin in pixels."""
    ends = [(places.min() - margin, places.max() + margin) for places in np.nonzero(mask)]
    reach = max(high - low for low, high in ends) / 2 + 0.5
    return tuple(((low + high) / 2 - reach, (low + high) / 2 + reach) for low, high in ends)


def plot_bars(ax: Axes, names: Sequence[str], series: Mapping[str, Sequence[float]], *, ylabel: str) -> Axes:
    """Draw groups of bars with their numbers, one colour and hatch for each of two series; NaN is "none".

    The axis ends at 5 unless a bar is higher, so that small changes do not rescale it.
    """
    width = 0.8 / len(series)
    for place, ((title, values), (colour, hatch)) in enumerate(zip(series.items(), _BARS, strict=False)):
        where = np.arange(len(names)) + (place - (len(series) - 1) / 2) * width
        bars = ax.bar(where, np.nan_to_num(values), width, color=colour, edgecolor="black", hatch=hatch, label=title)
        ax.bar_label(bars, [f"{value:.2f}" if np.isfinite(value) else "none" for value in values], fontsize=9)
    ax.set_xticks(range(len(names)), names, fontsize=9)
    ax.set(ylabel=ylabel, ylim=(0, max(5.0, 1.2 * np.nanmax(list(series.values())))))
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    return ax


def plot_differences(
    ax: Axes, values: Sequence[float], estimate: Estimate, *, ylabel: str, sides: tuple[str, str]
) -> Axes:
    """Draw a paired difference per patient, sorted, with its mean and interval as a band.

    Args:
        ax: where to draw.
        values: one difference per patient.
        estimate: their mean and interval.
        ylabel: of the differences, with its unit.
        sides: what a difference above 0 means, and one at 0 or below.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    places = np.arange(1, len(ordered) + 1)
    for chosen, marker, colour, name in (
        (ordered > 0, "^", VERMILION, sides[0]),
        (ordered <= 0, "o", BLUE, sides[1]),
    ):
        label = f"{name}: {int(chosen.sum())} of {len(ordered)}"
        ax.plot(places[chosen], ordered[chosen], linestyle="none", marker=marker, color=colour, label=label)
    ax.axhline(0, color="black", linewidth=1, linestyle="--")
    ax.axhline(estimate.mean, color=GREY, linewidth=2, label="mean, 95 % interval")
    if np.isfinite(estimate.low):
        ax.axhspan(estimate.low, estimate.high, color=GREY, alpha=0.2)
    ax.set(xlabel="test patients, sorted", ylabel=ylabel, xlim=(0.3, len(ordered) + 0.7))
    ax.set_xticks([])
    ax.grid(axis="y", alpha=0.3)
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    return ax
