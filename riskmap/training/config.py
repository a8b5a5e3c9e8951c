"""The choices that decide a run: the network, how volumes are cut, the training, and the specification of each run."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from riskmap.checks import check_count
from riskmap.training.device import choose_device, choose_precision

if TYPE_CHECKING:
    # for its type alone: an edited arm.py leaves the source networks valid
    from riskmap.training.arm import Arm


@dataclass(frozen=True)
class NetworkConfig:
    """The choices that make a network.

    Args:
        spatial_dims: 2 for slices, 3 for volumes.
        channels: feature maps per resolution level, at least two levels; each level halves the resolution, so
            every image side must be a multiple of ``2 ** (levels - 1)``.
        norm: a normalisation layer that MONAI knows ("batch", "instance", ...).
    """

    spatial_dims: int = 2
    channels: tuple[int, ...] = (16, 32, 64, 128)
    norm: str = "batch"


@dataclass(frozen=True)
class PatchConfig:
    """How a network of volumes sees them.

    Args:
        size: side of the cubes in voxels, of training and of the sliding window; a multiple of the factor by which the
            network lowers the resolution (8 with four levels). A smaller volume is padded.
        per_step: patches per optimiser step, at least 1.
    """

    size: int = 48
    per_step: int = 2

    def __post_init__(self) -> None:
        check_count("size", self.size, 1)
        check_count("per_step", self.per_step, 1)


def choose_dimensions(
    spatial_dims: int, channels: Sequence[int] = NetworkConfig.channels, patch_size: int = PatchConfig.size
) -> tuple[NetworkConfig, PatchConfig | None]:
    """Return the network of slices (2) or of volumes (3), and for volumes how they are cut.

    Raises:
        ValueError: ``spatial_dims`` is neither 2 nor 3, or the patch cannot be halved as often as the network does.

    >>> choose_dimensions(2)[1] is None, choose_dimensions(3)[1].size
    (True, 48)
    """
    if spatial_dims not in (2, 3):
        raise ValueError(f"spatial_dims must be 2 (slices) or 3 (volumes), got {spatial_dims!r}")
    network = NetworkConfig(spatial_dims, tuple(channels))
    if spatial_dims == 2:
        return network, None
    factor = 2 ** (len(network.channels) - 1)
    if patch_size % factor:
        near = max(round(patch_size / factor), 1) * factor
        raise ValueError(
            f"patch_size must be a multiple of {factor} with {len(channels)} levels, got {patch_size}; the nearest is "
            f"{near}"
        )
    return network, PatchConfig(patch_size)


@dataclass(frozen=True)
class TrainingConfig:
    """The choices of one training run.

    Args:
        steps: optimiser steps, >= 1.
        learning_rate: Adam's first learning rate, > 0; it falls to 0 along half a cosine.
        batch_size: slices per step.
        validations: how many times the validation Dice is taken, the last one after the last step.
        device: see :func:`riskmap.training.device.choose_device`.
        precision: see :func:`riskmap.training.device.choose_precision`.
        patches: how volumes are cut, where the network takes volumes; None where it takes slices.
    """

    steps: int = 200
    learning_rate: float = 6.0e-3
    batch_size: int = 16
    validations: int = 4
    device: str = "auto"
    precision: str = "auto"
    patches: PatchConfig | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "validations"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
        if not isinstance(self.learning_rate, float) or self.learning_rate <= 0:
            raise ValueError(
                f"learning_rate={self.learning_rate!r} must be a positive number (in YAML write 2.0e-3, not 2e-3)"
            )

    @property
    def spatial_dims(self) -> int:
        """3 where volumes are cut into patches, otherwise 2."""
        return 2 if self.patches is None else 3

    @property
    def window(self) -> int | None:
        """Side of the sliding window with which volumes are predicted; None for slices."""
        return None if self.patches is None else self.patches.size

    def resolved(self) -> "TrainingConfig":
        """Return the same choices with each "auto" replaced by what it stands for on this machine.

        Raises:
            ValueError: the device is not there, or it cannot compute in the precision.
        """
        device = choose_device(self.device)
        precision = choose_precision(self.precision, device, self.spatial_dims)
        return replace(self, device=str(device), precision=str(precision).removeprefix("torch."))


@dataclass(frozen=True)
class SourceSpec:
    """All that decides a source network, the data apart.

    Args:
        task: sequence and label, such as "FLAIR:WT".
        seed: of the first weights and the batches.
        training: steps, learning rate, device, precision.
        network: the architecture; the transferred networks share it.

    Raises:
        ValueError: a network of volumes without patches, or of slices with them.
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
        seed: chooses the patients, the fresh weights and the batches; arms of one seed share all three.
        training: steps, learning rate, device, precision.
        part: the patients that are scored, "target_test", or "target_val" while choices are being made.

    Raises:
        ValueError: a number of shots below 1, or a network of volumes without patches, or of slices with them.
    """

    source: SourceSpec
    task: str
    arm: "Arm"
    shots: int = 3
    seed: int = 0
    training: TrainingConfig = field(default_factory=TrainingConfig)
    part: str = "target_test"

    def __post_init__(self) -> None:
        if not isinstance(self.shots, int) or self.shots < 1:
            raise ValueError(f"shots={self.shots!r} must be a whole number of at least 1")
        _check_dimensions(self.training, self.source.network)

    def resolved(self) -> "TransferSpec":
        """Return the same specification with each "auto" replaced by what it stands for on this machine."""
        return replace(self, source=self.source.resolved(), training=self.training.resolved())


@dataclass(frozen=True)
class Setting:
    """What all runs of a comparison share, whatever their arm, their seed and their patients.

    Args:
        network: the architecture.
        patches: how volumes are cut; None for a network of slices.
        steps: optimiser steps of a run on the target task.
        learning_rate: its first learning rate, the same for every arm.
        source_steps: optimiser steps of the source network.
        source_learning_rate: its first learning rate.
        source_seed: its first weights and batches.
        device: "auto", "cpu", "cuda", ...
        precision: "auto", "float32", "bfloat16", "float16".
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    patches: PatchConfig | None = None
    steps: int = 200
    learning_rate: float = 6.0e-3
    source_steps: int = 400
    source_learning_rate: float = 2.0e-3
    source_seed: int = 0
    device: str = "auto"
    precision: str = "auto"

    @property
    def training(self) -> TrainingConfig:
        """How a run on the target task is trained."""
        return self._training(self.steps, self.learning_rate)

    def source(self, task: str) -> SourceSpec:
        """Return the specification of the source network of a task."""
        training = self._training(self.source_steps, self.source_learning_rate)
        return SourceSpec(task, self.source_seed, training, self.network)

    def transfer(self, source: str, target: str, arm: "Arm", shots: int, seed: int) -> TransferSpec:
        """Return the specification of one run from a source task to a target task."""
        return TransferSpec(self.source(source), target, arm, shots, seed, self.training)

    def _training(self, steps: int, learning_rate: float) -> TrainingConfig:
        return TrainingConfig(steps, learning_rate, device=self.device, precision=self.precision, patches=self.patches)


# the networks that a page can be given by name: their dimensions, feature maps and the side of the patches
NETWORKS: dict[str, tuple[NetworkConfig, PatchConfig | None]] = {
    "slices": choose_dimensions(2),
    "volumes": choose_dimensions(3),
    "large_volumes": choose_dimensions(3, (32, 64, 128, 256, 320), 96),
}


def _check_dimensions(training: TrainingConfig, network: NetworkConfig) -> None:
    if network.spatial_dims != training.spatial_dims:
        raise ValueError(
            f"a network of {network.spatial_dims} spatial dimensions does not go with patches={training.patches}; "
            "choose_dimensions gives both"
        )
