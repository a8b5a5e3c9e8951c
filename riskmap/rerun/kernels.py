"""The kernels that execute notebooks: of the running interpreter, on some threads each, and stopped together."""

import asyncio
import signal
from pathlib import Path
from typing import Any, cast

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from riskmap.rerun.memory import PeakMemory

# figures stay in the notebook; the environment of a machine without a screen often names another backend
_INLINE = "module://matplotlib_inline.backend_inline"


class Kernels:
    """Kernels that run side by side.

    Args:
        threads: that each may compute with; None leaves it to the libraries.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.stopped = False
        self.environment = {"MPLBACKEND": _INLINE}
        if threads is not None:
            # torch and the libraries below NumPy look here when they are loaded
            self.environment["OMP_NUM_THREADS"] = str(threads)
        self._running: list[LocalProvisioner] = []

    def manager(self, folder: Path, memory: PeakMemory) -> type[AsyncKernelManager]:
        """Return the class of the manager that starts a kernel of these.

        Args:
            folder: where the kernel works.
            memory: follows the kernel.
        """
        return type("Manager", (_Manager,), {"kernels": self, "folder": folder, "memory": memory})

    def add(self, kernel: LocalProvisioner) -> None:
        """Stop a kernel that has just started with the others."""
        self._running.append(kernel)
        if self.stopped:
            self.stop()

    def stop(self) -> None:
        """Interrupt what the kernels run, as Ctrl-C would, their workers included; no further cell is started."""
        self.stopped = True
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End kernels that do not stop."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        for kernel in self._running:
            # one that has ended takes no signal
            if kernel.has_process:
                asyncio.run(kernel.send_signal(number))


class _Manager(AsyncKernelManager):
    """Starts kernels with the running interpreter, whatever a kernel of the same name elsewhere would start."""

    kernels: Kernels
    folder: Path
    memory: PeakMemory

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # newer kernels warn on every start when their local sockets are not encrypted; older ones cannot do it
        if self.has_trait("transport_encryption"):
            self.transport_encryption = "auto"

    @property
    def kernel_spec(self) -> KernelSpec:
        """Return the kernel of this interpreter."""
        return KernelSpec(**get_kernel_dict(), env=self.kernels.environment)

    async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
        # papermill would move this whole process there, and with it the kernels that other threads start
        await super()._async_launch_kernel(kernel_cmd, **(options | {"cwd": str(self.folder)}))
        kernel = cast(LocalProvisioner, self.provisioner)
        self.memory.follow(cast(int, kernel.pid))
        self.kernels.add(kernel)

    _launch_kernel = _async_launch_kernel  # as jupyter_client's own class does
