"""A named collection that refuses duplicates and answers typos with the nearest name."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from radgen._core.naming import did_you_mean
from radgen.errors import InputError

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Names mapped to registered things.

    Parameters
    ----------
    what : str
        What is registered, for messages ("feature family").
    entry_point_group : str or None
        Entry points of this group are loaded when an unknown name is asked for, so that
        other packages can add to the registry by being installed.
    """

    def __init__(self, what: str, *, entry_point_group: str | None = None) -> None:
        self.what = what
        self._group = entry_point_group
        self._items: dict[str, T] = {}
        self._loaded = entry_point_group is None

    def add(self, name: str, item: T) -> T:
        """Register `item` under `name`; raise `InputError` if the name is taken."""
        if name in self._items:
            raise InputError(f"The {self.what} {name!r} is registered twice.")
        self._items[name] = item
        return item

    def get(self, name: str) -> T:
        """Return what is registered under `name`; raise `InputError` with the nearest name."""
        if name not in self._items:
            self._load_entry_points()
        if name not in self._items:
            raise InputError(f"Unknown {self.what} {name!r}. {did_you_mean(name, self._items)}")
        return self._items[name]

    def names(self) -> tuple[str, ...]:
        """Return all registered names, in the order of registration."""
        self._load_entry_points()
        return tuple(self._items)

    def __contains__(self, name: object) -> bool:
        if name not in self._items:
            self._load_entry_points()
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def _load_entry_points(self) -> None:
        if self._loaded or self._group is None:
            return
        self._loaded = True
        for point in entry_points(group=self._group):
            point.load()
