"""Static figures. Every ``plot_*`` draws into the axes it is given, shows nothing, and returns those axes.

Colours are those of Okabe and Ito (distinguishable with any colour vision); maps use matplotlib's perceptually
uniform scales with stated limits. Slices [X, Y] of RAS volumes are drawn in neurological orientation: the patient's
left is on the picture's left and the forehead is up.
"""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from riskmap.figures.style import BLUE, CLASS_COLOURS, GREEN, GREY, ORANGE, SERIES_STYLES, SKY, VERMILION, arm_style
from riskmap.measure.statistics import Estimate


def plot_training(
    axes: Sequence[Axes],
    history: Mapping[str, Sequence[float]],
    *,
    label: str,
    style: tuple[str, str] = (BLUE, "o"),
) -> list[Axes]:
    """Draw a run's loss (smoothed over ten steps) into the first axes, its validation Dice into the second.

    Args:
        axes: two axes.
        history: ``loss`` of every step, ``validation_dice`` after each of ``validation_step``.
        label: for a legend.
        style: colour and marker.
    """
    colour, marker = style
    loss = pd.Series(history["loss"]).rolling(10, min_periods=1).mean()
    marks = max(len(loss) // 8, 1)
    axes[0].plot(np.arange(1, len(loss) + 1), loss, color=colour, marker=marker, markevery=marks, label=label)
    axes[0].set(xlabel="step", ylabel="training loss (mean of 10 steps)")
    axes[1].plot(history["validation_step"], history["validation_dice"], color=colour, marker=marker, label=label)
    # most is learned early, so the early steps get their room
    axes[1].set(xlabel="step", ylabel="validation Dice", ylim=(0, 1), xscale="log")
    axes[1].set_xticks(history["validation_step"], labels=map(str, history["validation_step"]))
    axes[1].minorticks_off()
    return list(axes)


def plot_patients(
    ax: Axes,
    scores: pd.DataFrame,
    *,
    order: Sequence[str],
    titles: Mapping[str, str],
    highlight: str | None = None,
) -> Axes:
    """Draw the Dice of every patient, one column of dots per arm, the mean as a bar.

    Args:
        ax: where to draw.
        scores: columns arm, patient, dice (already averaged over seeds).
        order: arms from left to right.
        titles: name of each arm for the axis.
        highlight: an arm whose name is set in bold.
    """
    by_arm = dict(list(scores.sort_values("patient").groupby("arm")["dice"]))
    for place, arm in enumerate(order):
        dice = by_arm[arm].to_numpy()
        colour, marker = arm_style(arm)
        # a fixed fan instead of random jitter: the same records draw the same figure
        offsets = np.linspace(-0.18, 0.18, len(dice)) if len(dice) > 1 else np.zeros(1)
        # a Dice of 0 lies on the axis: there too the whole mark is drawn
        style: dict[str, Any] = {"linestyle": "none", "alpha": 0.7, "markersize": 6, "clip_on": False}
        ax.plot(place + offsets, dice, marker=marker, color=colour, **style)
    places, means = np.arange(len(order)), [by_arm[arm].mean() for arm in order]
    ax.hlines(means, places - 0.3, places + 0.3, color="black", linewidth=2, clip_on=False)
    ax.set_xticks(range(len(order)), [fill(titles[arm], 15) for arm in order], fontsize=9)
    for arm, label in zip(order, ax.get_xticklabels(), strict=True):
        label.set_fontweight("bold" if arm == highlight else "normal")
    ax.set(ylabel="Dice per patient", ylim=(0, 1))
    ax.grid(axis="y", alpha=0.3)
    return ax


def plot_shots(
    ax: Axes,
    curve: pd.DataFrame,
    *,
    order: Sequence[str],
    titles: Mapping[str, str],
    highlight: str | None = None,
) -> Axes:
    """Draw Dice against the number of target patients, one line per arm, bars from ``low`` to ``high``.

    Args:
        ax: where to draw.
        curve: columns arm, shots, dice, low, high.
        order: arms in the order of the legend.
        titles: name of each arm for the legend.
        highlight: an arm whose line is drawn thick.
    """
    shots = sorted(curve["shots"].unique())
    by_arm = dict(list(curve.sort_values("shots").groupby("arm")))
    for place, arm in enumerate(order):
        dice, *ends = by_arm[arm][["dice", "low", "high"]].to_numpy().T
        colour, marker = arm_style(arm)
        where = np.arange(len(shots)) + (place - (len(order) - 1) / 2) * 0.07
        style: dict[str, Any] = {"color": colour, "marker": marker, "capsize": 3, "clip_on": False}
        style["linewidth"] = 4 if arm == highlight else 1.5
        ax.errorbar(where, dice, yerr=np.abs(ends - dice), label=titles[arm], **style)
    ax.set_xticks(range(len(shots)), shots)
    ax.set(xlabel="target patients (k)", ylabel="Dice", ylim=(0, 1))
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, loc="best", fontsize=9)
    return ax


