"""The shared argument checks: what passes unchanged, and what each error says."""

import numpy as np
import pytest
import torch

from riskmap.checks import (
    check_class_map,
    check_count,
    check_ignore_index,
    check_number,
    check_option,
    check_tensor,
    class_indices,
    labelled_batches,
    labels_without_channel,
)

IMAGE = torch.rand(2, 3, 4, 5)


def test_what_fits_is_returned():
    assert check_option("kind", "a", ("a", "b")) == "a"
    assert check_count("count", 3, 1) == 3
    assert check_number("size", 2, 0.0) == 2.0
    assert check_ignore_index(-100) == -100
    assert check_class_map("logits", IMAGE) is not None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: check_option("kind", "c", ("a", "b")), ValueError, r"kind must be one of 'a', 'b', got 'c'"),
        (lambda: check_count("count", 0, 1), ValueError, "count must be at least 1, got 0"),
        (lambda: check_count("count", True, 1), TypeError, "count must be an int, got bool"),
        (lambda: check_count("count", 2.0, 1), TypeError, "count must be an int, got float"),
        (lambda: check_count("count", np.float32(2), 1), TypeError, "count must be an int, got float32"),
        (lambda: check_count("count", np.bool_(True), 1), TypeError, "count must be an int, got bool"),
        (lambda: check_number("size", np.float32("nan"), 0.0), ValueError, "size must be finite"),
        (lambda: check_number("size", float("nan"), 0.0), ValueError, "size must be finite"),
        (lambda: check_number("size", 2.0, 0.0, 1.0), ValueError, r"between 0.0 and 1.0, got 2.0"),
        (lambda: check_number("size", "1", 0.0), TypeError, "size must be a number, got str"),
        (lambda: check_ignore_index(1.0), TypeError, "ignore_index must be None or an int, got float"),
        (lambda: check_tensor("labels", [1]), TypeError, "labels must be a torch.Tensor, got list"),
        (lambda: check_class_map("logits", IMAGE.long()), TypeError, "logits must have a floating dtype"),
        (lambda: check_class_map("logits", IMAGE[0, 0]), ValueError, r"with 1 to 3 spatial axes, got \(4, 5\)"),
        (lambda: check_class_map("logits", IMAGE, 4), ValueError, "logits must have 4 channels on axis 1"),
        (lambda: check_class_map("logits", IMAGE[:, :1]), ValueError, "at least 2 channels"),
        (lambda: check_class_map("logits", IMAGE[:0]), ValueError, "logits must not be empty"),
        (
            lambda: labels_without_channel(torch.zeros(2, 5, 4), IMAGE),
            ValueError,
            r"labels must be \(2, 4, 5\) or \(2, 1, 4, 5\), got \(2, 5, 4\)",
        ),
        (lambda: class_indices(torch.tensor([0, 3]), 3, None), ValueError, r"labels must be in 0..2, got .* 0 to 3"),
        (lambda: class_indices(torch.tensor([-1, 3]), 3, 3), ValueError, "in 0..2 or ignore_index 3, got .* -1 to 0"),
        (lambda: class_indices(torch.tensor([0.5]), 3, None), ValueError, "whole numbers"),
        (lambda: class_indices(torch.tensor([float("nan")]), 3, None), ValueError, "whole numbers"),
        (lambda: class_indices(torch.tensor([1j]), 3, None), TypeError, "labels must hold integers"),
        (lambda: list(labelled_batches([IMAGE])), TypeError, r"\(probabilities, labels\) pairs"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, torch.float32, torch.bool])
def test_class_indices_take_every_label_dtype(dtype):
    indices, valid = class_indices(torch.tensor([0, 1, 1]).to(dtype), 2, None)
    assert indices.tolist() == [0, 1, 1]
    assert indices.dtype == torch.int64
    assert valid is None


@pytest.mark.parametrize("ignore_index", [1, 255, -100])
def test_ignored_labels_become_index_zero(ignore_index):
    indices, valid = class_indices(torch.tensor([0, ignore_index, 2]), 3, ignore_index)
    assert indices.tolist() == [0, 0, 2]
    assert valid.tolist() == [True, False, True]


def test_numbers_of_numpy_become_plain_ones():
    for value in (check_count("count", np.int64(3), 1), check_ignore_index(np.int32(-100))):
        assert type(value) is int
    for number in (np.float32(2.0), np.float16(2.0), np.int64(2)):
        value = check_number("size", number, 0.0)
        assert value == 2.0
        assert type(value) is float


def test_labels_lose_their_channel():
    assert labels_without_channel(torch.zeros(2, 1, 4, 5), IMAGE).shape == (2, 4, 5)
