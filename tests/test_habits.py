"""The chart of habits: what each cell changes, that gaps are paired, and that figure and table show the rows."""

from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest

from riskmap.experiment import habits
from riskmap.experiment.habit_figures import HabitChart
from riskmap.experiment.plan import Pair
from riskmap.measure.statistics import patient_mean
from riskmap.project.files import read_json
from riskmap.training import making
from riskmap.training.config import NetworkConfig, PatchConfig, TrainingConfig, choose_dimensions
from riskmap.training.runs import ensure_run
from riskmap.training.specs import Setting

PAIR = Pair("tiny", "FLAIR:WT", "T1ce:TC")
PAIRS = {"habits": (PAIR,), "pairs": (PAIR,)}


@pytest.fixture
def short(monkeypatch, tiny_cohort):
    """Let every run have a few steps, and good habits two patients: the tiny pool has no more."""
    good = habits.Habits(source_steps=2, steps=3, patients=2)
    monkeypatch.setattr(habits, "GOOD", good)
    monkeypatch.setattr(habits, "BAD", replace(habits.BAD, source_steps=1, steps=2))
    monkeypatch.setattr(habits, "_SEEDS", range(2))
    monkeypatch.setattr(habits, "_PATIENTS", (2, 1))
    network = NetworkConfig(channels=(4, 8))
    short = partial(Setting, network, PatchConfig(size=16, per_step=4), device="cpu", precision="float32")
    monkeypatch.setattr(habits, "Setting", short)
    monkeypatch.setattr(habits, "ensure_cohort", lambda name, data_dir: tiny_cohort.folder)


def test_good_habits_are_the_package_s_recipe():
    training = TrainingConfig()
    assert (habits.GOOD.steps, habits.GOOD.rate) == (training.steps, training.learning_rate)
    assert habits.GOOD.source_steps == Setting.source_steps


def test_each_cell_changes_one_habit_of_the_good_or_of_the_bad_ones():
    found = habits.cells()
    good, bad = asdict(habits.GOOD), asdict(habits.BAD)
    assert {name for name in good if good[name] != bad[name]} == set(habits.NAMES) == set(good)
    for name in habits.NAMES:
        assert asdict(found[f"{name}: bad"]) == {**good, name: bad[name]}
        assert asdict(found[f"all bad but {name}"]) == {**bad, name: good[name]}
    assert (found["all good"], found["all bad"]) == (habits.GOOD, habits.BAD)


def test_a_run_follows_its_habits(tiny_cohort):
    spec = habits.BAD.spec(PAIR, tiny_cohort, "transferred", seed=3)
    assert (spec.arm.name, spec.shots, spec.seed, spec.part) == ("random_head", 1, 3, "target_val")
    assert (spec.training.steps, spec.training.learning_rate) == (habits.BAD.steps, habits.BAD.rate)
    assert spec.source.training.steps == habits.BAD.source_steps
    # a whole slice of 48 x 56 pixels
    assert spec.training.patches.size == 56
    assert habits.BAD.spec(PAIR, tiny_cohort, "scratch", 3).arm.name == "scratch"
    assert habits.GOOD.spec(PAIR, tiny_cohort, "scratch", 3).training.patches == PatchConfig()


def test_volumes_keep_their_cubes(tiny_cohort):
    of_slices, of_volumes = (Setting(*choose_dimensions(dims)) for dims in (2, 3))
    assert habits.whole_slices(of_volumes, tiny_cohort) == of_volumes
    deep = Setting(*choose_dimensions(2, (4, 8, 16, 32, 64)))
    assert habits.whole_slices(deep, tiny_cohort).patches.size == 64
    assert habits.whole_slices(of_slices, tiny_cohort).patches.foreground == of_slices.patches.foreground


def test_a_gap_is_paired_by_patient_and_nothing_is_made_twice(short, tiny_cohort, tmp_path, monkeypatch):
    rows = habits.measure(PAIRS, tmp_path, tmp_path, jobs=2)
    cells = habits.cells()
    assert [row["cell"] for row in rows] == ["2 patients", "1 patient", *cells]
    assert {row["patients"] for row in rows} == {len(tiny_cohort.part("target_val"))}
    row = rows[2 + list(cells).index("head: bad")]
    means = {}
    for arm in ("scratch", "transferred"):
        specs = [cells["head: bad"].spec(PAIR, tiny_cohort, arm, seed) for seed in range(2)]
        runs = [ensure_run(spec, tiny_cohort, tmp_path, progress=False).record["results"]["patients"] for spec in specs]
        means[arm] = np.mean([[np.mean(run[patient]["dice"]) for patient in sorted(run)] for run in runs], axis=0)
    gap = patient_mean(100 * (means["scratch"] - means["transferred"]))
    np.testing.assert_allclose(row["gap"], [gap.mean, gap.low, gap.high], atol=0.006, equal_nan=True)
    monkeypatch.setattr(making, "train", lambda *_, **__: pytest.fail("trained again"))
    np.testing.assert_equal(habits.measure(PAIRS, tmp_path, tmp_path, jobs=1), rows)


