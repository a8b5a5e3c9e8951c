"""Running notebooks, the record of a finished run, the pages, and the tutorial that ties them together."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import joblib
import nbformat
import psutil
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from riskmap.data import simulated
from riskmap.pages.parameters import StartHere, model_of
from riskmap.pages.values import parse_text
from riskmap.project.files import read_json
from riskmap.project.paths import PROJECT_ROOT
from riskmap.rerun import duration, execution, notebooks, run, tutorial
from riskmap.rerun.execution import NotebookError, execute_notebook
from riskmap.rerun.notebooks import checked_parameters
from riskmap.rerun.side_by_side import Execution, execute_side_by_side
from riskmap.rerun.site import SiteError

PARAMETERS = 'steps = 3\nrate = 1.0e-3\nname = "x"\nflag = True\nextra = None'
RESULT = "import os, sys\nprint(steps, rate, os.getcwd(), sys.executable)"


def write_notebook(path: Path, *cells: object, parameters: str | None = PARAMETERS) -> Path:
    """Write a tiny notebook: a title, a parameters cell and ``cells`` (text is code)."""
    tagged = [] if parameters is None else [new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    code = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    kernel = {"name": "no-such-kernel", "display_name": "Python 3", "language": "python"}
    content = new_notebook(
        cells=[new_markdown_cell(f"# Title of {path.stem}"), *tagged, *code], metadata={"kernelspec": kernel}
    )
    nbformat.write(content, path)
    return path


def write_profile(path: Path, text: str) -> Path:
    """Write a profile of parameters."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A notebook that ran to its end, from another working directory: (notebook, output, record, progress)."""
    folder = tmp_path_factory.mktemp("finished")
    notebook = write_notebook(folder / "00_good.ipynb", new_code_cell(RESULT, metadata={"tags": ["result"]}))
    other = write_notebook(folder / "01_other.ipynb", parameters="shots = 1")
    profile = write_profile(folder / "profile.yaml", "steps: 5\nshots: 2\n")
    progress = []
    output = folder / "out" / notebook.name
    record = execute_notebook(
        notebook, output, profile, {"rate": 2}, timeout=60, progress=lambda *done: progress.append(done)
    )
    assert other.exists()
    return notebook, output, profile, record, progress


def test_profile_and_parameters_reach_the_notebook(finished):
    notebook, output, _, record, _ = finished
    printed = nbformat.read(output, as_version=4).cells[-1].outputs[0].text.split()
    assert printed == ["5", "2", str(notebook.parent), sys.executable], "its own folder, the running interpreter"
    assert record["parameters"] == {"steps": 5, "rate": 2}


