"""The declared parameters: what each notebook takes, what it refuses and what it suggests instead."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

import nbformat
import papermill
import pytest
import torch
import yaml

from riskmap.data.cohort import PARTS
from riskmap.data.simulated import DEFAULT_COHORTS
from riskmap.pages import parameters
from riskmap.pages.page import Parameters
from riskmap.pages.parameters import (
    MODELS,
    CompareReruns,
    FewShot,
    FineTuning,
    GoodAndBadHabits,
    RealPatients,
    RiskMap,
    SourcePretraining,
    StartHere,
    WhichSourcesHurt,
    YourOwnData,
    model_of,
)
from riskmap.pages.values import ParameterError, placed
from riskmap.project.files import read_json, write_json
from riskmap.project.paths import PROJECT_ROOT
from riskmap.rerun.notebooks import declared_parameters
from riskmap.training.config import NETWORKS, PatchConfig
from riskmap.training.specs import Setting

NOTEBOOKS = sorted((PROJECT_ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
PROFILES = sorted((PROJECT_ROOT / "notebooks" / "profiles").glob("*.yaml"))
WITH_MODEL = [path for path in NOTEBOOKS if path.stem in MODELS]
FINE_TUNING = PROJECT_ROOT / "notebooks" / "03_fine_tuning.ipynb"

by_name = pytest.mark.parametrize("notebook", WITH_MODEL, ids=lambda path: path.stem)


def python_name(annotation: object) -> str:
    """Return the type as it must stand in the cell: papermill understands plain names alone."""
    origin = get_origin(annotation)
    return (type(get_args(annotation)[0]) if origin is Literal else (origin or annotation)).__name__


def code_of(notebook, tag=None):
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    return [cell.source for cell in cells if tag is None or tag in cell.metadata.get("tags", [])]


# ---- cell, model and profiles in step


def test_every_notebook_has_a_model():
    assert [path.stem for path in NOTEBOOKS] == sorted(MODELS)


@by_name
def test_cell_and_model_agree(notebook):
    """Names, defaults, types and help: by what ``papermill --help-notebook`` reads."""
    model = MODELS[notebook.stem]
    shown = papermill.inspect_notebook(notebook)
    expected = {n: (python_name(knob.annotation), knob.description) for n, knob in model.model_fields.items()}
    assert {name: (found["inferred_type_name"], found["help"]) for name, found in shown.items()} == expected
    assert declared_parameters(notebook) == model().model_dump()


@by_name
def test_first_cell_after_the_parameters_checks_them(notebook):
    name = MODELS[notebook.stem].__name__
    calls = [ast.unparse(node) for node in ast.parse(code_of(notebook)[1].replace("%", "#")).body]
    assert f"given = {name}.check(globals())" in calls


def test_same_name_means_the_same_everywhere():
    helps = {(name, knob.description, str(knob.annotation), str(knob.metadata))
             for model in MODELS.values() for name, knob in model.model_fields.items()}  # fmt: skip
    names = [name for name, *_ in helps]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
@by_name
def test_profile_holds_valid_values(profile, notebook, tmp_path):
    model = MODELS[notebook.stem]
    values = yaml.safe_load(profile.read_text()) | {"data_dir": str(tmp_path)}
    if values["cohort"] not in DEFAULT_COHORTS:  # real data, which the reader has to prepare
        (tmp_path / "prepared" / values["cohort"]).mkdir(parents=True)
    model.checked({name: value for name, value in values.items() if name in model.model_fields}, profile.name)


def test_the_page_of_real_patients_takes_prepared_real_ones_alone(tiny_cohort, tmp_path):
    with pytest.raises(ParameterError, match=r"parameter folder: the patients of .* are simulated; page 3 is theirs"):
        RealPatients.checked({"folder": str(tiny_cohort.folder)}, "t")
    with pytest.raises(ParameterError, match=r"parameter folder: .*Prepare it first: python -m data_scripts"):
        RealPatients.checked({"folder": str(tmp_path)}, "t")
    assert "python -m data_scripts.prepare_real" in RealPatients.checked({}, "t").how_to_get_there().data


@pytest.mark.parametrize("name", ["steps", "learning_rate", "source_steps"])
def test_bad_habits_are_no_better_than_the_good_ones(name):
    good = getattr(GoodAndBadHabits(), name)
    with pytest.raises(ParameterError, match=f"bad_{name}: must be at most {name}, {good:g}, got {2 * good:g}"):
        GoodAndBadHabits.checked({f"bad_{name}": 2 * good}, "the test")


def test_help_shows_types_and_help():
    command = [sys.executable, "-m", "papermill", "--help-notebook", str(FINE_TUNING)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name, knob in FineTuning.model_fields.items():
        assert f"{name}: {python_name(knob.annotation)} (default" in shown
        assert knob.description in " ".join(shown.split())
    assert "Unknown" not in shown


# ---- what is refused


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shot": 1}, r"unknown parameter 'shot' in the test; did you mean 'shots'\?"),
        ({"shots": 0}, r"shots \(patients\) must be at least 1, got 0; the nearest is 1"),
        ({"shots": "3"}, r"shots .* must be a whole number \(int\), got '3'; did you mean 3\?"),
        ({"steps": "010"}, r"steps must be .*got '010'; did you mean 10\?"),
        ({"out_dir": False}, r"out_dir must be text \(str\), got False; text like this is written in quotes"),
        ({"out_dir": 1.1}, r"out_dir must be text \(str\), got 1\.1; text like this is written in quotes"),
        ({"out_dir": 8}, r"out_dir must be text \(str\), got 8; did you mean '8'\?"),
        ({"steps": True}, r"steps must be a whole number \(int\), got True"),
        ({"steps": 20.0}, r"steps must be .*got 20\.0; did you mean 20\?"),
        ({"seeds": "[1, 2]"}, r"seeds must be a list .*did you mean \[1, 2\]\?"),
        ({"seeds": 3}, r"seeds must be a list .*did you mean \[3\]\? \(on the command line: -p seeds \"\[3\]\"\)"),
        ({"arms": "scratch"}, r"arms must be a list .*did you mean \['scratch'\]\? .*-p arms \"\[scratch\]\"\)"),
        ({"arms": "scratch, focal"}, r"arms must be a list .*did you mean \['scratch', 'focal'\]\?"),
        ({"arms": None}, r"arms must be a list \(list\), got None; an empty list is written \[\]$"),
        ({"arms": ""}, r"arms must be a list \(list\), got ''; an empty list is written \[\]$"),
        ({"seeds": [3, -1]}, r"seeds must be at least 0, got -1 in \[3, -1\]"),
        ({"seeds": [3, 3]}, r"seeds: names something twice"),
        ({"seeds": []}, r"seeds must not be empty"),
        ({"seeds": [1]}, r"seeds must hold at least 2"),
        ({"learning_rate": "1e-3"}, r"learning_rate .*got '1e-3'; did you mean 0\.001\?.*write 1\.0e-3"),
        ({"learning_rate": 0}, r"learning_rate \(per step\) must be above 0"),
        ({"device": "gpu"}, r"device must be one of auto, cpu, .*got 'gpu'; did you mean 'cpu'\?"),
        ({"precision": "float23"}, r"precision must be one of .*did you mean 'float32'\?"),
        ({"arms": ["scratch", "fine_tun"]}, r"unknown arm 'fine_tun'; did you mean 'fine_tune'\?"),
        ({"arms": ["scratch", "risk_map_paper"]}, r"arms must hold fine_tune"),
        ({"network": "slice"}, r"unknown network 'slice'; did you mean 'slices'\?.*volumes.*FILE\.yaml"),
        ({"network": "nowhere.yaml"}, r"there is no file .*nowhere\.yaml"),
        ({"source": "FLAIR"}, r"source: task must read SEQUENCE:LABEL"),
        ({"source": "T1ce:TC"}, r"source and target are the same task T1ce:TC"),
        ({"second_source": "t1ce:tc"}, r"second_source and second_target are the same task"),
        ({"cohort": "fets2021_tinny"}, r"unknown cohort 'fets2021_tinny'; did you mean 'fets2021_tiny'\?"),
    ],
)  # fmt: skip
def test_wrong_value_is_named_and_the_nearest_suggested(values, message, tmp_path):
    with pytest.raises(ParameterError, match=message) as caught:
        FineTuning.checked({"data_dir": str(tmp_path), **values}, "the test")
    assert "\n" not in str(caught.value), "one line, since the last line is what a front end shows"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spatial_dims: 4\nchannels: [4, 8]", r"spatial_dims: Input should be 2 or 3"),
        ("spatial_dims: 2\nchannels: [16]", r"channels: .*at least 2"),
        ("spatial_dims: 2\nchannels: [16, 0]", r"channels.1: .*greater than or equal to 1"),
        ("spatial_dims: 3\nchannels: [4, 4, 8, 8]\npatch_size: 30", r"patch_size .*of 8 .*30; the nearest is 32"),
        ("spatial_dims: 2\nchannel: [4, 8]", r"unknown parameter 'channel' .*did you mean 'channels'"),
        ("spatial_dims: [2", r"is not valid YAML: .*line 1"),
        ("spatial_dims: 2\nchannels: [16, 1000000000]", r"channels.1: .*less than or equal to 2048"),
        ("spatial_dims: 2\nchannels: [4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]", r"channels: .*at most 10"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_is_refused_by_its_file(text, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError, match=message) as caught:
        FineTuning.checked({"data_dir": str(tmp_path), "network": str(path)}, "the test")
    assert "mine.yaml" in str(caught.value) or "patch_size" in str(caught.value)


def test_a_network_has_a_name_or_a_file_of_its_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("spatial_dims: 3\nchannels: [4, 8]\npatch_size: 16", encoding="utf-8")
    setting = FineTuning.checked({"data_dir": str(tmp_path), "network": str(path)}, "the test").setting
    assert (setting.network.spatial_dims, setting.network.channels, setting.patches.size) == (3, (4, 8), 16)
    assert FineTuning.checked({"data_dir": str(tmp_path)}, "the test").setting.patches == PatchConfig()
    assert set(NETWORKS) == {"slices", "volumes", "large_volumes"}


@pytest.mark.parametrize(
    ("model", "values"),
    [(FineTuning, {}), (RiskMap, {"cohort": "fets2021_tiny", "source_cohort": "mine"})],
    ids=["cohort", "source cohort"],
)
def test_slices_must_be_halved_as_often_as_the_network_does(model, values, data_dir):
    """8 levels on 8 x 24 voxels failed in the middle of the page."""
    path = data_dir / "mine.yaml"
    whole = {"cohort": "mine", "data_dir": str(data_dir), "target": "T2:WT", "second_source": "FLAIR:WT"}
    whole |= {"second_target": "T2:WT", "shots": 1, "network": str(path), **values}
    whole = {name: value for name, value in whole.items() if name in model.model_fields}
    path.write_text("spatial_dims: 2\nchannels: [4, 4, 4, 4]", encoding="utf-8")
    model.checked(whole, "the test")
    path.write_text("spatial_dims: 2\nchannels: [4, 4, 4, 4, 4]", encoding="utf-8")
    with pytest.raises(
        ParameterError, match=r"parameter network: 5 levels .* 8 x 24 voxels .*; the nearest is 4 level"
    ):
        model.checked(whole, "the test")
    path.write_text("spatial_dims: 3\nchannels: [4, 4, 4, 4, 4]\npatch_size: 16", encoding="utf-8")
    model.checked(whole, "the test")


def test_page_6_knows_the_sides_that_it_prepares_itself(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("spatial_dims: 2\nchannels: [4, 4, 4, 4, 4, 4]", encoding="utf-8")
    values = {"folder": str(tmp_path), "network": str(path), "box": [192.0, 224.0, 192.0], "spacing": 4.0}
    with pytest.raises(ParameterError, match="one of 48 x 56 voxels can be halved 3 times; the nearest is 4 levels"):
        YourOwnData.checked(values, "the test")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"device": "cuda:0"}, "parameter device='cuda:0', but torch sees no CUDA GPU here; use 'auto' or 'cpu'"),
        ({"device": "cpu", "precision": "float16"}, "parameter precision='float16' needs a CUDA GPU"),
    ],
)
def test_the_machine_is_checked_where_the_page_runs(values, message, tmp_path, monkeypatch):
    """And nowhere else: the workers of a sweep may have a GPU that this machine lacks."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    checked = SourcePretraining.checked({"data_dir": str(tmp_path), **values}, "the test")
    with pytest.raises(ParameterError, match=message):
        checked.check_machine()
    with pytest.raises(ParameterError, match=message):
        SourcePretraining.check(SourcePretraining().model_dump() | {"data_dir": str(tmp_path), **values})


