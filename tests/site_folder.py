"""A small project with documents and pages, of which a site can be built in seconds."""

import shutil
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from riskmap.project.paths import DOCS

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WIDGET = {"application/vnd.jupyter.widget-view+json": {"model_id": "m"}, "text/plain": "IntSlider(value=0)"}
GLOSSARY = """# Glossary

```{glossary}
Dice
  How well: $\\frac{2}{3}$.

Transfer risk map
  A picture of hardness.
```
"""
PROSE = """## The *map*

Hardness $h_i = -\\log E_i[y_i]$, `$not math$`, [Dice](../docs/glossary.md#dice),
[the map](../docs/glossary.md#transfer-risk-map).

$$r = \\frac{1}{n}$$

[The second](01_second.ipynb), [a guide](../docs/guides/own.md#a-part), [settings](own.yaml),
see [code](../riskmap), `[no](link)`.
"""


def make_project(root: Path) -> Path:
    """Write documents, a figure, a file to download and two pages, and return the folder."""
    shutil.copytree(DOCS / "_static", root / "docs" / "_static")
    shutil.copy(DOCS / "conf.py", root / "docs" / "conf.py")
    write(
        root / "docs" / "index.md",
        "# Landing\n\n![a map](../results/map.png)\n\n[Page 0](../notebooks/00_first.ipynb)\n",
    )
    write(root / "docs" / "glossary.md", GLOSSARY)
    write(root / "docs" / "guides" / "own.md", "# Own\n\n## A part\n\n[Page 1](../../notebooks/01_second.ipynb)\n")
    write(root / "notebooks" / "own.yaml", "a: 1\n")
    write(root / "riskmap" / "code.py", "")
    (root / "results").mkdir()
    (root / "results" / "map.png").write_bytes((DOCS.parent / "results" / "habits.png").read_bytes())
    write_page(root / "notebooks" / "00_first.ipynb", new_markdown_cell(PROSE), new_code_cell("show()"))
    write_page(root / "notebooks" / "01_second.ipynb", new_code_cell("1 + 1"))
    return root


def write(path: Path, text: str) -> None:
    """Write a text, and the folder that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_page(path: Path, *cells) -> Path:
    """Write a page with a title and a cell of parameters."""
    parameters = new_code_cell("steps = 3", metadata={"tags": ["parameters"]})
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[new_markdown_cell(f"# Title of {path.stem}"), parameters, *cells]), path)
    return path


def execute(page: Path, folder: Path, outputs: dict[str, list]) -> Path:
    """Write what papermill would leave of a page: outputs under its cells, values put in, and a record."""
    notebook = nbformat.read(page, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = outputs.get(cell.source, []), 1
    injected = new_code_cell("steps = 7", metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(2, injected)
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / page.name)
    write(folder / f"{page.name}.json", '{"duration_seconds": 9}')
    return folder / page.name


def many_outputs() -> list:
    """Return outputs of every kind that the tutorial's cells have."""
    table = '<table><tr><td>cell</td></tr></table><a href="01_second.ipynb">on</a><a href="../sweep/a b.ipynb">far</a>'
    return [
        new_output("stream", text="done"),
        new_output("stream", name="stderr", text="a warning"),
        new_output("display_data", {"image/png": PNG}),
        new_output("display_data", {"image/png": PNG}, metadata={"image/png": {"alt": "A [risk] map_of `x`"}}),
        new_output("display_data", WIDGET),
        new_output("display_data", {**WIDGET, "image/png": PNG}, metadata={"image/png": {"alt": "a strip"}}),
        new_output("display_data", {"application/vnd.riskmap.measurements+json": [1], "text/plain": "kept"}),
        new_output("display_data", {"text/html": table}),
        new_output("display_data", {"text/markdown": "| a |\n|---|\n| [on](01_second.ipynb) |", "text/plain": "a"}),
        new_output("display_data", {"text/markdown": "[Dice](../docs/glossary.md#dice)", "text/plain": "a"}),
    ]
