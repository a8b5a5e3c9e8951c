"""Does the map point at the harm? Scores of pixels as forecasts of where transfer turns right into wrong.

Among the pixels that scratch gets right, the event is that transfer gets them wrong. Hardness is compared with simpler
scores: where those forecast as well, the map adds nothing to them. Every score but the entropy knows the true label.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from scipy.special import entr
from sklearn.metrics import average_precision_score, roc_auc_score

from riskmap.data.patients import slices_to_volume, volume_to_slices
from riskmap.leep import SMALLEST_PROBABILITY, LeepStatistics
from riskmap.measure.harm import distance_to_boundary
from riskmap.measure.statistics import patient_mean
from riskmap.twins import cross_entropy_of, shuffle_within_class


def reference_scores(
    source_probabilities: np.ndarray,
    labels: np.ndarray,
    statistics: LeepStatistics,
    spacing: Sequence[float],
    seed: int = 0,
) -> dict[str, np.ndarray]:
    r"""Return the hardness of one volume and the scores to hold beside it; high means that harm is expected.

    With source softmax :math:`\theta` and label y at a pixel:

    - "hardness": :math:`-\log \sum_z C[y|z] \, \theta[z]`, see :class:`~riskmap.leep.LeepStatistics`;
    - "class prior": :math:`-\log P(y)` of the training pixels, all that hardness keeps of a source that knows nothing;
    - "source cross-entropy": :math:`-\log \theta[y]`, only where source and target have equally many classes; it
      takes class c of the one for class c of the other;
    - "source entropy": :math:`-\sum_z \theta[z] \log \theta[z]`, in nats;
    - "distance to the boundary": its inverse in 1/mm, so that near is high; 0 where there is only one label;
    - "shuffled map": hardness permuted within each class of each axial slice.

    Args:
        source_probabilities: softmax of the source.
        labels: class indices, 0..K_t-1; ignored pixels have no place here.
        statistics: of the target's training pixels.
        spacing: pixel size in mm along each axis, above 0.
        seed: of the permutation.

    Shape:
        source_probabilities [C_s, X, Y, Z], labels and each score [X, Y, Z]; or [C_s, X, Y] and [X, Y].

    Raises:
        TypeError, ValueError: an argument does not fit; its name, what came and what is allowed are in the message.
    """
    classes = statistics.num_target_classes
    if labels.size == 0 or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must be class indices from 0 to {classes - 1}, got {np.unique(labels).tolist()}")
    indices = labels.astype(np.int64)
    theta, truth = (torch.from_numpy(np.ascontiguousarray(array))[None] for array in (source_probabilities, indices))
    hardness = statistics.hardness(theta, truth)[0, 0].numpy()
    of_class = statistics.prior().clamp_min(SMALLEST_PROBABILITY).log().neg().numpy()
    scores = {"hardness": hardness, "class prior": of_class[indices]}
    if statistics.num_source_classes == classes:
        scores["source cross-entropy"] = cross_entropy_of(theta, truth[:, None], SMALLEST_PROBABILITY)[0, 0].numpy()
    scores["source entropy"] = entr(source_probabilities).sum(axis=0)
    scores["distance to the boundary"] = 1.0 / distance_to_boundary(labels, spacing)
    scores["shuffled map"] = _shuffled(hardness, indices, seed)
    return scores


def pointing(scores: Mapping[str, np.ndarray], candidates: np.ndarray, event: np.ndarray) -> pd.DataFrame:
    """Return how well each score forecasts the event among the candidates of one patient.

    For truth y, scratch s, transfer t and ``change = compare_pixels(y, s, t)`` the candidates are
    ``change.region & (s == y)`` and the event is ``t != y``.

    Args:
        scores: finite scores by name, high where the event is expected.
        candidates: the pixels in question, boolean.
        event: where it happened, boolean; outside the candidates it is not looked at.

    Returns:
        One row per score: ``score``; ``auroc``, 0.5 by chance; ``average_precision``; ``prevalence``, the share of
        candidates with the event, which is the average precision by chance. Where no candidate or every one has the
        event, AUROC and average precision are NaN: there is nothing to tell apart.

    Shape:
        candidates, event and each score have one common shape.

    Raises:
        TypeError: a mask is not boolean.
        ValueError: the shapes differ, or a score is not finite at a candidate.

    >>> harmed = np.array([False, True, False, True])
    >>> table = pointing({"perfect": 1.0 * harmed, "constant": np.zeros(4)}, np.ones(4, dtype=bool), harmed)
    >>> table["auroc"].tolist(), table["average_precision"].tolist(), table["prevalence"].tolist()
    ([1.0, 0.5], [1.0, 0.5], [0.5, 0.5])
    """
    for name, mask in (("candidates", candidates), ("event", event)):
        if mask.dtype != bool:
            raise TypeError(f"{name} must be boolean, got {mask.dtype}")
    shapes = {"candidates": candidates.shape, "event": event.shape} | {name: scores[name].shape for name in scores}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"candidates, event and scores must have one shape, got {shapes}")
    happened = event[candidates]
    is_defined = happened.any() and not happened.all()
    prevalence = happened.mean() if happened.size else np.nan
    rows = []
    for name, score in scores.items():
        values = score[candidates]
        if not np.isfinite(values).all():
            raise ValueError(f"scores[{name!r}] must be finite at every candidate")
        auroc, precision = np.nan, np.nan
        if is_defined:
            auroc, precision = roc_auc_score(happened, values), average_precision_score(happened, values)
        rows.append({"score": name, "auroc": auroc, "average_precision": precision, "prevalence": prevalence})
    return pd.DataFrame(rows)


def mean_pointing(tables: Mapping[str, pd.DataFrame], seed: int = 0) -> pd.DataFrame:
    """Return the means of :func:`pointing` over patients, with bootstrap intervals.

    Args:
        tables: by patient, each with the same scores.
        seed: of the resampling.

    Returns:
        One row per score: the means of ``auroc`` and ``average_precision`` with their bounds ``auroc_low`` and so on,
        and of ``prevalence``, all over the same ``patients``, those for whom AUROC is defined; ``undefined`` counts the
        others. Without a defined patient the means are NaN.
    """
    rows = []
    for name, group in pd.concat(tables.values()).groupby("score", sort=False):
        defined = group.dropna(subset="auroc")
        row = {"score": name}
        for column in ("auroc", "average_precision"):
            found = patient_mean(defined[column], seed) if len(defined) else None
            for end, field in (("", "mean"), ("_low", "low"), ("_high", "high")):
                row[column + end] = getattr(found, field, np.nan)
        counts = {"patients": len(defined), "undefined": len(group) - len(defined)}
        rows.append(row | {"prevalence": defined["prevalence"].mean()} | counts)
    return pd.DataFrame(rows)


def _shuffled(hardness: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    # an image [X, Y] becomes a volume of one slice [X, Y, 1]
    weights, classes = (volume_to_slices(np.atleast_3d(array)) for array in (hardness, labels))
    return slices_to_volume(shuffle_within_class(weights, classes, seed)[:, 0]).reshape(hardness.shape)
