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
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any

import numpy as np
import torch

PACKAGE = "riskmap"
# what np.where and its like are, which has no public name
_ArrayFunction = type(np.where)
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
            match node.body:
                case [ast.Expr(ast.Constant(str())), *rest]:
                    node.body = rest
    return ast.dump(tree)


def imported_modules(path: Path) -> set[str]:
    """Return the modules that a file imports by their full names, inside functions as well, and perhaps other names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # what is imported may be a module itself
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@cache
def package_code(module: str, without: str = f"{PACKAGE}.project") -> str:
    """Return a digest of a module of the package and of all that it imports, directly or not.

    Args:
        module: its full name.
        without: a part of the package that decides no number: files, bars and commands.
    """
    return _digest(_with_imports(module, lambda name: name.split(".")[0] == PACKAGE and not name.startswith(without)))


def _with_imports(module: str, counts: Callable[[str], bool]) -> Iterator[str]:
    """Yield the name and the plain source of a module and of all that it imports, as far as they count."""
    files: dict[str, Path] = {}
    ahead = [module]
    while ahead:
        name = ahead.pop()
        if name in files or not counts(name) or (path := _file_of(name)) is None:
            continue
        files[name] = path
        ahead += imported_modules(path)
    yield from (f"{name}\0{plain_source(path.read_text(encoding='utf-8'))}" for name, path in sorted(files.items()))


def function_code(function: Callable[..., Any], by_function: str = "") -> str:
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


def _collect(start: Callable[..., Any], by_function: str) -> dict[str, str]:
    """Return {where it is from: its plain source} of a function and of all that it uses."""
    found: dict[str, str] = {}
    # the objects themselves are kept, since an id is free again when its object is gone
    seen: dict[int, tuple[str, Any]] = {}
    ahead: list[tuple[str, Any]] = [("", start)]
    while ahead:
        place, value = ahead.pop()
        if isinstance(value, _PLAIN):
            found[place] = repr(value)
            continue
        if id(value) in seen:
            found.setdefault(place, f"as {seen[id(value)][0]}")
            continue
        seen[id(value)] = (place, value)
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
            found[f"{place} {module}.{value.__qualname__}"] = _plain_source_of(value)
            ahead += [(f"{place}/{name}", each) for name, each in [*_closed_over(value), *_globals_of(value)]]
        elif isinstance(value, type) and (_is_own(module) or module == by_function):
            # the source of a class cannot be read where a cell of a notebook defines it, that of its methods can
            found[place] = f"{module}.{value.__qualname__} {inspect.get_annotations(value)}"
            ahead += [(f"{place}.{name}", each) for name, each in _parts_of(value)]
        elif isinstance(value, FunctionType | type | BuiltinFunctionType | np.ufunc | _ArrayFunction):
            whole = package_code(module) if module.split(".")[0] == PACKAGE else ""
            # functions that others have made bear one name, and say of whom in this one
            found[place] = f"{module}.{getattr(value, '__qualname__', value.__name__)} {whole}"
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


def _parts_of(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of all that a class is made of: bases, methods, attributes, what fills its fields."""
    yield from ((f"base {index}", base) for index, base in enumerate(kind.__bases__))
    if is_dataclass(kind):
        yield from ((each.name, each.default_factory) for each in fields(kind) if each.default_factory is not MISSING)
    for name, value in vars(kind).items():
        if isinstance(value, property):
            value = (value.fget, value.fset)
        function = getattr(value, "__func__", value)
        if isinstance(function, FunctionType):
            # a dataclass writes some of its methods itself, and they follow from its fields
            if function.__code__.co_filename != "<string>" and name != "__repr__":
                yield name, function
        elif not name.startswith(("__", "_abc_")) and not isinstance(value, MemberDescriptorType):
            yield name, value


def source_of(function: Callable[..., Any]) -> str:
    """Return a function's source as it was written, with its decorators.

    Raises:
        UnknownSourceError: it cannot be read.
    """
    try:
        return inspect.getsource(function)
    except (OSError, TypeError) as error:
        name = getattr(function, "__qualname__", type(function).__name__)
        raise UnknownSourceError(
            f"the source of {name} cannot be read; define it in a file or in a cell of a notebook"
        ) from error


def _plain_source_of(function: FunctionType) -> str:
    try:
        # of its code: of a function that a decorator has wrapped, inspect gives what is wrapped in its place
        return plain_source(inspect.getsource(function.__code__))
    except (OSError, SyntaxError) as error:
        raise UnknownSourceError(
            f"the source of {function.__qualname__} cannot be read; define it with def, in a file or in a cell"
        ) from error


def _module_code(module: ModuleType) -> str:
    """Return what counts of a module that a function uses: its source where it is the reader's own."""
    if module.__name__.split(".")[0] == PACKAGE:
        return f"{module.__name__} {package_code(module.__name__)}"
    if not _is_own(module.__name__):
        return module.__name__
    return "\0".join(_with_imports(module.__name__, _is_own))


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
    name = place.split("/")[-1]
    raise UnknownSourceError(
        f"it uses {name} of type {type(value).__name__}, whose content cannot be told from another's; use functions, "
        "numbers, texts, lists, dictionaries, arrays or tensors"
    )


def _ordered(values: Any) -> list[Any]:
    return sorted(values, key=repr) if isinstance(values, set | frozenset) else list(values)


def _digest(parts: Iterator[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:12]
