"""The rules that every notebook of the tutorial keeps; ``python -m tests.notebook_rules`` prints what breaks them.

The spine: title, "You will be able to" bullets, prerequisites with minutes and disk, the parameters cell, one import
cell that ends with the versions, the body, "Recap" with as many bullets, "What to read next".
"""

import ast
import re
import statistics
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import fields
from functools import partial
from pathlib import Path

import nbformat
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbstripout import strip_output

from riskmap.rerun.site_math import formula_to_mathml
from riskmap.training.specs import Setting

MAX_BYTES = 150_000
MAX_LINES = 25
MAX_MEDIAN_LINES = 10
MAX_FUNCTIONS = 2
# they are what a reader writes there
MAX_EXERCISE_FUNCTIONS = 4
EXERCISE_HEAD = {
    "a title": r"\A# \S",
    "what is practised": r"\*\*You will practise\*\*\n\n- [A-Z]",
    "a link to its page": r"\*\*Prerequisites:\*\* \[[^]]+\]\((\.\./)+[0-9]{2}_\w+\.ipynb\)",
    "the minutes": r"\bminutes\b",
}
# what a page takes from the package, and what it leaves to its object
MAX_NAMES = 6
PLUMBING = (
    "SourceSpec",
    "TransferSpec",
    "TrainingConfig",
    "NetworkConfig",
    "ensure_runs",
    "keep_measurements",
    "product",
)
BANNED = {
    r"(^|\n)\s*[%!]*\s*pip3? install|(^|\n)\s*%?conda install": "installs a package",
    r"\binteract(ive|ive_output|_manual)?\s*\(|@interact\b|import .*\binteract": "uses interact (headless runs hang)",
    r"\bOutput\(": "uses an Output widget (headless runs hang)",
    r"%matplotlib\s+widget": "uses %matplotlib widget",
}
# what names a place on one machine: a path from the root, from a home folder, or with a drive letter
ABSOLUTE_PATH = re.compile(r"""["'`(\s](/[A-Za-z][\w.-]*(?=[/"'`])|~/|[A-Za-z]:\\)""")
SPINE = (
    ("title", r"^# \S"),
    ("You will be able to", r"you will be able to"),
    ("Recap", r"^#+ .*\brecap\b"),
    ("What to read next", r"what to read next"),
)
# nbstripout's own list, and what papermill and Jupyter note about a run
STRIP_KEYS = [
    *("metadata.signature", "metadata.widgets", "metadata.papermill", "cell.metadata.papermill"),
    *("cell.metadata.execution", "cell.metadata.ExecuteTime", "cell.metadata.collapsed", "cell.metadata.scrolled"),
    *("cell.metadata.heading_collapsed", "cell.metadata.hidden", "cell.metadata.vscode"),
]


def violations(path: Path) -> list[str]:
    """Return every broken rule of a notebook as ``name, cell N: what is wrong`` (cells counted from 1)."""
    notebook = nbformat.read(path, as_version=4)
    checks = (
        check_spine,
        check_bullets,
        check_questions,
        check_order,
        check_answers,
        check_folded,
        check_parameters,
        check_knobs,
        check_imports,
        check_plumbing,
        check_prose,
        check_code_size,
        check_banned,
        check_paths,
        check_formulas,
        check_clean,
    )
    found = [f"{path.name}{place}: {what}" for check in checks for place, what in _placed(check(notebook))]
    return found + [f"{path.name}: {what}" for what in check_file(path)]


def exercise_violations(path: Path) -> list[str]:
    """Return every broken rule of a page of exercises; it has no spine of a page, and a rule for its own head."""
    notebook = nbformat.read(path, as_version=4)
    checks = (
        check_exercises,
        check_prose,
        partial(check_code_size, most_functions=MAX_EXERCISE_FUNCTIONS),
        check_banned,
        check_paths,
        check_formulas,
        check_clean,
    )
    found = [f"{path.name}{place}: {what}" for check in checks for place, what in _placed(check(notebook))]
    return found + [f"{path.name}: {what}" for what in check_file(path)]


