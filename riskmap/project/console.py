"""What a command prints must never cost what it has worked for: a console that drops what it cannot show."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class _Spoken:
    """A text stream that raises nothing: signs that its alphabet lacks are escaped, and what cannot be written is lost.

    Args:
        stream: where the text goes.
        complain: where it is said, once, that text is lost; None keeps silent. A reader that has gone
            (``| head -1``) wanted no more, and is not told.
    """

    def __init__(self, stream: TextIO, complain: TextIO | None = None) -> None:
        self._stream = stream
        self._complain = complain

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what can be written of a text, and return its length."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            alphabet = self._stream.encoding or "ascii"
            self.write(text.encode(alphabet, "backslashreplace").decode(alphabet))
        except (OSError, ValueError) as error:
            self._lose(error)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write texts one after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand on what was written, if that is still possible."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._lose(error)

    def end(self) -> None:
        """Hand on the rest; if that fails, lead it to nowhere, since the interpreter would fail at it when it ends."""
        self.flush()
        try:
            self._stream.flush()
        except (OSError, ValueError):
            # no file of the system, or one that is closed
            with suppress(OSError, ValueError, AttributeError):
                _lead_nowhere(self._stream.fileno())
                self._stream.flush()

    def _lose(self, error: Exception) -> None:
        complain, self._complain = self._complain, None
        if complain is not None and isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            reason = error.strerror or type(error).__name__
            print(f"what is printed cannot be written ({reason}) and is lost; the work goes on", file=complain)


@contextmanager
def safe_console() -> Iterator[None]:
    """Let nothing that is printed inside the block raise, wherever standard output and standard error lead."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # the next file that is opened would take its place, and what other programs print would go into it
            _lead_nowhere(descriptor)
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 (no path of the project)
        errors = _Spoken(before[1] or nowhere)
        output = _Spoken(before[0] or nowhere, complain=cast(TextIO, errors))
        sys.stdout, sys.stderr = cast(TextIO, output), cast(TextIO, errors)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
            output.end()
            errors.end()


def _lead_nowhere(descriptor: int) -> None:
    """Let a descriptor of the system take everything and keep nothing; programs that are started later inherit it."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere == descriptor:
        os.set_inheritable(nowhere, True)
        return
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
