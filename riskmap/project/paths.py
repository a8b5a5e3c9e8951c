"""Where things lie in the project, independent of the working directory."""

from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
# small generated records, and the figures drawn from them
RESULTS = PROJECT_ROOT / "results"
NOTEBOOKS = PROJECT_ROOT / "notebooks"
# guides, glossary and the other documents of the site
DOCS = PROJECT_ROOT / "docs"
BUILD = PROJECT_ROOT / "build"


def resolve(path: str | Path) -> Path:
    """Return ``path`` as it is when absolute, otherwise below the project's root.

    Notebooks and scripts therefore read and write the same places from any working directory.
    """
    return PROJECT_ROOT / Path(path).expanduser()
