"""The front door: ``python -m riskmap tutorial|test|test-browser|lab|bench|experiment|clean``.

It runs on a bare Python.
"""

from riskmap.project.check_env import (
    check_requirements,
    describe,
)
from riskmap.project.environment import (
    EnvironmentFailure,
    ensure_environment,
)
from riskmap.project.paths import PROJECT_ROOT
from riskmap.project.python_version import require_supported_python

require_supported_python()

import argparse  # noqa: E402
import shutil  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

# What each target runs with the environment's interpreter; further arguments go to the last command.
COMMANDS: dict[str, list[list[str]]] = {
    "tutorial": [["-m", "riskmap.rerun.tutorial"]],
    "test": [
        ["-m", "ruff", "check", "."],
        ["-m", "ruff", "format", "--check", "."],
        ["-m", "pytest"],
    ],
    "test-browser": [["-m", "riskmap.project.browser"]],
    "lab": [["-m", "jupyter", "lab", "notebooks/00_start_here.ipynb"]],
    "bench": [["-m", "benchmarks"]],
    "experiment": [["-m", "riskmap.experiment.run"]],
}


def parse_arguments(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what is not known here is handed to the target's own command."""
    parser = argparse.ArgumentParser(
        prog="python -m riskmap",
        description="Make the environment if it is missing, then run one target.",
        epilog="Further arguments go to the target: python -m riskmap test -k leep",
        allow_abbrev=False,
        add_help=arguments[:1] not in [[target] for target in COMMANDS],  # theirs is asked of the target itself
    )
    parser.add_argument("target", choices=[*COMMANDS, "clean"])
    parser.add_argument(
        "--here",
        action="store_true",
        help="use the running interpreter (conda, say), not .venv",
    )
    parser.add_argument("--all", action="store_true", help="with clean: remove .venv as well")
    options, further = parser.parse_known_args(arguments)
    if options.target == "clean" and further:
        parser.error(f"clean takes no such arguments: {' '.join(further)}")
    if options.target != "clean" and options.all:
        parser.error("--all belongs to clean")
    return options, further


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


def running_interpreter() -> str:
    """Return the running interpreter when it satisfies every requirement; otherwise end with the list."""
    failures = [check for check in check_requirements(PROJECT_ROOT / "pyproject.toml") if not check.ok]
    if failures:
        sys.exit("\n".join([f"{sys.executable} lacks:", *map(describe, failures)]))
    return sys.executable


def main(arguments: list[str] | None = None) -> int:
    """Run one target and return its exit status."""
    options, further = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    try:
        if options.target == "clean":
            clean(PROJECT_ROOT, options.all)
            return 0
        python = running_interpreter() if options.here else str(ensure_environment(PROJECT_ROOT))
        *before, last = COMMANDS[options.target]
        for command in [*before, [*last, *further]]:
            status = subprocess.run([python, *command], cwd=PROJECT_ROOT).returncode
            if status != 0:
                return status
    except (EnvironmentFailure, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
