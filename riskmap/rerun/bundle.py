"""Pack all that a workshop needs into one file, of which a working tutorial is made without a network.

``python -m riskmap bundle`` takes the checkout, the cohorts and the runs that the pages read, the executed pages and
their site, and wheels of all requirements for this platform. ``python -m riskmap unbundle FILE`` or ``python FILE``
unpacks it. Only what the present code would read is packed: runs of an older one would be trained again.
"""

import argparse
import hashlib
import json
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from riskmap.data.cohort import Cohort
from riskmap.data.simulated import cohort_folder
from riskmap.pages.kinds import OnData
from riskmap.pages.page import Parameters
from riskmap.project.check_env import read_requirements
from riskmap.project.commands import exit_status, run_command
from riskmap.project.environment import (
    STAMP_NAME,
    WHEELS,
    has_wheels,
    machine,
    python_version,
    require_checkout,
    wheels_stamp,
)
from riskmap.project.files import atomic_path, read_json
from riskmap.project.machine import git_revision
from riskmap.project.package import package_code
from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT, is_shared, resolve
from riskmap.project.progress import progress_bar
from riskmap.project.unbundling import CONTENT, FORMAT, KIND, MANIFEST
from riskmap.project.writing import require_writable
from riskmap.rerun.notebooks import checked_parameters, page_of
from riskmap.rerun.page_runs import needed_by
from riskmap.rerun.tutorial import PROFILE, build_folder, find_notebooks, find_profile
from riskmap.training.making import make_source
from riskmap.training.record import computing_versions
from riskmap.training.runs import missing_runs

NAME = "riskmap-workshop.zip"
# what is packed already, which packing again would make no smaller
_PACKED = {".whl", ".gz", ".npz", ".pt", ".png", ".parquet", ".woff2"}
_CHUNK = 2**20
# a zip file with this in it is a program: Python puts the file itself first on its path
_START = '''\
"""Unpack this bundle: python FILE [--out FOLDER]."""
import sys
sys.path.insert(0, sys.path[0] + "/{content}")
from riskmap.project.python_version import require_supported_python
require_supported_python()
from riskmap.project.commands import run_command
from riskmap.project.unbundling import main
run_command(lambda: main([sys.argv[0], *sys.argv[1:]]))
'''


@dataclass(frozen=True)
class Part:
    """Files of one kind.

    Args:
        title: what they are.
        files: where each lies, by its path in the checkout.
    """

    title: str
    files: Mapping[str, Path]

    @property
    def num_bytes(self) -> int:
        """Bytes of all of them."""
        return sum(path.stat().st_size for path in self.files.values())