def test_every_problem_is_listed(tmp_path):
    with pytest.raises(ParameterError, match=r"parameter steps.*; parameter shots"):
        FineTuning.checked({"data_dir": str(tmp_path), "shots": 0, "steps": 0}, "the test")


def test_number_without_decimals_is_a_number(tmp_path):
    assert FineTuning.checked({"data_dir": str(tmp_path), "learning_rate": 1}, "the test").learning_rate == 1


def test_a_folder_of_one_s_own_decides_by_itself(tmp_path):
    with pytest.raises(ParameterError, match=r"parameter folder: there is no folder .*nowhere"):
        YourOwnData.checked({"folder": str(tmp_path / "nowhere")}, "the test")
    # what it holds is known only when it has been read
    YourOwnData.checked({"folder": str(tmp_path), "source": "CT:LUNG", "target": "CT:NODULE"}, "the test")
    with pytest.raises(ParameterError, match=r"box \(mm\).* three lengths, or none, got 1"):
        YourOwnData.checked({"box": [192.0]}, "the test")


@pytest.fixture
def data_dir(tmp_path):
    """A data folder whose cohort ``mine`` is a manifest alone; two sites, all parts in both."""
    split = {"source_train": ["a", "b"], "source_val": ["e"], "target_train": ["c"], "target_val": ["f"]}
    manifest = {
        "format": 1, "name": "mine", "title": "t", "licence": "l", "citation": "c", "simulated": True,
        "modalities": ["FLAIR", "T2"], "label_table": {}, "spacing": [1, 1, 1], "shape": [8, 24, 8],
        "targets": {"WT": {"title": "t", "classes": ["background", "tumour"], "values": {"1": 1}}},
        "sites": {"a": "1", "b": "2", "c": "2", "d": "1", "e": "1", "f": "1"},
        "subjects": {name: {"files": {}} for name in "abcdef"}, "split": split | {"target_test": ["d"]},
    }  # fmt: skip
    write_json(tmp_path / "prepared" / "mine" / "manifest.json", manifest)
    return tmp_path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"target": "T1:WT"}, r"parameter target: unknown sequence 'T1' in cohort mine.* Allowed: FLAIR, T2"),
        ({"source": "FLAIR:ET"}, r"parameter source: unknown label 'ET' in cohort mine.* Allowed: WT"),
        ({"source": "T2:WT"}, r"same task T2:WT.*source could be FLAIR:WT"),
        ({"shots_list": [1, 2]}, r"shots_list \(patients\) must be at most 1.*the nearest is 1"),
        ({"cohort": "mone"}, r"unknown cohort 'mone'; did you mean 'mine'\?"),
    ],
)
def test_cohort_decides_when_it_is_there(data_dir, values, message):
    whole = {"cohort": "mine", "data_dir": str(data_dir), "target": "T2:WT", "shots_list": [1]}
    FewShot.checked(whole, "the test")
    with pytest.raises(ParameterError, match=message):
        FewShot.checked(whole | values, "the test")


