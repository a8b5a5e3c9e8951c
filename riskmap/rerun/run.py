"""Run one notebook with checked parameters: ``python -m riskmap run 03 -f smoke -p shots 2``."""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from riskmap.pages.values import parse_text
from riskmap.project.choices import unknown
from riskmap.project.commands import exit_status, run_command
from riskmap.project.environment import require_checkout
from riskmap.project.files import digest_of
from riskmap.project.paths import PROJECT_ROOT, resolve
from riskmap.project.writing import require_writable
from riskmap.rerun.execution import record_of
from riskmap.rerun.notebooks import checked_parameters, declared_parameters, page_of, pages_in, parameters_model
from riskmap.rerun.side_by_side import Execution, execute_side_by_side
from riskmap.rerun.tutorial import NOTEBOOKS, find_profile, prepare_cohorts, result_texts

OUTPUTS = Path("build", "reruns")
_LONGEST_NAME = 80


def find_notebook(text: str, folder: Path = NOTEBOOKS) -> Path:
    """Return the notebook of a number (``03``), a name (``03_fine_tuning``) or a path.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    pages = pages_in(folder)
    there = sorted(folder.glob("*.ipynb"))
    named = pages | {key: path for path in there for key in (path.stem, path.name)}
    if text in named:
        return named[text]
    if Path(text).is_file():
        return Path(text).resolve()
    names = [*pages, *(path.stem for path in there)]
    raise ValueError(unknown(f"no notebook {text!r}", names, text, "Give a path, or one of"))


def output_name(notebook: Path, profile: Path | None, given: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return a file name that a reader understands and that no other set of values has."""
    words = [notebook.stem, *([profile.stem] if profile else []), *(f"{name}-{value}" for name, value in given.items())]
    readable = re.sub(r"[^\w.-]+", "-", "_".join(words))[:_LONGEST_NAME].strip("-_")
    return f"{readable}_{digest_of(dict(values))[:8]}.ipynb"


def prepare(notebook: Path, profile: Path | None, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a notebook is given, make its default cohort when that is missing, and check against the cohort.

    Returns:
        The values that the notebook is run with.

    Raises:
        ParameterError: a name or a value that does not fit the notebook, this machine or the cohort.
    """
    values = checked_parameters(notebook, profile, parameters)
    page_of(notebook, values).check_machine()
    prepare_cohorts([declared_parameters(notebook) | values])
    return checked_parameters(notebook, profile, parameters)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one notebook from the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m riskmap run", description=__doc__)
    parser.add_argument("notebook", help="number (03), name or path")
    parser.add_argument("-f", "--profile", help="smoke, teach, full, or the path of a YAML file of parameters")
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("-o", "--out", type=Path, help="the executed notebook (a name below build/reruns)")
    parser.add_argument("--timeout", type=float, help="seconds that one cell may take (no limit)")
    parser.add_argument("--force", action="store_true", help="run again what is already done")
    options = parser.parse_args(arguments)

    def work() -> int:
        require_checkout(PROJECT_ROOT)
        notebook = find_notebook(options.notebook)
        profile = find_profile(options.profile, NOTEBOOKS) if options.profile else None
        model = parameters_model(notebook)
        given = {name: parse_text(name, text, model) for name, text in options.parameter}
        values = checked_parameters(notebook, profile, given)
        output = (options.out or resolve(OUTPUTS) / output_name(notebook, profile, given, values)).resolve()
        execution = Execution(notebook, output, profile, given)
        # what is done is only read
        if options.force or not execution.is_finished():
            require_writable({"-o": output.parent} | page_of(notebook, values).writes())
            prepare(notebook, profile, given)
        if not options.force and execution.is_finished():
            print(f"{notebook.stem}: already done (--force runs it again)")
        else:
            _, failed = execute_side_by_side([execution], 1, options.timeout)
            if failed:
                raise failed[0]
        for text in result_texts(output):
            print(f"\n{text}")
        print(f"\nNotebook: {output}\nRecord:   {record_of(output)}")
        return 0

    return exit_status(work, "finished training runs are kept")


if __name__ == "__main__":
    run_command(main)
