"""Turn an archive, simulated or real, into prepared volumes and one manifest that ``riskmap.data.cohort`` reads."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data_scripts.archives.layout import Layout, SubjectFiles
from data_scripts.archives.layouts import choose_layout
from data_scripts.archives.preparation import Preparation
from data_scripts.archives.subject import Outcome, check_subject, prepare_subject
from riskmap.data.cohort import FORMAT
from riskmap.project.files import read_json, write_json
from riskmap.project.folders import claim_folder
from riskmap.project.workers import run_side_by_side


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

    Per subject: check; turn to RAS; resample to ``spacing`` (linear; labels by linear weights of each value, so that
    they do not shift against the images); crop or pad to ``box``, centred on the brain (any sequence non-zero); z-score
    each sequence inside the brain, exactly 0 outside.

    Args:
        archive: folder of the archive.
        out: folder of the prepared form.
        layout: "auto", a name in ``LAYOUTS``, or a layout of the reader's own.
        jobs: processes side by side, >= 1.
        dry_run: read and check every subject, and write nothing.
        announce: is told licence and citation before the work begins.
        choices: those of :class:`data_scripts.archives.preparation.Preparation`, such as ``spacing``.

    Returns:
        The manifest; its "problems" list the subjects that were skipped, with the reason, and its "left_out" those
        whose labels the data set keeps to itself. In a dry run its subjects have no files.

    Raises:
        ValueError: if an argument is out of range, no layout fits, ``out`` was begun with other parameters, fewer
            subjects are sound than there are parts, or ``source_sites`` leave too few to the source or the target.
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
    if dry_run:
        outcomes = _work_on(chosen, partial(check_subject, layout, preparation), jobs, f"Checking {out.name}")
    else:
        claim_folder(out, preparation.parameters(layout))
        outcomes = _work_on(chosen, partial(prepare_subject, out, layout, preparation), jobs, f"Preparing {out.name}")
    manifest = {
        "format": FORMAT,
        "name": out.name,
        **description,
        **_describe_volumes(layout, preparation),
        **_describe_subjects(chosen, outcomes, layout, preparation),
        "left_out": [files.subject for files in found if files.is_test],
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


def _work_on(
    chosen: Sequence[SubjectFiles], work: Callable[[SubjectFiles], Outcome], jobs: int, title: str
) -> list[Outcome]:
    """Work on each subject, side by side; every copy of one that is there more than once is skipped.

    Returns:
        One outcome per name, in the archive's order; the work itself ends in any order.
    """
    copies = Counter(files.subject for files in chosen)
    outcomes = {
        subject: Outcome(subject, reason=f"duplicate subject: found {number} times in the archive")
        for subject, number in copies.items()
        if number > 1
    }
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
        "spacing": [float(preparation.spacing)] * 3,
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
    problems = [{"subject": outcome.subject, "reason": outcome.reason} for outcome in outcomes if outcome.reason]
    volumes = {outcome.subject: outcome.files for outcome in outcomes if not outcome.reason}
    sound = [files for files in chosen if files.subject in volumes]
    try:
        parts = preparation.deal_out(sound)
    except ValueError as error:
        raise ValueError("; ".join([str(error), *map(describe_problem, problems)])) from error
    return {
        "sites": {files.subject: files.site for files in sound},
        "subjects": {files.subject: {"site": files.site, "files": volumes[files.subject]} for files in sound},
        "split": parts,
        "parameters": preparation.parameters(layout),
        "problems": problems,
    }
