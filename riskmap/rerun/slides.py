"""Build the slides of the workshop: ``python -m riskmap slides``; they need no network, and open from the disk."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from riskmap.experiment.brief import Brief
from riskmap.experiment.brief_figures import draw_maps, draw_transfer
from riskmap.experiment.findings import Findings
from riskmap.project.commands import exit_status, run_command
from riskmap.project.environment import require_checkout
from riskmap.project.files import read_json, write_json
from riskmap.project.paths import PROJECT_ROOT, resolve
from riskmap.project.writing import require_writable
from riskmap.rerun.kit import KIT, kit_texts
from riskmap.rerun.publish import COST, MAP_FIGURE, NEAR_FIGURE, TIME, TWIN_FIGURE

SOURCE = KIT / "slides"
SLIDES = resolve("build") / "slides"
_PUBLISHED = (NEAR_FIGURE, MAP_FIGURE, TWIN_FIGURE)


def build_slides(
    texts: Mapping[str, str], figures: Mapping[str, Figure], out: Path = SLIDES, source: Path = SOURCE
) -> Path:
    """Build the slides and return their page.

    Args:
        texts: Markdown by name; the slides write ``{{ maps_verdict }}`` for what is called maps-verdict.
        figures: by the name of their file, without its suffix.
        out: the folder that is written.
        source: holds ``index.md``, ``conf.py`` and ``slides.css``.

    Raises:
        ValueError: Sphinx found something wrong, a name that is not there for one; its message goes before.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Sphinx writes beside what it reads, and the figures are not part of the checkout
        copied = Path(folder) / "slides"
        (copied / "figures").mkdir(parents=True)
        (copied / "_static").mkdir()
        for name in ("conf.py", "index.md"):
            shutil.copy(source / name, copied)
        shutil.copy(source / "slides.css", copied / "_static")
        for path in _PUBLISHED:
            shutil.copy(path, copied / "figures")
        for name, figure in figures.items():
            figure.savefig(copied / "figures" / f"{name}.png")
        write_json(copied / "texts.json", {name.replace("-", "_"): text for name, text in texts.items()})
        command = [sys.executable, "-m", "sphinx", "-b", "revealjs", "-W", "--keep-going", "-q", "-E"]
        done = subprocess.run([*command, "-d", f"{folder}/doctrees", copied, out], cwd=PROJECT_ROOT)
    if done.returncode != 0:
        raise ValueError("the slides were not built: Sphinx says why above")
    return out / "index.html"


def figures_of(simulated: Findings, real: Findings) -> dict[str, Figure]:
    """Return the figures that are drawn from the records, by name."""
    return {"transfer": draw_transfer(simulated, real), "maps": draw_maps(simulated, real)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the workshop's slides from the published records; open them in a browser, S shows the speaker's notes."""
    parser = argparse.ArgumentParser(prog="python -m riskmap slides", description=main.__doc__)
    parser.add_argument("--out", default=SLIDES, metavar="FOLDER", help="where to (default: build/slides)")
    options = parser.parse_args(arguments)

    def work() -> int:
        require_checkout(PROJECT_ROOT)
        out = resolve(options.out)
        require_writable({"--out": out})
        print("Reading the records and drawing the figures ...", flush=True)
        simulated, real = Findings.read("simulated"), Findings.read("real")
        texts = kit_texts(Brief(simulated, real), read_json(TIME), read_json(COST))
        print(f"wrote {build_slides(texts, figures_of(simulated, real), out)}")
        return 0

    return exit_status(work, "the same command begins again")


if __name__ == "__main__":
    run_command(main)
