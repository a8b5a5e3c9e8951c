"""What is published: the README and its figures agree with their records, and no run that was not compared."""

import re
from dataclasses import replace

import nbformat
import pytest

from riskmap.experiment import figures, score_tables
from riskmap.experiment.figures import draw_summary
from riskmap.experiment.findings import Findings
from riskmap.experiment.habit_figures import HabitChart
from riskmap.pages.comparison import Comparison
from riskmap.project.files import digest_of, read_json, write_json
from riskmap.project.paths import PROJECT_ROOT
from riskmap.rerun import classroom, publish
from riskmap.training.config import NetworkConfig
from riskmap.training.runs import ensure_runs
from riskmap.training.specs import Setting


@pytest.fixture(scope="module")
def records():
    return read_json(publish.TUTORIAL_RECORDS)


@pytest.fixture(scope="module", params=["simulated", "real"])
def found(request):
    return Findings.read(request.param)


@pytest.fixture(scope="module")
def texts():
    return publish.published_texts()


@pytest.mark.parametrize("document", publish.PLACES, ids=lambda path: path.relative_to(PROJECT_ROOT).as_posix())
def test_documents_show_what_the_records_say(document, texts):
    assert texts[document] == document.read_text(encoding="utf-8"), "run: python -m riskmap publish"


def test_every_generated_section_of_a_document_is_published():
    """A section with markers that nobody fills would grow old unseen."""
    for document in [publish.README, *sorted(publish.DOCS.rglob("*.md"))]:
        marked = re.findall(r"^<!-- /([a-z-]+) -->$", document.read_text(encoding="utf-8"), re.MULTILINE)
        assert sorted(marked) == sorted(publish.PLACES.get(document, ())), document


@pytest.mark.parametrize("figure", [publish.FIGURE, publish.HARM_FIGURE], ids=lambda path: path.stem)
def test_the_figures_were_drawn_from_these_records(figure, records):
    assert publish.figure_digest(figure) == digest_of(records), "run: python -m riskmap publish"


def test_the_figure_of_the_experiments_was_drawn_from_their_records():
    digests = [Findings.read(name).digest for name in ("real", "simulated")]
    assert publish.figure_digest(publish.REPAIRS_FIGURE) == digest_of(digests), "run: python -m riskmap publish"


def test_the_chart_of_habits_was_drawn_from_its_records():
    assert publish.figure_digest(publish.HABITS_FIGURE) == digest_of(HabitChart.read().rows), "run: riskmap publish"


def test_the_experiment_that_is_published_is_the_one_that_is_planned(found):
    """Every run of the plan is there and no other, with its arm's rate and no test patient in training."""
    published = [run["parameters"] for run in found.records]
    cells = {
        (
            p["data"]["cohort"],
            p["task"],
            *(p[name] for name in ("arm", "shots", "seed", "draw", "left_out")),
            *((p["source"]["task"], p["source"]["training"]["steps"]) if "source" in p else (None, None)),
            *(p["training"][name] for name in ("steps", "learning_rate")),
        )
        for p in published
    }
    rates = {arm: row["chosen"] for arm, row in found.rates.items()}
    wanted = set()
    for pair, spec in found.plan.published_specs(rates):
        source = (spec.source.task, spec.source.training.steps) if spec.arm.needs_source else (None, None)
        of_run = (spec.arm.name, spec.shots, spec.seed, spec.draw, spec.left_out)
        wanted.add((pair.cohort, spec.task, *of_run, *source, spec.training.steps, spec.training.learning_rate))
    assert cells == wanted
    assert {p["data"]["simulated"] for p in published} == {found.plan.name == "simulated"}
    assert all(set(p["subjects"]["train"]).isdisjoint(p["subjects"]["scored"]) for p in published)
    for arm, row in found.rates.items():
        assert row["mean"][f"{row['chosen']:g}"] == max(row["mean"].values()), arm


def test_the_main_table_has_enough_patients_and_draws(found):
    least = {"lgg": 30, "lgg_sites": 16}
    for pair in found.plan.pairs:
        rows = found.rows(pair, found.plan.main.arms)
        assert rows["patient"].nunique() >= least.get(pair.cohort, 12), pair.title
        assert rows["draw"].nunique() >= 5, pair.title


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
                    score_tables.per_patient(score_tables.rows_of_pair(rows, source, target, shots))
                    .notna()
                    .all(axis=None)
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


