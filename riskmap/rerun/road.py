"""The road through the tutorial: its pages in their order, with the minutes that each was measured to take."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from riskmap.experiment.shown import NOTHING, markdown_table
from riskmap.project.paths import NOTEBOOKS
from riskmap.rerun.notebooks import pages_in, read_notebook
from riskmap.rerun.site_notebooks import title_of


def road(time: Mapping[str, Any], folder: Path) -> str:
    """Return the pages as a Markdown table, and below it where the minutes come from.

    Args:
        time: the record that a whole run of the tutorial has left.
        folder: of the document that shows the table, from which its links start.
    """
    there = Path(os.path.relpath(NOTEBOOKS, folder)).as_posix()
    rows = []
    for path in pages_in(NOTEBOOKS).values():
        title = title_of(read_notebook(path), path.stem)
        measured = time["pages"].get(path.stem)
        rows.append({"page": f"[{title}]({there}/{path.name})", "machine minutes": _minutes(measured)})
    whole = f"{time['seconds'] / 60:.0f} minutes"
    return (
        f"{markdown_table(pd.DataFrame(rows))}\n\n"
        "The minutes are those of running a page alone, with the training that it needs, as measured on "
        f"{time['cores']} cores ({time['processor']}). All pages together, several side by side, "
        f"took {whole} with data and training."
    )


def _minutes(measured: Mapping[str, float] | None) -> str:
    """Return the minutes of one page, of a page that was not measured a dash."""
    if measured is None:
        return NOTHING
    return f"{(measured['seconds'] + measured['training'] / measured['jobs']) / 60:.1f}"
