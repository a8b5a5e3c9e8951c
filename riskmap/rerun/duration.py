"""How long the tutorial takes: what a whole call took, and what that means for a machine of another speed.

Its record is made by the tutorial itself. Machines are compared by ten training steps; ``python -m riskmap check-env``
ends with them.
"""

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib

from riskmap.data.discs import blob_images
from riskmap.project.commands import exit_status, run_command
from riskmap.project.files import read_json, write_json
from riskmap.project.machine import git_revision, processor_name, versions
from riskmap.project.paths import RESULTS
from riskmap.project.workers import torch_threads
from riskmap.training.baseline_losses import plain_loss
from riskmap.training.loop import sampler_of, train
from riskmap.training.networks import build_network
from riskmap.training.specs import Setting

RECORD_NAME = "tutorial_time.json"
PUBLISHED = RESULTS / RECORD_NAME
STEPS = 10
# pictures of as many pixels as a slice of the default cohort, 96 x 112
_SIDE = 104
_REPEATS = 3


def time_steps() -> dict[str, Any]:
    """Return how long ten training steps of the tutorial take here: the median of three times, after a warm-up.

    The network, the batch, the device and the precision are those of the default setting, the pictures made up; it
    computes on one thread, as each run does.
    """
    setting = Setting(steps=STEPS)
    training = setting.training
    network, pictures = build_network(2, setting.network), blob_images(64, _SIDE, seed=0)
    milliseconds = []
    with torch_threads(1):
        for _ in range(1 + _REPEATS):
            started = time.perf_counter()
            train(network, sampler_of(training, pictures, 0), plain_loss(), training)
            milliseconds.append(1000 * (time.perf_counter() - started))
    resolved = training.resolved()
    return {
        "ten_steps_ms": round(statistics.median(milliseconds[1:]), 1),
        "device": resolved.device,
        "precision": resolved.precision,
    }


class Stopwatch:
    """What the parts of a call of the tutorial take, and all of them together."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._parts: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what is done inside the block."""
        started = time.monotonic()
        yield
        self._parts[name] = round(time.monotonic() - started, 1)

    def write(self, path: Path, **facts: Any) -> None:
        """Write the record of a whole call.

        Args:
            path: of the file.
            facts: what else it holds: what :func:`time_steps` returns, and ``jobs``, what went on side by side.
        """
        record = {
            "seconds": round(time.monotonic() - self._started, 1),
            "parts": self._parts,
            **facts,
            "cores": joblib.cpu_count(),
            "processor": processor_name(),
            "versions": versions(),
            "git_revision": git_revision(),
        }
        write_json(path, record)


def estimate(record: Mapping[str, Any], ten_steps_ms: float, cores: int) -> float:
    """Return the seconds of the whole tutorial on another machine: ``s * (t / t_0) * (c_0 / c)``.

    Here s, t_0 and c_0 are the seconds, the time of ten steps and the cores at work of the record, t and c those of the
    other machine. No more cores are at work than the tutorial does things side by side.

    Args:
        record: of a whole call.
        ten_steps_ms: t, in ms.
        cores: of the other machine, at least 1.
    """
    at_work = min(record["jobs"], record["cores"]) / min(record["jobs"], cores)
    return record["seconds"] * ten_steps_ms / record["ten_steps_ms"] * at_work


def describe(here: Mapping[str, Any], record: Mapping[str, Any] | None, cores: int) -> str:
    """Say how fast this machine is, and how long the tutorial will take; without a record of the device only the first.

    Args:
        here: as :func:`time_steps` returns it.
        record: of a whole call on some machine.
        cores: of this machine.
    """
    speed = f"Ten training steps: {here['ten_steps_ms']:.0f} ms ({here['precision']}, one thread, {here['device']})"
    if record is None or record["device"] != here["device"]:
        return speed
    minutes = estimate(record, here["ten_steps_ms"], cores) / 60
    return (
        f"{speed}\nThe tutorial: about {minutes:.0f} min on {cores} core{'s' if cores > 1 else ''}, from "
        f"{record['seconds'] / 60:.1f} min on {record['cores']} of {record['processor']}, where these steps took "
        f"{record['ten_steps_ms']:.0f} ms"
    )


def main() -> int:
    """Print how fast this machine is, and how long the tutorial will take on it."""

    def work() -> int:
        record = read_json(PUBLISHED) if PUBLISHED.is_file() else None
        print(describe(time_steps(), record, joblib.cpu_count()))
        return 0

    return exit_status(work, "nothing was kept")


if __name__ == "__main__":
    run_command(main)
