"""LEEP statistics and risk maps of any number of patients, one patient in the memory of each process at a time.

A map file holds weights, and its folder is named by all that decides them, the code of network and package included.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FunctionType
from typing import Any

import joblib
import nibabel
import numpy as np
import torch
from torch import Tensor, nn

from riskmap.checks import check_count
from riskmap.data.cohort import Cohort, Task
from riskmap.data.patients import load_patients, slices_to_volume
from riskmap.leep import LeepStatistics
from riskmap.project.by_value import pack, unpacked
from riskmap.project.files import alone_with, atomic_path, digest_of, read_json, sha256_of_file, write_json
from riskmap.project.function_code import follow, function_code
from riskmap.project.object_parts import is_own
from riskmap.project.package import check_package, check_same_package, digest, package_code
from riskmap.project.progress import progress_bar
from riskmap.project.workers import torch_threads
from riskmap.risk import TransferRiskMap
from riskmap.training.device import choose_precision
from riskmap.training.prediction import predict_probabilities
from riskmap.training.record import computing_versions


@dataclass(frozen=True)
class _View:
    """A frozen source network, and the patients and the task that it looks at."""

    network: nn.Module
    cohort: Cohort
    task: Task
    precision: str
    window: int | None

    def __post_init__(self) -> None:
        # each file is read once, so that keeping it would only cost memory
        object.__setattr__(self, "cohort", replace(self.cohort, keeps_volumes=False))

    def batches(self, subject: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (source probabilities, labels) of one patient."""
        slices = load_patients(self.cohort, [subject], self.task, 2 if self.window is None else 3)
        first = 0
        for probabilities in predict_probabilities(self.network, slices.images, self.precision, window=self.window):
            yield probabilities, slices.labels[first : first + len(probabilities)]
            first += len(probabilities)

    def statistics(self, subject: str, num_source_classes: int) -> LeepStatistics:
        """Return the LEEP statistics of one patient, by one thread."""
        statistics = LeepStatistics(num_source_classes, self.cohort.targets[self.task.target].num_classes)
        with torch_threads(1):
            for batch in self.batches(subject):
                statistics.update(*batch)
        return statistics

    def weights(self, subject: str, risk_map: TransferRiskMap) -> np.ndarray:
        """Return the weight of each voxel of one patient, [X, Y, Z], by one thread."""
        with torch_threads(1):
            weights = [risk_map(*batch)[:, 0] for batch in self.batches(subject)]
        if self.window is not None:
            return weights[0][0].numpy().astype(np.float32)
        volume = np.zeros(self.cohort.shape, dtype=np.float32)
        holds_brain = self.cohort.brain(subject).any(axis=(0, 1))
        volume[..., holds_brain] = slices_to_volume(torch.cat(weights))
        return volume

    def of_patients(
        self, work: Callable[..., Any], subjects: Sequence[str], arguments: tuple[Any, ...], jobs: int
    ) -> Iterator[Any]:
        """Yield ``work(view, subject, *arguments)`` of each patient in their order, ``jobs`` processes side by side.

        Raises:
            ChangedCodeError: the package's files, or those of the network, were edited since they were imported.
        """
        check_package(__name__)
        modules = follow(_layers_of(self.network)).modules
        if jobs == 1:
            yield from (work(self, subject, *arguments) for subject in subjects)
            return
        packed, code = pack((self, arguments), modules), package_code(__name__)
        yield from joblib.Parallel(n_jobs=jobs, return_as="generator")(
            joblib.delayed(_in_worker)(packed, code, work, subject) for subject in subjects
        )


def stream_statistics(
    network: nn.Module,
    num_source_classes: int,
    cohort: Cohort,
    subjects: Sequence[str],
    task: Task,
    precision: str = "auto",
    window: int | None = None,
    jobs: int = 1,
) -> LeepStatistics:
    """Return the LEEP statistics of a source network over the target's training patients.

    Each patient's sums are made by one thread and are added in the order of ``subjects``, so that the result is the
    same to the last bit whatever ``jobs``.

    Args:
        network: the frozen source network.
        num_source_classes: the channels of its softmax, 1 or more.
        cohort: where the patients are.
        subjects: the target's training patients.
        task: the target task.
        precision: see :func:`riskmap.training.device.choose_precision`.
        window: side of the sliding window of a network of volumes; None for a network of slices.
        jobs: processes side by side, 1 or more; each holds one patient.

    Raises:
        ValueError, TypeError: ``jobs`` is no whole number of at least 1.
        UnknownCodeError: a layer that the reader has written uses what cannot be told apart from something else.
        ChangedCodeError: the package's files, or those of the network, were edited since they were imported.
    """
    check_count("jobs", jobs, 1)
    view = _View(network, cohort, task, precision, window)
    statistics = LeepStatistics(num_source_classes, cohort.targets[task.target].num_classes)
    for of_patient in view.of_patients(_View.statistics, subjects, (num_source_classes,), jobs):
        statistics.merge(of_patient)
    return statistics


