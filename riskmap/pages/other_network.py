"""LEEP with a network that is no U-Net, on pictures that are no brains: discs, bright and dark."""

from functools import cached_property

import torch
from matplotlib.figure import Figure
from torch import nn

from riskmap.data.discs import blob_images
from riskmap.figures.images import plot_contour, plot_map, plot_slice
from riskmap.leep import LeepStatistics
from riskmap.training.baseline_losses import plain_loss
from riskmap.training.config import PatchConfig, TrainingConfig
from riskmap.training.loop import sampler_of, train
from riskmap.training.target_data import TargetData

# pixels along each side of a picture
_SIDE = 64


class Discs:
    """A network that learns to find bright discs and then looks at dark ones.

    Args:
        network: any that maps images [N, 1, 64, 64] to logits [N, 2, 64, 64]; it is trained in place.
        steps: optimiser steps.
        device: see :func:`riskmap.training.device.choose_device`.
        title: of the network, for the bar and the figure.
    """

    def __init__(self, network: nn.Module, steps: int, device: str, title: str) -> None:
        self.title = title
        self._dark = blob_images(8, _SIDE, seed=1, dark=True)
        # a network of the reader's own may know no other size: it sees whole pictures
        config = TrainingConfig(steps, 2e-3, PatchConfig(size=_SIDE, per_step=8), device=device)
        bright = blob_images(16, _SIDE, seed=0)
        train(network, sampler_of(config, bright, 0), plain_loss(), config, progress=title)
        self._data = TargetData(self._dark, 2, network.cpu(), seed=0)

    @property
    def statistics(self) -> LeepStatistics:
        """The LEEP statistics of the network on the dark discs."""
        return self._data.leep

    @cached_property
    def score(self) -> float:
        """LEEP on the dark discs, in nats."""
        return self.statistics.score([(self._data.source_probabilities, self._dark.labels.long())])

    def draw(self) -> Figure:
        """Draw one picture of dark discs, where the network says "disc", and the hardness, with the true outlines."""
        picture, truth = self._dark.images[0, 0].numpy(), self._dark.labels[0, 0].numpy() > 0
        layers: dict[str, torch.Tensor | None] = {
            "picture": None,
            f"{self.title}'s softmax": self._data.source_probabilities[0, 1],
            "hardness h": self._data.hardness[0, 0],
        }
        figure = Figure(figsize=(10.5, 3.8), dpi=100, layout="constrained")
        for ax, (name, values) in zip(figure.subplots(1, 3), layers.items(), strict=True):
            plot_slice(ax, picture, title=name, sides=False)
            if values is not None:
                plot_map(ax, values.numpy(), limits=(0, max(values.max().item(), 1e-6)), unit="", title=name)
            plot_contour(ax, truth)
        return figure
