"""The exercise of page 3 that trains: weights of one's own, their shuffled twin, and what may be concluded."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from riskmap.exercises.outcome import NotWritten, WrongAnswer
from riskmap.exercises.trial import as_letter, call, inputs, require_function
from riskmap.measure.statistics import Estimate

_TRIALS = 3
_WHAT_TO_SAY = {
    "yes": "b",
    "open": "c",
    "no, the other way round": "d",
}
_FEEDBACK = {
    "a": "one pair, one cohort and two seeds cannot say that of all others.",
    "b": "the interval of map minus twin does not lie above 0.",
    "c": "the interval does not hold 0, so it does tell something about these patients.",
    "d": "the interval of map minus twin does not lie below 0.",
    "e": "a gain over fine-tuning may be due to the values alone; only the difference to the twin speaks of the place.",
}


def judge_weights(weights: Callable[..., Any]) -> str:
    """Judge ``weights(h, y)`` before it trains: finite, at least 0, not all 0, and with places within a class."""
    require_function(weights, 'check("own_weights", weights)')
    for _ in range(_TRIALS):
        h, y = _pixels()
        given = inputs(h=h.flatten()[:4], y=y.flatten()[:4])
        got = _call(weights, h, y)
        if got.min() < 0:
            raise WrongAnswer(f"A weight is below 0: {got.min():.3f}, on\n{given}", "clamp it: `.clamp(min=0)`.")
        if got.mean() == 0:
            raise WrongAnswer(f"All weights are 0, on\n{given}", "nothing would be learned; add 1?")
        scaled = got / got.mean()
        classes = [each[of == label] for each, of in zip(scaled, y, strict=True) for label in (0, 1)]
        if all(float(values.max() - values.min()) < 1e-6 for values in classes):
            raise WrongAnswer(
                "In each image all pixels of a class have the same weight.",
                "this is class weighting: its twin is itself, and no place can be tested. Let the weight depend on h.",
            )
    _require_arm(weights)
    heavy = scaled.flatten().sort(descending=True).values
    share = float(heavy[: len(heavy) // 10].sum() / heavy.sum())
    return (
        f"Finite, at least 0, and with places. Scaled to mean 1, they go from {scaled.min():.2f} to "
        f"{scaled.max():.2f} on "
        f"made-up pixels, and a tenth of the pixels holds {share:.0%} of the weight. Train it beside its twin."
    )


def judge_comparison(comparison: Any = None) -> str:
    """Judge that a comparison holds an arm of one's own and its twin, and tell how far the arm lies above it."""
    if comparison is None or comparison is ...:
        raise NotWritten
    lines = [f"{name} minus its twin: {estimate.text(1, 2, signed=True)} Dice points" for name, estimate in
             map_minus_twin(comparison).items()]  # fmt: skip
    return (
        "\n".join(lines)
        + f". The mean and its 95 % interval over {comparison.scores['patient'].nunique()} test patients, averaged "
        f"over {len(comparison.seeds)} seeds. Now say what may be concluded."
    )


def judge_conclusion(letter: Any = ..., comparison: Any = None) -> str:
    """Judge what is concluded from the first of the reader's arms; the letters are those of the page."""
    if letter is ... or comparison is None or comparison is ...:
        raise NotWritten
    name, estimate = next(iter(map_minus_twin(comparison).items()))
    key = as_letter(letter, _FEEDBACK)
    found = f"{name} minus its twin is {estimate.text(1, 2, signed=True)} Dice points."
    if key != _WHAT_TO_SAY[estimate.verdict()]:
        raise WrongAnswer(found, _FEEDBACK[key])
    return f"{found} That is what can be said: of this pair, these patients and these seeds."


def above_twin(comparison: Any) -> Estimate:
    """Return how far the reader's arm lies above its twin, in Dice points; the first one, as :func:`map_minus_twin`."""
    return next(iter(map_minus_twin(comparison).values()))


def map_minus_twin(comparison: Any) -> dict[str, Estimate]:
    """Return how far each arm that has its twin in a comparison lies above it, in Dice points, paired by patient.

    Args:
        comparison: a :class:`riskmap.pages.comparison.Comparison`, trained where runs are missing.

    Raises:
        WrongAnswer: it is no comparison, or no arm of it has its twin.
    """
    from riskmap.experiment.score_tables import compare  # these load MONAI
    from riskmap.pages.comparison import Comparison
    from riskmap.training.arm import TWIN_SUFFIX

    if not isinstance(comparison, Comparison):
        raise WrongAnswer(f"A Comparison is wanted, got {type(comparison).__name__}.", "give the one that was trained.")
    names = [name for name in comparison.arm_names if name + TWIN_SUFFIX in comparison.arm_names]
    if not names:
        raise WrongAnswer(
            f"No arm has its twin beside it: {', '.join(comparison.arm_names)}.",
            "put the function itself into the list of arms; it brings its twin along.",
        )
    return {name: compare(comparison.scores, name, name + TWIN_SUFFIX) for name in names}


def _call(weights: Callable[..., Any], h: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    got = call(weights, h, y)
    if not isinstance(got, torch.Tensor):
        raise WrongAnswer(f"A tensor is wanted, got {type(got).__name__}.", "use torch: `h.clamp(max=1)`, `(y == 0)`.")
    if got.shape != h.shape:
        hint = "a mean or a sum was taken?" if got.ndim == 0 else "return a weight for each pixel."
        raise WrongAnswer(f"A weight for each pixel is wanted, {list(h.shape)}, got {list(got.shape)}.", hint)
    got = got.detach().float()
    if not got.isfinite().all():
        raise WrongAnswer(
            "A weight is not finite.",
            f"h goes from {h.min():.3g} to {h.max():.3g}: is something divided by it, or its log taken, where it is 0?",
        )
    return got


def _require_arm(weights: Callable[..., Any]) -> None:
    """Check that the package takes a function as an arm: it has a name, a text, and draws nothing that differs."""
    from riskmap.training.own_arm import arm_of  # loads MONAI

    try:
        arm_of(weights)
    except (TypeError, ValueError) as error:
        raise WrongAnswer(f"It cannot be trained yet: {error}") from error


def _pixels() -> tuple[torch.Tensor, torch.Tensor]:
    """Return hardness and labels of two images, [2, 1, 32, 32]: most pixels easy, a few very hard, some 0."""
    # torch's own generator begins with the same seed each time, and is not ours to use
    h = torch.from_numpy(14 * np.random.default_rng().random((2, 1, 32, 32)) ** 6).float()
    y = torch.zeros(2, 1, 32, 32, dtype=torch.long)
    y[..., 10:18, 10:18] = 1
    h[..., 0, :] = 0
    return h, y
