"""Bases, residuals and patterns of missing values that block regressions share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CONSTANT_RTOL",
    "RANK_RTOL",
    "Patterns",
    "covariate_basis",
    "patterns",
    "residualise",
    "residuals",
    "spread",
]

Array = NDArray[np.float64]
Patterns = list[tuple[NDArray[np.bool_], NDArray[np.int64]]]

RANK_RTOL = 1e-8
CONSTANT_RTOL = 64 * np.finfo(np.float64).eps


def covariate_basis(covariates: ArrayLike | None, n_samples: int) -> Array:
    """Return an orthonormal basis of intercept and covariates; its width is their rank.

    Parameters
    ----------
    covariates : array_like of float64 (n_samples, n_covariates) or None
        Finite; no intercept column is needed, one does no harm.
    n_samples : int
        Number of rows.

    Returns
    -------
    ndarray of float64 (n_samples, rank)
        The first column is the constant.

    Notes
    -----
    Columns are centred and scaled to norm 1, then reduced by QR with column pivoting;
    pivots below 1e-8 are dropped.
    """
    from scipy.linalg import qr

    constant = np.full((n_samples, 1), 1.0 / np.sqrt(max(n_samples, 1)))
    if covariates is None or n_samples == 0:
        return constant
    z = np.asarray(covariates, dtype=np.float64)
    mean = z.mean(axis=0)
    centred = z - mean
    norm = np.sqrt(np.einsum("ij,ij->j", centred, centred))
    varies = norm > CONSTANT_RTOL * np.abs(z).max(axis=0, initial=0.0) * np.sqrt(n_samples)
    if not varies.any():
        return constant
    q, r, _ = qr(centred[:, varies] / norm[varies], mode="economic", pivoting=True)
    rank = int(np.count_nonzero(np.abs(np.diag(r)) > RANK_RTOL))
    return np.hstack([constant, q[:, :rank]])


def residualise(values: ArrayLike, basis: Array) -> Array:
    """Return what is left of each column after its projection on `basis` is taken out.

    Parameters
    ----------
    values : array_like of float64 (n_samples, n_columns)
        Finite.
    basis : ndarray of float64 (n_samples, rank)
        From `covariate_basis`.

    Returns
    -------
    ndarray of float64 (n_samples, n_columns)
        Orthogonal to `basis`. The mean goes first, so that large offsets cost no digits.
    """
    left = np.asarray(values, dtype=np.float64)
    left = left - left.mean(axis=0)
    rest = basis[:, 1:]
    if rest.shape[1]:
        left -= rest @ (rest.T @ left)
        left -= rest @ (rest.T @ left)
    return np.asarray(left)


def patterns(values: Array) -> Patterns:
    """Return the columns grouped by which rows are known.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_columns)
        NaN = missing.

    Returns
    -------
    list of (ndarray of bool (n_samples,), ndarray of int64)
        Known rows and the columns that have just these.
    """
    known = ~np.isnan(values)
    if known.all():
        return [(np.ones(len(values), dtype=bool), np.arange(values.shape[1]))]
    packed = np.ascontiguousarray(np.packbits(known, axis=0).T)
    groups: dict[bytes, list[int]] = {}
    for column, row in enumerate(packed):
        groups.setdefault(row.tobytes(), []).append(column)
    return [(known[:, cols[0]], np.array(cols)) for cols in groups.values()]


def spread(values: Array) -> tuple[Array, Array]:
    """Centred columns and their sums of squares; 0 where a column is constant."""
    if not len(values):
        return values, np.zeros(values.shape[1])
    centred = values - values.mean(axis=0)
    total = np.einsum("ij,ij->j", centred, centred)
    scale = np.abs(values).max(axis=0) * CONSTANT_RTOL
    return centred, np.where(total <= len(values) * scale**2, 0.0, total)


def residuals(values: Array, basis: Array) -> tuple[Array, Array, Array] | None:
    """Return residuals of columns on `basis`, and their sums of squares; None with a gap.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_columns)
        None is returned where a value is not finite.
    basis : ndarray of float64 (n_samples, rank)
        From `covariate_basis`.

    Returns
    -------
    left : ndarray of float64 (n_samples, n_columns)
        One projection is enough where the other side is orthogonal to the covariates.
    total, ss : ndarray of float64 (n_columns,)
        Sums of squares of the centred columns (0 = constant) and of `left`.
    """
    from radgen._native._regress import left as _native_left

    n, count = values.shape
    if values.strides[1] != values.itemsize or values.strides[0] % values.itemsize:
        values = np.ascontiguousarray(values)
    out = np.empty((n, count))
    total, largest, ss = np.empty(count), np.empty(count), np.empty(count)
    rest = np.ascontiguousarray(basis[:, 1:])
    if not _native_left(values, rest, out, total, largest, ss):
        return None
    total[total <= n * (largest * CONSTANT_RTOL) ** 2] = 0.0
    return out, total, ss
