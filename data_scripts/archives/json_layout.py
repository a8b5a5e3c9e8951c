"""nnU-Net's raw folders and the tasks of the Medical Segmentation Decathlon, both described by a ``dataset.json``.

Isensee et al., "nnU-Net", Nature Methods 18:203-211, 2021 (versions 1 and 2 of its format); Antonelli et al., "The
Medical Segmentation Decathlon", Nature Communications 13:4128, 2022.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from data_scripts.archives.layout import Layout, SubjectFiles, by_number, matching, patient_of
from data_scripts.archives.own_layout import check_name
from riskmap.data.cohort import Task
from riskmap.project.files import digest_of, read_json

DATASET_FILE = "dataset.json"
_ENDINGS = (".nii.gz", ".nii")
# every label at once, each a class of its own
_ALL = "ALL"


@dataclass(frozen=True)
class _Dataset:
    """What a ``dataset.json`` tells.

    Args:
        modalities: channels in their order.
        regions: label to its values: one, or several that make a region.
        targets: what can be segmented, as a manifest writes it.
        ending: of the files of volumes.
    """

    modalities: tuple[str, ...]
    regions: dict[str, tuple[int, ...]]
    targets: dict[str, dict[str, Any]]
    ending: str


def find_dataset(archive: Path) -> Path | None:
    """Return the ``dataset.json`` of a folder or of the one folder in it that has one; None where there is none.

    Raises:
        ValueError: there are several.
    """
    found = [path for path in matching(archive, re.escape(DATASET_FILE)) if (path.parent / "labelsTr").is_dir()]
    if len(found) > 1:
        names = ", ".join(path.parent.relative_to(archive).as_posix() for path in found)
        raise ValueError(f"{archive} holds several data sets ({names}); give the folder of one")
    return found[0] if found else None


def json_layout(path: Path) -> Layout:
    """Return the layout that a ``dataset.json`` describes; targets are its labels, and ALL where there are several.

    Raises:
        ValueError: an entry is missing or cannot be used; the message names the file and the entry.
    """
    content = read_json(path)
    try:
        dataset = _read(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    values = {value: name for name, several in dataset.regions.items() if len(several) == 1 for value in several}
    told = {name: str(content.get(name) or "").strip() for name in ("name", "description", "licence", "reference")}
    return Layout(
        name="nnunet",
        title=" - ".join(filter(None, (told["name"] or path.parent.name, told["description"]))),
        find=partial(_find, root=path.parent, dataset=dataset),
        modalities=dataset.modalities,
        label_table={0: "background", **dict(sorted(values.items()))},
        targets=dataset.targets,
        orientation_in_header=True,
        licence=told["licence"] or str(content.get("license") or "").strip() or f"not told by {path.name}",
        citation=told["reference"],
        fingerprint=digest_of([dataset.modalities, sorted(dataset.regions.items()), dataset.ending]),
        passed_over=partial(_passed_over, root=path.parent, dataset=dataset),
    )


def _read(content: Any) -> _Dataset:
    channels = _entry(content, "channel_names", "modality")
    labels = _entry(content, "labels")
    if not all(str(place).isdecimal() for place in channels) or sorted(map(int, channels)) != [*range(len(channels))]:
        raise ValueError(f"channels must be numbered from 0, got {', '.join(map(str, channels))}")
    modalities = tuple(_spelled("channel", str(channels[place])) for place in sorted(channels, key=int))
    if len(set(modalities)) < len(modalities):
        raise ValueError(f"channels must have different names, got {', '.join(modalities)}")
    ending = content.get("file_ending", _ENDINGS[0])
    if ending not in _ENDINGS:
        raise ValueError(f"file_ending must be {' or '.join(_ENDINGS)}, got {ending!r}; convert the files to NIfTI")
    regions = _regions(labels)
    return _Dataset(modalities, regions, _targets(regions), ending)


def _entry(content: Any, *names: str) -> dict[str, Any]:
    """Return the entry of the first of these names that is there."""
    given = content if isinstance(content, dict) else {}
    for name in names:
        if isinstance(given.get(name), dict) and given[name]:
            return dict(given[name])
    raise ValueError(f"it must have the entry {' or '.join(names)}, with at least one name in it")


def _regions(labels: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return label to values, background left out: version 1 writes "1": "tumour", version 2 "tumour": 1 or [1, 2]."""
    if all(str(name).isdecimal() for name in labels):
        if len({str(name) for name in labels.values()}) < len(labels):
            raise ValueError(f"labels must have different names, got {labels}")
        labels = {str(name): int(value) for value, name in labels.items()}
    regions = {}
    for name, given in labels.items():
        several = given if isinstance(given, list) else [given]
        if not all(isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255 for value in several):
            raise ValueError(f"labels must be whole numbers of 0..255, got {name!r}: {given!r}")
        if name.lower() == "ignore":
            raise ValueError("labels has an 'ignore' label, which a prepared cohort cannot keep; leave it out")
        if (name.lower() == "background") is not (0 in several) or (0 in several and several != [0]):
            raise ValueError(f"labels must have 0 for the background and for nothing else, got {name!r}: {given!r}")
        if several != [0]:
            regions[name] = tuple(several)
    singles = [several[0] for several in regions.values() if len(several) == 1]
    lacking = sorted({value for several in regions.values() for value in several} - {0, *singles})
    # regions alone, as BraTS is described: each value needs a name of its own
    regions |= {f"value {value}": (value,) for value in lacking}
    if not regions:
        raise ValueError("labels must name at least one label beside the background")
    if len(set(singles)) < len(singles):
        raise ValueError(f"labels must have different values, got {labels}")
    return regions


