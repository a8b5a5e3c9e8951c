"""Volumes: patches in which image, label and weight stay together, and runs in 3-D that can be killed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from riskmap.data.batches import PatchSampler, augmentations, plain_tensors
from riskmap.data.cohort import Task
from riskmap.data.patients import SliceSet, load_volumes
from riskmap.training import making
from riskmap.training.arms import ARMS, get_arm
from riskmap.training.config import (
    NetworkConfig,
    PatchConfig,
    SourceSpec,
    TrainingConfig,
    TransferSpec,
    choose_dimensions,
)
from riskmap.training.device import choose_precision
from riskmap.training.networks import build_network
from riskmap.training.prediction import predict_probabilities, predict_volume
from riskmap.training.runs import ensure_run, ensure_runs, parameters_of, source_run_of
from riskmap.training.target_data import TargetData

SIDE = 24
KEYS = ("image", "label", "weight")
# no voxel lies on the threshold, and the label's border is a plane that a turn tilts
COEFFICIENTS = torch.tensor([1.0, 0.31, 0.17])
THRESHOLD = 17.03
SHORT = TrainingConfig(
    steps=4, batch_size=2, validations=1, device="cpu", precision="float32", patches=PatchConfig(16, 2)
)
SOURCE = SourceSpec("FLAIR:WT", 0, SHORT, NetworkConfig(3, (4, 8)))


def coded_volumes(count=3):
    """Return volumes whose image is a linear function of the place, from which label and weight follow."""
    axes = [torch.arange(SIDE, dtype=torch.float32)] * 3
    image = torch.einsum("i,ixyz->xyz", COEFFICIENTS, torch.stack(torch.meshgrid(*axes, indexing="ij")))
    images = image.expand(count, 1, SIDE, SIDE, SIDE).contiguous()
    return SliceSet(images, (images > THRESHOLD).to(torch.uint8), tuple("abc"[:count]), 2 * images + 1)


def assert_aligned(sample):
    """A linear function survives linear interpolation, so both relations still hold, the label's up to half a voxel."""
    image, label, weight = (sample[key] for key in KEYS)
    torch.testing.assert_close(weight, 2 * image + 1, rtol=1e-4, atol=1e-2)
    half_a_voxel = 0.5 * COEFFICIENTS.sum().item() + 1e-2
    sure = (image - THRESHOLD).abs() > half_a_voxel
    assert sure.any()
    assert torch.equal(label[sure].bool(), image[sure] > THRESHOLD)
    assert set(label.unique().tolist()) <= {0, 1}


@pytest.mark.parametrize("index", range(2), ids=["flip", "affine"])
def test_image_label_and_map_stay_aligned_in_each_transform_that_moves_pixels(index):
    transform = augmentations(KEYS)[index]
    transform.prob = 1.0
    for each in (getattr(transform, "flipper", None), getattr(transform, "rand_affine", None)):
        if each is not None:
            each.prob = 1.0
    volumes = coded_volumes(1)
    before = {"image": volumes.images[0], "label": volumes.labels[0], "weight": volumes.weights[0]}
    for seed in range(5):
        transform.set_random_state(seed=seed)
        with plain_tensors():
            after = transform(dict(before))
        assert not torch.equal(after["image"], before["image"])
        assert_aligned(after)


def test_the_transforms_that_are_left_touch_the_image_alone():
    assert [type(each).__name__ for each in augmentations(KEYS)[2:]] == ["RandScaleIntensityd", "RandShiftIntensityd"]
    assert all(tuple(each.keys) == ("image",) for each in augmentations(KEYS)[2:])


@pytest.mark.parametrize("augment", [False, True], ids=["crops", "crops and augmentations"])
def test_patches_stay_aligned(augment, monkeypatch):
    # without the changes of intensity, which undo the code on purpose
    monkeypatch.setattr("riskmap.data.batches.augmentations", lambda keys: augmentations(keys)[:2])
    sampler = PatchSampler(coded_volumes(), 16, per_step=4, seed=1, augment=augment)
    for step in range(6):
        batch = sampler.batch(step)
        assert {key: tuple(value.shape) for key, value in batch.items()} == dict.fromkeys(KEYS, (4, 1, 16, 16, 16))
        assert_aligned(batch)


def test_the_alignment_test_notices_a_map_that_is_left_behind():
    volumes = coded_volumes(1)
    sample = {"image": volumes.images[0].flip(1), "label": volumes.labels[0].flip(1), "weight": volumes.weights[0]}
    with pytest.raises(AssertionError):
        assert_aligned(sample)


def test_small_volumes_are_padded_with_background_that_does_not_count():
    batch = PatchSampler(coded_volumes(), 32, per_step=2, seed=0, augment=False).batch(0)
    assert batch["image"].shape[2:] == (32, 32, 32)
    outside = torch.ones(32, 32, 32, dtype=torch.bool)
    outside[4:28, 4:28, 4:28] = False
    assert not any(batch[key][..., outside].any() for key in KEYS)


def test_a_batch_of_patches_depends_on_seed_and_step_alone():
    first, second = (PatchSampler(coded_volumes(), 16, per_step=2, seed=1) for _ in range(2))
    second.batch(0)
    assert torch.equal(first.batch(7)["image"], second.batch(7)["image"])
    assert not torch.equal(first.batch(7)["image"], first.batch(8)["image"])
    assert not torch.equal(first.batch(7)["image"], PatchSampler(coded_volumes(), 16, 2, seed=2).batch(7)["image"])


