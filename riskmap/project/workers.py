"""Work that is done side by side in processes, each on one thread of torch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from riskmap.project.hub import allowed_jobs
from riskmap.project.progress import progress_bar


def run_side_by_side(
    function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], jobs: int, title: str, unit: str = "subject"
) -> list[Any]:
    """Call ``function`` once per tuple of arguments in ``jobs`` processes, with a progress bar that counts ``unit``.

    Returns:
        What the calls returned, in the order in which they ended.

    Raises:
        ValueError: if ``jobs`` is below 1.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    parallel = Parallel(n_jobs=allowed_jobs(jobs), return_as="generator_unordered")
    results = parallel(delayed(_on_one_thread)(function, *each) for each in arguments)
    return list(progress_bar(results, title, total=len(arguments), unit=unit))


def end_workers() -> None:
    """End the processes that wait for more work since the last call, and free their memory."""
    get_reusable_executor().shutdown(wait=True)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with ``count`` threads of torch inside the block, and with as many as before after it.

    The order of a sum depends on the number of threads, so work that fixes it gives the same numbers alone and beside
    others; and workers of one thread do not crowd each other.
    """
    import torch  # seconds to load, which whoever only shows a bar or reads a file can do without

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _on_one_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    with torch_threads(1):
        return function(*arguments)
