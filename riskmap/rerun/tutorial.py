"""Run the tutorial from the data to the pages: ``python -m riskmap tutorial --profile teach``."""

import argparse
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from tqdm import tqdm

from riskmap.data.simulated import ensure_cohort
from riskmap.pages.values import parse_text, require_known
from riskmap.project.choices import unknown
from riskmap.project.commands import exit_status
from riskmap.project.paths import BUILD, NOTEBOOKS, resolve
from riskmap.rerun.execution import execute_notebook, is_finished
from riskmap.rerun.html_pages import export_all
from riskmap.rerun.notebooks import (
    checked_parameters,
    declared_parameters,
    page_of,
    pages_in,
    parameters_model,
    read_profile,
)

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
    return (
        BUILD if profile.resolve() == NOTEBOOKS / "profiles" / f"{PROFILE}.yaml" else BUILD / "profiles" / profile.stem
    )


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


def run_notebook(
    notebook: Path,
    output: Path,
    profile: Path | None,
    parameters: Mapping[str, Any],
    timeout: float | None,
    force: bool,
) -> None:
    """Run one notebook with a bar of its cells, unless a finished re-run of the very same thing is there."""
    if not force and is_finished(notebook, output, profile, parameters):
        print(f"{notebook.stem}: already done (--force runs it again)")
        return
    started = time.monotonic()
    with tqdm(desc=notebook.stem, unit="cell", leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            bar.refresh()

        execute_notebook(notebook, output, profile, parameters, timeout, show)
    print(f"{notebook.stem}: {time.monotonic() - started:.0f} s")


def result_texts(executed: Path) -> list[str]:
    """Return what the cells tagged ``result`` of an executed notebook show, as text."""
    cells = nbformat.read(executed, as_version=4).cells
    outputs = [o for c in cells if "result" in c.metadata.get("tags", []) for o in c.get("outputs", [])]
    texts = [o.get("text") or o["data"].get("text/markdown") or o["data"].get("text/plain", "") for o in outputs]
    return [text.strip() for text in texts if text.strip()]


def run_tutorial(
    notebooks: Sequence[Path],
    profile: Path,
    given: Sequence[tuple[str, str]] = (),
    build: Path = BUILD,
    timeout: float | None = None,
    force: bool = False,
) -> Path:
    """Make the data, run the notebooks in order, print their results, write the pages and return their contents.

    Every name and value is checked before the first notebook starts (ValueError).
    """
    siblings = find_notebooks(notebooks[0].parent)
    for copy in sorted(set(notebooks[0].parent.glob("[0-9][0-9]_*.ipynb")) - set(siblings)):
        print(f"{copy.name} is no page of the tutorial and is left out; python -m riskmap run {copy.stem} runs it")
    read_profile(profile, siblings)
    parameters = share_parameters(notebooks, given)
    values = {notebook: checked_parameters(notebook, profile, parameters[notebook]) for notebook in notebooks}
    for notebook in notebooks:
        page_of(notebook, values[notebook]).check_machine()
    prepare_cohorts(declared_parameters(notebook) | values[notebook] for notebook in notebooks)
    outputs = {notebook: build / "notebooks" / notebook.name for notebook in siblings}
    for notebook in notebooks:
        run_notebook(notebook, outputs[notebook], profile, parameters[notebook], timeout, force)
    for notebook in notebooks:
        for text in result_texts(outputs[notebook]):
            print(f"\n{notebook.stem}\n{text}")
    # notebooks that an earlier call ran keep their place among the pages
    return export_all([output for output in outputs.values() if output.is_file()], build / "html")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tutorial from the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m riskmap tutorial", description=__doc__)
    profiles = "teach, smoke, full, or the path of a YAML file of parameters"
    parser.add_argument("--profile", default=PROFILE, help=profiles)
    parser.add_argument("--notebooks", nargs="+", metavar="NN", help="only these, by number: 00 03")
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("--timeout", type=float, help="seconds that one cell may take (no limit)")
    parser.add_argument("--force", action="store_true", help="run notebooks again that are already done")
    options = parser.parse_args(arguments)

    def work() -> int:
        notebooks = find_notebooks(NOTEBOOKS, options.notebooks)
        profile = find_profile(options.profile, NOTEBOOKS)
        given = [(name, value) for name, value in options.parameter]
        index = run_tutorial(notebooks, profile, given, build_folder(profile), options.timeout, options.force)
        print(f"\nPages: {index}")
        return 0

    return exit_status(work, "the next call goes on after the last finished notebook")


if __name__ == "__main__":
    sys.exit(main())
