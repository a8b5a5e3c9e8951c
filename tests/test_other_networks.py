"""The map needs a softmax alone: a transformer of MONAI, on pictures that are no brains."""

import numpy as np
import pytest
import torch
from monai.networks.nets import SwinUNETR

from riskmap.data.discs import blob_images
from riskmap.training.arms import get_arm
from riskmap.training.config import TrainingConfig
from riskmap.training.loop import train
from riskmap.training.target_data import TargetData

# SwinUNETR halves five times, and its norm needs more than one pixel at the bottom
SIDE = 64
CONFIG = TrainingConfig(steps=2, batch_size=2, validations=1, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def source():
    torch.manual_seed(0)
    network = SwinUNETR(in_channels=1, out_channels=2, feature_size=12, spatial_dims=2)
    bright = blob_images(8, SIDE, seed=0)
    arm = get_arm("scratch").design(TargetData(bright, 2, None, 0))
    train(network, CONFIG.sampler(bright, 0), arm.loss, CONFIG)
    return network


def test_the_two_tasks_share_shapes_and_differ_in_contrast():
    bright, dark = blob_images(4, SIDE, seed=1), blob_images(4, SIDE, seed=1, dark=True)
    assert torch.equal(bright.labels, dark.labels)
    inside = bright.labels.bool()
    assert bright.images[inside].mean() > bright.images[~inside].mean()
    assert dark.images[inside].mean() < dark.images[~inside].mean()


def test_a_transformer_gives_a_map_and_learns_from_it(source):
    target = blob_images(4, SIDE, seed=1, dark=True)
    data = TargetData(target, 2, source, 0, "float32")
    design = get_arm("risk_map").design(data)
    assert data.source_probabilities.shape == (4, 2, SIDE, SIDE)
    assert np.isfinite(data.leep.score([(data.source_probabilities, target.labels.long())]))
    assert design.weights.shape == target.labels.shape
    assert design.weights.mean().item() == pytest.approx(1.0, abs=1e-4)
    assert design.weights.max() > design.weights.min()
    before = [value.detach().clone() for value in source.parameters()]
    history = train(source, CONFIG.sampler(target.with_weights(design.weights), 0), design.loss, CONFIG)
    assert np.isfinite(history.loss).all()
    assert any(not torch.equal(old, new) for old, new in zip(before, source.parameters(), strict=True))
