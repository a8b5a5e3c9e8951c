"""From run records to tables and figures; ``python -m riskmap.report`` writes those of the README.

Nothing here trains or measures: each number is read from a record that a run has written.
"""

import argparse
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from riskmap import plots
from riskmap.arms import ARMS
from riskmap.cohort import Cohort, Task
from riskmap.files import atomic_path, digest_of, read_json, write_json
from riskmap.paths import PROJECT_ROOT, resolve
from riskmap.records import processor_name
from riskmap.runs import Run
from riskmap.statistics import Estimate, patient_mean
from riskmap.transfer import compare_patients, most_harmed

PUBLISHED = PROJECT_ROOT / "results" / "tutorial.json"
FIGURE = PROJECT_ROOT / "results" / "tutorial.png"
HARM_FIGURE = PROJECT_ROOT / "results" / "negative_transfer.png"
COST = PROJECT_ROOT / "results" / "cost.json"
README = PROJECT_ROOT / "README.md"
MAIN_SHOTS = 3
TITLES = {name: arm.title for name, arm in ARMS.items()}


def scores(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per run and patient: cohort, pair, arm, rate, shots, seed, patient, dice (mean over classes)."""
    rows = []
    for record in records:
        parameters = record["parameters"]
        source = parameters["source"]["task"] if "source" in parameters else None
        for patient, score in record["results"]["patients"].items():
            rows.append(
                {
                    "cohort": parameters["data"]["cohort"],
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
    return (
        f"{patients} test patients ({empty} without the target label), {seeds} seeds, {shots} target training "
        "patients; simulated cohort"
    )


def publish(out_dir: Path, cohort: Cohort, path: Path = PUBLISHED) -> None:
    """Write the records of a folder's transfer runs into one small file, without curves, and draw the harm figure.

    Raises:
        ValueError: the folder holds no transfer run on this cohort.
    """
    found = sorted((out_dir / "transfer").glob("*/*/record.json"))
    runs = [Run(record.parent, read_json(record)) for record in found]
    runs = [run for run in runs if run.record["parameters"]["data"]["digest"] == cohort.digest]
    if not runs:
        raise ValueError(f"{out_dir} holds no transfer run on the cohort {cohort.name}; run the tutorial first")
    write_json(path, [_without_curves(run.record) for run in runs])
    figure = draw_harm(runs, cohort)
    _save(figure, HARM_FIGURE, read_json(path))


def publish_cost(notebooks: Path, path: Path = COST) -> None:
    """Write how long each executed notebook of a folder took, from the records beside them."""
    records = {record.name.split(".")[0]: read_json(record) for record in sorted(notebooks.glob("*.ipynb.json"))}
    if not records:
        raise ValueError(f"{notebooks} holds no executed notebook; run the tutorial first")
    seconds = {name: record["duration_seconds"] for name, record in records.items()}
    write_json(path, {"seconds": seconds, "processor": processor_name(), "cores": os.cpu_count()})


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


def replace_section(text: str, name: str, content: str) -> str:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->``.

    Raises:
        ValueError: the markers are not there exactly once.
    """
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"the text must hold <!-- {name} --> ... <!-- /{name} --> exactly once")
    return pattern.sub(lambda match: match[1] + content + "\n" + match[2], text)


def figure_digest(path: Path) -> str | None:
    """Return the digest of the records that a figure was drawn from, as written into the PNG."""
    with Image.open(path) as picture:
        return picture.info.get("records")


def _arms(frame: pd.DataFrame) -> list[str]:
    return [arm for arm in ARMS if arm in set(frame["arm"])]


def _pairs(frame: pd.DataFrame) -> list[tuple[str, str]]:
    pairs = frame.dropna(subset="source")[["source", "target"]].drop_duplicates()
    return sorted(pairs.itertuples(index=False, name=None))


def _is_of(record: Mapping[str, Any], source: str, target: str) -> bool:
    parameters = record["parameters"]
    same_source = "source" not in parameters or parameters["source"]["task"] == source
    return parameters["task"] == target and same_source and parameters["shots"] == MAIN_SHOTS


def _without_curves(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "results": {key: value for key, value in record["results"].items() if key != "history"}}


def _save(figure: Figure, path: Path, records: Any) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, metadata={"records": digest_of(records)})


def main(arguments: Sequence[str] | None = None) -> None:
    """Regenerate the README's figure and table from ``results/``; with --publish, collect new records there first."""
    parser = argparse.ArgumentParser(prog="python -m riskmap.report", description=main.__doc__)
    parser.add_argument("--publish", metavar="OUT_DIR", help="collect the records of this folder's transfer runs")
    parser.add_argument("--cost", metavar="FOLDER", help="collect how long this folder's executed notebooks took")
    parser.add_argument("--cohort", metavar="FOLDER", default="build/data/prepared/fets2021_simulated")
    options = parser.parse_args(arguments)
    if options.publish:
        publish(resolve(options.publish), Cohort.open(resolve(options.cohort)))
    if options.cost:
        publish_cost(resolve(options.cost))
    records = read_json(PUBLISHED)
    _save(draw_summary(scores(records)), FIGURE, records)
    readme = replace_section(README.read_text(encoding="utf-8"), "tutorial-table", readme_section(records))
    with atomic_path(README) as temporary:
        temporary.write_text(readme, encoding="utf-8")
    print(f"wrote {FIGURE.name} and the result section of {README.name} from {len(records)} records")


if __name__ == "__main__":
    main()
