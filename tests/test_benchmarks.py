"""The steps that a benchmark times do run, at a size at which there is nothing to time."""

import subprocess
import sys

import nibabel
import pytest

from benchmarks import explorers, hub, leep, loss
from benchmarks.memory import Case, link_archive, run_step
from riskmap.data.cohort import Cohort
from riskmap.loss import NORMALIZATIONS
from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT


def test_the_command_knows_its_benchmarks():
    command = [sys.executable, "-m", "benchmarks", "nothing"]
    said = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True)
    assert said.returncode == 2
    assert (
        "unknown benchmark nothing; choose from bundle, explorers, hub, leep, loss, memory, patches, sweep"
        in said.stderr
    )


def test_rows_of_the_loss_and_of_leep_hold_times():
    rows = loss.compare(1, 2, (8, 8), rounds=1)
    assert len(rows) == len(NORMALIZATIONS) + 1
    assert all(row["ratio"] > 0 for row in rows)
    assert all(seconds > 0 for seconds in leep.measure_time((1, 8, 8), 2, 2).values())
    probabilities, labels = leep.make_batch((1, 8, 8), 3, 2)
    of_library = leep.run_library(probabilities, labels, 2)
    pixels = probabilities.flatten(2)[0].T.numpy(), labels.flatten().numpy(), 2
    assert leep.run_loop(*pixels) == pytest.approx(of_library, rel=1e-5)
    assert leep.run_vectorised(*pixels) == pytest.approx(of_library, rel=1e-5)


def test_every_explorer_has_the_input_that_is_dragged(tiny_cohort, tmp_path):
    made = explorers.make_explorers(tiny_cohort, tmp_path)
    assert made.keys() == explorers.DRAGGED.keys()
    for name, explorer in made.items():
        first, *others = explorers.values_to_visit(explorer, explorers.DRAGGED[name])
        assert any(value != first for value in others), "a drag that goes nowhere costs nothing"
        explorer.inputs[explorers.DRAGGED[name]].value = first


@pytest.mark.parametrize("dimensions", [2, 3])
def test_steps_of_the_memory_benchmark_run(tiny_archive, tmp_path, dimensions):
    patient = next(tiny_archive.glob("FeTS21_Training_*"))
    link_archive(patient, tmp_path / "archive", subjects=2)
    for step in ("prepare", "statistics", "maps"):
        run_step(Case(step, str(tmp_path), 1, 4.0, (192.0, 224.0, 192.0), dimensions))
    cohort = Cohort.open(tmp_path / "prepared")
    assert len(cohort.subjects) == 2
    maps = [*(tmp_path / f"maps_{dimensions}d").glob("*/*_weight.nii.gz")]
    assert {nibabel.load(path).shape for path in maps} == {cohort.shape}
    assert len(maps) == 2


def test_the_students_of_the_hub_find_the_arm_that_they_change():
    text = (NOTEBOOKS / hub.PAGE).read_text(encoding="utf-8")
    assert text.count(hub.WEIGHTS) == 1
