"""From run records to the tables and figures of the tutorial.

Nothing here trains or measures: each number is read from a record that a run has written.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from riskmap import plots
from riskmap.arms import ARMS
from riskmap.cohort import Cohort, Task
from riskmap.runs import Run
from riskmap.statistics import Estimate, patient_mean
from riskmap.transfer import compare_patients, most_harmed

MAIN_SHOTS = 3
TITLES = {name: arm.title for name, arm in ARMS.items()}


def scores(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per run and patient: cohort, pair, arm, rate, shots, seed, patient, dice (mean over classes).

    ``simulated`` tells whether the patients are, ``empty`` counts the classes that a patient does not have.
    """
    rows = []
    for record in records:
        parameters = record["parameters"]
        source = parameters["source"]["task"] if "source" in parameters else None
        for patient, score in record["results"]["patients"].items():
            rows.append(
                {
                    "cohort": parameters["data"]["cohort"],
                    "simulated": parameters["data"]["simulated"],
                    "source": source,
                    "target": parameters["task"],
                    "arm": parameters["arm"],
                    "rate": parameters["training"]["learning_rate"],
                    "shots": parameters["shots"],
                    "seed": parameters["seed"],
                    "patient": patient,
                    "dice": float(np.mean(score["dice"])),
                    "empty": sum(score["empty"]),
                }
            )
    return pd.DataFrame(rows)


def of_pair(frame: pd.DataFrame, source: str, target: str, shots: int | None = None) -> pd.DataFrame:
    """Return the rows of a pair; runs from scratch, which know no source, belong to every pair of their target."""
    chosen = (frame["target"] == target) & ((frame["source"] == source) | frame["source"].isna())
    if shots is not None:
        chosen &= frame["shots"] == shots
    return frame.loc[chosen]


