"""Write what is published: small records under ``results/``, and tables and figures of documents drawn from them.

``python -m riskmap publish`` regenerates every table and figure from the records; a test fails when they disagree.
"""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from matplotlib.figure import Figure
from PIL import Image

from riskmap.experiment.brief import Brief
from riskmap.experiment.brief_figures import draw_harm_enlarged
from riskmap.experiment.figures import draw_harm, draw_repairs, draw_summary
from riskmap.experiment.findings import Findings
from riskmap.experiment.habit_figures import HabitChart
from riskmap.experiment.headline import front_table, headline
from riskmap.experiment.recipe import RECORDS as RECIPE_RECORDS
from riskmap.experiment.recipe_table import recipe_section
from riskmap.experiment.score_tables import readme_section, scores
from riskmap.experiment.sentences import Sentences
from riskmap.pages.comparison import Comparison
from riskmap.pages.map_pictures import MapPictures
from riskmap.pages.parameters import Comparing
from riskmap.project.commands import exit_status, positive, run_command
from riskmap.project.environment import require_checkout
from riskmap.project.files import atomic_path, digest_of, read_json, write_json
from riskmap.project.paths import DOCS, NOTEBOOKS, PROJECT_ROOT, RESULTS, resolve
from riskmap.project.writing import require_own_copy
from riskmap.rerun import classroom
from riskmap.rerun.duration import RECORD_NAME
from riskmap.rerun.kit import KIT, kit_texts, publish_kit
from riskmap.rerun.notebooks import checked_parameters, page_of
from riskmap.rerun.road import road
from riskmap.rerun.tutorial import PROFILE, find_profile
from riskmap.training.runs import missing_runs

TUTORIAL_RECORDS = RESULTS / "tutorial.json"
FIGURE = RESULTS / "tutorial.png"
HARM_FIGURE = RESULTS / "negative_transfer.png"
REPAIRS_FIGURE = RESULTS / "repairs.png"
NEAR_FIGURE = RESULTS / "negative_transfer_near.png"
MAP_FIGURE = RESULTS / "risk_map.png"
TWIN_FIGURE = RESULTS / "twin.png"
HABITS_FIGURE = RESULTS / "habits.png"
COST = RESULTS / "cost.json"
TIME = RESULTS / RECORD_NAME
README = PROJECT_ROOT / "README.md"
# the generated sections of each document; one section may stand in several
PLACES: dict[Path, tuple[str, ...]] = {
    README: ("front", "road"),
    DOCS / "index.md": ("finding", "road"),
    DOCS / "experiment.md": ("experiment", "habits", "tutorial-table"),
    DOCS / "recipe.md": ("recipe",),
    classroom.GUIDE: ("bundle", "hub"),
}


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


def publish_pictures(comparison: Comparison, records: Path = TUTORIAL_RECORDS) -> None:
    """Draw the slides' pictures: harm from near by, the hardness of a training slice, and weights beside their twin's.

    Args:
        comparison: the first of :func:`publish`.
        records: what :func:`publish` wrote.
    """
    _save(draw_harm_enlarged(comparison.changes()), NEAR_FIGURE, read_json(records))
    pictures = MapPictures(comparison.map())
    _save(pictures.draw_map(), MAP_FIGURE, read_json(records))
    _save(pictures.draw_twin(), TWIN_FIGURE, read_json(records))


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


def published_texts() -> dict[Path, str]:
    """Return every document of ``PLACES`` with its generated sections made anew.

    Raises:
        ValueError: a document lacks a section.
    """
    simulated, real = Findings.read("simulated"), Findings.read("real")
    sections: dict[str, Callable[[Path], str]] = {
        "tutorial-table": lambda _: readme_section(read_json(TUTORIAL_RECORDS)),
        "recipe": lambda _: recipe_section(read_json(RECIPE_RECORDS)["rows"]),
        "habits": lambda _: HabitChart.read().section(),
        "experiment": lambda _: Sentences(simulated, real).section(),
        "front": lambda _: front_table(simulated, real),
        "finding": lambda _: headline(simulated, real).text,
        "road": lambda document: road(read_json(TIME), document.parent),
    }
    of_classroom = classroom.sections()
    texts = {}
    for document, names in PLACES.items():
        text = document.read_text(encoding="utf-8")
        for name in names:
            content = sections[name](document) if name in sections else of_classroom[name]
            text = replace_section(text, name, content)
        texts[document] = text
    return texts


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
    """Regenerate published tables and figures from ``results/``; with --publish, collect new records there first."""
    parser = argparse.ArgumentParser(prog="python -m riskmap publish", description=main.__doc__)
    parser.add_argument("--publish", metavar="OUT_DIR", help="collect the records of pages 3 and 4 from these runs")
    parser.add_argument("--seeds", type=positive, default=2, help="seeds of page 3 that are collected")
    parser.add_argument("--classroom", action="store_true", help="collect what the benchmarks bundle and hub measured")
    parser.add_argument("--time", metavar="FILE", help=f"collect how long the tutorial took: build/{RECORD_NAME}")
    options = parser.parse_args(arguments)

    def work() -> int:
        require_checkout(PROJECT_ROOT)
        require_own_copy("riskmap publish", RESULTS, *{document.parent for document in PLACES})
        if options.publish:
            comparisons = tutorial_comparisons(range(options.seeds), options.publish)
            publish(comparisons)
            publish_pictures(comparisons[0])
        if options.time:
            publish_time(resolve(options.time))
        if options.classroom:
            classroom.collect()
        brief = Brief(Findings.read("simulated"), Findings.read("real"))
        publish_kit(kit_texts(brief, read_json(TIME), read_json(COST)))
        print(f"wrote what {KIT.name}/ counts")
        records = read_json(TUTORIAL_RECORDS)
        _save(draw_summary(scores(records)), FIGURE, records)
        real, simulated = Findings.read("real"), Findings.read("simulated")
        _save(draw_repairs(real, simulated), REPAIRS_FIGURE, [real.digest, simulated.digest])
        chart = HabitChart.read()
        _save(chart.draw(), HABITS_FIGURE, chart.rows)
        for document, text in published_texts().items():
            with atomic_path(document) as temporary:
                temporary.write_text(text, encoding="utf-8")
        named = ", ".join(document.relative_to(PROJECT_ROOT).as_posix() for document in PLACES)
        print(f"wrote the tables of {named} and the figures of {RESULTS.name}/ from its records")
        return 0

    return exit_status(work, "the same command begins again")


if __name__ == "__main__":
    run_command(main)
