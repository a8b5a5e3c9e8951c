"""Explorers: sliders over the plot functions. Move a control and the picture and the sentence below it follow.

Each explorer draws into one persistent figure, turned into the bytes of an ``ipywidgets.Image``; an Output context
would hang headless runs (nbclient issue 312). Its display also carries a plain PNG of a few slider positions, which a
page without a kernel shows instead.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from riskmap import plots
from riskmap.cohort import Cohort, Task
from riskmap.leep import LeepStatistics
from riskmap.networks import SegmentationNetwork
from riskmap.prediction import predict_probabilities
from riskmap.risk import SCALINGS, WEIGHTINGS, TransferRiskMap
from riskmap.slices import volume_to_slices

Draw = Callable[..., str]


class Explorer(widgets.VBox):
    """Controls above a picture above a sentence.

    Args:
        figure: drawn again at every move.
        controls: by the name under which ``draw`` gets their values.
        draw: called with the controls' values; draws into ``figure`` and returns the sentence.
        strip: settings of the controls whose pictures are stacked in the static PNG, at least one.
    """

    def __init__(
        self,
        figure: Figure,
        controls: Mapping[str, widgets.ValueWidget],
        draw: Draw,
        strip: Sequence[Mapping[str, Any]],
    ) -> None:
        self.figure = figure
        self.controls = dict(controls)
        self._draw = draw
        self._strip = [dict(settings) for settings in strip]
        self.picture = widgets.Image(format="png")
        self.sentence = widgets.HTML()
        for control in self.controls.values():
            control.observe(self._redraw, names="value")
        self._redraw()
        # the first drawing has found the layout; finding it again would cost more than the drawing
        figure.set_layout_engine("none")
        self._redraw()
        rows = widgets.HBox(list(self.controls.values()), layout=widgets.Layout(flex_flow="row wrap"))
        # an Image in a box is stretched unless the box says otherwise
        super().__init__([rows, self.picture, self.sentence], layout=widgets.Layout(align_items="flex-start"))

    def values(self) -> dict[str, Any]:
        """Return the value of every control."""
        return {name: control.value for name, control in self.controls.items()}

    def static_png(self) -> bytes:
        """Return the strip of settings as one PNG; the controls are not moved."""
        pictures = []
        for settings in self._strip:
            self._draw(**{**self.values(), **settings})
            pictures.append(Image.open(BytesIO(_png(self.figure))))
        self._draw(**self.values())
        page = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
        top = 0
        for picture in pictures:
            page.paste(picture, (0, top))
            top += picture.height
        with BytesIO() as stream:
            page.save(stream, "png")
            return stream.getvalue()

    def _redraw(self, _change: object = None) -> None:
        self._sentence = self._draw(**self.values())
        self.sentence.value = f'<p style="max-width: 60em; font-size: 1.05em">{self._sentence}</p>'
        self.picture.value = _png(self.figure)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = {**super()._repr_mimebundle_(**kwargs), "image/png": self.static_png()}
        return bundle, {"image/png": {"alt": f"{len(self._strip)} settings of the sliders. {self._sentence}"}}


def _png(figure: Figure) -> bytes:
    with BytesIO() as stream:
        # fast compression: at full effort the PNG would take longer than the drawing
        figure.savefig(stream, format="png", pil_kwargs={"compress_level": 1})
        return stream.getvalue()


def _figure(panels: int, width: float = 12.0, height: float = 3.9) -> Figure:
    figure = Figure(figsize=(width, height), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    figure.subplots(1, panels)
    return figure


def _slider(label: str, value: int, last: int) -> widgets.IntSlider:
    return widgets.IntSlider(value=value, min=0, max=last, description=label, continuous_update=True)


def busiest_slice(labels: np.ndarray) -> int:
    """Return the index z of the axial slice of [X, Y, Z] that holds the most foreground."""
    return int((labels > 0).sum((0, 1)).argmax())


def explore_cohort(cohort: Cohort, target: str, subjects: Sequence[str] | None = None) -> Explorer:
    """Return an explorer of a cohort: one patient's slice in every sequence, with a label's outline."""
    subjects = list(subjects or cohort.part("target_train"))
    figure = _figure(len(cohort.modalities))

    def draw(patient: str, height: int, label: str) -> str:
        labels = cohort.labels(patient, label)[..., height]
        spec = cohort.targets[label]
        for ax, modality in zip(figure.axes, cohort.modalities, strict=True):
            ax.clear()
            plots.plot_slice(ax, cohort.image(patient, modality)[..., height], title=modality)
            for index in range(1, spec.num_classes):
                plots.plot_contour(ax, labels == index, colour=plots.CLASS_COLOURS[index])
        area = (labels > 0).sum() * cohort.spacing[0] * cohort.spacing[1] / 100
        return (
            f"Patient {patient} of site {cohort.sites[patient]}, axial slice {height}: the outline holds "
            f"{area:.1f} cm² of {spec.title}."
        )

    middle = busiest_slice(cohort.labels(subjects[0], target))
    controls = {
        "patient": widgets.Dropdown(options=subjects, description="patient"),
        "height": _slider("slice", middle, cohort.shape[2] - 1),
        "label": widgets.Dropdown(options=list(cohort.targets), value=target, description="label"),
    }
    strip = [{"patient": s, "height": busiest_slice(cohort.labels(s, target))} for s in subjects[:2]]
    return Explorer(figure, controls, draw, strip)


@dataclass(frozen=True)
class PatientView:
    """A target patient through the eyes of the source network.

    Shape: image [X, Y, Z]; labels [X, Y, Z]; probabilities [Z, K_s, X, Y], the source's softmax.
    """

    image: np.ndarray
    labels: np.ndarray
    probabilities: torch.Tensor


def view_patient(cohort: Cohort, subject: str, task: Task, source: SegmentationNetwork) -> PatientView:
    """Read a patient for a task and let the source network look at every slice."""
    image = cohort.image(subject, task.modality)
    probabilities = torch.cat(list(predict_probabilities(source, volume_to_slices(image))))
    return PatientView(image, cohort.labels(subject, task.target), probabilities)


def explore_risk_map(
    cohort: Cohort, task: Task, source: SegmentationNetwork, statistics: LeepStatistics, subjects: Sequence[str]
) -> Explorer:
    """Return an explorer of the risk map, from the hardness of a slice to the weights of its pixels.

    Args:
        cohort: a prepared cohort.
        task: the target task.
        source: the frozen source network.
        statistics: LEEP statistics of the source on the target's training pixels.
        subjects: target *training* patients, the first is shown first; together they are the data set's scale.
    """
    view = lru_cache(maxsize=4)(lambda subject: view_patient(cohort, subject, task, source))
    figure = _figure(4, width=13.5)
    title = cohort.targets[task.target].title

    @lru_cache(maxsize=8)
    def fitted(smoothing: float) -> TransferRiskMap:
        views = (view(subject) for subject in subjects)
        batches = ((v.probabilities, volume_to_slices(v.labels).long()) for v in views)
        return TransferRiskMap(statistics, scaling="dataset", smoothing=smoothing).fit(batches)

    def risk_map(scaling: str, weighting: str, base: float, smoothing: float) -> TransferRiskMap:
        choices = {"scaling": scaling, "weighting": weighting, "base": base, "smoothing": smoothing}
        risk = TransferRiskMap(statistics, slope=4.0, **choices)
        if scaling == "dataset":
            limits = fitted(smoothing)
            risk.dataset_limits, risk.dataset_mean = limits.dataset_limits, limits.dataset_mean
        return risk

    def draw(
        patient: str, height: int, scaling: str, weighting: str, base: float, smoothing: float, opacity: float
    ) -> str:
        shown = view(patient)
        image, labels = shown.image[..., height], shown.labels[..., height]
        batch = (shown.probabilities[height : height + 1], torch.from_numpy(labels)[None].long())
        risk = risk_map(scaling, weighting, base, smoothing)
        hardness, weights = risk.hardness(*batch)[0, 0].numpy(), risk(*batch)[0, 0].numpy()
        figure.suptitle(f"scaling: {scaling} · weighting: {weighting}", fontsize=11)
        for ax in figure.axes:
            ax.clear()
        for ax, name in zip(figure.axes, (str(task), "source's softmax", "hardness h", "weight w"), strict=True):
            plots.plot_slice(ax, image, title=name, sides=ax is figure.axes[0])
        foreground = 1 - shown.probabilities[height, 0].numpy()
        layers = ((foreground, 1.0), (hardness, max(float(hardness.max()), 1e-6)), (weights, max(weights.max(), 1.0)))
        units = ("source foreground", "nats", "weight")
        for ax, (values, top), unit in zip(figure.axes[1:], layers, units, strict=True):
            strength = opacity * (image != 0)
            plots.plot_map(ax, values, limits=(0.0, top), unit=unit, title=ax.get_title(), opacity=strength, bar=False)
            ax.set_xlabel(f"colours: 0 to {top:.3g} {unit}")
        for ax in figure.axes:
            plots.plot_contour(ax, labels > 0, colour="white" if ax is not figure.axes[0] else plots.ORANGE)
        return _describe_weights(patient, height, title, labels, image != 0, hardness, weights)

    first = cohort.labels(subjects[0], task.target)
    controls = {
        "patient": widgets.Dropdown(options=list(subjects), description="patient"),
        "height": _slider("slice", busiest_slice(first), cohort.shape[2] - 1),
        "scaling": widgets.Dropdown(options=SCALINGS, description="scaling"),
        "weighting": widgets.Dropdown(options=WEIGHTINGS, description="weighting"),
        "base": widgets.FloatSlider(value=10.0, min=1.0, max=30.0, step=1.0, description="base"),
        "smoothing": widgets.FloatSlider(value=0.0, min=0.0, max=4.0, step=0.5, description="smoothing"),
        "opacity": widgets.FloatSlider(value=0.8, min=0.0, max=1.0, step=0.1, description="opacity"),
    }
    strip = [
        {"scaling": "image", "weighting": "power"},
        {"scaling": "dataset", "weighting": "affine"},
        {"scaling": "dataset", "weighting": "hardness"},
    ]
    return Explorer(figure, controls, draw, strip)


def _describe_weights(
    patient: str,
    height: int,
    title: str,
    labels: np.ndarray,
    brain: np.ndarray,
    hardness: np.ndarray,
    weights: np.ndarray,
) -> str:
    foreground = labels > 0
    if not foreground.any():
        return f"Patient {patient}, slice {height}: no {title} here; mean weight {weights.mean():.2f}."
    background = brain & ~foreground
    share = weights[foreground].sum() / max(weights.sum(), 1e-12)
    return (
        f"Patient {patient}, slice {height}: {title} covers {foreground.mean():.1%} of the pixels and carries "
        f"{share:.0%} of the weight. Mean hardness {hardness[foreground].mean():.2f} nats inside, "
        f"{hardness[background].mean():.2f} in the rest of the brain; weights from {weights.min():.2f} "
        f"to {weights.max():.2f}."
    )
