"""Moran's I and Geary's C over all pairs of voxels, by Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.features._once import Once

__all__ = ["PairSums", "inverse_distance_sums"]

Array = NDArray[np.float64]
_SINGLE = 1 << 20
"""Padded boxes of more voxels than this are transformed in single precision."""
_SHARES = 4
_ROOM = 12 << 20
"""Spectra along one axis are made so many bytes at a time, if frequencies divide so far."""
_MOST_PARTS = 12
_LANES = {np.dtype(np.float32): 16, np.dtype(np.float64): 8}


def _length(size: int) -> int:
    """Return the least multiple of 4 without prime factors above 5 that is at least `size`."""
    found = -(-size // 4)
    while True:
        rest = found
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return 4 * found
        found += 1


def _zeros(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array that begins with a line of memory, as wide registers like it."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.zeros(size + 64, np.uint8)  # pages that nobody writes to cost nothing
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


class PairSums:
    """Sums over all ordered pairs of voxels, weighted by the inverse of their distance.

    Parameters
    ----------
    mask : ndarray of bool (n_z, n_y, n_x)
        Which voxels count.
    values : ndarray of float64 (n_voxels,)
        Value of each, in the order of memory.
    spacing_mm : tuple of float (3,)
        Voxel size (z, y, x).
    centre, scale : float
        Sums are those of y = (value - centre) * scale.

    Notes
    -----
    The box is padded to twice its size, so that the periodic convolution is the plain one. Sums
    come from the power spectra (Parseval); nothing is transformed back. Frequencies lie halfway
    between whole ones, where none is its own mirror image, so an eighth of them stands for all.
    Spectra are made and used up a part at a time, and never stored.

    Above a million padded voxels spectra are of single precision. The error of Geary's C is then
    below 1e-6 of its value (6e-7 was the most in ``verification/pair_sums.py``), that of Moran's
    I below 1e-6 of the larger of the two: an index of noise, which is all but zero, has fewer
    digits.
    """

    def __init__(
        self,
        mask: NDArray[np.bool_],
        values: Array,
        spacing_mm: tuple[float, float, float],
        *,
        centre: float = 0.0,
        scale: float = 1.0,
    ) -> None:
        axes = [0, 1, 2]
        thin = int(np.argmin(mask.shape))
        if thin != 2 and mask.shape[thin] < 16:  # the kernel takes slices and rows by the dozen
            axes[thin], axes[2] = 2, thin
            box = np.zeros(mask.shape)
            box[mask] = values
            mask = np.ascontiguousarray(mask.transpose(axes))
            values = box.transpose(axes)[mask]
        self._mask, self._values = mask.view(np.uint8), values
        self._map = centre, scale
        spacing = np.array([spacing_mm[axis] for axis in axes], dtype=np.float64)
        self._unit_mm = float(np.sqrt(spacing.min() * spacing.max()))
        self._spacing = spacing / self._unit_mm
        self._sizes = np.array([_length(2 * size) for size in mask.shape], dtype=np.int64)
        single = np.prod(self._sizes, dtype=np.float64) > _SINGLE
        self._dtype: Any = np.dtype(np.float32 if single else np.float64)
        self._lanes = _LANES[self._dtype]
        self._half = [int(size) // 2 for size in self._sizes]
        self._blocks = -(-mask.shape[0] // self._lanes)
        self._parts = self._parts_needed()
        self._once = Once()
        self._rooms: list[NDArray[Any]] = []

    def _room(self, parts: int) -> tuple[int, ...]:
        rows = self._mask.shape[1]
        return self._half[2] // parts, 3, self._blocks, rows, 2, self._lanes

    def _parts_needed(self) -> int:
        """Return into how many parts the frequencies along x are cut."""
        fit = [n for n in range(2, _MOST_PARTS + 1, 2) if self._half[2] % n == 0]
        for parts in fit:
            if np.prod(self._room(parts), dtype=np.float64) * self._dtype.itemsize <= _ROOM:
                return parts
        return fit[-1]

    def _weights(self) -> NDArray[Any]:
        wide = -(-self._half[1] // (2 * self._lanes)) * self._lanes
        shape = (self._half[2], self._half[0], 2, wide)
        return self._once("weights", lambda: _zeros(shape, self._dtype))

    def _side_by_side(self) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        shape = (self._blocks, *self._mask.shape[1:], self._lanes)
        return self._once(
            "lanes", lambda: (_zeros(shape, np.dtype(np.uint8)), _zeros(shape, self._dtype))
        )

    def _first(self, share: int) -> None:
        """Make a share of the weights, and put a share of the slices side by side."""

        def make() -> None:
            ends = [
                (size * share // _SHARES, size * (share + 1) // _SHARES)
                for size in (self._half[0], self._blocks)
            ]
            _image.pair_weights(self._sizes, self._spacing, self._parts, *ends[0], self._weights())
            _image.pair_lanes(self._mask, self._values, *self._map, *ends[1], *self._side_by_side())

        self._once(f"first {share}", make)

    def _sums(self, part: int) -> Array:
        """Return the three sums over a part of the frequencies along x."""

        def make() -> Array:
            for share in range(_SHARES):
                self._first(share)
            out = np.zeros(3)
            try:
                room = self._rooms.pop()  # memory that another part is done with
            except IndexError:
                room = _zeros(self._room(self._parts), self._dtype)
            _image.pair_sums(
                *self._side_by_side(), self._weights(), self._sizes, self._parts, part, room, out
            )
            self._rooms.append(room)
            return out

        return self._once(f"sums {part}", make)

    def parts(self) -> list[Callable[[], object]]:
        """Return calls that do parts of the work, each once, whatever thread comes first."""
        return [
            *(partial(self._first, share) for share in range(_SHARES)),
            *(partial(self._sums, part) for part in range(self._parts)),
        ]

    def total(self) -> tuple[float, float, float]:
        """Return the sums of w, w y_i y_j and w y_i^2, w = 1 / distance, over ordered pairs."""
        found = np.sum([self._sums(part) for part in range(self._parts)], axis=0)
        found /= np.prod(self._sizes, dtype=np.float64) * self._unit_mm
        pairs, products, squares = found
        return float(pairs), float(products), float(squares)


def inverse_distance_sums(
    mask: NDArray[np.bool_], deviations: Array, spacing_mm: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return sums over ordered pairs of voxels of w, w y_i y_j and w y_i^2, w = 1 / distance.

    Parameters
    ----------
    mask : ndarray of bool (n_z, n_y, n_x)
        Which voxels count.
    deviations : ndarray of float64 (n_voxels,)
        Value y of each, in the order of memory.
    spacing_mm : tuple of float (3,)
        Voxel size (z, y, x).

    Returns
    -------
    tuple of float (3,)
        The three sums.
    """
    return PairSums(mask, deviations, spacing_mm).total()
