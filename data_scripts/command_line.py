"""The command line that all scripts which prepare an archive share."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from data_scripts.archives.json_layout import DATASET_FILE, find_dataset, json_layout
from data_scripts.archives.layout import Layout
from data_scripts.archives.layouts import LAYOUTS, choose_layout
from data_scripts.archives.own_layout import DESCRIPTION_FILE, own_layout, read_description
from data_scripts.archives.preparation import DEFAULT_SPLIT, NATIVE, Preparation
from data_scripts.archives.prepare import describe_problem, prepare
from data_scripts.archives.unpack import unpack_archive
from riskmap.data.cohort import PARTS
from riskmap.project.commands import exit_status, positive
from riskmap.project.writing import require_writable

ARCHIVES = Path("build/data/archives")
# the manifest has them all
_SHOWN_NOTES = 20
Download = Callable[[Path], Path]


def prepare_command(
    argv: Sequence[str] | None,
    *,
    description: str,
    layouts: Sequence[str] = tuple(LAYOUTS),
    out: str | None = None,
    download: Download | None = None,
    described: bool = False,
    parents: Sequence[argparse.ArgumentParser] = (),
) -> int:
    """Prepare an archive from the command line and return the exit status.

    0: done, skipped subjects are listed; 1: done, but subjects were skipped and --strict was given; 2: an argument is
    wrong or too few subjects are sound; 130: stopped by Ctrl-C.

    Args:
        argv: the arguments; None takes those of the process.
        description: what the script is for.
        layouts: names in ``LAYOUTS`` that it accepts.
        out: the default folder of the prepared form; None: it must be named.
        download: fetches the archive into the folder that it is given and returns its path; None: no such option.
        described: the archive tells itself what it holds, in a ``dataset.yaml`` or a ``dataset.json``.
        parents: options of the script's own.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter, parents=list(parents)
    )
    # what stands for an option that this script does not have
    parser.set_defaults(download=False, describe=None, layout="auto")
    _add_places(parser, out, fetches=download is not None, described=described)
    if len(layouts) > 1:
        parser.add_argument("--layout", choices=["auto", *layouts], default="auto", help="layout of the archive")
    _add_choices(parser)
    parser.add_argument("--jobs", type=positive, default=2, help="processes side by side")
    parser.add_argument("--dry-run", action="store_true", help="read and check everything, write nothing")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if a subject was skipped")
    options = parser.parse_args(argv)

    def work() -> int:
        if not options.dry_run:
            packed = options.download or not options.archive.is_dir()
            require_writable({"--out": options.out} | ({"--unpack-to": options.unpack_to} if packed else {}))
        archive = _archive(options, download)
        layout = _described(archive, options.describe) if described else choose_layout(archive, options.layout, layouts)
        choices = {choice.name: getattr(options, choice.name) for choice in fields(Preparation)}
        if len(options.spacing) == 1:
            (choices["spacing"],) = options.spacing
        manifest = prepare(
            archive, options.out, layout, jobs=options.jobs, dry_run=options.dry_run, announce=_tell, **choices
        )
        _report(manifest, options.out, options.dry_run)
        return 1 if options.strict and manifest["problems"] else 0

    return exit_status(work, f"the same command goes on with what {options.out} lacks")


def _add_places(parser: argparse.ArgumentParser, out: str | None, *, fetches: bool, described: bool) -> None:
    """Add the options that say where the archive comes from and where the prepared form goes."""
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--archive", type=Path, help="folder of the archive, or its .tar, .tar.gz or .zip")
    if fetches:
        given.add_argument("--download", action="store_true", help="fetch the archive first, unless it is there")
    parser.add_argument(
        "--out", type=Path, required=out is None, default=out and Path(out), help="folder of the prepared form"
    )
    parser.add_argument(
        "--unpack-to", type=Path, default=ARCHIVES, help="folder below which a packed or fetched archive is unpacked"
    )
    if described:
        parser.add_argument(
            "--describe",
            type=Path,
            help=f"YAML file; if left out ARCHIVE/{DESCRIPTION_FILE}, or the {DATASET_FILE} of nnU-Net's raw folders",
        )


