"""Static figures. Every ``plot_*`` draws into the axes it is given, shows nothing, and returns those axes.

Colours are those of Okabe and Ito (distinguishable with any colour vision); maps use matplotlib's perceptually
uniform scales with stated limits. Slices [X, Y] of RAS volumes are drawn in neurological orientation: the patient's
left is on the picture's left and the forehead is up.
"""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize, to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from riskmap.statistics import Estimate

ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE, GREY = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#5A5A5A",
)
CLASS_COLOURS = (GREY, ORANGE, SKY, PURPLE, GREEN)
ARM_STYLES: dict[str, tuple[str, str]] = {
    "scratch": (GREY, "s"),
    "fine_tune": (VERMILION, "o"),
    "class_balanced": (ORANGE, "^"),
    "risk_map_paper": (SKY, "v"),
    "risk_map_paper_shuffled": ("#8C6D31", "p"),
    "risk_map_hardness": (GREEN, "P"),
    "risk_map": (BLUE, "D"),
    "risk_map_shuffled": (PURPLE, "X"),
    "risk_map_focused": ("#332288", "*"),
}
_OTHER_STYLE = ("#999999", "h")
_SERIES_STYLES = ((GREY, "s"), (ORANGE, "^"), (SKY, "v"), (GREEN, "P"), ("#332288", "D"))


def arm_style(arm: str) -> tuple[str, str]:
    """Return the colour and the mark of an arm; arms without their own share one."""
    return ARM_STYLES.get(arm, _OTHER_STYLE)


def plot_slice(ax: Axes, image: np.ndarray, *, title: str = "", sides: bool = True) -> Axes:
    """Draw a slice in grey; the window is the 1st to the 99.5th percentile of the pixels that are not 0.

    Args:
        ax: where to draw.
        image: [X, Y], any unit; 0 outside the brain.
        title: above the picture.
        sides: whether to write L, R and A (left, right, anterior) at the borders.
    """
    low, high = _window(image)
    shown = np.where(image != 0, image, low)
    ax.imshow(shown.T, cmap="gray", origin="lower", vmin=low, vmax=high, interpolation="nearest")
    return _finish_picture(ax, title, sides)


def plot_overlay(
    ax: Axes,
    image: np.ndarray,
    values: np.ndarray,
    *,
    limits: tuple[float, float],
    title: str = "",
    colours: str = "viridis",
    opacity: float = 1.0,
) -> Axes:
    """Draw a map [X, Y] over the brain of a slice as one picture, which is drawn faster than two on one another.

    Args:
        ax: where to draw.
        image: [X, Y], any unit; 0 outside the brain, where no map is shown.
        values: [X, Y], any unit.
        limits: lowest and highest value of the colours; the same in every panel that is compared.
        title: above the picture.
        colours: a perceptually uniform colour map of matplotlib.
        opacity: of the map, 0..1.
    """
    brain = image != 0
    grey = np.where(brain, Normalize(*_window(image), clip=True)(image), 0.0)[..., None]
    colour = colormaps[colours](Normalize(*limits, clip=True)(values))[..., :3]
    shares = np.where(brain, opacity, 0.0)[..., None]
    picture = np.rint(255 * (shares * colour + (1 - shares) * grey)).astype(np.uint8)
    ax.imshow(picture.transpose(1, 0, 2), origin="lower", interpolation="nearest")
    return _finish_picture(ax, title, sides=False)


def plot_contour(ax: Axes, mask: np.ndarray, *, colour: str = ORANGE, style: str = "solid") -> Axes:
    """Draw the outline of a mask [X, Y] over what is there."""
    if mask.any() and not mask.all():
        ax.contour(mask.T.astype(float), levels=[0.5], colors=[colour], linewidths=1.6, linestyles=[style])
    return ax


