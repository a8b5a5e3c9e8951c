"""The arms: equal scale, controls that change one thing alone, and what each baseline does to pixels and steps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss

from riskmap.data.patients import SliceSet
from riskmap.loss import RiskWeightedLoss
from riskmap.training.arms import ARMS, get_arm
from riskmap.training.baseline_losses import DiceFocalSoftmaxLoss, DiceTopKLoss, boundary_weights, plain_loss
from riskmap.training.config import NetworkConfig, PatchConfig, TrainingConfig
from riskmap.training.loop import sampler_of, train
from riskmap.training.networks import build_network
from riskmap.training.strategy import Strategy
from riskmap.training.target_data import TargetData
from riskmap.twins import class_mean, cross_entropy_of, hard_probabilities, shuffle_within_class

SMALL = NetworkConfig(channels=(4, 8))
TRAINING = TrainingConfig(patches=PatchConfig(size=8, per_step=32), device="cpu", precision="float32")


def brightness_network(threshold):
    """Return a network whose class 1 is bright pixels, so that both of its classes occur."""
    network = build_network(2, SMALL)
    network.forward = lambda images: torch.cat([threshold - images, images - threshold], dim=1) * 8
    return network


@pytest.fixture
def data():
    images = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    labels = (images > 0.7).to(torch.uint8)
    labels[5] = 0
    # air
    images[..., :3] = 0
    labels[..., :3] = 0
    slices = SliceSet(images, labels, ("a",) * 6)
    others = {"scratch": brightness_network(0.8), "fine_tune": brightness_network(0.65)}
    return TargetData(slices, 2, brightness_network(0.6), seed=0, training=TRAINING, others=others)


@pytest.mark.parametrize("name", [name for name in ARMS if name not in ("focal", "top_k")])
def test_every_arm_has_the_scale_of_the_plain_loss(name, data):
    """At logits that know nothing every cross-entropy is log 2, so the arms' losses must agree on average."""
    recipe = ARMS[name].recipe(data)
    recipe.loss.dice_weight = 0.0
    sampler = sampler_of(
        TRAINING, data.slices.with_weights(recipe.weights), data.seed, recipe.places, recipe.label_places
    )
    batches = [sampler.batch(step) for step in range(128)]
    losses = [
        recipe.loss(torch.zeros(32, 2, 8, 8), batch["label"].long(), batch.get("weight")).item() for batch in batches
    ]
    assert np.mean(losses) == pytest.approx(np.log(2), rel=1e-4)


TWINS = [name for name in ARMS if name.endswith("_shuffled")]
USES = {
    "weights": [name for name in TWINS if not name.endswith(("_sampled_shuffled", "_everywhere_shuffled"))],
    "places": [
        name for name in TWINS if name.endswith(("_sampled_shuffled", "_everywhere_shuffled", "_both_shuffled"))
    ],
    "label_places": ["risk_map_focused_everywhere_shuffled"],
}


@pytest.mark.parametrize(("use", "name"), [(use, name) for use, names in USES.items() for name in names])
def test_a_twin_has_the_values_of_its_map_at_other_places(use, name, data):
    of_map, of_twin = (getattr(ARMS[arm].recipe(data), use) for arm in (ARMS[name].control_of, name))
    # weights are at mean 1 over the patches that are drawn
    first, second = ((each / each.mean()).flatten(1).sort().values for each in (of_map, of_twin))
    torch.testing.assert_close(first, second)
    assert not torch.equal(of_map, of_twin)


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_uses_what_its_map_uses(name, data):
    of_map, of_twin = (ARMS[arm].recipe(data) for arm in (ARMS[name].control_of, name))
    for use, names in USES.items():
        assert (getattr(of_map, use) is not None) is (getattr(of_twin, use) is not None) is (name in names)
    assert of_map.loss.normalization == of_twin.loss.normalization
    assert of_map.loss.cross_entropy_weight == of_twin.loss.cross_entropy_weight


