"""The transfer risk map: each scaling and weighting by its formula, and the guards."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from riskmap import LeepStatistics, TransferRiskMap
from riskmap.loss import NORMALIZATIONS
from riskmap.risk import PAPER_NORMALIZATION, SCALINGS, WEIGHTINGS


def sample(shape=(3, 9, 8), seed=0, ignore_index=None):
    """A batch of two source and two target classes, and the statistics of it."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(shape, generator=generator) < 0.3).long()
    logits = 2.0 * torch.randn(shape, generator=generator) + 2.0 * labels
    bright = logits.sigmoid()
    if ignore_index is not None:
        labels[torch.rand(shape, generator=generator) < 0.25] = ignore_index
    theta = torch.stack((1 - bright, bright), dim=1)
    return theta, labels, LeepStatistics(2, 2, ignore_index).update(theta, labels)


def source_of_kind(kind, labels):
    """Return a perfect, useless or inverted source of binary labels."""
    bright = {"perfect": 0.98 * labels + 0.01, "inverted": 0.99 - 0.98 * labels, "useless": 0.0 * labels + 0.3}[kind]
    return torch.stack((1 - bright, bright), dim=1)


@pytest.mark.parametrize("shape", [(3, 9, 8), (2, 6, 5, 4)])
@pytest.mark.parametrize("ignore_index", [None, 255])
def test_image_scaling_is_min_max_of_each_element(shape, ignore_index):
    theta, labels, stats = sample(shape, ignore_index=ignore_index)
    risk_map = TransferRiskMap(stats)
    risk, hardness = risk_map.scaled(theta, labels), risk_map.hardness(theta, labels)
    assert risk.shape == (shape[0], 1, *shape[1:])
    for image in range(shape[0]):
        valid = labels[image] != ignore_index if ignore_index else torch.ones(shape[1:], dtype=torch.bool)
        h, r = hardness[image, 0][valid], risk[image, 0][valid]
        torch.testing.assert_close(r, (h - h.min()) / (h.max() - h.min()))
        assert risk[image, 0][~valid].count_nonzero() == 0


def test_a_slice_of_a_patient_is_an_image():
    theta, labels, stats = sample()
    risk_map = TransferRiskMap(stats)
    whole = risk_map(theta, labels)
    for number in range(3):
        torch.testing.assert_close(whole[number : number + 1], risk_map(theta[[number]], labels[[number]]))


@pytest.mark.parametrize("kind", ["perfect", "useless", "inverted"])
def test_min_max_of_an_image_erases_absolute_risk(kind):
    _, labels, _ = sample()
    theta = source_of_kind(kind, labels)
    weights = TransferRiskMap.paper(LeepStatistics(2, 2).update(theta, labels))(theta, labels)
    torch.testing.assert_close(weights, 1.0 + 9.0 * labels[:, None].float())


def test_raw_hardness_keeps_absolute_risk():
    _, labels, _ = sample()
    peaks = {}
    for kind in ("perfect", "useless", "inverted"):
        theta = source_of_kind(kind, labels)
        risk_map = TransferRiskMap(LeepStatistics(2, 2).update(theta, labels), scaling="none", weighting="hardness")
        peaks[kind] = risk_map(theta, labels).max().item()
    assert peaks["perfect"] == pytest.approx(peaks["inverted"])
    assert peaks["useless"] > 10 * peaks["perfect"]


def test_dataset_scaling_keeps_the_difference_between_images():
    # the second image's source is right everywhere, the first one's knows nothing
    labels = torch.zeros(2, 8, 8, dtype=torch.long)
    labels[:, 2:5, 2:5] = 1
    theta = torch.cat((source_of_kind("useless", labels[:1]), source_of_kind("perfect", labels[1:])))
    stats = LeepStatistics(2, 2).update(theta, labels)
    by_image = TransferRiskMap(stats).scaled(theta, labels).amax((1, 2, 3))
    by_dataset = TransferRiskMap(stats, scaling="dataset").fit([(theta, labels)]).scaled(theta, labels).amax((1, 2, 3))
    assert by_image.tolist() == [1.0, 1.0]
    assert by_dataset[0] == 1.0
    assert by_dataset[1] < 0.8


