"""The table of a sweep: what was varied, what each value did, and which runs came out best.

One row is one measurement. It holds the job and its executed notebook, the swept parameters (``param_NAME``), what it
belongs to (arm, seed, patient, as far as there are any) and the measured numbers.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from riskmap.project.files import read_json

PREFIX = "param_"
# what a row belongs to, not what was measured
KEYS = (
    *("job", "notebook", "executed", "cohort", "source", "target", "arm", "rate", "shots", "seed", "patient"),
    *("empty", "seconds"),
)
# distances; of every other measure more is better
LOWER_IS_BETTER = ("hausdorff95_mm",)


def read_table(folder: Path) -> pd.DataFrame:
    """Read the table of a sweep: ``table.parquet``, or ``table.csv`` where only that was kept.

    Raises:
        ValueError: there is none; the message says how to make it.
    """
    parquet, csv = folder / "table.parquet", folder / "table.csv"
    if parquet.is_file():
        return pd.read_parquet(parquet)
    if csv.is_file():
        return pd.read_csv(csv)
    raise ValueError(f"no table in {folder}; python -m riskmap sweep SWEEP.yaml --out {folder} makes it")


def read_jobs(folder: Path) -> pd.DataFrame:
    """Return one row per job of a sweep: its name, its notebook, its parameters, and why it failed if it did.

    Raises:
        ValueError: the folder holds no ``sweep.json``.
    """
    path = folder / "sweep.json"
    if not path.is_file():
        raise ValueError(f"no sweep.json in {folder}; python -m riskmap sweep SWEEP.yaml --out {folder} makes it")
    return pd.DataFrame(read_json(path)["jobs"])


def sample_rows(table: pd.DataFrame, most: int = 5) -> pd.DataFrame:
    """Return a few rows, the same at each call, with the columns in which the table's rows differ."""
    differing = table.columns[table.nunique(dropna=False) > 1].difference(["job", "executed", "seconds"], sort=False)
    return table[differing].sample(min(most, len(table)), random_state=0).sort_index()


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
    by_seed = _seed_means(table, parameter, measure)
    effect = by_seed.groupby(level=["group", "value"], sort=False).agg(mean="mean", low="min", high="max", seeds="size")
    effect = effect.reset_index().sort_values(["group", "value"], kind="stable", ignore_index=True)
    return effect.assign(value=effect["value"].map(value_text))


def winners(table: pd.DataFrame, parameter: str, measure: str) -> pd.DataFrame:
    """Return group, value, wins, seeds: in how many seeds each value of a parameter was the best one of its group.

    An effect worth its name wins in nearly every seed; one that wins in half of them may be luck. Equal values all win.
    """
    seeds = _seed_means(table, parameter, measure).unstack("value")
    best = seeds.min(axis=1) if measure in LOWER_IS_BETTER else seeds.max(axis=1)
    wins = seeds.eq(best, axis=0).groupby(level="group", sort=False).sum()
    counted = wins.stack().rename("wins").reset_index()
    totals = seeds.groupby(level="group").size()
    counted = counted.assign(seeds=counted["group"].map(totals))
    counted = counted.sort_values(["group", "value"], kind="stable", ignore_index=True)
    return counted.assign(value=counted["value"].map(value_text))


def by_other_parameters(table: pd.DataFrame, parameter: str) -> dict[str, pd.DataFrame]:
    """Split a table by all varied parameters but one; the keys read like ``source FLAIR:WT, shots 3``."""
    others = [name for name in varied(table) if name != parameter]
    if not others:
        return {"": table}
    found = table.groupby([PREFIX + name for name in others], sort=False)
    return {_point_text(others, point): rows for point, rows in found}


def ranking(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return one row per executed notebook and arm, from the best mean of a measure to the worst."""
    rows = table.dropna(subset=[measure])
    keys = ["executed", *(["arm"] if "arm" in rows else []), *(c for c in rows.columns if c.startswith(PREFIX))]
    means = rows.groupby(keys, dropna=False, sort=False)[measure].mean().reset_index()
    upwards = measure in LOWER_IS_BETTER
    return means.sort_values(measure, ascending=upwards, kind="stable", ignore_index=True)


def value_text(value: object) -> str:
    """Write a value of a parameter: 0.002 and not 0.0020000000000000000416."""
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


def _seed_means(table: pd.DataFrame, parameter: str, measure: str) -> pd.Series:
    """Return the mean of a measure by group, value and seed."""
    rows = table.dropna(subset=[measure, PREFIX + parameter])
    group = rows["arm"].fillna(rows["notebook"]) if "arm" in rows else rows["notebook"]
    keyed = rows.assign(group=group, value=rows[PREFIX + parameter], seed=rows.get("seed", 0))
    return keyed.groupby(["group", "value", "seed"], sort=False)[measure].mean()


def _point_text(names: Iterable[str], point: Iterable[Any]) -> str:
    return ", ".join(f"{name} {value_text(value)}" for name, value in zip(names, point, strict=True))
