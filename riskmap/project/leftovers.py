"""Folders to work in that do not outlive their process: what a killed one has left goes at the next call."""

import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_WORK = ".run-"
# what files.atomic_path and folders.temporary_folder write before it takes its name
_PARTS = ".part-*"
# no file is written for as long as that; whoever writes one holds no lock
_PART_SECONDS = 24 * 3600


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder inside ``parent`` that is removed at the end; what killed processes left there goes first.

    Its owner holds a lock as long as it lives, and the system lets go of it however the owner dies: no process id is
    compared, which another machine may use for another process.
    """
    clear_leftovers(parent)
    folder = parent / f"{_WORK}{uuid.uuid4().hex[:12]}"
    lock = FileLock(_lock_of(folder))
    # held before the folder is there, so that a folder whose lock is free has no owner
    try:
        with lock:
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        _lock_of(folder).unlink(missing_ok=True)


def clear_leftovers(parent: Path) -> None:
    """Remove the work folders inside ``parent`` whose processes have died, and half-written files beside them."""
    for folder in parent.glob(f"{_WORK}*"):
        if folder.is_dir():
            _remove_unless_owned(folder)
    _remove_old(lock for lock in parent.glob(f"{_WORK}*.lock") if not lock.with_suffix("").exists())
    _remove_old(parent.glob(_PARTS))


def clear_parts(parent: Path) -> None:
    """Remove the half-written files anywhere below ``parent`` that nobody writes any more."""
    _remove_old(parent.rglob(_PARTS))


def _remove_old(paths: Iterable[Path]) -> None:
    for path in list(paths):
        # another call may be faster, or it belongs to another user
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _PART_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _remove_unless_owned(folder: Path) -> None:
    try:
        with FileLock(_lock_of(folder), timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
    except (Timeout, OSError):
        # alive, or of another user
        return
    _lock_of(folder).unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
