"""LEEP per pixel: how well the source network's classes explain each target label.

Nguyen, Hassner, Seeger, Archambeau, "LEEP: A New Measure to Evaluate Transferability of Learned Representations",
ICML 2020; taken pixel by pixel as in Duan et al., "Transfer Risk Map", ICASSP 2025 (arXiv 2502.02340).
"""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Self

import torch
from torch import Tensor

from riskmap.checks import (
    check_class_map,
    check_count,
    check_ignore_index,
    class_indices,
    labelled_batches,
    labels_without_channel,
)

# the log of a smaller expected probability is taken here, so that hardness never exceeds -log(1e-12) nats
SMALLEST_PROBABILITY = 1e-12
# pixels that are turned to float64 at once: few enough for a processor's cache, many enough for a GPU
_PIXELS_PER_BLOCK = 2**16
_PIXELS_PER_BLOCK_ON_GPU = 2**22


class LeepStatistics:
    r"""Accumulate the joint distribution of target labels and source classes over the target's training pixels.

    For pixels :math:`i = 1..n` with label :math:`y_i` and source softmax :math:`\theta_i`,

    .. math::
        J[y,z] = \frac{1}{n} \sum_{i: y_i = y} \theta_i[z], \quad
        C[y|z] = \frac{J[y,z]}{\sum_{y'} J[y',z]}, \quad
        E_i[y] = \sum_z C[y|z] \, \theta_i[z], \quad
        h_i = -\log \max(E_i[y_i], \epsilon),

    and LEEP is minus the mean of :math:`h_i`. Sums are held in float64, batches are read in small blocks, and the state
    is one small table, so any number of pixels fits. Update with *training* pixels only: others leak their labels.

    Args:
        num_source_classes: :math:`K_s`, the channels of the source's softmax, 1 or more.
        num_target_classes: :math:`K_t`, the labels are 0..K_t-1, 1 or more.
        ignore_index: a label, in bounds or not (255, -100), that takes its pixels out of every sum; what the
            probabilities hold there is not looked at.

    Shape:
        - source_probabilities: [N, C_s, H, W] or [N, C_s, H, W, D], any floating dtype (C_s is K_s)
        - labels: [N, H, W(, D)] or [N, 1, H, W(, D)], integers, or floats that are whole
        - tables: [C_t, C_s] on the CPU, float64

    Raises:
        TypeError, ValueError: an argument that does not fit; its name, what came and what is allowed are in the
            message, and the statistics are as they were before the call.

    A source whose two classes are the two labels, in any order, explains every pixel:

    >>> labels = torch.tensor([[[0, 0, 0, 1]]])
    >>> inverted = torch.stack((labels, 1 - labels), dim=1).float()
    >>> stats = LeepStatistics(2, 2).update(inverted, labels)
    >>> stats.conditional().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    >>> stats.score([(inverted, labels)])
    0.0

    A source that knows nothing leaves minus the log of the class frequency:

    >>> nothing = torch.full((1, 2, 1, 4), 0.5)
    >>> hardness = LeepStatistics(2, 2).update(nothing, labels).hardness(nothing, labels)
    >>> torch.allclose(hardness[0, 0, 0], -torch.tensor([0.75, 0.75, 0.75, 0.25]).log())
    True
    """

    def __init__(self, num_source_classes: int, num_target_classes: int, ignore_index: int | None = None) -> None:
        self.num_source_classes = check_count("num_source_classes", num_source_classes, 1)
        self.num_target_classes = check_count("num_target_classes", num_target_classes, 1)
        self.ignore_index = check_ignore_index(ignore_index)
        self._joint_sums = torch.zeros(num_target_classes, num_source_classes, dtype=torch.float64)
        self._class_counts = torch.zeros(num_target_classes, dtype=torch.int64)
        self._has_warned = False

    def __repr__(self) -> str:
        return (
            f"LeepStatistics(num_source_classes={self.num_source_classes}, "
            f"num_target_classes={self.num_target_classes}, ignore_index={self.ignore_index}, "
            f"num_pixels={self.num_pixels})"
        )

    @property
    def num_pixels(self) -> int:
        """The number of valid pixels seen so far."""
        return int(self._class_counts.sum())

    @torch.no_grad()
    def update(self, source_probabilities: Tensor, labels: Tensor) -> Self:
        """Add one batch to the joint distribution and return the statistics themselves.

        Args:
            source_probabilities: softmax of the source, [B, K_s, *spatial], at least 0 and summing to 1 at each pixel.
            labels: the target's labels, [B, *spatial] or [B, 1, *spatial].

        Raises:
            TypeError, ValueError: see the class; nothing of the batch is added then.
        """
        source_probabilities, labels = self._check_batch(source_probabilities, labels)
        joint_sums, class_counts = torch.zeros_like(self._joint_sums), torch.zeros_like(self._class_counts)
        classes = torch.arange(self.num_target_classes, device=labels.device)[:, None]
        for _, block, block_labels in _blocks(source_probabilities, labels):
            probabilities, indices, valid = self._check_block(block, block_labels, source_probabilities.dtype)
            is_class = indices[:, None] == classes
            if valid is not None:
                is_class &= valid[:, None]
            joint_sums += torch.bmm(is_class.double(), probabilities.transpose(1, 2)).sum(0).cpu()
            class_counts += is_class.sum((0, 2)).cpu()
        self._joint_sums += joint_sums
        self._class_counts += class_counts
        return self

    def merge(self, other: "LeepStatistics") -> Self:
        """Add the sums of ``other``, as if its batches had been seen here, and return the statistics themselves.

        Raises:
            TypeError: ``other`` is no LeepStatistics.
            ValueError: the numbers of classes or the ignore label differ.
        """
        if not isinstance(other, LeepStatistics):
            raise TypeError(f"other must be LeepStatistics, got {type(other).__name__}")
        for name in ("num_source_classes", "num_target_classes", "ignore_index"):
            if getattr(self, name) != getattr(other, name):
                raise ValueError(
                    f"other must have {name} {getattr(self, name)} like these statistics, got {getattr(other, name)}"
                )
        self._joint_sums += other._joint_sums
        self._class_counts += other._class_counts
        return self

    def joint(self) -> Tensor:
        """Return the joint distribution J [K_t, K_s], whose entries sum to 1."""
        self._check_updated()
        return self._joint_sums / self._joint_sums.sum()

    def prior(self) -> Tensor:
        """Return the frequency of each target label P(y) [K_t], which sums to 1."""
        self._check_updated()
        return self._class_counts.double() / self.num_pixels

    def conditional(self) -> Tensor:
        """Return the empirical conditional C[y|z] [K_t, K_s], whose columns sum to 1.

        A source class that no pixel gives any probability has no conditional; its column is the prior P(y), and a
        UserWarning says so once.
        """
        self._check_updated()
        mass = self._joint_sums.sum(0)
        is_empty = mass == 0
        if is_empty.any() and not self._has_warned:
            self._has_warned = True
            empty = is_empty.nonzero().flatten().tolist()
            warnings.warn(
                f"source classes {empty} have no probability at any pixel; the prior of the labels stands in for "
                "their conditional",
                stacklevel=2,
            )
        return torch.where(is_empty, self.prior()[:, None], self._joint_sums / mass.where(~is_empty, 1.0))

    @torch.no_grad()
    def expected_prediction(self, source_probabilities: Tensor) -> Tensor:
        """Return the expected empirical prediction E [B, K_t, *spatial], a distribution over the target's labels.

        Args:
            source_probabilities: softmax of the source, [B, K_s, *spatial].

        Returns:
            float32, or float64 for float64 input.
        """
        conditional = self.conditional()
        source_probabilities = check_class_map("source_probabilities", source_probabilities, self.num_source_classes)
        conditional = conditional.to(source_probabilities.device)
        batch, _, *spatial = source_probabilities.shape
        prediction = _output(source_probabilities, self.num_target_classes)
        # no label decides here, so none is ignored
        no_labels = torch.zeros(1, dtype=torch.uint8, device=prediction.device).expand(batch, *spatial)
        for (images, pixels), block, _ in _blocks(source_probabilities, no_labels):
            probabilities = _check_rows(block.double(), None, source_probabilities.dtype)
            prediction[images, :, pixels] = (conditional @ probabilities).to(prediction.dtype)
        return prediction.reshape(batch, self.num_target_classes, *spatial)

    @torch.no_grad()
    def hardness(self, source_probabilities: Tensor, labels: Tensor) -> Tensor:
        """Return each pixel's hardness -log max(E_i[y_i], eps), in nats.

        Args:
            source_probabilities: softmax of the source, [B, K_s, *spatial].
            labels: the target's labels, [B, *spatial] or [B, 1, *spatial].

        Returns:
            [B, 1, *spatial], from 0 to -log(``SMALLEST_PROBABILITY``), 0 at ignored pixels; float32, or float64 for
            float64 input. A label that the statistics never saw has the largest hardness.
        """
        source_probabilities, labels = self._check_batch(source_probabilities, labels)
        hardness = _output(source_probabilities, 1)
        for (images, pixels), block, _ in self._hardness_blocks(source_probabilities, labels):
            hardness[images, 0, pixels] = block.to(hardness.dtype)
        return hardness.reshape(labels.shape[0], 1, *labels.shape[1:])

    @torch.no_grad()
    def score(self, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
        """Return LEEP, minus the mean hardness over all valid pixels of ``batches``, in nats (at most 0).

        This is the second pass over the data, after the updates; one batch is held at a time.

        Args:
            batches: yields (source_probabilities, labels) as ``update`` takes them.

        Raises:
            ValueError: ``batches`` holds no valid pixel.
        """
        self._check_updated()
        total, num_pixels = 0.0, 0
        for source_probabilities, labels in labelled_batches(batches):
            checked = self._check_batch(source_probabilities, labels)
            for _, hardness, valid in self._hardness_blocks(*checked):
                total += hardness.sum().item()
                num_pixels += hardness.numel() if valid is None else int(valid.sum())
        if num_pixels == 0:
            raise ValueError("batches must hold at least one valid pixel, got none")
        return 0.0 - total / num_pixels

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers and lists: fit for JSON and for ``torch.load(weights_only=True)``."""
        return {
            "num_source_classes": self.num_source_classes,
            "num_target_classes": self.num_target_classes,
            "ignore_index": self.ignore_index,
            "joint_sums": self._joint_sums.tolist(),
            "class_counts": self._class_counts.tolist(),
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Self:
        """Return the statistics that ``state_dict`` described.

        Raises:
            ValueError: a key is missing or unknown, or a table has another shape or impossible values.
        """
        expected = {"num_source_classes", "num_target_classes", "ignore_index", "joint_sums", "class_counts"}
        if set(state) != expected:
            raise ValueError(f"state must have the keys {sorted(expected)}, got {sorted(state)}")
        statistics = cls(state["num_source_classes"], state["num_target_classes"], state["ignore_index"])
        for name in ("joint_sums", "class_counts"):
            current = getattr(statistics, f"_{name}")
            table = torch.tensor(state[name], dtype=current.dtype)
            if table.shape != current.shape or not ((table >= 0) & table.isfinite()).all():
                raise ValueError(
                    f"state[{name!r}] must be finite, at least 0 and of shape {tuple(current.shape)}, got {state[name]}"
                )
            setattr(statistics, f"_{name}", table)
        return statistics

    def _check_updated(self) -> None:
        if self.num_pixels == 0:
            raise ValueError("the statistics hold no pixel yet: call update with a valid pixel first")

    def _check_batch(self, source_probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        source_probabilities = check_class_map("source_probabilities", source_probabilities, self.num_source_classes)
        return source_probabilities, labels_without_channel(labels, source_probabilities)

    def _check_block(self, block: Tensor, labels: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor | None]:
        indices, valid = class_indices(labels, self.num_target_classes, self.ignore_index)
        probabilities = block.double()
        if valid is not None:
            probabilities = probabilities.masked_fill(~valid[:, None], 0.0)
        return _check_rows(probabilities, valid, dtype), indices, valid

    def _hardness_blocks(
        self, source_probabilities: Tensor, labels: Tensor
    ) -> Iterator[tuple[tuple[slice, slice], Tensor, Tensor | None]]:
        """Yield (place, hardness in float64, mask of valid pixels or None) block by block."""
        conditional = self.conditional().to(source_probabilities.device)
        for place, block, block_labels in _blocks(source_probabilities, labels):
            probabilities, indices, valid = self._check_block(block, block_labels, source_probabilities.dtype)
            expected = (conditional @ probabilities).gather(1, indices[:, None])[:, 0]
            # the log is at most 0; its absolute value is free of minus zero
            hardness = expected.clamp(SMALLEST_PROBABILITY, 1.0).log().abs()
            yield place, hardness if valid is None else hardness.masked_fill(~valid, 0.0), valid


def _output(source_probabilities: Tensor, channels: int) -> Tensor:
    """Return an uninitialised [B, channels, pixels] tensor of at least float32."""
    batch, _, *spatial = source_probabilities.shape
    dtype = torch.promote_types(source_probabilities.dtype, torch.float32)
    pixels = torch.Size(spatial).numel()
    return torch.empty(batch, channels, pixels, dtype=dtype, device=source_probabilities.device)


def _blocks(source_probabilities: Tensor, labels: Tensor) -> Iterator[tuple[tuple[slice, slice], Tensor, Tensor]]:
    """Yield ((images, pixels), probabilities [b, K_s, n], labels [b, n]) in blocks of a fixed number of pixels."""
    size = _PIXELS_PER_BLOCK if source_probabilities.device.type == "cpu" else _PIXELS_PER_BLOCK_ON_GPU
    batch, num_pixels = labels.shape[0], labels[0].numel()
    step = max(1, size // num_pixels)
    for first in range(0, batch, step):
        images = slice(first, min(first + step, batch))
        # flattening copies a crop that is not contiguous: these images alone, not the whole batch
        image_probabilities, image_labels = source_probabilities[images].flatten(2), labels[images].flatten(1)
        for start in range(0, num_pixels, size):
            pixels = slice(start, min(start + size, num_pixels))
            yield (images, pixels), image_probabilities[..., pixels], image_labels[..., pixels]


def _check_rows(probabilities: Tensor, valid: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return float64 probabilities [b, K_s, n] if each valid pixel's row is a distribution, else raise ValueError."""
    # rounding each entry to half precision moves a row's sum by at most half an epsilon
    tolerance = max(1e-3, 2.0 * torch.finfo(dtype).eps)
    wanted = 1.0 if valid is None else valid.double()
    deviation = (probabilities.sum(1) - wanted).abs_().amax()
    lowest, deviation = torch.stack((probabilities.amin(), deviation)).tolist()
    if not lowest >= 0.0:
        raise ValueError(f"source_probabilities must be at least 0 and not NaN, got {lowest}")
    if not deviation <= tolerance:
        raise ValueError(
            f"source_probabilities must sum to 1 over axis 1 within {tolerance:.2g} for {dtype}, "
            f"got a sum that is off by {deviation:.3g}: pass the softmax, not the logits"
        )
    return probabilities
