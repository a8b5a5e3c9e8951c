"""What a command prints costs nothing of its work, wherever it prints to and whatever signs that takes."""

import ast
import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rooms import modules

from riskmap.project.commands import exit_status
from riskmap.project.machine import git_revision
from riskmap.project.paths import PROJECT_ROOT

# prints before, beside and after its work: by itself, by a bar, by another program and by a complaint
PROGRAM = """
import argparse, subprocess, sys
from pathlib import Path
from riskmap.project.commands import exit_status, run_command, run_to_its_end
from riskmap.project.progress import progress_bar

def main():
    parser = argparse.ArgumentParser(description="5 \\N{MINUS SIGN} 3")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    def work():
        print("\\N{MINUS SIGN}3 \\N{RIGHTWARDS ARROW} 5, \\udcff", flush=True)
        for _ in progress_bar(range(2), "\\N{MINUS SIGN}", total=2, unit="\\N{MINUS SIGN}"):
            print("x" * 100_000)
            print("\\N{MINUS SIGN}", file=sys.stderr, flush=True)
        with options.file.open("w", encoding="utf-8") as stream:
            run_to_its_end(["sh", "-c", "echo from another program 2>/dev/null"])
            stream.write("whole")
        print("done", flush=True)
        return 0
    return exit_status(work, "")

run_command(main)
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return f"{sys.executable} {path}"


def in_shell(command, **environment):
    space = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), **environment}
    return subprocess.run(["bash", "-c", command], capture_output=True, env=space, timeout=120)


posix = pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")


@posix
@pytest.mark.parametrize(
    "lead",
    ["| head -c 1 >&2", ">/dev/full", ">&-", "2>/dev/full", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full 2>&1"],
)
def test_a_console_that_takes_nothing_costs_no_work(tmp_path, program, lead):
    if "/dev/full" in lead and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    done = in_shell(f"set -o pipefail; {program} {tmp_path / 'file'} {lead}")
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "whole", "nothing else was written into the file"
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    if lead == ">/dev/full":
        assert done.stderr.count(b"is lost; the work goes on") == 1


@posix
@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"PYTHONIOENCODING": "ascii"}, b"\\u22123 \\u2192 5, \\udcff"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0"}, b"\\u22123 \\u2192 5, "),
        ({"PYTHONIOENCODING": "cp1252:strict"}, b"\\u22123 \\u2192 5, \\udcff"),
        ({"PYTHONIOENCODING": "utf-8:strict"}, "−3 → 5, \\udcff".encode()),
        ({"PYTHONIOENCODING": "latin-1", "PYTHONUNBUFFERED": "1"}, b"\\u22123 \\u2192 5, \\udcff"),
    ],
)
def test_signs_that_the_console_lacks_are_escaped(tmp_path, program, environment, shown):
    done = in_shell(f"{program} {tmp_path / 'file'}", **environment)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert done.stdout.startswith(shown)
    assert done.stdout.rstrip().endswith(b"done")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "whole"


@posix
@pytest.mark.parametrize(
    ("words", "status"), [("--help", 0), ("--help | head -c 0", 0), ("--help >&-", 0), ("--what 2>&-", 2), ("2>&-", 2)]
)
def test_help_and_complaints_about_arguments_need_no_console(program, words, status):
    done = in_shell(f"set -o pipefail; {program} {words}", PYTHONIOENCODING="ascii")
    assert done.returncode == status
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    if words == "--help":
        assert b"5 \\u2212 3" in done.stdout


def test_streams_are_given_back_and_another_stream_may_fail_as_well():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    def work():
        print("lost")
        print("lost", file=sys.stderr, flush=True)
        raise ValueError("what was refused")

    gone = Gone()
    with contextlib.redirect_stdout(gone), contextlib.redirect_stderr(gone):
        assert exit_status(work, "") == 2
        assert sys.stdout is sys.stderr is gone


def test_every_command_ends_with_a_console_that_costs_nothing():
    """Single benchmarks are left out: most are children of one, which reads what they print."""
    ends = {}
    for name, path in modules(PROJECT_ROOT).items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        main = [node for node in tree.body if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)]
        if main:
            ends[name] = ast.unparse(main[0].body[-1])
    others = {name for name, end in ends.items() if end != "run_command(main)"}
    assert len(ends) > 15
    assert {name for name in others if not name.startswith("benchmarks.")} == set()


def calls_without_encoding(tree):
    """Yield the lines that read or write text in the alphabet of the machine."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        given = {word.arg: word.value for word in node.keywords}
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        modes = [each.value for each in [*node.args, given.get("mode")] if isinstance(each, ast.Constant)]
        binary = any(isinstance(mode, str) and "b" in mode for mode in modes)
        # the first thing that the open of an archive is given is a member of it
        of_mode = not node.args or isinstance(node.args[0], ast.Constant)
        of_path = name == "open" and isinstance(node.func, ast.Attribute) and (not node.args or (modes and of_mode))
        text = name in ("read_text", "write_text") or ((of_path or ast.unparse(node.func) == "open") and not binary)
        as_text = any(isinstance(given.get(word), ast.Constant) for word in ("text", "universal_newlines"))
        if "encoding" not in given and (text or as_text):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_no_file_and_no_program_is_read_in_the_alphabet_of_the_machine():
    for name, path in modules(PROJECT_ROOT).items():
        found = list(calls_without_encoding(ast.parse(path.read_text(encoding="utf-8"))))
        # a member of an archive, a notebook's page, or a cohort has an open() of its own
        found = [line for line in found if not line.endswith((".open()", "(member.open)"))]
        assert not found, (name, found)
    sample = "open(p)\np.read_text()\nsubprocess.run(c, text=True)\np.open('w')\np.open('rb')\np.read_bytes()"
    assert len(list(calls_without_encoding(ast.parse(sample)))) == 4


def test_a_revision_in_another_alphabet_is_no_error(monkeypatch, tmp_path):
    git = tmp_path / "git"
    git.write_bytes(b"#!/bin/sh\nprintf 'v1-caf\\351\\n'\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    if sys.platform != "win32":
        assert git_revision() == "v1-caf\N{REPLACEMENT CHARACTER}"
