"""What is edited while a kernel runs: what is named is what runs, here and in workers, or it is refused."""

import importlib
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from riskmap.data.cohort import Task
from riskmap.leep import LeepStatistics
from riskmap.project import package
from riskmap.project.function_code import UnknownCodeError, function_code
from riskmap.project.package import ChangedCodeError
from riskmap.project.paths import PROJECT_ROOT
from riskmap.risk import TransferRiskMap
from riskmap.training import runs
from riskmap.training.arm import Arm, Recipe, weighted
from riskmap.training.arms import choose_arms, get_arm
from riskmap.training.config import NetworkConfig, PatchConfig, TrainingConfig
from riskmap.training.map_files import stream_statistics, write_risk_maps
from riskmap.training.own_arm import arm_of
from riskmap.training.runs import ensure_run, ensure_runs, folder_of
from riskmap.training.specs import SourceSpec, TransferSpec

SHORT = TrainingConfig(steps=2, patches=PatchConfig(size=16, per_step=4), device="cpu", precision="float32")
SOURCE = SourceSpec("FLAIR:WT", 0, SHORT, NetworkConfig(channels=(4, 8)))
TASK = Task("T1ce", "TC")


def spec_of(arm, seed=0):
    return TransferSpec(SOURCE, "T1ce:TC", arm, 1, seed, SHORT)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a file where the reader keeps modules; they are forgotten at the end."""
    monkeypatch.syspath_prepend(tmp_path)
    # two edits within a second have one time, by which Python would take the old compiled file
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(place, text):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


FACTOR = "def by(h):\n    return {} * h\n"
# a reader's files, the one with the number last
PLACES = {
    "in its module": {"own_arms.py": "def mine(h, y):\n    return 1 + {} * h\n"},
    "a name of a module": {
        "own_arms.py": "from own_help import by\n\ndef mine(h, y):\n    return 1 + by(h)\n",
        "own_help.py": FACTOR,
    },
    "a module": {
        "own_arms.py": "import own_help\n\ndef mine(h, y):\n    return 1 + own_help.by(h)\n",
        "own_help.py": "import threading\n\nLOCK = threading.Lock()  # it cannot go to a worker\n\n" + FACTOR,
    },
    "a module inside": {
        "own_arms.py": "def mine(h, y):\n    import own_help\n    return 1 + own_help.by(h)\n",
        "own_help.py": FACTOR,
    },
    "a name of a module inside": {
        "own_arms.py": "def mine(h, y):\n    from own_help import by\n    return 1 + by(h)\n",
        "own_help.py": FACTOR,
    },
    "a part of a package": {
        "own_pack/__init__.py": "",
        "own_arms.py": "import own_pack.help\n\ndef mine(h, y):\n    return 1 + own_pack.help.by(h)\n",
        "own_pack/help.py": FACTOR,
    },
    "a part of a package inside": {
        "own_pack/__init__.py": "",
        "own_arms.py": "def mine(h, y):\n    import own_pack.help\n    return 1 + own_pack.help.by(h)\n",
        "own_pack/help.py": FACTOR,
    },
    "a neighbour": {
        "own_arms/__init__.py": "from .first import mine\n",
        "own_arms/first.py": "def mine(h, y):\n    from .help import by\n    return 1 + by(h)\n",
        "own_arms/help.py": FACTOR,
    },
    "a number of a module": {
        "own_arms.py": "from own_help import scale\n\ndef mine(h, y):\n    return 1 + scale(h)\n",
        "own_help.py": "import own_numbers\n\ndef scale(h):\n    return own_numbers.LEVEL * h\n",
        "own_numbers.py": "LEVEL = {}\n",
    },
}


@pytest.fixture(params=PLACES.values(), ids=PLACES)
def arm_with(request, write):
    """Return a function that gives the reader's arm after an edit of the number in it, and after a reload."""
    *_, edited = request.param

    def arm_with(number, comment=""):
        for place, text in request.param.items():
            write(place, text.format(number) + comment)
        for name in sorted((name for name in sys.modules if name.startswith("own_")), key=len, reverse=True):
            importlib.reload(sys.modules[name])
        arms = importlib.reload(importlib.import_module("own_arms"))
        return arm_of(arms.mine)

    arm_with.edit = lambda number: write(edited, request.param[edited].format(number))
    return arm_with


def losses(made):
    return [run.record["results"]["history"]["loss"] for run in made]


def test_workers_train_the_arm_as_it_was_reloaded(arm_with, tiny_cohort, tmp_path):
    """They are used again, with the modules that they imported for the first arm."""
    made = {}
    for number in (2, 5):
        specs = [spec_of(arm_with(number), seed) for seed in (0, 1)]
        made[number] = ensure_runs(specs, tiny_cohort, tmp_path / "two", jobs=2, progress=False)
        alone = ensure_runs(specs, tiny_cohort, tmp_path / "one", jobs=1, progress=False)
        assert losses(made[number]) == losses(alone)
        assert [run.folder.name for run in made[number]] == [run.folder.name for run in alone]
    assert not {tuple(loss) for loss in losses(made[2])} & {tuple(loss) for loss in losses(made[5])}


