"""From an archive in each layout to the end of the notebooks, with the commands that a reader types."""

import subprocess
import sys
from pathlib import Path

import archives
import pytest
from test_notebooks import NOTEBOOKS, run

from riskmap.data.cohort import Cohort
from riskmap.project.paths import PROJECT_ROOT

ADULT_BOX, INFANT_BOX = ("192", "224", "192"), ("160", "192", "160")
INFANT_TASKS = {
    "source": "T1:TISSUE",
    "target": "T2:TISSUE",
    "second_source": "T2:TISSUE",
    "second_target": "T1:TISSUE",
}
LEAST = {
    "source_steps": 2,
    "steps": 1,
    "network": "tests/networks/slices.yaml",
    "arms": ["scratch", "fine_tune", "risk_map_paper"],
    "shots": 1,
    "shots_list": [1],
}
# every page for one layout of each prepared form; the others differ until they are prepared, and page 0 shows all of
# it. With --every-page all of them go everywhere.
EVERY_PAGE = ("fets2021", "iseg2019")
ONE_PAGE = "00"


def prepared_by_command(script: str, archive: Path, out: Path, box: tuple[str, ...]) -> Cohort:
    """Prepare an archive at 4 mm in a process of its own."""
    command = [sys.executable, "-m", f"data_scripts.{script}", "--archive", archive, "--out", out, "--strict"]
    subprocess.run([*command, "--spacing", "4", "--box", *box], cwd=PROJECT_ROOT, check=True, timeout=300)
    return Cohort.open(out)


@pytest.mark.slow
@pytest.mark.notebooks
@pytest.mark.parametrize(
    "name", ["fets2021", "fets2022", "brats2020", "brats2021", "brats2023", "msd", "iseg2019", "iseg2017"]
)
def test_archive_goes_through_the_notebooks(name, request, tmp_path):
    is_infant = name.startswith("iseg")
    simulated = request.getfixturevalue("tiny_infants" if is_infant else "tiny_archive")
    archive = getattr(archives, name)(simulated, tmp_path / "archive")
    script = "prepare_msd_brain_tumour" if name == "msd" else f"prepare_{'iseg2019' if is_infant else 'fets2021'}"
    data = tmp_path / "data"
    cohort = prepared_by_command(script, archive, data / "prepared" / name, INFANT_BOX if is_infant else ADULT_BOX)
    assert not cohort.simulated
    parameters = {**LEAST, "cohort": name, "data_dir": str(data), "out_dir": str(tmp_path / "runs")}
    parameters["real_scan"] = str(tmp_path / "nowhere")
    for notebook in NOTEBOOKS:
        if request.config.getoption("--every-page") or name in EVERY_PAGE or notebook.name.startswith(ONE_PAGE):
            run(notebook, tmp_path / notebook.name, parameters | (INFANT_TASKS if is_infant else {}))
