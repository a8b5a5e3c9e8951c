"""What isolates a map's claim: the same weights at other places, without places, or from another model."""

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from riskmap.checks import check_count


def shuffle_within_class(weights: Tensor, labels: Tensor, seed: int, inside: Tensor | None = None) -> Tensor:
    """Permute the weights among the pixels of one class of one image: same values, other places.

    Args:
        weights: [N, 1, H, W].
        labels: class indices, alike.
        seed: of the permutation.
        inside: where the patient is, bool, alike. Its pixels and those outside are permuted apart, since otherwise a
            twin moves the risk of the brain into the air, where nothing can be learned: a weak twin, easily beaten.
            None: no difference is made.

    Shape: the result is like weights.
    """
    generator = torch.Generator().manual_seed(seed)
    regions = labels.long() if inside is None else 2 * labels.long() + inside.long()
    shuffled = weights.clone().flatten(1)
    for image, classes in zip(shuffled, regions.flatten(1), strict=True):
        for index in classes.unique():
            places = torch.nonzero(classes == index).flatten()
            image[places] = image[places[torch.randperm(len(places), generator=generator)]]
    return shuffled.view_as(weights)


def class_mean(weights: Tensor, labels: Tensor) -> Tensor:
    """Replace each weight by the mean weight of its class over all images: class weights without a place.

    Shape: weights and labels [N, 1, H, W]; the result is like weights.

    >>> class_mean(torch.tensor([[[[1.0, 3.0, 5.0]]]]), torch.tensor([[[[0, 0, 1]]]])).flatten().tolist()
    [2.0, 2.0, 5.0]
    """
    indices = labels.long()
    sums = torch.bincount(indices.flatten(), weights.flatten().double())
    counts = torch.bincount(indices.flatten())
    return (sums / counts.clamp_min(1)).to(weights.dtype)[indices]


def hard_probabilities(probabilities: Tensor) -> Tensor:
    """Replace each pixel's distribution by certainty of its most likely class, as NCE does (Tran et al., ICCV 2019).

    Shape: [N, C_s, H, W] to the same shape, every value 0 or 1.
    """
    certain = torch.zeros(probabilities.shape, dtype=torch.float32, device=probabilities.device)
    return certain.scatter_(1, probabilities.argmax(1, keepdim=True), 1.0)


def cross_entropy_of(probabilities: Tensor, labels: Tensor, smallest: float = 1e-6) -> Tensor:
    r"""Return each pixel's cross-entropy :math:`-\log \max(p_i[y_i], \epsilon)` of a model, in nats.

    Shape: probabilities [N, C, H, W], labels [N, 1, H, W]; the result [N, 1, H, W].

    Raises:
        ValueError: a label has no class in the probabilities.
    """
    check_count("the number of classes", probabilities.shape[1], int(labels.max()) + 1)
    return nll_loss(probabilities.clamp_min(smallest).log(), labels[:, 0].long(), reduction="none")[:, None]
