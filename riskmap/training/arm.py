"""What an arm is: one way to train, made of a recipe.

All arms share network, budget, augmentation and Dice term, and all but those that choose where patches are cut share
the batches. No arm shall win by a larger loss, that is by a hidden change of learning rate or of the Dice term's share:
:func:`weighted` brings weights to mean 1 over the pixels of the patches that are drawn. A :class:`Recipe` of a reader's
own is taken as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, get_args

import torch

from riskmap.project.function_code import function_code
from riskmap.training.baseline_losses import plain_loss
from riskmap.training.loop import sampler_of
from riskmap.training.networks import Head
from riskmap.training.strategy import Loss, Strategy
from riskmap.training.target_data import TargetData
from riskmap.twins import shuffle_within_class

Weigh = Callable[[TargetData], torch.Tensor]

# the module whose functions count one by one in an arm's identity: a changed arm leaves the others' runs valid
ARMS_MODULE = "riskmap.training.arms"
TWIN_SUFFIX = "_shuffled"
# of an arm whose map says where patches are cut, and not how much a pixel counts
SAMPLED_SUFFIX = "_sampled"
# enough for a mean that another draw changes by less than 1 %, or 4 % if the weights differ a hundredfold
_BATCHES_FOR_MEAN = 128


@dataclass(frozen=True)
class Recipe:
    """What an arm makes of the data.

    Args:
        loss: called as ``loss(logits, labels, weights)``.
        weights: of each training pixel, [N, 1, *spatial], or None; they multiply the loss as they are.
        strategy: how body and head are treated while they are tuned.
        places: where patches are cut, [N, 1, *spatial], at least 0: those that are not centred on foreground have their
            centres drawn in proportion to it, as by MONAI's ``RandWeightedCropd``; None: alike in the whole patient.
        label_places: the same for those that are centred on foreground; None: alike on the whole label.
    """

    loss: Loss
    weights: torch.Tensor | None = None
    strategy: Strategy = field(default_factory=Strategy)
    places: torch.Tensor | None = None
    label_places: torch.Tensor | None = None


MakeRecipe = Callable[[TargetData], Recipe]
LookedAt = Literal["source", "scratch", "fine_tune"]


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Args:
        name: in records and on the command line.
        title: in tables and figures.
        recipe: makes the :class:`Recipe` of the target's training data.
        starts: from "scratch", from the "source" network, or fresh "beside" the frozen source, see
            :class:`riskmap.training.networks.BesideNetwork`.
        head: how the new head of a transferred network starts, see
            :func:`riskmap.training.networks.transfer_network`.
        control_of: the arm whose claim this one isolates; it takes that arm's learning rate.
        looks_at: networks that the recipe looks at besides the one it starts from: "source", or the one that another
            arm has trained on the same patients, "scratch" or "fine_tune".
        text: the code that a reader has written, kept in the records; empty for the arms of the package.

    Raises:
        ValueError: it starts from, or looks at, something else.
    """

    name: str
    title: str
    recipe: MakeRecipe
    starts: Literal["scratch", "source", "beside"] = "source"
    head: Head = "zero"
    control_of: str | None = None
    looks_at: tuple[LookedAt, ...] = ()
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.starts not in ("scratch", "source", "beside"):
            raise ValueError(f'starts={self.starts!r} must be "scratch", "source" or "beside"')
        unknown = set(self.looks_at) - set(get_args(LookedAt))
        if unknown:
            raise ValueError(f"looks_at must be of {', '.join(get_args(LookedAt))}, got {', '.join(sorted(unknown))}")

    @property
    def needs_source(self) -> bool:
        """Whether the arm starts from the source network, stands beside it or looks at it."""
        return self.starts != "scratch" or "source" in self.looks_at

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
    """Weight a plain loss, at mean 1 over the pixels that are drawn."""

    def recipe(data: TargetData) -> Recipe:
        return Recipe(plain_loss(), at_mean_one(weigh(data), data))

    return recipe