def _targets(regions: dict[str, tuple[int, ...]]) -> dict[str, dict[str, Any]]:
    targets = {}
    for name, values in regions.items():
        spelled = _spelled("label", name)
        if spelled in targets or (spelled == _ALL and len(regions) > 1):
            raise ValueError(f"labels has two names that are both written {spelled}")
        targets[spelled] = {"title": name, "classes": ["background", name], "values": {str(v): 1 for v in values}}
    singles = {name: values[0] for name, values in regions.items() if len(values) == 1}
    if len(singles) > 1:
        targets[_ALL] = {
            "title": "all labels",
            "classes": ["background", *singles],
            "values": {str(value): index for index, value in enumerate(singles.values(), 1)},
        }
    return targets


def _spelled(kind: str, name: str) -> str:
    """Return a name as tasks spell it: in capitals, with letters, digits and signs that files may have."""
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "_", name.strip()).strip("_")
    spelled = Task.parse(f"{plain}:X").modality if plain else ""
    check_name(kind, spelled)
    return spelled


def _find(archive: Path, root: Path, dataset: _Dataset) -> list[SubjectFiles]:
    """Find every case that has labels or an image; those of ``imagesTs`` have none to train with."""
    labels = _stems(root / "labelsTr", dataset.ending)
    stems = _stems(root / "imagesTr", dataset.ending)
    # a case's own name may end in four digits
    by_channel = not stems & labels
    found = [(case, "imagesTr") for case in {*labels, *_cases(stems, by_channel)}]
    tested = _cases(_stems(root / "imagesTs", dataset.ending), by_channel)
    found += [(case, "imagesTs") for case in tested - {case for case, _ in found}]
    if not found:
        raise ValueError(f"{root} holds no imagesTr/CASE_0000{dataset.ending} and no labelsTr/CASE{dataset.ending}")
    return [
        SubjectFiles(
            archive=archive,
            subject=case,
            label=root / "labelsTr" / f"{case}{dataset.ending}",
            is_test=folder == "imagesTs",
            patient=patient_of(case),
            **_images(root / folder, case, dataset),
        )
        for case, folder in sorted(found, key=lambda each: by_number(each[0]))
    ]


def _images(folder: Path, case: str, dataset: _Dataset) -> dict[str, Any]:
    """Return a case's files by modality: one for each channel, or one of four axes for all, as the Decathlon has it."""
    each = {name: folder / f"{case}_{place:04d}{dataset.ending}" for place, name in enumerate(dataset.modalities)}
    whole = folder / f"{case}{dataset.ending}"
    if any(path.is_file() for path in each.values()) or not whole.is_file():
        return {"images": each}
    channels = {name: place for place, name in enumerate(dataset.modalities)} if len(dataset.modalities) > 1 else {}
    return {"images": dict.fromkeys(dataset.modalities, whole), "channels": channels}


def _cases(stems: set[str], by_channel: bool) -> set[str]:
    """Return whose files of images these are."""
    return {stem[:-5] for stem in stems if re.fullmatch(r".+_\d{4}", stem)} if by_channel else stems


def _stems(folder: Path, ending: str) -> set[str]:
    return {path.name.removesuffix(ending) for path in matching(folder, rf".+{re.escape(ending)}")}


def _passed_over(archive: Path, root: Path, dataset: _Dataset) -> list[str]:
    """Say which files of the folders of images and labels are not read."""
    del archive
    known = {path for files in _find(root, root, dataset) for path in (*files.images.values(), files.label)}
    places = [path for part in ("imagesTr", "labelsTr", "imagesTs") for path in matching(root / part, r".*")]
    others: Sequence[str] = [path.relative_to(root).as_posix() for path in places if path not in known]
    if not others:
        return []
    return [f"{len(others)} files of {root.name} are no {dataset.ending} of a case: {', '.join(others[:10])}"]
