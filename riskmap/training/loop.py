"""One training loop for every arm; it can be killed and goes on at its last checkpoint with the same batches."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from riskmap.data.batches import PatchSampler
from riskmap.data.patients import SliceSet
from riskmap.project.files import atomic_path
from riskmap.project.progress import progress_bar
from riskmap.training.config import TrainingConfig
from riskmap.training.device import choose_device, choose_precision
from riskmap.training.strategy import Anchor, Loss, Strategy

Validate = Callable[[nn.Module], float]


class Restorable(Protocol):
    """What a checkpoint holds: the network, the optimiser, the schedule of its rate."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


@dataclass
class History:
    """Curves of a run: the loss of every step, and the validation Dice after some steps.

    ``earlier_seconds`` is what a run that was stopped had taken before it went on; it is no curve.
    """

    loss: list[float] = field(default_factory=list)
    validation_step: list[int] = field(default_factory=list)
    validation_dice: list[float] = field(default_factory=list)
    earlier_seconds: float = 0.0

    def to_dict(self) -> dict[str, list[float]]:
        """Return the curves as plain lists."""
        return {name: getattr(self, name) for name in ("loss", "validation_step", "validation_dice")}


def sampler_of(
    config: TrainingConfig,
    data: SliceSet,
    seed: int,
    places: torch.Tensor | None = None,
    label_places: torch.Tensor | None = None,
) -> PatchSampler:
    """Return what draws the batches of a run, on its device: patches of slices, or of volumes.

    Args:
        config: how images are cut.
        data: training slices or volumes, with their weights.
        seed: of the batches.
        places: where patches are cut, see :class:`riskmap.data.batches.PatchSampler`.
        label_places: where those on the label are, alike.
    """
    patches, device = config.patches, choose_device(config.device)
    cut = (patches.size, patches.per_step, patches.num_foreground)
    return PatchSampler(data, *cut, seed, places=places, label_places=label_places, device=device)


def train(
    network: nn.Module,
    sampler: PatchSampler,
    loss: Loss,
    config: TrainingConfig,
    *,
    strategy: Strategy | None = None,
    validate: Validate | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 50,
    progress: str | None = None,
) -> History:
    """Train ``network`` in place with Adam and a cosine learning rate, up to the mean of its last weights.

    Where ``config.averaged`` is above 0, the weights (and the running means of batch norm) are averaged over the last
    steps, and validated as averages from then on.

    Args:
        network: any that maps images [B, 1, *spatial] to logits [B, C, *spatial].
        sampler: gives the batch of a step.
        loss: called as ``loss(logits, labels, weights)``; weights [B, 1, *spatial] or None.
        config: steps, learning rate, device and precision.
        strategy: how body and head are treated; None treats them alike.
        validate: called with the network in eval mode, returns a Dice in 0..1.
        checkpoint: a file that holds the run's state every ``checkpoint_every`` steps; when it exists, the run goes
            on from it. It is removed by the caller once the run's result is safe.
        progress: text before the progress bar; None shows no bar.

    Returns:
        The run's curves.

    Raises:
        FloatingPointError: the loss is no longer finite.
    """
    started = time.perf_counter()
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device, config.spatial_dims)
    network.to(device).to(memory_format=_memory_format(network))  # type: ignore[call-overload]  # torch's stubs lack it
    strategy = strategy or Strategy()
    groups = strategy.parameter_groups(network, config.learning_rate)
    optimizer = torch.optim.Adam(groups, lr=config.learning_rate, fused=True)
    anchor = strategy.anchor(network)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    # its buffers are averaged as well: batch norm's running means belong to the weights
    average = AveragedModel(network, use_buffers=True)
    parts: dict[str, Restorable] = {
        "network": network,
        "average": average,
        "optimizer": optimizer,
        "schedule": schedule,
    }
    history = History()
    first = _restore(parts, history, checkpoint, device)
    steps = range(first, config.steps)
    penalized = _penalized(loss, network, strategy, anchor)
    bar = progress_bar(steps, progress, initial=first, total=config.steps, unit="step", shown=progress is not None)
    for step in bar:
        strategy.prepare_step(network, step, config.steps)
        history.loss.append(train_step(network, sampler.batch(step), penalized, optimizer, device, precision))
        schedule.step()
        is_averaged = step >= config.first_averaged
        if is_averaged:
            average.update_parameters(network)
        if validate is not None and step + 1 in config.validation_steps:
            history.validation_dice.append(validate((average.module if is_averaged else network).eval()))
            history.validation_step.append(step + 1)
        if checkpoint is not None and (step + 1) % checkpoint_every == 0 and step + 1 < config.steps:
            seconds = history.earlier_seconds + time.perf_counter() - started
            _save(parts, history, step + 1, seconds, checkpoint)
    if config.first_averaged < config.steps:
        network.load_state_dict(average.module.state_dict())
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


def _penalized(loss: Loss, network: nn.Module, strategy: Strategy, anchor: Anchor) -> Loss:
    def penalized(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        return loss(logits, labels, weights) + strategy.penalty(network, anchor)

    return penalized


def _memory_format(network: nn.Module) -> torch.memory_format:
    volumetric = any(isinstance(module, nn.Conv3d) for module in network.modules())
    return torch.channels_last_3d if volumetric else torch.channels_last


def _save(parts: Mapping[str, Restorable], history: History, step: int, seconds: float, checkpoint: Path) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    with atomic_path(checkpoint) as temporary:
        torch.save({**state, "history": history.to_dict(), "step": step, "seconds": seconds}, temporary)


def _restore(parts: Mapping[str, Restorable], history: History, checkpoint: Path | None, device: torch.device) -> int:
    if checkpoint is None or not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    for name, values in state["history"].items():
        getattr(history, name)[:] = values
    history.earlier_seconds = state["seconds"]
    return state["step"]
