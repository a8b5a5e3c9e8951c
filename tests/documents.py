"""The documents of the project, and the commands that they tell a reader to type."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from riskmap.project.paths import DOCS, PROJECT_ROOT


def documents() -> list[Path]:
    """Return the README and what the site shows beside the pages."""
    return [PROJECT_ROOT / "README.md", *sorted(DOCS.rglob("*.md")), *sorted(PROJECT_ROOT.glob("workshop/*.md"))]


def commands_of(document: Path) -> Iterator[list[str]]:
    """Yield the words of each ``python -m ...`` and ``papermill ...`` in a document's blocks of text.

    What stands behind three spaces, or in a parenthesis at the end, is a remark.
    """
    for block in re.findall(r"^```(?:text|bash|console)\n(.*?)^```", document.read_text(encoding="utf-8"), re.M | re.S):
        for line in block.splitlines():
            command = re.split(r"\s+\(|\s{3,}|\s+#", line.strip())[0]
            if command.startswith(("python -m ", "papermill ")):
                yield shlex.split(command)
