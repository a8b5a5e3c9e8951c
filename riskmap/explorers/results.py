"""Explorers of results: predictions arm against arm, Dice against the number of patients, and the matrix of gaps."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pandas as pd

from riskmap.data.cohort import Cohort, Task
from riskmap.experiment import score_tables
from riskmap.experiment.figures import cell_of, gap_matrix
from riskmap.experiment.findings import Findings
from riskmap.experiment.plan import Pair
from riskmap.experiment.shown import estimate_text, verdict_text
from riskmap.explorers.base import Explorer, choice, panels, slice_slider, steps_slider
from riskmap.explorers.picture import wipe
from riskmap.figures.charts import plot_differences, plot_matrix, plot_patients, plot_shots
from riskmap.figures.images import busiest_slice, enlarge, plot_frame, plot_harm, plot_outlines, window_of
from riskmap.figures.style import GREY
from riskmap.measure.harm import PixelTransfer, compare_pixels, mean_kinds, most_harmed
from riskmap.measure.statistics import Estimate, patient_mean
from riskmap.training.arms import title_of
from riskmap.training.runs import Run

METRICS = ("Dice", "gain over fine-tuning", "gap to scratch")
_UNITS = {"Dice": "Dice", "gain over fine-tuning": "gain (Dice points)", "gap to scratch": "gap (Dice points)"}
_PLACE = {"left": 0.1, "right": 0.99, "bottom": 0.2, "top": 0.92, "wspace": 0.22}


def explore_predictions(cohort: Cohort, task: Task, runs: Mapping[str, Run]) -> Explorer:
    """Return an explorer of predictions: what one run has right and another one wrong, slice by slice.

    Args:
        cohort: the cohort of the runs.
        task: the target task of the runs.
        runs: by a title; two or more that scored the same patients. At first the second is held against the first,
            on the patient and slice with the most harm.

    Raises:
        ValueError: fewer than two runs, or runs that scored different patients.
    """
    titles = list(runs)
    if len(titles) < 2:
        raise ValueError(f"runs must hold two or more to compare, got {titles}")
    scored = {title: list(run.record["results"]["patients"]) for title, run in runs.items()}
    subjects = scored[titles[0]]
    if any(sorted(each) != sorted(subjects) for each in scored.values()):
        raise ValueError(f"runs must have scored the same patients, got {scored}")
    predictions = cache(lambda title: runs[title].predictions())
    image, labels = lru_cache(maxsize=4)(cohort.image), lru_cache(maxsize=4)(cohort.labels)
    place = {"left": 0.01, "right": 0.99, "bottom": 0.25, "top": 0.93, "wspace": 0.05}
    figure = panels(3, width=10.5, height=4.4, place=place)
    spec = cohort.targets[task.target]

    @lru_cache(maxsize=64)
    def compared(reference: str, other: str, patient: str) -> PixelTransfer:
        return compare_pixels(
            labels(patient, task.target), predictions(reference)[patient], predictions(other)[patient]
        )

    def draw(reference: str, other: str, patient: str, height: int) -> str:
        picture = image(patient, task.modality)[..., height]
        truth = labels(patient, task.target)[..., height]
        first, second = (predictions(title)[patient][..., height] for title in (reference, other))
        change = compared(reference, other, patient)
        masks = (change.harmed[..., height], change.repaired[..., height])
        for ax in figure.axes:
            wipe(ax)
        left, middle, right = figure.axes
        style = {"num_classes": spec.num_classes}
        plot_outlines(left, picture, {"truth": truth}, title=f"{task}: the truth", **style)
        outlines = {"truth": truth, f"reference: {reference}": first, f"other: {other}": second}
        plot_outlines(middle, picture, outlines, title="both predictions, enlarged", **style)
        plot_harm(right, picture, *masks, truth > 0, title="other against reference, enlarged")
        window = window_of(np.any(change.region, axis=2) if change.region.any() else np.ones(truth.shape))
        plot_frame(left, window)
        for ax in (middle, right):
            enlarge(ax, window)
        scores = [_mean_dice(runs[title], patient) for title in (reference, other)]
        return _describe_change(
            patient, height, (reference, other), scores, change, labels(patient, task.target), masks
        )

    patient, height = _first_view({s: compared(*titles[:2], s) for s in subjects}, lambda s: labels(s, task.target))
    inputs = {
        "reference": choice("reference", titles, titles[0]),
        "other": choice("other", titles, titles[1]),
        "patient": choice("patient", subjects, patient),
        "height": slice_slider(height, cohort.shape[2] - 1),
    }
    strip = [{"other": title} for title in titles[1:4]]
    return Explorer(figure, inputs, draw, strip)


def explore_few_shot(frame: pd.DataFrame) -> Explorer:
    """Return an explorer of Dice against the number of target patients: the curves, and the patients at one number.

    Args:
        frame: of :func:`riskmap.experiment.score_tables.scores`, one pair, with runs from scratch and of plain
            fine-tuning.

    Raises:
        ValueError: one of the two is lacking.
    """
    arms = score_tables.arms_of(frame)
    if not {"scratch", "fine_tune"} <= set(arms):
        raise ValueError(f"frame must hold the arms scratch and fine_tune, got {arms}")
    shots = sorted(int(each) for each in frame["shots"].unique())
    frames = {metric: _in_metric(frame, metric) for metric in METRICS}
    figure = panels(2, width=11.25, height=4.2, place=_PLACE, width_ratios=(1, 1.25))
    curves, patients = figure.axes

    shots_curves = {metric: score_tables.shots_curve(rows) for metric, rows in frames.items()}
    ranges = {metric: _limits(rows, metric) for metric, rows in frames.items()}

    @cache
    def by_patient(metric: str, k: int) -> pd.DataFrame:
        rows = frames[metric]
        return score_tables.per_patient(rows.loc[rows["shots"] == k]).reset_index().melt("patient", value_name="dice")

    @cache
    def estimate(metric: str, arm: str, k: int) -> Estimate:
        rows = by_patient(metric, k)
        return patient_mean(rows.loc[rows["arm"] == arm, "dice"])

    def draw(metric: str, arm: str, k: int) -> str:
        style: dict[str, Any] = {"titles": score_tables.titles_of(arms), "highlight": arm}
        for ax in figure.axes:
            wipe(ax)
        # the highlighted line is drawn last, over the others
        order = [*(each for each in arms if each != arm), arm]
        plot_shots(curves, shots_curves[metric], order=order, **style)
        curves.axvspan(shots.index(k) - 0.3, shots.index(k) + 0.3, color=GREY, alpha=0.12)
        plot_patients(patients, by_patient(metric, k), order=arms, **style)
        patients.set_title(f"each mark is a test patient, k = {k}", fontsize=11)
        for ax, each in ((curves, ""), (patients, " per patient")):
            ax.axhline(0, color="black", linewidth=1)
            ax.set(ylabel=_UNITS[metric] + each, ylim=ranges[metric])
        return _describe_arm(metric, arm, k, estimate(metric, arm, k))

    inputs = {
        "metric": choice("metric", METRICS),
        "arm": choice("arm in front", [(title_of(arm), arm) for arm in arms], "fine_tune"),
        "k": steps_slider("target patients k", shots),
    }
    strip = [{"metric": metric} for metric in METRICS]
    return Explorer(figure, inputs, draw, strip)


def explore_gap_matrix(found: Findings) -> Explorer:
    """Return an explorer of an experiment's gaps: a matrix for each arm, and the patients of one pair.

    Args:
        found: the published records.
    """
    pairs = {pair.title: pair for pair in found.plan.pairs}
    arms = [arm for arm in found.plan.main.arms if arm != "scratch"]
    figure = panels(2, width=11.25, height=4.4, place=_PLACE, width_ratios=(1.25, 1))
    left, right = figure.axes
    matrix = cache(lambda arm: gap_matrix(found, arm))

    @cache
    def gaps(pair: Pair, arm: str) -> tuple[pd.Series, Estimate]:
        values = found.difference(pair, "scratch", arm)
        return values, patient_mean(values)

    def draw(pair: str, arm: str) -> str:
        chosen = pairs[pair]
        values, estimate = gaps(chosen, arm)
        for ax in figure.axes:
            wipe(ax)
        name = title_of(arm)
        plot_matrix(left, matrix(arm), title=f"gap: scratch − {name} (Dice points)", marked=cell_of(chosen))
        sides = ("scratch is better", "scratch is not better")
        plot_differences(right, values, estimate, ylabel="gap (Dice points)", sides=sides)
        right.set_title(pair, fontsize=11)
        return (
            f"{pair}, {name}: the gap to scratch is {estimate_text(estimate, digits=1, signed=True)} Dice points over "
            f"the test patients; {int((values > 0).sum())} of {len(values)} are better from scratch. "
            f"Negative transfer on this pair: {verdict_text(estimate)}."
        )

    inputs = {
        # JupyterLab takes the arrow keys of a list for itself, those of a slider it leaves alone
        "pair": steps_slider("pair", list(pairs)),
        "arm": choice("arm", [(title_of(arm), arm) for arm in arms], "fine_tune"),
    }
    worst = max(pairs, key=lambda title: gaps(pairs[title], "fine_tune")[1].mean)
    strip = [{"pair": worst, "arm": arm} for arm in ("fine_tune", arms[-1])]
    return Explorer(figure, inputs, draw, strip)


def _first_view(changes: Mapping[str, PixelTransfer], labels_of: Callable[[str], np.ndarray]) -> tuple[str, int]:
    """Return the patient and slice with the most harm, or the first patient's busiest slice where none is harmed."""
    harmed = {patient: change for patient, change in changes.items() if change.harmed.any()}
    if harmed:
        return most_harmed(harmed)
    first = next(iter(changes))
    return first, busiest_slice(labels_of(first))


