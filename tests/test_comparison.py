"""The object of a page: what it is given, what it refuses, what it shows, and what it hands on to a sweep."""

import re
from dataclasses import replace

import nbformat
import numpy as np
import pandas as pd
import pytest
from cells import run_cell
from documents import documents
from nbformat.v4 import new_code_cell, new_notebook, new_output

from riskmap.data.cohort import Cohort
from riskmap.pages import compared_runs, page
from riskmap.pages.comparison import Comparison
from riskmap.pages.measurements import MIME, kept_measurements
from riskmap.training.config import NetworkConfig
from riskmap.training.specs import Setting

SETTING = Setting(NetworkConfig(channels=(4, 8)), steps=2, source_steps=2, device="cpu", precision="float32")
PAIR = ("FLAIR:WT", "T1ce:TC")
CELL = """
def hard_background(h, y):
    return 1 + 4 * h.clamp(max=1) * (y == 0)
"""


@pytest.fixture(scope="module")
def out_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def compare(tiny_cohort, out_dir):
    """Make a comparison of the tiny cohort; what it trains is kept for all tests of this file."""

    def make(*arms, **options):
        return Comparison(tiny_cohort, *PAIR, arms, **{"shots": 1, "setting": SETTING, "out_dir": out_dir, **options})

    return make


# ---- what it is given


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": [0, 0]}, r"seeds names something twice: \[0, 0\]"),
        ({"shots": (1, 2, 1)}, r"shots names something twice"),
        ({"seeds": [np.int64(1), 1]}, "seeds names something twice"),
        ({"seeds": ()}, "seeds must not be empty"),
        ({"shots": []}, "shots must not be empty"),
        ({"seeds": [0, -1]}, "seeds must be whole numbers of at least 0, got -1"),
        ({"seeds": [0.0]}, "seeds must be whole numbers of at least 0, got 0.0"),
        ({"seeds": "01"}, "seeds must be whole numbers of at least 0, got '0'"),
        ({"shots": 0}, "shots must be whole numbers of at least 1, got 0"),
        ({"shots": True}, "shots must be whole numbers of at least 1, got True"),
        ({"shots": [1, 3]}, "shots must be at most 2, the target training patients of tiny, got 3; the nearest is 2"),
    ],
)
def test_numbers_that_make_no_comparison_are_refused(compare, options, message):
    with pytest.raises(ValueError, match=message):
        compare("scratch", "fine_tune", **options)


def test_numbers_of_numpy_and_single_ones_are_whole_numbers(compare):
    comparison = compare("scratch", shots=np.int64(1), seeds=np.arange(2))
    assert (comparison.shots, comparison.seeds) == ((1,), (0, 1))
    assert {type(number) for cell in comparison.specs for number in cell[1:]} == {int}
    assert compare("scratch", seeds=0).seeds == (0,)


@pytest.mark.parametrize("arms", ["scratch", run_cell(CELL)["hard_background"]])
def test_arms_must_be_a_list(tiny_cohort, arms):
    with pytest.raises(TypeError, match=r"arms must be a list of names and functions, got .*; put it into \[ \]"):
        Comparison(tiny_cohort, *PAIR, arms, setting=SETTING)


def test_a_cohort_can_be_named(tiny_cohort, monkeypatch):
    monkeypatch.setattr(page, "ensure_cohort", lambda name, *_: {"tiny": tiny_cohort.folder}[name])
    comparison = Comparison("tiny", *PAIR, ["scratch"], shots=1, source_cohort="tiny")
    assert comparison.cohort.digest == tiny_cohort.digest
    assert comparison.source.cohort is comparison.cohort


def test_an_unknown_cohort_is_named():
    with pytest.raises(ValueError, match=r"no cohort 'fets2021_tinny' .*fets2021_tiny"):
        Comparison("fets2021_tinny", *PAIR)


def test_a_cohort_that_is_opened_twice_is_one(compare, tiny_cohort):
    comparison = compare("scratch", "fine_tune", seeds=[0], source_cohort=Cohort.open(tiny_cohort.folder))
    comparison.run(jobs=1)
    assert len(comparison.runs) == 2
    swapped = dict(zip(tiny_cohort.split, reversed(tiny_cohort.split.values()), strict=True))
    with pytest.raises(ValueError, match="of another cohort can be looked at"):
        compare("scratch", "fine_tune", source_cohort=replace(tiny_cohort, split=swapped)).run(jobs=1)


# ---- what it shows


@pytest.fixture(scope="module")
def made(tiny_cohort, out_dir):
    """Two arms, two seeds, and an arm of the reader's own with its twin."""
    arms = ["scratch", "fine_tune", run_cell(CELL)["hard_background"]]
    comparison = Comparison(tiny_cohort, *PAIR, arms, shots=1, setting=SETTING, out_dir=out_dir)
    comparison.run(jobs=1)
    return comparison


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda c: c.run_of("fine_tun"),
            r"no arm 'fine_tun'; did you mean 'fine_tune'\? There are: scratch, fine_tune",
        ),
        (lambda c: c.run_of("scratch", seed=7), r"no seed 7\. There are: 0, 1"),
        (lambda c: c.run_of("scratch", shots=0), r"no number of shots 0\. There are: 1"),
        (lambda c: c.predictions("top_k"), "no arm 'top_k'.* There are: scratch, fine_tune, hard_background"),
        (lambda c: c.harm("top_k"), "no arm 'top_k'"),
        (lambda c: c.changes(["fine_tune", "top_k"]), "no arm 'top_k'"),
        (lambda c: c.draw_harm_and_hardness("top_k"), "no arm 'top_k'"),
        (lambda c: c.map(seed=5), "no seed 5"),
    ],
)
def test_what_is_not_there_is_named(made, ask, message):
    with pytest.raises(ValueError, match=message):
        ask(made)


