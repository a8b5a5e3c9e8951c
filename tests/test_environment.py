"""The front door: its targets, the environment, its check, the lock, and what clean may remove."""

import ast
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from riskmap import __main__ as front_door
from riskmap.project import check_env, environment
from riskmap.project.paths import PROJECT_ROOT
from riskmap.project.python_version import require_supported_python

PYPROJECT = PROJECT_ROOT / "pyproject.toml"
PYTEST = "pytest -n logical --maxprocesses 4 --dist worksteal"
CHECKS = ["ruff check .", "ruff format --check .", "mypy"]
TARGETS = (*front_door.COMMANDS, "check-env", "clean", "unbundle")


@pytest.fixture
def project(tmp_path):
    """A folder that looks like this project, without its code."""
    for name in environment.REQUIREMENT_FILES:
        (tmp_path / name).write_text(f"# {name}\n")
    return tmp_path


@pytest.fixture
def installs(monkeypatch):
    """Replace venv and pip by a record of what they were asked; returns (calls, how pip ends)."""
    calls, status = [], {"pip": 0}

    def run(command, folder):
        kind = command[2]
        calls.append(kind)
        if kind == "venv":
            python = environment.python_of(Path(command[-1]))
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()
        return status["pip"] if kind == "pip" else 0

    def ask_version(command, **_):
        calls.append("version")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(environment, "run_to_its_end", run)
    monkeypatch.setattr(environment.subprocess, "run", ask_version)
    return calls, status


@pytest.fixture
def ran(monkeypatch):
    """Replace the environment and what runs in it by a record; returns (commands with their folders, their status)."""
    commands, status = [], {}

    def run(command, folder):
        commands.append((command, folder))
        return status.get(command[2], 0)

    monkeypatch.setattr(front_door, "ensure_environment", lambda root: Path("the-python"))
    monkeypatch.setattr(front_door, "run_to_its_end", run)
    return commands, status


def test_environment_is_made_once_and_renewed_when_the_requirements_change(project, installs):
    calls, _ = installs
    python = environment.ensure_environment(project)
    assert python == environment.python_of(project / ".venv")
    made = ["venv", "pip", "compileall"]
    assert calls == made
    environment.ensure_environment(project)
    assert calls == made, "a second run installs nothing"
    (project / "constraints.txt").write_text("torch==9.9.9\n")
    environment.ensure_environment(project)
    assert calls == [*made, "version", "pip", "compileall"], "the lock changed: pip again, into the same environment"


