"""The teacher's kit: its plan adds up, what it names is there, and what it counts comes from the records."""

import math
import re
import tomllib
from copy import deepcopy
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure

from riskmap import __main__ as front_door
from riskmap.experiment.brief import Brief
from riskmap.experiment.findings import Findings
from riskmap.project.files import digest_of, read_json
from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT
from riskmap.rerun import kit, publish, slides

PLANS = {"90 minutes": 90, "Half a day": 240}
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in kit.kit_files()}
SLIDES = (slides.SOURCE / "index.md").read_text(encoding="utf-8")
# what stands for the generated texts where only the slides themselves are asked about
STUBS = {name: f"What is called {name}." for name in re.findall(r"\{\{ (\w+) \}\}", SLIDES)}
EXERCISES = NOTEBOOKS / "exercises"


@pytest.fixture(scope="module")
def found():
    return Findings.read("simulated"), Findings.read("real")


def headings(text):
    return re.findall(r"^#+ (.+)$", text, re.MULTILINE)


def plan_rows(title):
    """Return (from, minutes, what, where) of each block of a plan, in minutes."""
    section = re.split(r"^## ", TEXTS["plan.md"], flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{title}\n")]
    rows = re.findall(r"^\| (\d):(\d\d) \| (\d+) \| (.+?) \| (.*?) ?\|$", text, re.MULTILINE)
    return [(60 * int(hours) + int(start), int(minutes), what, where) for hours, start, minutes, what, where in rows]


def test_what_is_generated_of_the_kit_is_what_the_records_say(found):
    texts = kit.kit_texts(Brief(*found), read_json(publish.TIME), read_json(publish.COST))
    assert set(STUBS) <= {name.replace("-", "_") for name in texts}
    for name, text in TEXTS.items():
        assert kit.filled(text, texts) == text, f"{name}: run python -m riskmap publish"


@pytest.mark.parametrize("title", PLANS)
def test_the_minutes_of_a_plan_add_up(title):
    rows = plan_rows(title)
    starts = np.cumsum([0, *(minutes for _, minutes, *_ in rows)])
    assert [start for start, *_ in rows] == starts[:-1].tolist()
    assert starts[-1] == PLANS[title]


def test_half_a_day_has_breaks_and_nobody_sits_for_two_hours():
    rows = plan_rows("Half a day")
    breaks = [start for start, _, what, _ in rows if "Break" in what]
    assert len(breaks) == 2
    assert np.diff([0, *breaks, PLANS["Half a day"]]).max() <= 100


@pytest.mark.parametrize("title", PLANS)
def test_a_plan_goes_from_page_0_to_page_5(title):
    pages = [int(page) for *_, where in plan_rows(title) for page in re.findall(r"\[page (\d)\]", where)]
    assert pages == list(range(6))


def test_each_slide_that_the_plan_names_is_there_and_none_is_forgotten():
    named = set(re.findall(r"“([^”]+)”", TEXTS["plan.md"])) - {"…"}
    assert named <= set(headings(SLIDES))
    # where a block shows several, the first and the last are named
    assert {"When transfer hurts", "The twin: is it the map?", "What to do on Monday"} <= named


@pytest.mark.parametrize("name", [*TEXTS, "slides"])
def test_each_command_that_the_kit_names_is_there(name):
    text = TEXTS.get(name, SLIDES)
    targets = set(re.findall(r"python -m riskmap ([a-z][a-z-]*)", text)) | set(re.findall(r"`make ([a-z-]+)", text))
    for target in targets:
        assert front_door.parse_arguments([target])[0] == target
    for number in re.findall(r"riskmap run (\d\d)", text):
        assert list(NOTEBOOKS.glob(f"{number}_*.ipynb")), number


@pytest.mark.parametrize("name", [*TEXTS, "slides"])
def test_each_page_of_exercises_that_the_kit_names_is_there(name):
    named = re.findall(r"[Ee]xercises of pages? (\d)(?: and (\d))?", TEXTS.get(name, SLIDES))
    for number in {number for numbers in named for number in numbers if number}:
        assert list(EXERCISES.glob(f"0{number}_*.ipynb")), f"page {number}"


@pytest.mark.parametrize("name", TEXTS)
def test_the_links_of_the_kit_hold(name):
    text = TEXTS[name]
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        assert not path or (kit.KIT / path).is_file(), target
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings(text)}
        assert not anchor or anchor in anchors, target


