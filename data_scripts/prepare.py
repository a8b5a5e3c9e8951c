"""TODO."""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    from data_scripts.command_line import run_command

    return run_command(argv, description="Turn an archive in any known layout into the prepared form.")


if __name__ == "__main__":
    sys.exit(main())
