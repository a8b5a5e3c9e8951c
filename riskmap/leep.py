"""LEEP per pixel: how well the source network's classes explain each target label.

Nguyen, Hassner, Seeger, Archambeau, "LEEP: A New Measure to Evaluate Transferability of Learned Representations",
ICML 2020; taken pixel by pixel as in Duan et al., "Transfer Risk Map", ICASSP 2025 (arXiv 2502.02340).
"""

import functools
import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Self

import torch
from torch import Tensor

from riskmap.checks import (
    check_class_map,
    check_count,
    check_ignore_index,
    check_label_dtype,
    class_indices,
    labelled_batches,
    labels_without_channel,
)

# the log of a smaller expected probability is taken here, so that hardness never exceeds -log(1e-12) nats
SMALLEST_PROBABILITY = 1e-12
# what aminmax takes of the integer dtypes
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
# source and target values (pixels times K_s + K_t) of one block: few enough for a processor's second cache even in
# float64, many enough that the calls of a block cost little beside its work; a GPU needs more to be busy
_VALUES_PER_BLOCK = 2**17
_VALUES_PER_BLOCK_ON_GPU = 2**24
# a sum in float32 has to stay short; on the CPU the sums of these blocks are added in float64
_VALUES_PER_BLOCK_WITHOUT_FLOAT64 = 2**16


