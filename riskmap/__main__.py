"""The front door: ``python -m riskmap TARGET`` is the one way into every command of the project.

It runs on a bare Python: neither this module nor what it imports needs an installed package.
"""

from riskmap.project.python_version import require_supported_python

# before the others, which an old Python cannot read
require_supported_python()

import argparse  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from pathlib import Path  # noqa: E402

from riskmap.project import check_env, unbundling  # noqa: E402
from riskmap.project.commands import exit_status, run_command, run_to_its_end  # noqa: E402
from riskmap.project.environment import EXTRAS, ensure_environment, is_current, require_checkout  # noqa: E402
from riskmap.project.hub import describe_sharing  # noqa: E402
from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT, is_shared, own_root  # noqa: E402
from riskmap.project.writing import OWN_FOLDER, can_write, require_own_copy, require_writable  # noqa: E402

# they write into build/ of the checkout, and nowhere else
_IN_CHECKOUT = ("bench", "test", "test-all", "test-browser")
_CHECKS = [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]]
# on all cores, within the memory of a laptop: each process may have a kernel with workers of its own
_TESTS = ["pytest", "-n", "logical", "--maxprocesses", "4", "--dist", "worksteal"]
# What each target runs with the environment's interpreter; further arguments go to the last command.
COMMANDS: dict[str, list[list[str]]] = {
    "tutorial": [["riskmap.rerun.tutorial"]],
    "run": [["riskmap.rerun.run"]],
    "sweep": [["riskmap.rerun.sweep"]],
    "experiment": [["riskmap.experiment.run"]],
    "publish": [["riskmap.rerun.publish"]],
    "exercises": [["riskmap.exercises.generate"]],
    "site": [["riskmap.rerun.site"]],
    "bundle": [["riskmap.rerun.bundle"]],
    "lab": [["jupyter", "lab", "notebooks/00_start_here.ipynb"]],
    "slides": [["riskmap.rerun.slides"]],
    "bench": [["benchmarks"]],
    "test": [*_CHECKS, _TESTS],
    "test-all": [*_CHECKS, [*_TESTS, "-m", ""]],
    "test-browser": [["riskmap.project.browser"]],
}
_COPY_PAGES = "riskmap.project.own_pages"
_TARGETS = """\
targets:
  tutorial      run the notebooks in order, from the data to the pages
  run           run one notebook: run 03 -f smoke -p shots 2
  sweep         run one notebook with many values: sweep sweeps/smoke.yaml
  experiment    make the records of pages 5 and 9
  publish       draw the published tables and figures from the records
  exercises     write the student's and the solved copies of the exercises from their sources
  site          build the site from what was executed before, without executing anything
  bundle        pack the tutorial, its runs and its environment into one file
  unbundle      make a working tutorial of such a file, without a network: unbundle FILE
  lab           open JupyterLab at the first notebook
  slides        build the workshop's slides
  bench         measure speed and memory
  test          ruff, mypy, pytest
  test-all      the same with the slow tests: every archive layout through every page, sweeps that lose a worker
  test-browser  move every notebook's sliders, and open the site, in a real browser
  check-env     compare this interpreter with the requirements
  clean         remove what was built; with --all the environment too

Further arguments go to the target, also --help: python -m riskmap run --help
"""


