"""What a record says of the machine and the software that made it."""

import platform
import subprocess
import sys
from importlib.metadata import version
from typing import Any

from riskmap import __version__
from riskmap.project.paths import PROJECT_ROOT

_LIBRARIES = ("torch", "monai", "numpy", "scipy", "nibabel", "nilearn", "matplotlib", "ipywidgets", "papermill")


def versions() -> dict[str, str]:
    """Return the versions of Python, riskmap and the libraries that its numbers depend on."""
    return {"python": platform.python_version(), "riskmap": __version__} | {name: version(name) for name in _LIBRARIES}


def git_revision() -> str | None:
    """Return the project's git revision, "-dirty" appended when files differ from it, or None outside git."""
    command = ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=True
        ).stdout.strip()
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


def computed_on() -> dict[str, Any]:
    """Return the software, platform, processor, GPU and number of threads of this process."""
    import torch

    return {
        "versions": versions(),
        "git_revision": git_revision(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "gpu": gpu_name(),
        "threads": torch.get_num_threads(),
    }
