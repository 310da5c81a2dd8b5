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
    """Give out uninitialised float64 arrays, from memory that was given out and dropped before.

    Fresh pages of memory cost more than a pass over a large array: blocks that are dropped one
    after the other share a few. An array is never given out while it, a view of it or anything
    that exports its memory lives: that is read from CPython's reference count, and where a
    count is not what it was when nobody held the array, the memory is fresh.

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
        self._all: list[NDArray[np.float64]] = [np.empty(0)]
        self._lock = Lock()
        self._alone = self._count(self._all[0])
        self._all.clear()

    def __call__(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return an uninitialised array of this shape."""
        size = int(np.prod(shape))
        with self._lock:
            for place in range(len(self._all)):
                if self._all[place].size == size and self._count(self._all[place]) == self._alone:
                    return self._all[place].reshape(shape)
            made = np.empty(size)
            if len(self._all) < self.keep:
                self._all.append(made)
            return made.reshape(shape)

    @staticmethod
    def _count(array: Any) -> int:
        counted: Callable[[Any], int] = sys.getrefcount
        return counted(array)
