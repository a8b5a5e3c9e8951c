"""The steps that a benchmark times do run, at a size at which there is nothing to time."""

import nibabel
import pytest

from benchmarks.memory import Case, link_archive, run_step
from riskmap.data.cohort import Cohort


@pytest.mark.parametrize("dimensions", [2, 3])
def test_steps_of_the_memory_benchmark_run(tiny_archive, tmp_path, dimensions):
    patient = next(tiny_archive.glob("FeTS21_Training_*"))
    link_archive(patient, tmp_path / "archive", subjects=2)
    for step in ("prepare", "statistics", "maps"):
        run_step(Case(step, str(tmp_path), 1, 4.0, (192.0, 224.0, 192.0), dimensions))
    cohort = Cohort.open(tmp_path / "prepared")
    assert len(cohort.subjects) == 2
    maps = [*(tmp_path / f"maps_{dimensions}d").glob("*/*_risk.nii.gz")]
    assert {nibabel.load(path).shape for path in maps} == {cohort.shape}
    assert len(maps) == 2
