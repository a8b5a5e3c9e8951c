"""Runs are made once, go on after a kill, and do not depend on how many run side by side."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from riskmap.experiment import score_tables
from riskmap.experiment.figures import draw_summary
from riskmap.project.files import digest_of, read_json, write_json
from riskmap.rerun import publish
from riskmap.training import making
from riskmap.training.arms import get_arm
from riskmap.training.config import NetworkConfig, SourceSpec, TrainingConfig, TransferSpec
from riskmap.training.device import choose_device
from riskmap.training.making import choose_patients
from riskmap.training.prediction import predict_patients
from riskmap.training.runs import ensure_run, ensure_runs
from riskmap.training.target_data import TargetData

SHORT = TrainingConfig(steps=4, batch_size=4, validations=1, device="cpu", precision="float32")
SOURCE = SourceSpec("FLAIR:WT", 0, SHORT, NetworkConfig(channels=(4, 8)))


def specs(arms=("scratch", "fine_tune", "risk_map_paper"), seeds=(0, 1), source=SOURCE):
    return [TransferSpec(source, "T1ce:TC", get_arm(arm), 1, seed, SHORT) for seed in seeds for arm in arms]


@pytest.fixture(scope="module")
def made(tiny_cohort, tmp_path_factory):
    out_dir = tmp_path_factory.mktemp("runs")
    return out_dir, ensure_runs(specs(), tiny_cohort, out_dir, jobs=2, progress=False)


def test_records_hold_what_is_needed_to_repeat_them(made, tiny_cohort):
    for run, spec in zip(made[1], specs(), strict=True):
        parameters = run.record["parameters"]
        assert (parameters["arm"], parameters["seed"], parameters["task"]) == (spec.arm.name, spec.seed, "T1ce:TC")
        assert parameters["data"]["digest"] == tiny_cohort.digest
        assert parameters["data"]["simulated"] is True
        assert set(run.record["results"]["patients"]) == set(tiny_cohort.part("target_test"))
        assert set(run.predictions()) == set(tiny_cohort.part("target_test"))
        assert not (run.folder / "checkpoint.pt").exists()


def test_finished_runs_are_read_and_not_repeated(made, tiny_cohort, monkeypatch):
    out_dir, first = made
    monkeypatch.setattr(making, "train", lambda *_, **__: pytest.fail("trained again"))
    again = ensure_runs(specs(), tiny_cohort, out_dir, jobs=1, progress=False)
    assert [run.record for run in again] == [run.record for run in first]


def test_numbers_do_not_depend_on_the_number_of_jobs(made, tiny_cohort, tmp_path):
    alone = ensure_runs(specs(), tiny_cohort, tmp_path, jobs=1, progress=False)
    for one, two in zip(alone, made[1], strict=True):
        assert one.record["results"] == two.record["results"]


def test_a_run_that_lost_its_record_is_made_again(made, tiny_cohort, tmp_path):
    run = ensure_runs(specs()[:1], tiny_cohort, tmp_path, jobs=1, progress=False)[0]
    (run.folder / "record.json").unlink()
    again = ensure_runs(specs()[:1], tiny_cohort, tmp_path, jobs=1, progress=False)[0]
    assert again.record["results"] == run.record["results"]


def test_scratch_is_one_run_for_all_sources(made, tiny_cohort, monkeypatch):
    out_dir, first = made
    monkeypatch.setattr(making, "train", lambda *_, **__: pytest.fail("trained again"))
    other = specs(arms=("scratch",), source=SourceSpec("T1:WT", 0, SHORT, SOURCE.network))
    found = ensure_runs(other, tiny_cohort, out_dir, jobs=1, progress=False)
    assert [run.folder for run in found] == [
        run.folder for run in first if run.record["parameters"]["arm"] == "scratch"
    ]


def test_two_that_need_one_source_train_it_once(tiny_cohort, tmp_path, monkeypatch):
    """As two tasks of a sweep do, each in a process of its own; threads stand for them here."""
    started = []

    def slow_train(*arguments, **options):
        started.append(options["checkpoint"])
        time.sleep(0.5)
        return train(*arguments, **options)

    train = making.train
    monkeypatch.setattr(making, "train", slow_train)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: ensure_run(SOURCE, tiny_cohort, tmp_path, progress=False), range(2))
    assert len(started) == 1
    assert first.folder == second.folder


def test_the_network_of_a_run_gives_its_predictions_again(made, tiny_cohort):
    run = made[1][1]
    subject = tiny_cohort.part("target_test")[0]
    again = predict_patients(run.network(), tiny_cohort, [subject], Task.parse("T1ce:TC"), "float32")
    assert np.array_equal(again[subject], run.predictions()[subject])


def test_an_arm_looks_at_its_source_where_it_trains(tiny_cohort, tmp_path, monkeypatch):
    """On a GPU that is there, which the record then names: a volume's softmax is slow on one thread."""
    look, seen = TargetData.probabilities_of, []

    def probabilities_of(data, network):
        seen.append(next(network.parameters()).device.type)
        return look(data, network)

    monkeypatch.setattr(TargetData, "probabilities_of", probabilities_of)
    device, training = choose_device().type, replace(SHORT, device="auto")
    spec = TransferSpec(replace(SOURCE, training=training), "T1ce:TC", get_arm("risk_map_paper"), 1, 0, training)
    run = ensure_run(spec, tiny_cohort, tmp_path, progress=False)
    assert set(seen) == {device}
    assert (run.record["environment"]["gpu"] is None) == (device != "cuda")
    assert bool(run.record["cost"]["peak_gpu_memory_mb"]) == (device == "cuda")


def test_sources_are_scored_on_their_validation_patients(made, tiny_cohort):
    run = ensure_run(SOURCE, tiny_cohort, made[0], progress=False)
    assert set(run.record["results"]["patients"]) == set(tiny_cohort.part("source_val"))


