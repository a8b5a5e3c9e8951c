"""What the two experiments found, in sentences that are made from their records: page 5 and the README show them.

A sentence says "above" or "below" only where the whole interval is; else it says that the question stays open. Which
arms are spoken of was fixed by the plans: none is picked for its result.
"""

from collections.abc import Callable, Sequence

import numpy as np

from riskmap.experiment.count_harm import CHURN
from riskmap.experiment.findings import Findings
from riskmap.experiment.plan import Block
from riskmap.experiment.reach import reach
from riskmap.experiment.shown import ShownList, estimate_text, markdown_table, numbered
from riskmap.experiment.tables import arm_table, harm_over_pairs, points, short_title
from riskmap.measure.statistics import Estimate, patient_mean
from riskmap.training.arm import TWIN_SUFFIX

_PAPER, _SELECTION = "risk_map_paper", "select"
_BORDER, _ERROR = "distance to the boundary", "source cross-entropy"


class Sentences:
    """The sentences of a simulated and a real experiment.

    Args:
        simulated: what was found on simulated patients.
        real: what was found on real ones.
    """

    def __init__(self, simulated: Findings, real: Findings) -> None:
        self.simulated = simulated
        self.real = real

    def found(self) -> ShownList:
        """Return "What we found", six sentences."""
        return numbered([self._transfer(), self._cases(), self._harm(), self._maps(), self._places(), self._choice()])

    def rules(self) -> ShownList:
        """Return "What to do on Monday", four rules."""
        return numbered([self._rule_body(), self._rule_choice(), self._rule_balance(), self._rule_twin()])

    def reach(self) -> ShownList:
        """Return what was hoped for before the experiments ran, and whether it was reached."""
        return reach(self.simulated, self.real)

    def section(self) -> str:
        """Return the README's section: the sentences, the rules, and how each experiment's arms came off."""
        parts = ["**What we found**", self.found().text, "**What to do on Monday**", self.rules().text]
        for found in (self.real, self.simulated):
            spent = "{runs} runs, {hours} hours with {jobs} side by side".format(**found.cost)
            parts += [f"{found.sample()}; {spent}. Dice points over all pairs:", markdown_table(arm_table(found))]
        return "\n\n".join(parts)

    @property
    def _both(self) -> tuple[Findings, Findings]:
        return self.simulated, self.real

    def _each(self, estimate: Callable[[Findings], Estimate]) -> str:
        """Return an estimate of both experiments as text."""
        simulated, real = (points(estimate(found)) for found in self._both)
        return f"{simulated} (simulated) and {real} (real)"

    def _transfer(self) -> str:
        gaps = [list(found.gaps.values()) for found in self._both]
        helped = " and ".join(f"{sum(gap.high < 0 for gap in each)} of {len(each)}" for each in gaps)
        hurt = " and ".join(f"{sum(gap.low > 0 for gap in each)}" for each in gaps)
        over = self._each(lambda found: found.over_pairs(found.plan.pairs, "fine_tune", "scratch"))
        return (
            f"**With good habits, fine-tuning lies {over} Dice points over scratch**, with the whole interval above 0 "
            f"on {helped} pairs and below 0 on {hurt}."
        )

    def _cases(self) -> str:
        texts, hurting = [], []
        for simulated, real in zip(*(found.plan.hard_cases for found in self._both), strict=True):
            over = [found.over_scratch(block) for found, block in zip(self._both, (simulated, real), strict=True)]
            texts.append(f"{points(over[0])} and {points(over[1])} with {simulated.title}")
            where = [name for name, each in zip(("simulated", "real"), over, strict=True) if each.high < 0]
            if where:
                hurting.append(f"{simulated.title} ({', '.join(where)})")
        claim = "**Bad habits make the harm**" if hurting else "**Not even bad habits surely hurt**"
        hurt = f" It hurts, with the whole interval, with {_listed(hurting)}." if hurting else ""
        return f"{claim}: transfer lies over scratch by {'; '.join(texts)} (simulated and real).{hurt}"

    def _harm(self) -> str:
        shares = [harm_over_pairs(found, "fine_tune") for found in self._both]
        kinds = [
            f"{estimate_text(each['missed'], 100, 1, signed=True)} % missed and "
            f"{estimate_text(each['false alarms'], 100, 1, signed=True)} % false alarms"
            for each in shares
        ]
        ranks = [
            f"{_auroc(found, 'hardness'):.2f} (nearness to the label's border {_auroc(found, _BORDER):.2f}, the "
            f"source's error {_auroc(found, _ERROR):.2f}; for mere churn {_auroc(found, 'hardness', CHURN):.2f})"
            for found in self._both
        ]
        return (
            f"**Beyond the churn of a second run, fine-tuning turns wrong** {kinds[0]} of the region (simulated), and "
            f"{kinds[1]} (real); the hardness ranks these pixels with an AUROC of {' and '.join(ranks)}."
        )

    def _maps(self) -> str:
        parts = self._by_map(lambda found, arm: found.over_pairs(found.plan.pairs, arm, "fine_tune"))
        return f"**Over plain fine-tuning the maps gain**, simulated and real: {parts}."

    def _places(self) -> str:
        parts = self._by_map(lambda found, arm: found.over_pairs(found.plan.pairs, arm, arm + TWIN_SUFFIX))
        return f"**Over its own shuffled twin**, the test of whether it is the map, each gains: {parts}."

    def _by_map(self, estimate: Callable[[Findings, str], Estimate]) -> str:
        texts = []
        for arm in self.simulated.plan.maps:
            both = [estimate(found, arm) for found in self._both]
            texts.append(f"{short_title(arm)} {points(both[0])} and {points(both[1])}, {_verdicts(both)}")
        return "; ".join(texts)

    def _choice(self) -> str:
        over_scratch = self._each(lambda found: found.over_pairs(found.plan.pairs, _SELECTION, "scratch"))
        over_tuned = self._each(lambda found: found.over_pairs(found.plan.pairs, _SELECTION, "fine_tune"))
        worst = " and ".join(points(_worst(found, _SELECTION)) for found in self._both)
        return (
            "**Choosing the best of scratch, fine-tuning, class balance and reconstruction on validation patients** "
            f"lies {over_scratch} over scratch, on the worst pair {worst}, and {over_tuned} over fine-tuning, for four "
            "runs."
        )

    def _rule_body(self) -> str:
        slow = [next(block for block in found.plan.hard_cases if _is_slow(block)) for found in self._both]
        costs = [
            found.over_pairs(block.pairs, "fine_tune", block.plain, block.case)
            for found, block in zip(self._both, slow, strict=True)
        ]
        claim = (
            "**Training the body at a tenth of the rate does no harm here**"
            if all(cost.high < 0 for cost in costs)
            else "**Train the whole network at the full rate**, with the new head at zero, on patches around the label"
        )
        return (
            f"{claim}: over a body at a tenth of the rate the full rate gains {points(costs[0])} (simulated) and "
            f"{points(costs[1])} (real), {_verdicts(costs)}."
        )

    def _rule_choice(self) -> str:
        gains = [found.over_pairs(found.plan.pairs, _SELECTION, "fine_tune") for found in self._both]
        lost = [points(_worst(found, "fine_tune")) for found in self._both]
        chosen = [points(_worst(found, _SELECTION)) for found in self._both]
        advice = (
            "**Train one from scratch beside it and choose on validation patients.** "
            if any(gain.low > 0 for gain in gains) or not any(gain.high < 0 for gain in gains)
            else "**Take fine-tuning unless validation patients say otherwise.** "
        )
        return (
            f"{advice}On its worst pair fine-tuning lies {lost[0]} (simulated) and {lost[1]} (real) over scratch, the "
            f"chosen run {chosen[0]} and {chosen[1]}."
        )

    def _rule_balance(self) -> str:
        gains = [found.over_pairs(found.plan.pairs, _PAPER, "class_balanced") for found in self._both]
        if all(gain.low > 0 for gain in gains):
            advice = "**Prefer the reconstruction to class balance.**"
        elif all(gain.high < 0 for gain in gains):
            advice = "**Prefer class balance to the reconstruction.**"
        else:
            advice = "**Try class balance before any map: it needs no source.**"
        return (
            f"{advice} The reconstruction lies {points(gains[0])} (simulated) and {points(gains[1])} (real) over it, "
            f"{_verdicts(gains)}."
        )

    def _rule_twin(self) -> str:
        own = self._each(lambda found: found.over_pairs(found.plan.pairs, _PAPER, "fine_tune"))
        twin = self._each(lambda found: found.over_pairs(found.plan.pairs, _PAPER + TWIN_SUFFIX, "fine_tune"))
        return (
            "**Believe no map without its shuffled twin.** Over fine-tuning the reconstruction gains "
            f"{own}, and the same weights at shuffled places {twin}."
        )


def _verdicts(estimates: Sequence[Estimate]) -> str:
    """Return what both intervals show, as "surely" only where the whole interval is on one side of 0."""
    words = ["above 0" if each.low > 0 else "below 0" if each.high < 0 else "open" for each in estimates]
    return f"both {words[0]}" if words[0] == words[1] else f"{words[0]} and {words[1]}"


def _listed(names: Sequence[str]) -> str:
    return "; with ".join(names)


def _is_slow(block: Block) -> bool:
    return block.plain == "discriminative_rate"


def _worst(found: Findings, arm: str) -> Estimate:
    """Return how far an arm lies above scratch on the pair on which it does worst."""
    gains = [patient_mean(found.difference(pair, arm, "scratch")) for pair in found.plan.pairs]
    return min(gains, key=lambda gain: gain.mean)


def _auroc(found: Findings, score: str, event: str = "fine_tune") -> float:
    """Return the mean over pairs of a score's AUROC for an event."""
    values = [found.pointing(pair, event).set_index("score")["auroc"].get(score, np.nan) for pair in found.plan.pairs]
    return float(np.nanmean(values))
