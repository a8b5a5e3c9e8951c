"""The road through the tutorial: its pages in their order, with a reader's minutes and those of the machine."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from riskmap.experiment.shown import NOTHING, markdown_table
from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT
from riskmap.rerun.notebooks import pages_in, read_notebook
from riskmap.rerun.reading import (
    PICTURE,
    PREDICTION,
    RESULT,
    SLIDERS,
    WORDS_A_MINUTE,
    Minutes,
    exercise_minutes,
    num_words,
    reading_minutes,
)
from riskmap.rerun.site_notebooks import title_of

_LAST_OF_THE_CORE = "05"


def road(time: Mapping[str, Any], folder: Path) -> str:
    """Return the pages as a Markdown table, and below it where the minutes come from.

    Args:
        time: the record that a whole run of the tutorial has left.
        folder: of the document that shows the table, from which its links start.
    """
    there = Path(os.path.relpath(NOTEBOOKS, folder)).as_posix()
    rows = []
    for number, path in pages_in(NOTEBOOKS).items():
        page = read_notebook(path)
        measured = time["pages"].get(path.stem)
        rows.append(
            {
                "page": f"[{title_of(page, path.stem)}]({there}/{path.name})",
                "to read, min": _both(reading_minutes(page)),
                "exercises, min": _both(exercises_of(number)),
                "machine, min": _machine_minutes(measured),
            }
        )
    whole = f"{time['seconds'] / 60:.0f} minutes"
    # as the table shows them, so that its columns add up
    core = [sum(round(getattr(part, of)) for pair in _core() for part in pair) for of in ("core", "all")]
    return (
        f"{markdown_table(pd.DataFrame(rows))}\n\n"
        f"Pages 0 to 5 take {core[0]} minutes with their exercises, {core[1]} with all that is marked "
        "*optional* (in brackets; JupyterLab opens it folded). Reading is an estimate: "
        f"{WORDS_A_MINUTE} words a minute, {PICTURE * 60:.0f} seconds for a picture, {RESULT * 60:.0f} for a table of "
        f"results, {SLIDERS * 60:.0f} for sliders and {PREDICTION * 60:.0f} for a prediction. The machine's minutes "
        "are those of running a page alone, with the training that it needs, as measured on "
        f"{time['cores']} cores ({time['processor']}). All pages together, several side by side, took {whole} with "
        "data and training."
    )


def core_minutes() -> Minutes:
    """Return the minutes of pages 0 to 5, read with their exercises."""
    return sum((reading + exercises for reading, exercises in _core()), Minutes(0, 0))


def _core() -> list[tuple[Minutes, Minutes]]:
    """Return the minutes to read each of pages 0 to 5, and those of its exercises."""
    numbers = {number: path for number, path in pages_in(NOTEBOOKS).items() if number <= _LAST_OF_THE_CORE}
    return [(reading_minutes(read_notebook(path)), exercises_of(number)) for number, path in numbers.items()]


def readme_minutes() -> float:
    """Return the minutes to read the README from its start to the road, one picture among it."""
    text = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8").partition("## The road")[0]
    return num_words(text) / WORDS_A_MINUTE + PICTURE


def exercises_of(number: str) -> Minutes:
    """Return the minutes of the exercises to a page, given its number, such as "03"."""
    pages = [read_notebook(path) for path in sorted((NOTEBOOKS / "exercises" / "source").glob(f"{number}_*.ipynb"))]
    return sum(map(exercise_minutes, pages), Minutes(0, 0))


def _both(minutes: Minutes) -> str:
    """Return the minutes without what is optional, and in brackets those with it, where they differ."""
    core, whole = f"{minutes.core:.0f}", f"{minutes.all:.0f}"
    if whole == "0":
        return NOTHING
    return core if core == whole else f"{core} ({whole})"


def _machine_minutes(measured: Mapping[str, float] | None) -> str:
    """Return the minutes of one page, of a page that was not measured a dash."""
    if measured is None:
        return NOTHING
    return f"{(measured['seconds'] + measured['training'] / measured['jobs']) / 60:.1f}"
