"""The house: which rooms there are, what each may import, and how high it stands."""

import ast
import re
import shutil

import pytest
import rooms

FOLDERS = sorted(path.parent for path in (rooms.ROOT / "riskmap").glob("*/__init__.py"))
DATA_FOLDERS = sorted(path.parent for path in (rooms.ROOT / "data_scripts").glob("*/__init__.py"))


def test_every_import_keeps_the_plan():
    assert rooms.violations() == []


def test_a_room_imports_only_rooms_above_it_in_the_table_of_the_house():
    """By the rows of CONTRIBUTING.md; rooms of one row are one place."""
    lines = (rooms.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
    folders = [re.findall(r"`([a-z_/]+)/`", line.split("|")[1]) for line in lines if line.startswith("| `")]
    order = {folder.replace("/", "."): row for row, names in enumerate(folders) for folder in names}

    def row_of(room: str) -> int:
        return order[room] if room in order else order[room.rpartition(".")[0]]

    assert {row_of(room) for room in rooms.ALLOWED} < set(order.values())
    for room, others in rooms.ALLOWED.items():
        assert [each for each in others if row_of(each) > row_of(room)] == [], room


def test_the_house_has_at_most_eight_floors():
    assert max(rooms.floors().values()) <= rooms.MOST_FLOORS


def test_only_the_library_lies_at_the_root():
    files = {path.stem for path in (rooms.ROOT / "riskmap").glob("*.py")}
    assert files == {"__init__", "__main__", *rooms.LIBRARY}
    assert len(FOLDERS) <= rooms.MOST_FOLDERS
    assert {f"riskmap.{folder.name}" for folder in FOLDERS} <= set(rooms.ALLOWED)


@pytest.mark.parametrize("folder", [*FOLDERS, *DATA_FOLDERS], ids=lambda folder: folder.name)
def test_a_room_says_in_one_paragraph_what_it_is_for_and_what_it_may_import(folder):
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    text = ast.get_docstring(tree)
    handed_on = [ast.unparse(node) for node in tree.body[1:] if isinstance(node, ast.ImportFrom)]
    names = [ast.unparse(node) for node in tree.body[1:] if ast.unparse(node).startswith("__all__ = ")]
    assert len(tree.body) == 1 + len(handed_on) + len(names), "a room's front holds no code"
    assert not handed_on or folder.name in rooms.FRONTS, "a room's front holds nothing but its docstring"
    assert "\n\n" not in text
    assert "import" in text


@pytest.mark.parametrize(
    ("place", "line", "message"),
    [
        ("riskmap/data/cohort.py", "import riskmap.training.arms", "riskmap.data may not import riskmap.training"),
        ("riskmap/leep.py", "from riskmap.project.files import read_json", "riskmap.leep may not import"),
        ("riskmap/figures/style.py", "from riskmap.figures.charts import plot_bars", "circle: riskmap.figures.charts"),
        ("riskmap/rerun/run.py", "from riskmap.pages.knobs import _knob", "imports the private name _knob"),
        ("riskmap/data/discs.py", "def late():\n    from data_scripts import prepare", "may not import data_scripts"),
        ("data_scripts/simulation/fields.py", "from data_scripts.archives import split", "may not import data_scripts"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_found(place, line, message, tmp_path):
    for folder in ("riskmap", "data_scripts", "benchmarks"):
        shutil.copytree(rooms.ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / place
    path.write_text(path.read_text(encoding="utf-8") + "\n" + line + "\n", encoding="utf-8")
    assert any(message in found for found in rooms.violations(tmp_path))
