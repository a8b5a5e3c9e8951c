"""Work that is done side by side in processes, each on one thread."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from joblib import Parallel, delayed
from tqdm.auto import tqdm


def run_side_by_side(
    function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], jobs: int, title: str
) -> list[Any]:
    """Call ``function`` once per tuple of arguments in ``jobs`` processes, with a progress bar.

    Returns:
        What the calls returned, in the order in which they ended.

    Raises:
        ValueError: if ``jobs`` is below 1.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered")
    results = parallel(delayed(_on_one_thread)(function, *each) for each in arguments)
    return list(tqdm(results, total=len(arguments), desc=title, unit="subject"))


def _on_one_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function with one torch thread: workers do not crowd each other, and sums have one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return function(*arguments)
    finally:
        torch.set_num_threads(before)
