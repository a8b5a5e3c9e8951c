"""An exercise in JupyterLab: a wrong answer is typed and gets its hint, a right one is typed and passes."""

import shutil

from riskmap.exercises.generate import FOLDER

from .page import REDRAW_SECONDS, WIDTHS, notebook_page, wait_until
from .test_sliders import SCREENSHOTS

PAGE = "00_start_here.ipynb"
SIGN = "def gap(scratch, transfer):\n    return 100 * (transfer - scratch).mean()\n"
RIGHT = SIGN.replace("transfer - scratch", "scratch - transfer")
IS_WHOLE = """label => {
    const right = element => element.getBoundingClientRect().right;
    return label.scrollWidth <= label.clientWidth && right(label) <= right(label.closest('.jp-Cell'));
}"""
CHECK = '\n\ncheck("gap", gap)'


def write_and_run(page, cell, code):
    """Type code in place of what a cell holds, and run the cell."""
    cell.locator(".cm-content").click()
    page.page.keyboard.press("Control+A")
    # typed key by key, the editor would indent and close brackets by itself
    page.page.keyboard.insert_text(code)
    page.page.keyboard.press("Control+Enter")


def test_a_wrong_and_a_right_answer(browser, lab):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    name = f"exercise_{PAGE}"
    shutil.copy(FOLDER / PAGE, lab.root / name)
    with notebook_page(browser, lab, name, SCREENSHOTS / "exercise-failed.png") as page:
        page.run_all()
        cell = page.page.locator(".jp-CodeCell", has_text="def gap").first
        box = cell.locator(".riskmap-check")

        def says(text):
            what = f"the box says {text!r}"
            wait_until(lambda: box.count() and text in box.first.inner_text(), REDRAW_SECONDS, what)

        says("gap: not yet written")
        write_and_run(page, cell, SIGN + CHECK)
        says("Hint: the sign")
        cell.screenshot(path=SCREENSHOTS / "exercise-wrong.png")
        write_and_run(page, cell, RIGHT + CHECK)
        says("gap: right")
        cell.screenshot(path=SCREENSHOTS / "exercise-right.png")


def test_a_question_answers_each_choice(browser, lab):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    name = f"question_{PAGE}"
    shutil.copy(FOLDER / PAGE, lab.root / name)
    with notebook_page(browser, lab, name, SCREENSHOTS / "question-failed.png") as page:
        page.run_all()
        page.unfold()
        question = page.page.locator(".jp-CodeCell", has_text='ask("sequence")').first
        buttons = question.locator("input[type=radio]")
        wait_until(lambda: buttons.count() == 4, REDRAW_SECONDS, "the question shows its four choices")
        assert question.locator(".riskmap-check").count() == 0
        for number, text in ((0, "sequence: not yet"), (1, "sequence: right")):
            buttons.nth(number).click()
            box = question.locator(".riskmap-check")
            what = f"the choice is told {text!r}"
            wait_until(lambda box=box, text=text: box.count() and text in box.inner_text(), REDRAW_SECONDS, what)
        for width in WIDTHS:
            page.resize(width)
            labels = page.page.locator(".widget-radio-box label").all()
            assert len(labels) > 4
            assert all(label.evaluate(IS_WHOLE) for label in labels), f"a choice is cut in a window of {width} pixels"
            page.page.locator(".jp-CodeCell", has_text="nothing_harmed").screenshot(
                path=SCREENSHOTS / f"question-long_{width}.png"
            )
        question.screenshot(path=SCREENSHOTS / "question-right.png")
