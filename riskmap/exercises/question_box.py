"""A question with radio buttons; without a kernel a plain list of its choices."""

from html import escape
from typing import Any

import ipywidgets as widgets

from riskmap.exercises.outcome import Outcome
from riskmap.exercises.questions import Question

_WIDTH = "60em"


class QuestionBox(widgets.VBox):
    """A question, its choices as radio buttons, and below them what the chosen one is told.

    Args:
        name: of the exercise.
        question: what is asked.
        judge: from a letter to the outcome.
        letter: chosen at first; None where nothing is.
    """

    def __init__(self, name: str, question: Question, judge: Any, letter: str | None = None) -> None:
        self._name, self._question, self._judge = name, question, judge
        options = [(f"{key}) {option.text}", key) for key, option in question.by_letter.items()]
        self.buttons = widgets.RadioButtons(
            options=options, value=letter, layout=widgets.Layout(width="auto", max_width=_WIDTH)
        )
        self.feedback = widgets.HTML()
        self.buttons.observe(self._say, names="value")
        self._say()
        asked = widgets.HTML(f'<p style="max-width: {_WIDTH}"><b>{escape(question.text)}</b></p>')
        super().__init__([asked, self.buttons, self.feedback], layout=widgets.Layout(align_items="flex-start"))

    @property
    def outcome(self) -> Outcome:
        """What the chosen letter is told; "not yet written" where none is chosen."""
        return self._judge(... if self.buttons.value is None else self.buttons.value)

    def _say(self, _change: object = None) -> None:
        self.feedback.value = "" if self.buttons.value is None else self.outcome.html()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        choices = self._question.by_letter.items()
        items = "".join(f"<li>{escape(option.text)}</li>" for _, option in choices)
        answered = (
            self.outcome.html()
            if self.buttons.value
            else f'<p>Answer with <code>check("{self._name}", "a")</code>.</p>'
        )
        page = f'<p><b>{escape(self._question.text)}</b></p><ol type="a">{items}</ol>{answered}'
        lines = [self._question.text, *(f"  {key}) {option.text}" for key, option in choices)]
        plain = "\n".join([*lines, repr(self.outcome)])
        return {**super()._repr_mimebundle_(**kwargs), "text/html": page, "text/plain": plain}
