"""Moran's I and Geary's C over all pairs of voxels, by Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.features import _splitting
from radgen.features._once import Once
from radgen.features._padded import LANES, Fields, Padded, aligned_zeros
from radgen.features._splitting import Split, grid_length

__all__ = ["PairSums", "inverse_distance_sums"]

Array = NDArray[np.float64]
_SINGLE = 1 << 20
"""Boxes that have more voxels than this when padded are transformed in single precision."""
_SHARES = 4


def _distances(counts: tuple[int, ...], steps: Array, first: int = 0) -> Array:
    """Return distances (z, y, x) from the origin of a grid, slices from a first one on."""
    z, y, x = (np.arange(n) * step for n, step in zip(counts, steps, strict=True))
    z = z + first * steps[0]
    out = (z**2)[:, None, None] + ((y**2)[:, None] + x**2)
    return np.asarray(np.sqrt(out, out=out))


def _inverse(distance: Array) -> Array:
    """Return the inverse of distances from the origin, 0 there, in the same memory."""
    if distance.flat[0] == 0.0:
        distance.flat[0] = np.inf
    return np.asarray(np.divide(1.0, distance, out=distance))


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
    The box is padded to twice its size, so that the periodic convolution is the plain one.

    Where the padded box has more than a million voxels, transforms are of single precision, and
    the inverse distance is split where that costs less: a near part that ends after some voxels,
    so the box needs little padding, and a smooth far part that holds no short waves, so images
    thinned out by a filter hold all of it. The filter's own effect on waves is taken off the
    far part. What the split adds is below 3e-8 of the inverse of the near part's reach for every
    pair, below what single precision rounds off.

    The error of Geary's C is then below 1e-6 of its value (``verification/pair_sums.py`` prints
    the most), that of Moran's I below 1e-6 of the larger of the two: an index of noise, which is
    all but zero, has fewer digits.

    References
    ----------
    Split of kernels and spreading by windows as in Ewald sums: Liang, J. et al. (2025),
    arXiv:2505.09727. Window: Kaiser, J. F. & Schafer, R. W. (1980), doi:10.1109/TASSP.1980.1163349.
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
        whole = tuple(grid_length(2 * size) for size in mask.shape)
        single = np.prod(whole, dtype=np.float64) > _SINGLE
        self._dtype: Any = np.dtype(np.float32 if single else np.float64)
        self._blocks = -(-mask.shape[0] // LANES[self._dtype])
        self._split = _splitting.choose(mask.shape, self._spacing.tolist()) if single else None
        self._once = Once()
        self._grids = [self._whole(whole)] if self._split is None else self._both(self._split)

    def _whole(self, sizes: tuple[int, ...]) -> Padded:
        """Return the grid of the inverse distance as it is."""
        nz, ny, nx = self._mask.shape

        def kernel(first: int, last: int) -> Array:
            return _inverse(_distances((last - first, ny, nx), self._spacing, first))

        extent = self._blocks, ny, nx
        fields = self._side_by_side
        return Padded(extent, sizes, self._dtype, kernel=kernel, distances=nz, fields=fields)

    def _both(self, split: Split) -> list[Padded]:
        """Return the grids of the near part and of the far part."""
        shape = self._mask.shape
        ends = [
            min(n, int(split.reach / step) + 1)
            for n, step in zip(shape, self._spacing, strict=True)
        ]

        def kernel(first: int, last: int) -> Array:
            distance = _distances((last - first, ends[1], ends[2]), self._spacing, first)
            return _splitting.near(distance, split.reach)

        extent = self._blocks, *shape[1:]
        near = Padded(
            extent,
            split.near,
            self._dtype,
            kernel=kernel,
            distances=ends[0],
            fields=self._side_by_side,
        )
        counts = self._coarse_counts(split)
        whole = self._once
        far = Padded(
            (-(-counts[0] // LANES[self._dtype]), *counts[1:]),
            split.far,
            self._dtype,
            kernel=lambda first, last: whole("far", lambda: self._far_kernel(split))[first:last],
            distances=counts[0],
            fields=lambda: (None, self._coarse(split), None),
        )
        return [near, far]

    def _coarse_counts(self, split: Split) -> tuple[int, ...]:
        return tuple(
            _splitting.reached(n, step)
            for n, step in zip(self._mask.shape, split.steps, strict=True)
        )

    def _far_kernel(self, split: Split) -> Array:
        """Return the far part on the coarse grid, without what the filter does to waves."""
        thinned = [axis for axis in range(3) if split.steps[axis] > 1]
        counts = self._coarse_counts(split)
        more = tuple(n + _splitting.TERMS * (axis in thinned) for axis, n in enumerate(counts))
        steps = self._spacing * split.steps
        distance = _distances(more, steps)
        corner = tuple(slice(0, int(split.reach / step) + 1) for step in steps)
        near_by = _splitting.far(distance[corner], split.reach)
        kernel = _inverse(distance)
        kernel[corner] = near_by
        return reduce(_splitting.restored, thinned, kernel)

    def _lanes(self) -> tuple[NDArray[np.uint8], NDArray[Any], NDArray[np.int32]]:
        shape = (self._blocks, *self._mask.shape[1:], LANES[self._dtype])

        def make() -> tuple[NDArray[np.uint8], NDArray[Any], NDArray[np.int32]]:
            inside, values = (aligned_zeros(shape, t) for t in (np.dtype(np.uint8), self._dtype))
            return inside, values, np.zeros((*shape[:2], 2), np.int32)

        return self._once("lanes", make)

    def _put(self, share: int) -> tuple[int, int]:
        """Put a share of the slices side by side; return which blocks of them."""
        first, last = (self._blocks * k // _SHARES for k in (share, share + 1))
        self._once(
            f"put {share}",
            lambda: _image.pair_lanes(
                self._mask, self._values, *self._map, first, last, *self._lanes()
            ),
        )
        return first, last

    def _side_by_side(self) -> Fields:
        for share in range(_SHARES):
            self._put(share)
        return self._lanes()

    def _planes(self, split: Split) -> NDArray[np.float32]:
        counts = self._coarse_counts(split)
        shape = (3, self._blocks, *counts[1:], LANES[self._dtype])
        return self._once("planes", lambda: aligned_zeros(shape, self._dtype))

    def _thin_planes(self, split: Split, share: int) -> None:
        """Thin out a share of the slices along rows and columns."""

        def make() -> None:
            ends = self._put(share)
            _, y, x = split.steps
            filters = _splitting.taps(y), y, _splitting.taps(x), x
            _image.thin_planes(*self._lanes(), *filters, *ends, self._planes(split))

        self._once(f"thin {share}", make)

    def _thin_slices(self, split: Split, share: int) -> None:
        """Thin out a share of the rows along the slices."""

        def make() -> None:
            for each in range(_SHARES):
                self._thin_planes(split, each)
            planes, step = self._planes(split), split.steps[0]
            first, last = (planes.shape[2] * k // _SHARES for k in (share, share + 1))
            _image.thin_slices(planes, _splitting.taps(step), step, first, last, self._out(split))

        self._once(f"slices {share}", make)

    def _out(self, split: Split) -> NDArray[np.float32]:
        planes = self._planes(split)
        blocks = -(-self._coarse_counts(split)[0] // LANES[self._dtype])
        shape = (3, blocks, *planes.shape[2:])
        return self._once("coarse", lambda: aligned_zeros(shape, self._dtype))

    def _coarse(self, split: Split) -> NDArray[np.float32]:
        """Return the mask, y and y^2 on the coarse grid."""
        for share in range(_SHARES):
            self._thin_slices(split, share)
        return self._out(split)

    def parts(self) -> list[Callable[[], object]]:
        """Return calls that do parts of the work, each once, whatever thread comes first."""
        put = [partial(self._put, share) for share in range(_SHARES)]
        if self._split is None:
            whole = self._grids[0]
            return [*whole.weight_parts(), *put, *whole.sum_parts()]
        near, far = self._grids
        planes = [partial(self._thin_planes, self._split, share) for share in range(_SHARES)]
        slices = [partial(self._thin_slices, self._split, share) for share in range(_SHARES)]
        first = [*put, *far.weight_parts(), *planes, *near.weight_parts()]
        return [*first, *near.sum_parts(), *slices, *far.sum_parts()]

    def total(self) -> tuple[float, float, float]:
        """Return the sums of w, w y_i y_j and w y_i^2, w = 1 / distance, over ordered pairs."""
        found = np.sum([grid.total() for grid in self._grids], axis=0) / self._unit_mm
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
