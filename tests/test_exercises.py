"""The exercises answer: solutions pass, stubs are not yet written, and the usual mistakes get their own hints."""

import html
import re
import shutil
from itertools import pairwise
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest
import torch
from notebook_rules import exercise_violations

import riskmap.exercises
from riskmap.exercises import ask, check, own_weights, published_dice
from riskmap.exercises.checking import EXERCISES
from riskmap.exercises.generate import FOLDER, SOLVED, SOURCE, sources, student_code, write_copies
from riskmap.exercises.questions import QUESTIONS
from riskmap.exercises.records import published_scores
from riskmap.experiment.score_tables import compare
from riskmap.measure.harm import compare_pixels, kinds_of
from riskmap.measure.statistics import Estimate

PAGES = [path.name for path in sources()]
# the one that trains, if it is solved
TRAINS = "03_own_weights.ipynb"
CHOICES = [name for name, exercise in EXERCISES.items() if name in QUESTIONS]
OF_TUMOUR = np.array([0.1, 0.2, 0.1, 0.6, 0.7, 0.9, 0.8, 0.1])
LABELS = np.array([0, 0, 0, 0, 0, 1, 1, 1])


def answers_of(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple]:
    """Run the code cells of a page and return {exercise: what it gave to check}; a question counts by its letter."""
    given = {}

    def recording_check(name, *answer):
        given[name] = answer
        return check(name, *answer)

    def recording_ask(name, letter=None):
        given[name] = (... if letter is None else letter,)
        return ask(name, letter)

    monkeypatch.setattr(riskmap.exercises, "check", recording_check)
    monkeypatch.setattr(riskmap.exercises, "ask", recording_ask)
    namespace = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, str(notebook), "exec"), namespace)
    return given


def eight_hardness(of_tumour, table=None):
    """Return the hardness of page 2's pixels, and the conditional table that it was read off."""
    theta = np.stack([1 - of_tumour, of_tumour], axis=1)
    joint = np.stack([theta[label == LABELS].sum(0) for label in (0, 1)])
    table = joint / joint.sum(0) if table is None else table
    return -np.log((theta @ table.T)[np.arange(8), LABELS]), table


CHANGED = np.where(np.arange(8) == 7, 0.9, OF_TUMOUR)
BEFORE, OLD_TABLE = eight_hardness(OF_TUMOUR)
AFTER, _ = eight_hardness(CHANGED)
STALE, _ = eight_hardness(CHANGED, OLD_TABLE)


def joint_of(theta, y):
    return np.stack([theta[y == label].sum(0) / len(y) for label in range(y.max() + 1)])


def by_rows(theta, y):
    joint = joint_of(theta, y)
    return -np.log((theta @ (joint / joint.sum(1, keepdims=True)).T)[np.arange(len(y)), y])


def mean_of_label(theta, y):
    means = np.stack([theta[y == label].mean(0) for label in range(y.max() + 1)])
    return -np.log((theta @ (means / means.sum(0)).T)[np.arange(len(y)), y])


def mean_hardness(theta, y):
    joint = joint_of(theta, y)
    return -np.log((theta @ (joint / joint.sum(0)).T)[np.arange(len(y)), y]).mean()


def hardest_class_only(theta, y):
    joint = joint_of(theta, y)
    return -np.log((joint / joint.sum(0))[y, theta.argmax(1)])


def whole_images(weights, y, inside):
    return np.stack([np.random.default_rng().permutation(image) for image in weights])


def in_classes(weights, y, inside, draw="permutation"):
    rng, twin = np.random.default_rng(), weights.copy()
    for image in range(len(weights)):
        for label in (0, 1):
            mask = y[image] == label
            twin[image, mask] = getattr(rng, draw)(twin[image, mask])
    return twin


def with_replacement(weights, y, inside):
    return np.random.default_rng().choice(weights.ravel(), weights.shape)


def shuffles_a_copy(weights, y, inside):
    np.random.default_rng().shuffle(weights[y == 1])
    return weights


