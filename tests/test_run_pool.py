"""Many runs made in one pool: what waits for what, one bar, workers that are kept, and none where none are needed."""

import re

import joblib
import psutil
import pytest

from riskmap.pages.compared_runs import ComparedRuns
from riskmap.project.workers import end_workers
from riskmap.training import making, runs
from riskmap.training.config import NetworkConfig
from riskmap.training.runs import ensure_all
from riskmap.training.specs import Setting

SETTING = Setting(NetworkConfig(channels=(4, 8)), steps=1, source_steps=2, device="cpu", precision="float32")
ARMS = ["fine_tune", "risk_map_paper", "scratch"]


@pytest.fixture
def compared(tiny_cohort, tmp_path):
    """Two comparisons of two pairs, of which nothing is there."""
    options = {"shots": 1, "setting": SETTING, "out_dir": tmp_path / "runs"}
    return [ComparedRuns(tiny_cohort, source, "T1ce:TC", ARMS, **options) for source in ("FLAIR:WT", "T2:WT")]


@pytest.fixture
def workers():
    """What gives the processes of the pool, which begins without any."""
    end_workers()
    yield lambda: {child.pid for child in psutil.Process().children() if "LokyProcess" in " ".join(child.cmdline())}
    end_workers()


def test_what_others_need_comes_first_and_nobody_waits_while_there_is_other_work(compared, monkeypatch):
    """Two workers take what they are given next; the second source network takes them longest."""
    wanted = [pair for each in compared for pair in each.wanted]
    out_dir = compared[0].out_dir
    missing = runs.missing_runs([*runs.prerequisites(wanted), *wanted], out_dir)
    calls = [runs._call(*pair, out_dir, 1) for pair in sorted(missing, key=runs._turn)]
    there = set()
    monkeypatch.setattr(runs, "_finished", lambda folder: True if folder in there else None)
    turns, given = runs._in_turn(calls), []

    def take() -> tuple[str, bool]:
        _, (spec, *_, folder), _ = next(turns)
        given.append(folder)
        return getattr(spec, "arm", None) and spec.arm.name, isinstance(spec, runs.SourceSpec)

    assert [take()[1] for _ in range(2)] == [True, True]
    slow = given[1]
    there.add(given[0])
    rest = []
    while len(given) < len(missing):
        rest.append(take()[0])
        there.add(given[-1])
    assert rest[:2] == ["scratch", "scratch"], "one of each seed"
    # those of the source network that is there, then, since nothing else is left, those that wait for the slow one
    of_slow = [call.needs == (slow,) for folder in given[4:] for call in calls if call.delayed[1][-1] == folder]
    assert of_slow == [False] * 4 + [True] * 4


def test_one_bar_counts_what_is_needed_first_and_all_runs(compared, capsys):
    wanted = [pair for each in compared for pair in each.wanted]
    found = ensure_all(wanted, compared[0].out_dir, jobs=1)
    assert len(found) == 12
    told = capsys.readouterr().out
    # two source networks, two runs from scratch, and two arms of two pairs and two seeds
    assert re.findall(r"(\w+):\s+100%.* (\d+)/(\d+) ", told) == [("runs", "12", "12")]


def test_workers_are_kept_for_the_next_comparison(compared, workers):
    """As on page 3; each start costs seconds of imports."""
    compared[0].run(jobs=2)
    first = workers()
    compared[1].run(jobs=2)
    assert len(first) == 2
    assert workers() == first


def test_where_every_run_is_there_no_worker_is_started(compared, workers, monkeypatch):
    compared[0].run(jobs=1)
    monkeypatch.setattr(making, "train", lambda *_, **__: pytest.fail("trained again"))
    monkeypatch.setattr(joblib, "Parallel", lambda *_, **__: pytest.fail("asked for workers"))
    again = ComparedRuns(compared[0].cohort, "FLAIR:WT", "T1ce:TC", ARMS, shots=1, setting=SETTING,
                         out_dir=compared[0].out_dir)  # fmt: skip
    again.run(jobs=2)
    assert workers() == set()
    assert len(again.runs) == 6