def plot_class_contours(
    ax: Axes, labels: np.ndarray, num_classes: int, *, colour: str | None = None, style: str = "solid"
) -> Axes:
    """Draw the outline of every class above 0.

    Args:
        ax: where to draw, over a picture that is there.
        labels: class indices [X, Y].
        num_classes: background included.
        colour: of all outlines; None: each class has its own of ``CLASS_COLOURS``.
        style: line style.
    """
    for index in range(1, num_classes):
        plot_contour(ax, labels == index, colour=colour or CLASS_COLOURS[index % len(CLASS_COLOURS)], style=style)
    return ax


def plot_labels(
    ax: Axes, labels: np.ndarray, classes: Sequence[str], *, opacity: float = 0.75, legend: bool = True
) -> Axes:
    """Draw class indices [X, Y] in categorical colours over what is there; class 0 stays clear."""
    colours = [to_rgba(CLASS_COLOURS[i % len(CLASS_COLOURS)], 0 if i == 0 else opacity) for i in range(len(classes))]
    limits = {"vmin": -0.5, "vmax": len(classes) - 0.5}
    ax.imshow(labels.T, cmap=ListedColormap(colours), origin="lower", interpolation="nearest", **limits)
    if legend:
        handles = [Patch(color=CLASS_COLOURS[i % len(CLASS_COLOURS)], label=classes[i]) for i in range(1, len(classes))]
        ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, -0.2), ncols=len(handles), frameon=False)
    return ax


def plot_map(
    ax: Axes,
    values: np.ndarray,
    *,
    limits: tuple[float, float],
    unit: str,
    title: str = "",
    colours: str = "viridis",
    opacity: float | np.ndarray = 1.0,
    bar: bool = True,
) -> Axes:
    """Draw a map [X, Y] with stated limits and a labelled colour bar.

    Args:
        ax: where to draw, over what is there.
        values: [X, Y], in ``unit``.
        limits: lowest and highest value of the colours; the same in every panel that is compared.
        unit: label of the colour bar.
        title: above the picture.
        colours: a perceptually uniform colour map of matplotlib.
        opacity: 0..1, one number or one per pixel [X, Y].
        bar: whether to draw the colour bar.
    """
    alpha = opacity.T if isinstance(opacity, np.ndarray) else opacity
    picture = ax.imshow(
        values.T,
        cmap=colours,
        origin="lower",
        vmin=limits[0],
        vmax=limits[1],
        alpha=alpha,
        interpolation="nearest",
    )
    if bar:
        ax.figure.colorbar(picture, ax=ax, label=unit, fraction=0.046, pad=0.03)
    return _finish_picture(ax, title, sides=False)


