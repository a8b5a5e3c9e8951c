"""What an arm is: one way to train, made of a recipe, or of a function that a reader writes in a cell.

All arms share network, budget, batches, augmentation and Dice term. Weights are brought to mean 1 over the training
pixels, so that no arm wins by a larger loss, that is by a hidden change of learning rate or of the Dice term's share.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from types import FunctionType
from typing import Any

import torch

from riskmap.loss import RiskWeightedLoss
from riskmap.project.sources import function_code, source_of
from riskmap.risk import PAPER_NORMALIZATION
from riskmap.training.strategy import Strategy
from riskmap.training.target_data import TargetData
from riskmap.twins import class_mean, shuffle_within_class

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
Weigh = Callable[[TargetData], torch.Tensor]

# the module whose functions count one by one in an arm's identity: a changed arm leaves the others' runs valid
ARMS_MODULE = "riskmap.training.arms"
TWIN_SUFFIX = "_shuffled"


@dataclass(frozen=True)
class Recipe:
    """What an arm makes of the data.

    Args:
        loss: called as ``loss(logits, labels, weights)``.
        weights: of each training pixel, [N, 1, *spatial], or None.
        strategy: how body and head are treated while they are tuned.
    """

    loss: Loss
    weights: torch.Tensor | None = None
    strategy: Strategy = field(default_factory=Strategy)


MakeRecipe = Callable[[TargetData], Recipe]


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Args:
        name: in records and on the command line.
        title: in tables and figures.
        recipe: makes the :class:`Recipe` of the target's training data.
        starts: "fresh" or "source".
        control_of: the arm whose claim this one isolates; it takes that arm's learning rate.
        needs_scratch: whether the recipe looks at a network that was trained from scratch.
        text: the source that a reader has written, kept in the records; empty for the arms of the package.
    """

    name: str
    title: str
    recipe: MakeRecipe
    starts: str = "source"
    control_of: str | None = None
    needs_scratch: bool = False
    text: str = field(default="", repr=False)

    @cached_property
    def code(self) -> str:
        """Digest of the source of the recipe and of all that it uses; no comment or docstring changes it."""
        return function_code(self.recipe, ARMS_MODULE)

    def check_unchanged(self) -> None:
        """Check that a reader's arm is what its ``code`` says: a cell may have set a constant anew that it uses.

        Raises:
            ValueError: it is something else by now.
        """
        if self.text and function_code(self.recipe, ARMS_MODULE) != self.code:
            raise ValueError(f"{self.name} has changed since it was chosen, or what it uses has; choose the arms again")


def arm_of(function: Callable[..., Any]) -> Arm:
    """Return the arm that a reader's function is.

    Args:
        function: ``weights(h, y)`` gets the hardness of the training pixels, [N, 1, *spatial] in nats, and their labels
            (int64, alike), and returns a weight for each of them, finite and at least 0; they are brought to mean 1.
            ``recipe(data)`` gets the :class:`TargetData` and returns a whole :class:`Recipe`. It has a name, since runs
            and tables are named by it.

    Raises:
        TypeError: it is no such function.
        UnknownSourceError: its source cannot be read, or it uses what cannot be told apart from something else.
    """
    makes = weighted(_weigh_by(function)) if takes_hardness(function) else function
    return _own(function, function.__name__, function.__name__.replace("_", " "), makes)


def twin_of(function: Callable[..., Any]) -> Arm:
    """Return the shuffled twin of a reader's arm: its weights at other places of the same class and image.

    Raises:
        TypeError, UnknownSourceError: as :func:`arm_of`.
    """
    makes = weighted(shuffled(_weigh_by(function))) if takes_hardness(function) else shuffled_recipe(function)
    name = function.__name__
    return _own(function, name + TWIN_SUFFIX, f"Control: {name.replace('_', ' ')}, shuffled", makes, control_of=name)


