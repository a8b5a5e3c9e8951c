"""Eight students at once on one shared checkout: how long page 3 takes each, and how much memory.

Each has a folder of their own (``RISKMAP_HOME``) and copies of the notebooks, one process and one thread, as on a hub.
Page 3 is executed with the profile ``teach``, in two ways: as it is, when all of its runs are read from the checkout;
and with other weights in its last exercise in each copy, so that every student trains arms of their own. One student
alone is the reference of each.

Memory is the peak of the kernel and its children, resident; what several kernels share, as libraries, counts for each.
The runs of page 3 must be in ``build/runs``: run the tutorial first. That checkout is only read is checked at the end.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import report
from riskmap.project.files import digest_of_folder, read_json
from riskmap.project.hub import JOBS
from riskmap.project.machine import processor_name
from riskmap.project.paths import BUILD, NOTEBOOKS, OWN_FOLDER, PROJECT_ROOT

STUDENTS = 8
PAGE = "03_fine_tuning.ipynb"
# what the page's own arm says, and what a student puts in its place
WEIGHTS, OTHER_WEIGHTS = "1 + 4 * h", "1 + {} * h"


def start(home: Path, student: int, trains: bool) -> subprocess.Popen[bytes]:
    """Let a student execute page 3, in a folder of their own.

    Args:
        home: of the student.
        student: the number, from 0.
        trains: whether the student's own arm differs from the one whose runs are there.
    """
    environment = {name: value for name, value in os.environ.items() if name not in (JOBS, "OMP_NUM_THREADS")}
    environment[OWN_FOLDER] = str(home)
    subprocess.run(
        [sys.executable, "-m", "riskmap.project.own_pages"],
        env=environment,
        cwd=PROJECT_ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    page = home / "notebooks" / PAGE
    if trains:
        text = page.read_text(encoding="utf-8")
        if text.count(WEIGHTS) != 1:
            raise ValueError(f"{PAGE} must say {WEIGHTS!r} once, to have another arm in its place")
        page.write_text(text.replace(WEIGHTS, OTHER_WEIGHTS.format(5 + student)), encoding="utf-8")
    command = [sys.executable, "-m", "riskmap.rerun.run", str(page), "-o", str(output_of(home))]
    command += ["-f", str(NOTEBOOKS / "profiles" / "teach.yaml")]
    with (home / "output").open("wb") as output:
        return subprocess.Popen(command, env=environment, cwd=PROJECT_ROOT, stdout=output, stderr=subprocess.STDOUT)


def output_of(home: Path) -> Path:
    """Return where a student's executed page lies."""
    return home / "build" / "reruns" / PAGE


def measure(students: int, trains: bool) -> dict[str, Any]:
    """Return the seconds, the memory and the runs of students who execute page 3 at the same time.

    Raises:
        RuntimeError: the page of one did not run to its end.
    """
    with tempfile.TemporaryDirectory() as name:
        homes = [Path(name, f"student_{number}") for number in range(students)]
        started = time.perf_counter()
        working = [start(home, number, trains) for number, home in enumerate(homes)]
        failed = [home for home, process in zip(homes, working, strict=True) if process.wait()]
        seconds = time.perf_counter() - started
        if failed:
            raise RuntimeError(
                f"{len(failed)} of {students} failed:\n{(failed[0] / 'output').read_text(encoding='utf-8')[-3000:]}"
            )
        records = [read_json(output_of(home).with_name(f"{PAGE}.json")) for home in homes]
        trained = [len(list((home / "build" / "runs").rglob("record.json"))) for home in homes]
    return {
        "way": "trains an own arm" if trains else "reads the runs",
        "students": students,
        "own runs each": trained[0],
        "s": round(seconds, 1),
        "slowest page s": max(record["duration_seconds"] for record in records),
        "most MB": max(record["peak_memory_mb"] for record in records),
        "sum MB": round(sum(record["peak_memory_mb"] for record in records), 1),
    }


def main() -> None:
    """Measure one student and all of them, reading and training."""
    before = [digest_of_folder(BUILD / name) for name in ("data", "runs")]
    rows = []
    for trains in (False, True):
        alone, together = measure(1, trains), measure(STUDENTS, trains)
        rows += [each | {"times one": round(each["s"] / alone["s"], 2)} for each in (alone, together)]
    if [digest_of_folder(BUILD / name) for name in ("data", "runs")] != before:
        raise RuntimeError("the shared data or runs have changed")
    machine = {"cores": os.cpu_count(), "processor": processor_name()}
    report("hub", tuple(rows[0]), [row | machine for row in rows])
