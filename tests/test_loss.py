"""The weighted loss: equal to MONAI's where it should be, each normalisation by its formula, and the guards."""

import math

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DiceCELoss, DiceLoss, MaskedDiceLoss
from monai.networks.utils import one_hot
from torch.nn import functional as F

from riskmap import RiskWeightedLoss
from riskmap.loss import NORMALIZATIONS, _SoftmaxCrossEntropy


def sample(shape=(3, 8, 9), num_classes=3, dtype=torch.float32, ignore_index=None):
    generator = torch.Generator().manual_seed(0)
    logits = (2 * torch.randn(shape[0], num_classes, *shape[1:], generator=generator)).to(dtype).requires_grad_()
    labels = torch.randint(num_classes, (shape[0], 1, *shape[1:]), generator=generator)
    # more background than foreground, differently in each image
    labels[torch.rand(labels.shape, generator=generator) < 0.5] = 0
    if ignore_index is not None:
        labels[torch.rand(labels.shape, generator=generator) < 0.25] = ignore_index
    weights = 3 * torch.rand(shape[0], 1, *shape[1:], generator=generator)
    return logits, labels, weights


def cross_entropy_only(normalization, **options):
    return RiskWeightedLoss(normalization, dice_weight=0.0, **options)


def reference_loss(logits, labels, weights, normalization, ignore_index):
    """The published formula, image by image and with plain indexing."""
    means, total, foreground, weight_sum, num_valid = [], 0.0, 0, 0.0, 0
    for logit, label, weight in zip(logits, labels[:, 0], weights[:, 0], strict=True):
        valid = torch.ones_like(label, dtype=torch.bool) if ignore_index is None else label != ignore_index
        terms = weight[valid] * F.cross_entropy(logit[:, valid].T, label[valid], reduction="none")
        size = int((label[valid] > 0).sum())
        means.append(terms.sum() / size)
        total, foreground, weight_sum = total + terms.sum(), foreground + size, weight_sum + weight[valid].sum()
        num_valid += int(valid.sum())
    if normalization == "image_foreground":
        return sum(means) / len(means)
    return total / {"batch_foreground": foreground, "weights": weight_sum, "pixels": num_valid}[normalization]


@pytest.mark.parametrize("include_background", [True, False])
@pytest.mark.parametrize("shape", [(3, 8, 9), (2, 5, 4, 3)])
def test_without_a_map_it_is_dice_ce(shape, include_background):
    logits, labels, _ = sample(shape)
    monai = DiceCELoss(to_onehot_y=True, softmax=True, include_background=include_background)(logits, labels)
    ours = RiskWeightedLoss("pixels", include_background=include_background)(logits, labels)
    torch.testing.assert_close(ours, monai)
    (expected,), (gradient,) = torch.autograd.grad(monai, logits), torch.autograd.grad(ours, logits)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("ignore_index", [None, 2, 255, -100])
@pytest.mark.parametrize("shape", [(3, 8, 9), (2, 5, 4, 3)])
def test_normalisations_follow_their_formulas(normalization, ignore_index, shape):
    logits, labels, weights = sample(shape, ignore_index=ignore_index)
    loss = cross_entropy_only(normalization, ignore_index=ignore_index)(logits, labels, weights)
    expected = reference_loss(logits, labels, weights, normalization, ignore_index)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, logits), torch.autograd.grad(expected, logits))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_no_map_is_a_map_of_ones(normalization):
    logits, labels, weights = sample(ignore_index=255)
    criterion = RiskWeightedLoss(normalization, ignore_index=255)
    torch.testing.assert_close(criterion(logits, labels), criterion(logits, labels, torch.ones_like(weights)))


def test_gradients_are_those_of_the_formula():
    logits, labels, weights = sample((2, 3, 2), dtype=torch.float64)
    assert torch.autograd.gradcheck(_SoftmaxCrossEntropy.apply, (logits, labels[:, 0]))
    criterion = RiskWeightedLoss("image_foreground", ignore_index=2)
    assert torch.autograd.gradcheck(lambda x: criterion(x, labels, weights.double()), (logits,))


