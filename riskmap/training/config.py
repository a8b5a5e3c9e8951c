"""The choices that decide a run: the network, how images are cut, and the training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from riskmap.checks import check_count, check_number
from riskmap.training.device import choose_device, choose_precision


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
    """How images are cut into patches for a batch, in slices and in volumes alike.

    Args:
        spatial_dims: 2 for squares cut from slices, 3 for cubes cut from volumes.
        size: side in voxels; a multiple of the factor by which the network lowers the resolution (8 with four levels).
            A smaller image is padded.
        per_step: patches per optimiser step, at least 1.
        foreground: share of them, in [0, 1], that are centred on foreground, rounded up to a whole patch; the others
            lie anywhere in the patient.

    Raises:
        ValueError: a value out of range.
    """

    spatial_dims: int = 2
    size: int = 40
    per_step: int = 24
    foreground: float = 1 / 3

    def __post_init__(self) -> None:
        if self.spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims must be 2 (slices) or 3 (volumes), got {self.spatial_dims!r}")
        # NumPy's numbers become plain ones, which a record can hold
        object.__setattr__(self, "size", check_count("size", self.size, 1))
        object.__setattr__(self, "per_step", check_count("per_step", self.per_step, 1))
        object.__setattr__(self, "foreground", check_number("foreground", self.foreground, 0.0, 1.0))

    @property
    def num_foreground(self) -> int:
        """Patches per step that are centred on foreground."""
        return math.ceil(self.foreground * self.per_step)

    @property
    def window(self) -> int | None:
        """Side of the sliding window with which volumes are predicted; None for slices, which fit in one piece."""
        return self.size if self.spatial_dims == 3 else None


# of the networks of volumes
CUBES = PatchConfig(spatial_dims=3, size=48, per_step=2)


def choose_dimensions(
    spatial_dims: int, channels: Sequence[int] = NetworkConfig.channels, patch_size: int | None = None
) -> tuple[NetworkConfig, PatchConfig]:
    """Return the network of slices (2) or of volumes (3), and how they are cut.

    Args:
        spatial_dims: 2 or 3.
        channels: feature maps per resolution level.
        patch_size: side of a patch; None: 40 for slices and 48 for volumes, or the next side that can be halved as
            often as the network does.

    Raises:
        ValueError: ``spatial_dims`` is neither 2 nor 3, or the patch cannot be halved as often as the network does.

    >>> choose_dimensions(2)[1].size, choose_dimensions(3)[1].size
    (40, 48)
    """
    patches = CUBES if spatial_dims == 3 else PatchConfig(spatial_dims)
    factor = 2 ** (len(channels) - 1)
    patches = replace(patches, size=math.ceil(patches.size / factor) * factor if patch_size is None else patch_size)
    if patches.size % factor:
        near = max(round(patches.size / factor), 1) * factor
        raise ValueError(
            f"patch_size must be a multiple of {factor} with {len(channels)} levels, got {patches.size}; the nearest "
            f"is {near}"
        )
    return NetworkConfig(spatial_dims, tuple(channels)), patches


@dataclass(frozen=True)
class TrainingConfig:
    """The choices of one training run; the defaults are the recipe of a run on the target task.

    Args:
        steps: optimiser steps, >= 1.
        learning_rate: Adam's first learning rate, > 0; it falls to 0 along half a cosine.
        patches: how images are cut.
        averaged: share of the steps, in [0, 1], at the end of which the network is the mean of its weights since
            (Izmailov et al., UAI 2018); 0: the last weights.
        validate_at: steps after which the validation Dice is taken; it always is after the last one.
        device: see :func:`riskmap.training.device.choose_device`.
        precision: see :func:`riskmap.training.device.choose_precision`.
    """

    steps: int = 300
    learning_rate: float = 6.0e-3
    patches: PatchConfig = field(default_factory=PatchConfig)
    averaged: float = 0.3
    validate_at: tuple[int, ...] = ()
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"steps={self.steps!r} must be a whole number of at least 1")
        if not isinstance(self.learning_rate, float) or self.learning_rate <= 0:
            raise ValueError(
                f"learning_rate={self.learning_rate!r} must be a positive number (in YAML write 2.0e-3, not 2e-3)"
            )
        object.__setattr__(self, "averaged", check_number("averaged", self.averaged, 0.0, 1.0))

    @property
    def spatial_dims(self) -> int:
        """2 for slices, 3 for volumes."""
        return self.patches.spatial_dims

    @property
    def window(self) -> int | None:
        """See :attr:`PatchConfig.window`."""
        return self.patches.window

    @property
    def validation_steps(self) -> tuple[int, ...]:
        """The steps after which the validation Dice is taken, rising, the last step included."""
        return tuple(sorted({*(step for step in self.validate_at if step < self.steps), self.steps}))

    @property
    def first_averaged(self) -> int:
        """The number of steps before the first whose weights are averaged."""
        return self.steps - round(self.averaged * self.steps)

    def resolved(self) -> "TrainingConfig":
        """Return the same choices with each "auto" replaced by what it stands for on this machine.

        Raises:
            ValueError: the device is not there, or it cannot compute in the precision.
        """
        device = choose_device(self.device)
        precision = choose_precision(self.precision, device, self.spatial_dims)
        return replace(self, device=str(device), precision=str(precision).removeprefix("torch."))


# the networks that a page can be given by name: their dimensions, feature maps and the side of the patches
NETWORKS: dict[str, tuple[NetworkConfig, PatchConfig]] = {
    "slices": choose_dimensions(2),
    "volumes": choose_dimensions(3),
    "large_volumes": choose_dimensions(3, (32, 64, 128, 256, 320), 96),
}
