"""Source and transfer runs: each is made once, marked finished by its record, and read from then on.

A run is named by a hash of everything that decides its numbers (its specification, the data, the package version).
A changed parameter or a new cohort is therefore another run: nothing stale is ever read. Whoever makes a run holds it
alone, so that two processes that need the same source network train it once.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from riskmap import __version__
from riskmap.arms import TargetData, get_arm
from riskmap.cohort import Cohort, Task
from riskmap.compute import choose_device, torch_threads
from riskmap.files import alone_with, atomic_path, digest_of, read_json
from riskmap.loss import RiskWeightedLoss
from riskmap.networks import (
    NetworkConfig,
    SegmentationNetwork,
    build_network,
    load_weights,
    save_weights,
    transfer_network,
)
from riskmap.patches import PatchConfig, load_patients
from riskmap.prediction import mean_dice_of_slices, predict_patients, score_patients
from riskmap.progress import progress_bar
from riskmap.records import write_record
from riskmap.training import TrainingConfig, train


@dataclass(frozen=True)
class SourceSpec:
    """All that decides a source network, the data apart.

    Args:
        task: sequence and label, such as "FLAIR:WT".
        seed: of the first weights and the batches.
        training: steps, learning rate, device, precision.
        network: the architecture; the transferred networks share it.
    """

    task: str
    seed: int = 0
    training: TrainingConfig = field(default_factory=TrainingConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)


@dataclass(frozen=True)
class TransferSpec:
    """All that decides one run on the target task, the data apart.

    Args:
        source: the source network.
        task: the target task, such as "T1ce:TC".
        arm: a name of ``riskmap.arms.ARMS``.
        shots: number of target training patients, >= 1.
        seed: chooses the patients, the fresh weights and the batches; arms of one seed share all three.
        training: steps, learning rate, device, precision.
        part: the patients that are scored, "target_test", or "target_val" while choices are being made.
    """

    source: SourceSpec
    task: str
    arm: str
    shots: int = 3
    seed: int = 0
    training: TrainingConfig = field(default_factory=TrainingConfig)
    part: str = "target_test"

    def __post_init__(self) -> None:
        get_arm(self.arm)
        if not isinstance(self.shots, int) or self.shots < 1:
            raise ValueError(f"shots={self.shots!r} must be a whole number of at least 1")


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and its record."""

    folder: Path
    record: dict[str, Any]

    def predictions(self) -> dict[str, np.ndarray]:
        """Return {subject: predicted classes [X, Y, Z]} of the scored patients."""
        with np.load(self.folder / "predictions.npz", allow_pickle=False) as archive:
            return dict(archive)

    def network(self, device: str = "cpu") -> SegmentationNetwork:
        """Return the trained network in eval mode, on a device that :func:`riskmap.compute.choose_device` knows."""
        parameters = self.record["parameters"]
        network = build_network(parameters["num_classes"], _network_config(parameters["network"]))
        load_weights(network, self.folder / "weights.pt")
        return network.to(choose_device(device)).eval()


Ensure = Callable[..., Run]
Wanted = tuple[SourceSpec | TransferSpec, Cohort]


def choose_patients(cohort: Cohort, shots: int, seed: int) -> tuple[str, ...]:
    """Choose the target training patients of a seed; fewer shots are always a subset of more.

    Raises:
        ValueError: more shots than patients in the pool.
    """
    pool = cohort.part("target_train")
    if shots > len(pool):
        raise ValueError(f"shots={shots}, but the cohort's target_train pool holds {len(pool)} patients")
    order = np.random.default_rng(seed).permutation(len(pool))
    return tuple(pool[index] for index in order[:shots])


def _on_one_thread(ensure: Ensure) -> Ensure:
    """Make a run compute with one thread: its numbers are the same alone and beside others, and two fit two cores."""

    @wraps(ensure)
    def on_one_thread(*arguments: Any, **options: Any) -> Run:
        with torch_threads(1):
            return ensure(*arguments, **options)

    return on_one_thread


