"""What the experiments were hoped to reach, and whether they did.

The hopes were stated before a result was read. Pages show one that failed as plainly as one that came true. These are
described with intervals and no test: they ask about pairs and cases that the results pick.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from riskmap.experiment.findings import Findings
from riskmap.experiment.plan import Block, Pair
from riskmap.experiment.shown import ShownList, numbered
from riskmap.experiment.tables import points, short_title
from riskmap.measure.statistics import Estimate
from riskmap.training.arm import TWIN_SUFFIX

# Dice points
REPAIR_TUMOUR, REPAIR_INFANT, OVER_TWIN = 4.37, 1.81, 1.0


@dataclass(frozen=True)
class Hurt:
    """A pair or a hard case in which transfer hurts: the interval of its gap lies above 0.

    Args:
        found: the experiment.
        title: of the pair or case.
        pairs: it is of.
        block: its arms and its case.
    """

    found: Findings
    title: str
    pairs: tuple[Pair, ...]
    block: Block

    @property
    def wanted(self) -> float:
        """Dice points that a map was hoped to repair."""
        return REPAIR_INFANT if all(pair.is_infant for pair in self.pairs) else REPAIR_TUMOUR

    def above(self, better: str, worse: str) -> Estimate:
        """Return how many Dice points one arm lies above another."""
        return self.found.over_pairs(self.pairs, better, worse, self.block.case)


def hurt_in(found: Findings) -> Iterator[Hurt]:
    """Yield the pairs and hard cases of an experiment in which the whole interval of the gap lies above 0."""
    for pair in found.hurt:
        yield Hurt(found, f"{pair.title} ({found.kind})", (pair,), found.plan.main)
    for block in found.plan.hard_cases:
        if found.over_scratch(block).high < 0:
            yield Hurt(found, f"{block.title} ({found.kind})", block.pairs, block)


def reach(simulated: Findings, real: Findings) -> ShownList:
    """Return the four things that were hoped for, each with its numbers and whether it was reached."""
    both = (simulated, real)
    hurt = [each for found in both for each in hurt_in(found)]
    return numbered([_transfer(both), _repair(hurt), _places(hurt), _never_worse(both)])


def _transfer(both: tuple[Findings, Findings]) -> str:
    gaps = [gap for found in both for gap in found.gaps.values()]
    above, sure = sum(gap.mean < 0 for gap in gaps), sum(gap.high < 0 for gap in gaps)
    return (
        f"Fine-tuning above scratch on every pair: {_held(above == len(gaps))}, on {above} of {len(gaps)}, on {sure} "
        "with the whole interval."
    )


def _repair(hurt: list[Hurt]) -> str:
    hope = f"Where transfer hurts, a map repairs {REPAIR_TUMOUR} points on tumours, {REPAIR_INFANT} on infants"
    return _where_hurt(hope, hurt, lambda _: None, lambda each: each.wanted, share=1.0)


def _places(hurt: list[Hurt]) -> str:
    hope = f"Where transfer hurts, a map lies {OVER_TWIN:g} point above its own shuffled twin in half of the cases"
    return _where_hurt(hope, hurt, lambda arm: arm + TWIN_SUFFIX, lambda _: OVER_TWIN, share=0.5)


def _where_hurt(
    hope: str,
    hurt: list[Hurt],
    other_than: Callable[[str], str | None],
    wanted: Callable[[Hurt], float],
    share: float,
) -> str:
    """Return whether some map of each pair or case lies as far above another arm as hoped, its whole interval above 0.

    Args:
        hope: in words.
        hurt: the pairs and cases.
        other_than: from a map to the arm that it is held against; None: the plain transferred network.
        wanted: how far above, in Dice points.
        share: of the pairs and cases in which it was hoped for.
    """
    if not hurt:
        return f"{hope}: **not to be judged**, there is no such pair and no such case."
    texts, reached = [], 0
    for each in hurt:
        above = {arm: each.above(arm, other_than(arm) or each.block.plain) for arm in each.block.maps}
        reached += any(one.mean >= wanted(each) and one.low > 0 for one in above.values())
        texts.append(f"{each.title}: {', '.join(f'{short_title(arm)} {points(one)}' for arm, one in above.items())}")
    held = _held(reached >= share * len(hurt))
    return f"{hope}: {held}, in {reached} of {len(hurt)} ({'; '.join(texts)})."


def _never_worse(both: tuple[Findings, Findings]) -> str:
    blocks = [found.plan.hard_cases[0] for found in both]
    worst = [
        found.worst(block.pairs, "select_halved", "scratch", block.case)
        for found, block in zip(both, blocks, strict=True)
    ]
    return (
        f"With {blocks[0].title}, something that is never below scratch at the cost of two runs: "
        f"{_held(all(each.mean >= 0 for each in worst))}, choosing among four arms by halving differs from scratch by "
        f"{points(worst[0])} (simulated) and {points(worst[1])} (real) on its worst pair."
    )


def _held(held: bool) -> str:
    return "**reached**" if held else "**not reached**"
