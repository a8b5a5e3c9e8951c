"""The records of an experiment are those that were written together, or they are refused."""

import re

import pytest

from benchmarks import made_up
from riskmap.experiment.findings import Findings
from riskmap.experiment.plans import SMOKE
from riskmap.project.files import read_json, write_json


@pytest.fixture
def folder(tmp_path):
    """The records of the tiny plan, made up."""
    made_up.make_findings(tmp_path / SMOKE.name, SMOKE, patients=3)
    return tmp_path


def runs(change):
    """Return a change of the packed runs."""

    def write(folder):
        records = read_json(folder / "runs.json")
        change(records["runs"])
        write_json(folder / "runs.json", records)

    return write


def set_dice(value):
    """Return a change of the first patient's Dice in the first run."""
    return runs(lambda rows: rows[0]["dice"].__setitem__(0, [value]))


def set_cost(folder):
    """Take the digests out of the cost, as an older version wrote it."""
    write_json(folder / "cost.json", {"runs": 12})


DAMAGES = {
    "a run deleted": (runs(lambda rows: rows.pop()), "runs.json in .* is not what was written with cost.json"),
    "an impossible Dice": (set_dice(7.5), "runs.json in .* is not what was written"),
    "a Dice edited": (set_dice(0.99), "runs.json in .* is not what was written"),
    "a Dice lost": (set_dice(None), "runs.json in .* is not what was written"),
    "rates edited": (lambda f: write_json(f / "rates.json", {}), "rates.json in .* is not what was written"),
    "half of the harm": (lambda f: write_json(f / "harm.json", {"changes": {}}), "harm.json in .* is not what"),
    "no harm": (lambda f: (f / "harm.json").unlink(), "lacks harm.json of the experiment 'smoke'"),
    "no cost": (lambda f: (f / "cost.json").unlink(), "lacks cost.json of the experiment 'smoke'"),
    "cost of an older version": (set_cost, "does not hold the digests of the other records"),
    "a list": (lambda f: write_json(f / "cost.json", []), "does not hold the digests of the other records"),
}


def test_whole_records_are_read(folder):
    assert len(Findings.read("smoke", folder).records) > 10


@pytest.mark.parametrize("name", DAMAGES)
def test_records_that_are_not_whole_are_refused_by_name(name, folder):
    """One run deleted of a thousand turned an "open" into a "surely below", and nobody was told."""
    damage, message = DAMAGES[name]
    damage(folder / SMOKE.name)
    with pytest.raises(ValueError, match=message) as refused:
        Findings.read("smoke", folder)
    assert re.search(r"python -m riskmap experiment --plan smoke --results .* makes them", str(refused.value))


def test_a_folder_without_records_says_how_to_make_them(tmp_path):
    with pytest.raises(
        ValueError, match=r"lacks runs.json, harm.json, rates.json, cost.json of the experiment 'smoke'"
    ):
        Findings.read("smoke", tmp_path)
