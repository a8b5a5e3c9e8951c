"""The exercises on scores: the gap, Dice of patients, an interval over patients, and a choice among arms."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from riskmap.exercises.outcome import WrongAnswer
from riskmap.exercises.records import published_dice
from riskmap.exercises.trial import as_array, call, inputs, mistake, require_function, shown
from riskmap.measure.statistics import patient_mean

_TRIALS = 5
# of half the interval's width: two bootstraps of 10,000 differ by a twentieth at most, ten patients drawn of twelve by
# a tenth
_INTERVAL_TOLERANCE = 0.08


def judge_gap(gap: Callable[..., Any]) -> str:
    """Judge ``gap(scratch, transfer)``: Dice(scratch) - Dice(transfer) over patients, in Dice points."""
    require_function(gap, 'check("gap", gap)')
    rng = np.random.default_rng()
    for trial in range(_TRIALS):
        scratch, transfer = rng.uniform(0.2, 0.9, (2, 6))
        # gaps of both signs, or a gap without its sign would pass
        if (scratch.mean() > transfer.mean()) == trial % 2:
            scratch, transfer = transfer, scratch
        got = as_array(call(gap, scratch, transfer), (), "the gap, one number")
        difference = (scratch - transfer).mean()
        hint = mistake(
            got,
            {
                "the sign. The gap is above 0 where transfer hurts, that is where scratch is better.": -100
                * difference,
                "Dice points are hundredths of Dice: multiply by 100.": difference,
                "both: the sign is the wrong way round, and Dice points are hundredths of Dice.": -difference,
                "that is a per cent of the score; the gap is a plain difference.": 100 * difference / transfer.mean(),
                "that is a sum over patients; take the mean.": 100 * difference * len(scratch),
            },
        )
        if hint or abs(got - 100 * difference) > 1e-3:
            raise WrongAnswer(
                f"The gap must be {100 * difference:+.3f} Dice points, got {got:+.3f}, on\n"
                + inputs(scratch=scratch, transfer=transfer),
                hint,
            )
    return "Above 0 transfer hurts, below 0 it helps. It is this number that the tables of the tutorial call the gap."


def judge_dice(dice_twice: Callable[..., Any]) -> str:
    """Judge ``dice_twice(truth, found, overlap)``: the mean of the patients' Dice, and Dice of all pixels pooled."""
    require_function(dice_twice, 'check("dice", dice_twice)')
    rng = np.random.default_rng()
    for _ in range(_TRIALS):
        truth, found = rng.integers(20, 300, (2, 4))
        overlap = (np.minimum(truth, found) * rng.uniform(0.1, 0.9, 4)).astype(int)
        got = as_array(call(dice_twice, truth, found, overlap), (2,), "two numbers, by patient and pooled,")
        by_patient, pooled = _dice(truth, found, overlap)
        if not np.allclose(got, (by_patient, pooled), atol=1e-6):
            wrong = {
                "the two are swapped: first the mean over patients, then the pooled one.": (pooled, by_patient),
                "the 2 of Dice = 2 overlap / (truth + found) is missing.": (by_patient / 2, pooled / 2),
                "that is overlap / union (IoU), not Dice.": _iou(truth, found, overlap),
                "both numbers are pooled; for the first, divide for each patient, then take the mean.": (pooled,) * 2,
                "both numbers are means over patients; for the second, add up the pixels, then divide.": (by_patient,)
                * 2,
            }
            raise WrongAnswer(
                f"By patient and pooled must be {by_patient:.3f} and {pooled:.3f}, got {shown(got)}, on\n"
                + inputs(truth=truth, found=found, overlap=overlap),
                mistake(got, wrong),
            )
    # a patient whom the network finds, and a small tumour that it all but misses
    by_patient, pooled = _dice(np.array([200, 20]), np.array([200, 20]), np.array([180, 2]))
    return (
        f"Two patients, (truth, found, overlap) = (200, 200, 180) and (20, 20, 2): {by_patient:.2f} by patient, "
        f"{pooled:.3f} pooled. Pooling lets the large tumour hide the missed one."
    )


def judge_interval(interval: Callable[..., Any]) -> str:
    """Judge ``interval(scratch, fine_tune)``: the 95 % interval of the gap, bootstrapped over patients."""
    require_function(interval, 'check("interval", interval)')
    rng = np.random.default_rng()
    # patients differ by far more than arms do, and seeds of one patient by little
    level = rng.uniform(0.3, 0.9, (12, 1))
    gain = rng.normal(rng.choice([-0.03, 0.03]), 0.025, (12, 1))
    scratch, fine_tune = (each + rng.normal(0, 0.004, (12, 2)) for each in (level, level + gain))
    _judge_interval(interval, scratch, fine_tune, "made-up Dice of 12 patients and 2 seeds")
    low, high = _judge_interval(
        interval, published_dice("scratch"), published_dice("fine_tune"), "the published run of page 3"
    )
    unpaired = _unpaired(published_dice("scratch"), published_dice("fine_tune"))
    return (
        f"The gap of page 3 lies in {shown((low, high))}, the page's own interval. Unpaired it would be "
        f"{shown(unpaired)}: patients differ far more than arms do, and pairing takes that out."
    )