@pytest.mark.parametrize("name", [*USES["places"], "own_error_sampled", "near_label_sampled", "scratch_sampled"])
def test_a_sampler_draws_background_inside_the_patient(name, data):
    places = ARMS[name].recipe(data).places
    outside = (data.slices.labels > 0) | ~data.inside
    assert outside.any()
    assert not places[outside].any()
    assert places[~outside].min() > 0


def test_the_sampler_of_own_error_prefers_what_the_fine_tuned_network_gets_wrong(data):
    places = ARMS["own_error_sampled"].recipe(data).places
    wrong = data.other_probabilities("fine_tune").argmax(1, keepdim=True) != data.slices.labels
    background = places > 0
    assert places[wrong & background].mean() > 3 * places[~wrong & background].mean()
    with pytest.raises(ValueError, match="has not asked for the network of fine_tune"):
        ARMS["own_error_sampled"].recipe(replace(data, others={}))


def test_the_sampler_near_the_label_looks_at_labels_alone(data):
    places = ARMS["near_label_sampled"].recipe(data).places
    other = replace(data, source=brightness_network(0.2))
    assert torch.equal(places, ARMS["near_label_sampled"].recipe(other).places)
    # the last slice has no label
    assert places[5][data.inside[5]].unique().tolist() == [1.0]


def test_the_centred_map_leaves_each_class_the_share_that_class_balance_gives_it(data):
    labels = data.slices.labels
    of_map, of_balance = (ARMS[name].recipe(data).weights for name in ("risk_map_centred", "class_balanced"))
    parts = [(labels == index) & data.inside for index in (0, 1)]
    shares = [[each[part].mean() / each[data.inside].mean() for part in parts] for each in (of_map, of_balance)]
    torch.testing.assert_close(*map(torch.stack, shares), rtol=1e-4, atol=0)
    assert of_map[labels == 0].unique().numel() > 2


def test_relative_hardness_forgets_no_pixel(data):
    weights = ARMS["risk_map_hardness"].recipe(data).weights
    assert weights.min() > 0
    source = data.hardness
    assert source.min() < 0.2 * source.mean()


def test_every_map_is_there_as_weights_and_as_a_sampler_each_with_its_twin():
    for name in ("risk_map_paper", "risk_map_hardness", "risk_map_centred", "risk_map_focused"):
        for arm in (name, f"{name}_sampled"):
            assert ARMS[f"{arm}_shuffled"].control_of == arm


def test_a_fair_twin_keeps_the_patient_s_risk_in_the_patient(data):
    labels, inside = data.slices.labels, data.inside
    weights = torch.rand(labels.shape, generator=torch.Generator().manual_seed(2)) * inside
    fair, weak = shuffle_within_class(weights, labels, 0, inside), shuffle_within_class(weights, labels, 0)
    assert not fair[~inside].any()
    assert weak[~inside].any()


def test_one_arm_alone_starts_with_a_random_head():
    assert [arm.name for arm in ARMS.values() if arm.head == "random"] == ["random_head"]


def test_every_control_names_an_arm_that_is_none():
    controlled = {arm.control_of for arm in ARMS.values() if arm.control_of}
    assert controlled <= set(ARMS)
    assert all(ARMS[name].control_of is None for name in controlled)


def test_shuffling_keeps_values_and_loses_places(data):
    labels = data.slices.labels
    weights = torch.rand(labels.shape, generator=torch.Generator().manual_seed(2))
    shuffled = shuffle_within_class(weights, labels, seed=0)
    assert torch.equal(shuffled, shuffle_within_class(weights, labels, seed=0))
    assert (shuffled != weights).float().mean() > 0.9
    for image, before, classes in zip(shuffled, weights, labels, strict=True):
        for index in (0, 1):
            assert torch.equal(image[classes == index].sort().values, before[classes == index].sort().values)


def test_the_class_mean_leaves_one_weight_per_class(data):
    # each is at mean 1 over the patches that are drawn
    of_map, of_mean = (
        weights / weights.mean()
        for weights in (ARMS[f"risk_map_hardness{end}"].recipe(data).weights for end in ("", "_class_mean"))
    )
    for index in (0, 1):
        chosen = data.slices.labels == index
        assert of_mean[chosen].unique().numel() == 1
        assert of_mean[chosen][0].item() == pytest.approx(of_map[chosen].mean().item(), rel=1e-4)
    assert class_mean(torch.ones(1, 1, 1, 2), torch.tensor([[[[0, 2]]]])).flatten().tolist() == [1.0, 1.0]


