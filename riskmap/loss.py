"""Cross-entropy weighted pixel by pixel, with a Dice term, in the manner of MONAI's losses."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.modules.loss import _Loss

from riskmap.checks import (
    check_class_map,
    check_ignore_index,
    check_number,
    check_option,
    check_tensor,
    class_indices,
    labels_without_channel,
)

NORMALIZATIONS = ("image_foreground", "batch_foreground", "weights", "pixels")


class _SoftmaxCrossEntropy(torch.autograd.Function):
    """Return the softmax and each pixel's cross-entropy from one log-softmax, with one backward pass for both.

    With softmax p and the one-hot label t, a gradient g of p and c of the cross-entropy give the logits' gradient
    u - p sum(u) with u = g p - c t. Two separate functions would hold and read twice the memory.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        indices = indices[:, None]
        log_probabilities = logits.log_softmax(1)
        cross_entropy = log_probabilities.gather(1, indices).neg_()[:, 0]
        probabilities = log_probabilities.exp_()
        ctx.save_for_backward(probabilities, indices)
        return probabilities, cross_entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, probabilities_gradient: Tensor, cross_entropy_gradient: Tensor) -> tuple[Tensor, None]:
        probabilities, indices = ctx.saved_tensors
        gradient = probabilities_gradient * probabilities
        gradient.scatter_add_(1, indices, -cross_entropy_gradient[:, None])
        return gradient.addcmul_(probabilities, gradient.sum(1, keepdim=True), value=-1.0), None


