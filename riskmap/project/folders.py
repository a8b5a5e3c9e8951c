"""Folders that are whole or absent and belong to one set of parameters, so that stopped work can be gone on with."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from riskmap.project.files import read_json, write_json

PARAMETERS_FILE = "parameters.json"
_TEMPORARY_PREFIX = ".part-"


class OtherParametersError(ValueError):
    """A folder holds, whole or in part, what a call with other parameters made."""


def claim_folder(folder: Path, parameters: dict[str, Any]) -> None:
    """Make ``folder`` the place for what ``parameters`` describe, and clear what a killed run left half-written.

    Args:
        folder: need not exist yet.
        parameters: what its content depends on, as JSON; kept in it as ``PARAMETERS_FILE``.

    Raises:
        OtherParametersError: if the folder belongs to other parameters, or holds files of unknown origin.
    """
    record = folder / PARAMETERS_FILE
    if record.is_file():
        earlier = read_json(record)
        if earlier != parameters:
            differing = sorted(
                name for name in earlier.keys() | parameters.keys() if earlier.get(name) != parameters.get(name)
            )
            changes = ", ".join(
                f"{name} {earlier.get(name)!r} there, {parameters.get(name)!r} here" for name in differing
            )
            raise OtherParametersError(
                f"{folder} was begun with other parameters ({changes}); choose another folder, or delete this one"
            )
        for leftover in folder.glob(_TEMPORARY_PREFIX + "*"):
            _remove(leftover)
        return
    if folder.exists() and any(not path.name.startswith(_TEMPORARY_PREFIX) for path in folder.iterdir()):
        raise OtherParametersError(
            f"{folder} is not empty and has no {PARAMETERS_FILE}; choose an empty or a new folder"
        )
    write_json(record, parameters)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder inside ``parent`` that is removed at the end, with whatever was not moved out of it."""
    folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX, dir=parent))
    try:
        yield folder
    finally:
        _remove(folder)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``target`` when the block ends without an error."""
    with temporary_folder(target.parent) as folder:
        content = folder / target.name
        content.mkdir()
        yield content
        _remove(target)
        content.rename(target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