def per_patient(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the Dice of each arm and patient, averaged over seeds, as a table [patient, arm].

    Raises:
        ValueError: an arm lacks a seed or a patient that another arm has, so that they cannot be paired.
    """
    counts = frame.pivot_table(index="patient", columns="arm", values="dice", aggfunc="count")
    if counts.isna().any(axis=None) or np.unique(counts).size != 1:
        raise ValueError(f"arms must share patients and seeds to be compared; runs per patient and arm:\n{counts}")
    return frame.pivot_table(index="patient", columns="arm", values="dice", aggfunc="mean")


def result_table(frame: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Return one row per arm: Dice, the negative-transfer gap and the gain over fine-tuning, with 95 % intervals.

    The gap is ``Dice(scratch) - Dice(arm)``, above 0 where transfer hurts (Wang et al., CVPR 2019). Both differences
    are in Dice points (hundredths), paired by patient after averaging over seeds; intervals are bootstrapped over
    patients.
    """
    dice = per_patient(frame)
    rows = []
    for arm in arms:
        gap, gain = compare(frame, "scratch", arm), compare(frame, arm, "fine_tune")
        rows.append(
            {
                "arm": TITLES[arm],
                "Dice [95 %]": patient_mean(dice[arm]).text(),
                "gap: scratch − arm": gap.text(digits=1, signed=True) if arm != "scratch" else "–",
                "gain over fine-tuning": gain.text(digits=1, signed=True) if arm != "fine_tune" else "–",
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
    """Return how many Dice points one arm lies above another, paired by patient after averaging over seeds."""
    dice = per_patient(frame.loc[frame["arm"].isin([better, worse])])
    return patient_mean(100 * (dice[better] - dice[worse]))


def answer(frame: pd.DataFrame, better: str, worse: str, question: str) -> str:
    """Return the question, what was measured and what the interval says, as an item of a Markdown list."""
    estimate = compare(frame, better, worse)
    return f"- {question} {estimate.text(digits=1, signed=True)} Dice points: **{estimate.verdict()}**."


def answers(frame: pd.DataFrame) -> str:
    """Return a Markdown list: is there negative transfer, and is each map above what it must be compared with?"""
    questions = {("scratch", "fine_tune"): "Is there negative transfer: scratch above fine-tuning?"}
    for arm, name in (("risk_map_paper", "reconstruction"), ("risk_map", "bounded map")):
        questions[arm, "fine_tune"] = f"Is the {name} above plain fine-tuning?"
        questions[arm, "scratch"] = f"Is the {name} above scratch?"
        questions[arm, "class_balanced"] = f"Is the {name} above class balance?"
        questions[arm, f"{arm}_shuffled"] = f"Is the {name} above its shuffled twin?"
    there = set(frame["arm"])
    return "\n".join(answer(frame, *pair, text) for pair, text in questions.items() if set(pair) <= there)


def shots_curve(frame: pd.DataFrame) -> pd.DataFrame:
    """Return arm, shots, dice, low, high: the mean over seeds and patients, and the lowest and highest seed."""
    seeds = frame.groupby(["arm", "shots", "seed"])["dice"].mean()
    curve = seeds.groupby(["arm", "shots"]).agg(dice="mean", low="min", high="max")
    return curve.reset_index()


def markdown_table(table: pd.DataFrame) -> str:
    """Return a table as GitHub's Markdown."""
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


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


def draw_harm(runs: Sequence[Run], cohort: Cohort) -> Figure:
    """Draw where plain fine-tuning harmed most, beside the reconstruction and the churn between two seeds from scratch.

    The pair is the first of the table, the patient and slice are those with the most harmed pixels: the worst
    picture, not a typical one.
    """
    source, target = _pairs(scores(run.record for run in runs))[0]
    of_target = [run for run in runs if _is_of(run.record, source, target)]
    found = {(run.record["parameters"]["arm"], run.record["parameters"]["seed"]): run for run in of_target}
    first, second = sorted({seed for _, seed in found})[:2]
    scratch = found["scratch", first].predictions()
    truth = {name: cohort.labels(name, Task.parse(target).target) for name in scratch}
    compared = {TITLES[arm]: found[arm, first] for arm in ("fine_tune", "risk_map_paper")}
    compared[f"churn: scratch, seed {second}"] = found["scratch", second]
    changes = {title: compare_patients(truth, scratch, run.predictions()) for title, run in compared.items()}
    worst, height = most_harmed(changes[TITLES["fine_tune"]])
    shown = {t: (per[worst].harmed[..., height], per[worst].repaired[..., height]) for t, per in changes.items()}
    figure = Figure(figsize=(4.3 * len(shown), 4.9), dpi=100, layout="constrained")
    image = cohort.image(worst, Task.parse(target).modality)[..., height]
    plots.plot_harm_row(figure.subplots(1, len(shown)), image, shown, truth[worst][..., height] > 0)
    figure.suptitle(f"{source} → {target}, patient {worst}: changed against scratch, seed {first} (simulated)")
    return figure


def draw_summary(frame: pd.DataFrame) -> Figure:
    """Draw each pair's patients at the table's number of shots, and below them Dice against the shots."""
    main = {pair: of_pair(frame, *pair, MAIN_SHOTS) for pair in _pairs(frame)}
    few = {pair: of_pair(frame.loc[frame["shots"] != MAIN_SHOTS], *pair) for pair in main}
    few = {pair: rows for pair, rows in few.items() if rows["source"].notna().any()}
    figure = Figure(figsize=(12, 4 * (len(main) + len(few))), dpi=100, layout="constrained")
    axes = iter(figure.subplots(len(main) + len(few), 1, squeeze=False).flat)
    for (source, target), rows in main.items():
        dice = per_patient(rows).reset_index().melt("patient", value_name="dice")
        ax = plots.plot_patients(next(axes), dice, order=_arms(rows), titles=TITLES)
        ax.set_title(f"{source} → {target}: {MAIN_SHOTS} target patients, a dot per test patient, the bar is the mean")
    for (source, target), rows in few.items():
        ax = plots.plot_shots(next(axes), shots_curve(rows), order=_arms(rows), titles=TITLES)
        ax.set_title(f"{source} → {target}: mean of the seeds, bars from the lowest to the highest")
    return figure


def readme_section(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the README's result section: a caption and a table per pair."""
    frame = scores(records)
    parts = []
    for source, target in _pairs(frame):
        rows = of_pair(frame, source, target, MAIN_SHOTS)
        parts += [f"**{source} → {target}** ({describe_sample(rows)})", ""]
        parts += [markdown_table(result_table(rows, _arms(rows))), "", answers(rows), ""]
    return "\n".join(parts).rstrip()


def _arms(frame: pd.DataFrame) -> list[str]:
    return [arm for arm in ARMS if arm in set(frame["arm"])]


def _pairs(frame: pd.DataFrame) -> list[tuple[str, str]]:
    pairs = frame.dropna(subset="source")[["source", "target"]].drop_duplicates()
    return sorted(pairs.itertuples(index=False, name=None))


def _is_of(record: Mapping[str, Any], source: str, target: str) -> bool:
    parameters = record["parameters"]
    same_source = "source" not in parameters or parameters["source"]["task"] == source
    return parameters["task"] == target and same_source and parameters["shots"] == MAIN_SHOTS
