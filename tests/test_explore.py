"""Explorers: every control is really moved to both ends, and the picture is compared."""

import ipywidgets as widgets
import pytest
import torch

from riskmap.cohort import Task
from riskmap.explore import explore_cohort, explore_risk_map
from riskmap.leep import LeepStatistics
from riskmap.networks import NetworkConfig, build_network
from riskmap.prediction import predict_probabilities
from riskmap.slices import load_slices

TASK = Task.parse("T1ce:TC")


@pytest.fixture(scope="module")
def risk_explorer(tiny_cohort):
    subjects = tiny_cohort.part("target_test")[:2]
    source = build_network(2, NetworkConfig(channels=(4, 8)), seed=4)
    slices = load_slices(tiny_cohort, subjects, TASK)
    statistics = LeepStatistics(2, 2)
    statistics.update(torch.cat(list(predict_probabilities(source, slices.images))), slices.labels.long())
    return explore_risk_map(tiny_cohort, TASK, source, statistics, subjects)


@pytest.fixture(scope="module")
def cohort_explorer(tiny_cohort):
    return explore_cohort(tiny_cohort, "WT", tiny_cohort.part("target_test"))


def shown(explorer):
    """Return the bytes of the live picture, as the widget holds a view that changes with it."""
    return bytes(explorer.picture.value)


def ends(control):
    """Return values of the control that stand for both ends."""
    if isinstance(control, widgets.Dropdown):
        return [control.options[0], control.options[-1]]
    return [control.min, control.max]


@pytest.mark.parametrize(
    ("fixture", "name"),
    [("cohort_explorer", name) for name in ("patient", "height", "label")]
    + [
        ("risk_explorer", name)
        for name in ("patient", "height", "scaling", "weighting", "base", "smoothing", "opacity")
    ],
)
def test_moving_a_control_changes_picture_and_moving_back_restores_it(fixture, name, request):
    explorer = request.getfixturevalue(fixture)
    control = explorer.controls[name]
    start = control.value
    seen = {start: shown(explorer)}
    for value in ends(control):
        control.value = value
        seen[value] = shown(explorer)
    control.value = start
    assert len(set(seen.values())) > 1, "no end of the control changes the picture"
    assert shown(explorer) == seen[start], "moving back restores the picture"


def test_the_sentence_follows_the_slider(risk_explorer):
    first = risk_explorer.sentence.value
    assert "carries" in first, "the first slice shown holds foreground"
    risk_explorer.controls["base"].value = 1.0
    assert "weights from 1.00 to 1.00" in risk_explorer.sentence.value
    risk_explorer.controls["base"].value = 10.0
    assert risk_explorer.sentence.value == first
    middle = risk_explorer.controls["height"].value
    risk_explorer.controls["height"].value = 0
    assert "no tumour core here" in risk_explorer.sentence.value
    risk_explorer.controls["height"].value = middle


@pytest.mark.parametrize("fixture", ["cohort_explorer", "risk_explorer"])
def test_a_page_without_a_kernel_shows_a_plain_picture(fixture, request):
    explorer = request.getfixturevalue(fixture)
    before = shown(explorer)
    bundle, metadata = explorer._repr_mimebundle_()
    assert metadata["image/png"]["alt"].endswith(explorer._sentence)
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" in bundle
    explorer.controls["height"].value += 1
    explorer.controls["height"].value -= 1
    assert shown(explorer) == before, "the strip left the live picture as it was"


def test_an_error_in_drawing_reaches_the_one_who_moved_the_slider(cohort_explorer, monkeypatch):
    def broken(**values):
        raise RuntimeError(f"cannot draw slice {values['height']}")

    monkeypatch.setattr(cohort_explorer, "_draw", broken)
    with pytest.raises(RuntimeError, match="cannot draw slice 3"):
        cohort_explorer.controls["height"].value = 3
