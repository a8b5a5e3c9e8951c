"""The checker of the notebooks is itself checked: a good notebook passes, and each broken one is caught."""

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebook_rules import exercise_violations, violations

from riskmap.project.paths import PROJECT_ROOT

TITLE = """# A good notebook

**You will be able to**

- Measure the hardness $h_i$ of a pixel
- Explain where transfer harms

**Prerequisites:** none. About 3 minutes on two CPU cores, 20 MB of disk."""
RECAP = """## Recap

- Measured the hardness of a pixel
- Explained where transfer harms,
  over two lines

## What to read next

The next notebook."""


def good_notebook() -> NotebookNode:
    """Return a notebook that keeps every rule; the tests below break one rule each."""
    cells = [
        new_markdown_cell(TITLE),
        new_markdown_cell("The parameters."),
        new_code_cell('seed: int = 0  # seed\nsteps = 4\nrate = -1.0e-3\ndata_dir = "build/data"', metadata={}),
        new_markdown_cell("What is used."),
        new_code_cell(
            "import numpy as np\n\nfrom riskmap.pages.parameters import StartHere\n\n"
            "given = StartHere.check(globals())\ngiven.show_versions()"
        ),
        new_markdown_cell("**Predict**: what will the mean be?"),
        new_code_cell("%config InlineBackend.figure_formats = ['png']\ngiven.open_cohort()\nnp.zeros(3).mean() * rate"),
        new_markdown_cell("**Answer.** Zero. **What you see.** A number that `given.setting` does not change."),
        new_code_cell("given.setting, seed"),
        new_markdown_cell("**Question.** Why is it zero? See https://example.org/home/page and `data/x`."),
        new_markdown_cell(RECAP),
    ]
    for cell, tags in ((2, ["parameters", "hide-input"]), (4, ["hide-input"])):
        cells[cell].metadata.update({"tags": tags, "jupyter": {"source_hidden": True}})
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def check(notebook: NotebookNode, folder: Path) -> list[str]:
    """Write a notebook and return what the checker says about it."""
    path = folder / "00_example.ipynb"
    nbformat.write(notebook, path)
    return violations(path)


def set_source(cell: int, old: str, new: str) -> Callable[[NotebookNode], None]:
    """Return a change of a notebook: ``old`` becomes ``new`` in a cell."""

    def change(notebook: NotebookNode) -> None:
        assert old in notebook.cells[cell].source
        notebook.cells[cell].source = notebook.cells[cell].source.replace(old, new)

    return change


def add_cell(source: str) -> Callable[[NotebookNode], None]:
    """Return a change that puts prose and a code cell before the question."""

    def change(notebook: NotebookNode) -> None:
        notebook.cells[9:9] = [new_markdown_cell("Prose."), new_code_cell(source)]

    return change


def set_metadata(key: str, value: object) -> Callable[[NotebookNode], None]:
    """Return a change of the notebook's metadata."""
    return lambda notebook: notebook.metadata.update({key: value})


def set_cell(cell: int, key: str, value: object) -> Callable[[NotebookNode], None]:
    """Return a change of one entry of a cell."""
    return lambda notebook: notebook.cells[cell].update({key: value})