def test_figures_are_kept_whatever_backend_the_environment_names(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = write_notebook(tmp_path / "00_figure.ipynb", "import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    execute_notebook(notebook, tmp_path / "out.ipynb", timeout=60)
    outputs = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[-1].outputs
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_finished_run_is_marked_and_clean(finished):
    notebook, output, _, record, progress = finished
    assert read_json(execution.record_of(output)) == record
    assert set(record) >= {"notebook_sha256", "package_sha256", "inputs", "duration_seconds", "finished"}
    assert set(record["versions"]) >= {"python", "riskmap", "torch", "papermill"}
    assert record["platform"]
    assert record["git_revision"] is None or record["git_revision"].strip()
    assert record["peak_memory_mb"] > 10, "a kernel takes some"
    content = nbformat.read(output, as_version=4)
    assert "papermill" not in content.metadata
    assert not any({"papermill", "execution"} & set(cell.metadata) for cell in content.cells)
    assert progress == [(done, 4) for done in range(5)]
    assert sorted(path.name for path in output.parent.iterdir()) == [output.name, output.name + ".json"]
    assert nbformat.read(notebook, as_version=4).cells[-1].outputs == []


def test_same_run_is_recognised_and_any_change_is_not(finished, monkeypatch, tmp_path):
    notebook, output, profile, _, _ = finished
    assert execution.is_finished(notebook, output, profile, {"rate": 2})
    assert not execution.is_finished(notebook, output, profile, {"rate": 3})
    assert not execution.is_finished(notebook, output, None, {"rate": 2})
    assert not execution.is_finished(notebook, tmp_path / "absent.ipynb", profile, {"rate": 2})
    with monkeypatch.context() as patch:
        patch.setattr(execution, "package_digest", lambda root: "another source")
        assert not execution.is_finished(notebook, output, profile, {"rate": 2})
    changed = write_notebook(tmp_path / notebook.name, RESULT + "  # changed")
    assert not execution.is_finished(changed, output, None, {"steps": 5, "rate": 2})


def test_digest_follows_the_source(tmp_path):
    for name in ("riskmap/a.py", "data_scripts/b.py", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    before = execution.package_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("2")
    assert execution.package_digest(tmp_path) == before
    (tmp_path / "data_scripts/b.py").write_text("2")
    assert execution.package_digest(tmp_path) != before


@pytest.mark.parametrize(
    ("code", "timeout", "message"),
    [
        ("print('before')\nraise KeyError('first line')", 60, r"KeyError: 'first line'"),
        ("raise ValueError('one\\ntwo')", 60, "two"),
        ("import time\ntime.sleep(60)", 2, "ran longer than the 2 s"),
        ("import os\nos._exit(1)", 60, "the kernel died"),
    ],
    ids=["error", "long message", "timeout", "dead kernel"],
)
def test_failing_notebook_is_named_and_kept(tmp_path, code, timeout, message):
    notebook = write_notebook(tmp_path / "01_bad.ipynb", code, "print('never')")
    output = tmp_path / "out" / notebook.name
    execution.record_of(output).parent.mkdir()
    execution.record_of(output).write_text("{}")  # an older success must not vouch for this run
    started = time.monotonic()
    with pytest.raises(NotebookError, match=rf"01_bad\.ipynb, cell 3 of 4: .*{message}"):
        execute_notebook(notebook, output, timeout=timeout)
    assert time.monotonic() - started < 45
    assert [path.name for path in output.parent.iterdir()] == ["01_bad.failed.ipynb"]


def test_whole_notebook_has_a_limit_of_its_own(tmp_path):
    notebook = write_notebook(tmp_path / "01_slow.ipynb", *["import time\ntime.sleep(2)"] * 10)
    with pytest.raises(NotebookError, match=r"ran longer than the 4 s that the notebook may take"):
        execute_notebook(notebook, tmp_path / "out.ipynb", timeout=60, time_limit=4)


def test_run_that_reads_a_table_is_finished_until_the_table_changes(tmp_path):
    notebook = write_notebook(tmp_path / "01_reads.ipynb", parameters='sweep_dir = ""')
    table, values = tmp_path / "sweep" / "table.csv", {"sweep_dir": str(tmp_path / "sweep")}
    table.parent.mkdir()
    table.write_text("dice\n0.5\n")
    execute_notebook(notebook, tmp_path / "out.ipynb", None, values, timeout=60)
    assert execution.is_finished(notebook, tmp_path / "out.ipynb", None, values)
    table.write_text("dice\n0.6\n")
    assert not execution.is_finished(notebook, tmp_path / "out.ipynb", None, values)


def page_1(folder: Path, *cells: str) -> Path:
    """Write a copy of page 1 that has its parameters and does something else."""
    page = nbformat.read(PROJECT_ROOT / "notebooks" / "01_source_pretraining.ipynb", as_version=4)
    (declared,) = [cell.source for cell in page.cells if "parameters" in cell.metadata.get("tags", [])]
    return write_notebook(folder / "01_mine.ipynb", *cells, parameters=declared)


def test_run_with_a_network_of_one_s_own_is_finished_until_its_file_changes(tmp_path):
    notebook, network = page_1(tmp_path, "print(network)"), tmp_path / "mine.yaml"
    network.write_text("spatial_dims: 2\nchannels: [4, 8]\n")
    values = {"network": str(network), "data_dir": str(tmp_path)}
    record = execute_notebook(notebook, tmp_path / "out.ipynb", None, values, timeout=60)
    assert list(record["inputs"]) == [network.as_posix()]
    assert execution.is_finished(notebook, tmp_path / "out.ipynb", None, values)
    network.write_text("spatial_dims: 2\nchannels: [4, 16]\n")
    assert not execution.is_finished(notebook, tmp_path / "out.ipynb", None, values)


def test_what_changes_while_a_page_runs_was_not_read(tmp_path):
    """The record says what was there at the beginning; of what the page has made for itself, what it has made."""
    notebook = write_notebook(
        tmp_path / "01_reads.ipynb",
        "from pathlib import Path\nfor n in ('table.csv', 'sweep.json'):\n    (Path(sweep_dir) / n).write_text('2')",
        parameters='sweep_dir = ""',
    )
    values = {"sweep_dir": str(tmp_path)}
    execute_notebook(notebook, tmp_path / "out.ipynb", None, values, timeout=60)
    assert execution.is_finished(notebook, tmp_path / "out.ipynb", None, values)
    (tmp_path / "table.csv").write_text("1")
    execute_notebook(notebook, tmp_path / "out.ipynb", None, values, timeout=60)
    assert not execution.is_finished(notebook, tmp_path / "out.ipynb", None, values)


def test_a_machine_without_the_device_is_told_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    notebook, given = page_1(tmp_path, "1"), {"data_dir": str(tmp_path), "device": "cuda:0"}
    with pytest.raises(ValueError, match="torch sees no CUDA GPU here"):
        execute_notebook(notebook, tmp_path / "out.ipynb", None, given)
    with pytest.raises(ValueError, match="torch sees no CUDA GPU here"):
        run.prepare(notebook, None, {**given, "data_dir": "build/data"})
    assert not (tmp_path / "out.ipynb").exists()


def test_kept_measurements_travel_unseen_to_the_record(tmp_path):
    keep = "import pandas as pd\nfrom riskmap.pages.measurements import keep_measurements\n"
    keep += "keep_measurements(pd.DataFrame({'seed': [0, 1], 'dice': [1 / 3, None]}))"
    notebook = write_notebook(tmp_path / "01_keeps.ipynb", keep)
    record = execute_notebook(notebook, tmp_path / "out.ipynb", timeout=60)
    assert record["results"] == [{"seed": 0, "dice": pytest.approx(1 / 3)}, {"seed": 1, "dice": None}]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"step": 1}, r"unknown parameter 'step'.*did you mean 'steps'\?"),
        ({"zzz": 1}, r"unknown parameter 'zzz'.*Declared: extra, flag, name, rate, steps"),
        ({"rate": "1e-3"}, r"rate must be .*float.*got '1e-3'; did you mean 0\.001\? \(in YAML, write 1\.0e-3"),
        ({"steps": 1.5}, "steps must be .*int"),
        ({"steps": True}, "steps must be .*int"),
        ({"flag": 1}, "flag must be .*bool"),
        ({"name": 1}, "name must be .*str"),
    ],
)
def test_wrong_parameter_is_refused_before_anything_runs(tmp_path, parameters, message):
    notebook = write_notebook(tmp_path / "00_good.ipynb", RESULT)
    with pytest.raises(ValueError, match=message):
        execute_notebook(notebook, tmp_path / "out.ipynb", parameters=parameters)
    assert not (tmp_path / "out.ipynb").exists()


