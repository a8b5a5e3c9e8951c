"""TeX formulas as small SVG pictures, set by matplotlib: pages show them without a network and without scripts."""

import base64
import html
from functools import lru_cache
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import math_to_image

FONT_SIZE = 12.5  # points; STIX letters are smaller than those of the 11-point text around them
BLOCK_FONT_SIZE = 14.0
FONT_SET: dict[Any, Any] = {"mathtext.fontset": "stix", "svg.fonttype": "path", "svg.hashsalt": "riskmap"}


@lru_cache(maxsize=512)
def formula_to_html(tex: str, block: bool = False) -> str:
    """Return an ``img`` element for a formula (without dollar signs), its baseline on that of the text.

    Raises:
        ValueError: when matplotlib's mathtext cannot set the formula; the message names the formula.
    """
    source = " ".join(tex.split())
    # mathtext has no display style: a fraction that stands alone has to ask for its full size
    shown = source.replace(r"\frac", r"\dfrac") if block else source
    size = BLOCK_FONT_SIZE if block else FONT_SIZE
    picture = BytesIO()
    try:
        with matplotlib.rc_context(FONT_SET):
            depth = math_to_image(f"${shown}$", picture, prop=FontProperties(size=size), format="svg", color="#1a1a1a")
    except ValueError as error:
        raise ValueError(f"matplotlib cannot set the formula ${source}$: {error}") from error
    data = base64.b64encode(picture.getvalue()).decode("ascii")
    image = (
        f'<img class="formula" src="data:image/svg+xml;base64,{data}" '
        f'alt="{html.escape(source)}" style="vertical-align: {-depth:.2f}pt">'
    )
    return f'<div class="formula-block">{image}</div>' if block else image