@_on_one_thread
def ensure_source(spec: SourceSpec, cohort: Cohort, out_dir: Path, progress: bool = True) -> Run:
    """Return the source run, training it first when it is not there."""
    folder, parameters = _place_of_source(spec, cohort, out_dir)
    return _made_once(folder, lambda: _make_source(spec, cohort, folder, parameters, progress))


def _make_source(spec: SourceSpec, cohort: Cohort, folder: Path, parameters: dict[str, Any], progress: bool) -> Run:
    started = time.perf_counter()
    task, num_classes = Task.parse(spec.task), parameters["num_classes"]
    train_subjects, validation_subjects = cohort.part("source_train"), cohort.part("source_val")
    patches, window = spec.training.patches, spec.training.window
    validation = load_patients(cohort, validation_subjects, task, patches)
    network = build_network(num_classes, spec.network, spec.seed)
    history = train(
        network,
        spec.training.sampler(load_patients(cohort, train_subjects, task, patches), spec.seed),
        RiskWeightedLoss(normalization="pixels"),
        spec.training,
        validate=lambda net: mean_dice_of_slices(net, validation, num_classes, spec.training.precision, window),
        checkpoint=folder / "checkpoint.pt",
        progress=f"source {spec.task}" if progress else None,
    )
    parameters["subjects"] = {"train": train_subjects, "scored": validation_subjects}
    return _finish(folder, "source", parameters, network, cohort, task, history.to_dict(), started)


def ensure_source_of(run: Run, cohort: Cohort, out_dir: Path) -> Run:
    """Return the source run that a transfer run started from.

    Raises:
        ValueError: the run started fresh.
    """
    source = run.record["parameters"].get("source")
    if source is None:
        raise ValueError(f"{run.folder.name} started fresh: it has no source network")
    training, network = _training_config(source["training"]), _network_config(source["network"])
    return ensure_source(SourceSpec(source["task"], source["seed"], training, network), cohort, out_dir, False)


@_on_one_thread
def ensure_transfer(spec: TransferSpec, cohort: Cohort, out_dir: Path, progress: bool = True) -> Run:
    """Return one transfer run, making it (and the source it needs) first when it is not there."""
    folder, parameters = _place_of_transfer(spec, cohort, out_dir)
    return _made_once(folder, lambda: _make_transfer(spec, cohort, folder, parameters, out_dir, progress))


def _make_transfer(
    spec: TransferSpec, cohort: Cohort, folder: Path, parameters: dict[str, Any], out_dir: Path, progress: bool
) -> Run:
    started = time.perf_counter()
    arm, task = get_arm(spec.arm), Task.parse(spec.task)
    num_classes = parameters["num_classes"]
    subjects = choose_patients(cohort, spec.shots, spec.seed)
    patches, window, device = spec.training.patches, spec.training.window, spec.training.device
    slices = load_patients(cohort, subjects, task, patches)
    source, scratch = None, None
    if arm.starts == "source":
        source = ensure_source(spec.source, cohort, out_dir, progress=False).network(device)
        network = transfer_network(source, num_classes, spec.source.network, spec.seed)
    else:
        network = build_network(num_classes, spec.source.network, spec.seed)
    if arm.needs_scratch:
        scratch = ensure_transfer(_scratch_of(spec), cohort, out_dir, progress=False).network(device)
    data = TargetData(slices, num_classes, source, spec.seed, spec.training.precision, scratch, window)
    design = arm.design(data)
    validation = load_patients(cohort, cohort.part("target_val"), task, patches)
    history = train(
        network,
        spec.training.sampler(slices.with_weights(design.weights), spec.seed),
        design.loss,
        spec.training,
        tuning=design.tuning,
        validate=lambda net: mean_dice_of_slices(net, validation, num_classes, spec.training.precision, window),
        checkpoint=folder / "checkpoint.pt",
        progress=f"{spec.arm} {spec.task}" if progress else None,
    )
    parameters["subjects"] = {"train": subjects, "scored": cohort.part(spec.part)}
    return _finish(folder, "transfer", parameters, network, cohort, task, history.to_dict(), started)


