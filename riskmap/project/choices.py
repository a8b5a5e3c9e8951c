"""What to say of a name that is not one of those that are allowed: the nearest one, and all of them."""

import difflib
from collections.abc import Iterable


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed name that ``name`` was probably meant to be, capitals or not; None where none is near.

    >>> nearest("Shot", ["shots", "steps"])
    'shots'
    """
    lowered = {each.lower(): each for each in allowed}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    return lowered[near[0]] if near else None


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return "; did you mean 'X'?" where a name is near, otherwise an empty text.

    >>> did_you_mean("steps", ["stops"]), did_you_mean("steps", ["T1"])
    ("; did you mean 'stops'?", '')
    """
    near = nearest(name, allowed)
    return f"; did you mean {near!r}?" if near else ""


def unknown(what: str, allowed: Iterable[str], name: str, heading: str = "Allowed") -> str:
    """Return the message for a name that is not allowed: what it is, the nearest one, and all that are.

    Args:
        what: the beginning of the message, such as ``unknown part 'x' in cohort c``.
        allowed: the names; empty ones are not shown.
        name: what came.
        heading: before the list of names.

    >>> unknown("unknown arm 'skratch'", ["scratch", "focal"], "skratch")
    "unknown arm 'skratch'; did you mean 'scratch'? Allowed: scratch, focal"
    """
    names = [each for each in allowed if each]
    return f"{what}{did_you_mean(name, names) or '.'} {heading}: {', '.join(names) or 'none'}"
