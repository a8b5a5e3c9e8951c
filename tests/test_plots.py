"""Figures are checked by what is in them."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from riskmap.figures.charts import (
    plot_against,
    plot_estimates,
    plot_hardness_histogram,
    plot_matrix,
    plot_patients,
    plot_shots,
    plot_table,
    plot_training,
)
from riskmap.figures.images import (
    plot_class_contours,
    plot_contour,
    plot_harm,
    plot_harm_row,
    plot_labels,
    plot_map,
    plot_overlay,
    plot_slice,
)
from riskmap.figures.style import ARM_STYLES, BLUE, CLASS_COLOURS, arm_style
from riskmap.measure.statistics import Estimate


@pytest.fixture
def ax():
    return Figure().subplots()


IMAGE = np.random.default_rng(0).normal(size=(6, 8))
MASK = np.zeros((6, 8), dtype=bool)
MASK[2:4, 3:6] = True


def test_a_slice_is_drawn_in_neurological_orientation(ax):
    image = np.zeros((6, 8))
    image[5, 0] = 1.0
    assert plot_slice(ax, image, title="T1") is ax
    shown = ax.images[0].get_array()
    assert shown.shape == (8, 6), "x runs to the right, y upwards"
    assert shown[0, 5] == 1.0
    assert ax.images[0].origin == "lower"
    assert {text.get_text(): text.get_position()[0] < 0.5 for text in ax.texts if text.get_text() in "LR"} == {
        "L": True,
        "R": False,
    }
    assert ax.get_title() == "T1"


def test_a_blank_slice_can_be_drawn(ax):
    plot_slice(ax, np.zeros((4, 4)))
    assert ax.images[0].get_clim() == (0.0, 1.0)


@pytest.mark.parametrize(("mask", "outlines"), [(MASK, 1), (np.zeros((6, 8)), 0), (np.ones((6, 8)), 0)])
def test_an_outline_is_drawn_where_there_is_one(ax, mask, outlines):
    plot_contour(ax, mask)
    assert len(ax.collections) == outlines


def test_every_class_above_the_background_is_outlined_in_its_colour(ax):
    labels = np.zeros((8, 8), dtype=np.uint8)
    labels[1:3, 1:3], labels[5:7, 5:7] = 1, 3
    plot_class_contours(ax, labels, 4)
    colours = [to_hex(outline.get_edgecolor()[0]) for outline in ax.collections]
    assert colours == [CLASS_COLOURS[1].lower(), CLASS_COLOURS[3].lower()]
    ax.clear()
    plot_class_contours(ax, labels, 4, colour="white")
    assert {to_hex(outline.get_edgecolor()[0]) for outline in ax.collections} == {"#ffffff"}


def test_labels_leave_the_background_clear_and_name_the_rest(ax):
    plot_labels(ax, MASK * 2, ["background", "rim", "core"])
    colours = ax.images[0].cmap(ax.images[0].norm(np.array([0, 1, 2])))
    assert colours[:, 3].tolist() == [0.0, 0.75, 0.75]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["rim", "core"]


def test_a_map_has_the_limits_and_the_unit_it_is_given(ax):
    plot_map(ax, IMAGE, limits=(0.0, 2.0), unit="nats", title="h", opacity=MASK * 0.5)
    assert ax.images[0].get_clim() == (0.0, 2.0)
    assert [other.get_ylabel() for other in ax.figure.axes if other is not ax] == ["nats"]
    assert ax.images[0].get_alpha().shape == (8, 6)
    plot_map(ax, IMAGE, limits=(0.0, 2.0), unit="nats", bar=False)
    assert len(ax.figure.axes) == 2, "no second bar"


def test_harm_marks_exactly_the_pixels_it_is_given():
    truth = np.zeros_like(MASK)
    truth[:4] = True
    ax = plot_harm(Figure().subplots(), IMAGE, MASK, ~MASK, truth)
    drawn = [~layer.get_array().mask.T for layer in ax.images[1:]]
    for layer, expected in zip(drawn, (MASK & truth, MASK & ~truth, ~MASK & truth, ~MASK & ~truth), strict=True):
        assert (layer == expected).all()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["missed", "false alarms", "found", "cleared"]
    assert len(ax.lines[0].get_xdata()) == (~MASK).sum(), "what is repaired is dotted"


def test_harm_is_enlarged_where_something_changed():
    image = np.ones((40, 40))
    truth, harmed, nothing = (np.zeros((40, 40), dtype=bool) for _ in range(3))
    truth[10:14, 20:24] = True
    harmed[16, 21] = True
    axes = Figure().subplots(1, 3)
    plot_harm_row(axes, image, {"one": (harmed, nothing), "two": (nothing, harmed)}, truth)
    assert [ax.get_title() for ax in axes] == ["the slice", "one", "two"]
    (frame,) = axes[0].patches
    (left, right), (bottom, top) = axes[1].get_xlim(), axes[1].get_ylim()
    assert (left, bottom) == frame.get_xy()
    assert left < 10 < 16 < right < 30
    assert bottom < 20 < 23 < top < 35
    assert axes[2].get_xlim() == (left, right)
    assert axes[0].get_xlim() == (-0.5, 39.5), "the first panel shows where"


def test_harm_is_drawn_where_nothing_is():
    """A test patient without the target, whom nobody harms, has nothing to enlarge."""
    nothing = np.zeros_like(MASK)
    axes = plot_harm_row(Figure().subplots(1, 2), IMAGE, {"one": (nothing, nothing)}, nothing)
    (left, right), (bottom, top) = axes[1].get_xlim(), axes[1].get_ylim()
    assert left < 0 < MASK.shape[0] < right
    assert bottom < 0 < MASK.shape[1] < top


def test_training_curves():
    axes = Figure().subplots(1, 2)
    history = {"loss": [2.0] * 10 + [1.0] * 10, "validation_step": [10, 20], "validation_dice": [0.2, 0.4]}
    plot_training(axes, history, label="a")
    assert axes[0].lines[0].get_ydata()[[9, 14, 19]].tolist() == [2.0, 1.5, 1.0]
    assert axes[1].lines[0].get_xydata().tolist() == [[10, 0.2], [20, 0.4]]
    assert axes[1].get_ylim() == (0, 1)


def test_patients_and_their_mean(ax):
    scores = pd.DataFrame(
        {"arm": ["scratch"] * 3 + ["fine_tune"], "patient": list("abca"), "dice": [0.1, 0.2, 0.6, 0.5]}
    )
    plot_patients(
        ax, scores, order=["fine_tune", "scratch"], titles={"scratch": "S", "fine_tune": "Fine-tuning, plain"}
    )
    assert [label.get_text() for label in ax.get_xticklabels()] == ["Fine-tuning,\nplain", "S"]
    assert ax.lines[1].get_ydata().tolist() == [0.1, 0.2, 0.6]
    (bars,) = ax.collections
    first, second = (bar.tolist() for bar in bars.get_segments())
    assert first == [pytest.approx([-0.3, 0.5]), pytest.approx([0.3, 0.5])]
    assert second == [pytest.approx([0.7, 0.3]), pytest.approx([1.3, 0.3])]


def test_shots_with_their_spread(ax):
    curve = pd.DataFrame(
        {"arm": ["scratch"] * 2, "shots": [8, 1], "dice": [0.6, 0.3], "low": [0.5, 0.1], "high": [0.7, 0.4]}
    )
    plot_shots(ax, curve, order=["scratch"], titles={"scratch": "S"})
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "8"]
    line, _, bars = ax.containers[0]
    assert line.get_ydata().tolist() == [0.3, 0.6]
    assert [segment[:, 1].tolist() for segment in bars[0].get_segments()] == [
        pytest.approx([0.1, 0.4]),
        pytest.approx([0.5, 0.7]),
    ]


def test_a_table_shows_its_numbers(ax):
    plot_table(ax, np.array([[0.25, 1.0]]), rows=["y"], columns=["a", "b"], title="C")
    assert [text.get_text() for text in ax.texts] == ["0.250", "1.000"]
    assert ax.images[0].get_clim() == (0, 1)


def test_a_histogram_per_class_sums_to_one(ax):
    hardness = np.array([0.1, 0.2, 0.3, 2.0])
    plot_hardness_histogram(ax, hardness, np.array([0, 0, 0, 1]), ["background", "core", "absent"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["background", "core"]
    heights = [patch.get_xy()[:, 1] for patch in ax.patches]
    assert heights[0].max() == pytest.approx(1 / 3)
    assert heights[1].max() == pytest.approx(1.0)


def test_a_matrix_is_centred_on_zero_and_empty_where_nothing_was_run(ax):
    matrix = pd.DataFrame([[4.0, np.nan], [-2.0, 0.0]], index=["a", "b"], columns=["c", "d"])
    assert plot_matrix(ax, matrix, title="gap") is ax
    assert ax.images[0].get_clim() == (-4.0, 4.0)
    assert [text.get_text() for text in ax.texts] == ["+4.0", "-2.0", "+0.0"]
    assert ax.patch.get_hatch()
    assert ax.get_xlabel() == "target task (hatched: not run)"
    assert ax.images[0].get_array().mask.tolist() == [[False, True], [False, False]]


def test_estimates_lie_at_their_means_with_their_intervals(ax):
    series = {"one": [Estimate(1.0, 0.5, 2.0), Estimate(-1.0, -2.0, 0.5)], "two": [Estimate(0, 0, 0)] * 2}
    plot_estimates(ax, ["first", "second"], series, xlabel="points", styles={"two": (BLUE, "*")})
    line, _, (bars,) = ax.containers[0].lines[0], None, ax.containers[0].lines[2]
    assert line.get_xdata().tolist() == [1.0, -1.0]
    assert [segment[:, 0].tolist() for segment in bars.get_segments()] == [[0.5, 2.0], [-2.0, 0.5]]
    assert ax.containers[1].lines[0].get_marker() == "*"
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first row is at the top"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]


def test_points_against_a_number_have_their_own_marks(ax):
    points = [(name, place, Estimate(place, place - 1, place + 1)) for place, name in enumerate("abc")]
    plot_against(ax, points, xlabel="LEEP", ylabel="gap")
    assert len({container.lines[0].get_marker() for container in ax.containers}) == 3
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c"]


def test_an_arm_without_a_style_of_its_own_can_be_drawn():
    assert arm_style("scratch") == ARM_STYLES["scratch"]
    assert arm_style("l2_sp") == arm_style("boundary") != arm_style("scratch")


def test_an_overlay_colours_the_brain_alone_and_as_much_as_asked(ax):
    image, values = np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[9.0, 0.0], [1.0, 5.0]])
    plot_overlay(ax, image, values, limits=(0.0, 1.0), colours="gray", opacity=1.0)
    (picture,) = ax.images
    # [X, Y] becomes rows of Y; what lies above the limit has its colour, what lies outside the brain is black
    assert picture.get_array()[..., 0].tolist() == [[0, 255], [0, 255]]
    plot_overlay(ax, image, values, limits=(0.0, 1.0), colours="gray", opacity=0.0)
    grey = ax.images[1].get_array()[..., 0]
    assert grey[0, 0] == 0
    assert 0 <= grey[1, 0] < grey[0, 1] < grey[1, 1] == 255, "the slice itself"