def check_exercises(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """The head names what is practised, the page and the minutes; before an exercise stand a reason and a hint."""
    head = notebook.cells[0].source
    for what, pattern in EXERCISE_HEAD.items():
        if not re.search(pattern, head):
            yield 1, f"the head lacks {what}"
    for number, cell in _code(notebook):
        before = notebook.cells[number - 2].source if number > 1 else ""
        writes = re.search(r"^def \w+\(", cell.source, re.MULTILINE)
        if (writes or cell.source.startswith("ask(")) and "**Why.**" not in before:
            yield number, "no reason ('**Why.**') before this exercise"
        if writes and "<details><summary>Hint</summary>" not in before:
            yield number, "no hint before this exercise"


def check_spine(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """The parts of the spine are all there, in their order; the first cell is the title; H1 stands once."""
    places = []
    for name, pattern in SPINE:
        found = _find(notebook, pattern)
        if not found:
            yield 0, f"lacks {name!r}"
        else:
            places.append(found[0] if name != "What to read next" else found[-1])
    if places != sorted(places):
        yield 0, "title, aims, recap and what to read next are not in this order"
    titles = _find(notebook, r"^# \S")
    if titles and titles[0] != 1:
        yield titles[0], "the title must stand in the first cell"
    if len(titles) > 1:
        yield titles[1], "a second H1 title"
    if not any(
        all(re.search(word, cell.source, re.IGNORECASE) for word in ("prerequisites", "minutes?", r"\d\s*[KMG]B"))
        for _, cell in _markdown(notebook)
    ):
        yield 0, "lacks the line of prerequisites, minutes and disk (MB or GB)"


def check_bullets(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """The aims begin with a capitalised word (a verb), and the recap has as many bullets."""
    aims, recap = _bullets_after(notebook, r"you will be able to"), _bullets_after(notebook, r"^#+ .*\brecap\b")
    if not aims:
        yield 0, "no bullets under 'You will be able to'"
    for bullet in aims:
        if not re.match(r"[A-Z][a-z]+\b", bullet):
            yield 0, f"an aim must begin with a verb in upper case: {bullet!r}"
    if len(aims) != len(recap):
        yield 0, f"{len(aims)} aims but {len(recap)} bullets in the recap"


def check_questions(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """A learner predicts something before it runs, and answers a question after."""
    if not _find(notebook, r"\bpredict\b"):
        yield 0, "nothing to predict ('Predict')"
    if not _find(notebook, r"\*\*Question\b"):
        yield 0, "no question to answer ('Question')"


def check_order(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """ "Predict" stands before the code that shows it, "What you see" after what is seen: code, or a picture."""
    for number, cell in _markdown(notebook):
        following = notebook.cells[number] if number < len(notebook.cells) else None
        if "**Predict" in cell.source and (following is None or following.cell_type != "code"):
            yield number, "'Predict' must be followed by a code cell"
        above, seen, _ = cell.source.partition("**What you see")
        before = notebook.cells[number - 2] if number > 1 else None
        shows = before is not None and (before.cell_type == "code" or _has_picture(before.source))
        if seen and not shows and not _has_picture(above):
            yield number, "'What you see' must follow a code cell or a picture"


def check_answers(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """Each "Predict" is resolved, by an "Answer." in a later cell, before the next one is asked."""
    asked = 0
    for number, cell in _markdown(notebook):
        for mark in re.findall(r"\*\*(Predict|Answer)\b", cell.source):
            if mark == "Predict" and asked:
                yield asked, "'Predict' has no '**Answer.**' before the next one"
            if mark == "Answer" and not asked:
                yield number, "'**Answer.**' answers nothing"
            asked = number if mark == "Predict" else 0
    if asked:
        yield asked, "'Predict' has no '**Answer.**'"


def check_folded(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """Parameters and imports are folded, in JupyterLab and on the site: they are not what a reader came for."""
    for number, cell in _code(notebook):
        plumbing = "parameters" in cell.metadata.get("tags", []) or any(map(_is_import, ast.walk(_parse(cell.source))))
        folded = "hide-input" in cell.metadata.get("tags", []) and cell.metadata.get("jupyter", {}).get("source_hidden")
        if plumbing and not folded:
            yield number, "parameters and imports must be folded: the tag hide-input, and jupyter.source_hidden"


def check_parameters(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """One cell is tagged ``parameters``, before any other code, and it holds nothing but names and literals."""
    tagged = [(n, cell) for n, cell in _code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        yield 0, f"{len(tagged)} cells tagged 'parameters', must be 1"
        return
    number, cell = tagged[0]
    if number != next(_code(notebook))[0]:
        yield number, "the parameters cell must be the first code cell"
    for statement in _parse(cell.source).body:
        simple = isinstance(statement, ast.Assign | ast.AnnAssign) and _is_literal(statement.value)
        if not simple:
            yield number, f"the parameters cell must hold literals only: {ast.unparse(statement)!r}"
        elif isinstance(statement, ast.AnnAssign) and not isinstance(statement.annotation, ast.Name):
            yield number, f"papermill misreads this annotation: {ast.unparse(statement)!r}"
    for line in cell.source.splitlines():
        if re.search(r"""(["']).*#.*\1""", line):
            yield number, f"papermill misreads a # inside a string: {line!r}"


def check_knobs(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """Each parameter is used: by its name in a later cell, or by the setting or the cohort that the page asks for."""
    cells = [(n, c) for n, c in _code(notebook) if "parameters" in c.metadata.get("tags", [])]
    later = [node for n, c in _code(notebook) if cells and n > cells[0][0] for node in ast.walk(_parse(c.source))]
    used = {node.id for node in later if isinstance(node, ast.Name)}
    asked = {node.attr for node in later if isinstance(node, ast.Attribute)}
    if "setting" in asked:
        used |= {each.name for each in fields(Setting)}
    if "open_cohort" in asked:
        used |= {"cohort", "data_dir"}
    for number, cell in cells:
        for statement in _parse(cell.source).body:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id not in used | asked:
                    yield number, f"nothing uses the parameter {node.id!r}"


def check_imports(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """All imports stand in one cell, and its last statement shows the versions."""
    cells = [(n, c) for n, c in _code(notebook) if any(map(_is_import, ast.walk(_parse(c.source))))]
    if len(cells) != 1:
        yield 0, f"{len(cells)} cells with imports ({[n for n, _ in cells]}), must be 1"
        return
    number, cell = cells[0]
    last = _parse(cell.source).body[-1]
    if not any(isinstance(n, ast.Call) and "versions" in ast.unparse(n.func) for n in ast.walk(last)):
        yield number, "the import cell must end by showing the versions"


def check_plumbing(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """A page imports a few names, none of them private, and builds no specification: its object does."""
    names = set()
    for number, cell in _code(notebook):
        for node in ast.walk(_parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "riskmap":
                names |= {alias.name for alias in node.names}
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                yield number, f"the private name {node.attr!r}"
            if isinstance(node, ast.Name) and node.id in PLUMBING:
                yield number, f"{node.id} is plumbing: the page's object does it"
    if len(names) > MAX_NAMES:
        yield 0, f"{len(names)} names from riskmap ({', '.join(sorted(names))}), at most {MAX_NAMES}"


def check_prose(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """Prose stands before every code cell."""
    for number, cell in _code(notebook):
        before = notebook.cells[number - 2] if number > 1 else None
        if before is None or before.cell_type != "markdown":
            yield number, "no prose before this code cell"
        if not cell.source.strip():
            yield number, "empty code cell"


def check_code_size(notebook: NotebookNode, most_functions: int = MAX_FUNCTIONS) -> Iterator[tuple[int, str]]:
    """Code cells are short, and helpers live in the package."""
    lengths = {number: len(cell.source.splitlines()) for number, cell in _code(notebook)}
    for number, length in lengths.items():
        if length > MAX_LINES:
            yield number, f"{length} lines of code, at most {MAX_LINES}"
    if lengths and statistics.median(lengths.values()) > MAX_MEDIAN_LINES:
        yield 0, f"the median code cell has {statistics.median(lengths.values()):g} lines, at most {MAX_MEDIAN_LINES}"
    functions = sum(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for _, cell in _code(notebook)
        for node in ast.walk(_parse(cell.source))
    )
    if functions > most_functions:
        yield 0, f"{functions} functions defined, at most {most_functions}: helpers live in riskmap/"


def check_banned(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """Nothing that installs, or that hangs a headless run."""
    for number, cell in _code(notebook):
        for pattern, what in BANNED.items():
            if re.search(pattern, cell.source):
                yield number, what


def check_paths(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """No path that exists on one machine only."""
    for number, cell in enumerate(notebook.cells, start=1):
        found = ABSOLUTE_PATH.search(" " + cell.source)
        if found:
            yield number, f"absolute path {found.group(1)!r}"


def check_formulas(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """Every formula can be set as MathML, so that the site shows it without a network."""
    for number, cell in _markdown(notebook):
        formulas: list[str] = []
        renderer = IPythonRenderer(escape=False)
        renderer.inline_math = renderer.block_math = lambda body, kept=formulas: kept.append(body) or ""
        MarkdownWithMath(renderer=renderer).render(cell.source)
        for formula in formulas:
            try:
                formula_to_mathml(formula)
            except ValueError as error:
                yield number, str(error)


def check_clean(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """No outputs, no execution counts, no state of widgets."""
    if "widgets" in notebook.metadata:
        yield 0, "widget state"
    for number, cell in _code(notebook):
        if cell.outputs:
            yield number, "has outputs"
        if cell.execution_count is not None:
            yield number, "has an execution count"


def check_file(path: Path) -> Iterator[str]:
    """The file is small and its metadata are what nbstripout leaves."""
    if path.stat().st_size > MAX_BYTES:
        yield f"{path.stat().st_size} bytes, at most {MAX_BYTES}"
    notebook = nbformat.read(path, as_version=4)
    stripped = strip_output(deepcopy(notebook), keep_output=True, keep_count=True, keep_id=True, extra_keys=STRIP_KEYS)
    if stripped != notebook:
        yield "metadata not clean (nbstripout takes something away)"


def _placed(found: Iterator[tuple[int, str]]) -> Iterator[tuple[str, str]]:
    for number, what in found:
        yield (f", cell {number}" if number else ""), what


def _code(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    return ((n, cell) for n, cell in enumerate(notebook.cells, start=1) if cell.cell_type == "code")


def _markdown(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    return ((n, cell) for n, cell in enumerate(notebook.cells, start=1) if cell.cell_type == "markdown")


def _find(notebook: NotebookNode, pattern: str) -> list[int]:
    flags = re.IGNORECASE | re.MULTILINE
    return [number for number, cell in _markdown(notebook) for _ in re.findall(pattern, cell.source, flags)]


def _has_picture(source: str) -> bool:
    return bool(re.search(r"!\[|<img\b", source))


def _bullets_after(notebook: NotebookNode, pattern: str) -> list[str]:
    """Return the first list below the line that matches ``pattern``, in the same cell."""
    for _, cell in _markdown(notebook):
        found = re.search(pattern, cell.source, re.IGNORECASE | re.MULTILINE)
        if found:
            lists = re.search(r"((?:^[-*] .+\n?(?:^[ \t]+\S.*\n?)*)+)", cell.source[found.end() :], re.MULTILINE)
            return re.findall(r"^[-*] +(.+)$", lists.group(1), re.MULTILINE) if lists else []
    return []


def _parse(source: str) -> ast.Module:
    """Parse a cell, its magic lines left out."""
    lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines()]
    return ast.parse("\n".join(lines))


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _is_literal(node: ast.expr | None) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError):
        return False
    return True


def main() -> int:
    """Check the notebooks of this project and return the number of broken rules."""
    folder = Path(__file__).resolve().parents[1] / "notebooks"
    found = [line for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")) for line in violations(path)]
    found += [line for path in sorted(folder.glob("exercises/**/*.ipynb")) for line in exercise_violations(path)]
    print("\n".join(found) or "no rule is broken")
    return len(found)


if __name__ == "__main__":
    sys.exit(main())
