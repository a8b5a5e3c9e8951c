"""What a patient looks like, before any network has seen it."""

from matplotlib.figure import Figure

from riskmap.data.cohort import Cohort
from riskmap.figures.images import busiest_slice, plot_labels, plot_slice


def draw_sequences(cohort: Cohort) -> Figure:
    """Draw one slice of the first target training patient in every sequence, and its label in colours."""
    patient, parts = cohort.part("target_train")[0], cohort.finest_target
    labels = cohort.labels(patient, parts)
    height = busiest_slice(labels)
    anatomy = "T1" if "T1" in cohort.modalities else cohort.modalities[0]
    panels = len(cohort.modalities) + 1
    figure = Figure(figsize=(2.8 * panels, 3.9), dpi=100, layout="constrained")
    axes = figure.subplots(1, panels)
    for ax, modality in zip(axes, cohort.modalities, strict=False):
        plot_slice(ax, cohort.image(patient, modality)[..., height], title=modality)
    plot_slice(axes[-1], cohort.image(patient, anatomy)[..., height], title=f"label on {anatomy}")
    plot_labels(axes[-1], labels[..., height], cohort.targets[parts].classes)
    return figure
