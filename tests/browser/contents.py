"""What a notebook's file says: the explorers that it will show, and what is wrong with it after a run."""

import ast
from collections import Counter
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode


def explorers_of(notebook: Path) -> list[str]:
    """Return the names of the explorers that a notebook's code cells show, in their order; a second one is numbered."""
    names = []
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code":
            # a magic is no Python before IPython has turned it into a call
            source = TransformerManager().transform_cell(cell.source)
            calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
            names += [name for name in map(_explorer, map(ast.unparse, calls)) if name]
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return numbered


def _explorer(called: str) -> str:
    """Return a name for the explorer that a call shows; the one of an object needs the object's name. "" for others."""
    last = called.split(".")[-1]
    if last == "explore":
        return called.replace(".", "_")
    return last if last.startswith("explore_") else ""


def problems(notebook: NotebookNode) -> list[str]:
    """Return what is wrong with a notebook after a run: errors, what went to stderr, cells that did not run."""
    found = []
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type != "code":
            continue
        if cell.execution_count is None:
            found.append(f"cell {number} did not run")
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"cell {number}: {output.ename}: {output.evalue}")
            elif output.get("name") == "stderr":
                found.append(f"cell {number}, stderr: {output.text.strip()}")
    return found
