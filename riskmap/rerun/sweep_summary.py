"""From the records of a sweep to one table, and to a page that shows it."""

import base64
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from riskmap.pages.sweep_figures import draw_effect
from riskmap.pages.sweep_links import linked_table
from riskmap.pages.sweep_table import PREFIX, measures_of, ranking, varied
from riskmap.project.files import atomic_path, read_json
from riskmap.rerun.execution import record_of
from riskmap.rerun.sweep_jobs import Job


def write_table(jobs: Iterable[Job], folder: Path) -> pd.DataFrame:
    """Write ``table.csv`` and ``table.parquet`` from the records of finished jobs, and return the table.

    One row is one measurement: the job, its swept parameters (``param_NAME``), then what its notebook kept. A finished
    notebook that keeps nothing has one row.
    """
    rows = []
    for job in jobs:
        record = read_json(record_of(job.output))
        first: dict[str, Any] = {"job": job.name, "notebook": job.notebook.stem}
        first["executed"] = job.output.relative_to(folder).as_posix()
        first["seconds"] = record["duration_seconds"]
        first |= {f"{PREFIX}{name}": _plain(value) for name, value in job.swept.items()}
        rows += [first | row for row in record["results"] or [{}]]
    table = pd.DataFrame(rows, columns=None if rows else ["job", "notebook", "executed", "seconds"])
    with atomic_path(folder / "table.csv") as temporary:
        table.to_csv(temporary, index=False)
    with atomic_path(folder / "table.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    return table


def write_summary(
    title: str, table: pd.DataFrame, swept: Sequence[str], failed: Mapping[str, str], folder: Path
) -> Path:
    """Write ``summary.html``: what failed, a figure per varied parameter and measure, and links to the notebooks."""
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{table['job'].nunique()} finished jobs, {len(failed)} failed; "]
    parts.append(f"varied: {html.escape(', '.join(swept) or 'nothing')}.</p>")
    if failed:
        items = [f"<dt>{html.escape(n)}</dt><dd><pre>{html.escape(text)}</pre></dd>" for n, text in failed.items()]
        parts.append(f"<h2>Failed</h2><dl>{''.join(items)}</dl>")
    for measure in measures_of(table):
        parts.append(f"<h2>{html.escape(measure)}</h2>")
        for parameter in varied(table):
            if table.loc[table[measure].notna(), PREFIX + parameter].nunique() > 1:
                parts.append(_effect(table, parameter, measure))
        parts.append(linked_table(ranking(table, measure), folder, folder))
    if not measures_of(table):
        parts.append(linked_table(table, folder, folder))
    text = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>\n{chr(10).join(parts)}\n</main></body></html>\n"
    )
    with atomic_path(folder / "summary.html") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder / "summary.html"


_STYLE = """
body { margin: 0; background: #f6f6f4; font: 15px/1.55 system-ui, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 12px 28px 28px; background: #fff; overflow-x: auto; }
a { color: #0b5394; }
table { border-collapse: collapse; font-size: 13px; }
th, td { padding: 3px 10px; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
img { max-width: 100%; } pre { white-space: pre-wrap; }
"""


def _effect(table: pd.DataFrame, parameter: str, measure: str) -> str:
    """Return the figure of a parameter's effect, or why there is none: the table is there all the same."""
    try:
        picture = _picture(draw_effect(table, parameter, measure))
    except ValueError as error:
        return f"<p>No figure of {html.escape(measure)} against {html.escape(parameter)}: {html.escape(str(error))}</p>"
    return f'<p><img alt="{html.escape(measure)} against {html.escape(parameter)}" src="{picture}"></p>'


def _picture(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _plain(value: Any) -> Any:
    """Return a value that a column of a Parquet file can hold."""
    return json.dumps(value) if isinstance(value, list | dict) else value
