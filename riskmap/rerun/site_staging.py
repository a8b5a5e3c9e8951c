"""The source of the site: the documents, the pages with what they show, and the tables of contents."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode

from riskmap.project.paths import PROJECT_ROOT
from riskmap.rerun.notebooks import read_notebook
from riskmap.rerun.site_links import GLOSSARY, Links, terms_of
from riskmap.rerun.site_notebooks import not_executed, prepare, with_outputs

DOCS = PurePosixPath("docs")
NOTEBOOKS = PurePosixPath("notebooks")
WORKSHOP = PurePosixPath("workshop")
LANDING = DOCS / "index.md"
# what the site carries beside the pages, where it is there
_PATTERNS = ("docs/**/*.md", "notebooks/exercises/*.ipynb", "workshop/*.md")
# the parts of the sidebar, and the documents that each takes: those that are named first stand first
_PARTS = {
    "Exercises": ("notebooks/exercises/*.ipynb",),
    "What was found": ("docs/experiment.md", "docs/recipe.md"),
    "Guides": (
        "docs/guides/install.md",
        "docs/guides/your_own_data.md",
        "docs/guides/real_patients.md",
        "docs/guides/*.md",
    ),
    "Reference": ("docs/glossary.md", "docs/api.md", "docs/*.md"),
    "Teach": ("workshop/README.md", "workshop/*plan*.md", "workshop/*.md"),
}


def stage(notebooks: Mapping[Path, Path | None], source: Path, html: Path, root: Path = PROJECT_ROOT) -> None:
    """Write the source of the site into a new folder.

    Args:
        notebooks: the pages in their order, each with its executed copy or None.
        source: the folder, which is made.
        html: the folder of the finished site, from which outputs link to files.
        root: the project.

    Raises:
        ValueError: a link leads nowhere, or to a term that the glossary does not have.
    """
    documents = [PurePosixPath(path.relative_to(root).as_posix()) for path in _found(root)]
    pages = {NOTEBOOKS / notebook.name: _page(notebook, executed) for notebook, executed in notebooks.items()}
    places = {path: _place(path) for path in (*documents, *pages)}
    terms = terms_of((root / GLOSSARY).read_text(encoding="utf-8"))
    links = Links(root, places, terms, html)
    shutil.copytree(root / DOCS, source, ignore=shutil.ignore_patterns("*.md", "__pycache__"))
    pages |= {path: read_notebook(root / path) for path in documents if path.suffix == ".ipynb"}
    for path, page in pages.items():
        prepare(page, path, links, (source / places[path]).parent / "figures")
        _written(source / places[path], nbformat.writes(page))
    for path in documents:
        if path not in pages:
            text = links.in_markdown((root / path).read_text(encoding="utf-8"), path)
            contents = _contents(documents, list(pages), places) if path == LANDING else ""
            _written(source / places[path], text + contents)
    for path in links.files:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, source / path)


def _found(root: Path) -> list[Path]:
    return [path for pattern in _PATTERNS for path in sorted(root.glob(pattern))]


def _page(notebook: Path, executed: Path | None) -> NotebookNode:
    page = read_notebook(notebook)
    return with_outputs(page, read_notebook(executed)) if executed else not_executed(page)


def _place(path: PurePosixPath) -> PurePosixPath:
    """Return where a document stands in the site's source: what lies in ``docs`` at its top."""
    return path.relative_to(DOCS) if path.is_relative_to(DOCS) else path


def _contents(
    documents: list[PurePosixPath], pages: list[PurePosixPath], places: Mapping[PurePosixPath, PurePosixPath]
) -> str:
    """Return the sidebar's parts as Sphinx reads them; a part without documents is left out."""
    parts = {"The road": [path for path in pages if path.parent == NOTEBOOKS]}
    left = [path for path in documents if path != LANDING]
    for caption, patterns in _PARTS.items():
        parts[caption] = []
        for pattern in patterns:
            found = [path for path in left if path.match(pattern)]
            parts[caption] += found
            left = [path for path in left if path not in found]
    return "".join(_toctree(caption, [places[path] for path in paths]) for caption, paths in parts.items() if paths)


def _toctree(caption: str, paths: Iterable[PurePosixPath]) -> str:
    lines = [f"/{path.with_suffix('')}" for path in paths]
    return "\n".join(["\n```{toctree}", ":hidden:", f":caption: {caption}", "", *lines, "```", ""])


def _written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
