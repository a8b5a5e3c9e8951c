"""Cells of a notebook, run as IPython runs them: in ``__main__``, with their source kept for whoever asks."""

import linecache
import textwrap
from itertools import count
from typing import Any

import torch

from riskmap.training.arm import Recipe

_NUMBERS = count()


def run_cell(text: str, **names: Any) -> dict[str, Any]:
    """Run a cell in a kernel of its own and return the names that it leaves behind.

    Args:
        text: the cell.
        names: what cells before it have left, beside ``torch`` and ``Recipe``.
    """
    text = textwrap.dedent(text)
    place = f"<cell {next(_NUMBERS)}>"
    linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
    space = {"__name__": "__main__", "torch": torch, "Recipe": Recipe, **names}
    exec(compile(text, place, "exec"), space)
    return space
