"""Simulated cohorts that several test files share, made once per run of the tests, however many processes run them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from data_scripts import simulate_fets2021, simulate_iseg2019
from data_scripts.archives.prepare import prepare
from riskmap.data.cohort import Cohort
from riskmap.project.files import alone_with
from riskmap.project.hub import JOBS
from riskmap.project.paths import OWN_FOLDER, PROJECT_ROOT

# set by pytest-xdist in each of its processes
WORKER = "PYTEST_XDIST_WORKER"


def pytest_configure() -> None:
    """Give each of several processes, and the kernels that it starts, one thread: they have the cores between them.

    Who runs the tests may have a folder of their own on a shared checkout: here the checkout is written.
    """
    for name in (OWN_FOLDER, JOBS):
        os.environ.pop(name, None)
    if WORKER in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"
        torch.set_num_threads(1)


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Return ``folder``, made by the first of the tests' processes that asks for it, while others wait.

    What failed half-way is made anew for the next that asks, and fails for it too.
    """
    made = folder.with_name(f"{folder.name}.made")
    with alone_with(folder):
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run of the tests alone, which all its processes share."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if WORKER in os.environ else own) / "shared"


TINY_SUBJECTS = 8
TINY_SEED = 5
TINY_SPACING = 4
TINY_BOX = (192, 224, 192)
TINY_SPLIT = (2, 1, 2, 1, 2)


@pytest.fixture(scope="session")
def tiny_archive(shared: Path) -> Path:
    """Eight simulated patients at 4 mm in the layout of FeTS 2021; tests must not write into it."""

    def make(out: Path) -> None:
        simulate_fets2021.simulate(out, subjects=TINY_SUBJECTS, seed=TINY_SEED, spacing=TINY_SPACING, jobs=2)

    return made_once(shared / "archives" / "tiny", make)


@pytest.fixture(scope="session")
def tiny_cohort(tiny_archive: Path, shared: Path) -> Cohort:
    """The same patients in the prepared form (48 x 56 x 48 voxels); tests must not write into it."""

    def make(out: Path) -> None:
        prepare(tiny_archive, out, spacing=TINY_SPACING, box=TINY_BOX, split=TINY_SPLIT, jobs=2)

    return Cohort.open(made_once(shared / "prepared" / "tiny", make))


@pytest.fixture(scope="session")
def tiny_infants(shared: Path) -> Path:
    """Five simulated infants at 4 mm in the layout of iSeg-2019; tests must not write into it."""

    def make(out: Path) -> None:
        simulate_iseg2019.simulate(out, subjects=5, spacing=TINY_SPACING, jobs=1)

    return made_once(shared / "archives" / "infants", make)


@pytest.fixture(scope="session")
def real_glioma() -> Path:
    """The folder of one real patient in the layout of FeTS 2021, which lies beside the project and never in it."""
    folder = PROJECT_ROOT.parent / "shared" / "data" / "real_glioma"
    if not folder.is_dir():
        pytest.skip(f"the real patient is not there: no {folder}")
    return folder