def test_name_in_profile_that_no_notebook_declares_is_refused(tmp_path):
    notebook = write_notebook(tmp_path / "00_good.ipynb")
    write_notebook(tmp_path / "01_other.ipynb", parameters="shots = 1")
    profile = write_profile(tmp_path / "p.yaml", "shots: 3\n")
    assert checked_parameters(notebook, profile, {}) == {}
    write_profile(profile, "shot: 3\n")
    with pytest.raises(ValueError, match=r"p\.yaml \(no notebook declares it\); did you mean 'shots'"):
        checked_parameters(notebook, profile, {})
    write_profile(profile, "- 3\n")
    with pytest.raises(ValueError, match="must hold names and values, got list"):
        checked_parameters(notebook, profile, {})


def test_a_cell_that_a_reader_has_changed_is_checked_as_well(tmp_path):
    """A copy of a page keeps the page's ranges, and brings defaults of its own."""
    notebook = page_1(tmp_path)
    with pytest.raises(ValueError, match=r"source_steps must be at least 1, got 0; the nearest is 1"):
        checked_parameters(notebook, None, {"source_steps": 0})
    notebook.write_text(notebook.read_text().replace("source_steps: int = 1600", "source_steps: int = 0"))
    with pytest.raises(ValueError, match=r"source_steps must be at least 1, got 0"):
        checked_parameters(notebook, None, {})
    assert checked_parameters(notebook, None, {"source_steps": 3}) == {"source_steps": 3}