def _add_choices(parser: argparse.ArgumentParser) -> None:
    """Add one option for each choice of :class:`Preparation`, under its name."""
    parser.add_argument(
        "--spacing",
        type=voxel_size,
        nargs="+",
        default=[2.0],
        metavar="MM",
        help=f"voxel size: one number, three along X, Y and Z, or {NATIVE}, the subjects' own",
    )
    parser.add_argument(
        "--box",
        type=float,
        nargs=3,
        metavar="MM",
        help="size of the volumes along X, Y and Z; if left out: that of a known data set, or found from the subjects",
    )
    parser.add_argument("--sites", nargs="+", default=(), metavar="SITE", help="subjects of these sites alone")
    parser.add_argument(
        "--subjects",
        nargs="+",
        default=(),
        metavar="NAME",
        help="these alone; a number that names nobody: so many",
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
    parser.add_argument(
        "--source-sites",
        nargs="+",
        default=(),
        metavar="SITE",
        help="sites that alone fill the source's parts; all others fill the target's",
    )


def voxel_size(text: str) -> float | str:
    """Read a voxel size, or the word for the subjects' own."""
    return NATIVE if text == NATIVE else float(text)


def _archive(options: argparse.Namespace, download: Download | None) -> Path:
    """Return the folder of the archive, fetched and unpacked first where that was asked for."""
    archive = options.archive
    if download is not None and options.download:
        if options.dry_run:
            raise ValueError("--dry-run writes nothing, so it cannot download; give --archive FOLDER")
        archive = download(options.unpack_to)
    return unpack_archive(archive, options.unpack_to, options.dry_run)


def _described(archive: Path, description: Path | None) -> Layout:
    """Return the layout that a YAML file describes, or the ``dataset.json`` of nnU-Net and the Decathlon."""
    if description is None and not (archive / DESCRIPTION_FILE).is_file():
        dataset = find_dataset(archive)
        if dataset is not None:
            return json_layout(dataset)
    return own_layout(read_description(description or archive / DESCRIPTION_FILE))


def _tell(terms: str) -> None:
    print(terms, flush=True)


def _report(manifest: dict[str, Any], out: Path, dry_run: bool) -> None:
    """Print what was, or would be, prepared, and who was skipped."""
    sizes = ", ".join(f"{part} {len(subjects)}" for part, subjects in manifest["split"].items())
    done = "subjects would be prepared" if dry_run else "subjects"
    patients = {entry.get("patient", name) for name, entry in manifest["subjects"].items()}
    whose = f" of {len(patients)} patients" if len(patients) < len(manifest["subjects"]) else ""
    print(f"{len(manifest['subjects'])} {done}{whose} in {out} ({sizes})")
    if not manifest["orientation_in_header"]:
        print("The headers of this layout carry no reliable orientation: axes are taken to run right, front, top.")
    if manifest["left_out"]:
        print(f"{len(manifest['left_out'])} unlabelled test subjects of the archive are left out.")
    _tell_of(manifest)
    for problem in manifest["problems"]:
        print(f"{'would skip' if dry_run else 'skipped'} {describe_problem(problem)}", file=sys.stderr)


def _tell_of(manifest: dict[str, Any]) -> None:
    """Print what was found and handled in a way that the reader should know: each thing once, with whom it concerns."""
    concerned: dict[str, list[str]] = {}
    for each in manifest["notes"]:
        concerned.setdefault(each["note"], []).append(each["subject"])
    shown = list(concerned.items())[:_SHOWN_NOTES]
    for note, subjects in shown:
        more = f" and {len(subjects) - 3} more" if len(subjects) > 3 else ""
        print(f"note: {', '.join(subjects[:3])}{more}: {note}")
    if len(concerned) > len(shown):
        print(f"note: {len(concerned) - len(shown)} more notes are in the manifest")
    for passed_over in manifest["passed_over"]:
        print(f"not read: {passed_over}", file=sys.stderr)
