"""YAML files that a reader writes: read, and checked by a pydantic model."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from riskmap.project.choices import unknown

Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Reads YAML without what it takes silently for something else."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a name that stands twice, of which YAML keeps the last."""
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            # another mapping that is merged in may be overruled
            name = None if key.tag == "tag:yaml.org,2002:merge" else self.construct_object(key, deep=True)
            if not isinstance(name, str | int | float):
                continue
            if name in lines:
                raise _refused(key, f"{key.value} stands twice, first in line {lines[name]}; keep one of both")
            lines[name] = _line(key)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """Refuse 010, which YAML reads as 8, and 1:30, which it reads as 90."""
        of_tag = self.construct_yaml_int if node.tag.endswith(":int") else self.construct_yaml_float
        number = of_tag(node)
        if ":" in node.value or re.fullmatch(r"[-+]?0[0-7_]+", node.value):
            plain = node.value.replace("_", "").lstrip("0") or "0"
            instead = "the number itself" if ":" in node.value else plain
            raise _refused(
                node, f'YAML reads {node.value} as {number}; write it in quotes, "{node.value}", or write {instead}'
            )
        return number

    def construct_date(self, node: yaml.ScalarNode) -> Any:
        """Say where a date stands that is none."""
        try:
            return self.construct_yaml_timestamp(node)
        except ValueError as error:
            raise _refused(node, f'{node.value} is no date ({error}); if it is text, write "{node.value}"') from error


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_date)


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file of names and values.

    Raises:
        ValueError: the file is not there, is no text or no YAML (the line is named), holds a name twice or a number
            that YAML reads as another one, or holds something else.
    """
    return _read(path)[0]


def read_yaml(path: Path, model: type[Model]) -> Model:
    """Read a YAML file of names and values into a model.

    Raises:
        ValueError: as :func:`read_mapping`; or a name is unknown (the nearest one is suggested), or values are missing,
            of a wrong type or at odds with one another; all problems are named.
    """
    content, root = _read(path)
    for name in content:
        if name not in model.model_fields:
            names = sorted(model.model_fields)
            raise ValueError(unknown(f"unknown parameter {name!r} in {path}", names, name, "Declared"))
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = [_problem(each, root) for each in error.errors()]
        raise ValueError(f"{path}: {'; '.join(problems)}") from error


def _read(path: Path) -> tuple[dict[str, Any], yaml.Node]:
    """Return what a file holds, and the same as it is written."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a YAML file")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    text = _text(path)
    loader = None
    try:
        loader = _Loader(text)
        loader.name = path.name
        root = loader.get_single_node()
        content = loader.construct_document(root) if root is not None else None
    except ReaderError as error:
        # it counts characters and knows no lines
        line = text.count("\n", 0, error.position) + 1
        raise ValueError(f"{path} is not valid YAML: line {line} holds a character that is no text") from error
    except (yaml.YAMLError, ValueError) as error:
        advice = "; indent with spaces, not with tabs" if "\\t" in str(error) else ""
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}{advice}") from error
    except RecursionError as error:
        raise ValueError(f"{path} is not valid YAML: it is nested too deeply") from error
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(content, dict) or root is None:
        raise ValueError(f"{path} must hold names and values, got {type(content).__name__}")
    for name, (key, _) in zip(content, root.value, strict=False):
        if not isinstance(name, str):
            raise ValueError(f"{path}: a name must be text, got {name!r}: {_quoted(key, name)}")
    return content, root


def _text(path: Path) -> str:
    written = path.read_bytes()
    try:
        return written.decode("utf-8")
    except UnicodeDecodeError as error:
        line = written.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path} is not valid YAML: line {line} is no text in UTF-8; save the file in UTF-8"
        ) from error


def _problem(detail: ErrorDetails, root: yaml.Node) -> str:
    """Say what is wrong with a value, in which line, and how it is written right."""
    place = detail["loc"]
    node = _written(root, place)
    name = ".".join(str(each) for each in place if each != "[key]")
    if node is None:
        return f"{name or 'as a whole'}: {detail['msg']}"
    given = detail["input"]
    if detail["type"] == "string_type":
        name = ".".join(map(str, place[:-2])) if place[-1] == "[key]" else name
        return f"{name}: {detail['msg']}: {_quoted(node, given)}"
    return f"{name}: {detail['msg']} (line {_line(node)}{_as_number(node, given, detail['type'])})"


def _written(node: yaml.Node, place: Sequence[int | str]) -> yaml.Node | None:
    """Return what is written at a place of a model; None if nothing is."""
    key: yaml.Node | None = None
    for item in place:
        if item == "[key]":
            return key
        if isinstance(node, yaml.SequenceNode) and isinstance(item, int) and item < len(node.value):
            node = node.value[item]
        elif isinstance(node, yaml.MappingNode):
            # a name that is no text, such as false or a date, stands in the place as a number or as Python writes it
            found = [pair for pair in node.value if item in (name := _value(pair[0]), repr(name))]
            if not found:
                return None
            key, node = found[0]
        else:
            return None
    return node if place else None


def _value(node: yaml.Node) -> Any:
    return yaml.constructor.SafeConstructor().construct_document(node)


def _quoted(node: yaml.Node, value: Any) -> str:
    """Say that a text must be quoted, as YAML reads it as something else."""
    if not isinstance(node, yaml.ScalarNode):
        return f"line {_line(node)} begins a list or names; write text in quotes"
    return f'YAML reads {_read_as(node, value)} in line {_line(node)}; write it in quotes: "{node.value}"'


def _read_as(node: yaml.ScalarNode, value: Any) -> str:
    written = node.value or "what is left out"
    if isinstance(value, bool):
        return f"{written} as {str(value).lower()}"
    if isinstance(value, int | float):
        return f"{written} as the number {value}"
    return f"{written} as {'nothing' if value is None else 'a date'}"


def _as_number(node: yaml.Node, given: Any, kind: str) -> str:
    """Suggest how a number is written that YAML has read as text, such as 1e3, or as true, such as yes."""
    if isinstance(given, bool) and isinstance(node, yaml.ScalarNode):
        return f"; YAML reads {_read_as(node, given)}"
    if not isinstance(given, str) or kind not in ("float_type", "int_type"):
        return ""
    try:
        number = float(given)
    except ValueError:
        return ""
    instead = int(number) if kind == "int_type" and number.is_integer() else number
    return f"; YAML reads {given} as text, write {instead} without quotes"


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _refused(node: yaml.Node, problem: str) -> ConstructorError:
    return ConstructorError(None, None, problem, node.start_mark)
