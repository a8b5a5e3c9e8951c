"""Whether folders can be written, asked before any work is begun."""

# an old Python, which is named before it can read the rest, reads this
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# names a reader's own folder; where it is set, the checkout is read only, even if it could be written
OWN_FOLDER = "RISKMAP_HOME"


def can_write(folder: Path) -> bool:
    """Tell whether this process may write into a folder, or make it where it is missing."""
    place = Path(os.path.abspath(folder))  # noqa: PTH100 (resolving links needs rights of its own)
    # unlike Path.exists, this asks nothing of folders that may not be entered
    while not os.path.exists(place):  # noqa: PTH110
        place = place.parent
    return os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)  # noqa: PTH112


def unwritable(places: Mapping[str, Path]) -> str:
    """Return what cannot be written, and how each is named, as one line; empty where all can.

    Args:
        places: what names a folder, such as ``--out``, to the folder.
    """
    lacking = {name: folder for name, folder in places.items() if not can_write(folder)}
    if not lacking:
        return ""
    named = ", ".join(f"{folder} ({name})" for name, folder in lacking.items())
    return f"no right to write into {named}; name {'a folder' if len(lacking) == 1 else 'folders'} of your own there"


def require_writable(places: Mapping[str, Path]) -> None:
    """Refuse, before any work, places that cannot be written, with a ValueError that names them all.

    Args:
        places: as for :func:`unwritable`.
    """
    if problem := unwritable(places):
        raise ValueError(problem)


def require_own_copy(command: str, *folders: Path) -> None:
    """Refuse a command that writes into the checkout itself, where it cannot, or shall not (ValueError)."""
    if os.environ.get(OWN_FOLDER):
        raise ValueError(f"{command} writes into the checkout, which is only read while {OWN_FOLDER} is set: unset it")
    lacking = [folder for folder in folders if not can_write(folder)]
    if lacking:
        raise ValueError(
            f"{command} writes into {', '.join(map(str, lacking))}, which cannot be written here: copy the checkout to "
            "a folder of your own, and call it there"
        )