class LeepStatistics:
    r"""Accumulate the joint distribution of target labels and source classes over the target's training pixels.

    For pixels :math:`i = 1..n` with label :math:`y_i` and source softmax :math:`\theta_i`,

    .. math::
        J[y,z] = \frac{1}{n} \sum_{i: y_i = y} \theta_i[z], \quad
        C[y|z] = \frac{J[y,z]}{\sum_{y'} J[y',z]}, \quad
        E_i[y] = \sum_z C[y|z] \, \theta_i[z], \quad
        h_i = -\log \max(E_i[y_i], \epsilon),

    and LEEP is minus the mean of :math:`h_i`. Sums are held in float64, batches are read in small blocks, and the state
    is one small table, so any number of pixels fits. A device is asked once per batch, not per block; one without
    float64 (Apple's GPUs) sums short blocks in float32. Update with *training* pixels only: others leak their labels.

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
        self._joint_sums = torch.zeros(self.num_target_classes, self.num_source_classes, dtype=torch.float64)
        self._class_counts = torch.zeros(self.num_target_classes, dtype=torch.int64)
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
        seen = self._row_limits(source_probabilities)
        # a place for each block, made before the first: small tensors that stay would lie between the large ones that
        # go, so that the memory of one block would not do for the next
        sums = _widest(source_probabilities.new_empty(0)).new_empty(seen.num_blocks, *self._joint_sums.shape)
        counts = sums.new_empty(seen.num_blocks, self.num_target_classes)
        for number, (_, block, block_labels) in enumerate(self._blocks(source_probabilities, labels)):
            sums[number], counts[number] = self._block_sums(block, block_labels, seen)
        self._check_rows(seen, source_probabilities, labels)
        # new tensors: those of statistics made in inference mode may not be changed outside of it
        self._joint_sums = self._joint_sums + in_float64(sums).sum(0).cpu()
        self._class_counts = self._class_counts + counts.long().sum(0).cpu()
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
        self._joint_sums = self._joint_sums + other._joint_sums
        self._class_counts = self._class_counts + other._class_counts
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
        batch, _, *spatial = source_probabilities.shape
        prediction = _output(source_probabilities, self.num_target_classes)
        conditional = _on_device(conditional, prediction.device)
        seen = self._row_limits(source_probabilities)
        # no label decides here, so none is ignored
        no_labels = torch.zeros(1, dtype=torch.uint8, device=prediction.device).expand(batch, *spatial)
        for (images, pixels), block, _ in self._blocks(source_probabilities, no_labels):
            seen.add(block)
            prediction[images, :, pixels] = (conditional @ _widest(block)).to(prediction.dtype)
        self._check_rows(seen, source_probabilities, None)
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
        hardness, seen = _output(source_probabilities, 1), self._row_limits(source_probabilities)
        conditional = _on_device(self.conditional(), labels.device)
        for (images, pixels), block, block_labels in self._blocks(source_probabilities, labels):
            hardness[images, 0, pixels], _ = self._block_hardness(
                block, block_labels, conditional, hardness.dtype, seen
            )
        self._check_rows(seen, source_probabilities, labels)
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
            source_probabilities, labels = self._check_batch(source_probabilities, labels)
            seen = self._row_limits(source_probabilities)
            conditional = _on_device(self.conditional(), labels.device)
            sums = conditional.new_empty(seen.num_blocks)
            num_ignored = torch.zeros_like(sums, dtype=torch.int64)
            for number, (_, block, block_labels) in enumerate(self._blocks(source_probabilities, labels)):
                hardness, ignored = self._block_hardness(block, block_labels, conditional, conditional.dtype, seen)
                sums[number] = hardness.sum()
                if ignored is not None:
                    num_ignored[number] = ignored.sum()
            self._check_rows(seen, source_probabilities, labels)
            total += in_float64(sums).sum().item()
            num_pixels += labels.numel() - int(num_ignored.sum())
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
        labels = labels_without_channel(labels, source_probabilities)
        self._check_labels(labels)
        return source_probabilities, labels

    def _check_labels(self, labels: Tensor) -> None:
        """Raise TypeError or ValueError unless each label is a class or ignored, asking the device once."""
        check_label_dtype(labels)
        if self.ignore_index is None and labels.dtype in _INTEGERS:
            limits = [torch.stack(labels.aminmax())]
        else:
            limits = [_label_limits(block, self.ignore_index) for _, _, block in self._blocks(labels[:, None], labels)]
        # as int64, since in eight bits no number of classes above 255 can be compared
        lowest, highest = torch.stack(limits).cpu().long().unbind(1)
        if lowest.amin() < 0 or highest.amax() >= self.num_target_classes:
            for _, _, block in self._blocks(labels[:, None], labels):
                class_indices(block, self.num_target_classes, self.ignore_index)

    def _block_size(self, num_pixels: int, device: torch.device) -> tuple[int, int]:
        """Return how many images of ``num_pixels`` pixels, and how many pixels of each, make a block."""
        size = max(1, _values_per_block(device) // (self.num_source_classes + self.num_target_classes))
        # an image that is too large is cut into equal parts: a small rest would cost as many calls as a whole block
        return max(1, size // num_pixels), math.ceil(num_pixels / math.ceil(num_pixels / size))

    def _row_limits(self, source_probabilities: Tensor) -> "_RowLimits":
        """Return the limits of the rows in all blocks of a batch, to be filled block by block."""
        batch, num_pixels = source_probabilities.shape[0], source_probabilities[0, 0].numel()
        step, length = self._block_size(num_pixels, source_probabilities.device)
        return _RowLimits(source_probabilities, math.ceil(batch / step) * math.ceil(num_pixels / length))

    def _blocks(
        self, source_probabilities: Tensor, labels: Tensor
    ) -> Iterator[tuple[tuple[slice, slice], Tensor, Tensor]]:
        """Yield ((images, pixels), probabilities [b, K_s, n], labels [b, n]) in blocks of about one size."""
        batch, num_pixels = labels.shape[0], labels[0].numel()
        step, length = self._block_size(num_pixels, labels.device)
        for first in range(0, batch, step):
            images = slice(first, min(first + step, batch))
            # flattening copies a crop that is not contiguous: these images alone, not the whole batch
            image_probabilities, image_labels = source_probabilities[images].flatten(2), labels[images].flatten(1)
            for start in range(0, num_pixels, length):
                pixels = slice(start, min(start + length, num_pixels))
                yield (images, pixels), image_probabilities[..., pixels], image_labels[..., pixels]

    # the work on a block has functions of its own: its large tensors are freed on leaving, and the next block gets
    # their memory, which lies in the processor's cache

    def _block_sums(self, block: Tensor, labels: Tensor, seen: "_RowLimits") -> tuple[Tensor, Tensor]:
        """Return a block's sums of theta by label [K_t, K_s] and the pixels of each class [K_t]."""
        probabilities, ignored = self._read(block, labels, seen)
        one_hot = _one_hot(labels, ignored, self.num_target_classes, probabilities.dtype)
        return _sums_of_products(one_hot, probabilities).sum(0), one_hot.sum((0, 2))

    def _block_hardness(
        self, block: Tensor, labels: Tensor, conditional: Tensor, dtype: torch.dtype, seen: "_RowLimits"
    ) -> tuple[Tensor, Tensor | None]:
        """Return a block's hardness [b, n] in ``dtype``, and the mask of ignored pixels or None."""
        probabilities, ignored = self._read(block, labels, seen)
        if ignored is not None:
            labels = labels.long().masked_fill(ignored, 0)
        expected = _of_label(conditional @ probabilities, labels)
        # the bounds are cheaper in float32, and the absolute value is free of minus zero
        hardness = expected.log_().to(dtype).clamp_(math.log(SMALLEST_PROBABILITY), 0.0).abs_()
        return hardness if ignored is None else hardness.masked_fill_(ignored, 0.0), ignored

    def _read(self, block: Tensor, labels: Tensor, seen: "_RowLimits") -> tuple[Tensor, Tensor | None]:
        """Return a block's probabilities in the widest dtype and the mask of ignored pixels, None if none is ignored.

        What the check of the rows needs is added to ``seen``.
        """
        ignored = None
        if self.ignore_index is not None:
            ignored = _is_ignored(labels, self.ignore_index)
            # whatever is there, it becomes a distribution
            block = block.masked_fill(ignored[:, None], 1.0 / self.num_source_classes)
        seen.add(block)
        return _widest(block), ignored

    def _check_rows(self, seen: "_RowLimits", source_probabilities: Tensor, labels: Tensor | None) -> None:
        """Raise ValueError if a pixel's row is no distribution, those aside whose label (None: no label) is ignored.

        Only where ``seen`` leaves a doubt is each row looked at again.
        """
        if seen.are_good():
            return
        ignore_index = self.ignore_index
        if labels is None:
            labels, ignore_index = torch.zeros_like(source_probabilities[:, 0], dtype=torch.uint8), None
        for _, block, block_labels in self._blocks(source_probabilities, labels):
            _check_rows_exactly(block, None if ignore_index is None else _is_ignored(block_labels, ignore_index))


