"""The whole site in a real browser without a network: nothing is asked for, every link holds, it fits a phone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route

from riskmap.project.paths import BUILD, PROJECT_ROOT
from riskmap.rerun.notebooks import pages_in
from riskmap.rerun.site import build_site, executed_in

DESK, PHONE = (1200, 1000), (400, 800)
# what stands out of the window on the right, and lies in nothing that scrolls by itself
OUTSIDE = """() => [...document.querySelectorAll('article *')].filter(element => {
    if (element.getBoundingClientRect().right <= innerWidth + 1 || !element.checkVisibility()) return false;
    for (let box = element; box; box = box.parentElement)
        if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(box).overflowX) && box.tagName !== 'HTML'
            && box.tagName !== 'BODY' && box.getBoundingClientRect().right <= innerWidth + 1) return false;
    return true;
}).map(element => element.outerHTML.slice(0, 120))"""
LINKS = "() => [...document.querySelectorAll('a[href]')].map(link => link.href)"
NAMES = "() => [...document.querySelectorAll('[id], a[name]')].map(element => element.id || element.name)"
PICTURES = """() => [...document.querySelectorAll('img')].map(
    image => [image.getAttribute('src'), image.alt, image.complete && image.naturalWidth > 0])"""
BACKGROUND = "() => getComputedStyle(document.body).backgroundColor"


@dataclass
class Heard:
    """What a browser asked for and complained of."""

    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own site, with what was executed in this checkout, if anything was."""
    pages = executed_in(BUILD / "notebooks", list(pages_in(PROJECT_ROOT / "notebooks").values()))
    return build_site(pages, tmp_path_factory.mktemp("site")).parent


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser's window without a network."""
    context = browser.new_context(offline=True)
    yield context
    context.close()


@pytest.fixture(scope="module")
def heard(context: BrowserContext) -> Heard:
    """Refuses everything that is no file, and notes what was asked for and complained of."""
    heard = Heard()

    def answer(route: Route) -> None:
        if urlsplit(route.request.url).scheme in ("file", "data", "blob"):
            route.continue_()
        else:
            heard.outside.append(route.request.url)
            route.abort()

    context.route("**/*", answer)
    return heard


@pytest.fixture
def page(context: BrowserContext, heard: Heard) -> Iterator[Page]:
    """A page in that window."""
    page = context.new_page()
    page.on("console", lambda said: heard.errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: heard.errors.append(str(error)))
    page.on("requestfailed", lambda request: heard.errors.append(f"failed: {request.url}"))
    yield page
    page.close()


def files_of(site: Path) -> list[Path]:
    """Return the pages of the site; the theme leaves a template among its own files."""
    return sorted(file for file in site.rglob("*.html") if "_static" not in file.parts)


def show(page: Page, file: Path, size: tuple[int, int] = DESK) -> None:
    """Open a file in a window of this size."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(file.as_uri())


def test_nothing_is_asked_for_and_every_link_and_picture_is_there(site, page, heard):
    names: dict[Path, set[str]] = {}
    links: list[tuple[Path, str]] = []
    for file in files_of(site):
        show(page, file)
        names[file] = set(page.evaluate(NAMES))
        links += [(file, link) for link in page.evaluate(LINKS)]
        for source, alt, shown in page.evaluate(PICTURES):
            assert shown, f"{file.name}: the picture {source} is not shown"
            assert alt, f"{file.name}: the picture {source} has no description"
    broken = [f"{file.relative_to(site)} -> {link}" for file, link in links if not _holds(link, names)]
    assert broken == []
    assert heard.outside == []
    assert heard.errors == []


def _holds(link: str, names: dict[Path, set[str]]) -> bool:
    address, fragment = urldefrag(link)
    if urlsplit(address).scheme != "file":
        return True
    file = Path(unquote(urlsplit(address).path))
    if file.is_dir() or not file.exists():
        return False
    return not fragment or file not in names or unquote(fragment) in names[file] or fragment in names[file]


def test_a_phone_shows_every_page_without_a_sideways_scroll(site, page):
    for file in files_of(site):
        show(page, file, PHONE)
        reach = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert reach <= 0, f"{file.name} is {reach} pixels wider than a phone"
        outside = page.evaluate(OUTSIDE)
        assert outside == [], f"{file.name}: {outside[:3]}"


def test_search_finds_what_hardness_is(site, page, heard):
    show(page, site / "search.html")
    page.goto((site / "search.html").as_uri() + "?q=hardness")
    found = page.locator("#search-results li a")
    found.first.wait_for(timeout=20_000)
    titles = found.all_text_contents()
    assert any("Glossary" in title or "hardness" in title for title in titles)
    assert any("risk map" in title.lower() for title in titles)
    assert heard.errors == []


def test_the_dark_is_dark_and_figures_keep_their_paper(site, page):
    show(page, site / "index.html")
    page.emulate_media(color_scheme="light")
    light = page.evaluate(BACKGROUND)
    page.locator(".theme-switch-button:visible").click()
    page.locator(".theme-change-button[data-mode=dark]:visible").click()
    # colours change slowly
    page.wait_for_timeout(1000)
    dark = page.evaluate(BACKGROUND)
    assert _brightness(light) > 200
    assert _brightness(dark) < 60
    picture = page.locator("article img").first
    assert _brightness(picture.evaluate("image => getComputedStyle(image).backgroundColor")) == 255


def _brightness(colour: str) -> float:
    red, green, blue = (float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])
    return (red + green + blue) / 3


def test_print_has_no_sidebar_and_is_light(site, page):
    page.emulate_media(color_scheme="dark")
    show(page, site / "notebooks" / "02_risk_map.html")
    assert page.locator(".bd-sidebar-primary").is_visible()
    assert _brightness(page.evaluate(BACKGROUND)) < 60
    page.emulate_media(media="print")
    page.wait_for_timeout(1000)
    assert not page.locator(".bd-sidebar-primary").is_visible()
    assert not page.locator(".header-article").is_visible()
    assert _brightness(page.evaluate(BACKGROUND)) > 200
    assert _brightness(page.locator("article p").first.evaluate("text => getComputedStyle(text).color")) < 80
