"""A JupyterLab of its own: nothing of the reader's settings goes in, and nothing of it stays."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import psutil

START_SECONDS = 120
# a kernel may be in the middle of a computation when the server is told to end
END_SECONDS = 20
FOLDERS = (
    *("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"),
    *("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"),
)
# the question whether to fetch news would lie over the notebook
NEWS_OFF = ("@jupyterlab/apputils-extension/notification.jupyterlab-settings", {"fetchNews": "false"})
# this machine's own server must be asked directly, whatever proxy the environment names
_open = build_opener(ProxyHandler({})).open


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, the token it asks for, the folder it shows and what it logs."""

    url: str
    token: str
    root: Path
    log: Path
    process: subprocess.Popen

    def address(self, notebook: str) -> str:
        """Return the address that opens one notebook alone, in a fresh workspace."""
        return f"{self.url}/doc/tree/{notebook}?reset&token={self.token}"

    def ask(self, path: str, method: str = "GET", content: Mapping[str, Any] | None = None) -> Any:
        """Ask the server's REST API and return what it answers, None for an empty answer."""
        data = None if content is None else json.dumps(content).encode()
        headers = {"Authorization": f"token {self.token}"}
        with _open(Request(f"{self.url}/api/{path}", data, headers, method=method), timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def has_connected_kernel(self) -> bool:
        """Tell whether a kernel is idle and a page is connected to it."""
        try:
            kernels = self.ask("kernels")
        except HTTPError as error:
            # while it ends the kernel of an earlier page the server cannot list them
            if error.code < 500:
                raise
            return False
        return any(kernel["execution_state"] == "idle" and kernel["connections"] > 0 for kernel in kernels)

    def end_kernels(self) -> None:
        """End every kernel that the server runs."""
        for kernel in self.ask("kernels"):
            self.ask(f"kernels/{kernel['id']}", "DELETE")


@contextmanager
def running_lab(root: Path) -> Iterator[Lab]:
    """Run a JupyterLab on 127.0.0.1 that shows the folder ``root``; it and its kernels end with the block.

    Raises:
        RuntimeError: it did not answer in time, or ended by itself; the message carries its log.
    """
    with tempfile.TemporaryDirectory(prefix="riskmap-lab-", ignore_cleanup_errors=True) as temporary:
        home, token = Path(temporary), secrets.token_hex(16)
        port, log = _free_port(), home / "lab.log"
        command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
        options = {
            "ServerApp.port": port,
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": root,
            "IdentityProvider.token": token,
        }
        command += [f"--{name}={value}" for name, value in options.items()]
        with log.open("w") as stream:
            process = subprocess.Popen(
                command, env=_environment(home), stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
            )
            lab = Lab(f"http://127.0.0.1:{port}", token, Path(root), log, process)
            try:
                _wait_until_it_answers(lab)
                yield lab
            finally:
                end_family(process)


def end_family(process: subprocess.Popen) -> None:
    """End a process and all that it started: politely first, by force what is left."""
    family = [] if process.poll() is not None else psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(family, timeout=1)
    for child in left:
        child.kill()
    psutil.wait_procs(left, timeout=END_SECONDS)


def _environment(home: Path) -> dict[str, str]:
    folders = {name: home / name.lower() for name in FOLDERS}
    for folder in folders.values():
        folder.mkdir()
    name, settings = NEWS_OFF
    file = folders["JUPYTERLAB_SETTINGS_DIR"] / name
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(settings), encoding="utf-8")
    return os.environ | {name: str(folder) for name, folder in folders.items()}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait_until_it_answers(lab: Lab) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and lab.process.poll() is None:
        try:
            lab.ask("status")
            return
        except (URLError, ConnectionError):
            time.sleep(0.3)
    how = "did not answer" if lab.process.poll() is None else f"ended with status {lab.process.returncode}"
    raise RuntimeError(f"JupyterLab {how}:\n{lab.log.read_text(encoding='utf-8')}")
