"""Figures of slices: images, maps, labels, outlines, harmed and repaired pixels.

Maps use matplotlib's perceptually uniform scales with stated limits. Slices [X, Y] of RAS volumes are drawn in
neurological orientation: the patient's left is on the picture's left and the forehead is up.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize, to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from riskmap.figures.style import BLUE, CLASS_COLOURS, ORANGE, SKY, VERMILION
from riskmap.measure.harm import KINDS, kinds_of

# missed, false alarms, found, cleared
_KIND_COLOURS = (VERMILION, ORANGE, BLUE, SKY)
# on what is repaired, so that it is told from harm without colour as well
_DOTS: dict[str, Any] = {"linestyle": "none", "marker": ".", "color": "black", "markersize": 1.8}


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
    limits: dict[str, Any] = {"vmin": -0.5, "vmax": len(classes) - 0.5}
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
    legend: bool = True,
) -> Axes:
    """Draw the pixels that transfer changed over the slice, a colour for each kind, with the truth's outline.

    Harm is warm: foreground missed and false alarms. Repair is blue and dotted: foreground found, background cleared.

    Args:
        ax: where to draw.
        image, harmed, repaired, truth: [X, Y]; the last three are masks.
        title: above the picture.
        legend: whether the four kinds are named below the picture.
    """
    plot_slice(ax, image, title=title)
    plot_contour(ax, truth, colour="white")
    for (kind, mask), colour in zip(kinds_of(harmed, repaired, truth).items(), _KIND_COLOURS, strict=True):
        layer = np.ma.masked_where(~mask.T, np.ones(mask.T.shape))
        cmap = ListedColormap([colour])
        ax.imshow(layer, cmap=cmap, origin="lower", interpolation="nearest", alpha=0.9, label=kind)
    ax.plot(*np.nonzero(repaired), **_DOTS)
    if legend:
        handles, names = harm_legend()
        ax.legend(handles, names, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=2, frameon=False, fontsize=9)
    return ax


def harm_legend() -> tuple[list[Any], list[str]]:
    """Return the handles and names of the four kinds, for a legend that several panels share."""
    dot = Line2D([], [], **_DOTS | {"markersize": 4})
    patches = [Patch(color=colour) for colour in _KIND_COLOURS]
    return [patches[0], patches[1], (patches[2], dot), (patches[3], dot)], list(KINDS)


def plot_harm_row(
    axes: Sequence[Axes], image: np.ndarray, changes: Mapping[str, tuple[np.ndarray, np.ndarray]], truth: np.ndarray
) -> list[Axes]:
    """Draw the slice with a frame, and enlarged in it one panel per title of ``changes``.

    Args:
        axes: one more than there are titles.
        image, truth: [X, Y].
        changes: title to (harmed, repaired) masks [X, Y].
    """
    shown = np.any([truth, *(mask for masks in changes.values() for mask in masks)], axis=0)
    # where nothing is and nothing changed, there is no part to enlarge
    window = window_of(shown if shown.any() else np.ones_like(shown))
    whole, *enlarged = axes
    plot_contour(plot_slice(whole, image, title="the slice"), truth, colour="white")
    plot_frame(whole, window)
    for ax, (title, masks) in zip(enlarged, changes.items(), strict=True):
        enlarge(plot_harm(ax, image, *masks, truth, title=title, legend=False), window)
    return list(axes)


def plot_source_row(
    axes: Sequence[Axes],
    home: tuple[np.ndarray, np.ndarray, np.ndarray],
    target: tuple[np.ndarray, np.ndarray, np.ndarray],
    hardness: np.ndarray,
    *,
    titles: tuple[str, str],
    top: float,
) -> list[Axes]:
    """Draw a slice in four panels: the source at home, the target's image, the source on it, and the hardness.

    Args:
        axes: four, where to draw.
        home: image, probability of foreground (0..1) and class indices, each [X, Y], of the source's own task.
        target: the same of the target's task.
        hardness: on the target's task, [X, Y], in nats.
        titles: the source's task and the target's.
        top: hardness of the brightest colour, in nats; the same for all rows that are compared.
    """
    plot_overlay(axes[0], home[0], home[1], limits=(0, 1), title=f"source on {titles[0]}", opacity=0.6)
    plot_slice(axes[1], target[0], title=titles[1])
    plot_overlay(axes[2], target[0], target[1], limits=(0, 1), title=f"source on {titles[1]}", opacity=0.6)
    plot_overlay(axes[3], target[0], hardness, limits=(0, top), title="hardness h")
    words = ("dark 0, bright 1", "", "dark 0, bright 1", f"dark 0, bright {top:.3g} nats")
    for ax, (_, _, labels), label in zip(axes, (home, target, target, target), words, strict=True):
        plot_class_contours(ax, labels, int(labels.max()) + 1, colour=None if ax is axes[1] else "white")
        ax.set_xlabel(label)
    return list(axes)


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
        style: dict[str, Any] = {"color": "white", "fontsize": 9, "ha": "center", "va": "center"}
        for x, y, letter in ((0.04, 0.5, "L"), (0.96, 0.5, "R"), (0.5, 0.96, "A")):
            ax.text(x, y, letter, transform=ax.transAxes, **style)
    return ax


# ((left, right), (bottom, top)) in pixels of a slice [X, Y]
Window = tuple[tuple[float, float], tuple[float, float]]
_OUTLINES = ((ORANGE, "solid"), (SKY, "dashed"), (VERMILION, "dotted"))


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
    styles = zip(outlines, _OUTLINES, strict=False)
    looks: list[dict[str, Any]] = [{"color": c, "linestyle": style, "label": name} for name, (c, style) in styles]
    handles = [Line2D([], [], linewidth=2, **look) for look in looks]
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
    across, up = (((low + high) / 2 - reach, (low + high) / 2 + reach) for low, high in ends)
    return across, up


def busiest_slice(labels: np.ndarray) -> int:
    """Return the index z of the axial slice of [X, Y, Z] that holds the most foreground."""
    return int((labels > 0).sum((0, 1)).argmax())
