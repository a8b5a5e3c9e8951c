"""A reader's own arm: a function that is written in a cell or in a file, and its shuffled twin."""

import inspect
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from riskmap.project.function_code import text_of
from riskmap.training.arm import SAMPLED_SUFFIX, TWIN_SUFFIX, Arm, MakeRecipe, Recipe, Weigh, sampled, weighted
from riskmap.training.strategy import Strategy
from riskmap.training.target_data import TargetData
from riskmap.twins import shuffle_within_class

# how hard a pixel can be, in nats: of a probability at the floor of the package, 1e-6
_HARDEST = 14.0


def arm_of(function: Callable[..., Any]) -> Arm:
    """Return the arm that a reader's function is.

    Args:
        function: ``weights(h, y)`` gets the hardness of the training pixels, [N, 1, *spatial] in nats, and their labels
            (int64, alike), and returns a weight for each of them, finite, at least 0 and not all 0. They are brought to
            mean 1. ``recipe(data)`` gets the :class:`TargetData` and returns a whole :class:`Recipe`, whose weights are
            checked alike and taken as they are. It has a name, since runs and tables are named by it.

    What a function draws from torch, NumPy or Python is drawn from the run's seed, so that it is the same each time and
    for its twin. A ``weights(h, y)`` is called here on made-up pixels, and refused if it gives them other weights when
    it is called again; an error on them counts for nothing.

    Raises:
        TypeError: it is no such function.
        ValueError: it gives other weights each time.
        UnknownCodeError: its text cannot be read, or it uses what cannot be told apart from something else.
        ChangedCodeError: its file was edited since it was imported.
    """
    check_function(function)
    if is_weights(function):
        has_places(function)
    makes = weighted(_weights_of(function)) if is_weights(function) else _recipe_of(function)
    return _arm(function, function.__name__, function.__name__.replace("_", " "), makes)


def twin_of(function: Callable[..., Any]) -> Arm:
    """Return the shuffled twin of a reader's arm: its weights at other places of the same class and image.

    Its recipe raises a ValueError where there are no places to shuffle: no weights, or the same for all pixels of a
    class in each image.

    Raises:
        TypeError, UnknownCodeError, ChangedCodeError: as :func:`arm_of`.
    """
    check_function(function)
    makes = weighted(_shuffled_weights_of(function)) if is_weights(function) else _shuffled_recipe_of(function)
    name = function.__name__
    return _arm(function, name + TWIN_SUFFIX, f"Control: {name.replace('_', ' ')}, shuffled", makes, control_of=name)


def sampled_of(function: Callable[..., Any]) -> Arm:
    """Return the arm in which the weights of ``weights(h, y)`` say where patches are cut, not how much a pixel counts.

    Raises:
        TypeError: it is no such function; a ``recipe(data)`` sets the places itself.
        UnknownCodeError, ChangedCodeError: as :func:`arm_of`.
    """
    name = function.__name__ + SAMPLED_SUFFIX
    return _arm(function, name, name.replace("_", " "), sampled(_weights_of(_only_weights(function))))


def sampled_twin_of(function: Callable[..., Any]) -> Arm:
    """Return the shuffled twin of :func:`sampled_of`, which raises the same."""
    of = function.__name__ + SAMPLED_SUFFIX
    makes = sampled(_shuffled_weights_of(_only_weights(function)))
    return _arm(function, of + TWIN_SUFFIX, f"Control: {of.replace('_', ' ')}, shuffled", makes, control_of=of)


def _only_weights(function: Callable[..., Any]) -> Callable[..., Any]:
    check_function(function)
    if not is_weights(function):
        raise TypeError(
            f"{function.__name__}(data) is a recipe, which sets its places itself: there is no sampler of it"
        )
    return function