def test_foreground_normalisation_multiplies_by_the_ratio_of_pixels():
    logits, labels, _ = sample()
    ratio = labels.numel() / int((labels > 0).sum())
    plain, by_foreground = cross_entropy_only("pixels"), cross_entropy_only("batch_foreground")
    torch.testing.assert_close(by_foreground(logits, labels), ratio * plain(logits, labels))


def test_the_scale_of_the_weights_cancels_under_their_sum():
    logits, labels, weights = sample()
    criterion = cross_entropy_only("weights")
    torch.testing.assert_close(criterion(logits, labels, weights), criterion(logits, labels, 7 * weights))


def test_the_two_terms_have_their_weights():
    logits, labels, weights = sample()
    cross_entropy = cross_entropy_only("pixels")(logits, labels, weights)
    dice = DiceLoss(softmax=True, to_onehot_y=True)(logits, labels)
    loss = RiskWeightedLoss("pixels", 0.25, cross_entropy_weight=3.0)(logits, labels, weights)
    torch.testing.assert_close(loss, 3.0 * cross_entropy + 0.25 * dice)


@pytest.mark.parametrize("ignore_index", [2, 255, -100])
def test_dice_leaves_ignored_pixels_out(ignore_index):
    logits, labels, _ = sample(ignore_index=ignore_index)
    loss = RiskWeightedLoss("pixels", ignore_index=ignore_index, cross_entropy_weight=0.0)(logits, labels)
    valid = labels != ignore_index
    targets = one_hot(labels.masked_fill(~valid, 0), 3)
    expected = MaskedDiceLoss(softmax=True)(logits, targets, mask=valid.float())
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("normalization", ["image_foreground", "batch_foreground"])
def test_without_foreground_valid_pixels_take_its_place(normalization):
    logits, labels, weights = sample(ignore_index=255)
    labels[labels != 255] = 0
    expected = [reference_loss(logits, labels, weights, "pixels", 255)]
    if normalization == "image_foreground":
        expected = [reference_loss(logits[[i]], labels[[i]], weights[[i]], "pixels", 255) for i in range(len(logits))]
    loss = cross_entropy_only(normalization, ignore_index=255)(logits, labels, weights)
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_an_image_without_valid_pixels_does_not_dilute_the_mean():
    logits, labels, weights = sample()
    criterion = cross_entropy_only("image_foreground", ignore_index=255)
    expected = criterion(logits[:2], labels[:2], weights[:2])
    labels[2] = 255
    torch.testing.assert_close(criterion(logits, labels, weights), expected)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_batch_without_valid_pixels_has_a_loss_of_zero(normalization):
    logits, labels, weights = sample()
    loss = RiskWeightedLoss(normalization, ignore_index=255)(logits, torch.full_like(labels, 255), weights)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad.count_nonzero() == 0


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_weights_of_zero_leave_no_cross_entropy(normalization):
    logits, labels, weights = sample()
    assert cross_entropy_only(normalization)(logits, labels, torch.zeros_like(weights)).item() == 0.0


def test_what_lies_under_ignored_pixels_is_not_looked_at():
    logits, labels, weights = sample(ignore_index=255)
    criterion = RiskWeightedLoss("weights", ignore_index=255)
    spoiled = weights.masked_fill(labels == 255, math.nan)
    torch.testing.assert_close(criterion(logits, labels, spoiled), criterion(logits, labels, weights))


def test_no_gradient_goes_through_the_weights():
    logits, labels, weights = sample()
    weights.requires_grad_()
    RiskWeightedLoss()(logits, labels, weights).backward()
    assert weights.grad is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    logits, labels, weights = sample(dtype=dtype)
    expected = RiskWeightedLoss()(logits.float(), labels, weights)
    with torch.autocast("cpu", dtype=dtype):
        loss = RiskWeightedLoss()(logits, labels, weights.to(dtype).float())
    loss.backward()
    assert loss.dtype == torch.float32
    assert logits.grad.dtype == dtype
    torch.testing.assert_close(loss, expected, rtol=1e-2, atol=0)


def test_layouts_and_label_forms_agree():
    logits, labels, weights = sample()
    criterion = RiskWeightedLoss()
    expected = criterion(logits, labels, weights)
    variants = [
        (logits.contiguous(memory_format=torch.channels_last), labels[:, 0], weights),
        (logits, labels.float(), weights.double()),
        (MetaTensor(logits), MetaTensor(labels.to(torch.uint8)), MetaTensor(weights)),
    ]
    for variant in variants:
        loss = criterion(*variant)
        assert type(loss) is torch.Tensor
        torch.testing.assert_close(loss, expected)


