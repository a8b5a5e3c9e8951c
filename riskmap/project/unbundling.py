"""Make a working tutorial of a bundle: ``python -m riskmap unbundle FILE``, or ``python FILE`` on a bare Python.

A bundle is one zip file: a checkout of the project, the tutorial's data, runs and pages below its ``build/``, wheels
for one platform, and ``bundle.json``, which has the size and the SHA-256 of each file. No network is asked.
This module needs the standard library alone.
"""

import argparse
import hashlib
import json
import shutil
import sys
import sysconfig
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from riskmap.project.commands import exit_status, run_command
from riskmap.project.environment import WHEELS, ensure_environment, machine, python_version

FORMAT = 1
KIND = "riskmap-bundle"
MANIFEST = "bundle.json"
# what is unpacked; beside it lies what Python needs to start from the file itself
CONTENT = "checkout/"
# tells of a folder that it is a bundle, unpacked to its end
UNPACKED = Path("build", MANIFEST)
_CHUNK = 2**20
_MOST_BYTES = 2**60
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, KeyError, RuntimeError)


class BundleError(ValueError):
    """A file is no bundle, is damaged, or does not fit this machine."""


@dataclass(frozen=True)
class Bundle:
    """What a bundle says of itself.

    Args:
        path: the file.
        text: its manifest as it stands there.
        manifest: the same, read.
    """

    path: Path
    text: bytes
    manifest: Mapping[str, Any]

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """The bytes and the SHA-256 of each file, by its path in the checkout."""
        return {name.removeprefix(CONTENT): facts for name, facts in self.manifest["files"].items()}

    @property
    def num_bytes(self) -> int:
        """Bytes of all files, unpacked."""
        return sum(facts["bytes"] for facts in self.files.values())

    def require_this_python(self) -> None:
        """Check that the wheels are for this interpreter and machine (BundleError)."""
        made_for, here = (self.manifest["python"], self.manifest["platform"]), (python_version(), machine())
        if made_for != here:
            raise BundleError(
                f"the wheels in {self.path} are for Python {made_for[0]} on {made_for[1]}, and this is Python "
                f"{here[0]} on {here[1]}: call it with that Python, or with --without-wheels, and install from the "
                "network"
            )


def read_bundle(path: Path) -> Bundle:
    """Read what a bundle says of itself, and check that it is whole as far as can be told without reading all of it.

    Raises:
        BundleError: the file is no bundle, or is damaged.
    """
    if not path.is_file():
        raise BundleError(f"there is no file {path}")
    try:
        with zipfile.ZipFile(path) as packed:
            names = set(packed.namelist())
            text = packed.read(MANIFEST) if MANIFEST in names else b""
    except (*_DAMAGE, OSError) as error:
        raise BundleError(_damage(path, error)) from error
    try:
        manifest = json.loads(text or b"{}")
    except ValueError as error:
        raise BundleError(_damage(path, error)) from error
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        # the end of a wheel may stand where a file that was cut ends
        reason = "it is not what python -m riskmap bundle makes, or only the beginning of it"
        raise BundleError(_damage(path, reason))
    if manifest.get("format") != FORMAT or manifest["format"] is True:
        raise BundleError(
            f"{path} has format {manifest.get('format')}, and this version reads {FORMAT}: let it unpack itself, with "
            f"python {path.name}"
        )
    if not _says_what_is_needed(manifest):
        raise BundleError(_damage(path, f"{MANIFEST} does not say what is in it and for which machine"))
    unsafe = [
        name for name in manifest["files"] if not name.startswith(CONTENT) or _leads_out(name.removeprefix(CONTENT))
    ]
    if unsafe:
        raise BundleError(f"{path} would write outside its folder ({', '.join(unsafe[:3])}): it is not to be trusted")
    taken = {CONTENT + UNPACKED.as_posix(), *manifest["files"]}
    if twice := sorted(name for name in taken if not taken.isdisjoint(map(str, PurePosixPath(name).parents))):
        raise BundleError(_damage(path, f"{twice[0]} lies below another file"))
    if lacking := sorted(set(manifest["files"]) - names):
        raise BundleError(_damage(path, f"{len(lacking)} files are missing, first {lacking[0]}"))
    return Bundle(path, text, manifest)


def unpack(bundle: Bundle, target: Path) -> None:
    """Unpack a bundle into a new folder, which appears whole or not at all.

    What a stopped call has unpacked, beside it and under another name, is kept and compared.

    Raises:
        BundleError: the folder is there and is something else, the disk is too small, or the bundle is damaged; a
            damaged one leaves nothing.
    """
    if is_unpacked(bundle, target):
        print(f"{target}: unpacked already")
        return
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BundleError(f"{target} is there, and is not this bundle, unpacked to its end: name another with --out")
    part = target.with_name(f".part-{target.name}-{hashlib.sha256(bundle.text).hexdigest()[:12]}")
    there = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    disk = next(folder for folder in part.absolute().parents if folder.is_dir())
    if (free := shutil.disk_usage(disk).free) < bundle.num_bytes - there:
        raise BundleError(
            f"{bundle.path} does not fit on the disk: unpacked it takes {bundle.num_bytes / 1e9:.3g} GB, and "
            f"{disk} has {free / 1e9:.3g} GB left"
        )
    part.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(bundle.path) as packed:
            bar = _Bar("Unpacking", bundle.num_bytes, 10**6, "MB")
            for name, facts in bundle.files.items():
                _unpack_file(packed, name, facts, part / name, bar)
            bar.end()
    except _DAMAGE as error:
        shutil.rmtree(part, ignore_errors=True)
        raise BundleError(_damage(bundle.path, error)) from error
    (part / UNPACKED).parent.mkdir(exist_ok=True)
    (part / UNPACKED).write_bytes(bundle.text)
    if target.exists():
        target.rmdir()
    part.rename(target)


