"""How a run comes about: from a specification and a cohort to a trained network, its predictions and its scores.

Whatever this module imports decides the numbers of a run, so the digest of its source is part of every run's name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from riskmap.data.cohort import Cohort, Task
from riskmap.data.patients import SliceSet, load_patients
from riskmap.measure.overlap import score_patients
from riskmap.training.baseline_losses import plain_loss
from riskmap.training.config import TrainingConfig
from riskmap.training.loop import History, Validate, sampler_of, train
from riskmap.training.networks import SegmentationNetwork, beside_network, build_network, transfer_network
from riskmap.training.prediction import mean_dice_of_slices, predict_patients
from riskmap.training.specs import SourceSpec, TransferSpec
from riskmap.training.target_data import TargetData


@dataclass(frozen=True)
class Made:
    """What a run has made.

    Args:
        network: trained.
        trained_on: the training patients.
        scored: the patients that were predicted and scored.
        predictions: subject to predicted classes, [X, Y, Z].
        results: scores by patient, and the curves, as a record holds them.
        earlier_seconds: what a run that was stopped had taken before it went on.
    """

    network: SegmentationNetwork
    trained_on: Sequence[str]
    scored: Sequence[str]
    predictions: dict[str, np.ndarray]
    results: dict[str, Any]
    earlier_seconds: float


def choose_patients(cohort: Cohort, shots: int, seed: int) -> tuple[str, ...]:
    """Draw the target training patients of a seed from the pool; fewer shots are always a subset of more.

    Returns:
        All scans of the patients that are drawn: most data sets have one of each.

    Raises:
        ValueError: more shots than patients in the pool.
    """
    pool = list(cohort.scans_by_patient("target_train").values())
    if shots > len(pool):
        raise ValueError(f"shots={shots}, but the cohort's target_train pool holds {len(pool)} patients")
    order = np.random.default_rng(seed).permutation(len(pool))
    return tuple(scan for index in order[:shots] for scan in pool[index])


def patients_of(spec: TransferSpec, cohort: Cohort) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the scans that a run trains on, and those that it is scored on.

    Raises:
        ValueError: more shots than patients in the pool.
        CohortError: the part that is scored is empty.
    """
    drawn = choose_patients(cohort, spec.shots, spec.seed if spec.draw is None else spec.draw)
    if spec.left_out is None:
        return drawn, cohort.part(spec.part)
    left_out = list(dict.fromkeys(cohort.patients[scan] for scan in drawn))[spec.left_out]
    kept = tuple(scan for scan in drawn if cohort.patients[scan] != left_out)
    return kept, tuple(scan for scan in drawn if scan not in kept)


def make_source(spec: SourceSpec, cohort: Cohort, checkpoint: Path, progress: bool) -> Made:
    """Train a source network and score it on its validation patients."""
    task, training = Task.parse(spec.task), spec.training
    trained_on, scored = cohort.part("source_train"), cohort.part("source_val")
    validate = _validation(cohort, scored, task, training)
    network = build_network(cohort.targets[task.target].num_classes, spec.network, spec.seed)
    history = train(
        network,
        sampler_of(training, load_patients(cohort, trained_on, task, training.spatial_dims), spec.seed),
        plain_loss(),
        training,
        validate=validate,
        checkpoint=checkpoint,
        progress=f"source {spec.task}" if progress else None,
    )
    return _scored(network, history, cohort, task, trained_on, scored, training)


def make_transfer(
    spec: TransferSpec,
    cohort: Cohort,
    source: SegmentationNetwork | None,
    others: Mapping[str, SegmentationNetwork],
    checkpoint: Path,
    progress: bool,
) -> Made:
    """Train one run on the target task and score it.

    Args:
        spec: of the run.
        cohort: of the run.
        source: the frozen source network, None for an arm that has nothing to do with it.
        others: the networks of other arms on the same patients, for the arms that look at them.
        checkpoint: a file for what a stopped run goes on from.
        progress: whether a bar is shown.
    """
    task, training = Task.parse(spec.task), spec.training
    num_classes = cohort.targets[task.target].num_classes
    trained_on, scored = patients_of(spec, cohort)
    slices = load_patients(cohort, trained_on, task, training.spatial_dims)
    network = _first(spec, num_classes, source)
    recipe = spec.arm.recipe(TargetData(slices, num_classes, source, spec.seed, training, others))
    history = train(
        network,
        sampler_of(training, slices.with_weights(recipe.weights), spec.seed, recipe.places, recipe.label_places),
        recipe.loss,
        training,
        strategy=recipe.strategy,
        validate=_validation(cohort, cohort.part("target_val"), task, training),
        checkpoint=checkpoint,
        progress=f"{spec.arm.name} {spec.task}" if progress else None,
    )
    return _scored(network, history, cohort, task, trained_on, scored, training)


def _first(spec: TransferSpec, num_classes: int, source: SegmentationNetwork | None) -> SegmentationNetwork:
    """Return the network that a run starts from."""
    config = spec.source.network
    if source is None or spec.arm.starts == "scratch":
        return build_network(num_classes, config, spec.seed)
    if spec.arm.starts == "beside":
        return beside_network(source, num_classes, config, spec.seed)
    return transfer_network(source, num_classes, config, spec.seed, spec.arm.head)


def _validation(cohort: Cohort, subjects: Sequence[str], task: Task, training: TrainingConfig) -> Validate:
    validation: SliceSet = load_patients(cohort, subjects, task, training.spatial_dims)
    num_classes = cohort.targets[task.target].num_classes

    def validate(network: nn.Module) -> float:
        return mean_dice_of_slices(network, validation, num_classes, training.precision, training.window)

    return validate


def _scored(
    network: SegmentationNetwork,
    history: History,
    cohort: Cohort,
    task: Task,
    trained_on: Sequence[str],
    scored: Sequence[str],
    training: TrainingConfig,
) -> Made:
    predictions = predict_patients(network, cohort, scored, task, training.precision, training.window)
    results = {
        "classes": cohort.targets[task.target].classes[1:],
        "patients": score_patients(predictions, cohort, task),
        "history": history.to_dict(),
    }
    return Made(network, trained_on, scored, predictions, results, history.earlier_seconds)
