"""The chart of habits: where transfer hurts, and which habits make it hurt. ``python -m riskmap.experiment.habits``.

It is measured on the validation patients of development cohorts; no test patient is looked at. A *gap* is
Dice(scratch) - Dice(transferred), both trained under the same habits, on the same patients, with the same first weights
and batches; above 0 transfer hurts (Wang et al., CVPR 2019). Two questions:

- pairs: under good habits, on which pairs does transfer hurt, with three patients and with one?
- habits: on a few pairs, what does each bad habit do, alone, and what does mending it do where all are bad?

The published pairs are chosen from it (see :mod:`riskmap.experiment.plans`).
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from riskmap.data.cohort import Cohort
from riskmap.data.simulated import ensure_cohort
from riskmap.experiment.plan import Pair
from riskmap.measure.statistics import patient_mean
from riskmap.project.commands import exit_status, positive, run_command
from riskmap.project.environment import require_checkout
from riskmap.project.files import read_json, write_json
from riskmap.project.machine import processor_name, versions
from riskmap.project.paths import PROJECT_ROOT, RESULTS, resolve
from riskmap.project.writing import require_own_copy, require_writable
from riskmap.training.arms import get_arm
from riskmap.training.runs import Run, Wanted, ensure_all
from riskmap.training.specs import Setting, TransferSpec

RECORDS = RESULTS / "habits.json"
_SEEDS = range(4)
_PATIENTS = (3, 1)
_WHOLE_SLICES = 16


@dataclass(frozen=True)
class Habits:
    """How somebody fine-tunes; the defaults are good habits, the recipe of the package.

    Args:
        head: the arm that says how head and body are treated.
        sampling: "patches" around the label, or "whole slices".
        source_steps: training steps of the source network.
        rate: first learning rate.
        steps: training steps on the target.
        patients: target patients.
    """

    head: str = "fine_tune"
    sampling: str = "patches"
    source_steps: int = Setting.source_steps
    rate: float = Setting.learning_rate
    steps: int = Setting.steps
    patients: int = 3

    def spec(self, pair: Pair, cohort: Cohort, arm: str, seed: int) -> TransferSpec:
        """Return a run under these habits, scored on validation patients.

        Args:
            pair: source and target.
            cohort: of the pair.
            arm: "scratch", or any other for a transferred network.
            seed: of patients, first weights and batches.
        """
        setting = Setting(steps=self.steps, learning_rate=self.rate, source_steps=self.source_steps)
        if self.sampling == "whole slices":
            setting = whole_slices(setting, cohort)
        chosen = "scratch" if arm == "scratch" else self.head
        spec = setting.transfer(pair.source, pair.target, get_arm(chosen), self.patients, seed)
        return replace(spec, part="target_val")


def whole_slices(setting: Setting, cohort: Cohort) -> Setting:
    """Return a setting whose networks are trained on whole slices, 16 a step, as they were before they were cut.

    A third of them still hold foreground, as patches do. Volumes do not fit a network at once: their cubes stay.
    """
    if setting.network.spatial_dims == 3:
        return setting
    # a patch as large as a slice; its side can be halved as often as the network does
    factor = 2 ** (len(setting.network.channels) - 1)
    side = -(-max(cohort.shape[:2]) // factor) * factor
    return replace(setting, patches=replace(setting.patches, size=side, per_step=_WHOLE_SLICES))


GOOD = Habits()
BAD = Habits("random_head", "whole slices", source_steps=100, rate=6.0e-4, steps=75, patients=1)
NAMES = tuple(each.name for each in fields(Habits))
# what people do with large networks, under otherwise good habits
OTHERS = {"body at a tenth of the rate": "discriminative_rate", "body frozen": "frozen_body"}


def cells() -> dict[str, Habits]:
    """Return the habits that are compared, by the title of their cell."""
    alone = {f"{name}: bad": replace(GOOD, **{name: getattr(BAD, name)}) for name in NAMES}
    mended = {f"all bad but {name}": replace(BAD, **{name: getattr(GOOD, name)}) for name in NAMES}
    others = {title: replace(GOOD, head=arm) for title, arm in OTHERS.items()}
    return {"all good": GOOD, **alone, **others, "all bad": BAD, **mended}


_DEV, _INFANT, _LGG = "fets2021_dev", "iseg2019_dev", "lgg_dev"
_SIMULATED_PAIRS = (
    Pair(_DEV, "FLAIR:WT", "T1ce:TC"),
    Pair(_DEV, "T2:WT", "T1ce:TC"),
    Pair(_DEV, "T1:WT", "FLAIR:WT"),
    Pair(_DEV, "FLAIR:WT", "T1ce:ET"),
    Pair(_DEV, "T2:WT", "T1ce:ET"),
    Pair(_DEV, "T1:WT", "T1ce:TC"),
    Pair(_DEV, "T1:WT", "T2:WT"),
    Pair(_DEV, "T1ce:ET", "FLAIR:WT"),
    Pair(_DEV, "T1ce:ET", "T2:WT"),
    Pair(_DEV, "T2:WT", "T1:WT"),
    Pair(_DEV, "FLAIR:WT", "T1:WT"),
    Pair(_DEV, "T1ce:TC", "T1:WT"),
    Pair(_INFANT, "T1:TISSUE", "T2:TISSUE"),
    Pair(_INFANT, "T2:TISSUE", "T1:TISSUE"),
)
_REAL_PAIRS = (
    Pair(_LGG, "FLAIR:WT", "T1:WT"),
    Pair(_LGG, "T1:WT", "FLAIR:WT"),
    Pair(_LGG, "T1ce:WT", "T1:WT"),
    Pair(_LGG, "FLAIR:WT", "T1ce:WT"),
)
# habits are charted on the first three
SIMULATED, REAL = ({"pairs": pairs, "habits": pairs[:3]} for pairs in (_SIMULATED_PAIRS, _REAL_PAIRS))


@dataclass(frozen=True)
class Cell:
    """One gap of the chart: the runs whose Dice are compared."""

    question: str
    pair: Pair
    title: str
    habits: Habits

    def wanted(self, cohort: Cohort) -> list[Wanted]:
        """Return the runs from scratch of each seed, then the transferred ones."""
        return [
            (self.habits.spec(self.pair, cohort, arm, seed), cohort)
            for arm in ("scratch", "transferred")
            for seed in _SEEDS
        ]

    def row(self, runs: Sequence[Run], source_dice: float) -> dict[str, Any]:
        """Return what its runs say, in the order of :meth:`wanted`; patients are resampled, seeds averaged first."""
        scratch, transferred = (
            np.mean([_dice(run) for run in part], axis=0) for part in (runs[: len(_SEEDS)], runs[len(_SEEDS) :])
        )
        gap = patient_mean(100 * (scratch - transferred))
        return {
            "question": self.question,
            **{name: getattr(self.pair, name) for name in ("cohort", "source", "target")},
            "cell": self.title,
            "habits": asdict(self.habits),
            "scratch": round(float(scratch.mean()), 4),
            "transferred": round(float(transferred.mean()), 4),
            "gap": [round(value, 2) for value in (gap.mean, gap.low, gap.high)],
            "patients": len(scratch),
            "seeds": len(_SEEDS),
            "source_dice": round(source_dice, 3),
        }


def cells_of(pairs: Mapping[str, Iterable[Pair]]) -> Iterator[Cell]:
    """Yield the cells of both questions."""
    for pair in pairs["pairs"]:
        for patients in _PATIENTS:
            title = f"{patients} patient{'s' if patients > 1 else ''}"
            yield Cell("pairs", pair, title, replace(GOOD, patients=patients))
    for pair in pairs["habits"]:
        for title, habits in cells().items():
            yield Cell("habits", pair, title, habits)


def measure(pairs: Mapping[str, Iterable[Pair]], data_dir: Path, out_dir: Path, jobs: int) -> list[dict[str, Any]]:
    """Make all runs of the chart and return a row per cell; a second call goes on where the first one stopped."""
    chart = list(cells_of(pairs))
    cohorts = {name: Cohort.open(ensure_cohort(name, data_dir)) for name in {cell.pair.cohort for cell in chart}}
    wanted = [cell.wanted(cohorts[cell.pair.cohort]) for cell in chart]
    runs = ensure_all([each for part in wanted for each in part], out_dir, jobs)
    sources = [(part[-1][0].source, part[-1][1]) for part in wanted if isinstance(part[-1][0], TransferSpec)]
    of_sources = ensure_all(sources, out_dir, jobs)
    size = 2 * len(_SEEDS)
    return [
        cell.row(runs[index * size : (index + 1) * size], source.record["results"]["history"]["validation_dice"][-1])
        for index, (cell, source) in enumerate(zip(chart, of_sources, strict=True))
    ]


def keep(rows: Sequence[Mapping[str, Any]], path: Path = RECORDS) -> None:
    """Write rows into the file of records in place of those of the same cohorts."""
    before = read_json(path)["rows"] if path.exists() else []
    cohorts = {row["cohort"] for row in rows}
    kept = [row for row in before if row["cohort"] not in cohorts]
    write_json(path, {"rows": [*kept, *rows], "processor": processor_name(), "versions": versions()})


def _dice(run: Run) -> list[float]:
    """Return the Dice of each patient, classes averaged, in one order for all runs of a cohort."""
    patients = run.record["results"]["patients"]
    return [float(np.mean(patients[patient]["dice"])) for patient in sorted(patients)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the chart of habits and keep its rows."""
    parser = argparse.ArgumentParser(prog="python -m riskmap.experiment.habits", description=main.__doc__)
    parser.add_argument("kind", choices=("simulated", "real"), help="real: after data_scripts.prepare_real")
    parser.add_argument("--data", default="build/data", help="archives and prepared cohorts")
    parser.add_argument("--out", default="build/runs", help="the runs")
    parser.add_argument("--jobs", type=positive, default=2, help="runs side by side")
    options = parser.parse_args(arguments)

    def work() -> int:
        require_checkout(PROJECT_ROOT)
        require_own_copy("riskmap.experiment.habits", RECORDS.parent)
        require_writable({"--out": resolve(options.out)})
        pairs = SIMULATED if options.kind == "simulated" else REAL
        rows = measure(pairs, resolve(options.data), resolve(options.out), options.jobs)
        keep(rows)
        for row in rows:
            print(
                "{cohort} {source} > {target}, {question}, {cell}: {scratch:.3f} {transferred:.3f} {gap}".format(**row)
            )
        return 0

    return exit_status(work, "the next call goes on where it stopped")


if __name__ == "__main__":
    run_command(main)
