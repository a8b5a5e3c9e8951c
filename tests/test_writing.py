"""Where nothing can be written each command says so at once, and a user without a name or a home is no error."""

import getpass
import os
from pathlib import Path

import pytest

from riskmap import __main__ as front_door
from riskmap.experiment import recipe
from riskmap.experiment import run as experiment
from riskmap.pages.page import open_cohort
from riskmap.pages.parameters import SourcePretraining, StartHere, YourOwnData
from riskmap.pages.values import ParameterError
from riskmap.project import user
from riskmap.project.paths import PROJECT_ROOT
from riskmap.project.writing import can_write, require_own_copy, require_writable
from riskmap.rerun import publish, run, sweep, tutorial
from riskmap.training import runs


@pytest.fixture
def read_only(monkeypatch):
    """Nothing can be written, whoever runs the tests; and nobody begins to."""

    def begin(*_, **__):
        raise AssertionError("work was begun")

    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    for module in (run, sweep, tutorial):
        monkeypatch.setattr(module, "prepare_cohorts", begin)
    monkeypatch.setattr(experiment.Experiment, "run", begin)


def test_a_missing_folder_can_be_written_where_the_one_above_it_can(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert can_write(tmp_path / "new" / "deeper")
    assert not can_write(tmp_path / "file" / "deeper")
    monkeypatch.setattr(os, "access", lambda place, _: Path(place) != tmp_path)
    assert not can_write(tmp_path / "new")
    assert can_write(tmp_path.parent)


def test_all_places_are_named_in_one_line(tmp_path, read_only):
    with pytest.raises(ValueError, match=r"into \S+/a \(-o\), \S+/b \(parameter out_dir\); name folders") as caught:
        require_writable({"-o": tmp_path / "a", "parameter out_dir": tmp_path / "b"})
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="copy the checkout to a folder of your own"):
        require_own_copy("riskmap publish", tmp_path)


@pytest.mark.parametrize(
    ("main", "arguments", "named"),
    [
        (run.main, ["01", "-f", "smoke"], ["(-o)", "(parameter data_dir)", "(parameter out_dir)"]),
        (run.main, ["00"], ["(-o)", "(parameter data_dir)"]),
        (tutorial.main, ["--profile", "smoke"], ["(--out)", "(parameter data_dir)", "(parameter out_dir)"]),
        (sweep.main, [str(PROJECT_ROOT / "sweeps" / "smoke.yaml")], ["(--out)", "(parameter out_dir)"]),
        (experiment.main, ["--plan", "smoke"], ["(--out)", "(--results)", "(--data)"]),
        (publish.main, [], ["copy the checkout"]),
    ],
)
def test_each_command_says_at_once_where_it_cannot_write(main, arguments, named, read_only, tmp_path, capsys):
    data = ["--data", str(tmp_path)] if main is experiment.main else ["-p", "data_dir", str(tmp_path)]
    assert main([*arguments, *([] if main is publish.main else data)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    for each in named:
        assert each in line


def test_a_target_that_writes_into_the_checkout_is_refused_and_its_help_is_not(read_only, monkeypatch, capsys):
    monkeypatch.setattr(front_door, "running_interpreter", lambda target: "python")
    monkeypatch.setattr(front_door, "run_to_its_end", lambda *_: 0)
    monkeypatch.setattr(front_door, "is_current", lambda root: False)
    for target in ("bench", "test"):
        assert front_door.main([target, "--here"]) == 2
        assert f"riskmap {target} writes into" in capsys.readouterr().err
        assert front_door.main([target, "--here", "--help"]) == 0
    assert front_door.main(["run", "03"]) == 2
    assert "python -m riskmap run --here" in capsys.readouterr().err
    assert front_door.main(["lab", "--here"]) == 0
    assert "nothing is saved there" in capsys.readouterr().out


def test_a_page_says_which_of_its_folders_cannot_be_written(read_only, tmp_path):
    given = {"data_dir": str(tmp_path), "cohort": "fets2021_tiny"}
    with pytest.raises(ParameterError, match=r"parameter data_dir"):
        StartHere(**given).check_machine()
    with pytest.raises(ParameterError, match=r"the cohort fets2021_tiny is not there yet: no right to write into"):
        open_cohort("fets2021_tiny", str(tmp_path))


def test_what_is_there_already_is_read(read_only, tiny_cohort, tmp_path, monkeypatch):
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "fets2021_tiny").symlink_to(tiny_cohort.folder)
    given = {"data_dir": str(tmp_path), "cohort": "fets2021_tiny"}
    StartHere(**given).check_machine()
    page = SourcePretraining(**given, device="cpu")
    with pytest.raises(ParameterError, match=r"parameter out_dir"):
        page.check_machine()
    monkeypatch.setattr(runs, "missing_runs", lambda wanted, folder: [])
    page.check_machine()
    assert set(YourOwnData(**given).writes()) >= {"parameter data_dir"}


def test_a_user_without_name_and_home_gets_both(monkeypatch, tmp_path):
    def unknown():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", unknown)
    monkeypatch.setattr(user, "can_write", lambda folder: False)
    monkeypatch.setattr(user.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    monkeypatch.setattr(user.atexit, "register", lambda *_, **__: None)
    # monkeypatch takes back what is set after it has looked at it
    for name in ("USER", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("MPLCONFIGDIR", "mine")
    user.furnish_user()
    assert os.environ["USER"] == "nobody"
    assert os.environ["MPLCONFIGDIR"] == "mine", "what is given is kept"
    assert Path(os.environ["JUPYTER_RUNTIME_DIR"]).is_dir()
    assert can_write(Path(os.environ["IPYTHONDIR"]))


def test_a_user_who_is_known_gets_nothing(monkeypatch):
    before = dict(os.environ)
    monkeypatch.setattr(getpass, "getuser", lambda: "somebody")
    monkeypatch.setattr(user, "can_write", lambda folder: True)
    user.furnish_user()
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (run, ["03"]),
        (sweep, ["x.yaml"]),
        (tutorial, []),
        (publish, []),
        (experiment, ["--dry-run"]),
        (recipe, ["heads"]),
    ],
)
def test_a_module_that_is_called_by_itself_asks_for_a_checkout_as_well(
    module, arguments, monkeypatch, tmp_path, capsys
):
    """As from a wheel, where the front door has not been passed."""
    monkeypatch.setattr(module, "PROJECT_ROOT", tmp_path)
    assert module.main(arguments) == 2
    assert "need a checkout of the project" in capsys.readouterr().err


def test_a_checkout_that_is_only_read_is_not_written_even_if_it_could_be(tmp_path, monkeypatch):
    monkeypatch.setenv("RISKMAP_HOME", str(tmp_path / "mine"))
    with pytest.raises(ValueError, match="only read while RISKMAP_HOME is set"):
        require_own_copy("riskmap publish", tmp_path)
