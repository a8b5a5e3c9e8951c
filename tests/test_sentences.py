"""The sentences about the experiments follow from the records: made-up records that say one thing and its opposite."""

import re
from dataclasses import replace

import pytest

from benchmarks import made_up
from riskmap.experiment.plan import Block, Plan
from riskmap.experiment.plans import REAL, SIMULATED
from riskmap.experiment.reach import hurt_in
from riskmap.experiment.sentences import Sentences
from riskmap.experiment.tables import points
from riskmap.measure.statistics import patient_mean

MAPS = ("risk_map_paper", "risk_map_centred", "risk_map_focused_sampled")


def smaller(plan: Plan) -> Plan:
    """Return a plan with its first two pairs and one draw, that has all its arms."""

    def of(block: Block) -> Block:
        return replace(block, pairs=block.pairs[:2], draws=block.draws[:1])

    blocks = {name: tuple(map(of, getattr(plan, name))) for name in ("few_shots", "hard_cases", "left_out")}
    return replace(plan, main=of(plan.main), churn=of(plan.churn), further=of(plan.further), elsewhere=(), **blocks)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Gives the sentences of records in which some arms are better than all others, or worse."""

    def tell(**gains: float) -> Sentences:
        folder = tmp_path_factory.mktemp("told")
        found = (made_up.make_findings(folder / plan.name, smaller(plan), 12, gains) for plan in (SIMULATED, REAL))
        return Sentences(*found)

    return tell


def items(shown) -> list[str]:
    return re.findall(r"^\d+\. (.*)$", shown.text, re.MULTILINE)


def test_there_are_six_sentences_four_rules_and_four_hopes(told):
    sentences = told()
    assert [len(items(shown)) for shown in (sentences.found(), sentences.rules(), sentences.reach())] == [6, 4, 4]


@pytest.mark.parametrize(
    ("gain", "counts"),
    [(0.3, "2 of 2 and 2 of 2 pairs and below 0 on 0 and 0"), (-0.3, "0 of 2 and 0 of 2 pairs and below 0 on 2 and 2")],
)
def test_transfer_helps_or_hurts_as_the_records_say(told, gain, counts):
    sentences = told(fine_tune=gain)
    first = items(sentences.found())[0]
    assert counts in first
    over = sentences.simulated.over_pairs(sentences.simulated.plan.pairs, "fine_tune", "scratch")
    assert points(over) in first
    reached = items(sentences.reach())[0]
    assert ("**reached**, on 4 of 4" in reached) == (gain > 0)
    assert ("**not reached**, on 0 of 4" in reached) == (gain < 0)


def test_habits_are_blamed_only_where_they_surely_hurt(told):
    slow = told(discriminative_rate=-0.3)
    assert "**Bad habits make the harm**" in items(slow.found())[1]
    assert (
        "It hurts, with the whole interval, with the body at a tenth of the rate (simulated, real)"
        in (items(slow.found())[1])
    )
    assert "Train the whole network" in items(slow.rules())[0]
    helped = told(discriminative_rate=0.3, random_head=0.3, fine_tune=0.2)
    assert "**Not even bad habits surely hurt**" in items(helped.found())[1]
    assert "does no harm here" in items(helped.rules())[0]


@pytest.mark.parametrize(
    ("gain", "advice"), [(0.3, "Prefer the reconstruction"), (-0.3, "Prefer class balance"), (0.0, "Try class balance")]
)
def test_class_balance_or_map_as_the_records_say(told, gain, advice):
    sentences = told(risk_map_paper=gain)
    rule = items(sentences.rules())[2]
    assert advice in rule
    assert ("both above 0" in rule, "both below 0" in rule) == (gain > 0, gain < 0)


def test_a_map_is_held_against_its_twin(told):
    of_places = told(risk_map_paper=0.3)
    of_values = told(risk_map_paper=0.3, risk_map_paper_shuffled=0.3)
    for sentences, word in ((of_places, "both above 0"), (of_values, "both open")):
        part = items(sentences.found())[4].split("; ")[0]
        assert part.endswith(word)
        found = sentences.real
        over = found.over_pairs(found.plan.pairs, "risk_map_paper", "risk_map_paper_shuffled")
        assert points(over) in part


def test_a_hope_is_judged_by_its_own_measure(told):
    repaired = told(fine_tune=-0.3, random_head=-0.3, discriminative_rate=-0.3, risk_map_centred=0.0)
    hurt = [each for found in (repaired.simulated, repaired.real) for each in hurt_in(found)]
    assert len(hurt) == 2 * (2 + 3), "two pairs and three cases each"
    second, third = items(repaired.reach())[1:3]
    assert "**not reached**" not in second.split("; ")[0]
    assert "**not reached**" in third, "no map is above its twin"
    nothing = told(fine_tune=0.3, random_head=0.3, discriminative_rate=0.3)
    assert "there is no such pair and no such case" in items(nothing.reach())[1]
    placed = told(fine_tune=-0.3, random_head=-0.3, discriminative_rate=-0.3, **dict.fromkeys(MAPS, 0.3))
    assert "**reached**" in items(placed.reach())[2]


def test_the_chosen_run_is_told_with_its_worst_pair(told):
    sentences = told(scratch=-0.3)
    found = sentences.real
    gains = [patient_mean(found.difference(pair, "select", "scratch")) for pair in found.plan.pairs]
    assert points(min(gains, key=lambda gain: gain.mean)) in items(sentences.found())[5]


def test_the_section_of_the_readme_says_whose_patients_they_are(told):
    text = told().section()
    assert text.index("real patients") < text.index("simulated patients")
    assert "| reconstruction |" in text
