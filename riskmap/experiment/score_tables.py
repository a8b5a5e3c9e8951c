"""From run records to scores, rows of Dice, and from them to the tables of the tutorial.

Nothing here trains or measures: each number is read from a record that a run has written.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from riskmap.experiment.shown import estimate_text, markdown_table, verdict_text
from riskmap.measure.statistics import Estimate, patient_mean
from riskmap.project.choices import unknown
from riskmap.training.arm import TWIN_SUFFIX
from riskmap.training.arms import in_order, title_of

MAIN_SHOTS = 3


def scores(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per run and patient: cohort, pair, arm, rate, steps, shots, draw, seed, patient, dice.

    ``dice`` is the mean of the classes, ``simulated`` tells whether the patients are, ``empty`` counts the classes that
    a patient does not have, ``left_out`` is which of the drawn patients was, or NaN, and ``source_steps`` how long the
    source network was trained.

    Raises:
        ValueError: the runs had different numbers of steps, so that no table can hold them side by side.
    """
    frame = score_rows(records)
    steps = sorted(frame["steps"].unique()) if len(frame) else []
    if len(steps) > 1:
        raise ValueError(f"runs of {', '.join(map(str, steps))} steps cannot stand in one table")
    return frame


def score_rows(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the rows of :func:`scores` of runs of any number of steps."""
    rows = []
    for record in records:
        parameters = record["parameters"]
        source = parameters.get("source", {})
        for patient, score in record["results"]["patients"].items():
            rows.append(
                {
                    "cohort": parameters["data"]["cohort"],
                    "simulated": parameters["data"]["simulated"],
                    "source": source.get("task"),
                    "source_steps": source.get("training", {}).get("steps"),
                    "target": parameters["task"],
                    "arm": parameters["arm"],
                    "rate": parameters["training"]["learning_rate"],
                    "steps": parameters["training"]["steps"],
                    "shots": parameters["shots"],
                    "draw": parameters["draw"],
                    "seed": parameters["seed"],
                    "left_out": parameters.get("left_out"),
                    "patient": patient,
                    "dice": float(np.mean(score["dice"])),
                    "empty": sum(score["empty"]),
                }
            )
    return pd.DataFrame(rows)


def rows_of_pair(frame: pd.DataFrame, source: str, target: str, shots: int | None = None) -> pd.DataFrame:
    """Return the rows of a pair; runs from scratch, which know no source, belong to every pair of their target."""
    chosen = (frame["target"] == target) & ((frame["source"] == source) | frame["source"].isna())
    if shots is not None:
        chosen &= frame["shots"] == shots
    return frame.loc[chosen]


def per_patient(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the Dice of each arm and patient, averaged over draws and seeds, as a table [patient, arm].

    Raises:
        ValueError: an arm lacks a draw, seed or patient that another arm has, or has one twice, so that they cannot be
            paired.
    """
    if frame.duplicated(["arm", "patient", "draw", "seed"]).any():
        raise ValueError("several runs of one arm, patient and seed: leave other shots, rates and pairs out first")
    each = frame.pivot(index="patient", columns=["arm", "draw", "seed"], values="dice")
    seeds = each.columns.droplevel("arm")
    # without one twice, as many rows as places are all of them
    if frame.empty or len(frame) != each.size or len(each.columns) != frame["arm"].nunique() * seeds.nunique():
        whole = frame.assign(seed=list(zip(frame["draw"], frame["seed"], strict=True)))
        shown = whole.pivot_table(
            index="patient", columns="arm", values="seed", aggfunc=lambda seed: tuple(sorted(seed))
        )
        raise ValueError(f"arms must share patients and seeds to be compared; seeds per patient and arm:\n{shown}")
    return each.T.groupby(level="arm").mean().T


def result_table(frame: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Return one row per arm: Dice, the negative-transfer gap and the gain over fine-tuning, with 95 % intervals.

    The gap is ``Dice(scratch) - Dice(arm)``, above 0 where transfer hurts (Wang et al., CVPR 2019). Both differences
    are in Dice points (hundredths), paired by patient after averaging over seeds; intervals are bootstrapped over
    patients.

    Raises:
        ValueError: an arm is not there, or scratch and plain fine-tuning are not, which all are compared with.
    """
    require_arms(frame, [*arms, "scratch", "fine_tune"])
    dice = per_patient(frame)
    rows = []
    for arm in arms:
        gap, gain = compare(frame, "scratch", arm), compare(frame, arm, "fine_tune")
        rows.append(
            {
                "arm": title_of(arm),
                "Dice [95 %]": estimate_text(patient_mean(dice[arm])),
                "gap: scratch − arm": estimate_text(gap, digits=1, signed=True) if arm != "scratch" else "–",
                "gain over fine-tuning": estimate_text(gain, digits=1, signed=True) if arm != "fine_tune" else "–",
                "patients worse than scratch": f"{int((dice[arm] < dice['scratch']).sum())} of {len(dice)}",
            }
        )
    return pd.DataFrame(rows)


def shots_table(frame: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Return :func:`result_table` for every number of shots, below one another, with a first column k."""
    tables = [result_table(rows, arms).assign(k=shots) for shots, rows in frame.groupby("shots")]
    whole = pd.concat(tables)
    return whole[["k", *whole.columns.drop("k")]]


def compare(frame: pd.DataFrame, better: str, worse: str) -> Estimate:
    """Return how many Dice points one arm lies above another, paired by patient after averaging over seeds.

    Raises:
        ValueError: one of the two is not there, or they do not share patients and seeds.
    """
    require_arms(frame, [better, worse])
    dice = per_patient(frame.loc[frame["arm"].isin([better, worse])])
    return patient_mean(100 * (dice[better] - dice[worse]))


def answer(frame: pd.DataFrame, better: str, worse: str, question: str) -> str:
    """Return the question, what was measured and what the interval says, as an item of a Markdown list."""
    estimate = compare(frame, better, worse)
    points = estimate_text(estimate, digits=1, signed=True)
    return f"- {question} {points} Dice points: **{verdict_text(estimate)}**."


def answers(frame: pd.DataFrame) -> str:
    """Return a Markdown list: is there negative transfer, and is each map above what it must be compared with?

    It asks about the two maps that the tutorial talks of, and about every arm that has its twin there.
    """
    there = arms_of(frame)
    names = {"risk_map_paper": "the reconstruction", "risk_map_focused_sampled": "the sampler by 1 + 20 r"}
    names |= {arm: title_of(arm) for arm in there if arm + TWIN_SUFFIX in there and arm not in names}
    questions = {
        ("scratch", "fine_tune"): "Is there negative transfer: scratch above fine-tuning?",
        ("scratch", "random_head"): "And with a head that starts at random: scratch above it?",
        ("fine_tune", "random_head"): "Is the head that starts at 0 above the random one?",
    }
    for arm, name in names.items():
        questions[arm, "fine_tune"] = f"Is {name} above plain fine-tuning?"
        questions[arm, "scratch"] = f"Is {name} above scratch?"
        questions[arm, "class_balanced"] = f"Is {name} above class balance?"
        questions[arm, arm + TWIN_SUFFIX] = f"Is {name} above its shuffled twin?"
    return "\n".join(answer(frame, *pair, text) for pair, text in questions.items() if {*pair} <= {*there})


def require_arms(frame: pd.DataFrame, arms: Iterable[str]) -> None:
    """Check that some rows hold runs of all these arms.

    Raises:
        ValueError: one is not there; the message names those that are.
    """
    there = arms_of(frame)
    for arm in arms:
        if arm not in there:
            raise ValueError(unknown(f"no run of the arm {arm!r}", there, arm, "There are"))


def shots_curve(frame: pd.DataFrame) -> pd.DataFrame:
    """Return arm, shots, dice, low, high: the mean over seeds and patients, and the lowest and highest seed."""
    seeds = frame.groupby(["arm", "shots", "seed"])["dice"].mean()
    curve = seeds.groupby(["arm", "shots"]).agg(dice="mean", low="min", high="max")
    return curve.reset_index()


def describe_sample(frame: pd.DataFrame) -> str:
    """Return "n patients, n seeds, ..." of a comparison, the count of empty masks included."""
    patients, seeds = frame["patient"].nunique(), frame["seed"].nunique()
    empty = int(frame.drop_duplicates("patient")["empty"].sum())
    shots = ", ".join(map(str, sorted(frame["shots"].unique())))
    kind = "simulated cohort" if frame["simulated"].all() else "real patients"
    return (
        f"{patients} test patients ({empty} without the target label), {seeds} seed{'s' if seeds > 1 else ''}, "
        f"{shots} target training patients; {kind}"
    )


def readme_section(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the README's result section: a caption and a table per pair."""
    frame = scores(records)
    parts = []
    for source, target in pairs_of(frame):
        rows = rows_of_pair(frame, source, target, MAIN_SHOTS)
        parts += [f"**{source} → {target}** ({describe_sample(rows)})", ""]
        parts += [markdown_table(result_table(rows, arms_of(rows))), "", answers(rows), ""]
    return "\n".join(parts).rstrip()


def titles_of(arms: Iterable[str]) -> dict[str, str]:
    """Return {arm: its title}."""
    return {arm: title_of(arm) for arm in arms}


def arms_of(frame: pd.DataFrame) -> list[str]:
    """Return the arms of some rows, in the order of tables."""
    return in_order(frame["arm"])


def pairs_of(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the (source, target) pairs of some rows, sorted."""
    pairs = frame.dropna(subset="source")[["source", "target"]].drop_duplicates()
    return sorted(pairs.itertuples(index=False, name=None))
