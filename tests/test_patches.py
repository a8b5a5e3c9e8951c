"""Volumes: patches in which image, label and weight stay together, and runs in 3-D that can be killed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.transforms import Affine, Flip, RandWeightedCrop, SpatialCrop

from riskmap.data import batches
from riskmap.data.batches import PatchSampler
from riskmap.data.cohort import Task
from riskmap.data.patients import SliceSet, load_volumes
from riskmap.training import making
from riskmap.training.arms import ARMS, get_arm
from riskmap.training.config import NetworkConfig, PatchConfig, TrainingConfig, choose_dimensions
from riskmap.training.device import choose_precision
from riskmap.training.loop import sampler_of
from riskmap.training.networks import build_network
from riskmap.training.prediction import predict_probabilities, predict_volume
from riskmap.training.runs import ensure_run, ensure_runs, source_run_of
from riskmap.training.specs import SourceSpec, TransferSpec
from riskmap.training.target_data import TargetData

SIDE = 24
KEYS = ("image", "label", "weight")
# no voxel lies on the threshold, and the label's border is a plane that a turn tilts
COEFFICIENTS = torch.tensor([1.0, 0.31, 0.17])
THRESHOLD = 17.03
SHORT = TrainingConfig(steps=4, patches=PatchConfig(3, 16, 2), device="cpu", precision="float32")
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


@pytest.mark.parametrize("augment", [False, True], ids=["crops", "crops and augmentations"])
def test_patches_stay_aligned(augment, monkeypatch):
    # without the changes of intensity, which undo the code on purpose, and with as many turns as can be
    monkeypatch.setattr(batches, "_INTENSITY_SHARE", 0.0)
    monkeypatch.setattr(batches, "_TURNED_SHARE", 1.0)
    sampler = PatchSampler(coded_volumes(), 16, 4, 2, seed=1, augment=augment)
    for step in range(6):
        batch = sampler.batch(step)
        assert {key: tuple(value.shape) for key, value in batch.items()} == dict.fromkeys(KEYS, (4, 1, 16, 16, 16))
        assert_aligned(batch)


def test_a_patch_is_what_is_cut_at_its_place_turned_round_or_not():
    """Each pixel says where it is, so a patch tells its place; MONAI cuts there, and flips."""
    places = torch.arange(3 * 20 * 28.0).view(3, 1, 20, 28) + 1
    sampler = PatchSampler(SliceSet(places, (places % 7 == 0).to(torch.uint8), tuple("abc")), 8, 16, 8, seed=0)
    cut = sampler._cut(*sampler._corners(sampler._centres(np.random.default_rng(0))), np.arange(16) % 2 == 0)
    for number, patch in enumerate(cut["image"]):
        lowest = int(patch.min()) - 1
        image, first = divmod(lowest, 20 * 28)
        start = divmod(first, 28)
        expected = SpatialCrop(roi_start=start, roi_end=(start[0] + 8, start[1] + 8))(places[image])
        expected = Flip(0)(expected) if number % 2 == 0 else expected
        assert torch.equal(patch, torch.as_tensor(expected))


@pytest.mark.parametrize("axes", [2, 3])
def test_a_turn_is_what_monai_makes_of_the_same_matrix(axes):
    image = torch.rand(1, 1, *(12,) * axes, generator=torch.Generator().manual_seed(0))
    matrix = batches._turns(np.random.default_rng(1), 1, axes)
    patches = {"image": image.clone()}
    batches._turn(patches, torch.tensor([0]), matrix)
    # torch names the axes from the last to the first
    reversed_axes = matrix[0][::-1, ::-1].copy()
    affine = np.eye(axes + 1)
    affine[:axes, :axes] = reversed_axes
    expected = Affine(affine=affine, padding_mode="border", image_only=True)(image[0])
    assert not torch.equal(patches["image"], image)
    torch.testing.assert_close(patches["image"][0], torch.as_tensor(expected), rtol=1e-4, atol=1e-4)


def test_turns_are_small_and_of_every_direction():
    matrices = batches._turns(np.random.default_rng(0), 500, 3)
    lengths = np.linalg.norm(matrices, axis=2)
    assert 0.9 <= lengths.min() < 0.92 < 1.08 < lengths.max() <= 1.1
    angles = matrices[:, 0, 1]
    assert -0.2 < angles.min() < -0.1 < 0.1 < angles.max() < 0.2


def test_the_grey_values_of_the_image_alone_are_scaled_and_shifted(monkeypatch):
    monkeypatch.setattr(batches, "_TURNED_SHARE", 0.0)
    plain, changed = (PatchSampler(coded_volumes(), 16, 64, 32, seed=1, augment=augment) for augment in (False, True))
    before, after = plain.batch(0), changed.batch(0)
    totals = (batch["weight"].sum((1, 2, 3, 4)) for batch in (before, after))
    torch.testing.assert_close(*totals, rtol=1e-5, atol=0.0)  # some are turned round
    flat = [batch["image"].flatten(1) for batch in (before, after)]
    factors = flat[1].std(1) / flat[0].std(1)
    offsets = flat[1].mean(1) - factors * flat[0].mean(1)
    for drawn in (factors - 1, offsets):
        is_kept = drawn.abs() < 1e-3
        assert 10 < is_kept.sum() < 54, "about half of them"
        assert drawn.abs().max() <= 0.1 + 1e-3
        assert drawn.min() < -0.05 < 0.05 < drawn.max()


@pytest.mark.parametrize("dims", [2, 3])
def test_the_other_patches_lie_where_the_places_are_as_monai_draws_them(dims):
    """Of ten thousand centres as many lie on each pixel as in MONAI's RandWeightedCrop, up to chance."""
    generator = torch.Generator().manual_seed(0)
    images = torch.ones(1, 1, *(12,) * dims)
    places = torch.rand(images.shape, generator=generator) ** 3
    labels = torch.zeros_like(images, dtype=torch.uint8)
    sampler = PatchSampler(SliceSet(images, labels, ("a",)), 2, 5000, 0, seed=0, places=places)
    found = np.bincount(sampler._centres(np.random.default_rng(0)), minlength=places.numel())
    crop = RandWeightedCrop((2,) * dims, 5000, places[0]).set_random_state(0)
    crop.randomize(places[0])
    index = np.ravel_multi_index(np.array(crop.centers, dtype=int).T, (12,) * dims)
    by_monai = np.bincount(index, minlength=places.numel())
    share = places.flatten().numpy() / places.sum().item()
    # MONAI keeps centres so far inside that the patch fits; a patch of this one is moved back
    inner = np.zeros((12,) * dims, bool)
    inner[(slice(1, 11),) * dims] = True
    for counts in (found, by_monai):
        counts, wanted = counts[inner.ravel()], share[inner.ravel()]
        few = np.sqrt(counts.sum() * wanted / wanted.sum()) + 1
        assert (np.abs(counts - counts.sum() * wanted / wanted.sum()) < 5 * few).all()


