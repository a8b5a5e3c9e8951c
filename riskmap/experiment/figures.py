"""The figures of pages 5 and 9 and of the README, each from the published records of an experiment."""

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.figure import Figure

from riskmap.experiment.changes import Changes
from riskmap.experiment.count_harm import CHURN
from riskmap.experiment.findings import Findings
from riskmap.experiment.plan import Pair
from riskmap.experiment.score_tables import (
    MAIN_SHOTS,
    arms_of,
    pairs_of,
    per_patient,
    rows_of_pair,
    shots_curve,
    titles_of,
)
from riskmap.experiment.tables import short_title
from riskmap.figures.charts import plot_against, plot_estimates, plot_matrix, plot_patients, plot_shots
from riskmap.figures.images import harm_legend, plot_harm_row
from riskmap.figures.style import arm_style
from riskmap.measure.harm import KINDS
from riskmap.measure.statistics import Estimate, patient_mean
from riskmap.training.arm import TWIN_SUFFIX


def draw_harm(changes: Changes, title: str) -> Figure:
    """Draw the slice where the first of what was compared harmed most pixels, a panel for each that was compared.

    The patient and slice are chosen for their harm: the worst picture, not a typical one.
    """
    worst, height = changes.worst()
    shown = changes.masks(worst, height)
    figure = Figure(figsize=(3.4 * (len(shown) + 1), 4.2), dpi=100, layout="constrained")
    image = changes.cohort.image(worst, changes.task.modality)[..., height]
    plot_harm_row(figure.subplots(1, len(shown) + 1), image, shown, changes.truth[worst][..., height] > 0)
    figure.legend(*harm_legend(), loc="outside lower center", ncols=len(KINDS), frameon=False, fontsize=11)
    figure.suptitle(title)
    return figure


def draw_summary(frame: pd.DataFrame) -> Figure:
    """Draw each pair's patients at the table's number of shots, and below them Dice against the shots."""
    main = {pair: rows_of_pair(frame, *pair, MAIN_SHOTS) for pair in pairs_of(frame)}
    few = {pair: rows_of_pair(frame.loc[frame["shots"] != MAIN_SHOTS], *pair) for pair in main}
    few = {pair: rows for pair, rows in few.items() if rows["source"].notna().any()}
    figure = Figure(figsize=(12, 4 * (len(main) + len(few))), dpi=100, layout="constrained")
    axes = iter(figure.subplots(len(main) + len(few), 1, squeeze=False).flat)
    for (source, target), rows in main.items():
        dice = per_patient(rows).reset_index().melt("patient", value_name="dice")
        ax = plot_patients(next(axes), dice, order=arms_of(rows), titles=titles_of(arms_of(rows)))
        ax.set_title(f"{source} → {target}: {MAIN_SHOTS} target patients, a dot per test patient, the bar is the mean")
    for (source, target), rows in few.items():
        ax = plot_shots(next(axes), shots_curve(rows), order=arms_of(rows), titles=titles_of(arms_of(rows)))
        ax.set_title(f"{source} → {target}: mean of the seeds, bars from the lowest to the highest")
    return figure


def cell_of(pair: Pair) -> tuple[str, str]:
    """Return the row and the column of a pair in :func:`gap_matrix`."""
    return pair.source, pair.title.split(" → ")[1]


def gap_matrix(found: Findings, arm: str = "fine_tune") -> pd.DataFrame:
    """Return an arm's gap in Dice points as a matrix [source task, target task]; NaN where the pair was not run."""
    gaps = [(*cell_of(pair), found.difference(pair, "scratch", arm).mean()) for pair in found.plan.pairs]
    table = pd.DataFrame(gaps, columns=["source", "target", "gap"])
    order = [list(dict.fromkeys(table[name])) for name in ("source", "target")]
    return table.pivot_table(index="source", columns="target", values="gap").reindex(index=order[0], columns=order[1])


def draw_gaps(found: Findings) -> Figure:
    """Draw the matrix of gaps, and beside it the gap of each pair against its LEEP score."""
    figure = Figure(figsize=(13, 4.6), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    plot_matrix(left, gap_matrix(found), title="gap: scratch − fine-tuning (Dice points); above 0 transfer hurts")
    points = [(pair.title, found.leep(pair), gap) for pair, gap in found.gaps.items()]
    plot_against(right, points, xlabel="LEEP (nats; nearer to 0 promises more)", ylabel="gap (Dice points)")
    return figure


def draw_repairs(*experiments: Findings) -> Figure:
    """Draw what each map gains over fine-tuning on each pair, beside the gap that it had to repair.

    Args:
        experiments: one below the other; their plans have the same maps.
    """

    def series(found: Findings) -> dict[str, list[Estimate]]:
        of_arm = {"gap to repair": list(found.gaps.values())}
        for arm in ("class_balanced", *found.plan.maps):
            gains = [found.difference(pair, arm, "fine_tune") for pair in found.plan.pairs]
            of_arm[short_title(arm)] = [patient_mean(gain) for gain in gains]
        return of_arm

    return _draw_series(experiments, series, "Dice points above fine-tuning")


def draw_twins(found: Findings) -> Figure:
    """Draw each map minus its shuffled twin on each pair."""

    def series(found: Findings) -> dict[str, list[Estimate]]:
        return {
            short_title(arm): [
                patient_mean(found.difference(pair, arm, arm + TWIN_SUFFIX)) for pair in found.plan.pairs
            ]
            for arm in found.plan.maps
        }

    return _draw_series([found], series, "Dice points above the map's own shuffled twin")


def draw_pointing(found: Findings, pair: Pair) -> Figure:
    """Draw the AUROC of each score for harm and for churn on one pair."""
    series, names = {}, []
    for title, event in (("harm of fine-tuning", "fine_tune"), ("churn of scratch", CHURN)):
        means = found.pointing(pair, event)
        names = means["score"].tolist()
        series[title] = [Estimate(row.auroc, row.auroc_low, row.auroc_high) for row in means.itertuples()]
    figure = Figure(figsize=(10, 0.6 * len(names) + 1.6), dpi=100, layout="constrained")
    ax = figure.subplots()
    plot_estimates(ax, names, series, xlabel="AUROC (0.5 is chance)", reference=0.5)
    ax.set_title(f"{pair.title}: which score points at the pixels that turn wrong?")
    return figure


def _draw_series(
    experiments: Sequence[Findings], series: Callable[[Findings], dict[str, list[Estimate]]], xlabel: str
) -> Figure:
    rows = [len(found.plan.pairs) for found in experiments]
    figure = Figure(figsize=(11, 0.75 * sum(rows) + 0.9 * len(rows)), dpi=100, layout="constrained")
    axes = figure.subplots(len(rows), 1, squeeze=False, sharex=True, height_ratios=rows)[:, 0]
    for ax, found in zip(axes, experiments, strict=True):
        styles = {short_title(arm): arm_style(arm) for arm in ("class_balanced", *found.plan.maps)}
        names = [pair.title for pair in found.plan.pairs]
        plot_estimates(ax, names, series(found), xlabel=xlabel, styles=styles)
        ax.set_title(f"{found.kind} patients", fontsize=11)
        ax.label_outer()
    for ax in axes[1:]:
        ax.get_legend().remove()
    return figure
