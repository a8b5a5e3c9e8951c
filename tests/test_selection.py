"""Choosing among arms: by whose numbers, at what cost, and that test patients have no say."""

import pandas as pd
import pytest

from riskmap.experiment.score_tables import scores
from riskmap.experiment.selection import best_at_the_end, curves, halved, held_out, runs_of_halving, select

ARMS = ("scratch", "fine_tune", "class_balanced", "focal")


def record(arm, curve, dice, draw=0, seed=0, left_out=None, rate=6e-3, source="FLAIR:WT", source_steps=9):
    parameters = {
        "task": "T1ce:TC",
        "arm": arm,
        "shots": 3,
        "draw": draw,
        "seed": seed,
        "left_out": left_out,
        "training": {"steps": 300, "learning_rate": rate},
        "data": {"cohort": "c", "simulated": True},
        **({"source": {"task": source, "training": {"steps": source_steps}}} if arm != "scratch" else {}),
    }
    steps = dict(zip(("75", "150", "300"), curve, strict=True))
    patients = {f"p{index}": {"dice": [value], "empty": [False]} for index, value in enumerate(dice)}
    return {"parameters": parameters, "results": {"patients": patients, "validation_dice": steps}}


@pytest.fixture
def records():
    """The best on validation patients is the worst on test patients, and another one starts best."""
    of_draw = [
        record("scratch", (0.1, 0.2, 0.9), (0.1, 0.2)),
        record("fine_tune", (0.8, 0.7, 0.6), (0.5, 0.5)),
        record("class_balanced", (0.7, 0.8, 0.7), (0.6, 0.6)),
        record("focal", (0.2, 0.1, 0.1), (0.9, 0.9)),
    ]
    second = [record(arm, (0.1, 0.2, 0.3 + 0.1 * place), (0.4, 0.4), draw=1) for place, arm in enumerate(ARMS)]
    return [*of_draw, *second]


def test_validation_patients_choose_and_test_patients_are_scored(records):
    found = select(scores(records), curves(records), ARMS, best_at_the_end, "select")
    assert found.groupby("draw")["chosen"].unique().map(list).to_dict() == {0: ["scratch"], 1: ["focal"]}
    assert found.loc[found["draw"] == 0, "dice"].tolist() == [0.1, 0.2]
    assert set(found["arm"]) == {"select"}
    fewer = select(scores(records), curves(records), ARMS[1:3], best_at_the_end, "select")
    assert fewer.loc[fewer["draw"] == 0, "chosen"].unique().tolist() == ["class_balanced"]


def test_at_equal_cost_the_worse_half_stops_early(records):
    found = select(scores(records), curves(records), ARMS, halved, "select")
    # scratch, the best at the end, was among the worse half after 75 steps
    assert found.loc[found["draw"] == 0, "chosen"].unique().tolist() == ["class_balanced"]
    assert runs_of_halving(len(ARMS), (75, 150, 300)) == 2.0
    assert runs_of_halving(2, (75, 150, 300)) == 1.25


def test_patients_that_are_left_out_choose_in_their_turn(records):
    out = [
        record(arm, (0.0, 0.0, 0.0), (dice,), left_out=left_out)
        for arm, of_arm in zip(ARMS, ((0.1, 0.9, 0.2), (0.5, 0.5, 0.5), (0.4, 0.6, 0.4), (0.1, 0.1, 0.1)), strict=True)
        for left_out, dice in enumerate(of_arm)
    ]
    both = scores([*records, *out])
    rows = both.loc[both["left_out"].isna() & (both["draw"] == 0)]
    found = select(rows, held_out([*records, *out]), ARMS, best_at_the_end, "select")
    assert found["chosen"].unique().tolist() == ["fine_tune"]
    assert found["dice"].tolist() == [0.5, 0.5]
    assert len(curves([*records, *out])) == len(records)


def test_runs_of_another_source_or_rate_have_no_say(records):
    others = [record("fine_tune", (1.0, 1.0, 1.0), (1.0, 1.0), rate=2e-3)]
    others += [record("focal", (1.0, 1.0, 1.0), (1.0, 1.0), source="T2:WT")]
    others += [record("class_balanced", (1.0, 1.0, 1.0), (1.0, 1.0), source_steps=1)]
    frame = scores(records)
    alone = select(frame, curves(records), ARMS, best_at_the_end, "select")
    pd.testing.assert_frame_equal(select(frame, curves([*records, *others]), ARMS, best_at_the_end, "select"), alone)


def test_a_run_without_a_curve_is_named(records):
    fewer = [each for each in records if each["parameters"]["arm"] != "focal"]
    with pytest.raises(ValueError, match="select needs one curve of each arm, which focal have not"):
        select(scores(records), curves(fewer), ARMS, best_at_the_end, "select")


def test_a_patient_that_was_not_left_out_is_missed(records):
    out = [record("scratch", (0, 0, 0), (0.5,), left_out=left_out) for left_out in (0, 1)]
    with pytest.raises(ValueError, match="each target patient must be left out once"):
        held_out(out)
    with pytest.raises(ValueError, match="each target patient must be left out once"):
        held_out([*out, *out])


def test_curves_with_a_gap_choose_nothing(records):
    del records[1]["results"]["validation_dice"]["300"]
    with pytest.raises(ValueError, match="select needs curves with the same steps"):
        select(scores(records), curves(records), ARMS, best_at_the_end, "select")
