"""What may be imported where: the library stands on torch and NumPy, and each package is named in its extra."""

import ast
import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from riskmap.project.check_env import read_requirements
from riskmap.project.environment import EXTRAS
from riskmap.project.paths import PROJECT_ROOT

# these folders and files of tests are imported by their short names
OWN = {"riskmap", "data_scripts", "benchmarks", "browser", *(path.stem for path in PROJECT_ROOT.glob("tests/**/*.py"))}

USE = """
import sys, torch, numpy
before = set(sys.modules)
from riskmap import LeepStatistics, RiskWeightedLoss, TransferRiskMap
from riskmap import twins
labels = torch.tensor([[[0, 0, 0, 1]]])
probabilities = torch.full((1, 2, 1, 4), 0.5)
statistics = LeepStatistics(2, 2).update(probabilities, labels)
weights = TransferRiskMap(statistics)(probabilities, labels)
TransferRiskMap(statistics, scaling="dataset").fit([(probabilities, labels)])(probabilities, labels)
TransferRiskMap(statistics, smoothing=1.0)
RiskWeightedLoss()
RiskWeightedLoss(dice_weight=0.0)(torch.zeros(1, 2, 1, 4, requires_grad=True), labels, weights).backward()
twins.shuffle_within_class(weights, labels[:, None], 0)
LeepStatistics(2, 2).update(twins.hard_probabilities(probabilities), labels)
print(*sorted({name.split(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))
"""


def test_the_library_loads_nothing_but_torch():
    """MONAI takes longer to load than torch and all the rest."""
    done = subprocess.run([sys.executable, "-c", USE], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "riskmap\n"


def test_every_folder_of_the_package_is_in_the_wheel():
    """setuptools leaves a folder without ``__init__.py`` out, and says nothing."""
    folders = {path.parent for path in (PROJECT_ROOT / "riskmap").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def imported(path):
    """Return the packages that a module or a notebook imports anywhere, those of the standard library left out."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        lines = ["".join(cell["source"]) for cell in json.loads(source)["cells"] if cell["cell_type"] == "code"]
        source = re.sub(r"^%.*", "", "\n".join(lines), flags=re.MULTILINE)
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("extras", "patterns", "without"),
    [
        ((), ["riskmap/*.py"], ""),
        (("tutorial",), ["riskmap/*/*.py", "data_scripts/**/*.py", "notebooks/*.ipynb"], "rerun"),
        (("tutorial", "sweep", "docs"), ["riskmap/rerun/*.py", "benchmarks/*.py"], ""),
        ((*EXTRAS, "browser"), ["tests/**/*.py"], ""),
    ],
    ids=["library", "pages", "rerun", "tests"],
)
def test_each_import_is_required_by_the_extra_of_its_place(extras, patterns, without):
    requirements = read_requirements(PROJECT_ROOT / "pyproject.toml", extras)
    named = {canonicalize_name(Requirement(requirement).name) for requirement in requirements}
    distributions = packages_distributions()
    files = [path for pattern in patterns for path in PROJECT_ROOT.glob(pattern) if path.parent.name != without]
    assert files
    for path in files:
        for package in imported(path) - OWN:
            # one that is not installed is looked for by its own name
            names = {canonicalize_name(name) for name in distributions.get(package, [package])}
            assert names & named, f"{path.relative_to(PROJECT_ROOT)} imports {package}"