def tracked_files(root: Path) -> dict[str, Path]:
    """Return the files of a checkout by their names: those that git knows, or without git those that it would take."""
    command = ["git", "-C", str(root), "ls-files", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = []
    # an unpacked checkout may lie in the repository of something else
    if "pyproject.toml" not in listed:
        listed = list(_walk(root, [".git", *(root / ".gitignore").read_text(encoding="utf-8").split()]))
    return {name: root / name for name in sorted(listed) if name and (root / name).is_file()}


def _walk(root: Path, ignored: Sequence[str], below: str = "") -> Iterator[str]:
    for path in (root / below).iterdir():
        if any(fnmatch(path.name, pattern.rstrip("/")) for pattern in ignored):
            continue
        name = path.relative_to(root).as_posix()
        if path.is_dir():
            yield from _walk(root, ignored, name)
        else:
            yield name


def parts_of(profile: Path) -> list[Part]:
    """Return what a bundle of the tutorial with a profile holds, without the wheels.

    Raises:
        ValueError: the tutorial has not been run to its end: cohorts, runs or pages are missing.
    """
    build, html = build_folder(profile), build_folder(profile) / "html" / "index.html"
    again = f"run the tutorial first: python -m riskmap tutorial --profile {profile.stem}"
    if not html.is_file():
        raise ValueError(f"there is no {html}; {again}")
    pages = {
        notebook.stem: page_of(notebook, checked_parameters(notebook, profile, {}))
        for notebook in find_notebooks(NOTEBOOKS)
    }
    cohorts = _cohorts(list(pages.values()))
    lacking = sorted({str(folder) for folder in cohorts if not (folder / "manifest.json").is_file()})
    if lacking:
        raise ValueError(f"there is no prepared cohort in {', '.join(lacking)}; {again}")
    runs: list[Path] = []
    for out_dir, needed in needed_by(pages).items():
        if missing := missing_runs([wanted for _, wanted in needed], out_dir):
            raise ValueError(f"{len(missing)} of the runs that the pages read are missing in {out_dir}; {again}")
        runs += current_runs(out_dir, {Cohort.open(folder).digest for folder in cohorts})
    return [
        Part("checkout", tracked_files(PROJECT_ROOT)),
        Part("cohorts", files_below(cohorts, PROJECT_ROOT)),
        Part("runs", files_below(runs, PROJECT_ROOT)),
        Part("pages", files_below([build / "notebooks", build / "html"], PROJECT_ROOT)),
    ]


def _cohorts(pages: Sequence[Parameters]) -> list[Path]:
    """Return the folders of the cohorts that pages name."""
    return list(dict.fromkeys(cohort_folder(page.cohort, page.data_dir) for page in pages if isinstance(page, OnData)))


def current_runs(out_dir: Path, cohorts: set[str]) -> list[Path]:
    """Return the finished runs on some cohorts that the present code and libraries would read.

    Args:
        out_dir: the folder of the runs.
        cohorts: the digests of the cohorts.
    """
    code, versions = package_code(make_source.__module__), computing_versions()
    found = []
    for record in sorted(out_dir.rglob("record.json")):
        parameters = read_json(record)["parameters"]
        is_current = (parameters.get("code"), parameters.get("versions")) == (code, versions)
        if is_current and parameters["data"]["digest"] in cohorts:
            found.append(record.parent)
    return found


def files_below(folders: Sequence[Path], root: Path) -> dict[str, Path]:
    """Return the files of folders by their paths in the checkout; hidden ones, such as locks, are left out.

    Raises:
        ValueError: a folder lies outside the checkout.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_relative_to(root):
            raise ValueError(f"{folder} lies outside {root}, and cannot be packed with it")
        paths = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        found |= {path.relative_to(root).as_posix(): path for path in paths}
    return dict(sorted(found.items()))


def make_wheels(root: Path) -> Part:
    """Collect wheels of all requirements for this platform, at the versions of the lock; those that are there are kept.

    Raises:
        RuntimeError: pip failed.
    """
    folder = root / WHEELS
    if not has_wheels(root):
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        # what pip needs to install the checkout itself
        wanted = read_requirements(root / "pyproject.toml") + project["build-system"]["requires"]
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=folder.parent) as name:
            _run_pip(wanted, Path(name), root)
            (Path(name) / STAMP_NAME).write_text(wheels_stamp(root), encoding="utf-8")
            Path(name).chmod(0o755)
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(name, folder)
    return Part("wheels", files_below([folder], root))


def _run_pip(wanted: Sequence[str], folder: Path, root: Path) -> None:
    """Let pip fetch or build a wheel of each requirement, below a bar that counts the pins of the lock."""
    pins = [line for line in (root / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line]
    command = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["-c", "constraints.txt", "-w", str(folder), *wanted]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as complaints,
        subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, stderr=complaints, text=True, encoding="utf-8"
        ) as pip,
    ):
        assert pip.stdout is not None, "a pipe"
        # a package from an index, or from a folder of wheels
        collected = (line for line in pip.stdout if line.startswith(("Collecting ", "Processing ")))
        for _ in progress_bar(collected, "wheels", total=len(pins), unit="wheel"):
            pass
        if pip.wait() != 0:
            complaints.seek(0)
            raise RuntimeError(f"pip could not collect the wheels:\n{complaints.read().strip()}")


def write_bundle(parts: Sequence[Part], out: Path, index: str) -> None:
    """Write a bundle, which appears whole or not at all.

    Args:
        parts: what it holds.
        out: the file.
        index: the path in the checkout of the executed pages' first.
    """
    files = {name: path for part in parts for name, path in part.files.items()}
    facts: dict[str, Any] = {}
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w") as packed:
        megabytes = round(sum(part.num_bytes for part in parts) / 1e6)
        written = _write(packed, files, facts)
        for _ in progress_bar(written, "bundle", total=megabytes, unit="MB"):
            pass
        manifest = {
            "kind": KIND,
            "format": FORMAT,
            "python": python_version(),
            "platform": machine(),
            "wheels": any(part.title == "wheels" for part in parts),
            "git_revision": git_revision(),
            "index": index,
            "parts": {part.title: {"files": len(part.files), "bytes": part.num_bytes} for part in parts},
            "files": facts,
        }
        packed.writestr("__main__.py", _START.format(content=CONTENT.rstrip("/")))
        packed.writestr(MANIFEST, json.dumps(manifest, indent=1))


def _write(packed: zipfile.ZipFile, files: Mapping[str, Path], facts: dict[str, Any]) -> Iterator[None]:
    """Write files, note the bytes and the SHA-256 of each in ``facts``, and yield once per megabyte."""
    done = shown = 0
    for name, path in files.items():
        info = zipfile.ZipInfo.from_file(path, CONTENT + name, strict_timestamps=False)
        info.external_attr = (stat.S_IFREG | (0o755 if path.stat().st_mode & 0o100 else 0o644)) << 16
        info.compress_type = zipfile.ZIP_STORED if path.suffix in _PACKED else zipfile.ZIP_DEFLATED
        found, size = hashlib.sha256(), 0
        with path.open("rb") as stream, packed.open(info, "w") as target:
            while chunk := stream.read(_CHUNK):
                found.update(chunk)
                target.write(chunk)
                size += len(chunk)
                done += len(chunk)
                while shown < done // 10**6:
                    shown += 1
                    yield
        facts[CONTENT + name] = {"bytes": size, "sha256": found.hexdigest()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack checkout, cohorts, runs, executed pages, site and wheels into one file."""
    parser = argparse.ArgumentParser(prog="python -m riskmap bundle", description=main.__doc__)
    parser.add_argument("-o", "--out", type=Path, help=f"the file (build/{NAME})")
    parser.add_argument("--profile", default=PROFILE, help="of the tutorial that is packed, which must be made")
    parser.add_argument(
        "--without-wheels", action="store_true", help="for a place where the environment is already there, as a hub"
    )
    options = parser.parse_args(arguments)

    def work() -> int:
        require_checkout(PROJECT_ROOT)
        if is_shared():
            raise ValueError(f"{PROJECT_ROOT} is shared: a bundle is made by its owner, in the checkout itself")
        out = (options.out or resolve("build") / NAME).resolve()
        require_writable({"--out": out.parent})
        started, profile = time.monotonic(), find_profile(options.profile, NOTEBOOKS)
        parts = parts_of(profile)
        if not options.without_wheels:
            parts.append(make_wheels(PROJECT_ROOT))
        index = (build_folder(profile) / "html" / "index.html").relative_to(PROJECT_ROOT).as_posix()
        write_bundle(parts, out, index)
        for part in parts:
            print(f"{part.title:>9}  {len(part.files):5} files  {part.num_bytes / 1e6:7.1f} MB")
        seconds = time.monotonic() - started
        print(f"\n{out}: {out.stat().st_size / 1e6:.0f} MB in {seconds:.0f} s. To unpack: python {out.name}")
        return 0

    return exit_status(work, "nothing was written, and wheels that are whole are kept")


if __name__ == "__main__":
    run_command(main)
