"""What a page found, in a few sentences made from the very numbers that it shows: they hold for any parameters."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from riskmap.data.cohort import Cohort
from riskmap.experiment import score_tables
from riskmap.experiment.shown import ShownList, estimate_text, verdict_text
from riskmap.leep import LeepStatistics
from riskmap.measure.statistics import Estimate
from riskmap.risk import TransferRiskMap
from riskmap.training.arm import TWIN_SUFFIX
from riskmap.training.arms import title_of

_EARLY_STEPS = 100


def of_cohort(cohort: Cohort) -> ShownList:
    """Return how rare each label is: in how many slices, and on which share of the pixels that are not air.

    Labels of several classes are left out where there are others, since they name the same tissue again.

    Counted on the first target training patient.
    """
    patient = cohort.part("target_train")[0]
    head = cohort.image(patient, cohort.modalities[0]) != 0
    lines = []
    single = [name for name, target in cohort.targets.items() if target.num_classes == 2]
    for name in single or cohort.targets:
        foreground = cohort.labels(patient, name) > 0
        slices = int(foreground.any((0, 1)).sum())
        share = foreground.sum() / max(int(head.sum()), 1)
        lines.append(f"**{name}** is in {slices} of {foreground.shape[2]} slices, and on {share:.1%} of the head")
    return _items(f"Of patient {patient}:", lines)


def of_source(history: Mapping[str, Sequence[float]], dice: pd.Series, distance: pd.Series) -> ShownList:
    """Return how far a source network came, how early, and on which patient it does worst.

    Args:
        history: ``validation_dice`` after each of ``validation_step``.
        dice: of each validation patient, 0..1.
        distance: HD95 of each, in mm.
    """
    curve = dict(zip(history["validation_step"], history["validation_dice"], strict=True))
    steps = max(curve)
    early = max((step for step in curve if step <= _EARLY_STEPS), default=steps)
    share = f", {curve[early] / curve[steps]:.0%} of the final {curve[steps]:.3f}" if curve[steps] > 0 else ""
    lines = [
        f"After {early} of {steps} steps the Dice on validation patients was {curve[early]:.3f}{share}",
        f"The mean over {len(dice)} validation patients is {dice.mean():.3f}; the lowest, {dice.min():.3f}, is that of "
        f"{dice.idxmin()}",
        f"The largest HD95 is {distance.max():.1f} mm, of {distance.idxmax()}"
        if distance.notna().any()
        else "No patient has an HD95: a border is lacking",
    ]
    return _items("", lines)


def of_map(
    score: float, statistics: LeepStatistics, probabilities: torch.Tensor, labels: torch.Tensor, hardness: torch.Tensor
) -> ShownList:
    """Return LEEP, how much harder the target's pixels are than the background, and where two maps put their weight.

    Args:
        score: LEEP, in nats.
        statistics: of the training pixels.
        probabilities: the source's softmax, [N, C_s, *spatial].
        labels: class indices, [N, 1, *spatial].
        hardness: in nats, [N, 1, *spatial].
    """
    foreground = labels > 0
    means = [float(hardness[mask].mean()) for mask in (foreground, ~foreground)]
    weights = {
        "The reconstruction": TransferRiskMap.paper(statistics)(probabilities, labels),
        "h / mean(h), the mean over all these slices,": hardness / hardness.mean(),
    }
    lines = [
        f"LEEP is {score:.4f} nats. A pixel of the target's foreground is {means[0]:.2f} nats hard in the mean, one of "
        f"the background {means[1]:.4f}"
    ]
    rarity = f"The target, {foreground.float().mean():.1%} of the pixels, gets"
    lines += [
        f"{name} gives weights from {weight.min():.2g} to {weight.max():.3g}. {rarity} "
        f"{weight[foreground].sum() / weight.sum():.0%} of the weight"
        for name, weight in weights.items()
    ]
    return _items("", lines)


def of_arms(frame: pd.DataFrame, harm: pd.DataFrame | None) -> ShownList:
    """Return whether transfer helped, and how much of what each map gained its shuffled twin gained as well.

    Args:
        frame: of :func:`riskmap.experiment.score_tables.scores`, one pair and number of shots.
        harm: shares of the region by kind, plain fine-tuning first and the churn last; None: without a second seed.

    Raises:
        ValueError: scratch or plain fine-tuning is not among the arms.
    """
    score_tables.require_arms(frame, ("scratch", "fine_tune"))
    lines = [_transfer(frame)]
    there = score_tables.arms_of(frame)
    if "class_balanced" in there:
        lines.append(f"Class balance, which knows no source, gains {_difference(frame, 'class_balanced', 'fine_tune')}")
    for arm in (each for each in there if each + TWIN_SUFFIX in there):
        twin = arm + TWIN_SUFFIX
        own = score_tables.compare(frame, arm, twin)
        lines.append(
            f"{title_of(arm)}: {_difference(frame, arm, 'fine_tune')} over fine-tuning; its shuffled twin "
            f"{_difference(frame, twin, 'fine_tune')}. So its *places* account for {_points(own)}: "
            f"{_word(own, 'they')}"
        )
    if harm is not None:
        transfer, churn = harm.iloc[0], harm.iloc[-1]
        kinds = ", ".join(f"{kind} {transfer[kind]:.1%} (churn {churn[kind]:.1%})" for kind in harm.columns[:4])
        lines.append(f"Around the target fine-tuning changed, in shares of the pixels: {kinds}")
    return _items("", lines)


def of_shots(frame: pd.DataFrame) -> ShownList:
    """Return for each number of target patients whether transfer helped, and what more patients brought.

    Args:
        frame: of :func:`riskmap.experiment.score_tables.scores`, one pair and several numbers of shots.

    Raises:
        ValueError: scratch or plain fine-tuning is not among the arms.
    """
    score_tables.require_arms(frame, ("scratch", "fine_tune"))
    lines = [f"k = {k}: {_transfer(rows)}" for k, rows in frame.groupby("shots")]
    dice = frame.loc[frame["arm"] == "fine_tune"].groupby("shots")["dice"].mean()
    few, many = dice.index.min(), dice.index.max()
    of_source = frame.loc[frame["arm"] != "scratch"]
    spread = of_source.groupby(["shots", "arm"])["dice"].mean().groupby("shots").agg(np.ptp).max()
    lines.append(
        f"From k = {few} to k = {many} plain fine-tuning rises by {100 * (dice[many] - dice[few]):.1f} Dice points; at "
        f"one k the arms with a source lie at most {100 * spread:.1f} apart"
    )
    return _items("", lines)


def _transfer(frame: pd.DataFrame) -> str:
    estimate = score_tables.compare(frame, "fine_tune", "scratch")
    return f"Fine-tuning differs from scratch by {_points(estimate)} Dice points: {_word(estimate, 'it')}"


def _difference(frame: pd.DataFrame, better: str, worse: str) -> str:
    return _points(score_tables.compare(frame, better, worse))


def _points(estimate: Estimate) -> str:
    return estimate_text(estimate, digits=1, signed=True)


def _word(estimate: Estimate, subject: str) -> str:
    words = {"yes": f"{subject} helped", "no, the other way round": f"{subject} hurt"}
    return f"**{words.get(verdict_text(estimate), verdict_text(estimate))}**"


def _items(heading: str, lines: Sequence[str]) -> ShownList:
    return ShownList("\n".join([*([heading, ""] if heading else []), *(f"- {line}." for line in lines)]))
