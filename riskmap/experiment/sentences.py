"""What the two experiments found, in sentences that are made from their records: page 5 and the README show them.

Which arms are spoken of was fixed by the plans: none is picked for its result. "Surely above" and "surely below" say
that the whole interval and the adjusted p of the family agree (:mod:`riskmap.experiment.families`); else a difference
is "open". What no family holds is described by its interval and called neither.
"""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from riskmap.experiment import families
from riskmap.experiment.count_harm import CHURN
from riskmap.experiment.families import Tested
from riskmap.experiment.findings import NOTHING_LEARNED, Findings
from riskmap.experiment.plan import Block
from riskmap.experiment.reach import reach
from riskmap.experiment.shown import ShownList, ShownTable, markdown_table, numbered
from riskmap.experiment.tables import arm_table, harm_over_pairs, percent, points, short_title, shown
from riskmap.measure.statistics import Estimate

_SLOW_BODY = "discriminative_rate"
_SELECTION = "select"
_NEAR_LABEL = "near_label_sampled"


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

    def cases(self) -> ShownTable:
        """Return how far plain transfer lies above scratch in each hard case, in Dice points, and whether surely."""
        rows: dict[str, dict[str, str]] = {}
        for found in self._both:
            tested = families.hard_cases(found)
            for block in found.plan.hard_cases:
                row = rows.setdefault(_short(block), {"transfer over scratch": _short(block)})
                # the family asks for scratch - transfer
                verdict = families.OPPOSITE[tested[block.title, "scratch", block.plain].verdict]
                row[f"{found.kind} patients"] = f"{points(found.over_scratch(block))}, {verdict}"
        return shown(pd.DataFrame(list(rows.values())))

    def rules(self) -> ShownList:
        """Return "What to do on Monday", four rules."""
        return numbered([self._rule_start(), self._rule_body(), self._rule_loss(), self._rule_places()])

    def reach(self) -> ShownList:
        """Return what was hoped for, and whether it was reached."""
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

    def _over_pairs(self, better: str, worse: str) -> list[Estimate]:
        return [found.over_pairs(found.plan.pairs, better, worse) for found in self._both]

    def _transfer(self) -> str:
        tested = [families.transfer(found).values() for found in self._both]
        # a gap above 0 is harm
        counts = [
            f"surely above it on {sum(each.verdict == 'surely below' for each in pairs)} of {len(pairs)} pairs and "
            f"surely below on {sum(each.verdict == 'surely above' for each in pairs)} ({found.kind})"
            for found, pairs in zip(self._both, tested, strict=True)
        ]
        return (
            "**With good habits** fine-tuning differs from scratch by "
            f"{_two(self._over_pairs('fine_tune', 'scratch'))} Dice points; it lies {', '.join(counts)}."
        )

    def _cases(self) -> str:
        texts, hurting, empty = [], [], []
        tested = [families.hard_cases(found) for found in self._both]
        for of_both in zip(*(found.plan.hard_cases for found in self._both), strict=True):
            over = [found.over_scratch(block) for found, block in zip(self._both, of_both, strict=True)]
            texts.append(f"{points(over[0])} and {points(over[1])} with {_short(of_both[0])}")
            for found, block in zip(self._both, of_both, strict=True):
                nothing = found.barely_learned(block)
                if nothing:
                    empty.append(f"{len(nothing)} of {len(block.pairs)} {found.kind} pairs with {_short(block)}")
            for found, each, block in zip(self._both, tested, of_both, strict=True):
                if each[block.title, "scratch", block.plain].verdict == "surely above":
                    hurting.append(f"{_short(block)} ({found.kind})")
        little = (
            f"; where scratch stays below a Dice of {NOTHING_LEARNED} the difference says little: {_listed(empty)}"
            if empty
            else ""
        )
        hurt = f"surely below it with {_listed(hurting)}" if hurting else "surely below it in none of the cases"
        return (
            f"**Where it was made hard**, transfer differs from scratch by {'; '.join(texts)} (simulated and real); it "
            f"lies {hurt}{little}."
        )

    def _harm(self) -> str:
        kinds, ranks = [], []
        for found in self._both:
            shares = harm_over_pairs(found, "fine_tune")
            kinds.append(", ".join(f"{kind} {percent(share)}" for kind, share in shares.items()) + f" ({found.kind})")
            ranks.append(
                f"{_auroc(found, 'hardness'):.2f} ({found.kind}; the source's cross-entropy "
                f"{_auroc(found, 'source cross-entropy'):.2f}, and the hardness for mere churn "
                f"{_auroc(found, 'hardness', CHURN):.2f})"
            )
        return (
            "**Beyond the churn** of a second run from scratch, fine-tuning does harm (missed, false alarms) and "
            f"repair (found, cleared) in these shares of the region, in per cent: {'; '.join(kinds)}. The hardness "
            f"ranks harmed pixels with an AUROC of {' and '.join(ranks)}."
        )

    def _maps(self) -> str:
        return (
            f"**Against plain fine-tuning** the maps differ by, simulated and real: {self._by_map(families.remedies)}."
        )

    def _places(self) -> str:
        parts = self._by_map(families.places)
        return f"**Against its own shuffled twin**, the test of whether it is the map, each differs by: {parts}."

    def _by_map(self, family: Callable[[Findings], Mapping[str, Tested]]) -> str:
        both = [family(found) for found in self._both]
        texts = []
        for arm in self.simulated.plan.maps:
            of_arm = [each[arm] for each in both]
            numbers = " and ".join(points(each.estimate) for each in of_arm)
            texts.append(f"{short_title(arm)} {numbers}, {_verdicts(of_arm)}")
        return "; ".join(texts)

    def _choice(self) -> str:
        both = [families.selections(found) for found in self._both]
        of_scratch, of_tuned = ([each[_SELECTION, other] for each in both] for other in ("scratch", "fine_tune"))
        worst = " and ".join(points(found.worst(found.plan.pairs, _SELECTION, "scratch")) for found in self._both)
        return (
            "**Choosing the best of scratch, fine-tuning, class balance and reconstruction on validation patients**, "
            f"for four runs, differs from scratch by {_two([each.estimate for each in of_scratch])}, "
            f"{_verdicts(of_scratch)} (on the pair with the lowest mean {worst}), and from fine-tuning by "
            f"{_two([each.estimate for each in of_tuned])}, {_verdicts(of_tuned)}."
        )

    def _rule_start(self) -> str:
        tested = [each for found in self._both for each in families.transfer(found).values()]
        hurt, helped = (sum(each.verdict == word for each in tested) for word in ("surely above", "surely below"))
        if hurt and not helped:
            advice = "**Start from scratch.**"
        elif hurt:
            advice = "**Train from the source and from scratch, and choose on validation patients.**"
        elif helped:
            advice = "**Start from the source.**"
        else:
            advice = "**Start where you like: the records do not decide.**"
        worst = [found.worst(found.plan.pairs, "fine_tune", "scratch") for found in self._both]
        return (
            f"{advice} Fine-tuning surely helped on {helped} of {len(tested)} pairs and surely hurt on {hurt}; on the "
            f"pair with the lowest mean it differs from scratch by {_two(worst)}."
        )

    def _rule_body(self) -> str:
        costs = []
        for found in self._both:
            (block,) = [block for block in found.plan.hard_cases if block.plain == _SLOW_BODY]
            costs.append(found.over_pairs(block.pairs, "fine_tune", block.plain, block.case))
        advice = {
            "above": "**Train the body at the full rate.**",
            "below": "**Train the body at a tenth of the rate.**",
            "open": "**Try both rates for the body: the records do not decide.**",
        }[_side(costs)]
        return f"{advice} Against a tenth of the rate the full one differs by {_two(costs)}."

    def _rule_loss(self) -> str:
        both = [families.remedies(found) for found in self._both]
        verdicts = {arm: {each[arm].verdict for each in both} for arm in both[0]}
        helping = [arm for arm, words in verdicts.items() if "surely above" in words and "surely below" not in words]
        hurting = [arm for arm, words in verdicts.items() if "surely below" in words and "surely above" not in words]
        advice = (
            f"**Try {_listed([short_title(arm) for arm in helping])}**, surely above plain fine-tuning somewhere and "
            "surely below it nowhere."
            if helping
            else "**Leave the loss and the sampling as they are.** Neither class balance nor a map is surely above "
            "plain fine-tuning without being surely below it elsewhere."
        )
        lost = f" Surely below it: {_listed([short_title(arm) for arm in hurting])}." if hurting else ""
        balance = _two([each["class_balanced"].estimate for each in both])
        further = [found.over_pairs(found.plan.further.pairs, _NEAR_LABEL, "fine_tune") for found in self._both]
        promising = " It may be worth a try." if any(each.low > 0 for each in further) else ""
        return (
            f"{advice}{lost} Class balance, which needs no source, differs from it by {balance}. Cutting patches near "
            f"the label, tried on few pairs and tested in no family, differs from it by {_two(further)}.{promising}"
        )

    def _rule_places(self) -> str:
        both = [families.places(found) for found in self._both]
        helping = [arm for arm in both[0] if any(each[arm].verdict == "surely above" for each in both)]
        own, twin = (_two(self._over_pairs(arm, "fine_tune")) for arm in ("risk_map_paper", "risk_map_paper_shuffled"))
        claim = (
            f"With good habits {_listed([short_title(arm) for arm in helping])} is surely above it."
            if helping
            else "With good habits none is surely above it."
        )
        return (
            f"**Train every map beside its shuffled twin before you believe it.** {claim} The reconstruction differs "
            f"from fine-tuning by {own}, its twin by {twin}."
        )


def _two(estimates: Sequence[Estimate]) -> str:
    return f"{points(estimates[0])} (simulated) and {points(estimates[1])} (real)"


def _verdicts(tested: Sequence[Tested]) -> str:
    words = [each.verdict for each in tested]
    return f"both {words[0]}" if words[0] == words[1] else " and ".join(words)


def _side(estimates: Sequence[Estimate]) -> str:
    """Return on which side of 0 some interval lies as a whole, if none lies on the other; else "open"."""
    above, below = any(each.low > 0 for each in estimates), any(each.high < 0 for each in estimates)
    return "open" if above == below else "above" if above else "below"


def _short(block: Block) -> str:
    return block.title.partition(" (")[0]


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _auroc(found: Findings, score: str, event: str = "fine_tune") -> float:
    """Return the mean over pairs of a score's AUROC for an event; pairs without the score take no part."""
    tables = [found.pointing(pair, event).set_index("score")["auroc"] for pair in found.plan.pairs]
    return float(pd.concat(tables, axis=1).loc[score].mean())
