"""Run a notebook, or a chain of them, over many parameters: ``python -m riskmap sweep sweeps/smoke.yaml``."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster, as_completed
from tqdm import tqdm

from riskmap.project.commands import exit_status, positive, run_command
from riskmap.project.environment import require_checkout
from riskmap.project.files import write_json
from riskmap.project.hub import allowed_jobs
from riskmap.project.paths import PROJECT_ROOT, resolve
from riskmap.project.progress import progress_bar
from riskmap.project.writing import require_writable
from riskmap.rerun.execution import record_of
from riskmap.rerun.notebooks import declared_parameters, page_of
from riskmap.rerun.sweep_jobs import Job, Sweep, jobs_of, read_sweep, run_job
from riskmap.rerun.tutorial import prepare_cohorts

OUTPUTS = Path("build", "sweeps")


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(jobs: Sequence[Job], client: Client, sweep: Sweep, threads: int) -> dict[str, str]:
    """Run jobs on a cluster with a bar of the time left, and return the messages of those that failed by name.

    A failure stops nothing but what needs the failed job. A job whose worker dies is run again on another.
    """
    futures: dict[str, Any] = {}
    try:
        for job in jobs:
            needed = [futures[name] for name in job.needs if name in futures]
            # the first part of a key tells Dask what takes equally long: only then does an idle worker take a job over
            key = (job.notebook.stem, job.name)
            futures[job.name] = client.submit(
                run_job, job, sweep.time_limit, threads, *needed, key=key, retries=sweep.retries, pure=False
            )
        names = {future.key: name for name, future in futures.items()}
        failed: dict[str, str] = {}
        done = as_completed(list(futures.values()))
        for future in progress_bar(done, "sweep", total=len(futures), unit="job", shown=bool(futures)):
            if future.status != "finished":
                failed[names[future.key]] = str(future.exception()) if future.status == "error" else future.status
                tqdm.write(f"failed: {names[future.key]}")
    except KeyboardInterrupt:
        client.cancel(list(futures.values()), force=True)
        raise
    for job in jobs:
        lost = [name for name in job.needs if name in failed]
        if lost and job.name in failed:
            failed[job.name] = f"not started, since {lost[0]} failed"
    return failed


def run_sweep(
    path: Path,
    folder: Path | None = None,
    given: Mapping[str, str] | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    resume: bool = False,
) -> dict[str, str]:
    """Run a sweep, write its table and its summary, and return the messages of what failed by name.

    Args:
        path: the sweep's YAML file.
        folder: where results go; ``build/sweeps/NAME`` when not given.
        given: texts of parameters from the command line.
        scheduler: address of a running Dask scheduler; without one, workers start on this machine.
        workers: how many of them; as many as there are cores, or jobs.
        resume: whether finished jobs are left as they are.

    Raises:
        ValueError: the sweep, a name or a value does not fit; nothing has been run.
    """
    require_checkout(PROJECT_ROOT)
    sweep = read_sweep(path)
    folder = (folder or resolve(OUTPUTS) / path.stem).resolve()
    jobs = jobs_of(sweep, folder, given or {})
    places = {"--out": folder}
    if scheduler is None:
        places |= {name: place for job in jobs for name, place in page_of(job.notebook, job.values).writes().items()}
    require_writable(places)
    if scheduler is None:  # else the workers' machines decide, which may have what this one lacks
        for job in jobs:
            page_of(job.notebook, job.values).check_machine()
    prepare_cohorts(declared_parameters(job.notebook) | job.values for job in jobs)
    jobs = jobs_of(sweep, folder, given or {})  # and whether the cohorts have what is asked of them
    if not resume:
        for job in jobs:
            record_of(job.output).unlink(missing_ok=True)
    missing = [job for job in jobs if not job.finished()]
    print(f"{path.stem}: {len(jobs)} jobs, {len(missing)} to do", flush=True)
    failed: dict[str, str] = {}
    if missing:
        with ExitStack() as stack:
            client, threads = _connect(stack, scheduler, workers or allowed_jobs(min(cores(), len(missing))))
            failed = run_jobs(missing, client, sweep, threads)
    from riskmap.rerun.sweep_summary import write_summary, write_table  # loads figures, which the start can do without

    table = write_table([job for job in jobs if job.name not in failed], folder)
    write_json(folder / "sweep.json", {"swept": sweep.swept, "jobs": [_entry(job, folder, failed) for job in jobs]})
    write_summary(path.stem, table, sweep.swept, failed, folder)
    return failed


def _connect(stack: ExitStack, scheduler: str | None, workers: int) -> tuple[Client, int]:
    """Return a client of the running cluster, or of one that is started here, and the threads of each kernel."""
    if scheduler is not None:
        return stack.enter_context(Client(scheduler, timeout=30)), 1
    # a worker would log every failure with its traceback into the bar; the message comes at the end
    quiet = {"distributed.nanny.pre-spawn-environ.DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical"}
    # no job waits behind another while a worker is idle
    one_each = {"distributed.scheduler.worker-saturation": 1.0}
    stack.enter_context(dask.config.set(quiet | one_each))
    # the kernels are processes of their own: a limit on a worker's memory would not see theirs
    with _deaf_children():
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
    return stack.enter_context(Client(stack.enter_context(cluster))), max(1, cores() // workers)


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Let processes that start meanwhile ignore Ctrl-C, which a terminal sends to all: their parent ends them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _entry(job: Job, folder: Path, failed: Mapping[str, str]) -> dict[str, Any]:
    return {
        "job": job.name,
        "notebook": job.notebook.name,
        "parameters": job.values,
        "executed": job.output.relative_to(folder).as_posix(),
        "failed": failed.get(job.name),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sweep from the command line; the exit status is 0 when every job is finished."""
    parser = argparse.ArgumentParser(prog="python -m riskmap sweep", description=__doc__)
    parser.add_argument("sweep", type=Path, help="YAML file: notebooks, profile, parameters, grid, zip, time_limit")
    parser.add_argument("-o", "--out", type=Path, help="folder of the results (build/sweeps/NAME)")
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("--scheduler", metavar="ADDRESS", help="use this running Dask cluster: tcp://host:8786")
    parser.add_argument("--workers", type=positive, help="processes on this machine (as many as cores)")
    parser.add_argument("--resume", action="store_true", help="skip the jobs that are finished")
    options = parser.parse_args(arguments)
    folder = (options.out or resolve(OUTPUTS) / options.sweep.stem).resolve()

    def work() -> int:
        failed = run_sweep(
            options.sweep, folder, dict(options.parameter), options.scheduler, options.workers, options.resume
        )
        print(f"\nTable:   {folder / 'table.csv'} (and .parquet)\nSummary: {folder / 'summary.html'}")
        for name, message in failed.items():
            print(f"\nfailed: {name}\n{message}", file=sys.stderr)
        return 1 if failed else 0

    return exit_status(work, "--resume goes on with what is missing")


if __name__ == "__main__":
    run_command(main)
