"""What ``make test-browser`` stands on: finding a browser, skipping without one, a JupyterLab that ends."""

import subprocess
import sys
from urllib.error import HTTPError

import nbformat
import psutil
import pytest
from browser.contents import explorers_of, problems
from browser.lab import Lab, running_lab
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from riskmap.project import browser
from riskmap.project.check_env import RequirementCheck
from riskmap.project.paths import PROJECT_ROOT


@pytest.fixture
def bare_machine(monkeypatch, tmp_path):
    """A machine without any browser, whose user may install nothing; returns its one folder of programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "USUAL_PLACES", ())
    monkeypatch.setattr(browser.os, "geteuid", lambda: 1000, raising=False)
    return tmp_path


@pytest.fixture
def commands(monkeypatch):
    """Replace what is run by a record of it; returns (commands, their exit status by their first words)."""
    ran, status = [], {}

    def run(command, **_):
        ran.append(command)
        return subprocess.CompletedProcess(command, status.get(command[1], 0))

    monkeypatch.setattr(browser.subprocess, "run", run)
    return ran, status


def program(folder, name):
    """Put a program into a folder."""
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_browser_is_found_on_the_path_and_in_its_usual_places(bare_machine, monkeypatch, tmp_path_factory):
    assert browser.find_browser() is None
    usual = program(tmp_path_factory.mktemp("applications"), "Google Chrome")
    monkeypatch.setattr(browser, "USUAL_PLACES", (str(usual.with_name("missing")), str(usual)))
    assert browser.find_browser() == usual
    chrome = program(bare_machine, "google-chrome")
    assert browser.find_browser() == chrome
    chromium = program(bare_machine, "chromium")
    assert browser.find_browser() == chromium, "chromium goes first"


def test_without_a_browser_the_run_is_skipped_and_says_what_to_install(bare_machine, commands, capsys):
    assert browser.main([]) == 0
    message = capsys.readouterr().out
    assert message.startswith("test-browser skipped: no browser")
    assert "apt-get install chromium" in message
    assert len(message.splitlines()) == 1
    assert commands[0] == []


@pytest.mark.parametrize(
    ("user", "fails", "asked"),
    [(0, "", ["update", "install"]), (0, "update", ["update"]), (0, "install", ["update", "install"]), (1000, "", [])],
)
def test_only_root_of_a_debian_installs_chromium(bare_machine, commands, monkeypatch, user, fails, asked):
    ran, status = commands
    monkeypatch.setattr(browser.os, "geteuid", lambda: user, raising=False)
    assert browser.ensure_browser() is None
    assert ran == [], "no apt-get here"
    program(bare_machine, "apt-get")
    status[fails] = 100
    assert browser.ensure_browser() is None
    assert [command[:2] for command in ran] == [["apt-get", word] for word in asked]
    program(bare_machine, "chromium")
    ran.clear()
    assert browser.ensure_browser() == bare_machine / "chromium"
    assert ran == [], "what is there is not installed"


@pytest.mark.parametrize(("missing", "pip_status", "ready"), [(False, 0, True), (True, 0, True), (True, 1, False)])
def test_playwright_is_installed_when_it_is_missing(commands, monkeypatch, missing, pip_status, ready):
    ran, status = commands
    status["-m"] = pip_status
    problem = "not installed" if missing else ""
    monkeypatch.setattr(browser, "check_requirement", lambda wanted: RequirementCheck(wanted, None, problem))
    assert browser.ensure_playwright() is ready
    assert len(ran) == missing
    if missing:
        (command,) = ran
        assert command[:4] == [sys.executable, "-m", "pip", "install"]
        assert "constraints.txt" in command
        assert command[-1].startswith("playwright")


def test_help_installs_nothing(bare_machine, commands, monkeypatch, capsys):
    monkeypatch.setattr(browser.os, "geteuid", lambda: 0, raising=False)
    program(bare_machine, "apt-get")
    with pytest.raises(SystemExit) as stopped:
        browser.main(["--help"])
    assert stopped.value.code == 0
    assert "usage: python -m riskmap test-browser" in capsys.readouterr().out
    assert commands[0] == []


@pytest.mark.parametrize(("installed", "expected"), [(True, 5), (False, 1)])
def test_browser_tests_run_to_their_end(bare_machine, monkeypatch, installed, expected):
    """With the further arguments, and with the tests' own status; nothing runs where playwright is missing."""
    started = []
    monkeypatch.setattr(browser, "run_to_its_end", lambda command, folder: started.append(command) or 5)
    monkeypatch.setattr(browser, "ensure_playwright", lambda: installed)
    program(bare_machine, "chromium")
    assert browser.main(["-k", "02"]) == expected
    side_by_side = ["-n", "logical", "--maxprocesses", "2", "--dist", "worksteal"]
    assert started == [[sys.executable, "-m", "pytest", *side_by_side, "tests/browser", "-k", "02"]][:installed]


