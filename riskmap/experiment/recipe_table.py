"""The tables of how the recipe of training was chosen, from the rows that ``riskmap.experiment.recipe`` keeps."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from riskmap.experiment.score_tables import markdown_table

_TITLES = {
    "scratch": "From scratch",
    "heads": "How the head of a transferred network starts",
    "machines": "What another number format, and another number of threads, do to a run",
}


def recipe_tables(rows: Sequence[Mapping[str, Any]]) -> dict[str, pd.DataFrame]:
    """Return a table per group and cohort, by title: a row per variant, a column per task, mean and deviation."""
    frame = pd.DataFrame(rows)
    tables = {}
    for (group, cohort), part in frame.groupby(["group", "cohort"], sort=False):
        # from scratch a pair is its target
        pair = part["target"] if group == "scratch" else part["pair"]
        cells = part.assign(
            pair=pair, cell=[f"{dice:.3f} ± {sd:.3f}" for dice, sd in zip(part["dice"], part["sd"], strict=True)]
        )
        table = cells.pivot_table(index="variant", columns="pair", values="cell", aggfunc="first", sort=False)
        table["processor s"] = part.groupby("variant")["processor_seconds"].mean().map("{:.1f}".format)
        (runs,) = part["runs"].unique()
        tables[f"{_TITLES[group]}, {cohort}, {runs} first weights"] = table.reset_index()
    return tables


def recipe_section(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the README's tables of the recipe."""
    parts = [part for title, table in recipe_tables(rows).items() for part in (f"**{title}**", markdown_table(table))]
    return "\n\n".join(parts)
