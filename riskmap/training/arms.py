"""The arms of the comparison: where the network starts and how each pixel counts. One function and one line each.

To add an arm, write its weights as a function of :class:`TargetData` and add a line to the table below. A reader's own
arm needs neither: see :func:`riskmap.training.own_arm.arm_of`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from riskmap.project.choices import unknown
from riskmap.risk import TransferRiskMap
from riskmap.training.arm import (
    SAMPLED_SUFFIX,
    TWIN_SUFFIX,
    Arm,
    LookedAt,
    MakeRecipe,
    Recipe,
    Weigh,
    by_foreground,
    sampled,
    sampled_everywhere,
    shuffled,
    slowly,
    tuned,
    weighted,
    weighted_and_sampled,
)
from riskmap.training.baseline_losses import DiceFocalSoftmaxLoss, DiceTopKLoss, boundary_weights, plain_loss
from riskmap.training.own_arm import (
    arm_of,
    check_function,
    has_places,
    is_weights,
    no_twin,
    sampled_of,
    sampled_twin_of,
    twin_of,
)
from riskmap.training.target_data import TargetData
from riskmap.twins import class_mean, cross_entropy_of, hard_probabilities


def plain(data: TargetData) -> Recipe:
    """Train with cross-entropy and Dice, every pixel alike."""
    return Recipe(plain_loss())


def focal(data: TargetData) -> Recipe:
    """Train with the focal loss (gamma 2) in place of the cross-entropy."""
    return Recipe(DiceFocalSoftmaxLoss(gamma=2.0))


def top_k(data: TargetData) -> Recipe:
    """Train with the worst tenth of the pixels in place of all."""
    return Recipe(DiceTopKLoss(share=0.1))


def class_frequencies(labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return the share of each class among all pixels, [C], float64."""
    counts = torch.bincount(labels.flatten().long(), minlength=num_classes).double()
    return counts / counts.sum()


def balanced(data: TargetData) -> torch.Tensor:
    """Weight each class by the root of its inverse frequency."""
    # the root of the inverse frequency, as 1 / f lets a class of 1 % of the pixels outweigh everything else
    frequencies = class_frequencies(data.slices.labels, data.num_classes).clamp_min(1e-6)
    return frequencies.rsqrt().float()[data.slices.labels.long()]


def near_boundary(data: TargetData) -> torch.Tensor:
    """Weight pixels by their nearness to a label boundary, as the U-Net does."""
    return boundary_weights(data.slices.labels)


def ones(data: TargetData) -> torch.Tensor:
    """Weight every pixel alike."""
    return torch.ones(data.slices.labels.shape)


def reconstruction(data: TargetData) -> torch.Tensor:
    """Weight by the map named after the paper: 10 ** r, r min-max within the image. A reconstruction."""
    return TransferRiskMap.paper(data.leep)(data.source_probabilities, data.slices.labels.long())


def fitted(data: TargetData, probabilities: torch.Tensor | None = None, **choices: Any) -> torch.Tensor:
    """Return the weights of a map that is scaled over all training slices; by default of the source's softmax."""
    statistics = data.leep if probabilities is None else data.leep_of(probabilities)
    batch = (data.source_probabilities if probabilities is None else probabilities, data.slices.labels.long())
    return TransferRiskMap(statistics, scaling="dataset", **choices).fit([batch])(*batch)


def relative_hardness(data: TargetData) -> torch.Tensor:
    """Weight by the hardness over its mean in the data set; no pixel counts less than a fifth of the mean."""
    return fitted(data, weighting="hardness", floor=0.2)


def mean_of_class(data: TargetData) -> torch.Tensor:
    """Weight each class by its mean hardness: the map without places."""
    return class_mean(relative_hardness(data), data.slices.labels)


def centred(data: TargetData) -> torch.Tensor:
    """Weight by class balance times the hardness over its class's mean, from a fifth to five times.

    Inside the patient, where patches lie, each class keeps the share that class balance gives it, so that nothing but
    the place inside the class is new.
    """
    # air is a region of its own: it is easy, and would make the rest of the background hard
    regions = 2 * data.slices.labels.long() + data.inside.long()
    relative = (data.hardness / class_mean(data.hardness, regions).clamp_min(1e-6)).clamp(0.2, 5.0)
    return balanced(data) * relative / class_mean(relative, regions)


def hard_label_hardness(data: TargetData) -> torch.Tensor:
    """Weight by the hardness of the source's most likely class alone (NCE)."""
    return fitted(data, hard_probabilities(data.source_probabilities), weighting="hardness", floor=0.2)


def scratch_cross_entropy(data: TargetData) -> torch.Tensor:
    """Weight by the cross-entropy of a network that was trained from scratch on the same patients."""
    return cross_entropy_of(data.other_probabilities("scratch"), data.slices.labels)


def focused(data: TargetData) -> torch.Tensor:
    """Weight by 1 + 20 r: foreground, and background that fools the source, outweigh all the rest."""
    return fitted(data, weighting="affine", slope=20.0)


