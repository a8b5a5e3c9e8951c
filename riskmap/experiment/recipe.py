"""How the recipe of training was chosen: ``python -m riskmap.experiment.recipe``.

Two figures decide: Dice from scratch, and its standard deviation over first weights and batches at fixed patients. All
runs train on the same patients and are scored on the validation patients of a development cohort; no test patient is
looked at. Real patients are added with ``--cohort NAME --tasks ...``; what was measured of another cohort stays.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from riskmap.data.cohort import Cohort, Task
from riskmap.data.patients import load_patients
from riskmap.data.simulated import ensure_cohort
from riskmap.measure.overlap import score_patients
from riskmap.project.choices import unknown
from riskmap.project.commands import exit_status, positive, run_command
from riskmap.project.environment import require_checkout
from riskmap.project.files import digest_of, read_json, write_json
from riskmap.project.machine import processor_name, versions
from riskmap.project.package import package_code
from riskmap.project.paths import PROJECT_ROOT, RESULTS, resolve
from riskmap.project.workers import run_side_by_side, torch_threads
from riskmap.project.writing import require_own_copy, require_writable
from riskmap.training.arms import get_arm
from riskmap.training.config import PatchConfig, TrainingConfig
from riskmap.training.loop import sampler_of, train
from riskmap.training.making import choose_patients
from riskmap.training.networks import build_network, transfer_network
from riskmap.training.prediction import predict_patients
from riskmap.training.record import computing_versions
from riskmap.training.runs import ensure_run
from riskmap.training.specs import Setting
from riskmap.training.target_data import TargetData

RECORDS = RESULTS / "recipe.json"
_CHOSEN = TrainingConfig()
_SHOTS = 3
_PAIRS = ("T1:WT>FLAIR:WT", "FLAIR:WT>T1ce:TC", "FLAIR:WT>T1ce:ET")


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Args:
        training: its steps, rate and patches.
        arm: of a transferred network, an arm of the package; "scratch" without transfer.
        threads: of torch.
    """

    training: TrainingConfig = field(default_factory=TrainingConfig)
    arm: str = "scratch"
    threads: int = 1


def _cut(**choices: Any) -> TrainingConfig:
    return replace(_CHOSEN, patches=replace(_CHOSEN.patches, **choices))


