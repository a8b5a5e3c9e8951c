"""Run the tutorial from the data to the pages: ``python -m riskmap tutorial --profile teach``."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat

from riskmap.data.simulated import ensure_cohort
from riskmap.pages.kinds import Repeated
from riskmap.pages.page import Parameters
from riskmap.pages.values import parse_text, require_known
from riskmap.project.choices import unknown
from riskmap.project.commands import exit_status, run_command
from riskmap.project.environment import require_checkout
from riskmap.project.hub import allowed_jobs
from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT, resolve, shared_counterpart
from riskmap.project.writing import require_writable
from riskmap.rerun.execution import NotebookError
from riskmap.rerun.notebooks import (
    checked_parameters,
    declared_parameters,
    page_of,
    pages_in,
    parameters_model,
    read_profile,
)
from riskmap.rerun.side_by_side import Execution, execute_side_by_side
from riskmap.rerun.site import SiteError, build_site, executed_in

PROFILE = "teach"


def find_notebooks(folder: Path, numbers: Sequence[str] | None = None) -> list[Path]:
    """Return the tutorial's notebooks in order, or those whose number (``02``) is asked for."""
    found = pages_in(folder)
    if not found:
        raise ValueError(f"no notebooks in {folder}")
    lacking = sorted(set(numbers or []) - set(found))
    if lacking:
        raise ValueError(f"no notebook {', '.join(lacking)}; there are {', '.join(found)}")
    return [path for number, path in found.items() if not numbers or number in numbers]


def find_profile(name: str, folder: Path) -> Path:
    """Return the file of a profile, given by name (``teach``) or as a path to a YAML file.

    A path is tried from where the reader stands, then below the project's root.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    named = folder / "profiles" / f"{name}.yaml"
    for path in (named, Path(name), resolve(name)):
        if path.is_file():
            return path
    if Path(name).is_dir():
        raise ValueError(f"{name} is a folder, not a profile: give the path of a YAML file")
    known = sorted(path.stem for path in named.parent.glob("*.yaml"))
    raise ValueError(unknown(f"no profile {name!r}", known, name, "Give the path of a YAML file, or one of"))


def build_folder(profile: Path) -> Path:
    """Return where the tutorial with this profile is built: no other replaces the pages of ``make tutorial``."""
    is_tutorial = profile.resolve() == NOTEBOOKS / "profiles" / f"{PROFILE}.yaml"
    return resolve("build" if is_tutorial else Path("build", "profiles", profile.stem))


def share_parameters(notebooks: Sequence[Path], given: Sequence[tuple[str, str]]) -> dict[Path, dict[str, Any]]:
    """Return each notebook's values from the command line: those that it declares, of the declared type."""
    models = {notebook: parameters_model(notebook) for notebook in notebooks}
    everything = {name for model in models.values() for name in model.model_fields}
    for name, _ in given:
        require_known(name, everything, "the command line")
    return {
        notebook: {name: parse_text(name, text, model) for name, text in given if name in model.model_fields}
        for notebook, model in models.items()
    }


def prepare_cohorts(parameters: Iterable[Mapping[str, Any]]) -> None:
    """Make each default cohort that is missing among those that the notebooks' parameters name."""
    wanted = {(p["cohort"], p.get("data_dir", "build/data")): None for p in parameters if "cohort" in p}
    for cohort, data_dir in wanted:
        ensure_cohort(cohort, data_dir)


def result_texts(executed: Path) -> list[str]:
    """Return what the cells tagged ``result`` of an executed notebook show, as text."""
    cells = nbformat.read(executed, as_version=4).cells
    outputs = [o for c in cells if "result" in c.metadata.get("tags", []) for o in c.get("outputs", [])]
    texts = [o.get("text") or o["data"].get("text/markdown") or o["data"].get("text/plain", "") for o in outputs]
    return [text.strip() for text in texts if text.strip()]


@dataclass(frozen=True)
class Call:
    """What the tutorial is asked for; see :func:`run_tutorial`.

    Raises:
        ValueError: a name or a value does not fit.
    """

    notebooks: Sequence[Path]
    profile: Path
    given: Sequence[tuple[str, str]]
    build: Path
    force: bool

    def __post_init__(self) -> None:
        self.in_profile  # noqa: B018  # whatever is wrong in it is told first
        pages = self.pages().values()
        of_pages = {name: place for page in pages for name, place in page.writes().items()}
        require_writable({"--out": self.build} | of_pages)
        for page in pages:
            page.check_machine()

    @cached_property
    def siblings(self) -> list[Path]:
        """All notebooks of the tutorial."""
        return find_notebooks(self.notebooks[0].parent)

    @cached_property
    def in_profile(self) -> dict[str, Any]:
        """The values of the profile."""
        return read_profile(self.profile, self.siblings)

    @cached_property
    def parameters(self) -> dict[Path, dict[str, Any]]:
        """What each notebook is given on the command line."""
        return share_parameters(self.notebooks, self.given)

    @cached_property
    def values(self) -> dict[Path, dict[str, Any]]:
        """What each notebook is run with, that of the profile included."""
        return {each: checked_parameters(each, self.profile, self.parameters[each]) for each in self.notebooks}

    def pages(self) -> dict[Path, Parameters]:
        """Return the parameters of each notebook, checked once more: against the cohorts that are there by now."""
        return {notebook: page_of(notebook, values) for notebook, values in self.values.items()}

    @property
    def jobs(self) -> int:
        """How much goes on side by side, as the pages are given it; where none of them is, as the profile says."""
        given = [page.jobs for page in self.pages().values() if isinstance(page, Repeated)]
        default = self.in_profile.get("jobs", Repeated.model_fields["jobs"].default)
        return allowed_jobs(min(given, default=default))

    def output(self, notebook: Path) -> Path:
        """Return where the executed copy of a notebook lies."""
        return self.build / "notebooks" / notebook.name

    def execution(self, notebook: Path) -> Execution:
        """Return how a notebook is executed."""
        return Execution(notebook, self.output(notebook), self.profile, self.parameters[notebook])

    def ahead(self) -> list[Path]:
        """Return the notebooks that are to be executed, and name those that are done already."""
        done = [] if self.force else [each for each in self.notebooks if self.execution(each).is_finished()]
        for notebook in done:
            print(f"{notebook.stem}: already done (--force runs it again)")
        return [notebook for notebook in self.notebooks if notebook not in done]

    def is_first(self) -> bool:
        """Tell whether this is what a reader of a fresh clone waits for: the whole tutorial, and nothing is there yet.

        Not a cohort, not a run, not a page.
        """
        folders = {getattr(page, name, "") for page in self.pages().values() for name in ("data_dir", "out_dir")} - {""}
        own = [self.build / "notebooks", *map(resolve, folders)]
        there = any(place.exists() for place in [*own, *filter(None, map(shared_counterpart, own))])
        return list(self.notebooks) == self.siblings and not self.given and not there


