"""The sentences about the experiments follow from the records: made-up records that say one thing and its opposite."""

import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import made_up
from riskmap.experiment.count_harm import CHURN
from riskmap.experiment.plan import Block, Plan
from riskmap.experiment.plans import REAL, SIMULATED
from riskmap.experiment.reach import hurt_in
from riskmap.experiment.sentences import Sentences
from riskmap.experiment.shown import estimate_text
from riskmap.experiment.tables import harm_over_pairs, points, setbacks
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


@pytest.mark.parametrize("gain", [0.3, -0.3])
def test_transfer_helps_or_hurts_as_the_records_say(told, gain):
    sentences = told(fine_tune=gain)
    first, rule = items(sentences.found())[0], items(sentences.rules())[0]
    above, below = (2, 0) if gain > 0 else (0, 2)
    assert first.count(f"surely above it on {above} of 2 pairs and surely below on {below}") == 2
    over = sentences.simulated.over_pairs(sentences.simulated.plan.pairs, "fine_tune", "scratch")
    assert points(over) in first
    assert rule.startswith("**Start from the source.**" if gain > 0 else "**Start from scratch.**")
    hope = items(sentences.reach())[0]
    assert ("**reached**, on 4 of 4" in hope) == (gain > 0)
    assert ("**not reached**, on 0 of 4" in hope) == (gain < 0)


def test_where_nothing_is_sure_no_start_is_advised(told):
    assert "the records do not decide" in items(told().rules())[0]


def test_cases_hurt_only_where_they_surely_do(told):
    slow, helped = told(discriminative_rate=-0.3), told(discriminative_rate=0.3)
    second = items(slow.found())[1]
    assert second.endswith(
        "surely below it with the body at a tenth of the rate (simulated) and the body at a tenth of the rate (real)."
    )
    assert "surely below it in none of the cases" in items(helped.found())[1]


def test_the_table_of_cases_says_what_the_sentence_says(told):
    table = told(discriminative_rate=-0.3).cases()._repr_markdown_()
    (slow,) = [line for line in table.splitlines() if "tenth of the rate" in line]
    assert slow.count("surely below") == 2
    assert table.count("surely") == 2


@pytest.mark.parametrize("scratch", [-0.9, 0.0])
def test_a_case_in_which_scratch_learned_nothing_is_said_to_say_little(told, scratch):
    """Nearly all of a real hurry's +4.6 came from a pair on which scratch had a Dice of 0.01."""
    second = items(told(scratch=scratch).found())[1]
    said = "where scratch stays below a Dice of 0.1 the difference says little: 2 of 2 simulated pairs with a poor"
    assert (said in second) == (scratch < 0)


@pytest.mark.parametrize(
    ("gain", "advice"), [(-0.3, "at the full rate"), (0.3, "at a tenth of the rate"), (0.0, "Try both rates")]
)
def test_the_rate_of_the_body_is_advised_as_the_records_say(told, gain, advice):
    assert advice in items(told(discriminative_rate=gain).rules())[1].partition("**")[2].partition("**")[0]


def test_kinds_of_harm_and_pointing_stand_under_their_names(told):
    sentences = told()
    third, found = items(sentences.found())[2], sentences.real
    for kind, share in harm_over_pairs(found, "fine_tune").items():
        assert f"{kind} {estimate_text(share, 100, 1, signed=True)}" in third
    by_score = {}
    for event in ("fine_tune", CHURN):
        of_pairs = [found.pointing(pair, event).set_index("score") for pair in found.plan.pairs]
        by_score[event] = np.mean([table.loc["hardness", "auroc"] for table in of_pairs])
    assert by_score["fine_tune"] != by_score[CHURN]
    assert f"{by_score['fine_tune']:.2f} (real; " in third
    assert f"for mere churn {by_score[CHURN]:.2f})" in third


def test_a_loss_is_advised_only_where_it_surely_helps(told):
    better = items(told(risk_map_centred=0.3).rules())[2]
    assert "**Try centred h**" in better
    worse = items(told(risk_map_centred=-0.3, class_balanced=-0.3).rules())[2]
    assert "**Leave the loss and the sampling as they are.**" in worse
    assert "Surely below it: class-balanced and centred h." in worse


def test_a_map_is_held_against_its_twin(told):
    of_places = told(risk_map_paper=0.3)
    of_values = told(risk_map_paper=0.3, risk_map_paper_shuffled=0.3)
    for sentences, words, claim in (
        (of_places, "both surely above", "With good habits reconstruction is surely above it."),
        (of_values, "both open", "With good habits none is surely above it."),
    ):
        part = items(sentences.found())[4].split("; ")[0]
        assert part.endswith(words)
        assert claim in items(sentences.rules())[3]
        found = sentences.real
        over = found.over_pairs(found.plan.pairs, "risk_map_paper", "risk_map_paper_shuffled")
        assert points(over) in part


def test_a_hope_is_judged_by_its_own_measure(told):
    harm = {"fine_tune": -0.3, "random_head": -0.3, "discriminative_rate": -0.3}
    repaired = told(**harm)
    hurt = [each for found in (repaired.simulated, repaired.real) for each in hurt_in(found)]
    assert len(hurt) == 2 * (2 + 3), "two pairs and three cases each"
    second, third = items(repaired.reach())[1:3]
    assert "**reached**, in 10 of 10" in second
    assert "**not reached**" in third, "no map is above its twin, but by chance"
    placed = told(**harm, **dict.fromkeys(MAPS, 0.3))
    (reached,) = re.findall(r"\*\*reached\*\*, in (\d+) of 10", items(placed.reach())[2])
    assert int(reached) >= 8, "the slow body has a map of its own"
    nothing = told(fine_tune=0.3, random_head=0.3, discriminative_rate=0.3)
    for hope in items(nothing.reach())[1:3]:
        assert "**not to be judged**" in hope
    never = items(told(scratch=-0.3).reach())[3]
    assert "**reached**, choosing" in never
    assert "**not reached**, choosing" in items(told(**dict.fromkeys(("fine_tune", "class_balanced"), -0.3)).reach())[3]


def test_the_chosen_run_is_told_with_its_worst_pair(told):
    sentences = told(scratch=-0.3)
    found = sentences.real
    gains = [patient_mean(found.difference(pair, "select", "scratch")) for pair in found.plan.pairs]
    assert points(min(gains, key=lambda gain: gain.mean)) in items(sentences.found())[5]


def test_the_section_of_the_readme_says_whose_patients_they_are(told):
    text = told().section()
    assert text.index("real patients") < text.index("simulated patients")
    assert "| reconstruction |" in text


def test_a_setback_is_a_map_that_lies_below_with_its_whole_interval(told):
    lost = setbacks(told(risk_map_paper=-0.3).real)
    assert len(lost.loc[lost["map"] == "reconstruction"]) == 2 * 2, "below fine-tuning and scratch on both pairs"
    won = setbacks(told(risk_map_paper=0.3).real)
    assert "reconstruction" not in set(won["map"])
