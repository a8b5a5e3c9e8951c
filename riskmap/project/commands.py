"""How every command of the project speaks and ends."""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from riskmap.project.console import safe_console


def run_command(main: Callable[[], Any]) -> NoReturn:
    """Call the ``main`` of a command and end the process with the status that it returns.

    Whatever is printed, from the first complaint about the arguments to the last line, costs nothing of the work.
    """
    with safe_console():
        status = main()
    sys.exit(status)


def exit_status(work: Callable[[], int], stopped: str) -> int:
    """Call ``work`` and return the exit status of a command.

    - 0: done;
    - 1: something failed on the way: a notebook, a run, a process (RuntimeError), or ``work`` says so itself;
    - 2: refused, as what was asked for does not fit (ValueError) or cannot be read or written (OSError);
    - 130: stopped by Ctrl-C; ``stopped`` says how to go on.

    Errors that are no fault of the reader's, such as a TypeError, keep their traceback. What cannot be printed, as the
    console lacks the signs or has gone, is no error.
    """
    with safe_console():
        return _status_of(work, stopped)


def _status_of(work: Callable[[], int], stopped: str) -> int:
    try:
        return work()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nstopped; {stopped}", file=sys.stderr)
        return 130


def run_to_its_end(command: Sequence[str], folder: Path | None = None) -> int:
    """Run another program and return its exit status, also when Ctrl-C stops it.

    Ctrl-C reaches every process of a terminal: the program stops by itself, saves its work and ends its own processes.
    ``subprocess.run`` would kill it after a quarter of a second.

    Args:
        command: the program and its arguments.
        folder: where it works; None is where this process does.

    Returns:
        the program's own status, or 128 + n where signal n ended it, as a shell has it.
    """
    with subprocess.Popen(command, cwd=folder) as program:
        while program.poll() is None:
            with suppress(KeyboardInterrupt):
                program.wait()
    return program.returncode if program.returncode >= 0 else 128 - program.returncode


def positive(text: str) -> int:
    """Read a whole number of at least 1, as argparse's ``type`` of an option that counts processes or runs.

    >>> positive("2")
    2
    """
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return number
