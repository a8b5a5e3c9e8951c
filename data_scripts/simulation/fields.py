"""Smooth random fields: tumour borders, tissue texture and bias fields are all made of them."""

import numpy as np
import torch
from scipy import ndimage


def smooth_noise(shape: tuple[int, int, int], sigma: float, generator: np.random.Generator) -> np.ndarray:
    """Draw a Gaussian random field of mean 0 and standard deviation 1.

    White noise is drawn and smoothed on a grid as coarse as the smoothness allows, then interpolated, so a
    field of large ``sigma`` costs next to nothing.

    Args:
        shape: voxels along each axis.
        sigma: standard deviation of the smoothing Gaussian, in voxels, > 0.
        generator: source of the noise.

    Returns:
        A float32 array of the given shape.
    """
    pitch = max(1.0, sigma / 2)
    coarse = tuple(int(np.ceil(length / pitch)) + 1 for length in shape)
    noise = ndimage.gaussian_filter(generator.standard_normal(coarse, dtype=np.float32), sigma / pitch, mode="wrap")
    field = torch.nn.functional.interpolate(
        torch.from_numpy(noise)[None, None], size=shape, mode="trilinear", align_corners=True
    )[0, 0].numpy()
    return (field - field.mean()) / field.std()


def seed_from(generator: np.random.Generator) -> int:
    """Draw a seed for a MONAI transform, which takes integers and not generators."""
    return int(generator.integers(2**31))
