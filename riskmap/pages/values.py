"""From texts and anything else that a notebook is given to values of the declared types, or to a message."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from riskmap.project.choices import did_you_mean, unknown
from riskmap.project.paths import PROJECT_ROOT
from riskmap.project.yaml_files import MisreadError, read_value


class ParameterError(ValueError):
    """A notebook was given what it does not take; the message names it, and the nearest valid choice."""


def require_known(name: str, known: Iterable[str], where: str) -> None:
    """Raise ParameterError unless ``name`` is one of the ``known`` parameters; ``where`` says where it stood."""
    names = sorted(known)
    if name not in names:
        raise ParameterError(unknown(f"unknown parameter {name!r} in {where}", names, name, "Declared"))


def parse_text(name: str, text: str, model: type[BaseModel]) -> Any:
    """Turn the text of a command line into a value of the type that ``model`` gives to ``name``.

    Raises:
        ParameterError: no such parameter, or the text is no such value.
    """
    require_known(name, model.model_fields, "the command line")
    kind = model.model_fields[name].annotation
    if kind is str or (get_origin(kind) is Literal and isinstance(get_args(kind)[0], str)):
        return text
    try:
        # YAML reads 1e-3 as text, so numbers are read by Python
        return _number(text) if kind is float else read_value(text)
    except MisreadError as error:
        raise ParameterError(f"parameter {name} must be {_kind(kind)}, got {text!r}: {error}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise ParameterError(f"parameter {name} must be {_kind(kind)}, got {text!r}") from error


def _number(text: str) -> float:
    """Read a number; 1_000 and digits of other scripts, which Python would read, are none (ValueError)."""
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is no plain number")
    return float(text)


def placed(values: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Return values of a command line or a profile, with their paths made such that they hold everywhere.

    A file or folder that is there from where the reader stands is meant; any other is below the project's root.
    """
    return {name: _placed(value, model.model_fields.get(name)) for name, value in values.items()}


def _placed(value: Any, knob: FieldInfo | None) -> Any:
    extra = knob.json_schema_extra if knob else None
    kind = extra.get("reads") if isinstance(extra, dict) else None
    if not (kind and isinstance(value, str) and value) or Path(value).is_absolute():
        return value
    path = Path(value).resolve()
    if not (path.is_file() if kind == "file" else path.is_dir()):
        return value
    return path.relative_to(PROJECT_ROOT).as_posix() if path.is_relative_to(PROJECT_ROOT) else str(path)


def problem_of(detail: ErrorDetails, model: type[BaseModel], values: Mapping[str, Any]) -> str:
    """Say in one line which parameter is wrong, what is allowed, and what is nearest."""
    name = str(detail["loc"][0])
    knob, given, context = model.model_fields[name], values[name], detail.get("ctx", {})
    extra = knob.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    subject = f"parameter {name} ({unit})" if unit else f"parameter {name}"
    within = f" in {given!r}" if len(detail["loc"]) > 1 else ""
    if detail["type"] == "value_error":
        return f"{subject}: {context['error']}{within}"
    for key, words in (("ge", "at least"), ("le", "at most"), ("gt", "above"), ("lt", "below")):
        if key in context:
            near = f"; the nearest is {context[key]}" if key in ("ge", "le") else ""
            return f"{subject} must be {words} {context[key]}, got {detail['input']!r}{within}{near}"
    if context.get("min_length", 1) > 1:
        return f"{subject} must hold at least {context['min_length']}, got {given!r}"
    if "min_length" in context:
        return f"{subject} must not be empty"
    if detail["type"] in ("literal_error", "string_pattern_mismatch"):
        allowed = [str(choice) for choice in get_args(knob.annotation)] or ["auto", "cpu", "mps", "cuda", "cuda:0"]
        return f"{subject} must be one of {', '.join(allowed)}, got {given!r}{did_you_mean(str(given), allowed)}"
    return f"{subject} must be {_kind(knob.annotation)}, got {given!r}{_converted(name, given, knob.annotation)}"


def _converted(name: str, given: Any, kind: Any) -> str:
    """Suggest the value that a text was meant to be, as papermill and YAML leave many as text."""
    if isinstance(given, str) and kind is float:
        try:
            return f"; did you mean {float(given)}? (in YAML, write 1.0e-3, not 1e-3)"
        except ValueError:
            return ""
    is_list = (get_origin(kind) or kind) is list
    if is_list and given in (None, ""):
        return "; an empty list is written []"
    if isinstance(given, str) and kind is not str:
        try:
            meant = _whole(given) if kind is int else read_value(given)
            listed = read_value(f"[{given}]") if is_list else []
        except (ValueError, yaml.YAMLError):
            return ""
        if is_list and not isinstance(meant, list):
            return f'; did you mean {listed!r}? (on the command line: -p {name} "[{given}]")'
        matches = isinstance(meant, get_origin(kind) or kind) and not (kind is int and isinstance(meant, bool))
        hint = f"; did you mean {meant!r}? (papermill -p leaves lists as text; use -y or a profile)"
        return (hint if isinstance(meant, list) else f"; did you mean {meant!r}?") if matches else ""
    if isinstance(given, float) and kind is int and given.is_integer():
        return f"; did you mean {int(given)}?"
    if kind is str:
        # how a number or a date was written is lost: 1.10 has become 1.1
        exact = isinstance(given, int) and not isinstance(given, bool)
        return f"; did you mean {str(given)!r}?" if exact else '; text like this is written in quotes: "..."'
    if is_list and not isinstance(given, list):
        return f'; did you mean {[given]!r}? (on the command line: -p {name} "[{given}]")'
    return ""


def _whole(text: str) -> int:
    """Read the whole number that a text such as 1e3 or 08 stands for (ValueError where it is none)."""
    number = _number(text)
    if not number.is_integer():
        raise ValueError(f"{text!r} is no whole number")
    return int(number)


def _kind(kind: Any) -> str:
    """Name a type in words, with the Python name that stands in the parameters cell."""
    if get_origin(kind) is list or kind is list:
        return "a list (list)"
    words = {int: "a whole number (int)", float: "a number (float)", bool: "true or false (bool)", str: "text (str)"}
    return words.get(kind, "a value of the declared type")
