"""Check the running interpreter against pyproject.toml (``python -m riskmap check-env``)."""

from riskmap.project.paths import PROJECT_ROOT
from riskmap.project.python_version import require_supported_python

require_supported_python()

import sys  # noqa: E402
import tomllib  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from importlib import import_module, metadata  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

# These two load compiled libraries: being installed does not yet mean that they can be imported.
IMPORT_TOO = ("torch", "monai")


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


def read_requirements(pyproject: Path) -> list[str]:
    """Return the requirements of a pyproject.toml, those of its ``test`` extra included."""
    return _project_table(pyproject)["dependencies"] + read_extra(pyproject, "test")


def read_extra(pyproject: Path, extra: str) -> list[str]:
    """Return the requirements of one extra of a pyproject.toml; none when it has no such extra."""
    return _project_table(pyproject).get("optional-dependencies", {}).get(extra, [])


def _project_table(pyproject: Path) -> dict[str, Any]:
    return tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]


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


def check_requirements(pyproject: Path) -> list[RequirementCheck]:
    """Check every requirement of a pyproject.toml, in its order."""
    return [check_requirement(requirement) for requirement in read_requirements(pyproject)]


def describe(check: RequirementCheck) -> str:
    """Return the one line that reports a check."""
    if check.ok:
        return f"OK    {check.requirement} ({check.installed})"
    return f"FAIL  {check.requirement}: {check.problem}"


def _requirement_class() -> Any:
    """Return packaging's Requirement, from the copy that pip carries when packaging itself is missing."""
    try:
        return import_module("packaging.requirements").Requirement
    except ImportError:
        return import_module("pip._vendor.packaging.requirements").Requirement


def main() -> int:
    """Print the interpreter and one line per requirement; return 1 when one fails."""
    print(f"Python {sys.version.split()[0]}  {sys.executable}")
    checks = check_requirements(PROJECT_ROOT / "pyproject.toml")
    print("\n".join(map(describe, checks)))
    return 0 if all(check.ok for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
