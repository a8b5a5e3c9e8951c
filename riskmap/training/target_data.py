"""What an arm may look at: the target's training patients, and frozen networks on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import nn

from riskmap.data.patients import SliceSet
from riskmap.leep import LeepStatistics
from riskmap.training.config import TrainingConfig
from riskmap.training.prediction import predict_probabilities


@dataclass(frozen=True)
class TargetData:
    """What an arm may look at: target *training* slices (or volumes, in 3-D) and frozen networks.

    A network is any module that maps images [N, 1, *spatial] to logits [N, C, *spatial]; nothing but its softmax is
    used. ``source`` is None where the arm has nothing to do with it. ``others``, by the name of the arm that trained
    them on these slices, are there for the arms that ask for them: "scratch", "fine_tune". ``training`` says how the
    run is trained: its patches and its precision.
    """

    slices: SliceSet
    num_classes: int
    source: nn.Module | None
    seed: int
    training: TrainingConfig = field(default_factory=TrainingConfig)
    others: Mapping[str, nn.Module] = field(default_factory=dict)

    def probabilities_of(self, network: nn.Module) -> torch.Tensor:
        """Return a network's softmax on the training slices, [N, K, *spatial]."""
        training = self.training
        batches = predict_probabilities(network, self.slices.images, training.precision, window=training.window)
        return torch.cat(list(batches))

    def leep_of(self, probabilities: torch.Tensor) -> LeepStatistics:
        """Return the LEEP statistics of such probabilities on the training slices."""
        statistics = LeepStatistics(probabilities.shape[1], self.num_classes)
        return statistics.update(probabilities, self.slices.labels.long())

    @cached_property
    def source_probabilities(self) -> torch.Tensor:
        """Softmax of the source network on the training slices, [N, K_s, *spatial].

        Raises:
            ValueError: the arm starts from scratch, so there is no source network.
        """
        if self.source is None:
            raise ValueError("an arm that starts from scratch has no source network to look at")
        return self.probabilities_of(self.source)

    def other_probabilities(self, arm: str) -> torch.Tensor:
        """Return the softmax, on the training slices, of the network that another arm has trained, [N, K, *spatial].

        Raises:
            ValueError: the arm has not asked for it.
        """
        if arm not in self.others:
            raise ValueError(f"the arm has not asked for the network of {arm} (looks_at)")
        return self.probabilities_of(self.others[arm])

    @cached_property
    def inside(self) -> torch.Tensor:
        """Where the patients are: the pixels whose image is not 0, bool [N, 1, *spatial]."""
        return self.slices.images != 0

    @cached_property
    def hardness(self) -> torch.Tensor:
        """Hardness of the training pixels, [N, 1, *spatial], float32 in nats."""
        return self.leep.hardness(self.source_probabilities, self.slices.labels.long())

    @cached_property
    def leep(self) -> LeepStatistics:
        """LEEP statistics of the source network on the training slices."""
        return self.leep_of(self.source_probabilities)