def check_function(function: Callable[..., Any]) -> None:
    """Check that a function can be an arm: it has a name, and takes ``(h, y)`` or ``(data)``.

    Further arguments have defaults; after ``data`` they are given by name alone, so that ``(h, y=None)`` is no recipe.

    Raises:
        TypeError: it cannot.
    """
    if not isinstance(function, FunctionType) or not function.__name__.isidentifier():
        came = getattr(function, "__name__", type(function).__name__)
        raise TypeError(f"an arm is a name, or a function that has one: weights(h, y) or recipe(data); got {came}")
    positional, needed = _positional(function), _needed(function)
    if len(needed) not in (1, 2) or not set(needed) <= set(positional):
        raise TypeError(
            f"{function.__name__} must take (h, y), hardness and labels, or (data), got {inspect.signature(function)}"
        )
    if len(needed) < len(positional) and len(needed) == 1:
        raise TypeError(
            f"{function.__name__}{inspect.signature(function)} can be meant as weights(h, y) and as recipe(data): give "
            "the second argument no default, or put * before it"
        )


def is_weights(function: Callable[..., Any]) -> bool:
    """Tell whether a function that can be an arm is ``weights(h, y)`` and not ``recipe(data)``."""
    return len(_needed(function)) == 2


def has_places(function: Callable[..., Any]) -> bool:
    """Tell whether ``weights(h, y)`` gives pixels of one class of one image different weights, so that a twin differs.

    It is asked for made-up pixels: two images of nested squares of labels, with hardness from 0 to 14 nats. Where it
    does not run on them, it counts as if it did; the real data decide in the end.

    Raises:
        ValueError: it gives them other weights when it is called again.
    """
    for classes in (4, 2):
        h, y = _made_up(classes)
        try:
            first, again = (_call(function, h, y, seed=0) for _ in range(2))
            is_same = torch.equal(first.nan_to_num(), again.nan_to_num())
            twin = shuffle_within_class(first.detach(), y, seed=0)
        except Exception:
            continue
        if not is_same:
            raise ValueError(
                f"{function.__name__} gives other weights each time it is called; let it draw from torch or np.random, "
                "or from a generator with a seed"
            )
        return not torch.equal(twin, first)
    return True


def no_twin(name: str) -> str:
    """Return why an arm whose weights have no places has no twin."""
    return f"the weights of {name} are the same for all pixels of a class: it has no places, so it has no twin"


def _arm(function: Callable[..., Any], name: str, title: str, makes: MakeRecipe, control_of: str | None = None) -> Arm:
    arm = Arm(name, title, makes, control_of=control_of, text=text_of(function))
    # takes its digest now: a cell may be run again before the arm is trained
    arm.check_unchanged()
    return arm


def _weights_of(function: Callable[[Tensor, Tensor], Tensor]) -> Weigh:
    """Turn ``weights(h, y)`` into checked weights of the target's data, float32 [N, 1, *spatial], not yet at mean 1."""

    def weigh(data: TargetData) -> Tensor:
        labels = data.slices.labels.long()
        weights = _call(function, data.hardness, labels, data.seed)
        return _checked(weights, labels, f"{function.__name__}(h, y) must return")

    return weigh


def _shuffled_weights_of(function: Callable[[Tensor, Tensor], Tensor]) -> Weigh:
    """Return the twin of :func:`_weights_of`."""
    weigh = _weights_of(function)

    def twin(data: TargetData) -> Tensor:
        return _shuffled(weigh(data), data, function.__name__)

    return twin


def _recipe_of(function: Callable[[TargetData], Recipe]) -> MakeRecipe:
    """Check what ``recipe(data)`` returns; its weights and places become float32."""
    name = function.__name__

    def recipe(data: TargetData) -> Recipe:
        with _draws_from(data.seed):
            made = function(data)
        if not isinstance(made, Recipe) or not callable(made.loss) or not isinstance(made.strategy, Strategy):
            parts = (made, made.loss, made.strategy) if isinstance(made, Recipe) else (made,)
            raise TypeError(
                f"{function.__name__}(data) must return a Recipe of a loss, weights or None, and a Strategy, got "
                f"{', '.join(type(part).__name__ for part in parts)}"
            )
        labels = data.slices.labels
        return _with_maps(made, lambda kind, values: _checked(values, labels, f"the {kind} of {name}(data) must be"))

    return recipe