def test_the_exam_has_twelve_questions_with_answers_and_the_points_that_it_says():
    text = TEXTS["exam.md"]
    questions = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [int(question.split(".")[0]) for question in questions] == list(range(1, 13))
    assert all(question.count("<details><summary>Answer</summary>\n\n") == 1 for question in questions)
    points = [int(re.search(r"\((\d+) points\)", question)[1]) for question in questions]
    assert points == sorted(points)
    assert sum(points) == int(re.search(r"(\d+) points in all", text)[1])
    for question, whole in zip(questions, points, strict=True):
        answer = question.partition("<details>")[2]
        # "(2)", or "(2 each, ...)" for two parts
        given = sum(map(int, re.findall(r"\((\d)\)", answer))) + 2 * sum(map(int, re.findall(r"\((\d) each", answer)))
        assert given == whole, question.splitlines()[0]


def test_the_numbers_of_the_exam_are_right():
    text = TEXTS["exam.md"]
    truth, found, overlap = np.array([200, 20]), np.array([200, 20]), np.array([180, 2])
    by_patient = 2 * overlap / (truth + found)
    assert f"= {by_patient[0]:.2f} and 2 · 2 / 40 = {by_patient[1]:.2f}, in the mean {by_patient.mean():.2f}" in text
    assert f"= {2 * overlap.sum() / (truth + found).sum():.3f} (1)" in text
    expected = 0.6 * 0.9 + 0.2 * 0.1
    assert f"= {expected:.2f} (2)" in text
    assert f"= {-math.log(expected):.3f} nats" in text
    assert f"= {-math.log(1 - expected):.3f} nats" in text
    assert f"{-math.log(0.1):.3f} nats and {-math.log(0.9):.3f} nats" in text


