"""Unpack an archive's tar or zip file; nothing of it can be written outside its folder."""

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from riskmap.project.files import read_json, write_json
from riskmap.project.folders import whole_folder
from riskmap.project.progress import progress_bar

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
ORIGIN_FILE = ".unpacked.json"


class UnpackError(ValueError):
    """A packed archive is damaged, or holds members that lead out of its folder."""


def unpacked(archive: Path, folder: Path, dry_run: bool = False) -> Path:
    """Return the folder of an archive; a packed one is first unpacked below ``folder``, once.

    Args:
        archive: a folder, which is returned as it is, or a file with one of ``SUFFIXES``.
        folder: where a new folder, named after the file, appears whole or not at all.
        dry_run: unpack nothing.

    Raises:
        UnpackError: if the file is damaged, or a member is a link or a device or leads out of the folder; nothing is
            written then. Also if it would have to be unpacked in a dry run, or another archive has the folder.
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
        members = _safe_members(packed, archive)
        with whole_folder(target) as content:
            for member in progress_bar(members, f"Unpacking {archive.name}", total=len(members), unit="file"):
                if isinstance(packed, tarfile.TarFile):
                    packed.extract(member, content, filter="data")
                else:
                    packed.extract(member, content)
            write_json(content / ORIGIN_FILE, origin)
    return target


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile | zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) if archive.name.endswith(".zip") else tarfile.open(archive) as packed:
            yield packed
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise UnpackError(f"{archive} is damaged or no archive: {error}") from error


def _safe_members(
    packed: tarfile.TarFile | zipfile.ZipFile, archive: Path
) -> list[tarfile.TarInfo] | list[zipfile.ZipInfo]:
    """List the files and folders of an archive if all of them are safe."""
    if isinstance(packed, tarfile.TarFile):
        members = packed.getmembers()
        names = [member.name for member in members]
        plain = [member.isreg() or member.isdir() for member in members]
    else:
        members = packed.infolist()
        names = [member.filename for member in members]
        kinds = [stat.S_IFMT(member.external_attr >> 16) for member in members]
        plain = [kind in (0, stat.S_IFREG, stat.S_IFDIR) for kind in kinds]
    unsafe = [
        f"{name} ({'leads out of the folder' if is_plain else 'is a link or a device'})"
        for name, is_plain in zip(names, plain, strict=True)
        if not is_plain or _leads_out(name)
    ]
    if unsafe:
        raise UnpackError(f"{archive} has {len(unsafe)} unsafe members, nothing was unpacked: {', '.join(unsafe)}")
    return members


def _leads_out(name: str) -> bool:
    # Windows reads a backslash as a separator, and a colon as a drive
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in name