def plot_table(ax: Axes, table: np.ndarray, *, rows: Sequence[str], columns: Sequence[str], title: str = "") -> Axes:
    """Draw a table of probabilities 0..1 [rows, columns] as a heat map with its numbers."""
    ax.imshow(table, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        colour = "white" if value < 0.55 else "black"
        ax.text(column, row, f"{value:.3f}", ha="center", va="center", color=colour)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_title(title)
    return ax


def plot_matrix(ax: Axes, matrix: pd.DataFrame, *, title: str = "", marked: tuple[str, str] | None = None) -> Axes:
    """Draw signed numbers [rows, columns] as a heat map, white at 0, the number in each cell; NaN is hatched.

    The cell ``marked`` (row, column) gets a frame.
    """
    values = matrix.to_numpy(dtype=float)
    limit = max(float(np.nanmax(np.abs(values))), 1e-6)
    # behind the picture, which is clear where nothing was run
    ax.patch.set(facecolor="#F4F4F4", edgecolor="#BBBBBB", hatch="///")
    ax.imshow(np.ma.masked_invalid(values), cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.6 * limit else "black"
            ax.text(column, row, f"{value:+.1f}", ha="center", va="center", color=colour, fontsize=12)
    if marked is not None:
        corner = (matrix.columns.get_loc(marked[1]) - 0.46, matrix.index.get_loc(marked[0]) - 0.46)
        # black on white, to stand out on every colour
        for colour, width in (("white", 6), ("black", 3)):
            ax.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=colour, linewidth=width))
    ax.set_xticks(range(matrix.shape[1]), [fill(str(name), 10) for name in matrix.columns], fontsize=9)
    ax.set_yticks(range(matrix.shape[0]), matrix.index)
    ax.set(xlabel="target task (hatched: not run)" if np.isnan(values).any() else "target task", ylabel="source task")
    ax.set_title(title, fontsize=11)
    return ax


def plot_against(
    ax: Axes, points: Sequence[tuple[str, float, Estimate]], *, xlabel: str, ylabel: str, reference: float = 0.0
) -> Axes:
    """Draw estimates with their intervals against a number, each point with its own mark, named in the legend.

    Args:
        ax: where to draw.
        points: name, place on the x axis, estimate.
        xlabel, ylabel: of the axes.
        reference: a dashed line across at this height.
    """
    markers = "osD^vP*X<>"
    for index, (name, place, estimate) in enumerate(points):
        colour = CLASS_COLOURS[index % len(CLASS_COLOURS)]
        spread = [[estimate.mean - estimate.low], [estimate.high - estimate.mean]]
        marker = markers[index % len(markers)]
        ax.errorbar(place, estimate.mean, yerr=spread, marker=marker, color=colour, linestyle="none", label=name)
    ax.axhline(reference, color="black", linestyle="--", linewidth=1)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return ax


