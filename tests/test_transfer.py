"""Harmed and repaired pixels, intervals, arms."""

import numpy as np
import pytest
import torch

from riskmap.arms import ARMS, TargetData, get_arm, shuffle_within_class
from riskmap.networks import NetworkConfig, build_network
from riskmap.slices import SliceSet
from riskmap.statistics import patient_mean
from riskmap.transfer import compare_patients, compare_pixels, mean_fractions, most_harmed


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
        (((2, 2),) * 3, 1, "no foreground"),
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
    assert mean_fractions(changes) == {"harmed": pytest.approx(1 / 6), "repaired": 0.0}


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


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(6, 1, 16, 16, generator=generator)
    labels = (images > 0.7).to(torch.uint8)
    labels[5] = 0
    source = build_network(2, NetworkConfig(channels=(4, 8)))
    return TargetData(SliceSet(images, labels, ("a",) * 6), 2, source, seed=0, precision="float32")


@pytest.mark.parametrize("name", [name for name, arm in ARMS.items() if arm.starts == "source"])
def test_every_arm_has_the_scale_of_the_plain_loss(name, data):
    """At logits that know nothing every cross-entropy is log 2, so the arms' losses must agree on average."""
    logits = torch.zeros(6, 2, 16, 16)
    labels = data.slices.labels.long()
    design = ARMS[name].design(data)
    design.loss.dice_weight = 0.0
    assert design.loss(logits, labels, design.weights).item() == pytest.approx(np.log(2), rel=1e-4)


def test_shuffling_keeps_values_and_loses_places(data):
    labels = data.slices.labels
    weights = torch.rand(labels.shape, generator=torch.Generator().manual_seed(2))
    shuffled = shuffle_within_class(weights, labels, seed=0)
    assert torch.equal(shuffled, shuffle_within_class(weights, labels, seed=0))
    assert (shuffled != weights).float().mean() > 0.9
    for image, before, classes in zip(shuffled, weights, labels, strict=True):
        for index in (0, 1):
            assert torch.equal(image[classes == index].sort().values, before[classes == index].sort().values)


def test_class_balance_weights_the_rare_class_by_the_root(data):
    weights, labels = ARMS["class_balanced"].design(data).weights, data.slices.labels
    share = labels.float().mean()
    ratio = weights[labels == 1].mean() / weights[labels == 0].mean()
    assert ratio.item() == pytest.approx(((1 - share) / share).sqrt().item(), rel=1e-4)


def test_the_bounded_map_forgets_no_pixel_and_its_twin_has_the_same_values(data):
    bounded, shuffled = (ARMS[name].design(data).weights for name in ("risk_map", "risk_map_shuffled"))
    assert bounded.min() > 0
    assert bounded.max() / bounded.min() == pytest.approx(5.0, rel=1e-4)
    assert torch.allclose(bounded.flatten().sort().values, shuffled.flatten().sort().values)
    assert not torch.equal(bounded, shuffled)


def test_an_unknown_arm_is_named():
    with pytest.raises(ValueError, match="arm='magic' is unknown; allowed: scratch, fine_tune"):
        get_arm("magic")
