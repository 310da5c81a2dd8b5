"""Sums over pairs of voxels, weighted by an even kernel, on one padded grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.features._once import Once

__all__ = ["LANES", "Fields", "Padded", "aligned_zeros"]

Array = NDArray[np.float64]
Fields = tuple[NDArray[np.uint8] | None, NDArray[Any], NDArray[np.int32] | None]
LANES = {np.dtype(np.float32): 16, np.dtype(np.float64): 8}
"""Slices that are worked on side by side."""
_ROOM = 12 << 20
"""Spectra along one axis are made so many bytes at a time, if frequencies divide so far."""
_MOST_PARTS = 12
_SHARE = 1 << 18
"""Kernels of more weights than this are made in shares."""
_MOST_SHARES = 4


def aligned_zeros(shape: Sequence[int], dtype: Any) -> NDArray[Any]:
    """Return an array that begins with a line of memory, as wide registers like it."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.zeros(size + 64, np.uint8)  # pages that nobody writes to cost nothing
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


class Padded:
    """Sums over ordered pairs of voxels of w f f, w g g and w f h, for three fields f, g, h.

    Parameters
    ----------
    extent : sequence of int (3,)
        Blocks of slices, rows and columns of the fields.
    sizes : sequence of int (3,)
        Of the padded grid (z, y, x): no two voxels meet around its ends within the kernel.
    dtype : dtype
        float32 or float64.
    kernel : callable
        Returns w for distances along z from one on up to another, for all distances along y and
        x from 0 on: float64 (z, y, x).
    distances : int
        How many distances along z there are.
    fields : callable
        Returns the mask, y (f = mask, g = y, h = y^2) and the ends of rows, or None, the three
        fields and None, side by side in lanes: see the kernel's documentation.

    Notes
    -----
    Sums come from the power spectra (Parseval); nothing is transformed back. Frequencies lie
    halfway between whole ones, where none is its own mirror image, so an eighth of them stands
    for all. Spectra are made and used up a part at a time, and never stored.
    """

    def __init__(
        self,
        extent: Sequence[int],
        sizes: Sequence[int],
        dtype: Any,
        *,
        kernel: Callable[[int, int], Array],
        distances: int,
        fields: Callable[[], Fields],
    ) -> None:
        self._extent, self._dtype = tuple(extent), np.dtype(dtype)
        self._lanes = LANES[self._dtype]
        self._sizes = np.array(sizes, dtype=np.int64)
        self._half = [int(size) // 2 for size in sizes]
        self._kernel, self._distances, self._fields = kernel, distances, fields
        cells = distances * self._half[1] * self._half[2]
        self._shares = max(1, min(_MOST_SHARES, cells // _SHARE, distances))
        self._parts = self._parts_needed()
        self._once = Once()
        self._rooms: list[NDArray[Any]] = []

    def _room(self, parts: int) -> tuple[int, ...]:
        blocks, rows, _ = self._extent
        return self._half[2] // parts, 3, blocks, rows, 2, self._lanes

    def _parts_needed(self) -> int:
        """Return into how many parts the frequencies along x are cut."""
        fit = [n for n in range(2, _MOST_PARTS + 1, 2) if self._half[2] % n == 0]
        for parts in fit:
            if np.prod(self._room(parts), dtype=np.float64) * self._dtype.itemsize <= _ROOM:
                return parts
        return fit[-1]

    def _weights(self) -> NDArray[Any]:
        wide = -(-self._half[1] // (2 * self._lanes)) * self._lanes
        shape = (self._half[2], self._distances, 2, wide)
        return self._once("weights", lambda: aligned_zeros(shape, self._dtype))

    def _weigh(self, share: int) -> None:
        """Make a share of the weights."""

        def make() -> None:
            first, last = (self._distances * k // self._shares for k in (share, share + 1))
            kernel = self._kernel(first, last)
            _image.pair_weights(self._sizes, kernel, self._parts, first, self._weights())

        self._once(f"weigh {share}", make)

    def _sums(self, part: int) -> Array:
        """Return the three sums over a part of the frequencies along x."""

        def make() -> Array:
            fields = self._fields()
            for share in range(self._shares):
                self._weigh(share)
            out = np.zeros(3)
            try:
                room = self._rooms.pop()  # memory that another part is done with
            except IndexError:
                room = aligned_zeros(self._room(self._parts), self._dtype)
            _image.pair_sums(*fields, self._weights(), self._sizes, self._parts, part, room, out)
            self._rooms.append(room)
            return out

        return self._once(f"sums {part}", make)

    def weight_parts(self) -> list[Callable[[], object]]:
        """Return calls that make the weights, each once."""
        return [partial(self._weigh, share) for share in range(self._shares)]

    def sum_parts(self) -> list[Callable[[], object]]:
        """Return calls that make the sums, each once."""
        return [partial(self._sums, part) for part in range(self._parts)]

    def total(self) -> Array:
        """Return the three sums."""
        found = np.sum([self._sums(part) for part in range(self._parts)], axis=0)
        return np.asarray(found / np.prod(self._sizes, dtype=np.float64))
