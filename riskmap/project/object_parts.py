"""What functions, classes and arrays are made of, and which modules are the reader's own."""

import importlib
import site
import sys
import sysconfig
from collections import namedtuple
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, cached_property
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import FunctionType, MemberDescriptorType, ModuleType
from typing import Any

import numpy as np
import torch

from riskmap.project.bytecode import imports_in
from riskmap.project.package import is_of_package

# what a class makes of its slots, and a tuple of its names: they follow from the order of the names
_Slot = MemberDescriptorType | type(vars(namedtuple("_OneName", "name"))["name"])


@cache
def is_own(module: str) -> bool:
    """Tell whether a module is the reader's: a notebook, a script, or a file that no package has installed.

    A module that cannot be found counts as the reader's, so that it is followed.
    """
    if module == "__main__" or is_of_package(module):
        return module == "__main__"
    try:
        found = find_spec(module.split(".")[0])
    except (ImportError, ValueError, AttributeError):
        found = None
    if found is None:
        return True
    if found.origin in ("built-in", "frozen"):
        return False
    places = [found.origin] if found.origin else list(found.submodule_search_locations or ())
    return not any(Path(place).resolve().is_relative_to(folder) for place in places for folder in _installed_folders())


def closed_over(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a function's defaults and of the variables that it has closed over."""
    yield from ((f"default {index}", value) for index, value in enumerate(function.__defaults__ or ()))
    yield from (function.__kwdefaults__ or {}).items()
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        # a cell is empty until its variable is set
        with suppress(ValueError):
            yield name, cell.cell_contents


def imported_in(function: FunctionType) -> Iterator[tuple[str, ModuleType]]:
    """Yield the modules that a function itself imports, those of installed packages left out; they are imported now."""
    package = function.__globals__.get("__package__") or (function.__globals__.get("__name__") or "").rpartition(".")[0]
    for statement in imports_in(function.__code__):
        # one that is missing is an error when the function runs, or the function does without
        with suppress(ImportError):
            name = resolve_name("." * statement.level + statement.module, package)
            if not (is_own(name) or is_of_package(name)):
                continue
            module = importlib.import_module(name)
            for each in statement.names:
                if not hasattr(module, each):
                    importlib.import_module(f"{name}.{each}")
            # "import a.b" binds a
            yield f"import {name}", module if statement.names else sys.modules[name.split(".")[0]]


def parts_of(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of all that a class is made of: bases, methods, attributes, what fills its fields."""
    yield from ((f"base {index}", base) for index, base in enumerate((*kind.__bases__, type(kind))))
    if is_dataclass(kind):
        yield from ((each.name, each.default_factory) for each in fields(kind) if each.default_factory is not MISSING)
    for name, value in vars(kind).items():
        if isinstance(value, property):
            yield name, (value.fget, value.fset)
            continue
        function = value.func if isinstance(value, cached_property) else getattr(value, "__func__", value)
        if isinstance(function, FunctionType):
            # a dataclass writes some of its methods itself, and they follow from its fields
            if function.__code__.co_filename != "<string>" and name != "__repr__":
                yield name, function
        elif not name.startswith(("__", "_abc_")) and not isinstance(value, _Slot):
            yield name, value


def attributes_of(value: Any) -> list[tuple[str, Any]]:
    """Return the names and values of what was set on an object."""
    return sorted(getattr(value, "__dict__", {}).items())


def bytes_of(value: torch.Tensor | np.ndarray | np.generic) -> bytes | None:
    """Return the values of an array or a tensor as bytes, None where they cannot be told: objects, masks, sparse."""
    if isinstance(value, torch.Tensor):
        try:
            # through bytes, as NumPy knows no bfloat16
            plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous().flatten()
            return plain.view(torch.uint8).numpy().tobytes()
        except (RuntimeError, NotImplementedError, TypeError):
            return None
    if value.dtype.hasobject or isinstance(value, np.ma.MaskedArray):
        return None
    return np.ascontiguousarray(value).tobytes()


@cache
def _installed_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    folders = {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"]}
    # the second is the reader's own "pip install --user"
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    return tuple(Path(folder).resolve() for folder in folders)