def run_tutorial(
    notebooks: Sequence[Path],
    profile: Path,
    given: Sequence[tuple[str, str]] = (),
    build: Path | None = None,
    timeout: float | None = None,
    force: bool = False,
) -> Path:
    """Make the data, then all missing runs, execute the notebooks side by side, and return the first page of the site.

    Everything that can be checked is checked first. Where notebooks fail, the others are executed all the same, and
    the site shows what they found. The first call on a fresh clone writes down how long it took, in ``build``.

    Args:
        notebooks: of one folder.
        profile: YAML file of values.
        given: names and texts of values, which win over the profile.
        build: where executed notebooks and the site go; ``build/`` when not given.
        timeout: seconds that one cell may take; None: as long as it needs.
        force: whether notebooks that are done are executed again.

    Raises:
        ValueError: a name or a value that does not fit.
        NotebookError: notebooks failed, or the site could not be built.
    """
    # these load torch and MONAI, which whoever only looks for a notebook can do without
    from riskmap.rerun.duration import RECORD_NAME, Stopwatch, time_steps
    from riskmap.rerun.page_runs import make_runs, needed_by

    _name_copies(notebooks[0].parent)
    build = build or resolve("build")
    call = Call(notebooks, profile, given, build, force)
    speed = time_steps() if call.is_first() else {}
    stopwatch = Stopwatch()
    with stopwatch.part("cohorts"):
        prepare_cohorts(declared_parameters(notebook) | values for notebook, values in call.values.items())
    ahead, pages = call.ahead(), call.pages()
    with stopwatch.part("runs"):
        needed = needed_by({notebook.stem: pages[notebook] for notebook in ahead})
        trained = make_runs(needed, call.jobs)
    # a page that trains and has named no run trains on what it prepares itself: that takes longest
    ahead.sort(key=lambda notebook: notebook.stem in trained or not isinstance(pages[notebook], Repeated))
    with stopwatch.part("pages"):
        seconds, failed = execute_side_by_side([call.execution(notebook) for notebook in ahead], call.jobs, timeout)
    # those that an earlier call executed keep what they show
    executed = executed_in(build / "notebooks", call.siblings)
    for notebook in notebooks:
        output = executed[notebook]
        for text in result_texts(output) if output else ():
            print(f"\n{notebook.stem}\n{text}")
    problems: list[Exception] = [*failed]
    index = build / "html" / "index.html"
    with stopwatch.part("site"):
        try:
            build_site(executed, build)
            print(f"\nPages: {index}")
        except SiteError as error:
            problems.append(error)
    if problems:
        raise NotebookError("\n".join(map(str, problems)))
    # where a run failed, pages have made up for it
    if speed and bool(trained) == bool(needed):
        of_pages = {
            notebook.stem: {
                "seconds": round(seconds[notebook.stem], 1),
                "training": round(trained.get(notebook.stem, 0.0), 1),
                "jobs": getattr(pages[notebook], "jobs", 1),
            }
            for notebook in notebooks
        }
        stopwatch.write(build / RECORD_NAME, profile=profile.stem, jobs=call.jobs, pages=of_pages, **speed)
    return index


def _name_copies(folder: Path) -> None:
    """Name the notebooks beside those of the tutorial that are taken for copies of them."""
    for copy in sorted(set(folder.glob("[0-9][0-9]_*.ipynb")) - set(find_notebooks(folder))):
        print(f"{copy.name} is no page of the tutorial and is left out; python -m riskmap run {copy.stem} runs it")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tutorial from the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m riskmap tutorial", description=__doc__)
    profiles = "teach, smoke, full, or the path of a YAML file of parameters"
    parser.add_argument("--profile", default=PROFILE, help=profiles)
    parser.add_argument("--notebooks", nargs="+", metavar="NN", help="only these, by number: 00 03")
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("-o", "--out", type=Path, help="folder of executed notebooks and site (build)")
    parser.add_argument("--timeout", type=float, help="seconds that one cell may take (no limit)")
    parser.add_argument("--force", action="store_true", help="run notebooks again that are already done")
    options = parser.parse_args(arguments)

    def work() -> int:
        require_checkout(PROJECT_ROOT)
        notebooks = find_notebooks(NOTEBOOKS, options.notebooks)
        profile = find_profile(options.profile, NOTEBOOKS)
        given = [(name, value) for name, value in options.parameter]
        build = options.out.resolve() if options.out else build_folder(profile)
        run_tutorial(notebooks, profile, given, build, options.timeout, options.force)
        return 0

    return exit_status(work, "the next call goes on with what is missing")


if __name__ == "__main__":
    run_command(main)
