"""Notebooks executed side by side, each in a kernel of its own, below one bar over all their cells."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import joblib
import nbformat
from jupyter_core.utils import ensure_event_loop
from tqdm import tqdm

from riskmap.project.progress import progress_bar
from riskmap.rerun.execution import NotebookError, execute_notebook, is_finished
from riskmap.rerun.kernels import Kernels

# how long an interrupted kernel may take to end by itself
_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Execution:
    """A notebook to execute.

    Args:
        notebook: it is not changed.
        output: the executed copy.
        profile: YAML file of values, or None.
        parameters: values that win over the profile.
    """

    notebook: Path
    output: Path
    profile: Path | None
    parameters: Mapping[str, Any]

    def is_finished(self) -> bool:
        """Tell whether it is done: of this very notebook, parameters, inputs and package."""
        return is_finished(self.notebook, self.output, self.profile, self.parameters)

    def cells(self) -> int:
        """Return how many cells the notebook has."""
        return len(nbformat.read(self.notebook, as_version=4).cells)


def execute_side_by_side(
    executions: Sequence[Execution], jobs: int, timeout: float | None = None
) -> tuple[dict[str, float], list[NotebookError]]:
    """Execute notebooks, ``jobs`` at a time, which share the cores; a failure stops none of the others.

    Ctrl-C interrupts all of them, with their workers, and leaves nothing of those that were not finished.

    Args:
        executions: they are begun in this order.
        jobs: at least 1; a single notebook at a time may use all cores.
        timeout: seconds that one cell may take; None: as long as it needs.

    Returns:
        The seconds of each notebook that was finished, by its name, and the errors of the others.
    """
    kernels = Kernels(max(1, joblib.cpu_count() // jobs) if jobs > 1 else None)
    events: SimpleQueue[int | str] = SimpleQueue()
    with ThreadPoolExecutor(jobs) as pool:
        futures = {
            execution.notebook.stem: pool.submit(_execute, execution, timeout, kernels, events)
            for execution in executions
        }
        try:
            _show(events, [execution.cells() for execution in executions])
        except KeyboardInterrupt:
            _stop(pool, futures.values(), kernels)
            raise
    errors = {name: future.exception() for name, future in futures.items()}
    failed = [error for error in errors.values() if isinstance(error, NotebookError)]
    return {name: future.result() for name, future in futures.items() if errors[name] not in failed}, failed


def _execute(execution: Execution, timeout: float | None, kernels: Kernels, events: "SimpleQueue[int | str]") -> float:
    """Execute a notebook and return its seconds; numbers of cells go to ``events``, and at the end a line."""
    started, cells, seen, line = time.monotonic(), execution.cells(), 0, "failed"

    def show(done: int, total: int) -> None:
        nonlocal seen
        # papermill adds a cell of parameters
        events.put(min(done, cells) - seen)
        seen = min(done, cells)

    notebook, output = execution.notebook, execution.output
    try:
        execute_notebook(
            notebook, output, execution.profile, execution.parameters, timeout, progress=show, kernels=kernels
        )
        seconds = time.monotonic() - started
        line = f"{seconds:.0f} s"
        return seconds
    finally:
        # nbclient opens one in each thread, and leaves it open
        ensure_event_loop().close()
        events.put(cells - seen)
        events.put(f"{notebook.stem}: {line}")


def _show(events: "SimpleQueue[int | str]", cells: Sequence[int]) -> None:
    """Show a bar of all cells until each notebook has ended, and its line when it has."""

    def done() -> Iterator[None]:
        left = len(cells)
        while left:
            event = events.get()
            if isinstance(event, int):
                yield from [None] * event
            else:
                left -= 1
                tqdm.write(event)

    for _ in progress_bar(done(), "pages", total=sum(cells), unit="cell", shown=bool(cells)):
        pass


def _stop(pool: ThreadPoolExecutor, futures: Iterable[Future[float]], kernels: Kernels) -> None:
    pool.shutdown(wait=False, cancel_futures=True)
    kernels.stop()
    if wait(futures, _PATIENCE_SECONDS).not_done:
        kernels.kill()