def judge_choose(choose: Callable[..., Any]) -> str:
    """Judge ``choose(validation, test)``: the arm that is best on validation, and its test Dice."""
    require_function(choose, 'check("choose", choose)')
    for _ in range(_TRIALS):
        validation, test = _two_tables()
        means, on_test = validation.mean(), test.mean()
        best, tempting = means.idxmax(), on_test.idxmax()
        got = call(choose, validation, test)
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise WrongAnswer(f"The result must be (arm, its mean test Dice), got {got!r}.", "return two values.")
        arm, dice = got[0], float(as_array(got[1], (), "the mean test Dice, one number"))
        where = "\n" + inputs(**{f"validation {name}": column for name, column in validation.items()})
        if not isinstance(arm, str) or arm not in validation:
            raise WrongAnswer(f"The arm must be one of {', '.join(validation)}, got {arm!r}.", "`means.idxmax()`?")
        if arm != best:
            hints = {
                tempting: "that is the best arm on *test*. Chosen there, its score is no longer a fair estimate: you "
                "would have measured your own patience.",
                validation.max().idxmax(): "that arm has the best single patient; compare means over patients.",
                means.idxmin(): "that is the worst arm on validation.",
            }
            raise WrongAnswer(f"{best!r} must be chosen, got {arm!r}.{where}", hints.get(arm, ""))
        if abs(dice - on_test[best]) > 1e-3:
            hint = "that is its validation Dice, on which it was chosen; report the test's."
            is_validation = abs(dice - means[best]) < 1e-3
            raise WrongAnswer(
                f"Of {best!r} the mean test Dice must be reported, {on_test[best]:.4f}, got {dice:.4f}.",
                hint if is_validation else "",
            )
    return (
        "Chosen on validation, reported once on test. On each of these tables the test would have chosen another arm."
    )


def _dice(truth: np.ndarray, found: np.ndarray, overlap: np.ndarray) -> tuple[float, float]:
    """Return the mean of the patients' Dice, and the Dice of all their pixels."""
    return float((2 * overlap / (truth + found)).mean()), float(2 * overlap.sum() / (truth.sum() + found.sum()))


def _iou(truth: np.ndarray, found: np.ndarray, overlap: np.ndarray) -> tuple[float, float]:
    union = truth + found - overlap
    return float((overlap / union).mean()), float(overlap.sum() / union.sum())


def _judge_interval(
    interval: Callable[..., Any], scratch: np.ndarray, fine_tune: np.ndarray, where: str
) -> tuple[float, float]:
    """Return the interval that a reader's function gives, where it is right."""
    low, high = as_array(call(interval, scratch, fine_tune), (2,), "the interval's two ends").tolist()
    differences = 100 * (scratch - fine_tune)
    by_patient = patient_mean(differences.mean(axis=1))
    right, half = (by_patient.low, by_patient.high), (by_patient.high - by_patient.low) / 2
    tolerance = _INTERVAL_TOLERANCE * half
    if np.allclose((low, high), right, rtol=0, atol=tolerance):
        return low, high
    of_patients = np.percentile(differences.mean(axis=1), [2.5, 97.5])
    runs = patient_mean(differences.ravel())
    wrong = {
        "the patients are not paired: take each patient's difference first, then draw patients.": _unpaired(
            scratch, fine_tune
        ),
        "the sign: scratch minus fine-tuning, below 0 where transfer helps.": (-right[1], -right[0]),
        "Dice points are hundredths of Dice: multiply by 100.": (right[0] / 100, right[1] / 100),
        "seeds are not patients: average over the seeds of each patient first (axis=1).": (runs.low, runs.high),
        "that is the spread of single patients; draw patients with replacement and take the *mean* of each draw.": (
            of_patients
        ),
        "the ends come in the wrong order: low first.": (right[1], right[0]),
    }
    # each measured by its own width: beside the widest all others are near
    away = {
        hint: float(np.abs(np.subtract(ends, (low, high))).max() / (abs(ends[1] - ends[0]) / 2))
        for hint, ends in wrong.items()
    }
    hint = min(away, key=lambda each: away[each])
    looks_like = away[hint] < _INTERVAL_TOLERANCE
    raise WrongAnswer(
        f"On {where} the interval must be near {shown(right)}, got {shown((low, high))}; the first patients:\n"
        + inputs(scratch=scratch[:3], fine_tune=fine_tune[:3]),
        hint if looks_like else "draw as many patients as there are, with replacement, 10,000 times.",
    )


def _unpaired(scratch: np.ndarray, fine_tune: np.ndarray) -> tuple[float, float]:
    """Return the interval that one gets when the patients of the two arms are drawn apart."""
    rng = np.random.default_rng(0)
    means = [rng.choice(100 * dice.mean(axis=1), (10_000, len(dice))).mean(axis=1) for dice in (scratch, fine_tune)]
    low, high = np.percentile(means[0] - means[1], [2.5, 97.5])
    return float(low), float(high)


def _two_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return Dice [patient, arm] on validation and on test patients, such that no two mistakes choose one arm."""
    rng = np.random.default_rng()
    arms = ["scratch", "fine_tune", "class_balanced", "risk_map_paper"]
    best, tempting, lucky, worst = rng.permutation(arms).tolist()
    validation = pd.DataFrame(rng.uniform(0.60, 0.66, (4, 4)), columns=arms)
    test = pd.DataFrame(rng.uniform(0.55, 0.60, (12, 4)), columns=arms)
    validation[best] += 0.15
    test[tempting] += 0.3  # so much that the sum of both tables would choose it
    # one patient above all others, in an arm that does badly on the others
    validation[lucky] -= 0.2
    validation.loc[0, lucky] = 0.95
    validation[worst] -= 0.4
    return validation, test
