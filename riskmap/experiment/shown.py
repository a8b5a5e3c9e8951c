"""What is shown of numbers: tables that are Markdown in a notebook and text elsewhere, and lists of sentences."""

import pandas as pd

from riskmap.experiment.score_tables import markdown_table


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
