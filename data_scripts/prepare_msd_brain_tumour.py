"""Prepare Task 1 of the Medical Segmentation Decathlon, real gliomas that are open to everyone (7 GB).

Usage: python -m data_scripts.prepare_msd_brain_tumour --download
"""

from collections.abc import Sequence
from pathlib import Path

from monai.apps import DecathlonDataset
from monai.apps.utils import download_url

from data_scripts.archives.glioma_layouts import MSD_LAYOUTS
from data_scripts.command_line import prepare_command
from riskmap.project.commands import run_command

TASK = "Task01_BrainTumour"


def download(folder: Path) -> Path:
    """Fetch the task's tar from MONAI's address into ``folder``, unless it is there, and compare it with MONAI's hash.

    MONAI's own unpacking takes a folder that a stopped run left half-written for a whole one, so that step is ours.

    Raises:
        ValueError: if the file cannot be fetched or differs from the hash.
    """
    (layout,) = MSD_LAYOUTS.values()
    print(f"{layout.title}\nLicence: {layout.licence}", flush=True)
    path = folder / f"{TASK}.tar"
    try:
        download_url(DecathlonDataset.resource[TASK], path, DecathlonDataset.md5[TASK], hash_type="md5")
    except (RuntimeError, ValueError, OSError) as error:
        remedy = f"; delete {path} to fetch it again" if path.is_file() else ""
        raise ValueError(f"{TASK} could not be fetched: {error}{remedy}") from error
    if not path.is_file():
        # MONAI stays silent where it may not write
        raise ValueError(f"{path} could not be written; choose another folder with --unpack-to")
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return prepare_command(
        argv,
        description="Prepare Task 1 (brain tumour) of the Medical Segmentation Decathlon.",
        layouts=list(MSD_LAYOUTS),
        out="build/data/prepared/msd_brain_tumour",
        download=download,
    )


if __name__ == "__main__":
    run_command(main)
