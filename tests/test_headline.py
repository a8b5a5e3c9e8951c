"""The finding in three sentences: made from the records, and other when they are."""

import pytest

from riskmap.experiment import families, headline
from riskmap.experiment.findings import Findings
from riskmap.experiment.tables import points
from riskmap.measure.statistics import Estimate


@pytest.fixture(scope="module")
def both():
    return Findings.read("simulated"), Findings.read("real")


def test_three_sentences_with_the_numbers_of_the_records(both):
    lines = headline.headline(*both).text.splitlines()
    assert [line[:3] for line in lines] == ["1. ", "2. ", "3. "]
    for found in both:
        assert points(found.over_pairs(found.plan.pairs, "fine_tune", "scratch")) in lines[0]
        assert points(families.remedies(found)["risk_map_paper"].estimate) in lines[2]
        helped = sum(each.verdict == "surely below" for each in families.transfer(found).values())
        assert f"surely better on {helped} of {len(found.plan.pairs)} pairs" in lines[0]


@pytest.mark.parametrize(
    ("low", "said"), [(0.5, "is surely above its shuffled twin; "), (-0.5, "none of 3 maps is surely above")]
)
def test_what_is_said_of_the_maps_follows_their_twins(low, said, both, monkeypatch):
    tested = families.Tested(Estimate(1.0, low, 1.5), 0.001)
    monkeypatch.setattr(families, "places", lambda found: dict.fromkeys(found.plan.maps, tested))
    assert said in headline.headline(*both).text


def test_where_no_habit_hurts_it_says_so(both, monkeypatch):
    open_ = families.Tested(Estimate(0.1, -0.5, 0.5), 0.9)
    cases = {found.plan.name: families.hard_cases(found) for found in both}
    monkeypatch.setattr(families, "hard_cases", lambda found: dict.fromkeys(cases[found.plan.name], open_))
    assert "in none of the cases that were tried" in headline.headline(*both).text
