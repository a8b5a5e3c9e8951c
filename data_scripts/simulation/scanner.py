"""From tissue to signal: relative intensities of each sequence, and the sites whose scanners measure them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.transforms import GibbsNoise, RandRicianNoise

from data_scripts.simulation.fields import seed_from, smooth_noise

# relative signal of CSF, grey matter, white matter, then necrosis, enhancing tumour, oedema
ADULT_SIGNAL = {
    "t1": (0.25, 0.60, 0.85, 0.40, 0.62, 0.55),
    "t1ce": (0.25, 0.60, 0.85, 0.38, 1.15, 0.55),
    "t2": (1.10, 0.65, 0.50, 0.95, 0.75, 0.90),
    "flair": (0.15, 0.70, 0.55, 0.55, 0.90, 1.05),
}
INFANT_SIGNAL = {"T1": (0.30, 0.56, 0.60), "T2": (1.10, 0.70, 0.76)}
SIGNAL_JITTER = 0.06
TEXTURE_SD = 0.03
TEXTURE_SIGMA_MM = 2.0
BIAS_SIGMA_MM = 28.0
SCANNER_UNITS = 500.0


@dataclass(frozen=True)
class Site:
    """One institution's scanner.

    ``contrast`` is the exponent that is applied to the relative signal, ``noise`` the range of the Rician noise's
    standard deviation (relative signal), ``bias`` the standard deviation of the log bias field, ``gibbs`` the
    strength of truncation in k-space (0 none, 1 all).
    """

    contrast: float
    noise: tuple[float, float]
    bias: float
    gibbs: float


SITES = {
    1: Site(contrast=1.00, noise=(0.030, 0.040), bias=0.10, gibbs=0.20),
    2: Site(contrast=0.75, noise=(0.040, 0.050), bias=0.12, gibbs=0.35),
    3: Site(contrast=1.30, noise=(0.050, 0.060), bias=0.16, gibbs=0.25),
    4: Site(contrast=0.85, noise=(0.045, 0.060), bias=0.12, gibbs=0.45),
}
# institutions send unlike numbers of patients; the cycle makes a subject's site independent of how many there are
_SITE_CYCLE = (1, 2, 3, 1, 2, 1, 3, 4)


def site_of(index: int) -> int:
    """Return the number of the site that subject ``index`` (from 1) comes from."""
    return _SITE_CYCLE[(index - 1) % len(_SITE_CYCLE)]


def relative_signal(
    fractions: np.ndarray, means: Sequence[float], contrast: float, generator: np.random.Generator
) -> np.ndarray:
    """Mix the classes' mean signals, each jittered, by their fractions in each voxel [C, X, Y, Z]."""
    jittered = np.asarray(means) ** contrast * (1 + SIGNAL_JITTER * generator.standard_normal(len(means)))
    return np.tensordot(jittered.astype(np.float32), fractions, axes=1)


def acquire(
    signal: np.ndarray,
    texture: np.ndarray,
    brain: np.ndarray,
    site: Site,
    spacing: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Scan a relative signal [X, Y, Z]: texture, bias field, truncation, noise, then the scanner's own units.

    Returns:
        int16 [X, Y, Z]; at least 1 inside the brain and exactly 0 outside, as skull-stripped archives are.
    """
    own_texture = smooth_noise(signal.shape, TEXTURE_SIGMA_MM / spacing, generator)
    bias = np.exp(site.bias * smooth_noise(signal.shape, BIAS_SIGMA_MM / spacing, generator))
    signal = signal * bias * (1 + TEXTURE_SD * (texture + own_texture) / 2**0.5)
    image = GibbsNoise(alpha=site.gibbs)(torch.from_numpy(signal.astype(np.float32))[None])
    noise = RandRicianNoise(prob=1.0, std=generator.uniform(*site.noise), sample_std=False)
    noise.set_random_state(seed=seed_from(generator))
    noisy = noise(image)[0].numpy()
    units = SCANNER_UNITS * generator.uniform(0.8, 1.25)
    return np.where(brain, np.clip(np.rint(units * noisy), 1, 32767), 0).astype(np.int16)
