"""The table of a sweep: what was varied, what each value did, and which re-runs came out best.

One row is one measurement. It holds the job and its executed notebook, the swept parameters (``param_NAME``), what it
belongs to (arm, steps, seed, patient, run, as far as there are any) and the measured numbers.
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
    *("job", "notebook", "executed", "cohort", "source", "target", "arm", "rate", "steps", "shots", "seed", "patient"),
    *("run", "empty", "seconds"),
)
# those of them by which a reader can tell two runs apart
_SHOWN_KEYS = tuple(name for name in KEYS if name not in ("run", "empty", "seconds"))
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
    unseen = ["job", "executed", "run", "seconds"]
    differing = table.columns[table.nunique(dropna=False) > 1].difference(unseen, sort=False)
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
    notebook where there are no arms; an arm that one notebook has trained with several numbers of steps is a group for
    each.

    Raises:
        ValueError: several runs that no column tells apart, such as two versions of an arm with one name.
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
    keys += ["steps"] if _of_several_steps(rows, _arms(rows)) else []
    means = rows.groupby(keys, dropna=False, sort=False)[measure].mean().reset_index()
    upwards = measure in LOWER_IS_BETTER
    return means.sort_values(measure, ascending=upwards, kind="stable", ignore_index=True)


def value_text(value: object) -> str:
    """Write a value of a parameter: 0.002 and not 0.0020000000000000000416."""
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


def _seed_means(table: pd.DataFrame, parameter: str, measure: str) -> pd.Series:
    """Return the mean of a measure by group, value and seed."""
    rows = table.dropna(subset=[measure, PREFIX + parameter])
    _check_told_apart(rows)
    keyed = rows.assign(group=_groups(rows), value=rows[PREFIX + parameter], seed=rows.get("seed", 0))
    return keyed.groupby(["group", "value", "seed"], sort=False)[measure].mean()


def _check_told_apart(rows: pd.DataFrame) -> None:
    """Check that rows of different runs differ in a column that a reader knows, since all others are averaged."""
    if "run" not in rows:  # a table of before runs were named in it
        return
    keys = [name for name in rows.columns if name in _SHOWN_KEYS or name.startswith(PREFIX)]
    runs = rows.groupby(keys, dropna=False)["run"].transform("nunique")
    mixed = sorted(set(_arms(rows)[runs > 1]))
    if mixed:
        raise ValueError(
            f"several runs of {', '.join(mixed)} with the same pair, steps and seed in one notebook: no column of the "
            "table tells them apart. Give each version of an arm a name of its own, and each setting its own job"
        )


def _groups(rows: pd.DataFrame) -> pd.Series:
    arms = _arms(rows)
    several = _of_several_steps(rows, arms)
    return arms.mask(arms.isin(several), arms + ", " + rows["steps"].map("{:g} steps".format)) if several else arms


def _arms(rows: pd.DataFrame) -> pd.Series:
    return rows["arm"].fillna(rows["notebook"]) if "arm" in rows else rows["notebook"]


def _of_several_steps(rows: pd.DataFrame, arms: pd.Series) -> set[str]:
    """Return the arms that one notebook has trained with several numbers of steps."""
    if "steps" not in rows or "executed" not in rows:
        return set()
    return set(arms[rows.groupby(["executed", arms])["steps"].transform("nunique") > 1])


def _point_text(names: Iterable[str], point: Iterable[Any]) -> str:
    return ", ".join(f"{name} {value_text(value)}" for name, value in zip(names, point, strict=True))
