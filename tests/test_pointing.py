"""Does a score of the pixels forecast where transfer harms?"""

import numpy as np
import pytest
import torch

from riskmap.leep import SMALLEST_PROBABILITY, LeepStatistics
from riskmap.measure.pointing import mean_pointing, pointing, reference_scores

SPACING = (1.0, 2.0, 4.0)


def softmax_of(labels, num_classes, seed=0):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(num_classes, *labels.shape)) + 2.0 * (
        labels == np.arange(num_classes)[:, None, None, None]
    )
    return torch.from_numpy(logits).softmax(0).numpy().astype(np.float32)


@pytest.fixture
def labels():
    return np.random.default_rng(1).choice(3, size=(6, 5, 4), p=[0.6, 0.3, 0.1]).astype(np.uint8)


def fit(probabilities, labels, num_classes=3):
    tensors = torch.from_numpy(probabilities)[None], torch.from_numpy(labels.astype(np.int64))[None]
    return LeepStatistics(len(probabilities), num_classes).update(*tensors)


def test_areas_by_hand():
    """Scores 4 3 2 1 with the event at 4 and 2: three of four pairs in order, precisions 1 and 2/3."""
    score, event = np.array([4.0, 3.0, 2.0, 1.0, 9.0]), np.array([True, False, True, False, False])
    candidates = np.array([True, True, True, True, False])
    row = pointing({"score": score}, candidates, event).iloc[0]
    assert (row["auroc"], row["average_precision"]) == pytest.approx((3 / 4, (1 + 2 / 3) / 2))
    assert row["prevalence"] == 0.5, "the pixel outside the candidates is not counted"


@pytest.mark.parametrize(("score", "auroc", "precision"), [(1.0, 1.0, 1.0), (0.0, 0.5, 0.25), (-1.0, 0.0, 0.25)])
def test_perfect_constant_and_inverted_maps(score, auroc, precision):
    event = np.array([[True, False], [False, False]])
    row = pointing({"map": score * event}, np.ones((2, 2), dtype=bool), event).iloc[0]
    assert (row["auroc"], row["average_precision"]) == pytest.approx((auroc, precision))


@pytest.mark.parametrize(("event", "prevalence"), [([False, False], 0.0), ([True, True], 1.0)])
def test_without_two_kinds_of_pixels_nothing_is_defined(event, prevalence):
    row = pointing({"map": np.array([0.0, 1.0])}, np.ones(2, dtype=bool), np.array(event)).iloc[0]
    assert np.isnan(row["auroc"])
    assert np.isnan(row["average_precision"])
    assert row["prevalence"] == prevalence


def test_no_candidate_has_no_prevalence():
    assert pointing({"map": np.zeros(2)}, np.zeros(2, dtype=bool), np.ones(2, dtype=bool)).isna().iloc[0, 1:].all()


def test_the_mean_leaves_out_and_counts_patients_without_an_area():
    candidates, score = np.ones(4, dtype=bool), np.array([1.0, 2.0, 3.0, 4.0])
    events = {"a": [0, 0, 0, 1], "b": [1, 0, 0, 1], "c": [0, 0, 0, 0]}
    tables = {
        name: pointing({"up": score, "flat": 0 * score}, candidates, np.array(event, dtype=bool))
        for name, event in events.items()
    }
    mean = mean_pointing(tables).set_index("score")
    assert mean.index.tolist() == ["up", "flat"]
    assert mean.loc["up", ["auroc", "auroc_low", "auroc_high"]].tolist() == pytest.approx([0.75, 0.5, 1.0])
    assert mean.loc["flat", ["average_precision", "prevalence"]].tolist() == pytest.approx([3 / 8, 3 / 8])
    assert mean[["patients", "undefined"]].values.tolist() == [[2, 1]] * 2
    nothing = mean_pointing({"c": tables["c"]})
    assert nothing["auroc"].isna().all()
    assert nothing["undefined"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"event": np.zeros(3)}, TypeError, "event must be boolean"),
        ({"candidates": np.ones(2, dtype=bool)}, ValueError, "must have one shape"),
        ({"scores": {"map": np.array([0.0, np.inf, 0.0])}}, ValueError, r"scores\['map'\] must be finite"),
    ],
)
def test_bad_input_of_pointing_is_named(change, error, message):
    good = {"scores": {"map": np.zeros(3)}, "candidates": np.ones(3, dtype=bool), "event": np.zeros(3, dtype=bool)}
    with pytest.raises(error, match=message):
        pointing(**good | change)


