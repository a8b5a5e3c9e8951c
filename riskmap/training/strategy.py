"""How a transferred network is tuned: the body's own learning rate, a probe of the head first, a pull to the start."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from monai.optimizers import generate_param_groups
from torch import nn

from riskmap.checks import check_number

Anchor = list[tuple[nn.Parameter, torch.Tensor]]
# called as loss(logits, labels, weights)
Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]


@dataclass(frozen=True)
class Strategy:
    r"""Treat the body (transferred) and the head (fresh) of a network differently; the defaults treat them alike.

    Args:
        body_rate: the body's learning rate as a multiple of the head's, at least 0 ("discriminative learning rates",
            Howard and Ruder, ACL 2018).
        probe_share: share of the steps, in [0, 1), in which the head alone learns, the body being frozen in evaluation
            mode (linear probing, then fine-tuning; Kumar et al., ICLR 2022).
        body_pull: :math:`\alpha \ge 0` of L2-SP (Li et al., ICML 2018), which adds
            :math:`\frac{\alpha}{2} \lVert w - w^0 \rVert^2` over the body, w^0 being its weights at the start.
        head_pull: :math:`\beta \ge 0` of L2-SP, which adds :math:`\frac{\beta}{2} \lVert v \rVert^2` over the head.

    Raises:
        ValueError: a value out of range.
    """

    body_rate: float = 1.0
    probe_share: float = 0.0
    body_pull: float = 0.0
    head_pull: float = 0.0

    def __post_init__(self) -> None:
        for name in ("body_rate", "probe_share", "body_pull", "head_pull"):
            object.__setattr__(self, name, check_number(name, getattr(self, name), 0.0))
        if self.probe_share >= 1.0:
            raise ValueError(f"probe_share={self.probe_share} must be below 1: some steps have to train the body")

    def parameter_groups(self, network: nn.Module, learning_rate: float) -> list[dict]:
        """Return the optimiser's parameter groups: the body where it has its own rate, and the rest at the default."""
        if self.body_rate == 1.0:
            return [{"params": list(network.parameters())}]
        return generate_param_groups(
            network, [lambda whole: whole.body], ["select"], [learning_rate * self.body_rate], include_others=True
        )

    def prepare_step(self, network: nn.Module, step: int, steps: int) -> None:
        """Put the network into training mode for one step; while the head is probed its body stays frozen."""
        network.train()
        if self.probe_share > 0.0:
            is_probe = step < round(self.probe_share * steps)
            body = _body(network)
            body.train(not is_probe)
            body.requires_grad_(not is_probe)

    def anchor(self, network: nn.Module) -> Anchor:
        """Remember the body's weights; call it before the first step, on the weights that training starts from."""
        if self.body_pull == 0.0:
            return []
        return [(parameter, parameter.detach().clone()) for parameter in _body(network).parameters()]

    def penalty(self, network: nn.Module, anchor: Anchor) -> torch.Tensor | float:
        """Return the L2-SP penalty, 0.0 where neither pull is set."""
        penalty: torch.Tensor | float = 0.0
        if self.body_pull > 0.0:
            penalty += self.body_pull / 2 * sum((now - start).square().sum() for now, start in anchor)
        if self.head_pull > 0.0:
            penalty += self.head_pull / 2 * sum(parameter.square().sum() for parameter in _head(network))
        return penalty


def _body(network: nn.Module) -> nn.Module:
    return network.get_submodule("body")


def _head(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for name, parameter in network.named_parameters() if not name.startswith("body.")]
