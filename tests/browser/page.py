"""A notebook open in a browser: run it, find its explorers and move their sliders."""

import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from nbformat import NotebookNode
from nbformat.reader import NotJSONError
from PIL import Image
from playwright.sync_api import Browser, Locator, Page
from playwright.sync_api import Error as PlaywrightError

from .lab import Lab

WIDTHS = (1000, 1500)
HEIGHT = 1200
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
RUN_SECONDS = 400
REDRAW_SECONDS = 60
DRAW_ON_CANVAS = """image => {
    if (!image.complete || !image.naturalWidth) return null;
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL('image/png');
}"""
# the right edge of the widest part, measured from the cell's own
REACH = """area => {
    const right = element => element.getBoundingClientRect().right;
    const parts = [area, ...area.querySelectorAll('.jupyter-widgets, .widget-html-content > *')];
    return Math.max(...parts.map(right)) - right(area.closest('.jp-Cell'));
}"""


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return what ``condition`` gives as soon as it is true; AssertionError naming ``what`` after ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:g} s in vain until {what}")


class ExplorerOnPage:
    """One explorer on the page: what can be touched and what can be seen of it."""

    def __init__(self, page: Page, number: int) -> None:
        self.page = page
        # the outermost box that holds the controls, the picture and the sentence
        self.area = page.locator(".jp-OutputArea-output:has(.widget-image)").nth(number)
        self.image = self.area.locator(".widget-image").first
        self.slider = self.area.locator(".widget-slider").first
        self.list = self.area.locator(".widget-dropdown select").first
        self.has_slider = self.slider.count() > 0
        self.handle = self.slider.locator(".noUi-handle").first if self.has_slider else self.list

    def position(self) -> str:
        """Return what the first slider, or else the first list, stands at."""
        if not self.has_slider:
            return self.list.evaluate("list => list.selectedOptions[0].text")
        # not inner_text, which is empty where the browser leaves out what is far from the window
        return self.slider.locator(".widget-readout").text_content().strip()

    def keys(self) -> tuple[str, str]:
        """Return the arrow keys that lead there and back; at its end a control only goes back."""
        if not self.has_slider:
            return "ArrowDown", "ArrowUp"
        value, last = (self.handle.get_attribute(f"aria-value{name}") for name in ("now", "max"))
        return ("ArrowLeft", "ArrowRight") if value == last else ("ArrowRight", "ArrowLeft")

    def pixels(self) -> np.ndarray:
        """Return the picture as the browser has decoded it, [H, W, 3].

        A screenshot of it would also hold its neighbours: the page places pictures at fractions of a pixel.
        """
        self.image.scroll_into_view_if_needed()
        url = wait_until(lambda: self.image.evaluate(DRAW_ON_CANVAS), REDRAW_SECONDS, "the picture was there")
        return decode(b64decode(url.partition(",")[2]))

    def shows(self, picture: np.ndarray) -> bool:
        """Tell whether this very picture is shown."""
        return np.array_equal(self.pixels(), picture)

    def move(self, key: str) -> None:
        """Press an arrow key on that control; the kernel draws later, and seldom every step of a fast move."""
        self.handle.focus()
        self.page.keyboard.press(key)

    def overflow(self) -> float:
        """Return by how many pixels the widest part of the explorer stands out of its cell on the right."""
        return self.area.evaluate(REACH)


def decode(png: bytes) -> np.ndarray:
    """Return a PNG's pixels [H, W, 3]."""
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


class NotebookPage:
    """A notebook open in JupyterLab, one document and nothing else."""

    def __init__(self, page: Page, lab: Lab, name: str) -> None:
        self.page, self.lab, self.name = page, lab, name
        self.file = lab.root / name

    def open(self) -> None:
        """Open the notebook and wait until its kernel really is connected.

        The page shows "Idle" before that, and a run that is asked for then is dropped without a word.
        """
        self.page.goto(self.lab.address(self.name))
        wait_until(self.lab.has_connected_kernel, RUN_SECONDS, "a kernel is idle and connected to the page")

    def run_all(self) -> NotebookNode:
        """Run all cells, wait until the last one is done, save the notebook and return it."""
        wait_until(self._started, 60, "JupyterLab began to run the cells")
        wait_until(self._done, RUN_SECONDS, "all cells were done")
        return self._save()

    def unfold(self) -> None:
        """Open the sections that the notebook opens folded, by the button that a reader sees below each heading."""
        hidden = self.page.locator(".jp-showHiddenCellsButton")
        while hidden.count():
            hidden.first.click()

    def explorer(self, number: int) -> ExplorerOnPage:
        """Return the explorer with this number on the page, counted from 0."""
        return ExplorerOnPage(self.page, number)

    def num_explorers(self) -> int:
        """Return how many explorers the page shows."""
        return self.page.locator(".jp-OutputArea-output:has(.widget-image)").count()

    def resize(self, width: int) -> None:
        """Give the window another width, and the page time to arrange itself."""
        self.page.set_viewport_size({"width": width, "height": HEIGHT})
        self.page.wait_for_timeout(1000)

    def _started(self) -> bool:
        self._menu("Run", "Run All Cells")
        self.page.wait_for_timeout(2000)
        prompts: Locator = self.page.locator(".jp-InputPrompt")
        return any("*" in text or any(map(str.isdigit, text)) for text in prompts.all_inner_texts())

    def _done(self) -> bool:
        waiting = self.page.locator('.jp-InputPrompt:has-text("[*]")').count()
        return not waiting and self.lab.has_connected_kernel()

    def _save(self) -> NotebookNode:
        before = self.file.stat().st_mtime_ns
        self._menu("File", "Save Notebook")

        def saved() -> NotebookNode | None:
            if self.file.stat().st_mtime_ns == before:
                return None
            try:
                return nbformat.read(self.file, as_version=4)
            except NotJSONError:
                return None  # the server is still writing it

        return wait_until(saved, 60, f"{self.name} was saved")

    def _menu(self, menu: str, entry: str) -> None:
        self.page.locator(".lm-MenuBar-item", has_text=menu).first.click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True).click()


@contextmanager
def notebook_page(browser: Browser, lab: Lab, name: str, failed: Path) -> Iterator[NotebookPage]:
    """Open a notebook in a fresh window; the page and the kernels end with the block.

    Args:
        browser: a started browser.
        lab: a running JupyterLab that shows the notebook.
        name: the notebook's file name below the lab's root.
        failed: where the page's picture is kept when the block raises.
    """
    failed.unlink(missing_ok=True)
    page = browser.new_page(viewport={"width": WIDTHS[-1], "height": HEIGHT})
    try:
        notebook = NotebookPage(page, lab, name)
        notebook.open()
        yield notebook
    except BaseException:
        with suppress(PlaywrightError):
            page.screenshot(path=failed)
        raise
    finally:
        # after Ctrl-C the browser or the server may be gone already, which must not hide that it was Ctrl-C
        with suppress(PlaywrightError, OSError):
            page.close()
            lab.end_kernels()
