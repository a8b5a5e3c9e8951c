"""Trying a reader's answer: a function is called with copies, and what comes back is looked at."""

import dis
import linecache
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from types import FunctionType
from typing import Any

import numpy as np

from riskmap.exercises.outcome import NotWritten, WrongAnswer

# what `...`, `pass` or a docstring alone compile to
_OF_A_STUB = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}
_HINTS: dict[type[Exception], str] = {
    NameError: "a name is misspelt, or the cell that defines it was not run.",
    IndexError: "look at the shapes: which axis are you indexing, and how long is it?",
    KeyError: "print the keys that there are.",
    ZeroDivisionError: "something is divided by 0; what if a count is 0?",
    AttributeError: "print the type of that object; the arrays here are NumPy's unless the text says torch.",
    TypeError: "look at the types, and at how many arguments the function takes.",
    ValueError: "print the shapes of what stands in that line.",
    RuntimeError: "print the shapes and types of what stands in that line.",
    NotImplementedError: "something is still to be written.",
}


def require_function(answer: Any, call: str) -> None:
    """Check that an answer is a function.

    Args:
        answer: what the reader gave.
        call: how the check is called, such as ``check("twin", shuffle)``.

    Raises:
        NotWritten: it is still ``...``.
        WrongAnswer: it is something else, as the value that a call of the function returns.
    """
    if answer is ...:
        raise NotWritten
    if not callable(answer):
        raise WrongAnswer(
            f"A function is wanted, got {type(answer).__name__}.", f"give the function itself, without brackets: {call}"
        )


def call(function: Callable[..., Any], *given: Any) -> Any:
    """Call a reader's function with copies of the arrays ``given`` and return what it gives back.

    Raises:
        NotWritten: it is a stub, or returns ``...``.
        WrongAnswer: it raises, which is told with the line, or returns nothing.
    """
    try:
        value = function(*map(deepcopy, given))
    except (Exception, SystemExit) as error:  # sys.exit() in an answer would end the cell without a word
        raise WrongAnswer(*_told(error, function)) from error
    if value is ... or (value is None and _is_stub(function)):
        raise NotWritten
    if value is None:
        raise WrongAnswer("The function returns nothing.", "does it end with `return`?")
    return value


def as_array(value: Any, shape: tuple[int, ...] | None, what: str) -> np.ndarray:
    """Return a reader's value as float64 [shape].

    Args:
        value: what the function gave back: numbers, an array, a tensor.
        shape: that it must have; None for any.
        what: its name in the message, such as "the hardness".

    Raises:
        NotWritten: it is ``...``.
        WrongAnswer: it is no array of this shape, or not finite.
    """
    if value is ...:
        raise NotWritten
    of_shape = "" if shape is None else f" of shape {shape}"
    # a tensor that has a gradient is no worse for it
    value = value.detach() if hasattr(value, "detach") else value
    try:
        # whole numbers and truth values are numbers, complex ones and texts are not
        array = np.asarray(value).astype(float, casting="same_kind")
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise WrongAnswer(f"The result must be {what}: numbers{of_shape}, got {type(value).__name__}.") from error
    if shape is not None and array.shape != shape:
        hint = "one number came out for many: was a mean or a sum taken?" if array.ndim < len(shape) else ""
        if array.ndim > len(shape) == 0:
            hint = "one number is wanted, and many came out: is a mean or a sum missing?"
        raise WrongAnswer(f"The result must be {what}{of_shape}, got {array.shape}.", hint)
    if not np.isfinite(array).all():
        raise WrongAnswer(f"The result must be finite, got {shown(array)}.", "is there a log of 0, or a division by 0?")
    return array


def as_letter(letter: Any, options: Collection[str]) -> str:
    """Return the letter of a choice, as in "b", "B" or "b)".

    Raises:
        WrongAnswer: it is none of ``options``.
    """
    key = letter.strip().lower().rstrip(")") if isinstance(letter, str) else ""
    if key not in options:
        raise WrongAnswer(f"The answer must be one of {', '.join(options)}, got {letter!r}.")
    return key


def mistake(value: np.ndarray, wrong: Mapping[str, Any], tolerance: float = 1e-6) -> str:
    """Return the hint whose wrong result is this value, or an empty text.

    Args:
        value: what a reader got.
        wrong: {hint: what one gets by this mistake}.
        tolerance: of the comparison, absolute.
    """
    for hint, result in wrong.items():
        result = np.asarray(result, dtype=float)
        if result.shape == value.shape and np.allclose(value, result, rtol=0, atol=tolerance):
            return hint
    return ""


def shown(values: Any) -> str:
    """Return an array in a small form."""
    return np.array2string(np.asarray(values), precision=3, suppress_small=True, threshold=16, separator=", ")


def inputs(**named: Any) -> str:
    """Return "On a = ..., b = ...": the input on which an answer failed, in a small form."""
    return "\n".join(f"{name} = {shown(value)}" for name, value in named.items())


def _is_stub(function: Callable[..., Any]) -> bool:
    if not isinstance(function, FunctionType):
        return False
    return {step.opname for step in dis.get_instructions(function)} <= _OF_A_STUB


def _told(error: BaseException, function: Callable[..., Any]) -> tuple[str, str]:
    """Return what an exception is told as, and its hint: the last line of the reader's own code that was reached."""
    own = getattr(getattr(function, "__code__", None), "co_filename", None)
    frames: Sequence[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if frame.filename == own]
    where = ""
    if mine:
        number = mine[-1].lineno or 0
        text = linecache.getline(mine[-1].filename, number).strip()
        where = f" in line {number}" + (f", `{text}`" if text else "")
    hint = next((hint for kind, hint in _HINTS.items() if isinstance(error, kind)), "")
    message = str(error).splitlines()[0] if str(error) else ""
    return f"Your function raised {type(error).__name__}{where}: {message}", hint
