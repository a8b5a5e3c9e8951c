"""What a check says: right, not yet, or not yet written; a coloured box in Jupyter, plain text elsewhere."""

from dataclasses import dataclass
from html import escape
from typing import Literal

Kind = Literal["right", "not yet", "not yet written"]
# a dark edge and a light ground, with the text's own colour, so that they can be read in a dark theme as well
_COLOURS: dict[Kind, tuple[str, str]] = {
    "right": ("#1b7f3b", "#e3f4e8"),
    "not yet": ("#b35900", "#fdf0e1"),
    "not yet written": ("#5f6770", "#eef0f2"),
}


class WrongAnswer(Exception):  # noqa: N818 - a reader's answer is no error of the program
    """An answer that lacks a property; with a hint for the usual mistake, where it looks like one."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what, self.hint = what, hint


class NotWritten(Exception):  # noqa: N818
    """The answer is still the ``...`` of the page."""


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Args:
        exercise: its name.
        kind: "right", "not yet" or "not yet written".
        said: what was found, in a sentence or two.
        hint: what to look at next, or an empty text.
    """

    exercise: str
    kind: Kind
    said: str
    hint: str = ""

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.kind == "right"

    @property
    def message(self) -> str:
        """What was found and the hint, as plain text."""
        return f"{self.said}\nHint: {self.hint}" if self.hint else self.said

    def html(self) -> str:
        """Return the box; the word at its head says what the colour says."""
        edge, ground = _COLOURS[self.kind]
        hint = f"<br><b>Hint:</b> {_lines(self.hint)}" if self.hint else ""
        return (
            f'<div class="riskmap-check" style="border-left: 6px solid {edge}; background: {ground}; color: #1c1f23; '
            f'padding: .5em .8em; max-width: 60em"><b style="color: {edge}">{self.exercise}: {self.kind}</b><br>'
            f"{_lines(self.said)}{hint}</div>"
        )

    def __repr__(self) -> str:
        return f"{self.exercise}: {self.kind}. {self.message}"

    def _repr_html_(self) -> str:
        return self.html()


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")
