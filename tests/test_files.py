"""Files are whole or absent, and work side by side is slim and on one thread."""

import os
import subprocess
import sys
import threading
import time

import pytest
import torch

from riskmap.project.files import alone_with, atomic_path, digest_of, read_json, write_json
from riskmap.project.leftovers import clear_leftovers, clear_parts, work_folder
from riskmap.project.paths import PROJECT_ROOT
from riskmap.project.workers import run_side_by_side, torch_threads


def test_an_error_leaves_the_old_file_and_no_rest(tmp_path):
    target = tmp_path / "volume.nii.gz"
    target.write_text("old")

    def write_half():
        with atomic_path(target) as temporary:
            assert temporary.name.endswith(".nii.gz")
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_json_refuses_nan_and_names_a_broken_file(tmp_path):
    path = tmp_path / "record.json"
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"dice": float("nan")})
    assert not path.exists()
    path.write_text("{")
    with pytest.raises(ValueError, match=r"record\.json is not valid JSON"):
        read_json(path)


def test_a_digest_depends_on_content_and_not_on_order():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of({"a": 1, "b": 2}) != digest_of({"a": 1, "b": 3})


HOLD = """
import sys, time
from riskmap.project.files import alone_with
with alone_with(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_holder_blocks_nobody(tmp_path):
    place = tmp_path / "runs" / "one"
    command = [sys.executable, "-c", HOLD, str(place)]
    holder = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True)
    entered = threading.Event()

    def enter():
        with alone_with(place):
            entered.set()

    try:
        assert holder.stdout.readline() == "held\n"
        waiting = threading.Thread(target=enter)
        waiting.start()
        assert not entered.wait(0.5), "two hold one path at once"
        holder.kill()
        assert entered.wait(30)
        waiting.join()
    finally:
        holder.kill()
        holder.communicate()


def threads_beside(number):
    return number, torch.get_num_threads()


@pytest.mark.parametrize("jobs", [1, 2])
def test_work_side_by_side_has_one_thread_and_a_bar(capsys, jobs):
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert sorted(run_side_by_side(threads_beside, [(1,), (2,)], jobs, "Counting")) == [(1, 1), (2, 1)]
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    captured = capsys.readouterr()
    assert "Counting: 100%" in captured.out
    assert not captured.err, "notebooks paint it red"


def test_the_number_of_threads_comes_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="power cut"), torch_threads(before + 1):
        raise RuntimeError("power cut")
    assert torch.get_num_threads() == before


def test_workers_load_torch_only_when_they_compute():
    code = "import sys, riskmap.project.workers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT).returncode == 0


WORK = """
import sys, time
from pathlib import Path
from riskmap.project.leftovers import work_folder
with work_folder(Path(sys.argv[1])) as folder:
    (folder / "page.ipynb").write_text("half")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_killed_process_leaves_its_work_folder_until_the_next_call_only(tmp_path):
    command = [sys.executable, "-c", WORK, str(tmp_path)]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as owner:
        theirs = owner.stdout.readline().strip()
        with work_folder(tmp_path) as mine:
            assert {str(path) for path in tmp_path.iterdir() if path.is_dir()} == {theirs, str(mine)}, "it is alive"
        assert [str(path) for path in tmp_path.iterdir() if path.is_dir()] == [theirs]
        owner.kill()
    with work_folder(tmp_path) as mine:
        assert [path for path in tmp_path.iterdir() if path.is_dir()] == [mine]
    assert not list(tmp_path.iterdir())


def test_work_folders_go_after_an_error_and_where_an_older_version_made_them(tmp_path):
    (tmp_path / ".run-x7a2").mkdir()
    with pytest.raises(RuntimeError), work_folder(tmp_path):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_half_written_files_go_when_nobody_can_write_them_any_more(tmp_path):
    run = tmp_path / "transfer" / "run"
    run.mkdir(parents=True)
    old, young = run / ".part-old.npz", run / ".part-young.npz"
    for path in (old, young, tmp_path / ".part-old", tmp_path / ".run-gone.lock", tmp_path / "kept"):
        path.write_text("half")
        if path != young:
            os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    clear_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"transfer", "kept"}
    clear_parts(tmp_path)
    assert list(run.iterdir()) == [young]
    clear_parts(tmp_path / "nowhere")
