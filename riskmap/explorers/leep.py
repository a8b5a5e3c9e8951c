"""An explorer of LEEP that needs no data: a source that is right so often and so sure, and what it explains."""

from collections.abc import Mapping

import torch
from torch import Tensor

from riskmap.explorers.base import Explorer, number_slider, panels
from riskmap.explorers.picture import wipe
from riskmap.figures.charts import plot_bars, plot_table
from riskmap.leep import LeepStatistics

# so many pixels that every place of the sliders is a whole number of them
_PIXELS = 10_000
_CLASSES = ("background", "foreground")
_LABELS = tuple(f"y =\n{name}" for name in _CLASSES)
_ANSWERS = tuple(f"z =\n{name}" for name in _CLASSES)
_CASES = tuple(f"y = {label}\nz = {answer}" for label in _CLASSES for answer in _CLASSES)


def binary_source(prevalence: float, accuracy: float, confidence: float) -> tuple[Tensor, Tensor]:
    """Return the softmax [1, 2, 1, P] and the labels [1, 1, P] of a source that is right so often and so sure.

    Args:
        prevalence: share of the foreground pixels, in (0, 1).
        accuracy: share of the pixels of either label for which the source says that label, in [0, 1].
        confidence: probability that the source gives to what it says, in [0, 1].
    """
    foreground = round(_PIXELS * prevalence)
    labels = torch.zeros(_PIXELS, dtype=torch.long)
    labels[:foreground] = 1
    says = 1 - labels
    for first, count in ((0, foreground), (foreground, _PIXELS - foreground)):
        right = slice(first, first + round(accuracy * count))
        says[right] = labels[right]
    of_foreground = torch.where(says == 1, confidence, 1 - confidence).double()
    return torch.stack([1 - of_foreground, of_foreground])[None, :, None], labels[None, None]


def explore_leep() -> Explorer:
    """Return an explorer of a binary source and target: both tables, the hardness of each case, and LEEP.

    The four cases are what the label y is, by what the source says, z. A source that is right on half of each label, or
    gives both classes one half, knows nothing: its hardness is minus the log of the label's frequency.
    """
    figure = panels(3, width=11.25, height=3.7, width_ratios=(1, 1, 2.7))
    joint, conditional, bars = figure.axes

    def draw(**source: float) -> str:
        softmax, labels = binary_source(**source)
        statistics = LeepStatistics(2, 2).update(softmax, labels)
        for ax, table, title in (
            (joint, statistics.joint(), "joint J(y, z)"),
            (conditional, statistics.conditional(), "conditional C(y | z)"),
        ):
            wipe(ax)
            plot_table(ax, table.numpy(), rows=_LABELS, columns=_ANSWERS, title=title)
        h, frequency = _hardness_of_cases(statistics, softmax, labels), -statistics.prior().log()
        wipe(bars)
        series = {"hardness h": h, "class weighting: −log P(y)": frequency.repeat_interleave(2).tolist()}
        plot_bars(bars, _CASES, series, ylabel="nats")
        nothing = torch.full_like(softmax, 0.5)
        of_nothing = LeepStatistics(2, 2).update(nothing, labels).score([(nothing, labels)])
        return _describe(source, statistics.score([(softmax, labels)]), of_nothing)

    inputs = {
        "prevalence": number_slider("share of foreground", 0.1, 0.01, 0.5, 0.01),
        "accuracy": number_slider("accuracy", 0.9, 0.0, 1.0, 0.01),
        "confidence": number_slider("confidence", 0.9, 0.5, 1.0, 0.01),
    }
    strip = [{"accuracy": accuracy} for accuracy in (0.9, 0.5, 0.1)]
    return Explorer(figure, inputs, draw, strip)


def _hardness_of_cases(statistics: LeepStatistics, softmax: Tensor, labels: Tensor) -> list[float]:
    """Return the hardness of the cases in the order of ``_CASES``, NaN for a case without a pixel."""
    hardness, flat = statistics.hardness(softmax, labels).flatten(), labels.flatten()
    # with equal probabilities the source says both
    of_foreground = softmax[0, 1, 0]
    said = (of_foreground <= 0.5, of_foreground >= 0.5)
    return [hardness[(flat == label) & said[answer]].mean().item() for label in (0, 1) for answer in (0, 1)]


def _describe(source: Mapping[str, float], leep: float, of_nothing: float) -> str:
    if leep - of_nothing < 1e-6:
        verdict = "The source knows nothing: each bar equals the class weighting beside it, and the map is no map."
    elif source["accuracy"] < 0.5:
        verdict = "The source is mostly wrong, and LEEP reads it the other way round: it measures information."
    else:
        verdict = "The nearer to 0, the more the source explains."
    return (
        f"Foreground is {source['prevalence']:.0%} of the pixels; the source is right on {source['accuracy']:.0%} of "
        f"either label and gives {source['confidence']:.2f} to what it says. LEEP is {leep:.3f} nats; a source that "
        f"knows nothing has {of_nothing:.3f}. {verdict}"
    )
