"""Runs and records that nobody made: results of the right form for explorers to show, in benchmarks and tests."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from riskmap.data.cohort import Cohort, Task
from riskmap.experiment.count_harm import CHURN, table_to_json
from riskmap.experiment.findings import Findings
from riskmap.experiment.packing import packed
from riskmap.experiment.plan import Plan
from riskmap.experiment.plans import SIMULATED
from riskmap.experiment.records import seal
from riskmap.experiment.score_tables import scores
from riskmap.measure.harm import KINDS
from riskmap.project.files import write_json
from riskmap.training.arms import get_arm
from riskmap.training.runs import Run

RATE = 2.0e-3
_SCORES = ("hardness", "distance to the boundary", "source cross-entropy")


def make_run(folder: Path, cohort: Cohort, task: Task, seed: int) -> Run:
    """Return a run whose predictions are the truth of the test patients, moved a little and with noise."""
    generator = np.random.default_rng(seed)
    predictions, patients = {}, {}
    for subject in cohort.part("target_test"):
        truth = cohort.labels(subject, task.target)
        wrong = generator.random(truth.shape) < 0.01
        prediction = np.where(wrong & (np.roll(truth, 4, 0) > 0), 0, np.roll(truth, 1 + seed, (0, 1)))
        predictions[subject] = prediction.astype(np.uint8)
        overlap, size = ((prediction > 0) & (truth > 0)).sum(), (prediction > 0).sum() + (truth > 0).sum()
        patients[subject] = {"dice": [float(2 * overlap / max(size, 1))], "empty": [False]}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "predictions.npz", **cast(dict[str, Any], predictions))
    return Run(folder, {"results": {"patients": patients}})


def make_records(plan: Plan, patients: int = 20, gains: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """Return a record of every run of a plan, with random Dice; scratch has one for all sources of a target.

    Args:
        plan: whose runs they are.
        patients: test patients of each cohort.
        gains: what some arms are above all others, in Dice, by name.
    """
    generator = np.random.default_rng(0)
    records = {}
    for cell in (cell for block in plan.blocks for cell in block):
        source = cell.pair.source if get_arm(cell.arm).needs_source else None
        training = cell.training or replace(plan.transfer_training, learning_rate=RATE)
        source_steps = cell.source_steps or plan.source_training.steps
        parameters = {
            "task": cell.pair.target,
            "arm": cell.arm,
            **{name: getattr(cell, name) for name in ("shots", "seed", "left_out")},
            "draw": cell.seed if cell.draw is None else cell.draw,
            "data": {"cohort": cell.pair.cohort, "simulated": plan.name != "real"},
            "training": {"steps": training.steps, "learning_rate": training.learning_rate},
            **({"source": {"task": source, "training": {"steps": source_steps}}} if source else {}),
        }
        mean = 0.6 + 0.02 * cell.shots + (gains or {}).get(cell.arm, 0.0)
        dice = np.clip(generator.normal(mean, 0.1, 1 if cell.left_out is not None else patients), 0, 1)
        scored = {f"patient {n}": {"dice": [float(each)], "empty": [False]} for n, each in enumerate(dice)}
        curve = dict(zip(map(str, training.validation_steps), generator.random(9).tolist(), strict=False))
        # from scratch all sources of a target have one run
        of_source = (source, source_steps) if source else None
        key = (cell.pair.cohort, cell.pair.target, of_source, *cell[1:6], training)
        records[key] = {
            "parameters": parameters,
            "results": {"patients": scored, "validation_dice": curve},
        }
    return list(records.values())


def make_harm(plan: Plan, patients: int = 20) -> dict[str, dict[str, Any]]:
    """Return the tables of changes and of pointing of a plan's pairs, with random numbers."""
    generator = np.random.default_rng(0)
    changes: list[dict[str, Any]] = []
    pointing: list[dict[str, Any]] = []
    for pair in plan.pairs:
        where = {"cohort": pair.cohort, "source": pair.source, "target": pair.target}
        for patient in (f"patient {n}" for n in range(patients)):
            for arm in (*plan.harm_arms, CHURN):
                shares = dict(zip(KINDS, generator.random(4), strict=True))
                changes.append({**where, "arm": arm, "patient": patient, **shares})
            for event, score in product(("fine_tune", CHURN), _SCORES):
                numbers = dict.fromkeys(("auroc", "average_precision", "prevalence"), generator.random())
                pointing.append({**where, "event": event, "patient": patient, "score": score, **numbers})
    return {name: table_to_json(pd.DataFrame(rows)) for name, rows in (("changes", changes), ("pointing", pointing))}


def make_findings(
    folder: Path, plan: Plan = SIMULATED, patients: int = 20, gains: Mapping[str, float] | None = None
) -> Findings:
    """Write the records of a plan into a folder and return what is found there; see :func:`make_records`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "runs.json", packed(make_records(plan, patients, gains)))
    write_json(folder / "rates.json", {arm: {"chosen": RATE} for arm in plan.rate_search.arms})
    write_json(folder / "harm.json", make_harm(plan, patients))
    seal(folder, {"runs": 1, "hours": 1.0, "jobs": 2})
    return Findings(plan, folder)


def make_few_shot_scores(plan: Plan = SIMULATED, patients: int = 20) -> pd.DataFrame:
    """Return the scores of the first pair's arms that were run with every number of shots."""
    pair, arms = plan.pairs[0], plan.few_shots[0].arms
    alike = replace(plan, hard_cases=(), left_out=(), elsewhere=())
    frame = scores(make_records(alike, patients))
    # an explorer tells runs apart by their seeds
    frame = frame.loc[frame["draw"] == 0]
    of_pair = (frame["cohort"] == pair.cohort) & (frame["target"] == pair.target) & frame["arm"].isin(arms)
    return frame.loc[of_pair & ((frame["source"] == pair.source) | frame["source"].isna())]
