"""The training loop, its batches, its network and its place to compute."""

import pytest
import torch

from riskmap.data.batches import BatchSampler
from riskmap.data.cohort import Task
from riskmap.data.patients import SliceSet, load_slices, slices_to_volume, volume_to_slices
from riskmap.loss import RiskWeightedLoss
from riskmap.training.config import NetworkConfig, TrainingConfig
from riskmap.training.device import choose_device, choose_precision
from riskmap.training.loop import train
from riskmap.training.networks import build_network, load_weights, save_weights, transfer_network

SMALL = NetworkConfig(channels=(4, 8))


def make_slices(count=12, with_weights=True):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 1, 16, 16, generator=generator)
    labels = (images > 0.8).to(torch.uint8)
    labels[count // 2 :] = 0
    return SliceSet(images, labels, ("a",) * count, 1 + images if with_weights else None)


def run(checkpoint=None, stop_at=None, steps=8):
    network = build_network(2, SMALL)
    sampler = BatchSampler(make_slices(), 4, seed=3)
    if stop_at is not None:
        draw = sampler.batch
        sampler.batch = lambda step: (_ for _ in ()).throw(KeyboardInterrupt) if step == stop_at else draw(step)
    config = TrainingConfig(steps=steps, batch_size=4, validations=2, precision="float32", device="cpu")
    history = train(
        network, sampler, RiskWeightedLoss(), config, validate=lambda n: 0.5, checkpoint=checkpoint, checkpoint_every=3
    )
    return network, history


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(tmp_path):
    whole, history = run()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "c.pt", stop_at=5)
    assert (tmp_path / "c.pt").exists()
    resumed, resumed_history = run(tmp_path / "c.pt")
    assert resumed_history.loss == history.loss
    assert resumed_history.validation_step == history.validation_step == [4, 8]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_training_lowers_the_loss():
    _, history = run(steps=40)
    assert sum(history.loss[-5:]) < 0.8 * sum(history.loss[:5])


def test_a_loss_that_is_not_finite_stops_the_run():
    network = build_network(2, SMALL)
    config = TrainingConfig(steps=1, batch_size=2, device="cpu", precision="float32")
    with pytest.raises(FloatingPointError, match="the loss became nan"):
        train(network, BatchSampler(make_slices(), 2, 0), lambda *_: torch.tensor(float("nan")), config)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps=0"),
        ({"batch_size": 1.5}, r"batch_size=1\.5"),
        ({"learning_rate": "1e-3"}, "in YAML write 2.0e-3"),
        ({"learning_rate": -1.0}, r"learning_rate=-1\.0"),
    ],
)
def test_bad_settings_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**arguments)


def test_a_batch_depends_on_seed_and_step_alone():
    slices = make_slices()
    first, second = BatchSampler(slices, 4, seed=1), BatchSampler(slices, 4, seed=1)
    second.batch(0)
    assert torch.equal(first.batch(7)["image"], second.batch(7)["image"])
    assert not torch.equal(first.batch(7)["image"], first.batch(8)["image"])
    assert not torch.equal(first.batch(7)["image"], BatchSampler(slices, 4, seed=2).batch(7)["image"])


def test_half_a_batch_holds_foreground():
    slices = make_slices(60)
    slices.labels[1:] = 0
    labels = BatchSampler(slices, 6, seed=0).batch(0)["label"]
    assert labels.flatten(1).any(1).sum() >= 3


def test_weights_stay_on_their_pixels_through_the_augmentation():
    """The position itself is image, label and weight: they must agree after every flip."""
    places = torch.arange(16.0).repeat(6, 1, 16, 1).transpose(2, 3).contiguous()
    slices = SliceSet(places, places.to(torch.uint8), ("a",) * 6, places)
    sampler = BatchSampler(slices, 6, seed=0)
    batches = [sampler.batch(step) for step in range(6)]
    for batch in batches:
        assert torch.equal(batch["label"].float(), batch["weight"])
        # scale and shift of the image keep its order along the axis
        assert torch.equal(batch["image"].diff(dim=2).sign(), batch["weight"].diff(dim=2).sign())
    directions = torch.cat([batch["weight"][:, 0, 0, 0] for batch in batches])
    assert set(directions.tolist()) == {0.0, 15.0}, "some are flipped, some are not"


def test_weights_must_fit_the_labels():
    with pytest.raises(ValueError, match=r"weights has shape \[1, 1, 2, 2\]"):
        make_slices().with_weights(torch.ones(1, 1, 2, 2))


def test_slices_and_volumes_are_inverse():
    volume = torch.arange(24).reshape(2, 3, 4).numpy()
    assert (slices_to_volume(volume_to_slices(volume)[:, 0]) == volume).all()


def test_slices_hold_brain_and_know_their_patient(tiny_cohort):
    subjects = tiny_cohort.part("target_test")[:2]
    slices = load_slices(tiny_cohort, subjects, Task.parse("T1ce:TC"))
    assert slices.images.flatten(1).any(1).all()
    assert tuple(dict.fromkeys(slices.subjects)) == subjects
    assert slices.labels.sum() == sum((tiny_cohort.labels(s, "TC") > 0).sum() for s in subjects)
    with pytest.raises(ValueError, match="subjects is empty"):
        load_slices(tiny_cohort, [], Task.parse("T1ce:TC"))


def test_a_transferred_network_keeps_the_body_and_gets_a_fresh_head():
    source = build_network(2, SMALL, seed=1)
    target = transfer_network(source, 4, SMALL, seed=2)
    assert target.num_classes == 4
    for name, value in source.body.state_dict().items():
        assert torch.equal(value, target.body.state_dict()[name])
    assert torch.equal(target.head.weight, build_network(4, SMALL, seed=2).head.weight)


def test_fresh_weights_depend_on_the_seed_and_disturb_no_other_randomness():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first, again, other = (build_network(2, SMALL, seed=seed).head.weight for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("dims", [2, 3])
def test_networks_in_two_and_three_dimensions(dims, tmp_path):
    config = NetworkConfig(spatial_dims=dims, channels=(4, 8))
    network = build_network(3, config)
    image = torch.rand(2, 1, *(8,) * dims)
    assert network(image).shape == (2, 3, *(8,) * dims)
    save_weights(network, tmp_path / "w.pt")
    other = build_network(3, config, seed=9)
    load_weights(other, tmp_path / "w.pt")
    assert torch.equal(network.eval()(image), other.eval()(image))


@pytest.mark.parametrize("name", ["gpu", "quantum"])
def test_an_unknown_device_is_named(name):
    with pytest.raises(ValueError, match=f"device='{name}'"):
        choose_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a CUDA GPU")
def test_a_missing_gpu_is_named():
    with pytest.raises(ValueError, match="torch sees no CUDA GPU"):
        choose_device("cuda")


def test_precisions():
    cpu = torch.device("cpu")
    assert choose_precision("bfloat16", cpu) is torch.bfloat16
    assert choose_precision("auto", cpu) in (torch.bfloat16, torch.float32)
    with pytest.raises(ValueError, match="needs a CUDA GPU"):
        choose_precision("float16", cpu)
    with pytest.raises(ValueError, match="precision='double' is unknown"):
        choose_precision("double", cpu)