def own_error(data: TargetData) -> torch.Tensor:
    """Weight by 1 + 20 r, r being the network's own cross-entropy after plain fine-tuning instead of the hardness."""
    loss = cross_entropy_of(data.other_probabilities("fine_tune"), data.slices.labels)
    # torch's quantile takes no more than 16 million values
    highest = max(float(np.quantile(loss[data.inside].numpy(), 0.99)), 1e-6)
    return 1 + 20 * (loss / highest).clamp(max=1.0)


def near_label(data: TargetData) -> torch.Tensor:
    """Weight by 1 + 20 times the nearness to a label boundary, which every network finds hard."""
    return boundary_weights(data.slices.labels, strength=20.0)


def _control(of: str, name: str, title: str, makes: MakeRecipe, *looks_at: LookedAt) -> Arm:
    return Arm(name, f"Control: {title}", makes, control_of=of, looks_at=looks_at)


def _map(name: str, title: str, short: str, weigh: Weigh) -> tuple[Arm, ...]:
    """Return a map as a weight of the loss and as a sampler of patches, each with its shuffled twin."""
    by_place = name + SAMPLED_SUFFIX
    return (
        Arm(name, f"Risk map, {title}", weighted(weigh)),
        _control(name, name + TWIN_SUFFIX, f"{short}, shuffled", weighted(shuffled(weigh))),
        Arm(by_place, f"Sampler, {title}", sampled(weigh)),
        _control(by_place, by_place + TWIN_SUFFIX, f"sampler {short}, shuffled", sampled(shuffled(weigh))),
    )


def _further(name: str, title: str, makes: Callable[[Weigh], MakeRecipe]) -> tuple[Arm, Arm]:
    """Return another use of the map 1 + 20 r, and its shuffled twin."""
    twin = _control(name, name + TWIN_SUFFIX, f"{title[0].lower()}{title[1:]}, shuffled", makes(shuffled(focused)))
    return Arm(name, title, makes(focused)), twin


def _slow(of: str, title: str, makes: MakeRecipe, twin: MakeRecipe | None = None) -> tuple[Arm, ...]:
    """Return an arm whose body is trained at a tenth of the rate, as people do with large networks, and its twin."""
    name = of + _SLOW_SUFFIX
    arm = Arm(name, f"Body at 0.1 of the rate, {title}", slowly(makes, _SLOW))
    if twin is None:
        return (arm,)
    return arm, _control(name, name + TWIN_SUFFIX, f"body at 0.1, {title}, shuffled", slowly(twin, _SLOW))


_SLOW, _SLOW_SUFFIX = 0.1, "_slow_body"
_PAPER = by_foreground(reconstruction)
_HARDNESS, _FOCUSED = "risk_map_hardness", "risk_map_focused"
_SAMPLER = _FOCUSED + SAMPLED_SUFFIX
_ROWS = (
    Arm("scratch", "From scratch", plain, starts="scratch"),
    Arm("fine_tune", "Fine-tuning", plain),
    Arm("random_head", "Fine-tuning, random head", plain, head="random"),
    Arm("beside_source", "Fresh network beside the frozen source", plain, starts="beside"),
    Arm("frozen_body", "Fine-tuning of the head alone", tuned(body_rate=0.0)),
    Arm("linear_probe", "Linear probe, then fine-tuning", tuned(probe_share=0.5)),
    Arm("discriminative_rate", "Fine-tuning, body at 0.1 of the rate", tuned(body_rate=_SLOW)),
    Arm("l2_sp", "Fine-tuning, L2-SP", tuned(body_pull=0.01, head_pull=0.01)),
    Arm("class_balanced", "Fine-tuning, class-balanced", weighted(balanced)),
    Arm("focal", "Fine-tuning, focal loss", focal),
    Arm("top_k", "Fine-tuning, worst 10 % of pixels", top_k),
    Arm("boundary", "Fine-tuning, boundary-weighted", weighted(near_boundary)),
    *_map("risk_map_paper", "reconstruction of the paper", "reconstruction", _PAPER),
    _control("risk_map_paper", "foreground_normalised", "reconstruction, w = 1", weighted(by_foreground(ones))),
    _control("risk_map_paper", "risk_map_paper_mean_one", "reconstruction, mean 1", weighted(reconstruction)),
    *_map(_HARDNESS, "h / mean(h), at least 0.2", "h / mean(h)", relative_hardness),
    _control(_HARDNESS, "risk_map_hardness_class_mean", "class mean of h", weighted(mean_of_class)),
    _control(_HARDNESS, "hard_label", "h of hard labels (NCE)", weighted(hard_label_hardness)),
    _control(_HARDNESS, "scratch_hardness", "h of a scratch model", weighted(scratch_cross_entropy), "scratch"),
    *_map("risk_map_centred", "class balance and h within its class", "centred h", centred),
    *_map(_FOCUSED, "1 + 20 r", "1 + 20 r", focused),
    *_further(_FOCUSED + "_everywhere", "Sampler, 1 + 20 r, label too", sampled_everywhere),
    *_further(_FOCUSED + "_both", "Weight and sampler, 1 + 20 r", weighted_and_sampled),
    _control(_SAMPLER, "own_error_sampled", "sampler by the network's own loss", sampled(own_error), "fine_tune"),
    _control(_SAMPLER, "near_label_sampled", "sampler by the distance to the label", sampled(near_label)),
    *_slow("class_balanced", "class balance", weighted(balanced)),
    *_slow("risk_map_paper", "reconstruction", weighted(_PAPER), weighted(shuffled(_PAPER))),
    Arm("scratch_sampled", "From scratch, sampler 1 + 20 r", sampled(focused), starts="scratch", looks_at=("source",)),
)
ARMS: dict[str, Arm] = {arm.name: arm for arm in _ROWS}
# those that the tutorial's page on fine-tuning compares
TUTORIAL_ARMS = (
    *("scratch", "fine_tune", "random_head", "class_balanced", "risk_map_paper", "risk_map_paper_shuffled"),
    *("risk_map_focused_sampled", "risk_map_focused_sampled_shuffled"),
)


