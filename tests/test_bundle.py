"""A bundle is one file of which a working checkout is made without a network; what is no whole bundle is refused."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile
from pathlib import Path

import pytest

from riskmap.pages.comparison import Comparison
from riskmap.project import environment, unbundling
from riskmap.project.environment import STAMP_NAME, WHEELS, has_wheels, python_of, wheels_stamp
from riskmap.project.files import read_json, write_json
from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT
from riskmap.rerun import bundle
from riskmap.rerun.bundle import Part, current_runs, files_below, make_wheels, parts_of, tracked_files, write_bundle
from riskmap.training.runs import ensure_all
from riskmap.training.specs import Setting

# an editable install by the standard library alone
BACKEND = """
import zipfile

def _wheel(folder, name, files, needs=""):
    info = f"{name}-1.0.dist-info"
    files |= {f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n{needs}",
              f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}
    files[f"{info}/RECORD"] = "".join(f"{each},,\\n" for each in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(f"{folder}/{name}-1.0-py3-none-any.whl", "w") as packed:
        for each, text in files.items():
            packed.writestr(each, text)
    return f"{name}-1.0-py3-none-any.whl"

def build_editable(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder, "small", {"small.py": "from greeting import HELLO"}, "Requires-Dist: greeting\\n")

def get_requires_for_build_editable(config_settings=None):
    return []
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "small"
version = "1.0"
dependencies = ["greeting"]

[project.optional-dependencies]
tutorial = []
sweep = []
docs = []
test = []
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A small project with a run in its build folder, and wheels of all that it needs."""
    root = tmp_path_factory.mktemp("checkout") / "small"
    shutil.copytree(PROJECT_ROOT / "riskmap" / "project", root / "riskmap" / "project")
    shutil.copy(PROJECT_ROOT / "riskmap" / "__init__.py", root / "riskmap")
    for name in ("notebooks", "data_scripts", "build/html", WHEELS.as_posix()):
        (root / name).mkdir(parents=True)
    (root / "notebooks" / "00_start_here.ipynb").write_text("{}")
    (root / "data_scripts" / "run.sh").write_text("echo done")
    (root / "data_scripts" / "run.sh").chmod(0o755)
    (root / "build" / "html" / "index.html").write_text("<p>pages</p>")
    (root / "build" / "weights.pt").write_bytes(os.urandom(3_000_000))
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "constraints.txt").write_text("greeting==1.0\n")
    (root / "backend.py").write_text(BACKEND)
    scope: dict = {}
    exec(BACKEND, scope)
    scope["_wheel"](root / WHEELS, "greeting", {"greeting.py": "HELLO = 'hello'"})
    (root / WHEELS / STAMP_NAME).write_text(wheels_stamp(root))
    return root


@pytest.fixture(scope="module")
def whole(checkout, tmp_path_factory):
    """The bundle of that project."""
    out = tmp_path_factory.mktemp("bundle") / "small.zip"
    files = {path.relative_to(checkout).as_posix(): path for path in sorted(checkout.rglob("*")) if path.is_file()}
    wheels = {name: path for name, path in files.items() if name.startswith(WHEELS.as_posix())}
    others = {name: path for name, path in files.items() if name not in wheels and "__pycache__" not in name}
    write_bundle([Part("checkout", others), Part("wheels", wheels)], out, "build/html/index.html")
    return out


def without_network(*words, folder):
    """Run Python where every request fails: no network where the system allows it, and dead proxies in any case."""
    dead = "http://127.0.0.1:9"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
    given = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHONPATH"))}
    command = [sys.executable, *map(str, words)]
    alone = ["unshare", "--net", "--map-root-user"]
    if shutil.which("unshare") and subprocess.run([*alone, "true"], capture_output=True).returncode == 0:
        command = [*alone, *command]
    return subprocess.run(
        command, cwd=folder, env=given | dict.fromkeys(names, dead), capture_output=True, text=True, timeout=300
    )


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_unpacks_itself_and_makes_its_environment_without_a_network(whole, checkout, tmp_path):
    done = without_network(whole, "--out", "here", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"cd {tmp_path / 'here'}" in done.stdout
    assert "100% of 3 MB" in done.stdout
    here = tmp_path / "here"
    for name in ("notebooks/00_start_here.ipynb", "build/weights.pt", "riskmap/project/paths.py"):
        assert (here / name).read_bytes() == (checkout / name).read_bytes()
    assert os.access(here / "data_scripts" / "run.sh", os.X_OK)
    said = subprocess.run(
        [python_of(here / ".venv"), "-c", "import small; print(small.HELLO)"], capture_output=True, text=True
    )
    assert said.stdout == "hello\n", said.stderr
    assert list(tmp_path.iterdir()) == [here], "nothing else is left"
    again = without_network(whole, "--out", "here", folder=tmp_path)
    assert again.returncode == 0
    assert "unpacked already" in again.stdout
    assert "Installing" not in again.stdout


def test_a_stopped_environment_is_made_by_the_second_call(whole, tmp_path, monkeypatch, capsys):
    calls = []

    def stop(root):
        calls.append(root)
        raise KeyboardInterrupt

    monkeypatch.setattr(unbundling, "ensure_environment", stop)
    assert unbundling.main([str(whole), "--out", str(tmp_path / "here")]) == 130
    assert "the same call goes on where it stopped" in capsys.readouterr().err
    monkeypatch.setattr(unbundling, "ensure_environment", calls.append)
    assert unbundling.main([str(whole), "--out", str(tmp_path / "here")]) == 0
    assert calls == [tmp_path / "here"] * 2


def test_a_stopped_unpacking_goes_on_with_what_is_missing(whole, tmp_path, monkeypatch):
    write, written = unbundling._unpack_file, []

    def stop(packed, name, facts, path, bar):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(name)
        write(packed, name, facts, path, bar)

    packed = unbundling.read_bundle(whole)
    with monkeypatch.context() as patch:
        patch.setattr(unbundling, "_unpack_file", stop)
        with pytest.raises(KeyboardInterrupt):
            unbundling.unpack(packed, tmp_path / "here")
    assert not (tmp_path / "here").exists()
    opened, open_member = [], zipfile.ZipFile.open

    def note(archive, member, *rest, **options):
        opened.append(getattr(member, "filename", member))
        return open_member(archive, member, *rest, **options)

    monkeypatch.setattr(zipfile.ZipFile, "open", note)
    unbundling.unpack(packed, tmp_path / "here")
    assert not {f"checkout/{name}" for name in written} & set(opened)
    assert files_of(tmp_path / "here") == {*packed.files, "build/bundle.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_half_written_file_is_written_again(whole, tmp_path):
    packed = unbundling.read_bundle(whole)
    digest = hashlib.sha256(packed.text).hexdigest()[:12]
    part = tmp_path / f".part-here-{digest}" / "build"
    part.mkdir(parents=True)
    (part / "weights.pt").write_bytes(b"half")
    (part / "weights.pt.part").write_bytes(b"half")
    unbundling.unpack(packed, tmp_path / "here")
    assert files_of(tmp_path / "here") == {*packed.files, "build/bundle.json"}
    assert (tmp_path / "here" / "build" / "weights.pt").stat().st_size == 3_000_000


def test_the_install_is_watched_by_the_packages_that_are_there(whole, tmp_path, monkeypatch, capsys):
    def install(root):
        packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(root / ".venv")}))
        (packages / "greeting-1.0.dist-info").mkdir(parents=True)
        deadline = time.monotonic() + 20
        while "Installing: 100% of 1 packages" not in (said := capsys.readouterr().out) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "Installing: 100% of 1 packages, 0 s left" in said

    bar_of = unbundling._Bar.__init__

    def often(bar, *rest):
        bar_of(bar, *rest)
        bar._interval = 0.0

    monkeypatch.setattr(unbundling._Bar, "__init__", often)
    monkeypatch.setattr(unbundling, "ensure_environment", install)
    assert unbundling.main([str(whole), "--out", str(tmp_path / "here")]) == 0


def damaged(whole, path, change):
    content = bytearray(whole.read_bytes())
    path.write_bytes(change(content))
    return path


def flip(content):
    """Change a byte in the middle, which lies in the largest file."""
    content[len(content) // 2] ^= 1
    return content


def rezipped(whole, path, change):
    """Write the bundle anew with another manifest."""
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        manifest = json.loads(old.read("bundle.json"))
        change(manifest)
        for name in old.namelist():
            new.writestr(name, json.dumps(manifest) if name == "bundle.json" else old.read(name))
    return path


def other_checksum(manifest):
    manifest["files"]["checkout/constraints.txt"]["sha256"] = "0" * 64


def climbing(manifest):
    manifest["files"]["checkout/../evil"] = manifest["files"]["checkout/constraints.txt"]


def lacking(manifest):
    manifest["files"]["checkout/lost"] = manifest["files"]["checkout/constraints.txt"]


def without(name):
    return lambda manifest: manifest.pop(name)


def without_sizes(manifest):
    manifest["files"]["checkout/constraints.txt"] = 12


def too_large(manifest):
    manifest["files"]["checkout/constraints.txt"]["bytes"] = 10**18


def named(*names):
    """Return a change that lists a file under further names."""

    def change(manifest):
        for name in names:
            manifest["files"][f"checkout/{name}"] = manifest["files"]["checkout/constraints.txt"]

    return change


def given(name, value):
    return lambda manifest: manifest.update({name: value})


TROUBLE = {
    "a byte": (lambda whole, path: damaged(whole, path, flip), "is damaged or no bundle"),
    "an end": (lambda whole, path: damaged(whole, path, lambda content: content[:-1000]), "is damaged or no bundle"),
    "nothing": (lambda whole, path: damaged(whole, path, lambda content: b""), "is damaged or no bundle"),
    "a text": (lambda whole, path: damaged(whole, path, lambda content: b"hello"), "is damaged or no bundle"),
    "a checksum": (lambda whole, path: rezipped(whole, path, other_checksum), "constraints.txt has another checksum"),
    "a way out": (lambda whole, path: rezipped(whole, path, climbing), "would write outside its folder"),
    "a lost file": (lambda whole, path: rezipped(whole, path, lacking), "1 files are missing, first checkout/lost"),
    "a foreign zip": (lambda whole, path: rezipped(whole, path, dict.clear), "is not what python -m riskmap bundle"),
    **{
        f"no {name}": (
            lambda whole, path, name=name: rezipped(whole, path, without(name)),
            "does not say what is in it",
        )
        for name in ("files", "python", "platform", "wheels", "index")
    },
    **{
        f"a {name!r} out": (
            lambda whole, path, name=name: rezipped(whole, path, named(name)),
            "would write outside its folder",
        )
        for name in ("/abs/evil", "//evil", "a/../../evil", "C:/evil", "..\\evil", "a//b", "./a", "")
    },
    **{
        f"an index {value!r}": (
            lambda whole, path, value=value: rezipped(whole, path, given("index", value)),
            "does not say what is in it",
        )
        for value in (3, ["a"], "/etc/passwd", "../x.html")
    },
    "no file in it": (lambda whole, path: rezipped(whole, path, given("files", {})), "does not say what is in it"),
    "a format that is none": (lambda whole, path: rezipped(whole, path, given("format", True)), "has format True"),
    "a file in a file": (
        lambda whole, path: rezipped(whole, path, named("constraints.txt/x")),
        "lies below another file",
    ),
    "a file for a folder": (lambda whole, path: rezipped(whole, path, named("build")), "lies below another file"),
    "no format": (lambda whole, path: rezipped(whole, path, without("format")), "has format None"),
    "no sizes": (lambda whole, path: rezipped(whole, path, without_sizes), "does not say what is in it"),
    "a small disk": (lambda whole, path: rezipped(whole, path, too_large), "does not fit on the disk"),
    "no file": (lambda whole, path: path, "there is no file"),
}


@pytest.mark.parametrize("kind", TROUBLE)
def test_what_is_no_whole_bundle_is_refused_and_leaves_nothing(kind, whole, tmp_path, monkeypatch, capsys):
    make, message = TROUBLE[kind]
    path = make(whole, tmp_path / "damaged.zip")
    monkeypatch.setattr(unbundling, "ensure_environment", lambda root: pytest.fail("went on"))
    assert unbundling.main([str(path), "--out", str(tmp_path / "here")]) == 2
    assert message in capsys.readouterr().err
    assert {each.name for each in tmp_path.iterdir()} <= {"damaged.zip"}


def test_wheels_for_another_python_are_named_before_anything_is_unpacked(whole, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(unbundling, "python_version", lambda: "3.99")
    monkeypatch.setattr(unbundling, "ensure_environment", lambda root: pytest.fail("no environment is wanted"))
    assert unbundling.main([str(whole), "--out", str(tmp_path / "here")]) == 2
    assert "and this is Python 3.99" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert unbundling.main([str(whole), "--out", str(tmp_path / "here"), "--without-wheels"]) == 0
    assert "makes one from the network" in capsys.readouterr().out


def test_a_folder_of_something_else_is_left_alone(whole, tmp_path, capsys):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.txt").touch()
    assert unbundling.main([str(whole), "--out", str(tmp_path / "here")]) == 2
    assert "is there, and is not this bundle" in capsys.readouterr().err
    assert files_of(tmp_path) == {"here/mine.txt"}


def test_wheels_are_used_while_they_fit(checkout, monkeypatch):
    assert has_wheels(checkout)
    monkeypatch.setattr(environment, "machine", lambda: "plan9-mips")
    assert not has_wheels(checkout), "another machine"
    monkeypatch.undo()
    monkeypatch.setattr(environment, "requirements_digest", lambda root: "changed")
    assert not has_wheels(checkout), "other requirements"


def test_a_bundle_that_is_stopped_leaves_no_file(checkout, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle, "progress_bar", stop)
    with pytest.raises(KeyboardInterrupt):
        write_bundle([Part("checkout", files_below([checkout / "build"], checkout))], tmp_path / "b.zip", "index.html")
    assert not list(tmp_path.iterdir())


def test_wheels_are_collected_once_below_a_bar(checkout, tmp_path, monkeypatch, capsys):
    wheel = (checkout / WHEELS / "greeting-1.0-py3-none-any.whl").as_uri()
    (tmp_path / "constraints.txt").write_text("greeting==1.0\n")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.replace('"greeting"', f'"greeting @ {wheel}"'))
    made = make_wheels(tmp_path)
    assert sorted(made.files) == [f"build/wheels/{name}" for name in ("greeting-1.0-py3-none-any.whl", STAMP_NAME)]
    assert has_wheels(tmp_path)
    assert "1/1" in capsys.readouterr().out
    monkeypatch.setattr(bundle, "_run_pip", lambda *_: pytest.fail("collected again"))
    assert make_wheels(tmp_path) == made


def test_wheels_that_cannot_be_collected_leave_nothing_and_the_reason(tmp_path):
    (tmp_path / "constraints.txt").write_text("greeting==1.0\n")
    impossible = PYPROJECT.replace('"greeting"', '"no-such-package-of-riskmap @ file:///no"')
    (tmp_path / "pyproject.toml").write_text(impossible)
    with pytest.raises(RuntimeError, match="pip could not collect the wheels"):
        make_wheels(tmp_path)
    assert not list((tmp_path / "build").iterdir())


def test_files_are_those_of_git_or_without_it_those_that_git_would_take(tmp_path):
    names = ("pyproject.toml", "riskmap/a.py", "notebooks/a.ipynb", ".gitignore")
    unwanted = (".venv/x", "build/runs/x", "riskmap/__pycache__/a.pyc", "small.egg-info/PKG-INFO")
    for name in (*names, *unwanted):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    shutil.copy(PROJECT_ROOT / ".gitignore", tmp_path)
    assert set(tracked_files(tmp_path)) == set(names)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    if shutil.which("git") is None:
        return
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    (tmp_path / "untracked.nii.gz").touch()
    assert set(tracked_files(tmp_path)) == set(names), "a patient's scan that lies about is never packed"


def test_runs_of_older_code_and_of_other_cohorts_stay_behind(tiny_cohort, tmp_path):
    setting = Setting(device="cpu", precision="float32", steps=2, source_steps=2)
    made = Comparison(tiny_cohort, "FLAIR:WT", "T1ce:TC", ["scratch"], shots=1, seeds=[0, 1], setting=setting)
    one, two = (run.folder for run in ensure_all(made.wanted, tmp_path, jobs=1, progress=False))
    assert current_runs(tmp_path, {tiny_cohort.digest}) == sorted([one, two])
    assert current_runs(tmp_path, {"another"}) == []
    record = read_json(two / "record.json")
    record["parameters"]["code"] = "older"
    write_json(two / "record.json", record)
    assert current_runs(tmp_path, {tiny_cohort.digest}) == [one]
    assert sorted(files_below([one], tmp_path)) == sorted(
        (one / name).relative_to(tmp_path).as_posix() for name in ("predictions.npz", "record.json", "weights.pt")
    )
    with pytest.raises(ValueError, match="lies outside"):
        files_below([one], tmp_path / "elsewhere")


def test_what_was_not_made_is_said_before_anything_is_packed(monkeypatch, tmp_path):
    monkeypatch.setattr(bundle, "build_folder", lambda profile: tmp_path)
    with pytest.raises(ValueError, match="run the tutorial first: python -m riskmap tutorial --profile smoke"):
        parts_of(NOTEBOOKS / "profiles" / "smoke.yaml")


def test_a_shared_checkout_is_not_packed_by_its_readers(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("RISKMAP_HOME", str(tmp_path))
    assert bundle.main(["--out", str(tmp_path / "b.zip")]) == 2
    assert "is shared: a bundle is made by its owner" in capsys.readouterr().err


def test_a_bundle_says_what_it_is_made_of(whole):
    with zipfile.ZipFile(whole) as packed:
        manifest = json.loads(packed.read("bundle.json"))
    assert set(manifest["parts"]) == {"checkout", "wheels"}
    assert sum(part["files"] for part in manifest["parts"].values()) == len(manifest["files"])
    assert Path(manifest["index"]).name == "index.html"
