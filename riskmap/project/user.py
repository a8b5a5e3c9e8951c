"""A name and folders for a user that the system does not know, as in a container that runs as any number."""

import atexit
import getpass
import os
import shutil
import tempfile
from pathlib import Path

from riskmap.project.writing import can_write

# what is written into the home folder, whoever asks: the files by which kernels are spoken to, and two caches
_FOLDERS = ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR")


def furnish_user() -> None:
    """Give this process, and those that it starts, a user name and folders to write in, where there are none.

    MONAI and torch ask for the name as soon as they are loaded.
    """
    try:
        getpass.getuser()
    except (KeyError, ImportError, OSError):
        os.environ["USER"] = "nobody"
    lacking = [name for name in _FOLDERS if not os.environ.get(name)]
    if not lacking or _has_home():
        return
    place = Path(tempfile.mkdtemp(prefix="riskmap-home-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    for name in lacking:
        (place / name.lower()).mkdir(mode=0o700)
        os.environ[name] = str(place / name.lower())


def _has_home() -> bool:
    try:
        return can_write(Path.home())
    except RuntimeError:
        # neither the environment nor the system names one
        return False
