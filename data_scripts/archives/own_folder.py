"""What the page on a reader's own data begins with: a folder of NIfTI files and its description."""

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from data_scripts.archives.own_layout import DESCRIPTION_FILE, Description, own_layout, read_description
from data_scripts.archives.prepare import prepare
from riskmap.data.cohort import Cohort
from riskmap.data.simulated import DEFAULT_COHORTS, ensure_archive, ensure_cohort
from riskmap.project.paths import PROJECT_ROOT, resolve

# describes what simulate_fets2021 writes, and is the example for the reader's own
EXAMPLE = PROJECT_ROOT / "notebooks" / "own_data.yaml"
# describes the real patient that page 6 looks at
KNOWN_SCAN = PROJECT_ROOT / "notebooks" / "real_scan.yaml"


def own_folder(folder: str | Path, cohort: str, data_dir: str | Path) -> tuple[Path, Description]:
    """Return a folder of NIfTI files and what it holds.

    Args:
        folder: the reader's own, with a ``dataset.yaml`` in it; relative to the project's root. Empty: that of
            a cohort.
        cohort: of a default glioma cohort the simulated archive is taken, of any other its prepared volumes, which are
            a folder of NIfTI files as well.
        data_dir: the folder of archives and prepared cohorts.

    Raises:
        ValueError: the folder has no description, or there is no such cohort.
    """
    if folder:
        return resolve(folder), read_description(resolve(folder) / DESCRIPTION_FILE)
    recipe = DEFAULT_COHORTS.get(cohort)
    if recipe is not None and recipe.simulator == "simulate_fets2021":
        return ensure_archive(cohort, data_dir), read_description(EXAMPLE)
    prepared = ensure_cohort(cohort, data_dir)
    return prepared, describe_cohort(Cohort.open(prepared))


def describe_cohort(cohort: Cohort) -> Description:
    """Return the description of a prepared cohort's own files."""
    return Description(
        title=cohort.title,
        licence=cohort.licence,
        citation=cohort.citation,
        images={name: f"{{subject}}/{{subject}}_{name.lower()}.nii.gz" for name in cohort.modalities},
        label="{subject}/{subject}_label.nii.gz",
        label_values=cohort.label_table,
        targets={
            name: {
                title: [value for value, index in target.values.items() if index == place]
                for place, title in enumerate(target.classes[1:], 1)
            }
            for name, target in cohort.targets.items()
        },
    )


def show_description(description: Description) -> str:
    """Return a description as the YAML that a reader would write: a line per image, lists within a line."""
    content = description.model_dump(exclude_defaults=True)
    within = ("label_values", "targets", "sites")
    return "".join(
        yaml.safe_dump(
            {name: value},
            default_flow_style=None if name in within else False,
            sort_keys=False,
            allow_unicode=True,
            width=100,
        )
        for name, value in content.items()
    )


def check_own(archive: Path, description: Description, **options: Any) -> tuple[int, pd.DataFrame]:
    """Read and check every subject of a described folder, and write nothing.

    Args:
        archive: the folder.
        description: what it holds.
        options: of :func:`data_scripts.archives.prepare.prepare`.

    Returns:
        How many subjects are sound, and a table of the others with the reason why each would be skipped.
    """
    checked = prepare(archive, archive / "checked", own_layout(description), dry_run=True, **options)
    return len(checked["subjects"]), pd.DataFrame(checked["problems"], columns=["subject", "reason"])


def prepare_own(archive: Path, description: Description, data_dir: str | Path, **options: Any) -> Cohort:
    """Prepare a described folder below ``data_dir``, and open it; what is there already is kept.

    Args:
        archive: the folder.
        description: what it holds.
        data_dir: the prepared form is ``<data_dir>/prepared/own_<folder>_<spacing>mm``.
        options: of :func:`data_scripts.archives.prepare.prepare`.
    """
    out = resolve(data_dir) / "prepared" / f"own_{archive.name}_{options.get('spacing', 2.0):g}mm"
    prepare(archive, out, own_layout(description), **options)
    return Cohort.open(out)


def prepare_scan(folder: str | Path, data_dir: str | Path, **options: Any) -> Cohort | None:
    """Prepare a real patient that is looked at and not trained on, and open it; None where the folder is not there.

    Args:
        folder: of the patient; without a description in it, it is taken for the case that page 6 knows.
        data_dir: as for :func:`prepare_own`.
        options: of :func:`data_scripts.archives.prepare.prepare`.
    """
    archive = resolve(folder)
    if not archive.is_dir():
        return None
    own = archive / DESCRIPTION_FILE
    description = read_description(own if own.is_file() else KNOWN_SCAN)
    return prepare_own(archive, description, data_dir, unsplit="target_train", **options)
