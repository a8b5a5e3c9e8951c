"""The exercises on the map: hardness, one changed pixel, a source that knows nothing, and the shuffled twin."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from riskmap.exercises.outcome import NotWritten, WrongAnswer
from riskmap.exercises.trial import as_array, call, inputs, mistake, require_function, shown
from riskmap.leep import LeepStatistics

_TRIALS = 5
# the eight pixels of page 2: the source's probability of tumour, and the label
_OF_TUMOUR = np.array([0.1, 0.2, 0.1, 0.6, 0.7, 0.9, 0.8, 0.1])
_LABELS = np.array([0, 0, 0, 0, 0, 1, 1, 1])
_CHANGED, _TO = 7, 0.9


def judge_hardness(hardness: Callable[..., Any]) -> str:
    """Judge ``hardness(theta, y)``: the hardness of each pixel, [n] in nats, of theta [n, K_s] and labels [n]."""
    require_function(hardness, 'check("hardness", hardness)')
    for _ in range(_TRIALS):
        theta, y = _random_pixels(pixels=20, source_classes=4, target_classes=3)
        got = as_array(call(hardness, theta, y), y.shape, "the hardness of each pixel,")
        right = _hardness(theta, y)
        if not np.allclose(got, right, atol=1e-6):
            raise WrongAnswer(
                f"Not the library's hardness: of the first pixels it is {shown(right[:4])}, got {shown(got[:4])}, on\n"
                + inputs(theta=theta[:4], y=y[:4]),
                mistake(got, _wrong_hardness(theta, y, right)),
            )
    eight = -_hardness(_two_classes(_OF_TUMOUR), _LABELS).mean()
    return (
        "The library agrees, on random pixels of 4 source and 3 target classes. Of page 2's eight pixels LEEP is "
        f"{eight:.4f}."
    )


def judge_pixel(leep: Any = ..., harder: Any = ...) -> str:
    """Judge LEEP of the eight pixels once the source says .9 at pixel 7, and which pixel got harder by that."""
    if leep is ... or harder is ...:
        raise NotWritten
    changed = _OF_TUMOUR.copy()
    changed[_CHANGED] = _TO
    before, after = (_hardness(_two_classes(each), _LABELS) for each in (_OF_TUMOUR, changed))
    # with the old table, as if only the one pixel were read anew
    joint = _joint(_two_classes(_OF_TUMOUR), _LABELS)
    stale = -np.log((_two_classes(changed) @ (joint / joint.sum(0)).T)[np.arange(8), _LABELS])
    got = as_array(leep, (), "LEEP, one number")
    if abs(got - -after.mean()) > 1e-3:
        wrong = {
            "the sign: LEEP is *minus* the mean hardness, so never above 0.": after.mean(),
            "that is LEEP before the change.": -before.mean(),
            "the conditional table is still the old one. It is made from all pixels, so it changes with this one.": (
                -stale.mean()
            ),
            "that is the sum over pixels; LEEP is a mean.": -after.sum(),
        }
        raise WrongAnswer(f"LEEP is not {got:.4f}.", mistake(got, wrong, tolerance=1e-3))
    harder_ones = np.flatnonzero(after > before + 1e-9)
    numbers = as_array(harder, None, "the number of a pixel,").ravel()
    if not np.array_equal(np.sort(numbers), harder_ones):
        hint = "hold h after the change against h before it: `np.flatnonzero(after > before)`."
        if _CHANGED in numbers:
            hint = f"pixel {_CHANGED} was changed so that the source supports it: its hardness fell."
        raise WrongAnswer(f"Pixel {shown(numbers)} is not the one that got harder.", hint)
    one = int(harder_ones[0])
    return (
        f"LEEP rises from {-before.mean():.4f} to {-after.mean():.4f}, and pixel {one}, which nobody touched, gets "
        f"harder: "
        f'h {before[one]:.3f} to {after[one]:.3f}. "Tumour" now says more about the core, so oedema fits it less.'
    )


def judge_class_weights(know_nothing: Callable[..., Any]) -> str:
    """Judge ``know_nothing(y, classes)``: source probabilities [n, K_s] that make the map pure class weighting."""
    require_function(know_nothing, 'check("class_weights", know_nothing)')
    rng = np.random.default_rng()
    for classes in (2, 3, 4):
        y = np.concatenate([[0, 1, 2], rng.choice(3, 17, p=[0.7, 0.2, 0.1])])
        theta = as_array(call(know_nothing, y, classes), (len(y), classes), "the source's probabilities")
        where = "\n" + inputs(y=y, theta=theta[:3])
        if (theta < 0).any():
            raise WrongAnswer(f"Probabilities are at least 0; the smallest is {theta.min():.3f}.{where}")
        if not np.allclose(theta.sum(1), 1):
            raise WrongAnswer(
                f"Each row must be probabilities that sum to 1; the first sums to {theta[0].sum():.3f}.{where}",
                "a source that knows nothing is as sure of one class as of another; what is 1 shared by `classes`?",
            )
        prior = np.bincount(y) / len(y)
        h = _hardness(theta, y)
        if not np.allclose(h, -np.log(prior[y]), atol=1e-6):
            by_class = [h[y == label] for label in range(3)]
            if all(np.ptp(each) < 1e-6 for each in by_class):
                hint = (
                    "this theta depends on the label, so it knows something; what does a source say that sees nothing?"
                )
            else:
                hint = "pixels of one class have different weights. Knowing nothing is saying the same everywhere."
            raise WrongAnswer(f"Hardness must be -log P(y) of each pixel's class.{where}", hint)
    n = len(_LABELS)
    nothing, inverted = np.full((n, 2), 0.5), _two_classes(1 - _OF_TUMOUR)
    leep = [-_hardness(theta, _LABELS).mean() for theta in (nothing, inverted)]
    return (
        f"A source that says the same everywhere leaves -log P(y), the weights of the classes. On page 2's pixels "
        f"LEEP is "
        f"then {leep[0]:.4f}; a source that says the opposite of page 2's keeps {leep[1]:.4f}, since it knows as much."
    )


def judge_twin(shuffle: Callable[..., Any]) -> str:
    """Judge ``shuffle(weights, y, inside)``, all [images, pixels]: the weights at other places of the same class.

    ``inside`` is where the patient is; a twin stays there.
    """
    require_function(shuffle, 'check("twin", shuffle)')
    rng = np.random.default_rng()
    for _ in range(_TRIALS):
        images, pixels = 2, 60
        # a third is air, a third tumour: so many that a fair shuffle never leaves half of them where they were
        kinds = np.stack([rng.permutation(np.repeat([0, 1, 2], pixels // 3)) for _ in range(images)])
        y, inside = (kinds == 2).astype(int), kinds > 0
        weights = np.round(rng.permutation(np.linspace(0.1, 9.9, images * pixels)).reshape(images, pixels), 2)
        given = weights.copy()
        twin = as_array(call(shuffle, given, y, inside), weights.shape, "weights [images, pixels]")
        # the weights have two digits; in float32 they are still the same
        twin = np.round(twin, 4)
        _judge_twin(twin, weights, y, inside)
    return (
        "Same values in each class of each image and inside the patient, at other places. It is the control of page 3."
    )


def _judge_twin(twin: np.ndarray, weights: np.ndarray, y: np.ndarray, inside: np.ndarray) -> None:
    def same(masks: list[np.ndarray]) -> bool:
        return all(np.array_equal(np.sort(twin[mask]), np.sort(weights[mask])) for mask in masks)

    numbers = np.arange(len(weights))[:, None] * np.ones_like(y)
    images = [numbers == image for image in range(len(weights))]
    classes = [image & (y == label) for image in images for label in (0, 1)]
    places = [each & (inside == there) for each in classes for there in (True, False)]
    small = "\n" + inputs(weights=weights[0][:6], y=y[0][:6], inside=inside[0][:6], twin=twin[0][:6])
    if not same([np.ones_like(y, dtype=bool)]):
        raise WrongAnswer(
            f"The twin must hold the same values as the weights.{small}",
            "values were lost or doubled: a permutation draws each one once (`rng.permutation`), `rng.choice` does "
            "not.",
        )
    if np.array_equal(twin, weights):
        raise WrongAnswer(
            f"Nothing moved.{small}",
            "`rng.shuffle(w[mask])` shuffles a copy, as w[mask] is one; write `w[mask] = rng.permutation(w[mask])`.",
        )
    if not same(images):
        raise WrongAnswer(f"Values went from one image to another.{small}", "go through the images one by one.")
    if not same(classes):
        raise WrongAnswer(
            f"Values went from one class to another.{small}",
            "a twin keeps how much weight each class gets: permute within `y[image] == label`.",
        )
    if not same(places):
        raise WrongAnswer(
            f"Values went between the patient and the air.{small}",
            "in air nothing can be learned: permute the pixels inside the patient, and those outside, by themselves.",
        )
    for mask in places:
        stayed = (twin[mask] == weights[mask]).sum()
        if stayed == mask.sum() > 0:
            raise WrongAnswer(f"In one class of one image nothing moved.{small}", "are all classes and images visited?")
        if stayed > mask.sum() / 2:
            raise WrongAnswer(f"Most values stayed where they were.{small}", "permute all of them: `rng.permutation`.")
    ordered = [np.sort(weights[mask]) for mask in places]
    sorted_ones = [
        np.array_equal(twin[mask], up) or np.array_equal(twin[mask], up[::-1])
        for mask, up in zip(places, ordered, strict=True)
    ]
    if all(sorted_ones):
        raise WrongAnswer(f"The values were sorted, not shuffled.{small}", "a sorted row has a place of its own.")


def _hardness(theta: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the library's hardness [n] of theta [n, K_s] and labels [n]."""
    probabilities = torch.from_numpy(np.ascontiguousarray(theta.T)).reshape(1, theta.shape[1], 1, -1)
    labels = torch.from_numpy(y).reshape(1, 1, -1)
    statistics = LeepStatistics(theta.shape[1], int(y.max()) + 1).update(probabilities, labels)
    return statistics.hardness(probabilities, labels).flatten().numpy()


