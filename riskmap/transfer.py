"""Where transfer hurts: pixels harmed and repaired, over a stated region, beside the churn between two seeds.

The gap of two Dice scores says how much transfer costs (Wang et al., CVPR 2019); these counts say where. Precedent:
"hidden negative transfer" per token (Meftah et al., 2021).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation


@dataclass(frozen=True)
class PixelTransfer:
    """What transfer changed in one image.

    Shape: all masks [X, Y, Z] (or any common shape): ``harmed`` (scratch right, transfer wrong), ``repaired`` (scratch
    wrong, transfer right), ``region`` (where they are counted).
    """

    harmed: np.ndarray
    repaired: np.ndarray
    region: np.ndarray

    @property
    def harmed_fraction(self) -> float:
        """Harmed pixels as a share of the region, 0..1."""
        return float(self.harmed.sum() / self.region.sum())

    @property
    def repaired_fraction(self) -> float:
        """Repaired pixels as a share of the region, 0..1; minus the harmed share it is the change of accuracy."""
        return float(self.repaired.sum() / self.region.sum())


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
        ValueError: the shapes differ, the margin is negative, or no pixel is foreground anywhere.

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
    if not region.any():
        raise ValueError("truth, scratch and transferred hold no foreground: there is no region to count in")
    right_before, right_after = scratch == truth, transferred == truth
    return PixelTransfer(right_before & ~right_after & region, ~right_before & right_after & region, region)


def compare_patients(
    truth: Mapping[str, np.ndarray], scratch: Mapping[str, np.ndarray], transferred: Mapping[str, np.ndarray]
) -> dict[str, PixelTransfer]:
    """Return {patient: :func:`compare_pixels`} of class indices by patient."""
    return {name: compare_pixels(truth[name], scratch[name], transferred[name]) for name in truth}


def mean_fractions(changes: Mapping[str, PixelTransfer]) -> dict[str, float]:
    """Return the harmed and the repaired share of the region, averaged over patients."""
    return {
        "harmed": float(np.mean([change.harmed_fraction for change in changes.values()])),
        "repaired": float(np.mean([change.repaired_fraction for change in changes.values()])),
    }


def most_harmed(changes: Mapping[str, PixelTransfer]) -> tuple[str, int]:
    """Return the patient with the most harmed pixels and the axial slice z of [X, Y, Z] that holds most of them."""
    worst = max(changes, key=lambda name: changes[name].harmed.sum())
    return worst, int(changes[worst].harmed.sum((0, 1)).argmax())
