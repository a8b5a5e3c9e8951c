"""Run the benchmarks of every day, or the named ones."""

import argparse

import torch

from benchmarks import bundle, explorers, hub, leep, loss, memory, patches, sweep
from riskmap.project.commands import run_command

BENCHMARKS = {
    "bundle": bundle.main,
    "explorers": explorers.main,
    "hub": hub.main,
    "leep": leep.main,
    "loss": loss.main,
    "memory": memory.main,
    "patches": patches.main,
    "sweep": sweep.main,
}
# they read the runs and the pages of the whole tutorial, which must be made before
AFTER_TUTORIAL = ("bundle", "hub")


def main() -> None:
    """Parse the command line and run the benchmarks asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    alone = " and ".join(AFTER_TUTORIAL)
    parser.add_argument(
        "names", nargs="*", help=f"which to run, of {', '.join(BENCHMARKS)}; without a name all but {alone}"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; choose from {', '.join(BENCHMARKS)}")
    torch.set_num_threads(arguments.threads)
    for name in arguments.names or [name for name in BENCHMARKS if name not in AFTER_TUTORIAL]:
        BENCHMARKS[name]()


if __name__ == "__main__":
    run_command(main)