def row_of(cell, gap, question="habits", cohort="dev"):
    row = {"question": question, "cohort": cohort, "source": "A:WT", "target": "B:WT", "cell": cell, "gap": gap}
    habit = asdict(habits.cells().get(cell, habits.GOOD))
    return {**row, "scratch": 0.5, "transferred": 0.4, "source_dice": 0.9, "patients": 16, "seeds": 4, "habits": habit}


def test_rows_of_another_cohort_stay(tmp_path):
    path = tmp_path / "habits.json"
    habits.keep([row_of("all good", [1, 0, 2]), row_of("gone", [1, 0, 2])], path)
    habits.keep([row_of("all good", [3, 2, 4], cohort="lgg_dev")], path)
    habits.keep([row_of("all good", [5, 4, 6])], path)
    assert [(row["cohort"], row["gap"][0]) for row in read_json(path)["rows"]] == [("lgg_dev", 3), ("dev", 5)]


def test_the_figure_shows_each_gap_and_the_table_each_pair():
    cells = list(habits.cells())
    rows = [row_of(cell, [place, place - 1, place + 2]) for place, cell in enumerate(cells)]
    rows += [row_of(cell, [-place, -place - 1, 0], cohort="lgg_dev") for place, cell in enumerate(cells)]
    rows[3] = {**rows[3], "scratch": 0.05}
    figure = HabitChart(rows).draw()
    simulated, real = figure.axes
    names = [label.get_text() for label in simulated.get_yticklabels()]
    assert names[:2] + names[-1:] == ["all good", "random head", "all bad but patients"]
    assert (simulated.get_title(), real.get_title()) == ("A:WT → B:WT, simulated", "A:WT → B:WT, real gliomas")
    for ax, sign in ((simulated, 1), (real, -1)):
        means = np.array([container.lines[0].get_xdata() for container in ax.containers])
        # each cell is drawn in one of the four series
        assert np.isfinite(means).sum(axis=0).tolist() == [1] * len(cells)
        np.testing.assert_array_equal(np.nanmax(means, axis=0), sign * np.arange(len(cells)))
    # all good, one bad, many bad, and nothing learned
    kinds = np.isfinite([container.lines[0].get_xdata() for container in simulated.containers]).sum(axis=1)
    assert kinds.tolist() == [1, 7, 7, 1]
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "even scratch is below 0.1 Dice"
    rows = [row_of("3 patients", [1, 0.5, 2], "pairs"), row_of("1 patient", [-1, -2, 0.5], "pairs")]
    chart = HabitChart(rows)
    table = chart.pairs().frame
    assert [chart.hurting("pairs", row["cell"]) for row in rows] == ["1 of 1", "0 of 1"]
    assert table["gap: 1 patient"].tolist() == ["-1.0 [-2.0, +0.5]"]
    assert table["source's own Dice"].tolist() == ["0.90"]


def test_costs_are_counted_from_the_good_habits():
    changed = {"head: bad": (0.5, 0.42), "rate: bad": (0.45, 0.42)}
    rows = [row_of(cell, [0, 0, 0]) for cell in habits.cells()]
    for row in rows:
        row["scratch"], row["transferred"] = changed.get(row["cell"], (0.5, 0.4))
    table = HabitChart(rows).costs().frame.set_index("bad")
    assert table.loc["low rate"].tolist() == ["0 of 1", "-5.0, +2.0"]
    # the head has nothing to do with scratch
    assert table.loc["random head"].tolist() == ["0 of 1", "–, +2.0"]
    assert len(table) == 1 + len([cell for cell in habits.cells() if not cell.startswith("all")])


def test_the_section_says_on_whom_and_on_how_many_pairs():
    rows = [row_of(cell, [2, 1, 3] if cell == "body frozen" else [0, -1, 1]) for cell in habits.cells()]
    text = HabitChart([*rows, row_of("3 patients", [0, -1, 1], "pairs")]).section()
    assert text.startswith("Validation patients of development cohorts, 16 (simulated). 4 seeds")
    assert "with good habits on 0 of 1 with 3 patients." in text
    assert "| body frozen | 1 of 1 |" in text


def test_the_published_chart_is_whole():
    """Every cell of the plan is there, on development cohorts, with the habits that the package has."""
    rows = read_json(habits.RECORDS)["rows"]
    wanted = [
        (cell.question, *(getattr(cell.pair, name) for name in ("cohort", "source", "target")), cell.title)
        for pairs in (habits.SIMULATED, habits.REAL)
        for cell in habits.cells_of(pairs)
    ]
    names = ("question", "cohort", "source", "target", "cell")
    assert sorted(tuple(row[name] for name in names) for row in rows) == sorted(wanted)
    by_cell = {row["cell"]: row["habits"] for row in rows if row["question"] == "habits"}
    assert by_cell == {cell: asdict(chosen) for cell, chosen in habits.cells().items()}
    assert {row["cohort"] for row in rows} == {"fets2021_dev", "iseg2019_dev", "lgg_dev"}