def test_half_of_the_patches_are_centred_on_foreground():
    volumes = coded_volumes()
    labels = torch.zeros_like(volumes.labels)
    labels[1, 0, 4, 4, 4] = 1
    sampler = PatchSampler(SliceSet(volumes.images, labels, volumes.subjects), 8, 4, seed=0, augment=False)
    assert all(batch["label"].flatten(1).any(1)[:2].all() for batch in map(sampler.batch, range(5)))
    nowhere = PatchSampler(SliceSet(volumes.images, labels * 0, volumes.subjects), 8, 4, seed=0)
    assert nowhere.batch(0)["label"].shape == (4, 1, 8, 8, 8)


def test_dimensions_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="spatial_dims must be 2"):
        choose_dimensions(4)
    with pytest.raises(ValueError, match="multiple of 16 with 5 levels, got 40"):
        choose_dimensions(3, (4, 8, 8, 8, 8), 40)
    with pytest.raises(ValueError, match="size must be at least 1"):
        PatchConfig(0)


def test_a_network_of_volumes_goes_with_patches():
    with pytest.raises(ValueError, match="2 spatial dimensions does not go with patches"):
        SourceSpec("FLAIR:WT", 0, SHORT, NetworkConfig(2, (4, 8)))
    slices = replace(SHORT, patches=None)
    with pytest.raises(ValueError, match="3 spatial dimensions does not go with patches=None"):
        TransferSpec(SOURCE, "T1ce:TC", get_arm("scratch"), 1, 0, slices)


def test_only_a_record_of_volumes_names_patches(tiny_cohort):
    slices = SourceSpec("FLAIR:WT", 0, replace(SHORT, patches=None))
    assert "patches" not in parameters_of(slices, tiny_cohort)["training"]
    transfer = parameters_of(TransferSpec(slices, "T1:WT", get_arm("fine_tune"), shots=1), tiny_cohort)
    assert "patches" not in transfer["training"] | transfer["source"]["training"]
    assert parameters_of(SOURCE, tiny_cohort)["training"]["patches"] == {"size": 16, "per_step": 2}


def test_a_window_over_a_volume_gives_what_the_whole_gives():
    class Pointwise(torch.nn.Conv3d):
        pass

    network = Pointwise(1, 2, kernel_size=1)
    image = torch.randn(1, 1, 20, 24, 18)
    whole = torch.cat(list(predict_probabilities(network, image, "float32")))
    (slid,) = predict_probabilities(network, image, "float32", window=16)
    torch.testing.assert_close(slid, whole, rtol=1e-4, atol=1e-5)
    found = predict_volume(network, image[0, 0].numpy(), "float32", window=16)
    assert found.dtype == np.uint8
    assert (found == whole[0].argmax(0).numpy()).mean() > 0.999


def test_bfloat16_is_not_chosen_for_volumes_on_a_cpu():
    assert choose_precision("auto", torch.device("cpu"), 3) == torch.float32
    assert choose_precision("bfloat16", torch.device("cpu"), 3) == torch.bfloat16


def test_every_arm_has_a_recipe_for_volumes(tiny_cohort):
    volumes = load_volumes(tiny_cohort, tiny_cohort.part("target_train")[:1], Task.parse("T1ce:TC"))
    volumes = SliceSet(volumes.images[..., 8:40, 8:40, 8:40], volumes.labels[..., 8:40, 8:40, 8:40], volumes.subjects)
    source = build_network(2, SOURCE.network)
    data = TargetData(volumes, 2, source, 0, "float32", scratch=build_network(2, SOURCE.network, 1), window=16)
    assert data.source_probabilities.shape == (1, 2, 32, 32, 32)
    for arm in ARMS.values():
        recipe = arm.recipe(data)
        batch = PatchSampler(volumes.with_weights(recipe.weights), 16, 2, seed=0).batch(0)
        value = recipe.loss(source(batch["image"]), batch["label"].long(), batch.get("weight"))
        assert torch.isfinite(value), arm.name


def test_a_killed_run_on_volumes_ends_with_the_same_numbers(tiny_cohort, tmp_path, monkeypatch):
    whole = ensure_run(SOURCE, tiny_cohort, tmp_path / "whole", progress=False)
    draw, train = PatchSampler.batch, making.train

    def killed(sampler, step):
        if step == 3:
            raise KeyboardInterrupt
        return draw(sampler, step)

    monkeypatch.setattr(making, "train", lambda *a, **options: train(*a, **options, checkpoint_every=2))
    with monkeypatch.context() as patch:
        patch.setattr(PatchSampler, "batch", killed)
        with pytest.raises(KeyboardInterrupt):
            ensure_run(SOURCE, tiny_cohort, tmp_path / "killed", progress=False)
    resumed = ensure_run(SOURCE, tiny_cohort, tmp_path / "killed", progress=False)
    assert resumed.record["results"] == whole.record["results"]


def test_transfer_on_volumes(tiny_cohort, tmp_path):
    specs = [TransferSpec(SOURCE, "T1ce:TC", get_arm(arm), 1, 0, SHORT) for arm in ("scratch", "risk_map")]
    found = ensure_runs(specs, tiny_cohort, tmp_path, jobs=1, progress=False)
    for run in found:
        assert all(volume.shape == tiny_cohort.shape for volume in run.predictions().values())
    assert source_run_of(found[1], tiny_cohort, tmp_path).record["parameters"]["task"] == "FLAIR:WT"
