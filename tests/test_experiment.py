"""The experiment: what its plan makes, that nothing is made twice, and that its tables say what its records say."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from riskmap.data.cohort import Cohort
from riskmap.experiment import families, figures, tables
from riskmap.experiment import run as experiment_module
from riskmap.experiment.changes import Changes
from riskmap.experiment.count_harm import (
    CHURN,
    harm_cases,
    harm_tables,
    mean_over_seeds,
    table_from_json,
    table_to_json,
)
from riskmap.experiment.findings import Findings
from riskmap.experiment.plan import Block, Case, Pair, rate_owner
from riskmap.experiment.plans import REAL, SIMULATED, SMOKE
from riskmap.experiment.run import Experiment, compact, cost, main, rates_of
from riskmap.experiment.selection import SELECTIONS
from riskmap.experiment.shown import NOTHING
from riskmap.measure.harm import compare_patients
from riskmap.measure.statistics import holm, patient_mean, wilcoxon
from riskmap.project.files import read_json, write_json
from riskmap.training import making, runs
from riskmap.training.arms import ARMS
from riskmap.training.runs import Run

# two pairs share a target, and with it their runs from scratch
PAIRS = tuple(
    Pair("tiny", *tasks) for tasks in (("FLAIR:WT", "T1ce:TC"), ("T1:WT", "FLAIR:REGIONS"), ("T2:WT", "T1ce:TC"))
)
PLAN = replace(
    SMOKE,
    name="tried",
    main=replace(SMOKE.main, pairs=PAIRS),
    further=replace(SMOKE.further, pairs=PAIRS[:1]),
    few_shots=tuple(replace(block, pairs=PAIRS[:1]) for block in SMOKE.few_shots),
    hard_cases=tuple(replace(block, pairs=PAIRS[:1]) for block in SMOKE.hard_cases),
    left_out=tuple(replace(block, pairs=PAIRS[:1]) for block in SMOKE.left_out),
    elsewhere=tuple(replace(block, pairs=PAIRS[:1]) for block in SMOKE.elsewhere),
    rate_search=replace(SMOKE.rate_search, pairs=PAIRS[:1]),
)


@pytest.fixture(scope="module")
def done(tiny_cohort, tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    experiment = Experiment(PLAN, folder / "data", folder / "runs", folder / "results")
    described = experiment.describe()
    assert described.startswith("cohorts that you prepare first: tiny (")
    assert described.endswith("which runs are missing shows only then")
    shutil.copytree(tiny_cohort.folder, folder / "data" / "prepared" / "tiny")
    assert "missing 0" not in experiment.describe()
    experiment.run()
    return experiment


@pytest.fixture(scope="module")
def found(done):
    return Findings(PLAN, done.results_dir)


def test_every_cell_of_the_plan_is_published_once_with_the_rate_of_its_arm(found):
    published = [run["parameters"] for run in found.records]
    cells = [
        (
            p["source"]["task"] if "source" in p else None,
            p["task"],
            *(p[name] for name in ("arm", "shots", "seed", "draw", "left_out")),
            p["source"]["training"]["steps"] if "source" in p else None,
            *(p["training"][name] for name in ("steps", "learning_rate")),
        )
        for p in published
    ]
    chosen = {arm: row["chosen"] for arm, row in found.rates.items()}
    assert set(chosen) == set(PLAN.rate_search.arms)
    with_rates = [(cell, chosen[ARMS[cell[1]].control_of or cell[1]]) for block in PLAN.blocks for cell in block]
    wanted = set()
    for (pair, arm, shots, seed, draw, left_out, source_steps, training), rate in with_rates:
        steps = source_steps or PLAN.source_training.steps
        rate = training.learning_rate if training else rate
        source, steps = (pair.source, steps) if ARMS[arm].needs_source else (None, None)
        of_run = (training or PLAN.transfer_training).steps
        wanted.add((source, pair.target, arm, shots, seed, draw, left_out, steps, of_run, rate))
    assert len(cells) == len(wanted)
    assert set(cells) == wanted
    assert {p["part"] for p in published} == {"target_test"}


def test_learning_rates_are_chosen_on_validation_patients(done, tiny_cohort):
    for spec, cohort in done.development():
        record = runs.ensure_run(spec, cohort, done.out_dir, progress=False).record
        assert set(record["parameters"]["subjects"]["scored"]) == set(tiny_cohort.part("target_val"))


def test_nothing_is_made_twice_and_a_lost_run_is_made_again(done, monkeypatch):
    before = {path.name: path.read_text() for path in done.results_dir.iterdir()}
    assert done.describe().count("missing 0") == 3
    with monkeypatch.context() as patch:
        patch.setattr(making, "train", lambda *_, **__: pytest.fail("trained again"))
        done.run()
    assert {path.name: path.read_text() for path in done.results_dir.iterdir()} == before
    rates = {arm: row["chosen"] for arm, row in read_json(done.results_dir / "rates.json").items()}
    spec, cohort = done.published(rates)[-1][1]
    place = runs.folder_of(spec, cohort, done.out_dir)
    record = read_json(place / "record.json")
    (place / "record.json").unlink()
    assert "published runs" in done.describe()
    assert done.describe().endswith("missing 1")
    done.make_runs(rates)
    assert read_json(place / "record.json")["results"] == record["results"]


def record_of(arm, rate, dice, target="T1ce:TC"):
    parameters = {
        "task": target,
        "arm": arm,
        "shots": 1,
        "seed": 0,
        "draw": 0,
        "training": {"steps": 4, "learning_rate": rate},
    }
    parameters["data"] = {"cohort": "c", "simulated": True}
    return {"parameters": parameters, "results": {"patients": {"p": {"dice": [dice], "empty": [False]}}}}


def test_the_rate_with_the_best_mean_over_pairs_is_chosen():
    records = [record_of("fine_tune", 0.1, 0.5), record_of("fine_tune", 0.2, 0.6)]
    records += [record_of("fine_tune", 0.1, 0.9, "T1:WT"), record_of("fine_tune", 0.2, 0.7, "T1:WT")]
    row = rates_of(records)["fine_tune"]
    assert row["chosen"] == 0.1
    assert row["mean"] == {"0.1": 0.7, "0.2": 0.65}
    assert row["pairs"]["c T1:WT"] == {"0.1": 0.9, "0.2": 0.7}


def test_cost_counts_a_run_that_two_steps_share_once(done):
    spec, cohort = done.development()[0]
    run = runs.ensure_run(spec, cohort, done.out_dir, progress=False)
    assert cost([run, run], 2)["runs"] == 1
    assert cost([run], 2)["seconds"] == round(run.record["cost"]["seconds"])
    spent = read_json(done.results_dir / "cost.json")
    assert spent["runs"] == len(list(done.out_dir.glob("**/record.json")))


def test_records_of_two_machines_are_not_published_as_one(done):
    spec, cohort = done.development()[0]
    record = runs.ensure_run(spec, cohort, done.out_dir, progress=False).record
    other = {**record, "environment": {**record["environment"], "processor": "another"}}
    with pytest.raises(ValueError, match="different environments"):
        compact([record, other])


def test_an_interrupt_says_how_to_go_on(monkeypatch, capsys, tmp_path):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "run", interrupt)
    assert main(["--plan", "smoke", "--results", str(tmp_path)]) == 130
    assert "goes on where it stopped" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--jobs", "0"])


def test_a_dry_run_makes_nothing(capsys, tmp_path):
    """It simulated every cohort of the plan to say that all runs are missing."""
    folders = [f"--{name}={tmp_path / name}" for name in ("data", "out", "results")]
    assert main(["--dry-run", *folders]) == 0
    assert "cohorts that are made first: fets2021_dev" in capsys.readouterr().out
    assert main(["--dry-run", "--plan", "real", *folders]) == 0
    shown = capsys.readouterr().out
    assert "cohorts that you prepare first: lgg_dev, lgg, " in shown
    assert "(real patients: python -m data_scripts.prepare_real --archives FOLDER)" in shown
    assert list(tmp_path.iterdir()) == []


def test_a_missing_cohort_is_told_before_the_first_run(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment_module, "ensure_all", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(ValueError, match="no cohort 'lgg_dev'"):
        Experiment(REAL, tmp_path, tmp_path, tmp_path).run()


def test_the_command_says_what_it_cost(monkeypatch, capsys, done):
    monkeypatch.setattr(Experiment, "run", lambda self: None)
    monkeypatch.setitem(experiment_module.PLANS, "smoke", PLAN)
    assert main(["--plan", "smoke", "--results", str(done.results_dir.parent)]) == 0
    assert f"{read_json(done.results_dir / 'cost.json')['runs']} runs took" in capsys.readouterr().out


def test_differences_pair_patients_after_averaging_seeds(done, found):
    rates = {arm: row["chosen"] for arm, row in found.rates.items()}
    by_hand = {}
    for pair, (spec, cohort) in done.published(rates):
        is_chosen = spec.training.learning_rate == rates.get(spec.arm.name) and spec.left_out is None
        is_chosen &= spec.source.training == PLAN.source_training
        if pair == PAIRS[0] and spec.shots == 1 and spec.arm.name in ("scratch", "fine_tune") and is_chosen:
            record = runs.ensure_run(spec, cohort, done.out_dir, progress=False).record
            for patient, score in record["results"]["patients"].items():
                by_hand.setdefault((patient, spec.arm.name), []).append(np.mean(score["dice"]))
    assert {len(values) for values in by_hand.values()} == {2}
    difference = found.difference(PAIRS[0], "scratch", "fine_tune")
    for patient, value in difference.items():
        expected = 100 * (np.mean(by_hand[patient, "scratch"]) - np.mean(by_hand[patient, "fine_tune"]))
        assert value == pytest.approx(expected, abs=1e-2)
    assert found.gaps[PAIRS[0]] == patient_mean(difference)


def test_a_mean_over_pairs_counts_each_pair_alike(found):
    each = [found.difference(pair, "class_balanced", "fine_tune").mean() for pair in PAIRS]
    assert found.over_pairs(PAIRS, "class_balanced", "fine_tune").mean == pytest.approx(np.mean(each))
    assert [table.shape for table in found.by_cohort(PAIRS, "class_balanced", "fine_tune")] == [(2, len(PAIRS))]


def test_poor_sources_and_patients_left_out_stay_out_of_the_main_table(found):
    main = found.rows(PAIRS[0], ("scratch", "fine_tune"))
    hard, _, hurried = PLAN.hard_cases
    poor = found.rows(PAIRS[0], ("scratch", "fine_tune"), hard.case)
    for part, steps in ((main, PLAN.source_training.steps), (poor, hard.source_steps)):
        assert set(part["source_steps"].dropna()) == {steps}
        assert not part.duplicated(["arm", "patient", "draw", "seed"]).any()
        assert part["left_out"].isna().all()
    tuned = [part.loc[part["arm"] == "fine_tune", "dice"].tolist() for part in (main, poor)]
    assert tuned[0] != tuned[1]
    assert set(main["steps"]) == {PLAN.transfer_training.steps}
    short = found.rows(PAIRS[0], ("scratch", "fine_tune"), hurried.case)
    assert set(zip(short["steps"], short["rate"], strict=True)) == {(2, hurried.training.learning_rate)}


@pytest.mark.parametrize("name", SELECTIONS)
def test_a_selection_is_one_of_its_arms_in_each_draw_and_seed(name, found):
    # patients are left out of two, and with the first seed alone
    shots, seeds = (2, {0}) if name == "select_left_out" else (1, {0, 1})
    rows = found.rows(PAIRS[0], (name, *SELECTIONS[name].arms), Case(shots))
    assert set(rows["seed"]) == seeds
    keys = ["draw", "seed", "patient"]
    chosen = rows.loc[rows["arm"] == name].set_index(keys)
    assert chosen["chosen"].isin(SELECTIONS[name].arms).all()
    for key, row in chosen.iterrows():
        same = rows.loc[(rows["arm"] == row["chosen"]) & (rows[keys] == list(key)).all(axis=1)]
        assert same["dice"].tolist() == [row["dice"]]
    gain = found.difference(PAIRS[0], name, "scratch", Case(shots))
    assert len(gain) == rows["patient"].nunique()


def test_an_arm_that_was_not_run_is_named(found):
    with pytest.raises(ValueError, match="no run of l2_sp for T1:WT → FLAIR:REGIONS with 1 target"):
        found.difference(PAIRS[1], "l2_sp", "fine_tune")


def test_tables_hold_every_pair_and_arm(found):
    titles = [pair.title for pair in PAIRS]
    table = tables.pair_table(found)
    assert table["pair"].tolist() == titles
    assert table["gap [95 %]"][0] == tables.points(found.gaps[PAIRS[0]])
    arms = tables.arm_table(found).set_index("arm")
    assert arms.index.tolist() == [tables.short_title(arm) for arm in PLAN.main.remedies]
    assert arms.loc["class-balanced", "over its shuffled twin"] == "–"
    mean = found.over_pairs(PAIRS, "risk_map_paper", "risk_map_paper_shuffled")
    assert arms.loc["reconstruction", "over its shuffled twin"] == tables.points(mean)
    twins = tables.twin_table(found)
    assert twins["pair"].tolist() == titles
    twin = patient_mean(found.difference(PAIRS[1], "risk_map_centred", "risk_map_centred_shuffled"))
    assert twins["centred h"][1] == tables.points(twin)
    assert tables.control_table(found)["arm"].tolist() == [ARMS[arm].title for arm in PLAN.further.arms]
    assert tables.shots_gains(found)["k"].tolist() == [2]
    assert tables.rate_choices(found)["chosen"].isin(["0.002", "0.006"]).all()
    assert tables.harm_table(found)["of"].tolist()[: len(titles)] == titles
    assert tables.pointing_table(found)["pair"].tolist() == titles


def test_the_table_of_hard_cases_holds_plain_transfer_and_each_remedy(found):
    table = tables.case_table(found)
    blocks = PLAN.hard_cases
    assert [case for case in table["case"] if case] == [block.title for block in blocks]
    plain = [f"plain: {tables.short_title(block.plain)}" for block in blocks]
    first = table.index[table["case"] != ""]
    assert table.loc[first, "arm"].tolist() == ["From scratch"] * len(blocks)
    assert table.loc[first, "over scratch"].tolist() == [NOTHING] * len(blocks)
    assert table.loc[first + 1, "arm"].tolist() == plain
    assert len(table) == sum(2 + len(block.remedies) for block in blocks)
    scratch = (found.dice(pair, ("scratch",), blocks[0].case)["scratch"].mean() for pair in blocks[0].pairs)
    assert table["Dice, pair by pair"][0] == ", ".join(f"{dice:.2f}" for dice in scratch)
    over = found.over_pairs(blocks[0].pairs, "fine_tune", "scratch", blocks[0].case)
    assert table["over scratch"][1].startswith(tables.points(over) + ", p ")
    repaired = found.over_pairs(blocks[1].pairs, "class_balanced_slow_body", "discriminative_rate", blocks[1].case)
    row = table.iloc[table["case"].tolist().index(blocks[1].title) + 2]
    assert row["arm"] == "slow body, class-balanced"
    assert row["over plain transfer"].startswith(tables.points(repaired))


def test_each_selection_is_held_against_scratch_and_its_worst_pair_is_shown(found):
    table = tables.selection_table(found).set_index("chosen")
    assert table.index.tolist() == [selection.title for selection in SELECTIONS.values()]
    gains = [patient_mean(found.difference(pair, "select", "scratch")) for pair in PAIRS]
    worst = min(gains, key=lambda gain: gain.mean)
    assert table.loc[SELECTIONS["select"].title, "worst pair, over scratch"] == tables.points(worst)
    assert "validation" not in table.loc[SELECTIONS["select_left_out"].title, "costs"]


def test_p_values_are_adjusted_within_their_family(found):
    gains = families.remedies(found)
    raw = {arm: wilcoxon(found.each_patient(PAIRS, arm, "fine_tune")) for arm in PLAN.main.remedies}
    assert {arm: gain.p for arm, gain in gains.items()} == holm(raw)
    assert set(families.places(found)) == set(PLAN.maps)
    assert len(families.selections(found)) == 2 * len(SELECTIONS)
    hard = families.hard_cases(found)
    assert [name[1:] for name in hard][:2] == [("scratch", "fine_tune"), ("class_balanced", "fine_tune")]


def test_folds_with_one_patient_each_are_pooled(found):
    (row,) = tables.elsewhere_table(found).itertuples()
    block = PLAN.elsewhere[0]
    assert row.scored == str(len(found.difference(PAIRS[0], "scratch", "fine_tune", block.case)))
    twice = found.pooled([PAIRS[0], PAIRS[2]], "scratch", "fine_tune")
    each = [found.difference(pair, "scratch", "fine_tune") for pair in (PAIRS[0], PAIRS[2])]
    assert twice == patient_mean(pd.concat(each))


def test_bands_of_distance_show_what_was_counted(found):
    table = tables.band_table(found, PAIRS[0])
    bands = found.harm["bands"]
    chosen = bands.loc[(bands["source"] == "FLAIR:WT") & (bands["arm"] == "fine_tune")]
    assert table["distance to the boundary"].tolist() == chosen["band"].unique().tolist()
    nearest = chosen.loc[chosen["band"] == table["distance to the boundary"][1], "repaired"].mean()
    assert table["repaired"][1] == f"{nearest:.1%}"
    assert table["harmed"][0] == "–", "at 4 mm no pixel is within 2 mm of another label"


def test_without_a_voxel_size_nothing_is_told_in_millimetres(done, found, monkeypatch, tmp_path):
    assert REAL.knows_voxel_size is False
    unknown = replace(PLAN, knows_voxel_size=False)
    assert tables.band_table(Findings(unknown, found.folder), PAIRS[0]).empty
    monkeypatch.setattr(experiment_module, "count_harm", lambda *_: {"changes": {}, "bands": {}})
    Experiment(unknown, done.data_dir, done.out_dir, tmp_path).count_harm([], {})
    assert set(read_json(tmp_path / PLAN.name / "harm.json")) == {"changes"}


def test_only_whole_intervals_below_zero_are_called_setbacks(found):
    for row in tables.setbacks(found).itertuples():
        high = float(row[4].split(", ")[1].rstrip("]"))
        assert high <= 0


def test_harm_is_counted_against_scratch_and_churn_against_the_next_seed(done, found):
    rates = {arm: row["chosen"] for arm, row in found.rates.items()}
    scratch = {
        spec.seed: runs.ensure_run(spec, cohort, done.out_dir, progress=False).predictions()
        for pair, (spec, cohort) in done.published(rates)
        if pair == PAIRS[0] and spec.arm.name == "scratch" and spec.shots == 1
    }
    changes = found.harm["changes"]
    churn = changes.loc[(changes["arm"] == CHURN) & (changes["target"] == "T1ce:TC")]
    assert len(churn) == 4, "two patients of two pairs, averaged over seeds"
    for row in churn.itertuples():
        differ = (scratch[0][row.patient] != scratch[1][row.patient]).any()
        assert (row.harmed + row.repaired > 0) == differ
        # with two seeds, what one harms against the other is what the other repairs
        assert row.harmed == pytest.approx(row.repaired, abs=1e-4)
        assert row.missed == row.found == 0.0, "nothing goes beyond itself"
    assert set(changes["arm"]) == {*PLAN.harm_arms, CHURN}
    assert set(found.harm["pointing"]["event"]) == {"fine_tune", CHURN}


def test_harm_is_counted_at_the_chosen_rates_alone(done, found):
    """The runs at every rate of the grid share arm, shots and seed with those of the main table."""
    rates = {arm: row["chosen"] for arm, row in found.rates.items()}
    made = [
        (pair, runs.ensure_run(spec, cohort, done.out_dir, progress=False))
        for pair, (spec, cohort) in done.published(rates)
    ]
    compared = harm_cases(made, PLAN, rates)
    for each in compared:
        steps = {run.record["parameters"]["training"]["steps"] for run in (*each.runs.values(), each.other_scratch)}
        assert steps == {PLAN.transfer_training.steps}
    assert len(compared) == len(PAIRS) * len(PLAN.main.seeds)
    for each in compared:
        # nothing but first weights and batches parts the two from scratch
        one, two = (run.record["parameters"] for run in (each.runs["scratch"], each.other_scratch))
        assert one["subjects"] == two["subjects"]
        assert one["seed"] != two["seed"]
    used = {
        (arm, run.record["parameters"]["training"]["learning_rate"])
        for each in compared
        for arm, run in each.runs.items()
    }
    assert used == {(arm, rates[arm]) for arm in ("scratch", *PLAN.harm_arms)}


def test_seeds_are_averaged_and_undefined_ones_left_out():
    table = pd.DataFrame(
        {
            "patient": ["a", "a", "b", "b"],
            "seed": [0, 1, 0, 1],
            "auroc": [0.5, 0.7, np.nan, 0.9],
            "pixels": [1, 3, 5, 5],
        }
    )
    mean = mean_over_seeds(table)
    assert mean.to_dict("list") == {"patient": ["a", "b"], "auroc": [0.6, 0.9], "pixels": [2.0, 5.0]}
    none = table_from_json(table_to_json(mean_over_seeds(table.assign(auroc=np.nan))))
    assert none["auroc"].isna().all()


PER_PATIENT = ("changes", "bands", "pointing")


@pytest.fixture
def case(done, found):
    """The runs of the first pair and seed whose harm is counted."""
    rates = {arm: row["chosen"] for arm, row in found.rates.items()}
    made = [
        (pair, runs.ensure_run(spec, cohort, done.out_dir, progress=False))
        for pair, (spec, cohort) in done.published(rates)
        if pair == PAIRS[0]
    ]
    return harm_cases(made, PLAN, rates)[0]


def without_foreground(patient, patch):
    """Let a patient have no foreground, in the truth and in every prediction."""
    labels, predictions = Cohort.labels, Run.predictions

    def blanked(run):
        return {name: volume * (name != patient) for name, volume in predictions(run).items()}

    patch.setattr(Cohort, "labels", lambda self, name, target: labels(self, name, target) * np.uint8(name != patient))
    patch.setattr(Run, "predictions", blanked)


def test_a_patient_without_foreground_takes_no_part_in_the_harm(done, found, case, tmp_path, monkeypatch):
    cohort = done.cohort("tiny")
    empty, other = cohort.part("target_test")
    before = harm_tables(case, cohort, done.out_dir)
    with monkeypatch.context() as patch:
        without_foreground(empty, patch)
        after = harm_tables(case, cohort, done.out_dir)
    for name in PER_PATIENT:
        one, two = (part[name].loc[part[name]["patient"] == other] for part in (before, after))
        pd.testing.assert_frame_equal(one.reset_index(drop=True), two.reset_index(drop=True))
    rows = {name: after[name].loc[after[name]["patient"] == empty] for name in PER_PATIENT}
    assert rows["changes"][["harmed", "repaired", "missed", "cleared"]].isna().all(axis=None)
    assert (rows["bands"]["pixels"] == 0).all()
    assert rows["pointing"]["auroc"].isna().all()
    counted = {name: table_to_json(mean_over_seeds(table)) for name, table in after.items()}
    write_json(tmp_path / "harm.json", counted)
    write_json(tmp_path / "rates.json", found.rates)
    alone = Findings(replace(PLAN, main=replace(PLAN.main, pairs=PAIRS[:1])), tmp_path)
    row = tables.harm_table(alone).iloc[0]
    changes = before["changes"].set_index(["arm", "patient"])
    assert row["missed"] == f"{100 * changes.loc[('fine_tune', other), 'missed']:+.1f} [–]"
    assert tables.band_table(alone, PAIRS[0])["harmed"].iloc[1] != "–"
    assert tables.pointing_table(alone)["pair"].tolist() == [PAIRS[0].title]


def test_changes_count_the_patients_that_have_a_region():
    truth = {"a": np.ones((2, 2, 1), dtype=np.uint8), "empty": np.zeros((2, 2, 1), dtype=np.uint8)}
    wrong = {**truth, "a": np.array([[[0], [1]], [[1], [1]]], dtype=np.uint8)}
    by_title = {"wrong": compare_patients(truth, truth, wrong), "right": compare_patients(truth, truth, truth)}
    changes = Changes(None, None, 0, truth, by_title)
    nothing = {"false alarms": 0.0, "found": 0.0, "cleared": 0.0}
    assert changes.table().T.to_dict() == {
        "wrong": {"missed": 0.25, **nothing, "patients": 1},
        "right": {"missed": 0.0, **nothing, "patients": 1},
    }
    assert changes.worst() == ("a", 0)
    nobody = {"nobody": compare_patients({"empty": truth["empty"]}, truth, truth)}
    table = Changes(None, None, 0, truth, nobody).table()
    assert table["patients"].tolist() == [0]
    assert table["missed"].isna().all()


def test_figures_show_every_pair_and_series(found):
    gaps = figures.draw_gaps(found)
    cells = [text.get_text() for text in gaps.axes[0].texts]
    assert len(cells) == len(PAIRS), "a cell without a run holds no number"
    assert f"{found.gaps[PAIRS[0]].mean:+.1f}" in cells
    for figure, series in ((figures.draw_repairs(found), 5), (figures.draw_twins(found), 3)):
        ax = figure.axes[0]
        assert [label.get_text() for label in ax.get_yticklabels()] == [pair.title for pair in PAIRS]
        assert len(ax.get_legend().get_texts()) == len(ax.containers) == series
    pointing = figures.draw_pointing(found, PAIRS[0]).axes[0]
    assert "hardness" in [label.get_text() for label in pointing.get_yticklabels()]


@pytest.mark.parametrize("plan", [SIMULATED, REAL], ids=lambda plan: plan.name)
def test_a_published_plan_is_fair(plan):
    """Development cohorts are none of the published ones, and the main table has its draws, controls and twins."""
    published = {pair.cohort for block in plan.blocks for pair in block.pairs}
    assert published.isdisjoint({pair.cohort for pair in plan.rate_search.pairs} | {"fets2021_simulated"})
    assert len(plan.main.draws) >= 5
    seeds = {*plan.main.seeds, *plan.churn.seeds}
    assert len(seeds) == 2, "the second first weight gives the churn"
    assert plan.main.arms[:3] == ("scratch", "fine_tune", "class_balanced")
    assert set(plan.main.arms[3:]) == {arm for each in plan.maps for arm in (each, f"{each}_shuffled")}
    owners = {rate_owner(arm) for block in plan.blocks for arm in block.arms}
    assert owners <= set(plan.rate_search.arms)


def test_a_block_with_an_unknown_arm_is_refused():
    with pytest.raises(ValueError, match="unknown arm 'magic'"):
        Block(PAIRS, ("magic",), (1,), (0,))
