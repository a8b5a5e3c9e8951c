"""The networks that a page can be given: by a name, or as a YAML file of the reader's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from riskmap.project.choices import unknown
from riskmap.project.paths import resolve
from riskmap.project.yaml_files import read_yaml
from riskmap.training.config import NETWORKS, NetworkConfig, PatchConfig, choose_dimensions


class NetworkFile(BaseModel):
    """What the YAML file of a network holds.

    Args:
        spatial_dims: 2 for slices, 3 for volumes.
        channels: feature maps per resolution level of the U-Net.
        patch_size: side in pixels of the squares or cubes that images are cut into, a multiple of
            ``2 ** (levels - 1)``; without it 40 for slices, 48 for volumes,
            or the next such multiple.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    spatial_dims: Literal[2, 3]
    channels: list[Annotated[int, Field(ge=1, le=2048)]] = Field(min_length=2, max_length=10)
    patch_size: int | None = Field(None, ge=2, le=1024)


def check_halvings(network: NetworkConfig, sides: Sequence[int]) -> None:
    """Check that slices can be halved as often as a network of slices does.

    Args:
        network: of slices.
        sides: of a slice, in voxels.

    Raises:
        ValueError: they cannot; the message says how many levels are possible.
    """
    levels = len(network.channels)
    possible = min((side & -side).bit_length() for side in sides)
    if levels > possible:
        near = f"; the nearest is {possible} levels" if possible > 1 else ""
        raise ValueError(
            f"{levels} levels halve a slice {levels - 1} times, and one of {' x '.join(map(str, sides))} voxels can be "
            f"halved {possible - 1} times{near}"
        )


def named_network(name: str) -> tuple[NetworkConfig, PatchConfig]:
    """Return the network of a name in ``NETWORKS`` or of a YAML file, and how images are cut.

    Args:
        name: a name, or the path of a file that ends in ``.yaml``, relative to the project's root.

    Raises:
        ValueError: there is no such network, or the file does not describe one.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    if Path(name).suffix not in (".yaml", ".yml"):
        raise ValueError(unknown(f"unknown network {name!r}", [*NETWORKS, "FILE.yaml"], name, "There are"))
    described = read_yaml(resolve(name), NetworkFile)
    return choose_dimensions(described.spatial_dims, described.channels, described.patch_size)
