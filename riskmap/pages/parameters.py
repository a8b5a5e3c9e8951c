"""What each page of the tutorial can be given: one model per notebook, of knobs that are declared once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import create_model

from riskmap.data.cohort import PARTS, Cohort
from riskmap.pages.knobs import (
    Arms,
    Box,
    CohortName,
    DataFolder,
    Device,
    Jobs,
    MeasureName,
    NetworkName,
    OutFolder,
    OwnFolder,
    PlanName,
    Precision,
    Rate,
    RecordsFolder,
    ScanFolder,
    SecondSource,
    SecondTarget,
    Seed,
    Seeds,
    Shots,
    ShotsList,
    Source,
    SourceCohort,
    SourceRate,
    SourceSeed,
    SourceSteps,
    Spacing,
    Steps,
    SweepFolder,
    SweptName,
    Target,
    one_of,
)
from riskmap.pages.page import Parameters
from riskmap.pages.values import ParameterError
from riskmap.project.paths import resolve


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


class _WithNetwork(_WithSource):
    network: NetworkName = "slices"


class _OnPair(_WithNetwork):
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


class SourcePretraining(_WithNetwork):
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
                one_of(getattr(self, name), allowed, "column")
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
    return create_model("CellParameters", __base__=Parameters, **cast(dict[str, Any], fields))
