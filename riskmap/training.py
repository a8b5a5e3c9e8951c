"""One training loop for every arm; it can be killed and goes on at its last checkpoint with the same batches."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from riskmap.compute import choose_device, choose_precision
from riskmap.files import atomic_path
from riskmap.patches import PatchConfig, PatchSampler
from riskmap.progress import progress_bar
from riskmap.slices import BatchSampler, SliceSet
from riskmap.tuning import Anchor, Tuning

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
Validate = Callable[[nn.Module], float]


@dataclass(frozen=True)
class TrainingConfig:
    """The choices of one training run.

    Args:
        steps: optimiser steps, >= 1.
        learning_rate: Adam's first learning rate, > 0; it falls to 0 along half a cosine.
        batch_size: slices per step.
        validations: how many times the validation Dice is taken, the last one after the last step.
        device: see :func:`riskmap.compute.choose_device`.
        precision: see :func:`riskmap.compute.choose_precision`.
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
    def window(self) -> int | None:
        """Side of the sliding window with which volumes are predicted; None for slices."""
        return None if self.patches is None else self.patches.size

    def sampler(self, data: SliceSet, seed: int) -> BatchSampler | PatchSampler:
        """Return what draws the batches: slices of [N, 1, H, W], or patches of [N, 1, X, Y, Z]."""
        if self.patches is None:
            return BatchSampler(data, self.batch_size, seed)
        return PatchSampler(data, self.patches, seed)


@dataclass
class History:
    """Curves of a run: the loss of every step, and the validation Dice after some steps."""

    loss: list[float]
    validation_step: list[int]
    validation_dice: list[float]

    def to_dict(self) -> dict[str, list[float]]:
        """Return the curves as plain lists."""
        return asdict(self)


def train(
    network: nn.Module,
    sampler: BatchSampler | PatchSampler,
    loss: Loss,
    config: TrainingConfig,
    *,
    tuning: Tuning | None = None,
    validate: Validate | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 50,
    progress: str | None = None,
) -> History:
    """Train ``network`` in place with Adam and a cosine learning rate.

    Args:
        network: any that maps images [B, 1, *spatial] to logits [B, C, *spatial].
        sampler: gives the batch of a step.
        loss: called as ``loss(logits, labels, weights)``; weights [B, 1, *spatial] or None.
        config: steps, learning rate, device and precision.
        tuning: how body and head are treated; None treats them alike.
        validate: called with the network in eval mode, returns a Dice in 0..1.
        checkpoint: a file that holds the run's state every ``checkpoint_every`` steps; when it exists, the run goes
            on from it. It is removed by the caller once the run's result is safe.
        progress: text before the progress bar; None shows no bar.

    Returns:
        The run's curves.

    Raises:
        FloatingPointError: the loss is no longer finite.
    """
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device, 2 if config.patches is None else 3)
    network.to(device, memory_format=_memory_format(network))
    tuning = tuning or Tuning()
    optimizer = torch.optim.Adam(tuning.parameter_groups(network, config.learning_rate), lr=config.learning_rate)
    anchor = tuning.anchor(network)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    parts = {"network": network, "optimizer": optimizer, "schedule": schedule}
    history = History([], [], [])
    first = _restore(parts, history, checkpoint, device)
    validate_at = {round(config.steps * part / config.validations) for part in range(1, config.validations + 1)}
    steps = range(first, config.steps)
    penalized = _penalized(loss, network, tuning, anchor)
    bar = progress_bar(steps, progress, initial=first, total=config.steps, unit="step", shown=progress is not None)
    for step in bar:
        tuning.prepare_step(network, step, config.steps)
        history.loss.append(train_step(network, sampler.batch(step), penalized, optimizer, device, precision))
        schedule.step()
        if validate is not None and step + 1 in validate_at:
            network.eval()
            history.validation_dice.append(validate(network))
            history.validation_step.append(step + 1)
        if checkpoint is not None and (step + 1) % checkpoint_every == 0 and step + 1 < config.steps:
            _save(parts, history, step + 1, checkpoint)
    network.eval()
    return history


def train_step(
    network: nn.Module,
    batch: dict[str, torch.Tensor],
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    precision: torch.dtype,
) -> float:
    """Do one optimiser step and return the loss: the network in ``precision``, the loss in float32."""
    batch = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
    with torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32):
        logits = network(batch["image"])
    value = loss(logits.float(), batch["label"].long(), batch.get("weight"))
    if not torch.isfinite(value):
        raise FloatingPointError(f"the loss became {value.item()}; try a smaller learning rate or precision='float32'")
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    optimizer.step()
    return value.item()


def _penalized(loss: Loss, network: nn.Module, tuning: Tuning, anchor: Anchor) -> Loss:
    def penalized(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        return loss(logits, labels, weights) + tuning.penalty(network, anchor)

    return penalized


def _memory_format(network: nn.Module) -> torch.memory_format:
    volumetric = any(isinstance(module, nn.Conv3d) for module in network.modules())
    return torch.channels_last_3d if volumetric else torch.channels_last


def _save(parts: dict[str, nn.Module], history: History, step: int, checkpoint: Path) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    with atomic_path(checkpoint) as temporary:
        torch.save({**state, "history": history.to_dict(), "step": step}, temporary)


def _restore(parts: dict[str, nn.Module], history: History, checkpoint: Path | None, device: torch.device) -> int:
    if checkpoint is None or not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    for name, values in state["history"].items():
        getattr(history, name)[:] = values
    return state["step"]
