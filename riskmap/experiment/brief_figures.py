"""The experiments' figures in the shape of a slide: few rows, large letters."""

from math import nan

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from riskmap.experiment import families
from riskmap.experiment.changes import Changes
from riskmap.experiment.findings import Findings
from riskmap.experiment.tables import short_title
from riskmap.figures.charts import plot_estimates
from riskmap.figures.images import enlarge, harm_legend, plot_harm, window_of
from riskmap.figures.style import BLUE, VERMILION
from riskmap.measure.harm import KINDS
from riskmap.measure.statistics import Estimate, patient_mean

_SIZE = 14
_STYLES = {"simulated": (BLUE, "o"), "real": (VERMILION, "s")}
_NONE = Estimate(nan, nan, nan)


def draw_harm_enlarged(changes: Changes) -> Figure:
    """Draw the target of the slice with the most harm from near by; see ``experiment.figures.draw_harm``."""
    worst, height = changes.worst()
    shown = changes.masks(worst, height)
    truth = changes.truth[worst][..., height] > 0
    window = window_of(np.any([truth, *(mask for masks in shown.values() for mask in masks)], axis=0), margin=3)
    figure = Figure(figsize=(4.3 * len(shown), 5.4), dpi=100, layout="constrained")
    image = changes.cohort.image(worst, changes.task.modality)[..., height]
    for ax, (name, masks) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
        plot_harm(ax, image, *masks, truth, title=name, legend=False)
        enlarge(ax, window)
        # L, R and A stand at the borders of the whole slice
        for letter in list(ax.texts):
            letter.remove()
        ax.title.set_fontsize(_SIZE)
    figure.legend(*harm_legend(), loc="outside lower center", ncols=len(KINDS), fontsize=_SIZE, frameon=False)
    return figure


def draw_transfer(simulated: Findings, real: Findings) -> Figure:
    """Draw how far fine-tuning lies above scratch on each pair, a panel per experiment."""
    figure = Figure(figsize=(13, 4.6), dpi=100, layout="constrained")
    for ax, found in zip(figure.subplots(1, 2, sharex=True), (simulated, real), strict=True):
        above = [patient_mean(found.difference(pair, "fine_tune", "scratch")) for pair in found.plan.pairs]
        names = [pair.title for pair in found.plan.pairs]
        plot_estimates(ax, names, {found.kind: above}, xlabel="Dice points above scratch", styles=_STYLES)
        _enlarge_letters(ax, f"{found.kind} patients")
    return figure


def draw_maps(simulated: Findings, real: Findings) -> Figure:
    """Draw class balance and the maps over all pairs: above plain fine-tuning, and above their shuffled twins."""
    figure = Figure(figsize=(13, 4.4), dpi=100, layout="constrained")
    both = {found.kind: (families.remedies(found), families.places(found)) for found in (simulated, real)}
    arms = list(both[simulated.kind][0])
    questions = ("Dice points above plain fine-tuning", "Dice points above its own shuffled twin")
    axes = figure.subplots(1, 2, sharey=True)
    for place, (ax, question) in enumerate(zip(axes, questions, strict=True)):
        series = {}
        for kind, tested in both.items():
            of_arm = [tested[place].get(arm) for arm in arms]
            series[kind] = [each.estimate if each else _NONE for each in of_arm]
        plot_estimates(ax, [short_title(arm) for arm in arms], series, xlabel=question, styles=_STYLES)
        _enlarge_letters(ax, "")
    axes[1].legend(loc="upper left", fontsize=_SIZE, frameon=False)
    return figure


def _enlarge_letters(ax: Axes, title: str) -> None:
    """Set the letters in the size of a slide; the legend goes, since the title names the only series."""
    ax.set_title(title, fontsize=_SIZE)
    ax.xaxis.label.set_fontsize(_SIZE)
    ax.tick_params(labelsize=_SIZE)
    legend = ax.get_legend()
    if legend:
        legend.remove()
