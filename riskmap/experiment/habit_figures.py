"""The chart of habits as a figure and as tables, from the rows that ``riskmap.experiment.habits`` keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from riskmap.experiment.shown import ShownTable, estimate_text, markdown_table
from riskmap.figures.charts import plot_estimates
from riskmap.figures.style import GREY, VERMILION
from riskmap.measure.statistics import Estimate
from riskmap.project.files import read_json
from riskmap.project.paths import RESULTS, resolve

Row = Mapping[str, Any]
# bad habits in words, by the cell in which each is bad alone
HABITS = {
    "head: bad": "random head",
    "sampling: bad": "whole slices",
    "source_steps: bad": "poor source",
    "rate: bad": "low rate",
    "steps: bad": "few steps",
    "body at a tenth of the rate": "body at a tenth of the rate",
    "body frozen": "body frozen",
}
# one patient is no habit
_WORDS = {**HABITS, "patients: bad": "one patient"}
_ONE, _MANY, _GOOD, _NOTHING = "one habit bad", "all bad, or all but one", "all good", "even scratch is below 0.1 Dice"
_STYLES = {_GOOD: ("#0072B2", "D"), _ONE: (VERMILION, "o"), _MANY: (GREY, "s"), _NOTHING: ("#999999", "x")}
_FAILED = 0.1


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

    def hurting(self, cell: str) -> int:
        """Return on how many pairs the gap of a cell has an interval above 0."""
        return sum(row["gap"][1] > 0 for row in self._asked() if row["cell"] == cell)

    def costs_by_habit(self) -> dict[str, float]:
        """Return what each bad habit alone changes in the Dice of the transferred network, in points, over pairs."""
        good = {pair_title(row): row["transferred"] for row in self._asked() if row["cell"] == "all good"}
        lost: dict[str, list[float]] = {}
        for row in self._asked():
            if row["cell"] in HABITS:
                lost.setdefault(HABITS[row["cell"]], []).append(100 * (row["transferred"] - good[pair_title(row)]))
        return {habit: float(np.mean(each)) for habit, each in lost.items()}

    def sample(self) -> str:
        """Return on whom the chart was measured."""
        of_kind = {pair_title(row).rpartition(", ")[2]: row["patients"] for row in self._asked()}
        patients = " and ".join(f"{count} ({kind})" for kind, count in of_kind.items())
        (seeds,) = {row["seeds"] for row in self.rows}
        return (
            f"Validation patients of development cohorts: {patients}; {seeds} seeds, which draw 3 target patients each"
        )

    def section(self) -> str:
        """Return the README's section: on whom, what each habit costs, and where transfer hurts."""
        hurts = {name: self.hurting(cell) for cell, name in {"all good": "all good", **HABITS}.items()}
        counts = ", ".join(f"{name} {count}" for name, count in hurts.items())
        return "\n\n".join(
            [
                f"{self.sample()}. Dice points that each habit costs when it alone is bad, of scratch and of transfer:",
                markdown_table(costs_table(self.rows)),
                f"Pairs of {self.pair_count} on which transfer hurts, the interval of the gap above 0: {counts}.",
            ]
        )

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
        if row["cell"] in _WORDS:
            before = good[pair_title(row)]
            lost = [100 * (row[side] - before[side]) for side in ("scratch", "transferred")]
            table.setdefault(_WORDS[row["cell"]], {})[pair_title(row)] = "{:+.1f}, {:+.1f}".format(*lost)
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
        of_pair = {row["cell"]: row for row in asked if pair_title(row) == title}
        nothing = Estimate(float("nan"), float("nan"), float("nan"))
        series = {
            kind: [estimate_of(row) if _kind(row) == kind else nothing for row in of_pair.values()] for kind in _STYLES
        }
        names = [_in_words(cell) for cell in of_pair]
        plot_estimates(ax, names, series, xlabel="gap: scratch − transferred (Dice points)", styles=_STYLES)
        handles, labels = ax.get_legend_handles_labels()
        ax.get_legend().remove()
        ax.set_title(title, fontsize=11)
        if place % columns:
            ax.tick_params(labelleft=False)
    for ax in list(axes.flat)[len(titles) :]:
        ax.remove()
    figure.suptitle("Right of the dashed line transfer hurts, left of it transfer helps")
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
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


def _kind(row: Row) -> str:
    if row["scratch"] < _FAILED:
        return _NOTHING
    if row["cell"] == "all good":
        return _GOOD
    return _MANY if row["cell"].startswith("all bad") else _ONE


def _in_words(cell: str) -> str:
    """Return a cell's habits in words.

    >>> _in_words("rate: bad"), _in_words("all bad but source_steps")
    ('low rate', 'all bad but source')
    """
    return _WORDS.get(cell, cell.removesuffix("_steps"))
