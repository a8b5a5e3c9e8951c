"""The finding in three sentences: made from the records, and other when they are."""

import pytest

from riskmap.experiment import families, headline, score_tables
from riskmap.experiment.findings import Findings
from riskmap.experiment.reach import reach
from riskmap.experiment.tables import points
from riskmap.measure.statistics import Estimate
from riskmap.project.files import read_json
from riskmap.project.paths import RESULTS


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
    ("low", "said"),
    [(0.5, "is surely above its shuffled twin with good habits; "), (-0.5, "none of 3 maps is surely above")],
)
def test_what_is_said_of_the_maps_follows_their_twins(low, said, both, monkeypatch):
    tested = families.Tested(Estimate(1.0, low, 1.5), 0.001)
    monkeypatch.setattr(families, "places", lambda found: dict.fromkeys(found.plan.maps, tested))
    assert said in headline.headline(*both).text


def test_every_hard_case_is_told_whatever_it_says(both, monkeypatch):
    """Those in which transfer helped, or nobody knows, were left out."""
    second = headline.headline(*both).text.splitlines()[1]
    for found in both:
        for block in found.plan.hard_cases:
            assert f"by {points(found.over_scratch(block))}, " in second
            assert points(found.over_scratch(block)) in headline.front_table(*both)
    assert second.count("though scratch learned next to nothing on 1 of 2 pairs (real)") == 2
    open_ = families.Tested(Estimate(0.1, -0.5, 0.5), 0.9)
    cases = {found.plan.name: families.hard_cases(found) for found in both}
    monkeypatch.setattr(families, "hard_cases", lambda found: dict.fromkeys(cases[found.plan.name], open_))
    second = headline.headline(*both).text.splitlines()[1]
    assert "surely" not in second
    assert second.count(", open") == 6


def test_what_page_5_answers_is_what_the_records_say(both):
    """Its prose names cases and pairs; with other records it would have to be written anew."""
    simulated, real = both
    tested = families.hard_cases(simulated)
    words = [tested[b.title, "scratch", b.plain].verdict for b in simulated.plan.hard_cases]
    assert words == ["open", "surely above", "surely above"]
    of_real = families.hard_cases(real)
    words = [of_real[b.title, "scratch", b.plain].verdict for b in real.plan.hard_cases]
    assert words == ["surely above", "surely above", "surely below"]
    assert [len(real.barely_learned(b)) for b in real.plan.hard_cases][2] == 1
    hurry = simulated.plan.hard_cases[2]
    above_twin = tested[hurry.title, "risk_map_paper", "risk_map_paper_shuffled"]
    assert (above_twin.verdict, round(above_twin.estimate.mean, 1)) == ("surely above", 0.1)
    assert not any(gap.mean > 0 for gap in simulated.gaps.values())
    assert sum(each.verdict == "surely above" for each in families.transfer(real).values()) == 1
    assert reach(simulated, real).text.count("**not reached**") == 4
    of_target = [pair for pair in simulated.plan.pairs if pair.target == "T1ce:TC" and pair.source.endswith("WT")]
    assert len(of_target) == 3
    assert max(of_target, key=simulated.leep) == min(of_target, key=lambda pair: simulated.gaps[pair].mean)
    highest = max(simulated.plan.pairs, key=lambda pair: simulated.gaps[pair].mean)
    scores = simulated.pointing(highest).set_index("score")["auroc"]
    assert scores.idxmax() == "source entropy"
    assert scores["distance to the boundary"] < 0.5
    worst = [found.worst(found.plan.pairs, "select", "scratch") for found in both]
    assert worst[0].mean > 0 > worst[0].low
    assert worst[1].high < 0


def test_what_pages_3_and_4_answer_is_what_the_published_runs_say():
    records = read_json(RESULTS / "tutorial.json")
    frame = score_tables.rows_of_pair(score_tables.scores(records), "FLAIR:WT", "T1ce:TC")
    by_shots = {k: score_tables.rows_of_pair(frame, "FLAIR:WT", "T1ce:TC", shots=k) for k in (1, 2, 3, 4)}
    tuned = {k: rows.loc[rows["arm"] == "fine_tune", "dice"].mean() for k, rows in by_shots.items()}
    gains = {k: score_tables.compare(rows, "fine_tune", "scratch") for k, rows in by_shots.items()}
    assert tuned[3] < tuned[2] < tuned[4], "two seeds err by that much"
    assert all(gain.low > 0 for gain in gains.values()), "up to k = 4 the source goes on to matter"
    assert max((1, 2, 4), key=lambda k: gains[k].mean) == 2
    assert score_tables.compare(by_shots[3], "fine_tune", "random_head").verdict() == "open"
