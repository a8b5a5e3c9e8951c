"""What the experiments found, shortened for a slide or an answer in the room; every number comes from the records.

The long sentences are those of :mod:`riskmap.experiment.sentences`, which page 5 shows; these say no more than they.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

import pandas as pd

from riskmap.experiment import families
from riskmap.experiment.count_harm import CHURN
from riskmap.experiment.families import Tested
from riskmap.experiment.findings import Findings
from riskmap.experiment.sentences import Sentences
from riskmap.experiment.shown import NOTHING, ShownList, markdown_table, numbered
from riskmap.experiment.tables import harm_over_pairs, percent, points, short_title
from riskmap.measure.statistics import Estimate

_CHOICE = "select"


class Brief:
    """Short texts of a simulated and a real experiment.

    Args:
        simulated: what was found on simulated patients.
        real: what was found on real ones.
    """

    def __init__(self, simulated: Findings, real: Findings) -> None:
        self.simulated = simulated
        self.real = real
        self._sentences = Sentences(simulated, real)

    def found(self) -> ShownList:
        """Return what was found in six short sentences; the long ones, with each number, are those of page 5."""
        parts = {
            "With good habits.": f"{self.transfer()} {self.counts()}",
            "Where it hurts.": self.hurt(),
            "Does hardness point at the harm?": self.pointing(),
            "Do maps help?": self.maps_verdict(),
            "Is it the map?": self.twins_verdict(),
            "Choosing.": self.choice(),
        }
        return numbered([f"**{title}** {text}" for title, text in parts.items()])

    def texts(self) -> dict[str, str]:
        """Return every short text, Markdown, by the name that slides and kit call it."""
        return {
            "runs": self.runs(),
            "transfer": self.transfer(),
            "counts": self.counts(),
            "hurt": self.hurt(),
            "cases": self.cases(),
            "harm": self.harm(),
            "pointing": self.pointing(),
            "maps": self.maps(),
            "maps-verdict": self.maps_verdict(),
            "twins-verdict": self.twins_verdict(),
            "choice": self.choice(),
            "rules": self.rules(),
            "rules-in-full": self._rules,
            "hopes": self.hopes(),
        }

    def runs(self) -> str:
        """Return what was run, a sentence per experiment."""
        return " ".join(
            f"{found.kind.capitalize()} patients: {len(found.plan.pairs)} pairs, {found.cost['runs']} runs."
            for found in self._both
        )

    def transfer(self) -> str:
        """Return how far fine-tuning lies from scratch over all pairs."""
        each = [found.over_pairs(found.plan.pairs, "fine_tune", "scratch") for found in self._both]
        return f"Fine-tuning differs from scratch by {_two(each)} Dice points."

    def counts(self) -> str:
        """Return on how many pairs transfer surely helps and surely hurts."""
        tested = self._transfer
        # the family asks for scratch - fine-tuning
        helped, hurt = (
            sum(each.verdict == word for each in tested.values()) for word in ("surely below", "surely above")
        )
        return (
            f"Fine-tuning surely helps on {helped} of {len(tested)} pairs, surely hurts on {hurt}, and on "
            f"{len(tested) - helped - hurt} the records leave it open."
        )

    def hurt(self) -> str:
        """Return the pairs and hard cases in which transfer surely lies below scratch."""
        pairs = [title for title, each in self._transfer.items() if each.verdict == "surely above"]
        cases = []
        for found, tested in zip(self._both, self._cases, strict=True):
            for block in found.plan.hard_cases:
                if tested[block.title, "scratch", block.plain].verdict == "surely above":
                    cases.append(f"{_short(block.title)} ({found.kind})")
        return f"Transfer surely hurts, pairs: {_listed(pairs)}; hard cases: {_listed(cases)}."

    def cases(self) -> str:
        """Return a table of the hard cases: how far plain transfer lies above scratch; in bold what is sure."""
        rows: dict[str, dict[str, str]] = {}
        for found, tested in zip(self._both, self._cases, strict=True):
            for block in found.plan.hard_cases:
                # the family asks for scratch - transfer
                verdict = tested[block.title, "scratch", block.plain].verdict
                row = rows.setdefault(_short(block.title), {"transfer over scratch": _short(block.title)})
                row[found.kind] = _marked(found.over_scratch(block), verdict)
        return markdown_table(pd.DataFrame(list(rows.values())))

    def harm(self) -> str:
        """Return a table of harm and repair of fine-tuning beyond the churn, in per cent of the region."""
        columns = {found.kind: harm_over_pairs(found, "fine_tune") for found in self._both}
        kinds = {"missed": "harm: missed", "false alarms": "harm: false alarms"}
        kinds |= {"found": "repair: found", "cleared": "repair: cleared"}
        rows = [
            {"beyond the churn (%)": kinds.get(kind, kind)}
            | {name: percent(shares[kind]) for name, shares in columns.items()}
            for kind in columns[self.simulated.kind]
        ]
        return markdown_table(pd.DataFrame(rows))

    def pointing(self) -> str:
        """Return how well the hardness ranks harmed pixels, and how well it ranks those of mere churn."""
        parts = [
            f"{_auroc(found, 'fine_tune'):.2f} ({found.kind}; for mere churn {_auroc(found, CHURN):.2f})"
            for found in self._both
        ]
        return f"The hardness ranks harmed pixels with an AUROC of {' and '.join(parts)}; 0.5 is chance."

    def maps(self) -> str:
        """Return a table of class balance and the maps: over fine-tuning and over the twin; in bold what is sure."""
        rows: dict[str, dict[str, str]] = {}
        for found, gains, places in zip(self._both, self._remedies, self._places, strict=True):
            for arm, gain in gains.items():
                row = rows.setdefault(arm, {"arm": short_title(arm)})
                row[f"over fine-tuning, {found.kind}"] = _marked(gain.estimate, gain.verdict)
                twin = places.get(arm)
                row[f"over its twin, {found.kind}"] = _marked(twin.estimate, twin.verdict) if twin else NOTHING
        return markdown_table(pd.DataFrame(list(rows.values())))

    def maps_verdict(self) -> str:
        """Return which arms lie surely above plain fine-tuning, and which surely below."""
        return (
            f"Surely above plain fine-tuning: {_listed(_with_verdict(self._remedies, 'surely above'))}. "
            f"Surely below it: {_listed(_with_verdict(self._remedies, 'surely below'))}."
        )

    def twins_verdict(self) -> str:
        """Return which maps lie surely above their own shuffled twin."""
        above = _listed(_with_verdict(self._places, "surely above"))
        return f"With good habits, surely above its own shuffled twin: {above}."

    def choice(self) -> str:
        """Return what choosing on validation patients brings."""
        asked = [families.asked_of(found, _CHOICE) for found in self._both]
        over_scratch, over_tuned = (
            _two(
                [
                    found.over_pairs(pairs, _CHOICE, other, case)
                    for found, (pairs, case) in zip(self._both, asked, strict=True)
                ]
            )
            for other in ("scratch", "fine_tune")
        )
        return (
            f"The arm chosen on validation patients differs from scratch by {over_scratch}, from fine-tuning by "
            f"{over_tuned}."
        )

    def rules(self) -> str:
        """Return the rules without their numbers, as a numbered list."""
        return "\n".join(f"{place}. {_bold(line)}" for place, line in enumerate(self._rules.splitlines(), start=1))

    def hopes(self) -> str:
        """Return what was hoped for and whether it was reached, without the numbers."""
        # "hope: **not reached**, numbers"
        ends = r"\*\*(?:not reached|reached|not to be judged)\*\*"
        lines = [re.match(rf".*?{ends}", line) for line in self._sentences.reach().text.splitlines()]
        return "\n".join(f"{line[0]}." for line in lines if line)

    @property
    def _both(self) -> tuple[Findings, Findings]:
        return self.simulated, self.real

    @cached_property
    def _rules(self) -> str:
        return self._sentences.rules().text

    @cached_property
    def _cases(self) -> list[dict[tuple[str, str, str], Tested]]:
        return [families.hard_cases(found) for found in self._both]

    @cached_property
    def _remedies(self) -> list[dict[str, Tested]]:
        return [families.remedies(found) for found in self._both]

    @cached_property
    def _places(self) -> list[dict[str, Tested]]:
        return [families.places(found) for found in self._both]

    @cached_property
    def _transfer(self) -> dict[str, Tested]:
        """Return the gap of every pair of both experiments, by its title and whose patients they are."""
        return {
            f"{title} ({found.kind})": each for found in self._both for title, each in families.transfer(found).items()
        }


def _with_verdict(both: Iterable[Mapping[str, Tested]], word: str) -> list[str]:
    """Return the titles of the arms that have a verdict in some experiment."""
    arms = dict.fromkeys(arm for each in both for arm, tested in each.items() if tested.verdict == word)
    return [short_title(arm) for arm in arms]


def _auroc(found: Findings, event: str) -> float:
    """Return the hardness's AUROC for an event, the mean over pairs."""
    of_pairs = [found.pointing(pair, event).set_index("score")["auroc"] for pair in found.plan.pairs]
    return float(pd.concat(of_pairs, axis=1).loc["hardness"].mean())


def _two(estimates: list[Estimate]) -> str:
    return f"{points(estimates[0])} (simulated) and {points(estimates[1])} (real)"


def _marked(estimate: Estimate, verdict: str) -> str:
    """Return a difference, in bold where it is sure."""
    return points(estimate) if verdict == "open" else f"**{points(estimate)}**"


def _bold(sentence: str) -> str:
    """Return the first part of a sentence that is set in bold.

    >>> _bold("1. **Start here.** The rest.")
    'Start here.'
    """
    return sentence.split("**")[1]


def _short(title: str) -> str:
    return title.partition(" (")[0]


def _listed(names: list[str]) -> str:
    if not names:
        return "none"
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