def parse_arguments(arguments: Sequence[str]) -> tuple[str, bool, list[str]]:
    """Return the target, whether the running interpreter is wanted for it, and the target's own arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m riskmap",
        description="Make the environment .venv if it is missing, then run one target in it.",
        epilog=_TARGETS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--here", action="store_true", help="use the running interpreter (conda, say), not .venv")
    parser.add_argument("target", choices=[*COMMANDS, *_DONE_HERE], metavar="TARGET", help="see below")
    parser.add_argument("further", nargs=argparse.REMAINDER, metavar="...", help="the target's own arguments")
    options = parser.parse_args(arguments)
    here, further = options.here, options.further
    if "--here" in further:
        further.remove("--here")
        here = True
    return options.target, here, further


def remove_folder(folder: Path, root: Path) -> None:
    """Remove ``folder``, which must be a real folder inside the project ``root`` (ValueError otherwise)."""
    inside = root.resolve() in folder.resolve().parents
    if folder.is_symlink() or not inside or not (root / "pyproject.toml").is_file():
        raise ValueError(f"{folder} is not a plain folder inside the project {root}; nothing was removed")
    if folder.is_dir():
        shutil.rmtree(folder)
        print(f"removed {folder}")


def clean(root: Path, everything: bool) -> None:
    """Remove what was built; the virtual environment too when ``everything`` is asked for."""
    remove_folder(root / "build", root)
    if everything:
        remove_folder(root / ".venv", root)
    else:
        print("kept .venv (clean --all removes it too)")


def run_clean(arguments: Sequence[str]) -> int:
    """Clean this project as the command line says, and return 0."""
    parser = argparse.ArgumentParser(prog="python -m riskmap clean", description="Remove what was built: build/.")
    parser.add_argument("--all", action="store_true", help="remove .venv as well")
    clean(PROJECT_ROOT, parser.parse_args(arguments).all)
    return 0


# What this interpreter does itself, with the target's own arguments; returns the exit status.
_DONE_HERE: dict[str, Callable[[Sequence[str]], int]] = {
    "check-env": check_env.main,
    "clean": run_clean,
    "unbundle": unbundling.main,
}


def running_interpreter(target: str) -> str:
    """Return the running interpreter when it satisfies what ``target`` needs; otherwise end with the list."""
    extras = [extra for extra in EXTRAS if extra != "test" or target in ("test", "test-all", "test-browser")]
    checks = check_env.check_requirements(PROJECT_ROOT / "pyproject.toml", extras)
    failures = [check for check in checks if not check.ok]
    if failures:
        sys.exit("\n".join([f"{sys.executable} lacks:", *map(check_env.describe, failures)]))
    return sys.executable


def require_place(target: str) -> None:
    """Say at once, of a checkout that cannot be written, what a target needs of it; where it needs nothing, pass.

    What is written where the reader says, such as the output of ``run``, is told by the target itself.

    Raises:
        ValueError: the target writes into the checkout.
    """
    if target in _IN_CHECKOUT:
        require_own_copy(f"riskmap {target}", PROJECT_ROOT / "build")
    if target == "clean" and (PROJECT_ROOT / "build").exists():
        require_own_copy("riskmap clean", PROJECT_ROOT, PROJECT_ROOT / "build")
    if target == "lab" and os.environ.get(OWN_FOLDER):
        # the shared pages, opened in its place, would look like one's own
        require_writable({OWN_FOLDER: own_root()})
    if target == "lab" and not can_write(NOTEBOOKS) and not _copies_pages():
        print(
            f"{NOTEBOOKS} cannot be written: nothing is saved there, and the parameters data_dir and out_dir of a page "
            "must name folders of your own",
            flush=True,
        )


def _copies_pages() -> bool:
    """Tell whether JupyterLab opens copies of the notebooks in the reader's own folder, since these are shared."""
    return is_shared() and can_write(own_root())


def require_place_for_environment(target: str) -> None:
    """Check that the environment is there, or can be made (ValueError)."""
    is_read = bool(os.environ.get(OWN_FOLDER)) or not can_write(PROJECT_ROOT)
    if not is_current(PROJECT_ROOT) and is_read:
        raise ValueError(
            f"{PROJECT_ROOT} is not written here, and its .venv is not there, or not of these requirements: call it "
            f"with an interpreter that has them (python -m riskmap {target} --here), or copy the checkout to a folder "
            "of your own"
        )


def run_target(target: str, here: bool, further: Sequence[str]) -> int:
    """Run the commands of a target up to the first that fails, and return the last exit status.

    Raises:
        ValueError: this is no checkout of the project.
        EnvironmentFailure: the environment could not be made.
    """
    require_checkout(PROJECT_ROOT)
    asks_help = not {"-h", "--help"}.isdisjoint(further)
    if not asks_help:
        require_place(target)
    if target in _DONE_HERE:
        return _DONE_HERE[target](further)
    if not here:
        require_place_for_environment(target)
    python = running_interpreter(target) if here else str(ensure_environment(PROJECT_ROOT))
    *before, last = COMMANDS[target]
    place = PROJECT_ROOT
    if target == "lab" and _copies_pages() and not asks_help:
        before, place = [[_COPY_PAGES]], own_root()
    if asks_help:
        before = []
    elif sharing := describe_sharing():
        print(sharing, flush=True)
    for module, *words in [*before, [*last, *further]]:
        # the project's own commands read the paths that they are given from where the reader is
        folder = None if module.startswith("riskmap.") else place
        status = run_to_its_end([python, "-m", module, *words], folder)
        if status != 0:
            break
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one target and return its exit status."""
    target, here, further = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: run_target(target, here, further), "the next call starts again")


if __name__ == "__main__":
    run_command(main)
