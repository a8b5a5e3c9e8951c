"""Write what is published: small records under ``results/``, and the README's tables and figures drawn from them.

``python -m riskmap publish`` regenerates every table and figure from the records; a test fails when they disagree.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from matplotlib.figure import Figure
from PIL import Image

from riskmap.experiment.figures import draw_harm, draw_repairs, draw_summary
from riskmap.experiment.findings import Findings
from riskmap.experiment.habit_figures import HabitChart
from riskmap.experiment.recipe import RECORDS as RECIPE_RECORDS
from riskmap.experiment.recipe_table import recipe_section
from riskmap.experiment.score_tables import readme_section, scores
from riskmap.experiment.sentences import Sentences
from riskmap.pages.comparison import Comparison
from riskmap.pages.parameters import Comparing
from riskmap.project.commands import exit_status, positive, run_command
from riskmap.project.environment import require_checkout
from riskmap.project.files import atomic_path, digest_of, read_json, write_json
from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT, RESULTS, resolve
from riskmap.project.writing import require_own_copy
from riskmap.rerun import classroom
from riskmap.rerun.duration import RECORD_NAME
from riskmap.rerun.notebooks import checked_parameters, page_of
from riskmap.rerun.tutorial import PROFILE, find_profile
from riskmap.training.runs import missing_runs

TUTORIAL_RECORDS = RESULTS / "tutorial.json"
FIGURE = RESULTS / "tutorial.png"
HARM_FIGURE = RESULTS / "negative_transfer.png"
REPAIRS_FIGURE = RESULTS / "repairs.png"
HABITS_FIGURE = RESULTS / "habits.png"
COST = RESULTS / "cost.json"
TIME = RESULTS / RECORD_NAME
README = PROJECT_ROOT / "README.md"


def tutorial_comparisons(seeds: Sequence[int], out_dir: str, data_dir: str = "build/data") -> list[Comparison]:
    """Return what pages 3 and 4 compare with the profile ``teach``, page 3 with other seeds.

    Args:
        seeds: of page 3.
        out_dir: the folder of the runs.
        data_dir: the folder of archives and prepared cohorts.
    """
    folders = {"out_dir": out_dir, "data_dir": data_dir}
    comparisons: list[Comparison] = []
    for page, values in (("03_fine_tuning", folders | {"seeds": list(seeds)}), ("04_few_shot", folders)):
        notebook = NOTEBOOKS / f"{page}.ipynb"
        given = page_of(notebook, checked_parameters(notebook, find_profile(PROFILE, NOTEBOOKS), values))
        comparisons += cast(Comparing, given).comparisons()
    return comparisons


def publish(comparisons: Sequence[Comparison], path: Path = TUTORIAL_RECORDS) -> None:
    """Write the records of the runs of comparisons into one small file, without curves, and draw the first one's harm.

    Only these very runs count: others in the same folder, with other steps, rates or patients, are not looked at.

    Raises:
        ValueError: some of the runs are not there; nothing is written.
    """
    missing = missing_runs([run for each in comparisons for run in each.wanted], comparisons[0].out_dir)
    if missing:
        raise ValueError(f"{len(missing)} of the runs are missing in {comparisons[0].out_dir}; run the tutorial first")
    runs = {run.folder: run.record for each in comparisons for run in each.runs.values()}
    write_json(path, [_without_curves(runs[folder]) for folder in sorted(runs)])
    changes = comparisons[0].changes()
    worst, _ = changes.worst()
    kind = " (simulated)" if changes.cohort.simulated else ""
    title = f"{comparisons[0].title}, patient {worst}: changed against scratch, seed {changes.seed}{kind}"
    _save(draw_harm(changes, title), HARM_FIGURE, read_json(path))


def publish_time(measured: Path, path: Path = TIME, cost: Path = COST) -> None:
    """Publish how long the first call of the tutorial took, and what each page would take alone.

    A page of the tutorial finds its runs made. Alone it would first make them, as many side by side as it is given.

    Args:
        measured: the record that the tutorial has left.
        path: where it is published; ``check-env`` reads it there.
        cost: where the seconds of each page alone are published.

    Raises:
        ValueError: the tutorial was run with another profile.
    """
    record = read_json(measured)
    if record["profile"] != PROFILE:
        raise ValueError(f"{measured} is of the profile {record['profile']}; what is published is of {PROFILE}")
    alone = {name: page["seconds"] + page["training"] / page["jobs"] for name, page in record["pages"].items()}
    machine = {"processor": record["processor"], "cores": record["cores"]}
    write_json(path, record)
    write_json(cost, {"seconds": {name: round(seconds, 1) for name, seconds in sorted(alone.items())}, **machine})


def readme_text(
    text: str,
    records: Sequence[Mapping[str, Any]],
    sentences: Sentences,
    recipe: Sequence[Mapping[str, Any]],
    chart: HabitChart,
) -> str:
    """Return the README with its generated sections made anew."""
    text = replace_section(text, "tutorial-table", readme_section(records))
    text = replace_section(text, "recipe", recipe_section(recipe))
    text = replace_section(text, "habits", chart.section())
    return replace_section(text, "experiment", sentences.section())


def classroom_text() -> str:
    """Return the guide for teachers with its generated sections made anew."""
    text = classroom.GUIDE.read_text(encoding="utf-8")
    for name, content in classroom.sections().items():
        text = replace_section(text, name, content)
    return text


def replace_section(text: str, name: str, content: str) -> str:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->``.

    Raises:
        ValueError: the markers are not there exactly once.
    """
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"the text must hold <!-- {name} --> ... <!-- /{name} --> exactly once")
    return pattern.sub(lambda match: match[1] + content + "\n" + match[2], text)


