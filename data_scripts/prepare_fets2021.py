"""Prepare FeTS 2021, FeTS 2022, BraTS 2020, 2021, 2023 or 2024 from the archive that their organisers give out.

Usage: python -m data_scripts.prepare_fets2021 --archive MICCAI_FeTS2021_TrainingData
"""

from collections.abc import Sequence

from data_scripts.archives.glioma_layouts import GLIOMA_LAYOUTS
from data_scripts.command_line import prepare_command
from riskmap.project.commands import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return prepare_command(
        argv,
        description="Prepare FeTS 2021 or 2022, or BraTS 2020, 2021, 2023 or 2024.",
        layouts=list(GLIOMA_LAYOUTS),
        out="build/data/prepared/fets2021",
    )


if __name__ == "__main__":
    run_command(main)
