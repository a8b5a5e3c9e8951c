"""The runs that pages will ask for, made beforehand: all of them in one pool, below one bar."""

from collections.abc import Mapping
from pathlib import Path

from riskmap.pages.kinds import FromSource
from riskmap.pages.page import Parameters
from riskmap.project.paths import resolve
from riskmap.project.workers import end_workers
from riskmap.training.runs import Wanted, ensure_all, prerequisites


def needed_by(pages: Mapping[str, Parameters]) -> dict[Path, list[tuple[str, Wanted]]]:
    """Return the runs that pages need, what those look at included, by the folder where they are kept.

    Args:
        pages: their checked parameters, by name.

    Returns:
        Pairs of the name of a page and one of its runs.
    """
    needed: dict[Path, list[tuple[str, Wanted]]] = {}
    for name, page in pages.items():
        # others train nothing
        if isinstance(page, FromSource) and (wanted := page.runs_needed()):
            needed.setdefault(resolve(page.out_dir), []).extend((name, run) for run in prerequisites(wanted) + wanted)
    return needed


def make_runs(needed: Mapping[Path, list[tuple[str, Wanted]]], jobs: int) -> dict[str, float]:
    """Make the runs that are missing, each once, and return the seconds of training behind each page.

    A run that fails is told here and left to its page, which stops there; other pages can do without it.

    Args:
        needed: as :func:`needed_by` returns it.
        jobs: runs side by side.

    Returns:
        Seconds by the name of the page; nothing where a run failed.
    """
    spent: dict[str, float] = {}
    try:
        for out_dir, pairs in needed.items():
            runs = ensure_all([wanted for _, wanted in pairs], out_dir, jobs)
            # two runs of a page look at one source network
            records = {(name, run.folder): run.record for (name, _), run in zip(pairs, runs, strict=True)}
            for (name, _), record in records.items():
                spent[name] = spent.get(name, 0.0) + record["cost"]["seconds"]
    except (FloatingPointError, RuntimeError) as error:
        print(f"a run failed, and the page that asks for it will: {error}")
        return {}
    finally:
        # the memory that the workers hold is for the kernels now
        end_workers()
    return spent
