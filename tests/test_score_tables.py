"""From records to tables: seeds are averaged per patient first, and only what can be paired is compared."""

import pandas as pd
import pytest

from riskmap.experiment import score_tables
from riskmap.experiment.shown import without_gaps
from riskmap.explorers.results import explore_few_shot


def record(arm, seed=0, steps=4, **dice):
    """Return a record with the Dice of each patient."""
    parameters = {"task": "T1ce:TC", "arm": arm, "shots": 1, "seed": seed, "draw": seed}
    parameters |= {"training": {"steps": steps, "learning_rate": 0.1}, "data": {"cohort": "c", "simulated": True}}
    if arm != "scratch":
        parameters["source"] = {"task": "FLAIR:WT"}
    patients = {patient: {"dice": [value], "empty": [False]} for patient, value in dice.items()}
    return {"parameters": parameters, "results": {"patients": patients}}


@pytest.fixture
def frame():
    """Three arms, two seeds and two patients."""
    records = [record("scratch", 0, a=0.8, b=0.6), record("scratch", 1, a=0.6, b=0.6)]
    records += [record("fine_tune", 0, a=0.5, b=0.7), record("fine_tune", 1, a=0.5, b=0.4)]
    records += [record("risk_map_paper", seed, a=0.9, b=0.8) for seed in (0, 1)]
    return score_tables.scores(records)


def test_tables_pair_patients_and_average_seeds_first(frame):
    dice = score_tables.per_patient(frame)
    assert dice["scratch"].to_dict() == pytest.approx({"a": 0.7, "b": 0.6})
    table = score_tables.result_table(frame, ["scratch", "fine_tune", "risk_map_paper"])
    assert table["arm"].tolist() == ["From scratch", "Fine-tuning", "Risk map, reconstruction of the paper"]
    # 20 and 5 points
    assert table["gap: scratch − arm"][1].startswith("+12.5 [")
    assert table["patients worse than scratch"].tolist() == ["0 of 2", "2 of 2", "0 of 2"]


def seeds_of(frame, arm, seeds):
    """Return the frame with an arm's seeds, which draw the patients as well, renamed."""
    renamed = frame["seed"].mask(frame["arm"] == arm, frame["seed"].map(dict(enumerate(seeds))))
    return frame.assign(seed=renamed, draw=renamed)


@pytest.mark.parametrize("seeds", [(3, 4), (0, 3), (1, 2)])
def test_arms_of_other_seeds_cannot_be_paired(frame, seeds):
    """As many seeds are not the same seeds: other patients trained them."""
    with pytest.raises(ValueError, match="must share patients and seeds"):
        score_tables.per_patient(seeds_of(frame, "fine_tune", seeds))
    swapped = seeds_of(frame, "fine_tune", (1, 0))
    pd.testing.assert_frame_equal(score_tables.per_patient(swapped), score_tables.per_patient(frame))


def test_arms_of_one_seed_and_other_patients_cannot_be_paired(frame):
    other = frame.assign(draw=frame["draw"].where(frame["arm"] != "fine_tune", 1 - frame["draw"]))
    with pytest.raises(ValueError, match="must share patients and seeds"):
        score_tables.per_patient(other)


def test_an_arm_that_lacks_a_run_or_a_patient_cannot_be_paired(frame):
    for part in (frame.iloc[1:], frame.loc[(frame["arm"] != "scratch") | (frame["patient"] != "a")]):
        with pytest.raises(ValueError, match="must share patients and seeds"):
            score_tables.per_patient(part)


def test_a_score_that_is_lacking_is_no_run_that_is_lacking(frame):
    lacking = frame.assign(dice=frame["dice"].where(frame["seed"] != frame["seed"].max()))
    table = score_tables.per_patient(lacking)
    assert table.notna().all(axis=None)
    with pytest.raises(ValueError, match="must share patients and seeds"):
        score_tables.per_patient(frame.iloc[:0])


def test_two_runs_of_one_arm_and_seed_are_not_averaged(frame):
    """They differ in something that no column of the table shows."""
    both = pd.concat([frame, frame.loc[frame["arm"] == "scratch"].assign(shots=2)])
    with pytest.raises(ValueError, match="several runs of one arm, patient and seed"):
        score_tables.per_patient(both)
    # with seed 0 twice and no seed 1, each arm has two runs
    with pytest.raises(ValueError, match="several runs of one arm, patient and seed"):
        score_tables.per_patient(seeds_of(frame, "fine_tune", (0, 0)))