def test_patches_on_the_label_lie_where_its_places_are():
    generator = torch.Generator().manual_seed(0)
    images = torch.ones(2, 1, 12, 12)
    labels = (torch.rand(images.shape, generator=generator) < 0.2).to(torch.uint8)
    chances = torch.rand(images.shape, generator=generator) ** 3
    sampler = PatchSampler(SliceSet(images, labels, ("a", "b")), 4, 8000, 6000, seed=0, label_places=chances)
    centres = sampler._centres(np.random.default_rng(0))
    on_label = chances.flatten().numpy() * (labels.flatten().numpy() > 0)
    found = np.bincount(centres[:6000], minlength=len(on_label))
    assert not found[on_label == 0].any()
    np.testing.assert_allclose(found / 6000, on_label / on_label.sum(), atol=0.01)
    # the others lie anywhere
    assert len(np.unique(centres[6000:])) > 0.99 * images.numel()
    with pytest.raises(ValueError, match="label_places must be finite, at least 0 and not all 0"):
        PatchSampler(SliceSet(images, labels, ("a", "b")), 4, 8, 4, seed=0, label_places=chances * (labels == 0))


def test_without_places_the_other_patches_lie_in_the_patient():
    images = torch.zeros(2, 1, 32, 32)
    images[1, 0, 8:16, 4:12] = torch.rand(8, 8) + 1
    sampler = PatchSampler(SliceSet(images, torch.zeros_like(images, dtype=torch.uint8), ("a", "b")), 4, 64, 0, seed=0)
    image, position = np.divmod(sampler._centres(np.random.default_rng(0)), 32 * 32)
    rows, columns = np.divmod(position, 32)
    assert set(image) == {1}
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 15, 4, 11)
    nothing = SliceSet(images * 0, torch.zeros_like(images, dtype=torch.uint8), ("a", "b"))
    assert PatchSampler(nothing, 4, 8, 4, seed=0).batch(0)["image"].shape == (8, 1, 4, 4)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (torch.ones(1, 1, 4, 4, 4), r"places has shape \[1, 1, 4, 4, 4\]"),
        (torch.zeros(3, 1, SIDE, SIDE, SIDE), "not all 0, got values from 0 to 0"),
        (torch.full((3, 1, SIDE, SIDE, SIDE), -1.0), "at least 0"),
        (torch.full((3, 1, SIDE, SIDE, SIDE), float("nan")), "finite"),
    ],
)
def test_impossible_places_are_named(places, message):
    with pytest.raises(ValueError, match=message):
        PatchSampler(coded_volumes(), 8, 2, 1, seed=0, places=places)


