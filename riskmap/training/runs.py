"""Source and transfer runs: each is made once, marked finished by its record, and read from then on.

A run is named by a hash of everything that decides its numbers: its specification, the data, the code of its arm, of
the library and of the training, and the versions of the libraries that compute. A changed parameter, a new cohort, an
edited arm or an upgrade is therefore another run: nothing stale is ever read. Code is what this process has imported;
where the files say something else by now, no run is made. Whoever makes a run holds it alone, so that two processes
that need the same source network train it once.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import joblib
import numpy as np

from riskmap.data.cohort import Cohort, Task
from riskmap.project.by_value import pack, unpacked
from riskmap.project.files import alone_with, atomic_path, digest_of, read_json
from riskmap.project.function_code import follow
from riskmap.project.hub import allowed_jobs
from riskmap.project.package import check_package, check_same_package, package_code
from riskmap.project.paths import place_to_read
from riskmap.project.progress import progress_bar
from riskmap.project.workers import torch_threads
from riskmap.training.arm import ARMS_MODULE
from riskmap.training.arms import get_arm, is_of_table
from riskmap.training.config import NetworkConfig, PatchConfig, TrainingConfig
from riskmap.training.device import choose_device
from riskmap.training.making import Made, make_source, make_transfer, patients_of
from riskmap.training.networks import BesideNetwork, SegmentationNetwork, build_network, load_weights, save_weights
from riskmap.training.record import computing_versions, write_record
from riskmap.training.specs import SourceSpec, TransferSpec

Spec = SourceSpec | TransferSpec
Wanted = tuple[Spec, Cohort]
# written last into the folder of a run
_RECORD = "record.json"


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
        """Return the trained network in eval mode, on a device that
        :func:`riskmap.training.device.choose_device` knows."""
        parameters = self.record["parameters"]
        kind = BesideNetwork if parameters.get("starts") == "beside" else SegmentationNetwork
        network = build_network(parameters["num_classes"], _network_config(parameters["network"]), kind=kind)
        load_weights(network, self.folder / "weights.pt")
        return network.to(choose_device(device)).eval()


def ensure_run(spec: Spec, cohort: Cohort, out_dir: Path, progress: bool = True) -> Run:
    """Return a run, making it, and what it needs, first when it is not there.

    A run computes with one thread: its numbers are the same alone and beside others, and two fit two cores.

    Raises:
        ValueError: the cohort lacks what the run asks for, or a reader's arm has changed since it was chosen.
        ChangedCodeError: the package's files, or those of an arm, were edited since this process imported them.
    """
    _check_unchanged([spec])
    return _ensure(spec, cohort, out_dir, progress)


def _ensure(spec: Spec, cohort: Cohort, out_dir: Path, progress: bool) -> Run:
    folder = folder_of(spec, cohort, out_dir)
    if (finished := _finished(folder)) is not None:
        return finished
    # no two processes wait for each other: a transfer run waits for its source and its scratch, and those for none
    with alone_with(folder), torch_threads(1):
        return _finished(folder) or _make(spec.resolved(), cohort, folder, out_dir, progress)


def _make(spec: Spec, cohort: Cohort, folder: Path, out_dir: Path, progress: bool) -> Run:
    started = time.perf_counter()
    checkpoint = folder / "checkpoint.pt"
    if isinstance(spec, SourceSpec):
        made = make_source(spec, cohort, checkpoint, progress)
    else:
        needed = {kind: _ensure(each, cohort, out_dir, progress=False) for kind, each in _needed(spec).items()}
        networks = {kind: run.network(spec.training.device) for kind, run in needed.items()}
        source = networks.pop("source", None)
        made = make_transfer(spec, cohort, source, networks, checkpoint, progress)
    return _keep(made, spec, cohort, folder, started)


def _needed(spec: TransferSpec) -> dict[str, Spec]:
    """Return the runs that a run looks at: its source network, and those of other arms on the same patients."""
    needed: dict[str, Spec] = {"source": spec.source} if spec.arm.needs_source else {}
    others = (arm for arm in spec.arm.looks_at if arm != "source")
    return needed | {arm: replace(spec, arm=get_arm(arm)) for arm in others}


def source_run_of(run: Run, cohort: Cohort, out_dir: Path) -> Run:
    """Return the source run that a transfer run started from.

    Raises:
        ValueError: the run had none.
    """
    source = run.record["parameters"].get("source")
    if source is None:
        raise ValueError(f"{run.folder.name} has nothing to do with a source network")
    training, network = _training_config(source["training"]), _network_config(source["network"])
    return ensure_run(SourceSpec(source["task"], source["seed"], training, network), cohort, out_dir, False)


def ensure_runs(
    specs: Iterable[Spec], cohort: Cohort, out_dir: Path, jobs: int = 2, progress: bool = True
) -> list[Run]:
    """Return runs on one cohort in the order of ``specs``; see :func:`ensure_all`."""
    return ensure_all([(spec, cohort) for spec in specs], out_dir, jobs, progress)


def ensure_all(wanted: Iterable[Wanted], out_dir: Path, jobs: int = 2, progress: bool = True) -> list[Run]:
    """Return runs in the order they are wanted, making the missing ones side by side, with one bar over all of them.

    What a run needs (its source network, a network from scratch) is made first. Each run computes with one thread, so
    its numbers do not depend on ``jobs``. The workers wait for the next call for some minutes. An interrupt loses
    nothing but the steps since the last checkpoints; the next call goes on there.

    Raises:
        ValueError: the cohort lacks what a run asks for, or a reader's arm has changed since it was chosen.
        ChangedCodeError: the package's files, or those of an arm, were edited since this process imported them.
    """
    wanted = list(wanted)
    _check_unchanged(spec for spec, _ in wanted)
    places = [folder_of(spec, cohort, out_dir) for spec, cohort in wanted]
    _make_missing([*prerequisites(wanted), *wanted], out_dir, allowed_jobs(jobs), progress)
    return [_read(place_to_read(place, _RECORD)) for place in places]


def prerequisites(wanted: Iterable[Wanted]) -> list[Wanted]:
    """Return the source networks, and those of other arms, that runs look at, each before what looks at it."""
    found: list[Wanted] = []
    for spec, cohort in wanted:
        if isinstance(spec, TransferSpec):
            needed: list[Wanted] = [(each, cohort) for each in _needed(spec).values()]
            found += [*prerequisites(needed), *needed]
    return found


def missing_runs(wanted: Iterable[Wanted], out_dir: Path) -> list[Wanted]:
    """Return those runs that have no record yet, each once."""
    # arms that start from scratch are one run for all sources: name each folder once
    folders = {folder_of(spec, cohort, out_dir): (spec, cohort) for spec, cohort in wanted}
    return [pair for folder, pair in folders.items() if _finished(folder) is None]


def _check_unchanged(specs: Iterable[Spec]) -> None:
    """Check that what would run, of the package and of readers' arms, is what the runs are named by."""
    check_package(__name__)
    for arm in {id(spec.arm): spec.arm for spec in specs if isinstance(spec, TransferSpec)}.values():
        if not is_of_table(arm):
            arm.check_unchanged()


