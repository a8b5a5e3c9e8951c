"""Figures of sweeps; as in ``riskmap.figures.charts``, ``plot_*`` draws into given axes and returns them."""

import math

import pandas as pd
from matplotlib.figure import Figure

from riskmap.figures.charts import plot_effect
from riskmap.pages.sweep_table import by_other_parameters, effect_of

_COLUMNS = 3
# more panels than this are no overview: then the other parameters are averaged
_MOST_PANELS = 6


def draw_effect(table: pd.DataFrame, parameter: str, measure: str) -> Figure:
    """Draw what a parameter of a sweep does: a panel for each setting of the others, all on one scale.

    Args:
        table: of a sweep, as :func:`riskmap.pages.sweep_table.read_table` reads it.
        parameter: a swept parameter.
        measure: a column of measured numbers.
    """
    rows = table.dropna(subset=[measure])
    settings = by_other_parameters(rows, parameter)
    titles = _arm_titles() if "arm" in rows else None
    if len(settings) > _MOST_PANELS:
        settings = {"averaged over the other parameters": rows}
    columns = min(len(settings), _COLUMNS)
    lines = math.ceil(len(settings) / columns)
    figure = Figure(figsize=(3 + 3.4 * columns, 0.9 + 3.2 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    counts = set()
    for ax, (title, part) in zip(grid.flat, settings.items(), strict=False):
        effect = effect_of(part, parameter, measure)
        counts |= set(effect["seeds"])
        plot_effect(ax, effect, parameter=parameter, measure=measure, titles=titles).set_title(title, fontsize=10)
    for ax in grid.flat[len(settings) :]:
        ax.set_visible(False)
    for ax in grid[:, 1:].flat:
        ax.set_ylabel("")
    several = f"Mean of {_numbers(counts)} seeds, bars from the lowest seed to the highest"
    figure.suptitle(several if max(counts) > 1 else "One seed, so no bars", fontsize=11)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)
    return figure


def _arm_titles() -> dict[str, str]:
    from riskmap.training.arms import ARMS  # loads torch, which sweeps without arms can do without

    return {name: arm.title for name, arm in ARMS.items()}


def _numbers(counts: set[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"