def test_the_alignment_test_notices_a_map_that_is_left_behind():
    volumes = coded_volumes(1)
    sample = {"image": volumes.images[0].flip(1), "label": volumes.labels[0].flip(1), "weight": volumes.weights[0]}
    with pytest.raises(AssertionError):
        assert_aligned(sample)


def test_small_volumes_are_padded_with_background_that_does_not_count():
    batch = PatchSampler(coded_volumes(), 32, 2, 1, seed=0, augment=False).batch(0)
    assert batch["image"].shape[2:] == (32, 32, 32)
    outside = torch.ones(32, 32, 32, dtype=torch.bool)
    outside[4:28, 4:28, 4:28] = False
    assert not any(batch[key][..., outside].any() for key in KEYS)


def test_a_batch_of_patches_depends_on_seed_and_step_alone():
    first, second = (PatchSampler(coded_volumes(), 16, 2, 1, seed=1) for _ in range(2))
    second.batch(0)
    assert torch.equal(first.batch(7)["image"], second.batch(7)["image"])
    assert not torch.equal(first.batch(7)["image"], first.batch(8)["image"])
    assert not torch.equal(first.batch(7)["image"], PatchSampler(coded_volumes(), 16, 2, 1, seed=2).batch(7)["image"])


def test_half_of_the_patches_are_centred_on_foreground():
    volumes = coded_volumes()
    labels = torch.zeros_like(volumes.labels)
    labels[1, 0, 4, 4, 4] = 1
    sampler = PatchSampler(SliceSet(volumes.images, labels, volumes.subjects), 8, 4, 2, seed=0, augment=False)
    assert all(batch["label"].flatten(1).any(1)[:2].all() for batch in map(sampler.batch, range(5)))
    nowhere = PatchSampler(SliceSet(volumes.images, labels * 0, volumes.subjects), 8, 4, 2, seed=0)
    assert nowhere.batch(0)["label"].shape == (4, 1, 8, 8, 8)


@pytest.mark.parametrize(("levels", "size"), [(4, 40), (5, 48), (6, 64)])
def test_a_patch_that_nobody_asked_for_fits_a_network_of_any_depth(levels, size):
    assert choose_dimensions(2, (4,) * levels)[1].size == size


def test_dimensions_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="spatial_dims must be 2"):
        choose_dimensions(4)
    with pytest.raises(ValueError, match="multiple of 16 with 5 levels, got 40"):
        choose_dimensions(3, (4, 8, 8, 8, 8), 40)
    with pytest.raises(ValueError, match="multiple of 8 with 4 levels, got 36; the nearest is 32"):
        choose_dimensions(2, patch_size=36)
    with pytest.raises(ValueError, match="size must be at least 1"):
        choose_dimensions(2, patch_size=0)
    with pytest.raises(ValueError, match="size must be at least 1"):
        PatchConfig(size=0)
    with pytest.raises(ValueError, match=r"foreground must be finite and between 0.0 and 1.0, got 1.5"):
        PatchConfig(foreground=1.5)


