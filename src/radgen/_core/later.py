"""Modules that are loaded when they are first used: a scan starts before its tables need them."""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from threading import RLock, Thread
from types import ModuleType
from typing import Any

__all__ = ["load", "load_beside", "loaded", "put_off"]

_LOCK = RLock()
_KNOWN = frozenset({"__class__", "__dict__", "__file__", "__loader__", "__name__", "__package__"})
_KNOWN |= {"__path__", "__spec__"}
"""What is known of a module that is not loaded; the import system asks for it."""


class _Later(ModuleType):
    """A module that loads itself when it is asked for anything of its own."""

    def __getattribute__(self, name: str) -> Any:
        get = ModuleType.__getattribute__
        if name in _KNOWN:
            return get(self, name)
        # Another thread waits here until the module is whole; the thread that loads goes through.
        with _LOCK:
            spec = get(self, "__spec__")
            if spec.loader_state is None:
                spec.loader_state = "loading"
                try:
                    spec.loader.exec_module(self)
                except BaseException:
                    spec.loader_state = None
                    raise
                self.__class__ = ModuleType  # type: ignore[assignment]
        return get(self, name)


def put_off(name: str) -> None:
    """Load a top-level module when it is first used, and not when it is imported.

    For a process whose first steps may need nothing of it; where it is loaded already, or is not
    installed, nothing changes. Until it is loaded its parts must not be imported (``import
    name.part``): take them from it (``from name import part``), which loads it first.

    Parameters
    ----------
    name : str
        Of the module.
    """
    spec = None if name in sys.modules else find_spec(name)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    module.__class__ = _Later
    sys.modules[name] = module


def loaded(name: str) -> bool:
    """Return whether a module is loaded, not merely put off."""
    return name in sys.modules and type(sys.modules[name]) is not _Later


def load(name: str) -> None:
    """Load a module that was put off; nothing where it was not."""
    if not loaded(name) and name in sys.modules:
        getattr(sys.modules[name], "__doc__", None)


def load_beside(name: str) -> None:
    """Begin to load a module that was put off, beside what goes on; who uses it first waits."""
    if not loaded(name) and name in sys.modules:
        Thread(target=load, args=(name,), name=f"load {name}").start()
