"""A shared checkout: what is there is read, what is made goes into each reader's own folder, and no two disturb."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from riskmap import __main__ as front_door
from riskmap.data.simulated import archive_folder, cohort_folder, ensure_archive, ensure_cohort, has_cohort
from riskmap.pages.comparison import Comparison
from riskmap.pages.page import open_cohort
from riskmap.pages.parameters import StartHere
from riskmap.pages.source import SourceNetwork
from riskmap.project import hub, own_pages, paths
from riskmap.project.files import read_json, sha256_of_file
from riskmap.project.hub import allowed_jobs, describe_sharing, limit_threads
from riskmap.project.own_pages import copy_pages
from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT, name_below, own_root, place_to_read, resolve
from riskmap.rerun import run, sweep, tutorial
from riskmap.training import making
from riskmap.training.runs import ensure_all, missing_runs
from riskmap.training.specs import Setting

COPIED = ("riskmap", "data_scripts", "notebooks", "sweeps", "results", "pyproject.toml", "constraints.txt")
# reads everything, as a user who may enter all folders, and writes only what is its own
AS_USER = ("setpriv", "--clear-groups", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
STUDENTS = (1000, 1001)
TINY = {"steps": 3, "source_steps": 3}


# --- where things are read and written ----------------------------------------------------------------------------


@pytest.fixture
def read_checkout(tmp_path, monkeypatch):
    """A checkout that is only read, and a reader's own folder; (its root, the own root)."""
    root, own = tmp_path / "checkout", tmp_path / "own"
    (root / "build").mkdir(parents=True)
    monkeypatch.setattr(paths, "PROJECT_ROOT", root)
    monkeypatch.setattr(paths, "BUILD", root / "build")
    monkeypatch.setattr(hub, "PROJECT_ROOT", root)
    monkeypatch.setenv("RISKMAP_HOME", str(own))
    return root, own


def test_a_checkout_of_ones_own_is_no_shared_one():
    assert own_root() == PROJECT_ROOT
    assert resolve("build/runs") == PROJECT_ROOT / "build" / "runs"
    assert not describe_sharing()
    assert allowed_jobs(7) == 7


