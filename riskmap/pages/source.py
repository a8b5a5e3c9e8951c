"""A source network for a page: trained once, its curves, its scores, its good and bad cases."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from riskmap.data.cohort import Cohort, Task
from riskmap.experiment.shown import ShownList
from riskmap.explorers.base import Explorer
from riskmap.explorers.results import explore_predictions
from riskmap.figures.charts import plot_training
from riskmap.figures.images import busiest_slice, plot_class_contours, plot_slice
from riskmap.figures.style import ORANGE, SKY
from riskmap.pages import conclusions
from riskmap.pages.measurements import keep_measurements
from riskmap.project.paths import name_below, resolve
from riskmap.training.networks import SegmentationNetwork
from riskmap.training.runs import Run, Wanted, ensure_run
from riskmap.training.specs import Setting


class SourceNetwork:
    """A network that learns one task on the source's patients of a cohort.

    Args:
        cohort: prepared.
        task: what it learns, such as "FLAIR:WT".
        setting: steps, rate, seed, architecture, device and precision.
        out_dir: where runs are kept; relative to the project's root.

    Raises:
        ValueError: the cohort lacks the sequence or the label.

    It is trained when it is first asked for, or read where it is there already::

        source = SourceNetwork(cohort, "FLAIR:WT")
        source.train()           # a bar with the time left
        source.scores            # Dice and Hausdorff distance of each validation patient
        source.explore(other)    # sliders: what another network has right and this one wrong
    """

    def __init__(
        self, cohort: Cohort, task: str, setting: Setting | None = None, out_dir: str | Path = "build/runs"
    ) -> None:
        self.cohort = cohort
        self.task = Task.parse(task).check(cohort)
        self.setting = setting or Setting()
        self.out_dir = resolve(out_dir)

    @cached_property
    def run(self) -> Run:
        """The finished run, with its record and its predictions."""
        return ensure_run(*self.wanted, self.out_dir)

    @property
    def wanted(self) -> Wanted:
        """The specification of the run, and the cohort."""
        return self.setting.source(str(self.task)), self.cohort

    def train(self) -> None:
        """Train the network, unless it is there, and hand its scores on to a sweep."""
        rows = {"source": str(self.task), "seed": self.setting.source_seed}
        rows |= {"steps": self.setting.source_steps, "run": self.run.folder.name}
        measured = self.scores.rename(columns={"Dice": "dice", "HD95 (mm)": "hausdorff95_mm"})
        keep_measurements(measured.rename_axis("patient").reset_index().assign(**rows))

    @property
    def network(self) -> SegmentationNetwork:
        """The trained network, in eval mode, on the device of the setting."""
        return self.run.network(self.setting.device)

    def with_steps(self, share: float) -> "SourceNetwork":
        """Return the same network with a share of the steps, at least one."""
        steps = max(int(self.setting.source_steps * share), 1)
        return SourceNetwork(self.cohort, str(self.task), replace(self.setting, source_steps=steps), self.out_dir)

    @property
    def scores(self) -> pd.DataFrame:
        """Dice (0..1) and HD95 (mm) of each validation patient, the mean over a label's classes."""
        patients = self.run.record["results"]["patients"]
        columns = {"Dice": "dice", "HD95 (mm)": "hausdorff95_mm"}
        rows = {who: {c: np.mean(score[key]) for c, key in columns.items()} for who, score in patients.items()}
        return pd.DataFrame(rows).T

    def draw_example(self) -> Figure:
        """Draw the first training patient twice: as it is, and with the outline of the label."""
        patient = self.cohort.part("source_train")[0]
        labels = self.cohort.labels(patient, self.task.target)
        height = busiest_slice(labels)
        figure = Figure(figsize=(8, 4.4), dpi=100, layout="constrained")
        axes = figure.subplots(1, 2)
        titles = (f"{self.task.modality}, patient {patient}", f"with the label {self.task.target}")
        for ax, title in zip(axes, titles, strict=True):
            plot_slice(ax, self.cohort.image(patient, self.task.modality)[..., height], title=title)
        plot_class_contours(axes[1], labels[..., height], self._num_classes)
        return figure

    def draw_curves(self) -> Figure:
        """Draw the training loss, and the Dice on validation patients, against the steps."""
        figure = Figure(figsize=(10, 3.4), dpi=100, layout="constrained")
        plot_training(figure.subplots(1, 2), self.run.record["results"]["history"], label=str(self.task))
        figure.suptitle(f"source network {self.task}")
        return figure

    def draw_cases(self) -> Figure:
        """Draw the best and the worst validation patient: the truth solid, the network's answer dashed."""
        predictions, dice = self.run.predictions(), self.scores["Dice"]
        figure = Figure(figsize=(8, 4.6), dpi=100, layout="constrained")
        axes = figure.subplots(1, 2)
        for ax, patient in zip(axes, (dice.idxmax(), dice.idxmin()), strict=True):
            truth = self.cohort.labels(patient, self.task.target)
            height = busiest_slice(truth)
            image = self.cohort.image(patient, self.task.modality)[..., height]
            plot_slice(ax, image, title=f"{patient}: Dice {dice[patient]:.3f}")
            plot_class_contours(ax, truth[..., height], self._num_classes, colour=ORANGE)
            found = predictions[patient][..., height]
            plot_class_contours(ax, found, self._num_classes, colour=SKY, style="dashed")
        axes[0].set_xlabel("orange: truth · dashed blue: network")
        return figure

    def found(self) -> ShownList:
        """Return what came out of the training, in a few sentences."""
        return conclusions.of_source(self.run.record["results"]["history"], *(self.scores[c] for c in self.scores))

    def explore(self, title: str, other: "SourceNetwork", other_title: str) -> Explorer:
        """Return sliders over what another network has right or wrong where this one differs."""
        return explore_predictions(self.cohort, self.task, {other_title: other.run, title: self.run})

    def summary(self) -> pd.DataFrame:
        """Return where the run lies, and what its record says of data, time and machine."""
        record = self.run.record
        rows = {
            "folder": name_below(self.run.folder, self.out_dir),
            "data": record["parameters"]["data"]["digest"],
            "seconds": record["cost"]["seconds"],
            "threads": record["environment"]["threads"],
            "computed on": record["environment"].get("gpu") or record["environment"]["processor"],
        }
        return pd.Series(rows, name="run").to_frame()

    @property
    def _num_classes(self) -> int:
        return self.cohort.targets[self.task.target].num_classes
