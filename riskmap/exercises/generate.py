"""Make the student's and the solved copy of each page of exercises from its one source.

In a source, a cell tagged ``solution`` holds what a student has to write. In the student's copy

- the body of a function becomes ``...``, below its docstring and its comments that begin with ``# hint:``;
- the value of an assignment becomes ``...``, unless it is a check;
- a call of ``ask`` loses the letter.

Both copies show above a call of ``ask``, folded, what can be chosen, so that a page can be read without a kernel.
``python -m riskmap exercises`` writes both copies.
"""

import argparse
import ast
import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from html import escape
from itertools import pairwise
from pathlib import Path

import nbformat
from nbformat import NotebookNode, ValidationError
from nbformat.reader import NotJSONError

from riskmap.exercises.questions import QUESTIONS
from riskmap.project.commands import exit_status, run_command
from riskmap.project.files import atomic_path, digest_of
from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT
from riskmap.project.writing import require_own_copy

FOLDER = NOTEBOOKS / "exercises"
SOURCE, SOLVED = "source", "solved"
TAG = "solution"
# in the metadata of a copy: the digest of its cells, so that a changed copy is told from one that is only old
_MADE = "made"


def sources(folder: Path = FOLDER) -> list[Path]:
    """Return the sources of the pages of exercises, in their order."""
    return sorted((folder / SOURCE).glob("[0-9][0-9]_*.ipynb"))


def student_code(source: str) -> str:
    """Return what a student gets of the code of a cell that is tagged as a solution.

    Raises:
        ValueError: nothing in the cell is left to the student.

    >>> print(student_code("def f(x):\\n    # hint: twice\\n    y = 2 * x\\n    return y\\n\\n\\nz = f(3)"))
    def f(x):
        # hint: twice
        ...
    <BLANKLINE>
    <BLANKLINE>
    z = ...
    """
    lines = source.splitlines()
    # from the last to the first, so that what stands above keeps its lines
    cuts = sorted(_cuts(ast.parse(source), lines), reverse=True)
    if not cuts:
        raise ValueError(f"a cell tagged {TAG!r} leaves nothing to the student:\n{source}")
    for first, last, left in cuts:
        lines[first:last] = [left]
    return "\n".join(lines)


def student_copy(source: NotebookNode, name: str) -> NotebookNode:
    """Return the student's copy of a source, whose file has this name."""
    made = _copied(source, student=True)
    made.cells[0].source += f"\n\nStuck? [The solved copy]({SOLVED}/{name}) has one answer to each; there are others."
    return made


def solved_copy(source: NotebookNode, name: str) -> NotebookNode:
    """Return the solved copy of a source, whose file has this name."""
    made = _copied(source, student=False)
    made.cells[0].source += f"\n\nThis is the solved copy. [The one to write in](../{name}) lies beside the pages."
    return made


def write_copies(folder: Path = FOLDER, overwrite: bool = False) -> list[Path]:
    """Write both copies of each source and return their paths.

    Args:
        folder: holds the sources in ``source/``, gets the students' copies, and the solved ones in ``solved/``.
        overwrite: also those in which somebody has worked.

    Raises:
        ValueError: there is no source, or a copy was changed or run, so that it may hold answers; nothing is written.
    """
    copies = {}
    for path in sources(folder):
        source = _read(path)
        copies[folder / path.name] = student_copy(source, path.name)
        copies[folder / SOLVED / path.name] = solved_copy(source, path.name)
    if not copies:
        raise ValueError(f"no sources of exercises in {folder / SOURCE}")
    worked_in = [] if overwrite else [target for target, copy in copies.items() if _was_worked_in(target, copy)]
    if worked_in:
        names = ", ".join(target.relative_to(folder).as_posix() for target in worked_in)
        raise ValueError(
            f"{names} in {folder} may hold answers, as somebody changed or ran cells: move what you want to keep, or "
            "give --overwrite"
        )
    for target, copy in copies.items():
        copy.metadata[_MADE] = _digest(copy)
        target.parent.mkdir(exist_ok=True)
        with atomic_path(target) as temporary:
            nbformat.write(copy, temporary)
    return list(copies)


