"""What a sweep re-runs: a YAML file of parameters to combine, and the jobs that come of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from riskmap.pages.values import parse_text, require_known
from riskmap.project.files import digest_of
from riskmap.project.paths import PROJECT_ROOT
from riskmap.project.yaml_files import read_yaml
from riskmap.rerun.execution import execute_notebook, is_finished
from riskmap.rerun.kernels import Kernels
from riskmap.rerun.notebooks import checked_parameters, parameters_model
from riskmap.rerun.run import find_notebook
from riskmap.rerun.tutorial import NOTEBOOKS, find_profile

Points = dict[str, list[Any]]


class Sweep(BaseModel):
    """The content of a sweep's file.

    Every combination of ``grid`` is a job with every row of ``zip`` (lists of one length, taken side by side); the
    notebooks of a chain follow one another, each with those parameters that it declares.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    notebooks: list[str] = Field(min_length=1, description="numbers, names or paths, in the order of the chain")
    profile: str | None = Field(None, description="smoke, teach, or the path of a YAML file")
    parameters: dict[str, Any] = Field({}, description="values for every job; they win over the profile")
    grid: Points = Field({}, description="lists to combine")
    zip: Points = Field({}, description="lists of one length, taken side by side")
    time_limit: float = Field(3600, gt=0, description="seconds that one notebook may take")
    retries: int = Field(0, ge=0, le=10, description="how often a failed notebook is run again")

    @model_validator(mode="after")
    def _check_lists(self) -> "Sweep":
        lengths = {name: len(values) for name, values in self.zip.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the lists of zip must have one length, got {lengths}")
        empty = [name for name, values in {**self.grid, **self.zip}.items() if not values]
        if empty:
            raise ValueError(f"{', '.join(empty)}: an empty list makes no job")
        places = [*self.grid, *self.zip, *self.parameters]
        twice = sorted({name for name in places if places.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} must stand in one of parameters, grid and zip only")
        return self

    @property
    def swept(self) -> list[str]:
        """The names of the parameters that differ between jobs."""
        return [*self.grid, *self.zip]

    def points(self) -> list[dict[str, Any]]:
        """Return the combinations, each with its values by name."""
        rows = [dict(zip(self.zip, row, strict=True)) for row in zip(*self.zip.values(), strict=True)] or [{}]
        cells = [dict(zip(self.grid, cell, strict=True)) for cell in product(*self.grid.values())]
        return [cell | row for row in rows for cell in cells]


@dataclass(frozen=True)
class Job:
    """One notebook with one set of values.

    Args:
        name: of its files; the same notebook and values have the same name.
        notebook: what is run.
        values: the checked parameters.
        swept: those of them that the sweep varies.
        needs: names of the jobs that must be finished first.
        output: the executed notebook.
    """

    name: str
    notebook: Path
    values: dict[str, Any]
    swept: dict[str, Any]
    needs: tuple[str, ...]
    output: Path

    def finished(self) -> bool:
        """Tell whether its record is there, and of the same notebook, parameters, package and data as now."""
        return is_finished(self.notebook, self.output, None, self.values)


def read_sweep(path: Path) -> Sweep:
    """Read a sweep's file.

    Raises:
        ValueError: no such file, or its content is no sweep; the message names what is wrong.
    """
    return read_yaml(path, Sweep)


def jobs_of(sweep: Sweep, folder: Path, given: Mapping[str, str]) -> list[Job]:
    """Return the jobs of a sweep, each once, a needed one before what needs it; all values are checked.

    Args:
        sweep: the sweep.
        folder: the sweep's folder; executed notebooks lie in ``notebooks`` below it.
        given: texts from the command line; they win over the sweep's ``parameters``.

    Raises:
        ValueError: a notebook, a name or a value that does not fit.
    """
    chain = [find_notebook(text) for text in sweep.notebooks]
    models = {notebook: parameters_model(notebook) for notebook in chain}
    known = {name for model in models.values() for name in model.model_fields}
    for name in [*sweep.swept, *sweep.parameters, *given]:
        require_known(name, known, "the sweep")
    fixed_twice = sorted(set(given) & set(sweep.swept))
    if fixed_twice:
        raise ValueError(f"{', '.join(fixed_twice)}: the sweep varies it, so the command line cannot fix it")
    profile = find_profile(sweep.profile, NOTEBOOKS) if sweep.profile else None
    jobs: dict[str, Job] = {}
    for point in sweep.points():
        before: tuple[str, ...] = ()
        for notebook in chain:
            fields = models[notebook].model_fields
            texts = {name: parse_text(name, text, models[notebook]) for name, text in given.items() if name in fields}
            # what goes on side by side is the sweep's own affair
            wanted = {"jobs": 1, **sweep.parameters, **texts, **point}
            values = checked_parameters(notebook, profile, {n: v for n, v in wanted.items() if n in fields})
            # the place of the project must not count, or a sweep's names would differ between machines
            place = notebook.relative_to(PROJECT_ROOT) if notebook.is_relative_to(PROJECT_ROOT) else notebook
            name = f"{notebook.stem}_{digest_of({'notebook': place.as_posix(), 'values': values})}"
            swept = {name: value for name, value in point.items() if name in fields}
            output = folder / "notebooks" / f"{name}.ipynb"
            jobs.setdefault(name, Job(name, notebook, values, swept, before, output))
            before = (name,)
    return list(jobs.values())


def run_job(job: Job, time_limit: float, threads: int, *needed: str) -> str:
    """Run one job in a worker and return its name; ``needed`` are the names of what had to be there.

    A job whose worker died later is asked for again, so what is finished is left as it is.

    Raises:
        NotebookError: the notebook failed or took too long.
    """
    if not job.finished():
        kernels = Kernels(threads)
        execute_notebook(job.notebook, job.output, None, job.values, time_limit=time_limit, kernels=kernels)
    return job.name
