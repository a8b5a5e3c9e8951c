"""Simulate a cohort of six-month-old infants in the layout of iSeg-2019, without a download.

Usage: python -m data_scripts.simulate_iseg2019 --out build/data/archives/iseg2019_simulated
"""

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np

from data_scripts.simulation.anatomy import deform_anatomy, load_anatomy
from data_scripts.simulation.archive import Simulator, simulate_archive, simulate_command, subject_generator
from data_scripts.simulation.fields import smooth_noise
from data_scripts.simulation.scanner import INFANT_SIGNAL, SITES, TEXTURE_SIGMA_MM, acquire, relative_signal
from riskmap.project.commands import run_command
from riskmap.project.folders import temporary_folder

# the frame of the real set; a six-month-old brain is smaller than the adult template by about this in each direction
FRAME_MM = (144, 192, 256)
INFANT_SIZE = 0.82
TISSUE_LABELS = np.array([10, 150, 250], dtype=np.uint8)
# the challenge's training subjects come from one institution
SITE = SITES[1]


def simulate(out: str | Path, subjects: int = 10, seed: int = 2019, spacing: int = 2, jobs: int = 2) -> Path:
    """Simulate an archive like iSeg-2019; see :func:`data_scripts.simulation.archive.simulate_archive`."""
    simulator = Simulator("iseg2019", _make_subject, _subject_paths)
    return simulate_archive(out, simulator, subjects=subjects, seed=seed, spacing=spacing, jobs=jobs)


def _subject_paths(out: Path, index: int) -> list[Path]:
    return [
        out / f"subject-{index}-{name}{suffix}" for name in (*INFANT_SIGNAL, "label") for suffix in (".img", ".hdr")
    ]


def _make_subject(out: Path, index: int, seed: int, spacing: int) -> None:
    generator = subject_generator(seed, index)
    anatomy = deform_anatomy(load_anatomy(spacing, FRAME_MM), spacing, INFANT_SIZE, generator)
    labels = np.where(anatomy.brain, TISSUE_LABELS[anatomy.tissues.argmax(axis=0)], 0)
    texture = smooth_noise(anatomy.brain.shape, TEXTURE_SIGMA_MM / spacing, generator)
    volumes = {"label": labels.astype(np.uint8)}
    for sequence, means in INFANT_SIGNAL.items():
        signal = relative_signal(anatomy.tissues, means, SITE.contrast, generator)
        volumes[sequence] = acquire(signal, texture, anatomy.brain, SITE, spacing, generator)
    with temporary_folder(out) as folder:
        for name, voxels in volumes.items():
            image = nibabel.AnalyzeImage(voxels[..., None], np.diag([spacing, spacing, spacing, 1.0]))
            image.to_filename(folder / f"subject-{index}-{name}.hdr")
        # the layout is flat: a subject is whole once all its files have moved, and is made again otherwise
        for path in _subject_paths(out, index):
            (folder / path.name).replace(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return simulate_command(
        simulate,
        argv,
        description="Simulate six-month-old infants in the layout of iSeg-2019.",
        out="build/data/archives/iseg2019_simulated",
        subjects=10,
        seed=2019,
    )


if __name__ == "__main__":
    run_command(main)
