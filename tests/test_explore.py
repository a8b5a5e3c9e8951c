"""Explorers: every input is really moved to both ends, and the picture is compared."""

from io import BytesIO

import ipywidgets as widgets
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from benchmarks import made_up
from riskmap.data.cohort import Task
from riskmap.data.patients import load_slices
from riskmap.experiment import tables
from riskmap.experiment.plans import SMOKE
from riskmap.explorers.base import Explorer, choice, number_slider, panels
from riskmap.explorers.leep import binary_source, explore_leep
from riskmap.explorers.patients import _describe_weights, explore_cohort, explore_risk_map
from riskmap.explorers.picture import Picture, as_image, wipe
from riskmap.explorers.results import explore_few_shot, explore_gap_matrix, explore_predictions
from riskmap.figures.charts import plot_bars, plot_differences
from riskmap.figures.images import plot_outlines, window_of
from riskmap.leep import LeepStatistics
from riskmap.measure.statistics import Estimate
from riskmap.training.config import NetworkConfig
from riskmap.training.networks import build_network
from riskmap.training.prediction import predict_probabilities
from riskmap.training.runs import Run

TASK = Task.parse("T1ce:TC")
INPUTS = {
    "cohort_explorer": ("patient", "sequence", "height", "label"),
    "risk_explorer": (*("patient", "height", "scaling", "weighting", "base", "ceiling", "smoothing", "opacity"),),
    "leep_explorer": ("prevalence", "accuracy", "confidence"),
    "predictions_explorer": ("reference", "other", "patient", "height"),
    "few_shot_explorer": ("metric", "arm", "k"),
    "gap_explorer": ("pair", "arm"),
}
every_explorer = pytest.mark.parametrize("fixture", INPUTS)


@pytest.fixture(scope="module")
def cohort_explorer(tiny_cohort):
    return explore_cohort(tiny_cohort, "WT", tiny_cohort.part("target_test"))


@pytest.fixture(scope="module")
def risk_explorer(tiny_cohort):
    subjects = tiny_cohort.part("target_test")[:2]
    source = build_network(2, NetworkConfig(channels=(4, 8)), seed=4)
    slices = load_slices(tiny_cohort, subjects, TASK)
    statistics = LeepStatistics(2, 2)
    statistics.update(torch.cat(list(predict_probabilities(source, slices.images))), slices.labels.long())
    return explore_risk_map(tiny_cohort, TASK, source, statistics, subjects)


@pytest.fixture(scope="module")
def leep_explorer():
    return explore_leep()


