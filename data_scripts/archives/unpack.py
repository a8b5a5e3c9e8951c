"""Unpack an archive's tar or zip file; nothing of it can be written outside its folder."""

import errno
import lzma
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from riskmap.project.files import read_json, write_json
from riskmap.project.folders import whole_folder
from riskmap.project.progress import progress_bar

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
ORIGIN_FILE = ".unpacked.json"
_BY_HAND = "unpack it by hand and give the folder (7-Zip reads most kinds)"
# what Python's readers raise where bytes are not what they should be; bz2 and gzip: an OSError without a number
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OverflowError,
    ValueError,
)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BEGINNINGS = {
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "packed by Zstandard",
    b"\xfd7zXZ\x00": "packed by xz",
    b"BZh": "packed by bzip2",
    b"\x1f\x8b": "packed by gzip",
    b"PK\x03\x04": "a zip archive",
}
_SPLIT = re.compile(r"\.(z\d\d|\d\d\d|part\d+\.rar)$", re.IGNORECASE)


class UnpackError(ValueError):
    """A packed archive is damaged, or holds members that cannot be read or lead out of its folder."""


@dataclass(frozen=True)
class _Member:
    """A member of a tar or a zip file.

    Args:
        name: its path in the archive.
        size: bytes of its content.
        is_folder: whether it is a folder.
        is_plain: whether it is a folder or a file, and no link or device.
        open: opens the content of a file.
    """

    name: str
    size: int
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
        UnpackError: if the file is damaged, needs a password or was packed by a method that Python lacks, does not fit
            on the disk, or a member is a link or a device, leads out of the folder or has the name of another; nothing
            is left then. Also if it would have to be unpacked in a dry run, or another archive has the folder.
        ValueError: if ``archive`` is neither a folder nor such a file.
    """
    if archive.is_dir():
        return archive
    target = folder / _name_without_suffix(archive)
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
        _require_room(members, archive, folder)
        with whole_folder(target) as content:
            for member in progress_bar(members, f"Unpacking {archive.name}", total=len(members), unit="file"):
                _write(member, content, archive)
            _read_to_its_end(packed)
            write_json(content / ORIGIN_FILE, origin)
    return target


def _name_without_suffix(archive: Path) -> str:
    """Return what an archive's folder is called; a file that is no such archive is refused, with what to do."""
    suffix = next((each for each in SUFFIXES if archive.name.lower().endswith(each)), "")
    if suffix and archive.is_file() and len(archive.name) > len(suffix):
        return archive.name[: -len(suffix)]
    problem = f"archive {archive} is neither a folder nor a file that ends in {', '.join(SUFFIXES)}"
    if not archive.is_file():
        raise ValueError(f"{problem}; {'it is no file' if archive.exists() else 'there is nothing of that name'}")
    if _SPLIT.search(archive.name):
        raise ValueError(f"{problem}; it looks like a part of a split archive: put all parts into a folder, {_BY_HAND}")
    raise ValueError(f"{problem}; {_BY_HAND}")


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile | zipfile.ZipFile]:
    """Open an archive; whatever goes wrong with it then names it and says what to do."""
    try:
        zipped = archive.name.lower().endswith(".zip")
        with zipfile.ZipFile(archive) if zipped else tarfile.open(archive) as packed:
            yield packed
    except UnpackError:
        raise
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise UnpackError(f"{archive} does not fit on the disk; choose a folder with more room") from error
        if error.errno not in (None, errno.EINVAL):
            raise UnpackError(f"{archive} cannot be unpacked: {error}") from error
        raise UnpackError(_damage(archive, error)) from error
    # a newer kind of zip, or a name that is no text
    except (NotImplementedError, UnicodeDecodeError) as error:
        raise UnpackError(f"{archive} cannot be read ({error}); {_BY_HAND}") from error
    except _DAMAGE as error:
        raise UnpackError(_damage(archive, error)) from error


