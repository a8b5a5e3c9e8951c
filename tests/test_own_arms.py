"""An arm is a function that a reader writes: it trains beside the others, and its twin comes along."""

import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from cells import run_cell

from riskmap.data.patients import SliceSet
from riskmap.loss import RiskWeightedLoss
from riskmap.pages.comparison import Comparison
from riskmap.project.function_code import UnknownCodeError
from riskmap.training import making
from riskmap.training.arm import Recipe, at_mean_one
from riskmap.training.arms import choose_arms, in_order, title_of
from riskmap.training.config import NetworkConfig, PatchConfig, TrainingConfig
from riskmap.training.loop import sampler_of
from riskmap.training.networks import build_network
from riskmap.training.own_arm import arm_of, sampled_of, twin_of
from riskmap.training.specs import Setting
from riskmap.training.strategy import Strategy
from riskmap.training.target_data import TargetData

SMALL = NetworkConfig(channels=(4, 8))
SETTING = Setting(SMALL, steps=2, source_steps=2, device="cpu", precision="float32")
TRAINING = TrainingConfig(patches=PatchConfig(size=8, per_step=4), device="cpu", precision="float32")
CELL = """
STRENGTH = 3.0

def on_the_label(h, y):
    return 1 + STRENGTH * h * (y > 0)
"""


@pytest.fixture
def data():
    images = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    slices = SliceSet(images, (images > 0.7).to(torch.uint8), ("a",) * 4)
    return TargetData(slices, 2, build_network(2, SMALL, seed=1), 0, TRAINING)


def twice(h, y):
    return 1 + (y > 0).float()


def on_the_label(h, y):
    return 1 + 3 * h * (y > 0)


def body_at_a_tenth(data):
    return Recipe(RiskWeightedLoss("pixels", dice_weight=0.0), strategy=Strategy(body_rate=0.1))


def own_loss(data):
    return Recipe(RiskWeightedLoss("pixels"), on_the_label(data.hardness, data.slices.labels))


def test_weights_are_those_of_the_function_at_mean_one(data):
    recipe = arm_of(on_the_label).recipe(data)
    expected = 1 + 3 * data.hardness * data.slices.labels
    torch.testing.assert_close(recipe.weights / recipe.weights.mean(), expected / expected.mean())
    assert recipe.weights.unique().numel() > 10
    assert recipe.loss.normalization == "pixels"
    assert recipe.strategy == Strategy()


def test_weights_that_teach_nothing_are_refused(data):
    """0 / 0 would be no number, and all steps would be made with it."""
    with pytest.raises(ValueError, match=r"the weights are 0 wherever patches are drawn \(their mean is 0\)"):
        at_mean_one(torch.zeros_like(data.hardness), data)


def test_a_function_cannot_change_the_data_of_the_others(data):
    def spoils(h, y):
        h.zero_()
        y.zero_()
        return h + 1

    hardness, labels = data.hardness.clone(), data.slices.labels.clone()
    assert (arm_of(spoils).recipe(data).weights == 1).all()
    assert torch.equal(data.hardness, hardness)
    assert torch.equal(data.slices.labels, labels)


def assert_is_twin(twin, weights, labels):
    assert not torch.equal(twin, weights)
    for image in range(len(labels)):
        for index in labels.unique():
            chosen = labels[image] == index
            # each is at mean 1 over the patches that are drawn
            of_twin, of_map = (each[image][chosen].sort().values / each.mean() for each in (twin, weights))
            torch.testing.assert_close(of_twin, of_map)


@pytest.mark.parametrize("function", [on_the_label, own_loss])
def test_a_twin_has_the_same_values_per_class_and_image_at_other_places(function, data):
    arm, twin = arm_of(function), twin_of(function)
    recipe, of_twin = arm.recipe(data), twin.recipe(data)
    assert_is_twin(of_twin.weights, recipe.weights, data.slices.labels)
    assert of_twin.loss.normalization == recipe.loss.normalization
    assert (twin.name, twin.control_of) == (f"{arm.name}_shuffled", arm.name)
    assert twin.code != arm.code


def test_a_recipe_is_taken_as_it_is(data):
    recipe = arm_of(body_at_a_tenth).recipe(data)
    assert (recipe.loss.dice_weight, recipe.strategy.body_rate, recipe.weights) == (0.0, 0.1, None)
    with pytest.raises(ValueError, match="neither weights nor places, so it has no shuffled twin"):
        twin_of(body_at_a_tenth).recipe(data)


def names_of(*arms):
    return [arm.name for arm in choose_arms(arms)]