def plot_estimates(
    ax: Axes,
    names: Sequence[str],
    series: Mapping[str, Sequence[Estimate]],
    *,
    xlabel: str,
    reference: float = 0.0,
    styles: Mapping[str, tuple[str, str]] | None = None,
    side_by_side: bool = True,
) -> Axes:
    """Draw estimates with their intervals, a row per name, one colour and mark per series within the row.

    Args:
        ax: where to draw.
        names: rows, from the top.
        series: by title, one estimate per name.
        xlabel: of the axis, with its unit.
        reference: a dashed line at this value: no difference, or chance.
        styles: colour and mark by title; series without take the next free ones.
        side_by_side: whether the series of a row keep apart; False where each row is of one series.
    """
    for place, (title, estimates) in enumerate(series.items()):
        colour, marker = (styles or {}).get(title, SERIES_STYLES[place % len(SERIES_STYLES)])
        means = np.array([estimate.mean for estimate in estimates])
        spread = [
            means - [estimate.low for estimate in estimates],
            np.array([estimate.high for estimate in estimates]) - means,
        ]
        shift = (place - (len(series) - 1) / 2) * 0.7 / len(series) if side_by_side else 0.0
        rows = np.arange(len(names)) + shift
        ax.errorbar(means, rows, xerr=spread, color=colour, marker=marker, linestyle="none", label=title, capsize=2)
    ax.axvline(reference, color="black", linestyle="--", linewidth=1)
    for row in range(1, len(names)):
        ax.axhline(row - 0.5, color=GREY, linewidth=0.5, alpha=0.5)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel(xlabel)
    ax.grid(axis="x", alpha=0.3)
    ax.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return ax


def plot_hardness_histogram(ax: Axes, hardness: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Axes:
    """Draw the share of each class's pixels in bins of hardness (nats); both arrays have the same shape."""
    top = max(float(hardness.max()), 1e-6)
    for index, name in enumerate(classes):
        of_class = hardness[labels == index]
        if of_class.size:
            share = np.full(of_class.size, 1 / of_class.size)
            colour = CLASS_COLOURS[index % len(CLASS_COLOURS)]
            style: dict[str, Any] = {"histtype": "step", "linewidth": 2, "color": colour}
            ax.hist(of_class, bins=40, range=(0, top), weights=share, label=name, **style)
    ax.set(xlabel="hardness h (nats)", ylabel="share of the class's pixels", yscale="log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend(frameon=False)
    return ax


_BARS = ((BLUE, ""), ("#DDDDDD", "///"))


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
    has_interval = np.isfinite(estimate.low)
    ax.axhline(estimate.mean, color=GREY, linewidth=2, label="mean, 95 % interval" if has_interval else "mean")
    if has_interval:
        ax.axhspan(estimate.low, estimate.high, color=GREY, alpha=0.2)
    ax.set(xlabel="test patients, sorted", ylabel=ylabel, xlim=(0.3, len(ordered) + 0.7))
    ax.set_xticks([])
    ax.grid(axis="y", alpha=0.3)
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    return ax


def plot_effect(
    ax: Axes, effect: pd.DataFrame, *, parameter: str, measure: str, titles: Mapping[str, str] | None = None
) -> Axes:
    """Draw a measure against a swept parameter, one line per group, with bars from the lowest to the highest seed.

    Values that are names, not numbers, get marks without lines.

    Args:
        ax: where to draw.
        effect: columns group, value, mean, low, high, as :func:`riskmap.pages.sweep_table.effect_of` returns them.
        parameter: name of the parameter, below the axis.
        measure: name of the measure, with its unit if it has one.
        titles: of those groups that are arms; they are drawn in their own colours.
    """
    titles = titles or {}
    values: Sequence[str] = list(dict.fromkeys(effect["value"]))
    groups = list(dict.fromkeys(effect["group"]))
    # between two names there is nothing that a line could stand for
    line = "-" if pd.to_numeric(pd.Series(values), errors="coerce").notna().all() else "none"
    for place, group in enumerate(groups):
        rows = effect.loc[effect["group"] == group].set_index("value").reindex(values)
        where = np.arange(len(values)) + (place - (len(groups) - 1) / 2) * 0.07
        spread = np.abs(rows[["low", "high"]].to_numpy(dtype=float).T - rows["mean"].to_numpy(dtype=float))
        plain = ((BLUE, ORANGE, SKY, GREEN)[place % 4], "o")
        colour, marker = arm_style(group) if group in titles else plain
        label = titles.get(group, group)
        style: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": line, "capsize": 3}
        ax.errorbar(where, rows["mean"], yerr=spread, label=label, **style)
    ax.set_xticks(range(len(values)), values)
    ax.set(xlabel=parameter, ylabel=measure, xlim=(-0.5, len(values) - 0.5))
    ax.grid(alpha=0.3)
    return ax