BREAKS = {
    "no title": (set_source(0, "# A good notebook", "A good notebook"), "lacks 'title'"),
    "second title": (set_source(5, "**Predict**", "# Predict"), "second H1"),
    "title not first": (lambda nb: nb.cells.insert(0, new_markdown_cell("Hello.", id="hello")), "first cell"),
    "no aims": (set_source(0, "You will be able to", "Aims"), "lacks 'You will be able to'"),
    "aims without bullets": (set_source(0, "- ", ""), "no bullets"),
    "aim without verb": (set_source(0, "- Measure", "- the measure"), "must begin with a verb"),
    "recap too short": (set_source(10, "- Measured the hardness of a pixel\n", ""), "2 aims but 1 bullets"),
    "no recap": (set_source(10, "## Recap", "## End"), "lacks 'Recap'"),
    "nothing to read": (set_source(10, "What to read next", "More"), "lacks 'What to read next'"),
    "wrong order": (lambda nb: nb.cells.insert(1, nb.cells.pop(10)) or nb.cells.append(nb.cells.pop(0)), "order"),
    "no minutes": (set_source(0, "3 minutes", "3 hours"), "prerequisites, minutes and disk"),
    "no disk": (set_source(0, "20 MB", "some"), "prerequisites, minutes and disk"),
    "nothing to predict": (set_source(5, "Predict", "Guess"), "nothing to predict"),
    "no question": (set_source(9, "Question", "Thought"), "no question"),
    "prediction after its code": (
        lambda nb: nb.cells.insert(6, nb.cells.pop(5)),
        "'Predict' must be followed by a code",
    ),
    "prediction at the end": (
        lambda nb: nb.cells.append(new_markdown_cell("**Predict**: x", id="p")),
        "'Predict' must",
    ),
    "nothing to see": (lambda nb: nb.cells.insert(4, nb.cells.pop(7)), "'What you see' must follow a code cell"),
    "prediction without an answer": (set_source(7, "**Answer.** Zero.", ""), "'Predict' has no '**Answer.**'"),
    "two predictions, one answer": (
        lambda nb: nb.cells.__setitem__(slice(7, 7), [new_markdown_cell("**Predict.**"), new_code_cell("seed")]),
        "cell 6: 'Predict' has no '**Answer.**' before the next one",
    ),
    "answer without a prediction": (set_source(9, "**Question.**", "**Answer.** No."), "answers nothing"),
    "imports in sight": (set_cell(4, "metadata", {}), "cell 5: parameters and imports must be folded"),
    "parameters in sight in JupyterLab": (
        set_cell(2, "metadata", {"tags": ["parameters", "hide-input"]}),
        "cell 3: parameters and imports must be folded",
    ),
    "unused parameter": (set_source(2, "seed: int", "sead: int"), "cell 3: nothing uses the parameter 'sead'"),
    "unused by the setting": (set_source(8, "given.setting, seed", "seed"), "nothing uses the parameter 'steps'"),
    "no parameters": (set_cell(2, "metadata", {}), "0 cells tagged 'parameters'"),
    "two parameters cells": (set_cell(6, "metadata", {"tags": ["parameters"]}), "2 cells tagged"),
    "parameters not first": (lambda nb: nb.cells.insert(4, nb.cells.pop(2)), "first code cell"),
    "computed parameter": (set_source(2, "steps = 4", "steps = 2 * 2"), "literals only"),
    "call in parameters": (set_source(2, "steps = 4", "print(1)"), "literals only"),
    "union annotation": (set_source(2, "seed: int", "seed: int | None"), "annotation"),
    "hash inside a default": (set_source(2, '"build/data"', '"build#data"'), "# inside a string"),
    "second import cell": (set_source(6, "np.zeros", "import os\nnp.zeros"), "2 cells with imports"),
    "no versions": (set_source(4, "\ngiven.show_versions()", ""), "end by showing the versions"),
    "seven names": (set_source(4, "import StartHere", "import StartHere, A, B, C, D, E, F"), "7 names from riskmap"),
    "private name": (add_cell("given._cohort()"), "private name '_cohort'"),
    "specification": (add_cell("TransferSpec(1)"), "TransferSpec is plumbing"),
    "no prose": (lambda nb: nb.cells.pop(5), "no prose before"),
    "empty cell": (add_cell(" "), "empty code cell"),
    "long cell": (add_cell("\n".join(["x = 1"] * 26)), "26 lines of code"),
    "long median": (lambda nb: [add_cell("\n".join(["x = 1"] * 12))(nb) for _ in range(6)], "median"),
    "three functions": (add_cell("def a(): ...\ndef b(): ...\ndef c(): ..."), "3 functions"),
    "pip": (add_cell("%pip install nibabel"), "installs"),
    "shell pip": (add_cell("!pip install nibabel"), "installs"),
    "interact": (add_cell("widgets.interact(show, x=3)"), "interact"),
    "interactive output": (add_cell("widgets.interactive_output(show, {})"), "interact"),
    "output widget": (add_cell("out = widgets.Output()"), "Output widget"),
    "matplotlib widget": (add_cell("%matplotlib widget"), "%matplotlib widget"),
    "absolute path": (add_cell("open('/home/me/x.nii')"), "absolute path '/home'"),
    "home path in prose": (set_source(9, "`data/x`", "`~/x`"), "absolute path '~/'"),
    "windows path": (add_cell('open("C:\\\\x")'), "absolute path"),
    "formula": (set_source(5, "what", "$\\nosuchcommand{a}$ what"), "cannot be set"),
    "outputs": (set_cell(6, "outputs", [new_output("stream", text="3")]), "cell 7: has outputs"),
    "execution count": (set_cell(6, "execution_count", 3), "cell 7: has an execution count"),
    "widget state": (set_metadata("widgets", {"state": {}}), "widget state"),
    "papermill's metadata": (set_metadata("papermill", {"duration": 3}), "metadata not clean"),
    "too large": (add_cell("x = '" + "a" * 150_000 + "'"), "bytes, at most"),
}