@pytest.mark.parametrize(
    ("arms", "ask", "message"),
    [
        (["fine_tune"], lambda c: c.draw_harm(), "no arm 'scratch'"),
        (["scratch", "class_balanced"], lambda c: c.draw_harm(), "no arm 'fine_tune'.* There are: scratch, class_bal"),
        (["scratch", "class_balanced"], lambda c: c.harm_table(), "no arm 'fine_tune'"),
        (["scratch", "class_balanced"], lambda c: c.harm(), "no arm 'fine_tune'"),
        (["scratch", "class_balanced"], lambda c: c.draw_harm_and_hardness(), "no arm 'fine_tune'"),
        (["scratch", "class_balanced"], lambda c: c.table(), "no arm 'fine_tune'.* There are: scratch"),
        (["fine_tune", "class_balanced"], lambda c: c.table(), "no arm 'scratch'"),
    ],
)
def test_figures_and_tables_name_the_arm_that_they_lack(compare, arms, ask, message, tmp_path):
    """The churn alone was drawn under a title that speaks of fine-tuning."""
    with pytest.raises(ValueError, match=message):
        ask(compare(*arms, out_dir=tmp_path))
    assert not list(tmp_path.iterdir()), "it is told before anything is trained"


def test_one_seed_shows_no_churn(compare):
    with pytest.raises(ValueError, match=r"a second seed has to show the churn, got the seeds \(0,\)"):
        compare("scratch", "fine_tune", seeds=[0]).draw_harm()


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def test_harm_is_drawn_of_the_arms_that_are_there(made):
    assert titles(made.draw_harm()) == ["the slice", "Fine-tuning", "churn: scratch, seed 1"]
    assert titles(made.draw_harm(["hard_background"])) == ["the slice", "hard background", "churn: scratch, seed 1"]
    assert list(made.harm_table(["hard_background", "fine_tune"]).index[:2]) == ["hard background", "Fine-tuning"]
    assert set(made.harm()) == set(made.cohort.part("target_test"))


def test_hardness_is_drawn_beside_an_arm_that_is_there(made, compare):
    of_own = made.draw_harm_and_hardness()
    churn_and_hardness = ["churn: scratch, seed 1", "hardness, enlarged"]
    assert titles(of_own) == ["the slice", "Fine-tuning", "hard background", *churn_and_hardness]
    assert titles(made.draw_harm_and_hardness("fine_tune")) == ["the slice", "Fine-tuning", *churn_and_hardness]
    plain = compare("scratch", "fine_tune").draw_harm_and_hardness()
    assert titles(plain) == ["the slice", "Fine-tuning", *churn_and_hardness]
    focused = compare("scratch", "fine_tune", "class_balanced", "risk_map_focused_sampled").draw_harm_and_hardness()
    assert titles(focused)[2] == "Sampler, 1 + 20 r"


def test_an_own_arm_is_asked_about_its_twin(made):
    asked = [line.split("?")[0] for line in repr(made.answers()).splitlines()]
    assert asked == [
        "- Is there negative transfer: scratch above fine-tuning",
        "- Is hard background above plain fine-tuning",
        "- Is hard background above scratch",
        "- Is hard background above its shuffled twin",
    ]


def test_the_example_of_the_class_is_an_arm_with_places():
    """The twin of an arm that weights whole classes alike is the arm itself."""
    texts = [Comparison.__doc__, *(document.read_text(encoding="utf-8") for document in documents())]
    found = [re.search(r"def \w+\(h, y\):.*\n\s+return (.+)", text) for text in texts]
    assert sum(each is not None for each in found) >= 2
    for returned in (each[1] for each in found if each):
        assert re.search(r"\bh\b", returned), returned


# ---- what it hands on


def test_runs_are_made_when_they_are_first_asked_for(compare):
    comparison = compare("scratch", "fine_tune")
    assert set(comparison.runs) == set(comparison.specs)
    assert comparison.runs is comparison.runs


def test_every_row_names_its_steps_and_its_run(made, monkeypatch):
    handed = []
    monkeypatch.setattr(compared_runs, "keep_measurements", handed.append)
    made.run(jobs=1)
    (rows,) = handed
    assert set(rows["steps"]) == {SETTING.steps}
    assert set(rows["run"]) == {run.folder.name for run in made.runs.values()}
    assert (rows["run"].str.split("_k1_").str[0] == rows["arm"]).all()
    assert not rows.duplicated(["run", "patient"]).any()
    pd.testing.assert_frame_equal(rows.drop(columns="run"), made.scores)


def test_a_run_that_two_comparisons_share_counts_once(tmp_path):
    shared, other = {"run": "a_1", "dice": 0.5}, {"run": "a_2", "dice": 0.5}
    unnamed = {"seed": 0, "dice": 0.5}
    tables = [[shared, unnamed], [shared, other, unnamed]]
    cells = [new_code_cell("", outputs=[new_output("display_data", {MIME: rows})]) for rows in tables]
    nbformat.write(new_notebook(cells=cells), tmp_path / "n.ipynb")
    kept = kept_measurements(tmp_path / "n.ipynb")
    assert kept == [shared, unnamed, other, unnamed], "of rows that name no run nobody knows whether they are one"
