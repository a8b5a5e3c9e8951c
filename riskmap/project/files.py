"""Files that are either whole or absent: written to a temporary name in the same folder, then renamed."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Hold ``path``, which need not exist yet, alone among all processes that ask for it; others wait.

    The system itself lets go of the lock when its holder dies, so a killed process blocks nobody.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block ends without an error.

    The temporary name keeps every suffix of the target (``.nii.gz``), since writers choose their format by it.
    On an error or an interrupt the temporary file is removed and an older ``path`` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-", suffix="".join(path.suffixes[-2:]))
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; a shared data folder needs the usual permissions
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any, *, compact: bool = False) -> None:
    """Write ``content`` as JSON, indented or compact, atomically; NaN and infinity are refused (ValueError)."""
    layout = {"separators": (",", ":")} if compact else {"indent": 2}
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, **layout) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file; a file that does not parse raises ValueError naming it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of_folder(folder: Path) -> str:
    """Return a digest of the names, sizes and times of all files below a folder, hidden ones left out.

    It opens none of them, so that gigabytes of images cost no more than their listing.
    """
    files = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(place, name) for name in names if not name.startswith(".")):
            # a link that leads nowhere has no size, and still a name
            found = path.stat() if path.exists() else None
            files[path.relative_to(folder).as_posix()] = [found.st_size, found.st_mtime_ns] if found else []
    return digest_of(files)


def digest_of(content: Any) -> str:
    """Return a 12-character digest of JSON-like ``content`` that does not depend on the order of keys."""
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
