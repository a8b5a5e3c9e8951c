"""Peak memory of preparing, of LEEP statistics and of risk maps with 10 and with 40 subjects: it must be the same.

The set is generated: one simulated patient at 2 mm in the layout of FeTS 2021, whose files are linked under the names
of all subjects, so that one more costs its work and no space. Prepared volumes have 96 x 112 x 88 voxels; 30 patients
that stayed in memory, one image and its label each, would show as about 140 MB. The network is the tutorial's,
untrained.

Each step runs in a fresh process, which reports its own peak and that of its largest worker, 0 with one job; the ratio
is between the sums of both. The last rows are one patient at 1 mm in a box of 240 x 240 x 160 voxels (FeTS has
240 x 240 x 155, and a prepared axis is a multiple of 8), for a network of slices and for one of volumes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from joblib.externals.loky import get_reusable_executor

from benchmarks import report
from benchmarks.leep import peak_bytes
from data_scripts import simulate_fets2021
from data_scripts.archives.layout import BRAIN_BOX
from data_scripts.archives.prepare import prepare
from riskmap.data.cohort import Cohort, Task
from riskmap.project.paths import PROJECT_ROOT
from riskmap.risk import TransferRiskMap
from riskmap.training.config import choose_dimensions
from riskmap.training.map_files import stream_statistics, write_risk_maps
from riskmap.training.networks import build_network

SUBJECTS = (10, 40)
FULL_BOX_MM = (240.0, 240.0, 160.0)
TASK = Task("T1ce", "TC")
COLUMNS = ("step", "dimensions", "jobs", "subjects", "process MB", "worker MB", "s", "ratio to fewer subjects")


@dataclass(frozen=True)
class Case:
    """One measurement: which step, on which folder, in how many processes."""

    step: str
    folder: str
    jobs: int
    spacing: float = 2.0
    box: tuple[float, ...] = BRAIN_BOX
    spatial_dims: int = 2


def link_archive(patient: Path, out: Path, subjects: int) -> None:
    """Give the files of one patient's folder to each subject of a new archive."""
    for number in range(1, subjects + 1):
        folder = out / f"FeTS21_Training_{number:03d}"
        folder.mkdir(parents=True)
        for path in patient.iterdir():
            os.link(path, folder / path.name.replace(patient.name, folder.name))


def run_step(case: Case) -> None:
    """Prepare the archive in the case's folder, or stream over what was prepared there."""
    folder = Path(case.folder)
    if case.step == "prepare":
        choices: dict[str, Any] = {"spacing": case.spacing, "box": case.box, "unsplit": "target_test"}
        prepare(folder / "archive", folder / "prepared", jobs=case.jobs, **choices)
        return
    cohort = Cohort.open(folder / "prepared")
    config, patches = choose_dimensions(case.spatial_dims, patch_size=96)
    network = build_network(2, config).eval()
    subjects = cohort.subjects if case.step == "statistics" else cohort.subjects[:1]
    window = patches.window
    statistics = stream_statistics(network, 2, cohort, subjects, TASK, window=window, jobs=case.jobs)
    if case.step == "maps":
        out = folder / f"maps_{case.spatial_dims}d"
        maps = TransferRiskMap(statistics)
        write_risk_maps(network, maps, cohort, cohort.subjects, TASK, out, window=window, jobs=case.jobs)


def largest_worker_bytes() -> int:
    """Return the highest resident size that one of this process's children reached."""
    if Path("/proc/self/status").exists():
        # workers wait for more work, so their own marks can still be read
        return max((peak_bytes(child.pid) for child in psutil.Process().children(recursive=True)), default=0)
    get_reusable_executor().shutdown()
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure_apart(case: Case) -> dict[str, Any]:
    """Return the megabytes and the seconds of a case in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", "--case", json.dumps(asdict(case))]
    started = time.perf_counter()
    result = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, encoding="utf-8", timeout=3600)
    if result.returncode:
        raise RuntimeError(f"{case} failed:\n{result.stderr}")
    process, worker = json.loads(result.stdout.splitlines()[-1])
    return {
        "step": case.step,
        "dimensions": case.spatial_dims,
        "jobs": case.jobs,
        "process MB": process / 2**20,
        "worker MB": worker / 2**20,
        "s": time.perf_counter() - started,
    }


def measure_sizes(root: Path, patient: Path) -> list[dict[str, Any]]:
    """Measure every step with one and two jobs for each number of subjects."""
    rows = []
    for jobs in (1, 2):
        of_jobs: dict[str, list[float]] = {}
        for subjects in SUBJECTS:
            folder = root / f"{subjects}_subjects_{jobs}_jobs"
            link_archive(patient, folder / "archive", subjects)
            for step in ("prepare", "statistics", "maps"):
                row = measure_apart(Case(step, str(folder), jobs))
                peaks = of_jobs.setdefault(step, [])
                peaks.append(row["process MB"] + row["worker MB"])
                ratio = peaks[-1] / peaks[0] if len(peaks) > 1 else "-"
                rows.append({**row, "subjects": subjects, "ratio to fewer subjects": ratio})
    return sorted(rows, key=lambda row: (row["step"], row["jobs"], row["subjects"]))


def measure_full_size(root: Path, patient: Path) -> list[dict[str, Any]]:
    """Measure every step for one patient at 1 mm."""
    folder = root / "full_size"
    link_archive(patient, folder / "archive", subjects=1)
    steps = [("prepare", 2), ("statistics", 2), ("maps", 2), ("statistics", 3), ("maps", 3)]
    cases = [Case(step, str(folder), 1, 1.0, FULL_BOX_MM, dimensions) for step, dimensions in steps]
    return [{**measure_apart(case), "subjects": "1 at 1 mm", "ratio to fewer subjects": "-"} for case in cases]


def main() -> None:
    """Measure all cases and report the peaks."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        small, large = (
            next(simulate_fets2021.simulate(root / f"{spacing}mm", 1, spacing=spacing, jobs=1).glob("FeTS21_*"))
            for spacing in (2, 1)
        )
        rows = measure_sizes(root, small) + measure_full_size(root, large)
    report("memory", COLUMNS, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", required=True, help="measure one case in this process, given as JSON")
    torch.set_num_threads(1)
    run_step(Case(**json.loads(parser.parse_args().case)))
    print(json.dumps([peak_bytes(), largest_worker_bytes()]))
