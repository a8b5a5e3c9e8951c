"""Reading times: what is estimated, what is optional, and that pages 0 to 5 fit into 90 minutes."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT
from riskmap.rerun.notebooks import read_notebook
from riskmap.rerun.reading import (
    OPTIONAL,
    PICTURE,
    PREDICTION,
    RESULT,
    SLIDERS,
    WORDS_A_MINUTE,
    Minutes,
    exercise_minutes,
    num_words,
    reading_minutes,
    with_optional,
)
from riskmap.rerun.road import core_minutes, exercises_of, readme_minutes, road

PAGES = [*sorted(NOTEBOOKS.glob("[0-9]*.ipynb")), *sorted((NOTEBOOKS / "exercises" / "source").glob("*.ipynb"))]
FOLDED = "jp-MarkdownHeadingCollapsed"
TIME = {"pages": {}, "seconds": 300, "cores": 2, "processor": "a processor"}


def page(*cells):
    """Return a notebook of Markdown texts, and of code where a text begins with ">"."""
    made = [new_code_cell(text[1:]) if text.startswith(">") else new_markdown_cell(text) for text in cells]
    return new_notebook(cells=made)


def test_words_are_counted_without_formulas_code_and_targets():
    text = (
        "Two [words](../a/long/target.md) here, $x + y$ and\n\n$$\n\\text{no word}\n$$\n\n```text\nmake all\n```\n- 12"
    )
    assert num_words(text) == 4


def test_a_page_takes_its_words_pictures_sliders_and_predictions():
    made = page("word " * WORDS_A_MINUTE, "**Predict.** so", ">draw()", ">explore_it()")
    made.cells.append(new_code_cell("import x", metadata={"tags": ["hide-input"]}))
    made.cells.append(new_code_cell("table", metadata={"tags": ["result"]}))
    core = 1 + 2 / WORDS_A_MINUTE + PREDICTION + PICTURE + SLIDERS + RESULT
    assert reading_minutes(made).core == pytest.approx(core)
    assert reading_minutes(made).all == pytest.approx(core)


def test_an_optional_section_ends_at_a_heading_of_its_level_or_above():
    made = page("# One", "## A · optional", ">draw()", "### part", "## B", "### C · optional", "text", "### D", "# E")
    marks = [optional for _, optional in with_optional(made)]
    assert marks == [False, True, True, True, False, True, True, False, False]
    assert reading_minutes(made).all - reading_minutes(made).core > PICTURE


def test_exercises_take_what_their_headings_say():
    made = page("# Exercises", "## One · 4 min", "## Two · 10 min · optional", "## Two minutes", ">check()")
    assert exercise_minutes(made) == Minutes(4, 14)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_is_optional_is_folded_and_nothing_else(path):
    for cell in nbformat.read(path, as_version=4).cells:
        first = cell.source.partition("\n")[0]
        is_optional = cell.cell_type == "markdown" and first.startswith("#") and first.endswith(OPTIONAL)
        assert cell.metadata.get(FOLDED, False) == is_optional, first
        # JupyterLab folds what stands below the heading's cell, so nothing else stands in it
        assert not is_optional or cell.source == first
        assert not any(re.match(r"#+ .*" + OPTIONAL, line) for line in cell.source.splitlines()[1:])


def test_a_section_after_an_optional_one_is_not_folded_with_it():
    """JupyterLab folds whole cells: what follows must begin a cell of its own."""
    for path in PAGES:
        for cell, optional in with_optional(read_notebook(path)):
            inside = [line for line in cell.source.splitlines() if re.match(r"#{1,2} ", line)]
            assert not optional or cell.cell_type == "code" or len(inside) <= 1, (path.stem, inside)


@pytest.mark.parametrize("path", sorted((NOTEBOOKS / "exercises" / "source").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_page_of_exercises_says_what_its_headings_add_up_to(path):
    notebook = read_notebook(path)
    minutes = exercise_minutes(notebook)
    said = f"**Takes** {minutes.all:.0f} minutes"
    if minutes.core != minutes.all:
        said += f", {minutes.core:.0f} without what is optional"
    assert minutes.all > 0
    assert re.search(rf"{re.escape(said)}\b", notebook.cells[0].source), said


def test_from_the_readme_to_page_5_takes_90_minutes_at_most():
    whole = core_minutes()
    assert 60 < readme_minutes() + whole.core <= 90
    assert whole.all > whole.core


def test_each_page_of_the_core_asks_for_something():
    for number in ("00", "01", "02", "03", "04", "05"):
        assert 0 < exercises_of(number).core <= exercises_of(number).all
    assert exercises_of("06") == Minutes(0, 0)


def test_the_road_shows_both_minutes():
    text = road(TIME, PROJECT_ROOT)
    (row,) = [line for line in text.splitlines() if "01_source_pretraining" in line]
    reading = reading_minutes(read_notebook(NOTEBOOKS / "01_source_pretraining.ipynb"))
    exercises = exercises_of("01")
    cells = [f"{each.core:.0f} ({each.all:.0f})" for each in (reading, exercises)]
    assert row.endswith(f"| {cells[0]} | {cells[1]} | – |")
    cells = re.findall(r"0[0-5]_\w+\.ipynb\) \| (\d+)[^|]*\| (\d+)", text)
    assert f"Pages 0 to 5 take {sum(int(each) for row in cells for each in row)} minutes with their exercises" in text
    assert len(cells) == 6
