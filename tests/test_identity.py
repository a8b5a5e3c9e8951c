"""Nothing stale is read: a run is named by all that decides its numbers, the source of arm and training included."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cells import run_cell
from scipy.ndimage import zoom
from torch.nn.functional import max_pool2d, softplus

from riskmap.project import sources
from riskmap.project.paths import PROJECT_ROOT
from riskmap.project.sources import UnknownSourceError, package_code
from riskmap.training import device
from riskmap.training.arm import arm_of
from riskmap.training.arms import ARMS, get_arm
from riskmap.training.config import NetworkConfig, SourceSpec, TrainingConfig, TransferSpec
from riskmap.training.runs import ensure_run, parameters_of, place_of

SHORT = TrainingConfig(steps=2, batch_size=4, validations=1, device="cpu", precision="float32")
SOURCE = SourceSpec("FLAIR:WT", 0, SHORT, NetworkConfig(channels=(4, 8)))

CELL = """
import functools

STRENGTH = 2.0
CHOICES = {"low": 1, "high": [2, 3]}
BASE = 1
TIMES = 1

def helper(y):
    return (y > 0).float()

class Scale:
    power = 3

    def __call__(self, values):
        return self.times(values) + STRENGTH

    @staticmethod
    def times(values):
        return 7 * values

def at_least(low):
    def decorate(function):
        @functools.wraps(function)
        def inner(h, y):
            return function(h, y).clamp(min=low, max=100)
        return inner
    return decorate

def factory(closed):
    def inside(h):
        return closed * h
    return inside

inside = factory(4.0)

@at_least(0.5)
def mine(h, y, power=5.0, *, offset=6.0):
    '''Weight by hardness.'''
    # a comment
    def nested(values):
        return values + BASE * TIMES + len(CHOICES)

    return nested(STRENGTH * helper(y) + inside(h) ** power + offset + Scale()(h))
