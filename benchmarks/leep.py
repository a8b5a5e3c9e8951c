"""LEEP's two passes (update and hardness) beside the published per-sample loop: time, and peak memory per input.

The loop is the one of common public LEEP implementations, a sample being a pixel: ``joint[y] += theta[i]`` over all
samples, then the log of ``conditional[y] @ theta[i]`` over all samples. It is timed on the first pixels and scaled
linearly to all of them. A vectorised NumPy version in float64 stands beside it, so that the ratio can be judged.

The two passes have to read probabilities and labels twice. What that takes at least is measured by torch's own sums of
both arrays, each in its own dtype: with labels in eight bits, and in 64 bits as torch's losses want them.

Memory is measured in a fresh process per case: the growth of the peak resident size, input included, over the size of
the input (probabilities in float32 and labels in eight bits).
"""

import argparse
import json
import math
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks import report
from riskmap import LeepStatistics
from riskmap.project.paths import PROJECT_ROOT

SHAPES = [(64, 240, 240), (1, 128, 128, 128)]
CLASSES = [2, 4]
LOOP_PIXELS = 100_000
REPEATS = 5


def make_batch(shape: tuple[int, ...], num_source: int, num_target: int) -> tuple[Tensor, Tensor]:
    """Return random probabilities and labels, filled image by image so that making them needs no more than they do."""
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.empty(shape[0], num_source, *shape[1:])
    labels = torch.randint(num_target, shape, generator=generator, dtype=torch.uint8)
    for image in probabilities:
        # one row of pixels at a time, for a volume may be the only image
        for row in image.unbind(1):
            row.exponential_(generator=generator)
            row /= row.sum(0)
    return probabilities, labels


def run_library(probabilities: Tensor, labels: Tensor, num_target: int) -> float:
    """Return LEEP by both passes of the library."""
    stats = LeepStatistics(probabilities.shape[1], num_target).update(probabilities, labels)
    return -stats.hardness(probabilities, labels).mean().item()


def run_loop(probabilities: np.ndarray, labels: np.ndarray, num_target: int) -> float:
    """Return LEEP by the published loop over samples."""
    joint = np.zeros((num_target, probabilities.shape[1]))
    for theta, label in zip(probabilities, labels, strict=True):
        joint[label] += theta
    conditional = joint / joint.sum(0)
    total = 0.0
    for theta, label in zip(probabilities, labels, strict=True):
        total += math.log(conditional[label] @ theta)
    return total / len(labels)


def run_vectorised(probabilities: np.ndarray, labels: np.ndarray, num_target: int) -> float:
    """Return LEEP by whole-array NumPy in float64."""
    probabilities = probabilities.astype(np.float64)
    joint = np.eye(num_target)[labels].T @ probabilities
    conditional = joint / joint.sum(0)
    return float(np.log((conditional[labels] * probabilities).sum(1)).mean())


def read_twice(probabilities: Tensor, labels: Tensor) -> float:
    """Read both arrays twice, and return a number that depends on every value."""
    return sum((probabilities.sum() + labels.sum()).item() for _ in range(2))


def median_seconds(function: Callable[[], float], repeats: int) -> float:
    """Return the median seconds of ``repeats`` calls after one to warm up."""
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure_time(shape: tuple[int, ...], num_source: int, num_target: int) -> dict[str, float]:
    """Return the seconds of the library, of two reads, of the loop scaled to all pixels and of vectorised NumPy."""
    probabilities, labels = make_batch(shape, num_source, num_target)
    rows = probabilities.movedim(1, -1).reshape(-1, num_source).numpy()
    flat = labels.flatten().numpy()
    some_rows, some_labels = rows[:LOOP_PIXELS], flat[:LOOP_PIXELS]
    scale = len(flat) / len(some_labels)
    wide = labels.long()
    library = median_seconds(lambda: run_library(probabilities, labels, num_target), REPEATS)
    reads = median_seconds(lambda: read_twice(probabilities, labels), REPEATS)
    wide_library = median_seconds(lambda: run_library(probabilities, wide, num_target), REPEATS)
    wide_reads = median_seconds(lambda: read_twice(probabilities, wide), REPEATS)
    return {
        "library s": library,
        "two reads s": reads,
        "library / two reads": library / reads,
        "int64: library / two reads": wide_library / wide_reads,
        "loop s": scale * median_seconds(lambda: run_loop(some_rows, some_labels, num_target), 1),
        "NumPy s": median_seconds(lambda: run_vectorised(rows, flat, num_target), 1),
    }


def peak_bytes(process: int | str = "self") -> int:
    """Return the highest resident size of this process so far, on Linux of any process by its number."""
    # on Linux ru_maxrss keeps the parent's peak across fork and exec, so the kernel's own mark is read
    status = Path(f"/proc/{process}/status")
    if status.exists() and (
        found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8", errors="replace"))
    ):
        return 1024 * int(found[1])
    # bytes on macOS, kibibytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure_memory(shape: tuple[int, ...], num_source: int, num_target: int) -> float:
    """Return the growth of this process's peak over the input's size; meaningful in a fresh process only."""
    # load what a first call loads, before the baseline
    run_library(*make_batch((1, 8, 8), num_source, num_target), num_target)
    before = peak_bytes()
    probabilities, labels = make_batch(shape, num_source, num_target)
    run_library(probabilities, labels, num_target)
    return (peak_bytes() - before) / (probabilities.nbytes + labels.nbytes)


def measure_memory_apart(shape: tuple[int, ...], num_source: int, num_target: int) -> float:
    """Return ``measure_memory`` of a fresh process."""
    case = json.dumps([shape, num_source, num_target])
    command = [sys.executable, "-m", "benchmarks.leep", "--memory", case, "--threads", str(torch.get_num_threads())]
    result = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, encoding="utf-8", check=True, timeout=300)
    return float(result.stdout)


def main() -> None:
    """Run all cases and report how many times faster than the loop, and the peak per input."""
    rows = []
    for shape in SHAPES:
        for num_source in CLASSES:
            for num_target in CLASSES:
                seconds = measure_time(shape, num_source, num_target)
                rows.append(
                    {
                        "pixels": "x".join(map(str, shape)),
                        "K_s": num_source,
                        "K_t": num_target,
                        **seconds,
                        "loop / library": seconds["loop s"] / seconds["library s"],
                        "NumPy / library": seconds["NumPy s"] / seconds["library s"],
                        "peak / input": measure_memory_apart(shape, num_source, num_target),
                    }
                )
    report("leep", tuple(rows[0]), rows)
    print(f"The loop was timed on {LOOP_PIXELS} pixels and scaled to all of them.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the peak memory of one case in this process.")
    parser.add_argument("--memory", required=True, help="JSON of [shape, K_s, K_t]")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(measure_memory(*json.loads(arguments.memory)))