def bootstrap(values):
    means = np.random.default_rng().choice(values, (10_000, len(values))).mean(axis=1)
    return np.percentile(means, [2.5, 97.5])


def unpaired(scratch, fine_tune):
    rng = np.random.default_rng()
    means = [rng.choice(100 * each.mean(1), (10_000, len(each))).mean(1) for each in (scratch, fine_tune)]
    return np.percentile(means[0] - means[1], [2.5, 97.5])


def split_by(harmed, repaired, foreground):
    return {
        "missed": (harmed & foreground).sum(),
        "false alarms": (harmed & ~foreground).sum(),
        "found": (repaired & foreground).sum(),
        "cleared": (repaired & ~foreground).sum(),
    }


def all_errors(truth, scratch, transfer):
    return split_by(transfer != truth, (scratch != truth) & (transfer == truth), truth == 1)


def split_the_wrong_way(truth, scratch, transfer):
    return split_by((transfer == truth) & (scratch != truth), (scratch == truth) & (transfer != truth), truth == 1)


def shares(truth, scratch, transfer):
    harmed, repaired = (scratch == truth) & (transfer != truth), (scratch != truth) & (transfer == truth)
    return {kind: count / truth.size for kind, count in split_by(harmed, repaired, truth == 1).items()}


def split_upside_down(truth, scratch, transfer):
    return split_by((scratch == truth) & (transfer != truth), (scratch != truth) & (transfer == truth), truth == 0)


def nowhere(theta, y):
    return theta[99]


# per exercise the usual mistakes: what is given to check, and a part of the hint
WRONG = {
    "gap": [
        ((lambda scratch, transfer: 100 * (transfer - scratch).mean(),), "the sign"),
        ((lambda scratch, transfer: (scratch - transfer).mean(),), "multiply by 100"),
        ((lambda scratch, transfer: (transfer - scratch).mean(),), "both"),
        ((lambda scratch, transfer: 100 * (scratch - transfer),), "is a mean or a sum missing"),
    ],
    "dice": [
        ((lambda truth, found, overlap: (2 * overlap.sum() / (truth + found).sum(),) * 2,), "both numbers are pooled"),
        ((lambda truth, found, overlap: ((2 * overlap / (truth + found)).mean(),) * 2,), "both numbers are means"),
        (
            (lambda t, f, o: ((o / (t + f - o)).mean(), o.sum() / (t + f - o).sum()),),
            "IoU",
        ),
        ((lambda t, f, o: ((o / (t + f)).mean(), o.sum() / (t + f).sum()),), "the 2 of Dice"),
    ],
    "hardness": [
        ((by_rows,), "each *column*"),
        ((mean_of_label,), "by *all* n pixels"),
        ((mean_hardness,), "was a mean or a sum taken"),
        ((hardest_class_only,), "NCE"),
        ((lambda theta, y: -np.log(theta[np.arange(len(y)), y]),), "the source's own cross-entropy"),
        ((nowhere,), "which axis are you indexing"),
        ((3,), "without brackets"),
    ],
    "pixel_seven": [
        ((AFTER.mean(), 4), "*minus* the mean"),
        ((-STALE.mean(), 4), "still the old one"),
        ((-BEFORE.mean(), 4), "before the change"),
        ((-AFTER.mean(), 7), "its hardness fell"),
        ((-AFTER.mean(), 3), "np.flatnonzero"),
    ],
    "class_weights": [
        ((lambda y, classes: np.ones((len(y), classes)),), "what is 1 shared by `classes`"),
        (
            (lambda y, classes: np.random.default_rng().dirichlet(np.ones(classes), len(y)),),
            "saying the same everywhere",
        ),
        ((lambda y, classes: np.eye(classes)[y % classes],), "depends on the label"),
    ],
    "twin": [
        ((with_replacement,), "`rng.choice` does not"),
        ((shuffles_a_copy,), "shuffles a copy"),
        ((lambda w, y, inside: np.random.default_rng().permuted(w.ravel()).reshape(w.shape),), "images one by one"),
        ((whole_images,), "permute within `y[image] == label`"),
        ((in_classes,), "in air nothing can be learned"),
    ],
    "interval": [
        ((unpaired,), "not paired"),
        ((lambda scratch, fine_tune: bootstrap(100 * (fine_tune - scratch).mean(1)),), "the sign"),
        ((lambda scratch, fine_tune: bootstrap((scratch - fine_tune).mean(1)),), "multiply by 100"),
        ((lambda scratch, fine_tune: bootstrap(100 * (scratch - fine_tune).ravel()),), "seeds are not patients"),
        (
            (lambda scratch, fine_tune: np.percentile(100 * (scratch - fine_tune).mean(1), [2.5, 97.5]),),
            "spread of single patients",
        ),
        ((lambda scratch, fine_tune: bootstrap(100 * (scratch - fine_tune).mean(1))[::-1],), "low first"),
    ],
    "split_harm": [
        ((all_errors,), "had *right*"),
        ((split_the_wrong_way,), "are swapped: harm is what scratch had right"),
        ((shares,), "`.sum()`, not `.mean()`"),
        ((split_upside_down,), "missed and false alarms are swapped"),
    ],
    "choose": [
        ((lambda validation, test: (test.mean().idxmax(), test.mean().max()),), "your own patience"),
        ((lambda validation, test: (validation.mean().idxmax(), validation.mean().max()),), "report the test's"),
        ((lambda v, test: (v.max().idxmax(), test[v.max().idxmax()].mean()),), "best single patient"),
    ],
    "own_weights": [
        ((lambda h, y: 1.0 + 3.0 * (y == 1),), "this is class weighting"),
        ((lambda h, y: 1 / h,), "where it is 0"),
        ((lambda h, y: 1 - h,), "clamp"),
        ((lambda h, y: h.mean(),), "a mean or a sum"),
        ((lambda h, y: np.ones(h.shape),), "use torch"),
        ((lambda h, y: 0 * h,), "nothing would be learned"),
    ],
    "own_comparison": [((3,), "the one that was trained"), (("b",), "the one that was trained")],
}


