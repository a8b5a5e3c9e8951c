"""Prepare an archive in any layout that is known by name; which one it is, is found out.

Usage: python -m data_scripts.prepare --archive build/data/archives/fets2021_simulated
    --out build/data/prepared/fets2021_simulated
"""

from collections.abc import Sequence

from data_scripts.command_line import prepare_command
from riskmap.project.commands import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return prepare_command(argv, description="Turn an archive in any known layout into the prepared form.")


if __name__ == "__main__":
    run_command(main)
