"""The package's own code, as this process has imported it: digests of it, and whether the files still say the same.

A stored result is named by what made it. A version number that nobody raises says nothing of it: what counts is the
code itself. It is kept from the moment of the import, since that is what runs, whatever an editor does to the files.
"""

import ast
import hashlib
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

PACKAGE = "riskmap"
ROOT = Path(__file__).resolve().parents[1]
# a part of the package that decides no number: files, bars and commands
_WITHOUT = f"{PACKAGE}.project"


class ChangedCodeError(ValueError):
    """The files no longer say what runs, so that a result would be taken for one of the new code."""


def plain_code(text: str) -> str:
    """Return the syntax of Python code alone: the same text for the same program, whatever its comments say.

    >>> plain_code("def f(x):\\n    'Double it.'\\n    return 2*x  # twice") == plain_code("def f(x): return 2 * x")
    True
    """
    tree = ast.parse(textwrap.dedent(text))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(ast.Constant(str())), *rest]:
                    node.body = rest
    return ast.dump(tree)


def package_code(module: str) -> str:
    """Return a digest of a module of the package and of all that it imports, as this process has imported them.

    Comments, docstrings and layout do not count, nor does what only types need.

    Args:
        module: its full name.
    """
    return digest(f"{name} {_plain_digest(IMPORTED[name])}" for name in _with_imports(module))


def check_package(module: str) -> None:
    """Check that the files of a module of the package, and of all that it imports, still say what runs.

    Raises:
        ChangedCodeError: one was edited, in more than its comments, since this process imported it.
    """
    for name in _with_imports(module):
        if not _is_same(IMPORTED[name], _text_on_disk(name)):
            raise ChangedCodeError(
                f"{name} has been edited since the kernel imported it, and the old code would run: restart the kernel"
            )


def check_same_package(module: str, code: str) -> None:
    """Check in a worker that it has imported a module of the package as the process that it works for has.

    Args:
        module: its full name.
        code: its :func:`package_code` there.

    Raises:
        ChangedCodeError: the package was edited before the worker started.
    """
    if package_code(module) != code:
        raise ChangedCodeError(
            "the package has been edited since the kernel imported it, and its workers would run the new code: restart "
            "the kernel"
        )


def digest(parts: Iterable[str]) -> str:
    """Return a 12-character digest of texts in their order."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() + b"\0")
    return found.hexdigest()[:12]


def is_of_package(module: str) -> bool:
    """Tell whether a full name is that of the package or of a module in it."""
    return module.split(".")[0] == PACKAGE


def _with_imports(module: str) -> list[str]:
    """Return the full names, sorted, of a module of the package and of all of it that this one imports."""
    found: set[str] = set()
    ahead = [module]
    while ahead:
        name = ahead.pop()
        if name in found or name not in IMPORTED or name.startswith(_WITHOUT):
            continue
        found.add(name)
        ahead += _imports(name, IMPORTED[name])
    return sorted(found)


@cache
def _imports(module: str, text: str) -> frozenset[str]:
    """Return the full names of what a module imports, inside functions as well, and perhaps other names."""
    found: set[str] = set()
    for node in _walk_for_numbers(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # what is imported may be a module itself
            start = resolve_name("." * node.level + (node.module or ""), module.rpartition(".")[0])
            found |= {start, *(f"{start}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def _walk_for_numbers(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree, without what only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(ast.Name("TYPE_CHECKING")):
                continue
        yield node
        yield from _walk_for_numbers(node)


@cache
def _plain_digest(text: str) -> str:
    return digest([plain_code(text)])


def _is_same(imported: str, now: str | None) -> bool:
    if now is None or imported == now:
        return now is not None
    try:
        return plain_code(imported) == plain_code(now)
    except SyntaxError:
        return False


def _text_on_disk(module: str) -> str | None:
    place = ROOT.joinpath(*module.split(".")[1:])
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return None


def _texts() -> dict[str, str]:
    """Return {full name: text} of the package's modules."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = (PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


# read once, when this process imports the package
IMPORTED = _texts()