def test_one_task_across_sites_is_a_pair(data_dir):
    path = data_dir / "prepared" / "mine" / "manifest.json"
    write_json(path, read_json(path) | {"sites": dict(zip("abcdef", "112211", strict=True))})
    whole = {"cohort": "mine", "data_dir": str(data_dir), "source": "T2:WT", "target": "T2:WT", "shots_list": [1]}
    FewShot.checked(whole, "the test")


def test_one_task_in_two_cohorts_is_a_pair(data_dir):
    whole = {"cohort": "mine", "data_dir": str(data_dir), "source": "T2:WT", "target": "T2:WT", "shots": 1}
    with pytest.raises(ParameterError, match="same task"):
        RiskMap.checked(whole, "the test")
    RiskMap.checked(whole | {"source_cohort": "fets2021_tiny"}, "the test")
    with pytest.raises(ParameterError, match=r"parameter source_cohort: unknown cohort 'fets2021_tinny'"):
        RiskMap.checked(whole | {"source_cohort": "fets2021_tinny"}, "the test")


def test_unsplit_cohort_is_refused_by_the_notebooks_that_need_its_parts(data_dir):
    path = data_dir / "prepared" / "mine" / "manifest.json"
    unsplit = {name: [] for name in PARTS} | {"target_test": list("abcdef")}
    write_json(path, read_json(path) | {"split": unsplit})
    first = {StartHere: "target_train", SourcePretraining: "source_train", FewShot: "source_train"}
    for model, part in first.items():
        with pytest.raises(ParameterError, match=f"parameter cohort: part '{part}' of cohort mine is empty"):
            model.checked({"cohort": "mine", "data_dir": str(data_dir)}, "the test")


