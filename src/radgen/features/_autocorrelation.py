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


class PairSums:
    """Sums over all ordered pairs of voxels, weighted by the inverse of their distance.

    Parameters
    ----------
    mask : ndarray of bool (n_z, n_y, n_x)
        Which voxels count.
    deviations : ndarray of float64 (n_voxels,)
        Value y of each, in the order of memory.
    spacing_mm : tuple of float (3,)
        Voxel size (z, y, x).

    Notes
    -----
    The box is padded to twice its size, so that the periodic convolution is the plain one. Sums
    come from the power spectra (Parseval); nothing is transformed back. Above a million padded
    voxels spectra are of single precision: the error of Moran's I and Geary's C is then below
    1e-6 of their value.
    """

    def __init__(
        self, mask: NDArray[np.bool_], deviations: Array, spacing_mm: tuple[float, float, float]
    ) -> None:
        axes = [0, 1, 2]
        thin = int(np.argmin(mask.shape))
        if thin != 1 and mask.shape[thin] < 16:  # the kernel takes slices and columns by the dozen
            axes[thin], axes[1] = 1, thin
            box = np.zeros(mask.shape)
            box[mask] = deviations
            mask = np.ascontiguousarray(mask.transpose(axes))
            deviations = box.transpose(axes)[mask]
        self._mask, self._values = mask.view(np.uint8), deviations
        self._spacing_mm = np.array([spacing_mm[axis] for axis in axes], dtype=np.float64)
        self._sizes = np.array([_length(2 * size) for size in mask.shape], dtype=np.int64)
        single = np.prod(self._sizes, dtype=np.float64) > _SINGLE
        self._dtype: Any = np.dtype(np.float32 if single else np.float64)
        self._lanes = _LANES[self._dtype]
        self._blocks = -(-mask.shape[0] // self._lanes)
        self._last = int(self._sizes[2]) // 2 + 1
        self._once = Once()

    def _weights(self) -> NDArray[Any]:
        def make() -> NDArray[Any]:
            width = -(-(int(self._sizes[1]) // 2 + 1) // (2 * self._lanes)) * 2 * self._lanes
            out = np.empty((self._last, int(self._sizes[0]) // 2 + 1, width), self._dtype)
            _image.pair_weights(self._sizes, self._spacing_mm, out)
            return out

        return self._once("weights", make)

    def _room(self) -> NDArray[Any]:
        shape = (self._last, 3, self._blocks, self._mask.shape[1], 2, self._lanes)
        return self._once("room", lambda: np.empty(shape, self._dtype))

    def _ends(self, share: int, size: int) -> tuple[int, int]:
        return size * share // _SHARES, size * (share + 1) // _SHARES

    def _fields(self, share: int) -> None:
        """Write spectra along x for a share of the slices."""

        def make() -> None:
            first, last = self._ends(share, self._blocks)
            room = self._room()
            _image.pair_fields(self._mask, self._values, self._sizes, first, last, room)

        self._once(f"fields {share}", make)

    def _sums(self, share: int) -> Array:
        """Return the three sums over a share of the frequencies along x."""

        def make() -> Array:
            for number in range(_SHARES):
                self._fields(number)
            out = np.zeros(3)
            first, last = self._ends(share, self._last)
            n_slices = self._mask.shape[0]
            spectra, weights = self._room(), self._weights()
            _image.pair_sums(spectra, weights, self._sizes, n_slices, first, last, out)
            return out

        return self._once(f"sums {share}", make)

    def parts(self) -> list[Callable[[], object]]:
        """Return calls that do parts of the work, each once, whatever thread comes first."""
        first: list[Callable[[], object]] = [
            self._weights,
            *(partial(self._fields, share) for share in range(_SHARES)),
        ]
        return first + [partial(self._sums, share) for share in range(_SHARES)]

    def total(self) -> tuple[float, float, float]:
        """Return the sums of w, w y_i y_j and w y_i^2, w = 1 / distance, over ordered pairs."""
        found = np.sum([self._sums(share) for share in range(_SHARES)], axis=0)
        pairs, products, squares = found / np.prod(self._sizes, dtype=np.float64)
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