def takes_hardness(function: Callable[..., Any]) -> bool:
    """Tell whether a reader's function is ``weights(h, y)`` and not ``recipe(data)``.

    Raises:
        TypeError: it is neither.
    """
    if not isinstance(function, FunctionType) or not function.__name__.isidentifier():
        came = getattr(function, "__name__", type(function).__name__)
        raise TypeError(f"an arm is a name, or a function that has one: weights(h, y) or recipe(data); got {came}")
    needed = [each for each in inspect.signature(function).parameters.values() if each.default is each.empty]
    if len(needed) not in (1, 2) or any(each.kind is not each.POSITIONAL_OR_KEYWORD for each in needed):
        raise TypeError(
            f"{function.__name__} must take (h, y), hardness and labels, or (data), got {inspect.signature(function)}"
        )
    return len(needed) == 2


def weighted(weigh: Weigh) -> MakeRecipe:
    """Weight a plain loss, at mean 1 over the training pixels."""

    def recipe(data: TargetData) -> Recipe:
        weights = weigh(data)
        return Recipe(RiskWeightedLoss(normalization="pixels"), weights / weights.mean())

    return recipe


def by_foreground(weigh: Weigh) -> MakeRecipe:
    """Normalise each image by its foreground size, as the paper does, at the scale of a plain loss."""

    def recipe(data: TargetData) -> Recipe:
        weights = weigh(data)
        per_image = weights.flatten(1).sum(1)
        foreground = (data.slices.labels > 0).flatten(1).sum(1)
        pixels = data.slices.labels[0].numel()
        divisor = torch.where(foreground > 0, foreground, torch.tensor(pixels))
        # for a plain loss sum(w) / N is 1 on average: this factor restores that
        scale = float(1 / (per_image / divisor).mean())
        return Recipe(RiskWeightedLoss(normalization=PAPER_NORMALIZATION, cross_entropy_weight=scale), weights)

    return recipe


def tuned(**choices: float) -> MakeRecipe:
    """Train with a plain loss and a strategy of its own; ``choices`` are those of :class:`Strategy`."""

    def recipe(data: TargetData) -> Recipe:
        return Recipe(RiskWeightedLoss(normalization="pixels"), strategy=Strategy(**choices))

    return recipe


def shuffled(weigh: Weigh) -> Weigh:
    """Return the shuffled twin of a map: the same values at other places of the same class and image."""

    def twin(data: TargetData) -> torch.Tensor:
        return shuffle_within_class(weigh(data), data.slices.labels, data.seed)

    return twin


def shuffled_recipe(makes: MakeRecipe) -> MakeRecipe:
    """Return the twin of a recipe: the same loss, its weights at other places of the same class and image."""

    def recipe(data: TargetData) -> Recipe:
        made = makes(data)
        if made.weights is None:
            raise ValueError("the recipe has no weights, so it has no shuffled twin")
        return Recipe(made.loss, shuffle_within_class(made.weights, data.slices.labels, data.seed), made.strategy)

    return recipe


def averaged(weigh: Weigh) -> Weigh:
    """Return a map without places: each weight is replaced by the mean of its class."""

    def mean(data: TargetData) -> torch.Tensor:
        return class_mean(weigh(data), data.slices.labels)

    return mean


def _weigh_by(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Weigh:
    """Check what a reader's function returns."""

    def weigh(data: TargetData) -> torch.Tensor:
        labels = data.slices.labels.long()
        weights = function(data.hardness.clone(), labels)
        if not isinstance(weights, torch.Tensor) or weights.shape != labels.shape:
            came = list(weights.shape) if isinstance(weights, torch.Tensor) else type(weights).__name__
            raise ValueError(
                f"{function.__name__}(h, y) must return a tensor with a weight per pixel, {list(labels.shape)}, "
                f"got {came}"
            )
        weights = weights.float()
        if not (weights.isfinite().all() and weights.min() >= 0 and weights.mean() > 0):
            raise ValueError(
                f"{function.__name__}(h, y) must return finite weights of at least 0 that are not all 0, got values "
                f"from {weights.min().item():g} to {weights.max().item():g}"
            )
        return weights

    return weigh


def _own(function: Callable[..., Any], name: str, title: str, makes: MakeRecipe, control_of: str | None = None) -> Arm:
    # read here, where the source is to be had: a worker that gets a function of a notebook does not get it
    code = function_code(makes, ARMS_MODULE)
    arm = Arm(name, title, makes, control_of=control_of, text=source_of(function))
    arm.__dict__["code"] = code
    return arm