def plot_harm(
    ax: Axes,
    image: np.ndarray,
    harmed: np.ndarray,
    repaired: np.ndarray,
    truth: np.ndarray,
    *,
    title: str = "",
    names: tuple[str, str] = ("harmed", "repaired"),
) -> Axes:
    """Draw the pixels that transfer harmed (vermilion) and repaired (blue, dotted) over the slice, with the truth.

    Args:
        ax: where to draw.
        image, harmed, repaired, truth: [X, Y]; the last three are masks.
        title: above the picture.
        names: of the two colours in the legend.
    """
    plot_slice(ax, image, title=title)
    plot_contour(ax, truth, colour="white")
    for mask, colour in ((harmed, VERMILION), (repaired, SKY)):
        layer = np.ma.masked_where(~mask.T, np.ones(mask.T.shape))
        ax.imshow(layer, cmap=ListedColormap([colour]), origin="lower", interpolation="nearest", alpha=0.9)
    # dots, so that the two are told apart without colour as well
    dots = {"linestyle": "none", "marker": ".", "color": "black", "markersize": 1.8}
    ax.plot(*np.nonzero(repaired), **dots)
    handles = [Patch(color=VERMILION), (Patch(color=SKY), Line2D([], [], **dots | {"markersize": 4}))]
    ax.legend(handles, names, loc="lower center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False)
    return ax


def plot_harm_row(
    axes: Sequence[Axes], image: np.ndarray, changes: Mapping[str, tuple[np.ndarray, np.ndarray]], truth: np.ndarray
) -> list[Axes]:
    """Draw one panel per title of ``changes``, each with its (harmed, repaired) masks [X, Y]."""
    panels = zip(axes, changes.items(), strict=True)
    return [plot_harm(ax, image, *masks, truth, title=title) for ax, (title, masks) in panels]


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
    axes[1].set(xlabel="step", ylabel="validation Dice", ylim=(0, 1))
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
    for place, arm in enumerate(order):
        dice = scores.loc[scores["arm"] == arm].sort_values("patient")["dice"].to_numpy()
        colour, marker = arm_style(arm)
        # a fixed fan instead of random jitter: the same records draw the same figure
        offsets = np.linspace(-0.18, 0.18, len(dice)) if len(dice) > 1 else np.zeros(1)
        # a Dice of 0 lies on the axis: there too the whole mark is drawn
        style = {"linestyle": "none", "alpha": 0.7, "markersize": 6, "clip_on": False}
        ax.plot(place + offsets, dice, marker=marker, color=colour, **style)
        ax.hlines(dice.mean(), place - 0.3, place + 0.3, color="black", linewidth=2, clip_on=False)
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
    for place, arm in enumerate(order):
        rows = curve.loc[curve["arm"] == arm].set_index("shots").loc[shots]
        colour, marker = arm_style(arm)
        where = np.arange(len(shots)) + (place - (len(order) - 1) / 2) * 0.07
        spread = np.abs(rows[["low", "high"]].to_numpy().T - rows["dice"].to_numpy())
        style = {"color": colour, "marker": marker, "capsize": 3, "linewidth": 4 if arm == highlight else 1.5}
        style["clip_on"] = False
        ax.errorbar(where, rows["dice"], yerr=spread, label=titles[arm], **style)
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
) -> Axes:
    """Draw estimates with their intervals, a row per name, one colour and mark per series within the row.

    Args:
        ax: where to draw.
        names: rows, from the top.
        series: by title, one estimate per name.
        xlabel: of the axis, with its unit.
        reference: a dashed line at this value: no difference, or chance.
        styles: colour and mark by title; series without take the next free ones.
    """
    for place, (title, estimates) in enumerate(series.items()):
        colour, marker = (styles or {}).get(title, _SERIES_STYLES[place % len(_SERIES_STYLES)])
        means = np.array([estimate.mean for estimate in estimates])
        spread = [
            means - [estimate.low for estimate in estimates],
            np.array([estimate.high for estimate in estimates]) - means,
        ]
        rows = np.arange(len(names)) + (place - (len(series) - 1) / 2) * 0.7 / len(series)
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
            style = {"histtype": "step", "linewidth": 2, "color": CLASS_COLOURS[index % len(CLASS_COLOURS)]}
            ax.hist(of_class, bins=40, range=(0, top), weights=share, label=name, **style)
    ax.set(xlabel="hardness h (nats)", ylabel="share of the class's pixels", yscale="log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend(frameon=False)
    return ax


def _window(image: np.ndarray) -> tuple[float, float]:
    brain = image[image != 0]
    if not brain.size:
        return 0.0, 1.0
    low, high = np.percentile(brain, (1, 99.5))
    return float(low), float(high)


def _finish_picture(ax: Axes, title: str, sides: bool) -> Axes:
    ax.set_xticks([])
    # an axis that is not shown costs nothing; the other one may carry a label below the picture
    ax.yaxis.set_visible(False)
    ax.spines[:].set_visible(False)
    ax.set_title(title)
    if sides:
        style = {"color": "white", "fontsize": 9, "transform": ax.transAxes, "ha": "center", "va": "center"}
        for x, y, letter in ((0.04, 0.5, "L"), (0.96, 0.5, "R"), (0.5, 0.96, "A")):
            ax.text(x, y, letter, **style)
    return ax
