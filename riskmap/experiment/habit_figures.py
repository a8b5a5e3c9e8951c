"""The chart of habits as a figure and as tables, from the rows that ``riskmap.experiment.habits`` keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from riskmap.experiment.findings import NOTHING_LEARNED
from riskmap.experiment.shown import NOTHING, ShownTable, estimate_text, markdown_table
from riskmap.figures.charts import plot_estimates
from riskmap.figures.style import GREY, VERMILION
from riskmap.measure.statistics import Estimate
from riskmap.project.files import read_json
from riskmap.project.paths import RESULTS, resolve

Row = Mapping[str, Any]
# what is bad alone, in words, by its cell
_WORDS = {
    "head: bad": "random head",
    "sampling: bad": "whole slices",
    "source_steps: bad": "poor source",
    "rate: bad": "low rate",
    "steps: bad": "few steps",
    "patients: bad": "one patient",
    "body at a tenth of the rate": "body at a tenth of the rate",
    "body frozen": "body frozen",
}
# what touches the transferred network alone: the run from scratch is the same
_OF_TRANSFER = ("head", "source_steps")
_ONE, _MANY, _GOOD, _NOTHING = "one bad alone", "all bad, or all but one", "all good", "even scratch is below 0.1 Dice"
_STYLES = {_GOOD: ("#0072B2", "D"), _ONE: (VERMILION, "o"), _MANY: (GREY, "s"), _NOTHING: ("#999999", "x")}


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

    def costs(self) -> ShownTable:
        """Return on how many pairs transfer hurts where one turns bad, and how that changes Dice.

        Each cell of a pair holds the change in points of scratch, a dash where the habit does not concern scratch, and
        of the transferred network. The first row has all habits good.
        """
        good = {pair_title(row): row for row in self._of("habits") if row["cell"] == "all good"}
        table = {"all good": {"transfer hurts on": self.hurting("habits", "all good"), **dict.fromkeys(good, NOTHING)}}
        for row in self._of("habits"):
            if row["cell"] in _WORDS:
                before = good[pair_title(row)]
                changed = {name for name, value in row["habits"].items() if value != before["habits"][name]}
                scratch, transferred = (
                    f"{100 * (row[side] - before[side]):+.1f}" for side in ("scratch", "transferred")
                )
                line = table.setdefault(_WORDS[row["cell"]], {"transfer hurts on": self.hurting("habits", row["cell"])})
                line[pair_title(row)] = f"{NOTHING if changed <= {*_OF_TRANSFER} else scratch}, {transferred}"
        return ShownTable(pd.DataFrame([{"bad": words, **line} for words, line in table.items()]))

    def pairs(self) -> ShownTable:
        """Return one row per pair under good habits: the source's Dice, and the gap with few patients and with one."""
        table: dict[str, dict[str, str]] = {}
        for row in self._of("pairs"):
            line = table.setdefault(pair_title(row), {"source's own Dice": f"{row['source_dice']:.2f}"})
            line[f"scratch, transferred: {row['cell']}"] = f"{row['scratch']:.3f}, {row['transferred']:.3f}"
            nothing = " (scratch below 0.1)" if row["scratch"] < NOTHING_LEARNED else ""
            line[f"gap: {row['cell']}"] = estimate_text(estimate_of(row), digits=1, signed=True) + nothing
        return ShownTable(pd.DataFrame([{"pair": title, **line} for title, line in table.items()]))

    def hurting(self, question: str, cell: str) -> str:
        """Return on how many pairs of a question the gap of a cell has an interval above 0, as "1 of 6"."""
        gaps = [estimate_of(row) for row in self._of(question) if row["cell"] == cell]
        return f"{sum(gap.low > 0 for gap in gaps)} of {len(gaps)}"

    def draw(self) -> Figure:
        """Draw the gap of each cell, a panel per pair; right of 0 transfer hurts."""
        asked = self._of("habits")
        titles = list(dict.fromkeys(pair_title(row) for row in asked))
        columns = min(len(titles), 3)
        lines = -(-len(titles) // columns)
        figure = Figure(figsize=(4.2 * columns + 1.5, 5.2 * lines), dpi=100, layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False, sharex=True)
        for place, (ax, title) in enumerate(zip(axes.flat, titles, strict=False)):
            _draw_pair(ax, [row for row in asked if pair_title(row) == title])
            ax.set_title(title, fontsize=11)
            ax.tick_params(labelleft=place % columns == 0)
        for ax in axes.flat[len(titles) :]:
            ax.remove()
        figure.suptitle("Right of the dashed line transfer hurts, left of it transfer helps")
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        return figure

    def sample(self) -> str:
        """Return on whom the chart was measured."""
        of_kind: dict[str, set[int]] = {}
        for row in self.rows:
            of_kind.setdefault(pair_title(row).rpartition(", ")[2], set()).add(row["patients"])
        patients = "; ".join(f"{' or '.join(map(str, sorted(count)))} ({kind})" for kind, count in of_kind.items())
        (seeds,) = {row["seeds"] for row in self.rows}
        return (
            f"Validation patients of development cohorts, {patients}. {seeds} seeds, each with its own target patients"
        )

    def section(self) -> str:
        """Return the README's section: on whom, where transfer hurts, and what each habit changes."""
        cells = list(dict.fromkeys(row["cell"] for row in self._of("pairs")))
        with_good = " and ".join(f"{self.hurting('pairs', cell)} with {cell}" for cell in cells)
        return "\n\n".join(
            [
                f"{self.sample()}. Transfer hurts where the whole interval of the gap lies above 0: with good habits "
                f"on {with_good}. Where one turns bad alone: on how many pairs of the figure, and the change of Dice "
                "in points, of scratch (a dash where that does not concern it), then of transfer.",
                markdown_table(self.costs().frame),
            ]
        )

    def _of(self, question: str) -> list[Row]:
        return [row for row in self.rows if row["question"] == question]


def _draw_pair(ax: Axes, rows: Sequence[Row]) -> None:
    """Draw the gaps of one pair, each cell in the series of its kind."""
    nothing = Estimate(float("nan"), float("nan"), float("nan"))
    series = {kind: [estimate_of(row) if _kind(row) == kind else nothing for row in rows] for kind in _STYLES}
    names = [_in_words(row["cell"]) for row in rows]
    xlabel = "gap: scratch − transferred (Dice points)"
    plot_estimates(ax, names, series, xlabel=xlabel, styles=_STYLES, side_by_side=False)
    if legend := ax.get_legend():
        # the figure has one for all panels
        legend.remove()


def _kind(row: Row) -> str:
    if row["scratch"] < NOTHING_LEARNED:
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
