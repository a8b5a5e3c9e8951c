"""The runs behind a comparison: checked arguments, what is trained, and the scores and maps that come out."""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from riskmap.data.cohort import Cohort, Task
from riskmap.experiment import score_tables
from riskmap.pages.measurements import keep_measurements
from riskmap.pages.page import check_pool, open_cohort
from riskmap.pages.source import SourceNetwork
from riskmap.pages.source_map import SourceMap
from riskmap.project.choices import unknown
from riskmap.project.paths import resolve
from riskmap.training.arm import Arm
from riskmap.training.arms import TUTORIAL_ARMS, choose_arms
from riskmap.training.making import choose_patients
from riskmap.training.runs import Run, Wanted, ensure_all
from riskmap.training.specs import Setting, TransferSpec


class ComparedRuns:
    """What a :class:`riskmap.pages.comparison.Comparison` trains; its arguments are explained there."""

    def __init__(
        self,
        cohort: Cohort | str,
        source: str,
        target: str,
        arms: Iterable[str | Arm | Callable[..., Any]] = (),
        *,
        shots: int | Sequence[int] = 3,
        seeds: int | Sequence[int] = (0, 1),
        setting: Setting | None = None,
        out_dir: str | Path = "build/runs",
        source_cohort: Cohort | str | None = None,
    ) -> None:
        self.cohort = _opened(cohort)
        self.setting = setting or Setting()
        self.out_dir = resolve(out_dir)
        of_source = self.cohort if source_cohort is None else _opened(source_cohort)
        # opened twice, a cohort is still one
        of_source = self.cohort if of_source.digest == self.cohort.digest else of_source
        self.source = SourceNetwork(of_source, source, self.setting, out_dir)
        self.task = Task.parse(target).check(self.cohort)
        if isinstance(arms, str | Arm) or callable(arms):
            raise TypeError(f"arms must be a list of names and functions, got {arms!r}; put it into [ ]")
        self.arms = choose_arms(list(arms) or TUTORIAL_ARMS)
        self.shots = _whole_numbers("shots", shots, least=1)
        self.seeds = _whole_numbers("seeds", seeds, least=0)
        check_pool(self.cohort, "shots", max(self.shots))
        self._made: dict[tuple[str, int, int], Run] = {}
        self._maps: dict[int, SourceMap] = {}

    def __repr__(self) -> str:
        return (
            f"{self.title} on {self.cohort.name}, shots {self.shots}, seeds {self.seeds}: {', '.join(self.arm_names)}"
        )

    @property
    def title(self) -> str:
        """Source and target, for figures and messages."""
        return f"{self.source.task} → {self.task}"

    @property
    def arm_names(self) -> list[str]:
        """The names of the arms, twins included, in the order in which they were given."""
        return [arm.name for arm in self.arms]

    @property
    def specs(self) -> dict[tuple[str, int, int], TransferSpec]:
        """The specification of each run, by arm, shots and seed."""
        cells = product(self.seeds, self.shots, self.arms)
        pair = (str(self.source.task), str(self.task))
        return {(arm.name, k, seed): self.setting.transfer(*pair, arm, k, seed) for seed, k, arm in cells}

    @property
    def wanted(self) -> list[Wanted]:
        """The specification of each run, with the cohort."""
        return [(spec, self.cohort) for spec in self.specs.values()]

    def run(self, jobs: int = 2) -> None:
        """Train what is missing, ``jobs`` runs side by side, and hand the scores on to a sweep.

        A stopped call loses the steps since the last checkpoints; the next one goes on there.

        Raises:
            ValueError: the source network would be trained on another cohort than the target.
        """
        if self.source.cohort is not self.cohort:
            raise ValueError("a source network of another cohort can be looked at, with map(), and not yet fine-tuned")
        self._made = dict(zip(self.specs, ensure_all(self.wanted, self.out_dir, jobs), strict=True))
        runs = self._made.values()
        names = [run.folder.name for run in runs for _ in run.record["results"]["patients"]]
        keep_measurements(self.scores.assign(run=names))

    @property
    def runs(self) -> dict[tuple[str, int, int], Run]:
        """The finished runs by arm, shots and seed; they are made when they are missing."""
        if not self._made:
            self.run()
        return self._made

    def run_of(self, arm: str, seed: int | None = None, shots: int | None = None) -> Run:
        """Return one run: of the first seed and number of shots unless others are asked for.

        Raises:
            ValueError: there is no such arm, seed or number of shots; the message names those there are.
        """
        cell = (arm, self.shots[0] if shots is None else shots, self.seeds[0] if seed is None else seed)
        self.require("arm", arm, self.arm_names)
        self.require("number of shots", cell[1], self.shots)
        self.require("seed", cell[2], self.seeds)
        return self.runs[cell]

    def require(self, kind: str, asked: Any, there: Iterable[Any]) -> None:
        """Check that what is asked for is there, as far as this comparison goes (ValueError)."""
        names = list(map(str, there))
        if str(asked) not in names:
            raise ValueError(unknown(f"this comparison has no {kind} {asked!r}", names, str(asked), "There are"))

    def predictions(self, arm: str, seed: int | None = None) -> dict[str, np.ndarray]:
        """Return {test patient: predicted classes [X, Y, Z]} of one run; as :meth:`run_of`."""
        return self.run_of(arm, seed).predictions()

    def patients(self) -> pd.DataFrame:
        """Return who is in the training set of each seed; fewer patients are the first of more."""
        of_scan = self.cohort.patients
        drawn = {
            f"seed {seed}": list(
                dict.fromkeys(of_scan[scan] for scan in choose_patients(self.cohort, max(self.shots), seed))
            )
            for seed in self.seeds
        }
        return pd.DataFrame(drawn, index=[f"patient {number + 1}" for number in range(max(self.shots))]).T

    def map(self, seed: int | None = None) -> SourceMap:
        """Return the source network's map of the training patients of a seed, by default the first."""
        seed = self.seeds[0] if seed is None else seed
        self.require("seed", seed, self.seeds)
        if seed not in self._maps:
            patients = choose_patients(self.cohort, self.shots[0], seed)
            self._maps[seed] = SourceMap(self.source, self.cohort, self.task, patients, seed)
        return self._maps[seed]

    @property
    def scores(self) -> pd.DataFrame:
        """One row per run and test patient, see :func:`riskmap.experiment.score_tables.scores`."""
        return score_tables.scores(run.record for run in self.runs.values())


def _opened(cohort: Cohort | str) -> Cohort:
    """Return a cohort, by its name too: a default one that is missing is simulated first."""
    return open_cohort(cohort) if isinstance(cohort, str) else cohort


def _whole_numbers(name: str, given: int | Iterable[int], least: int) -> tuple[int, ...]:
    numbers = list(given) if isinstance(given, Iterable) else [given]
    if not numbers:
        raise ValueError(f"{name} must not be empty")
    for each in numbers:
        # those of NumPy are whole numbers as well, and True is none
        if not isinstance(each, Integral) or isinstance(each, bool) or each < least:
            raise ValueError(f"{name} must be whole numbers of at least {least}, got {each!r}")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{name} names something twice: {given}")
    return tuple(map(int, numbers))
