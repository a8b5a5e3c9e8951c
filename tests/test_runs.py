"""Runs are made once, go on after a kill, and do not depend on how many run side by side."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from riskmap.data.batches import PatchSampler
from riskmap.data.cohort import Task
from riskmap.training import making, runs
from riskmap.training.arms import get_arm
from riskmap.training.config import NetworkConfig, PatchConfig, TrainingConfig
from riskmap.training.device import choose_device
from riskmap.training.making import choose_patients
from riskmap.training.networks import beside_network
from riskmap.training.prediction import predict_patients
from riskmap.training.runs import ensure_run, ensure_runs, folder_of
from riskmap.training.specs import SourceSpec, TransferSpec
from riskmap.training.target_data import TargetData

SHORT = TrainingConfig(steps=4, patches=PatchConfig(size=16, per_step=4), device="cpu", precision="float32")
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


def test_a_resumed_run_has_the_same_numbers_and_the_time_of_all_parts(made, tiny_cohort, tmp_path, monkeypatch):
    """Two kills, a second for each batch: without the parts before it, the last part alone would be counted."""
    seconds, draw, train = [0.0], PatchSampler.batch, making.train
    kills = [1, 3]

    def batch(sampler, step):
        if kills and step == kills[0]:
            raise KeyboardInterrupt(kills.pop(0))
        seconds[0] += 1.0
        return draw(sampler, step)

    monkeypatch.setattr(PatchSampler, "batch", batch)
    monkeypatch.setattr(time, "perf_counter", lambda: seconds[0])
    monkeypatch.setattr(making, "train", lambda *a, **options: train(*a, **options, checkpoint_every=1))
    spec = specs()[0]
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            ensure_run(spec, tiny_cohort, tmp_path, progress=False)
    resumed = ensure_run(spec, tiny_cohort, tmp_path, progress=False)
    assert not kills
    assert resumed.record["results"] == made[1][0].record["results"]
    assert resumed.record["cost"]["seconds"] == SHORT.steps


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
        ({"shots": 3}, "shots=3, but the cohort's target_train pool holds 2"),
        ({"task": "T9:TC"}, "T9"),
        ({"part": "test"}, "test"),
        ({"training": replace(SHORT, precision="float16")}, "float16"),
    ],
)
def test_impossible_runs_are_named_before_any_work(change, message, tiny_cohort, tmp_path):
    with pytest.raises(ValueError, match=message):
        ensure_runs([replace(specs()[0], **change)], tiny_cohort, tmp_path, jobs=1, progress=False)
    assert not any(tmp_path.iterdir())


def test_runs_of_one_draw_share_the_patients_and_not_the_first_weights(tiny_cohort, tmp_path):
    draw = next(
        draw for draw in range(20) if choose_patients(tiny_cohort, 1, draw) != choose_patients(tiny_cohort, 1, 0)
    )
    wanted = [replace(spec, draw=draw) for spec in specs(arms=("scratch",))]
    first, second = ensure_runs(wanted, tiny_cohort, tmp_path, jobs=1, progress=False)
    trained_on = [run.record["parameters"]["subjects"]["train"] for run in (first, second)]
    assert trained_on[0] == trained_on[1] == list(choose_patients(tiny_cohort, 1, draw))
    assert first.record["results"]["history"]["loss"] != second.record["results"]["history"]["loss"]
    # the seed alone is the draw of that number
    assert folder_of(specs()[0], tiny_cohort, tmp_path) == folder_of(replace(specs()[0], draw=0), tiny_cohort, tmp_path)


def test_a_patient_that_is_left_out_is_scored_and_not_trained_on(tiny_cohort, tmp_path):
    both = choose_patients(tiny_cohort, 2, 0)
    wanted = [replace(specs()[0], shots=2, left_out=index) for index in (0, 1)]
    runs = ensure_runs(wanted, tiny_cohort, tmp_path, jobs=1, progress=False)
    for run, kept, scored in zip(runs, reversed(both), both, strict=True):
        assert run.record["parameters"]["subjects"] == {"train": [kept], "scored": [scored]}
        assert set(run.predictions()) == {scored}
    for shots, left_out in ((2, 2), (2, -1), (1, 0)):
        with pytest.raises(ValueError, match=f"left_out={left_out} must be one of two or more patients"):
            replace(specs()[0], shots=shots, left_out=left_out)


@pytest.mark.parametrize("name", ["own_error_sampled", "scratch_sampled", "scratch_hardness"])
def test_what_an_arm_looks_at_is_made_first(name, tiny_cohort, tmp_path):
    arm = get_arm(name)
    run = ensure_run(replace(specs()[0], arm=arm), tiny_cohort, tmp_path, progress=False)
    made = {record.parent.name.split("_k1_")[0] for record in tmp_path.glob("transfer/*/*/record.json")}
    assert made == {name, *arm.looks_at} - {"source"}
    assert len(list(tmp_path.glob("source/*/record.json"))) == 1
    assert run.record["parameters"]["starts"] == arm.starts
    assert ("flair-wt" if arm.needs_source else "scratch") in run.folder.parent.name


def test_a_network_beside_the_source_leaves_it_as_it_was(tiny_cohort, tmp_path):
    spec = replace(specs()[0], arm=get_arm("beside_source"))
    run = ensure_run(spec, tiny_cohort, tmp_path, progress=False)
    source, network = ensure_run(SOURCE, tiny_cohort, tmp_path, progress=False).network(), run.network()
    # weights and running means alike
    for name, values in source.body.state_dict().items():
        assert torch.equal(network.source.state_dict()[name], values)
    first = beside_network(source, 2, SOURCE.network, spec.seed)
    assert not first(torch.rand(1, 1, 16, 16)).any()
    assert any(not torch.equal(network.body.state_dict()[name], each) for name, each in first.body.state_dict().items())
    predicted = predict_patients(network, tiny_cohort, tiny_cohort.part("target_test"), Task.parse("T1ce:TC"))
    for patient, classes in run.predictions().items():
        assert (predicted[patient] == classes).mean() > 0.99
    assert network.train().source.training is False


def test_an_arm_looks_at_known_networks_alone():
    with pytest.raises(ValueError, match="looks_at must be of source, scratch, fine_tune, got focal"):
        replace(get_arm("scratch"), looks_at=("focal",))


def test_an_edited_arm_renames_the_runs_that_look_at_its_network(tiny_cohort, tmp_path, monkeypatch):
    spec = replace(specs()[0], arm=get_arm("own_error_sampled"))
    others = [replace(specs()[0], arm=get_arm(name)) for name in ("scratch", "risk_map_focused_sampled")]
    before = [folder_of(each, tiny_cohort, tmp_path) for each in (spec, *others)]
    other_code = replace(get_arm("fine_tune"), recipe=get_arm("focal").recipe)
    monkeypatch.setattr(runs, "get_arm", lambda name: other_code if name == "fine_tune" else get_arm(name))
    after = [folder_of(each, tiny_cohort, tmp_path) for each in (spec, *others)]
    assert after[0] != before[0]
    assert after[1:] == before[1:]
