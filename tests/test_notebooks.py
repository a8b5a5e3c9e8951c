"""The tutorial's own notebooks: they keep the rules, they run from start to end, and they agree on their parameters."""

import re
import shutil
from collections.abc import Callable
from contextlib import chdir
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from conftest import made_once
from notebook_rules import violations

from data_scripts.archives.prepare import prepare
from riskmap.experiment import tables
from riskmap.experiment.findings import Findings
from riskmap.experiment.sentences import Sentences
from riskmap.experiment.shown import markdown_table
from riskmap.project.files import read_json
from riskmap.project.paths import DOCS, PROJECT_ROOT
from riskmap.rerun.execution import execute_notebook
from riskmap.rerun.notebooks import declared_parameters, read_profile

NOTEBOOKS = sorted((PROJECT_ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
PROFILES = sorted((PROJECT_ROOT / "notebooks" / "profiles").glob("*.yaml"))
SMOKE = PROJECT_ROOT / "notebooks" / "profiles" / "smoke.yaml"
# one name per knob, everywhere; the values are other names for the same thing that would creep in
SHARED_NAMES = {
    "seed": ("random_seed", "rng_seed", "random_state"),
    "steps": ("n_steps", "num_steps", "iterations", "max_steps", "training_steps"),
    "shots": ("n_shots", "num_shots", "patients", "num_patients"),
    "source": ("source_task", "source_name", "src"),
    "target": ("target_task", "target_name", "tgt"),
    "device": ("device_name", "accelerator"),
    "cohort": ("cohort_name", "dataset", "data_set"),
    "data_dir": ("data_folder", "data_path", "data_root", "datadir"),
    "out_dir": ("output_dir", "out_folder", "output_folder", "results_dir", "run_dir"),
}

by_name = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="session")
def folders(shared) -> dict[str, str]:
    """The data and results that the notebooks of one run of the tests share, away from the reader's own."""
    root = shared / "tutorial"
    return {"data_dir": str(root / "data"), "out_dir": str(root / "runs")}


@pytest.fixture(scope="session")
def smoke_run(folders, shared) -> Callable[[str], Path]:
    """Gives the executed copy of a page by its number, run once with the smoke profile.

    It has nothing from the pages before it but the data, and another working directory than its own.
    """

    def executed(number: str) -> Path:
        (notebook,) = [path for path in NOTEBOOKS if path.name.startswith(number)]

        def make(place: Path) -> None:
            place.mkdir(parents=True)
            with chdir(place):
                run(notebook, place / notebook.name, folders | {"out_dir": str(place / "runs")} | jobs_of(number))

        return made_once(shared / "smoke" / number, make) / notebook.name

    return executed


def jobs_of(number: str) -> dict[str, int]:
    """Return the profile's workers for page 3, none for the others: a worker needs seconds to start, a run one."""
    return {} if number == "03" else {"jobs": 1}


def run(notebook: Path, output: Path, parameters: dict[str, Any], profile: Path = SMOKE) -> dict[str, Any]:
    """Run a notebook, by default with the smoke profile, judge what it left and return its record."""
    declared = declared_parameters(notebook)
    given = {name: value for name, value in parameters.items() if name in declared}
    record = execute_notebook(notebook, output, profile, given, timeout=300)
    texts = [o.text for c in nbformat.read(output, as_version=4).cells for o in c.get("outputs", []) if "text" in o]
    warned = [line for text in texts for line in text.splitlines() if re.search(r"\w*Warning\b", line)]
    assert not warned, f"a reader would meet warnings: {warned}"
    return record


def test_notebooks_are_numbered_without_gaps():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02d}" for number in range(len(NOTEBOOKS))]
    assert NOTEBOOKS


@by_name
def test_notebook_keeps_the_rules(notebook):
    assert violations(notebook) == []


@pytest.mark.notebooks
@by_name
def test_notebook_runs_and_shows_something(notebook, smoke_run):
    cells = nbformat.read(smoke_run(notebook.name[:2]), as_version=4).cells
    assert any(cell.get("outputs") for cell in cells)