def test_a_checkout_that_cannot_be_written_is_shared_without_a_word_of_the_readers(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(paths, "can_write", lambda folder: False)
    assert own_root() == tmp_path / "riskmap"
    monkeypatch.setenv("RISKMAP_HOME", "mine")
    assert own_root() == tmp_path / "mine", "the same from any working directory"


def test_build_is_the_readers_own_and_the_rest_is_the_checkouts(read_checkout):
    root, own = read_checkout
    (root / "notebooks").mkdir()
    assert resolve("build/runs") == own / "build" / "runs"
    assert resolve("notebooks") == root / "notebooks"
    assert resolve("my_network.yaml") == own / "my_network.yaml"
    (own / "notebooks").mkdir(parents=True)
    assert resolve("notebooks") == own / "notebooks", "the reader's own copy counts"
    assert resolve("/elsewhere") == Path("/elsewhere")


def test_what_is_whole_is_read_ones_own_first(read_checkout):
    root, own = read_checkout
    folder = resolve("build/runs") / "a"
    assert place_to_read(folder, "record.json") == folder
    there = root / "build" / "runs" / "a"
    there.mkdir(parents=True)
    folder.mkdir(parents=True)
    assert place_to_read(folder, "record.json") == folder, "whole nowhere"
    (there / "record.json").touch()
    assert place_to_read(folder, "record.json") == there
    assert name_below(there, own) == there.as_posix()
    (folder / "record.json").touch()
    assert place_to_read(folder, "record.json") == folder


def test_one_job_and_one_thread_unless_more_is_asked_for(read_checkout, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    # what is set here is taken back
    monkeypatch.setattr(os, "environ", os.environ.copy())
    limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert allowed_jobs(8) == 1
    assert "Processes at a time: 1 (RISKMAP_JOBS), threads each: 1 (OMP_NUM_THREADS)" in describe_sharing()
    os.environ["RISKMAP_JOBS"] = "3"
    assert allowed_jobs(8) == 3
    assert allowed_jobs(2) == 2
    os.environ["RISKMAP_JOBS"] = "many"
    with pytest.raises(ValueError, match="RISKMAP_JOBS must be a whole number of at least 1, got 'many'"):
        allowed_jobs(2)


def test_a_page_says_where_it_reads_and_writes(read_checkout, tiny_cohort, capsys, monkeypatch):
    root, own = read_checkout
    (root / "build" / "data" / "prepared").mkdir(parents=True)
    shutil.copytree(tiny_cohort.folder, root / "build" / "data" / "prepared" / "fets2021_tiny")
    StartHere.check({"cohort": "fets2021_tiny", "data_dir": "build/data"})
    assert f"what you make goes to {own}" in capsys.readouterr().out


def test_shared_cohorts_and_archives_are_read_without_a_lock(read_checkout, tiny_cohort, tiny_archive):
    root, own = read_checkout
    for kind, folder in (("prepared", tiny_cohort.folder), ("archives", tiny_archive)):
        place = root / "build" / "data" / kind / "fets2021_tiny"
        place.parent.mkdir(parents=True)
        place.symlink_to(folder)
    assert has_cohort("fets2021_tiny")
    assert (
        ensure_cohort("fets2021_tiny") == cohort_folder("fets2021_tiny") == root / "build/data/prepared/fets2021_tiny"
    )
    assert ensure_archive("fets2021_tiny") == archive_folder("fets2021_tiny")
    assert open_cohort("fets2021_tiny").digest == tiny_cohort.digest
    assert not own.exists(), "nothing was written"


def test_shared_runs_are_read_and_new_ones_are_ones_own(read_checkout, tiny_cohort, monkeypatch):
    root, own = read_checkout
    setting = Setting(device="cpu", precision="float32", **TINY)
    made = Comparison(tiny_cohort, "FLAIR:WT", "T1ce:TC", ["scratch", "fine_tune"], shots=1, seeds=[0], setting=setting)
    ensure_all(made.wanted, root / "build" / "runs", jobs=1, progress=False)
    assert not missing_runs(made.wanted, resolve("build/runs"))
    with monkeypatch.context() as patch:
        patch.setattr(making, "train", lambda *_, **__: pytest.fail("trained again"))
        made.run(jobs=1)
        assert Path(made.weight_files()["scratch"]).is_relative_to(root)
        source = SourceNetwork(tiny_cohort, "FLAIR:WT", setting)
        assert Path(source.summary().loc["folder", "run"]).is_relative_to(root)
    assert not own.exists(), "nothing was written"
    more = Comparison(
        tiny_cohort, "FLAIR:WT", "T1ce:TC", ["scratch", "fine_tune"], shots=1, seeds=[0, 1], setting=setting
    )
    more.run(jobs=1)
    records = sorted((own / "build" / "runs").rglob("record.json"))
    assert len(records) == 2, "of seed 1; the source network is the shared one"
    assert more.run_of("fine_tune", 1).folder.is_relative_to(own)


def test_the_outputs_of_commands_are_ones_own(read_checkout):
    own = read_checkout[1] / "build"
    profiles = NOTEBOOKS / "profiles"
    assert tutorial.build_folder(profiles / "teach.yaml") == own
    assert tutorial.build_folder(profiles / "smoke.yaml") == own / "profiles" / "smoke"
    assert resolve(run.OUTPUTS) == own / "reruns"
    assert resolve(sweep.OUTPUTS) == own / "sweeps"


# --- one's own copies of the notebooks ------------------------------------------------------------------------------


def test_copies_follow_the_checkout_until_the_reader_changes_them(tmp_path):
    root, own = tmp_path / "checkout", tmp_path / "own"
    (root / "notebooks" / "profiles").mkdir(parents=True)
    names = ("a.ipynb", "b.ipynb", "profiles/teach.yaml")
    for hidden in (".ipynb_checkpoints", "__pycache__"):
        (root / "notebooks" / hidden).mkdir()
    for name in (*names, ".ipynb_checkpoints/a.ipynb", "__pycache__/a.pyc"):
        (root / "notebooks" / name).write_text("1")
    assert copy_pages(root, own) == ([f"notebooks/{name}" for name in names], [])
    assert copy_pages(root, own) == ([], [])
    (own / "notebooks" / "a.ipynb").write_text("mine")
    (own / "notebooks" / "c.ipynb").write_text("mine too")
    assert copy_pages(root, own) == ([], []), "changed by the reader alone: nothing to say"
    for name in ("a.ipynb", "b.ipynb"):
        (root / "notebooks" / name).write_text("2")
    assert copy_pages(root, own) == (["notebooks/b.ipynb"], ["notebooks/a.ipynb"])
    assert [(own / "notebooks" / f"{name}.ipynb").read_text() for name in "abc"] == ["mine", "2", "mine too"]
    (own / "notebooks" / "b.ipynb").unlink()
    assert copy_pages(root, own)[0] == ["notebooks/b.ipynb"], "a lost one comes back"


def test_lab_opens_the_copies(read_checkout, monkeypatch, capsys):
    _, own = read_checkout
    called = []
    monkeypatch.setattr(front_door, "running_interpreter", lambda target: "python")
    monkeypatch.setattr(front_door, "run_to_its_end", lambda command, folder: called.append((command, folder)) or 0)
    assert front_door.main(["lab", "--here"]) == 0
    assert called[0][0] == ["python", "-m", "riskmap.project.own_pages"]
    assert called[1] == (["python", "-m", "jupyter", "lab", "notebooks/00_start_here.ipynb"], own)
    assert "Shared checkout" in capsys.readouterr().out
    called.clear()
    assert front_door.main(["lab", "--here", "--help"]) == 0
    assert len(called) == 1, "help copies nothing"


def test_lab_does_not_open_the_shared_pages_in_place_of_ones_own(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RISKMAP_HOME", str(tmp_path / "file" / "mine"))
    monkeypatch.setattr(front_door, "running_interpreter", lambda target: pytest.fail("went on"))
    assert front_door.main(["lab", "--here"]) == 2
    assert "no right to write into" in capsys.readouterr().err


@pytest.mark.parametrize("target", [["lab", "--help"], ["run", "03"], ["tutorial", "--help"]])
def test_no_environment_is_made_in_a_checkout_that_is_only_read(target, monkeypatch, tmp_path, capsys):
    """Help for a reader built one of 2 GB in the shared checkout."""
    monkeypatch.setenv("RISKMAP_HOME", str(tmp_path))
    monkeypatch.setattr(front_door, "is_current", lambda root: False)
    monkeypatch.setattr(front_door, "ensure_environment", lambda root: pytest.fail("went on"))
    assert front_door.main(target) == 2
    assert "its .venv is not there" in capsys.readouterr().err


def test_help_of_lab_needs_no_folder_of_ones_own(monkeypatch, tmp_path):
    called = []
    monkeypatch.setenv("RISKMAP_HOME", str(tmp_path / "not yet"))
    monkeypatch.setattr(front_door, "running_interpreter", lambda target: "python")
    monkeypatch.setattr(front_door, "run_to_its_end", lambda command, folder: called.append(folder) or 0)
    assert front_door.main(["lab", "--here", "--help"]) == 0
    assert called == [PROJECT_ROOT]


def test_the_owner_of_a_checkout_gets_no_copies(capsys):
    assert own_pages.main() == 2
    assert "its notebooks need no copies" in capsys.readouterr().err


# --- two users at once ----------------------------------------------------------------------------------------------

# the arguments are the seeds that a student wants; the first is the teacher's
RUNS = f"""
import sys
from riskmap.pages.comparison import Comparison
from riskmap.training.specs import Setting
import torch

setting = Setting(device="cpu", precision="float32", **{TINY})
seeds = [int(seed) for seed in sys.argv[1:]]
arms = ["scratch", "fine_tune"]
made = Comparison("fets2021_tiny", "FLAIR:WT", "T1ce:TC", arms, shots=1, seeds=seeds, setting=setting)
made.run()
print([str(run.folder) for run in made.runs.values()], "threads:", torch.get_num_threads())
"""


@pytest.fixture(scope="module")
def course(tiny_cohort):
    """A checkout with a cohort and the runs of seed 0, which only root can write, and who works in it."""
    if os.name != "posix" or (os.geteuid() == 0 and shutil.which("setpriv") is None):
        pytest.skip("two users need setpriv where the tests run as root, and a system with users")
    # pytest's own folders are closed to others
    with tempfile.TemporaryDirectory(prefix="riskmap-course-") as name:
        place = Path(name)
        place.chmod(0o755)
        root = place / "checkout"
        root.mkdir()
        for each in COPIED:
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            copy = shutil.copytree if (PROJECT_ROOT / each).is_dir() else shutil.copy
            copy(PROJECT_ROOT / each, root / each, **({"ignore": ignored} if copy is shutil.copytree else {}))
        shutil.copytree(tiny_cohort.folder, root / "build" / "data" / "prepared" / "fets2021_tiny")
        teacher = started(root, place, None, ["-c", RUNS, "0"])
        assert teacher.wait() == 0
        set_writable(root, False)
        yield root, place
        set_writable(root, True)


def set_writable(root, writable):
    """Give, or take, everybody's right to write; what root may do is taken by the switch of user."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod((0o755 if path.is_dir() else 0o644) if writable else (0o555 if path.is_dir() else 0o444))


def started(root, place, student, words):
    """Start Python on a checkout as a student, None for the teacher; its output goes to files in its home."""
    home = place / f"home_{student}"
    if not home.exists():
        home.mkdir()
        if student is not None and os.geteuid() == 0:
            os.chown(home, student, student)
    who = []
    if student is not None and os.geteuid() == 0:
        who = [*AS_USER, f"--reuid={student}", f"--regid={student}"]
    kept = ("PATH", "LANG", "VIRTUAL_ENV", "SYSTEMROOT")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(home), "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    with (place / f"output_{student}").open("w") as output:
        command = [*who, sys.executable, *words]
        return subprocess.Popen(command, env=environment, cwd=home, stdout=output, stderr=subprocess.STDOUT)


def contents(root):
    """Return what each file of a folder holds, and when it was written."""
    return {
        path.relative_to(root): (sha256_of_file(path), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_two_students_read_the_shared_runs_and_each_makes_the_rest(course):
    root, place = course
    before = contents(root)
    working = [started(root, place, student, ["-c", RUNS, "0", str(seed)]) for seed, student in enumerate(STUDENTS, 1)]
    for process, (seed, student) in zip(working, enumerate(STUDENTS, 1), strict=True):
        assert process.wait() == 0, (place / f"output_{student}").read_text()
        own = place / f"home_{student}" / "riskmap" / "build"
        made = [read_json(path)["parameters"] for path in own.rglob("record.json")]
        assert sorted((each["arm"], each["seed"]) for each in made) == [("fine_tune", seed), ("scratch", seed)]
        said = (place / f"output_{student}").read_text()
        assert said.count(str(root / "build" / "runs")) == 2, "those of seed 0"
        assert "threads: 1" in said
        if os.geteuid() == 0:
            assert {path.stat().st_uid for path in own.rglob("*")} == {student}
    assert contents(root) == before


@pytest.mark.slow
def test_a_student_runs_a_page_by_its_number(course):
    """Output, record and name of the page go into the student's own folder, unasked."""
    root, place = course
    before, student = contents(root), STUDENTS[0]
    words = ["-m", "riskmap", "--here", "run", "00", "-f", "smoke"]
    process = started(root, place, student, words)
    assert process.wait() == 0, (place / f"output_{student}").read_text()
    told = (place / f"output_{student}").read_text()
    assert "Shared checkout: what is there is read from" in told
    (record,) = (place / f"home_{student}" / "riskmap" / "build" / "reruns").glob("00_*.ipynb.json")
    assert read_json(record)["notebook"] == "00_start_here.ipynb"
    assert contents(root) == before


@pytest.mark.slow
def test_a_student_gets_copies_of_the_notebooks(course):
    root, place = course
    before, student = contents(root), STUDENTS[1]
    process = started(root, place, student, ["-m", "riskmap.project.own_pages"])
    assert process.wait() == 0, (place / f"output_{student}").read_text()
    mine = place / f"home_{student}" / "riskmap" / "notebooks" / "03_fine_tuning.ipynb"
    assert mine.read_bytes() == (root / "notebooks" / "03_fine_tuning.ipynb").read_bytes()
    assert os.access(mine, os.W_OK)
    assert mine.stat().st_mode & 0o200, "can be saved by its owner"
    assert contents(root) == before
