"""Supervoxels: compact pieces of like intensity (SLIC)."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["supervoxels"]


def supervoxels(
    array: NDArray[Any],
    spacing_mm: tuple[float, float, float],
    width_mm: float,
    *,
    n_iterations: int = 5,
    compactness: float = 1.0,
) -> NDArray[np.int64]:
    """Return a label 0..n-1 for each voxel.

    Parameters
    ----------
    array : ndarray (n_z, n_y, n_x)
        Intensities without NaN.
    spacing_mm : tuple of float (3,)
        Voxel size (z, y, x).
    width_mm : float
        Wanted width of a supervoxel.
    n_iterations : int
        Rounds of assignment.
    compactness : float
        Weight of distance against intensity (in standard deviations of the array).

    Returns
    -------
    ndarray of int64 (n_z, n_y, n_x)
        Each voxel belongs to the best of the 27 seeds around it; labels are consecutive.

    References
    ----------
    Achanta et al. 2012, doi:10.1109/TPAMI.2012.120.
    """
    shape = np.array(array.shape)
    step = np.maximum(np.array(width_mm) / np.array(spacing_mm), 1.0)
    cells = np.maximum(np.round(shape / step).astype(int), 1)
    home = np.stack(
        np.meshgrid(
            *[np.arange(n) * c // n for n, c in zip(shape, cells, strict=True)], indexing="ij"
        )
    )
    place = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")).astype(np.float64)
    place *= np.array(spacing_mm)[:, None, None, None] * compactness / width_mm
    spread = float(array.std())
    value = array.astype(np.float64) / (spread if spread > 0 else 1.0)
    features = np.concatenate([place, value[None]])
    flat = features.reshape(4, -1)
    count = int(cells.prod())
    labels = np.ravel_multi_index(tuple(home), tuple(cells)).ravel()
    offsets = list(product((-1, 0, 1), repeat=3))
    for _ in range(n_iterations):
        size = np.maximum(np.bincount(labels, minlength=count), 1)
        seeds = np.stack([np.bincount(labels, line, count) / size for line in flat])
        seeds[:, np.bincount(labels, minlength=count) == 0] = np.inf
        best = np.full(flat.shape[1], np.inf)
        for offset in offsets:
            cell = home + np.array(offset)[:, None, None, None]
            for axis in range(3):
                np.clip(cell[axis], 0, cells[axis] - 1, out=cell[axis])
            index = np.ravel_multi_index(tuple(cell), tuple(cells)).ravel()
            gap = ((flat - seeds[:, index]) ** 2).sum(axis=0)
            better = gap < best
            best[better] = gap[better]
            labels[better] = index[better]
    return np.asarray(np.unique(labels, return_inverse=True)[1].reshape(array.shape))