@pytest.mark.parametrize(("share", "per_step", "count"), [(0.5, 32, 16), (0.5, 1, 1), (0.0, 4, 0), (1.0, 3, 3)])
def test_the_share_of_foreground_is_rounded_up_to_a_whole_patch(share, per_step, count):
    assert PatchConfig(per_step=per_step, foreground=share).num_foreground == count


def test_network_and_patches_have_the_same_dimensions():
    with pytest.raises(ValueError, match="2 spatial dimensions does not go with patches of 3"):
        SourceSpec("FLAIR:WT", 0, SHORT, NetworkConfig(2, (4, 8)))
    slices = replace(SHORT, patches=PatchConfig())
    with pytest.raises(ValueError, match="3 spatial dimensions does not go with patches of 2"):
        TransferSpec(SOURCE, "T1ce:TC", get_arm("scratch"), 1, 0, slices)


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
    others = {arm: build_network(2, SOURCE.network, 1) for arm in ("scratch", "fine_tune")}
    data = TargetData(volumes, 2, source, 0, SHORT, others)
    assert data.source_probabilities.shape == (1, 2, 32, 32, 32)
    for arm in ARMS.values():
        recipe = arm.recipe(data)
        sampler = sampler_of(SHORT, volumes.with_weights(recipe.weights), 0, recipe.places)
        batch = sampler.batch(0)
        value = recipe.loss(source(batch["image"]), batch["label"].long(), batch.get("weight"))
        assert torch.isfinite(value), arm.name


SLICES = TrainingConfig(steps=4, patches=PatchConfig(2, 16, 4), device="cpu", precision="float32")
KILLED = {
    "source of volumes": SOURCE,
    "sampler of volumes": TransferSpec(SOURCE, "T1ce:TC", get_arm("risk_map_focused_sampled"), 1, 0, SHORT),
    "sampler of slices": TransferSpec(
        SourceSpec("FLAIR:WT", 0, SLICES, NetworkConfig(2, (4, 8))),
        "T1ce:TC",
        get_arm("risk_map_focused_sampled"),
        1,
        0,
        SLICES,
    ),
}


@pytest.mark.parametrize("spec", KILLED.values(), ids=KILLED)
def test_a_killed_run_ends_with_the_same_bytes(spec, tiny_cohort, tmp_path, monkeypatch):
    whole = ensure_run(spec, tiny_cohort, tmp_path / "whole", progress=False)
    # the source network is no part of this
    if isinstance(spec, TransferSpec):
        ensure_run(spec.source, tiny_cohort, tmp_path / "killed", progress=False)
    draw, train = PatchSampler.batch, making.train

    def killed(sampler, step):
        if step == 3:
            raise KeyboardInterrupt
        return draw(sampler, step)

    monkeypatch.setattr(making, "train", lambda *a, **options: train(*a, **options, checkpoint_every=2))
    with monkeypatch.context() as patch:
        patch.setattr(PatchSampler, "batch", killed)
        with pytest.raises(KeyboardInterrupt):
            ensure_run(spec, tiny_cohort, tmp_path / "killed", progress=False)
    resumed = ensure_run(spec, tiny_cohort, tmp_path / "killed", progress=False)
    assert resumed.record["results"] == whole.record["results"]
    assert (resumed.folder / "weights.pt").read_bytes() == (whole.folder / "weights.pt").read_bytes()


def test_transfer_on_volumes(tiny_cohort, tmp_path):
    arms = map(get_arm, ("scratch", "risk_map_focused_sampled"))
    specs = [TransferSpec(SOURCE, "T1ce:TC", arm, 1, 0, SHORT) for arm in arms]
    found = ensure_runs(specs, tiny_cohort, tmp_path, jobs=1, progress=False)
    for run in found:
        assert all(volume.shape == tiny_cohort.shape for volume in run.predictions().values())
    assert source_run_of(found[1], tiny_cohort, tmp_path).record["parameters"]["task"] == "FLAIR:WT"
