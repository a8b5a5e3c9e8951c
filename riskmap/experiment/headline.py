"""The finding in three sentences, for who opens the site or the README: made from the records of both experiments."""

from collections.abc import Iterable

import pandas as pd

from riskmap.experiment import families
from riskmap.experiment.findings import Findings
from riskmap.experiment.plan import Block
from riskmap.experiment.shown import ShownList, markdown_table, numbered
from riskmap.experiment.tables import points

_ABOVE, _BELOW = "surely above", "surely below"


def headline(simulated: Findings, real: Findings) -> ShownList:
    """Return whether transfer hurt, with which habits it did, and whether a map helped.

    Args:
        simulated: what was found on simulated patients.
        real: what was found on real ones.
    """
    both = (real, simulated)
    return numbered([_transfer(both), _habits(both), _maps(both)])


def front_table(simulated: Findings, real: Findings) -> str:
    """Return the README's table: differences in Dice points with their verdicts, real patients first.

    Args:
        simulated: what was found on simulated patients.
        real: what was found on real ones.
    """
    columns = {f"{found.kind} patients": _front_column(found) for found in (real, simulated)}
    return markdown_table(pd.DataFrame(columns).rename_axis("Dice points").reset_index())


def _front_column(found: Findings) -> dict[str, str]:
    """Return what stands in the table for one experiment, by the row's name; in each, the first minus the second."""
    pairs, paper = found.plan.pairs, "risk_map_paper"
    counts = [each.verdict for each in families.transfer(found).values()]
    rows = {
        "fine-tuning − scratch, good habits": (
            f"{points(found.over_pairs(pairs, 'fine_tune', 'scratch'))}, surely better on {counts.count(_BELOW)} of "
            f"{len(counts)} pairs, surely worse on {counts.count(_ABOVE)}"
        )
    }
    hard = [f"{block.title.partition(' (')[0]}: {_hard(found, block)}" for block in found.plan.hard_cases]
    rows["transfer − scratch, made hard on purpose"] = "; ".join(hard)
    asked = {
        "risk map of the paper (reconstruction) − fine-tuning": families.remedies(found)[paper],
        "that map − its shuffled twin": families.places(found)[paper],
        "best of four on validation patients − scratch": families.selections(found)["select", "scratch"],
    }
    return rows | {name: f"{points(each.estimate)}, {each.verdict}" for name, each in asked.items()}


def _transfer(both: Iterable[Findings]) -> str:
    tested = {found: families.transfer(found).values() for found in both}
    # a gap above 0 is harm
    parts = [
        f"{points(found.over_pairs(found.plan.pairs, 'fine_tune', 'scratch'))} Dice points on {found.kind} patients "
        f"(surely better on {sum(each.verdict == _BELOW for each in pairs)} of {len(pairs)} pairs of tasks, surely "
        f"worse on {sum(each.verdict == _ABOVE for each in pairs)})"
        for found, pairs in tested.items()
    ]
    return f"**Trained with care**, fine-tuning differs from training from scratch by {' and '.join(parts)}."


def _habits(both: Iterable[Findings]) -> str:
    cases: dict[str, list[str]] = {}
    for found in both:
        for block in found.plan.hard_cases:
            cases.setdefault(block.title, []).append(f"{_hard(found, block)} ({found.kind})")
    listed = "; ".join(f"with {title} {' and '.join(each)}" for title, each in cases.items())
    return f"**Trained badly on purpose**, transfer differs from scratch {listed}."


def _hard(found: Findings, block: Block) -> str:
    """Return how far transfer lies above scratch in a hard case, with its verdict, and whether that says little."""
    # the family asks for scratch minus the plain transferred network
    word = families.OPPOSITE[families.hard_cases(found)[block.title, "scratch", block.plain].verdict]
    empty = found.barely_learned(block)
    little = f", though scratch learned next to nothing on {len(empty)} of {len(block.pairs)} pairs" if empty else ""
    return f"by {points(found.over_scratch(block))}, {word}{little}"


def _maps(both: Iterable[Findings]) -> str:
    places = [(found, arm, each) for found in both for arm, each in families.places(found).items()]
    helping = sorted({arm for _, arm, each in places if each.verdict == _ABOVE})
    number = len({arm for _, arm, _ in places})
    claim = f"{len(helping) or 'none'} of {number} maps is surely above its shuffled twin with good habits"
    paper = " and ".join(
        f"{points(families.remedies(found)['risk_map_paper'].estimate)} ({found.kind})" for found in both
    )
    lesson = "" if helping else ", so where the weights lie was not shown to matter"
    return (
        f"**Weighting the loss by a risk map**: {claim}{lesson}; the reconstruction of the paper's map differs from "
        f"plain fine-tuning by {paper}."
    )
