"""The command line that all scripts which prepare an archive share."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from data_scripts.archives.layouts import LAYOUTS
from data_scripts.archives.own_layout import DESCRIPTION_FILE, own_layout, read_description
from data_scripts.archives.prepare import DEFAULT_BOX_MM, DEFAULT_SPLIT, describe_problem, prepare
from data_scripts.archives.split import PARTS
from data_scripts.archives.unpack import unpacked

ARCHIVES = Path("build/data/archives")


def run_command(
    argv: Sequence[str] | None,
    *,
    description: str,
    layouts: Sequence[str] = tuple(LAYOUTS),
    out: str | None = None,
    download: Callable[[Path], Path] | None = None,
    described: bool = False,
) -> int:
    """Prepare an archive from the command line and return the exit status.

    0: done, skipped subjects are listed; 1: done, but subjects were skipped and --strict was given; 2: an argument is
    wrong or too few subjects are sound; 130: interrupted.

    Args:
        argv: the arguments; None takes those of the process.
        description: what the script is for.
        layouts: names in ``LAYOUTS`` that it accepts.
        out: the default folder of the prepared form; None: it must be named.
        described: the archive is one of the reader's own, described by a YAML file.
        download: fetches the archive into the folder that it is given and returns its path; None: no such option.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--archive", type=Path, help="folder of the archive, or its .tar, .tar.gz or .zip")
    if download:
        given.add_argument("--download", action="store_true", help="fetch the archive first, unless it is there")
    parser.add_argument(
        "--out", type=Path, required=out is None, default=out and Path(out), help="folder of the prepared form"
    )
    parser.add_argument(
        "--unpack-to", type=Path, default=ARCHIVES, help="folder below which a packed or fetched archive is unpacked"
    )
    if described:
        parser.add_argument("--describe", type=Path, help=f"YAML file; ARCHIVE/{DESCRIPTION_FILE} if left out")
    if len(layouts) > 1:
        parser.add_argument("--layout", choices=["auto", *layouts], default="auto", help="layout of the archive")
    parser.add_argument("--spacing", type=float, default=2.0, help="voxel size in mm")
    parser.add_argument("--box", type=float, nargs=3, default=DEFAULT_BOX_MM, help="size of the volumes in mm")
    parser.add_argument("--sites", nargs="+", default=(), metavar="SITE", help="subjects of these sites alone")
    parser.add_argument(
        "--subjects", nargs="+", default=(), metavar="NAME", help="these alone; one number: so many from the first"
    )
    dealt = parser.add_mutually_exclusive_group()
    dealt.add_argument("--split", type=int, nargs=5, default=DEFAULT_SPLIT, help=f"shares of {' '.join(PARTS)}")
    dealt.add_argument(
        "--unsplit",
        nargs="?",
        const="target_test",
        default="",
        choices=PARTS,
        help="all subjects into one part (target_test if none is named): to look at, not to train on",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the split")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument(
        "--source-sites",
        nargs="+",
        default=(),
        metavar="SITE",
        help="sites that alone fill the source's parts; all others fill the target's",
    )
    parser.add_argument("--dry-run", action="store_true", help="read and check everything, write nothing")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if a subject was skipped")
    options = vars(parser.parse_args(argv))
    strict, fetch, folder = options.pop("strict"), options.pop("download", False), options.pop("unpack_to")
    dry_run = options["dry_run"]
    try:
        if fetch:
            if dry_run:
                raise ValueError("--dry-run writes nothing, so it cannot download; give --archive FOLDER")
            options["archive"] = download(folder)
        options["archive"] = unpacked(options["archive"], folder, dry_run)
        if described:
            path = options.pop("describe") or options["archive"] / DESCRIPTION_FILE
            options["layout"] = own_layout(read_description(path))
        manifest = prepare(**options, layouts=layouts, announce=lambda terms: print(terms, flush=True))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on with what {options['out']} lacks", file=sys.stderr)
        return 130
    sizes = ", ".join(f"{part} {len(subjects)}" for part, subjects in manifest["split"].items())
    done = "subjects would be prepared" if dry_run else "subjects"
    print(f"{len(manifest['subjects'])} {done} in {options['out']} ({sizes})")
    if not manifest["orientation_in_header"]:
        print("The headers of this layout carry no reliable orientation: axes are taken to run right, front, top.")
    if manifest["left_out"]:
        print(f"{len(manifest['left_out'])} unlabelled test subjects of the archive are left out.")
    for problem in manifest["problems"]:
        print(f"{'would skip' if dry_run else 'skipped'} {describe_problem(problem)}", file=sys.stderr)
    return 1 if strict and manifest["problems"] else 0
