"""What decides a run, the data apart: the specification of a source network and of a run on the target task."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from riskmap.training.config import NetworkConfig, PatchConfig, TrainingConfig

if TYPE_CHECKING:
    # for its type alone: an edited arm.py leaves the source networks valid
    from riskmap.training.arm import Arm


@dataclass(frozen=True)
class SourceSpec:
    """All that decides a source network, the data apart.

    Args:
        task: sequence and label, such as "FLAIR:WT".
        seed: of the first weights and the batches.
        training: steps, learning rate, device, precision.
        network: the architecture; the transferred networks share it.

    Raises:
        ValueError: network and patches differ in their spatial dimensions.
    """

    task: str
    seed: int = 0
    training: TrainingConfig = field(default_factory=TrainingConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)

    def __post_init__(self) -> None:
        _check_dimensions(self.training, self.network)

    def resolved(self) -> "SourceSpec":
        """Return the same specification with each "auto" replaced by what it stands for on this machine."""
        return replace(self, training=self.training.resolved())


@dataclass(frozen=True)
class TransferSpec:
    """All that decides one run on the target task, the data apart.

    Args:
        source: the source network.
        task: the target task, such as "T1ce:TC".
        arm: one way to train.
        shots: number of target training patients, >= 1.
        seed: chooses the fresh weights and the batches and, unless ``draw`` is given, the patients; arms of one seed
            share all three.
        training: steps, learning rate, device, precision.
        part: the patients that are scored, "target_test", or "target_val" while choices are being made.
        draw: chooses the patients, where several seeds train on the same ones.
        left_out: which of the drawn patients, from 0, is not trained on and is scored in place of ``part``.

    Raises:
        ValueError: a number of shots below 1, no such patient to leave out or none left, or network and patches
            differ in their spatial dimensions.
    """

    source: SourceSpec
    task: str
    arm: "Arm"
    shots: int = 3
    seed: int = 0
    training: TrainingConfig = field(default_factory=TrainingConfig)
    part: str = "target_test"
    draw: int | None = None
    left_out: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.shots, int) or self.shots < 1:
            raise ValueError(f"shots={self.shots!r} must be a whole number of at least 1")
        if self.left_out is not None and not (0 <= self.left_out < self.shots and self.shots > 1):
            raise ValueError(f"left_out={self.left_out!r} must be one of two or more patients, shots={self.shots}")
        _check_dimensions(self.training, self.source.network)

    def resolved(self) -> "TransferSpec":
        """Return the same specification with each "auto" replaced by what it stands for on this machine."""
        return replace(self, source=self.source.resolved(), training=self.training.resolved())


@dataclass(frozen=True)
class Setting:
    """What all runs of a comparison share, whatever their arm, their seed and their patients.

    Its defaults, with those of :class:`TrainingConfig`, :class:`PatchConfig` and :class:`NetworkConfig`, are the
    recipe of the tutorial; ``results/recipe.json`` holds what it was chosen from.

    Args:
        network: the architecture.
        patches: how images are cut.
        steps: optimiser steps of a run on the target task.
        learning_rate: its first learning rate, the same for every arm.
        source_steps: optimiser steps of the source network.
        source_learning_rate: its first learning rate.
        source_seed: its first weights and batches.
        device: "auto", "cpu", "cuda", ...
        precision: "auto", "float32", "bfloat16", "float16".
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    patches: PatchConfig = field(default_factory=PatchConfig)
    steps: int = TrainingConfig.steps
    learning_rate: float = TrainingConfig.learning_rate
    source_steps: int = 1600
    source_learning_rate: float = 6.0e-3
    source_seed: int = 0
    device: str = "auto"
    precision: str = "auto"

    @property
    def training(self) -> TrainingConfig:
        """How a run on the target task is trained."""
        return self._training(self.steps, self.learning_rate, _TARGET_CURVE)

    def source(self, task: str) -> SourceSpec:
        """Return the specification of the source network of a task."""
        training = self._training(self.source_steps, self.source_learning_rate, _SOURCE_CURVE)
        return SourceSpec(task, self.source_seed, training, self.network)

    def transfer(self, source: str, target: str, arm: "Arm", shots: int, seed: int) -> TransferSpec:
        """Return the specification of one run from a source task to a target task."""
        return TransferSpec(self.source(source), target, arm, shots, seed, self.training)

    def _training(self, steps: int, learning_rate: float, validate_at: tuple[int, ...]) -> TrainingConfig:
        return TrainingConfig(
            steps,
            learning_rate,
            self.patches,
            validate_at=validate_at,
            device=self.device,
            precision=self.precision,
        )


# where the curves of the pages have a point beside the last: most is learned early
_SOURCE_CURVE = (10, 25, 50, 100)
_TARGET_CURVE = (25, 100)


def _check_dimensions(training: TrainingConfig, network: NetworkConfig) -> None:
    if network.spatial_dims != training.spatial_dims:
        raise ValueError(
            f"a network of {network.spatial_dims} spatial dimensions does not go with patches of "
            f"{training.spatial_dims}; choose_dimensions gives both"
        )
