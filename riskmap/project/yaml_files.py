"""YAML files that a reader writes: read, and checked by a pydantic model."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from riskmap.project.choices import unknown

Model = TypeVar("Model", bound=BaseModel)


def read_mapping(path: Path) -> dict[Any, Any]:
    """Read a YAML file of names and values.

    Raises:
        ValueError: the file is not there, is no YAML (the line is named) or holds something else.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold names and values, got {type(content).__name__}")
    return content


def read_yaml(path: Path, model: type[Model]) -> Model:
    """Read a YAML file of names and values into a model.

    Raises:
        ValueError: as :func:`read_mapping`; or a name is unknown (the nearest one is suggested), or values are missing,
            of a wrong type or at odds with one another; all problems are named.
    """
    content = read_mapping(path)
    for name in map(str, content):
        if name not in model.model_fields:
            names = sorted(model.model_fields)
            raise ValueError(unknown(f"unknown parameter {name!r} in {path}", names, name, "Declared"))
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, each['loc'])) or 'as a whole'}: {each['msg']}" for each in error.errors()]
        raise ValueError(f"{path}: {'; '.join(problems)}") from error
