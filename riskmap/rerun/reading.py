"""How long a page takes its reader, with its exercises: an estimate, and what of it is optional."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import nbformat

# a section whose heading ends with this may be left out; JupyterLab opens it folded
OPTIONAL = " · optional"
WORDS_A_MINUTE = 200
# minutes to look at what a cell shows, to read a table or a list of results, to move sliders, and to predict
PICTURE, RESULT, SLIDERS, PREDICTION = 0.6, 1.0, 1.5, 0.25
_LEFT_OUT = re.compile(r"\$\$.*?\$\$|\$[^$\n]*\$|```.*?```|\]\([^)]*\)", flags=re.DOTALL)
_HEADING = re.compile(r"(#+) (.*)")
_PLANNED = re.compile(r" · (\d+) min\b")


@dataclass(frozen=True)
class Minutes:
    """The minutes of a page: ``core`` without what is optional, ``all`` with it."""

    core: float
    all: float

    def __add__(self, other: "Minutes") -> "Minutes":
        return Minutes(self.core + other.core, self.all + other.all)


def reading_minutes(notebook: nbformat.NotebookNode) -> Minutes:
    """Return the estimated minutes to read a page: its words, what its unfolded cells show, and its predictions.

    Args:
        notebook: a page of the tutorial.
    """
    return _sum((_cell_minutes(cell), optional) for cell, optional in with_optional(notebook))


def exercise_minutes(notebook: nbformat.NotebookNode) -> Minutes:
    """Return the minutes that are planned for the exercises of a page: those in their headings, as in "· 5 min".

    Args:
        notebook: a page of exercises.
    """
    headings = ((_heading(cell), optional) for cell, optional in with_optional(notebook))
    planned = ((heading and _PLANNED.search(heading[2]), optional) for heading, optional in headings)
    return _sum((float(found[1]), optional) for found, optional in planned if found)


def num_words(text: str) -> int:
    """Return the number of words of Markdown prose; formulas, code and the targets of links are none."""
    return sum(bool(re.search("[A-Za-z]", word)) for word in _LEFT_OUT.sub("", text).split())


def with_optional(notebook: nbformat.NotebookNode) -> Iterator[tuple[nbformat.NotebookNode, bool]]:
    """Yield each cell and whether it is in an optional section, which ends at a heading of its level or above."""
    level = 0
    for cell in notebook.cells:
        if heading := _heading(cell):
            if level and len(heading[1]) <= level:
                level = 0
            if not level and heading[2].endswith(OPTIONAL):
                level = len(heading[1])
        yield cell, level > 0


def _heading(cell: nbformat.NotebookNode) -> re.Match[str] | None:
    """Return the heading with which a cell begins, its marks and its text."""
    return _HEADING.match(cell.source) if cell.cell_type == "markdown" else None


def _cell_minutes(cell: nbformat.NotebookNode) -> float:
    if cell.cell_type == "markdown":
        return num_words(cell.source) / WORDS_A_MINUTE + PREDICTION * cell.source.count("**Predict")
    tags = cell.metadata.get("tags", [])
    if "hide-input" in tags:  # parameters and imports
        return 0
    if "result" in tags:
        return RESULT
    return SLIDERS if "explore_" in cell.source or ".explore" in cell.source else PICTURE


def _sum(parts: Iterator[tuple[float, bool]]) -> Minutes:
    found = list(parts)
    return Minutes(sum(minutes for minutes, optional in found if not optional), sum(minutes for minutes, _ in found))
