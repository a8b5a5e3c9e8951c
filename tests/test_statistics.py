"""Means over pairs, signed ranks, and Holm's adjustment."""

import numpy as np
import pandas as pd
import pytest

from riskmap.measure.statistics import holm, mean_over_pairs, patient_mean, wilcoxon


@pytest.fixture
def values():
    return np.random.default_rng(3).normal(0.2, 1.0, size=30)


def test_pairs_count_the_same_whatever_their_patients():
    many, few = np.zeros((10, 1)), np.full((2, 3), 4.0)
    # the mean over all numbers would be 24 / 16
    assert mean_over_pairs([many, few]).mean == pytest.approx(3.0)


def test_one_pair_is_the_mean_over_patients(values):
    assert mean_over_pairs([pd.DataFrame({"pair": values})], seed=4) == patient_mean(values, seed=4)


def test_repeating_a_pair_adds_no_certainty_and_another_cohort_does(values):
    """Pairs that share their patients are drawn together; those of two cohorts are drawn apart."""
    alone = patient_mean(values)
    repeated = mean_over_pairs([np.repeat(values[:, None], 9, axis=1)])
    assert (repeated.low, repeated.high) == pytest.approx((alone.low, alone.high))
    cohorts = mean_over_pairs([values[:, None]] * 9)
    assert (cohorts.high - cohorts.low) / (alone.high - alone.low) == pytest.approx(1 / 3, rel=0.05)


def test_intervals_of_two_cohorts_by_the_normal_formula(values):
    first, second = values[:, None], np.random.default_rng(5).normal(1.0, 2.0, size=(40, 2))
    estimate = mean_over_pairs([first, second])
    row_means = second.mean(axis=1)
    error = np.sqrt(values.var() / 30 / 9 + row_means.var() / 40 * 4 / 9)
    assert estimate.mean == pytest.approx(values.mean() / 3 + row_means.mean() * 2 / 3)
    assert estimate.low == pytest.approx(estimate.mean - 1.96 * error, abs=0.02)
    assert estimate.high == pytest.approx(estimate.mean + 1.96 * error, abs=0.02)


def test_equal_values_have_no_width_and_a_single_patient_no_interval():
    assert mean_over_pairs([np.full((3, 2), 0.5), np.full((2, 2), 1.5)]).text() == "1.000 [1.000, 1.000]"
    assert np.isnan(mean_over_pairs([np.ones((3, 1)), np.ones((1, 1))]).low)


@pytest.mark.parametrize("groups", [[], [np.zeros((0, 2))], [np.zeros(3)], [np.array([[np.nan]])]])
def test_bad_groups_are_named(groups):
    with pytest.raises(ValueError, match="groups must be non-empty tables"):
        mean_over_pairs(groups)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([0.0, 0.0, 0.0], 1.0),
        # of the 2^5 signs, only "all negative" and "all positive" are as extreme
        ([1.0, 2.0, 3.0, 4.0, 5.0], 2 / 32),
        # rank sum 1 below: {}, {1} and their mirrors
        ([-1.0, 2.0, 3.0, 4.0, 5.0], 4 / 32),
        # a zero is dropped, four patients are left
        ([0.0, 2.0, 3.0, 4.0, 5.0], 2 / 16),
        # equal sizes are still enumerated
        ([1.0, 1.0, 1.0, 1.0], 2 / 16),
        ([0.3], 1.0),
    ],
)
def test_signed_ranks_by_hand(differences, expected):
    assert wilcoxon(differences) == pytest.approx(expected)
    assert wilcoxon([-value for value in differences]) == pytest.approx(expected)


def test_signed_ranks_need_finite_values():
    with pytest.raises(ValueError, match="non-empty list of finite numbers"):
        wilcoxon([])


def test_holm_by_a_worked_example():
    # 4 x 0.005, 3 x 0.01, 2 x 0.03, and 1 x 0.04 lifted to the one before it
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(adjusted) == ["a", "b", "c", "d"]
    assert holm({"a": 0.6, "b": 0.5}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_holm_takes_probabilities_alone(value):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        holm({"a": 0.1, "b": value})