def test_functions_stand_where_they_are_named_and_weights_bring_their_twin():
    both = ["on_the_label", "on_the_label_shuffled"]
    assert names_of("scratch", on_the_label, "fine_tune") == ["scratch", *both, "fine_tune"]
    assert names_of("on_the_label_shuffled", "fine_tune", on_the_label) == [both[1], "fine_tune", both[0]]
    assert names_of(body_at_a_tenth, own_loss) == ["body_at_a_tenth", "own_loss"]
    assert names_of(own_loss, "own_loss_shuffled") == ["own_loss", "own_loss_shuffled"]
    assert names_of(arm_of(on_the_label), "fine_tune") == ["on_the_label", "fine_tune"]
    assert in_order(["twice", "fine_tune", "scratch"]) == ["scratch", "fine_tune", "twice"]
    chosen = choose_arms([on_the_label])
    assert [title_of(arm.name) for arm in chosen] == [arm.title for arm in chosen]


def test_a_function_is_a_sampler_by_its_name_with_a_twin_of_its_own(data):
    sampler = ["on_the_label_sampled", "on_the_label_sampled_shuffled"]
    both = ["on_the_label", "on_the_label_shuffled"]
    assert names_of(on_the_label, "on_the_label_sampled") == [*both, *sampler]
    chosen = {arm.name: arm for arm in choose_arms([hard_background, "hard_background_sampled"])}
    recipe = chosen["hard_background_sampled"].recipe(data)
    assert recipe.weights is None
    labels = data.slices.labels
    assert torch.equal(recipe.places, hard_background(data.hardness, labels) * (labels == 0) * data.inside)
    twin = chosen["hard_background_sampled_shuffled"]
    assert twin.control_of == "hard_background_sampled"
    assert_is_twin(twin.recipe(data).places, recipe.places, labels)
    assert [title_of(name) for name in chosen] == [arm.title for arm in chosen.values()]
    with pytest.raises(ValueError, match="unknown arm 'own_loss_sampled'"):
        choose_arms([own_loss, "own_loss_sampled"])
    with pytest.raises(TypeError, match=r"own_loss\(data\) is a recipe, which sets its places itself"):
        sampled_of(own_loss)


def hard_background(h, y):
    return 1 + h * (y == 0)


def by_place(data):
    return Recipe(RiskWeightedLoss("pixels"), places=1 + data.hardness)


def test_the_places_of_a_recipe_are_checked_and_have_a_twin(data):
    assert_is_twin(twin_of(by_place).recipe(data).places, arm_of(by_place).recipe(data).places, data.slices.labels)

    def nowhere(data):
        return Recipe(RiskWeightedLoss("pixels"), places=data.hardness * 0)

    with pytest.raises(ValueError, match=r"the places of nowhere\(data\) must be finite weights of at least 0"):
        arm_of(nowhere).recipe(data)


def deep_inside(h, y):
    """Hard pixels that are 20 pixels away from the edge of their slice."""
    inside = torch.zeros_like(h)
    inside[..., 20:-20, 20:-20] = 1
    return 1 + inside * (h > 6)


def asserting(h, y):
    """Its code is not what its file says: pytest writes assertions anew."""
    assert h.shape == y.shape
    return h


def by_table(h, y):
    return torch.tensor([1.0, 3.0])[y]


def by_image(h, y):
    return h.amax((1, 2, 3), keepdim=True).expand_as(h)


def of_volumes(h, y):
    """It does not run on made-up slices."""
    return h.amax((3, 4), keepdim=True).expand_as(h)


def test_weights_without_places_come_without_a_twin(data):
    """It would be the arm once more, and look like evidence."""
    assert names_of(twice) == ["twice"]
    assert names_of(by_table, by_image) == ["by_table", "by_image"]
    assert names_of(asserting) == ["asserting", "asserting_shuffled"]
    assert names_of(deep_inside) == ["deep_inside", "deep_inside_shuffled"]
    assert names_of(of_volumes) == ["of_volumes", "of_volumes_shuffled"]
    with pytest.raises(ValueError, match="the weights of twice are the same for all pixels of a class"):
        choose_arms([twice, "twice_shuffled"])
    # what the made-up pixels cannot say, the real ones do
    with pytest.raises(ValueError, match=r"no places, so it has no twin; arm_of\(twice\) in place of twice"):
        twin_of(twice).recipe(data)


def by_torch(h, y):
    return 1 + torch.rand(h.shape)


def by_numpy(h, y):
    return 1 + torch.from_numpy(np.random.rand(*h.shape))


def by_python(h, y):
    return 1 + random.random() * h


def by_recipe(data):
    return Recipe(RiskWeightedLoss("pixels"), torch.rand(data.hardness.shape))


@pytest.mark.parametrize("function", [by_torch, by_numpy, by_python, by_recipe])
def test_weights_by_chance_are_those_of_the_seed_and_the_same_for_the_twin(function, data):
    arm, twin = arm_of(function), twin_of(function)
    before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()
    weights = arm.recipe(data).weights
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]
    torch.rand(1), np.random.rand(), random.random()
    assert torch.equal(weights, arm.recipe(data).weights)
    assert_is_twin(twin.recipe(data).weights, weights, data.slices.labels)
    assert not torch.equal(weights, arm.recipe(replace(data, seed=1)).weights)


