"""Means, intervals and tests over patients. Seeds are averaged per patient first: seeds are not patients."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy import stats

_Name = TypeVar("_Name", bound=Hashable)


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
    return _weighted_mean([array], [1.0], seed, resamples, level)


def mean_over_pairs(
    groups: Sequence[pd.DataFrame | np.ndarray], seed: int = 0, resamples: int = 10_000, level: float = 0.95
) -> Estimate:
    """Estimate the mean over pairs of source and target of their means over patients.

    The pairs of one cohort share its patients, so their differences are not independent: the bootstrap draws patients
    within each cohort, and a drawn patient brings all its pairs along.

    Args:
        groups: one table [patients, pairs] of paired differences per cohort. Every pair counts the same, whatever the
            number of patients behind it.
        seed: seed of the resampling.
        resamples: bootstrap samples of the patients.
        level: of the interval, in (0, 1).

    Returns:
        The estimate; its bounds are NaN when a cohort has a single patient.

    Raises:
        ValueError: no group, an empty one, one that is no table, or values that are not finite.

    One pair is the mean over its patients:

    >>> values = np.array([0.1, 0.4, -0.2, 0.3])
    >>> mean_over_pairs([values[:, None]]) == patient_mean(values)
    True
    """
    tables = [np.asarray(group, dtype=float) for group in groups]
    if not tables or any(table.ndim != 2 or table.size == 0 or not np.isfinite(table).all() for table in tables):
        shapes = [table.shape for table in tables]
        raise ValueError(f"groups must be non-empty tables [patients, pairs] of finite numbers, got shapes {shapes}")
    pairs = [table.shape[1] for table in tables]
    # a patient's pairs are drawn together, so their mean is all that the resampling needs
    return _weighted_mean(
        [table.mean(axis=1) for table in tables], [n / sum(pairs) for n in pairs], seed, resamples, level
    )


def wilcoxon(values: Sequence[float]) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test that paired differences lie around 0.

    Args:
        values: one paired difference per patient. Zeros say nothing and are dropped; with nothing else p is 1.

    Raises:
        ValueError: no values, or values that are not finite.

    Five patients cannot reach 0.05:

    >>> wilcoxon([0.1, 0.2, 0.3, 0.4, 0.5])
    0.0625
    """
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"values must be a non-empty list of finite numbers, one per patient; got {values!r}")
    return float(stats.wilcoxon(array).pvalue) if array.any() else 1.0


def holm(p_values: Mapping[_Name, float]) -> dict[_Name, float]:
    """Return p values adjusted for their number by Holm's step-down method, under the same names.

    With the m values in rising order, ``adjusted_i = min(1, max_{j <= i} (m - j + 1) p_j)``, j from 1: at most a share
    alpha of such families holds a false "adjusted p < alpha", whatever ties the tests together.

    Args:
        p_values: by the name of the test, in [0, 1].

    Raises:
        ValueError: a value outside [0, 1].

    S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statist. 6, 1979.

    >>> holm({"one": 0.02})
    {'one': 0.02}
    """
    # own code: scipy has the false discovery rate only
    ordered = sorted(p_values, key=lambda name: p_values[name])
    values = np.array([p_values[name] for name in ordered], dtype=float)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p_values must lie in [0, 1], got {dict(p_values)}")
    adjusted = np.maximum.accumulate(values * np.arange(len(values), 0, -1)).clip(max=1.0)
    by_name = dict(zip(ordered, adjusted.tolist(), strict=True))
    return {name: by_name[name] for name in p_values}


def _weighted_mean(
    samples: Sequence[np.ndarray], weights: Sequence[float], seed: int, resamples: int, level: float
) -> Estimate:
    """Estimate the weighted sum of the samples' means; each sample is resampled by itself."""

    def statistic(*drawn: np.ndarray, axis: int) -> np.ndarray:
        return sum(weight * sample.mean(axis=axis) for weight, sample in zip(weights, drawn, strict=True))

    mean = float(statistic(*samples, axis=-1))
    if any(sample.size == 1 for sample in samples):
        return Estimate(mean, float("nan"), float("nan"))
    if all(np.ptp(sample) == 0 for sample in samples):
        return Estimate(mean, mean, mean)
    result = stats.bootstrap(
        tuple(samples),
        statistic,
        vectorized=True,
        confidence_level=level,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return Estimate(mean, *map(float, result.confidence_interval))