class _RowLimits:
    """What the check of a batch's rows needs, kept on its device until all blocks are read: a GPU waits for none.

    Args:
        source_probabilities: the batch as it was given.
        num_blocks: how often ``add`` will be called.
    """

    def __init__(self, source_probabilities: Tensor, num_blocks: int) -> None:
        dtype = source_probabilities.dtype
        # half of what is allowed, so that round-off here never lets a row pass that is not a distribution
        self._margin = 0.5 * _row_tolerance(dtype)
        self._dtype = torch.promote_types(dtype, torch.float32)
        self._limits = source_probabilities.new_empty(num_blocks, 3, dtype=self._dtype)
        self._num_added = 0

    @property
    def num_blocks(self) -> int:
        """The number of blocks of the batch."""
        return len(self._limits)

    def add(self, probabilities: Tensor) -> None:
        """Take in a block [b, K_s, n]: its lowest probability, and the lowest and highest sum of a row."""
        rows = probabilities.to(self._dtype)
        # adding the rows one by one is faster than a sum over axis 1
        sums = functools.reduce(torch.add, rows.unbind(1))
        lowest, lowest_sum, highest_sum = self._limits[self._num_added].unbind()
        torch.amin(rows, (0, 1, 2), out=lowest)
        torch.amin(sums, (0, 1), out=lowest_sum)
        torch.amax(sums, (0, 1), out=highest_sum)
        self._num_added += 1

    def are_good(self) -> bool:
        """Return whether all rows are certainly distributions; they may be even where they do not seem so."""
        lowest, lowest_sums, highest_sums = self._limits.cpu().unbind(1)
        # what is not a number passes no comparison
        is_good = (lowest >= 0.0) & (lowest_sums >= 1.0 - self._margin) & (highest_sums <= 1.0 + self._margin)
        return bool(is_good.all())


def has_float64(device: torch.device) -> bool:
    """Return whether tensors of ``device`` can be float64; Apple's GPUs have none."""
    return device.type != "mps"


def in_float64(tensor: Tensor) -> Tensor:
    """Return a tensor in float64, on the CPU if its own device has no float64."""
    return _copied(tensor if has_float64(tensor.device) else tensor.cpu(), torch.float64)


