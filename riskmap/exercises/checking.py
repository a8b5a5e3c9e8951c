"""``check(name, answer)`` and ``ask(name)``: the exercises by name, and how an answer is judged."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from riskmap.exercises import harm, maps, own_weights, scores
from riskmap.exercises.outcome import NotWritten, Outcome, WrongAnswer
from riskmap.exercises.questions import QUESTIONS
from riskmap.exercises.trial import as_letter
from riskmap.project.choices import unknown

if TYPE_CHECKING:
    from riskmap.exercises.question_box import QuestionBox


@dataclass(frozen=True)
class Exercise:
    """What can be checked.

    Args:
        page: the stem of the page of exercises that it stands on.
        kind: whether code is asked for, or a choice.
        judge: gets the answer, returns what is said of a right one, and raises WrongAnswer or NotWritten.
        call: how it is checked, for the message of an answer that is not there.
    """

    page: str
    kind: Literal["code", "choice"]
    judge: Callable[..., str]
    call: str


def _choose(name: str, letter: Any = ...) -> str:
    """Judge the letter of a question."""
    if letter is ... or letter is None:
        raise NotWritten
    options = QUESTIONS[name].by_letter
    key = as_letter(letter, options)
    if not options[key].is_right:
        raise WrongAnswer(f"Not {key}: {options[key].feedback}")
    return f"Yes, {key}: {options[key].feedback}"


def _choice(page: str, name: str) -> Exercise:
    return Exercise(page, "choice", partial(_choose, name), f'check("{name}", "a")')


EXERCISES: dict[str, Exercise] = {
    "gap": Exercise("00_start_here", "code", scores.judge_gap, 'check("gap", gap)'),
    "sequence": _choice("00_start_here", "sequence"),
    "nothing_harmed": _choice("00_start_here", "nothing_harmed"),
    "dice": Exercise("01_source_pretraining", "code", scores.judge_dice, 'check("dice", dice_twice)'),
    "falling": _choice("01_source_pretraining", "falling"),
    "longer_training": _choice("01_source_pretraining", "longer_training"),
    "hardness": Exercise("02_risk_map", "code", maps.judge_hardness, 'check("hardness", hardness)'),
    "pixel_seven": Exercise("02_risk_map", "code", maps.judge_pixel, 'check("pixel_seven", leep, harder)'),
    "class_weights": Exercise("02_risk_map", "code", maps.judge_class_weights, 'check("class_weights", know_nothing)'),
    "base_one": _choice("02_risk_map", "base_one"),
    "coin_flip": _choice("02_risk_map", "coin_flip"),
    "twin": Exercise("03_fine_tuning", "code", maps.judge_twin, 'check("twin", shuffle)'),
    "twin_equal": _choice("03_fine_tuning", "twin_equal"),
    "churn": _choice("03_fine_tuning", "churn"),
    "own_weights": Exercise("03_own_weights", "code", own_weights.judge_weights, 'check("own_weights", my_weights)'),
    "own_comparison": Exercise(
        "03_own_weights", "code", own_weights.judge_comparison, 'check("own_comparison", comparison)'
    ),
    "own_conclusion": Exercise(
        "03_own_weights", "choice", own_weights.judge_conclusion, 'check("own_conclusion", "a", comparison)'
    ),
    "interval": Exercise("04_few_shot", "code", scores.judge_interval, 'check("interval", interval)'),
    "signs": _choice("04_few_shot", "signs"),
    "label_or_tune": _choice("04_few_shot", "label_or_tune"),
    "split_harm": Exercise("05_which_sources_hurt", "code", harm.judge_split, 'check("split_harm", split)'),
    "choose": Exercise("05_which_sources_hurt", "code", scores.judge_choose, 'check("choose", choose)'),
    "gap_sign": _choice("05_which_sources_hurt", "gap_sign"),
    "report": _choice("05_which_sources_hurt", "report"),
}


def check(name: str, *answer: Any) -> Outcome:
    """Judge an answer: a function is tried on fresh random input, a choice is a letter.

    Args:
        name: of the exercise.
        answer: the function, the values or the letter that the page asks for.

    Returns:
        the outcome: a coloured box in Jupyter, plain text where it is printed. A wrong answer raises nothing, nor does
        an answer that raises: the outcome tells both.

    Raises:
        ValueError: there is no such exercise; the message names the nearest.
    """
    if name not in EXERCISES:
        raise ValueError(unknown(f"there is no exercise {name!r}", EXERCISES, str(name), "There are"))
    exercise = EXERCISES[name]
    try:
        _require_as_many(exercise, answer)
        return Outcome(name, "right", exercise.judge(*(answer or (...,))))
    except NotWritten:
        return Outcome(name, "not yet written", f"Replace the ... of the page, then {exercise.call}.")
    except WrongAnswer as wrong:
        return Outcome(name, "not yet", wrong.what, wrong.hint)


def _require_as_many(exercise: Exercise, answer: Sequence[Any]) -> None:
    """Check that a judge takes as many values as it was given (WrongAnswer)."""
    most = len(inspect.signature(exercise.judge).parameters)
    if len(answer) > most:
        raise WrongAnswer(f"That is more than this check takes: it is {exercise.call}.")


def ask(name: str, letter: str | None = None) -> "QuestionBox":
    """Return a question with radio buttons; each choice is told why it is right or wrong.

    Args:
        name: of an exercise that is a choice.
        letter: chosen at first.

    Raises:
        ValueError: there is no such question, and the message names the nearest; or no such choice.
    """
    from riskmap.exercises.question_box import QuestionBox  # loads ipywidgets, which a check can do without

    if name not in QUESTIONS:
        raise ValueError(unknown(f"there is no question {name!r}", QUESTIONS, str(name), "There are"))
    try:
        chosen = None if letter is None else as_letter(letter, QUESTIONS[name].by_letter)
    except WrongAnswer as wrong:
        raise ValueError(wrong.what) from wrong
    return QuestionBox(name, QUESTIONS[name], partial(check, name), chosen)
