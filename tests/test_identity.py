"""Nothing stale is read: a run is named by all that decides its numbers, the code of arm and training included."""

import inspect
from collections import defaultdict, namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cells import run_cell
from scipy.ndimage import zoom
from torch.nn.functional import max_pool2d, softplus

from riskmap.project import package
from riskmap.project.function_code import UnknownCodeError
from riskmap.project.package import package_code
from riskmap.training import arms, device, runs
from riskmap.training.arms import ARMS, get_arm
from riskmap.training.config import NetworkConfig, PatchConfig, TrainingConfig
from riskmap.training.own_arm import arm_of
from riskmap.training.runs import ensure_run, parameters_of
from riskmap.training.runs import folder_of as folder_in
from riskmap.training.specs import SourceSpec, TransferSpec

SHORT = TrainingConfig(steps=2, patches=PatchConfig(size=16, per_step=4), device="cpu", precision="float32")
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
    return folder_in(spec, cohort, Path("runs"))


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
        ("return values + BASE * TIMES", "return values + (\n            BASE\n            * TIMES\n        )"),
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


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        # one of several lambdas on one line
        ("F = [(lambda h: 2 * h), (lambda h: 3 * h)][KEY]\n\ndef mine(h, y):\n    return F(h)\n", 0, 1),
        ("F = {'a': (lambda h: 2 * h), 'b': (lambda h: 3 * h)}[KEY]\n\ndef mine(h, y):\n    return F(h)\n", "a", "b"),
        ("def mine(h, y):\n    return h + mine.level\n\nmine.level = KEY\n", 1.0, 2.0),
        ("def mine(h, y):\n    return h + float(KEY[0])\n", torch.ones(1).bfloat16(), torch.zeros(1).bfloat16()),
        ("def mine(h, y):\n    return h + float(KEY)\n", torch.tensor(1.0), torch.tensor(2.0)),
        ("def mine(h, y):\n    return h + KEY[9]\n", defaultdict(lambda: 1), defaultdict(lambda: 2)),
        ("GET = KEY.get\n\ndef mine(h, y):\n    return h + GET(1)\n", {1: 1}, {1: 2}),
        ("def mine(h, y):\n    try:\n        return h[KEY]\n    except IndexError:\n        return h\n", 1, 2),
    ],
)
def test_what_a_name_alone_does_not_say_counts(folder, text, first, second):
    assert folder(text, KEY=first) == folder(text, KEY=first)
    assert folder(text, KEY=first) != folder(text, KEY=second)


def test_the_methods_of_a_tuple_with_names_count(folder):
    text = """
    class Level(PAIR):
        def value(self):
            return 2 * self.low

    LEVEL = Level(1, 2)

    def mine(h, y):
        return h + LEVEL.value()
    """
    pair = namedtuple("pair", "low high")
    assert folder(text, PAIR=pair) == folder(text, PAIR=pair)
    assert folder(text, PAIR=pair) != folder(text.replace("2 * self", "3 * self"), PAIR=pair)


def test_a_variable_that_is_not_set_yet_is_no_error(folder):
    text = """
    def make():
        def mine(h, y):
            return h if y.any() else later(h)
        return mine
        later = None

    mine = make()
    """
    assert folder(text) == folder(text)


def test_a_module_of_the_package_counts_with_its_part_that_is_used(folder, edit):
    """The front of the package imports neither."""
    for text in (
        "import riskmap.twins\n\ndef mine(h, y):\n    return riskmap.twins.class_mean(h, y)\n",
        "def mine(h, y):\n    import riskmap.twins\n    return riskmap.twins.class_mean(h, y)\n",
        "def mine(h, y):\n    from riskmap.twins import class_mean\n    return class_mean(h, y)\n",
        "def mine(h, y):\n    from riskmap import twins\n    return twins.class_mean(h, y)\n",
    ):
        before = folder(text)
        with pytest.MonkeyPatch.context() as patch:
            edit("twins.py", ".clamp_min(1)", ".clamp_min(2)", patch)
            assert folder(text) != before
        assert folder(text) == before


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        ("def mine(h, y):\n    return LOSS(h)", {"LOSS": torch.nn.Softplus(beta=2)}, "it uses LOSS of type Softplus"),
        ("def mine(h, y, loss=LOSS):\n    return loss(h)", {"LOSS": torch.nn.ReLU()}, "default 0 of type ReLU"),
        ("def mine(h, y):\n    return LIST[0](h)", {"LIST": [torch.nn.ReLU()]}, r"LIST\[0\] of type ReLU"),
        ("def mine(h, y):\n    return h + globals()['K']", {"K": 1}, r"mine calls globals\(\), which can reach"),
        ("def mine(h, y):\n    return h + eval('K')", {"K": 1}, r"mine calls eval\(\)"),
        ("def mine(h, y):\n    return SHIFT(h)", {"SHIFT": np.frompyfunc(abs, 1, 1)}, "SHIFT, made by NumPy of a"),
        ("def mine(h, y):\n    return h + TABLE[0]", {"TABLE": np.array([object()])}, "TABLE, whose values cannot be"),
        ("def mine(h, y):\n    return h + TABLE[0]", {"TABLE": torch.eye(2).to_sparse()}, "TABLE, whose values cannot"),
    ],
)
def test_an_object_whose_content_cannot_be_told_is_refused(text, names, message):
    with pytest.raises(UnknownCodeError, match=message):
        arm_of(run_cell(text, **names)["mine"])