def test_weights_that_differ_each_time_are_refused():
    def unseeded(h, y):
        return h + torch.from_numpy(np.random.default_rng().random(h.shape))

    with pytest.raises(ValueError, match="unseeded gives other weights each time it is called"):
        choose_arms([unseeded])


def unlike(*arguments):
    return torch.ones(1)


def three(h, y, z):
    return h


def keywords(h, *, y):
    return h


def maybe(h, y=None):
    return h


def strong(data, strength=2.0):
    return Recipe(RiskWeightedLoss("pixels"))


def strong_by_name(data, *, strength=2.0, **others):
    return Recipe(RiskWeightedLoss("pixels"))


def powered(h, y, power=2.0):
    return h**power


def fine_tune(h, y):
    return h


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda h, y: h, "a function that has one: .* got <lambda>"),
        (partial(twice), "a function that has one: .* got partial"),
        (RiskWeightedLoss("pixels"), "a function that has one: .* got RiskWeightedLoss"),
        (unlike, r"unlike must take \(h, y\), hardness and labels, or \(data\), got \(\*arguments\)"),
        (three, r"three must take \(h, y\).* got \(h, y, z\)"),
        (keywords, r"keywords must take \(h, y\)"),
        (maybe, r"maybe\(h, y=None\) can be meant as weights\(h, y\) and as recipe\(data\): give the second"),
        (strong, r"strong\(data, strength=2\.0\) can be meant as"),
    ],
)
def test_what_is_no_arm_is_refused(function, message):
    with pytest.raises(TypeError, match=message):
        choose_arms([function])


def test_a_recipe_may_have_choices_by_name_and_weights_may_have_any():
    assert names_of(strong_by_name, powered) == ["strong_by_name", "powered", "powered_shuffled"]


def test_names_must_be_known_and_tell_arms_apart():
    other = run_cell("def powered(h, y):\n    return h + y\n")["powered"]
    for arms in ([fine_tune], [fine_tune, "scratch"]):
        with pytest.raises(ValueError, match="the package has an arm of the name fine_tune; rename yours"):
            choose_arms(arms)
    with pytest.raises(ValueError, match="a name of its own, got powered, powered_shuffled twice"):
        choose_arms([powered, other])
    with pytest.raises(ValueError, match="a name of its own, got scratch twice"):
        choose_arms(["scratch", "fine_tune", "scratch"])
    with pytest.raises(ValueError, match="unknown arm 'thrice_shuffled'"):
        choose_arms([twice, "thrice_shuffled"])


def test_an_arm_whose_content_cannot_be_told_is_refused():
    loss = torch.nn.Softplus(beta=2)
    mine = run_cell("def mine(h, y):\n    return LOSS(h)\n", LOSS=loss)["mine"]
    with pytest.raises(UnknownCodeError, match="it uses LOSS of type Softplus"):
        choose_arms(["scratch", mine])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("h[0]", r"a weight per pixel, \[4, 1, 16, 16\], got \[1, 16, 16\]"),
        ("h.mean()", r"a weight per pixel, \[4, 1, 16, 16\], got \[\]"),
        ("h.numpy()", "a weight per pixel, .* got ndarray"),
        ("None", "a weight per pixel, .* got NoneType"),
        ("y - 1", "at least 0 that are not all 0, got values from -1 to 0"),
        ("h / 0", "finite weights"),
        ("h * float('nan')", "got values from nan to nan"),
        ("0 * h", "not all 0, got values from 0 to 0"),
        ("torch.complex(h, h)", "must return real weights, got torch.complex64"),
    ],
)
def test_weights_that_cannot_be_used_are_named(returned, message, data):
    mine = run_cell(f"def mine(h, y):\n    return {returned}\n")["mine"]
    for arm in (arm_of(mine), twin_of(mine)):
        with pytest.raises(ValueError, match=message):
            arm.recipe(data)


