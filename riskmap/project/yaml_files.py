"""YAML files that a reader writes: read, and checked by a pydantic model."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.reader import ReaderError

from riskmap.project.choices import unknown

Model = TypeVar("Model", bound=BaseModel)


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
        content = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        line = written.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path} is not valid YAML: line {line} is no text in UTF-8") from error
    except ReaderError as error:
        # it counts characters and knows no lines
        line = text.count("\n", 0, error.position) + 1
        raise ValueError(f"{path} is not valid YAML: line {line} holds a character that is no text") from error
    # a date that is none is a plain ValueError
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold names and values, got {type(content).__name__}")
    for name in content:
        if not isinstance(name, str):
            raise ValueError(f"{path}: a name must be text, got {name!r}")
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
        problems = [f"{'.'.join(map(str, each['loc'])) or 'as a whole'}: {each['msg']}" for each in error.errors()]
        raise ValueError(f"{path}: {'; '.join(problems)}") from error