@pytest.mark.parametrize("page", [page for page in PAGES if page != TRAINS])
def test_solutions_pass_on_ever_new_input(page, monkeypatch):
    given = answers_of(FOLDER / SOLVED / page, monkeypatch)
    for name, answer in given.items():
        for _ in range(10):
            outcome = check(name, *answer)
            assert outcome.passed, outcome


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_stubs_runs_and_nothing_is_written_yet(page, monkeypatch):
    """As by "Run All" before anything was written: nothing raises, and nothing is trained."""
    given = answers_of(FOLDER / page, monkeypatch)
    outcomes = [check(name, *answer) for name, answer in given.items()]
    assert {outcome.kind for outcome in outcomes} == {"not yet written"}
    assert not any(outcome.passed for outcome in outcomes)
    # every exercise of the page, and no other one
    assert set(given) == {name for name, exercise in EXERCISES.items() if exercise.page == Path(page).stem}


@pytest.mark.parametrize(
    ("name", "answer", "hint"),
    [pytest.param(name, *case, id=f"{name}-{number}") for name in WRONG for number, case in enumerate(WRONG[name])],
)
def test_a_usual_mistake_gets_its_hint(name, answer, hint):
    for _ in range(3):
        outcome = check(name, *answer)
        assert outcome.kind == "not yet"
        assert hint in outcome.hint
        assert outcome.message


def test_every_exercise_in_code_has_two_wrong_answers():
    codes = [name for name, exercise in EXERCISES.items() if exercise.kind == "code"]
    assert set(codes) == set(WRONG)
    assert all(len(WRONG[name]) >= 2 for name in codes)
    assert len(EXERCISES) >= 10
    assert len(codes) >= 6


@pytest.mark.parametrize("name", CHOICES)
def test_each_choice_is_told_why(name):
    outcomes = {letter: check(name, letter) for letter in QUESTIONS[name].by_letter}
    assert [outcome.kind for outcome in outcomes.values()].count("right") == 1
    for letter, option in QUESTIONS[name].by_letter.items():
        assert outcomes[letter].passed == option.is_right
        assert option.feedback in outcomes[letter].message
    assert len({option.feedback for option in QUESTIONS[name].options}) == len(outcomes)
    assert "must be one of a, b" in check(name, "z").message


