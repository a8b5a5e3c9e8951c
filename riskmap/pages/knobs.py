"""The knobs of the notebooks: a type, a range, a unit and a line of help each. One name means one thing on every page.

To add one to a page, add one line to its model in ``pages/parameters.py`` and the same line, as
``name: type = default  # help``, to its ``parameters`` cell.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic.fields import FieldInfo

from riskmap.data.cohort import Task
from riskmap.project.choices import unknown


def one_of(value: str, allowed: Iterable[str], kind: str) -> str:
    """Return ``value`` if it is one of ``allowed``, otherwise raise ValueError with the nearest one."""
    choices = list(allowed)
    if value not in choices:
        raise ValueError(unknown(f"unknown {kind} {value!r}", choices, value, "There are"))
    return value


def _knob(
    help_text: str, unit: str | None = None, reads: Literal["file", "folder"] | None = None, **limits: Any
) -> FieldInfo:
    """Return a knob; ``reads`` says that it may name a file, or that it names a folder, that must be there before."""
    known: dict[str, Any] = {name: value for name, value in (("unit", unit), ("reads", reads)) if value}
    return Field(description=help_text, json_schema_extra=known or None, **limits)


def _three_or_none(lengths: list[float]) -> list[float]:
    if len(lengths) not in (0, 3):
        raise ValueError(f"must hold three lengths, or none, got {len(lengths)}")
    return lengths


def _spelled_task(text: str) -> str:
    Task.parse(text)
    return text


def _known_arm(name: str) -> str:
    from riskmap.training.arms import ARMS  # loads torch, which a front end can do without

    return one_of(name, ARMS, "arm")


def _known_plan(name: str) -> str:
    from riskmap.experiment.plans import PLANS

    return one_of(name, PLANS, "plan")


def _known_network(name: str) -> str:
    from riskmap.pages.networks import named_network  # loads torch

    named_network(name)
    return name


def _different(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError(f"names something twice: {values}")
    return values


TaskName = Annotated[str, AfterValidator(_spelled_task)]
ArmName = Annotated[str, AfterValidator(_known_arm)]
SeedNumber = Annotated[int, Field(ge=0, le=2**32 - 1)]
ShotNumber = Annotated[int, Field(ge=1)]
SourceCohort = Annotated[str, _knob("where the source network is trained; empty: the same cohort")]
OwnFolder = Annotated[
    str, _knob("your folder of patients, in the form the page names; empty: none of your own", reads="folder")
]  # fmt: skip
ScanFolder = Annotated[str, _knob("a real patient to look at, if there", reads="folder")]
Length = Annotated[float, Field(gt=0)]
Spacing = Annotated[float, _knob("voxel size to prepare at, in mm", "mm", gt=0, le=20)]
Box = Annotated[
    list[Length], _knob("size of the prepared volumes in mm; empty: found from the patients", "mm"),
    AfterValidator(_three_or_none),
]  # fmt: skip
CohortName = Annotated[str, _knob("a default cohort, or a prepared folder below data_dir", min_length=1)]
DataFolder = Annotated[str, _knob("below the project's root, or absolute", min_length=1)]
OutFolder = Annotated[str, _knob("below the project's root, or absolute", min_length=1)]
Device = Annotated[str, _knob("auto, cpu, cuda", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]
Precision = Annotated[Literal["auto", "float32", "bfloat16", "float16"], _knob("auto, float32, bfloat16")]
Source = Annotated[TaskName, _knob("source task, SEQUENCE:LABEL")]
Target = Annotated[TaskName, _knob("target task, SEQUENCE:LABEL")]
SecondSource = Annotated[TaskName, _knob("source task of the second pair, at the end of the page")]
SecondTarget = Annotated[TaskName, _knob("target task of the second pair")]
Arms = Annotated[
    list[ArmName], _knob("what is compared"),
    AfterValidator(_different),
]  # fmt: skip
Shots = Annotated[int, _knob("target training patients", "patients", ge=1)]
ShotsList = Annotated[
    list[ShotNumber], _knob("numbers of target training patients", "patients", min_length=1),
    AfterValidator(_different),
]  # fmt: skip
Seed = Annotated[SeedNumber, _knob("chooses the target patients")]
Seeds = Annotated[
    list[SeedNumber], _knob("patients, first weights and batches of each repetition", min_length=1),
    AfterValidator(_different),
]  # fmt: skip
SourceSeed = Annotated[SeedNumber, _knob("first weights and batches of the source network")]
Steps = Annotated[int, _knob("optimiser steps of each run", None, ge=1, le=1_000_000)]
SourceSteps = Annotated[int, _knob("optimiser steps of the source network", None, ge=1, le=1_000_000)]
Rate = Annotated[float, _knob("first learning rate of Adam, the same for every arm", "per step", gt=0, le=1)]
SourceRate = Annotated[float, _knob("first learning rate of Adam", "per step", gt=0, le=1)]
BadSteps = Annotated[int, _knob("optimiser steps under bad habits", None, ge=1, le=1_000_000)]
BadSourceSteps = Annotated[int, _knob("of the source network under bad habits", None, ge=1, le=1_000_000)]
BadRate = Annotated[float, _knob("first learning rate under bad habits", "per step", gt=0, le=1)]
Jobs = Annotated[int, _knob("runs side by side", "processes", ge=1, le=1024)]
NetworkName = Annotated[
    str, _knob("slices, volumes, large_volumes, or a YAML file", reads="file"), AfterValidator(_known_network)
]  # fmt: skip
PlanName = Annotated[
    str, _knob("which experiment is read, simulated, real or smoke"), AfterValidator(_known_plan)
]  # fmt: skip
RecordsFolder = Annotated[
    str, _knob("the folder of its records, below the project's root, or absolute", reads="folder", min_length=1)
]  # fmt: skip
SweepFolder = Annotated[
    str, _knob("the folder of a sweep, below the project's root, or absolute", reads="folder", min_length=1)
]  # fmt: skip
SweptName = Annotated[str, _knob("the swept parameter whose effect is shown; empty: the first one")]
MeasureName = Annotated[str, _knob("what was measured, a column of the sweep's table", min_length=1)]
