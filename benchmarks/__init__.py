"""Benchmarks of the library's core: ``python -m benchmarks`` runs all of them from the project's root.

Each prints a table of ratios and writes it to ``build/bench/NAME.json``. Ratios travel between machines better than
seconds do; both are recorded. Runs take one thread unless ``--threads`` says otherwise, since a neighbour on a shared
machine disturbs several threads far more than one.
"""

from typing import Any

import torch

from riskmap.project.files import write_json
from riskmap.project.paths import resolve


def report(name: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Print ``rows`` as a table and write them, with the versions that count, to build/bench/NAME.json."""
    cells = [columns] + [tuple(_text(row[column]) for column in columns) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    print(f"\n{name} ({torch.get_num_threads()} thread(s), torch {torch.__version__})")
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    path = resolve("build/bench") / f"{name}.json"
    write_json(path, {"threads": torch.get_num_threads(), "torch": torch.__version__, "rows": rows})


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
