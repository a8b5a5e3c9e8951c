"""What an arm is: one way to train, made of a recipe.

All arms share network, budget, batches, augmentation and Dice term. No arm shall win by a larger loss, that is by a
hidden change of learning rate or of the Dice term's share: :func:`weighted` brings weights to mean 1 over the training
pixels, :func:`by_foreground` keeps them and scales its loss. A :class:`Recipe` of a reader's own is taken as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch

from riskmap.loss import RiskWeightedLoss
from riskmap.project.function_code import function_code
from riskmap.risk import PAPER_NORMALIZATION
from riskmap.training.strategy import Loss, Strategy
from riskmap.training.target_data import TargetData
from riskmap.twins import shuffle_within_class

Weigh = Callable[[TargetData], torch.Tensor]

# the module whose functions count one by one in an arm's identity: a changed arm leaves the others' runs valid
ARMS_MODULE = "riskmap.training.arms"
TWIN_SUFFIX = "_shuffled"


@dataclass(frozen=True)
class Recipe:
    """What an arm makes of the data.

    Args:
        loss: called as ``loss(logits, labels, weights)``.
        weights: of each training pixel, [N, 1, *spatial], or None; they multiply the loss as they are.
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
        starts: from "scratch" or from the "source" network.
        control_of: the arm whose claim this one isolates; it takes that arm's learning rate.
        needs_scratch: whether the recipe looks at a network that was trained from scratch.
        text: the code that a reader has written, kept in the records; empty for the arms of the package.

    Raises:
        ValueError: it starts from something else.
    """

    name: str
    title: str
    recipe: MakeRecipe
    starts: Literal["scratch", "source"] = "source"
    control_of: str | None = None
    needs_scratch: bool = False
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.starts not in ("scratch", "source"):
            raise ValueError(f'starts={self.starts!r} must be "scratch" or "source"')

    @cached_property
    def code(self) -> str:
        """Digest of the recipe's code and of all that it uses, when it was first asked for.

        No comment or docstring changes it; see :func:`riskmap.project.function_code.function_code`.
        """
        return function_code(self.recipe, ARMS_MODULE)

    def check_unchanged(self) -> None:
        """Check that the arm is what its ``code`` says: a cell may have set a constant anew that it uses.

        Raises:
            ValueError: it is something else by now.
            UnknownCodeError: it uses what cannot be told apart from something else.
            ChangedCodeError: a file of the reader's was edited since it was imported.
        """
        if function_code(self.recipe, ARMS_MODULE) != self.code:
            raise ValueError(f"{self.name} has changed since it was chosen, or what it uses has; choose the arms again")


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
