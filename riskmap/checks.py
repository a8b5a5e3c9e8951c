"""Argument checks shared by the method's modules: each error names the argument, what came and what is allowed."""

import math
import numbers
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


def check_option(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of ``allowed``, otherwise raise ValueError."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def check_count(name: str, value: int, minimum: int) -> int:
    """Return ``value`` as an int if it is an integer, NumPy's included, of at least ``minimum``, otherwise raise.

    Raises:
        TypeError, ValueError: ``value`` is no integer, or smaller.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def check_number(name: str, value: float, minimum: float, maximum: float = math.inf) -> float:
    """Return ``value`` as a float if it is a number, NumPy's included, finite and within the bounds, otherwise raise.

    Raises:
        TypeError, ValueError: ``value`` is no number, or out of bounds.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    if not (math.isfinite(value) and minimum <= value <= maximum):
        raise ValueError(f"{name} must be finite and between {minimum} and {maximum}, got {value}")
    return float(value)


def check_ignore_index(ignore_index: int | None) -> int | None:
    """Return ``ignore_index`` if it is None, as an int if it is an integer of any sign, otherwise raise TypeError."""
    if ignore_index is None:
        return None
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, numbers.Integral):
        raise TypeError(f"ignore_index must be None or an int, got {type(ignore_index).__name__}")
    return int(ignore_index)


def check_tensor(name: str, value: Tensor) -> Tensor:
    """Return ``value`` as a plain tensor (a MONAI MetaTensor loses its metadata), otherwise raise TypeError."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    return value.as_subclass(Tensor)


def check_class_map(name: str, value: Tensor, num_classes: int | None = None) -> Tensor:
    """Return ``value`` if it is a floating [B, K, *spatial] tensor, otherwise raise TypeError or ValueError.

    Args:
        name: the argument's name, for the message.
        value: one channel per class, 1 to 3 spatial axes.
        num_classes: the number of channels asked for; None allows any number from 2.
    """
    value = check_tensor(name, value)
    if not value.is_floating_point():
        raise TypeError(f"{name} must have a floating dtype, got {value.dtype}")
    if not 3 <= value.ndim <= 5:
        raise ValueError(f"{name} must be [B, K, *spatial] with 1 to 3 spatial axes, got {tuple(value.shape)}")
    if num_classes is None and value.shape[1] < 2:
        raise ValueError(f"{name} must have at least 2 channels on axis 1, got {tuple(value.shape)}")
    if num_classes is not None and value.shape[1] != num_classes:
        raise ValueError(f"{name} must have {num_classes} channels on axis 1, got {tuple(value.shape)}")
    if value.numel() == 0:
        raise ValueError(f"{name} must not be empty, got {tuple(value.shape)}")
    return value


def labels_without_channel(labels: Tensor, class_map: Tensor) -> Tensor:
    """Return ``labels`` as [B, *spatial] if they fit ``class_map`` [B, K, *spatial], otherwise raise ValueError."""
    labels = check_tensor("labels", labels)
    plain = (class_map.shape[0], *class_map.shape[2:])
    with_channel = (class_map.shape[0], 1, *class_map.shape[2:])
    if labels.shape not in (plain, with_channel):
        raise ValueError(f"labels must be {plain} or {with_channel}, got {tuple(labels.shape)}")
    if labels.device != class_map.device:
        raise ValueError(f"labels must be on {class_map.device} like the class map, got {labels.device}")
    return labels.reshape(plain)


def check_label_dtype(labels: Tensor) -> None:
    """Raise TypeError for complex labels; all other numbers may be labels."""
    if labels.is_complex():
        raise TypeError(f"labels must hold integers, got {labels.dtype}")


def class_indices(labels: Tensor, num_classes: int, ignore_index: int | None) -> tuple[Tensor, Tensor | None]:
    """Return the labels as int64 indices, and the mask of valid pixels (None: every pixel is valid).

    Float labels are accepted when every value is whole, since image loaders often give them. Ignored pixels get
    index 0.

    Raises:
        TypeError: complex labels.
        ValueError: a label that is not whole, or neither in 0..num_classes-1 nor ignore_index.
    """
    check_label_dtype(labels)
    indices = labels.long()
    if labels.is_floating_point() and not torch.equal(indices.to(labels.dtype), labels):
        raise ValueError(f"labels must hold whole numbers, got other values in a {labels.dtype} tensor")
    valid = None
    if ignore_index is not None:
        valid = indices != ignore_index
        indices = indices.masked_fill(~valid, 0)
    lowest, highest = torch.stack(indices.aminmax()).tolist()
    if lowest < 0 or highest >= num_classes:
        extra = "" if ignore_index is None else f" or ignore_index {ignore_index}"
        raise ValueError(f"labels must be in 0..{num_classes - 1}{extra}, got values from {lowest} to {highest}")
    return indices, valid


def labelled_batches(batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each (probabilities, labels) pair of ``batches``; anything else raises TypeError."""
    for batch in batches:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise TypeError(
                f"batches must yield (probabilities, labels) pairs, got an item of type {type(batch).__name__}"
            )
        yield batch[0], batch[1]
