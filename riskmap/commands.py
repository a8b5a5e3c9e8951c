"""What the commands that run notebooks share: how they end."""

import sys
from collections.abc import Callable


def exit_status(work: Callable[[], int], stopped: str) -> int:
    """Call ``work`` and return its exit status; 1 with the message of an error, 130 with ``stopped`` after Ctrl-C.

    Errors that are no fault of the reader's, such as a TypeError, keep their traceback.
    """
    try:
        return work()
    except (ValueError, RuntimeError, OSError) as error:  # NotebookError is a RuntimeError
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nstopped; {stopped}", file=sys.stderr)
        return 130
