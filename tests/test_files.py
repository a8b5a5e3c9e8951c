"""Files are whole or absent, and work side by side is slim and on one thread."""

import subprocess
import sys
import threading

import pytest
import torch

from riskmap.project.files import alone_with, atomic_path, digest_of, read_json, write_json
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
