"""The README and the published figures agree with the records they come from."""

import re

import nbformat
import pytest

from riskmap import publish, report
from riskmap.files import digest_of, read_json
from riskmap.paths import PROJECT_ROOT


@pytest.fixture(scope="module")
def records():
    return read_json(publish.PUBLISHED)


def test_the_readme_shows_what_the_records_say(records):
    text = publish.README.read_text(encoding="utf-8")
    assert publish.replace_section(text, "tutorial-table", report.readme_section(records)) == text, (
        "run: python -m riskmap.publish"
    )


@pytest.mark.parametrize("figure", [publish.FIGURE, publish.HARM_FIGURE], ids=lambda path: path.stem)
def test_the_figures_were_drawn_from_these_records(figure, records):
    assert publish.figure_digest(figure) == digest_of(records), "run: python -m riskmap.publish"


def test_the_published_records_are_honest(records):
    """One cohort that says it is simulated, every arm with the same patients and seeds, not one run left out."""
    assert {record["parameters"]["data"]["simulated"] for record in records} == {True}
    assert len({record["parameters"]["data"]["digest"] for record in records}) == 1
    frame = report.scores(records)
    for shots, rows in frame.groupby("shots"):
        for source in rows["source"].dropna().unique():
            for target in rows.loc[rows["source"] == source, "target"].unique():
                assert report.per_patient(report.of_pair(rows, source, target, shots)).notna().all(axis=None)


def test_the_pages_promise_no_less_time_than_they_took():
    """Each notebook says "at most N minutes on two CPU cores"; the published run says how long it took."""
    for name, seconds in read_json(publish.COST)["seconds"].items():
        cells = nbformat.read(PROJECT_ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
        text = " ".join(" ".join(cell.source for cell in cells).split())
        promised = int(re.search(r"Takes\*\* at most (\d+) minutes? on two CPU cores", text)[1])
        assert seconds <= 60 * promised, f"{name} promises {promised} minutes and took {seconds:.0f} s"