def at_mean_one(weights: torch.Tensor, data: TargetData, places: torch.Tensor | None = None) -> torch.Tensor:
    """Divide weights by their mean over the pixels of the patches that a run draws.

    The mean over all pixels would not do: many patches lie on the label, where a map is high, and its loss would be a
    multiple of a plain one. It is taken over the run's own first ``_BATCHES_FOR_MEAN`` batches.

    Args:
        weights: [N, 1, *spatial], at least 0.
        data: whose patches are drawn.
        places: where they are cut, as of :class:`Recipe`.

    Raises:
        ValueError: the weights are 0 on all of these patches, so that there is nothing to learn.
    """
    sampler = sampler_of(data.training, data.slices.with_weights(weights), data.seed, places)
    mean = torch.stack([sampler.batch(step)["weight"].mean() for step in range(_BATCHES_FOR_MEAN)]).mean().item()
    if not mean > 0:
        raise ValueError(f"the weights are 0 wherever patches are drawn (their mean is {mean:g}): nothing is learned")
    return weights / mean


def slowly(makes: MakeRecipe, body_rate: float) -> MakeRecipe:
    """Train as another recipe says, the body at a fraction of the head's learning rate."""

    def recipe(data: TargetData) -> Recipe:
        return replace(makes(data), strategy=Strategy(body_rate=body_rate))

    return recipe


def by_foreground(weigh: Weigh) -> Weigh:
    """Divide the weights of each image by the image's foreground, as the paper's loss does.

    An image is a slice or a volume, whole, whatever patches are cut from it; one without foreground is divided by its
    number of pixels.
    """

    def normalised(data: TargetData) -> torch.Tensor:
        labels = data.slices.labels
        foreground = (labels > 0).flatten(1).sum(1)
        divisor = torch.where(foreground > 0, foreground, torch.tensor(labels[0].numel()))
        return weigh(data) / divisor.view(-1, *[1] * (labels.ndim - 1))

    return normalised


def sampled(weigh: Weigh) -> MakeRecipe:
    """Train with a plain loss on patches whose centres lie where the weights are high; those on the label stay."""

    def recipe(data: TargetData) -> Recipe:
        return Recipe(plain_loss(), places=places_of(weigh(data), data))

    return recipe


def sampled_everywhere(weigh: Weigh) -> MakeRecipe:
    """Train with a plain loss on patches whose centres lie where the weights are high, on the label as well."""

    def recipe(data: TargetData) -> Recipe:
        weights = weigh(data)
        return Recipe(plain_loss(), places=places_of(weights, data), label_places=weights)

    return recipe


def weighted_and_sampled(weigh: Weigh) -> MakeRecipe:
    """Weight a plain loss, at mean 1 over the pixels that are drawn, and cut patches where the weights are high."""

    def recipe(data: TargetData) -> Recipe:
        weights = weigh(data)
        places = places_of(weights, data)
        return Recipe(plain_loss(), at_mean_one(weights, data, places), places=places)

    return recipe


def places_of(weights: torch.Tensor, data: TargetData) -> torch.Tensor:
    """Return weights as chances of a patch's centre: those of the background, and inside the patient alone.

    Patches on the label have their own share of each batch, and outside the patient there is nothing to learn.
    """
    return weights * data.inside * (data.slices.labels == 0)


def tuned(**choices: float) -> MakeRecipe:
    """Train with a plain loss and a strategy of its own; ``choices`` are those of :class:`Strategy`."""

    def recipe(data: TargetData) -> Recipe:
        return Recipe(plain_loss(), strategy=Strategy(**choices))

    return recipe


def shuffled(weigh: Weigh) -> Weigh:
    """Return the shuffled twin of a map: the same values at other places of the same class and image."""

    def twin(data: TargetData) -> torch.Tensor:
        return shuffle_within_class(weigh(data), data.slices.labels, data.seed, data.inside)

    return twin
