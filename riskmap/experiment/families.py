"""The families of comparisons that :mod:`riskmap.experiment.plans` fixed before a result was read.

Each comparison is a mean over pairs with its interval, and Wilcoxon's p of the patients, adjusted by Holm within its
family. What is not in a family is described with an interval and has no p.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from riskmap.experiment.findings import Findings
from riskmap.experiment.plan import Block, Case, Pair
from riskmap.experiment.selection import SELECTIONS
from riskmap.measure.statistics import Estimate, holm, wilcoxon
from riskmap.training.arm import TWIN_SUFFIX

_Name = TypeVar("_Name", bound=Hashable)
LEVEL = 0.05


class Asked(NamedTuple):
    """A comparison: how many Dice points one arm lies above another, the mean over some pairs."""

    pairs: tuple[Pair, ...]
    better: str
    worse: str
    case: Case = Case()


# the verdict on b - a, where a - b was asked for
OPPOSITE = {"surely above": "surely below", "surely below": "surely above", "open": "open"}


@dataclass(frozen=True)
class Tested:
    """What came of it.

    Args:
        estimate: in Dice points.
        p: adjusted for the number of comparisons in the family.
    """

    estimate: Estimate
    p: float

    @property
    def verdict(self) -> str:
        """What interval and p say together: "surely above" or "surely below" 0 where both do, else "open".

        >>> Tested(Estimate(1.0, 0.5, 1.5), 0.2).verdict
        'open'
        """
        if self.p < LEVEL and (self.estimate.low > 0 or self.estimate.high < 0):
            return "surely above" if self.estimate.low > 0 else "surely below"
        return "open"

    @property
    def p_text(self) -> str:
        """The p value for tables.

        >>> Tested(Estimate(1.0, 0.5, 1.5), 0.00001).p_text
        '< 0.001'
        """
        return f"{self.p:.3f}" if self.p >= 0.001 else "< 0.001"


def transfer(found: Findings) -> dict[str, Tested]:
    """Return the gap of each pair, scratch - fine-tuning, by the pair's title (family 1)."""
    return _tested(found, {pair.title: Asked((pair,), "scratch", "fine_tune") for pair in found.plan.pairs})


def remedies(found: Findings) -> dict[str, Tested]:
    """Return what each arm of the main block that is no control gains over fine-tuning (family 2)."""
    main = found.plan.main
    return _tested(found, {arm: Asked(main.pairs, arm, main.plain) for arm in main.remedies})


def places(found: Findings) -> dict[str, Tested]:
    """Return how far each map of the main block lies above its shuffled twin (family 3)."""
    main = found.plan.main
    return _tested(found, {arm: Asked(main.pairs, arm, arm + TWIN_SUFFIX) for arm in main.maps})


def hard_cases(found: Findings) -> dict[tuple[str, str, str], Tested]:
    """Return transfer, remedies and places of all hard cases, by the case's title and the two arms (family 4)."""
    asked: dict[tuple[str, str, str], Asked] = {}
    for block in found.plan.hard_cases:
        asked |= {(block.title, *arms): Asked(block.pairs, *arms, block.case) for arms in _of_case(block)}
    return _tested(found, asked)


def selections(found: Findings) -> dict[tuple[str, str], Tested]:
    """Return how far each selection lies above scratch and above fine-tuning, by its name and the other (family 5)."""
    asked: dict[tuple[str, str], Asked] = {}
    for name in possible_selections(found):
        pairs, case = asked_of(found, name)
        asked |= {(name, other): Asked(pairs, name, other, case) for other in ("scratch", "fine_tune")}
    return _tested(found, asked)


def possible_selections(found: Findings) -> list[str]:
    """Return the names of the selections that can be made: without extra labels, where patients were left out."""
    return [name for name, selection in SELECTIONS.items() if found.plan.left_out or not selection.leaves_out]


def asked_of(found: Findings, selection: str) -> tuple[tuple[Pair, ...], Case]:
    """Return the pairs on which a selection can be made, and the case: patients were left out on some alone."""
    block = found.plan.left_out[0] if SELECTIONS[selection].leaves_out else found.plan.main
    return block.pairs, block.case


def _of_case(block: Block) -> list[tuple[str, str]]:
    """Return which arms of a hard case are held against which."""
    return [
        ("scratch", block.plain),
        *((arm, block.plain) for arm in block.remedies),
        *((arm, arm + TWIN_SUFFIX) for arm in block.maps),
    ]


def _tested(found: Findings, asked: Mapping[_Name, Asked]) -> dict[_Name, Tested]:
    """Return each comparison of a family with its p, adjusted for their number."""
    adjusted = holm({name: wilcoxon(found.each_patient(*each)) for name, each in asked.items()})
    return {name: Tested(found.over_pairs(*each), adjusted[name]) for name, each in asked.items()}