def test_reference_scores_by_their_formulas(labels):
    probabilities = softmax_of(labels, 3)
    statistics = fit(probabilities, labels)
    scores = reference_scores(probabilities, labels, statistics, SPACING)
    assert {score.shape for score in scores.values()} == {labels.shape}
    place = (2, 3, 1)
    label, theta = labels[place], probabilities[(slice(None), *place)]
    expected = statistics.conditional().numpy()[label] @ theta
    assert scores["hardness"][place] == pytest.approx(-np.log(expected), rel=1e-5)
    assert scores["class prior"][place] == pytest.approx(-np.log((labels == label).mean()))
    assert scores["source cross-entropy"][place] == pytest.approx(-np.log(theta[label]), rel=1e-5)
    assert scores["source entropy"][place] == pytest.approx(-(theta * np.log(theta)).sum(), rel=1e-5)
    others = np.argwhere(labels != label)
    nearest = np.linalg.norm((others - place) * SPACING, axis=1).min()
    assert scores["distance to the boundary"][place] == pytest.approx(1 / nearest)


def test_the_shuffled_map_keeps_the_values_of_each_class_of_each_slice(labels):
    probabilities = softmax_of(labels, 3)
    statistics = fit(probabilities, labels)
    first, again, other = (
        reference_scores(probabilities, labels, statistics, SPACING, seed=seed) for seed in (7, 7, 8)
    )
    hardness, shuffled = first["hardness"], first["shuffled map"]
    assert np.array_equal(shuffled, again["shuffled map"])
    assert not np.array_equal(shuffled, other["shuffled map"])
    assert (shuffled != hardness).mean() > 0.3
    for z in range(labels.shape[2]):
        for index in range(3):
            part = labels[..., z] == index
            assert np.array_equal(np.sort(shuffled[..., z][part]), np.sort(hardness[..., z][part]))


def test_a_source_that_knows_nothing_has_the_hardness_of_the_class_prior(labels):
    nothing = np.full((2, *labels.shape), 0.5, dtype=np.float32)
    scores = reference_scores(nothing, labels, fit(nothing, labels), SPACING)
    assert scores["hardness"] == pytest.approx(scores["class prior"], rel=1e-6)
    assert scores["source entropy"] == pytest.approx(np.log(2))
    assert "source cross-entropy" not in scores, "two source classes, three labels"


def test_an_image_scores_like_a_volume_of_one_slice(labels):
    probabilities = softmax_of(labels, 3)
    statistics = fit(probabilities, labels)
    volume = reference_scores(probabilities[..., :1], labels[..., :1], statistics, SPACING)
    image = reference_scores(probabilities[..., 0], labels[..., 0], statistics, SPACING[:2])
    for name, score in image.items():
        assert np.array_equal(score, volume[name][..., 0]), name


def test_scores_stay_finite_without_a_boundary_or_a_probability(labels):
    empty = np.zeros_like(labels)
    certain = np.stack((empty, empty + 1, empty)).astype(np.float32)
    scores = reference_scores(certain, empty, fit(softmax_of(labels, 3), labels), SPACING)
    assert (scores["distance to the boundary"] == 0).all()
    assert (scores["source entropy"] == 0).all()
    assert scores["source cross-entropy"] == pytest.approx(-np.log(SMALLEST_PROBABILITY))
    assert all(np.isfinite(score).all() for score in scores.values())


def test_a_label_out_of_bounds_is_named(labels):
    probabilities = softmax_of(labels, 3)
    statistics = fit(probabilities, labels)
    labels[0, 0, 0] = 255
    with pytest.raises(ValueError, match="labels must be class indices from 0 to 2"):
        reference_scores(probabilities, labels, statistics, SPACING)