def write_risk_maps(
    network: nn.Module,
    risk_map: TransferRiskMap,
    cohort: Cohort,
    subjects: Sequence[str],
    task: Task,
    out_dir: Path,
    precision: str = "auto",
    progress: bool = True,
    window: int | None = None,
    jobs: int = 1,
) -> Path:
    """Write the weight of each voxel of each patient as NIfTI, 0 in slices without brain, and one manifest.

    With ``window`` the network is one of volumes, and the weights are what it gives everywhere.

    A map is named by its patient, its folder by all that decides the weights: what is there is kept, so that a call
    which was stopped goes on. A kept map is compared with its hash first: one that was damaged or replaced is made
    again. The weights do not depend on ``jobs``, the number of processes, of which each holds one patient.

    Returns:
        The folder; its ``manifest.json``, written last, has the path and the hash of each patient's map.

    Raises:
        ValueError, TypeError: ``jobs`` is no whole number of at least 1.
        UnknownCodeError, ChangedCodeError: as :func:`stream_statistics`.
    """
    check_count("jobs", jobs, 1)
    device = next(network.parameters()).device
    parameters = {
        "task": str(task),
        "data": cohort.digest,
        "statistics": risk_map.statistics.state_dict(),
        "map": {name: value for name, value in vars(risk_map).items() if name != "statistics"},
        "network": _hash_of(network),
        "network_code": digest([repr(network), function_code(_layers_of(network))]),
        "precision": str(choose_precision(precision, device, 2 if window is None else 3)),
        "device": device.type,
        "window": window,
        "code": package_code(__name__),
        "versions": computing_versions(),
    }
    folder = Path(out_dir) / f"{task.slug}_{digest_of(parameters)}"
    view = _View(network, cohort, task, precision, window)
    made = view.of_patients(_ensure_map, subjects, (folder, risk_map), jobs)
    shown = progress_bar(made, "risk maps", total=len(subjects), unit="patient", shown=progress)
    files = dict(zip(subjects, shown, strict=True))
    with alone_with(folder / "manifest.json"):
        # maps that an earlier call made of other patients keep their place
        others = read_json(folder / "manifest.json")["subjects"] if (folder / "manifest.json").is_file() else {}
        write_json(folder / "manifest.json", {"parameters": parameters, "subjects": {**others, **files}})
    return folder


def _in_worker(packed: bytes, package: str, work: Callable[..., Any], subject: str) -> Any:
    check_same_package(__name__, package)
    with unpacked(packed) as (view, arguments):
        return work(view, subject, *arguments)


def _ensure_map(view: _View, subject: str, folder: Path, risk_map: TransferRiskMap) -> dict[str, Any]:
    """Return the record of a patient's map, which is made first when it is missing or not as its record says."""
    path, record = folder / f"{subject}_weight.nii.gz", folder / f"{subject}.json"
    if record.is_file() and path.is_file():
        kept = read_json(record)
        if sha256_of_file(path) == kept["sha256"]:
            return kept
    weights = view.weights(subject, risk_map)
    with atomic_path(path) as temporary:
        nibabel.Nifti1Image(weights, view.cohort.affine(subject)).to_filename(temporary)
    made = {"path": path.name, "sha256": sha256_of_file(path), "mean": float(weights.mean())}
    write_json(record, made)
    return made


def _hash_of(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, weight in network.state_dict().items():
        digest.update(name.encode() + weight.cpu().numpy().tobytes())
    return digest.hexdigest()


def _layers_of(network: nn.Module) -> list[Any]:
    """Return the class of each layer, and what was set on those that the reader has written; their code is followed."""
    found: list[Any] = []
    for name, layer in network.named_modules():
        is_readers, common = is_own(type(layer).__module__), vars(nn.Module())
        # those of installed packages say what they are set to in their repr
        own = {k: v for k, v in vars(layer).items() if k not in common and (is_readers or isinstance(v, FunctionType))}
        found.append([name, type(layer), own])
    return found
