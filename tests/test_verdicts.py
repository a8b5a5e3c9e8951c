"""What we found and what to do on Monday: sentences that follow from records, whatever these say."""

import re
from dataclasses import replace

import pytest

from benchmarks.made_up import make_findings
from riskmap.experiment import habits
from riskmap.experiment.habit_figures import HABITS, HabitChart
from riskmap.experiment.plans import REAL, SIMULATED
from riskmap.experiment.shown import estimate_text
from riskmap.experiment.verdicts import Verdicts

MAPS = ("risk_map_paper", "risk_map_focused", "risk_map_centred", "risk_map_focused_sampled")


def fewer(plan):
    """Return a plan with two pairs, two draws and one seed in each block that the sentences look at."""

    def small(block):
        return replace(block, pairs=block.pairs[:2], draws=block.draws[:2], seeds=block.seeds[:1])

    blocks = {name: tuple(map(small, getattr(plan, name))) for name in ("few_shots", "hard_cases")}
    return replace(plan, main=small(plan.main), further=small(plan.further), left_out=(), elsewhere=(), **blocks)


FEW_SIMULATED, FEW_REAL = fewer(SIMULATED), fewer(REAL)


def chart(worst="head"):
    """Return a chart of two pairs on which one habit costs most and turns the gap round."""
    rows = []
    for source in ("A:WT", "B:WT"):
        for cell, chosen in habits.cells().items():
            lost = 0.2 if cell == f"{worst}: bad" else 0.01
            transferred = 0.7 - lost * (chosen != habits.GOOD)
            gap = 9.0 if cell == f"{worst}: bad" else -5.0
            row = {"question": "habits", "cohort": "dev", "source": source, "target": "C:WT", "cell": cell}
            rows.append({**row, "gap": [gap, gap - 1, gap + 1], "scratch": 0.65, "transferred": transferred})
    return HabitChart(rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return verdicts on made-up records, made once for each pair of lifts."""
    known = {}

    def make(simulated, real):
        key = (*simulated.items(), "real", *real.items())
        if key not in known:
            folder = tmp_path_factory.mktemp("records")
            plans = ((FEW_SIMULATED, simulated), (FEW_REAL, real))
            findings = [make_findings(folder / plan.name, plan, 12, lift) for plan, lift in plans]
            known[key] = Verdicts(*findings, chart())
        return known[key]

    return make


TRANSFERRED = ("fine_tune", "random_head", "discriminative_rate", *MAPS)
UP = dict.fromkeys((*TRANSFERRED, *(f"{arm}_shuffled" for arm in MAPS)), 0.2)


def test_the_verb_follows_the_interval(made):
    assert "fine-tuning lies above training from scratch (simulated +" in made(UP, UP).transfer()
    assert "fine-tuning cannot be told from training from scratch (" in made({}, {}).transfer()
    mixed = made(UP, {}).transfer()
    assert "lies above training from scratch on simulated patients" in mixed
    assert "and cannot be told from it on real ones" in mixed
    assert "on no pair does it hurt" in made(UP, UP).transfer()
    down = made({}, {"fine_tune": -0.2}).transfer()
    assert "lies below it on real ones" in down
    assert all(f"{pair.title} (real)" in down for pair in FEW_REAL.pairs)


def test_numbers_are_those_of_the_records(made):
    verdicts = made(UP, {})
    expected = verdicts.simulated.over_pairs(FEW_SIMULATED.pairs, "fine_tune", "scratch")
    assert estimate_text(expected, digits=1, signed=True) in verdicts.transfer()
    assert expected.mean == pytest.approx(20, abs=2)


def test_maps_are_counted_that_lie_above_their_twins(made):
    lifted = {"risk_map_paper": 0.2, "risk_map_focused": 0.2}
    text = made(lifted, {"risk_map_centred": 0.2}).places()
    assert "Of 4 uses of the map 2 lie above their shuffled twins on simulated patients and 1 on real ones" in text
    assert "Of 4 uses of the map 0 lie" in made({}, {}).places()


def test_the_hardest_case_is_named_with_what_helps_there(made):
    hurt = {"discriminative_rate": -0.3, "class_balanced_slow_body": 0.1}
    text = made(hurt, hurt).hard_cases()
    assert "was the body at a tenth of the rate: the transferred network lies below scratch (" in text
    assert "the best arm there (Body at 0.1 of the rate, class balance) lies above it (" in text


def test_habits_are_read_from_the_chart(made):
    text = made({}, {}).habits()
    assert "hurts on 0 of 2 pairs of development patients, with one bad habit on more: random head 2." in text
    rule = made({}, {}).rules()[0]
    assert "First: random head (-20.0 Dice points)" in rule
    assert set(HABITS) == {cell for cell in habits.cells() if "all" not in cell} - {"patients: bad"}


def test_there_are_six_sentences_and_four_rules_whatever_the_records_say(made):
    for lifts in (({}, {}), (UP, UP), (UP, {}), ({}, {"fine_tune": -0.2})):
        verdicts = made(*lifts)
        assert len(verdicts.found()) == 6
        rules = verdicts.rules()
        assert len(rules) == 4
        for text in (*verdicts.found(), *rules):
            assert "nan" not in text
            assert "None" not in text
            assert text[-1] == "."
            assert re.match(r"(\*\*)?[A-Z]", text)


def test_one_more_patient_is_weighed_against_the_best_weighting(made):
    # two more patients give about four points here
    weak, strong = (dict.fromkeys(MAPS, lift) for lift in (-0.2, 0.2))
    assert "**Weigh a label against a weighting.**" in made(strong, strong).rules()[3]
    assert "**Label one more patient first.**" in made(weak, weak).rules()[3]