def test_an_edited_arm_has_another_folder_and_a_comment_leaves_it(arm_with, tiny_cohort):
    def folder(*edit):
        return folder_of(spec_of(arm_with(*edit)), tiny_cohort, Path("runs"))

    assert folder(2) == folder(2, "# a comment\n") != folder(5)


def test_what_was_edited_and_not_reloaded_is_refused(arm_with, tiny_cohort, tmp_path):
    arm = arm_with(2)
    arm_with.edit(5)
    if "own_numbers" in sys.modules:
        # a number is named and used as it was imported
        assert arm.code == function_code(arm.recipe)
        return
    for ensure in (lambda: ensure_run(spec_of(arm), tiny_cohort, tmp_path), lambda: choose_arms([arm])):
        with pytest.raises(ChangedCodeError, match=r"has been edited since (mine|by) was imported"):
            ensure()
    assert not (tmp_path / "transfer").exists()


def test_a_file_that_does_not_hold_the_arm_any_more_is_refused(write):
    write("own_arms.py", "def mine(h, y):\n    return h\n")
    mine = importlib.import_module("own_arms").mine
    for text in ("def mine(h, y):\n    return\n\n   h\n", ""):
        write("own_arms.py", text)
        with pytest.raises(ChangedCodeError, match=r"own_arms\.py has been edited since mine was imported"):
            arm_of(mine)


@pytest.mark.parametrize("used", ["own_help", "getattr(own_help, 'by')(h)", "TABLE[0].by(h)"])
def test_a_module_that_is_used_as_a_whole_is_refused(used, write):
    write("own_help.py", FACTOR.format(2))
    write("own_arms.py", f"import own_help\n\nTABLE = [own_help]\n\ndef mine(h, y):\n    return {used}\n")
    with pytest.raises(UnknownCodeError, match="it uses the module own_help as a whole; name what it uses"):
        arm_of(importlib.import_module("own_arms").mine)


def test_what_cannot_go_to_a_worker_is_named(write, tiny_cohort, tmp_path):
    write("own_help.py", "def by(h):\n    return 2 * h\n")
    write("own_arms.py", "from own_help import by\n\ndef mine(h, y):\n    return 1 + by(h)\n")
    arm = arm_of(importlib.import_module("own_arms").mine)
    # only when it is packed: neither code nor values say it
    object.__setattr__(arm, "title", (each for each in ()))
    with pytest.raises(ValueError, match=r"this cannot be sent to a worker: .*; run it with jobs=1"):
        ensure_runs([spec_of(arm)], tiny_cohort, tmp_path, jobs=2, progress=False)


def test_an_arm_that_was_made_by_hand_is_checked_too(tiny_cohort, tmp_path):
    level = [2.0]
    by_hand = Arm("by_hand", "By hand", weighted(lambda data: 1 + level[0] * data.hardness))
    choose_arms([by_hand])
    level[0] = 5.0
    for make in (ensure_run, lambda spec, *rest: ensure_runs([spec], *rest)):
        with pytest.raises(ValueError, match="by_hand has changed since it was chosen"):
            make(spec_of(by_hand), tiny_cohort, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def edit(tmp_path, monkeypatch):
    """Return a function that edits the files of the package, of which a copy is made."""
    folder = tmp_path / "riskmap"
    shutil.copytree(PROJECT_ROOT / "riskmap", folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(package, "ROOT", folder)

    def edit(place, old, new):
        text = (folder / place).read_text(encoding="utf-8")
        assert old in text
        (folder / place).write_text(text.replace(old, new, 1), encoding="utf-8")

    return edit


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        ("training/loop.py", "optimizer.zero_grad(set_to_none=True)", "pass"),
        ("training/arms.py", "rsqrt()", "reciprocal()"),
        ("twins.py", "clamp_min(1)", "clamp_min(2)"),
        ("training/loop.py", "def train(", "def train(("),
    ],
)
def test_an_edit_of_the_package_is_refused_until_the_kernel_is_restarted(place, old, new, edit, tiny_cohort, tmp_path):
    out = tmp_path / "runs"
    run = ensure_run(SOURCE, tiny_cohort, out, progress=False)
    edit(place, old, new)
    message = r"riskmap\..* has been edited since the kernel imported it, .*: restart the kernel"
    for make in (
        lambda: ensure_run(replace(SOURCE, seed=1), tiny_cohort, out),
        lambda: ensure_run(SOURCE, tiny_cohort, out),
        lambda: ensure_runs([spec_of(get_arm("scratch"))], tiny_cohort, out),
    ):
        with pytest.raises(ChangedCodeError, match=message):
            make()
    assert [path.parent for path in out.rglob("record.json")] == [run.folder]


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        ("training/loop.py", '"""One training loop', '# a comment\n"""The one training loop'),
        ("figures/charts.py", "import", "import math\nimport"),
        ("project/progress.py", "import", "import math\nimport"),
    ],
)
def test_an_edit_that_decides_no_number_is_none(place, old, new, edit, tiny_cohort, tmp_path):
    edit(place, old, new)
    ensure_run(SOURCE, tiny_cohort, tmp_path / "runs", progress=False)


