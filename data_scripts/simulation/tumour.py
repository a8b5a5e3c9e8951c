"""A simulated glioma: a necrotic core, an enhancing rim and an oedema that follows white matter."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import expit

from data_scripts.simulation.anatomy import Anatomy
from data_scripts.simulation.fields import smooth_noise

CLASSES = ("necrosis", "enhancing", "oedema")
LABELS = {"necrosis": 1, "oedema": 2, "enhancing": 4}
CORE_RADIUS_MM = (9.0, 18.0)
NECROSIS_FRACTION = (0.45, 0.75)
OEDEMA_FACTOR = (1.5, 2.2)
CENTRE_DEPTH_MM = 12.0
CORE_BLUR_MM = 0.6
OEDEMA_BLUR_MM = 1.2


@dataclass(frozen=True)
class Tumour:
    """Fractions of necrosis, enhancing tumour and oedema [3, X, Y, Z], and the labels 0, 1, 2, 4 [X, Y, Z]."""

    fractions: np.ndarray
    labels: np.ndarray


def grow_tumour(anatomy: Anatomy, spacing: int, generator: np.random.Generator) -> Tumour:
    """Grow a tumour in the white matter of an anatomy of ``spacing`` mm."""
    shape = anatomy.brain.shape
    radius = generator.uniform(*CORE_RADIUS_MM)
    necrosis_radius = radius * generator.uniform(*NECROSIS_FRACTION)
    oedema_radius = radius * generator.uniform(*OEDEMA_FACTOR)
    distance = _distance_mm(_draw_centre(anatomy, spacing, generator), shape, spacing, generator)

    rough = distance + 0.14 * radius * smooth_noise(shape, 4.0 / spacing, generator)
    inner = rough + 0.10 * radius * smooth_noise(shape, 3.0 / spacing, generator)
    spread = distance + 0.22 * radius * smooth_noise(shape, 6.0 / spacing, generator)

    csf, _, white = anatomy.tissues
    # oedema reaches its full radius along white matter and a quarter as far beyond the core elsewhere
    along_white = np.clip(ndimage.gaussian_filter(white, 2.0 / spacing), 0, 1)
    reach = radius + (oedema_radius - radius) * (0.25 + 0.75 * along_white)

    core = expit((radius - rough) / CORE_BLUR_MM) * anatomy.brain
    necrosis = core * expit((necrosis_radius - inner) / CORE_BLUR_MM)
    oedema = expit((reach - spread) / OEDEMA_BLUR_MM) * anatomy.brain * (1 - csf) * (1 - core)

    labels = np.zeros(shape, dtype=np.uint8)
    labels[(oedema > 0.5) & (csf < 0.4)] = LABELS["oedema"]
    labels[core > 0.5] = LABELS["enhancing"]
    labels[(core > 0.5) & (necrosis > 0.5 * core)] = LABELS["necrosis"]
    fractions = np.stack([necrosis, core - necrosis, oedema]).astype(np.float32)
    return Tumour(fractions, labels)


def _draw_centre(anatomy: Anatomy, spacing: int, generator: np.random.Generator) -> np.ndarray:
    """Draw a voxel of deep white matter of the cerebrum, where gliomas grow; brain stem and cerebellum lie below."""
    depth = ndimage.distance_transform_edt(anatomy.brain, sampling=spacing)
    height = np.arange(anatomy.brain.shape[2])
    occupied = np.flatnonzero(anatomy.brain.any(axis=(0, 1)))
    cerebrum = height > occupied[0] + 0.42 * (occupied[-1] - occupied[0])
    candidates = np.argwhere((anatomy.tissues[2] > 0.7) & (depth > CENTRE_DEPTH_MM) & cerebrum)
    return candidates[generator.integers(len(candidates))]


def _distance_mm(
    centre: np.ndarray, shape: tuple[int, int, int], spacing: int, generator: np.random.Generator
) -> np.ndarray:
    """Measure each voxel's distance from the centre in mm, in an ellipsoid's metric of unit volume."""
    stretch = generator.uniform(0.85, 1.2, 3)
    stretch /= np.prod(stretch) ** (1 / 3)
    axes = np.ogrid[tuple(slice(length) for length in shape)]
    squares = [
        ((axis - middle) * spacing / factor) ** 2 for axis, middle, factor in zip(axes, centre, stretch, strict=True)
    ]
    return np.sqrt(squares[0] + squares[1] + squares[2]).astype(np.float32)
