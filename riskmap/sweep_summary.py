"""From the records of a sweep to one table, and to a page that shows it."""

import base64
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from riskmap.execution import sidecar_of
from riskmap.files import atomic_path, read_json
from riskmap.html_pages import STYLE
from riskmap.plots_sweeps import plot_effect
from riskmap.sweep_plan import Task

PREFIX = "param_"
# what a row belongs to, not what was measured
KEYS = (
    *("task", "notebook", "executed", "cohort", "source", "target", "arm", "rate", "shots", "seed", "patient"),
    *("empty", "seconds"),
)


def write_table(tasks: Iterable[Task], folder: Path) -> pd.DataFrame:
    """Write ``table.csv`` and ``table.parquet`` from the records of finished tasks, and return the table.

    One row is one measurement: the task, its swept parameters (``param_NAME``), then what its notebook kept. A finished
    notebook that keeps nothing has one row.
    """
    rows = []
    for task in tasks:
        if not task.finished():
            continue
        record = read_json(sidecar_of(task.output))
        first = {"task": task.name, "notebook": task.notebook.stem}
        first["executed"] = task.output.relative_to(folder).as_posix()
        first["seconds"] = record["duration_seconds"]
        first |= {f"{PREFIX}{name}": _plain(value) for name, value in task.swept.items()}
        rows += [first | row for row in record["results"] or [{}]]
    table = pd.DataFrame(rows, columns=None if rows else ["task", "notebook", "executed", "seconds"])
    with atomic_path(folder / "table.csv") as temporary:
        table.to_csv(temporary, index=False)
    with atomic_path(folder / "table.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    return table


def read_table(folder: Path) -> pd.DataFrame:
    """Read the table of a sweep.

    Raises:
        ValueError: there is none; the message says how to make it.
    """
    path = folder / "table.parquet"
    if not path.is_file():
        raise ValueError(f"no table in {folder}; python -m riskmap.sweep SWEEP.yaml --out {folder} makes it")
    return pd.read_parquet(path)


def measures_of(table: pd.DataFrame) -> list[str]:
    """Return the columns that hold measured numbers."""
    numbers = table.select_dtypes("number").columns
    return [name for name in numbers if name not in KEYS and not name.startswith(PREFIX)]


def varied(table: pd.DataFrame) -> list[str]:
    """Return the swept parameters with more than one value, seeds left out: they show the spread."""
    names = [name.removeprefix(PREFIX) for name in table.columns if name.startswith(PREFIX)]
    return [name for name in names if "seed" not in name and table[PREFIX + name].nunique() > 1]


def effect_of(table: pd.DataFrame, parameter: str, measure: str) -> pd.DataFrame:
    """Return group, value, mean, low, high, seeds: the mean over seeds, and the lowest and the highest seed.

    Patients, and runs that differ in other parameters, are averaged within a seed first. A group is an arm, or the
    notebook where there are no arms.
    """
    rows = table.dropna(subset=[measure, PREFIX + parameter])
    group = rows["arm"].fillna(rows["notebook"]) if "arm" in rows else rows["notebook"]
    seed = rows.get("seed", 0)
    keyed = rows.assign(group=group, value=rows[PREFIX + parameter], seed=seed)
    by_seed = keyed.groupby(["group", "value", "seed"], sort=False)[measure].mean()
    effect = by_seed.groupby(level=["group", "value"], sort=False).agg(mean="mean", low="min", high="max", seeds="size")
    effect = effect.reset_index().sort_values(["group", "value"], kind="stable")
    return effect.assign(value=effect["value"].map(_label))


def ranking(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return one row per executed notebook and arm, from the highest mean of a measure to the lowest."""
    rows = table.dropna(subset=[measure])
    keys = ["executed", *(["arm"] if "arm" in rows else []), *(c for c in rows.columns if c.startswith(PREFIX))]
    means = rows.groupby(keys, dropna=False, sort=False)[measure].mean().reset_index()
    return means.sort_values(measure, ascending=False, kind="stable", ignore_index=True)


def draw_effect(table: pd.DataFrame, parameter: str, measure: str) -> Figure:
    """Draw :func:`effect_of` as a figure of its own."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    effect = effect_of(table, parameter, measure)
    ax = plot_effect(figure.subplots(), effect, parameter=parameter, measure=measure)
    counts = sorted(set(effect["seeds"]))
    ax.set_title(f"mean of {' to '.join(map(str, counts))} seeds, bars from the lowest to the highest")
    return figure


def write_summary(
    title: str, table: pd.DataFrame, swept: Sequence[str], failed: Mapping[str, str], folder: Path
) -> Path:
    """Write ``summary.html``: what failed, a figure per varied parameter and measure, and links to the notebooks."""
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{table['task'].nunique()} finished runs, {len(failed)} failed; "]
    parts.append(f"varied: {html.escape(', '.join(swept) or 'nothing')}.</p>")
    if failed:
        items = [f"<dt>{html.escape(n)}</dt><dd><pre>{html.escape(text)}</pre></dd>" for n, text in failed.items()]
        parts.append(f"<h2>Failed</h2><dl>{''.join(items)}</dl>")
    for measure in measures_of(table):
        parts.append(f"<h2>{html.escape(measure)}</h2>")
        for parameter in varied(table):
            if table.loc[table[measure].notna(), PREFIX + parameter].nunique() > 1:
                picture = _picture(draw_effect(table, parameter, measure))
                parts.append(f'<p><img alt="{measure} against {html.escape(parameter)}" src="{picture}"></p>')
        parts.append(linked_table(ranking(table, measure)))
    if not measures_of(table):
        parts.append(linked_table(table))
    text = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>body {{ margin: 0; }}{STYLE}{_STYLE}</style></head>\n"
        f'<body class="jp-Notebook"><main class="sweep">\n{chr(10).join(parts)}\n</main></body></html>\n'
    )
    with atomic_path(folder / "summary.html") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder / "summary.html"


_STYLE = """
main.sweep { font-family: system-ui, sans-serif; overflow-x: auto; }
main.sweep table { border-collapse: collapse; font-size: 13px; }
main.sweep th, main.sweep td { padding: 3px 10px; border-bottom: 1px solid #ddd; text-align: right; }
main.sweep img { max-width: 100%; } main.sweep pre { white-space: pre-wrap; }
"""


def linked_table(rows: pd.DataFrame, prefix: str = "") -> str:
    """Return a table as HTML whose column ``executed`` links to each notebook, ``prefix`` before its path."""
    names = {name: name.removeprefix(PREFIX) for name in rows.columns}

    def link(path: str) -> str:
        return f'<a href="{html.escape(prefix + path)}">{html.escape(Path(path).stem)}</a>'

    shown = rows.assign(executed=rows["executed"].map(link)).rename(columns=names)
    escaped = {c: html.escape for c in shown.columns if c != "executed" and shown[c].map(type).eq(str).all()}
    return shown.to_html(index=False, escape=False, border=0, float_format="{:.4g}".format, formatters=escaped)


def _picture(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _plain(value: object) -> object:
    """Return a value that a column of a Parquet file can hold."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def _label(value: object) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)