def test_workers_that_imported_another_package_are_named(tiny_cohort, tmp_path, edit, monkeypatch):
    """As after an edit between the first look at the files and the start of the workers."""
    old, new = "optimizer.zero_grad(set_to_none=True)", "pass"
    edit("training/loop.py", old, new)
    text = package.IMPORTED["riskmap.training.loop"]
    monkeypatch.setitem(package.IMPORTED, "riskmap.training.loop", text.replace(old, new))
    specs = [replace(SOURCE, seed=seed) for seed in (0, 1)]
    with pytest.raises(ChangedCodeError, match="its workers would run the new code: restart the kernel"):
        ensure_runs(specs, tiny_cohort, tmp_path / "runs", jobs=2, progress=False)


@pytest.mark.parametrize("jobs", [1, 2])
def test_data_that_have_changed_since_they_were_opened_are_named(jobs, tiny_cohort, tmp_path):
    specs = [replace(SOURCE, seed=seed) for seed in (0, 1)]
    with pytest.raises(ValueError, match="have changed since they were opened: open the cohort again"):
        ensure_runs(specs, replace(tiny_cohort, name="before"), tmp_path, jobs=jobs, progress=False)


NETWORK = """
import torch

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 2, 1)
        with torch.no_grad():
            self.layer.weight.fill_(1.0)
            self.layer.bias.fill_(0.5)
        self.level = LEVEL

    def forward(self, image):
        return FACTOR * self.layer(image) * torch.tensor([1.0, self.level]).view(1, 2, 1, 1)
"""


def test_maps_of_a_readers_network_are_named_by_its_code_and_made_by_it(write, edit, tiny_cohort, tmp_path):
    subjects = tiny_cohort.subjects[:2]

    def make(jobs, factor=1, level=2.0):
        write("own_network.py", NETWORK.replace("FACTOR", str(factor)).replace("LEVEL", str(level)))
        network = importlib.reload(importlib.import_module("own_network")).Network()
        statistics = stream_statistics(network, 2, tiny_cohort, subjects, TASK, "float32", jobs=jobs)
        risk_map = TransferRiskMap(LeepStatistics(2, 2).merge(statistics))
        out = tmp_path / f"maps{jobs}"
        folder = write_risk_maps(network, risk_map, tiny_cohort, subjects, TASK, out, "float32", False, jobs=jobs)
        return folder.name, statistics.state_dict()

    cases = [{}, {"factor": 3}, {"level": 3.0}]
    one, two = ([make(jobs, **case) for case in cases] for jobs in (1, 2))
    assert one == two
    assert len({name for name, _ in one}) == len(cases)
    network = importlib.import_module("own_network").Network()
    write("own_network.py", NETWORK.replace("FACTOR", "7").replace("LEVEL", "3.0"))
    with pytest.raises(ChangedCodeError, match=r"own_network\.py has been edited since Network.forward was imported"):
        stream_statistics(network, 2, tiny_cohort, subjects, TASK, "float32")


def test_the_function_that_a_network_was_given_names_its_maps(tiny_cohort, tmp_path):
    network = nn.Conv2d(1, 2, 1)
    folders = set()
    for factor in (1.0, 2.0):
        network.forward = lambda image, factor=factor: factor * torch.cat([image, 1 - image], dim=1)
        risk_map = TransferRiskMap(LeepStatistics(2, 2))
        folders.add(write_risk_maps(network, risk_map, tiny_cohort, (), TASK, tmp_path, "float32", progress=False))
    assert len(folders) == 2


def test_an_arm_starts_from_one_of_two():
    with pytest.raises(ValueError, match="starts='fresh' must be"):
        replace(get_arm("scratch"), starts="fresh")


def test_a_recipe_by_hand_needs_no_text(tiny_cohort):
    arm = Arm("plain", "Plain", lambda data: Recipe(nn.CrossEntropyLoss()))
    assert folder_of(spec_of(arm), tiny_cohort, Path("runs")) == folder_of(spec_of(arm), tiny_cohort, Path("runs"))
    assert runs.parameters_of(spec_of(arm), tiny_cohort)["arm_code"] == arm.code
