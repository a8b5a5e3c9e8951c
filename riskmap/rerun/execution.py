"""Execute a notebook with checked parameters, and mark the finished re-run so that it need not be repeated."""

import hashlib
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from riskmap.pages.measurements import kept_measurements
from riskmap.project.files import read_json, sha256_of_file, write_json
from riskmap.project.leftovers import clear_parts, work_folder
from riskmap.project.machine import git_revision, versions
from riskmap.project.paths import PROJECT_ROOT, resolve
from riskmap.rerun.kernels import Kernels
from riskmap.rerun.memory import PeakMemory
from riskmap.rerun.notebooks import checked_parameters, page_of

Progress = Callable[[int, int], None]


class NotebookError(RuntimeError):
    """A notebook did not run to its end; the message names the notebook, the cell and the error."""


def record_of(output: Path) -> Path:
    """Return the path of the record that marks a finished re-run."""
    return output.with_name(output.name + ".json")


def failed_path(output: Path) -> Path:
    """Return where the notebook of a failed re-run is kept."""
    return output.with_suffix(".failed.ipynb")


def is_finished(notebook: Path, output: Path, profile: Path | None, parameters: Mapping[str, Any]) -> bool:
    """Tell whether ``output`` is a finished re-run of this very notebook, parameters, inputs and package."""
    if not (output.is_file() and record_of(output).is_file()):
        return False
    record = read_json(record_of(output))
    wanted = _identity(notebook, checked_parameters(notebook, profile, parameters))
    return all(record.get(key) == value for key, value in wanted.items())


def execute_notebook(
    notebook: Path,
    output: Path,
    profile: Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    progress: Progress | None = None,
    time_limit: float | None = None,
    kernels: Kernels | None = None,
) -> dict[str, Any]:
    """Run a notebook in its own folder, with the running interpreter, and write the executed copy.

    Args:
        notebook: the notebook to run; it is not changed.
        output: the executed copy. ``<output>.json`` is written last and marks a finished re-run.
        profile: YAML file of values for all notebooks; this one gets those that it declares.
        parameters: values for this notebook; they win over the profile.
        timeout: seconds that one cell may take; None: as long as it needs.
        progress: called with the number of cells done and the number of cells, after each cell.
        time_limit: seconds that the whole notebook may take; None: as long as it needs.
        kernels: those that run beside this one, how many threads each may take, and whether all were stopped.

    Returns:
        The content of the record, the file beside the output.

    Raises:
        ValueError: parameters that are not declared, of another type, or not for this machine; nothing is run.
        NotebookError: a cell failed or took too long; the notebook so far is kept as ``*.failed.ipynb``.
        KeyboardInterrupt: it was stopped with the other kernels; nothing is kept.
    """
    notebook, output = Path(notebook).resolve(), Path(output).resolve()
    values = checked_parameters(notebook, profile, parameters or {})
    page = page_of(notebook, values)
    page.check_machine()
    record = _identity(notebook, values)
    output.parent.mkdir(parents=True, exist_ok=True)
    if hasattr(page, "out_dir"):
        clear_parts(resolve(page.out_dir))
    for stale in (record_of(output), failed_path(output)):
        stale.unlink(missing_ok=True)
    started = time.monotonic()
    # papermill saves after every cell, so it works in a folder of its own and only a whole run leaves it
    with work_folder(output.parent) as folder:
        temporary = folder / output.name
        memory = _run(
            notebook,
            temporary,
            values,
            Limits(timeout, time_limit),
            progress,
            failed_path(output),
            kernels or Kernels(),
        )
        _clean_metadata(temporary)
        temporary.replace(output)
    record |= {
        # what the page has made for itself, such as a default cohort, is there only now
        "inputs": page.input_digests() | record["inputs"],
        "results": kept_measurements(output),
        "versions": versions(),
        "git_revision": git_revision(),
        "platform": platform.platform(),
        "duration_seconds": round(time.monotonic() - started, 1),
        "peak_memory_mb": memory,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(record_of(output), record)
    return record


def _run(
    notebook: Path,
    temporary: Path,
    values: dict[str, Any],
    limits: "Limits",
    progress: Progress | None,
    keep_failed: Path,
    kernels: Kernels,
) -> float:
    """Run with papermill, and return the peak of the kernel's memory in MB."""
    total = len(nbformat.read(notebook, as_version=4).cells) + bool(values)  # papermill injects one cell
    current = 0
    memory = PeakMemory()

    def on_cell_start(cell: Any, cell_index: int) -> None:
        nonlocal current
        current = cell_index
        if kernels.stopped:
            raise KeyboardInterrupt
        if progress is not None:
            progress(cell_index, total)

    try:
        with memory:
            papermill.execute_notebook(
                str(notebook),
                str(temporary),
                values,
                kernel_name="python3",
                progress_bar=False,
                timeout_func=limits.of_cell,
                kernel_manager_class=kernels.manager(notebook.parent, memory),
                on_cell_start=on_cell_start,
            )
    except (PapermillExecutionError, TimeoutError, DeadKernelError) as error:
        if kernels.stopped:
            raise KeyboardInterrupt from error
        _clean_metadata(temporary)
        temporary.replace(keep_failed)
        raise NotebookError(
            f"{notebook.name}, cell {current + 1} of {total}: {_reason(error, limits)}\n"
            f"The notebook up to there: {keep_failed}"
        ) from error
    if progress is not None:
        progress(total, total)
    return memory.megabytes


@dataclass
class Limits:
    """How many seconds each cell, and the whole notebook from now on, may take; None is no limit."""

    cell: float | None
    notebook: float | None = None
    started: float = field(default_factory=time.monotonic)

    def of_cell(self, cell: Any) -> float | None:
        """Return the seconds that the next cell may take."""
        if self.notebook is None:
            return self.cell
        left = max(self.started + self.notebook - time.monotonic(), 0.1)  # nbclient takes 0 for no limit
        return left if self.cell is None else min(self.cell, left)

    def text(self) -> str:
        """Say which limit has been reached."""
        if self.notebook is not None and time.monotonic() >= self.started + self.notebook:
            return f"the {self.notebook:g} s that the notebook may take"
        return f"the {self.cell:g} s that a cell may take"


def _reason(error: Exception, limits: Limits) -> str:
    if isinstance(error, TimeoutError):
        return f"it ran longer than {limits.text()}"
    if isinstance(error, PapermillExecutionError):
        return f"{error.ename}: {error.evalue}".strip().splitlines()[-1]
    return f"the kernel died ({str(error).strip()})"


def _clean_metadata(path: Path) -> None:
    """Take out what papermill and nbclient note about paths and times; the record holds what matters."""
    content = nbformat.read(path, as_version=4)
    content.metadata.pop("papermill", None)
    for cell in content.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    nbformat.write(content, path)


def _identity(notebook: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Return what makes two re-runs the same: notebook, parameters, the package's source and what the page reads."""
    return {
        "notebook": notebook.name,
        "notebook_sha256": sha256_of_file(notebook),
        "parameters": values,
        "package_sha256": package_digest(PROJECT_ROOT),
        "inputs": page_of(notebook, values).input_digests(),
    }


def package_digest(root: Path) -> str:
    """Return a digest of the Python sources that notebooks import: of every byte, since pages show source code."""
    digest = hashlib.sha256()
    for path in sorted([*root.glob("riskmap/**/*.py"), *root.glob("data_scripts/**/*.py")]):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
