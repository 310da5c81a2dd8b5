"""The effective number of independent tests among correlated ones."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError

__all__ = ["METHODS", "correlation", "effective_columns", "effective_tests", "sidak_level"]

Array = NDArray[np.float64]

METHODS = ("nyholt", "li_ji", "gao", "galwey")
"""Names of the estimators."""


def effective_tests(
    correlations: ArrayLike,
    method: Literal["nyholt", "li_ji", "gao", "galwey"] = "li_ji",
    *,
    share: float = 0.995,
) -> float:
    """Return the effective number of tests from the eigenvalues of a correlation matrix.

    Parameters
    ----------
    correlations : array_like of float64 (n_tests, n_tests)
        Symmetric, ones on the diagonal.
    method : {"nyholt", "li_ji", "gao", "galwey"}
        nyholt: 1 + (m - 1)(1 - var(l)/m). li_ji: sum of 1(l >= 1) + (l - floor(l)).
        gao: number of largest eigenvalues that hold `share` of their sum.
        galwey: (sum sqrt l)**2 / sum l.
    share : float, default 0.995
        Of Gao's method.

    Returns
    -------
    float
        In [1, m], not rounded (the R package poolr rounds down). Negative eigenvalues count
        as 0.

    Raises
    ------
    InputError
        If the matrix is not a correlation matrix, or the method unknown.

    References
    ----------
    Nyholt (2004), Am. J. Hum. Genet. 74, 765-769. Li & Ji (2005), Heredity 95, 221-227.
    Gao, Starmer & Martin (2008), Genet. Epidemiol. 32, 361-369. Galwey (2009), ibid. 33, 559-568.

    Examples
    --------
    >>> effective_tests(np.eye(4)), effective_tests(np.ones((4, 4)), "galwey")
    (4.0, 1.0)
    """
    require_choice(method, METHODS, what="method")
    matrix = _checked(correlations)
    return _estimate(np.asarray(np.linalg.eigvalsh(matrix)), len(matrix), method, share)


def effective_columns(
    values: ArrayLike,
    method: Literal["nyholt", "li_ji", "gao", "galwey"] = "li_ji",
    *,
    share: float = 0.995,
) -> float:
    """Return the effective number of tests among the columns of a table.

    Parameters
    ----------
    values : array_like of float64 (n_samples, n_columns)
        Traits or dosages; NaN = missing. Constant columns are left aside.
    method : {"nyholt", "li_ji", "gao", "galwey"}
        See `effective_tests`.
    share : float, default 0.995
        Of Gao's method.

    Returns
    -------
    float
        In [1, n_columns]. Without missing values a million columns cost no more than the
        eigenvalues of an (n_samples, n_samples) matrix.

    Raises
    ------
    InputError
        If no column varies, or the method is unknown.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 1.0], [2.0, 4.0, -1.0], [3.0, 6.0, 1.0]])
    >>> round(effective_columns(x, "galwey"), 3)
    1.943
    """
    require_choice(method, METHODS, what="method")
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise InputError(f"A table of at least two samples is needed; found shape {x.shape}.")
    centred = x - np.nan_to_num(_means(x, np.isfinite(x).astype(np.float64)))
    centred[~np.isfinite(x)] = 0.0
    length = np.sqrt(np.einsum("ij,ij->j", centred, centred))
    varies = length > 1e-12 * np.abs(np.where(np.isfinite(x), x, 0.0)).max(axis=0)
    if not varies.any():
        raise InputError("No column varies.")
    if not np.isfinite(x).all():
        return effective_tests(correlation(x[:, varies]), method, share=share)
    unit = centred[:, varies] / length[varies]
    size = unit.shape[1]
    found = np.linalg.eigvalsh(unit @ unit.T if size > len(x) else unit.T @ unit)
    padded = np.zeros(size)
    top = np.sort(found)[::-1][:size]
    padded[: len(top)] = top
    return _estimate(padded, size, method, share)


def _estimate(values: Array, size: int, method: str, share: float) -> float:
    # Rounding must not turn an eigenvalue of 1 into 0.9999999999: both floor and 1(l >= 1) jump.
    values = np.round(np.sort(values)[::-1], 10)
    if method == "nyholt":
        spread = float(np.var(values, ddof=1)) if size > 1 else 0.0
        return float(np.clip(1 + (size - 1) * (1 - spread / size), 1.0, size))
    values = np.maximum(values, 0.0)
    if method == "li_ji":
        return float(np.sum((values >= 1) + (values - np.floor(values))))
    if method == "gao":
        held = np.cumsum(values) / values.sum()
        return float(np.searchsorted(held, share, side="left") + 1)
    return float(np.sum(np.sqrt(values)) ** 2 / np.sum(values))


def sidak_level(n_tests: float, level: float = 0.05) -> float:
    """Return the level of each test that gives `level` over the effective number of tests.

    Parameters
    ----------
    n_tests : float
        Effective number of tests.
    level : float, default 0.05
        Family-wise level.

    Returns
    -------
    float
        1 - (1 - level)**(1/n_tests).

    Raises
    ------
    InputError
        If the number is below 1 or the level outside (0, 1).
    """
    if n_tests < 1 or not 0 < level < 1:
        raise InputError(f"Needed are n_tests >= 1 and 0 < level < 1; found {n_tests}, {level}.")
    return float(-np.expm1(np.log1p(-level) / n_tests))


def correlation(values: ArrayLike) -> Array:
    """Return Pearson correlations of the columns, pairwise complete.

    Parameters
    ----------
    values : array_like of float64 (n_samples, n_columns)
        NaN = missing.

    Returns
    -------
    ndarray of float64 (n_columns, n_columns)
        0 beside constant columns; the nearest matrix without negative eigenvalues (scaled back
        to ones on the diagonal) where missing values made it indefinite.
    """
    x = np.asarray(values, dtype=np.float64)
    known = np.isfinite(x).astype(np.float64)
    # Centred on all known values first, so that the pairwise sums lose no digits.
    filled = np.where(known > 0, x - np.nan_to_num(_means(x, known)), 0.0)
    count = known.T @ known
    sums = filled.T @ known
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = filled.T @ filled - sums * sums.T / count
        own = (filled**2).T @ known - sums**2 / count
        out = cross / np.sqrt(own * own.T)
    out = np.where(np.isfinite(out), np.clip(out, -1, 1), 0.0)
    np.fill_diagonal(out, 1.0)
    values_, vectors = np.linalg.eigh(out)
    if values_[0] < -1e-10:
        out = (vectors * np.maximum(values_, 0.0)) @ vectors.T
        scale = np.sqrt(np.diag(out))
        out = out / np.outer(scale, scale)
    return np.asarray(out)


def _means(x: Array, known: Array) -> Array:
    total = known.sum(axis=0)
    return np.asarray(np.where(known > 0, x, 0.0).sum(axis=0) / np.maximum(total, 1.0))


def _checked(correlations: ArrayLike) -> Array:
    matrix = np.asarray(correlations, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise InputError(f"A correlation matrix is square; found shape {matrix.shape}.")
    if not np.isfinite(matrix).all():
        raise InputError("The correlation matrix has missing values.")
    if not np.allclose(matrix, matrix.T, atol=1e-8) or not np.allclose(np.diag(matrix), 1.0):
        raise InputError("A correlation matrix is symmetric with ones on its diagonal.")
    return matrix
