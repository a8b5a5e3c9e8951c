"""Unpack an archive's tar or zip file; nothing of it can be written outside its folder."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from riskmap.project.files import read_json, write_json
from riskmap.project.folders import whole_folder
from riskmap.project.progress import progress_bar

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
ORIGIN_FILE = ".unpacked.json"


class UnpackError(ValueError):
    """A packed archive is damaged, or holds members that cannot be read or lead out of its folder."""


@dataclass(frozen=True)
class _Member:
    """A member of a tar or a zip file.

    Args:
        name: its path in the archive.
        is_folder: whether it is a folder.
        is_plain: whether it is a folder or a file, and no link or device.
        open: opens the content of a file.
    """

    name: str
    is_folder: bool
    is_plain: bool
    open: Callable[[], IO[bytes] | None]


def unpack_archive(archive: Path, folder: Path, dry_run: bool = False) -> Path:
    """Return the folder of an archive; a packed one is first unpacked below ``folder``, once.

    Args:
        archive: a folder, which is returned as it is, or a file with one of ``SUFFIXES``.
        folder: where a new folder, named after the file, appears whole or not at all.
        dry_run: unpack nothing.

    Raises:
        UnpackError: if the file is damaged, needs a password or was packed by a method that Python lacks, or a member
            is a link or a device or leads out of the folder; nothing is written then. Also if it would have to be
            unpacked in a dry run, or another archive has the folder.
        ValueError: if ``archive`` is neither a folder nor such a file.
    """
    if archive.is_dir():
        return archive
    suffix = next((each for each in SUFFIXES if archive.name.endswith(each)), None)
    if suffix is None or not archive.is_file():
        raise ValueError(f"archive {archive} is neither a folder nor a file that ends in {', '.join(SUFFIXES)}")
    target = folder / archive.name.removesuffix(suffix)
    status = archive.stat()
    origin = {"name": archive.name, "bytes": status.st_size, "modified_ns": status.st_mtime_ns}
    record = target / ORIGIN_FILE
    if record.is_file() and read_json(record) == origin:
        return target
    if target.exists():
        raise UnpackError(f"{target} is there and was not unpacked from {archive} as it is now; move it away first")
    if dry_run:
        raise UnpackError(f"a dry run writes nothing, so it cannot unpack {archive}; unpack it, or leave out --dry-run")
    folder.mkdir(parents=True, exist_ok=True)
    with _opened(archive) as packed:
        members = _members(packed)
        _refuse_unsafe(members, archive)
        with whole_folder(target) as content:
            for member in progress_bar(members, f"Unpacking {archive.name}", total=len(members), unit="file"):
                _write(member, content, archive)
            write_json(content / ORIGIN_FILE, origin)
    return target


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile | zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) if archive.name.endswith(".zip") else tarfile.open(archive) as packed:
            yield packed
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise UnpackError(f"{archive} is damaged or no archive: {error}") from error


def _members(packed: tarfile.TarFile | zipfile.ZipFile) -> list[_Member]:
    if isinstance(packed, tarfile.TarFile):
        return [
            _Member(info.name, info.isdir(), info.isreg() or info.isdir(), partial(packed.extractfile, info))
            for info in packed.getmembers()
        ]
    plain = (0, stat.S_IFREG, stat.S_IFDIR)
    return [
        _Member(
            info.filename, info.is_dir(), stat.S_IFMT(info.external_attr >> 16) in plain, partial(packed.open, info)
        )
        for info in packed.infolist()
    ]


def _refuse_unsafe(members: list[_Member], archive: Path) -> None:
    unsafe = [
        f"{member.name} ({'leads out of the folder' if member.is_plain else 'is a link or a device'})"
        for member in members
        if not member.is_plain or _leads_out(member.name)
    ]
    if unsafe:
        raise UnpackError(f"{archive} has {len(unsafe)} unsafe members, nothing was unpacked: {', '.join(unsafe)}")


def _leads_out(name: str) -> bool:
    # Windows reads a backslash as a separator, and a colon as a drive
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in name


def _write(member: _Member, content: Path, archive: Path) -> None:
    """Write a member below ``content``: its bytes alone, since no owner, right or link of the archive is wanted."""
    path = content / member.name
    if member.is_folder:
        path.mkdir(parents=True, exist_ok=True)
        return
    try:
        packed = member.open()
    except RuntimeError as error:
        raise UnpackError(
            f"{member.name} in {archive} cannot be read ({error}); unpack it by hand and give the folder"
        ) from error
    assert packed is not None, "a tar file opens all that is no folder, link or device"
    path.parent.mkdir(parents=True, exist_ok=True)
    with packed, path.open("wb") as stream:
        shutil.copyfileobj(packed, stream)
