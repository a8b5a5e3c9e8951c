"""The training loop, its batches, its network and its place to compute."""

import pytest
import torch
from torch import nn

from riskmap.data.cohort import Task
from riskmap.data.patients import SliceSet, load_slices, slices_to_volume, volume_to_slices
from riskmap.loss import RiskWeightedLoss
from riskmap.training.config import NetworkConfig, PatchConfig, TrainingConfig
from riskmap.training.device import choose_device, choose_precision
from riskmap.training.loop import sampler_of, train
from riskmap.training.networks import SegmentationNetwork, build_network, load_weights, save_weights, transfer_network

SMALL = NetworkConfig(channels=(4, 8))
CUT = PatchConfig(size=8, per_step=4)
HERE = {"device": "cpu", "precision": "float32"}


def make_slices(count=12, with_weights=True):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 1, 16, 16, generator=generator)
    labels = (images > 0.8).to(torch.uint8)
    labels[count // 2 :] = 0
    return SliceSet(images, labels, ("a",) * count, 1 + images if with_weights else None)


def run(checkpoint=None, stop_at=None, steps=8, averaged=0.5, validate=lambda network: 0.5):
    network = build_network(2, SMALL)
    config = TrainingConfig(steps, patches=CUT, validate_at=(4,), averaged=averaged, **HERE)
    sampler = sampler_of(config, make_slices(), seed=3)
    if stop_at is not None:
        draw = sampler.batch
        sampler.batch = lambda step: (_ for _ in ()).throw(KeyboardInterrupt) if step == stop_at else draw(step)
    history = train(
        network, sampler, RiskWeightedLoss(), config, validate=validate, checkpoint=checkpoint, checkpoint_every=3
    )
    return network, history


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(tmp_path):
    whole, history = run()
    # within the steps whose weights are averaged, and after a checkpoint of them
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "c.pt", stop_at=7)
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
    config = TrainingConfig(steps=1, patches=CUT, **HERE)
    with pytest.raises(FloatingPointError, match="the loss became nan"):
        train(network, sampler_of(config, make_slices(), 0), lambda *_: torch.tensor(float("nan")), config)


def test_the_network_ends_as_the_mean_of_its_last_weights():
    """With 8 steps and half of them averaged: those after steps 5 to 8, the running means of batch norm as well."""
    seen = {}

    def remember(module, _):
        seen[len(seen)] = {name: value.clone() for name, value in module.state_dict().items()}

    handle = nn.modules.module.register_module_forward_pre_hook(
        lambda module, inputs: remember(module, inputs) if isinstance(module, SegmentationNetwork) else None
    )
    try:
        run(averaged=0.0)
    finally:
        handle.remove()
    last, _ = run(averaged=0.0)
    averaged, _ = run()
    # before steps 6, 7 and 8 the network is what it was after steps 5, 6 and 7
    states = [seen[5], seen[6], seen[7], last.state_dict()]
    for name, value in averaged.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, torch.stack([state[name] for state in states]).mean(0), msg=name)


def test_what_is_validated_last_is_what_the_network_ends_as():
    scored = []

    def validate(network):
        assert not network.training
        scored.append({name: value.clone() for name, value in network.state_dict().items()})
        return 0.5

    network, history = run(validate=validate)
    assert history.validation_step == [4, 8]
    assert all(torch.equal(value, scored[-1][name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(("at", "steps", "wanted"), [((), 5, (5,)), ((3, 1, 9), 5, (1, 3, 5)), ((5,), 5, (5,))])
def test_validations_come_in_order_and_the_last_step_is_one(at, steps, wanted):
    assert TrainingConfig(steps, validate_at=at).validation_steps == wanted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps=0"),
        ({"steps": 1.5}, r"steps=1\.5"),
        ({"averaged": 1.2}, "averaged must be finite and between 0.0 and 1.0, got 1.2"),
        ({"learning_rate": "1e-3"}, "in YAML write 2.0e-3"),
        ({"learning_rate": -1.0}, r"learning_rate=-1\.0"),
    ],
)
def test_bad_settings_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**arguments)


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
    quiet, habit = (transfer_network(source, 4, SMALL, seed=2, head=head) for head in ("zero", "random"))
    for target in (quiet, habit):
        assert target.num_classes == 4
        for name, value in source.body.state_dict().items():
            assert torch.equal(value, target.body.state_dict()[name])
    assert not any(parameter.any() for parameter in quiet.head.parameters())
    assert torch.equal(habit.head.weight, build_network(4, SMALL, seed=2).head.weight)
    assert torch.equal(transfer_network(source, 4, SMALL, seed=2).head.weight, quiet.head.weight)
    with pytest.raises(ValueError, match=r"""head='calm' must be "zero" or "random\""""):
        transfer_network(source, 4, SMALL, head="calm")


def test_the_first_step_of_a_quiet_head_leaves_the_body_alone():
    network = transfer_network(build_network(2, SMALL, seed=1), 2, SMALL, seed=2)
    network(torch.rand(2, 1, 8, 8)).square().sum().backward()
    logits = network(torch.rand(2, 1, 8, 8))
    torch.nn.functional.cross_entropy(logits, torch.ones(2, 8, 8, dtype=torch.long)).backward()
    assert not any(parameter.grad.any() for parameter in network.body.parameters())
    assert network.head.weight.grad.any()


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