def test_runs_of_different_steps_stand_in_no_table():
    with pytest.raises(ValueError, match="runs of 4, 8 steps"):
        score_tables.scores([record("scratch", a=0.5), record("fine_tune", steps=8, a=0.5)])


def test_answers_say_what_the_interval_says(frame):
    estimate = score_tables.compare(frame, "scratch", "fine_tune")
    answer = score_tables.answer(frame, "scratch", "fine_tune", "Harm?")
    assert answer == f"- Harm? {estimate.text(digits=1, signed=True)} Dice points: **yes**."
    assert len(score_tables.answers(frame).splitlines()) == 3, "only what the arms that are there can answer"
    assert score_tables.answers(frame).splitlines()[0].startswith("- Is there negative transfer")


def test_every_arm_with_its_twin_is_asked_about_it(frame):
    """The reader's own too, and the maps that the tutorial's tables name otherwise."""
    arms = ("mine", "mine_shuffled", "risk_map_focused", "risk_map_focused_shuffled", "risk_map_hardness")
    more = [frame.loc[frame["arm"] == "fine_tune"].assign(arm=arm) for arm in arms]
    asked = [line.split("?")[0] for line in score_tables.answers(pd.concat([frame, *more])).splitlines()]
    assert asked[:3] == [
        "- Is there negative transfer: scratch above fine-tuning",
        "- Is the reconstruction above plain fine-tuning",
        "- Is the reconstruction above scratch",
    ]
    names = ("Risk map, 1 + 20 r", "mine")
    ends = ("plain fine-tuning", "scratch", "its shuffled twin")
    assert asked[3:] == [f"- Is {name} above {end}" for name in names for end in ends]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda f: score_tables.result_table(f, ["fine_tun"]),
            "no run of the arm 'fine_tun'; did you mean 'fine_tune'",
        ),
        (
            lambda f: score_tables.result_table(f.loc[f["arm"] != "scratch"], ["fine_tune"]),
            "no run of the arm 'scratch'",
        ),
        (
            lambda f: score_tables.compare(f, "focal", "scratch"),
            "no run of the arm 'focal'.* There are: scratch, fine_t",
        ),
    ],
)
def test_an_arm_without_a_run_is_named(frame, ask, message):
    with pytest.raises(ValueError, match=message):
        ask(frame)


def test_each_number_of_shots_has_its_table(frame):
    both = pd.concat([frame, frame.assign(shots=2)])
    table = score_tables.shots_table(both, ["scratch", "fine_tune"])
    assert table["k"].tolist() == [1, 1, 2, 2]
    assert table.iloc[0, 1:].tolist() == table.iloc[2, 1:].tolist()


def test_scores_say_how_long_each_run_was_trained(frame):
    assert set(frame["steps"]) == {4}


def test_one_patient_has_a_mean_and_no_interval(frame):
    one = frame.loc[frame["patient"] == "a"]
    table = score_tables.result_table(one, ["scratch", "fine_tune", "risk_map_paper"])
    assert table["Dice [95 %]"].tolist() == ["0.700 [–]", "0.500 [–]", "0.900 [–]"]
    assert table["gap: scratch − arm"].tolist() == ["–", "+20.0 [–]", "-20.0 [–]"]
    told = score_tables.answers(one)
    assert "fine-tuning? +20.0 [–] Dice points: **open, one patient has no interval**." in told
    explorer = explore_few_shot(one)
    explorer.inputs["metric"].value = "gap to scratch"
    described = explorer.sentence.value
    assert "+20.0 [–] Dice points" in described
    for shown in (table.to_string(), told, described):
        assert "nan" not in shown.lower()


def test_a_dash_stands_where_there_is_no_number():
    frame = pd.DataFrame({"harmed": [0.12345, float("nan")], "patients": [3, 0]})
    shown = without_gaps(frame, 2)
    assert shown["harmed"].tolist() == [0.12, "–"]
    assert shown["patients"].tolist() == [3, 0]
    whole = without_gaps(frame.iloc[:1], 2)
    assert whole["harmed"].dtype == float, "a table without gaps stays one of numbers"
