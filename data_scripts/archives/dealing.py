"""Deal the patients of prepared cohorts out anew: the same files in another split, and two data sets as one cohort."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from riskmap.data.cohort import FORMAT, PARTS, Cohort
from riskmap.data.volumes import CohortError
from riskmap.project.files import read_json, write_json

Split = Mapping[str, Sequence[str]]


def deal_anew(prepared: Path, out: Path, split: Split, source: Path | None = None) -> Path:
    """Write a cohort that deals the subjects of a prepared one out in another way; no volume is copied.

    The manifest points at the prepared files, so both folders must stay where they are to each other.

    Args:
        prepared: folder of a prepared cohort; it gives the targets and the voxel size.
        out: folder of the new cohort; its manifest is written.
        split: part to subjects; a part that is left out is empty, and subjects in no part are left out.
        source: folder of another prepared cohort, which has the subjects of the source's parts. The new cohort has the
            sequences that both have, and its manifest names the targets that the source's labels mean as well: no
            source is trained on another. Voxel sizes may differ, as the target's alone are measured in mm.

    Returns:
        ``out``.

    Raises:
        CohortError: a volume is missing, or a patient's scans are in two parts; no manifest is left.
        ValueError: an unknown part, a subject that is not there or is dealt out twice, volumes of different shapes, or
            no common sequence.
    """
    unknown_parts = sorted(set(split) - set(PARTS))
    if unknown_parts:
        raise ValueError(f"parts are {', '.join(PARTS)}, got {', '.join(unknown_parts)}")
    manifest, of_source = (read_json((folder or prepared) / "manifest.json") for folder in (prepared, source))
    if manifest["shape"] != of_source["shape"]:
        raise ValueError(f"{source} has volumes of {of_source['shape']} voxels, {prepared} of {manifest['shape']}")
    modalities = [name for name in manifest["modalities"] if name in of_source["modalities"]]
    if not modalities:
        raise ValueError(f"{source} and {prepared} have no sequence in common")
    subjects: dict[str, Any] = {}
    for part in PARTS:
        folder, known = (source or prepared, of_source) if part.startswith("source") else (prepared, manifest)
        for subject in split.get(part, ()):
            if subject not in known["subjects"]:
                raise ValueError(f"no subject {subject!r} in {folder}")
            if subject in subjects:
                raise ValueError(f"{subject} is dealt out twice")
            subjects[subject] = _seen_from(out, folder, known["subjects"][subject], modalities)
    new = {
        "format": FORMAT,
        "name": out.name,
        **_described(manifest, of_source),
        "modalities": modalities,
        "sites": {subject: entry["site"] for subject, entry in subjects.items()},
        "subjects": subjects,
        "split": {part: list(split.get(part, ())) for part in PARTS},
    }
    if source is not None:
        new["source_targets"] = _common_targets(manifest, of_source)
    write_json(out / "manifest.json", new)
    try:
        Cohort.open(out)
    except CohortError:
        (out / "manifest.json").unlink()
        raise
    return out


def _common_targets(target: Mapping[str, Any], source: Mapping[str, Any]) -> list[str]:
    """Return the targets whose classes are the same for every label value that the source's data set has."""
    both = {name: (target["targets"][name]["values"], entry["values"]) for name, entry in source["targets"].items()
            if name in target["targets"]}  # fmt: skip
    values = source["label_table"]
    return [name for name, (one, two) in both.items() if all(one.get(each, 0) == two.get(each, 0) for each in values)]


def _seen_from(out: Path, folder: Path, entry: Mapping[str, Any], modalities: Sequence[str]) -> dict[str, Any]:
    """Return a subject's entry with the paths of its files as they are seen from another folder."""
    files = {
        name: {**record, "path": Path(os.path.relpath(folder / record["path"], out)).as_posix()}
        for name, record in entry["files"].items()
        if name in (*modalities, "label", "brain")
    }
    return {**entry, "files": files}


def _described(target: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a manifest says of the data as a whole, of both data sets where they differ."""
    both = {
        key: target[key] if target[key] == source[key] else f"{target[key]}; source: {source[key]}"
        for key in ("title", "licence", "citation")
    }
    kept = ("label_table", "targets", "spacing", "shape")
    return {**both, "simulated": target["simulated"] or source["simulated"], **{key: target[key] for key in kept}}
