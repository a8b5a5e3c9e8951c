"""The project's own virtual environment, made and renewed with the standard library alone."""

import hashlib
import platform
import subprocess
import sys
from pathlib import Path

from riskmap.project.commands import run_to_its_end

STAMP_NAME = "riskmap-requirements.sha256"
REQUIREMENT_FILES = ("pyproject.toml", "constraints.txt")
# what is installed beside the library's own requirements; `browser` is left to test-browser
EXTRAS = ("tutorial", "sweep", "docs", "test")
# wheels of all requirements, as a bundle brings them, below the project's root
WHEELS = Path("build", "wheels")
_CHECKOUT = ("pyproject.toml", "notebooks", "data_scripts")


class EnvironmentFailure(RuntimeError):  # noqa: N818 (OSError already owns the name EnvironmentError)
    """The environment could not be made; the message says at which step."""


def require_checkout(root: Path) -> None:
    """Refuse, with a ValueError that says what to do, a ``root`` that holds no checkout of the project."""
    if not all((root / name).exists() for name in _CHECKOUT):
        raise ValueError(
            "riskmap's commands need a checkout of the project (notebooks, data_scripts and pyproject.toml), which "
            f"{root} is not: git clone the project, then make tutorial there; the library itself works as it is: "
            "from riskmap import LeepStatistics"
        )


def requirements_digest(root: Path) -> str:
    """Return a digest of the files that decide what is installed."""
    digest = hashlib.sha256()
    for name in REQUIREMENT_FILES:
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def python_of(environment: Path) -> Path:
    """Return where the interpreter of a virtual environment lies on this operating system."""
    windows = sys.platform == "win32"
    return environment / ("Scripts/python.exe" if windows else "bin/python")


def is_current(root: Path) -> bool:
    """Tell whether ``.venv`` holds a finished install of the present requirements."""
    environment = root / ".venv"
    stamp = environment / STAMP_NAME
    return (
        stamp.is_file()
        and python_of(environment).exists()
        and stamp.read_text(encoding="utf-8") == requirements_digest(root)
    )


def python_version() -> str:
    """Return the version of Python that wheels depend on, such as "3.12"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def machine() -> str:
    """Return the system and the processor that wheels depend on, such as "linux-x86_64"."""
    return f"{sys.platform}-{platform.machine()}".lower()


def wheels_stamp(root: Path) -> str:
    """Return what wheels are of: the present requirements, this version of Python and this kind of machine."""
    return f"{requirements_digest(root)} {python_version()} {machine()}"


def has_wheels(root: Path) -> bool:
    """Tell whether wheels that fit are there, so that no network is needed."""
    stamp = root / WHEELS / STAMP_NAME
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == wheels_stamp(root)


def ensure_environment(root: Path) -> Path:
    """Return the interpreter of ``.venv``, made or renewed where needed; a current one is left alone.

    The stamp goes first and comes back last, so an install that was interrupted is done again.

    Raises:
        EnvironmentFailure: when the environment cannot be made or pip fails (its own message stands above).
    """
    environment = root / ".venv"
    python = python_of(environment)
    if is_current(root):
        return python
    digest = requirements_digest(root)
    stamp = environment / STAMP_NAME
    stamp.unlink(missing_ok=True)
    if not _has_pip(python):
        print(f"Making the virtual environment {environment} ...", flush=True)
        _run(
            [sys.executable, "-m", "venv", "--clear", str(environment)],
            root,
            "making the virtual environment",
        )
    print("Installing the requirements into .venv (some minutes the first time) ...", flush=True)
    # twice quiet: errors only
    install = ["-m", "pip", "install", "-qq", "--no-compile", "--disable-pip-version-check", "-c", "constraints.txt"]
    if has_wheels(root):
        install += ["--no-index", "--find-links", str(root / WHEELS)]
    _run([str(python), *install, "-e", f".[{','.join(EXTRAS)}]"], root, "installing the requirements")
    _compile(python, environment, root)
    stamp.write_text(digest, encoding="utf-8")
    return python


def _has_pip(python: Path) -> bool:
    """Tell whether an interpreter is there and whole: pip is the last thing that venv puts in."""
    if not python.exists():
        return False
    return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True).returncode == 0


def _compile(python: Path, environment: Path, root: Path) -> None:
    """Compile what was installed on all cores, of which pip would use one; what is no valid Python is left as it is."""
    library = environment / ("Lib" if sys.platform == "win32" else "lib")
    run_to_its_end([str(python), "-m", "compileall", "-qq", "-j", "0", str(library)], root)


def _run(command: list[str], root: Path, step: str) -> None:
    status = run_to_its_end(command, root)
    if status != 0:
        raise EnvironmentFailure(f"{step} failed with status {status}: {' '.join(command)}")