"""


def folder_of(spec, cohort):
    """Return the folder of a run."""
    return place_of(spec, cohort, Path("runs"))


@pytest.fixture
def folder(tiny_cohort):
    """Return the folder of a run of the arm that a cell defines."""

    def folder(text, **names):
        arm = arm_of(run_cell(text, **names)["mine"])
        return folder_of(TransferSpec(SOURCE, "T1ce:TC", arm, 1, 0, SHORT), tiny_cohort)

    return folder


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another comment"),
        ("# a comment\n", "\n"),
        ("Weight by hardness.", "Weight by how hard a pixel is."),
        ("    return (y > 0).float()", "    '''Say where the foreground is.'''\n    return (y>0).float()"),
        ("BASE * TIMES", "(BASE) *  TIMES"),
        ("inside = factory(4.0)", "inside = factory(8.0 / 2)"),
        ("STRENGTH = 2.0", "STRENGTH = 2.0\nUNUSED = 3.0"),
    ],
)
def test_a_cell_that_does_the_same_has_the_same_folder(folder, old, new):
    assert old in CELL
    assert folder(CELL.replace(old, new, 1)) == folder(CELL)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("STRENGTH * helper(y)", "STRENGTH - helper(y)"),
        ("return values + BASE", "return values - BASE"),
        ("power=5.0", "power=5.5"),
        ("offset=6.0", "offset=6.5"),
        ("STRENGTH = 2.0", "STRENGTH = 2.5"),
        ('"high": [2, 3]', '"high": [2, 4]'),
        # two names may hold one number, as these do
        ("TIMES = 1", "TIMES = 2"),
        ("BASE = 1", "BASE = 2"),
        ("(y > 0)", "(y > 1)"),
        ("closed * h", "closed + h"),
        ("factory(4.0)", "factory(4.5)"),
        ("self.times(values) +", "self.times(values) -"),
        ("7 * values", "8 * values"),
        ("power = 3", "power = 4"),
        ("@at_least(0.5)", "@at_least(0.6)"),
        ("max=100", "max=101"),
    ],
)
def test_an_edited_cell_has_another_folder(folder, old, new):
    assert old in CELL
    assert folder(CELL.replace(old, new, 1)) != folder(CELL)


def test_a_method_counts_with_the_constants_that_it_uses(folder):
    text = (
        "class Scale:\n    def __call__(self, h):\n        return LEVEL * h\n\ndef mine(h, y):\n    return Scale()(h)\n"
    )
    assert folder("LEVEL = 1\n" + text) != folder("LEVEL = 2\n" + text)


def test_a_class_counts_with_what_it_is_made_from(folder):
    text = """
    from dataclasses import dataclass, field

    class Base:
        def __call__(self, h):
            return 2 * h

    @dataclass
    class Scale(Base):
        level: float = LEVEL
        more: list = field(default_factory=lambda: [1])

        @property
        def doubled(self):
            return 2 * self.level

    def mine(h, y):
        return Scale()(h)
    """
    first = folder(text, LEVEL=1.0)
    assert folder(text, LEVEL=1.0) == first
    assert folder(text, LEVEL=2.0) != first
    for old, new in (("return 2 * h", "return 3 * h"), ("lambda: [1]", "lambda: [2]"), ("2 * self", "3 * self")):
        assert folder(text.replace(old, new), LEVEL=1.0) != first


def test_arrays_and_tensors_count_by_their_content(folder):
    text = "def mine(h, y):\n    return h + float(TABLE[0])\n"
    for make in (np.array, torch.tensor):
        assert folder(text, TABLE=make([1.0, 2.0])) == folder(text, TABLE=make([1.0, 2.0]))
        assert folder(text, TABLE=make([1.0, 2.0])) != folder(text, TABLE=make([1.0, 3.0]))


def test_a_module_of_the_reader_counts_with_what_it_imports(folder, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    text = "import own_helpers\n\ndef mine(h, y):\n    return own_helpers.helper(h)\n"
    (tmp_path / "own_helpers.py").write_text("from own_numbers import LEVEL\n\ndef helper(h):\n    return LEVEL * h\n")
    seen = []
    for level in ("1", "1  # a comment", "2"):
        (tmp_path / "own_numbers.py").write_text(f"LEVEL = {level}\n")
        seen.append(folder(text))
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        ("def mine(h, y):\n    return LOSS(h)", {"LOSS": torch.nn.Softplus(beta=2)}, "it uses LOSS of type Softplus"),
        ("def mine(h, y, loss=LOSS):\n    return loss(h)", {"LOSS": torch.nn.ReLU()}, "default 0 of type ReLU"),
        ("def mine(h, y):\n    return LIST[0](h)", {"LIST": [torch.nn.ReLU()]}, r"LIST\[0\] of type ReLU"),
    ],
)
def test_an_object_whose_content_cannot_be_told_is_refused(text, names, message):
    with pytest.raises(UnknownSourceError, match=message):
        arm_of(run_cell(text, **names)["mine"])


def test_a_function_without_a_source_is_refused():
    space = {}
    exec("def mine(h, y): return h", space)
    with pytest.raises(UnknownSourceError, match="source of mine cannot be read"):
        arm_of(space["mine"])
    exec("def mine(h, y): return h", space | {"__name__": "__main__"})
    with pytest.raises(UnknownSourceError, match="source of mine cannot be read"):
        arm_of(space["mine"])


def test_functions_of_installed_packages_count_by_their_names(folder):
    names = {
        "clip": np.clip,
        "softplus": softplus,
        "max_pool2d": max_pool2d,
        "zoom": zoom,
        "Softplus": torch.nn.Softplus,
    }
    one = folder("def mine(h, y):\n    return Softplus()(clip(max_pool2d(h), 0, 1)), zoom\n", **names)
    assert one != folder("def mine(h, y):\n    return softplus(clip(max_pool2d(h), 0, 1)), zoom\n", **names)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package, whose source counts in place of its own."""
    shutil.copytree(PROJECT_ROOT / "riskmap", tmp_path / "riskmap", ignore=shutil.ignore_patterns("__pycache__"))

    def file_of(module):
        path = tmp_path.joinpath(*module.split("."))
        return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)

    monkeypatch.setattr(sources, "_file_of", file_of)
    package_code.cache_clear()
    yield tmp_path / "riskmap"
    package_code.cache_clear()


