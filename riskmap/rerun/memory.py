"""How much memory a process and its children take, watched from outside."""

import threading
from types import TracebackType

import psutil

_INTERVAL_SECONDS = 0.5


class PeakMemory:
    """Watches a process and its children for as long as the ``with`` block lasts.

    The sum of resident memory is sampled twice a second: a shorter peak may be missed, and memory that processes share
    counts for each of them.
    """

    def __init__(self) -> None:
        self.megabytes = 0.0
        self._process: psutil.Process | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def follow(self, pid: int) -> None:
        """Watch this process from now on."""
        self._process = psutil.Process(pid)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_INTERVAL_SECONDS):
            if self._process is None:
                continue
            try:
                family = [self._process, *self._process.children(recursive=True)]
                now = sum(member.memory_info().rss for member in family) / 2**20
            except psutil.NoSuchProcess:
                continue  # one of them has just ended
            self.megabytes = max(self.megabytes, round(now, 1))
