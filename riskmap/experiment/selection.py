"""Choosing among arms instead of believing in one: by validation patients, at equal cost, or without extra labels.

A selection trains nothing of its own. It looks at the validation curves of runs that are there, or at runs in which one
of the target patients was left out, and takes the test scores of the run that it chooses, per draw and seed. What it
costs is said with it: labelled patients that could have been trained on, or training steps.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from riskmap.training.arms import in_order

# the curve of each arm, [arm, step], to the name of the one that is chosen
Choose = Callable[[pd.DataFrame], str]
KEYS = ["cohort", "target", "steps", "shots", "draw", "seed"]


def curves(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per run of what it was, and of its validation Dice after each step, in columns named by the step.

    Runs in which a patient was left out are none of them; see :func:`held_out`.
    """
    rows = []
    for record in records:
        parameters = record["parameters"]
        if parameters["left_out"] is None:
            of_steps = {int(step): dice for step, dice in record["results"]["validation_dice"].items()}
            rows.append(_names(parameters) | of_steps)
    return pd.DataFrame(rows)


def held_out(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per arm, draw and seed: its Dice on the patients that were left out in turn, in a column 0.

    It stands for the curve of the run on all these patients, whose number of shots it has.

    Raises:
        ValueError: not each of the patients was left out, or one twice.
    """
    rows = []
    for record in records:
        parameters = record["parameters"]
        if parameters["left_out"] is not None:
            dice = [np.mean(score["dice"]) for score in record["results"]["patients"].values()]
            rows.append(_names(parameters) | {0: float(np.mean(dice))})
    frame = pd.DataFrame(rows)
    names = [name for name in frame.columns if name != 0]
    folds = frame.groupby(names, dropna=False, as_index=False)[0].agg(["mean", "size"])
    if (folds["size"] != folds["shots"]).any():
        raise ValueError("each target patient must be left out once; runs are missing, or there twice")
    return folds.rename(columns={"mean": 0}).drop(columns="size")


@dataclass(frozen=True)
class Selection:
    """A way to choose among arms.

    Args:
        title: for tables.
        arms: that are chosen among.
        leaves_out: whether it looks at patients that are left out in turn (:func:`held_out`), or at :func:`curves`.
        choose: from what it sees to the name of an arm.
        runs: what it costs, in whole runs; what looks at curves costs labelled validation patients as well.
    """

    title: str
    arms: tuple[str, ...]
    leaves_out: bool
    choose: Choose
    runs: float


def _names(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cohort": parameters["data"]["cohort"],
        "source": parameters["source"]["task"] if "source" in parameters else None,
        "source_steps": parameters["source"]["training"]["steps"] if "source" in parameters else None,
        "target": parameters["task"],
        "arm": parameters["arm"],
        "rate": parameters["training"]["learning_rate"],
        "steps": parameters["training"]["steps"],
        **{name: parameters[name] for name in ("shots", "draw", "seed")},
    }


def best_at_the_end(of_arms: pd.DataFrame) -> str:
    """Return the arm whose curve ends highest; of equal ones the first.

    >>> best_at_the_end(pd.DataFrame({75: [0.9, 0.1], 300: [0.5, 0.6]}, index=["scratch", "fine_tune"]))
    'fine_tune'
    """
    return str(of_arms.iloc[:, -1].idxmax())


def halved(of_arms: pd.DataFrame) -> str:
    """Return the arm that is left when after each step but the last the worse half stops (successive halving).

    Jamieson and Talwalkar, AISTATS 2016. Of equal arms the first stays.

    >>> curves = pd.DataFrame({75: [0.1, 0.3, 0.4], 300: [0.9, 0.6, 0.5]}, index=["scratch", "fine_tune", "focal"])
    >>> halved(curves)
    'fine_tune'
    """
    left = of_arms
    for step in of_arms.columns[:-1]:
        # a stable sort keeps the order of equal arms
        order = left[step].sort_values(ascending=False, kind="stable").index
        kept = order[: -(-len(left) // 2)]
        left = left.loc[left.index.isin(kept)]
    return best_at_the_end(left)


def runs_of_halving(arms: int, steps: Sequence[int]) -> float:
    """Return what :func:`halved` costs, in whole runs.

    >>> runs_of_halving(4, (75, 150, 300))
    2.0
    """
    spent, left, before = 0, arms, 0
    for step in steps:
        spent += left * (step - before)
        left, before = -(-left // 2), step
    return spent / steps[-1]


def select(rows: pd.DataFrame, of_runs: pd.DataFrame, arms: Sequence[str], choose: Choose, name: str) -> pd.DataFrame:
    """Return the test scores of the runs that are chosen, per draw and seed, under the name of the selection.

    Args:
        rows: of one pair and number of shots, each arm at its rate, see
            :meth:`riskmap.experiment.findings.Findings.rows`.
        of_runs: the curves of these runs, see :func:`curves` and :func:`held_out`.
        arms: that are chosen among.
        choose: sees the curves of one draw and seed.
        name: of the selection.

    Raises:
        ValueError: a run has no curve.
    """
    chosen = []
    among = rows.loc[rows["arm"].isin(arms)]
    # each arm at the rate and from the source of its scores; from scratch there is no source
    of_run = [*KEYS, "arm", "rate", "source", "source_steps"]
    looked_at = among[of_run].drop_duplicates().merge(of_runs, on=of_run)
    by_draw = dict(iter(looked_at.groupby(KEYS)))
    for draw, part in among.groupby(KEYS, sort=False):
        of_draw = by_draw.get(draw, looked_at.iloc[:0]).set_index("arm")
        lacking = [arm for arm in arms if list(of_draw.index).count(arm) != 1]
        if lacking:
            raise ValueError(f"{name} needs one curve of each arm, which {', '.join(lacking)} have not at {draw}")
        steps = sorted(column for column in of_draw.columns if isinstance(column, int))
        # runs of other lengths have other columns
        seen = of_draw.loc[in_order(arms), steps].dropna(axis=1, how="all")
        if seen.isna().any(axis=None):
            raise ValueError(f"{name} needs curves with the same steps at {draw}")
        arm = choose(seen)
        chosen.append(part.loc[part["arm"] == arm].assign(arm=name, chosen=arm))
    return pd.concat(chosen)


# steps after which a selection at equal cost looks, in quarters of a run
LOOKS_AT = (75, 150, 300)
_AMONG = ("scratch", "fine_tune", "class_balanced", "risk_map_paper")
SELECTIONS = {
    "select": Selection("Best of four, validated", _AMONG, False, best_at_the_end, len(_AMONG)),
    "select_halved": Selection("Same, by halving", _AMONG, False, halved, runs_of_halving(len(_AMONG), LOOKS_AT)),
    # each of three arms three times, and the chosen one on all patients
    "select_left_out": Selection("Best of three, left out in turn", _AMONG[:3], True, best_at_the_end, 3 * 3 + 1),
}
