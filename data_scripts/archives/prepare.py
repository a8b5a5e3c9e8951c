"""Turn an archive, simulated or real, into prepared volumes and one manifest that ``riskmap.data.cohort`` reads.

Usage: python -m data_scripts.prepare --archive build/data/archives/fets2021_simulated
    --out build/data/prepared/fets2021_simulated
"""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_scripts.archives.geometry import box_shape, to_box, z_scores
from data_scripts.archives.layout import Layout, SubjectFiles
from data_scripts.archives.layouts import LAYOUTS, detect_layout
from data_scripts.archives.split import PARTS, split_by_site
from data_scripts.archives.volumes import SubjectError, check_files, files_of, read_subject, save_volume
from riskmap.project.files import read_json, sha256_of_file, write_json
from riskmap.project.folders import PARAMETERS_FILE, claim_folder, whole_folder
from riskmap.project.workers import run_side_by_side

DEFAULT_BOX_MM = (192.0, 224.0, 176.0)
DEFAULT_SPLIT = (12, 4, 8, 4, 12)


def prepare(
    archive: str | Path,
    out: str | Path,
    layout: str | Layout = "auto",
    spacing: float = 2.0,
    box: Sequence[float] = DEFAULT_BOX_MM,
    split: Sequence[int] = DEFAULT_SPLIT,
    seed: int = 0,
    jobs: int = 2,
    source_sites: Sequence[str] = (),
    *,
    sites: Sequence[str] = (),
    subjects: Sequence[str] = (),
    unsplit: str = "",
    dry_run: bool = False,
    layouts: Sequence[str] = (),
    announce: Callable[[str], None] = lambda terms: None,
) -> dict[str, Any]:
    """Prepare every sound subject of an archive; a second call goes on where the first one stopped.

    Per subject: check; turn to RAS; resample to ``spacing`` (linear; labels by linear weights of each value, so that
    they do not shift against the images); crop or pad to ``box``, centred on the brain (any sequence non-zero); z-score
    each sequence inside the brain, exactly 0 outside.

    Args:
        archive: folder of the archive.
        out: folder of the prepared form.
        layout: "auto", a name in ``LAYOUTS``, or a layout of the reader's own.
        spacing: voxel size in mm, > 0.
        box: size of the prepared volumes in mm; each a multiple of 8 voxels.
        split: relative sizes of the parts in ``PARTS``, each >= 1; all scans of a patient go to one part.
        seed: seed of the split.
        jobs: processes side by side, >= 1.
        source_sites: for transfer across sites: subjects of these sites alone fill the source's parts, all others the
            target's, each group in the shares of its own parts; empty: sites are mixed.
        sites: prepare subjects of these sites alone; empty: of all.
        subjects: prepare these alone: names, or one number that counts from the archive's first; empty: all.
        unsplit: put all subjects into this part and leave the other parts empty, for patients that are looked at and
            not trained on; one subject is enough. Empty: split.
        dry_run: read and check every subject, and write nothing.
        layouts: which layouts "auto" looks for; empty: all.
        announce: is told licence and citation before the work begins.

    Returns:
        The manifest; its "problems" list the subjects that were skipped, with the reason, and its "left_out" those
        whose labels the data set keeps to itself. In a dry run its subjects have no files.

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
    if unsplit and source_sites:
        raise ValueError("unsplit leaves the source's parts empty, so source_sites cannot fill them: give one of both")
    if unsplit and unsplit not in PARTS:
        raise ValueError(f"unsplit must be one of {', '.join(PARTS)}, got {unsplit!r}")
    name, layout = _named(layout, archive, layouts)
    everyone = layout.find(archive)
    if not everyone:
        raise ValueError(f"archive {archive} holds no subject in the layout {name}")
    found = _select([files for files in everyone if not files.is_test], sites, subjects)
    parameters: dict[str, Any] = {
        "layout": name,
        "spacing": float(spacing),
        "box": [float(length) for length in box],
        "split": [int(size) for size in split],
        "seed": int(seed),
    }
    if source_sites:
        # told before anything is prepared or written; what turns out unsound may still lack afterwards
        split_by_site({files.subject: files.site for files in found}, split, seed, source_sites)
    # only where they are used: folders that were prepared before the options existed stay valid
    choices = {
        "source_sites": sorted(set(source_sites)),
        "sites": sorted(set(sites)),
        "subjects": list(subjects),
        "unsplit": unsplit,
        "described": layout.fingerprint,
    }
    parameters |= {key: choice for key, choice in choices.items() if choice}
    if unsplit:
        del parameters["split"]
    description = _description(archive, name, layout)
    announce(f"{description['title']}\nLicence: {description['licence']}\nCite: {description['citation']}")
    if not dry_run:
        claim_folder(out, parameters)

    copies = Counter(files.subject for files in found)
    single = [files for files in found if copies[files.subject] == 1]
    work, title = (_check_subject, "Checking") if dry_run else (_prepare_subject, "Preparing")
    arguments = [(files, layout, out, float(spacing), shape) for files in single]
    records = run_side_by_side(work, arguments, jobs, f"{title} {out.name}")
    problems = [
        {"subject": subject, "reason": f"duplicate subject: found {number} times in the archive"}
        for subject, number in copies.items()
        if number > 1
    ] + [record for record in records if "reason" in record]
    # runs end in any order; the archive's own order is kept
    whole = {record["subject"]: record["files"] for record in records if "files" in record}
    sound = [files for files in single if files.subject in whole]
    problems.sort(key=lambda problem: [files.subject for files in found].index(problem["subject"]))
    try:
        parts = _unsplit(sound, unsplit) if unsplit else _split_by_patient(sound, split, seed, source_sites)
    except ValueError as error:
        raise ValueError("; ".join([str(error), *map(describe_problem, problems)])) from error
    manifest = {
        "format": 1,
        "name": out.name,
        **description,
        "modalities": list(layout.modalities),
        "label_table": {str(value): name for value, name in layout.label_table.items()},
        "targets": layout.targets,
        "spacing": [float(spacing)] * 3,
        "shape": list(shape),
        "orientation": "RAS",
        "orientation_in_header": layout.orientation_in_header,
        "sites": {files.subject: files.site for files in sound},
        "subjects": {files.subject: {"site": files.site, "files": whole[files.subject]} for files in sound},
        "split": parts,
        "parameters": parameters,
        "problems": problems,
        "left_out": [files.subject for files in everyone if files.is_test],
    }
    if not dry_run:
        write_json(out / "manifest.json", manifest)
    return manifest


def describe_problem(problem: Mapping[str, str]) -> str:
    """Name the subject that was skipped and the reason."""
    return f"{problem['subject']}: {problem['reason']}"


def _select(found: Sequence[SubjectFiles], sites: Sequence[str], subjects: Sequence[str]) -> list[SubjectFiles]:
    """Keep the subjects of some sites, then those that are named or the first ones.

    Raises:
        ValueError: if a site or a name is unknown, or nothing is left.
    """
    for kind, wanted, known in (
        ("sites", sites, {files.site for files in found}),
        ("subjects", [] if _is_count(subjects) else subjects, {files.subject for files in found}),
    ):
        unknown = [wanted] if isinstance(wanted, str) else sorted(set(wanted) - known)
        if unknown:
            some = ", ".join(sorted(known)[:20])
            raise ValueError(f"{kind} must be a list of those in the archive ({some}), got {', '.join(unknown)}")
    chosen = [files for files in found if not sites or files.site in sites]
    if _is_count(subjects):
        chosen = chosen[: int(subjects[0])]
    elif subjects:
        chosen = [files for files in chosen if files.subject in subjects]
    if not chosen:
        raise ValueError("no labelled subject of the archive is left to prepare; choose other sites or subjects")
    return chosen


def _is_count(subjects: Sequence[str]) -> bool:
    return not isinstance(subjects, str) and len(subjects) == 1 and str(subjects[0]).isdecimal()


def _split_by_patient(
    sound: Sequence[SubjectFiles], split: Sequence[int], seed: int, source_sites: Sequence[str]
) -> dict[str, list[str]]:
    """Deal the patients out and give each part all scans of its patients."""
    scans: dict[str, list[SubjectFiles]] = {}
    for files in sound:
        scans.setdefault(files.patient or files.subject, []).append(files)
    sites = {patient: several[0].site for patient, several in scans.items()}
    parts = split_by_site(sites, split, seed, source_sites)
    return {part: [files.subject for patient in dealt for files in scans[patient]] for part, dealt in parts.items()}


def _unsplit(sound: Sequence[SubjectFiles], chosen: str) -> dict[str, list[str]]:
    if not sound:
        raise ValueError("no subject is sound")
    return {part: [files.subject for files in sound] if part == chosen else [] for part in PARTS}


def _named(layout: str | Layout, archive: Path, names: Sequence[str]) -> tuple[str, Layout]:
    """Return a layout and its name; that of a description has none but "own"."""
    if isinstance(layout, Layout):
        return "own", layout
    name = detect_layout(archive, names) if layout == "auto" else layout
    if name not in LAYOUTS:
        raise ValueError(f"layout must be auto or one of {', '.join(LAYOUTS)}, got {name!r}")
    return name, LAYOUTS[name]


def _description(archive: Path, layout_name: str, layout: Layout) -> dict[str, Any]:
    """Say what the data are; an archive that was simulated says so in its own manifest."""
    own = read_json(archive / "manifest.json") if (archive / "manifest.json").is_file() else {}
    if own.get("simulated"):
        title = layout.title if layout.fingerprint else f"Simulated patients in the layout of {layout.title}"
        return {
            "title": title,
            "layout": layout_name,
            "simulated": True,
            "licence": own["licence"],
            "citation": own["citation"],
        }
    return {
        "title": layout.title_of(archive) if layout.title_of else layout.title,
        "layout": layout_name,
        "simulated": False,
        "licence": layout.licence,
        "citation": layout.citation,
    }


def _boxed(
    files: SubjectFiles, layout: Layout, spacing: float, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return a subject's z-scored images, its labels, its brain and its affine; SubjectError if it is not sound."""
    images, labels, affine = read_subject(files, layout)
    images, labels, brain, affine = to_box(images, labels, affine, layout, spacing, shape)
    return z_scores(images, brain, layout.modalities), labels, brain, affine