def _mean_dice(run: Run, patient: str) -> float:
    return float(np.mean(run.record["results"]["patients"][patient]["dice"]))


def _describe_change(
    patient: str,
    height: int,
    titles: tuple[str, str],
    scores: Sequence[float],
    change: PixelTransfer,
    truth: np.ndarray,
    masks: tuple[np.ndarray, np.ndarray],
) -> str:
    reference, other = titles
    dice = f"Patient {patient}: Dice {scores[0]:.3f} with {reference}, {scores[1]:.3f} with {other}."
    if not change.region.any():
        return f"{dice} Neither the truth nor a prediction holds foreground."
    shares = mean_kinds({patient: change}, {patient: truth})
    return (
        f"{dice} Around the target in the whole volume, {change.harmed_fraction:.1%} of the pixels are harmed (right "
        f"only with {reference}: {shares['missed']:.1%} missed, {shares['false alarms']:.1%} false alarms) and "
        f"{change.repaired_fraction:.1%} repaired (right only with {other}: {shares['found']:.1%} found, "
        f"{shares['cleared']:.1%} cleared); in slice {height}, {int(masks[0].sum())} and {int(masks[1].sum())} pixels."
    )


def _in_metric(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the scores with ``dice`` replaced by a difference in Dice points, paired by shots, seed and patient."""
    if metric == "Dice":
        return frame
    keys = ["shots", "seed", "patient"]
    other = "fine_tune" if metric == "gain over fine-tuning" else "scratch"
    of_other = frame.loc[frame["arm"] == other].set_index(keys)["dice"]
    points = 100 * (frame["dice"].to_numpy() - of_other.loc[pd.MultiIndex.from_frame(frame[keys])].to_numpy())
    return frame.assign(dice=points if other == "fine_tune" else -points)


def _limits(rows: pd.DataFrame, metric: str) -> tuple[float, float]:
    if metric == "Dice":
        return 0.0, 1.0
    # one scale for all k, so that the eye can compare them
    reach = 1.05 * max(float(rows.groupby(["arm", "shots", "patient"])["dice"].mean().abs().max()), 1.0)
    return -reach, reach


def _describe_arm(metric: str, arm: str, k: int, estimate: Estimate) -> str:
    title = title_of(arm)
    if metric == "Dice":
        return f"{title}, k = {k}: Dice {estimate_text(estimate)} (mean over patients, 95 % interval)."
    references = {"gain over fine-tuning": "fine_tune", "gap to scratch": "scratch"}
    points = f"{estimate_text(estimate, digits=1, signed=True)} Dice points"
    if arm == references[metric]:
        return f"{title}, k = {k}: it is what the others are compared with here, so its {metric} is 0."
    question = "Is it better than fine-tuning" if metric == METRICS[1] else "Is scratch better"
    return f"{title}, k = {k}: {metric} {points}. {question}? By this interval: {verdict_text(estimate)}."
