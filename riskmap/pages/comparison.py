"""The one object of a page: ways to train on one target task, held against one another."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from riskmap.data.cohort import Cohort, Task
from riskmap.experiment import score_tables
from riskmap.experiment.changes import Changes, changes_of
from riskmap.experiment.figures import draw_harm
from riskmap.experiment.shown import ShownList, ShownTable
from riskmap.explorers.base import Explorer
from riskmap.explorers.results import explore_few_shot, explore_predictions
from riskmap.figures.charts import plot_patients, plot_shots, plot_training
from riskmap.figures.images import plot_contour, plot_harm_row, plot_map
from riskmap.figures.style import arm_style
from riskmap.measure.harm import PixelTransfer
from riskmap.pages.measurements import keep_measurements
from riskmap.pages.source import SourceNetwork
from riskmap.pages.source_map import SourceMap
from riskmap.project.paths import resolve
from riskmap.training.arm import Arm
from riskmap.training.arms import TUTORIAL_ARMS, choose_arms, title_of
from riskmap.training.config import Setting, TransferSpec
from riskmap.training.making import choose_patients
from riskmap.training.runs import Run, ensure_runs
from riskmap.training.views import hardness_of

# the runs whose numbers this process has handed on to a sweep
_HANDED_ON: set[Path] = set()


class Comparison:
    """Ways to train on a target task, from scratch and from a source network, that differ in nothing else.

    Args:
        cohort: prepared.
        source: what the source network has learned, such as "FLAIR:WT".
        target: what is trained, such as "T1ce:TC".
        arms: names of :data:`riskmap.training.arms.ARMS`, and functions of the reader's own: ``weights(h, y)`` of
            hardness and labels, which brings its shuffled twin along, or ``recipe(data)``. Empty: those of page 3.
        shots: target training patients, a number or several.
        seeds: each draws its own patients, first weights and batches; all arms of a seed share them.
        setting: network, steps, rates, device and precision; the tutorial's where it is left out.
        out_dir: where runs are kept, relative to the project's root. What is there is read.
        source_cohort: where the source network is trained; the same cohort where it is left out.

    Raises:
        ValueError: the cohort lacks a task, an arm is unknown, or there are too few patients.
        TypeError: a function that is no arm.

    The shortest way through the package::

        from riskmap.data.cohort import Cohort
        from riskmap.data.simulated import ensure_cohort
        from riskmap.pages.comparison import Comparison

        def twice_on_the_label(h, y):
            return 1 + (y > 0).float()

        cohort = Cohort.open(ensure_cohort("fets2021_simulated"))
        comparison = Comparison(cohort, "FLAIR:WT", "T1ce:TC", ["scratch", "fine_tune", twice_on_the_label])
        comparison.run(jobs=2)          # a bar with the time left; what is there is read
        comparison.table()              # Dice, gap and gain of each arm, with intervals over patients
        comparison.draw_harm()          # what transfer broke and repaired, beside the churn of a second seed
        comparison.map().explore()      # sliders over the risk map of the training patients
    """

    def __init__(
        self,
        cohort: Cohort,
        source: str,
        target: str,
        arms: Iterable[str | Arm | Callable[..., Any]] = (),
        *,
        shots: int | Sequence[int] = 3,
        seeds: Sequence[int] = (0, 1),
        setting: Setting | None = None,
        out_dir: str | Path = "build/runs",
        source_cohort: Cohort | None = None,
    ) -> None:
        self.cohort = cohort
        self.setting = setting or Setting()
        self.out_dir = resolve(out_dir)
        self.source = SourceNetwork(source_cohort or cohort, source, self.setting, out_dir)
        self.task = Task.parse(target).check(cohort)
        self.arms = choose_arms(list(arms) or TUTORIAL_ARMS)
        self.shots = (shots,) if isinstance(shots, int) else tuple(shots)
        self.seeds = tuple(seeds)
        choose_patients(cohort, max(self.shots), self.seeds[0])

    def __repr__(self) -> str:
        names = ", ".join(arm.name for arm in self.arms)
        return f"{self.title} on {self.cohort.name}, shots {self.shots}, seeds {self.seeds}: {names}"

    @property
    def title(self) -> str:
        """Source and target, for figures and messages."""
        return f"{self.source.task} → {self.task}"

    @property
    def specs(self) -> dict[tuple[str, int, int], TransferSpec]:
        """The specification of each run, by arm, shots and seed."""
        cells = product(self.seeds, self.shots, self.arms)
        pair = (str(self.source.task), str(self.task))
        return {(arm.name, k, seed): self.setting.transfer(*pair, arm, k, seed) for seed, k, arm in cells}

    def run(self, jobs: int = 2) -> None:
        """Train what is missing, ``jobs`` runs side by side, and hand the scores on to a sweep.

        A stopped call loses the steps since the last checkpoints; the next one goes on there.

        Raises:
            ValueError: the source network would be trained on another cohort than the target.
        """
        if self.source.cohort is not self.cohort:
            raise ValueError("a source network of another cohort can be looked at, with map(), and not yet fine-tuned")
        specs = self.specs
        made = ensure_runs(specs.values(), self.cohort, self.out_dir, jobs)
        self.__dict__["runs"] = dict(zip(specs, made, strict=True))
        # a run that an earlier comparison of this page has handed on is one measurement, not two
        fresh = [run for run in made if run.folder not in _HANDED_ON]
        if fresh:
            _HANDED_ON.update(run.folder for run in fresh)
            keep_measurements(score_tables.scores(run.record for run in fresh))

    @cached_property
    def runs(self) -> dict[tuple[str, int, int], Run]:
        """The finished runs by arm, shots and seed; they are made when they are missing."""
        self.run()
        return self.__dict__["runs"]

    def run_of(self, arm: str, seed: int | None = None, shots: int | None = None) -> Run:
        """Return one run: of the first seed and number of shots unless others are asked for."""
        return self.runs[arm, shots or self.shots[0], self.seeds[0] if seed is None else seed]

    def predictions(self, arm: str, seed: int | None = None) -> dict[str, np.ndarray]:
        """Return {test patient: predicted classes [X, Y, Z]} of one run."""
        return self.run_of(arm, seed).predictions()

    def patients(self) -> pd.DataFrame:
        """Return who is in the training set of each seed; fewer patients are the first of more."""
        drawn = {f"seed {seed}": choose_patients(self.cohort, max(self.shots), seed) for seed in self.seeds}
        return pd.DataFrame(drawn, index=[f"patient {number + 1}" for number in range(max(self.shots))]).T

    @property
    def scores(self) -> pd.DataFrame:
        """One row per run and test patient, see :func:`riskmap.experiment.score_tables.scores`."""
        return score_tables.scores(run.record for run in self.runs.values())

    def sample(self) -> str:
        """Return how many patients, seeds and training patients stand behind the scores."""
        return score_tables.describe_sample(self.scores)

    def table(self) -> ShownTable:
        """Return Dice, gap to scratch and gain over fine-tuning of each arm, with 95 % intervals over patients."""
        if len(self.shots) == 1:
            return ShownTable(score_tables.result_table(self.scores, self._names))
        return ShownTable(score_tables.shots_table(self.scores, self._names))

    def answers(self) -> ShownList:
        """Return the questions that the arms can answer, each with its estimate and what its interval says."""
        return ShownList(score_tables.answers(self.scores))

    def by_seed(self) -> pd.DataFrame:
        """Return the mean Dice of each arm and seed."""
        return self.scores.pivot_table(index="arm", columns="seed", values="dice").loc[self._names].round(3)

    def draw_patients(self) -> Figure:
        """Draw the Dice of each test patient, a column of dots per arm, averaged over seeds."""
        dice = score_tables.per_patient(self.scores).reset_index().melt("patient", value_name="dice")
        figure = Figure(figsize=(9, 4.4), dpi=100, layout="constrained")
        ax = plot_patients(figure.subplots(), dice, order=self._names, titles=score_tables.titles_of(self._names))
        ax.set_title(f"{self.title}: each dot is a test patient, the bar is the mean")
        return figure

    def draw_shots(self) -> Figure:
        """Draw Dice against the number of target patients, a line per arm, bars from the lowest to the highest seed."""
        curve = score_tables.shots_curve(self.scores)
        figure = Figure(figsize=(8, 4.6), dpi=100, layout="constrained")
        ax = plot_shots(figure.subplots(), curve, order=self._names, titles=score_tables.titles_of(self._names))
        ax.set_title(f"{self.title}: mean of {len(self.seeds)} seeds, bars from the lowest to the highest seed")
        return figure

    def draw_curves(self) -> Figure:
        """Draw the training loss and the validation Dice of each arm, for the first seed."""
        figure = Figure(figsize=(11, 3.8), dpi=100, layout="constrained")
        axes = figure.subplots(1, 2)
        for arm in self._names:
            history = self.run_of(arm).record["results"]["history"]
            plot_training(axes, history, label=title_of(arm), style=arm_style(arm))
        axes[1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        figure.suptitle(f"seed {self.seeds[0]}")
        return figure

    def changes(self, arms: Sequence[str] = ("fine_tune", "risk_map_paper")) -> Changes:
        """Return what some arms changed against scratch, for the first seed, beside the churn of the second.

        Raises:
            ValueError: there is one seed only, so that nothing shows the churn.
        """
        if len(self.seeds) < 2:
            raise ValueError(f"a second seed has to show the churn, got the seeds {self.seeds}")
        at_first_shots = {(arm, seed): run for (arm, k, seed), run in self.runs.items() if k == self.shots[0]}
        there = [arm for arm in arms if arm in self._names]
        return changes_of(at_first_shots, self.cohort, str(self.task), there, self.seeds)

    def harm(self, arm: str = "fine_tune") -> dict[str, PixelTransfer]:
        """Return the pixels that an arm harmed and repaired against scratch, by test patient."""
        return self.changes([arm]).by_title[title_of(arm)]

    def harm_table(self) -> pd.DataFrame:
        """Return the shares of the region around the target that were harmed and repaired, with the churn below."""
        return self.changes().table().round(4)

    def draw_harm(self) -> Figure:
        """Draw the slice that plain fine-tuning harmed most, beside the reconstruction and the churn."""
        changes = self.changes()
        worst, height = changes.worst()
        return draw_harm(changes, f"{worst}, slice {height}: compared with scratch, seed {self.seeds[0]}")

    def draw_harm_and_hardness(self, arm: str = "risk_map_focused") -> Figure:
        """Draw what fine-tuning and an arm changed on the slice with most harm, and the hardness of its pixels."""
        changes = self.changes(["fine_tune", arm])
        worst, height = changes.worst()
        view = self.map().view(self.cohort, worst, self.task)
        hardness = hardness_of(view, self.map().statistics)[..., height]
        outline = changes.truth[worst][..., height] > 0
        figure = Figure(figsize=(16, 4.8), dpi=100, layout="constrained")
        axes = figure.subplots(1, 4)
        plot_harm_row(axes[:3], view.image[..., height], changes.masks(worst, height), outline)
        plot_map(axes[3], hardness, limits=(0, float(hardness.max())), unit="h (nats)", title="hardness")
        plot_contour(axes[3], outline, colour="white")
        figure.suptitle(f"{self.title}, {worst}, slice {height}: against scratch, seed {self.seeds[0]}")
        return figure

    def map(self, seed: int | None = None) -> SourceMap:
        """Return the source network's map of the training patients of a seed, by default the first."""
        seed = self.seeds[0] if seed is None else seed
        if seed not in self._maps:
            patients = choose_patients(self.cohort, self.shots[0], seed)
            self._maps[seed] = SourceMap(self.source, self.cohort, self.task, patients, seed)
        return self._maps[seed]

    def explore(self) -> Explorer:
        """Return sliders over the test patients: one arm's prediction against another's, for the first seed."""
        shown = {title_of(arm): self.run_of(arm) for arm in self._names}
        if "scratch" in self._names and len(self.seeds) > 1:
            shown[f"{title_of('scratch')}, seed {self.seeds[1]}"] = self.run_of("scratch", self.seeds[1])
        return explore_predictions(self.cohort, self.task, shown)

    def explore_shots(self) -> Explorer:
        """Return sliders over the number of target patients and what is measured."""
        return explore_few_shot(self.scores)

    def weight_files(self) -> dict[str, str]:
        """Return where the weights of each arm's network lie, for the first seed, below ``out_dir``."""
        return {
            arm: (self.run_of(arm).folder / "weights.pt").relative_to(self.out_dir).as_posix() for arm in self._names
        }

    @cached_property
    def _maps(self) -> dict[int, SourceMap]:
        return {}

    @property
    def _names(self) -> list[str]:
        return [arm.name for arm in self.arms]
