"""What every explorer is made of: inputs above a picture above a sentence, and a plain picture without a kernel.

An explorer draws into one persistent figure, turned into the bytes of an ``ipywidgets.Image``; an Output context would
hang headless runs (nbclient issue 312). Its display also carries a PNG of a few positions with their sentences, which
a page without a kernel shows instead.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from html import escape
from io import BytesIO
from textwrap import fill
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from riskmap.explorers.picture import Picture, as_image

Draw = Callable[..., str]
# text of a projected page must be readable from the last row: few inches, many pixels in each
DPI = 96
_CONTROL_WIDTH = "320px"


class Explorer(widgets.VBox):
    """Inputs above a picture above a sentence.

    Args:
        figure: drawn again at every move.
        inputs: by the name under which ``draw`` gets their values.
        draw: called with the inputs' values; draws into ``figure`` and returns the sentence, in plain text.
        strip: positions of the inputs whose pictures are stacked in the static PNG, at least one. Inputs that a
            position leaves out have the values they are given here, wherever they have been moved since.
    """

    def __init__(
        self,
        figure: Figure,
        inputs: Mapping[str, widgets.ValueWidget],
        draw: Draw,
        strip: Sequence[Mapping[str, Any]],
    ) -> None:
        self.figure = figure
        self.inputs = dict(inputs)
        self._draw = draw
        first = self.values()
        draw(**first)
        # finding the layout again at every move would cost more than the drawing
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        self._pixels = Picture(figure)
        self._strip = [{**first, **position} for position in strip]
        self.picture = widgets.Image(format="png")
        self.sentence = widgets.HTML()
        for each in self.inputs.values():
            each.observe(self._redraw, names="value")
        self._redraw()
        rows = widgets.HBox(list(self.inputs.values()), layout=widgets.Layout(flex_flow="row wrap"))
        # an Image in a box is stretched unless the box says otherwise
        super().__init__([rows, self.picture, self.sentence], layout=widgets.Layout(align_items="flex-start"))

    def values(self) -> dict[str, Any]:
        """Return the value of every input."""
        return {name: each.value for name, each in self.inputs.items()}

    def static_png(self) -> bytes:
        """Return the positions of the strip below one another, each with its sentence; no input is moved."""
        return self._static[0]

    @cached_property
    def _static(self) -> tuple[bytes, str]:
        """The static PNG and its text description."""
        pieces, sentences = [], []
        for position in self._strip:
            sentences.append(self._draw(**position))
            piece = self._pixels.draw()
            pieces += [piece, _caption(sentences[-1], piece.width)]
        self._draw(**self.values())
        page = Image.new("RGB", (max(p.width for p in pieces), sum(p.height for p in pieces)), "white")
        top = 0
        for piece in pieces:
            page.paste(piece, (0, top))
            top += piece.height
        described = " ".join(f"{number}. {sentence}" for number, sentence in enumerate(sentences, start=1))
        return _png(page), f"{len(sentences)} positions of the inputs, from top to bottom. {described}"

    def _redraw(self, _change: object = None) -> None:
        try:
            sentence = self._draw(**self.values())
        except Exception as error:
            # a browser never learns of it: what is raised here goes to the server's log
            self._say(f"This could not be drawn: {error}")
            raise
        self._say(sentence)
        self.picture.value = _png(self._pixels.draw())

    def _say(self, sentence: str) -> None:
        self.sentence.value = f'<p style="max-width: 60em; font-size: 1.05em">{escape(sentence)}</p>'

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        png, description = self._static
        return {**super()._repr_mimebundle_(**kwargs), "image/png": png}, {"image/png": {"alt": description}}


def panels(
    count: int, width: float = 10.0, height: float = 3.25, place: Mapping[str, float] | None = None, **options: Any
) -> Figure:
    """Return a figure of panels side by side.

    Args:
        count: number of panels.
        width, height: of the figure, in inches.
        place: arguments of ``Figure.subplots_adjust``, for panels whose ticks grow and shrink as inputs move; if
            None the first drawing decides.
        options: of ``Figure.subplots``.
    """
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained" if place is None else None)
    FigureCanvasAgg(figure)
    for ax in np.atleast_1d(figure.subplots(1, count, **options)):
        # a grid belongs to the frame
        ax.set_axisbelow(True)
    if place is not None:
        figure.subplots_adjust(**place)
    return figure


def slice_slider(value: int, last: int) -> widgets.IntSlider:
    """Return a slider over the axial slices 0..last."""
    return widgets.IntSlider(value=value, min=0, max=last, description="slice", **_look())


def number_slider(label: str, value: float, low: float, high: float, step: float) -> widgets.FloatSlider:
    """Return a slider over numbers, with as many decimals as its step needs."""
    digits = ".0f" if step >= 1 else ".1f" if step >= 0.1 else ".2f"
    return widgets.FloatSlider(
        value=value, min=low, max=high, step=step, description=label, readout_format=digits, **_look()
    )


def steps_slider(label: str, values: Sequence[Any]) -> widgets.SelectionSlider:
    """Return a slider over a few values, in their order; the first one is chosen."""
    look = _look()
    # the chosen value stands beside the slider and may be a long title
    look["layout"].width = "440px"
    return widgets.SelectionSlider(options=list(values), description=label, **look)


def choice(label: str, options: Sequence[Any], value: Any = None) -> widgets.Dropdown:
    """Return a drop-down list; its options are values, or pairs of a title and a value. The first one is chosen."""
    chosen = {} if value is None else {"value": value}
    return widgets.Dropdown(options=list(options), description=label, **chosen, **_look())


def _look() -> dict[str, Any]:
    return {"style": {"description_width": "initial"}, "layout": widgets.Layout(width=_CONTROL_WIDTH)}


def _png(image: Image.Image) -> bytes:
    with BytesIO() as stream:
        # fast compression: at full effort the PNG would take longer than the drawing
        image.save(stream, "png", compress_level=1)
        return stream.getvalue()


def _caption(sentence: str, width: int) -> Image.Image:
    text = fill(sentence, max(width // 8, 20))
    lines = text.count("\n") + 1
    figure = Figure(figsize=(width / DPI, (21 * lines + 24) / DPI), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    figure.text(8 / width, 0.95, text, va="top", fontsize=11, linespacing=1.25, parse_math=False)
    canvas.draw()
    return as_image(canvas)
