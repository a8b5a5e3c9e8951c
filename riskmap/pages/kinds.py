"""What several pages can be given alike: data, a source network, an architecture, a pair, and what is repeated."""

from pathlib import Path
from typing import ClassVar

from riskmap.data.cohort import PARTS
from riskmap.pages.knobs import (
    CohortName,
    DataFolder,
    Device,
    Jobs,
    NetworkName,
    OutFolder,
    Precision,
    Rate,
    Seeds,
    Source,
    SourceRate,
    SourceSeed,
    SourceSteps,
    Steps,
    Target,
)
from riskmap.pages.page import Parameters, digests_of
from riskmap.pages.values import ParameterError
from riskmap.project.paths import resolve
from riskmap.project.writing import can_write


class OnData(Parameters):
    """A page that opens a cohort."""

    cohort: CohortName = "fets2021_simulated"
    data_dir: DataFolder = "build/data"


class FromSource(Parameters):
    """A page that trains a source network, or reads it, whatever the data."""

    needs_parts: ClassVar[tuple[str, ...]] = ("source_train", "source_val")
    source: Source = "FLAIR:WT"
    source_seed: SourceSeed = 0
    source_steps: SourceSteps = 1600
    source_learning_rate: SourceRate = 6.0e-3
    device: Device = "auto"
    precision: Precision = "auto"
    out_dir: OutFolder = "build/runs"

    def check_machine(self) -> None:
        """Check also that the device is there, and computes in the precision."""
        super().check_machine()
        from riskmap.training.device import choose_device, choose_precision  # loads torch

        try:
            choose_precision(self.precision, choose_device(self.device))
        except ValueError as error:
            raise ParameterError(f"parameter {error}") from error

    def writes(self) -> dict[str, Path]:
        """Return also the folder of the runs, unless all that are known beforehand are there: they are read."""
        folder = resolve(self.out_dir)
        found = super().writes()
        return found if self._has_all_runs(folder) else found | {"parameter out_dir": folder}

    def _has_all_runs(self, folder: Path) -> bool:
        # of a folder that can be written nobody needs to know
        if can_write(folder) or super().writes():
            return False
        from riskmap.training.runs import missing_runs, prerequisites  # loads torch

        wanted = self.runs_needed()
        return bool(wanted) and not missing_runs([*prerequisites(wanted), *wanted], folder)


class WithSource(FromSource, OnData):
    """A page that trains a source network on a cohort that it names."""


class WithNetwork(WithSource):
    """A page whose architecture can be chosen."""

    network: NetworkName = "slices"

    def check_together(self) -> None:
        """Check also that the cohort's slices can be halved as often as the network does."""
        super().check_together()
        from riskmap.pages.networks import check_halvings, named_network  # loads torch

        network, _ = named_network(self.network)
        for sides in self.slice_sides() if network.spatial_dims == 2 else ():
            try:
                check_halvings(network, sides)
            except ValueError as error:
                raise ParameterError(f"parameter network: {error}") from error

    def input_digests(self) -> dict[str, str]:
        """Name also the file of a network of the reader's own."""
        return super().input_digests() | digests_of([resolve(self.network)])

    def slice_sides(self) -> list[tuple[int, int]]:
        """Return the voxels along the sides of the slices that the network sees, as far as they are known yet."""
        named = ("cohort", "source_cohort") if getattr(self, "source_cohort", "") else ("cohort",)
        return [cohort.shape[:2] for cohort in map(self._cohort, named) if cohort is not None]


class OnPair(WithNetwork):
    """A page on a source and a target task."""

    needs_parts: ClassVar[tuple[str, ...]] = ("source_train", "source_val", "target_train")
    target: Target = "T1ce:TC"


class Repeated(Parameters):
    """A page that trains on the target task, seed by seed."""

    needs_parts: ClassVar[tuple[str, ...]] = PARTS
    seeds: Seeds = [0, 1]
    steps: Steps = 300
    learning_rate: Rate = 6.0e-3
    jobs: Jobs = 2

    def require_arms(self, arms: list[str]) -> None:
        """Check that there is something to compare with."""
        lacking = [arm for arm in ("scratch", "fine_tune") if arm not in arms]
        if lacking:
            raise ParameterError(f"parameter arms must hold {' and '.join(lacking)}, what others are compared with")

    def require_two_seeds(self) -> None:
        """Check that a second seed shows the churn."""
        if len(self.seeds) < 2:
            raise ParameterError(f"parameter seeds must hold at least 2 (the second shows churn), got {self.seeds}")
