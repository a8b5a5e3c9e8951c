"""Prepare iSeg-2019 or iSeg-2017 from the archive that their organisers give out.

Usage: python -m data_scripts.prepare_iseg2019 --archive iSeg-2019-Training
"""

from collections.abc import Sequence

from data_scripts.command_line import prepare_command
from riskmap.project.commands import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return prepare_command(
        argv,
        description="Prepare iSeg-2019 or iSeg-2017; test subjects, which have no labels, are left out.",
        layouts=["iseg2019"],
        out="build/data/prepared/iseg2019",
    )


if __name__ == "__main__":
    run_command(main)
