"""The workshop's slides in a real browser: nothing is asked of a network, and every slide fits its page."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from riskmap.experiment.brief import Brief
from riskmap.experiment.findings import Findings
from riskmap.project.files import read_json
from riskmap.project.paths import BUILD
from riskmap.rerun import publish, slides
from riskmap.rerun.kit import kit_texts

SIZE = {"width": 1280, "height": 720}
# how far the widest and the lowest part of a slide reach, notes left out, in pixels of the window
REACH = """() => {
    const parts = [...Reveal.getCurrentSlide().querySelectorAll('*')].filter(part => !part.closest('aside'));
    const boxes = parts.map(part => part.getBoundingClientRect());
    return [Math.max(...boxes.map(box => box.right)), Math.max(...boxes.map(box => box.bottom))];
}"""
UNSEEN = "() => [...document.images].filter(image => !image.complete || !image.naturalWidth).length"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slides, from the published records."""
    found = Findings.read("simulated"), Findings.read("real")
    texts = kit_texts(Brief(*found), read_json(publish.TIME), read_json(publish.COST))
    return slides.build_slides(texts, slides.figures_of(*found), tmp_path_factory.mktemp("slides"))


@pytest.fixture
def page(browser: Browser, built: Path) -> Page:
    """The slides, opened from the disk with every network refused; what goes wrong is kept in ``page.wrong``."""
    page = browser.new_page(viewport=SIZE)
    page.wrong = []
    page.context.set_offline(True)
    page.on("console", lambda message: page.wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("request", lambda asked: asked.url.startswith("file:") or page.wrong.append(asked.url))
    page.goto(built.as_uri())
    page.wait_for_function("() => window.Reveal && Reveal.isReady()")
    yield page
    page.close()


def test_every_slide_fits_and_asks_nothing_of_a_network(page: Page):
    pictures = BUILD / "browser" / "slides"
    pictures.mkdir(parents=True, exist_ok=True)
    too_large = []
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate(f"Reveal.slide({number})")
        page.wait_for_timeout(200)
        right, bottom = page.evaluate(REACH)
        page.screenshot(path=pictures / f"{number:02}.png")
        if right > SIZE["width"] or bottom > SIZE["height"] - 10:
            too_large.append((number, right, bottom))
    assert number + 1 >= 12
    assert not too_large
    assert page.evaluate(UNSEEN) == 0
    assert not page.wrong


def test_the_speaker_sees_the_notes(page: Page):
    page.evaluate("Reveal.slide(1)")
    with page.expect_popup() as opened:
        page.keyboard.press("s")
    speaker = opened.value
    speaker.wait_for_function("() => document.body.innerText.includes('are the harmed pixels scattered')")
    speaker.close()
    assert not page.wrong