@pytest.mark.parametrize(
    "returned", ["1 + y", "y > 0", "(1 + h).double()", "(1 + h).bfloat16()", "(1 + h).requires_grad_()"]
)
def test_weights_of_any_real_kind_become_float32_at_mean_one(returned, data):
    weights = arm_of(run_cell(f"def mine(h, y):\n    return {returned}\n")["mine"]).recipe(data).weights
    assert weights.dtype == torch.float32
    assert not weights.requires_grad
    sampler = sampler_of(data.training, data.slices.with_weights(weights), data.seed)
    drawn = torch.stack([sampler.batch(step)["weight"].mean() for step in range(128)])
    assert drawn.mean().item() == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        ("data.hardness", TypeError, r"mine\(data\) must return a Recipe of a loss, .*, got Tensor"),
        ("Recipe('plain')", TypeError, "must return a Recipe of a loss, .*, got Recipe, str, Strategy"),
        ("Recipe(print, None, 0.1)", TypeError, "got Recipe, builtin_function_or_method, float"),
        ("Recipe(print, data.hardness[0])", ValueError, r"weights of mine\(data\) must be a tensor .*16, 16\], got"),
        ("Recipe(print, -data.hardness - 1)", ValueError, r"of mine\(data\) must be finite weights of at least 0"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_named(returned, error, message, data):
    mine = run_cell(f"def mine(data):\n    return {returned}\n")["mine"]
    for arm in (arm_of(mine), twin_of(mine)):
        with pytest.raises(error, match=message):
            arm.recipe(data)


def test_weights_of_a_recipe_are_taken_as_they_are(data):
    assert torch.equal(arm_of(own_loss).recipe(data).weights, on_the_label(data.hardness, data.slices.labels))


def compare(cohort, out_dir, *arms):
    options = {"shots": 1, "seeds": (0, 1), "setting": SETTING, "out_dir": out_dir}
    return Comparison(cohort, "FLAIR:WT", "T1ce:TC", ["scratch", "fine_tune", *arms], **options)


@pytest.fixture(scope="module")
def made(tiny_cohort, tmp_path_factory):
    """A comparison with an arm that a cell has defined, trained by two workers."""
    out_dir = tmp_path_factory.mktemp("runs")
    comparison = compare(tiny_cohort, out_dir, run_cell(CELL)["on_the_label"], body_at_a_tenth)
    comparison.run(jobs=2)
    return comparison


def test_an_own_arm_trains_beside_the_others_with_its_twin(made):
    names = ["scratch", "fine_tune", "on_the_label", "on_the_label_shuffled", "body_at_a_tenth"]
    assert {cell[0] for cell in made.runs} == set(names)
    for (name, _, seed), run in made.runs.items():
        parameters = run.record["parameters"]
        assert (parameters["arm"], parameters["seed"]) == (name, seed)
        assert run.folder.name.startswith(f"{name}_k1_seed{seed}_")
    shown = repr(made.table())
    assert all(title in shown for title in ("on the label", "Control: on the label, shuffled", "body at a tenth"))
    losses = {name: made.run_of(name).record["results"]["history"]["loss"] for name in names}
    assert len({tuple(loss) for loss in losses.values()}) == len(names), "no two arms train alike"


def test_the_record_keeps_the_text_of_an_own_arm(made):
    for name in ("on_the_label", "on_the_label_shuffled"):
        assert made.run_of(name).record["parameters"]["arm_text"] == CELL.split("\n\n")[1]
    assert "arm_text" not in made.run_of("fine_tune").record["parameters"]


def test_a_cell_that_is_run_again_trains_nothing_and_an_edited_one_its_own_runs_alone(made, tiny_cohort, monkeypatch):
    trained, train = [], making.train
    monkeypatch.setattr(
        making, "train", lambda *a, **options: trained.append(options["checkpoint"]) or train(*a, **options)
    )
    again = compare(tiny_cohort, made.out_dir, run_cell("# once more" + CELL)["on_the_label"])
    again.run(jobs=1)
    assert not trained
    assert again.run_of("on_the_label").folder == made.run_of("on_the_label").folder
    edited = compare(tiny_cohort, made.out_dir, run_cell(CELL.replace("3.0", "5.0"))["on_the_label"])
    edited.run(jobs=1)
    assert sorted(path.parent.name.split("_k1_")[0] for path in trained) == [
        *["on_the_label"] * 2,
        *["on_the_label_shuffled"] * 2,
    ]
    assert edited.run_of("on_the_label").folder != made.run_of("on_the_label").folder


def test_an_arm_that_has_changed_since_it_was_chosen_is_not_trained_under_its_old_name(made, tiny_cohort):
    """A cell that sets a constant was run again, and the one that makes the comparison was not."""
    space = run_cell(CELL)
    comparison = compare(tiny_cohort, made.out_dir, space["on_the_label"])
    space["STRENGTH"] = 5.0
    with pytest.raises(ValueError, match="on_the_label has changed since it was chosen"):
        comparison.run(jobs=1)
    space["STRENGTH"] = 3.0
    comparison.run(jobs=1)


def test_an_error_in_an_own_arm_reaches_its_author(tiny_cohort, made):
    wrong = run_cell("def wrong(h, y):\n    return h[:1, :, :2]\n")["wrong"]
    with pytest.raises(ValueError, match=r"wrong\(h, y\) must return a tensor with a weight per pixel"):
        compare(tiny_cohort, made.out_dir, wrong).run(jobs=2)
