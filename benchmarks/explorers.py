"""A redraw of every explorer beside four bare pictures, drawn in turns with it.

A redraw is all that happens in the kernel between an input's move and the new picture: the callback, the drawing, the
PNG. The bare pictures are what matplotlib takes by itself for four panels: a persistent figure whose data are
replaced, with a title each and nothing computed. Processor time stands beside wall time, since on a busy machine only
the former says what a redraw costs, and the last column is a ratio of processor times.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from benchmarks import made_up, report
from riskmap.data.cohort import Cohort, Task
from riskmap.data.patients import load_slices
from riskmap.data.simulated import ensure_cohort
from riskmap.explorers.base import Explorer
from riskmap.explorers.leep import explore_leep
from riskmap.explorers.patients import explore_cohort, explore_risk_map
from riskmap.explorers.results import explore_few_shot, explore_gap_matrix, explore_predictions
from riskmap.leep import LeepStatistics
from riskmap.training.config import NetworkConfig
from riskmap.training.networks import build_network
from riskmap.training.prediction import predict_probabilities

MOVES = 24
TASK = Task.parse("T1ce:TC")
# the input that is dragged
DRAGGED = {
    "explore_cohort": "height",
    "explore_risk_map": "height",
    "explore_leep": "accuracy",
    "explore_predictions": "height",
    "explore_few_shot": "arm",
    "explore_gap_matrix": "pair",
}


def make_explorers(cohort: Cohort, folder: Path) -> dict[str, Explorer]:
    """Return every explorer; networks are untrained and results made up, for only the time counts."""
    subjects = cohort.part("target_train")[:2]
    source = build_network(2, NetworkConfig(), seed=0)
    slices = load_slices(cohort, subjects[:1], TASK)
    softmax = torch.cat(list(predict_probabilities(source, slices.images)))
    leep = LeepStatistics(2, 2).update(softmax, slices.labels.long())
    runs = {f"run {seed}": made_up.make_run(folder / f"run{seed}", cohort, TASK, seed) for seed in (0, 1)}
    return {
        "explore_cohort": explore_cohort(cohort, TASK.target),
        "explore_risk_map": explore_risk_map(cohort, TASK, source, leep, subjects),
        "explore_leep": explore_leep(),
        "explore_predictions": explore_predictions(cohort, TASK, runs),
        "explore_few_shot": explore_few_shot(made_up.make_few_shot_scores()),
        "explore_gap_matrix": explore_gap_matrix(made_up.make_findings(folder / "records")),
    }


def values_to_visit(explorer: Explorer, name: str) -> list[Any]:
    """Return places of an input, neighbours differing, as a drag visits them."""
    widget = explorer.inputs[name]
    if hasattr(widget, "options"):
        found = list(widget._options_values)
        return [found[n % len(found)] for n in range(1, MOVES + 1)]
    if isinstance(widget.value, int):
        # around the slice that is shown: those at both ends are empty and cheap
        return [widget.value + 1 + n % (MOVES // 2) for n in range(MOVES)]
    return np.linspace(widget.min, widget.max, MOVES).tolist()


def bare_pictures(shape: tuple[int, int]) -> Callable[[int], None]:
    """Return a step that replaces the data of four persistent pictures [X, Y] and encodes the figure, plainly."""
    figure = Figure(figsize=(11.25, 3.25), dpi=96, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    frames = np.random.default_rng(0).random((MOVES, *shape), dtype=np.float32)
    axes = figure.subplots(1, 4)
    pictures = [ax.imshow(frames[0].T, vmin=0, vmax=1, origin="lower", interpolation="nearest") for ax in axes]
    for number, ax in enumerate(axes):
        ax.set(xticks=[], yticks=[], title=f"panel {number}")
    canvas.draw()
    figure.set_layout_engine("none")

    def step(number: int) -> None:
        for picture in pictures:
            picture.set_data(frames[number].T)
        canvas.draw()
        Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(BytesIO(), "png", compress_level=1)

    return step


def measure(steps: Mapping[str, Callable[[int], None]]) -> dict[str, tuple[float, float]]:
    """Return the medians of the wall and the processor milliseconds of each step, taken in turns."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for number in range(MOVES):
        for name, step in steps.items():
            started = time.perf_counter(), time.process_time()
            step(number)
            ended = time.perf_counter(), time.process_time()
            times[name].append((1000 * (ended[0] - started[0]), 1000 * (ended[1] - started[1])))
    return {name: (median(wall for wall, _ in each), median(cpu for _, cpu in each)) for name, each in times.items()}


def measure_explorer(explorer: Explorer, name: str, bare: Callable[[int], None]) -> dict[str, float]:
    """Return the milliseconds of a move beside those of the bare pictures."""
    widget, values = explorer.inputs[name], values_to_visit(explorer, name)

    def move(number: int) -> None:
        widget.value = values[number]

    for number in range(3):
        move(number)
        bare(number)
    medians = measure({"redraw": move, "bare": bare})
    (wall, processor), (_, of_bare) = medians["redraw"], medians["bare"]
    return {"ms": wall, "processor ms": processor, "bare processor ms": of_bare, "/ bare": processor / of_bare}


def main(cohort: str = "fets2021_simulated") -> None:
    """Time every explorer on a default cohort, which is simulated first when it is missing."""
    prepared = Cohort.open(ensure_cohort(cohort, "build/data"))
    bare = bare_pictures(prepared.shape[:2])
    with tempfile.TemporaryDirectory() as folder:
        explorers = make_explorers(prepared, Path(folder))
        rows: list[dict[str, Any]] = [
            {"explorer": name, "dragged": DRAGGED[name], **measure_explorer(explorer, DRAGGED[name], bare)}
            for name, explorer in explorers.items()
        ]
    report("explorers", tuple(rows[0]), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohort", default="fets2021_simulated", help="a default cohort (fets2021_simulated)")
    torch.set_num_threads(1)
    main(parser.parse_args().cohort)
