"""Harmed and repaired pixels, and intervals."""

import numpy as np
import pytest

from riskmap.measure.harm import (
    KINDS,
    beyond_churn,
    compare_patients,
    compare_pixels,
    distance_to_boundary,
    fractions_by_distance,
    kinds_of,
    mean_kinds,
    most_harmed,
)
from riskmap.measure.statistics import patient_mean


def test_counts_by_hand():
    truth = np.array([[0, 0, 1, 1, 1, 0, 0, 0]])
    scratch = np.array([[0, 0, 1, 1, 0, 0, 0, 0]])
    transferred = np.array([[0, 0, 0, 1, 1, 1, 0, 0]])
    change = compare_pixels(truth, scratch, transferred, margin=1)
    assert change.harmed.nonzero()[1].tolist() == [2, 5]
    assert change.repaired.nonzero()[1].tolist() == [4]
    # the truth grown by one pixel (1..5) holds both predictions
    assert change.region.nonzero()[1].tolist() == [1, 2, 3, 4, 5]
    accuracy_change = ((transferred == truth) * 1 - (scratch == truth) * 1)[change.region].mean()
    assert change.repaired_fraction - change.harmed_fraction == pytest.approx(accuracy_change)


def test_a_far_false_alarm_is_in_the_region():
    truth, scratch, transferred = (np.zeros((1, 20), dtype=int) for _ in range(3))
    truth[0, :2] = scratch[0, :2] = transferred[0, :2] = 1
    transferred[0, 15] = 1
    assert compare_pixels(truth, scratch, transferred).harmed[0, 15]


@pytest.mark.parametrize(
    ("shapes", "margin", "message"),
    [
        (((2, 2), (2, 2), (2, 3)), 1, "must have one shape"),
        (((2, 2),) * 3, -1, "margin=-1"),
    ],
)
def test_bad_input_is_named(shapes, margin, message):
    with pytest.raises(ValueError, match=message):
        compare_pixels(*(np.zeros(shape, dtype=int) for shape in shapes), margin=margin)


def test_patients_their_mean_and_the_worst_of_them():
    truth = np.ones((2, 2, 3), dtype=int)
    wrong = truth.copy()
    wrong[..., 1] = 0
    changes = compare_patients({"a": truth, "b": truth}, {"a": truth, "b": truth}, {"a": truth, "b": wrong})
    assert most_harmed(changes) == ("b", 1)
    means = mean_kinds(changes, {"a": truth, "b": truth})
    assert means == {"missed": pytest.approx(1 / 6), "false alarms": 0, "found": 0, "cleared": 0, "patients": 2}


def test_kinds_split_harm_and_repair_by_the_truth():
    truth, scratch, transferred = (np.array(each) for each in ([1, 0, 1, 0, 1], [1, 0, 0, 1, 1], [0, 1, 1, 0, 1]))
    change = compare_pixels(truth, scratch, transferred)
    masks = kinds_of(change.harmed, change.repaired, truth)
    assert {kind: mask.nonzero()[0].tolist() for kind, mask in masks.items()} == {
        "missed": [0],
        "false alarms": [1],
        "found": [2],
        "cleared": [3],
    }
    shares = mean_kinds({"a": change}, {"a": truth})
    assert shares["missed"] + shares["false alarms"] == pytest.approx(change.harmed_fraction)
    assert shares["found"] + shares["cleared"] == pytest.approx(change.repaired_fraction)


@pytest.fixture
def noisy():
    """Truth, scratch and transfer of three classes, and what transfer changed."""
    generator = np.random.default_rng(0)
    truth = np.zeros((12, 10, 8), dtype=np.uint8)
    truth[2:9, 2:8, 2:6] = 1
    truth[5:8, 3:6, 2:4] = 2
    scratch, transferred = (np.where(generator.random(truth.shape) < 0.2, 1, truth) for _ in range(2))
    return truth, scratch, transferred, compare_pixels(truth, scratch, transferred)


def test_bands_add_up_to_the_whole(noisy):
    truth, _, _, change = noisy
    bands = fractions_by_distance(change, truth, (1.0, 1.0, 2.0))
    totals = [change.harmed.sum(), change.repaired.sum()]
    assert bands["pixels"].sum() == change.region.sum()
    assert (bands[["harmed", "repaired"]].mul(bands["pixels"], axis=0)).sum().tolist() == pytest.approx(totals)


def test_bands_by_hand():
    truth = np.array([[0, 0, 0, 0, 1, 1, 1, 1, 1, 2]])
    transferred = np.array([[0, 0, 0, 1, 0, 1, 1, 1, 1, 1]])
    bands = fractions_by_distance(compare_pixels(truth, truth, transferred, margin=1), truth, (9.0, 2.0))
    assert bands["band"].tolist() == ["0 to 2 mm", "2 to 4 mm", "4 to 8 mm", "8 to 16 mm", "over 16 mm"]
    # the region is 3..9; pixels 3, 4, 8 and 9 touch another label, 5 and 7 are 4 mm away, 6 is 6 mm away
    assert bands["pixels"].tolist() == [4, 2, 1, 0, 0]
    assert bands["harmed"].tolist()[:3] == [0.75, 0.0, 0.0]
    assert bands["harmed"].isna().tolist() == [False, False, False, True, True]


def test_distance_by_the_definition(noisy):
    truth, spacing = noisy[0], np.array([1.0, 1.5, 2.0])
    distance = distance_to_boundary(truth, spacing)
    for place in [(0, 0, 0), (4, 4, 3), (6, 4, 2), (11, 9, 7)]:
        others = np.argwhere(truth != truth[place])
        assert distance[place] == pytest.approx(np.linalg.norm((others - place) * spacing, axis=1).min())


