"""Turn an archive, simulated or real, into prepared volumes and one manifest that ``riskmap.cohort`` reads.

Usage: python -m data_scripts.prepare --archive build/data/archives/fets2021_simulated
    --out build/data/prepared/fets2021_simulated
"""

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import MetaTensor
from monai.transforms import Compose, CropForegroundd, Orientationd, ResizeWithPadOrCropd, SpatialResample
from nibabel.affines import from_matvec, voxel_sizes

from data_scripts.layouts import LAYOUTS, Layout, SubjectFiles, detect_layout
from data_scripts.resumable import PARAMETERS_FILE, claim_folder, run_side_by_side, whole_folder
from data_scripts.volumes import SubjectError, files_of, read_subject, save_volume
from riskmap.files import read_json, sha256_of_file, write_json

PARTS = ("source_train", "source_val", "target_train", "target_val", "target_test")
SOURCE_PARTS, TARGET_PARTS = PARTS[:2], PARTS[2:]
DEFAULT_BOX_MM = (192.0, 224.0, 176.0)
DEFAULT_SPLIT = (12, 4, 8, 4, 12)
# U-Nets with three halvings need it
VOXEL_MULTIPLE = 8


def prepare(
    archive: str | Path,
    out: str | Path,
    layout: str = "auto",
    spacing: float = 2.0,
    box: Sequence[float] = DEFAULT_BOX_MM,
    split: Sequence[int] = DEFAULT_SPLIT,
    seed: int = 0,
    jobs: int = 2,
    source_sites: Sequence[str] = (),
) -> dict[str, Any]:
    """Prepare every sound subject of an archive; a second call goes on where the first one stopped.

    Per subject: check; turn to RAS; resample to ``spacing`` (linear; labels by linear weights of each value, so that
    they do not shift against the images); crop or pad to ``box``, centred on the brain (any sequence non-zero); z-score
    each sequence inside the brain, exactly 0 outside.

    Args:
        archive: folder of the archive.
        out: folder of the prepared form.
        layout: "auto" or a name in ``LAYOUTS``.
        spacing: voxel size in mm, > 0.
        box: size of the prepared volumes in mm; each a multiple of 8 voxels.
        split: relative sizes of the parts in ``PARTS``, each >= 1.
        seed: seed of the split.
        jobs: processes side by side, >= 1.
        source_sites: for transfer across sites: subjects of these sites alone fill the source's parts, all others the
            target's, each group in the shares of its own parts; empty: sites are mixed.

    Returns:
        The manifest; its "problems" list the subjects that were skipped, with the reason.

    Raises:
        ValueError: if an argument is out of range, no layout fits, ``out`` was begun with other parameters, fewer
            subjects are sound than there are parts, or ``source_sites`` leave too few to the source or the target.
    """
    archive, out = Path(archive), Path(out)
    if not archive.is_dir():
        raise ValueError(f"archive {archive} is not a folder")
    if (archive / PARAMETERS_FILE).is_file() and not (archive / "manifest.json").is_file():
        raise ValueError(f"archive {archive} is half-simulated; run its simulator again, which goes on with it")
    shape = box_shape(box, spacing)
    if len(split) != len(PARTS) or min(split) < 1:
        raise ValueError(f"split must be {len(PARTS)} whole numbers >= 1 ({', '.join(PARTS)}), got {split}")
    layout = detect_layout(archive) if layout == "auto" else layout
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be auto or one of {', '.join(LAYOUTS)}, got {layout!r}")
    found = LAYOUTS[layout].find(archive)
    if not found:
        raise ValueError(f"archive {archive} holds no subject in the layout {layout}")
    parameters = {
        "layout": layout,
        "spacing": float(spacing),
        "box": [float(length) for length in box],
        "split": [int(size) for size in split],
        "seed": int(seed),
    }
    if source_sites:
        # told before anything is prepared or written; what turns out unsound may still lack afterwards
        split_by_site({files.subject: files.site for files in found}, split, seed, source_sites)
        # only where it is used: folders that were prepared before the option existed stay valid
        parameters["source_sites"] = sorted(set(source_sites))
    claim_folder(out, parameters)

    copies = Counter(files.subject for files in found)
    single = [files for files in found if copies[files.subject] == 1]
    arguments = [(files, layout, out, float(spacing), shape) for files in single]
    records = run_side_by_side(_prepare_subject, arguments, jobs, f"Preparing {out.name}")
    problems = [
        {"subject": subject, "reason": f"duplicate subject: found {number} times in the archive"}
        for subject, number in copies.items()
        if number > 1
    ] + [record for record in records if "reason" in record]
    # runs end in any order; the archive's own order is kept
    whole = {record["subject"]: record["files"] for record in records if "files" in record}
    subjects = {
        files.subject: {"site": files.site, "files": whole[files.subject]} for files in single if files.subject in whole
    }
    problems.sort(key=lambda problem: [files.subject for files in found].index(problem["subject"]))
    try:
        sites = {subject: record["site"] for subject, record in subjects.items()}
        parts = split_by_site(sites, split, seed, source_sites)
    except ValueError as error:
        raise ValueError("; ".join([str(error), *map(_describe, problems)])) from error
    manifest = {
        "format": 1,
        "name": out.name,
        **_description(archive, layout),
        "modalities": list(LAYOUTS[layout].modalities),
        "label_table": {str(value): name for value, name in LAYOUTS[layout].label_table.items()},
        "targets": LAYOUTS[layout].targets,
        "spacing": [float(spacing)] * 3,
        "shape": list(shape),
        "orientation": "RAS",
        "orientation_in_header": LAYOUTS[layout].orientation_in_header,
        "sites": sites,
        "subjects": subjects,
        "split": parts,
        "parameters": parameters,
        "problems": problems,
    }
    write_json(out / "manifest.json", manifest)
    return manifest


