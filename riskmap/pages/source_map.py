"""What a source network says of the target's training patients: LEEP, hardness, weights, and how they look."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from riskmap.data.cohort import Cohort, Task
from riskmap.data.patients import load_patients
from riskmap.experiment.shown import ShownList, without_gaps
from riskmap.explorers.base import Explorer
from riskmap.explorers.patients import explore_risk_map
from riskmap.figures.charts import plot_hardness_histogram, plot_table
from riskmap.figures.images import busiest_slice, plot_class_contours, plot_overlay, plot_slice, plot_source_row
from riskmap.figures.style import CLASS_COLOURS, ORANGE
from riskmap.leep import LeepStatistics
from riskmap.pages import conclusions
from riskmap.pages.measurements import keep_measurements
from riskmap.pages.source import SourceNetwork
from riskmap.project.hub import allowed_jobs
from riskmap.risk import TransferRiskMap
from riskmap.training.map_files import write_risk_maps
from riskmap.training.networks import SegmentationNetwork
from riskmap.training.target_data import TargetData
from riskmap.training.views import PatientView, describe_view, hardness_of, statistics_of, view_patient


class SourceMap:
    """A source network that looks at the training patients of a target task.

    Args:
        source: the source network.
        cohort: of the target's patients.
        task: the target task.
        patients: target *training* patients, since a map that has seen other labels leaks them.
        seed: of what an arm shuffles.

    A comparison makes it: ``comparison.map()``. Then::

        risk.score()               # LEEP, in nats
        risk.statistics            # the tables, a LeepStatistics
        risk.hardness              # of each training pixel, [N, 1, H, W], in nats
        risk.explore()             # sliders, from the hardness to the weights
        risk.write(TransferRiskMap.paper(risk.statistics))
    """

    def __init__(self, source: SourceNetwork, cohort: Cohort, task: Task, patients: Sequence[str], seed: int) -> None:
        self.source = source
        self.cohort = cohort
        self.task = task
        self.patients = tuple(patients)
        self.seed = seed

    @cached_property
    def network(self) -> SegmentationNetwork:
        """The source network, on the device of the setting."""
        return self.source.network

    @cached_property
    def data(self) -> TargetData:
        """The target's training data with the source network, as an arm gets them."""
        training = self.source.setting.training
        slices = load_patients(self.cohort, self.patients, self.task, training.spatial_dims)
        num_classes = self.cohort.targets[self.task.target].num_classes
        return TargetData(slices, num_classes, self.network, self.seed, training)

    @property
    def statistics(self) -> LeepStatistics:
        """The LEEP statistics of the training pixels."""
        return self.data.leep

    @property
    def probabilities(self) -> torch.Tensor:
        """The source's softmax on the training pixels, [N, C_s, *spatial]."""
        return self.data.source_probabilities

    @property
    def labels(self) -> torch.Tensor:
        """The labels of the training pixels, [N, 1, *spatial], int64."""
        return self.data.slices.labels.long()

    @property
    def hardness(self) -> torch.Tensor:
        """The hardness of the training pixels, [N, 1, *spatial], in nats; 0 where the label is certain."""
        return self.data.hardness

    @property
    def class_names(self) -> tuple[list[str], list[str]]:
        """The names of the source's classes and of the target's, each with whose it is."""
        of_source = self.source.cohort.targets[self.source.task.target].classes
        of_target = self.cohort.targets[self.task.target].classes
        return [f"source: {name}" for name in of_source], [f"target: {name}" for name in of_target]

    def score(self) -> float:
        """Return LEEP in nats, minus the mean hardness, and hand it on to a sweep."""
        score = self.statistics.score([(self.probabilities, self.labels)])
        row = {"source": str(self.source.task), "target": str(self.task), "seed": self.seed}
        row |= {"shots": len(self.patients), "steps": self.source.setting.source_steps}
        keep_measurements(pd.DataFrame([{**row, "run": self.source.run.folder.name, "leep": score}]))
        return score

    def found(self) -> ShownList:
        """Return what the map says of the training pixels, in a few sentences."""
        score = self.statistics.score([(self.probabilities, self.labels)])
        return conclusions.of_map(score, self.statistics, self.probabilities, self.labels, self.hardness)

    def draw_tables(self) -> Figure:
        """Draw the conditional table C(y | z), and beside it the hardness of each class as a histogram."""
        of_source, of_target = self.class_names
        figure = Figure(figsize=(12, 3.6), dpi=100, layout="constrained")
        left, right = figure.subplots(1, 2)
        conditional = self.statistics.conditional().numpy()
        plot_table(left, conditional, rows=of_target, columns=of_source, title="C(y | z)")
        plot_hardness_histogram(right, self.hardness.numpy(), self.data.slices.labels.numpy(), of_target)
        return figure

    def draw_curves(self) -> Figure:
        """Draw the hardness of each label against the source's probability of foreground."""
        of_source, of_target = self.class_names
        p = torch.linspace(0, 1, 101, dtype=torch.float64)
        # of a source with several classes, each gets the same share
        line = torch.stack([1 - p, *[p / (len(of_source) - 1)] * (len(of_source) - 1)])[None, :, None]
        figure = Figure(figsize=(6, 3.4), dpi=100, layout="constrained")
        ax = figure.subplots()
        for label, name in enumerate(of_target):
            hardness = self.statistics.hardness(line.float(), torch.full((1, 1, 101), label)).flatten()
            ax.plot(p, hardness, label=name, color=CLASS_COLOURS[label % len(CLASS_COLOURS)], linewidth=2)
        ax.set(xlabel="source's probability of foreground", ylabel="hardness h (nats)")
        ax.legend(frameon=False)
        return figure

    def draw_patient(self) -> Figure:
        """Draw a training patient's slice in three panels: the image, the source's softmax, and the hardness."""
        patient = self.patients[0]
        view = self.view(self.cohort, patient, self.task)
        height = busiest_slice(view.labels)
        hardness = hardness_of(view, self.statistics)[..., height]
        image, foreground = view.image[..., height], 1 - view.probabilities[height, 0].numpy()
        figure = Figure(figsize=(11, 4), dpi=100, layout="constrained")
        axes = figure.subplots(1, 3)
        plot_slice(axes[0], image, title=f"{self.task}, {patient}")
        for ax, values, name in zip(axes[1:], (foreground, hardness), ("source's softmax", "hardness h"), strict=True):
            plot_overlay(ax, image, values, limits=(0.0, max(values.max(), 1e-6)), title=name)
            ax.set_xlabel(f"dark 0, bright {values.max():.3g}")
        for ax in axes:
            plot_class_contours(ax, view.labels[..., height], self.data.num_classes, colour=ORANGE)
        return figure

    def explore(self) -> Explorer:
        """Return sliders over the training patients, from the hardness of a slice to the weights of its pixels."""
        training = self.source.setting.training
        return explore_risk_map(
            self.cohort, self.task, self.network, self.statistics, self.patients, training.window, training.precision
        )

    def write(self, risk_map: TransferRiskMap, jobs: int = 1) -> Path:
        """Write the weight of each voxel of each training patient as NIfTI, and return the folder of the files."""
        training = self.source.setting.training
        return write_risk_maps(
            self.network,
            risk_map,
            self.cohort,
            self.patients,
            self.task,
            self.source.out_dir / "maps",
            training.precision,
            window=training.window,
            jobs=allowed_jobs(jobs),
        )

    def view(self, cohort: Cohort, patient: str, task: Task) -> PatientView:
        """Let the source network look at any patient, on any task."""
        training = self.source.setting.training
        return view_patient(cohort, patient, task, self.network, training.window, training.precision)

    def draw_rows(self, patients: Mapping[str, tuple[Cohort, str]]) -> Figure:
        """Draw patients of any cohorts, a row each: the source at home, the target's image, the source on it, hardness.

        The hardness is that of the training patients' statistics, on one scale for all rows.

        Args:
            patients: a title to the cohort and the patient.
        """
        views = {name: self._both(*of) for name, of in patients.items()}
        hardness = {name: hardness_of(there, self.statistics) for name, (_, there) in views.items()}
        top = max(float(values.max()) for values in hardness.values())
        figure = Figure(figsize=(12, 3.6 * len(views)), dpi=100, layout="constrained")
        rows = figure.subplots(len(views), 4, squeeze=False)
        titles = (str(self.source.task), str(self.task))
        for row, (name, (home, there)) in zip(rows, views.items(), strict=True):
            height = busiest_slice(there.labels if there.labels.any() else home.labels)
            at_home, on_target = (_slice_of(view, height) for view in (home, there))
            plot_source_row(row, at_home, on_target, hardness[name][..., height], titles=titles, top=top)
            row[0].set_ylabel(name)
            row[0].yaxis.set_visible(True)
            row[0].set_yticks([])
        return figure

    def describe(self, patients: Mapping[str, tuple[Cohort, str]]) -> pd.DataFrame:
        """Return what the source says in and around the label of patients, at home and on the target, as numbers.

        At home the hardness is by the patient's own statistics, on the target by those of the training patients.
        """
        rows = {}
        for name, of in patients.items():
            home, there = self._both(*of)
            rows[f"{name}, {self.source.task}"] = describe_view(home, statistics_of(home))
            rows[f"{name}, {self.task}"] = describe_view(there, self.statistics)
        # whatever the organ is
        table = pd.DataFrame(rows).T.rename(columns=lambda name: name.replace("rest of the brain", "rest of the image"))
        return without_gaps(table, 3)

    def _both(self, cohort: Cohort, patient: str) -> tuple[PatientView, PatientView]:
        return self.view(cohort, patient, self.source.task), self.view(cohort, patient, self.task)


def _slice_of(view: PatientView, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return image, probability of foreground and labels of a slice, each [X, Y]."""
    return view.image[..., height], 1 - view.probabilities[height, 0].numpy(), view.labels[..., height]
