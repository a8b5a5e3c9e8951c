"""Run every benchmark, or the named ones."""

import argparse

import torch

from benchmarks import explorers, leep, loss, memory, patches, sweep
from riskmap.project.commands import run_command

BENCHMARKS = {
    "explorers": explorers.main,
    "leep": leep.main,
    "loss": loss.main,
    "memory": memory.main,
    "patches": patches.main,
    "sweep": sweep.main,
}


def main() -> None:
    """Parse the command line and run the benchmarks asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which to run, of {', '.join(BENCHMARKS)}; all without a name")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; choose from {', '.join(BENCHMARKS)}")
    torch.set_num_threads(arguments.threads)
    for name in arguments.names or BENCHMARKS:
        BENCHMARKS[name]()


if __name__ == "__main__":
    run_command(main)