def _copied(source: NotebookNode, student: bool) -> NotebookNode:
    made = deepcopy(source)
    for cell in made.cells:
        tags = cell.metadata.get("tags", [])
        if TAG in tags:
            cell.metadata["tags"] = [tag for tag in tags if tag != TAG]
            if not cell.metadata["tags"]:
                del cell.metadata["tags"]
            if student:
                cell.source = student_code(cell.source)
        if student and cell.cell_type == "markdown":
            # the sources lie one folder deeper than the student's copies
            cell.source = cell.source.replace("](../../", "](../")
    for above, cell in pairwise(made.cells):
        if found := re.match(r'ask\("(\w+)"', cell.source):
            above.source += "\n\n" + _choices(found[1])
    return made


def _choices(name: str) -> str:
    """Return a question with its choices, folded, as the HTML that Markdown takes."""
    question = QUESTIONS[name]
    items = "\n".join(f"<li>{escape(option.text, quote=False)}</li>" for option in question.options)
    return (
        "<details><summary>The choices, without a kernel</summary>\n\n"
        f"<p>{escape(question.text, quote=False)}</p>\n"
        f'<ol type="a">\n{items}\n</ol>\n</details>'
    )


def _cuts(tree: ast.Module, lines: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Yield (first, last, left): the lines ``first`` to ``last`` (not included) become ``left``."""
    for node in tree.body:
        last = node.end_lineno or node.lineno
        if isinstance(node, ast.FunctionDef):
            first, indent = node.body[0].lineno - 1, " " * node.body[0].col_offset
            if ast.get_docstring(node) is not None:
                first = node.body[0].end_lineno or first
            else:
                # comments stand above the first statement
                first = next(n for n in range(node.lineno, last) if lines[n - 1].rstrip().endswith(":"))
            while lines[first].strip().startswith("# hint:") or (
                lines[first].strip().startswith("#") and lines[first - 1].strip().startswith("#")
            ):
                first += 1
            yield first, last, f"{indent}..."
        elif isinstance(node, ast.Assign) and not _calls(node.value, "check"):
            yield node.lineno - 1, last, f"{' = '.join(map(ast.unparse, node.targets))} = ..."
        elif isinstance(node, ast.Expr) and (asked := _calls(node.value, "ask")):
            yield node.lineno - 1, last, f'ask("{ast.literal_eval(asked.args[0])}")'


def _calls(node: ast.expr, name: str) -> ast.Call | None:
    """Return the call that an expression is, if it is one of this name."""
    return node if isinstance(node, ast.Call) and ast.unparse(node.func) == name else None


def _was_worked_in(target: Path, copy: NotebookNode) -> bool:
    """Tell whether what lies there is neither as it was made nor as it would be made now, or was run."""
    if not target.is_file():
        return False
    there = _read(target)
    as_made = _digest(there) in (there.metadata.get(_MADE), _digest(copy))
    return not as_made or any(c.cell_type == "code" and (c.outputs or c.execution_count) for c in there.cells)


def _digest(notebook: NotebookNode) -> str:
    return digest_of([cell.source for cell in notebook.cells])


def _read(notebook: Path) -> NotebookNode:
    try:
        return nbformat.read(notebook, as_version=4)
    except (NotJSONError, ValidationError) as error:
        raise ValueError(f"{notebook} is no notebook, or a damaged one") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the student's and the solved copy of each page of exercises."""
    parser = argparse.ArgumentParser(prog="python -m riskmap exercises", description=main.__doc__)
    parser.add_argument("--overwrite", action="store_true", help="also copies in which somebody has worked")
    options = parser.parse_args(arguments)

    def work() -> int:
        require_own_copy("riskmap exercises", FOLDER)
        for path in write_copies(overwrite=options.overwrite):
            print(path.relative_to(PROJECT_ROOT))
        return 0

    return exit_status(work, "the next call starts again")


if __name__ == "__main__":
    run_command(main)
