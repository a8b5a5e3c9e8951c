"""How long the tutorial takes: the steps that are timed, and what they mean for another machine."""

import pytest
import torch

from data_scripts.archives.layout import BRAIN_BOX
from riskmap.data.simulated import DEFAULT_COHORTS
from riskmap.project.files import write_json
from riskmap.rerun import duration
from riskmap.training.config import NetworkConfig
from riskmap.training.specs import Setting

RECORD = {"seconds": 600.0, "jobs": 2, "cores": 2, "ten_steps_ms": 800.0, "device": "cpu", "processor": "some CPU"}
HERE = {"ten_steps_ms": 400.0, "device": "cpu", "precision": "float32"}


@pytest.mark.parametrize(
    ("milliseconds", "cores", "seconds"),
    [
        (800.0, 2, 600.0),
        (400.0, 2, 300.0),  # twice as fast
        (800.0, 1, 1200.0),  # two things at a time no longer fit
        (800.0, 16, 600.0),  # and are no more than two here
    ],
)
def test_the_estimate_follows_the_speed_and_the_cores_at_work(milliseconds, cores, seconds):
    assert duration.estimate(RECORD, milliseconds, cores) == seconds


def test_what_is_said_comes_from_the_record_and_is_nothing_without_one():
    told = duration.describe(HERE, RECORD, 2)
    assert "Ten training steps: 400 ms (float32, one thread, cpu)" in told
    assert "about 5 min on 2 cores, from 10.0 min on 2 of some CPU, where these steps took 800 ms" in told
    for record in (None, {**RECORD, "device": "cuda"}):
        assert "min" not in duration.describe(HERE, record, 2)


def test_ten_steps_are_timed_on_one_thread_and_leave_the_threads_as_they_were(monkeypatch):
    small, seen = Setting(NetworkConfig(channels=(4, 8)), steps=duration.STEPS), []
    monkeypatch.setattr(duration, "Setting", lambda steps: small)
    train = duration.train

    def watched(network, *arguments):
        seen.append((torch.get_num_threads(), arguments[-1].steps))
        return train(network, *arguments)

    monkeypatch.setattr(duration, "train", watched)
    before = torch.get_num_threads()
    speed = duration.time_steps()
    assert seen == [(1, 10)] * 4, "a warm-up and three times"
    assert torch.get_num_threads() == before
    assert speed["ten_steps_ms"] > 0
    assert speed["device"] == small.training.resolved().device


def test_the_pictures_are_as_large_as_the_slices_of_the_tutorial():
    spacing = DEFAULT_COHORTS["fets2021_simulated"].spacing
    pixels = (BRAIN_BOX[0] / spacing) * (BRAIN_BOX[1] / spacing)
    assert pytest.approx(pixels, rel=0.02) == duration._SIDE**2


def test_the_command_reads_the_published_record(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(duration, "time_steps", lambda: HERE)
    monkeypatch.setattr(duration, "PUBLISHED", tmp_path / "time.json")
    assert duration.main() == 0
    assert "min" not in capsys.readouterr().out
    write_json(tmp_path / "time.json", RECORD)
    assert duration.main() == 0
    assert "The tutorial: about" in capsys.readouterr().out