@pytest.mark.parametrize("name", CHOICES)
def test_radio_buttons_say_what_check_says(name):
    box = ask(name)
    assert box.outcome.kind == "not yet written"
    assert box.feedback.value == ""
    for letter in QUESTIONS[name].by_letter:
        box.buttons.value = letter
        assert box.feedback.value == check(name, letter).html()
    static = ask(name)._repr_mimebundle_()
    for option in QUESTIONS[name].options:
        assert option.text in static["text/plain"]
    assert static["text/html"].count("<li>") == len(QUESTIONS[name].options)


@pytest.mark.parametrize(
    ("low", "high", "right"), [(0.2, 0.9, "b"), (-0.3, 0.9, "c"), (-0.9, -0.2, "d")], ids=["above", "open", "below"]
)
def test_what_may_be_concluded_follows_from_the_interval(low, high, right, monkeypatch):
    monkeypatch.setattr(
        own_weights, "map_minus_twin", lambda comparison: {"mine": Estimate((low + high) / 2, low, high)}
    )
    outcomes = {letter: check("own_conclusion", letter, object()) for letter in "abcde"}
    assert [letter for letter, outcome in outcomes.items() if outcome.passed] == [right]
    assert check("own_conclusion", f" {right.upper()})", object()).passed, "as one may write it"
    wrong = [outcome.hint for letter, outcome in outcomes.items() if letter != right]
    assert all(wrong)
    assert len(set(wrong)) == 4


def test_numbers_of_the_method_are_the_known_ones():
    """They are computed in the checks; here they are held against what was worked out on paper."""
    dice = check("dice", lambda t, f, o: ((2 * o / (t + f)).mean(), 2 * o.sum() / (t + f).sum())).message
    assert "0.50 by patient, 0.827 pooled" in dice
    assert "from -0.6124 to -0.4456" in check("pixel_seven", -AFTER.mean(), 4).message
    assert "h 0.580 to 0.608" in check("pixel_seven", -AFTER.mean(), [4]).message
    nothing = check("class_weights", lambda y, classes: np.full((len(y), classes), 1 / classes)).message
    assert "-0.6616" in nothing
    assert "keeps -0.6124" in nothing


def test_the_published_interval_is_the_one_of_the_page(monkeypatch):
    interval = answers_of(FOLDER / SOLVED / "04_few_shot.ipynb", monkeypatch)["interval"][0]
    scratch, fine_tune = published_dice("scratch"), published_dice("fine_tune")
    of_page = compare(published_scores(), "scratch", "fine_tune")
    assert np.allclose(interval(scratch, fine_tune), (of_page.low, of_page.high), atol=0.3)
    assert scratch.shape == fine_tune.shape
    assert np.ptp(unpaired(scratch, fine_tune)) > 2 * (of_page.high - of_page.low)
    with pytest.raises(ValueError, match="no run of the arm 'skratch'"):
        published_dice("skratch")


def test_an_exception_is_told_with_its_line_and_goes_no_further():
    outcome = check("hardness", nowhere)
    assert "IndexError in line" in outcome.message
    assert "`return theta[99]`" in outcome.message


def test_an_answer_that_exits_is_told_like_one_that_raises():
    def leaves(scratch, transfer):
        raise SystemExit("bye")

    assert "raised SystemExit in line" in check("gap", leaves).message


def test_a_forgotten_return_is_no_stub():
    def forgets(scratch, transfer):
        scratch - transfer

    outcome = check("gap", forgets)
    assert outcome.kind == "not yet"
    assert "`return`" in outcome.hint

    def stub(scratch, transfer):
        """Return the gap."""
        ...

    for unwritten in (stub, lambda scratch, transfer: ..., ...):
        assert check("gap", unwritten).kind == "not yet written"
    assert check("gap").kind == "not yet written"


