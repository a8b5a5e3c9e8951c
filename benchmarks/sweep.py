"""A sweep on two workers beside a plain loop of papermill, over the same small runs of page 1.

The loop is what a reader would write: one notebook after another, torch with as many threads as it likes. Two such
loops of half the runs each, started together with one torch thread each, show what the machine itself can gain. The
sweep has two workers and one torch thread each; its time is that of the whole command, from Python's start to the last
figure of the summary. The seconds of the processors stand beside those of the clock: neighbours on a shared machine
change the latter alone.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import papermill
import yaml

from benchmarks import report
from riskmap.data.simulated import ensure_cohort
from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT, resolve

NOTEBOOK = NOTEBOOKS / "01_source_pretraining.ipynb"
RUNS = 12
WORKERS = 2


def run_loop(values: dict[str, Any], folder: Path, seeds: Iterable[int] = range(RUNS)) -> None:
    """Run each seed with papermill, one after another."""
    for seed in seeds:
        papermill.execute_notebook(
            str(NOTEBOOK),
            str(folder / f"{seed}.ipynb"),
            values | {"source_seed": seed, "out_dir": str(folder / "runs")},
            kernel_name="python3",
            cwd=str(NOTEBOOKS),
            progress_bar=False,
        )


def use_one_thread() -> None:
    """Let the kernels that this process starts use one torch thread."""
    os.environ["OMP_NUM_THREADS"] = "1"


def run_loops(values: dict[str, Any], folder: Path) -> None:
    """Run the same seeds as loops side by side, one torch thread each, and nothing that binds them together."""
    shares = [range(first, RUNS, WORKERS) for first in range(WORKERS)]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn"), initializer=use_one_thread) as pool:
        list(pool.map(run_loop, [values] * WORKERS, [folder] * WORKERS, shares))


def run_sweep(values: dict[str, Any], folder: Path) -> None:
    """Run the same seeds as a sweep."""
    plan = {
        "notebooks": [str(NOTEBOOK)],
        "parameters": values | {"out_dir": str(folder / "runs")},
        "grid": {"source_seed": list(range(RUNS))},
    }
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    command = [sys.executable, "-m", "riskmap", "sweep", str(path)]
    command += ["--out", str(folder / "out"), "--workers", str(WORKERS)]
    subprocess.run(command, check=True, cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_seconds() -> float:
    """Return the processor time of this process and of its children that have ended, and of theirs."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(name: str, run: Callable[[dict[str, Any], Path], None], values: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of the clock and of the processors that all runs take, in a fresh folder."""
    resolve("build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=resolve("build")) as folder:
        before, started = processor_seconds(), time.perf_counter()
        run(values, Path(folder))
        seconds = time.perf_counter() - started
    return {f"{name} s": seconds, f"{name} CPU s": processor_seconds() - before}


def main() -> None:
    """Run all three and report how many times faster than the loop the others are."""
    profile = yaml.safe_load((NOTEBOOKS / "profiles" / "smoke.yaml").read_text(encoding="utf-8"))
    values = {name: profile[name] for name in ("cohort", "source_steps")}
    ensure_cohort(values["cohort"])
    seconds = measure("loop", run_loop, values)
    seconds |= measure(f"{WORKERS} loops", run_loops, values) | measure("sweep", run_sweep, values)
    row = {"runs": RUNS, "cores": cores(), "workers": WORKERS, **seconds}
    row |= {f"loop / {name}": seconds["loop s"] / seconds[f"{name} s"] for name in (f"{WORKERS} loops", "sweep")}
    report("sweep", tuple(row), [row])
