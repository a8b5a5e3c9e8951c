"""The files for containers, which are built elsewhere: what they name is there, and the project accepts it."""

import json
import re
import shutil
import subprocess
import tomllib

import pytest

from riskmap import __main__ as front_door
from riskmap.project.environment import python_of
from riskmap.project.paths import PROJECT_ROOT

DOCKERFILE = PROJECT_ROOT / "Dockerfile"
DEVCONTAINER = PROJECT_ROOT / ".devcontainer" / "devcontainer.json"
CPU_TORCH = "https://download.pytorch.org/whl/cpu"


def instructions():
    """Return (instruction, words) of the Dockerfile; continued lines are one."""
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def devcontainer():
    return json.loads(DEVCONTAINER.read_text())


def commands(text):
    """Return the targets that a text calls by ``python -m riskmap``."""
    return re.findall(r"python -m riskmap (\S+)", text)


def test_the_dockerfile_has_known_instructions_alone():
    named = [instruction for instruction, _ in instructions()]
    assert set(named) <= {"ARG", "FROM", "RUN", "ENV", "WORKDIR", "COPY", "USER", "EXPOSE", "CMD"}
    assert named.count("FROM") == named.count("CMD") == 1
    assert named.index("USER") > max(place for place, name in enumerate(named) if name in ("RUN", "COPY"))
    assert ("USER", "1000") in instructions(), "no student is root"


def test_the_images_have_a_python_that_the_project_runs_on():
    (docker,) = re.findall(r"ARG PYTHON=(\S+)", DOCKERFILE.read_text())
    (codespace,) = re.findall(r"python:(\S+)$", devcontainer()["image"])
    least = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    for version in (docker, codespace):
        assert tuple(map(int, version.split("."))) >= tuple(map(int, least.removeprefix(">=").split(".")))


def test_what_they_call_is_there():
    (start,) = [json.loads(words) for instruction, words in instructions() if instruction == "CMD"]
    named = commands(" ".join(start)) + commands(DOCKERFILE.read_text()) + commands(devcontainer()["postCreateCommand"])
    assert set(named) == {"run", "tutorial", "lab"}
    assert set(named) <= set(front_door.COMMANDS)
    assert not [words for instruction, words in instructions() if instruction == "COPY" and words != ". ."]
    interpreter = devcontainer()["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter.endswith(python_of(PROJECT_ROOT / ".venv").relative_to(PROJECT_ROOT).as_posix())


def test_both_take_the_torch_without_cuda():
    assert f"PIP_EXTRA_INDEX_URL={CPU_TORCH}" in DOCKERFILE.read_text()
    assert devcontainer()["containerEnv"]["PIP_EXTRA_INDEX_URL"] == CPU_TORCH


def test_what_is_built_or_private_stays_out_of_the_image():
    left_out = (PROJECT_ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "build"} <= set(left_out)


def test_both_say_that_they_were_not_built():
    assert "not built" in DOCKERFILE.read_text()
    assert "not built" in devcontainer()["name"]


def test_the_dockerfile_passes_its_linter():
    if shutil.which("hadolint") is None:
        pytest.skip("hadolint is not installed")
    said = subprocess.run(["hadolint", str(DOCKERFILE)], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout
