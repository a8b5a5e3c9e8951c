"""Write what is published: small records under ``results/``, and the README's tables and figures drawn from them.

``python -m riskmap publish`` regenerates every table and figure from the records; a test fails when they disagree.
"""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from riskmap.data.cohort import Cohort
from riskmap.experiment import figures
from riskmap.experiment.figures import draw_harm, draw_summary
from riskmap.experiment.findings import Findings
from riskmap.experiment.score_tables import readme_section, scores
from riskmap.experiment.tables import summary
from riskmap.project.files import atomic_path, digest_of, read_json, write_json
from riskmap.project.paths import PROJECT_ROOT, RESULTS, resolve
from riskmap.training.record import processor_name
from riskmap.training.runs import Run

PUBLISHED = RESULTS / "tutorial.json"
FIGURE = RESULTS / "tutorial.png"
HARM_FIGURE = RESULTS / "negative_transfer.png"
REPAIRS_FIGURE = RESULTS / "repairs.png"
TWINS_FIGURE = RESULTS / "twins.png"
COST = RESULTS / "cost.json"
README = PROJECT_ROOT / "README.md"


def publish(out_dir: Path, cohort: Cohort, path: Path = PUBLISHED) -> None:
    """Write the records of a folder's transfer runs into one small file, without curves, and draw the harm figure.

    Raises:
        ValueError: the folder holds no transfer run on this cohort.
    """
    found = sorted((out_dir / "transfer").glob("*/*/record.json"))
    runs = [Run(record.parent, read_json(record)) for record in found]
    runs = [run for run in runs if run.record["parameters"]["data"]["digest"] == cohort.digest]
    if not runs:
        raise ValueError(f"{out_dir} holds no transfer run on the cohort {cohort.name}; run the tutorial first")
    write_json(path, [_without_curves(run.record) for run in runs])
    figure = draw_harm(runs, cohort)
    _save(figure, HARM_FIGURE, read_json(path))


def publish_cost(notebooks: Path, path: Path = COST) -> None:
    """Write how long each executed notebook of a folder took, from the records beside them; others keep their times."""
    records = {record.name.split(".")[0]: read_json(record) for record in sorted(notebooks.glob("*.ipynb.json"))}
    if not records:
        raise ValueError(f"{notebooks} holds no executed notebook; run the tutorial first")
    machine = {"processor": processor_name(), "cores": os.cpu_count()}
    before = read_json(path) if path.exists() else {}
    # pages that were not run again keep their times, if this machine took them
    seconds = before["seconds"] if {name: before.get(name) for name in machine} == machine else {}
    seconds |= {name: record["duration_seconds"] for name, record in records.items()}
    write_json(path, {"seconds": dict(sorted(seconds.items())), **machine})


def readme_text(text: str, records: Sequence[Mapping[str, Any]], found: Findings) -> str:
    """Return the README with its generated sections made anew."""
    text = replace_section(text, "tutorial-table", readme_section(records))
    return replace_section(text, "experiment", summary(found))


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Regenerate the README's figure and table from ``results/``; with --publish, collect new records there first."""
    parser = argparse.ArgumentParser(prog="python -m riskmap publish", description=main.__doc__)
    parser.add_argument("--publish", metavar="OUT_DIR", help="collect the records of this folder's transfer runs")
    parser.add_argument("--cost", metavar="FOLDER", help="collect how long this folder's executed notebooks took")
    parser.add_argument("--cohort", metavar="FOLDER", default="build/data/prepared/fets2021_simulated")
    options = parser.parse_args(arguments)
    if options.publish:
        publish(resolve(options.publish), Cohort.open(resolve(options.cohort)))
    if options.cost:
        publish_cost(resolve(options.cost))
    records = read_json(PUBLISHED)
    _save(draw_summary(scores(records)), FIGURE, records)
    found = Findings()
    _save(figures.draw_repairs(found), REPAIRS_FIGURE, found.digest)
    _save(figures.draw_twins(found), TWINS_FIGURE, found.digest)
    readme = readme_text(README.read_text(encoding="utf-8"), records, found)
    with atomic_path(README) as temporary:
        temporary.write_text(readme, encoding="utf-8")
    print(f"wrote the tables of {README.name} and the figures of {RESULTS.name}/ from its records")


if __name__ == "__main__":
    main()
