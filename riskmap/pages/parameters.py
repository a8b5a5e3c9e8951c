"""What each page of the tutorial can be given: one model per notebook, of knobs that are declared once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import create_model

from riskmap.data.cohort import Cohort, CohortError
from riskmap.data.simulated import PREPARE_REAL, archive_folder
from riskmap.pages.kinds import FromSource, OnData, OnPair, Repeated, WithNetwork, WithSource
from riskmap.pages.knobs import (
    Arms,
    BadRate,
    BadSourceSteps,
    BadSteps,
    Box,
    MeasureName,
    OwnFolder,
    PlanName,
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
    Spacing,
    SweepFolder,
    SweptName,
    Target,
    one_of,
)
from riskmap.pages.page import Parameters, digests_of
from riskmap.pages.values import ParameterError
from riskmap.project.files import digest_of_folder
from riskmap.project.paths import NOTEBOOKS, RESULTS, resolve

if TYPE_CHECKING:
    from IPython.display import Markdown

    from riskmap.experiment.findings import Findings
    from riskmap.experiment.sentences import Sentences
    from riskmap.pages.comparison import Comparison
    from riskmap.training.runs import Wanted
    from riskmap.training.specs import Setting


class StartHere(OnData):
    """00_start_here.ipynb."""

    needs_parts: ClassVar[tuple[str, ...]] = ("target_train",)

    def input_digests(self) -> dict[str, str]:
        """Name also the picture of the published run that the page shows."""
        return super().input_digests() | digests_of([RESULTS / "negative_transfer.png"])


class SourcePretraining(WithNetwork):
    """01_source_pretraining.ipynb."""

    def runs_needed(self) -> "list[Wanted]":
        """Return the source network, and the one of a quarter of its steps that it is held against."""
        from riskmap.pages.source import SourceNetwork  # loads torch

        network = SourceNetwork(self.open_cohort(), self.source, self.setting, self.out_dir)
        return [network.wanted, network.with_steps(1 / 4).wanted]


class RiskMap(OnPair):
    """02_risk_map.ipynb."""

    source_cohort: SourceCohort = ""
    shots: Shots = 3
    seed: Seed = 0

    def runs_needed(self) -> "list[Wanted]":
        """Return the source network."""
        from riskmap.pages.source import SourceNetwork  # loads torch

        cohort = self.open_cohort("source_cohort" if self.source_cohort else "cohort")
        return [SourceNetwork(cohort, self.source, self.setting, self.out_dir).wanted]


class Comparing(Repeated, WithSource):
    """A page that compares arms."""

    def comparisons(self) -> "list[Comparison]":
        """Return what the page compares, in its order; the cohort is opened, or made."""
        raise NotImplementedError

    def runs_needed(self) -> "list[Wanted]":
        """Return the runs of all comparisons."""
        return [wanted for comparison in self.comparisons() for wanted in comparison.wanted]

    def _comparison(
        self,
        source: str,
        target: str,
        arms: Sequence[str],
        shots: int | Sequence[int],
        setting: "Setting | None" = None,
    ) -> "Comparison":
        from riskmap.pages.comparison import Comparison  # loads torch

        given: dict[str, Any] = {"seeds": self.seeds, "setting": setting or self.setting, "out_dir": self.out_dir}
        return Comparison(self.open_cohort(), source, target, arms, shots=shots, **given)


class FineTuning(Comparing, OnPair):
    """03_fine_tuning.ipynb."""

    second_source: SecondSource = "T2:WT"
    second_target: SecondTarget = "T1ce:TC"
    arms: Arms = []
    shots: Shots = 3

    def check_together(self) -> None:
        """Check also that there is something to compare with."""
        super().check_together()
        self.require_two_seeds()
        if self.arms:
            self.require_arms(self.arms)

    def comparisons(self) -> "list[Comparison]":
        """Return those of the two pairs; the reader's own arm adds one run per seed to the first."""
        pairs = ((self.source, self.target), (self.second_source, self.second_target))
        return [self._comparison(*pair, self.arms, self.shots) for pair in pairs]


class FewShot(Comparing, OnPair):
    """04_few_shot.ipynb."""

    arms: Arms = ["scratch", "fine_tune", "risk_map_paper"]
    shots_list: ShotsList = [1, 2, 4]

    def check_together(self) -> None:
        """Check also that there is something to compare with."""
        super().check_together()
        self.require_arms(self.arms)

    def comparisons(self) -> "list[Comparison]":
        """Return the one of all numbers of patients."""
        return [self._comparison(self.source, self.target, self.arms, self.shots_list)]