def test_fewer_patients_are_a_subset_and_too_many_are_named(tiny_cohort):
    pool = tiny_cohort.part("target_train")
    assert set(choose_patients(tiny_cohort, len(pool), 3)) == set(pool)
    assert choose_patients(tiny_cohort, 1, 3) == choose_patients(tiny_cohort, len(pool), 3)[:1]
    with pytest.raises(
        ValueError, match=f"shots={len(pool) + 1}, but the cohort's target_train pool holds {len(pool)}"
    ):
        choose_patients(tiny_cohort, len(pool) + 1, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shots": 0}, "shots=0"),
        ({"arm": "magic"}, "arm='magic'"),
        ({"task": "T9:TC"}, "T9"),
        ({"part": "test"}, "test"),
    ],
)
def test_impossible_runs_are_named_before_any_work(change, message, tiny_cohort, tmp_path):
    with pytest.raises(ValueError, match=message):
        ensure_runs([replace(specs()[0], **change)], tiny_cohort, tmp_path, jobs=1, progress=False)
    assert not any(tmp_path.iterdir())


def test_tables_pair_patients_and_average_seeds_first(made):
    frame = score_tables.scores(run.record for run in made[1])
    dice = score_tables.per_patient(frame)
    rows = frame.loc[(frame["arm"] == "scratch") & (frame["patient"] == dice.index[0])]
    assert len(rows) == 2
    assert dice["scratch"].iloc[0] == pytest.approx(rows["dice"].mean())
    table = score_tables.result_table(frame, ["scratch", "fine_tune", "risk_map_paper"])
    assert table["arm"].tolist() == ["From scratch", "Fine-tuning", "Risk map, reconstruction of the paper"]
    gap = 100 * (dice["scratch"] - dice["fine_tune"]).mean()
    assert table["gap: scratch − arm"][1].startswith(f"{gap:+.1f} [")
    with pytest.raises(ValueError, match="must share patients and seeds"):
        score_tables.per_patient(frame.iloc[1:])


def test_publishing_writes_small_records_and_the_figure_that_names_them(made, tiny_cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "MAIN_SHOTS", 1)
    monkeypatch.setattr(publish, "HARM_FIGURE", tmp_path / "harm.png")
    publish.publish(made[0], tiny_cohort, tmp_path / "published.json")
    records = read_json(tmp_path / "published.json")
    assert len(records) == len(made[1])
    assert not any("history" in record["results"] for record in records)
    assert publish.figure_digest(tmp_path / "harm.png") == digest_of(records)
    section = score_tables.readme_section(records)
    assert "**FLAIR:WT → T1ce:TC** (2 test patients (0 without the target label), 2 seeds, 1 target" in section
    assert "simulated cohort" in section
    figure = draw_summary(score_tables.scores(records))
    assert figure.axes[0].get_title().startswith("FLAIR:WT → T1ce:TC")


def test_answers_and_the_table_of_shots(made):
    frame = score_tables.scores(run.record for run in made[1])
    estimate = score_tables.compare(frame, "scratch", "fine_tune")
    answer = score_tables.answer(frame, "scratch", "fine_tune", "Harm?")
    assert answer == f"- Harm? {estimate.text(digits=1, signed=True)} Dice points: **{estimate.verdict()}**."
    assert len(score_tables.answers(frame).splitlines()) == 3, "only what the arms that are there can answer"
    assert score_tables.answers(frame).splitlines()[0].startswith("- Is there negative transfer")
    both = pd.concat([frame, frame.assign(shots=2)])
    table = score_tables.shots_table(both, ["scratch", "fine_tune"])
    assert table["k"].tolist() == [1, 1, 2, 2]
    assert table.iloc[0, 1:].tolist() == table.iloc[2, 1:].tolist()


def test_publishing_the_cost_of_pages(tmp_path):
    write_json(tmp_path / "00_a.ipynb.json", {"duration_seconds": 12.5})
    publish.publish_cost(tmp_path, tmp_path / "cost.json")
    assert read_json(tmp_path / "cost.json")["seconds"] == {"00_a": 12.5}
    write_json(tmp_path / "later" / "01_b.ipynb.json", {"duration_seconds": 3.0})
    publish.publish_cost(tmp_path / "later", tmp_path / "cost.json")
    assert read_json(tmp_path / "cost.json")["seconds"] == {"00_a": 12.5, "01_b": 3.0}
    write_json(tmp_path / "cost.json", {**read_json(tmp_path / "cost.json"), "processor": "another"})
    publish.publish_cost(tmp_path / "later", tmp_path / "cost.json")
    assert read_json(tmp_path / "cost.json")["seconds"] == {"01_b": 3.0}, "times of another machine are not mixed in"
    with pytest.raises(ValueError, match="no executed notebook"):
        publish.publish_cost(tmp_path / "empty", tmp_path / "cost.json")


def test_publishing_nothing_is_an_error(tiny_cohort, tmp_path):
    with pytest.raises(ValueError, match="holds no transfer run"):
        publish.publish(tmp_path, tiny_cohort, tmp_path / "published.json")
    assert not (tmp_path / "published.json").exists()


def test_a_section_of_a_page_is_replaced_and_missing_markers_are_named():
    text = "a\n<!-- t -->\nold\n<!-- /t -->\nb"
    assert publish.replace_section(text, "t", "new | \\1") == "a\n<!-- t -->\nnew | \\1\n<!-- /t -->\nb"
    assert publish.replace_section("<!-- t -->\n<!-- /t -->", "t", "new") == "<!-- t -->\nnew\n<!-- /t -->"
    with pytest.raises(ValueError, match="exactly once"):
        publish.replace_section("a", "t", "new")
