"""Means and intervals over patients. Seeds are averaged per patient first: seeds are not patients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap


@dataclass(frozen=True)
class Estimate:
    """A mean over patients with its bootstrap interval (NaN bounds for fewer than two patients)."""

    mean: float
    low: float
    high: float

    def text(self, scale: float = 1.0, digits: int = 3, signed: bool = False) -> str:
        """Return "mean [low, high]"."""
        sign = "+" if signed else ""
        mean, low, high = (f"{value * scale:{sign}.{digits}f}" for value in (self.mean, self.low, self.high))
        return f"{mean} [{low}, {high}]"

    def verdict(self) -> str:
        """Say what the interval shows of a difference: "yes", "no, the other way round", or "open" when it holds 0."""
        if self.low > 0:
            return "yes"
        return "no, the other way round" if self.high < 0 else "open"


def patient_mean(values: Sequence[float], seed: int = 0, resamples: int = 10_000, level: float = 0.95) -> Estimate:
    """Estimate the mean over patients and its percentile bootstrap interval.

    Args:
        values: one number per patient (already averaged over seeds), or one paired difference per patient.
        seed: seed of the resampling.
        resamples: bootstrap samples of the patients.
        level: of the interval, in (0, 1).

    Raises:
        ValueError: no values, or values that are not finite.
    """
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"values must be a non-empty list of finite numbers, one per patient; got {values!r}")
    if array.size == 1 or np.ptp(array) == 0:
        bound = float("nan") if array.size == 1 else float(array[0])
        return Estimate(float(array[0]), bound, bound)
    result = bootstrap(
        (array,),
        np.mean,
        confidence_level=level,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return Estimate(float(array.mean()), *map(float, result.confidence_interval))
