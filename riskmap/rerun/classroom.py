"""What the guide for teachers says in numbers: the bundle and the hub, from the records of their benchmarks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from riskmap.project.files import read_json, write_json
from riskmap.project.paths import PROJECT_ROOT, RESULTS, resolve

GUIDE = PROJECT_ROOT / "docs" / "guides" / "classroom.md"
# benchmarks, whose records are published and shown
NAMES = ("bundle", "hub")


def collect(measured: Path | None = None, results: Path = RESULTS) -> None:
    """Publish what the benchmarks ``bundle`` and ``hub`` have measured.

    Args:
        measured: the folder of their records; ``build/bench`` when not given.
        results: where they are published.

    Raises:
        ValueError: one was not measured.
    """
    folder = measured or resolve("build/bench")
    lacking = [name for name in NAMES if not (folder / f"{name}.json").is_file()]
    if lacking:
        raise ValueError(f"{', '.join(lacking)} was not measured: python -m riskmap bench {' '.join(lacking)}")
    for name in NAMES:
        write_json(results / f"{name}.json", read_json(folder / f"{name}.json"))


def sections(results: Path = RESULTS) -> dict[str, str]:
    """Return the generated sections of the guide by their names."""
    records = {name: read_json(results / f"{name}.json")["rows"] for name in NAMES}
    return {"bundle": bundle_section(records["bundle"][0]), "hub": hub_section(records["hub"])}


def bundle_section(row: Mapping[str, Any]) -> str:
    """Return the table of the bundle, and where it was measured."""
    parts = {
        "checkout": "the code, the notebooks, the published records",
        "cohorts": "the simulated patients, prepared",
        "runs": "the runs that the pages read",
        "pages": "the executed pages and the site",
        "wheels": "all packages, with PyTorch for the CPU",
    }
    lines = ["| what | MB |", "|---|---|", *(f"| {text} | {row[f'{name} MB']} |" for name, text in parts.items())]
    lines += [f"| **the file** | **{row['MB']}** |", f"| unpacked, with its environment | {row['unpacked MB']} |"]
    return "\n".join(
        [
            *lines,
            "",
            f"Packing takes {row['bundle s']:.0f} s where the wheels have been collected before, unpacking with the "
            f"environment {row['unbundle s']:.0f} s, and page 3 in the unpacked place {row['page 3 s']:.0f} s (runs "
            f"trained there: {row['runs trained']}). Measured without a network on {_machine(row)}, "
            f"{row['platform']}, Python {row['python']}.",
        ]
    )


def hub_section(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of students at once, what to plan for, and where it was measured."""
    lines = [
        "| page 3 | students at once | all are done after | memory of the largest | of all |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        memory = f"{_gigabytes(row['most MB'])} | {_gigabytes(row['sum MB'])}"
        lines.append(f"| {row['way']} | {row['students']} | {row['s']:.0f} s | {memory} |")
    most = max(row["most MB"] for row in rows)
    own = max(row["own runs each"] for row in rows)
    return "\n".join(
        [
            *lines,
            "",
            f"So plan {_gigabytes(most)} of memory a student. Who trains an own arm makes {own} runs: the arm and its "
            f"twin, for each seed. Memory is the peak of a notebook's kernel and its children, resident; what kernels "
            f"share counts for each. Measured on {_machine(rows[0])}.",
        ]
    )


def _gigabytes(megabytes: float) -> str:
    return f"{megabytes / 1024:.1f} GB"


def _machine(row: Mapping[str, Any]) -> str:
    return f"{row['cores']} cores of {row['processor']}"
