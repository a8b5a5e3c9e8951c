"""From an archive in each layout to the end of the notebooks, with the commands that a reader types."""

import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import archives
import nbformat
import pytest
from conftest import made_once
from test_notebooks import NOTEBOOKS, run

from riskmap.data.cohort import Cohort
from riskmap.project.paths import PROJECT_ROOT
from riskmap.rerun.notebooks import declared_parameters

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
    "bad_steps": 1,
    "bad_source_steps": 1,
    "network": "tests/networks/slices.yaml",
    "arms": ["scratch", "fine_tune", "risk_map_paper"],
    "shots": 1,
    "shots_list": [1],
    "jobs": 1,
}
GLIOMA = ("fets2021", "fets2022", "brats2020", "brats2021", "brats2023", "msd")
INFANTS = ("iseg2019", "iseg2017")
SCRIPTS = {"msd": "prepare_msd"} | dict.fromkeys(INFANTS, "prepare_iseg2019")
SCRIPTS |= {name: "prepare_fets2021" for name in GLIOMA if name not in SCRIPTS}
# each script once as a reader calls it; the others need not load everything again
IN_A_PROCESS = ("fets2021", "msd", "iseg2019")
# day by day: its cohort, map and training on real files; the others differ until they are prepared, and page 0 shows
# all of that. The other pages ask nothing else of a cohort, and each of them runs on simulated patients every day.
EVERY_DAY = "fets2021"
PAGES_OF_EVERY_DAY = ("00", "02", "03")
# on the others a page shows nothing of the archive
PAGES = [notebook for notebook in NOTEBOOKS if "cohort" in declared_parameters(notebook)]


def prepare_by_command(name: str, archive: Path, out: Path) -> None:
    """Prepare an archive at 4 mm with the script of its layout."""
    script = f"data_scripts.{SCRIPTS[name]}"
    arguments = ["--archive", str(archive), "--out", str(out), "--strict", "--jobs", "1", "--spacing", "4"]
    arguments += ["--box", *(INFANT_BOX if name in INFANTS else ADULT_BOX)]
    if name in IN_A_PROCESS:
        subprocess.run([sys.executable, "-m", script, *arguments], cwd=PROJECT_ROOT, check=True, timeout=300)
    else:
        assert import_module(script).main(arguments) == 0


@dataclass(frozen=True)
class Prepared:
    """An archive in one layout, prepared into ``folder``/data; ``cohort`` says so of itself."""

    name: str
    folder: Path
    cohort: Cohort

    def run(self, page: Path, output: Path) -> None:
        """Execute a page on it, in the folder of runs that its pages share."""
        folders = {"data_dir": str(self.folder / "data"), "out_dir": str(self.folder / "runs")}
        choices = {"cohort": self.name, "real_scan": str(self.folder / "nowhere")}
        run(page, output, LEAST | folders | choices | (INFANT_TASKS if self.name in INFANTS else {}))


@pytest.fixture
def prepared(name, request, shared) -> Prepared:
    """The archive in the layout ``name``, prepared once for all its pages."""
    simulated = request.getfixturevalue("tiny_infants" if name in INFANTS else "tiny_archive")
    place = Path("data", "prepared", name)

    def make(folder: Path) -> None:
        archive = getattr(archives, name)(simulated, folder / "archive")
        prepare_by_command(name, archive, folder / place)

    folder = made_once(shared / "layouts" / name, make)
    return Prepared(name, folder, Cohort.open(folder / place))


def walk(name: str, page: Path) -> Any:
    """One layout on one page: with the slow tests, but for page 0 and for some pages of one layout."""
    is_slow = page != PAGES[0] and (name != EVERY_DAY or page.stem[:2] not in PAGES_OF_EVERY_DAY)
    return pytest.param(name, page, marks=pytest.mark.slow if is_slow else (), id=f"{name}-{page.stem[:2]}")


WALKS = [walk(name, page) for name in (*GLIOMA, *INFANTS) for page in PAGES]


@pytest.mark.notebooks
@pytest.mark.parametrize(("name", "page"), WALKS)
def test_archive_goes_through_the_pages(prepared, page, tmp_path):
    assert not prepared.cohort.simulated
    prepared.run(page, tmp_path / page.name)


def test_every_layout_and_every_page_that_shows_a_cohort_is_walked():
    assert len(WALKS) == 8 * 8
    assert [page.stem[:2] for page in NOTEBOOKS if page not in PAGES] == ["07", "09"]


@pytest.mark.notebooks
@pytest.mark.parametrize("name", [EVERY_DAY])
def test_the_page_of_real_patients_trains_where_they_are(prepared, tmp_path):
    (page,) = [notebook for notebook in NOTEBOOKS if notebook.name.startswith("09")]
    folders = {"folder": str(prepared.cohort.folder), "out_dir": str(prepared.folder / "runs")}
    run(page, tmp_path / page.name, LEAST | folders | {"seeds": [0, 1]})
    shown = [str(cell.get("outputs", "")) for cell in nbformat.read(tmp_path / page.name, as_version=4).cells]
    assert any("patients worse than scratch" in text for text in shown), "its own table, beside those of the records"
