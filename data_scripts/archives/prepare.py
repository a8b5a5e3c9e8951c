"""Turn an archive, simulated or real, into prepared volumes and one manifest that ``riskmap.data.cohort`` reads."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from data_scripts.archives.geometry import box_around
from data_scripts.archives.layout import VOLUME, Layout, SubjectFiles, matching
from data_scripts.archives.layouts import choose_layout
from data_scripts.archives.preparation import NATIVE, Preparation
from data_scripts.archives.subject import Outcome, check_subject, measure_subject, prepare_subject
from riskmap.data.cohort import FORMAT
from riskmap.project.files import read_json, write_json
from riskmap.project.folders import PARAMETERS_FILE, claim_folder
from riskmap.project.workers import run_side_by_side

# files of a prepared folder, which a subject's folder must not hide
_RESERVED = ("manifest.json", PARAMETERS_FILE)
# a label value in more of the subjects than these is no damage
_DAMAGED_SHARE = 0.1


def prepare(
    archive: str | Path,
    out: str | Path,
    layout: str | Layout = "auto",
    *,
    jobs: int = 2,
    dry_run: bool = False,
    announce: Callable[[str], None] = lambda terms: None,
    **choices: Any,
) -> dict[str, Any]:
    """Prepare every sound subject of an archive; a second call goes on where the first one stopped.

    Per subject: check; turn to RAS; find the brain (no background in any sequence, holes filled, and all that has a
    label); resample to ``spacing`` (linear; labels by linear weights of each value, so that they do not shift against
    the images); crop or pad to ``box``, centred on the brain; z-score each sequence inside the brain, exactly 0
    outside.

    Args:
        archive: folder of the archive.
        out: folder of the prepared form.
        layout: "auto", a name in ``LAYOUTS``, or a layout of the reader's own.
        jobs: processes side by side, >= 1.
        dry_run: read and check every subject, and write nothing.
        announce: is told licence and citation before the work begins.
        choices: those of :class:`data_scripts.archives.preparation.Preparation`, such as ``spacing``.

    Returns:
        The manifest; its "problems" list the subjects that were skipped, with the reason, its "notes" what was found
        and kept, its "passed_over" what was probably meant and not read, and its "left_out" the subjects whose labels
        the data set keeps to itself. In a dry run its subjects have no files.

    Raises:
        ValueError: if an argument is out of range, no layout fits, ``out`` was begun with other parameters, fewer
            subjects are sound than there are parts, ``source_sites`` leave too few to the source or the target, or a
            label value that the layout does not know is in many subjects.
    """
    archive, out = Path(archive), Path(out)
    preparation = Preparation(**choices)
    layout = choose_layout(archive, layout)
    found = _find(archive, layout)
    chosen = preparation.select([files for files in found if not files.is_test])
    if preparation.source_sites:
        # told before anything is prepared or written; what turns out unsound may still lack afterwards
        preparation.deal_out(chosen)
    description = _describe_archive(archive, layout)
    announce(f"{description['title']}\nLicence: {description['licence']}\nCite: {description['citation']}")
    preparation = _fitted(preparation, layout, chosen, jobs)
    if dry_run:
        outcomes = _work_on(chosen, partial(check_subject, layout, preparation), jobs, f"Checking {out.name}")
    else:
        claim_folder(out, preparation.parameters(layout))
        outcomes = _work_on(chosen, partial(prepare_subject, out, layout, preparation), jobs, f"Preparing {out.name}")
    _refuse_other_release(outcomes, layout)
    manifest = {
        "format": FORMAT,
        "name": out.name,
        **description,
        **_describe_volumes(layout, preparation),
        **_describe_subjects(chosen, outcomes, layout, preparation),
        "left_out": [files.subject for files in found if files.is_test],
        "passed_over": layout.passed_over(archive) if layout.passed_over else _elsewhere(archive, found),
    }
    if not dry_run:
        write_json(out / "manifest.json", manifest)
    return manifest


def describe_problem(problem: Mapping[str, str]) -> str:
    """Name the subject that was skipped and the reason.

    >>> describe_problem({"subject": "P01", "reason": "missing label"})
    'P01: missing label'
    """
    return f"{problem['subject']}: {problem['reason']}"


def _find(archive: Path, layout: Layout) -> list[SubjectFiles]:
    """List the subjects of an archive; ValueError if it holds none."""
    found = layout.find(archive)
    if not found:
        raise ValueError(f"archive {archive} holds no subject in the layout {layout.name}")
    return found


def _elsewhere(archive: Path, found: Sequence[SubjectFiles]) -> list[str]:
    """Say which folders hold volumes and belong to no subject that was found: their names may be misspelled."""
    known = {path.parent for files in found for path in (*files.images.values(), files.label)}
    others = sorted({path.parent for path in matching(archive, VOLUME)} - known)
    if not others:
        return []
    names = ", ".join(folder.relative_to(archive).as_posix() for folder in others[:10])
    return [f"{len(others)} folders hold volumes and are no subject of this layout: {names}"]


def _fitted(preparation: Preparation, layout: Layout, chosen: Sequence[SubjectFiles], jobs: int) -> Preparation:
    """Choose the box and the voxel size where they are left to the data.

    Raises:
        ValueError: no subject can be measured; the message says why.
    """
    if preparation.box is None and layout.box is not None and preparation.spacing != NATIVE:
        preparation = replace(preparation, box=box_around([layout.box], preparation.voxel, margin=0))
    if not preparation.needs_sizes:
        return preparation
    measured = run_side_by_side(partial(measure_subject, layout), [(files,) for files in chosen], jobs, "Measuring")
    sizes = [size for size in measured if not isinstance(size, Outcome)]
    if not sizes:
        raise ValueError("; ".join(["no subject is sound", *map(describe_problem, _problems(measured))]))
    return preparation.fitted([size.voxel for size in sizes], [size.brain for size in sizes])


def _problems(outcomes: Iterable[Outcome]) -> list[dict[str, str]]:
    return [{"subject": outcome.subject, "reason": outcome.reason} for outcome in outcomes if outcome.reason]


def _refuse_other_release(outcomes: Sequence[Outcome], layout: Layout) -> None:
    """Raise ValueError if a label value that the layout does not know is in many subjects.

    One such subject is damaged. Many are another release of the data, and those without the value would be a biased
    choice of its patients.
    """
    holders = Counter(value for outcome in outcomes for value in outcome.unknown_labels)
    for value, count in holders.most_common(1):
        if count > max(1, _DAMAGED_SHARE * len(outcomes)):
            known = ", ".join(f"{number} {name}" for number, name in layout.label_table.items())
            raise ValueError(
                f"label value {value} is in {count} of {len(outcomes)} subjects, and {layout.title} does not know it "
                f"(known are {known}): this is another release, or the description lacks a value. Without these "
                "subjects the rest would be a biased choice, so nothing is prepared"
            )


def _work_on(
    chosen: Sequence[SubjectFiles], work: Callable[[SubjectFiles], Outcome], jobs: int, title: str
) -> list[Outcome]:
    """Work on each subject, side by side; every copy of one that is there more than once is skipped.

    Returns:
        One outcome per name, in the archive's order; the work itself ends in any order.
    """
    copies = Counter(files.subject for files in chosen)
    spellings = Counter(subject.casefold() for subject in copies)
    outcomes = {}
    for subject, number in copies.items():
        if number > 1:
            reason = f"duplicate subject: found {number} times in the archive"
        elif spellings[subject.casefold()] > 1:
            # many disks keep both in one folder
            reason = "another subject's name differs in capitals alone"
        elif subject in _RESERVED or not subject.isprintable():
            reason = f"a subject cannot be called {subject!r} in the prepared form"
        else:
            continue
        outcomes[subject] = Outcome(subject, reason=reason)
    single = [(files,) for files in chosen if files.subject not in outcomes]
    outcomes |= {outcome.subject: outcome for outcome in run_side_by_side(work, single, jobs, title)}
    return [outcomes[subject] for subject in copies]


def _describe_archive(archive: Path, layout: Layout) -> dict[str, Any]:
    """Say what the data are; an archive that was simulated says so in its own manifest."""
    own = read_json(archive / "manifest.json") if (archive / "manifest.json").is_file() else {}
    if own.get("simulated"):
        title = layout.title if layout.fingerprint else f"Simulated patients in the layout of {layout.title}"
        return {
            "title": title,
            "layout": layout.name,
            "simulated": True,
            "licence": own["licence"],
            "citation": own["citation"],
        }
    return {
        "title": layout.title_of(archive) if layout.title_of else layout.title,
        "layout": layout.name,
        "simulated": False,
        "licence": layout.licence,
        "citation": layout.citation,
    }


def _describe_volumes(layout: Layout, preparation: Preparation) -> dict[str, Any]:
    """Say what every subject's volumes are."""
    return {
        "modalities": list(layout.modalities),
        "label_table": {str(value): name for value, name in layout.label_table.items()},
        "targets": layout.targets,
        "spacing": list(preparation.voxel),
        "shape": list(preparation.shape),
        "orientation": "RAS",
        "orientation_in_header": layout.orientation_in_header,
    }


