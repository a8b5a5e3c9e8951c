"""What the two simulators share: the parameters, the generator of each subject, resuming, and the manifest."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from riskmap.project.commands import exit_status, positive
from riskmap.project.files import sha256_of_file, write_json
from riskmap.project.folders import claim_folder
from riskmap.project.workers import run_side_by_side
from riskmap.project.writing import require_writable

# raise it with every change that alters voxels, so that old and new subjects never mix in a folder
SIMULATION_VERSION = 1
ANATOMY_NOTICE = (
    "Simulated on the ICBM 152 2009a symmetric template (Fonov et al. 2011), Copyright (C) 1993-2009 Louis Collins, "
    "McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University. The template may be used, "
    "copied, modified and distributed for any purpose without fee, provided that this notice appears in all copies."
)
ANATOMY_CITATION = (
    "Fonov V, Evans AC, Botteron K, Almli CR, McKinstry RC, Collins DL. Unbiased average age-appropriate atlases for "
    "pediatric studies. NeuroImage 54(1):313-327, 2011."
)


@dataclass(frozen=True)
class Simulator:
    """What one data set adds to what all simulators share.

    Args:
        layout: name of the layout.
        make_subject: writes one subject whole or not at all: (out, index, seed, spacing); index counts from 1.
        subject_paths: the files of a subject: (out, index).
        write_tables: writes further files of the archive and returns their paths: (out, subjects).
    """

    layout: str
    make_subject: Callable[[Path, int, int, int], None]
    subject_paths: Callable[[Path, int], list[Path]]
    write_tables: Callable[[Path, int], Iterable[Path]] = lambda out, subjects: ()


def subject_generator(seed: int, index: int) -> np.random.Generator:
    """Return the generator of subject ``index``: the same one however many subjects there are."""
    return np.random.default_rng(np.random.SeedSequence((seed, index)))


def simulate_archive(
    out: str | Path, simulator: Simulator, *, subjects: int, seed: int, spacing: int, jobs: int
) -> Path:
    """Simulate the subjects that ``out`` does not hold yet, then write its manifest.

    Args:
        out: the archive's folder.
        simulator: which data set it imitates.
        subjects: number of subjects, >= 1.
        seed: >= 0; subject ``i`` depends on it and on ``i`` alone.
        spacing: voxel size in whole mm, 1 to 8.
        jobs: processes side by side, >= 1; the voxels do not depend on it.

    Returns:
        The archive's folder.

    Raises:
        TypeError: if a parameter is no whole number.
        ValueError: if a parameter is out of range, or the folder was begun with other parameters.
    """
    _check("subjects", subjects, 1, 99_999)
    _check("seed", seed, 0, 2**63 - 1)
    _check("spacing", spacing, 1, 8)
    out = Path(out)
    parameters: dict[str, Any] = {
        "layout": simulator.layout,
        "subjects": subjects,
        "seed": seed,
        "spacing": spacing,
        "version": SIMULATION_VERSION,
    }
    claim_folder(out, parameters)
    indices = range(1, subjects + 1)
    missing = [index for index in indices if not all(path.is_file() for path in simulator.subject_paths(out, index))]
    arguments = [(out, index, seed, spacing) for index in missing]
    run_side_by_side(simulator.make_subject, arguments, jobs, f"Simulating {out.name}")
    paths = [path for index in indices for path in simulator.subject_paths(out, index)]
    paths = [*simulator.write_tables(out, subjects), *paths]
    write_json(
        out / "manifest.json",
        {
            "format": 1,
            "name": f"{simulator.layout}_simulated",
            "layout": simulator.layout,
            "simulated": True,
            "licence": ANATOMY_NOTICE,
            "citation": ANATOMY_CITATION,
            "parameters": parameters,
            "files": {path.relative_to(out).as_posix(): sha256_of_file(path) for path in paths},
        },
    )
    return out


def simulate_command(
    simulate: Callable[..., Path],
    argv: Sequence[str] | None,
    *,
    description: str,
    out: str,
    subjects: int,
    seed: int,
) -> int:
    """Run a simulator from the command line and return its exit status.

    Args:
        simulate: makes the archive: (out, subjects, seed, spacing, jobs), by name.
        argv: the arguments; None takes those of the process.
        description: what the script is for.
        out: the default folder of the archive.
        subjects: the default number of subjects.
        seed: the default seed.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(out), help="folder of the archive")
    parser.add_argument("--subjects", type=positive, default=subjects, help="number of subjects")
    parser.add_argument("--seed", type=int, default=seed, help="seed of all voxels")
    parser.add_argument("--spacing", type=int, default=2, help="voxel size in whole mm")
    parser.add_argument("--jobs", type=positive, default=2, help="processes side by side")
    options = parser.parse_args(argv)

    def work() -> int:
        require_writable({"--out": options.out})
        archive = simulate(**vars(options))
        print(f"{options.subjects} simulated subjects in {archive}")
        return 0

    return exit_status(work, f"the same command goes on with what {options.out} lacks")


def _check(name: str, value: int, lowest: int, highest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if not lowest <= value <= highest:
        raise ValueError(f"{name} must be between {lowest} and {highest}, got {value}")
