"""What is shown of numbers: tables that are Markdown in a notebook and text elsewhere, and lists of sentences."""

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd

from riskmap.measure.statistics import Estimate

NOTHING = "–"


def estimate_text(estimate: Estimate, scale: float = 1.0, digits: int = 3, signed: bool = False) -> str:
    """Return "mean [low, high]", or "mean [–]" where one patient has no interval.

    >>> estimate_text(Estimate(0.5, float("nan"), float("nan")), digits=1)
    '0.5 [–]'
    """
    if np.isfinite([estimate.low, estimate.high]).all():
        return estimate.text(scale, digits, signed)
    return f"{estimate.mean * scale:{'+' if signed else ''}.{digits}f} [{NOTHING}]"


def verdict_text(estimate: Estimate) -> str:
    """Return what the interval shows of a difference, or that there is none, as of one patient."""
    if np.isfinite([estimate.low, estimate.high]).all():
        return estimate.verdict()
    return "open, one patient has no interval"


def without_gaps(frame: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Return a table as it is shown: rounded, and a dash where there is no number."""
    rounded = frame.round(digits)
    return rounded.astype(object).where(rounded.notna(), NOTHING) if rounded.isna().any(axis=None) else rounded


def markdown_table(table: pd.DataFrame) -> str:
    """Return a table as GitHub's Markdown."""
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


class ShownTable:
    """A table of texts.

    Args:
        frame: the table.
        empty: the sentence that stands for a table without a row.
    """

    def __init__(self, frame: pd.DataFrame, empty: str = "") -> None:
        self.frame = frame
        self.empty = empty

    def __repr__(self) -> str:
        return self.frame.to_string(index=False) if len(self.frame) else self.empty

    def _repr_markdown_(self) -> str:
        return markdown_table(self.frame) if len(self.frame) else self.empty


class FoldedTable(ShownTable):
    """A table of texts that a page shows folded: a click on its title unfolds it.

    Args:
        frame: the table.
        empty: the sentence that stands for a table without a row.
        title: what is to be seen while it is folded.
    """

    def __init__(self, frame: pd.DataFrame, empty: str, title: str) -> None:
        super().__init__(frame, empty)
        self.title = title

    def __repr__(self) -> str:
        return f"{self.title}\n{super().__repr__()}"

    def _repr_html_(self) -> str:
        inside = self.frame.to_html(index=False, border=0) if len(self.frame) else f"<p>{escape(self.empty)}</p>"
        return f"<details><summary>{escape(self.title)}</summary>{inside}</details>"


class ShownList:
    """The items of a Markdown list.

    Args:
        text: Markdown.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


def numbered(sentences: Sequence[str]) -> ShownList:
    """Return sentences as a numbered list."""
    return ShownList("\n".join(f"{place}. {sentence}" for place, sentence in enumerate(sentences, start=1)))