@pytest.fixture(scope="module")
def runs(tiny_cohort, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {f"run {seed}": made_up.make_run(folder / str(seed), tiny_cohort, TASK, seed) for seed in range(3)}


@pytest.fixture(scope="module")
def predictions_explorer(tiny_cohort, runs):
    return explore_predictions(tiny_cohort, TASK, runs)


@pytest.fixture(scope="module")
def few_shot_scores():
    return made_up.make_few_shot_scores(SMOKE, patients=4)


@pytest.fixture(scope="module")
def few_shot_explorer(few_shot_scores):
    return explore_few_shot(few_shot_scores)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return made_up.make_findings(tmp_path_factory.mktemp("records"), SMOKE, patients=4)


@pytest.fixture(scope="module")
def gap_explorer(found):
    return explore_gap_matrix(found)


@pytest.fixture
def small_explorer():
    """An explorer whose sentence is its only input's value."""

    def draw(number):
        (ax,) = figure.axes
        wipe(ax)
        ax.plot([0, number])
        return f"1 < {number:g}"

    figure = panels(1, width=3, height=2)
    return Explorer(figure, {"number": number_slider("number", 2.0, 1.0, 9.0, 1.0)}, draw, [{}, {"number": 9.0}])


def shown(explorer):
    """Return the bytes of the live picture, as the widget holds a view that changes with it."""
    return bytes(explorer.picture.value)


KEYBOARD = widgets.Dropdown | widgets.SelectionSlider | widgets.IntSlider | widgets.FloatSlider


def ends(widget):
    """Return values of an input that stand for both ends."""
    if isinstance(widget, widgets.Dropdown | widgets.SelectionSlider):
        # what is chosen, whether options are plain values or pairs of title and value
        values = [option[1] if isinstance(option, tuple) else option for option in widget.options]
        return [values[0], values[-1]]
    return [widget.min, widget.max]


@pytest.mark.parametrize(("fixture", "name"), [(fixture, name) for fixture in INPUTS for name in INPUTS[fixture]])
def test_moving_an_input_changes_picture_and_sentence_and_moving_back_restores_them(fixture, name, request):
    explorer = request.getfixturevalue(fixture)
    widget = explorer.inputs[name]
    start, sentence = widget.value, explorer.sentence.value
    seen, said = {start: shown(explorer)}, {sentence}
    for value in ends(widget):
        widget.value = value
        seen[value] = shown(explorer)
        said.add(explorer.sentence.value)
    widget.value = start
    # the outermost slices are both empty
    different = 2 if name == "height" else len(seen)
    assert len(set(seen.values())) >= max(different, 2), "an end has the picture of another place"
    assert name == "opacity" or len(said) > 1, "the sentence follows"
    assert shown(explorer) == seen[start], "moving back restores the picture"
    assert explorer.sentence.value == sentence


def drawn_by_matplotlib(figure):
    """Return the pixels of the whole figure, of which nothing is kept."""
    figure.canvas.draw()
    return np.asarray(as_image(figure.canvas))


def values_of(widget):
    """Return the values of an input, or some of a slider over numbers."""
    if isinstance(widget, widgets.Dropdown | widgets.SelectionSlider):
        return [option[1] if isinstance(option, tuple) else option for option in widget.options]
    return np.linspace(widget.min, widget.max, 9).astype(type(widget.value)).tolist()


@every_explorer
def test_after_a_walk_the_picture_is_what_matplotlib_draws_afresh(fixture, request):
    """Neither an artist nor a frame of an earlier setting may stay."""
    explorer = request.getfixturevalue(fixture)
    start, generator = explorer.values(), np.random.default_rng(0)
    for _ in range(4):
        for widget in explorer.inputs.values():
            values = values_of(widget)
            widget.value = values[generator.integers(len(values))]
        picture = np.asarray(Image.open(BytesIO(shown(explorer))))
        np.testing.assert_array_equal(picture, drawn_by_matplotlib(explorer.figure))
        for ax in explorer.figure.axes:
            ax.clear()
            ax.set_axisbelow(True)
        explorer._draw(**explorer.values())
        np.testing.assert_array_equal(picture, drawn_by_matplotlib(explorer.figure))
    for name, value in start.items():
        explorer.inputs[name].value = value


FRAMES = {
    "title": lambda ax: ax.set_title("other"),
    "name of an axis": lambda ax: ax.set_xlabel("other"),
    "limits": lambda ax: ax.set_ylim(-1, 5),
    "ticks": lambda ax: ax.set_xticks([0.5]),
    "words of ticks": lambda ax: ax.set_xticks([0, 1], ["zero", "one"]),
    "weight of words": lambda ax: ax.get_xticklabels()[0].set_fontweight("bold"),
    "no axis": lambda ax: ax.yaxis.set_visible(False),
    "no panel": lambda ax: ax.set_visible(False),
    "shape": lambda ax: ax.imshow(np.eye(3)[:2]),
    "size": lambda ax: ax.figure.set_size_inches(4, 2),
}


@pytest.mark.parametrize("change", FRAMES.values(), ids=FRAMES)
def test_a_frame_that_changes_is_drawn_again_and_one_that_returns_fits(change):
    figure = panels(2, width=5, height=2, place={"bottom": 0.3, "top": 0.8})
    left = figure.axes[0]
    picture, seen = Picture(figure), []
    for plot in (lambda ax: None, change, lambda ax: None):
        for ax in figure.axes:
            ax.clear()
            ax.set(visible=True, axisbelow=True, xticks=[0, 1])
            ax.yaxis.set_visible(True)
            ax.imshow(np.eye(3))
        figure.set_size_inches(5, 2)
        plot(left)
        seen.append(np.asarray(picture.draw()))
        np.testing.assert_array_equal(seen[-1], drawn_by_matplotlib(figure))
    assert seen[0].shape != seen[1].shape or (seen[0] != seen[1]).any()
    np.testing.assert_array_equal(seen[0], seen[2])


@every_explorer
def test_every_input_is_tested_and_can_be_used_with_the_keyboard(fixture, request):
    explorer = request.getfixturevalue(fixture)
    assert set(explorer.inputs) == set(INPUTS[fixture])
    for widget in explorer.inputs.values():
        assert widget.description, "a label in plain words"
        assert isinstance(widget, KEYBOARD)
        assert getattr(widget, "continuous_update", True), "the picture follows while dragging"


@every_explorer
def test_a_page_without_a_kernel_shows_a_described_picture_whatever_was_moved(fixture, request):
    explorer = request.getfixturevalue(fixture)
    before = shown(explorer)
    bundle, metadata = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    strip = Image.open(BytesIO(bundle["image/png"]))
    assert strip.height > Image.open(BytesIO(before)).height * len(explorer._strip), "each position and its sentence"
    alt = metadata["image/png"]["alt"]
    assert all(f" {number}. " in alt for number in range(1, len(explorer._strip) + 1))
    moved = {name: widget.value for name, widget in explorer.inputs.items()}
    for widget in explorer.inputs.values():
        widget.value = ends(widget)[-1]
    del explorer._static
    bundle_later, metadata_later = explorer._repr_mimebundle_()
    assert (bundle_later["image/png"], metadata_later) == (bundle["image/png"], metadata)
    for name, value in moved.items():
        explorer.inputs[name].value = value
    assert shown(explorer) == before, "the strip left the live picture as it was"


def test_an_error_in_drawing_reaches_the_one_who_moved_the_slider_and_the_page(small_explorer, monkeypatch):
    def broken(number):
        raise RuntimeError(f"cannot draw {number:g}")

    monkeypatch.setattr(small_explorer, "_draw", broken)
    with pytest.raises(RuntimeError, match="cannot draw 3"):
        small_explorer.inputs["number"].value = 3.0
    assert "cannot draw 3" in small_explorer.sentence.value


def test_the_sentence_is_text_and_the_picture_has_a_name(small_explorer):
    assert "1 &lt; 2" in small_explorer.sentence.value
    assert small_explorer._repr_mimebundle_()[1]["image/png"]["alt"].endswith("1. 1 < 2 2. 1 < 9")


def test_wiping_leaves_nothing_behind_and_keeps_the_ticks():
    ax = Figure().subplots()
    ax.set_xticks([0.25], ["quarter"])
    ax.bar([0], [1], label="bar")
    ax.errorbar([0], [1], yerr=[1], label="errorbar")
    ax.imshow(np.zeros((2, 2)))
    ax.text(0, 0, "text")
    ax.contour(np.eye(3))
    ax.legend()
    wipe(ax)
    assert not [*ax.images, *ax.collections, *ax.lines, *ax.patches, *ax.texts, *ax.containers]
    assert ax.get_legend() is None
    assert [label.get_text() for label in ax.get_xticklabels()] == ["quarter"]


def test_a_choice_starts_with_the_value_it_is_given():
    assert choice("arm", [("First", 1), ("Second", 2)], 2).value == 2
    assert choice("arm", ["a", "b"]).value == "a"


def test_the_risk_explorer_counts_the_weights(risk_explorer):
    first = risk_explorer.sentence.value
    assert "carries" in first, "the first slice shown holds foreground"
    risk_explorer.inputs["base"].value = 1.0
    assert "weights from 1.00 to 1.00" in risk_explorer.sentence.value
    risk_explorer.inputs["base"].value = 10.0
    risk_explorer.inputs["ceiling"].value = 3.0
    assert "weights from 1.00 to 3.00" in risk_explorer.sentence.value
    risk_explorer.inputs["ceiling"].value = 30.0
    assert risk_explorer.sentence.value == first
    middle = risk_explorer.inputs["height"].value
    risk_explorer.inputs["height"].value = 0
    assert "no tumour core here" in risk_explorer.sentence.value
    risk_explorer.inputs["height"].value = middle


@pytest.mark.parametrize(("accuracy", "confidence"), [(0.9, 0.8), (0.0, 1.0), (0.29, 0.5)])
def test_the_binary_source_is_as_right_and_as_sure_as_asked(accuracy, confidence):
    softmax, labels = binary_source(0.07, accuracy, confidence)
    of_label = softmax[0].gather(0, labels)
    assert labels.double().mean().item() == pytest.approx(0.07)
    for label in (0, 1):
        expected = accuracy * confidence + (1 - accuracy) * (1 - confidence)
        assert of_label[labels == label].mean().item() == pytest.approx(expected)


@pytest.mark.parametrize("name", ["accuracy", "confidence"])
def test_a_source_that_knows_nothing_is_class_weighting(leep_explorer, name):
    def heights():
        bars = leep_explorer.figure.axes[2].containers
        return [np.array([patch.get_height() for patch in container.patches]) for container in bars]

    widget, sentence = leep_explorer.inputs[name], leep_explorer.sentence.value
    start = widget.value
    assert not np.allclose(*heights())
    assert "knows nothing:" not in sentence
    widget.value = 0.5
    np.testing.assert_allclose(*heights())
    np.testing.assert_allclose(heights()[0], -np.log([0.9, 0.9, 0.1, 0.1]))
    assert "knows nothing:" in leep_explorer.sentence.value
    widget.value = start


def test_predictions_start_where_the_harm_is_largest(predictions_explorer, runs, tiny_cohort):
    values = predictions_explorer.values()
    assert (values["reference"], values["other"]) == ("run 0", "run 1")
    truth = tiny_cohort.labels(values["patient"], "TC")
    first, second = (runs[title].predictions()[values["patient"]] for title in ("run 0", "run 1"))
    harmed = ((first == truth) & (second != truth)).sum((0, 1))
    assert harmed[values["height"]] == harmed.max()
    assert f"{harmed.max()} and" in predictions_explorer.sentence.value
    dice = runs["run 1"].record["results"]["patients"][values["patient"]]["dice"][0]
    assert f"{dice:.3f} with run 1" in predictions_explorer.sentence.value


def test_without_harm_the_busiest_slice_is_shown_first(runs, tiny_cohort):
    """The first slice of a volume is empty: a slider that starts there would seem dead."""
    values = explore_predictions(tiny_cohort, TASK, {"one": runs["run 0"], "the same": runs["run 0"]}).values()
    area = (tiny_cohort.labels(values["patient"], "TC") > 0).sum((0, 1))
    assert area[values["height"]] == area.max() > 0


def test_a_run_against_itself_changes_nothing(predictions_explorer):
    predictions_explorer.inputs["other"].value = "run 0"
    assert "0.0% of the pixels are harmed" in predictions_explorer.sentence.value
    predictions_explorer.inputs["other"].value = "run 1"


def test_a_patient_without_any_foreground_is_said_to_have_none(tiny_cohort, tmp_path, runs, monkeypatch):
    empty = tiny_cohort.part("target_test")[0]
    labels = type(tiny_cohort).labels

    def blank(self, subject, target):
        return labels(self, subject, target) * np.uint8(subject != empty)

    monkeypatch.setattr(type(tiny_cohort), "labels", blank)
    blanked = {f"run {seed}": made_up.make_run(tmp_path / str(seed), tiny_cohort, TASK, seed) for seed in (0, 1)}
    explorer = explore_predictions(tiny_cohort, TASK, blanked)
    assert explorer.inputs["patient"].value != empty
    explorer.inputs["patient"].value = empty
    assert "Neither the truth nor a prediction" in explorer.sentence.value


def test_a_cohort_without_any_foreground_can_be_looked_at(tiny_cohort, tmp_path, monkeypatch):
    blank = np.zeros(tiny_cohort.shape, dtype=np.uint8)
    monkeypatch.setattr(type(tiny_cohort), "labels", lambda self, subject, target: blank)
    blanked = {f"run {seed}": made_up.make_run(tmp_path / str(seed), tiny_cohort, TASK, seed) for seed in (0, 1)}
    explorer = explore_predictions(tiny_cohort, TASK, blanked)
    assert "Neither the truth nor a prediction" in explorer.sentence.value


def test_runs_that_cannot_be_compared_are_refused(tiny_cohort, runs):
    with pytest.raises(ValueError, match="two or more"):
        explore_predictions(tiny_cohort, TASK, {"run 0": runs["run 0"]})
    other = Run(runs["run 1"].folder, {"results": {"patients": {"someone": {}}}})
    with pytest.raises(ValueError, match="the same patients"):
        explore_predictions(tiny_cohort, TASK, {"run 0": runs["run 0"], "run 1": other})


def test_few_shot_gain_and_gap_are_paired_differences(few_shot_explorer, few_shot_scores):
    rows = few_shot_scores.loc[few_shot_scores["shots"] == 2]
    mean = rows.groupby("arm")["dice"].mean()
    few_shot_explorer.inputs["k"].value = 2
    few_shot_explorer.inputs["metric"].value = "gap to scratch"
    gap = 100 * (mean["scratch"] - mean["fine_tune"])
    assert f"k = 2: gap to scratch {gap:+.1f} [" in few_shot_explorer.sentence.value
    few_shot_explorer.inputs["metric"].value = "gain over fine-tuning"
    assert "is 0" in few_shot_explorer.sentence.value, "fine-tuning against itself"
    few_shot_explorer.inputs["arm"].value = "scratch"
    assert f"k = 2: gain over fine-tuning {gap:+.1f} [" in few_shot_explorer.sentence.value
    for name, value in {"metric": "Dice", "arm": "fine_tune", "k": 1}.items():
        few_shot_explorer.inputs[name].value = value


def test_few_shots_without_scratch_are_refused(few_shot_scores):
    with pytest.raises(ValueError, match="scratch and fine_tune"):
        explore_few_shot(few_shot_scores.loc[few_shot_scores["arm"] != "scratch"])


def test_an_experiment_on_one_patient_shows_means_without_intervals(tmp_path):
    """Of each pair, or of one of them."""
    found = made_up.make_findings(tmp_path, SMOKE, patients=1)
    shown = [make(found) for make in (tables.pair_table, tables.arm_table, tables.twin_table)]
    told = "".join([*(table.to_string() for table in shown), explore_gap_matrix(found).sentence.value])
    assert "[–]" in told
    assert "one patient has no interval" in told
    assert "nan" not in told.lower().replace("fine-tuning", "")
    ax = plot_differences(Figure().subplots(), [1.0], found.gaps[found.plan.pairs[0]], ylabel="", sides=("a", "b"))
    assert "mean" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_gap_of_the_marked_pair_is_said_with_its_interval(gap_explorer, found):
    pair = found.plan.pairs[1]
    start = gap_explorer.inputs["pair"].value
    gap_explorer.inputs["pair"].value = pair.title
    sentence = gap_explorer.sentence.value.replace("&gt;", ">")
    assert pair.title in sentence
    assert found.gaps[pair].text(digits=1, signed=True) in sentence
    frame = gap_explorer.figure.axes[0].patches[-1]
    assert frame.get_xy() == pytest.approx((1 - 0.46, 1 - 0.46)), "the second pair lies on the diagonal"
    gap_explorer.inputs["pair"].value = start


def test_a_window_is_square_and_holds_the_mask():
    mask = np.zeros((20, 20), dtype=bool)
    mask[5:9, 6] = True
    assert window_of(mask, margin=1) == ((3.5, 9.5), (3.0, 9.0))


def test_differences_are_told_apart_by_their_marks():
    ax = Figure().subplots()
    plot_differences(ax, [2.0, -1.0, 3.0], Estimate(4 / 3, -1.0, 3.0), ylabel="gap", sides=("up", "down"))
    above, below = ax.lines[:2]
    assert (above.get_ydata().tolist(), above.get_marker()) == ([2.0, 3.0], "^")
    assert (below.get_ydata().tolist(), below.get_marker()) == ([-1.0], "o")
    assert [text.get_text() for text in ax.get_legend().get_texts()][:2] == ["up: 2 of 3", "down: 1 of 3"]


def test_bars_carry_their_numbers_and_a_missing_one_says_so():
    ax = Figure().subplots()
    plot_bars(ax, ["a", "b"], {"h": [0.5, float("nan")], "log": [1.0, 7.0]}, ylabel="nats")
    assert [text.get_text() for text in ax.texts] == ["0.50", "none", "1.00", "7.00"]
    assert ax.get_ylim()[1] > 7
    assert len({patch.get_hatch() for patch in ax.patches}) == 2, "told apart without colour"


def test_outlines_are_told_apart_by_their_dashes():
    ax = Figure().subplots()
    mask = np.pad(np.ones((2, 2), dtype=int), 2)
    plot_outlines(ax, np.ones((6, 6)), {"truth": mask, "other": mask})
    styles = [line.get_linestyle() for line in ax.get_legend().get_lines()]
    assert styles == ["-", "--"]
    assert len(ax.collections) == 2


def test_a_label_that_covers_the_whole_brain_has_no_rest_to_describe():
    labels, ones = np.ones((4, 4), dtype=np.uint8), np.ones((4, 4))
    told = _describe_weights("p", 3, "brain tissue", labels, labels > 0, 2 * ones, ones)
    assert "Mean hardness 2.00 nats inside; weights from 1.00 to 1.00." in told
    labels[0] = 0
    told = _describe_weights("p", 3, "brain tissue", labels, ones > 0, 2 * ones, ones)
    assert "inside, 2.00 in the rest of the image; weights" in told