def get_arm(name: str) -> Arm:
    """Return the arm of that name.

    Raises:
        ValueError: no such arm; the message names those there are.
    """
    if name not in ARMS:
        raise ValueError(unknown(f"unknown arm {name!r}", ARMS, name))
    return ARMS[name]


def choose_arms(arms: Iterable[str | Arm | Callable[..., Any]]) -> tuple[Arm, ...]:
    """Return arms by name, and those that a reader has written as functions, each function of weights with its twin.

    Args:
        arms: names in ``ARMS``, arms, and functions (see :func:`riskmap.training.own_arm.arm_of`). The name of a
            function followed by ``_shuffled`` is its twin; that of ``weights(h, y)`` followed by ``_sampled`` is the
            arm in which they say where patches are cut. Both bring their twins along unasked.
            One whose weights are the same for all pixels of a class has no twin: it would be the arm once more. That
            is tried on made-up pixels (:func:`riskmap.training.own_arm.has_places`).

    Raises:
        ValueError: a name is unknown, two arms have one name, or a twin is asked for where there is none.
        TypeError: a function that is no arm.
        UnknownCodeError: a function uses what cannot be told apart from something else.
        ChangedCodeError: the file of a function was edited since it was imported.
    """
    given = list(arms)
    functions = [each for each in given if not isinstance(each, str | Arm)]
    for function in functions:
        check_function(function)
    by_name = {name: function for function in functions for name in _names_of(function)}
    chosen: list[Arm] = []
    for each in given:
        if isinstance(each, Arm):
            chosen.append(each)
            continue
        name = each if isinstance(each, str) else each.__name__
        own = by_name.get(name) if isinstance(each, str) else each
        if own is None:
            chosen.append(get_arm(name))
            continue
        makes, twin = _names_of(own), name + TWIN_SUFFIX
        chosen.append(makes[name](own))
        if twin in makes and twin not in given and is_weights(own) and has_places(own):
            chosen.append(makes[twin](own))
    for arm in chosen:
        if not is_of_table(arm):
            # its code is that of this moment
            arm.check_unchanged()
    _check_names(chosen)
    return tuple(chosen)


def is_of_table(arm: Arm) -> bool:
    """Tell whether an arm is one of ``ARMS``, and no reader's own."""
    return ARMS.get(arm.name) is arm


def _names_of(function: Callable[..., Any]) -> dict[str, Callable[..., Arm]]:
    """Return what makes the arms of a reader's function, by name: itself, its sampler, and the twin of each."""
    makes: dict[str, Callable[..., Arm]] = {"": arm_of, TWIN_SUFFIX: _asked_twin}
    if is_weights(function):
        makes |= {SAMPLED_SUFFIX: sampled_of, SAMPLED_SUFFIX + TWIN_SUFFIX: sampled_twin_of}
    return {function.__name__ + suffix: make for suffix, make in makes.items()}


def _asked_twin(function: Callable[..., Any]) -> Arm:
    if is_weights(function) and not has_places(function):
        raise ValueError(no_twin(function.__name__))
    return twin_of(function)


def _check_names(arms: Iterable[Arm]) -> None:
    names = [arm.name for arm in arms]
    taken = sorted({arm.name for arm in arms if arm.name in ARMS and not is_of_table(arm)})
    if taken:
        raise ValueError(f"the package has an arm of the name {', '.join(taken)}; rename yours")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"each arm needs a name of its own, got {', '.join(twice)} twice; rename it")


def title_of(name: str) -> str:
    """Return the title of an arm for tables and figures; that of a reader's arm is made of its name.

    >>> title_of("fine_tune"), title_of("near_the_rim"), title_of("near_the_rim_shuffled")
    ('Fine-tuning', 'near the rim', 'Control: near the rim, shuffled')
    """
    if name in ARMS:
        return ARMS[name].title
    plain_name = name.removesuffix(TWIN_SUFFIX).replace("_", " ")
    return f"Control: {plain_name}, shuffled" if name.endswith(TWIN_SUFFIX) else plain_name


def in_order(names: Iterable[str]) -> list[str]:
    """Return names of arms in the order of ``ARMS``; those that a reader has written come last, as they came."""
    there = list(dict.fromkeys(names))
    return [name for name in ARMS if name in there] + [name for name in there if name not in ARMS]