def _shuffled_recipe_of(function: Callable[[TargetData], Recipe]) -> MakeRecipe:
    """Return the twin of :func:`_recipe_of`: the same loss and strategy, its weights and places elsewhere."""
    makes = _recipe_of(function)

    def recipe(data: TargetData) -> Recipe:
        made = makes(data)
        if made.weights is None and made.places is None and made.label_places is None:
            raise ValueError(f"{function.__name__} has neither weights nor places, so it has no shuffled twin")
        return _with_maps(made, lambda _, values: _shuffled(values, data, function.__name__))

    return recipe


def _with_maps(recipe: Recipe, change: Callable[[str, Tensor], Tensor]) -> Recipe:
    """Return a recipe with each value per pixel that it has replaced by ``change(its name, it)``."""
    maps = {"weights": recipe.weights, "places": recipe.places, "label_places": recipe.label_places}
    new = {kind: values if values is None else change(kind, values) for kind, values in maps.items()}
    return Recipe(recipe.loss, new["weights"], recipe.strategy, new["places"], new["label_places"])


def _shuffled(weights: Tensor, data: TargetData, name: str) -> Tensor:
    twin = shuffle_within_class(weights, data.slices.labels, data.seed, data.inside)
    if torch.equal(twin, weights):
        raise ValueError(f"{no_twin(name)}; arm_of({name}) in place of {name} comes without one")
    return twin


def _checked(weights: Any, labels: Tensor, subject: str) -> Tensor:
    """Return weights as float32, without a gradient, where the labels are."""
    if not isinstance(weights, Tensor) or weights.shape != labels.shape:
        came = list(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
        raise ValueError(f"{subject} a tensor with a weight per pixel, {list(labels.shape)}, got {came}")
    if weights.is_complex():
        raise ValueError(f"{subject} real weights, got {weights.dtype}")
    weights = weights.detach().to(labels.device, torch.float32)
    if not (weights.isfinite().all() and weights.min() >= 0 and weights.mean() > 0):
        raise ValueError(
            f"{subject} finite weights of at least 0 that are not all 0, got values from {weights.min().item():g} to "
            f"{weights.max().item():g}"
        )
    return weights


def _call(function: Callable[[Tensor, Tensor], Tensor], h: Tensor, y: Tensor, seed: int) -> Tensor:
    """Call ``weights(h, y)`` with copies, as it may change them, and with a seed of its own."""
    with _draws_from(seed):
        return function(h.clone(), y.clone())


@contextmanager
def _draws_from(seed: int) -> Iterator[None]:
    """Let torch, NumPy and Python draw from a seed inside the block, and go on as if nothing had been after it."""
    of_numpy, of_python = np.random.get_state(), random.getstate()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(of_numpy)
            random.setstate(of_python)


def _made_up(classes: int) -> tuple[Tensor, Tensor]:
    """Return hardness and labels of two images of nested squares, [2, 1, 64, 64]."""
    generator = torch.Generator().manual_seed(0)
    h = _HARDEST * torch.rand(2, 1, 64, 64, generator=generator) ** 3
    from_edge = torch.minimum(torch.arange(64), torch.arange(63, -1, -1))
    depth = torch.minimum(from_edge[:, None], from_edge[None, :]).expand(2, 1, 64, 64)
    return h, (depth // (32 // classes)).clamp_max(classes - 1)


def _positional(function: Callable[..., Any]) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, each in inspect.signature(function).parameters.items() if each.kind in kinds]


def _needed(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.items()
    return [name for name, each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD]