def test_a_function_cannot_spoil_the_input():
    def spoils(scratch, transfer):
        result = 100 * (scratch - transfer).mean()
        scratch[:] = transfer[:] = 0
        return result

    assert check("gap", spoils).passed


def test_a_box_in_colour_and_plain_text():
    outcomes = {kind: check("gap", answer) for kind, answer in (("not yet written", ...), ("not yet", 3))}
    outcomes["right"] = check("gap", lambda scratch, transfer: 100 * (scratch - transfer).mean())
    colours = set()
    for kind, outcome in outcomes.items():
        assert outcome.kind == kind
        assert repr(outcome).startswith(f"gap: {kind}. ")
        box = outcome._repr_html_()
        assert f"gap: {kind}</b>" in box
        colours.add(box.partition("background: ")[2][:7])
    assert len(colours) == 3
    assert "&lt;b&gt;" in check("sequence", "<b>").html()


ODD = [
    *([], {}, "x", set(), object(), 1j, float("nan"), 10**400, True, b"x", type),
    *(np.array(["a"]), torch.ones(3, requires_grad=True), [1, [2]], ([1], 2), ("scratch", None), ("scratch", [1])),
    {"missed": "x", "false alarms": [1], "found": 1, "cleared": 1},
]


@pytest.mark.parametrize("name", EXERCISES)
def test_no_answer_raises(name):
    for odd in ODD:
        for answer in ([lambda *_, odd=odd: odd], [odd], [odd, odd], [odd] * 3, [-AFTER.mean(), odd], [odd, 4]):
            outcome = check(name, *answer)
            assert not outcome.passed, (odd, outcome)
            assert outcome.said


def test_each_check_draws_anew_and_leaves_the_readers_generators_alone():
    seen = []

    def remembers(h, y):
        seen.append(h)
        return 1 + h

    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    assert check("own_weights", remembers).passed
    assert check("own_weights", remembers).passed
    assert torch.equal(before, torch.random.get_rng_state())
    made_up = [h for h in seen if h.shape == seen[0].shape]
    assert len(made_up) == 6
    assert len({float(h.sum()) for h in made_up}) == 6


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'twin'"):
        check("twins", in_classes)
    with pytest.raises(ValueError, match="did you mean 'churn'"):
        ask("churns")


def test_a_letter_is_taken_as_one_writes_it():
    assert ask("churn", " B)").buttons.value == "b"
    with pytest.raises(ValueError, match="must be one of a, b, c, d, got 'z'"):
        ask("churn", "z")


def test_weights_that_cannot_be_trained_are_refused_before_they_are():
    numbers = iter(np.linspace(0.1, 0.9, 1000))
    outcome = check("own_weights", lambda h, y: 1 + h * next(numbers))
    assert outcome.kind == "not yet"
    assert "other weights each time" in outcome.message or "cannot be trained yet" in outcome.message


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.ipynb")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_pages_of_exercises_keep_their_rules(path):
    assert exercise_violations(path) == []


def test_copies_are_what_their_sources_make(tmp_path):
    shutil.copytree(FOLDER / SOURCE, tmp_path / SOURCE)
    written = write_copies(tmp_path)
    for path in written:
        shipped = FOLDER / path.relative_to(tmp_path)
        assert path.read_bytes() == shipped.read_bytes(), f"{shipped.name}: run `python -m riskmap exercises`"
    shipped = {path.relative_to(FOLDER) for path in FOLDER.rglob("*.ipynb") if SOURCE not in path.parts}
    assert {path.relative_to(tmp_path) for path in written} == shipped


def test_no_solution_is_left_in_a_students_copy():
    for path in sources():
        source = nbformat.read(path, as_version=4).cells
        copied = nbformat.read(FOLDER / path.name, as_version=4).cells
        for cell, left in zip(source, copied, strict=True):
            if "solution" in cell.metadata.get("tags", []):
                assert left.source != cell.source
                assert "return" not in left.source.replace("Return", "")
                assert "tags" not in left.metadata
        for cell in copied:
            # links lead from where the copy lies
            for link in (part.partition(")")[0] for part in cell.source.split("](")[1:]):
                assert (FOLDER / link).is_file(), f"{path.name}: {link}"