def figure_digest(path: Path) -> str | None:
    """Return the digest of the records that a figure was drawn from, as written into the PNG."""
    with Image.open(path) as picture:
        return picture.info.get("records")


def _without_curves(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "results": {key: value for key, value in record["results"].items() if key != "history"}}


def _save(figure: Figure, path: Path, records: Any) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, metadata={"records": digest_of(records)})


def main(arguments: Sequence[str] | None = None) -> int:
    """Regenerate the README's figure and table from ``results/``; with --publish, collect new records there first."""
    parser = argparse.ArgumentParser(prog="python -m riskmap publish", description=main.__doc__)
    parser.add_argument("--publish", metavar="OUT_DIR", help="collect the records of pages 3 and 4 from these runs")
    parser.add_argument("--seeds", type=positive, default=2, help="seeds of page 3 that are collected")
    parser.add_argument("--classroom", action="store_true", help="collect what the benchmarks bundle and hub measured")
    parser.add_argument("--time", metavar="FILE", help=f"collect how long the tutorial took: build/{RECORD_NAME}")
    options = parser.parse_args(arguments)

    def work() -> int:
        require_checkout(PROJECT_ROOT)
        require_own_copy("riskmap publish", RESULTS, README.parent)
        if options.publish:
            publish(tutorial_comparisons(range(options.seeds), options.publish))
        if options.time:
            publish_time(resolve(options.time))
        if options.classroom:
            classroom.collect()
        records = read_json(TUTORIAL_RECORDS)
        _save(draw_summary(scores(records)), FIGURE, records)
        real, simulated = Findings.read("real"), Findings.read("simulated")
        _save(draw_repairs(real, simulated), REPAIRS_FIGURE, [real.digest, simulated.digest])
        chart = HabitChart.read()
        _save(chart.draw(), HABITS_FIGURE, chart.rows)
        text, recipe = README.read_text(encoding="utf-8"), read_json(RECIPE_RECORDS)["rows"]
        readme = readme_text(text, records, Sentences(simulated, real), recipe, chart)
        for path, content in ((README, readme), (classroom.GUIDE, classroom_text())):
            with atomic_path(path) as temporary:
                temporary.write_text(content, encoding="utf-8")
        tables = f"{README.name} and {classroom.GUIDE.name}"
        print(f"wrote the tables of {tables} and the figures of {RESULTS.name}/ from its records")
        return 0

    return exit_status(work, "the same command begins again")


if __name__ == "__main__":
    run_command(main)
