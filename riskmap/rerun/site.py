"""Build the site from the documents and the executed pages: ``python -m riskmap site``.

Nothing is executed: a page shows what its last execution showed, under its prose as it stands now.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from riskmap.project.commands import exit_status, run_command
from riskmap.project.environment import require_checkout
from riskmap.project.files import alone_with
from riskmap.project.leftovers import work_folder
from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT, resolve
from riskmap.project.writing import require_writable
from riskmap.rerun.execution import record_of
from riskmap.rerun.notebooks import pages_in
from riskmap.rerun.site_staging import stage


class SiteError(RuntimeError):
    """The site could not be built; the message says what is wrong with its source."""


def executed_in(folder: Path, notebooks: Sequence[Path]) -> dict[Path, Path | None]:
    """Return notebooks with their finished executed copies in a folder, None where there is none."""
    copies = {notebook: folder / notebook.name for notebook in notebooks}
    return {each: copy if copy.is_file() and record_of(copy).is_file() else None for each, copy in copies.items()}


def build_site(notebooks: Mapping[Path, Path | None], build: Path, root: Path = PROJECT_ROOT) -> Path:
    """Build the site into ``build/html`` and return its first page; where that fails, an older site stays as it was.

    Args:
        notebooks: the pages in their order, each with its executed copy or None.
        build: the folder of what is generated; the source of the site lies there too, in ``site_source``.
        root: the project, with the other documents of the site.

    Raises:
        SiteError: a link leads nowhere, or Sphinx has a complaint, be it a warning; its words are in the message.
    """
    html, source = build / "html", build / "site_source"
    build.mkdir(parents=True, exist_ok=True)
    with alone_with(source), work_folder(build) as work:
        try:
            stage(notebooks, work / "source", html, root)
        except ValueError as error:
            raise SiteError(f"the site could not be built: {error}") from error
        shutil.rmtree(source, ignore_errors=True)
        (work / "source").rename(source)
        # a folder deeper: myst-nb leaves files of its own beside the pages
        _run_sphinx(source, work / "out" / "html")
        if html.exists():
            html.rename(work / "old")
        (work / "out" / "html").rename(html)
    return html / "index.html"


def _run_sphinx(source: Path, html: Path) -> None:
    """Run Sphinx in a process of its own: it sets warnings, locales and loggers for all that runs beside it."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going", "-j", "auto"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")])}
    doctrees = html.with_name("doctrees")
    done = subprocess.run(
        [*command, "-d", str(doctrees), str(source), str(html)],
        env=environment,
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode != 0:
        raise SiteError(f"the site could not be built:\n{(done.stderr or done.stdout).strip()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the site from what is there, nothing executed, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m riskmap site", description=__doc__)
    folder = "folder of executed notebooks and site (build)"
    parser.add_argument("-o", "--out", type=Path, default=resolve("build"), help=folder)
    options = parser.parse_args(arguments)

    def work() -> int:
        require_checkout(PROJECT_ROOT)
        build = options.out.resolve()
        require_writable({"--out": build})
        pages = executed_in(build / "notebooks", list(pages_in(NOTEBOOKS).values()))
        bare = sum(executed is None for executed in pages.values())
        if bare:
            print(f"{bare} of {len(pages)} pages have not been executed: they are shown without outputs")
        print(f"Site: {build_site(pages, build)}")
        return 0

    return exit_status(work, "the next call starts again")


if __name__ == "__main__":
    run_command(main)
