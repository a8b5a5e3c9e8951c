"""What we found, and what to do on Monday: sentences that follow from the published records, whatever these say.

Each sentence names its measurement, and its verb is chosen by the interval: "lies above", "lies below", or "cannot be
told from". Nothing here is typed that a record could contradict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from riskmap.experiment.findings import Findings
from riskmap.experiment.habit_figures import HABITS, HabitChart
from riskmap.experiment.plan import Block, Case
from riskmap.experiment.shown import estimate_text
from riskmap.experiment.tables import short_title
from riskmap.measure.statistics import Estimate
from riskmap.training.arm import TWIN_SUFFIX

PAPER, FEW = "risk_map_paper", 1
_VERBS = {"yes": "lies above", "no, the other way round": "lies below", "open": "cannot be told from"}


def verb(estimate: Estimate) -> str:
    """Return what the interval of a difference allows to say.

    >>> verb(Estimate(1.0, 0.5, 1.5)), verb(Estimate(1.0, -0.5, 1.5))
    ('lies above', 'cannot be told from')
    """
    return _VERBS[estimate.verdict()]


def against(subject: str, other: str, simulated: Estimate, real: Estimate) -> str:
    """Return one clause on both kinds of patients.

    >>> up, open_ = Estimate(2.0, 1.0, 3.0), Estimate(0.1, -1.0, 1.0)
    >>> against("It", "scratch", up, up)
    'It lies above scratch (simulated +2.0 [+1.0, +3.0] Dice points, real +2.0 [+1.0, +3.0])'
    >>> against("It", "scratch", up, open_)[-67:]
    'points) and cannot be told from it on real ones (+0.1 [-1.0, +1.0])'
    """
    first, second = (estimate_text(each, digits=1, signed=True) for each in (simulated, real))
    if verb(simulated) == verb(real):
        return f"{subject} {verb(simulated)} {other} (simulated {first} Dice points, real {second})"
    return (
        f"{subject} {verb(simulated)} {other} on simulated patients ({first} Dice points) and {verb(real)} it on real "
        f"ones ({second})"
    )


@dataclass(frozen=True)
class Verdicts:
    """The two published experiments and the chart of habits, and the sentences that follow from them."""

    simulated: Findings
    real: Findings
    chart: HabitChart

    @classmethod
    def read(cls) -> "Verdicts":
        """Read the published records."""
        return cls(Findings.read("simulated"), Findings.read("real"), HabitChart.read())

    @property
    def both(self) -> tuple[Findings, Findings]:
        """The experiment on simulated patients, and the one on real ones."""
        return self.simulated, self.real

    def over_pairs(self, better: str, worse: str) -> tuple[Estimate, Estimate]:
        """Return the mean difference over the pairs of the main block, simulated and real."""
        return self._of(lambda found: found.over_pairs(found.plan.pairs, better, worse))

    def _of(self, ask: Any) -> tuple[Estimate, Estimate]:
        return _there(ask(self.simulated)), _there(ask(self.real))

    @property
    def maps(self) -> tuple[str, ...]:
        """The maps that both experiments judge."""
        return self.simulated.plan.maps

    def found(self) -> list[str]:
        """Return what was found, in at most six sentences."""
        return [self.transfer(), self.habits(), self.remedy(), self.places(), self.hard_cases(), self.selection()]

    def transfer(self) -> str:
        """Say whether fine-tuning lies above scratch, and where it hurts."""
        hurt = [f"{pair.title} ({kind})" for kind, found in self._kinds() for pair in found.hurt]
        where = f"it hurts on {', '.join(hurt)}" if hurt else "on no pair does it hurt with the whole interval"
        clause = against("fine-tuning", "training from scratch", *self.over_pairs("fine_tune", "scratch"))
        return f"With good habits {clause}; {where}."

    def habits(self) -> str:
        """Say on how many pairs of development patients transfer hurts with good habits, and with one bad habit."""
        counts = {name: self.chart.hurting(cell) for cell, name in HABITS.items()}
        worst = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])[:3]
        with_one = f"with one bad habit on more: {', '.join(f'{name} {counts[name]}' for name in worst)}"
        return (
            f"With all habits good transfer hurts on {self.chart.hurting('all good')} of {self.chart.pair_count} pairs "
            f"of development patients, {with_one if worst else 'and with one bad habit on no more'}."
        )

    def remedy(self) -> str:
        """Say whether the paper's map helps."""
        clause = against("weighting by the paper's map", "plain fine-tuning", *self.over_pairs(PAPER, "fine_tune"))
        balance = against("it", "class balance", *self.over_pairs(PAPER, "class_balanced"))
        return f"With good habits {clause}, and {balance}; the map is a reconstruction."

    def places(self) -> str:
        """Say whether it is the map: how many maps lie above their own shuffled twins."""
        beside = {arm: self.over_pairs(arm, arm + TWIN_SUFFIX) for arm in self.maps}
        simulated, real = (sum(each[index].low > 0 for each in beside.values()) for index in (0, 1))
        best = max(beside, key=lambda arm: beside[arm][1].mean)
        clause = against(f"the best of them on real patients ({short_title(best)})", "its twin", *beside[best])
        return (
            f"Of {len(beside)} uses of the map {simulated} lie above their shuffled twins on simulated patients and "
            f"{real} on real ones: {clause}."
        )

    def hard_cases(self) -> str:
        """Say where transfer hurts most, and what helps there."""
        gaps = {title: self.in_case(title, blocks[0].arms[1], "scratch") for title, blocks in self.cases.items()}
        worst = min(gaps, key=lambda title: sum(each.mean for each in gaps[title]))
        plain, *others = self.cases[worst][0].arms[1:]
        gains = {arm: self.in_case(worst, arm, plain) for arm in others if not arm.endswith(TWIN_SUFFIX)}
        best = max(gains, key=lambda arm: sum(each.mean for each in gains[arm]))
        clause = against("the transferred network", "scratch", *gaps[worst])
        helps = against(f"the best arm there ({short_title(best)})", "it", *gains[best])
        return f"The hardest case for transfer was {worst}: {clause}; {helps}."

    @cached_property
    def cases(self) -> dict[str, list[Block]]:
        """The hard cases by title, simulated and real; scratch is their first arm, plain transfer the second."""
        simulated, real = (found.plan.hard_cases for found in self.both)
        return {one.title: [one, two] for one, two in zip(simulated, real, strict=True)}

    def in_case(self, title: str, better: str, worse: str) -> tuple[Estimate, Estimate]:
        """Return a mean difference over the pairs of a hard case, simulated and real."""
        first, second = (
            found.over_pairs(block.pairs, better, worse, block.case)
            for found, block in zip(self.both, self.cases[title], strict=True)
        )
        return _there(first), _there(second)

    def selection(self) -> str:
        """Say what choosing by validation patients is worth."""
        choosing = "choosing among four arms by four validation patients"
        clause = against(choosing, "scratch", *self.over_pairs("select", "scratch"))
        worst, where = min(
            (float(found.difference(pair, "select", "scratch").mean()), f"{pair.title}, {kind}")
            for kind, found in self._kinds()
            for pair in found.plan.pairs
        )
        return f"{clause[0].upper()}{clause[1:]}; on its worst pair ({where}) by {worst:+.1f}."

    def _kinds(self) -> Sequence[tuple[str, Findings]]:
        return (("simulated", self.simulated), ("real", self.real))

    def rules(self) -> list[str]:
        """Return four rules, each with the measurement that it follows from."""
        costs = self.chart.costs_by_habit()
        first, second = sorted(costs, key=lambda habit: costs[habit])[:2]
        patient = [_gain_of_patients(found) for found in self.both]
        best = [max(self.over_pairs(arm, "fine_tune")[index].mean for arm in self.maps) for index in (0, 1)]
        chosen, beside = (
            " and ".join(f"{each.mean:+.1f}" for each in self.over_pairs(*arms))
            for arms in (("select", "fine_tune"), (PAPER, PAPER + TWIN_SUFFIX))
        )
        label = "Label one more patient first" if min(patient) > max(best) else "Weigh a label against a weighting"
        return [
            f"**Mend the habits before you weight the loss.** First: {first} ({costs[first]:+.1f} Dice points), then "
            f"{second} ({costs[second]:+.1f}); the best of {len(self.maps)} weightings changes fine-tuning by "
            f"{best[0]:+.1f} (simulated) and {best[1]:+.1f} (real).",
            "**Train from scratch beside it, and let validation patients choose.** The choice changes fine-tuning by "
            f"{chosen} points; it costs four runs and four labelled patients.",
            "**Believe no map without its twin.** Hold a weighting against class balance and against its own values at "
            f"other places: from its twin to itself the reconstruction changes by {beside} points.",
            f"**{label}.** From one patient to three fine-tuning gains {patient[0]:+.1f} points (simulated) and "
            f"{patient[1]:+.1f} (real); the best weighting {best[0]:+.1f} and {best[1]:+.1f}.",
        ]


def _there(estimate: Estimate | None) -> Estimate:
    if estimate is None:
        raise ValueError("the plan has no pair there")
    return estimate


def _gain_of_patients(found: Findings) -> float:
    """Return what plain fine-tuning gains from one patient to those of the main block, where both were tried."""
    pairs = next(block.pairs for block in found.plan.few_shots if FEW in block.shots)
    means: Mapping[int, list[float]] = {FEW: [], found.plan.main_shots: []}
    for pair in pairs:
        for shots, values in means.items():
            values.append(float(found.dice(pair, ("fine_tune",), Case(shots))["fine_tune"].mean()))
    return 100 * float(np.mean(means[found.plan.main_shots]) - np.mean(means[FEW]))
