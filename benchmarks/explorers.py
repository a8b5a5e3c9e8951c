"""A redraw of every explorer beside drawing the same into a fresh figure whose layout must be found.

A redraw is all that happens in the kernel between an input's move and the new picture: the callback, the drawing, the
PNG. The time to beat is 60 ms for the four panels of the risk map. Processor time stands beside wall time, since on a
busy machine only the former says what a redraw costs. The last row is the least that four panels can cost here: a
persistent figure of four bare pictures whose data are replaced, with a title each and nothing computed.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import made_up, report
from riskmap.data.cohort import Cohort, Task
from riskmap.data.patients import load_slices
from riskmap.data.simulated import ensure_cohort
from riskmap.explorers.base import Explorer, encode_picture, panels
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


def measure(step: Callable[[Any], None], values: Iterable[Any]) -> tuple[float, float]:
    """Return the medians of the wall and the processor milliseconds of a step."""
    wall, processor = [], []
    for value in values:
        started = time.perf_counter(), time.process_time()
        step(value)
        wall.append(1000 * (time.perf_counter() - started[0]))
        processor.append(1000 * (time.process_time() - started[1]))
    return statistics.median(wall), statistics.median(processor)


def measure_explorer(explorer: Explorer, name: str) -> dict[str, float]:
    """Return the milliseconds of a move, and of the same move with cleared axes, a new layout and full compression."""
    widget = explorer.inputs[name]
    values = values_to_visit(explorer, name)

    def move(value: Any) -> None:
        widget.value = value

    def move_afresh(value: Any) -> None:
        for ax in explorer.figure.axes:
            ax.clear()
        explorer.figure.set_layout_engine("constrained")
        widget.value = value
        explorer.figure.set_layout_engine("none")

    for value in values[:3]:
        move(value)
    wall, processor = measure(move, values)
    _, fresh_processor = measure(move_afresh, values)
    return {
        "ms": wall,
        "processor ms": processor,
        "fresh processor ms": fresh_processor,
        "fresh / redraw": fresh_processor / processor,
    }


def measure_bare_panels(shape: tuple[int, int]) -> dict[str, float | str]:
    """Return the milliseconds of four persistent pictures [X, Y] whose data are replaced, PNG included."""
    figure = panels(4, width=11.25)
    frames = np.random.default_rng(0).random((MOVES, *shape), dtype=np.float32)
    pictures = [ax.imshow(frames[0].T, vmin=0, vmax=1, origin="lower", interpolation="nearest") for ax in figure.axes]
    for number, ax in enumerate(figure.axes):
        ax.set(xticks=[], yticks=[], title=f"panel {number}")
    encode_picture(figure)
    figure.set_layout_engine("none")

    def move(frame: np.ndarray) -> None:
        for picture in pictures:
            picture.set_data(frame.T)
        encode_picture(figure)

    wall, processor = measure(move, frames)
    return {"ms": wall, "processor ms": processor, "fresh processor ms": "-", "fresh / redraw": "-"}


def main(cohort: str = "fets2021_simulated") -> None:
    """Time every explorer on a default cohort, which is simulated first when it is missing."""
    prepared = Cohort.open(ensure_cohort(cohort, "build/data"))
    with tempfile.TemporaryDirectory() as folder:
        explorers = make_explorers(prepared, Path(folder))
        rows: list[dict[str, Any]] = [
            {"explorer": name, "dragged": DRAGGED[name], **measure_explorer(explorer, DRAGGED[name])}
            for name, explorer in explorers.items()
        ]
    bare = measure_bare_panels(prepared.shape[:2])
    rows.append({"explorer": "four bare pictures", "dragged": "-", **bare})
    for row in rows:
        row["redraw / bare"] = row["processor ms"] / bare["processor ms"]
    report("explorers", tuple(rows[0]), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohort", default="fets2021_simulated", help="a default cohort (fets2021_simulated)")
    torch.set_num_threads(1)
    main(parser.parse_args().cohort)