class RiskWeightedLoss(_Loss):
    r"""Compute the cross-entropy weighted by a risk map, plus MONAI's Dice loss.

    .. math::
        L = \lambda_{CE} \frac{1}{N} \sum_i w_i \, \mathrm{CE}_i + \lambda_{Dice} \, \mathrm{Dice}

    over the valid pixels i, with N by ``normalization``:

    - ``"image_foreground"``: the foreground pixels of each image; the mean over the images is taken, without those that
      have no valid pixel (Duan et al., ICASSP 2025, normalise by the image's foreground);
    - ``"batch_foreground"``: the foreground pixels of the batch;
    - ``"weights"``: the sum of the weights, so that their scale cancels;
    - ``"pixels"``: the valid pixels of the batch.

    Foreground is every valid label above 0. Where N is 0 (no foreground, or weights that are all 0) the number of valid
    pixels takes its place; a batch without valid pixels has a loss of 0. Dividing by the foreground makes the
    cross-entropy larger by the ratio of all pixels to the foreground, which next to a Dice term changes the balance of
    the two: ``cross_entropy_weight`` sets it right.

    Args:
        normalization: one of "image_foreground", "batch_foreground", "weights", "pixels".
        dice_weight: :math:`\lambda_{Dice}`, at least 0; 0 leaves the term out.
        ignore_index: a label, in bounds or not (255, -100), whose pixels count in neither term.
        cross_entropy_weight: :math:`\lambda_{CE}`, at least 0.
        include_background: whether label 0 has its share in the Dice term.
        batch_dice: whether the Dice is that of all images of the batch taken together, and not the mean over images.
            The mean punishes an image without foreground for any trace of foreground, up to a sum of 1e-5: with many
            such images it stays high for long, and then falls at once.

    Shape:
        - logits: [N, C_t, H, W] or [N, C_t, H, W, D], C_t of 2 or more, any floating dtype; half precision is
          computed in float32
        - labels: [N, H, W(, D)] or [N, 1, H, W(, D)], integers, or floats that are whole
        - weights: [N, 1, H, W(, D)], finite and at least 0 at valid pixels
        - output: a scalar, float32 (float64 for float64 logits)

    Raises:
        TypeError, ValueError: an argument that does not fit; the message names it, what came and what is allowed.

    Without weights, ``"pixels"`` is MONAI's DiceCELoss, and so is a map of ones:

    >>> from monai.losses import DiceCELoss
    >>> logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> labels = torch.arange(128).reshape(2, 1, 8, 8) % 3
    >>> plain = DiceCELoss(to_onehot_y=True, softmax=True)(logits, labels)
    >>> criterion = RiskWeightedLoss("pixels")
    >>> torch.allclose(criterion(logits, labels), plain)
    True
    >>> torch.equal(criterion(logits, labels, torch.ones(2, 1, 8, 8)), criterion(logits, labels))
    True
    """

    def __init__(
        self,
        normalization: str = "image_foreground",
        dice_weight: float = 1.0,
        ignore_index: int | None = None,
        *,
        cross_entropy_weight: float = 1.0,
        include_background: bool = True,
        batch_dice: bool = False,
    ) -> None:
        super().__init__()
        self.normalization = check_option("normalization", normalization, NORMALIZATIONS)
        self.dice_weight = check_number("dice_weight", dice_weight, 0.0)
        self.cross_entropy_weight = check_number("cross_entropy_weight", cross_entropy_weight, 0.0)
        self.ignore_index = check_ignore_index(ignore_index)
        self.include_background = include_background
        self.batch_dice = batch_dice

    def forward(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the loss.

        Args:
            logits: the target network's output before the softmax, [B, K_t, *spatial].
            labels: [B, *spatial] or [B, 1, *spatial].
            weights: [B, 1, *spatial], at least 0; no gradient goes through them. None is a weight of 1 everywhere.
        """
        logits = check_class_map("logits", logits)
        labels = labels_without_channel(labels, logits)
        indices, valid = class_indices(labels, logits.shape[1], self.ignore_index)
        indices = _for_backward(indices)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        weights = self._valid_weights(weights, indices, valid, logits.dtype)

        # torch leaves apply without types
        probabilities, cross_entropy = _SoftmaxCrossEntropy.apply(logits, indices)  # type: ignore[no-untyped-call]
        loss = self.cross_entropy_weight * self._normalized_sum(cross_entropy, weights, indices, valid)
        if self.dice_weight > 0.0:
            loss = loss + self.dice_weight * self._dice(probabilities, indices, valid)
        return loss

    def _dice(self, probabilities: Tensor, indices: Tensor, valid: Tensor | None) -> Tensor:
        """Return MONAI's Dice loss of the valid pixels."""
        from monai.losses.dice import DiceLoss  # seconds to load, which the library's other parts can do without

        targets = torch.zeros(probabilities.shape, dtype=probabilities.dtype, device=probabilities.device)
        targets.scatter_(1, indices[:, None], 1.0)
        if valid is not None:
            probabilities, targets = probabilities * valid[:, None], targets * valid[:, None]
        dice = DiceLoss(include_background=self.include_background, batch=self.batch_dice)
        loss: Tensor = dice(probabilities, targets)
        return loss

    def _valid_weights(
        self, weights: Tensor | None, indices: Tensor, valid: Tensor | None, dtype: torch.dtype
    ) -> Tensor | None:
        """Return the weights [B, *spatial], 0 at ignored pixels, or None where all are 1."""
        if weights is None:
            return None if valid is None else valid.to(dtype)
        weights = check_tensor("weights", weights)
        wanted = (indices.shape[0], 1, *indices.shape[1:])
        if weights.shape != wanted:
            raise ValueError(f"weights must be {wanted}, got {tuple(weights.shape)}")
        weights = _for_backward(weights[:, 0].detach().to(dtype))
        if valid is not None:
            weights = weights.masked_fill(~valid, 0.0)
        lowest, highest = torch.stack(weights.aminmax()).tolist()
        if not 0.0 <= lowest <= highest < float("inf"):
            raise ValueError(f"weights must be finite and at least 0, got values from {lowest} to {highest}")
        return weights

    def _normalized_sum(
        self, cross_entropy: Tensor, weights: Tensor | None, indices: Tensor, valid: Tensor | None
    ) -> Tensor:
        """Return the weighted sum of the cross-entropy over N."""
        weighted = cross_entropy if weights is None else cross_entropy * weights
        per_image = self.normalization == "image_foreground"
        axes = tuple(range(1 if per_image else 0, indices.ndim))
        sums = weighted.sum(axes)
        if valid is None:
            num_valid = torch.full_like(sums, indices.numel() // sums.numel(), dtype=torch.int64)
        else:
            num_valid = valid.sum(axes)
        if self.normalization == "pixels":
            size = num_valid
        elif self.normalization == "weights":
            size = num_valid if weights is None else weights.sum(axes)
        else:
            # 1 at foreground, 0 at background and ignored pixels; summing booleans takes longer
            size = indices.clamp_max(1).sum(axes)
        is_empty = num_valid == 0
        # without a valid pixel the sum is 0 already, whatever it is divided by
        size = torch.where(size > 0, size, num_valid).masked_fill(is_empty, 1).to(sums.dtype)
        means = sums / size
        return means.sum() / (~is_empty).sum().clamp_min(1) if per_image else means


def _for_backward(tensor: Tensor) -> Tensor:
    """Return a tensor that autograd may save: those made in inference mode, like a frozen network's, are copied."""
    return tensor.clone() if tensor.is_inference() else tensor