def test_good_notebook_passes(tmp_path):
    assert check(good_notebook(), tmp_path) == []


def test_a_picture_can_be_seen_as_well(tmp_path):
    notebook = good_notebook()
    notebook.cells[9].source = "![a map](map.png)\n\n**What you see.** A map. **Question.** Where?"
    assert check(notebook, tmp_path) == []


def test_the_road_to_page_5_is_short():
    """What a workshop reads in 90 minutes, formulas, code and the targets of links left out."""
    words = 0
    for path in sorted((PROJECT_ROOT / "notebooks").glob("0[0-5]_*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        left_out = r"\$\$.*?\$\$|\$[^$\n]*\$|```.*?```|\]\([^)]*\)"
        found = re.sub(left_out, "", prose, flags=re.DOTALL).split()
        words += sum(bool(re.search("[A-Za-z]", word)) for word in found)
    assert 3000 < words <= 6500


@pytest.mark.parametrize("name", BREAKS)
def test_each_rule_is_guarded(name, tmp_path):
    change, message = BREAKS[name]
    notebook = good_notebook()
    change(notebook)
    found = check(notebook, tmp_path)
    assert any(message in line for line in found), found
    assert all(line.startswith("00_example.ipynb") for line in found)


EXERCISE = """# Exercises to page 0

**You will practise**

- Reading a gap.

**Prerequisites:** [0 · Start here](../00_start_here.ipynb). **Takes** about 5 minutes."""
WHY = "**Why.** It is read everywhere.\n\n<details><summary>Hint</summary>Minus.</details>"


def exercise_page() -> NotebookNode:
    """Return a page of exercises that keeps every rule."""
    cells = [
        new_markdown_cell(EXERCISE),
        new_markdown_cell("## Set-up"),
        new_code_cell("from riskmap.exercises import ask, check"),
        new_markdown_cell(WHY),
        new_code_cell('def gap(scratch, transfer):\n    ...\n\n\ncheck("gap", gap)'),
        new_markdown_cell(WHY),
        new_code_cell('ask("churn")'),
    ]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    return new_notebook(cells=cells, metadata=good_notebook().metadata)


EXERCISE_BREAKS = {
    "no title": (set_source(0, "# Exercises", "Exercises"), "lacks a title"),
    "nothing practised": (set_source(0, "- Reading a gap.", ""), "lacks what is practised"),
    "no page": (set_source(0, "(../00_start_here.ipynb)", "(https://example.org)"), "lacks a link to its page"),
    "no minutes": (set_source(0, "5 minutes", "a while"), "lacks the minutes"),
    "no reason for code": (set_source(3, "**Why.**", ""), "cell 5: no reason"),
    "no reason for a choice": (set_source(5, "**Why.**", ""), "cell 7: no reason"),
    "no hint": (set_source(3, "<details><summary>Hint</summary>Minus.</details>", ""), "cell 5: no hint"),
    "five functions": (set_source(4, "def gap", "".join(f"def a{n}(): ...\n" for n in range(4)) + "def gap"), "5 func"),
    "absolute path": (set_source(1, "Set-up", "`/home/me`"), "absolute path '/home'"),
    "outputs": (set_cell(4, "outputs", [new_output("stream", text="3")]), "cell 5: has outputs"),
}


def test_good_page_of_exercises_passes(tmp_path):
    nbformat.write(exercise_page(), tmp_path / "00_example.ipynb")
    assert exercise_violations(tmp_path / "00_example.ipynb") == []


@pytest.mark.parametrize("name", EXERCISE_BREAKS)
def test_each_rule_of_exercises_is_guarded(name, tmp_path):
    change, message = EXERCISE_BREAKS[name]
    notebook = exercise_page()
    change(notebook)
    nbformat.write(notebook, tmp_path / "00_example.ipynb")
    found = exercise_violations(tmp_path / "00_example.ipynb")
    assert any(message in line for line in found), found
