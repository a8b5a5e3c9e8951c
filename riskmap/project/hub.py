"""How much of a machine one reader takes, where many work on it from one shared checkout: one process, one thread."""

# an old Python, which is named before it can read the rest, reads this
from __future__ import annotations

import os

from riskmap.project.paths import PROJECT_ROOT, is_shared, own_root

# says how many processes may run side by side
JOBS = "RISKMAP_JOBS"
# torch and the libraries below NumPy look here when they are loaded
_THREADS = "OMP_NUM_THREADS"


def limit_threads() -> None:
    """Let this process, and those that it starts, compute with one thread on a shared checkout, unless told otherwise.

    It must be called before torch is loaded.
    """
    if is_shared():
        os.environ.setdefault(_THREADS, "1")


def allowed_jobs(wanted: int) -> int:
    """Return how many processes may run side by side: as many as wanted, but on a shared checkout one.

    The variable ``RISKMAP_JOBS`` allows more there, and fewer anywhere. No number depends on it.

    Raises:
        ValueError: the variable holds no whole number of at least 1.
    """
    most = _most_jobs()
    return wanted if most is None else min(wanted, most)


def describe_sharing() -> str:
    """Say where a reader of a shared checkout reads and writes, and how much of the machine is used.

    Returns:
        An empty text where the checkout is the reader's own.
    """
    if not is_shared():
        return ""
    return (
        f"Shared checkout: what is there is read from {PROJECT_ROOT}, what you make goes to {own_root()}. "
        f"Processes at a time: {_most_jobs()} ({JOBS}), threads each: {os.environ.get(_THREADS, 'all')} ({_THREADS})."
    )


def _most_jobs() -> int | None:
    """Return the limit, None where there is none."""
    text = os.environ.get(JOBS, "")
    if not text:
        return 1 if is_shared() else None
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise ValueError(f"{JOBS} must be a whole number of at least 1, got {text!r}")
    return int(text)
