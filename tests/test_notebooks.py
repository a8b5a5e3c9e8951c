"""The tutorial's own notebooks: they keep the rules, they run from start to end, and they agree on their parameters."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from notebook_rules import violations

from riskmap.execution import declared_parameters, execute_notebook, read_profile
from riskmap.html_pages import export_html
from riskmap.paths import PROJECT_ROOT

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
def folders(tmp_path_factory) -> dict[str, str]:
    """The data and results that the notebooks of one session share, away from the reader's own."""
    root = tmp_path_factory.mktemp("tutorial")
    return {"data_dir": str(root / "data"), "out_dir": str(root / "runs")}


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
def test_notebook_runs(notebook, folders, tmp_path):
    output = tmp_path / notebook.name
    run(notebook, output, folders)
    page = export_html(output, tmp_path / "page.html")
    assert page.title in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.notebooks
@pytest.mark.parametrize("number", ["03"])
def test_notebook_runs_on_its_own(number, folders, tmp_path, monkeypatch):
    """With nothing from the notebooks before it, and from another working directory; the data may be there."""
    (notebook,) = [path for path in NOTEBOOKS if path.name.startswith(number)]
    monkeypatch.chdir(tmp_path)
    run(notebook, tmp_path / notebook.name, folders | {"out_dir": str(tmp_path / "empty")})


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


@pytest.mark.notebooks
@pytest.mark.parametrize("number", ["01", "02", "03"])
def test_notebook_runs_on_volumes(number, folders, tmp_path):
    (notebook,) = [path for path in NOTEBOOKS if path.name.startswith(number)]
    small = {"spatial_dims": 3, "patch_size": 16, "channels": [4, 8], "source_steps": 3, "steps": 2}
    run(notebook, tmp_path / notebook.name, folders | small | {"arms": ["scratch", "fine_tune", "risk_map_paper"]})


@pytest.mark.notebooks
def test_full_profile_runs_on_tiny_data(folders, tmp_path):
    """Every choice of the profile but the data, the number of steps and the width of the network."""
    (notebook,) = [path for path in NOTEBOOKS if path.name.startswith("02")]
    tiny = {"cohort": "fets2021_tiny", "source_steps": 2, "shots": 1, "patch_size": 32, "channels": [4, 4, 8, 8, 8]}
    run(notebook, tmp_path / notebook.name, folders | tiny, SMOKE.with_name("full.yaml"))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_profile_fits_the_notebooks(profile):
    """Every name is declared somewhere, and every value has the type of the default."""
    values = read_profile(profile, NOTEBOOKS)
    for notebook in NOTEBOOKS:
        for name, default in declared_parameters(notebook).items():
            if name in values and default is not None:
                assert isinstance(values[name], (type(default), int) if type(default) is float else type(default))


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