def test_a_function_without_a_source_is_refused():
    space = {}
    exec("def mine(h, y): return h", space)
    with pytest.raises(UnknownCodeError, match="text of mine cannot be read"):
        arm_of(space["mine"])
    exec("def mine(h, y): return h", space | {"__name__": "__main__"})
    with pytest.raises(UnknownCodeError, match="text of mine cannot be read"):
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
def edit(monkeypatch):
    """Return a function that makes this process one that has imported an edited module of the package."""

    def edit(place, old, new, patch=monkeypatch):
        module = ".".join((package.PACKAGE, *Path(place).with_suffix("").parts))
        text = package.IMPORTED[module]
        assert old in text
        patch.setitem(package.IMPORTED, module, text.replace(old, new, 1))

    return edit


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("training/loop.py", "optimizer.zero_grad(set_to_none=True)", "pass"),
        ("training/making.py", "for index in order[:shots]", "for index in order[-shots:]"),
        ("training/networks.py", "def forward", "def backward"),
        ("data/batches.py", "= 0.5, 0.1, 0.1", "= 0.5, 0.1, 0.2"),
        ("data/patients.py", ".transpose(2, 0, 1)", ".transpose(2, 1, 0)"),
        ("measure/overlap.py", "ignore_empty=False", "ignore_empty=True"),
        ("loss.py", "def forward", "def backward"),
    ],
)
def test_a_changed_line_of_the_training_is_another_run_of_every_arm(tiny_cohort, edit, module, old, new):
    specs = [SOURCE, TransferSpec(SOURCE, "T1ce:TC", get_arm("scratch"), 1, 0, SHORT)]
    before = [folder_of(spec, tiny_cohort) for spec in specs]
    edit(module, old, new)
    assert not set(before) & {folder_of(spec, tiny_cohort) for spec in specs}


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("training/loop.py", '"""One training loop', '"""The one training loop'),
        ("training/loop.py", "\n\n\n", "\n\n\n# a comment\n"),
        ("figures/charts.py", "import", "import math\nimport"),
        ("project/progress.py", "import", "import math\nimport"),
        ("explorers/base.py", "DPI = 96", "DPI = 97"),
        # a source network is no arm
        ("training/arm.py", "return weights / mean", "return weights * mean"),
        ("training/arms.py", "rsqrt()", "reciprocal()"),
    ],
)
def test_what_decides_no_number_leaves_the_runs_where_they_are(tiny_cohort, edit, module, old, new):
    before = folder_of(SOURCE, tiny_cohort)
    edit(module, old, new)
    assert folder_of(SOURCE, tiny_cohort) == before


def test_what_makes_arms_is_part_of_each(edit):
    before = {name: replace(arm).code for name, arm in ARMS.items()}
    edit("training/arm.py", "return weights / mean", "return weights * mean")
    assert not set(before.values()) & {replace(arm).code for arm in ARMS.values()}


def test_an_edited_arm_of_the_package_leaves_the_others_where_they_are(monkeypatch):
    before = {name: replace(arm).code for name, arm in ARMS.items()}
    space = dict(vars(arms))
    exec(inspect.getsource(arms.balanced).replace("rsqrt()", "reciprocal()"), space)
    monkeypatch.setattr(arms.balanced, "__code__", space["balanced"].__code__)
    after = {name: replace(arm).code for name, arm in ARMS.items()}
    # the centred map stands on class balance
    changed = {name for name in ARMS if after[name] != before[name]}
    assert changed == {name for name in ARMS if name.startswith(("class_balanced", "risk_map_centred"))}
    assert len(set(before.values())) == len(ARMS) - 4, "four arms share the plain loss, two a sampler"


def test_the_code_of_a_run_is_in_its_record(tiny_cohort, tmp_path):
    spec = TransferSpec(SOURCE, "T1ce:TC", get_arm("scratch"), 1, 0, SHORT)
    parameters = ensure_run(spec, tiny_cohort, tmp_path, progress=False).record["parameters"]
    assert parameters["code"] == package_code("riskmap.training.making")
    assert parameters["arm_code"] == get_arm("scratch").code


def test_an_upgrade_is_another_run(tiny_cohort, monkeypatch):
    specs = [SOURCE, TransferSpec(SOURCE, "T1ce:TC", get_arm("scratch"), 1, 0, SHORT)]
    before = [folder_of(spec, tiny_cohort) for spec in specs]
    there = runs.computing_versions()
    assert {"torch", "monai", "numpy"} <= set(there)
    for name in there:
        monkeypatch.setattr(runs, "computing_versions", lambda name=name: {**there, name: "99.0"})
        assert not set(before) & {folder_of(spec, tiny_cohort) for spec in specs}


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