class WhichSourcesHurt(Comparing):
    """05_which_sources_hurt.ipynb."""

    # of the pair that is trained on the page itself
    live_arms: ClassVar[tuple[str, ...]] = ("scratch", "fine_tune", "risk_map_focused_sampled")
    target: Target = "T1ce:TC"
    plan: PlanName = "simulated"
    records_dir: RecordsFolder = "results"
    shots: Shots = 3

    def check_together(self) -> None:
        """Check also that a second seed shows the churn."""
        super().check_together()
        self.require_two_seeds()

    def comparisons(self) -> "list[Comparison]":
        """Return the one that the page trains itself."""
        return [self._comparison(self.source, self.target, self.live_arms, self.shots)]

    def input_digests(self) -> dict[str, str]:
        """Name also the records of the experiments."""
        return super().input_digests() | digests_of_records(self.records_dir, {self.plan, *self.told})

    def findings(self, plan: str, records_dir: str) -> "Findings":
        """Return what a plan found; the records that the sentences need later are checked as well."""
        from riskmap.experiment.findings import Findings  # loads torch

        self.sentences(records_dir)
        return Findings.read(plan, records_dir)

    def sentences(self, records_dir: str) -> "Sentences":
        """Return what both experiments found, in sentences."""
        from riskmap.experiment.findings import Findings  # these load torch
        from riskmap.experiment.sentences import Sentences

        return Sentences(*(Findings.read(plan, records_dir) for plan in self.told))

    @property
    def told(self) -> tuple[str, str]:
        """The two experiments that the sentences are of; the tiny one stands for both."""
        return (self.plan, self.plan) if self.plan == "smoke" else ("simulated", "real")


class YourOwnData(Repeated, OnPair):
    """06_your_own_data.ipynb."""

    folder: OwnFolder = ""
    spacing: Spacing = 2.0
    box: Box = []
    seeds: Seeds = [0]
    arms: Arms = ["scratch", "fine_tune", "class_balanced", "risk_map_paper"]
    shots: Shots = 3
    real_scan: ScanFolder = "../shared/data/real_glioma"

    def check_together(self) -> None:
        """Check also that the folder is there, and that there is something to compare with."""
        if self.folder and not resolve(self.folder).is_dir():
            raise ParameterError(f"parameter folder: there is no folder {resolve(self.folder)}")
        super().check_together()
        self.require_arms(self.arms)

    def input_digests(self) -> dict[str, str]:
        """Name also the files of the two folders, by name, size and time, and what describes them."""
        found = super().input_digests()
        # where no folder is given, the archive of the cohort stands in
        folders = {"folder": resolve(self.folder) if self.folder else archive_folder(self.cohort, self.data_dir)}
        if self.real_scan:
            folders["real_scan"] = resolve(self.real_scan)
        found |= {name: digest_of_folder(folder) for name, folder in folders.items() if folder.is_dir()}
        examples = (NOTEBOOKS / "own_data.yaml", NOTEBOOKS / "real_scan.yaml")
        return found | digests_of([*examples, *(folder / "dataset.yaml" for folder in folders.values())])

    def writes(self) -> dict[str, Path]:
        """Return also where the reader's folder is prepared."""
        return super().writes() | {"parameter data_dir": resolve(self.data_dir)}

    def _cohort(self, parameter: str = "cohort") -> Cohort | None:
        return None if self.folder else super()._cohort(parameter)

    def slice_sides(self) -> list[tuple[int, int]]:
        """Return them by box and voxel size; nothing where the box is left to the patients."""
        if not self.box:
            return []
        # what is no whole number of voxels is refused where the page prepares its patients, with the nearest
        x, y = (round(length / self.spacing) for length in self.box[:2])
        return [(x, y)] if min(x, y) > 0 else []