@pytest.mark.parametrize("folder", [FOLDER, FOLDER / SOLVED], ids=["student", "solved"])
def test_a_question_can_be_read_without_a_kernel(folder):
    cells = [cell for page in PAGES for cell in nbformat.read(folder / page, as_version=4).cells]
    asked = {}
    for above, cell in pairwise(cells):
        if cell.source.startswith("ask("):
            asked[cell.source.split('"')[1]] = html.unescape(above.source)
    assert set(asked) == set(CHOICES)
    for name, text in asked.items():
        assert QUESTIONS[name].text in text
        assert [option.text for option in QUESTIONS[name].options] == re.findall(r"<li>(.+)</li>", text)


def test_answers_are_not_written_over(tmp_path):
    shutil.copytree(FOLDER / SOURCE, tmp_path / SOURCE)
    (mine, *_) = write_copies(tmp_path)
    notebook = nbformat.read(mine, as_version=4)
    next(cell for cell in notebook.cells if cell.cell_type == "code").execution_count = 1
    nbformat.write(notebook, mine)
    answered = mine.read_bytes()
    with pytest.raises(ValueError, match=r"00_start_here\.ipynb in .* may hold answers"):
        write_copies(tmp_path)
    assert mine.read_bytes() == answered
    write_copies(tmp_path, overwrite=True)
    assert mine.read_bytes() != answered


@pytest.mark.parametrize("place", [Path(), Path(SOLVED)])
def test_answers_that_were_saved_and_not_run_are_not_written_over(place, tmp_path):
    """After "Clear all outputs" an answer was taken for an empty copy, and lost."""
    shutil.copytree(FOLDER / SOURCE, tmp_path / SOURCE)
    write_copies(tmp_path)
    mine = tmp_path / place / "00_start_here.ipynb"
    notebook = nbformat.read(mine, as_version=4)
    notebook.cells[-1].source += "\nMY WORK"
    nbformat.write(notebook, mine)
    with pytest.raises(ValueError, match=r"00_start_here\.ipynb in .* may hold answers"):
        write_copies(tmp_path)
    assert "MY WORK" in mine.read_text(encoding="utf-8")


def test_copies_that_are_only_old_are_made_anew(tmp_path):
    shutil.copytree(FOLDER / SOURCE, tmp_path / SOURCE)
    copy, *_ = write_copies(tmp_path)
    source = tmp_path / SOURCE / copy.name
    changed = nbformat.read(source, as_version=4)
    changed.cells[1].source += "\nOne more line."
    nbformat.write(changed, source)
    write_copies(tmp_path)
    assert "One more line." in copy.read_text(encoding="utf-8")


def test_without_sources_and_with_a_damaged_copy_it_says_so(tmp_path):
    with pytest.raises(ValueError, match="no sources of exercises in"):
        write_copies(tmp_path)
    shutil.copytree(FOLDER / SOURCE, tmp_path / SOURCE)
    (tmp_path / "00_start_here.ipynb").write_text('{"cells": [')
    with pytest.raises(ValueError, match=r"00_start_here\.ipynb is no notebook, or a damaged one"):
        write_copies(tmp_path)


def test_a_right_answer_in_other_numbers_is_right():
    """In float32, rounded, or as a list; which of them passed was a matter of luck, as was a shuffle of few values."""

    def gap(scratch, transfer):
        return round(float(torch.tensor(100 * (scratch - transfer), dtype=torch.float32).mean()), 3)

    def twin(weights, y, inside):
        rng = np.random.default_rng()
        for image in range(len(weights)):
            for mask in (y[image] == 1, (y[image] == 0) & inside[image], ~inside[image]):
                weights[image, mask] = rng.permutation(weights[image, mask])
        return weights.astype(np.float32)

    def choose(validation, test):
        best = validation.mean().idxmax()
        return [best, round(test[best].mean(), 4)]

    for name, answer in (("gap", gap), ("twin", twin), ("choose", choose)):
        for _ in range(200):
            outcome = check(name, answer)
            assert outcome.passed, outcome.message


