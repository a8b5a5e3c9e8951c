"""The exercise on harm: what transfer broke and mended, split by what a doctor calls it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from riskmap.exercises.outcome import WrongAnswer
from riskmap.exercises.trial import as_array, call, inputs, require_function
from riskmap.measure.harm import KINDS, compare_pixels

_TRIALS = 5


def judge_split(split: Callable[..., Any]) -> str:
    """Judge ``split(truth, scratch, transfer)``: the pixels of each of ``KINDS``, by name.

    Of the harm, "missed" is foreground and "false alarms" background; of the repair, "found" is foreground and
    "cleared" background.
    """
    require_function(split, 'check("split_harm", split)')
    rng = np.random.default_rng()
    for _ in range(_TRIALS):
        truth, scratch, transfer = _three_labels(rng)
        got = call(split, truth, scratch, transfer)
        if not isinstance(got, Mapping) or set(got) != set(KINDS):
            names = ", ".join(map(repr, KINDS))
            raise WrongAnswer(f"The result must be a dictionary with the keys {names}, got {got!r}.")
        counts = {kind: float(as_array(got[kind], (), f"a count of {kind!r}")) for kind in KINDS}
        right = _counts(truth, scratch, transfer)
        if counts != right:
            raise WrongAnswer(
                f"Must be {right}, got { {kind: round(n, 3) for kind, n in counts.items()} }; their first row:\n"
                + inputs(truth=truth[0], scratch=scratch[0], transfer=transfer[0]),
                _hint(counts, right, truth, scratch, transfer),
            )
    return (
        "Missed and false alarms make up the harm, found and cleared the repair. A doctor may not call a miss and a "
        "false alarm even, although Dice does."
    )


def _three_labels(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a truth and two predictions, in which each kind of change has a number of its own: mistakes differ."""
    while True:
        truth = rng.random((12, 20)) < 0.3
        scratch, transfer = (np.where(rng.random(truth.shape) < wrong, ~truth, truth) for wrong in (0.3, 0.2))
        labels = truth.astype(int), scratch.astype(int), transfer.astype(int)
        if len(set(_counts(*labels).values())) == len(KINDS):
            return labels


def _counts(truth: np.ndarray, scratch: np.ndarray, transfer: np.ndarray) -> dict[str, int]:
    change = compare_pixels(truth, scratch, transfer)
    masks = [mask & kind for mask in (change.harmed, change.repaired) for kind in (truth > 0, truth == 0)]
    return {kind: int(mask.sum()) for kind, mask in zip(KINDS, masks, strict=True)}


def _hint(
    counts: dict[str, float], right: dict[str, int], truth: np.ndarray, scratch: np.ndarray, transfer: np.ndarray
) -> str:
    swapped = _counts(truth, transfer, scratch)
    every_error = {
        "missed": int(((truth == 1) & (transfer == 0)).sum()),
        "false alarms": int(((truth == 0) & (transfer == 1)).sum()),
    }
    if all(abs(counts[kind] - number / truth.size) < 1e-6 for kind, number in right.items()):
        return "these are shares of the pixels; count them: `.sum()`, not `.mean()`."
    if counts == swapped:
        return "scratch and transfer are swapped: harm is what scratch had right."
    if all(counts[kind] == right[kind] for kind in ("missed", "false alarms")):
        if counts["found"] == right["cleared"] and counts["cleared"] == right["found"]:
            return "found and cleared are swapped: what is found is foreground in the truth."
        return "the harm is right. Repair is what scratch had *wrong* and transfer has right."
    if all(counts[kind] == number for kind, number in every_error.items()):
        return "these are all errors of transfer. Harm is only what scratch had *right*."
    if counts["missed"] == right["false alarms"] and counts["false alarms"] == right["missed"]:
        return "missed and false alarms are swapped: what is missed is foreground in the truth."
    if counts["missed"] + counts["false alarms"] == right["missed"] + right["false alarms"]:
        return "all of the harm is there; split it by the *truth*, not by a prediction."
    return "harm: scratch equals the truth and transfer does not; repair: the other way round."
