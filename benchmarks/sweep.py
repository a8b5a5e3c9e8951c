"""A sweep on two workers beside a plain loop of papermill, over the same small runs of page 1.

The loop is what a reader would write: one notebook after another, torch with as many threads as it likes. The sweep
has two workers and one torch thread each; its time is that of the whole command, from Python's start to the last
figure of the summary.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import papermill
import yaml

from benchmarks import report
from riskmap.execution import CurrentInterpreter, read_profile
from riskmap.paths import resolve
from riskmap.sweep import cores
from riskmap.tutorial import NOTEBOOKS, find_profile, prepare_cohorts

NOTEBOOK = NOTEBOOKS / "01_source_pretraining.ipynb"
RUNS = 12
WORKERS = 2


def run_loop(values: dict[str, Any], folder: Path) -> float:
    """Run each seed with papermill, one after another, and return the seconds."""
    started = time.perf_counter()
    for seed in range(RUNS):
        papermill.execute_notebook(
            str(NOTEBOOK),
            str(folder / f"{seed}.ipynb"),
            values | {"source_seed": seed, "out_dir": str(folder / "runs")},
            kernel_name="python3",
            kernel_manager_class=CurrentInterpreter,
            cwd=str(NOTEBOOKS),
            progress_bar=False,
        )
    return time.perf_counter() - started


def run_sweep(values: dict[str, Any], folder: Path) -> float:
    """Run the same seeds as a sweep, and return the seconds of the whole command."""
    plan = {
        "notebooks": [str(NOTEBOOK)],
        "parameters": values | {"out_dir": str(folder / "runs")},
        "grid": {"source_seed": list(range(RUNS))},
    }
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    options = ["--out", str(folder / "out"), "--workers", str(WORKERS)]
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "riskmap.sweep", str(path), *options], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Run both and report how many times faster the sweep is."""
    profile = read_profile(find_profile("smoke", NOTEBOOKS), NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    values = {name: profile[name] for name in ("cohort", "source_steps")}
    prepare_cohorts([values])
    resolve("build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=resolve("build")) as name:
        folders = [Path(name) / "loop", Path(name) / "sweep"]
        for folder in folders:
            folder.mkdir()
        seconds = {"loop s": run_loop(values, folders[0]), "sweep s": run_sweep(values, folders[1])}
    row = {"runs": RUNS, "cores": cores(), "workers": WORKERS, **seconds}
    row["loop / sweep"] = seconds["loop s"] / seconds["sweep s"]
    report("sweep", tuple(row), [row])
