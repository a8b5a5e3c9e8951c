"""Notebooks made ready for the site: outputs of the executed copy, no widgets, and pictures that say what they show."""

import re
from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from riskmap.rerun.site_links import Links

# what a page of the site can show; the first is taken
_SHOWN = ("text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/plain")
_PICTURES = {"image/png": "png", "image/jpeg": "jpg"}
# the reader's values, given or declared: of interest to who re-runs the page
_FOLDED = ("parameters", "injected-parameters")
_FOLD = "hide-input"
_NOT_EXECUTED = "This page has not been executed yet. `python -m riskmap tutorial` executes it."
_CHANGED = "Some cells of this page have changed since it was executed; they stand here without what they show."


def title_of(notebook: NotebookNode, default: str) -> str:
    """Return the text of a notebook's first H1, or ``default``."""
    for cell in notebook.cells:
        found = re.search(r"^# +(.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            return _plain(found.group(1))
    return default


def with_outputs(notebook: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """Return a notebook as it stands now, with the outputs of an executed copy under the cells that are the same.

    So prose can be written without executing anything. The cell that papermill has put in comes along.
    """
    outputs = defaultdict(list)
    for cell in executed.cells:
        if cell.cell_type == "code":
            outputs[cell.source].append(cell)
    injected = [cell for cell in executed.cells if "injected-parameters" in _tags(cell)]
    cells, changed = [], False
    for cell in notebook.cells:
        if cell.cell_type == "code" and outputs[cell.source]:
            done = outputs[cell.source].pop(0)
            cell.outputs, cell.execution_count = done.outputs, done.execution_count
        else:
            changed |= cell.cell_type == "code"
        cells.append(cell)
        if "parameters" in _tags(cell):
            cells += injected
    notebook.cells = cells
    if changed:
        _note(notebook, _CHANGED)
    return notebook


def not_executed(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook that says of itself that it has not been executed."""
    _note(notebook, _NOT_EXECUTED)
    return notebook


def prepare(notebook: NotebookNode, origin: PurePosixPath, links: Links, figures: Path) -> None:
    """Make a notebook ready for Sphinx: it is changed.

    Args:
        notebook: with outputs or without.
        origin: its path below the root of ``links``.
        links: where everything stands.
        figures: the folder, beside the notebook in the site's source, for its pictures.
    """
    notebook.metadata.pop("widgets", None)
    # a notebook that no kernel has seen does not say in which colours its code is shown
    notebook.metadata.setdefault("language_info", {"name": "python"})["pygments_lexer"] = "ipython3"
    heading, number = "", 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            headings = [_plain(found) for found in re.findall(r"^#+ +(.+)$", cell.source, re.MULTILINE)]
            heading = headings[-1] if headings else heading
            cell.source = links.in_markdown(cell.source, origin)
        if cell.cell_type != "code":
            continue
        if not {*_FOLDED}.isdisjoint(_tags(cell)):
            cell.metadata["tags"] = sorted({*_tags(cell), _FOLD})
        shown = []
        for output in cell.outputs:
            if "data" in output and not _choose(output):
                continue
            for picture in _pictures(output):
                number += 1
                _to_file(output, picture, figures / f"{origin.stem}_{number}", f"Figure {number}, in “{heading}”")
            _move_links(output, origin, links)
            shown.append(output)
        cell.outputs = shown


def _choose(output: NotebookNode) -> bool:
    """Keep the one form of an output that the site shows, and tell whether there is one.

    Widgets need scripts; each of them leaves a plain picture beside it. What a page hands on to a record is not shown.
    """
    found = [kind for kind in _SHOWN if kind in output.data]
    # beside something that cannot be shown, its text is a stand-in: IntSlider(value=0)
    others = [kind for kind in output.data if kind.startswith("application/vnd.")]
    if not found or (others and found == ["text/plain"]):
        return False
    output.data = NotebookNode({found[0]: output.data[found[0]]})
    return True


def _pictures(output: NotebookNode) -> Iterator[str]:
    return (kind for kind in _PICTURES if kind in output.get("data", {}))


def _to_file(output: NotebookNode, kind: str, path: Path, somewhere: str) -> None:
    """Write a picture beside the notebook, and show it as Markdown: myst-nb itself knows no text of one picture."""
    alt = output.metadata.get(kind, {}).get("alt", somewhere)
    path = path.with_suffix(f".{_PICTURES[kind]}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b64decode(output.data[kind]))
    text = re.sub(r"([\\\[\]`*_<>$])", r"\\\1", " ".join(alt.split()))
    output.data = NotebookNode({"text/markdown": f"![{text}]({path.parent.name}/{path.name})"})


def _move_links(output: NotebookNode, origin: PurePosixPath, links: Links) -> None:
    data = output.get("data", {})
    if "text/html" in data:
        data["text/html"] = links.in_html(data["text/html"], origin)
    elif "text/markdown" in data and not data["text/markdown"].startswith("!["):
        data["text/markdown"] = links.in_markdown(data["text/markdown"], origin, is_output=True)


def _note(notebook: NotebookNode, text: str) -> None:
    notebook.cells.insert(1, new_markdown_cell(f":::{{note}}\n{text}\n:::"))


def _tags(cell: NotebookNode) -> list[str]:
    tags: list[str] = cell.metadata.get("tags", [])
    return tags


def _plain(heading: str) -> str:
    """Take the Markdown marks out of a heading."""
    return re.sub(r"[`*]", "", heading).strip()