def ensure_transfers(
    specs: Iterable[TransferSpec], cohort: Cohort, out_dir: Path, jobs: int = 2, progress: bool = True
) -> list[Run]:
    """Return transfer runs on one cohort in the order of ``specs``; see :func:`ensure_all`."""
    return ensure_all([(spec, cohort) for spec in specs], out_dir, jobs, progress)


def ensure_all(wanted: Iterable[Wanted], out_dir: Path, jobs: int = 2, progress: bool = True) -> list[Run]:
    """Return runs in the order they are wanted, making the missing ones side by side.

    What a run needs (its source network, a network from scratch) is made first. Each run computes with one thread, so
    its numbers do not depend on ``jobs``. An interrupt loses nothing but the steps since the last checkpoints; the
    next call goes on there.
    """
    wanted = list(wanted)
    places = [place_of(spec, cohort, out_dir) for spec, cohort in wanted]
    _make_missing(prerequisites(wanted), "networks needed first", out_dir, jobs, progress)
    _make_missing(wanted, "transfer runs", out_dir, jobs, progress)
    return [_finished(place) for place in places]


def prerequisites(wanted: Iterable[Wanted]) -> list[Wanted]:
    """Return the source networks, and the networks from scratch, that runs look at."""
    needed: list[Wanted] = []
    for spec, cohort in wanted:
        if isinstance(spec, SourceSpec):
            continue
        arm = get_arm(spec.arm)
        needed += [(spec.source, cohort)] if arm.starts == "source" else []
        needed += [(_scratch_of(spec), cohort)] if arm.needs_scratch else []
    return needed


def missing_runs(wanted: Iterable[Wanted], out_dir: Path) -> list[Wanted]:
    """Return those runs that have no record yet, each once."""
    # arms that start fresh are one run for all sources: name each folder once
    places = {place_of(spec, cohort, out_dir): (spec, cohort) for spec, cohort in wanted}
    return [pair for place, pair in places.items() if _finished(place) is None]


def _make_missing(wanted: Sequence[Wanted], title: str, out_dir: Path, jobs: int, progress: bool) -> None:
    missing = missing_runs(wanted, out_dir)
    if len(missing) == 1 and isinstance(missing[0][0], SourceSpec):
        # alone it can show its steps
        ensure_source(*missing[0], out_dir, progress)
        return
    made = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(
        joblib.delayed(_ensure_in_worker)(spec, cohort.folder, out_dir) for spec, cohort in missing
    )
    for _ in progress_bar(made, title, total=len(missing), unit="run", shown=progress and bool(missing)):
        pass


def _ensure_in_worker(spec: SourceSpec | TransferSpec, folder: Path, out_dir: Path) -> None:
    """Make a run in a process of its own; its network is left on the disk, as results are read from there."""
    ensure = ensure_source if isinstance(spec, SourceSpec) else ensure_transfer
    ensure(spec, Cohort.open(folder), out_dir, progress=False)


def _scratch_of(spec: TransferSpec) -> TransferSpec:
    return replace(spec, arm="scratch")


def place_of(spec: SourceSpec | TransferSpec, cohort: Cohort, out_dir: Path) -> Path:
    """Return the folder of a run, whether it is there or not.

    Raises:
        ValueError: the cohort lacks what the run asks for.
    """
    find_place = _place_of_source if isinstance(spec, SourceSpec) else _place_of_transfer
    return find_place(spec, cohort, out_dir)[0]