def test_damaged_cohort_is_named(data_dir):
    write_json(data_dir / "prepared" / "mine" / "manifest.json", {"format": 0})
    with pytest.raises(ParameterError, match=r"parameter cohort: .*has format 0"):
        StartHere.checked({"cohort": "mine", "data_dir": str(data_dir)}, "the test")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sweep_dir": "build/nothing/here"}, r"parameter sweep_dir: no table in .*riskmap sweep SWEEP\.yaml"),
        ({"parameter": "learning_rat"}, r"parameter parameter: unknown column .*did you mean 'learning_rate'\?"),
        ({"measure": "dise"}, r"parameter measure: unknown column 'dise'; did you mean 'dice'\?"),
    ],
)
def test_table_decides_what_can_be_compared(values, message):
    CompareReruns.checked({"parameter": "learning_rate"}, "the test")
    with pytest.raises(ParameterError, match=message):
        CompareReruns.checked(values, "the test")


# ---- what a page reads


def changed(path, text="more"):
    """Write into a file, which may be new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(text)


def second_cohort(data_dir):
    """Give the data folder a cohort ``other`` with another split, and return its manifest."""
    first, other = (data_dir / "prepared" / name / "manifest.json" for name in ("mine", "other"))
    other.parent.mkdir(exist_ok=True)
    write_json(other, read_json(first) | {"name": "other"})
    return other


def resplit(path):
    """Change the split of a cohort."""
    manifest = read_json(path)
    split = manifest["split"]
    write_json(path, manifest | {"split": split | {"source_val": split["target_val"], "target_val": ["e"]}})


# a page, what it is given (a name for a place below the test's folder), and what of that changes
READS = {
    "cohort": (StartHere, {"cohort": "mine"}, lambda folder: resplit(folder / "prepared/mine/manifest.json")),
    "picture": (StartHere, {}, lambda folder: changed(folder / "results/negative_transfer.png")),
    "source cohort": (RiskMap, {"source_cohort": "other"}, lambda folder: resplit(second_cohort(folder))),
    "network": (SourcePretraining, {"network": "own.yaml"}, lambda folder: changed(folder / "own.yaml", "# more")),
    "records": (WhichSourcesHurt, {"plan": "smoke", "records_dir": "r"}, lambda f: changed(f / "r/smoke/rates.json")),
    "scan": (YourOwnData, {"folder": "own"}, lambda folder: changed(folder / "own/a/a_t1.nii.gz")),
    "new scan": (YourOwnData, {"folder": "own"}, lambda folder: changed(folder / "own/b/b_t1.nii.gz")),
    "description": (YourOwnData, {"folder": "own"}, lambda folder: changed(folder / "own/dataset.yaml", "#")),
    "real scan": (YourOwnData, {"real_scan": "real"}, lambda folder: changed(folder / "real/x.nii.gz")),
    "archive": (YourOwnData, {"cohort": "mine"}, lambda folder: changed(folder / "archives/mine/a.nii.gz")),
    "sweep": (CompareReruns, {"sweep_dir": "sweep"}, lambda folder: changed(folder / "sweep/table.csv", "\n")),
    "jobs of the sweep": (CompareReruns, {"sweep_dir": "sweep"}, lambda f: changed(f / "sweep/sweep.json", " ")),
}


@pytest.mark.parametrize("name", READS)
def test_a_page_names_all_that_it_reads(name, data_dir, monkeypatch):
    """Its re-run is done only as long as these are the same; a changed file was answered with "already done"."""
    model, given, change = READS[name]
    monkeypatch.setattr(parameters, "RESULTS", data_dir / "results")
    shutil.copytree(PROJECT_ROOT / "results" / "sweep", data_dir / "sweep")
    for path in (
        "r/smoke/rates.json",
        "own/a/a_t1.nii.gz",
        "own/dataset.yaml",
        "real/x.nii.gz",
        "archives/mine/a.json",
    ):
        changed(data_dir / path)
    changed(data_dir / "results/negative_transfer.png")
    changed(data_dir / "own.yaml", "spatial_dims: 2\nchannels: [4, 8]\n")
    second_cohort(data_dir)
    places = ("network", "folder", "real_scan", "records_dir", "sweep_dir")
    values = {n: str(data_dir / value) if n in places else value for n, value in given.items()}
    if "data_dir" in model.model_fields:
        values |= {"data_dir": str(data_dir)}
    page = model(**values)
    before = page.input_digests()
    assert page.input_digests() == before
    assert before
    change(data_dir)
    assert page.input_digests() != before


def test_every_knob_that_names_a_file_is_among_them():
    knobs = {name: knob.json_schema_extra for model in MODELS.values() for name, knob in model.model_fields.items()}
    reading = {name for name, extra in knobs.items() if extra and "reads" in extra}
    assert reading == {"network", "folder", "real_scan", "records_dir", "sweep_dir"}
    assert reading <= {name for _, given, _ in READS.values() for name in given}


def test_what_is_not_there_yet_is_left_out(tmp_path):
    """A default cohort is made by the page itself."""
    assert SourcePretraining(data_dir=str(tmp_path)).input_digests() == {}
    assert set(YourOwnData(data_dir=str(tmp_path), real_scan="").input_digests()) == {
        "notebooks/own_data.yaml",
        "notebooks/real_scan.yaml",
    }


# ---- files and folders, seen from the reader


def test_a_path_is_looked_for_from_where_the_reader_stands(tmp_path, monkeypatch):
    for path in ("here/n.yaml", "here/scans/dataset.yaml", "slices"):
        changed(tmp_path / path)
    monkeypatch.chdir(tmp_path / "here")
    given = {"network": "n.yaml", "folder": "scans", "cohort": "scans", "real_scan": "nowhere", "arms": ["scratch"]}
    found = given | {"network": str(tmp_path / "here/n.yaml"), "folder": str(tmp_path / "here/scans")}
    assert placed(given, YourOwnData) == found
    assert placed(found, YourOwnData) == found
    assert placed({"network": "slices", "folder": ""}, YourOwnData) == {"network": "slices", "folder": ""}
    monkeypatch.chdir(PROJECT_ROOT / "tests")
    below = {"network": "tests/networks/slices.yaml"}
    assert placed({"network": "networks/slices.yaml"}, YourOwnData) == below, "a sweep's names hold on other machines"
    assert placed(below, YourOwnData) == below


# ---- a page and its copies


@pytest.mark.parametrize("name", ["03_mine", "03_fine_tuning-Copy1"])
def test_a_copy_of_a_page_has_its_model(name):
    declared = FineTuning().model_dump()
    assert model_of(Path(f"{name}.ipynb"), declared) is FineTuning
    for other in (Path("04_mine.ipynb"), Path("mine.ipynb")):
        assert model_of(other, declared) is not FineTuning
    without = {name: value for name, value in declared.items() if name != "shots"}
    assert model_of(Path(f"{name}.ipynb"), without) is not FineTuning, "it is a notebook of its own by now"


# ---- within a notebook


def test_notebook_finds_what_papermill_put_in():
    namespace = {
        **SourcePretraining().model_dump(),
        "In": ["", "source = 'FLAIR:WT'", "# Parameters\nsource_step = 3\n"],
    }
    with pytest.raises(ParameterError, match=r"unknown parameter 'source_step' .*did you mean 'source_steps'"):
        SourcePretraining.check(namespace)
    namespace["In"] = ["", "# Parameters\nsource_steps = 3\n", "prepared = 1"]
    SourcePretraining.check(namespace)
    del namespace["device"]
    with pytest.raises(ParameterError, match="the parameters cell lacks device"):
        SourcePretraining.check(namespace)


def test_name_that_another_page_declares_is_left_unused(tmp_path, capsys):
    """Papermill injects a whole profile, which serves all pages."""
    namespace = SourcePretraining().model_dump() | {"data_dir": str(tmp_path)}
    SourcePretraining.check(namespace | {"In": ["", "# Parameters\nshots_list = [1]\nsource_steps = 6"]})
    assert capsys.readouterr().out == "Not used on this page: shots_list\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["-p", "source_step", "3"], "unknown parameter 'source_step' in what papermill was given"),
        (["-y", "{source_learning_rate: 1e-3}"], "did you mean 0.001?"),
    ],
)
def test_plain_papermill_is_stopped_at_the_first_cell(given, message, tmp_path):
    notebook = PROJECT_ROOT / "notebooks" / "01_source_pretraining.ipynb"
    command = [sys.executable, "-m", "papermill", str(notebook), str(tmp_path / "out.ipynb"), "-k", "python3", *given]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    ran = [cell for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells if cell.get("outputs")]
    assert all("ensure_cohort(cohort" not in cell.source for cell in ran)


def test_adding_a_knob_is_one_line(tmp_path):
    class More(SourcePretraining):
        momentum: Literal[2, 3] = 2

    with pytest.raises(ParameterError, match="momentum must be one of 2, 3, got 4"):
        More.checked({"momentum": 4, "data_dir": str(tmp_path)}, "the test")
    assert issubclass(More, Parameters)


@pytest.mark.parametrize("model", parameters.MODELS.values(), ids=lambda model: model.__name__)
def test_a_page_trains_by_the_recipe_unless_it_is_told_otherwise(model):
    """The defaults of the parameters cells are written out for the reader; the one recipe is that of Setting."""
    for name in ("steps", "learning_rate", "source_steps", "source_learning_rate"):
        if name in model.model_fields:
            assert model.model_fields[name].default == getattr(Setting(), name)