def _check_subject(
    files: SubjectFiles, layout: Layout, out: Path, spacing: float, shape: tuple[int, int, int]
) -> dict[str, Any]:
    """Do all that preparing does, except writing."""
    try:
        _boxed(files, layout, spacing, shape)
    except SubjectError as error:
        return {"subject": files.subject, "reason": str(error)}
    return {"subject": files.subject, "files": {}}


def _prepare_subject(
    files: SubjectFiles, layout: Layout, out: Path, spacing: float, shape: tuple[int, int, int]
) -> dict[str, Any]:
    """Prepare one subject and return where its files lie, or the reason why it was skipped."""
    modalities = layout.modalities
    subject, target = files.subject, out / files.subject
    try:
        check_files(files)
        if not _is_current(target, files):
            scores, labels, brain, affine = _boxed(files, layout, spacing, shape)
            with whole_folder(target) as folder:
                for modality, voxels in zip(modalities, scores, strict=True):
                    save_volume(folder / f"{subject}_{modality.lower()}.nii.gz", voxels, affine)
                save_volume(folder / f"{subject}_label.nii.gz", labels, affine)
                save_volume(folder / f"{subject}_brain.nii.gz", brain.astype(np.uint8), affine)
                write_json(folder / "sources.json", _hashes(files))
    except SubjectError as error:
        # what an earlier call made of files that have since been damaged is no longer true
        shutil.rmtree(target, ignore_errors=True)
        return {"subject": subject, "reason": str(error)}
    kinds = {modality: modality.lower() for modality in modalities}
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
    return record.is_file() and read_json(record) == _hashes(files)


def _hashes(files: SubjectFiles) -> dict[str, str]:
    """Return the hash of each file by its place in the archive's folder of the subject."""
    # images and labels of one subject may have one name in two folders
    volumes = [*files.images.values(), files.label]
    names = Counter(path.name for path in set(volumes))
    return {
        (part.name if names[path.name] == 1 else f"{part.parent.name}/{part.name}"): sha256_of_file(part)
        for path in dict.fromkeys(volumes)
        for part in files_of(path)
    }
