"""What the loaded code of a function says: its steps, the names that it looks up, the modules that it imports.

A function is what Python has compiled and holds, and not the text on the disk, which an editor may have changed since.
"""

import ast
import dis
import inspect
import linecache
from collections.abc import Iterator
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import decode_source
from itertools import count
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from riskmap.project.package import ChangedCodeError, digest

# what a compiler puts in for lines and for large numbers
_LAYOUT = ("NOP", "EXTENDED_ARG", "CACHE")
_LOOKS_UP = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_KINDS = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)
# what is compiled to code of its own
_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)


class Import(NamedTuple):
    """An import statement: ``from ..module import names`` has the level 2."""

    module: str
    level: int
    names: tuple[str, ...]


def function_digest(function: FunctionType) -> str:
    """Return a digest of a function's loaded code that neither comments nor docstrings nor layout change.

    Another minor version of Python compiles the same text to other steps, and so to another digest.

    Raises:
        ChangedCodeError: its file, where it has one, does not hold this code any more.
    """
    code = function.__code__
    path, is_as = Path(code.co_filename), (code.co_qualname, _digest_of(code))
    loader = getattr(function.__globals__.get("__spec__"), "loader", None)
    if not path.is_file() or type(loader) not in (SourceFileLoader, type(None)):
        # a cell has a text of its own, what exec has made has none, and pytest writes its tests anew on their way in
        return _codes_of("".join(linecache.getlines(code.co_filename))).get(is_as, is_as[1])
    written = _codes_of(path.read_bytes())
    if is_as not in written:
        raise ChangedCodeError(
            f"{path.name} has been edited since {code.co_qualname} was imported, and the old code would run: restart "
            "the kernel, or reload the module and import from it again"
        )
    return written[is_as]


def global_names(code: CodeType) -> set[str]:
    """Return the names of the globals and builtins that code, or code defined in it, looks up."""
    # a name that only follows a dot is no global
    return {step.argval for each in _with_nested(code) for step in _steps(each) if step.opname in _LOOKS_UP}


def all_names(code: CodeType) -> set[str]:
    """Return all names that code, or code defined in it, uses, those after a dot as well; variables left out."""
    return {name for each in _with_nested(code) for name in each.co_names}


def imports_in(code: CodeType) -> Iterator[Import]:
    """Yield the import statements of code, or of code defined in it."""
    for each in _with_nested(code):
        steps = _steps(each)
        for level, names, step in zip(steps, steps[1:], steps[2:], strict=False):
            if step.opname == "IMPORT_NAME":
                yield Import(step.argval, level.argval, tuple(names.argval or ()))


@cache
def _codes_of(text: str | bytes) -> dict[tuple[str, str], str]:
    """Return {qualified name and digest of code in a text: its digest whatever the layout}; none if it has errors."""
    try:
        text = text if isinstance(text, str) else decode_source(text)
        # a cell may wait for something
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        as_written = list(_with_nested(compile(text, "text", "exec", flags, dont_inherit=True)))
        on_lines = list(_with_nested(compile(_on_lines(text), "text", "exec", flags, dont_inherit=True)))
    except (SyntaxError, ValueError):
        return {}
    if [code.co_name for code in as_written] != [code.co_name for code in on_lines]:
        on_lines = as_written
    return {
        (code.co_qualname, _digest_of(code)): _digest_of(alike)
        for code, alike in zip(as_written, on_lines, strict=True)
    }


def _on_lines(text: str) -> ast.Module:
    """Parse a text as if each function stood on a line of its own: Python compiles what shares a line otherwise."""
    tree, numbers = ast.parse(text), count(2)

    def place(node: ast.AST, line: int) -> None:
        for child in ast.iter_child_nodes(node):
            of_child = next(numbers) if isinstance(child, _SCOPES) else line
            if "lineno" in child._attributes:
                vars(child).update(lineno=of_child, end_lineno=of_child, col_offset=0, end_col_offset=0)
            place(child, of_child)

    place(tree, 1)
    return tree


def _digest_of(code: CodeType) -> str:
    return digest([repr(_plain(code))])


def _plain(code: CodeType) -> tuple[Any, ...]:
    steps: list[dis.Instruction] = []
    number_at = {}
    for step in dis.get_instructions(code):
        number_at[step.offset] = len(steps)
        if step.opname in _LAYOUT:
            continue
        if step.opname == "STORE_NAME" and step.argval in ("__doc__", "__firstlineno__"):
            # of a class in a function: what is stored was loaded just before
            steps.pop()
        else:
            steps.append(step)
    jumps = {*dis.hasjrel, *dis.hasjabs}
    plain = [
        (each.opname, number_at[each.argval] if each.opcode in jumps else _constant(each.argval)) for each in steps
    ]
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _KINDS)
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return code.co_name, counts, arguments, code.co_exceptiontable, plain


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _plain(value)
    if isinstance(value, tuple):
        return tuple(map(_constant, value))
    # the order of a set of texts is another one in each process
    return (type(value).__name__, sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value))


def _with_nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _with_nested(each)


def _steps(code: CodeType) -> list[dis.Instruction]:
    return [step for step in dis.get_instructions(code) if step.opname not in _LAYOUT]