def test_weightings_follow_their_formulas():
    theta, labels, stats = sample(ignore_index=255)
    valid = (labels != 255)[:, None]

    def weights(weighting, **options):
        return TransferRiskMap(stats, weighting=weighting, **options)(theta, labels)

    risk, hardness = TransferRiskMap(stats).scaled(theta, labels), stats.hardness(theta, labels)
    torch.testing.assert_close(weights("power", base=5.0)[valid], 5.0 ** risk[valid])
    torch.testing.assert_close(weights("linear"), risk)
    torch.testing.assert_close(weights("affine", slope=3.0)[valid], 1 + 3 * risk[valid])
    torch.testing.assert_close(weights("power", scaling="none")[valid], 10 ** hardness[valid])
    torch.testing.assert_close(weights("hardness", scaling="none"), hardness)
    for image in range(3):
        inside = hardness[image][valid[image]]
        torch.testing.assert_close(weights("hardness")[image][valid[image]], inside / inside.mean())
    fitted = TransferRiskMap(stats, scaling="dataset", weighting="hardness").fit([(theta, labels)])
    torch.testing.assert_close(fitted(theta, labels)[valid].mean().item(), 1.0)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_every_choice_is_finite_within_its_bounds_and_zero_where_ignored(scaling, weighting):
    theta, labels, stats = sample(ignore_index=-100)
    risk_map = TransferRiskMap(stats, scaling=scaling, weighting=weighting, floor=0.5, ceiling=1.5, smoothing=1.0)
    weights = risk_map.fit([(theta, labels)])(theta, labels)
    ignored = (labels == -100)[:, None]
    assert weights[ignored].count_nonzero() == 0
    assert 0.5 <= weights[~ignored].min() <= weights[~ignored].max() <= 1.5


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("level", [1.0, 0.5])
def test_a_constant_map_says_no_pixel_is_harder(scaling, level):
    # level 1: a perfect source; level 0.5: one that knows nothing, with balanced labels
    labels = torch.arange(64).reshape(1, 8, 8) % 2
    bright = torch.where(labels == 1, level, 1 - level)
    theta = torch.stack((1 - bright, bright), dim=1)
    stats = LeepStatistics(2, 2).update(theta, labels)
    for smoothing in (0.0, 1.5):
        risk_map = TransferRiskMap(stats, scaling=scaling, weighting="hardness", smoothing=smoothing)
        weights = risk_map.fit([(theta, labels)])(theta, labels)
        if scaling == "none":
            torch.testing.assert_close(weights, torch.full_like(weights, -math.log(level)))
        else:
            torch.testing.assert_close(weights, torch.ones_like(weights))
            assert risk_map.scaled(theta, labels).count_nonzero() == 0


# dataset scaling cannot tell apart what lies within the width of a histogram's bin
@pytest.mark.parametrize(("scaling", "noise"), [("image", 1e-7), ("dataset", 1e-7), ("dataset", 1e-4)])
def test_noise_is_not_stretched_into_a_map(scaling, noise):
    _, labels, stats = sample()
    background = torch.zeros_like(labels)
    generator = torch.Generator().manual_seed(1)
    # many levels, so that some lie across the border of two bins
    for level in torch.linspace(0.3, 0.5, 40):
        bright = level + noise * torch.rand(labels.shape, generator=generator)
        theta = torch.stack((1 - bright, bright), dim=1)
        hardness = stats.hardness(theta, background)
        assert hardness.min() < hardness.max()
        risk = TransferRiskMap(stats, scaling=scaling).fit([(theta, background)]).scaled(theta, background)
        assert risk.count_nonzero() == 0


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_an_image_without_valid_pixels_is_zero(weighting):
    theta, labels, stats = sample(ignore_index=255)
    labels[1] = 255
    weights = TransferRiskMap(stats, weighting=weighting, floor=0.1)(theta, labels)
    assert weights[1].count_nonzero() == 0
    assert weights[[0, 2]].isfinite().all()


@pytest.mark.parametrize("quantiles", [(0.05, 0.95), (0.0, 1.0), (0.25, 0.5)])
def test_fit_finds_quantiles_and_mean(quantiles):
    batches = [sample((4, 20, 20), seed=seed, ignore_index=255)[:2] for seed in range(3)]
    stats = LeepStatistics(2, 2, 255)
    for batch in batches:
        stats.update(*batch)
    risk_map = TransferRiskMap(stats, scaling="dataset", quantiles=quantiles).fit(iter(batches))
    hardness = torch.cat([stats.hardness(*batch)[(batch[1] != 255)[:, None]] for batch in batches]).double().numpy()
    np.testing.assert_allclose(
        risk_map.dataset_limits, np.quantile(hardness, quantiles, method="lower"), rtol=5e-3, atol=1e-6
    )
    assert risk_map.dataset_mean == pytest.approx(hardness.mean(), rel=1e-6)
    low, high = risk_map.dataset_limits
    expected = ((stats.hardness(*batches[0]) - low) / (high - low)).clamp(0, 1)
    expected[(batches[0][1] == 255)[:, None]] = 0
    torch.testing.assert_close(risk_map.scaled(*batches[0]), expected)


def test_coinciding_quantiles_become_a_step():
    # 1 % foreground: both quantiles are the background's hardness
    labels = torch.zeros(1, 20, 20, dtype=torch.long)
    labels[0, 3:5, 3:5] = 1
    theta = source_of_kind("useless", labels)
    stats = LeepStatistics(2, 2).update(theta, labels)
    risk = TransferRiskMap(stats, scaling="dataset").fit([(theta, labels)]).scaled(theta, labels)
    assert torch.equal(risk, labels[:, None].float())