def _make_missing(wanted: Sequence[Wanted], out_dir: Path, jobs: int, progress: bool) -> None:
    missing = missing_runs(wanted, out_dir)
    if not missing:
        # where all is there, no worker is started
        return
    if len(missing) == 1 and isinstance(missing[0][0], SourceSpec):
        # alone it can show its steps
        _ensure(*missing[0], out_dir, progress)
        return
    # all of them before the first starts: what cannot be packed is told before any work
    calls = [_call(*pair, out_dir, jobs) for pair in sorted(missing, key=_turn)]
    # a worker gets its next run when it is free, and not before: only then is it known which ones are ready
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)
    made = parallel(_in_turn(calls))
    for _ in progress_bar(made, "runs", total=len(missing), unit="run", shown=progress):
        pass


@dataclass(frozen=True)
class _Call:
    """The call that makes a run, as joblib takes it, and the folders of the runs that it needs."""

    delayed: Any
    needs: tuple[Path, ...]

    def is_ready(self) -> bool:
        """Tell whether the runs that it needs are there."""
        return all(_finished(folder) is not None for folder in self.needs)


def _turn(pair: Wanted) -> tuple[bool, bool, int]:
    """Return what runs are sorted by: first what others wait for, the longest of it first."""
    spec, _ = pair
    return not isinstance(spec, SourceSpec), bool(prerequisites([pair])), -spec.training.steps


def _in_turn(calls: Iterable[_Call]) -> Iterator[Any]:
    """Yield calls as they are asked for: of those that are left the first whose needed runs are there.

    Where none is ready, the first is yielded, and its worker waits for what another one makes.
    """
    ahead = list(calls)
    while ahead:
        ready = (place for place, call in enumerate(ahead) if call.is_ready())
        yield ahead.pop(next(ready, 0)).delayed


def _call(spec: Spec, cohort: Cohort, out_dir: Path, jobs: int) -> _Call:
    needs = tuple(folder_of(needed, of, out_dir) for needed, of in prerequisites([(spec, cohort)]))
    expected = (cohort.folder, out_dir, folder_of(spec, cohort, out_dir))
    if jobs == 1:
        return _Call(joblib.delayed(_ensure_named)(spec, *expected), needs)
    return _Call(joblib.delayed(_ensure_in_worker)(_packed(spec), package_code(__name__), *expected), needs)


def _packed(spec: Spec) -> bytes:
    """Pack a specification for a worker, with the code of a reader's arm."""
    if isinstance(spec, SourceSpec) or is_of_table(spec.arm):
        return pack(spec, {})
    return pack(spec, follow(spec.arm.recipe, ARMS_MODULE).modules)


def _ensure_in_worker(packed: bytes, package: str, cohort: Path, out_dir: Path, folder: Path) -> None:
    """Make a run in a process of its own, with the package's code as it is in the process that asks for it."""
    check_same_package(__name__, package)
    with unpacked(packed) as spec:
        _ensure_named(spec, cohort, out_dir, folder)


