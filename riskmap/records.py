"""Run records: one small JSON per run, with everything that is needed to trust and repeat its numbers."""

import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from IPython.display import Markdown

from riskmap import __version__
from riskmap.files import write_json
from riskmap.paths import PROJECT_ROOT

SCHEMA = 1
_LIBRARIES = (
    "torch",
    "monai",
    "numpy",
    "scipy",
    "nibabel",
    "nilearn",
    "matplotlib",
    "ipywidgets",
    "papermill",
)


def versions() -> dict[str, str]:
    """Return the versions of Python, riskmap and the libraries that its numbers depend on."""
    return {"python": platform.python_version(), "riskmap": __version__} | {name: version(name) for name in _LIBRARIES}


def show_versions() -> Markdown:
    """Return the versions as one line for the end of a notebook's import cell."""
    return Markdown(" · ".join(f"{name} {number}" for name, number in versions().items()))


def git_revision() -> str | None:
    """Return the project's git revision, "-dirty" appended when files differ from it, or None outside git."""
    command = ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def processor_name() -> str:
    """Return the processor's name, or its architecture where torch does not know the name."""
    import torch  # seconds to load, which whoever only runs notebooks can do without

    return torch.cpu.get_capabilities().get("cpu_name", platform.machine())


def peak_memory_mb() -> float | None:
    """Return the highest resident memory of this process so far in MB, or None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource  # not there on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def gpu_name() -> str | None:
    """Return the name of the NVIDIA GPU that this process has computed on, None where it used none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_initialized() else None


def peak_gpu_memory_mb() -> float | None:
    """Return the most memory in MB that tensors of this process took on its NVIDIA GPU, None where it used none."""
    import torch

    return round(torch.cuda.max_memory_allocated() / 2**20, 1) if torch.cuda.is_initialized() else None


def write_record(
    path: Path, kind: str, parameters: Mapping[str, Any], results: Mapping[str, Any], started: float
) -> dict:
    """Write a run record and return it.

    Args:
        path: the JSON file; its existence marks the run as finished, so it is written last.
        kind: "source" or "transfer".
        parameters: all that decides the numbers, the hash of the data included.
        results: what was measured.
        started: ``time.perf_counter()`` at the start of the run.
    """
    import torch

    record = {
        "schema": SCHEMA,
        "kind": kind,
        "parameters": dict(parameters),
        "results": dict(results),
        "cost": {
            "seconds": round(time.perf_counter() - started, 2),
            "peak_memory_mb": peak_memory_mb(),
            "peak_gpu_memory_mb": peak_gpu_memory_mb(),
        },
        "environment": {
            "versions": versions(),
            "git_revision": git_revision(),
            "platform": platform.platform(),
            "processor": processor_name(),
            "gpu": gpu_name(),
            "threads": torch.get_num_threads(),
        },
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(path, record)
    return record