def test_saturated_logits_stay_finite():
    logits, labels, weights = sample()
    extreme = (1e4 * logits.detach()).requires_grad_()
    loss = RiskWeightedLoss()(extreme, labels, weights)
    loss.backward()
    assert loss.isfinite()
    assert extreme.grad.isfinite().all()


LOGITS, LABELS, WEIGHTS = sample()


@pytest.mark.parametrize(
    ("logits", "labels", "weights", "error", "message"),
    [
        (LOGITS.detach().numpy(), LABELS, None, TypeError, "logits must be a torch.Tensor"),
        (LOGITS.long(), LABELS, None, TypeError, "logits must have a floating dtype"),
        (LOGITS[:, :1], LABELS, None, ValueError, "logits must have at least 2 channels"),
        (LOGITS[0, 0], LABELS, None, ValueError, "logits must be .* spatial axes"),
        (LOGITS, LABELS[..., :-1], None, ValueError, r"labels must be \(3, 8, 9\) or \(3, 1, 8, 9\)"),
        (LOGITS, LABELS + 1, None, ValueError, "labels must be in 0..2, got values from 1 to 3"),
        (LOGITS, LABELS - 0.5, None, ValueError, "labels must hold whole numbers"),
        (LOGITS, LABELS, WEIGHTS[:, 0], ValueError, r"weights must be \(3, 1, 8, 9\), got \(3, 8, 9\)"),
        (LOGITS, LABELS, -WEIGHTS, ValueError, "weights must be finite and at least 0"),
        (LOGITS, LABELS, WEIGHTS * math.nan, ValueError, "weights must be finite and at least 0, got values from nan"),
        (LOGITS, LABELS, WEIGHTS * math.inf, ValueError, "weights must be finite"),
        (LOGITS, LABELS, 1.0, TypeError, "weights must be a torch.Tensor, got float"),
    ],
)
def test_bad_input(logits, labels, weights, error, message):
    with pytest.raises(error, match=message):
        RiskWeightedLoss()(logits, labels, weights)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"normalization": "mean"}, ValueError, "normalization must be one of .* got 'mean'"),
        ({"dice_weight": -1.0}, ValueError, "dice_weight must be"),
        ({"cross_entropy_weight": math.nan}, ValueError, "cross_entropy_weight must be finite"),
        ({"ignore_index": "255"}, TypeError, "ignore_index must be None or an int, got str"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        RiskWeightedLoss(**options)


def test_weights_and_labels_of_inference_mode_can_be_learned_with():
    logits, labels, weights = sample()
    with torch.inference_mode():
        labels_inside, weights_inside = labels.clone(), weights.clone()
    gradients = []
    for arguments in ((labels, weights), (labels_inside, weights_inside), (labels_inside, None)):
        logits.grad = None
        RiskWeightedLoss("pixels")(logits, *arguments).backward()
        gradients.append(logits.grad)
    assert torch.equal(gradients[0], gradients[1])
    assert gradients[2].isfinite().all()


@pytest.mark.parametrize("include_background", [False, True])
def test_the_dice_of_the_batch_is_monai_s_and_an_empty_image_does_not_punish_it(include_background):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, 8, 8, generator=generator)
    labels = torch.randint(3, (4, 1, 8, 8), generator=generator)
    labels[2:] = 0
    options = {"include_background": include_background}
    of_batch = RiskWeightedLoss("pixels", cross_entropy_weight=0.0, batch_dice=True, **options)(logits, labels)
    torch.testing.assert_close(
        of_batch, DiceLoss(to_onehot_y=True, softmax=True, batch=True, **options)(logits, labels)
    )
    certain = 20.0 * torch.nn.functional.one_hot(labels[:, 0], 3).movedim(-1, 1).float()
    certain[2:, 0] = 3.0
    per_image = RiskWeightedLoss("pixels", cross_entropy_weight=0.0, **options)(certain, labels)
    of_batch = RiskWeightedLoss("pixels", cross_entropy_weight=0.0, batch_dice=True, **options)(certain, labels)
    assert of_batch < 0.3 < per_image
