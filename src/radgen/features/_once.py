"""Make something once, whatever thread asks for it first."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

__all__ = ["Once"]

T = TypeVar("T")


class Once:
    """Things by name, each made by the first thread that asks while others wait for it.

    Examples
    --------
    >>> kept = Once()
    >>> kept("answer", lambda: 42), kept("answer", lambda: 0)
    (42, 42)
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._locks: dict[str, Lock] = {}
        self._made: dict[str, Any] = {}

    def __call__(self, what: str, make: Callable[[], T]) -> T:
        """Return what `make` makes."""
        with self._lock:
            lock = self._locks.setdefault(what, Lock())
        with lock:
            if what not in self._made:
                self._made[what] = make()
            found: T = self._made[what]
            return found
