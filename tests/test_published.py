"""The README and the published figures agree with the records they come from."""

import re

import nbformat
import pytest

from riskmap.experiment import score_tables
from riskmap.experiment.findings import Findings
from riskmap.project.files import digest_of, read_json
from riskmap.project.paths import PROJECT_ROOT
from riskmap.rerun import publish


@pytest.fixture(scope="module")
def records():
    return read_json(publish.PUBLISHED)


@pytest.fixture(scope="module")
def found():
    return Findings()


def test_the_readme_shows_what_the_records_say(records, found):
    text = publish.README.read_text(encoding="utf-8")
    assert publish.readme_text(text, records, found) == text, "run: python -m riskmap publish"


@pytest.mark.parametrize("figure", [publish.FIGURE, publish.HARM_FIGURE], ids=lambda path: path.stem)
def test_the_figures_were_drawn_from_these_records(figure, records):
    assert publish.figure_digest(figure) == digest_of(records), "run: python -m riskmap publish"


@pytest.mark.parametrize("figure", [publish.REPAIRS_FIGURE, publish.TWINS_FIGURE], ids=lambda path: path.stem)
def test_the_figures_of_the_experiment_were_drawn_from_its_records(figure, found):
    assert publish.figure_digest(figure) == digest_of(found.digest), "run: python -m riskmap publish"


def test_the_experiment_that_is_published_is_the_one_that_is_planned(found):
    """Every run of the plan is there, on simulated cohorts that say so, with its arm's rate and no test patient in
    training; none of its cohorts served a choice."""
    published = [run["parameters"] for run in read_json(found.folder / "runs.json")["runs"]]
    wanted = {cell for block in found.plan.blocks for cell in block}
    cells = {
        (pair, p["arm"], p["shots"], p["seed"])
        for p in published
        for pair in {pair for pair, *_ in wanted}
        if (p["data"]["cohort"], p["task"]) == (pair.cohort, pair.target)
        and p.get("source", {}).get("task", pair.source) == pair.source
    }
    assert wanted <= cells
    assert all(p["data"]["simulated"] for p in published)
    assert all(set(p["subjects"]["train"]).isdisjoint(p["subjects"]["scored"]) for p in published)
    for arm, row in found.rates.items():
        assert row["mean"][f"{row['chosen']:g}"] == max(row["mean"].values()), arm


def test_the_main_table_has_enough_patients_and_seeds(found):
    for pair in found.plan.pairs:
        rows = found.rows(pair, found.plan.main.arms)
        assert rows["patient"].nunique() >= 12, pair.title
        assert rows["seed"].nunique() >= 5, pair.title


def test_the_records_stay_small():
    """A clone should not carry more than a few megabytes of results."""
    assert sum(path.stat().st_size for path in publish.RESULTS.rglob("*.json")) < 3e6


def test_the_published_records_are_honest(records):
    """One cohort that says it is simulated, every arm with the same patients and seeds, not one run left out."""
    assert {record["parameters"]["data"]["simulated"] for record in records} == {True}
    assert len({record["parameters"]["data"]["digest"] for record in records}) == 1
    frame = score_tables.scores(records)
    for shots, rows in frame.groupby("shots"):
        for source in rows["source"].dropna().unique():
            for target in rows.loc[rows["source"] == source, "target"].unique():
                assert (
                    score_tables.per_patient(score_tables.of_pair(rows, source, target, shots)).notna().all(axis=None)
                )


def test_the_pages_promise_no_less_time_than_they_took():
    """Each notebook says "at most N minutes on two CPU cores"; the published run says how long it took."""
    for name, seconds in read_json(publish.COST)["seconds"].items():
        cells = nbformat.read(PROJECT_ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
        text = " ".join(" ".join(cell.source for cell in cells).split())
        promised = int(re.search(r"Takes\*\* at most (\d+) minutes? on two CPU cores", text)[1])
        assert seconds <= 60 * promised, f"{name} promises {promised} minutes and took {seconds:.0f} s"


def test_a_table_of_real_patients_does_not_call_them_simulated(records):
    scores = score_tables.scores(records)
    assert score_tables.describe_sample(scores).endswith("simulated cohort")
    assert score_tables.describe_sample(scores.assign(simulated=False)).endswith("real patients")
