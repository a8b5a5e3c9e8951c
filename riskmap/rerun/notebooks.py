"""Which notebooks there are, and what each can be given: the parameters that its cell declares, checked."""

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbformat import NotebookNode

from riskmap.pages.page import Parameters
from riskmap.pages.parameters import MODELS, model_of
from riskmap.pages.values import placed, require_known
from riskmap.project.paths import NOTEBOOKS
from riskmap.project.yaml_files import read_mapping


def pages_in(folder: Path) -> dict[str, Path]:
    """Return the pages of a folder by their number, such as "03".

    In the project's own folder they are those of the tutorial, by name; in any other folder, say that of a course, each
    notebook with a number of its own. A copy that a reader has made of a page (03_mine.ipynb, or
    03_fine_tuning-Copy1.ipynb), and what a reader has added, is no page: it is run by its name or its path, and takes
    no page's place.

    Raises:
        ValueError: several notebooks of another folder have one number, and not just one of them is a page.
    """
    if folder.resolve() == NOTEBOOKS:
        return {name[:2]: folder / f"{name}.ipynb" for name in MODELS if (folder / f"{name}.ipynb").is_file()}
    by_number: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        by_number.setdefault(path.name[:2], []).append(path)
    pages = {}
    for number, paths in by_number.items():
        known = [path for path in paths if path.stem in MODELS] if len(paths) > 1 else paths
        if len(known) != 1:
            raise ValueError(f"{', '.join(path.name for path in paths)} have one number; rename all but one of them")
        pages[number] = known[0]
    return pages


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook.

    Raises:
        ValueError: the file is none.
    """
    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, KeyError, AttributeError, TypeError, nbformat.ValidationError) as error:
        raise ValueError(f"{path} is no notebook: {' '.join(str(error).split())[:200]}") from error


def declared_parameters(notebook: Path) -> dict[str, Any]:
    """Return the names and defaults in a notebook's cell tagged ``parameters``.

    Raises:
        ValueError: the file is no notebook or has no such cell, or a default is not a plain literal.
    """
    content = read_notebook(notebook)
    if not any("parameters" in cell.metadata.get("tags", []) for cell in content.cells):
        raise ValueError(f"{notebook} has no cell tagged 'parameters'")
    declared = {}
    for name, found in papermill.inspect_notebook(notebook).items():
        try:
            declared[name] = ast.literal_eval(found["default"])
        except (ValueError, SyntaxError) as error:
            raise ValueError(f"{notebook}: {name} = {found['default']} is not a plain literal") from error
    return declared


def read_profile(profile: Path, notebooks: Iterable[Path]) -> dict[str, Any]:
    """Read a YAML file of parameter values; each name must be declared by at least one of ``notebooks``."""
    values = read_mapping(Path(profile))
    known = {name for notebook in notebooks for name in declared_parameters(notebook)}
    for name in values:
        require_known(name, known, f"{profile} (no notebook declares it)")
    return values


def parameters_model(notebook: Path) -> type[Parameters]:
    """Return the model of a notebook's parameters."""
    return model_of(notebook, declared_parameters(notebook))


def page_of(notebook: Path, values: Mapping[str, Any]) -> Parameters:
    """Return the checked parameters of a notebook: those of its own cell, and ``values`` in their place.

    Raises:
        ParameterError: for a name that is not declared, a wrong type or range, or values that do not go together.
    """
    declared = declared_parameters(notebook)
    model = model_of(notebook, declared)
    # a reader may have changed the cell
    own = {name: value for name, value in declared.items() if name in model.model_fields}
    return model.checked(own | dict(values), notebook.name)


def checked_parameters(notebook: Path, profile: Path | None, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a notebook is run with: those values of the profile that it declares, then ``parameters``.

    Raises:
        ParameterError: as :func:`page_of`.
    """
    model = parameters_model(notebook)
    values = {}
    if profile is not None:
        neighbours = {notebook, *pages_in(notebook.parent).values()}
        values = {n: v for n, v in read_profile(profile, sorted(neighbours)).items() if n in model.model_fields}
    values = placed(values | dict(parameters), model)
    page_of(notebook, values)
    return values