def test_there_are_enough_questions_and_they_are_numbered():
    numbers = [int(number) for number in re.findall(r"^### (\d+)\. .+\?", TEXTS["questions.md"], re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 15
    assert len(re.findall(r"^\| (\d+) \|", TEXTS["feedback.md"], re.MULTILINE)) == 10


def test_page_5_tells_in_short_what_the_kit_tells(found):
    brief = Brief(*found)
    lines = brief.found().text.splitlines()
    names = ("counts", "hurt", "pointing", "maps-verdict", "twins-verdict", "choice")
    assert len(lines) == len(names)
    for place, (line, name) in enumerate(zip(lines, names, strict=True), start=1):
        assert line.startswith(f"{place}. **")
        assert line.endswith(brief.texts()[name])


def test_a_changed_record_changes_what_the_kit_says(found):
    """Ten Dice points more for each fine-tuned network are ten points more in the sentence, and more pairs are sure."""
    simulated, real = found
    changed = Findings.read("simulated")
    records = deepcopy(simulated.records)
    for record in records:
        if record["parameters"]["arm"] == "fine_tune":
            for patient in record["results"]["patients"].values():
                patient["dice"] = [dice + 0.1 for dice in patient["dice"]]
    changed.__dict__["records"] = records
    before, after = Brief(simulated, real), Brief(changed, real)
    old, new = (float(re.search(r"([+-]\d+\.\d) \[", each.transfer())[1]) for each in (before, after))
    assert new == pytest.approx(old + 10, abs=0.11)
    assert after.counts() != before.counts()
    assert after.runs() == before.runs()


def test_a_changed_time_changes_the_table_of_times():
    time, cost = read_json(publish.TIME), read_json(publish.COST)
    time["pages"]["02_risk_map"]["seconds"] = 3000.0
    assert "| 2 · risk map | 50.0 min |" in kit.times(time, cost)


def test_the_eight_pixels_are_those_of_page_2():
    page = (NOTEBOOKS / "02_risk_map.ipynb").read_text(encoding="utf-8")
    assert f"[{', '.join(map(str, kit.OF_TUMOUR))}]" in page
    assert f"[{', '.join(map(str, kit.IS_CORE))}]" in page
    theta = np.array(kit.OF_TUMOUR)
    theta, y = np.stack([1 - theta, theta], 1), np.array(kit.IS_CORE)
    joint = np.stack([theta[y == label].sum(0) for label in (0, 1)])
    hardness = -np.log((theta @ (joint / joint.sum(0)).T)[np.arange(8), y])
    rows = kit.eight_pixels().splitlines()[2:]
    assert [row.split(" | ")[-1].strip(" |") for row in rows] == [f"{h:.3f}" for h in hardness]
    assert f"{-hardness.mean():.4f}" in kit.eight_pixels_leep()


def test_markers_without_a_text_or_without_an_end_are_named():
    assert kit.filled("a\n<!-- t -->\nold\n<!-- /t -->\n", {"t": "\\1"}) == "a\n<!-- t -->\n\\1\n<!-- /t -->\n"
    with pytest.raises(ValueError, match="nothing is called t; there are a, b"):
        kit.filled("<!-- t -->\n<!-- /t -->", {"a": "", "b": ""})
    with pytest.raises(ValueError, match="<!-- t --> stands alone"):
        kit.filled("<!-- t -->\nold", {"t": ""})


def test_publishing_the_kit_fills_every_file(tmp_path):
    (tmp_path / "one.md").write_text("# One\n<!-- t -->\n<!-- /t -->\n")
    kit.publish_kit({"t": "new"}, tmp_path)
    assert (tmp_path / "one.md").read_text() == "# One\n<!-- t -->\nnew\n<!-- /t -->\n"


@pytest.mark.parametrize("name", ["NEAR_FIGURE", "MAP_FIGURE", "TWIN_FIGURE"])
def test_the_pictures_of_the_slides_belong_to_the_published_run(name):
    figure = getattr(publish, name)
    assert publish.figure_digest(figure) == digest_of(read_json(publish.TUTORIAL_RECORDS)), "run: riskmap publish"


class Page(HTMLParser):
    """What the slides' page holds: slides with their notes, pictures, and what is loaded."""

    def __init__(self, text):
        super().__init__()
        self.pictures, self.loaded, self.notes, self.titles = [], [], 0, 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.pictures += [given.get("alt", "")] if tag == "img" else []
        self.loaded += [given[name] for name in ("src", "href") if name in given and tag != "a"]
        self.notes += tag == "aside"
        self.titles += tag in ("h1", "h2")


def stub_figures():
    return {name: Figure(figsize=(2, 1)) for name in ("transfer", "maps")}


def test_the_slides_are_whole_and_load_nothing_from_elsewhere(tmp_path):
    page = slides.build_slides(STUBS, stub_figures(), tmp_path)
    text = page.read_text(encoding="utf-8")
    parsed = Page(text)
    assert parsed.titles == parsed.notes == len(headings(SLIDES)), "each slide has its notes"
    assert all(len(alt) > 60 for alt in parsed.pictures)
    assert len(parsed.pictures) == SLIDES.count("![")
    assert not [address for address in parsed.loaded if "//" in address]
    assert all((tmp_path / address.partition("?")[0]).is_file() for address in parsed.loaded)
    assert "<math" in text
    assert all(stub in text for stub in STUBS.values())


def test_the_figures_of_the_slides_show_what_was_found(found):
    drawn = slides.figures_of(*found)
    axes = [ax for figure in drawn.values() for ax in figure.axes]
    pairs = [len(each.plan.pairs) for each in found]
    assert [len(ax.get_yticklabels()) for ax in axes[:2]] == pairs
    # mean and interval of the first pair, as page 5 has them with the other sign
    gap = next(iter(found[0].gaps.values()))
    assert axes[0].containers[0].lines[0].get_xdata()[0] == pytest.approx(-gap.mean)


def test_a_text_that_nobody_makes_stops_the_slides(tmp_path):
    _, *others = STUBS
    with pytest.raises(ValueError, match="Sphinx says why"):
        slides.build_slides(dict.fromkeys(others, "x"), stub_figures(), tmp_path)


def test_the_citation_has_the_version_of_the_package():
    citation = yaml.safe_load((PROJECT_ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert (citation["title"], citation["version"]) == (project["name"], project["version"])
    assert {"message", "authors"} <= set(citation)
    assert ("license" in citation) == (PROJECT_ROOT / "LICENSE").exists()
    readme = " ".join((PROJECT_ROOT / "README.md").read_text(encoding="utf-8").split())
    for reference in citation["references"]:
        (identifier,) = reference["identifiers"]
        assert identifier["value"].replace(":", " ") in readme


def test_the_workflow_runs_what_a_developer_runs():
    workflow = yaml.safe_load((PROJECT_ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    (job,) = workflow["jobs"].values()
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    assert (PROJECT_ROOT / ".ci" / "run").is_file()
    assert job["timeout-minutes"] <= 120
    oldest = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert job["strategy"]["matrix"]["python"][0] == oldest.removeprefix(">=")
