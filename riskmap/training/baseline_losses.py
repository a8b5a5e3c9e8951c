"""The plain loss and those of other arms (focal, top-k) with the same Dice term, and the U-Net's boundary weights."""

import numpy as np
import torch
from monai.losses import DiceLoss, FocalLoss
from scipy.ndimage import distance_transform_edt, maximum_filter, minimum_filter
from torch import Tensor, nn

from riskmap.checks import check_number
from riskmap.loss import RiskWeightedLoss


def _dice() -> DiceLoss:
    """Return the Dice term of all arms, of logits.

    It is that of the batch's foreground, as nnU-Net takes it in 2-D: many patches hold no foreground.
    """
    return DiceLoss(to_onehot_y=True, softmax=True, include_background=False, batch=True)


def plain_loss() -> RiskWeightedLoss:
    """Return the loss of all arms, their weights apart: cross-entropy, and the Dice of the batch's foreground."""
    return RiskWeightedLoss("pixels", include_background=False, batch_dice=True)


class DiceFocalSoftmaxLoss(nn.Module):
    r"""Compute MONAI's softmax focal loss plus MONAI's Dice loss (Lin et al., ICCV 2017).

    .. math:: L = \frac{1}{N} \sum_i (1 - p_i[y_i])^\gamma \, \mathrm{CE}_i + \mathrm{Dice}

    MONAI's DiceFocalLoss is not used, as its focal part is a sigmoid's whatever its softmax option says, and as a
    mean over the channels would make the cross-entropy smaller by the number of classes.

    Args:
        gamma: at least 0; 0 gives cross-entropy.

    Shape: logits [N, C, H, W], labels [N, 1, H, W]; the result is a scalar. Weights must be None.
    """

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.focal = FocalLoss(to_onehot_y=True, gamma=check_number("gamma", gamma, 0.0), use_softmax=True)
        self.dice = _dice()

    def forward(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the loss."""
        _refuse_weights(weights)
        return logits.shape[1] * self.focal(logits, labels) + self.dice(logits, labels)


class DiceTopKLoss(nn.Module):
    r"""Compute the mean cross-entropy of the worst pixels of the batch plus MONAI's Dice loss (Wu et al., 2016).

    Args:
        share: of the pixels that count, in (0, 1]; 1 gives cross-entropy.

    Shape: logits [N, C, H, W], labels [N, 1, H, W]; the result is a scalar. Weights must be None.
    """

    def __init__(self, share: float = 0.1) -> None:
        super().__init__()
        if not 0.0 < share <= 1.0:
            raise ValueError(f"share={share} must be above 0 and at most 1")
        self.share = share
        self.dice = _dice()

    def forward(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the loss."""
        _refuse_weights(weights)
        cross_entropy = nn.functional.cross_entropy(logits, labels[:, 0].long(), reduction="none").flatten()
        worst = cross_entropy.topk(max(1, round(self.share * cross_entropy.numel())), sorted=False).values
        return worst.mean() + self.dice(logits, labels)


def _refuse_weights(weights: Tensor | None) -> None:
    if weights is not None:
        raise ValueError(f"this loss takes no pixel weights, got a tensor of shape {tuple(weights.shape)}")


def boundary_weights(labels: Tensor, strength: float = 10.0, sigma: float = 5.0) -> Tensor:
    r"""Weight pixels by their nearness to a label boundary, as the U-Net does (Ronneberger et al., MICCAI 2015).

    .. math:: w_i = 1 + w_0 \exp(-d_i^2 / (2 \sigma^2))

    with d the distance to the nearest pixel that touches another label, in its own slice; a slice of one label has
    w = 1. The U-Net's two distances to neighbouring cells become one, as an organ or a tumour has no cells to part.

    Args:
        labels: [N, 1, H, W], class indices.
        strength: :math:`w_0`, at least 0.
        sigma: in pixels, above 0.

    Returns:
        Weights in [1, 1 + strength], float32 [N, 1, H, W].

    >>> boundary_weights(torch.tensor([[[[0, 0, 1]]]]), strength=1.0, sigma=1.0).flatten().tolist()[1:]
    [2.0, 2.0]
    """
    check_number("strength", strength, 0.0)
    if not sigma > 0.0:
        raise ValueError(f"sigma={sigma} must be above 0 pixels")
    weights = np.ones(labels.shape, dtype=np.float32)
    for image, slice_labels in zip(weights[:, 0], labels[:, 0].numpy(), strict=True):
        touches = maximum_filter(slice_labels, size=3) != minimum_filter(slice_labels, size=3)
        if touches.any():
            distance = distance_transform_edt(~touches)
            image += strength * np.exp(-(distance**2) / (2 * sigma**2)).astype(np.float32)
    return torch.from_numpy(weights)
