"""The arms of the comparison: where the network starts and how each pixel counts. One function and one line each.

All arms share network, budget, batches, augmentation and Dice term. Weights are brought to mean 1 over the training
pixels, so that no arm wins by a larger loss, that is by a hidden change of learning rate or of the Dice term's share.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from riskmap.leep import LeepStatistics
from riskmap.loss import RiskWeightedLoss
from riskmap.networks import SegmentationNetwork
from riskmap.prediction import predict_probabilities
from riskmap.risk import PAPER_NORMALIZATION, TransferRiskMap
from riskmap.slices import SliceSet


@dataclass(frozen=True)
class TargetData:
    """What an arm may look at: target *training* slices, and the frozen source network (None where it starts fresh)."""

    slices: SliceSet
    num_classes: int
    source: SegmentationNetwork | None
    seed: int
    precision: str = "auto"

    @cached_property
    def source_probabilities(self) -> torch.Tensor:
        """Softmax of the source network on the training slices, [N, K_s, H, W]."""
        return torch.cat(list(predict_probabilities(self.source, self.slices.images, self.precision)))

    @cached_property
    def leep(self) -> LeepStatistics:
        """LEEP statistics of the source network on the training slices."""
        statistics = LeepStatistics(self.source.num_classes, self.num_classes)
        statistics.update(self.source_probabilities, self.slices.labels.long())
        return statistics


@dataclass(frozen=True)
class Design:
    """What an arm makes of the data: the loss, and weights [N, 1, H, W] or None."""

    loss: RiskWeightedLoss
    weights: torch.Tensor | None = None


@dataclass(frozen=True)
class Arm:
    """One way to train: ``starts`` is "fresh" or "source"; ``design`` gives loss and weights."""

    name: str
    title: str
    starts: str
    design: Callable[[TargetData], Design]


def _plain(data: TargetData) -> Design:
    return Design(RiskWeightedLoss(normalization="pixels"))


def _weighted(weights: torch.Tensor) -> Design:
    return Design(RiskWeightedLoss(normalization="pixels"), weights / weights.mean())


def class_frequencies(labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return the share of each class among all pixels, [C], float64."""
    counts = torch.bincount(labels.flatten().long(), minlength=num_classes).double()
    return counts / counts.sum()


def _class_balanced(data: TargetData) -> Design:
    # the root of the inverse frequency, as 1 / f lets a class of 1 % of the pixels outweigh everything else
    frequencies = class_frequencies(data.slices.labels, data.num_classes).clamp_min(1e-6)
    return _weighted(frequencies.rsqrt().float()[data.slices.labels.long()])


def _paper(data: TargetData) -> torch.Tensor:
    return TransferRiskMap.paper(data.leep)(data.source_probabilities, data.slices.labels.long())


def _by_foreground(data: TargetData, weights: torch.Tensor) -> Design:
    """Normalise each image by its foreground size, as the paper does, at the scale of a plain loss."""
    per_image = weights.flatten(1).sum(1)
    foreground = (data.slices.labels > 0).flatten(1).sum(1)
    pixels = data.slices.labels[0].numel()
    divisor = torch.where(foreground > 0, foreground, torch.tensor(pixels))
    # for a plain loss sum(w) / N is 1 on average: this factor restores that
    scale = float(1 / (per_image / divisor).mean())
    return Design(RiskWeightedLoss(normalization=PAPER_NORMALIZATION, cross_entropy_weight=scale), weights)


def _risk_map_paper(data: TargetData) -> Design:
    return _by_foreground(data, _paper(data))


def _fitted(data: TargetData, **choices: float | str) -> torch.Tensor:
    """Return the weights of a map that is scaled over all training slices."""
    batch = (data.source_probabilities, data.slices.labels.long())
    return TransferRiskMap(data.leep, scaling="dataset", **choices).fit([batch])(*batch)


def _bounded(data: TargetData) -> torch.Tensor:
    # w = 1 + 4 r: no pixel is forgotten, and none counts more than five times as much as another
    return _fitted(data, weighting="affine", slope=4.0)


def _risk_map(data: TargetData) -> Design:
    return _weighted(_bounded(data))


def _risk_map_hardness(data: TargetData) -> Design:
    return _weighted(_fitted(data, weighting="hardness"))


def shuffle_within_class(weights: torch.Tensor, labels: torch.Tensor, seed: int) -> torch.Tensor:
    """Permute the weights among the pixels of one class of one image: same values, other places.

    Shape: weights and labels [N, 1, H, W]; the result is like weights.
    """
    generator = torch.Generator().manual_seed(seed)
    shuffled = weights.clone().flatten(1)
    for image, classes in zip(shuffled, labels.flatten(1), strict=True):
        for index in classes.unique():
            places = torch.nonzero(classes == index).flatten()
            image[places] = image[places[torch.randperm(len(places), generator=generator)]]
    return shuffled.view_as(weights)


def _risk_map_paper_shuffled(data: TargetData) -> Design:
    return _by_foreground(data, shuffle_within_class(_paper(data), data.slices.labels, data.seed))


def _risk_map_shuffled(data: TargetData) -> Design:
    return _weighted(shuffle_within_class(_bounded(data), data.slices.labels, data.seed))


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("scratch", "From scratch", "fresh", _plain),
        Arm("fine_tune", "Fine-tuning", "source", _plain),
        Arm("class_balanced", "Fine-tuning, class-balanced", "source", _class_balanced),
        Arm("risk_map_paper", "Risk map, reconstruction of the paper", "source", _risk_map_paper),
        Arm("risk_map_paper_shuffled", "Control: reconstruction, shuffled", "source", _risk_map_paper_shuffled),
        Arm("risk_map_hardness", "Risk map, h / mean(h)", "source", _risk_map_hardness),
        Arm("risk_map", "Risk map, bounded", "source", _risk_map),
        Arm("risk_map_shuffled", "Control: bounded map, shuffled", "source", _risk_map_shuffled),
    )
}


def get_arm(name: str) -> Arm:
    """Return the arm of that name.

    Raises:
        ValueError: no such arm; the message names those there are.
    """
    if name not in ARMS:
        raise ValueError(f"arm={name!r} is unknown; allowed: {', '.join(ARMS)}")
    return ARMS[name]