def is_unpacked(bundle: Bundle, target: Path) -> bool:
    """Tell whether a folder is this very bundle, unpacked to its end."""
    return (target / UNPACKED).is_file() and (target / UNPACKED).read_bytes() == bundle.text


def _unpack_file(packed: zipfile.ZipFile, name: str, facts: Mapping[str, Any], path: Path, bar: "_Bar") -> None:
    """Write one file, or keep the one that is there; what does not have its SHA-256 is no file of the bundle."""
    if path.is_file() and _sha256(path) == facts["sha256"]:
        bar.add(facts["bytes"])
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, found = path.with_name(f"{path.name}.part"), hashlib.sha256()
    info = packed.getinfo(CONTENT + name)
    with packed.open(info) as stream, temporary.open("wb") as written:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
            written.write(chunk)
            bar.add(len(chunk))
    if found.hexdigest() != facts["sha256"]:
        raise BundleError(f"{name} has another checksum than {MANIFEST} says")
    if (info.external_attr >> 16) & 0o100:
        temporary.chmod(temporary.stat().st_mode | 0o111)
    temporary.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _says_what_is_needed(manifest: Mapping[str, Any]) -> bool:
    """Tell whether a manifest names a machine, and the size and SHA-256 of each file."""

    def is_told(facts: Any) -> bool:
        known = isinstance(facts, dict) and isinstance(facts.get("bytes"), int) and isinstance(facts.get("sha256"), str)
        return known and 0 <= facts["bytes"] < _MOST_BYTES

    texts = all(isinstance(manifest.get(name), str) for name in ("python", "platform", "index"))
    files = manifest.get("files")
    whole = isinstance(files, dict) and bool(files) and all(map(is_told, files.values()))
    return texts and isinstance(manifest.get("wheels"), bool) and whole and not _leads_out(manifest["index"])


def _leads_out(name: str) -> bool:
    # Windows reads a backslash as a separator, and a colon as a drive; "a//b" and "a/./b" are no names of files
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in name or str(path) != name.replace("\\", "/")


def _damage(path: Path, error: object) -> str:
    return f"{path} is damaged or no bundle ({' '.join(str(error).split())[:200]}): copy it again"


class _Bar:
    """A line with the time left; the bar of other commands is not there on a bare Python."""

    def __init__(self, title: str, total: int, unit: int, unit_name: str) -> None:
        self._title, self._total, self._done = title, max(total, 1), 0
        self._of = f"{total / unit:.0f} {unit_name}"
        self._started = self._shown = time.monotonic()
        self._interval, self._end = (0.1, "\r") if sys.stdout.isatty() else (5.0, "\n")

    def add(self, count: int) -> None:
        """Count what is done."""
        self._done = min(self._done + count, self._total)
        now = time.monotonic()
        if count and now - self._shown >= self._interval:
            self._shown = now
            left = (now - self._started) * (self._total - self._done) / self._done
            print(f"{self._title}: {self._text()}, {left:.0f} s left   ", end=self._end, flush=True)

    def end(self) -> None:
        """Say that all is done."""
        print(f"{self._title}: {self._text()} in {time.monotonic() - self._started:.0f} s   ", flush=True)

    def _text(self) -> str:
        return f"{100 * self._done // self._total}% of {self._of}"


@contextmanager
def _watched_install(target: Path) -> Iterator[None]:
    """Show a bar over the packages that pip, which says nothing, has installed so far."""
    place = {"base": str(target / ".venv"), "platbase": str(target / ".venv")}
    packages = Path(sysconfig.get_path("purelib", "venv", place))
    # name and version begin the name of a wheel, and of the folder that it leaves
    installed = [packages / "-".join(wheel.name.split("-")[:2]) for wheel in (target / WHEELS).glob("*.whl")]
    bar = _Bar("Installing", len(installed), 1, "packages")
    ended = threading.Event()

    def watch() -> None:
        shown = 0
        while not ended.wait(0.5):
            there = sum(place.with_name(f"{place.name}.dist-info").is_dir() for place in installed)
            bar.add(there - shown)
            shown = there

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def main(arguments: Sequence[str] | None = None) -> int:
    """Unpack a bundle, make its environment from its own wheels, and say what to do next."""
    parser = argparse.ArgumentParser(prog="python -m riskmap unbundle", description=main.__doc__)
    parser.add_argument("file", type=Path, help="what python -m riskmap bundle has made")
    parser.add_argument("-o", "--out", type=Path, default=Path("riskmap"), help="the new folder (riskmap)")
    parser.add_argument("--without-wheels", action="store_true", help="make no environment")
    options = parser.parse_args(arguments)

    def work() -> int:
        bundle, target = read_bundle(options.file), options.out.resolve()
        has_wheels = bundle.manifest["wheels"] and not options.without_wheels
        if has_wheels:
            bundle.require_this_python()
        unpack(bundle, target)
        if has_wheels:
            with _watched_install(target):
                ensure_environment(target)
        print(_next_steps(bundle, target, has_wheels))
        return 0

    return exit_status(work, "the same call goes on where it stopped")


def _next_steps(bundle: Bundle, target: Path, has_wheels: bool) -> str:
    lines = [f"\nThe tutorial is in {target}. Next:", f"  cd {target}"]
    if not has_wheels:
        lines.append("  no environment was made: the next command makes one from the network; with --here it does not")
    lines.append("  python -m riskmap lab      opens the first page")
    index = target / bundle.manifest["index"]
    return "\n".join([*lines, f"The executed pages, to read: {index}"])


if __name__ == "__main__":
    run_command(main)
