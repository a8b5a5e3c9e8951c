"""Prepare a folder of NIfTI files of your own, described by a ``dataset.yaml`` in it.

Usage: python -m data_scripts.prepare_folder --archive FOLDER --out build/data/prepared/mine
"""

from collections.abc import Sequence

from data_scripts.command_line import prepare_command
from riskmap.project.commands import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return prepare_command(
        argv,
        description="Prepare a folder of NIfTI files; notebooks/own_data.yaml shows how it is described.",
        layouts=(),
        described=True,
    )


if __name__ == "__main__":
    run_command(main)