def test_without_a_boundary_all_is_far():
    truth = np.zeros((3, 3), dtype=int)
    transferred = truth.copy()
    transferred[1, 1] = 1
    assert np.isinf(distance_to_boundary(truth, (1.0, 1.0))).all()
    bands = fractions_by_distance(compare_pixels(truth, truth, transferred), truth, (1.0, 1.0))
    assert bands.iloc[-1].tolist() == ["over 16 mm", 1, 1.0, 0.0]


def harm_of(excess):
    """Return the harm of each patient beyond the churn, missed and alarmed together."""
    return {name: kinds["missed"] + kinds["false alarms"] for name, kinds in excess.items()}


def test_excess_is_counted_in_one_region():
    truth = np.array([0, 0, 0, 1])
    transfer = compare_pixels(truth, truth, np.array([0, 1, 1, 1]), margin=0)
    churn = compare_pixels(truth, truth, np.array([1, 0, 0, 1]), margin=0)
    changes, again, both = {"a": transfer, "b": churn}, {"a": churn, "b": churn}, dict.fromkeys("ab", truth)
    assert harm_of(beyond_churn(changes, again, both)) == {"a": 1 / 4, "b": 0.0}
    with pytest.raises(ValueError, match="must hold the same patients"):
        beyond_churn({"a": transfer}, {"b": churn}, both)
    with pytest.raises(ValueError, match="truth must have the region's shape"):
        beyond_churn({"a": transfer}, {"a": churn}, {"a": truth[:2]})


def test_each_kind_is_what_its_name_says():
    truth, scratch = np.array([1, 1, 0, 0]), np.array([1, 0, 0, 1])
    transferred = np.array([0, 1, 1, 0])
    change = compare_pixels(truth, scratch, transferred, margin=0)
    nothing = compare_pixels(truth, scratch, scratch, margin=0)
    one = {"missed": 0.25, "false alarms": 0.25, "found": 0.25, "cleared": 0.25}
    assert beyond_churn({"a": change}, {"a": nothing}, {"a": truth}) == {"a": one}
    assert beyond_churn({"a": nothing}, {"a": change}, {"a": truth}) == {"a": dict.fromkeys(one, -0.25)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truth": np.zeros((2, 2))}, "truth must have the region's shape"),
        ({"spacing": (1.0,)}, "must hold 3 sizes above 0 mm"),
        ({"spacing": (1.0, 0.0, 1.0)}, "must hold 3 sizes above 0 mm"),
        ({"edges": (0.0, 2.0)}, "must rise from 0 to infinity"),
        ({"edges": (1.0, 2.0, np.inf)}, "must rise from 0 to infinity"),
        ({"edges": (0.0, 4.0, 2.0, np.inf)}, "must rise from 0 to infinity"),
    ],
)
def test_bad_input_of_the_bands_is_named(noisy, change, message):
    good = {"change": noisy[3], "truth": noisy[0], "spacing": (1.0, 1.0, 1.0)}
    with pytest.raises(ValueError, match=message):
        fractions_by_distance(**good | change)


@pytest.fixture
def nothing():
    """A truth without foreground, and what changes between two predictions without any."""
    truth = np.zeros((4, 4, 4), dtype=np.uint8)
    return truth, compare_pixels(truth, truth, truth)


def test_where_there_is_no_foreground_there_is_no_share(nothing):
    truth, change = nothing
    assert not change.region.any()
    assert np.isnan([change.harmed_fraction, change.repaired_fraction]).all()
    bands = fractions_by_distance(change, truth, (1.0, 1.0, 1.0))
    assert bands["pixels"].sum() == 0
    assert bands[["harmed", "repaired"]].isna().all(axis=None)


def test_a_patient_without_foreground_leaves_the_means_of_the_others_as_they_are(noisy, nothing):
    truth, scratch, transferred, change = noisy
    churn = compare_pixels(truth, scratch, np.roll(transferred, 1))
    truths = {"a": truth, "empty": nothing[0]}
    means = mean_kinds({"a": change}, truths)
    assert mean_kinds({"a": change, "empty": nothing[1]}, truths) == means
    assert means["patients"] == 1
    excess = harm_of(beyond_churn({"a": change, "empty": nothing[1]}, {"a": churn, "empty": nothing[1]}, truths))
    assert excess["a"] == harm_of(beyond_churn({"a": change}, {"a": churn}, truths))["a"] != 0.0
    assert np.isnan(excess["empty"])
    alone = mean_kinds({"empty": nothing[1]}, truths)
    assert np.isnan([alone[kind] for kind in KINDS]).all()
    assert alone["patients"] == 0


def test_a_false_alarm_of_the_second_seed_alone_counts(nothing):
    truth, change = nothing
    alarm = truth.copy()
    alarm[0, 0, 0] = 1
    churn = {"a": compare_pixels(truth, truth, alarm)}
    assert harm_of(beyond_churn({"a": change}, churn, {"a": truth})) == {"a": -1.0}


def test_intervals():
    values = np.random.default_rng(0).normal(1.0, 0.1, size=40)
    estimate = patient_mean(values)
    assert estimate.mean == pytest.approx(values.mean())
    half = 1.96 * values.std(ddof=1) / np.sqrt(40)
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.01)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.01)
    assert patient_mean(values) == estimate, "the same seed gives the same interval"
    assert (estimate.verdict(), patient_mean(-values).verdict()) == ("yes", "no, the other way round")
    assert patient_mean([-1.0, 1.0, 0.5]).verdict() == "open"
    assert np.isnan(patient_mean([0.5]).low)
    assert patient_mean([0.5, 0.5]).text() == "0.500 [0.500, 0.500]"
    with pytest.raises(ValueError, match="non-empty list of finite numbers"):
        patient_mean([0.1, float("nan")])
