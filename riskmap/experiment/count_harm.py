"""From the stored predictions of an experiment's runs to counts of harm, and to whether the map pointed at it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch

from riskmap.data.cohort import Cohort, Task
from riskmap.data.patients import load_slices, volume_to_slices
from riskmap.experiment.plan import Pair, Plan, rate_owner
from riskmap.measure.harm import (
    KINDS,
    beyond_churn,
    compare_patients,
    fractions_by_distance,
)
from riskmap.measure.pointing import pointing, reference_scores
from riskmap.project.hub import allowed_jobs
from riskmap.project.progress import progress_bar
from riskmap.project.workers import torch_threads
from riskmap.training.prediction import predict_probabilities
from riskmap.training.runs import Run, source_run_of
from riskmap.training.target_data import TargetData

CHURN = "churn"
# columns that are measured; all others say of what
_NUMBERS = ("harmed", "repaired", *KINDS, "pixels", "auroc", "average_precision", "prevalence", "leep")
TABLES = ("changes", "bands", "pointing", "leep")


@dataclass(frozen=True)
class HarmCase:
    """The runs of one pair, draw and seed that are held against one another: by arm, and a second run from scratch.

    That one has seen the same patients and had other first weights, so that nothing but chance parts the two.
    """

    pair: Pair
    draw: int
    seed: int
    runs: Mapping[str, Run]
    other_scratch: Run


def harm_cases(found: Iterable[tuple[Pair, Run]], plan: Plan, rates: Mapping[str, float]) -> list[HarmCase]:
    """Group the runs of the main table by pair, draw and seed; the draw's next seed from scratch gives the churn.

    Args:
        found: runs with their pairs; those of other numbers of patients, steps, rates or sources are passed over.
        plan: says which arms are held against scratch.
        rates: the learning rate of each arm.
    """
    arms = plan.harm_arms
    drawn: dict[tuple[Pair, int], dict[int, dict[str, Run]]] = defaultdict(lambda: defaultdict(dict))
    for pair, run in found:
        parameters = run.record["parameters"]
        arm = parameters["arm"]
        if arm in ("scratch", *arms) and _is_of_main_table(parameters, plan, rates[rate_owner(arm)]):
            drawn[pair, parameters["draw"]][parameters["seed"]][arm] = run
    whole = []
    for (pair, draw), seeds in drawn.items():
        order = sorted(seed for seed in seeds if "scratch" in seeds[seed])
        for seed, other in zip(order, order[1:] + order[:1], strict=True):
            if seed != other and set(arms) <= set(seeds[seed]):
                whole.append(HarmCase(pair, draw, seed, seeds[seed], seeds[other]["scratch"]))
    return whole


def _is_of_main_table(parameters: Mapping[str, Any], plan: Plan, rate: float) -> bool:
    training, source = parameters["training"], parameters.get("source", {}).get("training")
    return (
        parameters["shots"] == plan.main_shots
        and parameters["left_out"] is None
        and (training["steps"], training["learning_rate"]) == (plan.transfer_training.steps, rate)
        and (source is None or source["steps"] == plan.source_training.steps)
    )


def count_harm(
    compared: Iterable[HarmCase], cohort_of: Callable[[str], Cohort], out_dir: Path, jobs: int = 2
) -> dict[str, dict[str, Any]]:
    """Return the tables of :func:`harm_tables` of all comparisons, averaged over seeds, as columns and rows.

    - ``changes``: harmed and repaired share of the region per arm, patient and seed, and what of both goes beyond the
      churn, misses and false alarms apart, see :func:`riskmap.measure.harm.beyond_churn`;
    - ``bands``: the same shares by distance to the label boundary;
    - ``pointing``: AUROC and average precision of each score for the event "fine-tuning wrong where scratch is right",
      and for the event "another seed from scratch wrong";
    - ``leep``: the LEEP score on the target's training pixels.
    """
    compared = list(compared)
    made = joblib.Parallel(n_jobs=allowed_jobs(jobs), return_as="generator")(
        joblib.delayed(harm_tables)(each, cohort_of(each.pair.cohort), out_dir) for each in compared
    )
    parts = list(progress_bar(made, "counting harm", total=len(compared), unit="pair"))
    return {name: table_to_json(mean_over_seeds(pd.concat([part[name] for part in parts]))) for name in TABLES}


def harm_tables(case: HarmCase, cohort: Cohort, out_dir: Path) -> dict[str, pd.DataFrame]:
    """Return the tables of one pair, draw and seed."""
    seen = Seen(case, cohort)
    tables = seen.change_tables()
    with torch_threads(1):
        leep, scores = pixel_scores(case, cohort, out_dir, seen.truth)
    tables |= {"leep": pd.DataFrame([{"leep": leep}]), "pointing": seen.pointing_table(scores)}
    where = {"cohort": cohort.name, "source": case.pair.source, "target": case.pair.target}
    return {name: table.assign(**where, draw=case.draw, seed=case.seed) for name, table in tables.items()}


class Seen:
    """What the runs of a case predicted, and what each changed against scratch.

    Args:
        case: the runs.
        cohort: holds the truth.
    """

    def __init__(self, case: HarmCase, cohort: Cohort) -> None:
        self.cohort = cohort
        self.predictions = {arm: run.predictions() for arm, run in case.runs.items()}
        self.predictions[CHURN] = case.other_scratch.predictions()
        self.scratch = self.predictions.pop("scratch")
        target = Task.parse(case.pair.target).target
        self.truth = {patient: cohort.labels(patient, target) for patient in self.scratch}
        self.changes = {
            arm: compare_patients(self.truth, self.scratch, found) for arm, found in self.predictions.items()
        }

    def change_tables(self) -> dict[str, pd.DataFrame]:
        """Return what each arm changed in each patient: in all, and by distance to the label boundary."""
        rows, bands = [], []
        for arm, per_patient in self.changes.items():
            excess = beyond_churn(per_patient, self.changes[CHURN], self.truth)
            for patient, change in per_patient.items():
                names = {"arm": arm, "patient": patient}
                shares = {"harmed": change.harmed_fraction, "repaired": change.repaired_fraction}
                rows.append({**names, **shares, **excess[patient]})
                by_distance = fractions_by_distance(change, self.truth[patient], self.cohort.spacing)
                bands.append(by_distance.assign(**names))
        return {"changes": pd.DataFrame(rows), "bands": pd.concat(bands)}

    def pointing_table(self, scores: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
        """Return how well each score of a patient's pixels forecasts harm, and churn."""
        tables = []
        for patient, of_patient in scores.items():
            right = self.scratch[patient] == self.truth[patient]
            for event in ("fine_tune", CHURN):
                wrong = self.predictions[event][patient] != self.truth[patient]
                table = pointing(of_patient, self.changes[event][patient].region & right, wrong)
                tables.append(table.assign(event=event, patient=patient))
        return pd.concat(tables)


