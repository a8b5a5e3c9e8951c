"""Prepare a task of the Medical Segmentation Decathlon: real scans that are open to everyone.

Usage: python -m data_scripts.prepare_msd --task Task04_Hippocampus --download
"""

import argparse
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from monai.apps import DecathlonDataset
from monai.apps.utils import download_url

from data_scripts.archives.glioma_layouts import MSD_LAYOUTS
from data_scripts.command_line import prepare_command
from riskmap.project.commands import run_command

TASKS = tuple(sorted(DecathlonDataset.resource))
# its labels are those of the other glioma archives, and so are its targets
GLIOMA = "Task01_BrainTumour"
LICENCE = "CC-BY-SA 4.0"


def download(folder: Path, task: str) -> Path:
    """Fetch a task's tar from MONAI's address into ``folder``, unless it is there, and compare it with MONAI's hash.

    MONAI's own unpacking takes a folder that a stopped run left half-written for a whole one, so that step is ours.

    Raises:
        ValueError: if the file cannot be fetched or differs from the hash.
    """
    print(f"Medical Segmentation Decathlon, {task}\nLicence: {LICENCE}", flush=True)
    path = folder / f"{task}.tar"
    try:
        download_url(DecathlonDataset.resource[task], path, DecathlonDataset.md5[task], hash_type="md5")
    except (RuntimeError, ValueError, OSError) as error:
        remedy = f"; delete {path} to fetch it again" if path.is_file() else ""
        raise ValueError(f"{task} could not be fetched: {error}{remedy}") from error
    if not path.is_file():
        # MONAI stays silent where it may not write
        raise ValueError(f"{path} could not be written; choose another folder with --unpack-to")
    return path


def _in_words(task: str) -> str:
    """Return what a task is about: brain_tumour for Task01_BrainTumour."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", task.partition("_")[2]).lower()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    of_task = argparse.ArgumentParser(add_help=False)
    of_task.add_argument("--task", choices=TASKS, default=GLIOMA, help="the task")
    # which task it is decides the other options' defaults
    task = of_task.parse_known_args(argv)[0].task
    return prepare_command(
        argv,
        description="Prepare a task of the Medical Segmentation Decathlon.",
        layouts=list(MSD_LAYOUTS),
        out=f"build/data/prepared/msd_{_in_words(task)}",
        download=partial(download, task=task),
        described=task != GLIOMA,
        parents=[of_task],
    )


if __name__ == "__main__":
    run_command(main)