class GoodAndBadHabits(Comparing, OnPair):
    """08_habits.ipynb."""

    # a pair whose gap the habits turn round
    source: Source = "T1:WT"
    target: Target = "FLAIR:WT"
    arms: Arms = ["scratch", "fine_tune", "risk_map_paper"]
    shots: Shots = 3
    bad_steps: BadSteps = 75
    bad_learning_rate: BadRate = 6.0e-4
    bad_source_steps: BadSourceSteps = 100

    def check_together(self) -> None:
        """Check also that there is something to compare with."""
        super().check_together()
        self.require_two_seeds()
        self.require_arms(self.arms)
        for name in ("steps", "learning_rate", "source_steps"):
            bad, good = getattr(self, f"bad_{name}"), getattr(self, name)
            if bad > good:
                raise ParameterError(f"parameter bad_{name}: must be at most {name}, {good:g}, got {bad:g}")

    def comparisons(self) -> "list[Comparison]":
        """Return the ones under the page's own setting, under bad habits, and with a mended rate."""
        bad = replace(
            self.setting,
            steps=self.bad_steps,
            learning_rate=self.bad_learning_rate,
            source_steps=self.bad_source_steps,
        )
        settings = (self.setting, bad, replace(bad, learning_rate=self.learning_rate))
        return [self._comparison(self.source, self.target, self.compared, self.shots, each) for each in settings]

    @property
    def compared(self) -> list[str]:
        """The arms, and always the map's twin and a network whose body stays as it came."""
        return list(dict.fromkeys([*self.arms, "risk_map_paper_shuffled", "frozen_body"]))

    def input_digests(self) -> dict[str, str]:
        """Name also the chart of habits."""
        return super().input_digests() | digests_of([RESULTS / "habits.json"])


class RealPatients(Repeated, FromSource):
    """09_real_patients.ipynb."""

    folder: OwnFolder = ""
    records_dir: RecordsFolder = "results"
    target: Target = "T1:WT"
    arms: Arms = ["scratch", "fine_tune", "class_balanced", "risk_map_paper"]
    shots: Shots = 3

    def check_together(self) -> None:
        """Check also that the folder holds real patients, and that there is something to compare with."""
        super().check_together()
        self.require_two_seeds()
        self.require_arms(self.arms)

    @property
    def prepared(self) -> Path:
        """Where the prepared patients are."""
        return resolve(self.folder)

    def how_to_get_there(self) -> "Markdown":
        """Return what a reader without the data is told."""
        from IPython.display import Markdown

        return Markdown(f"No `folder` was given, so nothing is trained here. Prepare the data: `{PREPARE_REAL}`.")

    def runs_needed(self) -> "list[Wanted]":
        """Return the runs of the comparison; without a folder nothing is trained."""
        from riskmap.pages.comparison import Comparison  # loads torch

        cohort = self._cohort()
        if cohort is None:
            return []
        given: dict[str, Any] = {"seeds": self.seeds, "setting": self.setting, "out_dir": self.out_dir}
        return Comparison(cohort, self.source, self.target, self.arms, shots=self.shots, **given).wanted

    def writes(self) -> dict[str, Path]:
        """Return where the runs are kept, if there are any."""
        return super().writes() if self.folder else {}

    def input_digests(self) -> dict[str, str]:
        """Name also the records of both experiments, and the reader's patients."""
        cohort = self._cohort()
        found = super().input_digests() | digests_of_records(self.records_dir, {"simulated", "real"})
        return found | ({} if cohort is None else {f"folder {self.folder}": cohort.digest})

    def _cohort(self, parameter: str = "cohort") -> Cohort | None:
        if not self.folder or parameter != "cohort":
            return None
        try:
            cohort = Cohort.open(self.prepared)
        except CohortError as error:
            raise ParameterError(f"parameter folder: {error}. Prepare it first: {PREPARE_REAL}") from error
        if cohort.simulated:
            raise ParameterError(f"parameter folder: the patients of {self.prepared} are simulated; page 3 is theirs")
        return cohort


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
    "08_habits": GoodAndBadHabits,
    "09_real_patients": RealPatients,
}


def digests_of_records(folder: str, plans: Iterable[str]) -> dict[str, str]:
    """Return the digests of the records of some experiments that a folder holds."""
    return digests_of(sorted(path for plan in plans for path in (resolve(folder) / plan).glob("*.json")))


def model_of(notebook: Path, declared: Mapping[str, Any]) -> type[Parameters]:
    """Return the model of a page, or of a copy of it; of any other notebook, one made from the defaults in its cell.

    A copy (03_mine.ipynb) has the number of a page and declares the same names.
    """
    if notebook.stem in MODELS:
        return MODELS[notebook.stem]
    for page, model in MODELS.items():
        if notebook.name[:3] == page[:3] and set(declared) == set(model.model_fields):
            return model
    fields = {name: (Any if default is None else type(default), default) for name, default in declared.items()}
    return create_model("CellParameters", __base__=Parameters, **cast(dict[str, Any], fields))
