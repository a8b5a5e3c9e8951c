"""Figures of sweeps; as in ``riskmap.plots``, ``plot_*`` draws into given axes and returns them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from riskmap.plots import BLUE, GREEN, ORANGE, SKY, arm_style
from riskmap.sweep_table import by_other_parameters, effect_of

_COLUMNS = 3
# more panels than this are no overview: then the other parameters are averaged
_MOST_PANELS = 6


def plot_effect(
    ax: Axes, effect: pd.DataFrame, *, parameter: str, measure: str, titles: Mapping[str, str] | None = None
) -> Axes:
    """Draw a measure against a swept parameter, one line per group, with bars from the lowest to the highest seed.

    Values that are names, not numbers, get marks without lines.

    Args:
        ax: where to draw.
        effect: columns group, value, mean, low, high, as :func:`riskmap.sweep_table.effect_of` returns them.
        parameter: name of the parameter, below the axis.
        measure: name of the measure, with its unit if it has one.
        titles: of those groups that are arms; they are drawn in their own colours.
    """
    titles = titles or {}
    values: Sequence[str] = list(dict.fromkeys(effect["value"]))
    groups = list(dict.fromkeys(effect["group"]))
    # between two names there is nothing that a line could stand for
    line = "-" if pd.to_numeric(pd.Series(values), errors="coerce").notna().all() else "none"
    for place, group in enumerate(groups):
        rows = effect.loc[effect["group"] == group].set_index("value").reindex(values)
        where = np.arange(len(values)) + (place - (len(groups) - 1) / 2) * 0.07
        spread = np.abs(rows[["low", "high"]].to_numpy(dtype=float).T - rows["mean"].to_numpy(dtype=float))
        plain = ((BLUE, ORANGE, SKY, GREEN)[place % 4], "o")
        colour, marker = arm_style(group) if group in titles else plain
        label = titles.get(group, group)
        style = {"color": colour, "marker": marker, "linestyle": line, "capsize": 3}
        ax.errorbar(where, rows["mean"], yerr=spread, label=label, **style)
    ax.set_xticks(range(len(values)), values)
    ax.set(xlabel=parameter, ylabel=measure, xlim=(-0.5, len(values) - 0.5))
    ax.grid(alpha=0.3)
    return ax


def draw_effect(table: pd.DataFrame, parameter: str, measure: str) -> Figure:
    """Draw what a parameter of a sweep does: a panel for each setting of the others, all on one scale.

    Args:
        table: of a sweep, as :func:`riskmap.sweep_table.read_table` reads it.
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
    figure.suptitle(f"Mean of {_numbers(counts)} seeds, bars from the lowest seed to the highest", fontsize=11)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)
    return figure


def _arm_titles() -> dict[str, str]:
    from riskmap.arms import ARMS  # loads torch, which sweeps without arms can do without

    return {name: arm.title for name, arm in ARMS.items()}


def _numbers(counts: set[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"
