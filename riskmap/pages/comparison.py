"""The one object of a page: ways to train on one target task, held against one another."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from riskmap.experiment import score_tables
from riskmap.experiment.changes import Changes, changes_of
from riskmap.experiment.figures import draw_harm
from riskmap.experiment.shown import ShownList, ShownTable, without_gaps
from riskmap.explorers.base import Explorer
from riskmap.explorers.results import explore_few_shot, explore_predictions
from riskmap.figures.charts import plot_patients, plot_shots, plot_training
from riskmap.figures.images import harm_legend, plot_contour, plot_harm_row, plot_map
from riskmap.figures.style import arm_style
from riskmap.measure.harm import KINDS, PixelTransfer
from riskmap.pages import conclusions
from riskmap.pages.compared_runs import ComparedRuns
from riskmap.project.paths import name_below
from riskmap.training.arms import title_of
from riskmap.training.views import hardness_of


class Comparison(ComparedRuns):
    """Ways to train on a target task, from scratch and from a source network, that differ in nothing else.

    Args:
        cohort: prepared, or its name: a default one that is missing is simulated first.
        source: what the source network has learned, such as "FLAIR:WT".
        target: what is trained, such as "T1ce:TC".
        arms: names of :data:`riskmap.training.arms.ARMS`, and functions of the reader's own: ``weights(h, y)`` of
            hardness and labels, which brings its shuffled twin along if it has places, or ``recipe(data)``. Empty:
            those of page 3.
        shots: target training patients, a number or several.
        seeds: each draws its own patients, first weights and batches; all arms of a seed share them.
        setting: network, steps, rates, device and precision; the tutorial's where it is left out.
        out_dir: where runs are kept, relative to the project's root. What is there is read.
        source_cohort: where the source network is trained; the same cohort where it is left out.

    Raises:
        ValueError: the cohort lacks a task, an arm is unknown, there are too few patients, or a number is named twice.
        TypeError: a function that is no arm, or arms that are no list.

    The shortest way through the package::

        from riskmap.pages.comparison import Comparison

        def hard_background(h, y):
            return 1 + 4 * h.clamp(max=1) * (y == 0)

        arms = ["scratch", "fine_tune", hard_background]
        comparison = Comparison("fets2021_simulated", "FLAIR:WT", "T1ce:TC", arms)
        comparison.run(jobs=2)          # a bar with the time left; what is there is read
        comparison.table()              # Dice, gap and gain of each arm, with intervals over patients
        comparison.draw_harm()          # what transfer broke and repaired, beside the churn of a second seed
        comparison.map().explore()      # sliders over the risk map of the training patients

    The runs themselves, and their scores: :class:`riskmap.pages.compared_runs.ComparedRuns`.
    """

    def sample(self) -> str:
        """Return how many patients, seeds and training patients stand behind the scores."""
        return score_tables.describe_sample(self.scores)

    def table(self) -> ShownTable:
        """Return Dice, gap to scratch and gain over fine-tuning of each arm, with 95 % intervals over patients.

        Raises:
            ValueError: one of these two is not among the arms; nothing is trained.
        """
        for arm in ("scratch", "fine_tune"):
            self.require("arm", arm, self.arm_names)
        if len(self.shots) == 1:
            return ShownTable(score_tables.result_table(self.scores, self.arm_names))
        return ShownTable(score_tables.shots_table(self.scores, self.arm_names))

    def answers(self) -> ShownList:
        """Return the questions that the arms can answer, each with its estimate and what its interval says."""
        return ShownList(score_tables.answers(self.scores))

    def found(self) -> ShownList:
        """Return what came out, in a few sentences made from the scores.

        Raises:
            ValueError: scratch or plain fine-tuning is not among the arms; nothing is trained.
        """
        for arm in ("scratch", "fine_tune"):
            self.require("arm", arm, self.arm_names)
        if len(self.shots) > 1:
            return conclusions.of_shots(self.scores)
        return conclusions.of_arms(self.scores, self.changes(["fine_tune"]).table() if len(self.seeds) > 1 else None)

    def by_seed(self) -> pd.DataFrame:
        """Return the mean Dice of each arm and seed."""
        return self.scores.pivot_table(index="arm", columns="seed", values="dice").loc[self.arm_names].round(3)

    def draw_patients(self) -> Figure:
        """Draw the Dice of each test patient, a column of dots per arm, averaged over seeds."""
        dice = score_tables.per_patient(self.scores).reset_index().melt("patient", value_name="dice")
        figure = Figure(figsize=(9, 4.4), dpi=100, layout="constrained")
        ax = plot_patients(figure.subplots(), dice, order=self.arm_names, titles=score_tables.titles_of(self.arm_names))
        ax.set_title(f"{self.title}: each dot is a test patient, the bar is the mean")
        return figure

    def draw_shots(self) -> Figure:
        """Draw Dice against the number of target patients, a line per arm, bars from the lowest to the highest seed."""
        curve = score_tables.shots_curve(self.scores)
        figure = Figure(figsize=(8, 4.6), dpi=100, layout="constrained")
        ax = plot_shots(figure.subplots(), curve, order=self.arm_names, titles=score_tables.titles_of(self.arm_names))
        several = f"mean of {len(self.seeds)} seeds, bars from the lowest to the highest seed"
        ax.set_title(f"{self.title}: {several if len(self.seeds) > 1 else 'one seed, so no bars'}")
        return figure

    def draw_curves(self) -> Figure:
        """Draw the training loss and the validation Dice of each arm, for the first seed."""
        figure = Figure(figsize=(11, 3.8), dpi=100, layout="constrained")
        axes = figure.subplots(1, 2)
        for arm in self.arm_names:
            history = self.run_of(arm).record["results"]["history"]
            plot_training(axes, history, label=title_of(arm), style=arm_style(arm))
        axes[1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        figure.suptitle(f"seed {self.seeds[0]}")
        return figure

    def changes(self, arms: Sequence[str] = ()) -> Changes:
        """Return what some arms changed against scratch, for the first seed, beside the churn of the second.

        Args:
            arms: what is shown; the slices shown are those that the first of them harmed most. Empty: plain fine-tuning
                and the reconstruction, or the one of them that is there.

        Raises:
            ValueError: scratch or one of the arms is not there, or there is one seed only, so that nothing shows the
                churn.
        """
        if len(self.seeds) < 2:
            raise ValueError(f"a second seed has to show the churn, got the seeds {self.seeds}")
        usual = ("fine_tune", "risk_map_paper")
        shown = list(arms) or [arm for arm in usual if arm in self.arm_names] or list(usual)
        for arm in ("scratch", *shown):
            self.require("arm", arm, self.arm_names)
        at_first_shots = {(arm, seed): run for (arm, k, seed), run in self.runs.items() if k == self.shots[0]}
        return changes_of(at_first_shots, self.cohort, str(self.task), shown, self.seeds)

    def harm(self, arm: str = "fine_tune") -> dict[str, PixelTransfer]:
        """Return the pixels that an arm harmed and repaired against scratch, by test patient; as :meth:`changes`."""
        return self.changes([arm]).by_title[title_of(arm)]

    def harm_table(self, arms: Sequence[str] = ()) -> pd.DataFrame:
        """Return which shares of the region around the target were missed, alarmed falsely, found and cleared.

        The churn stands in the last row.

        ``arms`` as for :meth:`changes`.
        """
        return without_gaps(self.changes(arms).table(), 4)

    def draw_harm(self, arms: Sequence[str] = ()) -> Figure:
        """Draw the slice that plain fine-tuning harmed most, beside the reconstruction and the churn.

        ``arms`` as for :meth:`changes`.
        """
        changes = self.changes(arms)
        worst, height = changes.worst()
        return draw_harm(changes, f"{worst}, slice {height}: compared with scratch, seed {self.seeds[0]}")

    def draw_harm_and_hardness(self, arm: str = "") -> Figure:
        """Draw what fine-tuning and an arm changed on the slice with most harm, and the hardness of its pixels.

        Args:
            arm: beside fine-tuning. Empty: the sampler by 1 + 20 r where it is there, else the first arm that is no
                control.
        """
        others = [each.name for each in self.arms if not each.control_of and each.name not in ("scratch", "fine_tune")]
        beside = [arm] if arm else sorted(others, key="risk_map_focused_sampled".__ne__)[:1]
        changes = self.changes(list(dict.fromkeys(["fine_tune", *beside])))
        worst, height = changes.worst()
        view = self.map().view(self.cohort, worst, self.task)
        hardness = hardness_of(view, self.map().statistics)[..., height]
        outline = changes.truth[worst][..., height] > 0
        masks = changes.masks(worst, height)
        figure = Figure(figsize=(3.4 * (len(masks) + 2), 4.2), dpi=100, layout="constrained")
        *left, right = figure.subplots(1, len(masks) + 2)
        plot_harm_row(left, view.image[..., height], masks, outline)
        plot_map(right, hardness, limits=(0, float(hardness.max())), unit="h (nats)", title="hardness, enlarged")
        plot_contour(right, outline, colour="white")
        right.set(xlim=left[-1].get_xlim(), ylim=left[-1].get_ylim())
        figure.legend(*harm_legend(), loc="outside lower center", ncols=len(KINDS), frameon=False, fontsize=11)
        figure.suptitle(f"{self.title}, {worst}, slice {height}: against scratch, seed {self.seeds[0]}")
        return figure

    def explore(self) -> Explorer:
        """Return sliders over the test patients: one arm's prediction against another's, for the first seed."""
        shown = {title_of(arm): self.run_of(arm) for arm in self.arm_names}
        if "scratch" in self.arm_names and len(self.seeds) > 1:
            shown[f"{title_of('scratch')}, seed {self.seeds[1]}"] = self.run_of("scratch", self.seeds[1])
        return explore_predictions(self.cohort, self.task, shown)

    def explore_shots(self) -> Explorer:
        """Return sliders over the number of target patients and what is measured."""
        return explore_few_shot(self.scores)

    def weight_files(self) -> dict[str, str]:
        """Return where the weights of each arm's network lie, for the first seed: below ``out_dir``, or shared."""
        return {arm: name_below(self.run_of(arm).folder / "weights.pt", self.out_dir) for arm in self.arm_names}
