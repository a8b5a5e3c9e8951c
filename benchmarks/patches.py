"""Cutting a batch of patches beside MONAI's transforms, and beside the step that the batch is for.

MONAI makes the same changes patch by patch: RandCropByPosNegLabeld, a flip, a turn, two changes of grey values. A step
is one optimiser step of the tutorial's network with a batch that is there already: on a GPU its own time, waited for.
Where no GPU is at hand, patches per second say how fast a step may be before the loader holds it up.
"""

import statistics
import time
from collections.abc import Callable

import torch
from monai.data import set_track_meta
from monai.transforms import (
    Compose,
    FgBgToIndicesd,
    RandAffined,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandScaleIntensityd,
    RandShiftIntensityd,
)

from benchmarks import report
from riskmap.data.patients import SliceSet
from riskmap.loss import RiskWeightedLoss
from riskmap.training.config import NETWORKS, TrainingConfig
from riskmap.training.device import choose_device, choose_precision
from riskmap.training.loop import sampler_of, train_step
from riskmap.training.networks import build_network

REPEATS = 20
# where MONAI puts the places that it finds
_INSIDE, _OUTSIDE = "label_fg_indices", "label_bg_indices"
# slices of three patients at 2 mm, volumes of two at 1 mm
SHAPES = {2: (200, 1, 96, 112), 3: (2, 1, 192, 224, 176)}


def made_up_data(dims: int) -> SliceSet:
    """Return random images with a label on a hundredth of their pixels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(SHAPES[dims], generator=generator)
    labels = torch.zeros(images.shape, dtype=torch.uint8)
    middle = tuple(slice(int(0.4 * side), int(0.4 * side) + max(side // 5, 1)) for side in images.shape[2:])
    labels[(slice(None), slice(None), *middle)] = 1
    return SliceSet(images, labels, ("made up",) * len(images))


def by_monai(data: SliceSet, size: int, count: int) -> Callable[[int], None]:
    """Return what makes a batch of ``count`` patches with MONAI's transforms."""
    keys = ["image", "label"]
    dims = data.images.ndim - 2
    transform = Compose(
        [
            RandCropByPosNegLabeld(keys, "label", (size,) * dims, fg_indices_key=_INSIDE, bg_indices_key=_OUTSIDE),
            RandFlipd(keys, prob=0.5, spatial_axis=0),
            RandAffined(
                keys,
                prob=0.2,
                rotate_range=(0.15,) * (1 if dims == 2 else 3),
                scale_range=(0.1,) * dims,
                mode=["bilinear", "nearest"],
                padding_mode="border",
            ),
            RandScaleIntensityd(["image"], factors=0.1, prob=0.5),
            RandShiftIntensityd(["image"], offsets=0.1, prob=0.5),
        ]
    ).set_random_state(0)

    # found once, as the library does
    find = FgBgToIndicesd("label")
    images = [find({"image": image, "label": label}) for image, label in zip(data.images, data.labels, strict=True)]

    def batch(step: int) -> None:
        chosen = [(step * count + number) % len(data) for number in range(count)]
        samples = [transform(dict(images[index]))[0] for index in chosen]
        for key in keys:
            torch.stack([sample[key] for sample in samples])

    return batch


def milliseconds(call: Callable[[int], object], device: torch.device) -> float:
    """Return the median milliseconds of a call with a rising number, after three to warm up."""
    found = []
    for step in range(REPEATS + 3):
        started = time.perf_counter()
        call(step)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(1000 * (time.perf_counter() - started))
    return statistics.median(found[3:])


def measure(name: str) -> dict[str, float | str]:
    """Return the milliseconds of a batch of a named network, cut by the library and by MONAI, and of a step."""
    config, patches = NETWORKS[name]
    training = TrainingConfig(patches=patches)
    device = choose_device()
    data = made_up_data(config.spatial_dims)
    sampler = sampler_of(training, data, seed=0)
    network = build_network(2, config).to(device)
    optimizer = torch.optim.Adam(network.parameters())
    precision = choose_precision("auto", device, config.spatial_dims)
    batch, loss = sampler.batch(0), RiskWeightedLoss("pixels")
    cut = milliseconds(sampler.batch, device)
    step = milliseconds(lambda _: train_step(network, batch, loss, optimizer, device, precision), device)
    whole = milliseconds(
        lambda number: train_step(network, sampler.batch(number), loss, optimizer, device, precision), device
    )
    return {
        "network": name,
        "patches": f"{patches.per_step} of {patches.size}^{config.spatial_dims}",
        "device": device.type,
        "batch ms": cut,
        "MONAI ms": (of_monai := milliseconds(by_monai(data, patches.size, patches.per_step), device)),
        "MONAI / batch": of_monai / cut,
        "step ms": step,
        "patches per s": 1000 * patches.per_step / cut,
        "batch / step": cut / step,
        "batch and step / step": whole / step,
    }


def main() -> None:
    """Measure the networks of the tutorial; the large one on a GPU alone, where a step is no minute."""
    set_track_meta(False)
    names = [name for name in NETWORKS if name != "large_volumes" or torch.cuda.is_available()]
    rows = [measure(name) for name in names]
    report("patches", tuple(rows[0]), rows)