def _wrong_hardness(theta: np.ndarray, y: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
    """Return what comes out by the usual mistakes, by their hints."""
    pixels = np.arange(len(y))
    joint = _joint(theta, y)
    by_row = joint / joint.sum(1, keepdims=True)
    conditional = joint / joint.sum(0)
    means = np.stack([theta[y == label].mean(0) for label in range(y.max() + 1)])
    of_means = -np.log((theta @ (means / means.sum(0)).T)[pixels, y])
    source_certain = conditional[y, theta.argmax(1)]
    with np.errstate(divide="ignore"):
        return {
            "the sign: hardness is *minus* the log, at least 0.": -right,
            "the log is of base 2; nats are of the natural one, `np.log`.": right / np.log(2),
            "the log is of base 10; nats are of the natural one, `np.log`.": right / np.log(10),
            "that is E(y), the expected probability; take minus its log.": np.exp(-right),
            "J is divided by its rows. C(y | z) divides each *column* by its sum: `joint.sum(0)`.": -np.log(
                (theta @ by_row.T)[pixels, y]
            ),
            "J divides the sum over a label's pixels by *all* n pixels; their mean forgets how many.": of_means,
            "J is used as if it were C: divide each column by its sum.": -np.log((theta @ joint.T)[pixels, y]),
            "that is the source's own cross-entropy; its classes are not the target's. Go through C.": -np.log(
                theta[pixels, y]
            ),
            "only the source's most likely class is used (that is NCE); mix the columns of C by the whole softmax.": (
                -np.log(source_certain)
            ),
        }


def _joint(theta: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.stack([theta[y == label].sum(0) / len(y) for label in range(y.max() + 1)])


def _two_classes(of_tumour: np.ndarray) -> np.ndarray:
    return np.stack([1 - of_tumour, of_tumour], axis=1)


def _random_pixels(pixels: int, source_classes: int, target_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return theta [pixels, source_classes] and labels [pixels] in which every class is there."""
    rng = np.random.default_rng()
    y = np.concatenate([np.arange(target_classes), rng.integers(0, target_classes, pixels - target_classes)])
    return rng.dirichlet(np.ones(source_classes), pixels), y
