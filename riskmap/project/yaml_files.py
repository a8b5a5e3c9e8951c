"""YAML that a reader writes: read such that every value is what it looks like, and checked by a pydantic model."""

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from yaml.nodes import MappingNode, Node, ScalarNode
from yaml.reader import ReaderError

from riskmap.project.choices import unknown

Model = TypeVar("Model", bound=BaseModel)
# how a value of each kind that YAML guesses must be written, so that nobody reads it otherwise
_PLAIN = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    "tag:yaml.org,2002:float": re.compile(
        r"[-+]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|\.(inf|Inf|INF))|\.(nan|NaN|NAN)"
    ),
    "tag:yaml.org,2002:bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "tag:yaml.org,2002:timestamp": None,
}


class MisreadError(ValueError):
    """YAML 1.1 reads a value otherwise than it looks: 010 as 8, 1:30 as 90, NO as false; ``line`` says where."""

    def __init__(self, message: str, node: Node) -> None:
        super().__init__(message)
        self.line = node.start_mark.line + 1


class _PlainLoader(yaml.SafeLoader):
    """Reads YAML as ever, and refuses what would be read otherwise than it looks, and names that stand twice."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """Return the value of a node."""
        value = super().construct_object(node, deep=deep)
        # in quotes, it is the reader who says what it is
        if isinstance(node, ScalarNode) and node.style is None and node.tag in _PLAIN:
            plain = _PLAIN[node.tag]
            if plain is None or not plain.fullmatch(node.value):
                raise MisreadError(_misread(node, value), node)
        return value

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the names and values of a node."""
        # a reader may have put the tag of a mapping before something else
        if isinstance(node, MappingNode):
            seen: set[tuple[str, str]] = set()
            for name in (key for key, _ in node.value if isinstance(key, ScalarNode)):
                if (name.tag, name.value) in seen:
                    raise MisreadError(f"{name.value} stands there twice, and only the last would count", name)
                seen.add((name.tag, name.value))
        return super().construct_mapping(node, deep=deep)


def read_value(text: str) -> Any:
    """Return the value of a YAML text.

    Raises:
        MisreadError: YAML 1.1 would read a part of it otherwise than it looks, or a name stands twice.
        yaml.YAMLError: it is no YAML.

    >>> read_value("[1, 2.5e-3, yes sir, 'NO']")
    [1, 0.0025, 'yes sir', 'NO']
    """
    return yaml.load(text, Loader=_PlainLoader)


def _misread(node: ScalarNode, value: Any) -> str:
    """Say what YAML makes of a value, and how to write what may have been meant."""
    is_plain = isinstance(value, int | float)
    read = str(value).lower() if is_plain else "a date"
    meant = [read] if is_plain else []
    digits = node.value.lstrip("+")
    if digits.isdigit() and (decimal := digits.lstrip("0")):
        meant.insert(0, decimal)
    choices = " or ".join([*dict.fromkeys(meant), f'"{node.value}" in quotes for text'])
    return f"YAML reads {node.value} as {read}; write {choices}"


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file of names and values.

    Raises:
        ValueError: the file is not there, is no text or no YAML (the line is named), or holds something else.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a YAML file")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    written = path.read_bytes()
    try:
        text = written.decode("utf-8")
        content = read_value(text)
    except MisreadError as error:
        raise ValueError(f"{path}, line {error.line}: {error}") from error
    except UnicodeDecodeError as error:
        line = written.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path} is not valid YAML: line {line} is no text in UTF-8; save the file in UTF-8"
        ) from error
    except ReaderError as error:
        # it counts characters and knows no lines
        line = text.count("\n", 0, error.position) + 1
        raise ValueError(f"{path} is not valid YAML: line {line} holds a character that is no text") from error
    # a date that is none is a plain ValueError
    except (yaml.YAMLError, ValueError) as error:
        advice = "; indent with spaces, not with tabs" if "\\t" in str(error) else ""
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}{advice}") from error
    except RecursionError as error:
        raise ValueError(f"{path} is not valid YAML: it is nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold names and values, got {type(content).__name__}")
    for name in content:
        if not isinstance(name, str):
            raise ValueError(f"{path}: a name must be text, got {name!r}; write it in quotes")
    return content


def read_yaml(path: Path, model: type[Model]) -> Model:
    """Read a YAML file of names and values into a model.

    Raises:
        ValueError: as :func:`read_mapping`; or a name is unknown (the nearest one is suggested), or values are missing,
            of a wrong type or at odds with one another; all problems are named.
    """
    content = read_mapping(path)
    for name in content:
        if name not in model.model_fields:
            names = sorted(model.model_fields)
            raise ValueError(unknown(f"unknown parameter {name!r} in {path}", names, name, "Declared"))
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{path}: {'; '.join(map(_problem, error.errors()))}") from error


def _problem(detail: ErrorDetails) -> str:
    """Say where a value does not fit, and why."""
    place = ".".join(str(part) for part in detail["loc"] if part != "[key]") or "as a whole"
    remedy = f", got {detail['input']!r}; write it in quotes" if detail["type"] == "string_type" else ""
    return f"{place}: {detail['msg']}{remedy}"