def test_hard_labels_forget_how_sure_the_source_was(data):
    soft = data.source_probabilities
    hard = hard_probabilities(soft)
    assert hard.unique().tolist() == [0.0, 1.0]
    assert torch.equal(hard.argmax(1), soft.argmax(1))
    weights = ARMS["hard_label"].recipe(data).weights
    # certainty leaves one hardness per predicted class and label, and bright background is never dark foreground
    assert weights.unique().numel() <= 4
    assert not torch.equal(weights, ARMS["risk_map_hardness"].recipe(data).weights)


def test_the_hardness_of_a_scratch_model_is_its_own_cross_entropy(data):
    weights = ARMS["scratch_hardness"].recipe(data).weights
    probability = data.other_probabilities("scratch").gather(1, data.slices.labels.long())
    ratio = weights / -probability.clamp_min(1e-6).log()
    assert ratio.min().item() == pytest.approx(ratio.max().item(), rel=1e-3)
    assert ARMS["scratch_hardness"].looks_at == ("scratch",)
    with pytest.raises(ValueError, match="number of classes must be at least 3, got 2"):
        cross_entropy_of(data.source_probabilities, torch.full((6, 1, 16, 16), 2))


def test_class_balance_weights_the_rare_class_by_the_root(data):
    weights, labels = ARMS["class_balanced"].recipe(data).weights, data.slices.labels
    share = labels.float().mean()
    ratio = weights[labels == 1].mean() / weights[labels == 0].mean()
    assert ratio.item() == pytest.approx(((1 - share) / share).sqrt().item(), rel=1e-4)


@pytest.mark.parametrize(("name", "highest"), [("risk_map_focused", 21.0)])
def test_an_affine_map_forgets_no_pixel_and_exaggerates_none(name, highest, data):
    weights = ARMS[name].recipe(data).weights
    assert weights.min() > 0
    assert weights.max() / weights.min() == pytest.approx(highest, rel=1e-4)


def test_focal_loss_without_focus_and_all_of_top_k_are_the_plain_loss():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, generator=generator)
    labels = torch.randint(3, (2, 1, 8, 8), generator=generator)
    plain = plain_loss()(logits, labels)
    # MONAI's own leaves the background out of the cross-entropy as well
    options = {"to_onehot_y": True, "softmax": True, "include_background": False, "batch": True}
    cross_entropy = torch.nn.functional.cross_entropy(logits, labels[:, 0])
    assert torch.allclose(plain, cross_entropy + DiceLoss(**options)(logits, labels))
    assert torch.allclose(DiceFocalSoftmaxLoss(gamma=0.0)(logits, labels), plain)
    assert torch.allclose(DiceTopKLoss(share=1.0)(logits, labels), plain)
    assert DiceFocalSoftmaxLoss(gamma=2.0)(logits, labels) < plain < DiceTopKLoss(share=0.1)(logits, labels)


def test_top_k_by_hand():
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 1, 0, 0] = 3.0
    labels = torch.zeros(1, 1, 2, 2, dtype=torch.long)
    loss = DiceTopKLoss(share=0.25)
    worst = np.log(1 + np.exp(3.0))
    assert loss(logits, labels).item() - loss.dice(logits, labels).item() == pytest.approx(worst, rel=1e-5)