@pytest.mark.parametrize("content", ["no JSON", "[]", "{}", '{"cells": 3, "nbformat": 4, "nbformat_minor": 5}'])
def test_a_file_that_is_no_notebook_is_named(content, tmp_path):
    path = tmp_path / "03_some.ipynb"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"03_some\.ipynb is no notebook: ") as caught:
        notebooks.declared_parameters(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "message"), [(None, "no cell tagged 'parameters'"), ("steps = 2 * 3", "not a plain literal")]
)
def test_notebook_without_plain_parameters_is_refused(tmp_path, parameters, message):
    notebook = write_notebook(tmp_path / "00_bad.ipynb", parameters=parameters)
    with pytest.raises(ValueError, match=message):
        execute_notebook(notebook, tmp_path / "out.ipynb")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("steps", "7", 7),
        ("rate", "1e-3", 1e-3),
        ("rate", "2", 2.0),
        ("name", "7", "7"),
        ("flag", "false", False),
        ("extra", "[1, 2]", [1, 2]),
    ],
)
def test_text_of_the_command_line_takes_the_declared_type(name, text, value):
    declared = {"steps": 3, "rate": 1.0e-3, "name": "x", "flag": True, "extra": None}
    parsed = parse_text(name, text, model_of(Path("any.ipynb"), declared))
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(("name", "text"), [("steps", "many"), ("rate", "fast"), ("flag", "7"), ("nam", "x")])
def test_text_of_another_type_is_refused(name, text):
    model = model_of(Path("any.ipynb"), {"steps": 3, "rate": 1.0e-3, "name": "x", "flag": True})
    with pytest.raises(ValueError, match=name):
        model.checked({name: parse_text(name, text, model)}, "the command line")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("steps", "010", "parameter steps must be a whole number .*YAML reads 010 as 8; write 10 or 8"),
        ("steps", "1:30", "YAML reads 1:30 as 90"),
        ("steps", "0x10", "YAML reads 0x10 as 16"),
        ("steps", "1_000", "YAML reads 1_000 as 1000"),
        ("steps", "1e3", r"got '1e3'; did you mean 1000\?"),
        ("steps", "08", r"got '08'; did you mean 8\?"),
        ("extra", "[1, 010]", "YAML reads 010 as 8"),
        ("extra", "[NO]", "YAML reads NO as false"),
        ("rate", "1_0", "parameter rate must be a number"),
        ("rate", "1:30", "parameter rate must be a number"),
    ],
)
def test_a_number_that_would_be_read_otherwise_than_it_looks_is_refused(name, text, message):
    model = model_of(Path("any.ipynb"), {"steps": 3, "rate": 1.0e-3, "extra": [1]})
    with pytest.raises(ValueError, match=message):
        model.checked({name: parse_text(name, text, model)}, "the command line")


# ---- side by side


def executions(folder: Path, *cells: str) -> list[Execution]:
    """A notebook per cell, to be executed below ``out``."""
    written = [write_notebook(folder / f"{number:02d}_page.ipynb", cell) for number, cell in enumerate(cells)]
    return [Execution(notebook, folder / "out" / notebook.name, None, {}) for notebook in written]


# ends when the other has begun
MEET = """
import os, pathlib, time
pathlib.Path("{mine}").touch()
end = time.monotonic() + 60
while not pathlib.Path("{other}").exists():
    assert time.monotonic() < end, "alone"
    time.sleep(0.05)
print(os.environ["OMP_NUM_THREADS"])
"""


