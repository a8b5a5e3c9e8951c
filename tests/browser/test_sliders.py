"""Every notebook with explorers, in JupyterLab: run all, move each slider by keyboard, and the picture follows."""

import papermill
import pytest

from riskmap.project.paths import PROJECT_ROOT
from riskmap.rerun.notebooks import checked_parameters, declared_parameters

from .contents import explorers_of, problems
from .page import REDRAW_SECONDS, WIDTHS, notebook_page, wait_until

NOTEBOOKS = sorted((PROJECT_ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SMOKE = PROJECT_ROOT / "notebooks" / "profiles" / "smoke.yaml"
# outlives the run: what a reader would have seen
SCREENSHOTS = PROJECT_ROOT / "build" / "browser"
STEPS = 3


def with_tiny_data(notebook, output, out_dir):
    """Write a copy of a notebook that runs with the smoke profile; the tiny cohort is made where it is missing.

    Its few steps are done before another process has started.
    """
    given = {"out_dir": str(out_dir), "jobs": 1}
    declared = declared_parameters(notebook)
    values = checked_parameters(notebook, SMOKE, {name: value for name, value in given.items() if name in declared})
    papermill.execute_notebook(str(notebook), str(output), values, prepare_only=True, progress_bar=False)


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """The results that the notebooks of one session share, away from the reader's own."""
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("notebook", [n for n in NOTEBOOKS if explorers_of(n)], ids=lambda path: path.stem)
def test_sliders_move_the_pictures(notebook, browser, lab, runs):
    names = explorers_of(notebook)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with_tiny_data(notebook, lab.root / notebook.name, runs)
    with notebook_page(browser, lab, notebook.name, SCREENSHOTS / f"{notebook.stem}-failed.png") as page:
        assert problems(page.run_all()) == []
        # JupyterLab attaches what is far from the window when it has time for it
        what = f"the page shows its explorers {', '.join(names)}"

        def all_there():
            page.unfold()
            return page.num_explorers() == len(names)

        page.page.screenshot(path=SCREENSHOTS / f"{notebook.stem}-folded.png")
        wait_until(all_there, REDRAW_SECONDS, what)
        logged = len(lab.log.read_text(encoding="utf-8"))
        for number, name in enumerate(names):
            move_there_and_back(page.explorer(number), name)
            for width in WIDTHS:
                page.resize(width)
                explorer = page.explorer(number)
                explorer.area.screenshot(path=SCREENSHOTS / f"{notebook.stem}-{name}_{width}.png")
                assert explorer.overflow() <= 0, f"{name} stands out of its cell in a window of {width} pixels"
        # what a slider's callback raises reaches no cell: the kernel tells it to the server's log alone
        assert "Traceback" not in lab.log.read_text(encoding="utf-8")[logged:]


def move_there_and_back(explorer, name):
    """Move an explorer's first slider, or else its first list, by keyboard, there and back; its picture must follow."""
    position, picture = explorer.position(), explorer.pixels()
    there, back = explorer.keys()
    for _ in range(STEPS):
        explorer.move(there)
    wait_until(lambda: not explorer.shows(picture), REDRAW_SECONDS, f"the picture of {name} followed its slider")
    assert explorer.position() != position, f"{name}: the slider stays at {position}"
    for _ in range(STEPS):
        # near its end a slider has taken fewer steps
        if explorer.position() != position:
            explorer.move(back)
    wait_until(lambda: explorer.shows(picture), REDRAW_SECONDS, f"the picture of {name} came back with its slider")
    assert explorer.position() == position