def _copied(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor in ``dtype``, filled and not converted: what holds float32 alone is never asked for float64."""
    if tensor.dtype == dtype:
        return tensor
    return torch.empty(tensor.shape, dtype=dtype, device=tensor.device).copy_(tensor)


def _widest(tensor: Tensor) -> Tensor:
    """Return a tensor in float64, or in float32 if its device has no float64."""
    return in_float64(tensor) if has_float64(tensor.device) else tensor.float()


def _on_device(table: Tensor, device: torch.device) -> Tensor:
    """Return a float64 table of the CPU on ``device``, in its widest dtype."""
    return table.to(device) if has_float64(device) else table.float().to(device)


def _values_per_block(device: torch.device) -> int:
    if not has_float64(device):
        return _VALUES_PER_BLOCK_WITHOUT_FLOAT64
    return _VALUES_PER_BLOCK if device.type == "cpu" else _VALUES_PER_BLOCK_ON_GPU


def _is_ignored(labels: Tensor, ignore_index: int) -> Tensor:
    """Return where a label is ``ignore_index``; compared as int64, since -100 must match nothing in unsigned labels."""
    whole = labels.long()
    ignored = whole == ignore_index
    return ignored & (whole == labels) if labels.is_floating_point() else ignored


def _label_limits(labels: Tensor, ignore_index: int | None) -> Tensor:
    """Return the lowest and the highest label [2] that is not ignored, int64; the lowest is -1 if one is not whole."""
    whole = labels.long()
    if labels.is_floating_point():
        whole = whole.masked_fill(whole != labels, -1)
    if ignore_index is not None:
        whole = whole.masked_fill(_is_ignored(labels, ignore_index), 0)
    return torch.stack(whole.aminmax())


def _one_hot(labels: Tensor, ignored: Tensor | None, num_classes: int, dtype: torch.dtype) -> Tensor:
    """Return 1 at the class of each pixel that is not ignored and 0 elsewhere, [b, K_t, n], for labels [b, n]."""
    # labels of eight bits are compared as they are: an eighth of the memory to read
    can_stay = ignored is None and labels.dtype == torch.uint8 and num_classes <= 256
    numbers = labels if can_stay else _copied(labels, dtype)
    if ignored is not None:
        numbers = numbers.masked_fill(ignored, -1.0)
    classes = torch.arange(num_classes, dtype=numbers.dtype, device=labels.device)[:, None]
    one_hot = torch.empty(labels.shape[0], num_classes, labels.shape[1], dtype=dtype, device=labels.device)
    # turning booleans into numbers would take longer than comparing
    return torch.eq(numbers[:, None], classes, out=one_hot)


def _of_label(expected: Tensor, labels: Tensor) -> Tensor:
    """Return the row of ``expected`` [b, K_t, n] that each pixel's label [b, n] names, a new [b, n]."""
    if expected.shape[1] == 2:
        # at a weight of 0 or 1 lerp returns one of its ends exactly, in a fraction of the time of gather
        return torch.lerp(expected[:, 0], expected[:, 1], labels.to(expected.dtype))
    return expected.gather(1, labels.long()[:, None])[:, 0]


def _sums_of_products(one_hot: Tensor, probabilities: Tensor) -> Tensor:
    """Return the sums over pixels of one_hot[y] theta[z], [b, K_t, K_s], for [b, K_t, n] and [b, K_s, n]."""
    # MKL multiplies two such long rows at a time five times faster than more
    pairs = torch.split(one_hot, 2, dim=1)
    return torch.cat([torch.bmm(rows, probabilities.transpose(1, 2)) for rows in pairs], dim=1)


def _output(source_probabilities: Tensor, channels: int) -> Tensor:
    """Return an uninitialised [B, channels, pixels] tensor of at least float32."""
    batch, _, *spatial = source_probabilities.shape
    dtype = torch.promote_types(source_probabilities.dtype, torch.float32)
    pixels = torch.Size(spatial).numel()
    return torch.empty(batch, channels, pixels, dtype=dtype, device=source_probabilities.device)


def _row_tolerance(dtype: torch.dtype) -> float:
    """Return by how much the sum of a row may differ from 1."""
    # rounding each entry to half precision moves a row's sum by at most half an epsilon
    return max(1e-3, 2.0 * torch.finfo(dtype).eps)


def _check_rows_exactly(probabilities: Tensor, ignored: Tensor | None) -> None:
    """Raise ValueError unless each row of a block [b, K_s, n] that is not ignored is a distribution."""
    dtype, tolerance = probabilities.dtype, _row_tolerance(probabilities.dtype)
    probabilities = _widest(probabilities)
    sums = probabilities.sum(1)
    if ignored is not None:
        probabilities, sums = probabilities.masked_fill(ignored[:, None], 0.0), sums.masked_fill(ignored, 1.0)
    deviation = (sums - 1.0).abs_().amax()
    lowest, deviation = torch.stack((probabilities.amin(), deviation)).tolist()
    if not lowest >= 0.0:
        raise ValueError(f"source_probabilities must be at least 0 and not NaN, got {lowest}")
    if not deviation <= tolerance:
        raise ValueError(
            f"source_probabilities must sum to 1 over axis 1 within {tolerance:.2g} for {dtype}, "
            f"got a sum that is off by {deviation:.3g}: pass the softmax, not the logits"
        )