def pixel_scores(
    case: HarmCase, cohort: Cohort, out_dir: Path, truth: Mapping[str, np.ndarray]
) -> tuple[float, dict[str, dict[str, np.ndarray]]]:
    """Return LEEP on the training pixels, and the hardness of some patients with its references.

    Labels of test patients are looked at, as harm is: this is an analysis after the fact, no training sees it.

    Args:
        case: holds the fine-tuned run, which knows its source and its training patients.
        cohort: of the runs.
        out_dir: holds the source network.
        truth: {patient: class indices [X, Y, Z]}.

    Returns:
        The LEEP score, and {patient: scores [X, Y, Z] by name}, see :func:`riskmap.measure.pointing.reference_scores`.
    """
    run, task = case.runs["fine_tune"], Task.parse(case.pair.target)
    source = source_run_of(run, cohort, out_dir).network()
    slices = load_slices(cohort, run.record["parameters"]["subjects"]["train"], task)
    data = TargetData(slices, cohort.targets[task.target].num_classes, source, case.seed)
    leep = data.leep.score([(data.source_probabilities, slices.labels.long())])
    scores = {}
    for patient, labels in truth.items():
        images = volume_to_slices(cohort.image(patient, task.modality))
        probabilities = torch.cat(list(predict_probabilities(source, images)))
        volume = probabilities.permute(1, 2, 3, 0).numpy()
        scores[patient] = reference_scores(volume, labels, data.leep, cohort.spacing, case.seed)
    return leep, scores


def mean_over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Average a table's numbers over draws and seeds; where a number was undefined, it takes no part in its mean."""
    keys = [name for name in table.columns if name not in ("draw", "seed", *_NUMBERS)]
    numbers = [name for name in table.columns if name in _NUMBERS]
    return table.groupby(keys, sort=False, as_index=False)[numbers].mean()


def table_to_json(table: pd.DataFrame) -> dict[str, Any]:
    """Return a table as columns and rows that JSON can hold; what is undefined becomes None."""
    rounded = table.round(5).astype(object).where(table.notna(), None)
    return {"columns": list(rounded.columns), "rows": rounded.to_numpy().tolist()}


def table_from_json(table: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table of :func:`count_harm` as read from its JSON file; what was undefined is NaN."""
    return pd.DataFrame(table["rows"], columns=table["columns"])