# a patch as large as a slice is the whole slice: the recipe before, and what it lacks
_WHOLE = PatchConfig(size=112, per_step=16)
FROM_SCRATCH = {
    "chosen": Variant(),
    "whole slices, 16 a step, 200 steps, last weights": Variant(TrainingConfig(200, patches=_WHOLE, averaged=0.0)),
    "48 pixels, 32 a step, 200 steps": Variant(TrainingConfig(200, patches=PatchConfig(size=48, per_step=32))),
    "32 pixels, 32 a step": Variant(_cut(size=32, per_step=32)),
    "last weights": Variant(replace(_CHOSEN, averaged=0.0)),
    "half on the label": Variant(_cut(foreground=1 / 2)),
    "two thirds on the label": Variant(_cut(foreground=2 / 3)),
    "rate 3e-3": Variant(replace(_CHOSEN, learning_rate=3.0e-3)),
    "rate 1e-2": Variant(replace(_CHOSEN, learning_rate=1.0e-2)),
    "half of the steps": Variant(replace(_CHOSEN, steps=_CHOSEN.steps // 2)),
    "twice the steps": Variant(replace(_CHOSEN, steps=2 * _CHOSEN.steps)),
}
HEADS = {"zero head": "fine_tune", "random head": "random_head", "probed first": "linear_probe"}
_MACHINES = {"float32": ("float32", 1), "bfloat16": ("bfloat16", 1), "bfloat16, two threads": ("bfloat16", 2)}


def variants(group: str) -> dict[str, Variant]:
    """Return what a group compares: "scratch", "heads", or "machines", what another processor does to a run.

    Raises:
        KeyError: another group.
    """
    heads = {title: Variant(arm=arm) for title, arm in HEADS.items()}
    machines = {
        f"{arm}, {title}": Variant(replace(_CHOSEN, precision=precision), arm, threads)
        for arm in ("scratch", "fine_tune")
        for title, (precision, threads) in _MACHINES.items()
    }
    return {"scratch": FROM_SCRATCH, "heads": {"scratch": Variant(), **heads}, "machines": machines}[group]


def make_run(
    cohort: Path, source: str, target: str, title: str, variant: Variant, seed: int, out_dir: Path
) -> dict[str, Any]:
    """Train on the first patients of the pool and return the mean Dice of the validation patients, and the cost.

    Args:
        cohort: folder of a prepared cohort.
        source: source task; unused from scratch.
        target: target task.
        title: of the variant.
        variant: how it is trained.
        seed: of the first weights and the batches; the patients stay the same.
        out_dir: holds the source network, and what was measured: a second call reads it.
    """
    opened, task, arm = Cohort.open(cohort), Task.parse(target), get_arm(variant.arm)
    training, num_classes = variant.training.resolved(), opened.targets[task.target].num_classes
    decides = {
        "data": opened.digest,
        "pair": [source, target],
        "training": asdict(training),
        "arm": [arm.name, arm.code],
        "threads": variant.threads,
        "seed": seed,
        "code": package_code(__name__),
        "versions": computing_versions(),
    }
    kept = out_dir / "recipe" / f"{digest_of(decides)}.json"
    if kept.exists():
        return {**read_json(kept), "variant": title}
    of_source = None
    if arm.needs_source:
        of_source = ensure_run(Setting().source(source), opened, out_dir, progress=False).network()
    slices = load_patients(opened, choose_patients(opened, _SHOTS, 0), task, training.spatial_dims)
    with torch_threads(variant.threads):
        started = time.process_time()
        network = build_network(num_classes, seed=seed)
        if of_source is not None:
            network = transfer_network(of_source, num_classes, seed=seed, head=arm.head)
        recipe = arm.recipe(TargetData(slices, num_classes, of_source, seed, training))
        train(network, sampler_of(training, slices, seed), recipe.loss, training, strategy=recipe.strategy)
        predictions = predict_patients(network, opened, opened.part("target_val"), task, training.precision)
        seconds = time.process_time() - started
    scores = score_patients(predictions, opened, task, hausdorff=False)
    dice = float(np.mean([np.mean(score["dice"]) for score in scores.values()]))
    pair = {"cohort": opened.name, "pair": f"{source} → {target}", "target": target}
    write_json(kept, {**pair, "seed": seed, "dice": dice, "processor_seconds": seconds})
    return {**read_json(kept), "variant": title}


def measure(
    group: str,
    cohort: str,
    pairs: Sequence[tuple[str, str]],
    seeds: int,
    out_dir: Path,
    jobs: int,
    only: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Make all runs of a group and return one row per pair and variant.

    Args:
        group: see :func:`variants`.
        cohort: its name.
        pairs: source and target tasks.
        seeds: first weights per cell, at least 2.
        out_dir: holds the source networks.
        jobs: runs side by side.
        only: titles of the variants that are trained; empty: all.

    Returns:
        Rows with the mean and the standard deviation (n - 1) of the Dice over first weights, and the median of the
        processor seconds of training and prediction (a worker's first run loads libraries as well).

    Raises:
        ValueError: the group has no variant of such a title.
    """
    chosen = variants(group)
    for title in only:
        if title not in chosen:
            raise ValueError(unknown(f"{group} has no variant {title!r}", chosen, title, "There are"))
    folder = ensure_cohort(cohort)
    if group != "scratch":
        for source in dict.fromkeys(source for source, _ in pairs):
            ensure_run(Setting().source(source), Cohort.open(folder), out_dir)
    work = [
        (folder, *pair, title, chosen[title], seed, out_dir)
        for pair, title, seed in product(pairs, only or chosen, range(seeds))
    ]
    found = run_side_by_side(make_run, work, jobs, f"recipe, {group}", unit="run")
    rows: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in sorted(found, key=lambda each: each["seed"]):
        rows.setdefault((run["cohort"], run["pair"], run["target"], run["variant"]), []).append(run)
    order = list(chosen)
    return [
        {
            "group": group,
            **dict(zip(("cohort", "pair", "target", "variant"), key, strict=True)),
            "dice": round(float(np.mean([run["dice"] for run in runs])), 4),
            "sd": round(float(np.std([run["dice"] for run in runs], ddof=1)), 4),
            "runs": len(runs),
            "training": asdict(chosen[key[3]].training),
            "processor_seconds": round(float(np.median([run["processor_seconds"] for run in runs])), 2),
        }
        for key, runs in sorted(rows.items(), key=lambda item: (str(item[0][:3]), order.index(item[0][3])))
    ]


def keep(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows into a file of records in place of those of the same group, cohort and pair."""
    names = ("group", "cohort", "pair")
    new = {tuple(row[name] for name in names) for row in rows}
    before = read_json(path)["rows"] if path.exists() else []
    kept = [row for row in before if tuple(row[name] for name in names) not in new]
    write_json(path, {"rows": [*kept, *rows], "processor": processor_name(), "versions": versions()})


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a group of variants on a development cohort, and keep the rows."""
    parser = argparse.ArgumentParser(prog="python -m riskmap.experiment.recipe", description=main.__doc__)
    parser.add_argument("group", choices=("scratch", "heads", "machines"))
    parser.add_argument("--cohort", default="fets2021_dev", help="a prepared cohort")
    parser.add_argument(
        "--pairs",
        nargs="+",
        metavar="SOURCE>TARGET",
        default=["T1:WT>FLAIR:WT", "FLAIR:WT>T1ce:TC", "FLAIR:WT>T1ce:ET"],
    )
    parser.add_argument("--only", nargs="+", metavar="TITLE", default=[], help="these variants alone")
    parser.add_argument("--seeds", type=positive, default=4, help="first weights per variant")
    parser.add_argument("--out", default="build/runs", help="the source networks")
    parser.add_argument("--jobs", type=positive, default=2, help="runs side by side")
    options = parser.parse_args(arguments)

    def work() -> int:
        require_checkout(PROJECT_ROOT)
        require_own_copy("riskmap.experiment.recipe", RECORDS.parent)
        require_writable({"--out": resolve(options.out)})
        pairs = [(source, target) for source, _, target in (text.partition(">") for text in options.pairs)]
        rows = measure(
            options.group, options.cohort, pairs, options.seeds, resolve(options.out), options.jobs, options.only
        )
        keep(rows, RECORDS)
        for row in rows:
            print("{pair}  {variant}: {dice:.3f} +- {sd:.3f}  {processor_seconds:.1f} s".format(**row))
        return 0

    return exit_status(work, "the next call goes on where it stopped")


if __name__ == "__main__":
    run_command(main)
