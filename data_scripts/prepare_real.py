"""Prepare the real patients of the published experiment: three data sets, and the splits of its plan.

Usage: python -m data_scripts.prepare_real --archives FOLDER

FOLDER holds ``tcga_lgg_kaggle3m`` (88 lower-grade gliomas, Buda et al., averaged to 128 x 128),
``brats2013_deepmedic`` (6 high-grade gliomas) and ``msd_hippocampus`` (260 hippocampi), each with its
``dataset.yaml``. What is prepared already is not prepared again.

The 88 gliomas are split once. 16 patients, of the sites DU and CS, are for development: rates and pairs are chosen on
them. Of the other 72, 24 train source networks and are shared by both, 14 are the pool of target patients, 4 validate
and 30 are tested on. Across sites, all of DU train the source, and HT is the target's: it is tested on HT patients that
are tested on nowhere else. Of the six high-grade gliomas each is tested on once, and another one validates.

Two warnings. The voxel size of the lower-grade gliomas is lost: no distance in mm means anything there. They are whole
heads, and the high-grade gliomas are brains without a skull: between them lie a hospital, a grade and that.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_scripts.archives.dealing import deal_anew
from data_scripts.archives.own_layout import DESCRIPTION_FILE, own_layout, read_description
from data_scripts.archives.prepare import describe_problem, prepare
from riskmap.data.cohort import Cohort
from riskmap.project.commands import exit_status, positive, run_command
from riskmap.project.paths import resolve
from riskmap.project.writing import require_writable

LGG, BRATS, HIPPOCAMPUS = "tcga_lgg_kaggle3m", "brats2013_deepmedic", "msd_hippocampus"
# voxel size and box in mm, and how many patients there are; LGG's headers have lost theirs and say 1
_SETS = {
    BRATS: (2.0, (256.0, 256.0, 176.0), 6),
    HIPPOCAMPUS: (1.0, (48.0, 64.0, 48.0), 260),
    LGG: (1.0, (128.0, 128.0, 88.0), 88),
}
_SEED = 2026
_DEVELOPMENT_SITES = ("CS", "DU")
_SIZES = {"source_train": 20, "source_val": 4, "target_train": 14, "target_val": 4, "target_test": 30}
_DEVELOPMENT = {"target_train": 6, "target_val": 10}
_SITES = {"source_train": 36, "source_val": 5, "target_train": 11, "target_val": 3, "target_test": 16}


def prepare_real(archives: Path, prepared: Path, jobs: int = 2) -> list[Path]:
    """Prepare the three data sets and deal their patients out; return the folders of the cohorts.

    Raises:
        ValueError: a data set is missing or has not the patients that the plan deals out.
    """
    for name in _SETS:
        if not (archives / name / DESCRIPTION_FILE).is_file():
            raise ValueError(f"no {DESCRIPTION_FILE} in {archives / name}; --archives must hold {', '.join(_SETS)}")
    folders = {name: _prepared(archives / name, prepared / name, jobs) for name in _SETS}
    splits = split_lgg(Cohort.open(folders[LGG]).sites)
    made = [deal_anew(folders[LGG], prepared / name, split) for name, split in splits.items()]
    source = {part: patients for part, patients in splits["lgg"].items() if part.startswith("source")}
    patients = sorted(Cohort.open(folders[BRATS]).subjects)
    for index, patient in enumerate(patients):
        others = [*patients[index + 1 :], *patients[:index]]
        split = {**source, "target_train": others[1:], "target_val": others[:1], "target_test": [patient]}
        made.append(deal_anew(folders[BRATS], prepared / f"lgg_brats2013_{index}", split, source=folders[LGG]))
    return [*made, folders[HIPPOCAMPUS]]


def _prepared(archive: Path, folder: Path, jobs: int) -> Path:
    """Prepare a data set, or go on with it, and check that it is whole."""
    spacing, box, count = _SETS[archive.name]
    layout = own_layout(read_description(archive / DESCRIPTION_FILE))
    manifest = prepare(archive, folder, layout, jobs=jobs, spacing=spacing, box=box)
    if len(manifest["subjects"]) != count:
        skipped = "".join(f"; {describe_problem(problem)}" for problem in manifest["problems"])
        raise ValueError(
            f"{archive} has {len(manifest['subjects'])} sound patients, and {count} are dealt out{skipped}"
        )
    return folder


def split_lgg(sites: Mapping[str, str]) -> dict[str, dict[str, list[str]]]:
    """Return the splits of the 88 lower-grade gliomas by the name of their cohort.

    Args:
        sites: subject to site.

    Raises:
        ValueError: there are fewer patients than are dealt out.
    """
    shuffled = [str(subject) for subject in np.random.default_rng(_SEED).permutation(sorted(sites))]
    of_sites = [subject for subject in shuffled if sites[subject] in _DEVELOPMENT_SITES]
    for_choices = of_sites[: sum(_DEVELOPMENT.values())]
    published = _dealt([subject for subject in shuffled if subject not in for_choices], _SIZES)
    source = {part: published[part] for part in ("source_train", "source_val")}
    by_site = {site: [subject for subject in shuffled if sites[subject] == site] for site in ("DU", "HT")}
    # those that are tested on elsewhere come first, into the pool
    of_target = sorted(by_site["HT"], key=lambda subject: subject not in published["target_test"])
    of_source, of_target_parts = (
        {part: size for part, size in _SITES.items() if part.startswith(side)} for side in ("source", "target")
    )
    return {
        "lgg_dev": {**source, **_dealt(for_choices, _DEVELOPMENT)},
        "lgg": published,
        "lgg_sites": {**_dealt(by_site["DU"], of_source), **_dealt(of_target, of_target_parts)},
    }


def _dealt(subjects: Sequence[str], sizes: Mapping[str, int]) -> dict[str, list[str]]:
    if len(subjects) != sum(sizes.values()):
        raise ValueError(f"{len(subjects)} patients cannot be dealt out as {dict(sizes)}; is the data set whole?")
    ends = np.cumsum(list(sizes.values())).tolist()
    return {part: list(subjects[end - size : end]) for (part, size), end in zip(sizes.items(), ends, strict=True)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m data_scripts.prepare_real",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--archives", type=Path, required=True, help=f"holds {', '.join(_SETS)}")
    parser.add_argument("--out", default="build/data/prepared", help="folder of the prepared cohorts")
    parser.add_argument("--jobs", type=positive, default=2, help="processes side by side")
    options = parser.parse_args(argv)

    def work() -> int:
        require_writable({"--out": resolve(options.out)})
        for folder in prepare_real(options.archives, resolve(options.out), options.jobs):
            cohort = Cohort.open(folder)
            print(f"{folder}: {', '.join(f'{part} {len(each)}' for part, each in cohort.split.items())}")
        return 0

    return exit_status(work, "the same command goes on where it stopped")


if __name__ == "__main__":
    run_command(main)