def edit(path, old, new):
    """Change a file, as an editor does, and forget what was read of it."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    package_code.cache_clear()


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("training/loop.py", "optimizer.zero_grad(set_to_none=True)", "pass"),
        ("training/making.py", "pool[index] for index in order[:shots]", "pool[index] for index in order[-shots:]"),
        ("training/networks.py", "def forward", "def backward"),
        ("data/batches.py", "prob=0.5", "prob=0.6"),
        ("data/patients.py", ".transpose(2, 0, 1)", ".transpose(2, 1, 0)"),
        ("measure/overlap.py", "ignore_empty=False", "ignore_empty=True"),
        ("loss.py", "def forward", "def backward"),
    ],
)
def test_a_changed_line_of_the_training_is_another_run_of_every_arm(tiny_cohort, package, module, old, new):
    specs = [SOURCE, TransferSpec(SOURCE, "T1ce:TC", get_arm("scratch"), 1, 0, SHORT)]
    before = [folder_of(spec, tiny_cohort) for spec in specs]
    edit(package / module, old, new)
    assert not set(before) & {folder_of(spec, tiny_cohort) for spec in specs}


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("training/loop.py", '"""One training loop', '"""The one training loop'),
        ("training/loop.py", "\n\n\n", "\n\n\n# a comment\n"),
        ("figures/charts.py", "import", "import math\nimport"),
        ("project/progress.py", "import", "import math\nimport"),
        ("explorers/base.py", "DPI = 96", "DPI = 97"),
    ],
)
def test_what_decides_no_number_leaves_the_runs_where_they_are(tiny_cohort, package, module, old, new):
    before = folder_of(SOURCE, tiny_cohort)
    edit(package / module, old, new)
    assert folder_of(SOURCE, tiny_cohort) == before


def test_an_edited_arm_of_the_package_leaves_the_others_where_they_are(monkeypatch):
    before = {name: replace(arm).code for name, arm in ARMS.items()}
    plain = sources.plain_source
    monkeypatch.setattr(sources, "plain_source", lambda text: plain(text.replace("rsqrt()", "reciprocal()")))
    after = {name: replace(arm).code for name, arm in ARMS.items()}
    assert {name for name in ARMS if after[name] != before[name]} == {"class_balanced"}
    assert len(set(before.values())) == len(ARMS) - 1, "scratch and fine_tune share the plain loss"


def test_the_code_of_a_run_is_in_its_record(tiny_cohort, tmp_path):
    spec = TransferSpec(SOURCE, "T1ce:TC", get_arm("scratch"), 1, 0, SHORT)
    parameters = ensure_run(spec, tiny_cohort, tmp_path, progress=False).record["parameters"]
    assert parameters["code"] == package_code("riskmap.training.making")
    assert parameters["arm_code"] == get_arm("scratch").code


@pytest.mark.parametrize("is_source", [True, False], ids=["source", "transfer"])
def test_precisions_never_share_a_folder_and_auto_is_what_it_stands_for(tiny_cohort, is_source, monkeypatch):
    def folder(**change):
        source = replace(SOURCE, training=replace(SHORT, **change))
        transfer = TransferSpec(source, "T1ce:TC", get_arm("fine_tune"), 1, 0, SHORT)
        return folder_of(source if is_source else transfer, tiny_cohort)

    assert folder(precision="float32") != folder(precision="bfloat16")
    for able, meant in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(device, "_computes_in_bfloat16", lambda _, able=able: able)
        assert folder(precision="auto") == folder(precision=meant)
    assert folder(device="auto") == folder(device=device.choose_device().type)


def test_a_record_names_what_auto_stood_for(tiny_cohort):
    training = replace(SHORT, device="auto", precision="auto")
    spec = TransferSpec(replace(SOURCE, training=training), "T1ce:TC", get_arm("fine_tune"), 1, 0, training)
    parameters = parameters_of(spec, tiny_cohort)
    for stored in (parameters["training"], parameters["source"]["training"]):
        assert (stored["device"], stored["precision"]) == (training.resolved().device, training.resolved().precision)
        assert "auto" not in (stored["device"], stored["precision"])