def test_smoothing_is_a_normalised_gaussian_of_the_valid_pixels():
    theta, labels, stats = sample((2, 16, 17), ignore_index=255)
    smoothed = TransferRiskMap(stats, smoothing=1.5).hardness(theta, labels)
    for image in range(2):
        valid = (labels[image] != 255).numpy()
        hardness = stats.hardness(theta, labels)[image, 0].double().numpy()
        options = {"sigma": 1.5, "mode": "constant"}
        expected = gaussian_filter(hardness, **options) / gaussian_filter(valid.astype(float), **options)
        # the library's kernel integrates the Gaussian over each pixel, scipy's samples it
        np.testing.assert_allclose(smoothed[image, 0].numpy()[valid], expected[valid], rtol=0.05)
        assert not smoothed[image, 0].numpy()[~valid].any()


def test_no_smoothing_across_the_images_of_a_batch():
    theta, labels, stats = sample()
    risk_map = TransferRiskMap(stats, smoothing=2.0)
    torch.testing.assert_close(risk_map.hardness(theta, labels)[:1], risk_map.hardness(theta[:1], labels[:1]))


def test_the_preset_is_the_documented_reconstruction():
    theta, labels, stats = sample()
    explicit = TransferRiskMap(stats, scaling="image", weighting="power", base=10.0)
    torch.testing.assert_close(TransferRiskMap.paper(stats)(theta, labels), explicit(theta, labels))
    assert PAPER_NORMALIZATION in NORMALIZATIONS
    assert "reconstruction" in TransferRiskMap.paper.__doc__


@pytest.mark.parametrize("weighting", ["power", "hardness"])
def test_dataset_scaling_before_fit(weighting):
    theta, labels, stats = sample()
    with pytest.raises(ValueError, match=r"call fit\(batches\) first"):
        TransferRiskMap(stats, scaling="dataset", weighting=weighting)(theta, labels)


def test_a_failed_fit_keeps_the_earlier_one():
    theta, labels, stats = sample(ignore_index=255)
    risk_map = TransferRiskMap(stats, scaling="dataset").fit([(theta, labels)])
    before = risk_map.dataset_limits, risk_map.dataset_mean
    for bad in ([], [(theta, torch.full_like(labels, 255))], [(theta, labels), (theta, labels + 7)]):
        with pytest.raises(ValueError, match=r"batches must hold|labels must be"):
            risk_map.fit(bad)
    assert (risk_map.dataset_limits, risk_map.dataset_mean) == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scaling": "minmax"}, ValueError, "scaling must be one of 'image', 'dataset', 'none', got 'minmax'"),
        ({"weighting": "exp"}, ValueError, "weighting must be one of .* got 'exp'"),
        ({"base": 0.5}, ValueError, "base must be finite and between 1.0"),
        ({"slope": -1}, ValueError, "slope must be"),
        ({"floor": -0.1}, ValueError, "floor must be"),
        ({"floor": 2.0, "ceiling": 1.0}, ValueError, "ceiling must be finite and between 2.0"),
        ({"ceiling": 0.0}, ValueError, "ceiling must be above 0"),
        ({"smoothing": math.inf}, ValueError, "smoothing must be finite"),
        ({"quantiles": (0.9, 0.1)}, ValueError, "quantiles must rise"),
        ({"quantiles": (0.1, 1.1)}, ValueError, "quantiles must be finite and between 0.0 and 1.0, got 1.1"),
        ({"quantiles": (0.1, 0.5, 0.9)}, ValueError, "quantiles must be a lower and an upper one"),
        ({"base": "10"}, TypeError, "base must be a number, got str"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        TransferRiskMap(LeepStatistics(2, 2), **options)


def test_statistics_of_another_type_and_never_updated():
    theta, labels, _ = sample()
    with pytest.raises(TypeError, match="statistics must be LeepStatistics, got dict"):
        TransferRiskMap({})
    with pytest.raises(ValueError, match="call update"):
        TransferRiskMap(LeepStatistics(2, 2))(theta, labels)


def test_unsigned_labels_never_equal_a_negative_ignore_label():
    # 156 is -100 in eight bits
    labels = torch.tensor([[[0, 156]]], dtype=torch.uint8)
    theta = torch.full((1, 2, 1, 2), 0.5)
    weights = TransferRiskMap(LeepStatistics(2, 157, -100).update(theta, labels))(theta, labels)
    assert weights.flatten().tolist() == [1.0, 1.0]


def test_a_device_without_float64_gives_the_same_map(monkeypatch):
    theta, labels, stats = sample(ignore_index=255)

    def weights():
        maps = [TransferRiskMap(stats, scaling=scaling, weighting="hardness", smoothing=1.0) for scaling in SCALINGS]
        return [risk_map.fit([(theta, labels)])(theta, labels) for risk_map in maps]

    usual = weights()
    monkeypatch.setattr("riskmap.leep.has_float64", lambda device: False)
    for one, other in zip(weights(), usual, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_a_base_of_numpy_is_a_number():
    theta, labels, stats = sample()
    maps = [TransferRiskMap(stats, base=base)(theta, labels) for base in (10, np.float32(10), np.int64(10))]
    assert torch.equal(maps[0], maps[1])
    assert torch.equal(maps[0], maps[2])
