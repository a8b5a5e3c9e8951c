"""The arms of the comparison: where the network starts and how each pixel counts. One function and one line each.

All arms share network, budget, batches, augmentation and Dice term. Weights are brought to mean 1 over the training
pixels, so that no arm wins by a larger loss, that is by a hidden change of learning rate or of the Dice term's share.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import nn

from riskmap.controls import class_mean, cross_entropy_of, hard_probabilities, shuffle_within_class
from riskmap.leep import LeepStatistics
from riskmap.loss import RiskWeightedLoss
from riskmap.losses import DiceFocalSoftmaxLoss, DiceTopKLoss, boundary_weights
from riskmap.prediction import predict_probabilities
from riskmap.risk import PAPER_NORMALIZATION, TransferRiskMap
from riskmap.slices import SliceSet
from riskmap.training import Loss
from riskmap.tuning import Tuning


@dataclass(frozen=True)
class TargetData:
    """What an arm may look at: target *training* slices (or volumes, in 3-D) and frozen networks.

    A network is any module that maps images [N, 1, *spatial] to logits [N, C, *spatial]; nothing but its softmax is
    used. ``source`` is None where the arm starts fresh; ``scratch``, trained on these slices alone, is there for the
    arms that ask for it. ``window`` is the side of the sliding window over volumes, None for slices.
    """

    slices: SliceSet
    num_classes: int
    source: nn.Module | None
    seed: int
    precision: str = "auto"
    scratch: nn.Module | None = None
    window: int | None = None

    def probabilities_of(self, network: nn.Module) -> torch.Tensor:
        """Return a network's softmax on the training slices, [N, K, *spatial]."""
        batches = predict_probabilities(network, self.slices.images, self.precision, window=self.window)
        return torch.cat(list(batches))

    def leep_of(self, probabilities: torch.Tensor) -> LeepStatistics:
        """Return the LEEP statistics of such probabilities on the training slices."""
        statistics = LeepStatistics(probabilities.shape[1], self.num_classes)
        return statistics.update(probabilities, self.slices.labels.long())

    @cached_property
    def source_probabilities(self) -> torch.Tensor:
        """Softmax of the source network on the training slices, [N, K_s, *spatial]."""
        return self.probabilities_of(self.source)

    @cached_property
    def leep(self) -> LeepStatistics:
        """LEEP statistics of the source network on the training slices."""
        return self.leep_of(self.source_probabilities)


@dataclass(frozen=True)
class Design:
    """What an arm makes of the data: the loss, weights [N, 1, *spatial] or None, and how body and head are tuned."""

    loss: Loss
    weights: torch.Tensor | None = None
    tuning: Tuning = field(default_factory=Tuning)


Weigh = Callable[[TargetData], torch.Tensor]
Plan = Callable[[TargetData], Design]


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Args:
        name: in records and on the command line.
        title: in tables and figures.
        design: makes the :class:`Design`.
        starts: "fresh" or "source".
        control_of: the arm whose claim this one isolates; it takes that arm's learning rate.
        needs_scratch: whether the design looks at a network that was trained from scratch.
    """

    name: str
    title: str
    design: Plan
    starts: str = "source"
    control_of: str | None = None
    needs_scratch: bool = False


def _plain(data: TargetData) -> Design:
    return Design(RiskWeightedLoss(normalization="pixels"))


def _tuned(**choices: float) -> Plan:
    return lambda data: Design(RiskWeightedLoss(normalization="pixels"), tuning=Tuning(**choices))


def _focal(data: TargetData) -> Design:
    return Design(DiceFocalSoftmaxLoss(gamma=2.0))


def _top_k(data: TargetData) -> Design:
    return Design(DiceTopKLoss(share=0.1))


def _weighted(weigh: Weigh) -> Plan:
    """Weight a plain loss, at mean 1 over the training pixels."""

    def design(data: TargetData) -> Design:
        weights = weigh(data)
        return Design(RiskWeightedLoss(normalization="pixels"), weights / weights.mean())

    return design


def _by_foreground(weigh: Weigh) -> Plan:
    """Normalise each image by its foreground size, as the paper does, at the scale of a plain loss."""

    def design(data: TargetData) -> Design:
        weights = weigh(data)
        per_image = weights.flatten(1).sum(1)
        foreground = (data.slices.labels > 0).flatten(1).sum(1)
        pixels = data.slices.labels[0].numel()
        divisor = torch.where(foreground > 0, foreground, torch.tensor(pixels))
        # for a plain loss sum(w) / N is 1 on average: this factor restores that
        scale = float(1 / (per_image / divisor).mean())
        return Design(RiskWeightedLoss(normalization=PAPER_NORMALIZATION, cross_entropy_weight=scale), weights)

    return design


def _shuffled(weigh: Weigh) -> Weigh:
    """Return the shuffled twin of a map: the same values at other places of the same class and image."""
    return lambda data: shuffle_within_class(weigh(data), data.slices.labels, data.seed)


def _class_mean(weigh: Weigh) -> Weigh:
    return lambda data: class_mean(weigh(data), data.slices.labels)


def class_frequencies(labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return the share of each class among all pixels, [C], float64."""
    counts = torch.bincount(labels.flatten().long(), minlength=num_classes).double()
    return counts / counts.sum()


