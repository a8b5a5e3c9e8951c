"""Run records: one small JSON per run, with everything that is needed to trust and repeat its numbers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from riskmap.project.files import write_json
from riskmap.project.machine import computed_on, peak_gpu_memory_mb, peak_memory_mb

SCHEMA = 2


@cache
def computing_versions() -> dict[str, str]:
    """Return the versions of the libraries that compute what is stored: an upgrade may give other numbers."""
    return {name: version(name) for name in ("torch", "monai", "numpy", "scipy")}


def write_record(
    path: Path, kind: str, parameters: Mapping[str, Any], results: Mapping[str, Any], seconds: float
) -> None:
    """Write a run record.

    Args:
        path: the JSON file; its existence marks the run as finished, so it is written last.
        kind: "source" or "transfer".
        parameters: all that decides the numbers, the hash of the data included.
        results: what was measured.
        seconds: what the run has taken, all parts of it where it was stopped on the way.
    """
    record = {
        "schema": SCHEMA,
        "kind": kind,
        "parameters": dict(parameters),
        "results": dict(results),
        "cost": {
            "seconds": round(seconds, 2),
            "peak_memory_mb": peak_memory_mb(),
            "peak_gpu_memory_mb": peak_gpu_memory_mb(),
        },
        "environment": computed_on(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(path, record)