@pytest.mark.parametrize("ending", ["failure", "interrupt"])
def test_unfinished_install_is_done_again(project, installs, monkeypatch, ending):
    calls, status = installs
    environment.ensure_environment(project)
    (project / "pyproject.toml").write_text("changed\n")
    if ending == "failure":
        status["pip"] = 1
        with pytest.raises(environment.EnvironmentFailure, match="installing the requirements failed with status 1"):
            environment.ensure_environment(project)
    else:
        with monkeypatch.context() as patch:
            patch.setattr(environment, "_run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                environment.ensure_environment(project)
    assert not environment.is_current(project)
    # even when the old requirements come back, the half-made environment is not trusted
    (project / "pyproject.toml").write_text("# pyproject.toml\n")
    assert not environment.is_current(project)
    status["pip"] = 0
    calls.clear()
    environment.ensure_environment(project)
    assert calls[-2:] == ["pip", "compileall"]
    assert environment.is_current(project)


def test_environment_without_pip_is_made_anew(project, installs, monkeypatch):
    calls, _ = installs
    environment.ensure_environment(project)
    (project / ".venv" / environment.STAMP_NAME).unlink()
    calls.clear()
    monkeypatch.setattr(environment, "_has_pip", lambda python: False)
    environment.ensure_environment(project)
    assert calls == ["venv", "pip", "compileall"]


@pytest.mark.parametrize(
    ("requirement", "problem"),
    [
        ("numpy>=1.0", ""),
        ("numpy>=999", "does not fit"),
        ("numpy<0.1", "does not fit"),
        ("no-such-package-riskmap>=1.0", "not installed"),
    ],
)
def test_requirement_is_judged(requirement, problem):
    check = check_env.check_requirement(requirement)
    assert problem in check.problem
    assert check.ok == (not problem)
    assert check_env.describe(check).startswith("OK " if check.ok else "FAIL ")


def test_broken_import_fails_the_check(monkeypatch):
    def broken(name):
        if name == "torch":
            raise OSError("libtorch is damaged")
        return __import__(name, fromlist=["Requirement"])

    monkeypatch.setattr(check_env, "import_module", broken)
    assert "cannot be imported: libtorch is damaged" in check_env.check_requirement("torch>=1.0").problem


@pytest.mark.parametrize(("extra", "status"), [([], 0), (["no-such-package-riskmap>=1.0"], 1)])
def test_check_env_reports_every_requirement_and_times_steps_where_all_are_there(monkeypatch, capsys, extra, status):
    requirements, ran = ["numpy>=1.0", "pytest>=1.0", *extra], []
    monkeypatch.setattr(check_env, "read_requirements", lambda *_: requirements)
    monkeypatch.setattr(check_env, "run_to_its_end", lambda command: ran.append(command) or 0)
    assert front_door.main(["check-env"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert sys.executable in lines[0]
    assert len(lines) == 1 + len(requirements)
    assert ran == ([] if extra else [[sys.executable, "-m", "riskmap.rerun.duration"]])


def test_what_check_env_runs_is_there():
    assert importlib.util.find_spec(check_env.SPEED) is not None


def test_check_env_and_front_door_need_nothing_installed():
    """Isolated from site-packages, only the standard library is there."""
    code = (
        "import sys; sys.path = [p for p in sys.path if 'site-packages' not in p];"
        "import riskmap.__main__;"
        "loaded = {name.split('.')[0] for name in sys.modules};"
        "print(sorted(loaded - set(sys.stdlib_module_names) - {'riskmap', '__main__', '__mp_main__'}))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("version", [(3, 8, 1), (3, 10, 99)])
def test_old_python_is_named(version):
    with pytest.raises(SystemExit, match=rf"needs Python 3\.11 or newer; this is Python {version[0]}\.{version[1]}"):
        require_supported_python(version)
    require_supported_python((3, 11, 0))


def test_old_python_is_named_before_it_reads_what_it_cannot():
    code = (
        "import sys, runpy; sys.version_info = (3, 8, 1)\n"
        "try: runpy.run_module('riskmap', run_name='__main__')\n"
        "finally: print(sorted(name for name in sys.modules if name.startswith('riskmap.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("riskmap needs Python 3.11 or newer; this is Python 3.8")
    read = ast.literal_eval(done.stdout)
    modules = ("hub", "paths", "python_version", "user", "writing")
    assert read == ["riskmap.project", *(f"riskmap.project.{name}" for name in modules)]
    for name in ["riskmap", "riskmap.__main__", *read]:
        path = PROJECT_ROOT / name.replace(".", "/")
        source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
        ast.parse(source, feature_version=(3, 8))


def test_without_a_checkout_each_target_says_in_one_line_what_it_needs(tmp_path):
    """As from a wheel: the package alone, in a folder that is no project."""
    shutil.copytree(PROJECT_ROOT / "riskmap", tmp_path / "riskmap", ignore=shutil.ignore_patterns("__pycache__"))
    further = {"run": ["03", "-f", "smoke"], "tutorial": ["--here"]}
    for target in TARGETS:
        command = [sys.executable, "-m", "riskmap", target, *further.get(target, [])]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2, target
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert "need a checkout of the project" in line
        assert "git clone" in line
        assert str(tmp_path) in line


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize(("ending", "status"), [("finish", 7), ("die", 130)])
def test_ctrl_c_lets_the_program_end_by_itself(tmp_path, ending, status):
    """Ctrl-C reaches the whole group of a terminal, here twice; the program needs longer than subprocess.run gives."""
    program = tmp_path / "program.py"
    program.write_text(
        "import signal, sys, time\n"
        "from pathlib import Path\n"
        "try:\n"
        "    Path('started').touch()\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "    time.sleep(1)\n"
        "    Path('saved').touch()\n"
        "if sys.argv[1] == 'finish':\n"
        "    sys.exit(7)\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "signal.raise_signal(signal.SIGINT)\n"
    )
    code = (
        f"from riskmap.project.commands import run_to_its_end as r; print(r({[sys.executable, str(program), ending]}))"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    for _ in range(2):
        os.killpg(started.pid, signal.SIGINT)
        time.sleep(0.3)
    told, _ = started.communicate(timeout=30)
    assert (tmp_path / "saved").exists()
    assert told.strip() == str(status)


def test_lock_fits_the_requirements():
    pins = [Requirement(line) for line in (PROJECT_ROOT / "constraints.txt").read_text().splitlines() if line[0] != "#"]
    locked = {canonicalize_name(pin.name): pin for pin in pins}
    assert all(str(pin.specifier).startswith("==") and "+" not in str(pin) for pin in pins)
    wanted = [*check_env.read_requirements(PYPROJECT), *check_env.read_extra(PYPROJECT, "browser")]
    for requirement in map(Requirement, wanted):
        version = str(locked[canonicalize_name(requirement.name)].specifier).removeprefix("==")
        assert requirement.specifier.contains(version), requirement


def test_conda_environment_names_the_same_requirements():
    conda = yaml.safe_load((PROJECT_ROOT / "environment.yml").read_text())["dependencies"]
    (of_pip,) = (line["pip"] for line in conda if isinstance(line, dict))
    assert "-e ." in of_pip, "pip installs the package itself"
    of_pip.remove("-e .")
    names = {Requirement(line) for line in [*conda, *of_pip] if isinstance(line, str) and line != "pip"}
    python = tomllib.loads(PYPROJECT.read_text())["project"]["requires-python"]
    wanted = [f"python{python}", *check_env.read_requirements(PYPROJECT)]
    assert names == {Requirement(line.replace("torch>", "pytorch>")) for line in wanted}


@pytest.mark.parametrize(
    ("arguments", "commands", "folder"),
    [
        (["bench"], ["benchmarks"], PROJECT_ROOT),
        (["bench", "--help"], ["benchmarks --help"], PROJECT_ROOT),
        (["test-browser", "-k", "02"], ["riskmap.project.browser -k 02"], None),
        (["tutorial", "--profile", "smoke"], ["riskmap.rerun.tutorial --profile smoke"], None),
        (["run", "03", "-f", "smoke", "-p", "x", "-1"], ["riskmap.rerun.run 03 -f smoke -p x -1"], None),
        (["run", "-h"], ["riskmap.rerun.run -h"], None),
        (["sweep", "mine.yaml", "--all"], ["riskmap.rerun.sweep mine.yaml --all"], None),
        (["experiment"], ["riskmap.experiment.run"], None),
        (["publish"], ["riskmap.rerun.publish"], None),
        (["site"], ["riskmap.rerun.site"], None),
        (["test", "-k", "leep"], [*CHECKS, f"{PYTEST} -k leep"], PROJECT_ROOT),
        (["test", "--help"], [f"{PYTEST} --help"], PROJECT_ROOT),
    ],
)
def test_target_runs_its_commands(ran, arguments, commands, folder):
    """The project's own commands run where the reader is, whose paths they are given."""
    assert front_door.main(arguments) == 0
    assert ran[0] == [(["the-python", "-m", *command.split()], folder) for command in commands]


def test_all_is_the_same_with_nothing_left_out(ran):
    """Also what pyproject.toml leaves out, whose ``-m`` the last one replaces."""
    assert front_door.main(["test-all"]) == 0
    *checks, tests = front_door.COMMANDS["test"]
    assert [command[2:] for command, _ in ran[0]] == [*checks, [*tests, "-m", ""]]


def test_every_target_is_a_module_that_is_there():
    for module, *_ in (command for commands in front_door.COMMANDS.values() for command in commands):
        assert importlib.util.find_spec(module) is not None, module


def test_failing_command_ends_the_target_with_its_status(ran):
    commands, status = ran
    status["mypy"] = 3
    assert front_door.main(["test"]) == 3
    assert [command[2] for command, _ in commands] == ["ruff", "ruff", "mypy"]


@pytest.mark.parametrize("arguments", [["run", "03", "--here"], ["--here", "run", "03"]])
def test_here_runs_with_this_interpreter_and_refuses_one_that_lacks_something(ran, monkeypatch, arguments):
    asked = []
    missing = check_env.RequirementCheck("nibabel>=5.3", None, "not installed")
    monkeypatch.setattr(check_env, "check_requirements", lambda _, extras: [missing])
    with pytest.raises(SystemExit, match=r"nibabel>=5\.3: not installed"):
        front_door.main(arguments)
    monkeypatch.setattr(check_env, "check_requirements", lambda _, extras: asked.extend(extras) or [])
    assert front_door.main(arguments) == 0
    assert ran[0] == [([sys.executable, "-m", "riskmap.rerun.run", "03"], None)]
    assert asked == ["tutorial", "sweep", "docs"], "the tools of the tests are left to the tests"
    asked.clear()
    for target in ("test", "test-all"):
        assert front_door.running_interpreter(target) == sys.executable
        assert asked == list(environment.EXTRAS)
        asked.clear()


def test_an_environment_that_cannot_be_made_ends_the_target(monkeypatch, capsys):
    def fail(root):
        raise environment.EnvironmentFailure("installing the requirements failed with status 1: pip")

    monkeypatch.setattr(front_door, "ensure_environment", fail)
    assert front_door.main(["tutorial"]) == 1
    assert "installing the requirements failed" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["no-such-target"], ["clean", "extra"], ["check-env", "extra"], ["--all"], []])
def test_wrong_command_line_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        front_door.main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m riskmap" in capsys.readouterr().err


def test_clean_removes_build_and_keeps_the_environment(project):
    for name in ("build/html", ".venv", "riskmap"):
        (project / name).mkdir(parents=True)
    front_door.clean(project, everything=False)
    assert sorted(path.name for path in project.iterdir() if path.is_dir()) == [".venv", "riskmap"]
    front_door.clean(project, everything=True)
    assert [path.name for path in project.iterdir() if path.is_dir()] == ["riskmap"]


@pytest.mark.parametrize("case", ["outside", "link", "itself", "no project"])
def test_clean_refuses_what_is_not_the_projects(project, tmp_path_factory, case):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "precious").touch()
    folder = {"outside": outside, "link": project / "build", "itself": project, "no project": outside / "build"}[case]
    root = outside if case == "no project" else project
    if case == "link":
        folder.symlink_to(outside, target_is_directory=True)
    with pytest.raises(ValueError, match="nothing was removed"):
        front_door.remove_folder(folder, root)
    assert (outside / "precious").exists()
    assert project.is_dir()


def test_makefile_names_the_targets():
    (named,) = re.findall(r"^TARGETS = (.*)", (PROJECT_ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert sorted(named.split()) == sorted(TARGETS)


def test_help_names_the_targets(capsys):
    with pytest.raises(SystemExit) as stopped:
        front_door.main(["--help"])
    assert stopped.value.code == 0
    told = capsys.readouterr().out
    assert all(re.search(rf"^  {target}  ", told, flags=re.MULTILINE) for target in TARGETS)