def box_shape(box: Sequence[float], spacing: float) -> tuple[int, int, int]:
    """Return the voxels of a box in mm along each axis.

    Raises:
        ValueError: if the spacing is not positive, or an axis is not a multiple of 8 voxels.

    >>> box_shape((192, 224, 176), 2)
    (96, 112, 88)
    """
    if not spacing > 0:
        raise ValueError(f"spacing must be above 0 mm, got {spacing}")
    if len(box) != 3 or not all(length > 0 for length in box):
        raise ValueError(f"box must be three lengths above 0 mm, got {tuple(box)}")
    voxels = [length / spacing for length in box]
    step = VOXEL_MULTIPLE
    nearest = tuple(max(1, round(count / step)) * step for count in voxels)
    if not np.allclose(voxels, nearest, rtol=0, atol=1e-6):
        suggestion = " ".join(f"{count * spacing:g}" for count in nearest)
        raise ValueError(
            f"box {tuple(box)} mm is {tuple(round(count, 3) for count in voxels)} voxels at {spacing:g} mm; each axis "
            f"must be a multiple of {step} voxels; the nearest is --box {suggestion}"
        )
    return nearest


def split_by_site(
    sites: Mapping[str, str], split: Sequence[int], seed: int, source_sites: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Deal the subjects out to ``PARTS``: those of ``source_sites`` to the source's, all others to the target's.

    Args:
        sites: subject to site.
        split: relative sizes of ``PARTS``; they count within the source and within the target.
        seed: seed of the split.
        source_sites: sites of the source; empty: all subjects are dealt out to all parts, whatever their site.

    Raises:
        ValueError: if no subject comes from one of ``source_sites``, or too few are left for the source or the target.

    >>> sites = {"a": "1", "b": "2", "c": "1", "d": "2", "e": "3"}
    >>> parts = split_by_site(sites, (1, 1, 1, 1, 1), seed=0, source_sites=["1"])
    >>> sorted(parts["source_train"] + parts["source_val"])
    ['a', 'c']
    """
    if not source_sites:
        return split_subjects(list(sites), split, seed)
    allowed = ", ".join(map(repr, sorted(set(sites.values()))))
    if isinstance(source_sites, str) or not set(source_sites) <= set(sites.values()):
        raise ValueError(
            f"source_sites must be a list of sites that sound subjects have ({allowed}), got {source_sites!r}"
        )
    source = [subject for subject, site in sites.items() if site in source_sites]
    target = [subject for subject, site in sites.items() if site not in source_sites]
    if not target:
        raise ValueError(
            f"source_sites must leave at least one site to the target, got {source_sites!r}; sound subjects have the "
            f"sites {allowed}"
        )
    border = len(SOURCE_PARTS)
    return {
        **split_subjects(source, split[:border], seed, SOURCE_PARTS),
        **split_subjects(target, split[border:], seed, TARGET_PARTS),
    }


def split_subjects(
    subjects: Sequence[str], split: Sequence[int], seed: int, parts: Sequence[str] = PARTS
) -> dict[str, list[str]]:
    """Deal the subjects out to the parts at random, in proportion to ``split``, at least one to each.

    The order within target_train is the order in which few-shot experiments take their subjects.

    Raises:
        ValueError: if there are fewer subjects than parts.
    """
    if len(subjects) < len(parts):
        raise ValueError(
            f"{len(subjects)} sound subjects are too few: the {len(parts)} parts need one each ({', '.join(parts)})"
        )
    ideal = np.asarray(split) / sum(split) * len(subjects)
    sizes = np.maximum(np.floor(ideal).astype(int), 1)
    while sizes.sum() != len(subjects):
        # largest remainder first; where the minimum of one took too many, the most overdrawn part gives back
        lacking = ideal - sizes
        if sizes.sum() < len(subjects):
            sizes[np.argmax(lacking)] += 1
        else:
            sizes[np.argmin(np.where(sizes > 1, lacking, np.inf))] -= 1
    order = np.random.default_rng(seed).permutation(len(subjects))
    ends = np.cumsum(sizes)
    return {
        part: [subjects[index] for index in order[end - size : end]]
        for part, size, end in zip(parts, sizes, ends, strict=True)
    }


def _describe(problem: dict[str, str]) -> str:
    return f"{problem['subject']}: {problem['reason']}"


def _description(archive: Path, layout_name: str) -> dict[str, Any]:
    """Say what the data are; an archive that was simulated says so in its own manifest."""
    layout = LAYOUTS[layout_name]
    own = read_json(archive / "manifest.json") if (archive / "manifest.json").is_file() else {}
    if own.get("simulated"):
        title = f"Simulated patients in the layout of {layout.title}"
        return {
            "title": title,
            "layout": layout_name,
            "simulated": True,
            "licence": own["licence"],
            "citation": own["citation"],
        }
    return {
        "title": layout.title,
        "layout": layout_name,
        "simulated": False,
        "licence": layout.licence,
        "citation": layout.citation,
    }


def _prepare_subject(
    files: SubjectFiles, layout_name: str, out: Path, spacing: float, shape: tuple[int, int, int]
) -> dict[str, Any]:
    """Prepare one subject and return where its files lie, or the reason why it was skipped."""
    layout = LAYOUTS[layout_name]
    subject, target = files.subject, out / files.subject
    try:
        if not _is_current(target, files):
            images, labels, affine = read_subject(files, layout)
            prepared, labels, brain, affine = to_box(images, labels, affine, layout, spacing, shape)
            scores = _z_scores(prepared, brain, layout.modalities)
            with whole_folder(target) as folder:
                for modality, voxels in zip(layout.modalities, scores, strict=True):
                    save_volume(folder / f"{subject}_{modality.lower()}.nii.gz", voxels, affine)
                save_volume(folder / f"{subject}_label.nii.gz", labels, affine)
                save_volume(folder / f"{subject}_brain.nii.gz", brain.astype(np.uint8), affine)
                write_json(folder / "sources.json", _hashes(files))
    except SubjectError as error:
        # what an earlier call made of files that have since been damaged is no longer true
        shutil.rmtree(target, ignore_errors=True)
        return {"subject": subject, "reason": str(error)}
    kinds = {modality: modality.lower() for modality in layout.modalities}
    paths = {
        name: target / f"{subject}_{suffix}.nii.gz"
        for name, suffix in {**kinds, "label": "label", "brain": "brain"}.items()
    }
    return {
        "subject": subject,
        "files": {
            name: {"path": path.relative_to(out).as_posix(), "sha256": sha256_of_file(path)}
            for name, path in paths.items()
        },
    }


def _is_current(target: Path, files: SubjectFiles) -> bool:
    """Tell whether a subject has been prepared from just these files."""
    record = target / "sources.json"
    sources = [part for path in (*files.images.values(), files.label) for part in files_of(path)]
    return record.is_file() and all(path.is_file() for path in sources) and read_json(record) == _hashes(files)


def _hashes(files: SubjectFiles) -> dict[str, str]:
    paths = (*files.images.values(), files.label)
    return {part.name: sha256_of_file(part) for path in paths for part in files_of(path)}


def to_box(
    images: np.ndarray,
    labels: np.ndarray,
    affine: np.ndarray,
    layout: Layout,
    spacing: float,
    shape: tuple[int, int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Turn a subject to RAS, resample it, and crop or pad it to the box, the brain in the middle.

    Args:
        images: float32 [C, X, Y, Z], 0 outside the brain.
        labels: uint8 [X, Y, Z], values of the layout's label table.
        affine: from voxels to mm [4, 4].
        layout: the layout that they come from.
        spacing: voxel size to resample to, in mm; nothing is resampled that has it already.
        shape: voxels of the box.

    Returns:
        Images [C, *shape], labels [*shape], brain [*shape] (bool) and the new affine.

    Raises:
        SubjectError: if the brain is empty or larger than the box.
    """
    values = np.array(sorted(layout.label_table), dtype=np.uint8)
    channels = {
        "images": images,
        "labels": (labels == values[:, None, None, None]).astype(np.float32),
        "brain": images.any(axis=0, keepdims=True).astype(np.float32),
    }
    keys = list(channels)
    subject: dict[str, MetaTensor] = {
        key: MetaTensor(np.ascontiguousarray(channel), affine=affine) for key, channel in channels.items()
    }
    subject = Orientationd(keys, axcodes="RAS", labels=None)(subject)
    subject = {key: _resample(channel, spacing) for key, channel in subject.items()}
    subject["brain"] = subject["brain"] >= 0.5
    extent = [int(places[-1] - places[0] + 1) for places in _occupied(np.asarray(subject["brain"][0]))]
    if any(length > limit for length, limit in zip(extent, shape, strict=True)):
        raise SubjectError(
            f"brain of {tuple(extent)} voxels does not fit into the box of {shape} voxels at {spacing:g} mm"
        )
    subject = Compose(
        [
            CropForegroundd(keys, source_key="brain", allow_smaller=False),
            ResizeWithPadOrCropd(keys, spatial_size=shape),
        ]
    )(subject)
    brain = np.asarray(subject["brain"][0]).astype(bool)
    weights = np.asarray(subject["labels"])
    chosen = values[weights.argmax(axis=0)] * brain
    return np.asarray(subject["images"]), chosen, brain, np.asarray(subject["brain"].affine)


def _resample(volume: MetaTensor, spacing: float) -> MetaTensor:
    """Resample [C, X, Y, Z] linearly to ``spacing`` mm, unless it is there already.

    The outer faces stay in place, not the centres of the first voxels: then halving the resolution averages neighbours
    where it would otherwise drop every second voxel.
    """
    affine = np.asarray(volume.affine)
    ratio = spacing / voxel_sizes(affine)
    if np.allclose(ratio, 1, atol=1e-3):
        return volume
    size = np.maximum(np.rint(np.asarray(volume.shape[1:]) / ratio), 1).astype(int)
    moved = affine @ from_matvec(np.diag(ratio), (ratio - 1) / 2)
    return SpatialResample(mode="bilinear", align_corners=True)(volume, dst_affine=moved, spatial_size=size)


def _occupied(mask: np.ndarray) -> list[np.ndarray]:
    """Return the indices along each axis at which a mask holds anything."""
    axes = range(mask.ndim)
    places = [np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
    if not places[0].size:
        raise SubjectError("no brain is left after resampling")
    return places


def _z_scores(images: np.ndarray, brain: np.ndarray, modalities: Sequence[str]) -> np.ndarray:
    """Give each image mean 0 and standard deviation 1 inside the brain, and 0 outside."""
    scores = np.zeros_like(images)
    for image, score, modality in zip(images, scores, modalities, strict=True):
        inside = image[brain].astype(np.float64)
        deviation = inside.std()
        if deviation == 0:
            raise SubjectError(f"{modality} has one value in the whole brain")
        score[brain] = (inside - inside.mean()) / deviation
    return scores


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    0: done, skipped subjects are listed; 1: done, but subjects were skipped and --strict was given; 2: an argument is
    wrong or too few subjects are sound; 130: interrupted.
    """
    parser = argparse.ArgumentParser(
        description="Turn an archive into the prepared form.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--archive", type=Path, required=True, help="folder of the archive")
    parser.add_argument("--out", type=Path, required=True, help="folder of the prepared form")
    parser.add_argument("--layout", choices=["auto", *LAYOUTS], default="auto", help="layout of the archive")
    parser.add_argument("--spacing", type=float, default=2.0, help="voxel size in mm")
    parser.add_argument("--box", type=float, nargs=3, default=DEFAULT_BOX_MM, help="size of the volumes in mm")
    parser.add_argument("--split", type=int, nargs=5, default=DEFAULT_SPLIT, help=f"shares of {' '.join(PARTS)}")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument(
        "--source-sites",
        nargs="+",
        default=(),
        metavar="SITE",
        help="sites that alone fill the source's parts; all others fill the target's",
    )
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if a subject was skipped")
    options = vars(parser.parse_args(argv))
    strict = options.pop("strict")
    try:
        manifest = prepare(**options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on with what {options['out']} lacks", file=sys.stderr)
        return 130
    sizes = ", ".join(f"{part} {len(subjects)}" for part, subjects in manifest["split"].items())
    print(f"{len(manifest['subjects'])} subjects in {options['out']} ({sizes})")
    print(manifest["licence"])
    if not manifest["orientation_in_header"]:
        print("The headers of this layout carry no reliable orientation: axes are taken to run right, front, top.")
    for problem in manifest["problems"]:
        print(f"skipped {_describe(problem)}", file=sys.stderr)
    return 1 if strict and manifest["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
