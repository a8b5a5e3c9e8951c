"""Simulated cohorts that several test files share, made once per session."""

from pathlib import Path

import pytest

from data_scripts import simulate_fets2021, simulate_iseg2019
from data_scripts.archives.prepare import prepare
from riskmap.data.cohort import Cohort
from riskmap.project.paths import PROJECT_ROOT


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what takes too long for every day."""
    parser.addoption("--every-page", action="store_true", help="walk every layout through every notebook (15 minutes)")


TINY_SUBJECTS = 8
TINY_SEED = 5
TINY_SPACING = 4
TINY_BOX = (192, 224, 192)
TINY_SPLIT = (2, 1, 2, 1, 2)


@pytest.fixture(scope="session")
def tiny_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight simulated patients at 4 mm in the layout of FeTS 2021; tests must not write into it."""
    out = tmp_path_factory.mktemp("archives") / "tiny"
    return simulate_fets2021.simulate(out, subjects=TINY_SUBJECTS, seed=TINY_SEED, spacing=TINY_SPACING, jobs=2)


@pytest.fixture(scope="session")
def tiny_cohort(tiny_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """The same patients in the prepared form (48 x 56 x 48 voxels); tests must not write into it."""
    out = tmp_path_factory.mktemp("prepared") / "tiny"
    prepare(tiny_archive, out, spacing=TINY_SPACING, box=TINY_BOX, split=TINY_SPLIT, jobs=2)
    return Cohort.open(out)


@pytest.fixture(scope="session")
def tiny_infants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five simulated infants at 4 mm in the layout of iSeg-2019; tests must not write into it."""
    out = tmp_path_factory.mktemp("archives") / "infants"
    return simulate_iseg2019.simulate(out, subjects=5, spacing=TINY_SPACING, jobs=2)


@pytest.fixture(scope="session")
def real_glioma() -> Path:
    """The folder of one real patient in the layout of FeTS 2021, which lies beside the project and never in it."""
    folder = PROJECT_ROOT.parent / "shared" / "data" / "real_glioma"
    if not folder.is_dir():
        pytest.skip(f"the real patient is not there: no {folder}")
    return folder