@pytest.mark.parametrize("loss", [DiceFocalSoftmaxLoss(), DiceTopKLoss()])
def test_losses_without_weights_refuse_them(loss):
    with pytest.raises(ValueError, match="takes no pixel weights"):
        loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DiceTopKLoss(share=0.0), "share=0.0"),
        (lambda: DiceFocalSoftmaxLoss(gamma=-1.0), "gamma"),
        (lambda: boundary_weights(torch.zeros(1, 1, 2, 2), sigma=0.0), "sigma=0.0"),
        (lambda: Strategy(probe_share=1.0), "probe_share=1.0"),
        (lambda: Strategy(body_rate=-0.1), "body_rate"),
    ],
)
def test_values_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_boundary_weights_by_the_formula():
    labels = torch.zeros(2, 1, 1, 12, dtype=torch.uint8)
    labels[0, 0, 0, 6:] = 1
    weights = boundary_weights(labels, strength=10.0, sigma=5.0)
    assert torch.equal(weights[1], torch.ones(1, 1, 12)), "a slice of one label has no boundary"
    distance = torch.tensor([5, 4, 3, 2, 1, 0, 0, 1, 2, 3, 4, 5.0])
    assert torch.allclose(weights[0, 0, 0], 1 + 10 * torch.exp(-(distance**2) / 50))


def weights_before_and_after(strategy, steps=4):
    network = build_network(2, SMALL)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    config = replace(TRAINING, steps=steps, averaged=0.0)
    sampler = sampler_of(config, SliceSet(images, (images > 0.8).to(torch.uint8), ("a",) * 8), seed=0)
    train(network, sampler, RiskWeightedLoss("pixels"), config, strategy=strategy)
    return before, network.state_dict()


def moved(before, after, part):
    return sum((after[name] - before[name]).abs().sum().item() for name in before if name.startswith(part))


def test_while_the_head_is_probed_the_body_stays_as_it_was():
    strategy = Strategy(probe_share=0.5)
    network = build_network(2, SMALL)
    strategy.prepare_step(network, 1, 4)
    assert network.head.training
    assert not any(module.training for module in network.body.modules())
    assert not any(parameter.requires_grad for parameter in network.body.parameters())
    strategy.prepare_step(network, 2, 4)
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())
    before, after = weights_before_and_after(Strategy(probe_share=0.76))
    assert moved(before, after, "body") > 0, "the last step trains it all"
    # of four steps the first three probe: what the body's batch statistics counted is the last step alone
    counts = [value.item() for name, value in after.items() if name.endswith("num_batches_tracked")]
    assert counts
    assert set(counts) == {1}


def test_the_body_learns_at_its_own_rate():
    slow, plain = (weights_before_and_after(Strategy(body_rate=rate), steps=1) for rate in (0.1, 1.0))
    parameters = [name for name in slow[0] if "num_batches" not in name and "running" not in name]
    body = [name for name in parameters if name.startswith("body")]
    ratios = torch.cat([((slow[1][n] - slow[0][n]) / (plain[1][n] - plain[0][n])).flatten() for n in body])
    # Adam's first step has the size of the learning rate, where there is any gradient
    assert ratios[torch.isfinite(ratios)].median().item() == pytest.approx(0.1, rel=1e-2)
    assert torch.allclose(slow[1]["head.weight"], plain[1]["head.weight"])


def test_l2_sp_pulls_the_body_to_its_start_and_the_head_to_zero():
    free, held = (weights_before_and_after(each, steps=30) for each in (Strategy(), Strategy(body_pull=100.0)))
    weights = [name for name in free[0] if name.startswith("body") and name.endswith("conv.weight")]
    far, near = (sum((after[n] - before[n]).square().sum() for n in weights) for before, after in (free, held))
    assert near < 0.5 * far
    network = build_network(2, SMALL)
    strategy = Strategy(body_pull=2.0, head_pull=4.0)
    anchor = strategy.anchor(network)
    head = sum(parameter.square().sum() for parameter in network.head.parameters()).item()
    assert strategy.penalty(network, anchor).item() == pytest.approx(2 * head)
    with torch.no_grad():
        next(network.body.parameters()).add_(1.0)
    count = next(network.body.parameters()).numel()
    assert strategy.penalty(network, anchor).item() == pytest.approx(2 * head + count, rel=1e-4)


def test_the_plain_strategy_is_none():
    for one, two in zip(weights_before_and_after(None), weights_before_and_after(Strategy()), strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_an_unknown_arm_is_named():
    with pytest.raises(ValueError, match=r"unknown arm 'magic'\. Allowed: scratch, fine_tune"):
        get_arm("magic")
