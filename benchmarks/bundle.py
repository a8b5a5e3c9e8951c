"""The bundle of the tutorial, made and used once: its size, the seconds, and page 3 where it was unpacked.

The tutorial with the profile ``teach`` must be made. Unpacking, making the environment and executing page 3 are done
where every request fails: without a network device where the system allows it (``unshare --net``), and with dead
proxies in any case. Page 3 must read its runs: that none was trained is checked.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import report
from riskmap.project.environment import python_of
from riskmap.project.machine import processor_name
from riskmap.project.paths import PROJECT_ROOT, resolve
from riskmap.project.unbundling import read_bundle

_DEAD = "http://127.0.0.1:9"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")


def without_network(command: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return a command and its environment, such that it reaches no network."""
    # what finds packages elsewhere on this machine is taken away as well
    given = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHONPATH"))}
    given |= dict.fromkeys(_PROXIES, _DEAD) | {"PIP_CONFIG_FILE": os.devnull}
    alone = ["unshare", "--net"]
    if shutil.which("unshare") and subprocess.run([*alone, "true"], capture_output=True).returncode == 0:
        # the kernel of a notebook is spoken to over the machine's own address
        return [*alone, "sh", "-c", 'ip link set lo up 2>/dev/null; exec "$@"', "sh", *command], given
    return command, given


def timed(command: list[str], folder: Path, network: bool = True) -> float:
    """Return the seconds that a command takes.

    Raises:
        RuntimeError: it failed; the end of what it said is in the message.
    """
    given: dict[str, str] = dict(os.environ)
    if not network:
        command, given = without_network(command)
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, encoding="utf-8")
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return round(time.perf_counter() - started, 1)


def records_below(folder: Path) -> set[Path]:
    """Return the records of the runs in a folder."""
    return set(folder.rglob("record.json"))


def main() -> None:
    """Make the bundle, unpack it, and execute page 3 there."""
    resolve("build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=resolve("build")) as name:
        place = Path(name)
        file, there = place / "workshop.zip", place / "there"
        made = timed([sys.executable, "-m", "riskmap.rerun.bundle", "--out", str(file)], PROJECT_ROOT)
        manifest = read_bundle(file).manifest
        unpacked = timed([sys.executable, str(file), "--out", str(there)], place, network=False)
        before = records_below(there / "build" / "runs")
        page = [str(python_of(there / ".venv")), "-m", "riskmap.rerun.run", "03", "-f", "teach"]
        executed = timed(page, there, network=False)
        trained = len(records_below(there / "build" / "runs") - before)
        row: dict[str, Any] = {"MB": round(file.stat().st_size / 1e6)}
        row |= {f"{title} MB": round(part["bytes"] / 1e6) for title, part in manifest["parts"].items()}
        row |= {"bundle s": made, "unbundle s": unpacked, "page 3 s": executed, "runs trained": trained}
        disk = sum(path.lstat().st_size for path in there.rglob("*") if path.is_file())
        row |= {"unpacked MB": round(disk / 1e6), "platform": manifest["platform"], "python": manifest["python"]}
    report("bundle", tuple(row), [row | {"cores": os.cpu_count(), "processor": processor_name()}])
