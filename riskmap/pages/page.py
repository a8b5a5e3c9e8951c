"""What every page does with its parameters: it checks them, each alone and all together, and opens what they name."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from riskmap.data.cohort import Cohort, CohortError, Task
from riskmap.data.simulated import DEFAULT_COHORTS, cohort_folder, ensure_cohort, has_cohort
from riskmap.pages.knobs import one_of
from riskmap.pages.values import ParameterError, problem_of, require_known
from riskmap.project.files import sha256_of_file
from riskmap.project.hub import describe_sharing
from riskmap.project.machine import versions
from riskmap.project.paths import PROJECT_ROOT, resolve, shared_counterpart
from riskmap.project.writing import unwritable

if TYPE_CHECKING:
    from IPython.display import Markdown

    from riskmap.training.runs import Wanted
    from riskmap.training.specs import Setting

# papermill writes this line above the values that it puts into a notebook
INJECTED_MARK = "# Parameters"


class Parameters(BaseModel):
    """The parameters of a page; types are strict, since papermill passes whatever it is given."""

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
            problems = [problem_of(detail, cls, values) for detail in error.errors()]
            raise ParameterError("; ".join(dict.fromkeys(problems))) from error
        parameters.check_together()
        return parameters

    @classmethod
    def check(cls, namespace: Mapping[str, Any]) -> Self:
        """Check a notebook from within, where papermill has been, and return its parameters: ``Page.check(globals())``.

        Papermill puts any name into a notebook, without a word. What it put in is found in the history of the kernel. A
        profile serves all notebooks, so a name that only another one declares is printed and left unused.

        Raises:
            ParameterError: as :meth:`checked`, or the notebook's own cell lacks a parameter.
        """
        lacking = [name for name in cls.model_fields if name not in namespace]
        if lacking:
            raise ParameterError(f"the parameters cell lacks {', '.join(lacking)}")
        unused = [name for name in injected_names(namespace.get("In", ())) if name not in cls.model_fields]
        elsewhere = {name for model in _all_pages(Parameters) for name in model.model_fields}
        for name in set(unused) - elsewhere:
            require_known(name, cls.model_fields, "what papermill was given")
        if unused:
            print(f"Not used on this page: {', '.join(unused)}")
        parameters = cls.checked({name: namespace[name] for name in cls.model_fields}, "the parameters cell")
        parameters.check_machine()
        if sharing := describe_sharing():
            print(sharing)
        return parameters

    @property
    def setting(self) -> "Setting":
        """What all runs of the page share, whatever their arm: the network, steps, rates, device and precision."""
        from riskmap.pages.networks import named_network  # these load torch, which a front end can do without
        from riskmap.training.specs import Setting

        network, patches = named_network(getattr(self, "network", "slices"))
        mine = {each.name for each in fields(Setting)} & set(type(self).model_fields) - {"network"}
        return Setting(network, patches, **{name: getattr(self, name) for name in mine})

    def open_cohort(self, parameter: str = "cohort") -> Cohort:
        """Open the cohort that a parameter names; a default one that is missing is simulated and prepared first."""
        return open_cohort(getattr(self, parameter), self._data_dir)

    def input_digests(self) -> dict[str, str]:
        """Return what the page reads beside its parameters, and a digest of each; what is not there is left out.

        A page that was run is done as long as these are the same. Here are those that any notebook may have: cohorts,
        and the table of a sweep.
        """
        found = {}
        for parameter in ("cohort", "source_cohort"):
            cohort = self._cohort(parameter) if getattr(self, parameter, "") else None
            if cohort is not None:
                found[f"{parameter} {getattr(self, parameter)}"] = cohort.digest
        if hasattr(self, "sweep_dir"):
            folder = resolve(self.sweep_dir)
            found |= digests_of(folder / name for name in ("table.parquet", "table.csv", "sweep.json"))
        return found

    def runs_needed(self) -> "list[Wanted]":
        """Return the runs that the page will ask for, each with its cohort, which is opened, or made, for it.

        Here is what is known beforehand. What a page trains on data that it prepares itself, or with an arm that is
        written in one of its cells, it makes when it gets there.
        """
        return []

    def check_machine(self) -> None:
        """Check what the machine that runs the page decides: whether it may write, and in other pages its GPU."""
        if problem := unwritable(self.writes()):
            raise ParameterError(problem)

    def writes(self) -> dict[str, Path]:
        """Return the folders that the page will write into, by the parameter that names each; here for its cohorts."""
        if not hasattr(self, "data_dir"):
            return {}
        names = {getattr(self, name, "") for name in ("cohort", "source_cohort")} - {""}
        if all(has_cohort(name, self._data_dir) for name in names):
            return {}
        return {"parameter data_dir": resolve(self._data_dir)}

    def show_versions(self) -> "Markdown":
        """Return the versions of Python and the libraries as one line, for the end of a page's import cell."""
        from IPython.display import Markdown

        return Markdown(" · ".join(f"{name} {number}" for name, number in versions().items()))

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

    @property
    def _data_dir(self) -> str:
        # a page without a cohort has no such parameter
        return str(getattr(self, "data_dir", ""))

    def _check_parts(self, cohort: Cohort | None, parts: tuple[str, ...], parameter: str) -> None:
        if cohort is None:
            return
        try:
            for part in parts:
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
        for name in ("shots", "shots_list"):
            asked = getattr(self, name, 1)
            try:
                check_pool(cohort, f"parameter {name} (patients)", max(asked) if isinstance(asked, list) else asked)
            except ValueError as error:
                raise ParameterError(str(error)) from error

    def _cohort(self, parameter: str = "cohort") -> Cohort | None:
        """Return the prepared cohort when it is there already; a notebook makes a default one later."""
        if not {parameter, "data_dir"} <= set(type(self).model_fields):
            return None
        name = getattr(self, parameter)
        folder = cohort_folder(name, self._data_dir)
        if folder.is_dir():
            try:
                return Cohort.open(folder) if has_cohort(name, self._data_dir) else None
            except CohortError as error:
                raise ParameterError(f"parameter {parameter}: {error}") from error
        parents = filter(None, (folder.parent, shared_counterpart(folder.parent)))
        neighbours = [path.parent.name for parent in parents for path in parent.glob("*/manifest.json")]
        try:
            one_of(name, sorted({*DEFAULT_COHORTS, *neighbours}), "cohort")
        except ValueError as error:
            raise ParameterError(
                f"parameter {parameter}: {error}. "
                f"Your own: python -m data_scripts.prepare --archive FOLDER --out {folder}"
            ) from error
        return None


