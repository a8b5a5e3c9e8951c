"""The plan of an experiment: which pairs, arms, shots and seeds; declared here, executed by ``experiment.run``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import NamedTuple

from riskmap.training.arm import TWIN_SUFFIX
from riskmap.training.arms import ARMS, get_arm
from riskmap.training.config import NetworkConfig, TrainingConfig
from riskmap.training.specs import Setting, SourceSpec, TransferSpec

# by what the name of a cohort holds
_WHERE = {"_sites": " (new sites)", "_brats2013": " (another hospital)", "hippocampus": " (hippocampi)"}


@dataclass(frozen=True)
class Pair:
    """A source and a target task of one cohort, such as "FLAIR:WT" and "T1ce:TC"."""

    cohort: str
    source: str
    target: str

    @property
    def title(self) -> str:
        """The pair for tables and figures; it says where the target's patients are others than the source's."""
        where = next((text for part, text in _WHERE.items() if part in self.cohort), "")
        return f"{self.source} → {self.target}{where}"

    @property
    def is_infant(self) -> bool:
        """Whether the task is infant tissue rather than a tumour."""
        return self.target.endswith(":TISSUE")


class Cell(NamedTuple):
    """One run of a plan, its learning rate apart; see :class:`riskmap.training.specs.TransferSpec`."""

    pair: Pair
    arm: str
    shots: int
    seed: int
    draw: int | None = None
    left_out: int | None = None
    source_steps: int | None = None
    training: TrainingConfig | None = None


@dataclass(frozen=True)
class Case:
    """Under what runs are compared: what a block changes, or None for what the main block has."""

    shots: int | None = None
    source_steps: int | None = None
    training: TrainingConfig | None = None


@dataclass(frozen=True)
class Block:
    """A full grid of runs: every arm of every pair, for every number of shots, draw and seed.

    Args:
        pairs: of source and target.
        arms: names of the arms: scratch, the plain transferred network, and what is held against it.
        shots: numbers of target patients.
        seeds: of first weights and batches.
        draws: of target patients; (None,): each seed draws its own.
        left_out: places of the drawn patients that are left out in turn; (None,): none is.
        source_steps: training steps of the source networks; None: those of the plan.
        training: of the runs, for all arms alike; None: that of the plan, with each arm's own learning rate.
        title: what is special about it, for tables.
    """

    pairs: tuple[Pair, ...]
    arms: tuple[str, ...]
    shots: tuple[int, ...]
    seeds: tuple[int, ...]
    draws: tuple[int | None, ...] = (None,)
    left_out: tuple[int | None, ...] = (None,)
    source_steps: int | None = None
    training: TrainingConfig | None = None
    title: str = ""

    def __post_init__(self) -> None:
        for arm in self.arms:
            get_arm(arm)

    @property
    def case(self) -> Case:
        """Under what its runs are compared, with its first number of shots."""
        return Case(self.shots[0], self.source_steps, self.training)

    @property
    def plain(self) -> str:
        """The plain transferred network, which follows scratch."""
        return self.arms[1]

    @property
    def remedies(self) -> tuple[str, ...]:
        """The arms that are held against the plain transferred network: all others but scratch and the controls."""
        return tuple(arm for arm in self.arms[2:] if get_arm(arm).control_of is None)

    @property
    def maps(self) -> tuple[str, ...]:
        """The arms that have their shuffled twins beside them."""
        return tuple(arm for arm in self.arms if arm + TWIN_SUFFIX in self.arms)

    def __iter__(self) -> Iterator[Cell]:
        """Yield the cells, all arms of a comparison next to one another."""
        for draw, seed, shots in product(self.draws, self.seeds, self.shots):
            for pair, arm, left_out in product(self.pairs, self.arms, self.left_out):
                yield Cell(pair, arm, shots, seed, draw, left_out, self.source_steps, self.training)


@dataclass(frozen=True)
class Plan:
    """An experiment.

    Args:
        name: names its folder under ``results/``.
        main: the runs of the main table.
        further: further arms and controls, on fewer pairs.
        few_shots: the same arms with fewer and with more target patients.
        hard_cases: under what makes transfer hurt.
        left_out: each target patient left out in turn, for a selection without extra labels.
        elsewhere: pairs that are described and not tested.
        churn: second runs from scratch on the main block's patients, where that has one first weight.
        rate_search: the grid of development runs that chooses learning rates, on cohorts of their own.
        rates: learning rates to choose from.
        source_training: of the source networks.
        transfer_training: of all other runs; the learning rate is replaced by the chosen one.
        network: the architecture of all networks.
        source_networks: how many source networks each source task has; the runs of seed s start from network
            ``s % source_networks``.
        knows_voxel_size: whether the patients' voxel size is known; without it nothing is told in millimetres.
        harm_arms: the arms whose harm is counted pixel by pixel, in the main block.
    """

    name: str
    main: Block
    further: Block
    few_shots: tuple[Block, ...]
    rate_search: Block
    rates: tuple[float, ...]
    hard_cases: tuple[Block, ...] = ()
    left_out: tuple[Block, ...] = ()
    elsewhere: tuple[Block, ...] = ()
    churn: Block = Block((), (), (), ())
    source_training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(Setting.source_steps, Setting.source_learning_rate)
    )
    transfer_training: TrainingConfig = field(default_factory=TrainingConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    source_networks: int = 2
    knows_voxel_size: bool = True
    harm_arms: tuple[str, ...] = ("fine_tune",)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of the main table."""
        return self.main.pairs

    @property
    def maps(self) -> tuple[str, ...]:
        """The maps of the main table, each with its shuffled twin beside it."""
        return self.main.maps

    @property
    def main_shots(self) -> int:
        """The number of target patients of the main table."""
        return self.main.shots[0]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What is run with the chosen learning rates, in the order in which it is made."""
        shown = (self.main, self.churn, *self.hard_cases, *self.few_shots, *self.elsewhere)
        return (*shown, self.further, *self.left_out)

    @property
    def cohorts(self) -> tuple[str, ...]:
        """The names of all cohorts, in the order in which they are needed."""
        blocks = (self.rate_search, *self.blocks)
        return tuple(dict.fromkeys(pair.cohort for block in blocks for pair in block.pairs))

    def spec(self, cell: Cell, rate: float, part: str) -> TransferSpec:
        """Return the specification of one run."""
        pair, arm = cell.pair, get_arm(cell.arm)
        of_source = self.source_training
        if cell.source_steps is not None:
            of_source = replace(of_source, steps=cell.source_steps)
        source = SourceSpec(pair.source, cell.seed % self.source_networks, of_source, self.network)
        training = cell.training or replace(self.transfer_training, learning_rate=rate)
        return TransferSpec(source, pair.target, arm, cell.shots, cell.seed, training, part, cell.draw, cell.left_out)

    def rate_search_specs(self) -> Iterator[tuple[Pair, TransferSpec]]:
        """Yield the development runs, scored on validation patients."""
        for cell in self.rate_search:
            for rate in self.rates:
                yield cell.pair, self.spec(cell, rate, "target_val")

    def published_specs(self, rates: Mapping[str, float]) -> Iterator[tuple[Pair, TransferSpec]]:
        """Yield the published runs, each once, scored on test patients.

        Args:
            rates: the chosen learning rate of each arm; a control has its arm's.
        """
        cells = [(cell, rates[rate_owner(cell.arm)]) for block in self.blocks for cell in block]
        for cell, rate in dict.fromkeys(cells):
            yield cell.pair, self.spec(cell, rate, "target_test")


def rate_owner(arm: str) -> str:
    """Return the arm whose learning rate an arm takes: a control that of the arm it controls, others their own."""
    return get_arm(arm).control_of or arm


ARMS_WITH_OWN_RATE = tuple(name for name, arm in ARMS.items() if arm.control_of is None)