def shown_by(page: Path) -> str:
    """Return the Markdown that an executed page shows."""
    cells = nbformat.read(page, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "\n".join(output["data"].get("text/markdown", "") for output in outputs if "data" in output)


@pytest.mark.notebooks
def test_the_pages_say_what_the_published_experiment_says(smoke_run):
    simulated, real = Findings.read("simulated"), Findings.read("real")
    told, published = Sentences(simulated, real), (DOCS / "experiment.md").read_text(encoding="utf-8")
    shown = shown_by(smoke_run("05"))
    for text in (told.found().text, told.rules().text):
        assert text in shown
        assert text in published
    assert told.reach().text in shown
    tables_of_five = [tables.pair_table, tables.case_table, tables.harm_table, tables.arm_table, tables.selection_table]
    for make in tables_of_five:
        assert markdown_table(make(simulated)) in shown, make.__name__
    tables_of_nine = [tables.pair_table, tables.arm_table, tables.case_table, tables.harm_table]
    for make in (*tables_of_nine, tables.shots_gains, tables.elsewhere_table):
        assert markdown_table(make(real)) in shown_by(smoke_run("09")), make.__name__
    assert markdown_table(tables.arm_table(real)) in published


@pytest.mark.notebooks
def test_page_5_shows_five_tables_and_folds_the_others(smoke_run):
    cells = nbformat.read(smoke_run("05"), as_version=4).cells
    outputs = [output["data"] for cell in cells for output in cell.get("outputs", []) if "data" in output]
    folded = [data for data in outputs if "<details>" in data.get("text/html", "")]
    tables_shown = [data for data in outputs if "|---|" in data.get("text/markdown", "") and data not in folded]
    assert len(tables_shown) == 5
    assert len(folded) >= 5
    assert all("<table" in data["text/html"] or "<p>" in data["text/html"] for data in folded)


@pytest.mark.slow
@pytest.mark.notebooks
def test_same_notebook_and_seeds_give_the_same_record(folders, tmp_path):
    """All but the time, the memory and the clock; everything is trained twice, and another seed gives other numbers."""
    (notebook,) = [path for path in NOTEBOOKS if path.name.startswith("04")]
    given = {"arms": ["scratch", "fine_tune", "risk_map_paper"], "shots_list": [1], "out_dir": str(tmp_path / "runs")}
    records = []
    for source_seed in (0, 0, 1):
        output = tmp_path / f"{len(records)}.ipynb"
        records.append(run(notebook, output, folders | given | {"source_seed": source_seed}))
        (tmp_path / "runs").rename(tmp_path / f"runs{len(records)}")
    for record in records:
        assert record["results"]
        assert {record.pop(name) is None for name in ("duration_seconds", "peak_memory_mb", "finished")} == {False}
    first, again, other = records
    assert first == again
    assert first["results"] != other["results"]


# what is left of the profile ``full`` on tiny data: every choice but the data, the steps and the width of the network
LESS_THAN_FULL = {
    "source_steps": 2,
    "steps": 2,
    "shots": 1,
    "shots_list": [1],
    "seeds": [0, 1],
    "network": "tests/networks/large_volumes.yaml",
    "arms": ["scratch", "fine_tune", "risk_map_paper"],
    "spacing": 4.0,
    "box": [192.0, 224.0, 192.0],
}
GLIOMA = {"cohort": "fets2021_tiny"}
INFANTS = {"cohort": "iseg2019_tiny", "source": "T1:TISSUE", "target": "T2:TISSUE"}


@pytest.mark.notebooks
@pytest.mark.parametrize(
    ("number", "data"),
    [
        pytest.param("02", INFANTS, id="02-infants"),
        *(pytest.param(page, GLIOMA, id=page, marks=pytest.mark.slow) for page in ("01", "02", "03", "04", "06")),
    ],
)
def test_full_profile_runs_on_tiny_data(number, data, folders, tmp_path):
    """In 3-D, as the profile asks."""
    (notebook,) = [path for path in NOTEBOOKS if path.name.startswith(number)]
    run(notebook, tmp_path / notebook.name, folders | LESS_THAN_FULL | data, SMOKE.with_name("full.yaml"))


def text_of(executed: Path) -> str:
    """Return what an executed notebook printed."""
    cells = nbformat.read(executed, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


@pytest.mark.slow
@pytest.mark.notebooks
def test_a_real_patient_goes_through_page_2(real_glioma, folders, tmp_path):
    """Its own labels make the statistics; the source network has seen simulated patients only."""
    (notebook,) = [path for path in NOTEBOOKS if path.name.startswith("02")]
    out = Path(folders["data_dir"]) / "prepared" / "real"
    prepare(real_glioma, out, spacing=4, box=(192, 224, 192), unsplit="target_train", jobs=1)
    choices = {"cohort": "real", "source_cohort": "fets2021_tiny", "shots": 1}
    run(notebook, tmp_path / notebook.name, folders | choices)
    assert "FLAIR:WT → T1ce:TC: LEEP = -" in text_of(tmp_path / notebook.name)


@pytest.mark.notebooks
def test_a_real_patient_goes_through_page_6(real_glioma, smoke_run):
    """It lies where the page looks for one by itself."""
    shown = text_of(smoke_run("06"))
    assert "doi 10.1038/sdata.2017.117" in shown, "it must be cited where it is shown"
    assert "real scan (FeTS21_Training_900)" in shown


@pytest.mark.notebooks
def test_page_6_takes_a_reader_s_own_folder(folders, tiny_archive, tmp_path):
    """With the example's description copied into it, as the page says, and without a real patient."""
    (notebook,) = [path for path in NOTEBOOKS if path.name.startswith("06")]
    own = tmp_path / "my scans"
    shutil.copytree(tiny_archive, own, ignore=shutil.ignore_patterns("*.json", "*.csv"))
    shutil.copy(notebook.parent / "own_data.yaml", own / "dataset.yaml")
    least = {"arms": ["scratch", "fine_tune"], "source_steps": 2, "steps": 1, "jobs": 1}
    choices = {"folder": str(own), "real_scan": str(tmp_path / "nowhere"), "source": "T2:WT"}
    run(notebook, tmp_path / notebook.name, folders | choices | least)
    shown = text_of(tmp_path / notebook.name)
    assert "8 subjects are sound, 0 are not" in shown
    assert "real patients ·" in shown, "nothing in the folder says that they are simulated"
    assert "shown: from the folder" in shown
    assert "real scan" not in shown


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_profile_fits_the_notebooks(profile):
    """Every name is declared somewhere, and every value has the type of the default."""
    values = read_profile(profile, NOTEBOOKS)
    for notebook in NOTEBOOKS:
        for name, default in declared_parameters(notebook).items():
            if name in values and default is not None:
                assert isinstance(values[name], (type(default), int) if type(default) is float else type(default))


@by_name
def test_notebook_takes_no_longer_than_it_says(notebook):
    """By the times of a whole run of the tutorial, which ``python -m riskmap publish --time`` has published."""
    opening = nbformat.read(notebook, as_version=4).cells[0].source
    (minutes,) = re.findall(r"at most\s(\d+) minutes? on two CPU cores", opening)
    seconds = read_json(PROJECT_ROOT / "results" / "cost.json")["seconds"]
    assert seconds[notebook.stem] <= 60 * int(minutes)


def test_profiles_are_plain_values():
    """``papermill -f profile.yaml`` must read them as they are."""
    for profile in PROFILES:
        assert all(isinstance(name, str) for name in yaml.safe_load(profile.read_text()))
    assert {path.stem for path in PROFILES} >= {"smoke", "teach", "full"}


def test_one_name_per_knob_and_one_type():
    types: dict[str, dict[str, list[str]]] = {}
    for notebook in NOTEBOOKS:
        for name, default in declared_parameters(notebook).items():
            right = next((shared for shared, others in SHARED_NAMES.items() if name in others), name)
            assert name == right, f"{notebook.name}: {name!r} is called {right!r} in this tutorial"
            types.setdefault(name, {}).setdefault(type(default).__name__, []).append(notebook.name)
    assert [(name, found) for name, found in types.items() if len(found) > 1] == []


def test_each_notebook_leads_to_the_next():
    """The end of a notebook names the file of the one after it."""
    for notebook, following in pairwise(NOTEBOOKS):
        last = nbformat.read(notebook, as_version=4).cells[-1].source
        assert following.name in last, f"{notebook.name} does not name {following.name} at its end"
