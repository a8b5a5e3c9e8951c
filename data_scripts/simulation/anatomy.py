"""The anatomy under every simulated patient: the ICBM 152 tissue maps that nilearn carries, deformed at random."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from monai.transforms import RandAffineGrid, Resample, ResizeWithPadOrCrop
from monai.transforms.utils import create_grid
from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template
from scipy import ndimage

from data_scripts.simulation.fields import seed_from, smooth_noise

TISSUES = ("CSF", "grey matter", "white matter")
ROTATION_SD_DEGREES = 4.0
SCALE_SD = 0.05
DISPLACEMENT_SD_MM = 2.6
DISPLACEMENT_SIGMA_MM = 12.0


@dataclass(frozen=True)
class Anatomy:
    """Fractions of CSF, grey and white matter [3, X, Y, Z] (sum 1 in the brain, 0 outside) and the brain [X, Y, Z]."""

    tissues: np.ndarray
    brain: np.ndarray


@lru_cache(maxsize=2)
def load_anatomy(spacing: int, frame_mm: tuple[int, int, int]) -> Anatomy:
    """Load the template at ``spacing`` mm, its brain in the middle of a frame of ``frame_mm``.

    Axes run to the right, the front and the top (RAS). The brain is the filled closing of grey and white matter; what
    is neither of the two in it is CSF.
    """
    grey, white = (
        load(resolution=1).get_fdata(dtype=np.float32) for load in (load_mni152_gm_template, load_mni152_wm_template)
    )
    closed = ndimage.binary_closing(np.pad(grey + white > 0.5, 6), iterations=4)[6:-6, 6:-6, 6:-6]
    parts, _ = ndimage.label(ndimage.binary_fill_holes(closed))
    brain = parts == np.argmax(np.bincount(parts.ravel())[1:]) + 1
    csf = np.clip(1 - grey - white, 0, 1)
    maps = np.stack([csf, grey, white]) * brain
    box = ndimage.find_objects(brain.astype(np.uint8))[0]
    framed = ResizeWithPadOrCrop(frame_mm)(torch.from_numpy(maps[(slice(None), *box)]))
    averaged = torch.nn.functional.avg_pool3d(framed, spacing).numpy()
    return _anatomy_of(averaged)


def deform_anatomy(anatomy: Anatomy, spacing: int, size: float, generator: np.random.Generator) -> Anatomy:
    """Rotate, scale and bend an anatomy at random.

    Args:
        anatomy: the template.
        spacing: its voxel size in mm.
        size: mean linear size relative to the template; 1 for an adult.
        generator: source of the deformation.

    Returns:
        The deformed anatomy, in the same frame.
    """
    shape = anatomy.brain.shape
    sigma, deviation = DISPLACEMENT_SIGMA_MM / spacing, DISPLACEMENT_SD_MM / spacing
    displacement = np.stack([deviation * smooth_noise(shape, sigma, generator) for _ in shape])
    grid = torch.as_tensor(create_grid(shape, dtype=np.float32, backend="torch"))
    grid[:3] += torch.from_numpy(displacement)
    # MONAI draws from uniform ranges, whose sd is half their width over sqrt(3); it scales the sampling grid, so that
    # a scale above 1 makes the brain smaller
    shrink, spread = 1 / size - 1, SCALE_SD * 3**0.5
    move = RandAffineGrid(
        rotate_range=[np.deg2rad(ROTATION_SD_DEGREES) * 3**0.5] * 3,
        scale_range=[(shrink - spread, shrink + spread)] * 3,
    )
    move.set_random_state(seed=seed_from(generator))
    resample = Resample(mode="bilinear", padding_mode="zeros")
    return _anatomy_of(resample(torch.from_numpy(anatomy.tissues), grid=move(grid=grid)).numpy())


def _anatomy_of(maps: np.ndarray) -> Anatomy:
    """Cut the brain where tissue fills half of a voxel and let the fractions sum to one in it."""
    total = maps.sum(axis=0)
    brain = total >= 0.5
    tissues = np.where(brain, maps / np.maximum(total, 0.5), 0).astype(np.float32)
    return Anatomy(tissues, brain)
