"""Says plainly, on any Python 3, that this project needs a newer one; imports nothing that an old one lacks."""

import sys
from typing import Sequence  # noqa: UP035 (read by interpreters that are too old for the rest)

OLDEST = (3, 11)


def require_supported_python(version: Sequence[int] = sys.version_info[:3]) -> None:
    """End the program with a clear message when ``version`` is older than ``OLDEST``."""
    if tuple(version[:2]) < OLDEST:
        sys.exit(
            f"riskmap needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is Python {version[0]}.{version[1]} "
            f"({sys.executable}).\nName a newer one, for example: make PYTHON=python3.11 tutorial"
        )
