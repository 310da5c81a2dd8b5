"""Arrays whose memory is used again once nobody holds them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Recycled"]


class Recycled:
    """Give out uninitialised arrays, from memory that was given out and dropped before.

    Fresh pages of memory cost more than a pass over a large array: blocks that are dropped one
    after the other share a few. An array is never given out while it, a view of it or anything
    that exports its memory lives: that is read from CPython's reference count, and where a
    count is not what it was when nobody held the array, the memory is fresh. An array takes the
    smallest memory that it fits and fills to a half; what is too small gives way to it.

    Parameters
    ----------
    keep : int
        How many arrays are kept at most; others are left to the garbage collector.

    Examples
    --------
    >>> take = Recycled(4)
    >>> first = take((2, 3))
    >>> held = first[0]
    >>> del first
    >>> take((2, 3)).base is held.base
    False
    """

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self._all: list[NDArray[np.float64]] = [np.empty(0)]  # float64: aligned for all
        self._lock = Lock()
        self._alone = self._count(self._all[0])
        self._all.clear()

    def __reduce__(self) -> tuple[type[Recycled], tuple[int]]:
        return Recycled, (self.keep,)  # another process has its own memory

    def __call__(self, shape: tuple[int, ...], dtype: Any = np.float64) -> NDArray[Any]:
        """Return an uninitialised array of this shape."""
        kind = np.dtype(dtype)
        count = int(np.prod(shape))
        size = -(-count * kind.itemsize // 8)
        with self._lock:
            memory = self._memory(size)
        array: NDArray[Any] = memory[:size].view(kind)[:count].reshape(shape)
        return array

    def _memory(self, size: int) -> NDArray[np.float64]:
        places = range(len(self._all))
        free = [at for at in places if self._count(self._all[at]) == self._alone]
        fitting = [at for at in free if size <= self._all[at].size <= 2 * size]
        if fitting:
            return self._all[min(fitting, key=lambda at: self._all[at].size)]
        made = np.empty(size)
        if len(self._all) < self.keep:
            self._all.append(made)
        elif free:
            self._all[min(free, key=lambda at: self._all[at].size)] = made
        return made

    @staticmethod
    def _count(array: Any) -> int:
        counted: Callable[[Any], int] = sys.getrefcount
        return counted(array)
