"""What the runs of one pair changed against a run from scratch, by patient, beside the churn of a second seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from riskmap.data.cohort import Cohort, Task
from riskmap.measure.harm import PixelTransfer, compare_patients, mean_kinds, most_harmed
from riskmap.training.arms import title_of
from riskmap.training.runs import Run


@dataclass(frozen=True)
class Changes:
    """What changed against a run from scratch.

    Args:
        cohort: of the runs.
        task: the target task.
        seed: of the run from scratch.
        truth: patient to class indices, [X, Y, Z].
        by_title: what was compared, to patient, to its changed pixels; the first is the one whose harm is looked at.
    """

    cohort: Cohort
    task: Task
    seed: int
    truth: dict[str, np.ndarray]
    by_title: dict[str, dict[str, PixelTransfer]]

    def table(self) -> pd.DataFrame:
        """Return the mean share of the region of each kind of harm and repair, and the patients counted, by title."""
        table = pd.DataFrame({title: mean_kinds(changes, self.truth) for title, changes in self.by_title.items()}).T
        return table.astype({"patients": int})

    def worst(self) -> tuple[str, int]:
        """Return the patient, and its axial slice, with the most pixels harmed by what was compared first."""
        return most_harmed(next(iter(self.by_title.values())))

    def masks(self, patient: str, height: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return title to (harmed, repaired) masks [X, Y] of one slice."""
        return {
            title: (changes[patient].harmed[..., height], changes[patient].repaired[..., height])
            for title, changes in self.by_title.items()
        }


def changes_of(
    runs: Mapping[tuple[str, int], Run], cohort: Cohort, target: str, arms: Sequence[str], seeds: Sequence[int]
) -> Changes:
    """Compare arms of the first seed with the run from scratch of that seed; the second seed's is the churn.

    Args:
        runs: (arm, seed) to run; those from scratch are among them.
        cohort: of the runs.
        target: the target task.
        arms: what is compared, the first of them first.
        seeds: two or more.
    """
    task, (first, second) = Task.parse(target), seeds[:2]
    scratch = runs["scratch", first].predictions()
    truth = {patient: cohort.labels(patient, task.target) for patient in scratch}
    compared = {title_of(arm): runs[arm, first] for arm in arms}
    compared[f"churn: scratch, seed {second}"] = runs["scratch", second]
    changes = {title: compare_patients(truth, scratch, run.predictions()) for title, run in compared.items()}
    return Changes(cohort, task, first, truth, changes)
