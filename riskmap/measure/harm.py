"""Where transfer hurts: pixels harmed and repaired, over a stated region, beside the churn between two seeds.

The gap of two Dice scores says how much transfer costs (Wang et al., CVPR 2019); these counts say where. Precedent:
"hidden negative transfer" per token (Meftah et al., 2021).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.ndimage import binary_dilation, distance_transform_edt

KINDS = ("missed", "false alarms", "found", "cleared")
BAND_EDGES_MM = (0.0, 2.0, 4.0, 8.0, 16.0, np.inf)


@dataclass(frozen=True)
class PixelTransfer:
    """What transfer changed in one image.

    Shape: all masks [X, Y, Z] (or any common shape): ``harmed`` (scratch right, transfer wrong), ``repaired`` (scratch
    wrong, transfer right), ``region`` (where they are counted). Where neither the truth nor a prediction holds
    foreground the region is empty, and a share of it is NaN: there is nothing to count.
    """

    harmed: np.ndarray
    repaired: np.ndarray
    region: np.ndarray

    @property
    def harmed_fraction(self) -> float:
        """Harmed pixels as a share of the region, 0..1, or NaN."""
        return _share(self.harmed.sum(), self.region.sum())

    @property
    def repaired_fraction(self) -> float:
        """Repaired pixels as a share of the region, 0..1, or NaN; minus the harmed share: the change of accuracy."""
        return _share(self.repaired.sum(), self.region.sum())


def compare_pixels(
    truth: np.ndarray, scratch: np.ndarray, transferred: np.ndarray, *, margin: int = 3
) -> PixelTransfer:
    """Count the pixels that transfer harmed and repaired, for truth y, scratch s and transfer t.

    ``harmed = #{s = y, t != y}`` and ``repaired = #{s != y, t = y}``. The region is the foreground of the truth, grown
    by ``margin`` pixels and joined with both predictions: over the whole volume the easy background would hide both.

    Args:
        truth, scratch, transferred: class indices, one common shape.
        margin: pixels by which the true foreground is grown, >= 0.

    Raises:
        ValueError: the shapes differ, or the margin is negative.

    >>> y, s, t = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]), np.array([0, 0, 1, 0])
    >>> result = compare_pixels(y, s, t, margin=0)
    >>> result.harmed_fraction, result.repaired_fraction
    (0.5, 0.5)
    """
    if not truth.shape == scratch.shape == transferred.shape:
        shapes = {"truth": truth.shape, "scratch": scratch.shape, "transferred": transferred.shape}
        raise ValueError(f"truth, scratch and transferred must have one shape, got {shapes}")
    if margin < 0:
        raise ValueError(f"margin={margin} must be at least 0")
    foreground = truth > 0
    # scipy reads iterations=0 as "until nothing changes"
    grown = binary_dilation(foreground, iterations=margin) if margin else foreground
    region = grown | (scratch > 0) | (transferred > 0)
    right_before, right_after = scratch == truth, transferred == truth
    return PixelTransfer(right_before & ~right_after & region, ~right_before & right_after & region, region)


def compare_patients(
    truth: Mapping[str, np.ndarray], scratch: Mapping[str, np.ndarray], transferred: Mapping[str, np.ndarray]
) -> dict[str, PixelTransfer]:
    """Return {patient: :func:`compare_pixels`} of class indices by patient."""
    return {name: compare_pixels(truth[name], scratch[name], transferred[name]) for name in truth}


def kinds_of(harmed: np.ndarray, repaired: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Return what transfer changed, split by what the truth holds there, as a mask for each of ``KINDS``.

    Harm is foreground that transfer *missed*, or a *false alarm* in the background; repair is foreground that it
    *found*, or background that it *cleared* of a false alarm.

    Args:
        harmed, repaired: masks of any common shape.
        truth: class indices of that shape.

    >>> masks = kinds_of(np.array([True, True]), np.array([False, False]), np.array([1, 0]))
    >>> {kind: mask.tolist() for kind, mask in masks.items() if mask.any()}
    {'missed': [True, False], 'false alarms': [False, True]}
    """
    foreground = truth > 0
    masks = (harmed & foreground, harmed & ~foreground, repaired & foreground, repaired & ~foreground)
    return dict(zip(KINDS, masks, strict=True))