def _damage(archive: Path, error: Exception) -> str:
    """Say of a file that cannot be read what it probably is, and what to do."""
    with archive.open("rb") as stream:
        beginning = stream.read(512)
    problem = f"{archive} is damaged or no archive"
    if not beginning:
        return f"{problem}: it is empty; fetch it again"
    if beginning.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        return f"{problem}: it is a web page, as a download without a login often is; fetch it again in a browser"
    if beginning.startswith(b"version https://git-lfs"):
        return f"{problem}: it is a pointer of Git LFS; git lfs pull fetches the file itself"
    parts = [path.name for path in archive.parent.glob("*") if path.stem == archive.stem and _SPLIT.search(path.name)]
    if parts:
        return f"{problem}: it looks like the last part of a split archive ({', '.join(sorted(parts))}); {_BY_HAND}"
    kind = next((kind for mark, kind in _BEGINNINGS.items() if beginning.startswith(mark)), "")
    what = f", which begins like a file {kind}" if kind.startswith("packed") else f", which begins like {kind}"
    reason = " ".join(str(error).split())[:200]
    return f"{problem}{what if kind else ''}: {reason}; fetch it again, or {_BY_HAND}"


def _members(packed: tarfile.TarFile | zipfile.ZipFile) -> list[_Member]:
    if isinstance(packed, tarfile.TarFile):
        members = packed.getmembers()
        _require_end(packed)
        return [
            _Member(_text(info.name), info.size, info.isdir(), info.isreg() or info.isdir(), _opener(packed, info))
            for info in members
        ]
    plain = (0, stat.S_IFREG, stat.S_IFDIR)
    return [
        _Member(
            _name_in_zip(info),
            info.file_size,
            _name_in_zip(info).endswith("/"),
            stat.S_IFMT(info.external_attr >> 16) in plain,
            partial(packed.open, info),
        )
        for info in packed.infolist()
    ]


def _opener(packed: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], IO[bytes] | None]:
    return partial(packed.extractfile, info)


def _text(name: str) -> str:
    """Return the name of a tar's member; bytes that are no UTF-8 are taken for Latin 1."""
    written = name.encode("utf-8", "surrogateescape")
    try:
        return written.decode("utf-8")
    except UnicodeDecodeError:
        return written.decode("latin-1")


def _name_in_zip(info: zipfile.ZipInfo) -> str:
    """Return a member's name, which macOS writes in UTF-8 unsaid, and old tools of Windows with its separators."""
    name = info.filename
    if not info.flag_bits & 0x800:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _require_end(packed: tarfile.TarFile) -> None:
    """Refuse a tar that was cut or spoilt between two members: tarfile takes what stands before for the whole."""
    stream = packed.fileobj
    assert stream is not None, "an open file"
    stream.seek(packed.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"what follows its first {len(packed.getmembers())} members is missing or spoilt")


def _read_to_its_end(packed: tarfile.TarFile | zipfile.ZipFile) -> None:
    """Let gzip compare its checksum, which stands at the end of the file; a zip has one for each member."""
    if isinstance(packed, tarfile.TarFile) and packed.fileobj is not None:
        while packed.fileobj.read(2**20):
            pass


def _require_room(members: list[_Member], archive: Path, folder: Path) -> None:
    needed, free = sum(member.size for member in members), shutil.disk_usage(folder).free
    if needed > free:
        raise UnpackError(
            f"{archive} does not fit on the disk: unpacked it takes {needed / 1e9:.3g} GB, and {folder} has "
            f"{free / 1e9:.3g} GB left; choose a folder with more room"
        )


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
    try:
        if member.is_folder:
            path.mkdir(parents=True, exist_ok=True)
            return
        packed = member.open()
        assert packed is not None, "a tar file opens all that is no folder, link or device"
        path.parent.mkdir(parents=True, exist_ok=True)
        # a disk that does not tell capitals would silently keep the last of two
        with packed, path.open("xb") as stream:
            shutil.copyfileobj(packed, stream)
        if path.stat().st_size != member.size:
            raise zipfile.BadZipFile(f"{member.name} has {path.stat().st_size} of its {member.size} bytes")
    except RuntimeError as error:
        raise UnpackError(f"{member.name} in {archive} cannot be read ({error}); {_BY_HAND}") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise UnpackError(f"{archive} holds two members of the name {member.name}; {_BY_HAND}") from error
