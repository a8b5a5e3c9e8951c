"""The source code that decides numbers, as digests that do not change with comments, docstrings or layout.

A stored result is named by what made it. A version number that nobody raises says nothing of it, a name of a function
just as little: what counts is the code itself.
"""

import ast
import dis
import hashlib
import importlib.util
import inspect
import site
import sysconfig
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

PACKAGE = "riskmap"
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), range, slice, torch.dtype, torch.device)


class UnknownSourceError(ValueError):
    """A function uses something whose content cannot be told, so that a stored result could go stale unseen."""


def plain_source(text: str) -> str:
    """Return the syntax of Python source alone: the same text for the same program, whatever its comments say.

    >>> plain_source("def f(x):\\n    'Double it.'\\n    return 2*x  # twice") == plain_source("def f(x): return 2 * x")
    True
    """
    tree = ast.parse(textwrap.dedent(text))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            is_text = node.body and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
            if is_text and isinstance(node.body[0].value.value, str):
                node.body = node.body[1:]
    return ast.dump(tree)


def imported_modules(path: Path, package: str = PACKAGE) -> set[str]:
    """Return the modules of ``package`` that a file imports, inside functions as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # what is imported may be a module itself
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.split(".")[0] == package and _file_of(name) is not None}


@cache
def package_code(module: str, without: str = f"{PACKAGE}.project") -> str:
    """Return a digest of a module of the package and of all that it imports, directly or not.

    Args:
        module: its full name.
        without: a part of the package that decides no number: files, bars and commands.
    """
    files: dict[str, Path] = {}
    ahead = [module]
    while ahead:
        name = ahead.pop()
        path = _file_of(name)
        if name in files or path is None or name.startswith(without):
            continue
        files[name] = path
        ahead += imported_modules(path)
    return _digest(f"{name}\0{plain_source(path.read_text(encoding='utf-8'))}" for name, path in sorted(files.items()))


def function_code(function: FunctionType, by_function: str = "") -> str:
    """Return a digest of a function's source and of all that it uses: helpers, constants, what it has closed over.

    Args:
        function: defined in a file, or in a cell of a notebook.
        by_function: a module of the package whose functions are followed one by one, as those of a notebook are. Any
            other module of the package counts as a whole, with what it imports; of other installed packages only the
            names count.

    Raises:
        UnknownSourceError: its source cannot be read, or it uses an object whose content cannot be told.
    """
    return _digest(f"{name}\0{content}" for name, content in sorted(_collect(function, by_function).items()))


def _collect(start: FunctionType, by_function: str) -> dict[str, str]:
    """Return {where it is from: its plain source} of a function and of all that it uses."""
    found: dict[str, str] = {}
    # the objects themselves are kept, since an id is free again when its object is gone
    seen: dict[int, Any] = {}
    ahead: list[tuple[str, Any]] = [("", start)]
    while ahead:
        place, value = ahead.pop()
        if id(value) in seen:
            found.setdefault(place, f"as {type(value).__name__}")
            continue
        seen[id(value)] = value
        module = getattr(value, "__module__", None) or ""
        if isinstance(value, list | tuple | set | frozenset):
            found[place] = type(value).__name__
            ahead += [(f"{place}[{index}]", each) for index, each in enumerate(_ordered(value))]
        elif isinstance(value, dict):
            found[place] = "dict"
            ahead += [(f"{place}[{key!r}]", each) for key, each in value.items()]
        elif isinstance(value, ModuleType):
            found[place] = _module_code(value)
        elif isinstance(value, FunctionType) and (_is_own(module) or module == by_function):
            found[f"{place} {module}.{value.__qualname__}"] = plain_source(_source_of(value))
            ahead += [(f"{place}/{name}", each) for name, each in [*_closed_over(value), *_globals_of(value)]]
        elif isinstance(value, type) and (_is_own(module) or module == by_function):
            found[place] = plain_source(_source_of(value))
        elif isinstance(value, FunctionType | type | BuiltinFunctionType | np.ufunc):
            whole = package_code(module) if module.split(".")[0] == PACKAGE else ""
            found[place] = f"{module}.{value.__name__} {whole}"
            if isinstance(value, FunctionType):
                ahead += [(f"{place}/{name}", each) for name, each in _closed_over(value)]
        else:
            found[place] = _content_of(value, place)
    return found


def _closed_over(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a function's defaults and of the variables that it has closed over."""
    yield from ((f"default {index}", value) for index, value in enumerate(function.__defaults__ or ()))
    yield from (function.__kwdefaults__ or {}).items()
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    yield from ((name, cell.cell_contents) for name, cell in cells)


def _globals_of(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of the globals that a function, or one defined in it, looks up."""
    names, codes = set(), [function.__code__]
    while codes:
        code = codes.pop()
        # a name that only follows a dot is no global
        names |= {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
        codes += [each for each in code.co_consts if isinstance(each, type(code))]
    yield from ((name, function.__globals__[name]) for name in sorted(names) if name in function.__globals__)


def _source_of(value: FunctionType | type) -> str:
    try:
        return inspect.getsource(value)
    except (OSError, TypeError) as error:
        raise UnknownSourceError(
            f"the source of {value.__qualname__} cannot be read; define it in a file or in a cell of a notebook"
        ) from error


def _module_code(module: ModuleType) -> str:
    """Return what counts of a module that a function uses: its source where it is the reader's own."""
    if module.__name__.split(".")[0] == PACKAGE:
        return f"{module.__name__} {package_code(module.__name__)}"
    path = getattr(module, "__file__", None)
    if path is None or not _is_own(module.__name__):
        return module.__name__
    return plain_source(Path(path).read_text(encoding="utf-8"))


def _is_own(module: str) -> bool:
    """Tell whether a module is the reader's: a notebook, a script, or a file that no package has installed."""
    if module == "__main__":
        return True
    if not module or module.split(".")[0] == PACKAGE:
        return False
    path = _file_of(module)
    return path is not None and not any(path.is_relative_to(folder) for folder in _installed_folders())


@cache
def _installed_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    folders = {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()}
    return tuple(Path(folder).resolve() for folder in folders)


@cache
def _file_of(module: str) -> Path | None:
    """Return the Python file of a module, None where it has none."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    if found is None or not found.origin or not found.origin.endswith(".py"):
        return None
    return Path(found.origin).resolve()


def _content_of(value: Any, place: str) -> str:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype} {value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    if isinstance(value, _PLAIN):
        return repr(value)
    raise UnknownSourceError(
        f"it uses {place.strip('/')} of type {type(value).__name__}, whose content cannot be told from another's; use "
        "functions, numbers, texts, lists, dictionaries, arrays or tensors"
    )


def _ordered(values: Any) -> list[Any]:
    return sorted(values, key=repr) if isinstance(values, set | frozenset) else list(values)


def _digest(parts: Iterator[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:12]
