"""What each notebook can be given: one model per notebook, built from knobs that are declared once.

A knob is a type, a range, a unit and a line of help; the same name means the same in every notebook. To add one to a
notebook, add one line to its model and the same line, as ``name: type = default  # help``, to its ``parameters`` cell.
"""

import ast
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from riskmap.data.cohort import PARTS, Cohort, CohortError, Task
from riskmap.data.simulated import DEFAULT_COHORTS, has_cohort
from riskmap.project.paths import resolve

# papermill writes this line above the values that it puts into a notebook
INJECTED_MARK = "# Parameters"


class ParameterError(ValueError):
    """A notebook was given what it does not take; the message names it, and the nearest valid choice."""


def _knob(help_text: str, unit: str | None = None, **limits: Any) -> FieldInfo:
    return Field(description=help_text, json_schema_extra={"unit": unit} if unit else None, **limits)


def _spelled_task(text: str) -> str:
    Task.parse(text)
    return text


def _known_arm(name: str) -> str:
    from riskmap.training.arms import ARMS  # loads torch, which a front end can do without

    return _one_of(name, ARMS, "arm")


def _known_plan(name: str) -> str:
    from riskmap.experiment.plans import PLANS

    return _one_of(name, PLANS, "plan")


def _different(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError(f"names something twice: {values}")
    return values


TaskName = Annotated[str, AfterValidator(_spelled_task)]
ArmName = Annotated[str, AfterValidator(_known_arm)]
SeedNumber = Annotated[int, Field(ge=0, le=2**32 - 1)]
ShotNumber = Annotated[int, Field(ge=1)]
SourceCohort = Annotated[str, _knob("where the source network is trained; empty: the same cohort")]
OwnFolder = Annotated[str, _knob("your folder of NIfTI files with its dataset.yaml; empty: that of the cohort")]
ScanFolder = Annotated[str, _knob("a real patient to look at, if there")]
Spacing = Annotated[float, _knob("voxel size to prepare at, in mm", "mm", gt=0, le=20)]
Box = Annotated[list[float], _knob("size of the prepared volumes in mm", "mm", min_length=3, max_length=3)]
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
Jobs = Annotated[int, _knob("runs side by side", "processes", ge=1, le=1024)]
SpatialDims = Annotated[Literal[2, 3], _knob("2: slices, 3: volumes")]
Channels = Annotated[
    list[Annotated[int, Field(ge=1)]], _knob("feature maps per resolution level of the U-Net", min_length=2)
]  # fmt: skip
PatchSize = Annotated[int, _knob("side of the 3-D patches in voxels", "voxels", ge=2, le=1024)]
PlanName = Annotated[
    str, _knob("which experiment is read, a name of riskmap.experiment.plans.PLANS"), AfterValidator(_known_plan)
]  # fmt: skip
RecordsFolder = Annotated[
    str, _knob("the folder of its records, below the project's root, or absolute", min_length=1)
]  # fmt: skip
SweepFolder = Annotated[
    str, _knob("the folder of a sweep, below the project's root, or absolute", min_length=1)
]  # fmt: skip
SweptName = Annotated[str, _knob("the swept parameter whose effect is shown; empty: the first one")]
MeasureName = Annotated[str, _knob("what was measured, a column of the sweep's table", min_length=1)]


class Parameters(BaseModel):
    """The parameters of a notebook; types are strict, since papermill passes whatever it is given."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    # the parts of the cohort's split that the notebook reads
    needs_parts: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def checked(cls, values: Mapping[str, Any], where: str) -> Self:
        """Return the parameters, with defaults for those that are not in ``values``.

        Raises:
            ParameterError: an unknown name, a wrong type, a value out of range, or values that do not go together.
        """
        for name in values:
            require_known(name, cls.model_fields, where)
        try:
            parameters = cls.model_validate(dict(values))
        except ValidationError as error:
            problems = [_problem(detail, cls, values) for detail in error.errors()]
            raise ParameterError("; ".join(dict.fromkeys(problems))) from error
        parameters.check_together()
        return parameters

    @classmethod
    def check(cls, namespace: Mapping[str, Any]) -> None:
        """Check a notebook from within, where papermill has been: ``Model.check(globals())``.

        Papermill puts any name into a notebook, without a word. What it put in is found in the history of the kernel. A
        profile serves all notebooks, so a name that only another one declares is printed and left unused.

        Raises:
            ParameterError: as :meth:`checked`, or the notebook's own cell lacks a parameter.
        """
        lacking = [name for name in cls.model_fields if name not in namespace]
        if lacking:
            raise ParameterError(f"the parameters cell lacks {', '.join(lacking)}")
        unused = [name for name in injected_names(namespace.get("In", ())) if name not in cls.model_fields]
        elsewhere = {name for model in MODELS.values() for name in model.model_fields}
        for name in set(unused) - elsewhere:
            require_known(name, cls.model_fields, "what papermill was given")
        if unused:
            print(f"Not used on this page: {', '.join(unused)}")
        cls.checked({name: namespace[name] for name in cls.model_fields}, "the parameters cell")

    def check_together(self) -> None:
        """Check what no single value can tell: pairs, and what the cohort has when it is there already."""
        cohort = self._cohort()
        elsewhere = bool(getattr(self, "source_cohort", ""))
        of_source = self._cohort("source_cohort") if elsewhere else cohort
        tasks = {"source": of_source, "target": cohort, "second_source": of_source, "second_target": cohort}
        target_parts = tuple(part for part in self.needs_parts if not (elsewhere and part.startswith("source")))
        self._check_parts(cohort, target_parts, "cohort")
        if elsewhere:
            self._check_parts(of_source, ("source_train", "source_val"), "source_cohort")
        try:
            for name, asked in tasks.items():
                if asked is not None and hasattr(self, name):
                    Task.parse(getattr(self, name)).check(asked)
        except CohortError as error:
            raise ParameterError(f"parameter {name}: {error}") from error
        if elsewhere:
            # one task in two cohorts is a pair
            self._check_shots(cohort)
            return
        for source, target in (("source", "target"), ("second_source", "second_target")):
            if hasattr(self, source) and hasattr(self, target):
                self._check_pair(source, target, cohort)
        self._check_shots(cohort)

    def _check_parts(self, cohort: Cohort | None, parts: tuple[str, ...], parameter: str) -> None:
        try:
            for part in parts if cohort is not None else ():
                cohort.part(part)
        except CohortError as error:
            raise ParameterError(f"parameter {parameter}: {error}") from error

    def _check_pair(self, source: str, target: str, cohort: Cohort | None) -> None:
        task, other = Task.parse(getattr(self, source)), Task.parse(getattr(self, target))
        if task != other or self._across_sites(cohort):
            return
        near = ""
        if cohort is not None:
            choices = [str(Task(modality, other.target)) for modality in cohort.modalities if modality != task.modality]
            near = f"; {source} could be {', '.join(choices)}"
        raise ParameterError(
            f"parameters {source} and {target} are the same task {task}: nothing is transferred, unless the cohort "
            f"takes them from different sites{near}"
        )

    def _across_sites(self, cohort: Cohort | None) -> bool:
        if cohort is None:
            recipe = DEFAULT_COHORTS.get(getattr(self, "cohort", ""))
            # of a cohort that is not there yet and has no recipe nothing is known
            return recipe is None or "--source-sites" in recipe.prepare_options
        seen = {cohort.sites[patient] for patient in cohort.part("source_train")}
        return seen.isdisjoint(cohort.sites[patient] for patient in cohort.part("target_train"))

    def _check_shots(self, cohort: Cohort | None) -> None:
        if cohort is None or "target_train" not in self.needs_parts:
            return
        pool = len(cohort.part("target_train"))
        for name in ("shots", "shots_list"):
            asked = getattr(self, name, 1)
            if max(asked) > pool if isinstance(asked, list) else asked > pool:
                raise ParameterError(
                    f"parameter {name} (patients) must be at most {pool}, the target training patients of "
                    f"{cohort.name}, got {asked}; the nearest is {pool}"
                )

    def _cohort(self, parameter: str = "cohort") -> Cohort | None:
        """Return the prepared cohort when it is there already; a notebook makes a default one later."""
        if not {parameter, "data_dir"} <= set(type(self).model_fields):
            return None
        name = getattr(self, parameter)
        folder = resolve(self.data_dir) / "prepared" / name
        if folder.is_dir():
            try:
                return Cohort.open(folder) if has_cohort(name, self.data_dir) else None
            except CohortError as error:
                raise ParameterError(f"parameter {parameter}: {error}") from error
        neighbours = [path.parent.name for path in folder.parent.glob("*/manifest.json")]
        try:
            _one_of(name, sorted({*DEFAULT_COHORTS, *neighbours}), "cohort")
        except ValueError as error:
            raise ParameterError(
                f"parameter {parameter}: {error}. "
                f"Your own: python -m data_scripts.prepare --archive FOLDER --out {folder}"
            ) from error
        return None


class _OnData(Parameters):
    cohort: CohortName = "fets2021_simulated"
    data_dir: DataFolder = "build/data"


class _WithSource(_OnData):
    needs_parts: ClassVar[tuple[str, ...]] = ("source_train", "source_val")
    source: Source = "FLAIR:WT"
    source_seed: SourceSeed = 0
    source_steps: SourceSteps = 400
    source_learning_rate: SourceRate = 2.0e-3
    device: Device = "auto"
    precision: Precision = "auto"
    out_dir: OutFolder = "build/runs"


class _WithDimensions(_WithSource):
    spatial_dims: SpatialDims = 2
    channels: Channels = [16, 32, 64, 128]
    patch_size: PatchSize = 48

    def check_together(self) -> None:
        """Check also that a patch can be halved as often as the network does."""
        super().check_together()
        factor = 2 ** (len(self.channels) - 1)
        if self.spatial_dims == 3 and self.patch_size % factor:
            raise ParameterError(
                f"parameter patch_size (voxels) must be a multiple of {factor} with {len(self.channels)} levels, "
                f"got {self.patch_size}; the nearest is {max(round(self.patch_size / factor), 1) * factor}"
            )


class _OnPair(_WithDimensions):
    needs_parts: ClassVar[tuple[str, ...]] = ("source_train", "source_val", "target_train")
    target: Target = "T1ce:TC"


class _Repeated(Parameters):
    needs_parts: ClassVar[tuple[str, ...]] = PARTS
    seeds: Seeds = [0, 1]
    steps: Steps = 200
    learning_rate: Rate = 6.0e-3
    jobs: Jobs = 2

    def _require_arms(self, arms: list[str]) -> None:
        lacking = [arm for arm in ("scratch", "fine_tune") if arm not in arms]
        if lacking:
            raise ParameterError(f"parameter arms must hold {' and '.join(lacking)}, what others are compared with")

    def _require_two_seeds(self) -> None:
        if len(self.seeds) < 2:
            raise ParameterError(f"parameter seeds must hold at least 2 (the second shows churn), got {self.seeds}")


class StartHere(_OnData):
    """00_start_here.ipynb."""

    needs_parts: ClassVar[tuple[str, ...]] = ("target_train",)


class SourcePretraining(_WithDimensions):
    """01_source_pretraining.ipynb."""


class RiskMap(_OnPair):
    """02_risk_map.ipynb."""

    source_cohort: SourceCohort = ""
    shots: Shots = 3
    seed: Seed = 0


class FineTuning(_Repeated, _OnPair):
    """03_fine_tuning.ipynb."""

    second_source: SecondSource = "T2:WT"
    second_target: SecondTarget = "T1ce:TC"
    arms: Arms = []
    shots: Shots = 3

    def check_together(self) -> None:
        """Check also that there is something to compare with."""
        super().check_together()
        self._require_two_seeds()
        if self.arms:
            self._require_arms(self.arms)


class FewShot(_Repeated, _OnPair):
    """04_few_shot.ipynb."""

    arms: Arms = ["scratch", "fine_tune", "class_balanced", "risk_map_paper"]
    shots_list: ShotsList = [1, 2, 4]

    def check_together(self) -> None:
        """Check also that there is something to compare with."""
        super().check_together()
        self._require_arms(self.arms)


class WhichSourcesHurt(_Repeated, _WithSource):
    """05_which_sources_hurt.ipynb."""

    target: Target = "T1ce:TC"
    plan: PlanName = "published"
    records_dir: RecordsFolder = "results"
    shots: Shots = 3

    def check_together(self) -> None:
        """Check also that a second seed shows the churn."""
        super().check_together()
        self._require_two_seeds()


class YourOwnData(_Repeated, _OnPair):
    """06_your_own_data.ipynb."""

    folder: OwnFolder = ""
    spacing: Spacing = 2.0
    box: Box = [192.0, 224.0, 176.0]
    seeds: Seeds = [0]
    arms: Arms = ["scratch", "fine_tune", "class_balanced", "risk_map_paper"]
    shots: Shots = 3
    real_scan: ScanFolder = "../shared/data/real_glioma"

    def check_together(self) -> None:
        """Check also that the folder is there, and that there is something to compare with."""
        if self.folder and not resolve(self.folder).is_dir():
            raise ParameterError(f"parameter folder: there is no folder {resolve(self.folder)}")
        super().check_together()
        self._require_arms(self.arms)

    def _cohort(self, parameter: str = "cohort") -> Cohort | None:
        return None if self.folder else super()._cohort(parameter)


class CompareReruns(Parameters):
    """07_compare_reruns.ipynb."""

    sweep_dir: SweepFolder = "results/sweep"
    parameter: SweptName = ""
    measure: MeasureName = "dice"

    def check_together(self) -> None:
        """Check also that the sweep has a table, and that the table has what is asked for."""
        super().check_together()
        from riskmap.pages import sweep_table  # loads pandas, which a front end can do without

        try:
            table = sweep_table.read_table(resolve(self.sweep_dir))
        except ValueError as error:
            raise ParameterError(f"parameter sweep_dir: {error}") from error
        swept = sweep_table.varied(table)
        if not swept:
            raise ParameterError(f"parameter sweep_dir: the sweep in {self.sweep_dir} varied nothing but seeds")
        choices = {"parameter": ["", *swept], "measure": sweep_table.measures_of(table)}
        for name, allowed in choices.items():
            try:
                _one_of(getattr(self, name), allowed, "column")
            except ValueError as error:
                raise ParameterError(f"parameter {name}: {error}") from error


MODELS: dict[str, type[Parameters]] = {
    "00_start_here": StartHere,
    "01_source_pretraining": SourcePretraining,
    "02_risk_map": RiskMap,
    "03_fine_tuning": FineTuning,
    "04_few_shot": FewShot,
    "05_which_sources_hurt": WhichSourcesHurt,
    "06_your_own_data": YourOwnData,
    "07_compare_reruns": CompareReruns,
}


def model_of(notebook: Path, declared: Mapping[str, Any]) -> type[Parameters]:
    """Return the model of a tutorial's notebook, or one made from the defaults in the cell of any other."""
    if notebook.stem in MODELS:
        return MODELS[notebook.stem]
    fields = {name: (Any if default is None else type(default), default) for name, default in declared.items()}
    return create_model("CellParameters", __base__=Parameters, **fields)


def parse_text(name: str, text: str, model: type[Parameters]) -> Any:
    """Turn the text of a command line into a value of the type that ``model`` gives to ``name``.

    Raises:
        ParameterError: no such parameter, or the text is no such value.
    """
    require_known(name, model.model_fields, "the command line")
    kind = model.model_fields[name].annotation
    if kind is str or (get_origin(kind) is Literal and isinstance(get_args(kind)[0], str)):
        return text
    try:
        # YAML reads 1e-3 as text, so numbers are read by Python
        return float(text) if kind is float else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise ParameterError(f"parameter {name} must be {_kind(kind)}, got {text!r}") from error


def injected_names(history: Iterable[str]) -> list[str]:
    """Return the names that papermill has put into a notebook, by the cells that its kernel has run."""
    found: dict[str, None] = {}
    for cell in history:
        if not cell.startswith(INJECTED_MARK):
            continue
        for statement in ast.parse(cell).body:
            if isinstance(statement, ast.Assign):
                found |= dict.fromkeys(target.id for target in statement.targets if isinstance(target, ast.Name))
    return list(found)


def require_known(name: str, known: Iterable[str], where: str) -> None:
    """Raise ParameterError unless ``name`` is one of ``known``."""
    names = sorted(known)
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ParameterError(f"unknown parameter {name!r} in {where}{hint} Declared: {', '.join(names) or 'none'}")


def _one_of(value: str, allowed: Iterable[str], kind: str) -> str:
    allowed = list(allowed)
    if value in allowed:
        return value
    near = difflib.get_close_matches(value, allowed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ValueError(f"unknown {kind} {value!r}{hint} There are {', '.join(filter(None, allowed))}")


def _problem(detail: ErrorDetails, model: type[Parameters], values: Mapping[str, Any]) -> str:
    """Say in one line which parameter is wrong, what is allowed, and what is nearest."""
    name = str(detail["loc"][0])
    knob, given, context = model.model_fields[name], values[name], detail.get("ctx", {})
    unit = (knob.json_schema_extra or {}).get("unit")
    subject = f"parameter {name} ({unit})" if unit else f"parameter {name}"
    within = f" in {given!r}" if len(detail["loc"]) > 1 else ""
    if detail["type"] == "value_error":
        return f"{subject}: {context['error']}{within}"
    for key, words in (("ge", "at least"), ("le", "at most"), ("gt", "above"), ("lt", "below")):
        if key in context:
            near = f"; the nearest is {context[key]}" if key in ("ge", "le") else ""
            return f"{subject} must be {words} {context[key]}, got {detail['input']!r}{within}{near}"
    if context.get("min_length", 1) > 1:
        return f"{subject} must hold at least {context['min_length']}, got {given!r}"
    if "min_length" in context:
        return f"{subject} must not be empty"
    if detail["type"] in ("literal_error", "string_pattern_mismatch"):
        allowed = [str(choice) for choice in get_args(knob.annotation)] or ["auto", "cpu", "mps", "cuda", "cuda:0"]
        near = difflib.get_close_matches(str(given), allowed, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{subject} must be one of {', '.join(allowed)}, got {given!r}{hint}"
    return f"{subject} must be {_kind(knob.annotation)}, got {given!r}{_converted(given, knob.annotation)}"


def _converted(given: Any, kind: Any) -> str:
    """Suggest the value that a text was meant to be, as papermill and YAML leave many as text."""
    if isinstance(given, str) and kind is float:
        try:
            return f"; did you mean {float(given)}? (in YAML, write 1.0e-3, not 1e-3)"
        except ValueError:
            return ""
    if isinstance(given, str) and kind is not str:
        try:
            meant = yaml.safe_load(given)
        except yaml.YAMLError:
            return ""
        matches = isinstance(meant, get_origin(kind) or kind) and not (kind is int and isinstance(meant, bool))
        hint = f"; did you mean {meant!r}? (papermill -p leaves lists as text; use -y or a profile)"
        return (hint if isinstance(meant, list) else f"; did you mean {meant!r}?") if matches else ""
    if isinstance(given, float) and kind is int and given.is_integer():
        return f"; did you mean {int(given)}?"
    if kind is str:
        return f"; did you mean {str(given)!r}?"
    if get_origin(kind) is list and not isinstance(given, list):
        return f"; did you mean {[given]!r}?"
    return ""


def _kind(kind: Any) -> str:
    """Name a type in words, with the Python name that stands in the parameters cell."""
    if get_origin(kind) is list or kind is list:
        return "a list (list)"
    words = {int: "a whole number (int)", float: "a number (float)", bool: "true or false (bool)", str: "text (str)"}
    return words.get(kind, "a value of the declared type")