def open_cohort(name: str, data_dir: str = "build/data") -> Cohort:
    """Open a prepared cohort; a default one that is missing is simulated and prepared first.

    Raises:
        ValueError: it is not there, and cannot be made; the message says why.
    """
    if not has_cohort(name, data_dir) and name in DEFAULT_COHORTS:
        problem = unwritable({"data_dir": resolve(data_dir)})
        if problem:
            raise ParameterError(f"the cohort {name} is not there yet: {problem}")
    return Cohort.open(ensure_cohort(name, data_dir))


def check_pool(cohort: Cohort, name: str, shots: int) -> None:
    """Check that a cohort has as many target training patients as are asked for.

    Raises:
        ValueError: it has fewer, or none.
    """
    pool = len(cohort.scans_by_patient("target_train"))
    if shots > pool:
        raise ValueError(
            f"{name} must be at most {pool}, the target training patients of {cohort.name}, got {shots}; the nearest "
            f"is {pool}"
        )


def digests_of(paths: Iterable[Path]) -> dict[str, str]:
    """Return the digests of those files that are there, by name: below the project's root, or absolute."""
    there = [path for path in paths if path.is_file()]
    names = [path.relative_to(PROJECT_ROOT) if path.is_relative_to(PROJECT_ROOT) else path for path in there]
    return {name.as_posix(): sha256_of_file(path) for name, path in zip(names, there, strict=True)}


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


def _all_pages(base: type[Parameters]) -> Iterable[type[Parameters]]:
    for page in base.__subclasses__():
        yield page
        yield from _all_pages(page)