def test_counts_that_are_no_counts_and_a_twin_that_hardly_moves_are_wrong():
    def split(truth, scratch, transfer):
        changed = compare_pixels(truth, scratch, transfer)
        masks = kinds_of(changed.harmed, changed.repaired, truth)
        return {kind: mask.sum() + 0.9 for kind, mask in masks.items()}

    def hardly(weights, y, inside):
        for image in range(len(weights)):
            for label in (0, 1):
                for there in (True, False):
                    mask = np.flatnonzero((y[image] == label) & (inside[image] == there))[:2]
                    weights[image, mask] = weights[image, mask][::-1]
        return weights

    assert not check("split_harm", split).passed
    assert "Most values stayed where they were" in check("twin", hardly).message


def test_answers_that_passed_by_luck_or_by_mistake_are_wrong():
    def by_image(h, y):
        return torch.arange(1.0, len(h) + 1).reshape(-1, 1, 1, 1) * (1 + y)

    def descending(weights, y, inside):
        for image in range(len(weights)):
            for mask in (y[image] == 1, (y[image] == 0) & inside[image], ~inside[image]):
                weights[image, mask] = np.sort(weights[image, mask])[::-1]
        return weights

    def few(scratch, fine_tune):
        difference = 100 * (scratch - fine_tune).mean(1)
        return np.percentile(np.random.default_rng().choice(difference, (10_000, 6)).mean(1), [2.5, 97.5])

    def uses_test(validation, test):
        best = (validation.mean() + test.mean()).idxmax()
        return best, test[best].mean()

    wrong = {
        "own_weights": by_image,
        "twin": descending,
        "gap": lambda scratch, transfer: 100 * abs((scratch - transfer).mean()),
        "interval": few,
        "choose": uses_test,
    }
    for name, answer in wrong.items():
        assert not any(check(name, answer).passed for _ in range(50 if name != "interval" else 5)), name


def test_the_repair_is_hinted_at_where_the_harm_is_right():
    def split(truth, scratch, transfer):
        right = split_by((scratch == truth) & (transfer != truth), (scratch != truth) & (transfer == truth), truth == 1)
        return right | {"found": right["found"] + 1}

    assert "the harm is right" in check("split_harm", split).hint


def test_a_solution_that_leaves_nothing_to_do_is_an_error():
    with pytest.raises(ValueError, match="leaves nothing to the student"):
        student_code("print(3)")
    kept = student_code("written = check('gap', gap)\nz = 3  # a number")
    assert kept == "written = check('gap', gap)\nz = ..."


@pytest.mark.notebooks
@pytest.mark.parametrize(
    "folder", [pytest.param(FOLDER, id="student", marks=pytest.mark.slow), pytest.param(FOLDER / SOLVED, id="solved")]
)
def test_weights_of_ones_own_in_a_kernel(folder, tiny_cohort, tmp_path):
    """With a few steps on tiny patients: the solved copy trains and its checks pass, the student's trains nothing."""
    given = {
        "cohort": tiny_cohort.folder.name,
        "data_dir": str(tiny_cohort.folder.parents[1]),
        "out_dir": str(tmp_path / "runs"),
        "shots": 1,
        "steps": 4,
        "source_steps": 6,
        "jobs": 1,
    }
    papermill.execute_notebook(
        str(folder / TRAINS), str(tmp_path / TRAINS), given, progress_bar=False, execution_timeout=300, cwd=tmp_path
    )
    shown = [
        output["data"]["text/plain"]
        for cell in nbformat.read(tmp_path / TRAINS, as_version=4).cells
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {}) and "riskmap-check" in output["data"]["text/html"]
    ]
    kind = "right" if folder.name == SOLVED else "not yet written"
    assert [text.partition(". ")[0] for text in shown] == [
        f"{name}: {kind}" for name in ("own_weights", "own_comparison", "own_conclusion")
    ]
    assert (tmp_path / "runs").exists() == (folder.name == SOLVED)
