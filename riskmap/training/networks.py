"""The segmentation network: a MONAI U-Net body and a head of one convolution; a new task changes the head alone."""

from pathlib import Path
from typing import Literal, Self

import torch
from monai.networks.nets import UNet
from torch import nn

from riskmap.project.files import atomic_path
from riskmap.training.config import NetworkConfig

# nnU-Net's; the gradient of MONAI's default, PReLU, takes a fifth of a step
_ACTIVATION = ("leakyrelu", {"negative_slope": 0.01, "inplace": True})

Head = Literal["zero", "random"]


class SegmentationNetwork(nn.Module):
    """Map images to class logits: ``head(body(image))``.

    Shape: image [N, 1, H, W] (or [N, 1, H, W, D]) to logits [N, C, H, W] ([N, C, H, W, D]).
    """

    def __init__(self, num_classes: int, config: NetworkConfig | None = None) -> None:
        super().__init__()
        config = config or NetworkConfig()
        features = config.channels[0]
        self.body = UNet(
            spatial_dims=config.spatial_dims,
            in_channels=1,
            out_channels=features,
            channels=config.channels,
            strides=(2,) * (len(config.channels) - 1),
            act=_ACTIVATION,
            norm=config.norm,
        )
        convolution = nn.Conv2d if config.spatial_dims == 2 else nn.Conv3d
        self.head = convolution(features, num_classes, kernel_size=1)

    @property
    def num_classes(self) -> int:
        """The number of classes the head tells apart."""
        return self.head.out_channels

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(image))


class BesideNetwork(SegmentationNetwork):
    """A fresh network that sees the features of a frozen source beside its own: ``head([body(image), source(image)])``.

    "Residual feature integration" (arXiv 2505.11771): the source can help and cannot get in the way, as the head may
    give its features no weight. Shapes as of :class:`SegmentationNetwork`.
    """

    def __init__(self, num_classes: int, config: NetworkConfig | None = None) -> None:
        super().__init__(num_classes, config)
        self.source = SegmentationNetwork(num_classes, config).body.requires_grad_(False)
        self.head = type(self.head)(2 * self.head.in_channels, num_classes, kernel_size=1)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        # its running means stay those of the source's patients
        self.source.eval()
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.body(image), self.source(image)], dim=1))


def build_network(
    num_classes: int,
    config: NetworkConfig | None = None,
    seed: int = 0,
    kind: type[SegmentationNetwork] = SegmentationNetwork,
) -> SegmentationNetwork:
    """Build a network whose fresh weights depend on ``seed`` alone; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(num_classes, config)


def beside_network(
    source: SegmentationNetwork, num_classes: int, config: NetworkConfig | None = None, seed: int = 0
) -> SegmentationNetwork:
    """Build a network for the target task that is fresh, up to a head of zeros, and stands beside the frozen source.

    Args:
        source: gives its body.
        num_classes: of the target task.
        config: of the source network.
        seed: of the fresh weights.
    """
    network = build_network(num_classes, config, seed, BesideNetwork)
    network.get_submodule("source").load_state_dict(source.body.state_dict())
    for parameter in network.head.parameters():
        nn.init.zeros_(parameter)
    return network


def transfer_network(
    source: SegmentationNetwork,
    num_classes: int,
    config: NetworkConfig | None = None,
    seed: int = 0,
    head: Head = "zero",
) -> SegmentationNetwork:
    """Build a network for the target task: the source's body, a fresh head of ``num_classes`` classes.

    Args:
        source: gives its body.
        num_classes: of the target task.
        config: of the source network.
        seed: of the head's weights, where they are random.
        head: "zero" starts from logits of 0, so that the first gradients train the head and leave the body as it came;
            those of a "random" head change the body before the head means anything (feature distortion, Kumar et al.,
            ICLR 2022).

    Raises:
        ValueError: another kind of head.
    """
    network = build_network(num_classes, config, seed)
    network.body.load_state_dict(source.body.state_dict())
    if head == "zero":
        for parameter in network.head.parameters():
            nn.init.zeros_(parameter)
    elif head != "random":
        raise ValueError(f'head={head!r} must be "zero" or "random"')
    return network


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the network's weights atomically; the same weights give the same bytes."""
    # given a path, torch would write the name of the temporary file into the archive
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(network.state_dict(), file)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load weights written by :func:`save_weights`; only tensors are unpickled (``weights_only=True``)."""
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
