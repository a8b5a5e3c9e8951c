"""A reader's own copy of the notebooks of a shared checkout, so that they can be changed and saved."""

import shutil
import sys
from pathlib import Path

from riskmap.project.commands import exit_status, run_command
from riskmap.project.files import atomic_path, read_json, sha256_of_file, write_json
from riskmap.project.paths import PROJECT_ROOT, own_root
from riskmap.project.writing import require_writable

# what a reader works in
FOLDER = "notebooks"
# what each file was when it was copied: only so is it known which ones the reader has changed
COPIED_FILE = ".copied.json"


def copy_pages(shared: Path, own: Path) -> tuple[list[str], list[str]]:
    """Copy the notebooks, and what lies beside them, into a reader's own folder.

    What the reader has changed, or has made, is left as it is. What the reader has not touched follows the shared one.

    Args:
        shared: the root of the checkout.
        own: the reader's own folder; made where it is missing.

    Returns:
        The names of the files that were copied, and of those that both the reader and the teacher have changed.
    """
    record = own / COPIED_FILE
    before: dict[str, str] = read_json(record) if record.is_file() else {}
    copied, differing = [], []
    now = dict(before)
    for path in _files(shared):
        name = path.relative_to(shared).as_posix()
        digest, mine = sha256_of_file(path), own / name
        there = sha256_of_file(mine) if mine.is_file() else None
        if there in (None, before.get(name)) and there != digest:
            with atomic_path(mine) as temporary:
                shutil.copyfile(path, temporary)
            copied.append(name)
        elif there != digest and before.get(name) != digest:
            differing.append(name)
            continue
        now[name] = digest
    write_json(record, now)
    return copied, differing


def _files(root: Path) -> list[Path]:
    found = (path for path in (root / FOLDER).rglob("*") if path.is_file())
    return sorted(path for path in found if not any(map(_is_by_product, path.relative_to(root).parts)))


def _is_by_product(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


def main() -> int:
    """Copy the pages of the shared checkout, and say where the copies are."""

    def work() -> int:
        own = own_root()
        if own == PROJECT_ROOT:
            raise ValueError(f"{PROJECT_ROOT} is your own: its notebooks need no copies")
        require_writable({"RISKMAP_HOME": own})
        copied, differing = copy_pages(PROJECT_ROOT, own)
        print(f"Your own copies: {own / FOLDER} ({len(copied)} files are new)")
        for name in differing:
            print(f"{name} has changed in the checkout, and yours as well: yours is kept", file=sys.stderr)
        return 0

    return exit_status(work, "the next call copies the rest")


if __name__ == "__main__":
    run_command(main)