SETTING = Setting(NetworkConfig(channels=(4, 8)), steps=2, source_steps=2, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def compared(tiny_cohort, tmp_path_factory):
    """A comparison, and beside its runs others of other steps, another rate, another seed and more patients."""
    arms, out_dir = ["scratch", "fine_tune", "risk_map_paper"], tmp_path_factory.mktemp("runs")
    options = {"shots": 1, "setting": SETTING, "out_dir": out_dir}
    comparison = Comparison(tiny_cohort, "FLAIR:WT", "T1ce:TC", arms, **options)
    comparison.run(jobs=1)
    spec = comparison.specs["scratch", 1, 0]
    others = [
        replace(spec, training=replace(spec.training, **change)) for change in ({"steps": 1}, {"learning_rate": 1e-3})
    ]
    ensure_runs([*others, replace(spec, seed=2), replace(spec, shots=2)], tiny_cohort, out_dir, jobs=1, progress=False)
    return comparison


def test_publishing_writes_the_runs_of_a_comparison_and_no_others(compared, tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "HARM_FIGURE", tmp_path / "harm.png")
    publish.publish([compared], tmp_path / "published.json")
    records = read_json(tmp_path / "published.json")
    assert len(list(compared.out_dir.glob("transfer/*/*/record.json"))) == len(compared.specs) + 4
    wanted = {cell: run.record["finished"] for cell, run in compared.runs.items()}
    cells = {
        (p["arm"], p["shots"], p["seed"]): record["finished"] for record in records for p in [record["parameters"]]
    }
    assert cells == wanted
    assert len(records) == len(wanted)
    assert {record["parameters"]["training"]["steps"] for record in records} == {SETTING.steps}
    assert not any("history" in record["results"] for record in records)
    assert publish.figure_digest(tmp_path / "harm.png") == digest_of(records)


def test_the_section_and_the_figure_say_whose_numbers_they_are(compared, monkeypatch):
    for module in (score_tables, figures):
        monkeypatch.setattr(module, "MAIN_SHOTS", 1)
    section = score_tables.readme_section([run.record for run in compared.runs.values()])
    assert "**FLAIR:WT → T1ce:TC** (2 test patients (0 without the target label), 2 seeds, 1 target" in section
    assert "simulated cohort" in section
    figure = draw_summary(compared.scores)
    assert figure.axes[0].get_title().startswith("FLAIR:WT → T1ce:TC")


def test_publishing_a_comparison_that_was_not_run_is_an_error(tiny_cohort, tmp_path):
    comparison = Comparison(tiny_cohort, "FLAIR:WT", "T1ce:TC", ["scratch"], shots=1, setting=SETTING, out_dir=tmp_path)
    with pytest.raises(ValueError, match="2 of the runs are missing"):
        publish.publish([comparison], tmp_path / "published.json")
    assert not list(tmp_path.iterdir())


def test_publishing_how_long_the_tutorial_took(tmp_path):
    measured, published, cost = (tmp_path / name for name in ("tutorial_time.json", "published.json", "cost.json"))
    pages = {
        "01_b": {"seconds": 9.5, "training": 60.0, "jobs": 1},
        "00_a": {"seconds": 12.5, "training": 100.0, "jobs": 2},
    }
    record = {"profile": "teach", "seconds": 300.0, "jobs": 2, "pages": pages, "processor": "some", "cores": 4}
    write_json(measured, record)
    publish.publish_time(measured, published, cost)
    assert read_json(published) == record
    alone = {"00_a": 62.5, "01_b": 69.5}
    assert read_json(cost) == {"seconds": alone, "processor": "some", "cores": 4}, "with the runs that it would make"
    write_json(measured, {**record, "profile": "smoke", "seconds": 1.0})
    with pytest.raises(ValueError, match="is of the profile smoke; what is published is of teach"):
        publish.publish_time(measured, published, cost)
    assert read_json(published) == record


def test_a_section_of_a_page_is_replaced_and_missing_markers_are_named():
    text = "a\n<!-- t -->\nold\n<!-- /t -->\nb"
    assert publish.replace_section(text, "t", "new | \\1") == "a\n<!-- t -->\nnew | \\1\n<!-- /t -->\nb"
    assert publish.replace_section("<!-- t -->\n<!-- /t -->", "t", "new") == "<!-- t -->\nnew\n<!-- /t -->"
    with pytest.raises(ValueError, match="exactly once"):
        publish.replace_section("a", "t", "new")


def test_what_was_not_measured_is_not_published(tmp_path):
    write_json(tmp_path / "hub.json", {"rows": []})
    with pytest.raises(ValueError, match=r"bundle was not measured: python -m riskmap bench bundle"):
        classroom.collect(tmp_path, tmp_path / "results")
    assert not (tmp_path / "results").exists()
    write_json(tmp_path / "bundle.json", {"rows": [1]})
    classroom.collect(tmp_path, tmp_path / "results")
    assert read_json(tmp_path / "results" / "bundle.json") == {"rows": [1]}
