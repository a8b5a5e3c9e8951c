"""A step (forward and backward) of the weighted loss beside MONAI's DiceCELoss on the same tensors."""

import random
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from monai.losses import DiceCELoss
from torch import Tensor

from benchmarks import report
from riskmap import RiskWeightedLoss
from riskmap.loss import NORMALIZATIONS

# batch, classes, spatial size and the number of timed rounds
CASES = [
    (16, 2, (96, 112), 60),
    (16, 4, (96, 112), 60),
    (8, 4, (240, 240), 30),
    (1, 4, (128, 128, 128), 9),
]
WARM_UP = 3


def seconds_of_a_step(loss: Callable[[], Tensor], logits: Tensor) -> float:
    """Return the seconds that one forward and backward pass takes."""
    logits.grad = None
    start = time.perf_counter()
    loss().backward()
    return time.perf_counter() - start


def compare(batch: int, num_classes: int, spatial: tuple[int, ...], rounds: int) -> list[dict[str, object]]:
    """Return a row per normalisation, with and without weights: medians over rounds in shuffled order."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, num_classes, *spatial, generator=generator).requires_grad_()
    labels = torch.randint(num_classes, (batch, 1, *spatial), generator=generator)
    weights = 10 * torch.rand(batch, 1, *spatial, generator=generator)
    monai = DiceCELoss(to_onehot_y=True, softmax=True)
    steps: dict[tuple[str, bool], Callable[[], Tensor]] = {("DiceCELoss", False): lambda: monai(logits, labels)}
    for name in NORMALIZATIONS:
        criterion = RiskWeightedLoss(name)
        steps[name, True] = partial(criterion, logits, labels, weights)
    steps["pixels", False] = partial(RiskWeightedLoss("pixels"), logits, labels)

    seconds: dict[tuple[str, bool], list[float]] = {key: [] for key in steps}
    order, shuffler = list(steps), random.Random(0)
    for _ in range(WARM_UP + rounds):
        shuffler.shuffle(order)
        for key in order:
            seconds[key].append(seconds_of_a_step(steps[key], logits))
    baseline = seconds.pop(("DiceCELoss", False))[WARM_UP:]
    return [
        {
            "shape": "x".join(map(str, (batch, num_classes, *spatial))),
            "loss": name + ("" if weighted else ", no weights"),
            "DiceCELoss ms": 1e3 * statistics.median(baseline),
            "ms": 1e3 * statistics.median(values[WARM_UP:]),
            # paired by round, so that a busy machine disturbs both alike
            "ratio": statistics.median(a / b for a, b in zip(values[WARM_UP:], baseline, strict=True)),
        }
        for (name, weighted), values in seconds.items()
    ]


def main() -> None:
    """Run all cases and report them; a ratio below 1 is faster than DiceCELoss."""
    rows = [row for case in CASES for row in compare(*case)]
    report("loss", ("shape", "loss", "DiceCELoss ms", "ms", "ratio"), rows)


if __name__ == "__main__":
    main()
