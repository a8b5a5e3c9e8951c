"""Where things lie in the project, independent of the working directory: where they are read, and where written.

A checkout that its reader cannot write, as on the hub of a course, is *shared*. What is in its ``build/`` is read, and
what is made goes into the reader's own folder: that of the variable ``RISKMAP_HOME``, or ``~/riskmap``. Nothing is
ever written, locked or cleared in the shared place.
"""

# an old Python, which is named before it can read the rest, reads this
from __future__ import annotations

import os
from pathlib import Path

from riskmap.project.writing import OWN_FOLDER, can_write

PROJECT_ROOT = Path(__file__).resolve().parents[2]
# small generated records, and the figures drawn from them
RESULTS = PROJECT_ROOT / "results"
NOTEBOOKS = PROJECT_ROOT / "notebooks"
# guides, glossary and the other documents of the site
DOCS = PROJECT_ROOT / "docs"
# of the checkout itself; where it is shared, resolve("build") is the reader's own
BUILD = PROJECT_ROOT / "build"


def own_root() -> Path:
    """Return the folder below which this reader writes: the checkout itself, or a folder of the reader's own."""
    named = os.environ.get(OWN_FOLDER, "")
    if not named and can_write(BUILD):
        return PROJECT_ROOT
    folder = Path(named or "riskmap")
    try:
        # not below the working directory, which differs between a notebook and a terminal
        return folder if folder.is_absolute() else Path.home() / folder.expanduser()
    except RuntimeError:
        # neither the environment nor the system names a home
        return PROJECT_ROOT


def is_shared() -> bool:
    """Tell whether the checkout is only read, and what is made goes elsewhere."""
    return own_root() != PROJECT_ROOT


def resolve(path: str | Path) -> Path:
    """Return ``path`` as it is when absolute, otherwise below the project's root.

    Notebooks and scripts therefore read and write the same places from any working directory. Where the checkout is
    shared, ``build/`` is the one in the reader's own folder, and so is whatever the checkout does not have; of what
    both have, the reader's own counts.
    """
    place = Path(path).expanduser()
    own, of_project = own_root() / place, PROJECT_ROOT / place
    is_own = place.parts[:1] == (BUILD.name,) or own.exists() or not of_project.exists()
    return own if is_own else of_project


def shared_counterpart(place: Path) -> Path | None:
    """Return what a place in the reader's own folder is in the shared checkout; None where there is no such place."""
    root = own_root()
    if root == PROJECT_ROOT or not place.is_relative_to(root):
        return None
    return PROJECT_ROOT / place.relative_to(root)


def place_to_read(folder: Path, record: str) -> Path:
    """Return where a finished folder lies: in its own place, or in the shared checkout.

    Args:
        folder: where this reader would make it.
        record: the file in it that is written last, and tells that it is whole.

    Returns:
        The reader's own place where it is whole in neither.
    """
    shared = shared_counterpart(folder)
    if shared is not None and (shared / record).is_file() and not (folder / record).is_file():
        return shared
    return folder


def name_below(place: Path, folder: Path) -> str:
    """Return the name of a place below a folder; of one that lies elsewhere, as in a shared checkout, its whole path.

    >>> name_below(Path("/runs/source/a"), Path("/runs"))
    'source/a'
    """
    return (place.relative_to(folder) if place.is_relative_to(folder) else place).as_posix()
