"""Pictures that are no brains, for trying other networks: MONAI's random spheres in two contrasts."""

import numpy as np
import torch
from monai.data import create_test_image_2d

from riskmap.data.patients import SliceSet


def blob_images(count: int, side: int, seed: int, dark: bool = False) -> SliceSet:
    """Return generated pictures of discs with their masks; ``dark`` turns the contrast round, as another modality does.

    Args:
        count: pictures, at least 1.
        side: pixels along each axis; a disc's radius is at most a sixth of it.
        seed: of the first picture; equal seeds give equal discs in both contrasts.
        dark: discs darker than their surroundings.

    Shape: images float32 [count, 1, side, side], z-scored; labels uint8 alike, 1 in a disc.
    """
    images, labels = [], []
    for index in range(count):
        image, label = create_test_image_2d(
            side,
            side,
            num_objs=4,
            rad_max=side // 6,
            rad_min=2,
            num_seg_classes=1,
            noise_max=0.3,
            random_state=np.random.RandomState(seed * 10_000 + index),
        )
        image = -image if dark else image
        images.append((image - image.mean()) / image.std())
        labels.append(label)
    stacked = torch.from_numpy(np.stack(images).astype(np.float32))[:, None]
    masks = torch.from_numpy(np.stack(labels).astype(np.uint8))[:, None]
    return SliceSet(stacked, masks, tuple(f"picture {index}" for index in range(count)))
