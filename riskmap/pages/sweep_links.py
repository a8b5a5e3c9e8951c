"""Tables of a sweep's jobs whose names open the executed notebooks."""

import html
import os
from pathlib import Path

import pandas as pd

from riskmap.experiment.shown import NOTHING
from riskmap.pages.sweep_table import PREFIX


def linked_table(rows: pd.DataFrame, folder: Path, seen_from: Path | None = None) -> str:
    """Return a table as HTML whose column ``executed`` links to each executed notebook that is there.

    Args:
        rows: with a column ``executed``, paths below ``folder``.
        folder: of the sweep.
        seen_from: the folder of the page that shows the table, since links are relative; the working directory, which
            is a notebook's own folder, when not given.
    """
    start = Path.cwd() if seen_from is None else seen_from

    def link(path: str) -> str:
        text = html.escape(Path(path).stem)
        if not (folder / path).is_file():
            return text
        return f'<a href="{html.escape(Path(os.path.relpath(folder / path, start)).as_posix())}">{text}</a>'

    names = {name: name.removeprefix(PREFIX) for name in rows.columns}
    shown = rows.assign(executed=rows["executed"].map(link)).rename(columns=names)
    escaped = {c: html.escape for c in shown.columns if c != "executed" and shown[c].map(type).eq(str).all()}
    return shown.to_html(
        index=False, escape=False, border=0, float_format="{:.4g}".format, formatters=escaped, na_rep=NOTHING
    )
