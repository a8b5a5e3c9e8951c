"""What a function computes, as a digest of its loaded code and of all that it uses.

What is digested is what runs: the compiled functions that this process holds, and the values of what they look up. The
files are only asked whether they still say the same.
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from functools import singledispatchmethod
from itertools import chain
from types import BuiltinFunctionType, EllipsisType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

from riskmap.project.bytecode import all_names, function_digest, global_names
from riskmap.project.object_parts import attributes_of, bytes_of, closed_over, imported_in, is_own, parts_of
from riskmap.project.package import digest, is_of_package, package_code

# what np.where and its like are, which has no public name
_ArrayFunction = type(np.where)
_Plain = bool | int | float | complex | str | bytes | range | slice | torch.dtype | torch.device | EllipsisType | None
# what can reach any object by its name as a text
_REACHES_ALL = {"globals", "eval", "exec", "__import__"}


class UnknownCodeError(ValueError):
    """A function uses something whose content cannot be told, so that a stored result could go stale unseen."""


@dataclass(frozen=True)
class Followed:
    """What a function uses.

    Args:
        content: where it is from, to what it is; all that is digested.
        modules: the reader's own modules by their names, with the names that are used of each through its module.
    """

    content: dict[str, str] = field(default_factory=dict)
    modules: dict[str, set[str]] = field(default_factory=dict)


def function_code(function: Any, by_function: str = "") -> str:
    """Return a digest of a function and of all that it uses: helpers, constants, what it has closed over.

    Comments, docstrings and layout do not count. Of installed packages the names count alone. What a function reaches
    through a text, such as ``getattr(module, "name")``, is not seen; ``globals()`` and its like are refused.

    Args:
        function: of the reader, or one that the package has made of it; or a class, or several in a list.
        by_function: a module of the package whose functions are followed one by one, as the reader's are. Any other
            module of the package counts as a whole, with what it imports.

    Raises:
        UnknownCodeError: it uses an object whose content cannot be told.
        ChangedCodeError: a file of the reader was edited since it was imported.
    """
    return digest(f"{place}\0{what}" for place, what in sorted(follow(function, by_function).content.items()))


def follow(function: Any, by_function: str = "") -> Followed:
    """Return all that a function uses; see :func:`function_code`."""
    walk = _Walk(by_function)
    walk.go(function)
    return walk.found


def text_of(function: Callable[..., Any]) -> str:
    """Return a function's text as it was written, with its decorators.

    Raises:
        UnknownCodeError: it cannot be read.
        ChangedCodeError: its file was edited since it was imported.
    """
    written = inspect.unwrap(function)
    if isinstance(written, FunctionType):
        # it says whether the file is still the same
        function_digest(written)
    try:
        return inspect.getsource(function)
    except (OSError, TypeError) as error:
        name = getattr(function, "__qualname__", type(function).__name__)
        raise UnknownCodeError(
            f"the text of {name} cannot be read; define it in a file or in a cell of a notebook"
        ) from error


class _Walk:
    """Goes from a function to all that it uses; one method for each kind of object."""

    def __init__(self, by_function: str) -> None:
        self.found = Followed()
        self._by_function = by_function
        self._ahead: list[tuple[str, Any]] = []
        # the objects themselves are kept, since an id is free again when its object is gone
        self._seen: dict[int, tuple[str, Any]] = {}

    def go(self, start: Any) -> None:
        self._ahead.append(("", start))
        while self._ahead:
            place, value = self._ahead.pop()
            if isinstance(value, _Plain):
                self._read(value, place)
            elif id(value) in self._seen:
                self.found.content.setdefault(place, f"as {self._seen[id(value)][0]}")
            else:
                self._seen[id(value)] = (place, value)
                self._read(value, place)

    @singledispatchmethod
    def _read(self, value: Any, place: str) -> None:
        raise UnknownCodeError(
            f"it uses {place.split('/')[-1]} of type {type(value).__name__}, whose content cannot be told from "
            "another's; use functions, numbers, texts, lists, dictionaries, arrays or tensors"
        )

    @_read.register(_Plain)
    def _read_plain(self, value: Any, place: str) -> None:
        self.found.content[place] = repr(value)
        self._add_type(value, place)

    @_read.register(list | tuple | set | frozenset)
    def _read_values(self, value: Any, place: str) -> None:
        self.found.content[place] = type(value).__name__
        ordered = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        self._add((f"{place}[{index}]", each) for index, each in enumerate(ordered))
        self._add_type(value, place)

    @_read.register(dict)
    def _read_dict(self, value: dict[Any, Any], place: str) -> None:
        self.found.content[place] = type(value).__name__
        self._add((f"{place}[{key!r}]", each) for key, each in value.items())
        if hasattr(value, "default_factory"):
            self._add([(f"{place} default", value.default_factory)])
        self._add_type(value, place)

    @_read.register(torch.Tensor | np.ndarray | np.generic)
    def _read_array(self, value: torch.Tensor | np.ndarray | np.generic, place: str) -> None:
        found = bytes_of(value)
        if found is None:
            raise UnknownCodeError(f"it uses {place.split('/')[-1]}, whose values cannot be read; use a plain array")
        self.found.content[place] = f"{value.dtype} {tuple(value.shape)} {digest([found.hex()])}"

    @_read.register(ModuleType)
    def _read_module(self, value: ModuleType, place: str) -> None:
        # it is no function's own, so that nothing says which of its names are used
        self._add_module(value, place, set())

    @_read.register(FunctionType)
    def _read_function(self, function: FunctionType, place: str) -> None:
        module = function.__globals__.get("__name__") or ""
        if is_own(module):
            self._keep_module(module)
        elif module != self._by_function:
            # functions that others have made bear one name, and say of whom in what they close over
            self._add_name(function, place, module)
            self._add((f"{place}/{name}", each) for name, each in closed_over(function))
            return
        self.found.content[f"{place} {module}.{function.__qualname__}"] = function_digest(function)
        names = all_names(function.__code__)
        used = (closed_over(function), attributes_of(function), _globals_of(function), imported_in(function))
        for name, each in chain.from_iterable(used):
            if isinstance(each, ModuleType):
                self._add_module(each, f"{place}/{name}", names)
            else:
                self._add([(f"{place}/{name}", each)])

    @_read.register(type)
    def _read_class(self, kind: type, place: str) -> None:
        if is_own(kind.__module__):
            self._keep_module(kind.__module__)
        elif kind.__module__ != self._by_function:
            self._add_name(kind, place, kind.__module__)
            return
        # its text cannot be read where a cell of a notebook defines it, its methods can
        self.found.content[place] = f"{kind.__module__}.{kind.__qualname__} {inspect.get_annotations(kind)}"
        self._add((f"{place}.{name}", each) for name, each in parts_of(kind))

    @_read.register(BuiltinFunctionType | np.ufunc | _ArrayFunction)
    def _read_compiled(self, value: Any, place: str) -> None:
        if isinstance(value, np.ufunc) and "(vectorized)" in value.__name__:
            raise UnknownCodeError(f"it uses {place.split('/')[-1]}, made by NumPy of a function; use the function")
        self._add_name(value, place, getattr(value, "__module__", None) or "")
        owner = getattr(value, "__self__", None)
        if not isinstance(owner, ModuleType | type | None):
            self._add([(f"{place} of", owner)])

    def _add(self, values: Iterable[tuple[str, Any]]) -> None:
        self._ahead += values

    def _add_name(self, value: Any, place: str, module: str) -> None:
        """Let a name speak for what is installed, and the code of its module for what is the package's."""
        name = f"{getattr(value, '__module__', None) or ''}.{getattr(value, '__qualname__', value.__name__)}"
        self.found.content[place] = f"{name} {package_code(module) if is_of_package(module) else ''}"

    def _add_type(self, value: Any, place: str) -> None:
        """Follow the type of a number, a text or a container where it is none of Python's own."""
        if type(value).__module__ != "builtins":
            self._add([(f"{place} type", type(value)), *((f"{place}.{k}", each) for k, each in attributes_of(value))])

    def _add_module(self, module: ModuleType, place: str, names: set[str], within: Set[str] = frozenset()) -> None:
        """Follow what a function uses of a module: of the names in its code, those that the module has."""
        name, is_readers = module.__name__, is_own(module.__name__)
        used = sorted(names.intersection(vars(module)))
        self.found.content[place] = f"{name} {package_code(name) if is_of_package(name) else ''}"
        if name in within or not (is_readers or is_of_package(name)):
            return
        if is_readers and not used:
            raise UnknownCodeError(f"it uses the module {name} as a whole; name what it uses, as in {name}.function")
        if is_readers:
            self._keep_module(name, used)
        for each, value in ((each, vars(module)[each]) for each in used):
            if isinstance(value, ModuleType):
                self._add_module(value, f"{place}.{each}", names, within | {name})
            elif is_readers:
                self._add([(f"{place}.{each}", value)])

    def _keep_module(self, name: str, used: Iterable[str] = ()) -> None:
        if name in sys.modules and name != "__main__":
            self.found.modules.setdefault(name, set()).update(used)


def _globals_of(function: FunctionType) -> list[tuple[str, Any]]:
    """Return the names and values of the globals that a function, or one defined in it, looks up.

    Raises:
        UnknownCodeError: it looks up what can reach any other.
    """
    code, there = function.__code__, function.__globals__
    names = global_names(code)
    hidden = sorted(names.difference(there) & _REACHES_ALL) or sorted(all_names(code) & {"import_module"})
    if hidden:
        raise UnknownCodeError(f"{function.__qualname__} calls {hidden[0]}(), which can reach what cannot be followed")
    return [(name, there[name]) for name in sorted(names.intersection(there))]