def _place_of_source(spec: SourceSpec, cohort: Cohort, out_dir: Path) -> tuple[Path, dict[str, Any]]:
    task = Task.parse(spec.task)
    task.check(cohort)
    num_classes = cohort.targets[task.target].num_classes
    _check_dimensions(spec.training, spec.network)
    parameters = {**_as_dict(spec), "num_classes": num_classes, "data": _data_of(cohort), "riskmap": __version__}
    return out_dir / "source" / f"{task.slug}_seed{spec.seed}_{digest_of(parameters)}", parameters


def _place_of_transfer(spec: TransferSpec, cohort: Cohort, out_dir: Path) -> tuple[Path, dict[str, Any]]:
    task = Task.parse(spec.task)
    task.check(cohort)
    cohort.part(spec.part)
    _check_dimensions(spec.training, spec.source.network)
    from_source = get_arm(spec.arm).starts == "source"
    parameters = {
        **_as_dict(spec),
        "network": asdict(spec.source.network),
        "num_classes": cohort.targets[task.target].num_classes,
        "data": _data_of(cohort),
        "riskmap": __version__,
    }
    if not from_source:
        del parameters["source"]
    start = Task.parse(spec.source.task).slug if from_source else "fresh"
    name = f"{spec.arm}_k{spec.shots}_seed{spec.seed}_{digest_of(parameters)}"
    return out_dir / "transfer" / f"{start}_to_{task.slug}" / name, parameters


def _as_dict(spec: SourceSpec | TransferSpec) -> dict[str, Any]:
    """Return a specification as a dictionary; what only volumes have is named only there."""
    content = asdict(spec)
    for part in (content, content.get("source", {})):
        if "training" in part and part["training"]["patches"] is None:
            del part["training"]["patches"]
    return content


def _check_dimensions(training: TrainingConfig, network: NetworkConfig) -> None:
    if (network.spatial_dims == 3) != (training.patches is not None):
        raise ValueError(
            f"a network of {network.spatial_dims} spatial dimensions does not go with patches={training.patches}; "
            "riskmap.patches.choose_dimensions gives both"
        )


def _training_config(stored: Mapping[str, Any]) -> TrainingConfig:
    patches = stored.get("patches")
    return TrainingConfig(**{**stored, "patches": PatchConfig(**patches) if patches else None})


def _network_config(stored: Mapping[str, Any]) -> NetworkConfig:
    # JSON has no tuples
    return NetworkConfig(**{**stored, "channels": tuple(stored["channels"])})


def _data_of(cohort: Cohort) -> dict[str, Any]:
    return {"cohort": cohort.name, "digest": cohort.digest, "simulated": cohort.simulated}


def _made_once(folder: Path, make: Callable[[], Run]) -> Run:
    """Return the finished run of a folder; when it is missing, make it, or wait for the process that does."""
    if (finished := _finished(folder)) is not None:
        return finished
    # no two processes wait for each other: a transfer run waits for its source and its scratch, and those for none
    with alone_with(folder):
        return _finished(folder) or make()


def _finished(folder: Path) -> Run | None:
    record = folder / "record.json"
    return Run(folder, read_json(record)) if record.exists() else None


def _finish(
    folder: Path,
    kind: str,
    parameters: dict[str, Any],
    network: SegmentationNetwork,
    cohort: Cohort,
    task: Task,
    history: dict[str, Any],
    started: float,
) -> Run:
    subjects: Sequence[str] = parameters["subjects"]["scored"]
    training = _training_config(parameters["training"])
    predictions = predict_patients(network, cohort, subjects, task, training.precision, training.window)
    results = {
        "classes": cohort.targets[task.target].classes[1:],
        "patients": score_patients(predictions, cohort, task),
    }
    save_weights(network.cpu(), folder / "weights.pt")
    with atomic_path(folder / "predictions.npz") as temporary:
        np.savez_compressed(temporary, **predictions)
    record = write_record(folder / "record.json", kind, parameters, {**results, "history": history}, started)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    return Run(folder, record)