def _ensure_named(spec: Spec, cohort: Path, out_dir: Path, folder: Path) -> None:
    """Make a run under the name that was expected; its network is left on the disk, as results are read from there."""
    opened = Cohort.open(cohort)
    if folder_of(spec, opened, out_dir) != folder:
        raise ValueError(f"the data in {cohort} have changed since they were opened: open the cohort again")
    _ensure(spec, opened, out_dir, progress=False)


def folder_of(spec: Spec, cohort: Cohort, out_dir: Path) -> Path:
    """Return the folder of a run, whether it is there or not.

    Raises:
        ValueError: the cohort lacks what the run asks for.
    """
    parameters = parameters_of(spec, cohort)
    task, digest = Task.parse(spec.task), digest_of(parameters)
    if isinstance(spec, SourceSpec):
        return out_dir / "source" / f"{task.slug}_seed{spec.seed}_{digest}"
    start = Task.parse(spec.source.task).slug if spec.arm.needs_source else "scratch"
    name = f"{spec.arm.name}_k{spec.shots}_seed{spec.seed}_{digest}"
    return out_dir / "transfer" / f"{start}_to_{task.slug}" / name


def parameters_of(spec: Spec, cohort: Cohort) -> dict[str, Any]:
    """Return all that decides the numbers of a run, as its record holds it.

    Raises:
        ValueError: the cohort lacks what the run asks for.
    """
    spec = spec.resolved()
    task = Task.parse(spec.task).check(cohort)
    common = {
        "training": asdict(spec.training),
        "num_classes": cohort.targets[task.target].num_classes,
        "data": {"cohort": cohort.name, "digest": cohort.digest, "simulated": cohort.simulated},
        "code": package_code(make_source.__module__),
        "versions": computing_versions(),
    }
    if isinstance(spec, SourceSpec):
        allowed = _source_targets(cohort.folder, cohort.digest)
        if allowed is not None and task.target not in allowed:
            raise ValueError(
                f"a source of cohort {cohort.name} cannot learn {task.target}: its patients come from another data "
                f"set, whose labels tell {', '.join(allowed) or 'nothing'} alone"
            )
        return {"task": spec.task, "seed": spec.seed, "network": asdict(spec.network), **common}
    patients_of(spec, cohort)
    arm = spec.arm
    parameters = {
        "task": spec.task,
        "arm": arm.name,
        "arm_code": arm.code,
        "shots": spec.shots,
        "seed": spec.seed,
        "draw": spec.seed if spec.draw is None else spec.draw,
        "left_out": spec.left_out,
        "part": spec.part,
        "network": asdict(spec.source.network),
        **common,
    }
    if others := [other for other in arm.looks_at if other != "source"]:
        parameters["looks_at"] = {other: get_arm(other).code for other in others}
    if arm.needs_source:
        parameters |= {"source": asdict(spec.source), "starts": arm.starts, "head": arm.head}
    return parameters


@cache
def _source_targets(folder: Path, digest: str) -> tuple[str, ...] | None:
    """Return the targets that mean the same in both data sets of a cohort; None: it is one data set."""
    targets = read_json(folder / "manifest.json").get("source_targets")
    return None if targets is None else tuple(targets)


def _training_config(stored: Mapping[str, Any]) -> TrainingConfig:
    # JSON has no tuples
    known = {"patches": PatchConfig(**stored["patches"]), "validate_at": tuple(stored["validate_at"])}
    return TrainingConfig(**{**stored, **known})


def _network_config(stored: Mapping[str, Any]) -> NetworkConfig:
    # JSON has no tuples
    return NetworkConfig(**{**stored, "channels": tuple(stored["channels"])})


def _finished(folder: Path) -> Run | None:
    """Return the run of a folder, which may lie in a shared checkout; None where it is not there yet."""
    place = place_to_read(folder, _RECORD)
    return _read(place) if (place / _RECORD).exists() else None


def _read(folder: Path) -> Run:
    return Run(folder, read_json(folder / _RECORD))


def _keep(made: Made, spec: Spec, cohort: Cohort, folder: Path, started: float) -> Run:
    """Write what a run has made, its record last."""
    save_weights(made.network.cpu(), folder / "weights.pt")
    with atomic_path(folder / "predictions.npz") as temporary:
        np.savez_compressed(temporary, **cast(dict[str, Any], made.predictions))
    parameters = parameters_of(spec, cohort)
    parameters["subjects"] = {"train": made.trained_on, "scored": made.scored}
    if isinstance(spec, TransferSpec) and spec.arm.text:
        parameters["arm_text"] = spec.arm.text
    seconds = made.earlier_seconds + time.perf_counter() - started
    kind = "source" if isinstance(spec, SourceSpec) else "transfer"
    write_record(folder / _RECORD, kind, parameters, made.results, seconds)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    # as whoever reads it later gets it: JSON turns tuples into lists
    return _read(folder)
