"""Figures of sweeps; as in ``riskmap.plots``, each draws into given axes and returns them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from riskmap.arms import ARMS
from riskmap.plots import BLUE, arm_style


def plot_effect(ax: Axes, effect: pd.DataFrame, *, parameter: str, measure: str) -> Axes:
    """Draw a measure against a swept parameter, one line per group, with bars from the lowest to the highest seed.

    Args:
        ax: where to draw.
        effect: columns group, value, mean, low, high, as :func:`riskmap.sweep_summary.effect_of` returns them.
        parameter: name of the parameter, below the axis.
        measure: name of the measure, with its unit if it has one.
    """
    values: Sequence[str] = list(dict.fromkeys(effect["value"]))
    groups = list(dict.fromkeys(effect["group"]))
    for place, group in enumerate(groups):
        rows = effect.loc[effect["group"] == group].set_index("value").reindex(values)
        where = np.arange(len(values)) + (place - (len(groups) - 1) / 2) * 0.07
        spread = np.abs(rows[["low", "high"]].to_numpy(dtype=float).T - rows["mean"].to_numpy(dtype=float))
        colour, marker = arm_style(group) if group in ARMS else (BLUE, "o")
        label = ARMS[group].title if group in ARMS else group
        ax.errorbar(where, rows["mean"], yerr=spread, label=label, color=colour, marker=marker, capsize=3)
    ax.set_xticks(range(len(values)), values)
    ax.set(xlabel=parameter, ylabel=measure, xlim=(-0.5, len(values) - 0.5))
    ax.grid(alpha=0.3)
    if len(groups) > 1:
        ax.legend(frameon=False, fontsize=8)
    return ax
