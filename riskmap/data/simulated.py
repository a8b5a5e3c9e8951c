"""The simulated cohorts that the tutorial makes for itself when they are missing."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from riskmap.project.files import alone_with
from riskmap.project.paths import PROJECT_ROOT, place_to_read, resolve


@dataclass(frozen=True)
class SimulatedCohort:
    """How a cohort is made: the simulating module, its options, and those of ``data_scripts.prepare``.

    A tiny one is made by one process sooner than a second one has started.
    """

    simulator: str
    subjects: int
    seed: int
    spacing: float
    prepare_options: tuple[str, ...] = ()
    jobs: int = 2


# written last, into an archive as into a prepared cohort
_RECORD = "manifest.json"
PREPARE_REAL = "python -m data_scripts.prepare_real --archives FOLDER"
# 4 mm voxels need a box that gives a multiple of 8 voxels per axis
_TINY_BOX = ("--spacing", "4", "--box", "192", "224", "192")
# with eight patients, two shots need a pool of two
_TINY_SPLIT = ("--split", "2", "1", "2", "1", "2")
# choices are made on validation patients alone, so the cohorts for development have many of them
_DEVELOPMENT_SPLIT = ("--split", "12", "3", "8", "16", "1")
_INFANT_DEVELOPMENT_SPLIT = ("--split", "12", "3", "5", "9", "1")
DEFAULT_COHORTS = {
    "fets2021_simulated": SimulatedCohort("simulate_fets2021", subjects=40, seed=2021, spacing=2),
    "fets2021_dev": SimulatedCohort("simulate_fets2021", 40, seed=7, spacing=2, prepare_options=_DEVELOPMENT_SPLIT),
    # those of the experiment: their patients served no choice
    "fets2021_question": SimulatedCohort("simulate_fets2021", subjects=40, seed=2925, spacing=2),
    # the source network has seen one institution, the target task comes from the others
    "fets2021_question_sites": SimulatedCohort(
        "simulate_fets2021", subjects=40, seed=2926, spacing=2, prepare_options=("--source-sites", "1")
    ),
    "fets2021_tiny": SimulatedCohort("simulate_fets2021", 8, 2021, 4, _TINY_BOX + _TINY_SPLIT, jobs=1),
    "iseg2019_simulated": SimulatedCohort("simulate_iseg2019", subjects=10, seed=2019, spacing=2),
    "iseg2019_question": SimulatedCohort("simulate_iseg2019", subjects=40, seed=2927, spacing=2),
    "iseg2019_dev": SimulatedCohort(
        "simulate_iseg2019", subjects=30, seed=8, spacing=2, prepare_options=_INFANT_DEVELOPMENT_SPLIT
    ),
    "iseg2019_tiny": SimulatedCohort("simulate_iseg2019", 6, 2019, 4, _TINY_BOX, jobs=1),
}


def cohort_commands(name: str, data_dir: Path) -> list[list[str]]:
    """Return the two commands (without the interpreter) that simulate and prepare a default cohort."""
    recipe = DEFAULT_COHORTS[name]
    archive, prepared = data_dir / "archives" / name, data_dir / "prepared" / name
    simulate = ["-m", f"data_scripts.{recipe.simulator}", "--out", str(archive)]
    simulate += ["--subjects", str(recipe.subjects), "--seed", str(recipe.seed), "--spacing", f"{recipe.spacing:g}"]
    prepare = ["-m", "data_scripts.prepare", "--archive", str(archive), "--out", str(prepared)]
    jobs = ["--jobs", str(recipe.jobs)]
    return [[*simulate, *jobs], [*prepare, *recipe.prepare_options, *jobs]]


def cohort_folder(name: str, data_dir: str | Path = "build/data") -> Path:
    """Return the folder of a prepared cohort, which may be a shared one; where it is not there, where it would be."""
    return place_to_read(resolve(data_dir) / "prepared" / name, _RECORD)


def archive_folder(name: str, data_dir: str | Path = "build/data") -> Path:
    """Return the folder of an archive, as :func:`cohort_folder`."""
    return place_to_read(resolve(data_dir) / "archives" / name, _RECORD)


def has_cohort(name: str, data_dir: str | Path = "build/data") -> bool:
    """Tell whether a cohort is there, prepared to its end."""
    return (cohort_folder(name, data_dir) / _RECORD).is_file()


def ensure_cohort(name: str, data_dir: str | Path = "build/data") -> Path:
    """Return the folder of a prepared cohort; a default one that is missing is simulated and prepared first.

    Args:
        name: a cohort under ``<data_dir>/prepared``, or one of ``DEFAULT_COHORTS``.
        data_dir: the folder of archives and prepared cohorts; relative to the project's root.

    Raises:
        ValueError: the cohort is not there and is not a default one; the message says how to prepare it.
        RuntimeError: a command failed; its own message stands above in the terminal.
    """
    folder = cohort_folder(name, data_dir)
    if has_cohort(name, data_dir):
        return folder
    if name not in DEFAULT_COHORTS:
        raise ValueError(
            f"no cohort {name!r} in {folder.parent}. These are made when missing: {', '.join(DEFAULT_COHORTS)}. "
            f"Your own: python -m data_scripts.prepare --archive FOLDER --out {folder}. The real patients of the "
            f"experiment: {PREPARE_REAL}"
        )
    with alone_with(folder):
        if not has_cohort(name, data_dir):  # else another process has just made it
            _make_cohort(name, data_dir)
    return folder


def _make_cohort(name: str, data_dir: str | Path) -> None:
    print(f"Making the cohort {name} (it is made once) ...", flush=True)
    for command in cohort_commands(name, resolve(data_dir)):
        _run(command)


def ensure_archive(name: str, data_dir: str | Path = "build/data") -> Path:
    """Return the folder of a default cohort's archive, files as a scanner's site would give them out.

    Raises:
        ValueError: it is not a default cohort.
        RuntimeError: as for :func:`ensure_cohort`.
    """
    if name not in DEFAULT_COHORTS:
        raise ValueError(f"no cohort {name!r} can be simulated; there are {', '.join(DEFAULT_COHORTS)}")
    folder = archive_folder(name, data_dir)
    if (folder / _RECORD).is_file():
        return folder
    with alone_with(folder):
        # another process may have just made it
        if (folder / _RECORD).is_file():
            return folder
        print(f"Simulating the archive {name} (it is made once) ...", flush=True)
        _run(cohort_commands(name, resolve(data_dir))[0])
    return folder


def _run(command: list[str]) -> None:
    status = subprocess.run([sys.executable, *command], cwd=PROJECT_ROOT).returncode
    if status != 0:
        raise RuntimeError(f"status {status} from: python {' '.join(command)}")
