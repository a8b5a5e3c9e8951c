"""The results of a sweep for a page: what its jobs were, what a parameter did, and whether the seeds agree."""

from functools import cached_property
from pathlib import Path

import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from riskmap.experiment.shown import NOTHING, ShownTable, without_gaps
from riskmap.pages import sweep_table
from riskmap.pages.sweep_figures import draw_effect
from riskmap.pages.sweep_links import linked_table
from riskmap.project.paths import resolve


class SweepResults:
    """The table of a sweep, and the questions that page 7 asks of it.

    Args:
        folder: of the sweep, relative to the project's root.
        parameter: the swept parameter whose effect is shown; empty: the first one.
        measure: what was measured, a column of the table.

    Raises:
        ValueError: the folder holds no table.
    """

    def __init__(self, folder: str | Path, parameter: str = "", measure: str = "dice") -> None:
        self.folder = resolve(folder)
        self.table = sweep_table.read_table(self.folder)
        self.swept = sweep_table.varied(self.table)
        self.parameter = parameter or self.swept[0]
        self.measure = measure

    @cached_property
    def jobs(self) -> pd.DataFrame:
        """One row per job: its name, its notebook, its parameters, and why it failed if it did."""
        return sweep_table.read_jobs(self.folder)

    def sample(self) -> str:
        """Return how many jobs were done and failed, and what was varied."""
        values = {name: sorted(set(self.table[sweep_table.PREFIX + name])) for name in self.swept}
        failed = int(self.jobs["failed"].notna().sum())
        return f"{len(self.jobs)} jobs, {failed} failed, {len(self.table)} rows; varied: {values}"

    def failures(self) -> ShownTable:
        """Return the jobs that failed with their messages, or that none did."""
        return ShownTable(self.jobs.loc[self.jobs["failed"].notna(), ["job", "failed"]], empty="No job failed.")

    def rows(self) -> pd.DataFrame:
        """Return a few rows, with the columns in which the table's rows differ."""
        return without_gaps(sweep_table.sample_rows(self.table), 3)

    def draw_effect(self) -> Figure:
        """Draw what the parameter does to the measure, a panel for each setting of the others."""
        return draw_effect(self.table, self.parameter, self.measure)

    def effect(self) -> ShownTable:
        """Return the numbers behind the figure, averaged over the other parameters."""
        effect = sweep_table.effect_of(self.table, self.parameter, self.measure)
        numbers = effect[["mean", "low", "high"]].map("{:.3f}".format)
        return ShownTable(effect.assign(**numbers).rename(columns={"value": self.parameter}))

    def votes(self) -> ShownTable:
        """Return in how many seeds each value was the best one, per arm and setting of the other parameters."""
        winners = pd.concat(
            sweep_table.winners(part, self.parameter, self.measure).assign(setting=setting)
            for setting, part in sweep_table.by_other_parameters(self.table, self.parameter).items()
        )
        won = winners["wins"].astype(str) + " of " + winners["seeds"].astype(str)
        votes = winners.assign(won=won).pivot(index=["setting", "group"], columns="value", values="won")
        return ShownTable(votes.fillna(NOTHING).reset_index())

    def extremes(self) -> HTML:
        """Return the three best and the three worst re-runs, with links to their notebooks where these are there."""
        ranking = sweep_table.ranking(self.table, self.measure)
        return HTML(linked_table(pd.concat([ranking.head(3), ranking.tail(3)]), self.folder))
