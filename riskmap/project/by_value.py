"""Objects for workers, packed with the reader's own code as this process holds it.

A worker imports a module once and keeps it. A function of a module that the reader has edited and reloaded would be
looked up there, in the old one: so what is the reader's goes along itself and not as a name.
"""

import io
import pickle
import sys
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import cloudpickle


def pack(value: Any, modules: Mapping[str, Set[str]]) -> bytes:
    """Return an object as bytes, with the code of the reader's modules in it.

    Args:
        value: what a worker needs.
        modules: the reader's own modules, with the names that are used of each through its module
            (:class:`riskmap.project.function_code.Followed`).

    Raises:
        ValueError: it holds something that cannot go to another process.
    """
    file = io.BytesIO()
    new = [name for name in modules if name not in cloudpickle.list_registry_pickle_by_value()]
    for name in new:
        cloudpickle.register_pickle_by_value(sys.modules[name])
    try:
        _Pickler(file, modules).dump((value, {name: sys.modules[name] for name in modules}))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ValueError(f"this cannot be sent to a worker: {error}; run it with jobs=1") from error
    finally:
        for name in new:
            cloudpickle.unregister_pickle_by_value(sys.modules[name])
    return file.getvalue()


@contextmanager
def unpacked(packed: bytes) -> Iterator[Any]:
    """Yield what :func:`pack` has packed; inside the block its modules are found wherever a function imports them."""
    value, modules = pickle.loads(packed)
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield value
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


class _Pickler(cloudpickle.Pickler):
    """Packs of the reader's modules what is used of them, and of all others the names."""

    def __init__(self, file: io.BytesIO, modules: Mapping[str, Set[str]]) -> None:
        super().__init__(file)
        self._modules = modules

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, ModuleType) and obj.__name__ in self._modules:
            used = {name: vars(obj)[name] for name in self._modules[obj.__name__]}
            return ModuleType, (obj.__name__,), used
        return super().reducer_override(obj)