def test_two_kernels_run_at_a_time_in_their_own_folder_and_share_the_cores(tmp_path, capsys):
    both = executions(tmp_path, MEET.format(mine="a", other="b"), MEET.format(mine="b", other="a"))
    before = Path.cwd()
    seconds, failed = execute_side_by_side(both, jobs=2)
    assert not failed
    assert list(seconds) == ["00_page", "01_page"]
    assert Path.cwd() == before
    for each in both:
        assert each.is_finished()
        printed = nbformat.read(each.output, as_version=4).cells[-1].outputs[0].text
        assert int(printed) == max(1, joblib.cpu_count() // 2)
    told = capsys.readouterr().out
    assert re.search(r"00_page: \d+ s\n", told)
    assert "6/6" in told, "one bar over the cells of all"


def test_a_notebook_that_fails_stops_no_other(tmp_path, capsys):
    three = executions(tmp_path, "1 / 0", "print('second')", "raise KeyError('third')")
    seconds, failed = execute_side_by_side(three, jobs=2)
    assert list(seconds) == ["01_page"]
    assert [str(error).splitlines()[0] for error in failed] == [
        "00_page.ipynb, cell 3 of 3: ZeroDivisionError: division by zero",
        "02_page.ipynb, cell 3 of 3: KeyError: 'third'",
    ]
    told = capsys.readouterr().out
    assert "00_page: failed" in told
    assert "9/9" in told, "the bar comes to its end"


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_ctrl_c_ends_all_kernels_and_leaves_nothing_half_written(tmp_path):
    """A terminal sends it to the command alone, as kernels have groups of their own."""
    mark = "import os, pathlib, time\npathlib.Path(f'started_{os.getpid()}').touch()\ntime.sleep(100)"
    three = executions(tmp_path, mark, mark, mark)
    command = ["from pathlib import Path", "from riskmap.rerun.side_by_side import Execution, execute_side_by_side"]
    command += [f"folder = Path({str(tmp_path)!r})", "found = sorted(folder.glob('*.ipynb'))"]
    command += ["pages = [Execution(each, folder / 'out' / each.name, None, {}) for each in found]"]
    command += ["execute_side_by_side(pages, jobs=2)"]
    started = subprocess.Popen(
        [sys.executable, "-c", "\n".join(command)], cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("started_*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    started.send_signal(signal.SIGINT)
    _, told = started.communicate(timeout=60)
    assert told.rstrip().endswith("KeyboardInterrupt")
    kernels = [int(path.name.removeprefix("started_")) for path in tmp_path.glob("started_*")]
    assert len(kernels) == 2, "the third was not begun"
    assert not any(psutil.pid_exists(kernel) for kernel in kernels)
    assert list((tmp_path / "out").iterdir()) == []
    assert not any(each.is_finished() for each in three)


# ---- the tutorial

SPEED = {"ten_steps_ms": 500.0, "device": "cpu", "precision": "float32"}


def write_names(pages: Mapping[Path, Path | None], build: Path) -> None:
    """Write into the first page of a site which of its pages were executed: the site itself is tested elsewhere."""
    (build / "html").mkdir(parents=True, exist_ok=True)
    executed = {notebook.stem: copy is not None for notebook, copy in pages.items()}
    (build / "html" / "index.html").write_text(json.dumps(executed))


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two tiny notebooks; returns (folder, profile, cohorts asked for). The site is what it would show."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    declared = 'cohort = "a_cohort"\nsteps = 1'
    write_notebook(folder / "00_first.ipynb", "print('first', steps)", parameters=declared)
    tagged = new_code_cell("print('Dice of', steps, 'steps')", metadata={"tags": ["result"]})
    write_notebook(folder / "01_second.ipynb", tagged, parameters="steps = 1")
    asked = []
    monkeypatch.setattr(tutorial, "ensure_cohort", lambda name, data_dir: asked.append((name, data_dir)))
    monkeypatch.setattr(duration, "time_steps", lambda: dict(SPEED))
    monkeypatch.setattr(tutorial, "build_site", write_names)
    return folder, write_profile(folder / "profiles" / "tiny.yaml", "cohort: b_cohort\nsteps: 2\n"), asked


def test_tutorial_runs_once_and_shows_results_and_pages(course, tmp_path, capsys):
    folder, profile, asked = course
    notebooks = tutorial.find_notebooks(folder)
    index = tutorial.run_tutorial(notebooks, profile, [("steps", "7")], build=tmp_path / "build")
    assert asked == [("b_cohort", "build/data")]
    assert "01_second\nDice of 7 steps" in capsys.readouterr().out
    assert json.loads(index.read_text()) == {"00_first": True, "01_second": True}
    # the second call runs nothing, and a later choice of one notebook keeps the pages of the others
    tutorial.run_tutorial(notebooks[1:], profile, [("steps", "7")], build=tmp_path / "build")
    assert "01_second: already done" in capsys.readouterr().out
    assert json.loads(index.read_text()) == {"00_first": True, "01_second": True}


def test_the_first_call_writes_down_how_long_it_took(course, tmp_path):
    folder, profile, _ = course
    notebooks, build = tutorial.find_notebooks(folder), tmp_path / "build"
    tutorial.run_tutorial(notebooks, profile, build=build)
    record = read_json(build / "tutorial_time.json")
    assert {name: record[name] for name in SPEED} == SPEED
    assert (record["profile"], record["jobs"], record["cores"]) == ("tiny", 2, joblib.cpu_count())
    assert list(record["pages"]) == ["00_first", "01_second"]
    assert all(page["seconds"] > 0 for page in record["pages"].values())
    assert list(record["parts"]) == ["cohorts", "runs", "pages", "site"]
    assert record["seconds"] >= sum(record["parts"].values()) - 0.2
    (build / "tutorial_time.json").unlink()
    (build / "notebooks" / "00_first.ipynb").unlink()
    tutorial.run_tutorial(notebooks, profile, build=build)
    assert not (build / "tutorial_time.json").exists(), "the other page was there already"


@pytest.mark.parametrize("change", ["a value", "a part", "runs"])
def test_what_is_not_the_whole_tutorial_from_nothing_is_not_written_down(change, course, tmp_path):
    folder, profile, _ = course
    runs = tmp_path / "runs"
    write_notebook(folder / "01_second.ipynb", "1", parameters=f"steps = 1\nout_dir = {str(runs)!r}")
    notebooks, given = tutorial.find_notebooks(folder), [("steps", "7")] if change == "a value" else []
    if change == "runs":
        runs.mkdir()
    chosen = notebooks[:1] if change == "a part" else notebooks
    assert not tutorial.Call(chosen, profile, given, tmp_path / "build", False).is_first()
    assert change != "runs" or not any(runs.iterdir())


def test_a_page_that_fails_is_told_at_the_end_and_the_others_are_there(course, tmp_path, capsys, monkeypatch):
    folder, profile, _ = course
    write_notebook(folder / "00_first.ipynb", "1 / 0", parameters='cohort = "a_cohort"')
    monkeypatch.setattr(tutorial, "NOTEBOOKS", folder)
    monkeypatch.setattr(tutorial, "build_folder", lambda profile: tmp_path / "build")
    assert tutorial.main(["--profile", str(profile)]) == 1
    told = capsys.readouterr()
    assert "01_second\nDice of 2 steps" in told.out
    assert "00_first.ipynb, cell 4 of 4: ZeroDivisionError" in told.err
    pages = json.loads((tmp_path / "build" / "html" / "index.html").read_text())
    assert pages == {"00_first": False, "01_second": True}
    assert not (tmp_path / "build" / "tutorial_time.json").exists()


def test_a_site_that_cannot_be_built_is_told_after_the_pages_that_failed(course, tmp_path, monkeypatch):
    folder, profile, _ = course

    def fail(pages, build):
        raise SiteError("the site could not be built: a broken link")

    monkeypatch.setattr(tutorial, "build_site", fail)
    notebooks = tutorial.find_notebooks(folder)
    with pytest.raises(NotebookError, match="a broken link"):
        tutorial.run_tutorial(notebooks, profile, build=tmp_path / "build")
    assert (tmp_path / "build" / "notebooks" / "00_first.ipynb").is_file(), "what was executed stays"
    write_notebook(folder / "00_first.ipynb", "1 / 0", parameters='cohort = "a_cohort"\nsteps = 1')
    with pytest.raises(NotebookError, match=r"(?s)ZeroDivisionError.*a broken link"):
        tutorial.run_tutorial(notebooks, profile, build=tmp_path / "build")


def test_where_every_page_fails_each_is_told(course, tmp_path):
    folder, profile, _ = course
    for name in ("00_first", "01_second"):
        write_notebook(folder / f"{name}.ipynb", "1 / 0", parameters='cohort = "a_cohort"\nsteps = 1')
    with pytest.raises(NotebookError, match=r"(?s)00_first\.ipynb, cell 4.*01_second\.ipynb, cell 4"):
        tutorial.run_tutorial(tutorial.find_notebooks(folder), profile, build=tmp_path / "build")


def test_as_much_goes_on_side_by_side_as_the_pages_are_given(tmp_path):
    """Of pages that are not given it, the profile decides: the one for a GPU says one at a time."""
    teach, full = (PROJECT_ROOT / "notebooks" / "profiles" / f"{name}.yaml" for name in ("teach", "full"))
    pages = tutorial.find_notebooks(PROJECT_ROOT / "notebooks")
    folders = [("data_dir", str(tmp_path))]

    def jobs(notebooks: list[Path], profile: Path, *given: tuple[str, str]) -> int:
        return tutorial.Call(notebooks, profile, [*folders, *given], tmp_path, False).jobs

    assert jobs(pages, teach) == 2
    assert jobs(pages, teach, ("jobs", "3")) == 3
    assert jobs(pages[:3], teach) == 2
    assert jobs(pages[:3], full, ("cohort", "fets2021_tiny")) == 1


def test_pages_of_another_profile_lie_beside_those_of_the_tutorial(monkeypatch):
    """``--profile smoke`` replaced pages that had taken minutes, and showed its numbers in their place."""
    asked = []
    monkeypatch.setattr(tutorial, "run_tutorial", lambda notebooks, profile, given, build, *_: asked.append(build))
    monkeypatch.chdir(PROJECT_ROOT)
    for profile in ([], ["--profile", "teach"], ["--profile", "notebooks/profiles/teach.yaml"], ["--profile", "smoke"]):
        assert tutorial.main([*profile, "--notebooks", "03"]) == 0
    build = PROJECT_ROOT / "build"
    assert asked == [build, build, build, build / "profiles" / "smoke"]


@pytest.mark.parametrize("given", [("stps", "7"), ("steps", "many")])
def test_tutorial_checks_everything_before_it_runs(course, tmp_path, given):
    folder, profile, asked = course
    with pytest.raises(ValueError, match=given[0]):
        tutorial.run_tutorial(tutorial.find_notebooks(folder), profile, [given], build=tmp_path / "build")
    assert not (tmp_path / "build").exists()
    assert asked == []


def test_tutorial_names_what_there_is(course, tmp_path):
    folder, profile, _ = course
    assert [path.name for path in tutorial.find_notebooks(folder, ["01"])] == ["01_second.ipynb"]
    with pytest.raises(ValueError, match="no notebook 07; there are 00, 01"):
        tutorial.find_notebooks(folder, ["07"])
    with pytest.raises(ValueError, match="no notebooks in"):
        tutorial.find_notebooks(tmp_path)
    assert tutorial.find_profile("tiny", folder) == tutorial.find_profile(str(profile), folder) == profile
    with pytest.raises(ValueError, match=r"no profile 'huge'.*: tiny"):
        tutorial.find_profile("huge", folder)
    with pytest.raises(ValueError, match=f"{tmp_path} is a folder, not a profile"):
        tutorial.find_profile(str(tmp_path), folder)


def test_a_profile_is_looked_for_from_where_the_reader_stands_and_then_below_the_project(course, tmp_path, monkeypatch):
    folder, _, _ = course
    mine = write_profile(tmp_path / "mine.yaml", "steps: 2\n")
    monkeypatch.chdir(tmp_path)
    assert tutorial.find_profile("mine.yaml", folder).samefile(mine)
    teach = PROJECT_ROOT / "notebooks" / "profiles" / "teach.yaml"
    assert tutorial.find_profile("notebooks/profiles/teach.yaml", folder) == teach


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("huge", "error: no profile 'huge'"),
        ("broken", "yaml is not valid YAML"),
        ("list", "must hold names"),
    ],
)
def test_command_line_reports_errors_without_a_traceback(profile, message, course, monkeypatch, capsys):
    folder, _, _ = course
    (folder / "profiles" / "broken.yaml").write_text("steps: [1, 2\nrate: 3", encoding="utf-8")
    (folder / "profiles" / "list.yaml").write_text("- steps", encoding="utf-8")
    monkeypatch.setattr(tutorial, "NOTEBOOKS", folder)
    assert tutorial.main(["--profile", profile]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("copy", ["03_mine.ipynb", "03_fine_tuning-Copy1.ipynb"])
def test_a_copy_takes_no_page_s_place(copy, tmp_path):
    page = write_notebook(tmp_path / "03_fine_tuning.ipynb", "print('page')")
    mine = write_notebook(tmp_path / copy, "print('copy')")
    assert tutorial.find_notebooks(tmp_path) == [page]
    assert run.find_notebook("03", tmp_path) == page
    assert run.find_notebook(mine.stem, tmp_path) == mine


def test_two_notebooks_of_one_number_are_named(tmp_path):
    for name in ("03_one.ipynb", "03_two.ipynb"):
        write_notebook(tmp_path / name, "1")
    with pytest.raises(ValueError, match=r"03_one\.ipynb, 03_two\.ipynb have one number; rename"):
        tutorial.find_notebooks(tmp_path)


def test_a_notebook_that_a_reader_adds_stops_no_command(tmp_path, monkeypatch):
    """Without a parameters cell, or two of one number: every command with a profile broke."""
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    page = write_notebook(tmp_path / "03_fine_tuning.ipynb", parameters="steps = 1")
    for name in ("08_x.ipynb", "08_y.ipynb", "03_mine.ipynb"):
        write_notebook(tmp_path / name, "1", parameters=None)
    profile = write_profile(tmp_path / "p.yaml", "steps: 2\n")
    assert notebooks.pages_in(tmp_path) == {"03": page}
    assert tutorial.find_notebooks(tmp_path) == [page]
    assert checked_parameters(page, profile, {"data_dir": str(tmp_path)}) == {"steps": 2, "data_dir": str(tmp_path)}
    assert run.find_notebook("08_x", tmp_path) == tmp_path / "08_x.ipynb"


def test_the_tutorial_says_which_copies_it_leaves_out(course, tmp_path, monkeypatch, capsys):
    folder, profile, _ = course
    monkeypatch.setitem(notebooks.MODELS, "00_first", StartHere)
    write_notebook(folder / "00_mine.ipynb", "print('copy')", parameters="steps = 1")
    with pytest.raises(ValueError, match="stps"):
        tutorial.run_tutorial(tutorial.find_notebooks(folder), profile, [("stps", "7")], build=tmp_path / "build")
    assert "00_mine.ipynb is no page of the tutorial and is left out; python -m riskmap run" in capsys.readouterr().out


# ---- default cohorts


def test_missing_default_cohort_is_made_once(tmp_path, monkeypatch):
    ran = []

    def run(command, **_):
        ran.append(command)
        if "data_scripts.prepare" in command:
            folder = Path(command[command.index("--out") + 1])
            folder.mkdir(parents=True)
            (folder / "manifest.json").write_text("{}")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(simulated.subprocess, "run", run)
    for _ in range(2):
        assert simulated.ensure_cohort("fets2021_tiny", tmp_path) == tmp_path / "prepared" / "fets2021_tiny"
    simulate, prepare = ran
    assert simulate[:3] == [sys.executable, "-m", "data_scripts.simulate_fets2021"]
    assert prepare[prepare.index("--archive") + 1] == simulate[simulate.index("--out") + 1]


def test_cohort_that_cannot_be_made_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"no cohort 'mine'.*fets2021_simulated.*python -m data_scripts\.prepare"):
        simulated.ensure_cohort("mine", tmp_path)
    monkeypatch.setattr(simulated.subprocess, "run", lambda c, **_: subprocess.CompletedProcess(c, 2))
    with pytest.raises(RuntimeError, match=r"status 2 from: python -m data_scripts\.simulate_fets2021"):
        simulated.ensure_cohort("fets2021_tiny", tmp_path)