def _balance(data: TargetData) -> torch.Tensor:
    # the root of the inverse frequency, as 1 / f lets a class of 1 % of the pixels outweigh everything else
    frequencies = class_frequencies(data.slices.labels, data.num_classes).clamp_min(1e-6)
    return frequencies.rsqrt().float()[data.slices.labels.long()]


def _boundary(data: TargetData) -> torch.Tensor:
    return boundary_weights(data.slices.labels)


def _ones(data: TargetData) -> torch.Tensor:
    return torch.ones(data.slices.labels.shape)


def _paper(data: TargetData) -> torch.Tensor:
    return TransferRiskMap.paper(data.leep)(data.source_probabilities, data.slices.labels.long())


def _fitted(data: TargetData, probabilities: torch.Tensor | None = None, **choices: float | str) -> torch.Tensor:
    """Return the weights of a map that is scaled over all training slices; by default of the source's softmax."""
    statistics = data.leep if probabilities is None else data.leep_of(probabilities)
    batch = (data.source_probabilities if probabilities is None else probabilities, data.slices.labels.long())
    return TransferRiskMap(statistics, scaling="dataset", **choices).fit([batch])(*batch)


def _hardness(data: TargetData) -> torch.Tensor:
    return _fitted(data, weighting="hardness")


def _hard_label(data: TargetData) -> torch.Tensor:
    return _fitted(data, hard_probabilities(data.source_probabilities), weighting="hardness")


def _scratch_hardness(data: TargetData) -> torch.Tensor:
    return cross_entropy_of(data.probabilities_of(data.scratch), data.slices.labels)


def _bounded(data: TargetData) -> torch.Tensor:
    # w = 1 + 4 r: no pixel is forgotten, and none counts more than five times as much as another
    return _fitted(data, weighting="affine", slope=4.0)


def _focused(data: TargetData) -> torch.Tensor:
    # w = 1 + 20 r: steep enough that foreground, and background that fools the source, outweigh all the rest
    return _fitted(data, weighting="affine", slope=20.0)


def _control(of: str, name: str, title: str, design: Plan, needs_scratch: bool = False) -> Arm:
    return Arm(name, f"Control: {title}", design, control_of=of, needs_scratch=needs_scratch)


def _twin(of: str, title: str, design: Plan) -> Arm:
    return _control(of, f"{of}_shuffled", f"{title}, shuffled", design)


_ROWS = (
    Arm("scratch", "From scratch", _plain, starts="fresh"),
    Arm("fine_tune", "Fine-tuning", _plain),
    Arm("linear_probe", "Linear probe, then fine-tuning", _tuned(probe_share=0.5)),
    Arm("discriminative_rate", "Fine-tuning, body at 0.1 of the rate", _tuned(body_rate=0.1)),
    Arm("l2_sp", "Fine-tuning, L2-SP", _tuned(body_pull=0.01, head_pull=0.01)),
    Arm("class_balanced", "Fine-tuning, class-balanced", _weighted(_balance)),
    Arm("focal", "Fine-tuning, focal loss", _focal),
    Arm("top_k", "Fine-tuning, worst 10 % of pixels", _top_k),
    Arm("boundary", "Fine-tuning, boundary-weighted", _weighted(_boundary)),
    Arm("risk_map_paper", "Risk map, reconstruction of the paper", _by_foreground(_paper)),
    _twin("risk_map_paper", "reconstruction", _by_foreground(_shuffled(_paper))),
    _control("risk_map_paper", "foreground_normalised", "reconstruction, w = 1", _by_foreground(_ones)),
    _control("risk_map_paper", "risk_map_paper_mean_one", "reconstruction, mean 1", _weighted(_paper)),
    Arm("risk_map_hardness", "Risk map, h / mean(h)", _weighted(_hardness)),
    _twin("risk_map_hardness", "h / mean(h)", _weighted(_shuffled(_hardness))),
    _control("risk_map_hardness", "risk_map_hardness_class_mean", "class mean of h", _weighted(_class_mean(_hardness))),
    _control("risk_map_hardness", "hard_label", "h of hard labels (NCE)", _weighted(_hard_label)),
    _control("risk_map_hardness", "scratch_hardness", "h of a scratch model", _weighted(_scratch_hardness), True),
    Arm("risk_map", "Risk map, bounded", _weighted(_bounded)),
    _twin("risk_map", "bounded map", _weighted(_shuffled(_bounded))),
    Arm("risk_map_focused", "Risk map, 1 + 20 r", _weighted(_focused)),
    _twin("risk_map_focused", "1 + 20 r", _weighted(_shuffled(_focused))),
)
ARMS: dict[str, Arm] = {arm.name: arm for arm in _ROWS}
# those that the tutorial's page on fine-tuning compares
TUTORIAL_ARMS = (
    *("scratch", "fine_tune", "class_balanced", "risk_map_paper", "risk_map_paper_shuffled"),
    *("risk_map_hardness", "risk_map", "risk_map_shuffled"),
)


def get_arm(name: str) -> Arm:
    """Return the arm of that name.

    Raises:
        ValueError: no such arm; the message names those there are.
    """
    if name not in ARMS:
        raise ValueError(f"arm={name!r} is unknown; allowed: {', '.join(ARMS)}")
    return ARMS[name]
