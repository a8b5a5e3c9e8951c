"""Predictions of whole patients and their scores."""

import numpy as np
import pytest
import torch

from riskmap.data.cohort import Task
from riskmap.data.patients import load_slices, volume_to_slices
from riskmap.measure.overlap import dice_of_volume, hausdorff95_of_volume, score_patients
from riskmap.training.config import NetworkConfig
from riskmap.training.networks import build_network
from riskmap.training.prediction import mean_dice_of_slices, predict_probabilities, predict_volume


def cube(start, stop, size=12):
    volume = np.zeros((size, size, size), dtype=np.uint8)
    volume[start:stop, start:stop, start:stop] = 1
    return volume


def test_dice_against_the_formula():
    prediction, truth = cube(2, 8), cube(4, 10)
    expected = 2 * (prediction & truth).sum() / (prediction.sum() + truth.sum())
    assert dice_of_volume(prediction, truth, 2) == pytest.approx([expected])


@pytest.mark.parametrize(
    ("prediction", "truth", "dice", "distance"),
    [
        (cube(0, 0), cube(0, 0), 1.0, 0.0),
        (cube(2, 5), cube(0, 0), 0.0, np.sqrt(3 * 24**2)),
        (cube(0, 0), cube(2, 5), 0.0, np.sqrt(3 * 24**2)),
        (cube(2, 5), cube(2, 5), 1.0, 0.0),
    ],
    ids=["both empty", "truth empty", "prediction empty", "equal"],
)
def test_empty_masks(prediction, truth, dice, distance):
    assert dice_of_volume(prediction, truth, 2) == [dice]
    assert hausdorff95_of_volume(prediction, truth, 2, (2, 2, 2)) == pytest.approx([distance])


def test_distances_are_in_millimetres():
    truth = cube(3, 7)
    shifted = np.roll(truth, 2, axis=0)
    assert hausdorff95_of_volume(shifted, truth, 2, (1, 1, 1)) == pytest.approx([2.0])
    assert hausdorff95_of_volume(shifted, truth, 2, (3, 1, 1)) == pytest.approx([6.0], rel=0.4)
    assert hausdorff95_of_volume(shifted, truth, 2, (3, 3, 3)) == pytest.approx([6.0])


def test_every_foreground_class_has_its_score():
    truth = cube(2, 6)
    truth[8:10] = 3
    assert dice_of_volume(truth, truth, 4) == [1.0, 1.0, 1.0]
    wrong = np.where(truth == 3, 2, truth).astype(np.uint8)
    assert dice_of_volume(wrong, truth, 4) == [1.0, 0.0, 0.0]


def test_a_volume_is_predicted_slice_by_slice_and_put_back_together():
    network = build_network(2, NetworkConfig(channels=(4, 8)))
    volume = np.random.default_rng(0).normal(size=(16, 8, 6)).astype(np.float32)
    volume[..., 0] = 0
    probabilities = torch.cat(list(predict_probabilities(network, volume_to_slices(volume), "float32", batch_size=4)))
    assert torch.allclose(probabilities.sum(1), torch.ones(6, 16, 8))
    predicted = predict_volume(network, volume, "float32")
    assert predicted.shape == volume.shape
    assert not predicted[..., 0].any(), "a slice without brain is background"
    assert (predicted[..., 1:] == probabilities.argmax(1).permute(1, 2, 0).numpy()[..., 1:]).all()


def test_patients_are_scored_whole(tiny_cohort):
    subject = tiny_cohort.part("target_test")[0]
    task = Task.parse("FLAIR:WT")
    scores = score_patients({subject: tiny_cohort.labels(subject, "WT")}, tiny_cohort, task)
    assert scores == {subject: {"dice": [1.0], "empty": [False], "hausdorff95_mm": [0.0]}}


def test_the_validation_dice_is_a_mean_over_patients(tiny_cohort):
    class Oracle(torch.nn.Module):
        """Says "tumour" where the first patient has it, and everywhere on the second one."""

        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, image):
            return torch.cat([1 - image, image], dim=1) * 10

    subjects = tiny_cohort.part("target_test")[:2]
    slices = load_slices(tiny_cohort, subjects, Task.parse("FLAIR:WT"))
    slices.images[:] = slices.labels.float()
    slices.images[np.array(slices.subjects) == subjects[1]] = 1.0
    second = slices.labels[np.array(slices.subjects) == subjects[1]].float().mean().item()
    expected = (1 + 2 * second / (1 + second)) / 2
    assert mean_dice_of_slices(Oracle(), slices, 2, "float32") == pytest.approx(expected)
