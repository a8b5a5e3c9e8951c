"""Sliders and site in a real browser (``python -m riskmap test-browser``), or why it cannot be done."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from riskmap.project.check_env import check_requirement, read_extra
from riskmap.project.commands import run_command, run_to_its_end
from riskmap.project.paths import PROJECT_ROOT

TESTS = "tests/browser"
# each process has a browser, a JupyterLab and its kernels
_PYTEST = ("pytest", "-n", "logical", "--maxprocesses", "2", "--dist", "worksteal")
COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# where the installers of macOS and Windows put it, which is on no PATH
USUAL_PLACES = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "~/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
)
NO_BROWSER = (
    "test-browser skipped: no browser was found. Install Chromium (Debian: apt-get install chromium) or "
    "Google Chrome, and run it again."
)


def find_browser() -> Path | None:
    """Return the Chromium or Chrome of this machine, None when there is none."""
    on_path = (shutil.which(command) for command in COMMANDS)
    usual = (Path(place).expanduser() for place in USUAL_PLACES)
    found = [Path(path) for path in on_path if path] + [path for path in usual if path.is_file()]
    return found[0] if found else None


def ensure_browser() -> Path | None:
    """Return the browser of this machine; as root on a Debian without one, Debian's chromium is installed first."""
    found = find_browser()
    if found or not _may_install():
        return found
    print("No browser here: installing Debian's chromium with apt-get ...", flush=True)
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "chromium"]):
        if subprocess.run(["apt-get", *command], env=quiet).returncode != 0:
            print(f"apt-get {command[0]} failed", file=sys.stderr)
            break
    return find_browser()


def _may_install() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def ensure_playwright() -> bool:
    """Install the ``browser`` extra into the running environment where it is missing; tell whether it is there."""
    wanted = read_extra(PROJECT_ROOT / "pyproject.toml", "browser")
    missing = [requirement for requirement in wanted if not check_requirement(requirement).ok]
    if not missing:
        return True
    print(f"Installing {', '.join(missing)} into {sys.prefix} ...", flush=True)
    install = ["-m", "pip", "install", "-qq", "--disable-pip-version-check", "-c", "constraints.txt", *missing]
    return subprocess.run([sys.executable, *install], cwd=PROJECT_ROOT).returncode == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the browser tests and return their exit status; 0 with a message where there is no browser."""
    parser = argparse.ArgumentParser(
        prog="python -m riskmap test-browser",
        description=__doc__,
        epilog="Arguments go to pytest: python -m riskmap test-browser -k 02",
        allow_abbrev=False,
    )
    _, further = parser.parse_known_args(arguments)
    if ensure_browser() is None:
        print(NO_BROWSER)
        return 0
    if not ensure_playwright():
        print("test-browser: playwright could not be installed (pip's own message stands above)", file=sys.stderr)
        return 1
    return run_to_its_end([sys.executable, "-m", *_PYTEST, TESTS, *further], PROJECT_ROOT)


if __name__ == "__main__":
    run_command(main)
