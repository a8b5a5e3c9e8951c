"""A source network on single patients: hardness by others' statistics, numbers by region, and the row of pictures."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from riskmap.figures.images import plot_source_row
from riskmap.leep import LeepStatistics
from riskmap.training.views import PatientView, describe_view, hardness_of, statistics_of


@pytest.fixture
def view():
    """A volume of 3 x 2 x 2 voxels: one column of label, on which the source is sure, and one voxel without brain."""
    labels = np.zeros((3, 2, 2), dtype=np.uint8)
    labels[0, 0] = 1
    image = np.ones((3, 2, 2), dtype=np.float32)
    image[2, 1, 1] = 0
    foreground = np.where(labels == 1, 0.9, 0.2)
    foreground[2, 1, 1] = 1.0
    found = torch.from_numpy(foreground.transpose(2, 0, 1)).float()
    return PatientView(image, labels, torch.stack([1 - found, found], dim=1))


def test_hardness_is_that_of_the_statistics_given(view):
    others = LeepStatistics(2, 2)
    others.update(torch.tensor([[[[0.2, 0.9]], [[0.8, 0.1]]]]), torch.tensor([[[1, 0]]]))
    for statistics in (statistics_of(view), others):
        hardness = hardness_of(view, statistics)
        expected = statistics.conditional().numpy() @ np.array([0.1, 0.9])
        assert hardness.shape == view.labels.shape
        np.testing.assert_allclose(hardness[0, 0], -np.log(expected[1]), rtol=1e-5)
    assert hardness_of(view, others)[0, 0, 0] != pytest.approx(hardness_of(view, statistics_of(view))[0, 0, 0])


def test_numbers_are_those_of_the_label_and_of_the_rest_of_the_brain(view):
    found = describe_view(view, statistics_of(view))
    assert found["softmax in the label"] == pytest.approx(0.9)
    assert found["softmax in the rest of the brain"] == pytest.approx(0.2), "the voxel without brain is left out"
    empty = PatientView(view.image, np.zeros_like(view.labels), view.probabilities)
    assert np.isnan(describe_view(empty, statistics_of(view))["softmax in the label"])


def test_a_row_shows_the_source_at_home_and_on_the_target(view):
    def row(home, target, height):
        axes = Figure().subplots(1, 4)
        hardness = hardness_of(view, statistics_of(view))[..., height]
        plot_source_row(axes, home, target, hardness, titles=("A:X", "B:Y"), top=1.0)
        return axes, [ax.images[0].get_array() for ax in axes]

    # the voxel without brain is grey in the upper slice alone
    low, high = ((view.image[..., z], 1 - view.probabilities[z, 0].numpy(), view.labels[..., z]) for z in (0, 1))
    axes, pictures = row(low, high, 1)
    assert [ax.get_title() for ax in axes] == ["source on A:X", "B:Y", "source on B:Y", "hardness h"]
    assert axes[3].get_xlabel() == "dark 0, bright 1 nats"
    _, swapped = row(high, low, 0)
    np.testing.assert_array_equal(pictures[0], swapped[2])
    np.testing.assert_array_equal(pictures[2], swapped[0])
    assert not any(np.array_equal(pictures[panel], swapped[panel]) for panel in (0, 2, 3))
