"""The chart of habits as a figure and as tables, from the rows that ``riskmap.experiment.habits`` keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from riskmap.experiment.shown import ShownTable, estimate_text
from riskmap.figures.charts import plot_estimates
from riskmap.figures.style import GREY, VERMILION
from riskmap.measure.statistics import Estimate
from riskmap.project.files import read_json
from riskmap.project.paths import RESULTS, resolve

Row = Mapping[str, Any]
# bad habits in words
HABITS = {
    "head": "a random head",
    "sampling": "whole slices",
    "source_steps": "a poor source",
    "rate": "a low rate",
    "steps": "few steps",
}
_GOOD, _BAD, _OTHER = "good habits but one", "bad habits, all or all but one", "all good"
_STYLES = {_GOOD: (VERMILION, "o"), _BAD: (GREY, "s"), _OTHER: ("#0072B2", "D")}


def pair_title(row: Row) -> str:
    """Return a row's pair, and whose patients it was measured on."""
    whose = "real gliomas" if row["cohort"].startswith("lgg") else "simulated"
    return f"{row['source']} → {row['target']}, {whose}"


def estimate_of(row: Row) -> Estimate:
    """Return a row's gap in Dice points."""
    return Estimate(*row["gap"])


@dataclass(frozen=True)
class HabitChart:
    """The published chart of habits.

    Args:
        rows: as :mod:`riskmap.experiment.habits` keeps them.
    """

    rows: Sequence[Row]

    @classmethod
    def read(cls, path: str | Path = RESULTS / "habits.json") -> "HabitChart":
        """Read the published rows, or those of another file."""
        return cls(read_json(resolve(path))["rows"])

    @property
    def pair_count(self) -> int:
        """The number of pairs whose habits were changed."""
        return len({pair_title(row) for row in self._asked()})

    def mean_gap(self, cell: str) -> float:
        """Return the gap of a cell in Dice points, averaged over pairs."""
        return float(np.mean([row["gap"][0] for row in self._asked() if row["cell"] == cell]))

    def costs_by_habit(self) -> dict[str, float]:
        """Return what each bad habit alone changes in the Dice of the transferred network, in points, over pairs."""
        good = {pair_title(row): row["transferred"] for row in self._asked() if row["cell"] == "all good"}
        lost: dict[str, list[float]] = {}
        for row in self._asked():
            habit, _, bad = row["cell"].partition(": ")
            # the number of patients is no habit
            if bad and habit != "patients":
                lost.setdefault(HABITS[habit], []).append(100 * (row["transferred"] - good[pair_title(row)]))
        return {habit: float(np.mean(each)) for habit, each in lost.items()}

    @property
    def costliest(self) -> tuple[str, float]:
        """The habit that costs the transferred network most, in words, and what it costs."""
        costs = self.costs_by_habit()
        worst = min(costs, key=lambda habit: costs[habit])
        return worst, costs[worst]

    def _asked(self) -> list[Row]:
        return [row for row in self.rows if row["question"] == "habits"]

    def draw(self) -> Figure:
        """Draw the gap of each cell, see :func:`draw_habits`."""
        return draw_habits(self.rows)

    def pairs(self) -> ShownTable:
        """Return the gap of each pair under good habits, see :func:`pairs_table`."""
        return ShownTable(pairs_table(self.rows))

    def costs(self) -> ShownTable:
        """Return what each bad habit costs alone, see :func:`costs_table`."""
        return ShownTable(costs_table(self.rows))


def costs_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Return how many Dice points each habit costs when it alone is bad: from scratch, then of the transferred network.

    Above 0 it is a gain.
    """
    asked = [row for row in rows if row["question"] == "habits"]
    good = {pair_title(row): row for row in asked if row["cell"] == "all good"}
    table: dict[str, dict[str, str]] = {}
    for row in asked:
        if _kind(row["cell"]) == _GOOD:
            before = good[pair_title(row)]
            lost = [100 * (row[side] - before[side]) for side in ("scratch", "transferred")]
            table.setdefault(row["cell"], {})[pair_title(row)] = "{:+.1f}, {:+.1f}".format(*lost)
    return pd.DataFrame([{"habit": cell, **line} for cell, line in table.items()])


def draw_habits(rows: Sequence[Row]) -> Figure:
    """Draw the gap of each cell, a panel per pair; right of 0 transfer hurts."""
    asked = [row for row in rows if row["question"] == "habits"]
    titles = list(dict.fromkeys(pair_title(row) for row in asked))
    columns = min(len(titles), 3)
    lines = -(-len(titles) // columns)
    figure = Figure(figsize=(4.2 * columns + 1.5, 5.2 * lines), dpi=100, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True)
    for place, title in enumerate(titles):
        ax = axes.flat[place]
        of_pair = {row["cell"]: estimate_of(row) for row in asked if pair_title(row) == title}
        nothing = Estimate(float("nan"), float("nan"), float("nan"))
        series = {
            kind: [estimate if _kind(cell) == kind else nothing for cell, estimate in of_pair.items()]
            for kind in _STYLES
        }
        plot_estimates(ax, list(of_pair), series, xlabel="gap: scratch − transferred (Dice points)", styles=_STYLES)
        ax.get_legend().remove()
        ax.set_title(title, fontsize=11)
        if place % columns:
            ax.tick_params(labelleft=False)
    for ax in list(axes.flat)[len(titles) :]:
        ax.remove()
    figure.suptitle("Right of the dashed line transfer hurts, left of it transfer helps")
    return figure


def pairs_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Return, under good habits, one row per pair: Dice of the source, and the gap with few patients and with one."""
    asked = [row for row in rows if row["question"] == "pairs"]
    table: dict[str, dict[str, str]] = {}
    for row in asked:
        line = table.setdefault(pair_title(row), {"source's own Dice": f"{row['source_dice']:.2f}"})
        line[f"scratch, transferred: {row['cell']}"] = f"{row['scratch']:.3f}, {row['transferred']:.3f}"
        line[f"gap: {row['cell']}"] = estimate_text(estimate_of(row), digits=1, signed=True)
    return pd.DataFrame([{"pair": title, **line} for title, line in table.items()])


def _kind(cell: str) -> str:
    if cell == "all good":
        return _OTHER
    return _BAD if cell.startswith("all bad") else _GOOD
