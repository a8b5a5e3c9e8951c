"""The map needs a softmax alone: a transformer of MONAI, on pictures that are no brains."""

import numpy as np
import pytest
import torch
from monai.networks.nets import SwinUNETR

from riskmap.data.discs import blob_images
from riskmap.training.arms import get_arm
from riskmap.training.config import PatchConfig, TrainingConfig
from riskmap.training.loop import sampler_of, train
from riskmap.training.target_data import TargetData

# SwinUNETR halves five times, and its norm needs more than one pixel at the bottom
SIDE = 64
CONFIG = TrainingConfig(steps=2, patches=PatchConfig(size=SIDE, per_step=2), device="cpu", precision="float32")


@pytest.fixture(scope="module")
def source():
    torch.manual_seed(0)
    network = SwinUNETR(in_channels=1, out_channels=2, feature_size=12, spatial_dims=2)
    bright = blob_images(8, SIDE, seed=0)
    plain = get_arm("scratch").recipe(TargetData(bright, 2, None, 0, CONFIG))
    train(network, sampler_of(CONFIG, bright, 0), plain.loss, CONFIG)
    return network


def test_the_two_tasks_share_shapes_and_differ_in_contrast():
    bright, dark = blob_images(4, SIDE, seed=1), blob_images(4, SIDE, seed=1, dark=True)
    assert torch.equal(bright.labels, dark.labels)
    inside = bright.labels.bool()
    assert bright.images[inside].mean() > bright.images[~inside].mean()
    assert dark.images[inside].mean() < dark.images[~inside].mean()


def test_a_transformer_gives_a_map_and_learns_from_it(source):
    target = blob_images(4, SIDE, seed=1, dark=True)
    data = TargetData(target, 2, source, 0, CONFIG)
    recipe = get_arm("risk_map_focused").recipe(data)
    assert data.source_probabilities.shape == (4, 2, SIDE, SIDE)
    assert np.isfinite(data.leep.score([(data.source_probabilities, target.labels.long())]))
    assert recipe.weights.shape == target.labels.shape
    # mean 1 over the pixels that patches show, which the whole images only nearly have
    assert recipe.weights.mean().item() == pytest.approx(1.0, abs=0.05)
    assert recipe.weights.max() > recipe.weights.min()
    before = [value.detach().clone() for value in source.parameters()]
    history = train(source, sampler_of(CONFIG, target.with_weights(recipe.weights), 0), recipe.loss, CONFIG)
    assert np.isfinite(history.loss).all()
    assert any(not torch.equal(old, new) for old, new in zip(before, source.parameters(), strict=True))
