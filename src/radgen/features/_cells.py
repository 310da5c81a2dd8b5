"""Texture matrices as lists of filled cells, and the features that many matrices share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cells", "cells_of", "cells_of_pairs", "entropy", "mean_defined", "size_features"]

Array = NDArray[np.float64]
_SHORT = 128


@dataclass(frozen=True, slots=True)
class Cells:
    """Filled cells of several count matrices.

    Attributes
    ----------
    group : ndarray of int (n_cells,)
        Which matrix; ascending where they come from `cells_of`.
    i, j : ndarray of int (n_cells,)
        Row and column, from 1.
    count : ndarray of float64 (n_cells,)
        Positive counts.
    n_groups : int
        Number of matrices.
    """

    group: NDArray[np.intp]
    i: NDArray[np.intp]
    j: NDArray[np.intp]
    count: Array
    n_groups: int

    def per_group(self, weights: Array) -> Array:
        """Return sums of weights (n_cells,) over each matrix (n_groups,)."""
        return np.bincount(self.group, weights, self.n_groups)

    def marginal(self, index: NDArray[np.intp], weights: Array) -> Array:
        """Return sums (n_groups, largest index + 1) of weights by matrix and index."""
        width = int(index.max()) + 1
        flat = np.bincount(self.group * width + index, weights, self.n_groups * width)
        return flat.reshape(self.n_groups, width)


def cells_of(matrices: NDArray[np.integer]) -> Cells:
    """Return the filled cells of matrices (n_groups, rows, columns); empty matrices go."""
    keep = matrices.any(axis=(1, 2))
    full = np.ascontiguousarray(matrices[keep])
    flat = np.flatnonzero(full)
    group, rest = np.divmod(flat, full.shape[1] * full.shape[2])
    i, j = np.divmod(rest, full.shape[2])
    return Cells(group, i + 1, j + 1, full.ravel()[flat].astype(np.float64), full.shape[0])


def cells_of_pairs(
    group: NDArray[np.integer] | None, i: NDArray[np.integer], j: NDArray[np.integer]
) -> Cells:
    """Return cells that count how often (group, i, j) occurs; groups are numbered anew.

    Without groups all pairs belong to one.
    """
    wide, high = int(j.max()) + 1, int(i.max()) + 1
    line, n_groups = i.astype(np.intp), 1
    if group is not None:
        number = np.cumsum(np.bincount(group) > 0)[group] - 1
        line += number * high
        n_groups = int(number.max()) + 1
    # Nearly all sizes are small: count those in a table, and sort the others alone.
    short = min(wide, _SHORT)
    place, small = line * short + j, j < short
    table = np.bincount(place if short == wide else place[small], minlength=n_groups * high * short)
    found = np.flatnonzero(table)
    row, column = np.divmod(found, short)
    count = table[found]
    if short < wide:
        large, times = np.unique(line[~small] * wide + j[~small], return_counts=True)
        more_row, more_column = np.divmod(large, wide)
        row, column = np.append(row, more_row), np.append(column, more_column)
        count = np.append(count, times)
    which, level = np.divmod(row, high)
    return Cells(which, level, column, count.astype(np.float64), n_groups)


def entropy(p: Array) -> Array:
    """Return -p log2 p for positive p (0 for 0)."""
    out = np.zeros_like(p)
    np.log2(p, out=out, where=p > 0)
    return -p * out


def mean_defined(values: Array) -> float:
    """Return the mean of the values that are not NaN; NaN where none is left."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def size_features(
    cells: Cells, n_voxels: Array, names: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Return features of matrices that count by grey level i and size (or distance) j.

    Parameters
    ----------
    cells : Cells
        Runs, zones or dependences.
    n_voxels : ndarray of float64 (n_groups,)
        Number of voxels behind each matrix, for the percentage.
    names : sequence of str (16 or 17)
        Names in the order of the IBSI tables; the seventeenth is the energy.

    Returns
    -------
    dict of str to ndarray of float64 (n_groups,)
        One value a matrix.
    """
    i, j = cells.i.astype(np.float64), cells.j.astype(np.float64)
    count = cells.count
    total = cells.per_group(count)
    p = count / total[cells.group]
    i2, j2 = i * i, j * j
    by_level = cells.marginal(cells.i, count)
    by_size = cells.marginal(cells.j, count)
    mean_i, mean_j = cells.per_group(p * i), cells.per_group(p * j)
    level_square = (by_level**2).sum(axis=1)
    size_square = (by_size**2).sum(axis=1)
    found = [
        cells.per_group(p / j2),
        cells.per_group(p * j2),
        cells.per_group(p / i2),
        cells.per_group(p * i2),
        cells.per_group(p / (i2 * j2)),
        cells.per_group(p * i2 / j2),
        cells.per_group(p * j2 / i2),
        cells.per_group(p * i2 * j2),
        level_square / total,
        level_square / total**2,
        size_square / total,
        size_square / total**2,
        total / n_voxels,
        cells.per_group(p * (i - mean_i[cells.group]) ** 2),
        cells.per_group(p * (j - mean_j[cells.group]) ** 2),
        cells.per_group(entropy(p)),
        cells.per_group(p * p),
    ]
    return dict(zip(names, found, strict=False))
