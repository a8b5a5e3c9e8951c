"""The transfer risk map: LEEP's hardness of each pixel, scaled to a risk and turned into a weight of the loss.

Duan et al., "Transfer Risk Map: Mitigating Pixel-level Negative Transfer in Medical Segmentation", ICASSP 2025,
arXiv 2502.02340.
"""

import math
from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor

from riskmap.checks import check_number, check_option, labelled_batches, labels_without_channel
from riskmap.leep import SMALLEST_PROBABILITY, LeepStatistics, in_float64

SCALINGS = ("image", "dataset", "none")
WEIGHTINGS = ("power", "linear", "affine", "hardness")
# the normalisation of RiskWeightedLoss that goes with TransferRiskMap.paper
PAPER_NORMALIZATION = "image_foreground"
# hardness in nats below which two pixels count as equal: the round-off of a float32 probability near 1
_RESOLUTION = 1e-6
# the histogram's bins: the first up to the resolution, the others spaced evenly in log hardness
_NUM_BINS = 8192
_LOG_STEP = math.log(-math.log(SMALLEST_PROBABILITY) / _RESOLUTION) / (_NUM_BINS - 1)


class TransferRiskMap:
    r"""Turn the hardness of each pixel into its weight in the fine-tuning loss.

    The hardness :math:`h_i` (nats, see :class:`riskmap.LeepStatistics`) is scaled to a risk :math:`r_i`,

    - ``scaling="image"``: :math:`r_i = (h_i - \min h) / (\max h - \min h)` over the valid pixels of the image; a
      constant image has :math:`r = 0`. This erases how risky an image is beside another one;
    - ``scaling="dataset"``: :math:`r_i = \mathrm{clip}((h_i - q_{lo}) / (q_{hi} - q_{lo}), 0, 1)` with quantiles that
      :meth:`fit` finds; where they coincide r is 1 above them and 0 elsewhere;
    - ``scaling="none"``: :math:`r_i = h_i`,

    and the risk, or the hardness, becomes the weight

    - ``weighting="power"``: :math:`w_i = b^{r_i}`, in [1, base] (without scaling: 1 and above);
    - ``weighting="linear"``: :math:`w_i = r_i`, in [0, 1] (without scaling: 0 and above);
    - ``weighting="affine"``: :math:`w_i = 1 + a r_i`, in [1, 1 + slope] (without scaling: 1 and above);
    - ``weighting="hardness"``: :math:`w_i = h_i / \bar h`, 0 and above, the mean taken over the image's valid pixels
      (``"image"``), over the data set (``"dataset"``, from :meth:`fit`) or equal to 1 (``"none"``). A constant map says
      that no pixel is harder than another: w = 1.

    An *image* is one element of the batch: a slice in [B, K_s, H, W], a volume in [B, K_s, H, W, D]. A patient's
    slices that are given as [D, K_s, H, W] are therefore D images, each scaled by itself under ``"image"``.

    Args:
        statistics: updated with the target's training pixels.
        scaling: one of "image", "dataset", "none".
        weighting: one of "power", "linear", "affine", "hardness".
        base: b of "power", at least 1.
        slope: a of "affine", at least 0.
        floor: lower bound of the weight at valid pixels, at least 0.
        ceiling: upper bound of the weight, at least ``floor`` and above 0; None sets no bound.
        smoothing: standard deviation in pixels of a Gaussian over the hardness of each image before the scaling;
            ignored pixels and the outside take no part in the average. 0 switches it off.
        quantiles: the lower and upper quantile of "dataset", 0 <= lower < upper <= 1. Every pixel above the upper one
            has r = 1: where foreground is rarer than that share, also the hardest background.

    Shape:
        - source_probabilities: [N, C_s, H, W] or [N, C_s, H, W, D]
        - labels: [N, H, W(, D)] or [N, 1, H, W(, D)]
        - weights: [N, 1, H, W(, D)], 0 at ignored pixels

    Raises:
        TypeError, ValueError: an argument that does not fit, or ``scaling="dataset"`` before :meth:`fit`.

    Whatever the source knows, min-max of an image gives its easiest pixel weight 1 and its hardest weight ``base``:

    >>> labels = torch.tensor([[[0, 0, 0, 1]]])
    >>> nothing = torch.full((1, 2, 1, 4), 0.5)
    >>> statistics = LeepStatistics(2, 2).update(nothing, labels)
    >>> TransferRiskMap(statistics)(nothing, labels).flatten().tolist()
    [1.0, 1.0, 1.0, 10.0]

    A map with base 1 is a plain loss:

    >>> TransferRiskMap(statistics, base=1)(nothing, labels).flatten().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    def __init__(
        self,
        statistics: LeepStatistics,
        *,
        scaling: str = "image",
        weighting: str = "power",
        base: float = 10.0,
        slope: float = 1.0,
        floor: float = 0.0,
        ceiling: float | None = None,
        smoothing: float = 0.0,
        quantiles: tuple[float, float] = (0.0, 0.99),
    ) -> None:
        if not isinstance(statistics, LeepStatistics):
            raise TypeError(f"statistics must be LeepStatistics, got {type(statistics).__name__}")
        self.statistics = statistics
        self.scaling = check_option("scaling", scaling, SCALINGS)
        self.weighting = check_option("weighting", weighting, WEIGHTINGS)
        self.base = check_number("base", base, 1.0)
        self.slope = check_number("slope", slope, 0.0)
        self.floor = check_number("floor", floor, 0.0)
        self.ceiling = None if ceiling is None else check_number("ceiling", ceiling, self.floor)
        if self.ceiling == 0.0:
            raise ValueError("ceiling must be above 0 or None, got 0: every weight would vanish")
        self.smoothing = check_number("smoothing", smoothing, 0.0)
        if len(quantiles) != 2:
            raise ValueError(f"quantiles must be a lower and an upper one, got {tuple(quantiles)}")
        lower, upper = (check_number("quantiles", quantile, 0.0, 1.0) for quantile in quantiles)
        if lower >= upper:
            raise ValueError(f"quantiles must rise from lower to upper, got {tuple(quantiles)}")
        self.quantiles = (lower, upper)
        self.dataset_limits: tuple[float, float] | None = None
        self.dataset_mean: float | None = None

    @classmethod
    def paper(cls, statistics: LeepStatistics) -> Self:
        """Return the map of the preset named after the paper: min-max of each image, then 10**r.

        This is a *reconstruction*: the paper's abstract and a short summary are all that was at hand. That the map is a
        per-pixel form of LEEP, weights each pixel's loss and goes with a normalisation by the image's foreground
        (``PAPER_NORMALIZATION``) is theirs; the scaling, the power and its base are our choices.
        """
        return cls(statistics, scaling="image", weighting="power", base=10.0)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Self:
        """Find the quantiles and the mean of the hardness over a data set, in one pass and constant memory.

        The quantiles come from a histogram and are exact to the width of its bins, a fixed small fraction of the
        value; between two pixels the lower one is taken.

        Args:
            batches: yields (source_probabilities, labels) as ``LeepStatistics.update`` takes them; training data.

        Raises:
            ValueError: ``batches`` holds no valid pixel.
        """
        counts = torch.zeros(_NUM_BINS, dtype=torch.float64)
        sums = torch.zeros(_NUM_BINS, dtype=torch.float64)
        for source_probabilities, labels in labelled_batches(batches):
            hardness = self.hardness(source_probabilities, labels)
            values = in_float64(hardness[self._valid(hardness, labels)])
            # the bin of a value is found in the precision that it was given in
            steps = (values.to(hardness.dtype) / _RESOLUTION).log_().div_(_LOG_STEP)
            bins = steps.ceil_().clamp_(0, _NUM_BINS - 1).long()
            counts += torch.bincount(bins, minlength=_NUM_BINS).cpu()
            sums += torch.bincount(bins, weights=values, minlength=_NUM_BINS).cpu()
        if not counts.any():
            raise ValueError("batches must hold at least one valid pixel, got none")
        # a bin stands for its mean, not its edge, so that a constant map keeps its exact value
        occupied = counts > 0
        values, cumulative = sums[occupied] / counts[occupied], counts[occupied].cumsum(0)
        ranks = torch.tensor(self.quantiles, dtype=torch.float64) * (cumulative[-1] - 1)
        lower, upper = values[torch.searchsorted(cumulative, ranks, right=True)].tolist()
        self.dataset_limits = (lower, upper)
        self.dataset_mean = (sums.sum() / counts.sum()).item()
        return self

    @torch.no_grad()
    def hardness(self, source_probabilities: Tensor, labels: Tensor) -> Tensor:
        """Return the hardness [B, 1, *spatial] in nats, smoothed if asked for, 0 at ignored pixels.

        Args:
            source_probabilities: softmax of the source, [B, K_s, *spatial].
            labels: the target's labels, [B, *spatial] or [B, 1, *spatial].
        """
        hardness = self.statistics.hardness(source_probabilities, labels)
        if self.smoothing == 0.0:
            return hardness
        from monai.networks.layers.simplelayers import GaussianFilter  # seconds to load, for smoothing alone

        gaussian = GaussianFilter(hardness.ndim - 2, self.smoothing)
        valid = self._valid(hardness, labels)
        for image, mask in zip(torch.split(hardness, 1), torch.split(valid, 1), strict=True):
            # float64, so that a constant map stays constant; the same filter of the mask renormalises at every border
            weight = gaussian(in_float64(mask)).clamp_min_(torch.finfo(torch.float64).tiny)
            smooth = gaussian(in_float64(image)).div_(weight).clamp_min_(0.0)
            smooth = torch.minimum(smooth, in_float64(image.max()))
            image.copy_(smooth).masked_fill_(~mask, 0.0)
        return hardness

    def scaled(self, source_probabilities: Tensor, labels: Tensor) -> Tensor:
        """Return the risk r [B, 1, *spatial]: in [0, 1], or the hardness in nats with ``scaling="none"``.

        Args:
            source_probabilities: softmax of the source, [B, K_s, *spatial].
            labels: the target's labels, [B, *spatial] or [B, 1, *spatial].
        """
        hardness = self.hardness(source_probabilities, labels)
        return self._scale(hardness, self._valid(hardness, labels))

    @torch.no_grad()
    def __call__(self, source_probabilities: Tensor, labels: Tensor) -> Tensor:
        """Return the weight of each pixel [B, 1, *spatial], 0 at ignored pixels; see the class for its range.

        Args:
            source_probabilities: softmax of the source, [B, K_s, *spatial].
            labels: the target's labels, [B, *spatial] or [B, 1, *spatial].
        """
        hardness = self.hardness(source_probabilities, labels)
        valid = self._valid(hardness, labels)
        if self.weighting == "hardness":
            weights = self._relative_hardness(hardness, valid)
        else:
            risk = self._scale(hardness, valid)
            if self.weighting == "power":
                weights = torch.pow(self.base, risk)
            elif self.weighting == "affine":
                weights = 1.0 + self.slope * risk
            else:
                weights = risk
        return weights.clamp(self.floor, self.ceiling).masked_fill_(~valid, 0.0)

    def _valid(self, hardness: Tensor, labels: Tensor) -> Tensor:
        """Return the mask [B, 1, *spatial] of the pixels that are not ignored."""
        labels = labels_without_channel(labels, hardness)[:, None]
        ignore_index = self.statistics.ignore_index
        if ignore_index is None:
            return torch.ones_like(hardness, dtype=torch.bool)
        # like class_indices, compare as int64: -100 in unsigned labels must match nothing
        return labels.long() != ignore_index

    def _scale(self, hardness: Tensor, valid: Tensor) -> Tensor:
        if self.scaling == "none":
            return hardness
        if self.scaling == "image":
            lowest, highest = _image_limits(hardness, valid)
            spread = highest - lowest
            is_constant = spread <= _tolerance(highest)
            risk = (hardness - lowest) / spread.masked_fill(is_constant, 1.0)
            return risk.masked_fill_(is_constant | ~valid, 0.0)
        (low, high), _ = self._fitted()
        # limits closer than the histogram can tell them are one limit
        indistinct = _RESOLUTION + high * math.expm1(_LOG_STEP)
        if high - low <= indistinct:
            risk = (hardness > low + indistinct).to(hardness.dtype)
        else:
            risk = ((hardness - low) / (high - low)).clamp_(0.0, 1.0)
        return risk.masked_fill_(~valid, 0.0)

    def _relative_hardness(self, hardness: Tensor, valid: Tensor) -> Tensor:
        if self.scaling == "none":
            return hardness
        if self.scaling == "dataset":
            _, mean = self._fitted()
            return hardness / mean if mean > _RESOLUTION else torch.ones_like(hardness)
        lowest, highest = _image_limits(hardness, valid)
        is_constant = highest - lowest <= _tolerance(highest)
        axes = tuple(range(1, hardness.ndim))
        # hardness is 0 at ignored pixels already
        means = in_float64(hardness).sum(axes, keepdim=True) / in_float64(valid.sum(axes, keepdim=True))
        # to the dtype first: the device may not have the other
        means = means.to(hardness.dtype).to(hardness.device)
        relative = hardness / means.masked_fill(is_constant, 1.0)
        return relative.masked_fill_(is_constant, 1.0)

    def _fitted(self) -> tuple[tuple[float, float], float]:
        if self.dataset_limits is None or self.dataset_mean is None:
            raise ValueError('scaling="dataset" needs the data set\'s hardness: call fit(batches) first')
        return self.dataset_limits, self.dataset_mean


def _image_limits(hardness: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest valid hardness of each image, [B, 1, ...]; both 0 where no pixel is valid."""
    axes = tuple(range(1, hardness.ndim))
    lowest = hardness.masked_fill(~valid, math.inf).amin(axes, keepdim=True)
    # hardness is at least 0, and 0 at ignored pixels, so these never hide the highest valid one
    highest = hardness.amax(axes, keepdim=True)
    return torch.minimum(lowest, highest), highest


def _tolerance(highest: Tensor) -> Tensor:
    """Return the difference in nats below which the pixels of an image count as equally hard."""
    return _RESOLUTION * highest.clamp_min(1.0)
