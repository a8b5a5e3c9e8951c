"""A source network's map of one training slice, and its shuffled twin, as pictures for a lecture."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from riskmap.figures.images import busiest_slice, enlarge, plot_class_contours, plot_overlay, plot_slice, window_of
from riskmap.figures.style import ORANGE
from riskmap.pages.source_map import SourceMap
from riskmap.risk import TransferRiskMap
from riskmap.twins import shuffle_within_class

_FONT_SIZE = 15


class MapPictures:
    """Pictures of the training slice that holds most of the target.

    Args:
        source_map: of a comparison: ``comparison.map()``.
    """

    def __init__(self, source_map: SourceMap) -> None:
        self.map = source_map
        labels = source_map.labels[:, 0].permute(1, 2, 0).numpy()
        self.place = busiest_slice(labels)
        self.labels = labels[..., self.place]
        inside = source_map.data.inside[self.place, 0].numpy()
        # figures take 0 for what lies outside the patient
        self.image = np.where(inside, source_map.data.slices.images[self.place, 0].numpy(), 0.0)

    def draw_map(self) -> Figure:
        """Draw the slice with its label, the source's softmax on it, and the hardness."""
        softmax = 1 - self.map.probabilities[self.place, 0].numpy()
        hardness = self.map.hardness[self.place, 0].numpy()
        figure, (plain, says, hard) = self._panels(3)
        plot_slice(plain, self.image, title=f"{self.map.task.modality}, and the label {self.map.task.target}")
        plot_overlay(says, self.image, softmax, limits=(0, 1), title=f"softmax of the source {self.map.source.task}")
        plot_overlay(hard, self.image, hardness, limits=(0, float(hardness.max())), title="hardness h")
        says.set_xlabel("dark 0, bright 1")
        hard.set_xlabel(f"dark 0, bright {hardness.max():.2g} nats")
        for ax in (plain, says, hard):
            self._finish(ax, ORANGE if ax is plain else "white")
        return figure

    def draw_twin(self) -> Figure:
        """Draw the weights of the reconstruction and those of its shuffled twin, each with the target enlarged."""
        weights = TransferRiskMap.paper(self.map.statistics)(self.map.probabilities, self.map.labels)
        twin = shuffle_within_class(weights, self.map.labels, self.map.seed, self.map.data.inside)
        figure, axes = self._panels(4)
        shown = ((axes[:2], "the map's weights", weights), (axes[2:], "its twin's weights", twin))
        for (whole, part), title, values in shown:
            slice_ = values[self.place, 0].numpy()
            for ax, name in ((whole, title), (part, "the same, enlarged")):
                plot_overlay(ax, self.image, slice_, limits=(1, float(slice_.max())), title=name)
                self._finish(ax, "white")
            enlarge(part, window_of(self.labels > 0, margin=8))
            whole.set_xlabel(f"dark 1, bright {slice_.max():.0f}")
        return figure

    def _panels(self, number: int) -> tuple[Figure, list[Axes]]:
        figure = Figure(figsize=(4.2 * number, 5.1), dpi=100, layout="constrained")
        return figure, list(figure.subplots(1, number))

    def _finish(self, ax: Axes, colour: str) -> None:
        """Outline the label, and show the patient without the air around."""
        plot_class_contours(ax, self.labels, self.map.data.num_classes, colour=colour)
        enlarge(ax, window_of(self.image != 0, margin=2))
        ax.title.set_fontsize(_FONT_SIZE)
        ax.xaxis.label.set_fontsize(_FONT_SIZE)
