"""Simulate a cohort of glioma patients in the layout of FeTS 2021, without a download.

Usage: python -m data_scripts.simulate_fets2021 --out build/data/archives/fets2021_simulated
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np

from data_scripts.simulation.anatomy import deform_anatomy, load_anatomy
from data_scripts.simulation.archive import Simulator, simulate_archive, simulate_command, subject_generator
from data_scripts.simulation.fields import smooth_noise
from data_scripts.simulation.scanner import ADULT_SIGNAL, SITES, TEXTURE_SIGMA_MM, acquire, relative_signal, site_of
from data_scripts.simulation.tumour import grow_tumour
from riskmap.project.commands import run_command
from riskmap.project.files import atomic_path
from riskmap.project.folders import whole_folder

# the template is larger than most brains
ADULT_SIZE = 0.95
FRAME_MM = (192, 232, 192)


def simulate(out: str | Path, subjects: int = 40, seed: int = 2021, spacing: int = 2, jobs: int = 2) -> Path:
    """Simulate an archive like FeTS 2021; see :func:`data_scripts.simulation.archive.simulate_archive`."""
    simulator = Simulator("fets2021", _make_subject, _subject_paths, _write_partitioning)
    return simulate_archive(out, simulator, subjects=subjects, seed=seed, spacing=spacing, jobs=jobs)


def _subject_id(index: int) -> str:
    return f"FeTS21_Training_{index:03d}"


def _subject_paths(out: Path, index: int) -> list[Path]:
    subject = _subject_id(index)
    return [out / subject / f"{subject}_{name}.nii.gz" for name in (*ADULT_SIGNAL, "seg")]


def _make_subject(out: Path, index: int, seed: int, spacing: int) -> None:
    generator = subject_generator(seed, index)
    site = SITES[site_of(index)]
    anatomy = deform_anatomy(load_anatomy(spacing, FRAME_MM), spacing, ADULT_SIZE, generator)
    tumour = grow_tumour(anatomy, spacing, generator)
    healthy = anatomy.tissues * (1 - tumour.fractions.sum(axis=0))
    fractions = np.concatenate([healthy, tumour.fractions])
    texture = smooth_noise(anatomy.brain.shape, TEXTURE_SIGMA_MM / spacing, generator)
    volumes = {"seg": tumour.labels}
    for sequence, means in ADULT_SIGNAL.items():
        signal = relative_signal(fractions, means, site.contrast, generator)
        volumes[sequence] = acquire(signal, texture, anatomy.brain, site, spacing, generator)
    subject = _subject_id(index)
    with whole_folder(out / subject) as folder:
        for name, voxels in volumes.items():
            _image(voxels, spacing).to_filename(folder / f"{subject}_{name}.nii.gz")


def _image(voxels: np.ndarray, spacing: int) -> nibabel.Nifti1Image:
    """Store RAS voxels as the archive does: x to the left, y to the back, origin in the last row."""
    affine = np.diag([-spacing, -spacing, spacing, 1.0])
    affine[1, 3] = spacing * (voxels.shape[1] - 1)
    image = nibabel.Nifti1Image(np.ascontiguousarray(voxels[::-1, ::-1]), affine)
    image.header.set_xyzt_units("mm")
    return image


def _write_partitioning(out: Path, subjects: int) -> list[Path]:
    path = out / "partitioning_1.csv"
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Subject_ID", "Partition_ID"])
        writer.writerows((_subject_id(index), site_of(index)) for index in range(1, subjects + 1))
    return [path]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return simulate_command(
        simulate,
        argv,
        description="Simulate glioma patients in the layout of FeTS 2021.",
        out="build/data/archives/fets2021_simulated",
        subjects=40,
        seed=2021,
    )


if __name__ == "__main__":
    run_command(main)
