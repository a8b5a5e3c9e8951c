"""The front door: the environment, its check, the lock, and what clean may remove."""

import subprocess
import sys
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

    def run(command, **_):
        kind = command[2] if command[3] != "--version" else "version"
        calls.append(kind)
        if kind == "venv":
            python = environment.python_of(Path(command[-1]))
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()
        return subprocess.CompletedProcess(command, status["pip"] if kind == "pip" else 0)

    monkeypatch.setattr(environment.subprocess, "run", run)
    return calls, status


def test_environment_is_made_once_and_renewed_when_the_requirements_change(project, installs):
    calls, _ = installs
    python = environment.ensure_environment(project)
    assert python == environment.python_of(project / ".venv")
    assert calls == ["venv", "pip"]
    environment.ensure_environment(project)
    assert calls == ["venv", "pip"], "a second run installs nothing"
    (project / "constraints.txt").write_text("torch==9.9.9\n")
    environment.ensure_environment(project)
    assert calls == ["venv", "pip", "version", "pip"], "the lock changed: pip again, into the same environment"


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
    assert calls[-1] == "pip"
    assert environment.is_current(project)


def test_environment_without_pip_is_made_anew(project, installs, monkeypatch):
    calls, _ = installs
    environment.ensure_environment(project)
    (project / ".venv" / environment.STAMP_NAME).unlink()
    calls.clear()
    monkeypatch.setattr(environment, "_has_pip", lambda python: False)
    environment.ensure_environment(project)
    assert calls == ["venv", "pip"]


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
def test_check_env_reports_every_requirement(monkeypatch, capsys, extra, status):
    requirements = ["numpy>=1.0", "pytest>=1.0", *extra]
    monkeypatch.setattr(check_env, "read_requirements", lambda _: requirements)
    assert check_env.main() == status
    lines = capsys.readouterr().out.splitlines()
    assert sys.executable in lines[0]
    assert len(lines) == 1 + len(requirements)


def test_check_env_and_front_door_need_nothing_installed():
    """Isolated from site-packages, only the standard library (and pip's own copy of packaging) is there."""
    code = (
        "import sys; sys.path = [p for p in sys.path if 'site-packages' not in p];"
        "import riskmap.__main__, riskmap.project.check_env;"
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
    assert {"pip": ["-e ."]} in conda, "pip installs the package itself"
    names = {Requirement(line) for line in conda if isinstance(line, str) and line != "pip"}
    python = tomllib.loads(PYPROJECT.read_text())["project"]["requires-python"]
    wanted = [f"python{python}", *check_env.read_requirements(PYPROJECT)]
    assert names == {Requirement(line.replace("torch>", "pytorch>")) for line in wanted}


@pytest.mark.parametrize(
    ("arguments", "commands"),
    [
        (["bench"], [["-m", "benchmarks"]]),
        (["test-browser", "-k", "02"], [["-m", "riskmap.project.browser", "-k", "02"]]),
        (["bench", "--help"], [["-m", "benchmarks", "--help"]]),
        (["tutorial", "--profile", "smoke"], [["-m", "riskmap.rerun.tutorial", "--profile", "smoke"]]),
        (
            ["test", "-k", "leep"],
            [["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."], ["-m", "pytest", "-k", "leep"]],
        ),
    ],
)
def test_target_runs_its_commands(monkeypatch, arguments, commands):
    ran = []
    monkeypatch.setattr(front_door, "ensure_environment", lambda root: Path("the-python"))
    monkeypatch.setattr(front_door.subprocess, "run", lambda c, **_: ran.append(c) or subprocess.CompletedProcess(c, 0))
    assert front_door.main(arguments) == 0
    assert ran == [["the-python", *command] for command in commands]


def test_failing_command_ends_the_target_with_its_status(monkeypatch):
    ran = []
    monkeypatch.setattr(front_door, "ensure_environment", lambda root: Path("the-python"))
    monkeypatch.setattr(front_door.subprocess, "run", lambda c, **_: ran.append(c) or subprocess.CompletedProcess(c, 3))
    assert front_door.main(["test"]) == 3
    assert len(ran) == 1


def test_here_refuses_an_interpreter_that_lacks_something(monkeypatch):
    missing = check_env.RequirementCheck("nibabel>=5.3", None, "not installed")
    monkeypatch.setattr(front_door, "check_requirements", lambda _: [missing])
    with pytest.raises(SystemExit, match=r"nibabel>=5\.3: not installed"):
        front_door.main(["bench", "--here"])
    monkeypatch.setattr(front_door, "check_requirements", lambda _: [])
    assert front_door.running_interpreter() == sys.executable


@pytest.mark.parametrize("arguments", [["no-such-target"], ["clean", "extra"], ["bench", "--all"], []])
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
    lines = (PROJECT_ROOT / "Makefile").read_text().splitlines()
    for target in [*front_door.COMMANDS, "clean"]:
        assert f"{target}: ; $(PYTHON) -m riskmap {target}" in lines
