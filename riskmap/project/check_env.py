"""Check the running interpreter against pyproject.toml (``python -m riskmap check-env``)."""

import argparse
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from riskmap.project.commands import run_to_its_end
from riskmap.project.environment import EXTRAS
from riskmap.project.paths import PROJECT_ROOT

# These two load compiled libraries: being installed does not yet mean that they can be imported.
IMPORT_TOO = ("torch", "monai")
# says how fast this machine trains; it stands on all requirements, and this module on none
SPEED = "riskmap.rerun.duration"


@dataclass(frozen=True)
class RequirementCheck:
    """What came out for one requirement; ``problem`` is empty when it is satisfied."""

    requirement: str
    installed: str | None
    problem: str

    @property
    def ok(self) -> bool:
        """Tell whether the requirement is satisfied."""
        return not self.problem


def read_requirements(pyproject: Path, extras: Sequence[str] = EXTRAS) -> list[str]:
    """Return the requirements of a pyproject.toml: the library's own, and those of ``extras``."""
    own: list[str] = _project_table(pyproject)["dependencies"]
    return own + [requirement for extra in extras for requirement in read_extra(pyproject, extra)]


def read_extra(pyproject: Path, extra: str) -> list[str]:
    """Return the requirements of one extra of a pyproject.toml; none when it has no such extra."""
    extras: dict[str, list[str]] = _project_table(pyproject).get("optional-dependencies", {})
    return extras.get(extra, [])


def _project_table(pyproject: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    return table


def check_requirement(requirement: str) -> RequirementCheck:
    """Compare one requirement (``name>=version``) with what is installed."""
    parsed = _requirement_class()(requirement)
    try:
        installed = metadata.version(parsed.name)
    except metadata.PackageNotFoundError:
        return RequirementCheck(requirement, None, "not installed")
    if not parsed.specifier.contains(installed, prereleases=True):
        return RequirementCheck(requirement, installed, f"version {installed} does not fit")
    if parsed.name in IMPORT_TOO:
        try:
            import_module(parsed.name)
        except (ImportError, OSError) as error:
            return RequirementCheck(requirement, installed, f"cannot be imported: {error}")
    return RequirementCheck(requirement, installed, "")


def check_requirements(pyproject: Path, extras: Sequence[str] = EXTRAS) -> list[RequirementCheck]:
    """Check the requirements of a pyproject.toml, in its order."""
    return [check_requirement(requirement) for requirement in read_requirements(pyproject, extras)]


def describe(check: RequirementCheck) -> str:
    """Return the one line that reports a check."""
    if check.ok:
        return f"OK    {check.requirement} ({check.installed})"
    return f"FAIL  {check.requirement}: {check.problem}"


def _requirement_class() -> Any:
    """Return packaging's Requirement, from the copy that pip carries when packaging itself is missing.

    Raises:
        RuntimeError: neither is there.
    """
    for module in ("packaging.requirements", "pip._vendor.packaging.requirements"):
        try:
            return import_module(module).Requirement
        except ImportError:
            continue
    raise RuntimeError(f"{sys.executable} has neither pip nor packaging, one of which reads the requirements")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the interpreter and one line per requirement, and return 1 when one fails.

    Where none does, ten training steps are timed, and the tutorial's time on this machine is estimated from them.
    """
    argparse.ArgumentParser(prog="python -m riskmap check-env", description=main.__doc__).parse_args(arguments)
    print(f"Python {sys.version.split()[0]}  {sys.executable}")
    checks = check_requirements(PROJECT_ROOT / "pyproject.toml")
    print("\n".join(map(describe, checks)))
    if not all(check.ok for check in checks):
        return 1
    # what the child prints comes after
    sys.stdout.flush()
    return run_to_its_end([sys.executable, "-m", SPEED])