def test_explorers_are_found_in_code_cells(tmp_path):
    code = ["from x import explore_a", "explore_a(1)", "y.explore_b()", "f(2)\nexplore_a(3)", "page.explore()"]
    notebook = new_notebook(cells=[*map(new_code_cell, code), new_markdown_cell("explore_c(4)")])
    nbformat.write(notebook, tmp_path / "n.ipynb")
    assert explorers_of(tmp_path / "n.ipynb") == ["explore_a", "explore_b", "explore_a_2", "page_explore"]


def test_every_page_that_shows_a_network_or_patients_has_its_explorers_moved():
    pages = sorted((PROJECT_ROOT / "notebooks").glob("0[0-9]_*.ipynb"))
    assert [page.name[:2] for page in pages if explorers_of(page)] == ["00", "01", "02", "03", "04", "05", "06"]
    assert explorers_of(PROJECT_ROOT / "notebooks" / "02_risk_map.ipynb") == ["source_map_explore", "explore_leep"]


def test_problems_of_a_run_are_found():
    good = new_code_cell("1", execution_count=1, outputs=[new_output("stream", name="stdout", text="fine")])
    warned = new_code_cell("2", execution_count=2, outputs=[new_output("stream", name="stderr", text="a warning\n")])
    error = new_output("error", ename="ValueError", evalue="bad", traceback=[])
    bad = [good, warned, new_code_cell("3", execution_count=3, outputs=[error]), new_code_cell("4")]
    assert problems(new_notebook(cells=[new_markdown_cell("# title"), good])) == []
    assert problems(new_notebook(cells=bad)) == [
        "cell 2, stderr: a warning",
        "cell 3: ValueError: bad",
        "cell 4 did not run",
    ]


def test_lab_and_its_kernels_end_with_the_block_also_when_it_raises(tmp_path):
    family = []

    def fail(lab):
        lab.ask("kernels", "POST", {"name": "python3"})
        family.extend(psutil.Process(lab.process.pid).children(recursive=True))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), running_lab(tmp_path) as lab:
        fail(lab)
    assert family, "a kernel was there"
    assert not any(child.is_running() for child in family)
    assert lab.process.returncode is not None
    assert not lab.log.exists(), "its folders are gone as well"
    with pytest.raises(OSError, match="refused"):
        lab.ask("status")


@pytest.mark.parametrize(
    ("answer", "connected"),
    [
        ([{"execution_state": "idle", "connections": 1}], True),
        ([{"execution_state": "idle", "connections": 0}, {"execution_state": "busy", "connections": 1}], False),
        (HTTPError("", 500, "Internal Server Error", {}, None), False),
    ],
)
def test_a_server_that_cannot_list_its_kernels_yet_is_asked_again(monkeypatch, tmp_path, answer, connected):
    """While it ends an earlier page's kernel, the server answers 500."""

    def ask(self, path):
        if isinstance(answer, HTTPError):
            raise answer
        return answer

    monkeypatch.setattr(Lab, "ask", ask)
    assert Lab("", "", tmp_path, tmp_path, None).has_connected_kernel() is connected


def test_a_server_that_refuses_is_an_error(monkeypatch, tmp_path):
    def refuse(self, path):
        raise HTTPError("", 403, "Forbidden", {}, None)

    monkeypatch.setattr(Lab, "ask", refuse)
    with pytest.raises(HTTPError, match="403"):
        Lab("", "", tmp_path, tmp_path, None).has_connected_kernel()


def test_lab_that_cannot_start_shows_its_log(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)ended with status \d+.*missing"), running_lab(tmp_path / "missing"):
        pass
