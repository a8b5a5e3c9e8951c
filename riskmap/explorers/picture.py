"""How an explorer's picture is drawn again at every move, in less time than matplotlib takes for a whole figure.

Around the contents of axes stands their frame: background, ticks with their labels and grid, title and names of the
axes. A move mostly leaves it as it is, while laying it out and writing it takes matplotlib more than half of a drawing.
So frames are kept as pixels, and what has been wiped and plotted again is drawn over them.
"""

from collections.abc import Hashable
from functools import lru_cache
from typing import cast

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


def wipe(ax: Axes) -> None:
    """Take away what was drawn, and keep the axes with their ticks and titles: ``clear`` costs more than a slice."""
    # a legend would list bars that only their container remembers
    for container in list(ax.containers):
        container.remove()
    for artist in _contents(ax):
        artist.remove()
    # or the limits would remember what is gone
    ax.relim()


class Picture:
    """The pixels of a figure on an Agg canvas, whose axes do not overlap and have their grids below.

    Args:
        figure: its layout does not change any more; its contents may, and the size, ticks and words of its frames.
    """

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._canvas = cast(FigureCanvasAgg, figure.canvas)
        # by their looks; an input that is moved to and fro brings back the same few
        self._frame = lru_cache(maxsize=16)(self._draw_frame)
        self._background = lru_cache(maxsize=1)(self._join_frames)

    def draw(self) -> Image.Image:
        """Draw the figure as it is now and return it, in RGB."""
        shown = [ax for ax in self._figure.axes if ax.get_visible()]
        for ax in shown:
            # makes room for a picture's shape; matplotlib does it only where it draws the frame
            ax.apply_aspect()
        size = self._canvas.get_width_height()
        background = self._background(tuple((ax, size, _look_of(ax)) for ax in shown))
        renderer = self._canvas.get_renderer()
        np.asarray(self._canvas.buffer_rgba())[:] = background
        for ax in shown:
            for artist in sorted(_over_frame(ax), key=Artist.get_zorder):
                artist.draw(renderer)
        return as_image(self._canvas)

    def _join_frames(self, looks: tuple[tuple[Axes, Hashable, Hashable], ...]) -> np.ndarray:
        # each frame is dark on white, where the other ones are white
        return np.minimum.reduce([self._frame(*look) for look in looks])

    def _draw_frame(self, ax: Axes, _size: Hashable, _look: Hashable) -> np.ndarray:
        renderer = self._canvas.get_renderer()
        renderer.clear()
        self._figure.patch.draw(renderer)
        others = _over_frame(ax)
        for artist in others:
            artist.set_animated(True)
        # draws all that is not animated
        ax.draw(renderer)
        for artist in others:
            artist.set_animated(False)
        return np.array(self._canvas.buffer_rgba())


def as_image(canvas: FigureCanvasAgg) -> Image.Image:
    """Return what was drawn on a canvas, in RGB."""
    return Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1).convert("RGB")


def _contents(ax: Axes) -> list[Artist]:
    """Return what was plotted into axes, in its order: of two artists at one height the later one lies above."""
    plotted = {*ax.images, *ax.collections, *ax.lines, *ax.patches, *ax.texts, ax.get_legend()}
    return [child for child in ax.get_children() if child in plotted]


def _over_frame(ax: Axes) -> list[Artist]:
    # the lines around a panel lie over its contents
    return [*_contents(ax), *ax.spines.values()]


def _look_of(ax: Axes) -> Hashable:
    """Return what the look of the frame follows from, as far as the explorers' plots change it."""
    return ax.get_title(), _ticks_of(ax.xaxis), _ticks_of(ax.yaxis)


def _ticks_of(axis: Axis) -> Hashable:
    if not axis.get_visible():
        return None
    places = axis.get_majorticklocs().tolist()
    words = axis.get_major_formatter().format_ticks(places)
    weights = tuple(tick.label1.get_fontweight() for tick in axis.majorTicks)
    return axis.get_label_text(), tuple(axis.get_view_interval()), tuple(places), tuple(words), weights
