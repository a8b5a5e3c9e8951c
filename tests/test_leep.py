"""LEEP's statistics: a hand example, the published formula, the guards and the state."""

import json
import math
import warnings

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch.utils._python_dispatch import TorchDispatchMode

from riskmap import LeepStatistics
from riskmap.leep import SMALLEST_PROBABILITY

# one image of 2 x 4 pixels, done on paper:
#   y         0  0  0  0   0    0   1  1
#   theta[0]  1  1  1  1  3/4  1/4  0  0
#   theta[1]  0  0  0  0  1/4  3/4  1  1
# sums of theta by label   y=0: 5 1   y=1: 0 2   over n = 8
# C[0|.] = 1 1/3   C[1|.] = 0 2/3
# E[y_i]    1  1  1  1  5/6  1/2 2/3 2/3
HAND_LABELS = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1]).reshape(1, 2, 4)
HAND_BRIGHT = torch.tensor([0, 0, 0, 0, 0.25, 0.75, 1, 1]).reshape(1, 1, 2, 4)
HAND = torch.cat((1 - HAND_BRIGHT, HAND_BRIGHT), dim=1)


def sample(shape=(3, 7, 6), num_source=3, num_target=4, seed=0, dtype=torch.float32, ignore_index=None):
    """A batch whose labels depend on the probabilities."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3.0 * torch.randn(shape[0], num_source, *shape[1:], generator=generator)
    noise = torch.randint(num_target, shape, generator=generator)
    labels = torch.where(torch.rand(shape, generator=generator) < 0.3, noise, logits.argmax(1) % num_target)
    if ignore_index is not None:
        labels[torch.rand(shape, generator=generator) < 0.2] = ignore_index
    return logits.softmax(1).to(dtype), labels


def plain_hardness(theta, labels, num_target):
    """The published formula, pixel by pixel in float64."""
    theta = np.moveaxis(theta.double().numpy(), 1, -1).reshape(-1, theta.shape[1])
    labels = labels.numpy().ravel()
    joint = np.zeros((num_target, theta.shape[1]))
    for row, label in zip(theta, labels, strict=True):
        joint[label] += row / len(labels)
    conditional = joint / joint.sum(0)
    return np.array([-math.log(conditional[label] @ row) for row, label in zip(theta, labels, strict=True)])


def test_hand_example():
    stats = LeepStatistics(2, 2).update(HAND, HAND_LABELS)
    table = {"dtype": torch.float64}
    torch.testing.assert_close(stats.joint(), torch.tensor([[5, 1], [0, 2]], **table) / 8)
    torch.testing.assert_close(stats.prior(), torch.tensor([6, 2], **table) / 8)
    torch.testing.assert_close(stats.conditional(), torch.tensor([[1, 1 / 3], [0, 2 / 3]], **table))
    expected = torch.tensor([[1, 1, 1, 1, 5 / 6, 1 / 2, 1 / 3, 1 / 3], [0, 0, 0, 0, 1 / 6, 1 / 2, 2 / 3, 2 / 3]])
    torch.testing.assert_close(stats.expected_prediction(HAND), expected.reshape(1, 2, 2, 4))
    hardness = torch.tensor([0, 0, 0, 0, math.log(6 / 5), math.log(2), math.log(3 / 2), math.log(3 / 2)])
    torch.testing.assert_close(stats.hardness(HAND, HAND_LABELS), hardness.reshape(1, 1, 2, 4))
    assert stats.score([(HAND, HAND_LABELS)]) == pytest.approx(-math.log(5.4) / 8, rel=1e-12)
    assert stats.num_pixels == 8


@pytest.mark.parametrize("shape", [(3, 7, 6), (2, 5, 4, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_agrees_with_the_published_formula(shape, dtype, monkeypatch):
    # blocks far smaller than an image, and than the batch
    monkeypatch.setattr("riskmap.leep._VALUES_PER_BLOCK", 17 * 7)
    theta, labels = sample(shape, dtype=dtype)
    stats = LeepStatistics(3, 4)
    for image, label in zip(theta.split(1), labels.split(1), strict=True):
        stats.update(image, label)
    reference = plain_hardness(theta, labels, 4)
    assert stats.score([(theta, labels)]) == pytest.approx(-reference.mean(), rel=1e-6)
    hardness = stats.hardness(theta, labels)
    assert hardness.shape == (shape[0], 1, *shape[1:])
    assert hardness.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    np.testing.assert_allclose(hardness.double().numpy().ravel(), reference, rtol=1e-5, atol=1e-6)


def test_accumulation_keeps_float64_precision():
    # 4 million pixels of 0.1: a float32 sum drifts by far more
    theta = torch.tensor([0.1, 0.9]).reshape(1, 2, 1, 1).expand(1, 2, 2048, 2048)
    labels = torch.zeros(1, 1, 1, dtype=torch.uint8).expand(1, 2048, 2048)
    joint = LeepStatistics(2, 1).update(theta, labels).joint()
    row = theta[0, :, 0, 0].double()
    torch.testing.assert_close(joint[0], row / row.sum(), rtol=1e-12, atol=0)


def test_source_that_knows_nothing_gives_minus_log_prior():
    _, labels = sample(num_target=3)
    theta = torch.tensor([0.2, 0.5, 0.3]).reshape(1, 3, 1, 1).expand(3, 3, 7, 6)
    stats = LeepStatistics(3, 3).update(theta, labels)
    expected = -stats.prior().log()[labels][:, None]
    torch.testing.assert_close(stats.hardness(theta, labels), expected.float())


def test_permuted_source_classes_leave_leep_as_it_is():
    theta, labels = sample()
    permuted = theta[:, [2, 0, 1]]
    plain, other = LeepStatistics(3, 4).update(theta, labels), LeepStatistics(3, 4).update(permuted, labels)
    torch.testing.assert_close(plain.hardness(theta, labels), other.hardness(permuted, labels))


@pytest.mark.parametrize("inverted", [False, True])
def test_inverted_source_scores_like_a_perfect_one(inverted):
    labels = HAND_LABELS ^ 1 if inverted else HAND_LABELS
    theta = torch.stack((1 - labels, labels), dim=1).float()
    hardness = LeepStatistics(2, 2).update(theta, HAND_LABELS).hardness(theta, HAND_LABELS)
    assert hardness.count_nonzero() == 0
    assert not hardness.signbit().any()


def test_binary_hardness_is_one_curve_per_label():
    theta, labels = sample(num_source=2, num_target=2)
    stats = LeepStatistics(2, 2).update(theta, labels)
    conditional = stats.conditional()
    bright = theta[:, 1].double()
    curves = -torch.log(conditional[:, 0, None] * (1 - bright.flatten()) + conditional[:, 1, None] * bright.flatten())
    on_curve = curves.gather(0, labels.flatten()[None])[0]
    torch.testing.assert_close(stats.hardness(theta, labels).flatten(), on_curve.float())


@pytest.mark.parametrize("ignore_index", [2, 255, -100])
def test_ignored_pixels_count_nowhere(ignore_index):
    theta, labels = sample(num_target=2, ignore_index=ignore_index)
    ignored = labels == ignore_index
    spoiled = theta.masked_fill(ignored[:, None], math.nan)
    stats = LeepStatistics(3, 3, ignore_index).update(spoiled, labels)
    reference = LeepStatistics(3, 3).update(theta.movedim(1, 0)[:, ~ignored][None], labels[~ignored][None])
    assert stats.num_pixels == int((~ignored).sum()) == reference.num_pixels
    torch.testing.assert_close(stats.joint(), reference.joint())
    hardness = stats.hardness(spoiled, labels)
    assert hardness[ignored[:, None]].count_nonzero() == 0
    assert stats.score([(spoiled, labels)]) == pytest.approx(-hardness[~ignored[:, None]].mean().item(), rel=1e-5)


def test_unsigned_labels_never_equal_a_negative_ignore_label():
    theta = torch.full((1, 2, 1, 2), 0.5)
    # 156 is -100 in eight bits
    with pytest.raises(ValueError, match=r"labels must be in 0..1 or ignore_index -100"):
        LeepStatistics(2, 2, -100).update(theta, torch.tensor([[[0, 156]]], dtype=torch.uint8))


def test_source_class_without_mass_takes_the_prior_and_says_so_once():
    theta = torch.cat((HAND, torch.zeros(1, 1, 2, 4)), dim=1)
    stats = LeepStatistics(3, 2).update(theta, HAND_LABELS)
    with pytest.warns(UserWarning, match=r"source classes \[2\] have no probability"):
        conditional = stats.conditional()
    torch.testing.assert_close(conditional[:, 2], stats.prior())
    torch.testing.assert_close(conditional.sum(0), torch.ones(3, dtype=torch.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert stats.score([(theta, HAND_LABELS)]) == pytest.approx(-math.log(5.4) / 8)


def test_absent_target_class_has_the_largest_hardness():
    stats = LeepStatistics(2, 3).update(HAND, HAND_LABELS)
    assert stats.prior()[2] == 0
    hardness = stats.hardness(HAND, torch.full_like(HAND_LABELS, 2))
    torch.testing.assert_close(hardness, torch.full_like(hardness, -math.log(SMALLEST_PROBABILITY)))


def test_expected_prediction_is_a_distribution():
    theta, labels = sample()
    prediction = LeepStatistics(3, 4).update(theta, labels).expected_prediction(theta)
    assert prediction.shape == (3, 4, 7, 6)
    torch.testing.assert_close(prediction.sum(1), torch.ones(3, 7, 6))


def test_layouts_and_label_forms_agree():
    theta, labels = sample()
    plain = LeepStatistics(3, 4).update(theta, labels)
    crop = torch.nn.functional.pad(theta, (2, 2, 2, 2))[..., 2:-2, 2:-2]
    variants = [
        (theta.contiguous(memory_format=torch.channels_last), labels[:, None]),
        (crop, labels.float()),
        (MetaTensor(theta), MetaTensor(labels[:, None].to(torch.uint8))),
    ]
    for probabilities, target in variants:
        stats = LeepStatistics(3, 4).update(probabilities, target)
        torch.testing.assert_close(stats.joint(), plain.joint())
        hardness = stats.hardness(probabilities, target)
        assert type(hardness) is torch.Tensor
        torch.testing.assert_close(hardness, plain.hardness(theta, labels))


def test_merge_equals_one_pass():
    theta, labels = sample()
    parts = [LeepStatistics(3, 4).update(theta[i : i + 1], labels[i : i + 1]) for i in range(3)]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    whole = LeepStatistics(3, 4).update(theta, labels)
    assert merged.num_pixels == whole.num_pixels
    torch.testing.assert_close(merged.joint(), whole.joint(), rtol=1e-12, atol=0)


def test_state_survives_json_and_safe_loading(tmp_path):
    theta, labels = sample(ignore_index=255)
    stats = LeepStatistics(3, 4, 255).update(theta, labels)
    torch.save(stats.state_dict(), tmp_path / "leep.pt")
    loaded = torch.load(tmp_path / "leep.pt", weights_only=True)
    for state in (loaded, json.loads(json.dumps(stats.state_dict()))):
        restored = LeepStatistics.from_state_dict(state)
        assert torch.equal(restored.joint(), stats.joint())
        assert repr(restored) == repr(stats)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, "state must have the keys"),
        ({"joint_sums": [[1.0, 2.0]]}, r"state\['joint_sums'\] must be .* shape \(2, 2\)"),
        ({"joint_sums": [[1.0, 2.0], [math.nan, 1.0]]}, "joint_sums"),
        ({"class_counts": [1, -1]}, "class_counts"),
    ],
)
def test_damaged_state_is_refused(change, message):
    state = LeepStatistics(2, 2).update(HAND, HAND_LABELS).state_dict() | change
    with pytest.raises(ValueError, match=message):
        LeepStatistics.from_state_dict(state)


BAD_BATCHES = [
    (HAND.numpy(), HAND_LABELS, TypeError, "source_probabilities must be a torch.Tensor"),
    (HAND.long(), HAND_LABELS, TypeError, "source_probabilities must have a floating dtype"),
    (HAND[0, 0], HAND_LABELS, ValueError, "source_probabilities must be .* got"),
    (HAND[:, :1], HAND_LABELS, ValueError, r"source_probabilities must have 2 channels on axis 1, got \(1, 1, 2, 4\)"),
    (HAND, HAND_LABELS[:, :1], ValueError, r"labels must be \(1, 2, 4\) or \(1, 1, 2, 4\), got \(1, 1, 4\)"),
    (HAND, HAND_LABELS + 1, ValueError, "labels must be in 0..1, got values from 1 to 2"),
    (HAND, HAND_LABELS - 1, ValueError, "labels must be in 0..1, got values from -1 to 0"),
    (HAND, HAND_LABELS + 0.5, ValueError, "labels must hold whole numbers"),
    (HAND * math.nan, HAND_LABELS, ValueError, "source_probabilities must be at least 0 and not NaN, got nan"),
    (HAND * math.inf, HAND_LABELS, ValueError, "source_probabilities"),
    (HAND * 2 - 0.5, HAND_LABELS, ValueError, "source_probabilities must be at least 0 and not NaN, got -0.5"),
    (HAND * 1.01, HAND_LABELS, ValueError, "source_probabilities must sum to 1"),
    ((HAND * 1.01).half(), HAND_LABELS, ValueError, "source_probabilities must sum to 1"),
]


@pytest.mark.parametrize(("theta", "labels", "error", "message"), BAD_BATCHES)
@pytest.mark.parametrize("method", ["update", "hardness"])
def test_bad_batches_leave_the_state_as_it_was(theta, labels, error, message, method):
    stats = LeepStatistics(2, 2).update(HAND, HAND_LABELS)
    before = stats.state_dict()
    with pytest.raises(error, match=message):
        getattr(stats, method)(theta, labels)
    assert stats.state_dict() == before


def test_a_bad_last_block_leaves_nothing_of_the_first(monkeypatch):
    monkeypatch.setattr("riskmap.leep._VALUES_PER_BLOCK", 2 * 4)
    stats = LeepStatistics(2, 2).update(HAND, HAND_LABELS)
    before = stats.state_dict()
    spoiled = HAND.clone()
    spoiled[..., -1] = -1.0
    with pytest.raises(ValueError, match="at least 0"):
        stats.update(spoiled, HAND_LABELS)
    assert stats.state_dict() == before


def test_half_precision_rows_pass():
    theta, labels = sample(num_source=7)
    for dtype in (torch.float16, torch.bfloat16):
        # stored as half and read back as float32 too
        LeepStatistics(7, 4).update(theta.to(dtype), labels)
    LeepStatistics(7, 4).update(theta.half().float(), labels)


@pytest.mark.parametrize(
    "use",
    [
        LeepStatistics.joint,
        LeepStatistics.prior,
        LeepStatistics.conditional,
        lambda stats: stats.expected_prediction(HAND),
        lambda stats: stats.hardness(HAND, HAND_LABELS),
        lambda stats: stats.score([(HAND, HAND_LABELS)]),
        lambda stats: stats.update(HAND, torch.full_like(HAND_LABELS, 255)).joint(),
    ],
)
def test_use_before_any_update(use):
    with pytest.raises(ValueError, match="call update"):
        use(LeepStatistics(2, 2, ignore_index=255))


def test_score_of_nothing():
    stats = LeepStatistics(2, 2, 255).update(HAND, HAND_LABELS)
    for batches in ([], [(HAND, torch.full_like(HAND_LABELS, 255))]):
        with pytest.raises(ValueError, match="batches must hold at least one valid pixel"):
            stats.score(batches)


@pytest.mark.parametrize(
    ("other", "error", "message"),
    [
        (LeepStatistics(3, 2), ValueError, "other must have num_source_classes 2 .* got 3"),
        (LeepStatistics(2, 3), ValueError, "other must have num_target_classes 2 .* got 3"),
        (LeepStatistics(2, 2, 255), ValueError, "other must have ignore_index None .* got 255"),
        ({}, TypeError, "other must be LeepStatistics, got dict"),
    ],
)
def test_unlike_statistics_do_not_merge(other, error, message):
    stats = LeepStatistics(2, 2).update(HAND, HAND_LABELS)
    before = stats.state_dict()
    with pytest.raises(error, match=message):
        stats.merge(other)
    assert stats.state_dict() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_agrees_with_the_processor():
    theta, labels = sample(ignore_index=255)
    on_cpu = LeepStatistics(3, 4, 255).update(theta, labels)
    on_gpu = LeepStatistics(3, 4, 255).update(theta.cuda(), labels.cuda())
    torch.testing.assert_close(on_gpu.joint(), on_cpu.joint())
    hardness = on_gpu.hardness(theta.cuda(), labels.cuda())
    assert hardness.is_cuda
    torch.testing.assert_close(hardness.cpu(), on_cpu.hardness(theta, labels))


class Watch(TorchDispatchMode):
    """Count the values that the host asks for, and refuse large float64 tensors if told so."""

    def __init__(self, most_in_float64=math.inf):
        super().__init__()
        self.most_in_float64, self.asked = most_in_float64, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.asked += func is torch.ops.aten._local_scalar_dense.default
        if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
            assert result.numel() <= self.most_in_float64, f"{func} makes float64"
        return result


@pytest.mark.parametrize("ignore_index", [None, 255])
def test_a_device_is_asked_once_per_batch_and_not_per_block(ignore_index, monkeypatch):
    theta, labels = sample((4, 16, 16), ignore_index=ignore_index)
    copies = []
    to_cpu, to_list = torch.Tensor.cpu, torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: copies.append("cpu") or to_cpu(tensor))
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: copies.append("tolist") or to_list(tensor))

    def asked(pixels_per_block):
        monkeypatch.setattr("riskmap.leep._VALUES_PER_BLOCK", 7 * pixels_per_block)
        copies.clear()
        with Watch() as watch:
            stats = LeepStatistics(3, 4, ignore_index).update(theta, labels)
            stats.hardness(theta, labels)
            stats.expected_prediction(theta)
            stats.score([(theta, labels)])
        return watch.asked + len(copies)

    assert asked(16) == asked(1024) > 0


@pytest.mark.parametrize("ignore_index", [None, 255])
def test_a_device_without_float64_sums_short_blocks_in_float32(ignore_index, monkeypatch):
    theta, labels = sample((4, 40, 40), ignore_index=ignore_index)
    usual = LeepStatistics(3, 4, ignore_index).update(theta, labels)
    hardness, score = usual.hardness(theta, labels), usual.score([(theta, labels)])
    monkeypatch.setattr("riskmap.leep.has_float64", lambda device: False)
    monkeypatch.setattr("riskmap.leep._VALUES_PER_BLOCK_WITHOUT_FLOAT64", 7 * 800)
    # the tables of the blocks, but no pixels
    with Watch(most_in_float64=8 * 3 * 4):
        stats = LeepStatistics(3, 4, ignore_index).update(theta, labels)
        stats.expected_prediction(theta)
        torch.testing.assert_close(stats.hardness(theta, labels), hardness, rtol=1e-5, atol=1e-6)
        assert stats.score([(theta, labels)]) == pytest.approx(score, rel=1e-6)
    assert torch.equal(stats.prior(), usual.prior())
    torch.testing.assert_close(stats.joint(), usual.joint(), rtol=1e-6, atol=0)


def test_more_classes_than_eight_bits_can_count():
    theta, labels = sample(num_source=2, num_target=3)
    stats = LeepStatistics(2, 300).update(theta, labels.to(torch.uint8))
    assert torch.equal(stats.joint(), LeepStatistics(2, 300).update(theta, labels).joint())
    with pytest.raises(ValueError, match=r"labels must be in 0..299, got values from 0 to 300"):
        stats.update(theta, torch.where(labels == 2, 300, labels))


@pytest.mark.parametrize("num_target", [2, 3])
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.int64, torch.float16, torch.float64])
def test_every_dtype_of_labels_counts_alike(dtype, num_target):
    theta, labels = sample(num_target=2)
    usual = LeepStatistics(3, num_target).update(theta, labels)
    stats = LeepStatistics(3, num_target, 255).update(theta, labels.to(dtype))
    assert torch.equal(stats.joint(), usual.joint())
    assert torch.equal(stats.hardness(theta, labels.to(dtype)), usual.hardness(theta, labels))


def test_labels_beside_a_whole_number_are_refused():
    for beside in (1.0 - 2.0**-50, 0.5, math.nan, math.inf):
        for ignore_index in (None, 1, 255):
            labels = HAND_LABELS.double()
            labels[0, 0, 0] = beside
            stats = LeepStatistics(2, 2, ignore_index)
            with pytest.raises(ValueError, match="labels must hold whole numbers"):
                stats.update(HAND, labels)
            assert stats.num_pixels == 0


def test_an_ignored_class_zero_hides_no_bad_row_from_the_prediction():
    theta, labels = sample()
    stats = LeepStatistics(3, 4, ignore_index=0).update(theta, labels)
    with pytest.raises(ValueError, match="source_probabilities must sum to 1"):
        stats.expected_prediction(2 * theta)


def test_rows_just_within_the_tolerance_pass_and_just_beyond_do_not():
    for factor in (1.0009, 0.9991):
        LeepStatistics(2, 2).update(factor * HAND, HAND_LABELS)
    for factor in (1.0011, 0.9989):
        with pytest.raises(ValueError, match="sum to 1"):
            LeepStatistics(2, 2).update(factor * HAND, HAND_LABELS)


def test_the_labels_and_probabilities_given_are_left_as_they_are():
    theta, labels = sample(dtype=torch.float64, ignore_index=255)
    labels = labels.double()
    before = theta.clone(), labels.clone()
    LeepStatistics(3, 4, 255).update(theta, labels).hardness(theta, labels)
    assert torch.equal(theta, before[0])
    assert torch.equal(labels, before[1])


def test_statistics_of_inference_mode_go_on_outside_of_it():
    theta, labels = sample()
    with torch.inference_mode():
        stats = LeepStatistics(3, 4).update(theta, labels)
    twice = stats.update(theta, labels).merge(LeepStatistics(3, 4).update(theta, labels))
    assert twice.num_pixels == 3 * labels.numel()


def test_numbers_of_numpy_become_plain_ones():
    stats = LeepStatistics(np.int64(3), np.int32(4), np.int16(255))
    assert repr(stats) == repr(LeepStatistics(3, 4, 255))
    assert json.loads(json.dumps(stats.state_dict())) == LeepStatistics(3, 4, 255).state_dict()
