"""What an experiment found, read from its published records; nothing here trains or measures.

Differences are in Dice points (hundredths), paired by patient after averaging over seeds; intervals are 95 %,
bootstrapped over patients.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from riskmap.experiment.count_harm import table_from_json
from riskmap.experiment.packing import unpacked
from riskmap.experiment.plan import Block, Case, Pair, Plan, rate_owner
from riskmap.experiment.plans import PLANS
from riskmap.experiment.records import require_whole
from riskmap.experiment.score_tables import per_patient, score_rows
from riskmap.experiment.selection import SELECTIONS, curves, held_out, select
from riskmap.measure.pointing import mean_pointing
from riskmap.measure.statistics import Estimate, mean_over_pairs, patient_mean
from riskmap.project.files import digest_of, read_json
from riskmap.project.paths import RESULTS, resolve

_MAIN = Case()
# Dice below which a network has learned next to nothing
NOTHING_LEARNED = 0.1


@dataclass(frozen=True)
class Findings:
    """The published records of an experiment, and what can be asked of them.

    Args:
        plan: what was run; it gives the order of the pairs.
        folder: holds runs.json, harm.json, rates.json and cost.json.
    """

    plan: Plan
    folder: Path

    @classmethod
    def read(cls, plan: str, folder: str | Path = RESULTS) -> "Findings":
        """Return what a plan found, by its name in ``PLANS`` and the folder that holds the records of all plans.

        Raises:
            ValueError: a record is missing, or is not the one that was written with the others.
        """
        found = cls(PLANS[plan], resolve(folder) / PLANS[plan].name)
        require_whole(found.folder, plan)
        return found

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per run and patient; see :func:`riskmap.experiment.score_tables.score_rows`."""
        return score_rows(self.records)

    @cached_property
    def _by_arm(self) -> dict[tuple[str, str, int, str], pd.DataFrame]:
        """The rows of each cohort, target, number of shots and arm; to search all of them each time takes long."""
        return dict(iter(self.frame.groupby(["cohort", "target", "shots", "arm"])))

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The compact record of each run."""
        return unpacked(read_json(self.folder / "runs.json"))

    @cached_property
    def _curves(self) -> pd.DataFrame:
        return curves(self.records)

    @cached_property
    def _held_out(self) -> pd.DataFrame:
        return held_out(self.records)

    @cached_property
    def harm(self) -> dict[str, pd.DataFrame]:
        """The tables of :func:`riskmap.experiment.count_harm.count_harm`."""
        return {name: table_from_json(table) for name, table in read_json(self.folder / "harm.json").items()}

    @cached_property
    def rates(self) -> dict[str, dict[str, Any]]:
        """What each learning rate scored on validation patients, and which was chosen."""
        return read_json(self.folder / "rates.json")

    @cached_property
    def cost(self) -> dict[str, Any]:
        """What the experiment took."""
        return read_json(self.folder / "cost.json")

    @cached_property
    def digest(self) -> str:
        """Short hash over all records: the same digest means the same tables and figures."""
        names = ("runs", "harm", "rates", "cost")
        return digest_of([read_json(self.folder / f"{name}.json") for name in names])

    @cached_property
    def gaps(self) -> dict[Pair, Estimate]:
        """The negative-transfer gap of each pair, Dice(scratch) - Dice(fine-tuning)."""
        return {pair: patient_mean(self.difference(pair, "scratch", "fine_tune")) for pair in self.plan.pairs}

    @property
    def kind(self) -> str:
        """Whose patients were scored: "simulated" or "real"."""
        return "simulated" if self.frame["simulated"].all() else "real"

    @property
    def hurt(self) -> tuple[Pair, ...]:
        """The pairs whose gap has an interval above 0."""
        return tuple(pair for pair, gap in self.gaps.items() if gap.low > 0)

    def rows(self, pair: Pair, arms: Iterable[str], case: Case = _MAIN, rate: float | None = None) -> pd.DataFrame:
        """Return the rows of some arms of a pair, with the draws and seeds that all of them have.

        Args:
            pair: one of the plan.
            arms: names of ``riskmap.training.arms.ARMS``.
            case: under what they are compared.
            rate: a learning rate; by default that of the case, or each arm's chosen one.

        Raises:
            ValueError: an arm has no run there.
        """
        wanted = list(arms)
        selected = [arm for arm in wanted if arm in SELECTIONS]
        if selected:
            others = [arm for arm in wanted if arm not in SELECTIONS]
            unselected = [self.rows(pair, others, case, rate)] if others else []
            return _of_common_draws([*(self._select(pair, arm, case, rate) for arm in selected), *unselected])
        training = case.training or self.plan.transfer_training
        rate = case.training.learning_rate if rate is None and case.training else rate
        rates = {arm: self.rates[rate_owner(arm)]["chosen"] if rate is None else rate for arm in wanted}
        shots = self.plan.main_shots if case.shots is None else case.shots
        source_steps = self.plan.source_training.steps if case.source_steps is None else case.source_steps
        parts = {}
        for arm in wanted:
            of_arm = self._by_arm.get((pair.cohort, pair.target, shots, arm), self.frame.iloc[:0])
            of_source = (of_arm["source"] == pair.source) & (of_arm["source_steps"] == source_steps)
            as_asked = (of_arm["rate"] == rates[arm]) & (of_arm["steps"] == training.steps)
            parts[arm] = of_arm.loc[(of_source | of_arm["source"].isna()) & as_asked & of_arm["left_out"].isna()]
        lacking = ", ".join(arm for arm, part in parts.items() if part.empty)
        if lacking:
            raise ValueError(f"no run of {lacking} for {pair.title} with {shots} target patients")
        return _of_common_draws(list(parts.values()))

    def _select(self, pair: Pair, name: str, case: Case, rate: float | None) -> pd.DataFrame:
        """Return the rows that a selection chooses, of the draws and seeds that all it chooses among have."""
        asked = (pair, name, case, rate)
        if asked not in self._selected:
            selection = SELECTIONS[name]
            rows = self.rows(pair, selection.arms, case, rate)
            looked_at = self._held_out if selection.leaves_out else self._curves
            looked_at = looked_at.loc[looked_at["cohort"] == pair.cohort]
            # of a pair whose patients were left out with one seed alone, the others cannot be chosen for
            rows = rows.merge(looked_at[["draw", "seed"]].drop_duplicates(), on=["draw", "seed"])
            of_target = looked_at.loc[looked_at["target"] == pair.target]
            self._selected[asked] = select(rows, of_target, selection.arms, selection.choose, name)
        return self._selected[asked].copy()

    def dice(self, pair: Pair, arms: Sequence[str], case: Case = _MAIN) -> pd.DataFrame:
        """Return the Dice of each patient and arm, averaged over the draws and seeds that all these arms have."""
        return per_patient(self.rows(pair, arms, case))

    def difference(self, pair: Pair, better: str, worse: str, case: Case = _MAIN) -> pd.Series:
        """Return how many Dice points one arm lies above another, per patient."""
        asked = (pair, better, worse, case)
        if asked not in self._differences:
            dice = self.dice(pair, (better, worse), case)
            self._differences[asked] = 100 * (dice[better] - dice[worse])
        return self._differences[asked].copy()

    @cached_property
    def _selected(self) -> dict[tuple[Pair, str, Case, float | None], pd.DataFrame]:
        """What :meth:`_select` has found."""
        return {}

    @cached_property
    def _differences(self) -> dict[tuple[Pair, str, str, Case], pd.Series]:
        """What :meth:`difference` has found: tables, sentences and tests ask for the same ones many times."""
        return {}

    def by_cohort(self, pairs: Sequence[Pair], better: str, worse: str, case: Case = _MAIN) -> list[pd.DataFrame]:
        """Return the differences of some pairs as one table [patient, pair] per cohort: its pairs share patients."""
        cohorts = defaultdict(list)
        for pair in pairs:
            cohorts[pair.cohort].append(self.difference(pair, better, worse, case))
        return [pd.concat(differences, axis=1) for differences in cohorts.values()]

    def over_pairs(self, pairs: Sequence[Pair], better: str, worse: str, case: Case = _MAIN) -> Estimate:
        """Return the mean difference over pairs; patients are resampled within each cohort."""
        return mean_over_pairs(self.by_cohort(pairs, better, worse, case))

    def over_scratch(self, block: Block) -> Estimate:
        """Return how far the plain transferred network of a hard case lies above scratch."""
        return self.over_pairs(block.pairs, block.plain, "scratch", block.case)

    def barely_learned(self, block: Block) -> list[Pair]:
        """Return the pairs of a hard case on which scratch stays below a Dice of 0.1: their gap says little."""
        return [
            pair
            for pair in block.pairs
            if self.dice(pair, ("scratch",), block.case)["scratch"].mean() < NOTHING_LEARNED
        ]

    def worst(self, pairs: Sequence[Pair], better: str, worse: str, case: Case = _MAIN) -> Estimate:
        """Return the difference on the pair on which it is lowest: picked after the fact, so no test."""
        estimates = [patient_mean(self.difference(pair, better, worse, case)) for pair in pairs]
        return min(estimates, key=lambda each: each.mean)

    def pooled(self, pairs: Sequence[Pair], better: str, worse: str, case: Case = _MAIN) -> Estimate:
        """Return the mean over the patients of some pairs that share none, as of folds with one patient each."""
        return patient_mean(pd.concat([self.difference(pair, better, worse, case) for pair in pairs]))

    def each_patient(self, pairs: Sequence[Pair], better: str, worse: str, case: Case = _MAIN) -> pd.Series:
        """Return each patient's difference, averaged over the pairs of its cohort: what a test is made of."""
        return pd.concat([table.mean(axis=1) for table in self.by_cohort(pairs, better, worse, case)])

    def leep(self, pair: Pair) -> float:
        """Return the LEEP score of a pair, averaged over seeds, in nats."""
        return at_pair(self.harm["leep"], pair)["leep"].item()

    def pointing(self, pair: Pair, event: str = "fine_tune") -> pd.DataFrame:
        """Return how well each score forecasts an event: means over patients of what was averaged over seeds.

        Args:
            pair: one of the plan.
            event: "fine_tune" (wrong where scratch is right) or "churn" (another seed from scratch is wrong there).
        """
        rows = at_pair(self.harm["pointing"], pair)
        return mean_pointing(dict(iter(rows.loc[rows["event"] == event].groupby("patient"))))

    def sample(self) -> str:
        """Return "n patients, n seeds" of the main table, and whose patients they are."""
        rows = {pair: self.rows(pair, ("scratch", "fine_tune")) for pair in self.plan.pairs}
        patients = sorted({part["patient"].nunique() for part in rows.values()})
        draws, seeds = (min(part[name].nunique() for part in rows.values()) for name in ("draw", "seed"))
        repeated = f"{draws} draws of target patients, each with {seeds} first weight{'s' if seeds > 1 else ''}"
        empty = sum(int((part.drop_duplicates("patient")["empty"] > 0).sum()) for part in rows.values())
        return (
            f"{' or '.join(map(str, patients))} test patients a pair ({empty or 'none'} without the target label), "
            f"{repeated}, {self.plan.main_shots} target training patients; {self.kind} patients"
        )


def _of_common_draws(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return rows of several arms, those of the draws and seeds that all of them have."""
    common = set.intersection(*({*zip(part["draw"], part["seed"], strict=True)} for part in parts))
    whole = pd.concat(parts, ignore_index=True)
    return whole.loc[[each in common for each in zip(whole["draw"], whole["seed"], strict=True)]]


def at_pair(table: pd.DataFrame, pair: Pair) -> pd.DataFrame:
    """Return the rows of a pair in a table with the columns cohort, source and target."""
    chosen = (table["cohort"] == pair.cohort) & (table["source"] == pair.source) & (table["target"] == pair.target)
    return table.loc[chosen]