def _describe_subjects(
    chosen: Sequence[SubjectFiles], outcomes: Sequence[Outcome], layout: Layout, preparation: Preparation
) -> dict[str, Any]:
    """Say who is sound, in which part, and who was skipped for what reason.

    Raises:
        ValueError: if the sound subjects are too few to be dealt out; the message lists the problems.
    """
    problems = _problems(outcomes)
    volumes = {outcome.subject: outcome.files for outcome in outcomes if not outcome.reason}
    sound = [files for files in chosen if files.subject in volumes]
    try:
        parts = preparation.deal_out(sound)
    except ValueError as error:
        raise ValueError("; ".join([str(error), *map(describe_problem, problems)])) from error
    return {
        "sites": {files.subject: files.site for files in sound},
        "subjects": {files.subject: _entry(files, volumes[files.subject]) for files in sound},
        "split": parts,
        "parameters": preparation.parameters(layout),
        "problems": problems,
        "notes": [{"subject": outcome.subject, "note": note} for outcome in outcomes for note in outcome.notes],
    }


def _entry(files: SubjectFiles, volumes: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Say what is kept of a subject; whose scan it is, where a patient may have several."""
    patient = {"patient": files.patient} if files.patient not in ("", files.subject) else {}
    return {"site": files.site, **patient, "files": volumes}
