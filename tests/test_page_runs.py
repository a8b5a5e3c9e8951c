"""The pages name beforehand what they train; once that is there, they make only what is written in their cells."""

import shutil
from pathlib import Path

import pytest

from riskmap.project.files import read_json
from riskmap.project.paths import PROJECT_ROOT
from riskmap.project.workers import end_workers
from riskmap.rerun.execution import record_of
from riskmap.rerun.notebooks import checked_parameters, page_of
from riskmap.rerun.page_runs import make_runs, needed_by
from riskmap.rerun.side_by_side import Execution, execute_side_by_side
from riskmap.training import making

NOTEBOOKS = PROJECT_ROOT / "notebooks"
PAGES = {path.name[:2]: path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))}
# of four steps, a quarter is one
FEW = {"cohort": "tiny", "source_steps": 4, "steps": 1, "shots": 1, "shots_list": [1, 2], "seeds": [0, 1]}


@pytest.fixture
def given(tiny_cohort, tmp_path):
    """Return what each page is given; the cohort lies in a folder of this test."""
    shutil.copytree(tiny_cohort.folder, tmp_path / "data" / "prepared" / "tiny")
    everything = {**FEW, "data_dir": str(tmp_path / "data"), "out_dir": str(tmp_path / "runs")}

    def of(notebook: Path) -> dict[str, object]:
        names = set(type(page_of(notebook, {})).model_fields)
        return checked_parameters(notebook, None, {name: everything[name] for name in names & set(everything)})

    yield of
    end_workers()


def runs_in(folder: Path) -> set[Path]:
    return {path.parent for path in folder.glob("*/**/record.json")}


def test_what_a_page_needs_is_counted_once_for_each_page(given, tmp_path):
    """The seconds behind a page are those of its own runs; two pages share a source network."""
    pages = {number: page_of(PAGES[number], given(PAGES[number])) for number in ("00", "01", "02", "06")}
    needed = needed_by(pages)
    assert list(needed) == [tmp_path / "runs"]
    assert [name for name, _ in needed[tmp_path / "runs"]] == ["01", "01", "02"]
    spent = make_runs(needed, jobs=1)
    seconds = {folder: read_json(folder / "record.json")["cost"]["seconds"] for folder in runs_in(tmp_path / "runs")}
    assert len(seconds) == 2
    assert spent["01"] == pytest.approx(sum(seconds.values()))
    assert spent["02"] in seconds.values()


def test_a_run_that_fails_is_left_to_its_page(given, tmp_path, monkeypatch, capsys):
    """Other pages are executed all the same."""

    def diverge(*_, **__):
        raise FloatingPointError("the loss became nan")

    monkeypatch.setattr(making, "train", diverge)
    needed = needed_by({"01": page_of(PAGES["01"], given(PAGES["01"]))})
    assert make_runs(needed, jobs=1) == {}
    assert "a run failed, and the page that asks for it will: the loss became nan" in capsys.readouterr().out
    assert not runs_in(tmp_path / "runs")


@pytest.mark.slow
@pytest.mark.notebooks
def test_pages_make_no_run_that_they_have_not_named(given, tmp_path):
    """But those of the reader's own arm, which is written in a cell of page 3, and of its twin."""
    chosen = {number: PAGES[number] for number in ("01", "02", "03", "04", "05")}
    values = {number: given(notebook) for number, notebook in chosen.items()}
    make_runs(needed_by({number: page_of(chosen[number], values[number]) for number in chosen}), jobs=2)
    before = runs_in(tmp_path / "runs")
    executions = [Execution(chosen[each], tmp_path / "out" / f"{each}.ipynb", None, values[each]) for each in chosen]
    seconds, failed = execute_side_by_side(executions, jobs=2)
    assert not failed, failed
    assert len(seconds) == len(chosen)
    made = [read_json(folder / "record.json")["parameters"] for folder in runs_in(tmp_path / "runs") - before]
    assert {parameters.get("arm", "a source network") for parameters in made} == {
        "hard_background",
        "hard_background_shuffled",
    }
    asked = {row["run"] for each in executions for row in read_json(record_of(each.output))["results"]}
    named = {folder.name for folder in before if folder.parent.parent.name == "transfer"}
    assert named <= asked, "and no run is made that no page asks for"