def mean_kinds(changes: Mapping[str, PixelTransfer], truth: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the share of the region of each of ``KINDS``, averaged over ``patients``.

    Patients without a region take no part in the means; without any other the means are NaN.

    Raises:
        ValueError: a truth has another shape than the masks.
    """
    shares = [
        [_share(count, int(change.region.sum())) for count in _counts(change, truth[name])]
        for name, change in changes.items()
        if change.region.any()
    ]
    means = np.mean(shares, axis=0).tolist() if shares else [float("nan")] * len(KINDS)
    return {**dict(zip(KINDS, means, strict=True)), "patients": len(shares)}


def most_harmed(changes: Mapping[str, PixelTransfer]) -> tuple[str, int]:
    """Return the patient with the most harmed pixels and the axial slice z of [X, Y, Z] that holds most of them."""
    worst = max(changes, key=lambda name: changes[name].harmed.sum())
    return worst, int(changes[worst].harmed.sum((0, 1)).argmax())


def distance_to_boundary(labels: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Return each pixel's distance in mm to the nearest pixel of another label, from centre to centre.

    Args:
        labels: class indices, [X, Y, Z] or [X, Y].
        spacing: pixel size in mm along each axis, above 0.

    Returns:
        float64, shaped like ``labels``, at least the smallest spacing; infinite where there is only one label.

    Raises:
        ValueError: the spacing does not fit the axes.

    >>> distance_to_boundary(np.array([0, 0, 1, 1, 1]), spacing=[2.0]).tolist()
    [4.0, 2.0, 2.0, 4.0, 6.0]
    """
    if len(spacing) != labels.ndim or not all(0 < size < np.inf for size in spacing):
        raise ValueError(f"spacing={tuple(spacing)} must hold {labels.ndim} sizes above 0 mm, one per axis of labels")
    distance = np.full(labels.shape, np.inf)
    classes = np.unique(labels)
    # scipy's distance to the nearest zero means nothing where there is no zero
    if classes.size > 1:
        for index in classes:
            inside = labels == index
            distance[inside] = distance_transform_edt(inside, sampling=spacing)[inside]
    return distance


def fractions_by_distance(
    change: PixelTransfer, truth: np.ndarray, spacing: Sequence[float], edges: Sequence[float] = BAND_EDGES_MM
) -> pd.DataFrame:
    """Return what transfer harmed and repaired in bands of distance to the boundary of the true labels.

    Args:
        change: what transfer changed in one image.
        truth: class indices, [X, Y, Z] or [X, Y], shaped like the masks of ``change``.
        spacing: pixel size in mm along each axis, above 0.
        edges: of the bands in mm, rising from 0 to infinity, so that every pixel of the region has its band. A band
            holds its upper edge and not its lower one: no pixel is nearer than one pixel to another label.

    Returns:
        One row per band: ``band``, ``pixels`` (of the region), ``harmed`` and ``repaired`` (shares of these pixels, NaN
        in an empty band).

    Raises:
        ValueError: truth, spacing or edges do not fit.
    """
    _check_truth(change, truth)
    if edges[0] != 0 or edges[-1] != np.inf or not (np.diff(edges) > 0).all():
        raise ValueError(f"edges={tuple(edges)} must rise from 0 to infinity")
    distance = distance_to_boundary(truth, spacing)[change.region]
    bands = np.searchsorted(edges, distance, side="left") - 1
    names = [f"{low:g} to {high:g} mm" for low, high in pairwise(edges[:-1])]
    names.append(f"over {edges[-2]:g} mm")
    pixels = pd.Series(np.bincount(bands, minlength=len(names)))
    counts = {
        name: np.bincount(bands, weights=mask[change.region], minlength=len(names))
        for name, mask in (("harmed", change.harmed), ("repaired", change.repaired))
    }
    return pd.DataFrame({"band": names, "pixels": pixels, **{name: n / pixels for name, n in counts.items()}})


def beyond_churn(
    changes: Mapping[str, PixelTransfer], churn: Mapping[str, PixelTransfer], truth: Mapping[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Return, per patient and kind, what transfer changed beyond a second training from scratch with other weights.

    ``(#kind(transfer) - #kind(churn)) / #region``: only this excess is caused by transfer. Of the harm, "missed" is
    foreground and "false alarms" background; of the repair, "found" is foreground and "cleared" background. The region
    is that of both comparisons joined, since shares of two regions cannot be subtracted; no pixel outside its own is
    changed. A patient whose joined region is empty has NaN.

    Args:
        changes: scratch against transfer, by patient.
        churn: the same scratch against another scratch, by patient: :func:`compare_patients` of these two.
        truth: class indices, shaped like the masks of the changes.

    Returns:
        {patient: shares by the names of ``KINDS``}.

    Raises:
        ValueError: the patients differ, or a truth has another shape.

    >>> y, s = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 1])
    >>> transfer, again = (compare_pixels(y, s, t, margin=1) for t in (np.array([1, 0, 1, 0]), np.array([0, 1, 0, 0])))
    >>> beyond_churn({"a": transfer}, {"a": again}, {"a": y})["a"]
    {'missed': 0.25, 'false alarms': 0.25, 'found': 0.25, 'cleared': 0.0}
    """
    if not changes.keys() == churn.keys() <= truth.keys():
        raise ValueError(f"changes and churn must hold the same patients, got {sorted(changes)} and {sorted(churn)}")
    excess = {}
    for name, change in changes.items():
        region = int((change.region | churn[name].region).sum())
        counts = zip(_counts(change, truth[name]), _counts(churn[name], truth[name]), strict=True)
        excess[name] = {kind: _share(of - by, region) for kind, (of, by) in zip(KINDS, counts, strict=True)}
    return excess


def _counts(change: PixelTransfer, truth: np.ndarray) -> list[int]:
    """Return the number of pixels of each of ``KINDS``."""
    _check_truth(change, truth)
    return [int(mask.sum()) for mask in kinds_of(change.harmed, change.repaired, truth).values()]


def _share(count: int, total: int) -> float:
    return float(count / total) if total else float("nan")


def _check_truth(change: PixelTransfer, truth: np.ndarray) -> None:
    if truth.shape != change.region.shape:
        raise ValueError(f"truth must have the region's shape {change.region.shape}, got {truth.shape}")
