"""Combine correlated two-sided p-values of many hypotheses at once, on the log scale."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from scipy.stats import rankdata

from radgen.errors import InputError
from radgen.stats.combine import landau_tail
from radgen.stats.tail import chi2_log10p, normal_log10p

__all__ = [
    "cauchy_rows",
    "fisher_rows",
    "folded_covariance",
    "harmonic_rows",
    "joint_rows",
    "log_covariance",
    "partial_conjunction",
    "stouffer_rows",
]

Array = NDArray[np.float64]

_LN10 = math.log(10.0)
_TERMS = 60
_DEEP = -15.0
_SMALLEST = 1e-6


def log_covariance(correlations: ArrayLike) -> Array:
    """Return the covariance of -2 log p of two-sided tests from that of their statistics.

    Parameters
    ----------
    correlations : array_like of float64
        Correlations of standard normal statistics, any shape, in [-1, 1].

    Returns
    -------
    ndarray of float64
        Same shape; 4 where the correlation is 1 or -1.

    Notes
    -----
    With h(z) = -2 log p(z) expanded in Hermite polynomials, the covariance is the sum of
    c_k**2 r**k over even k. Sixty terms are summed; what is left of the variance stands on the next
    power of r, which bounds the rest from above.

    References
    ----------
    Kost & McDermott (2002), Stat. Probab. Lett. 60, 183-190, for one-sided tests.

    Examples
    --------
    >>> log_covariance([0.0, 0.5, -0.5, 1.0]).round(4).tolist()
    [0.0, 0.9802, 0.9802, 4.0]
    """
    r = np.asarray(correlations, dtype=np.float64)
    if np.any(np.abs(r) > 1 + 1e-9):
        raise InputError("Correlations lie in [-1, 1]; found one outside.")
    square = np.minimum(r**2, 1.0)
    # The constant term vanishes: a covariance is central.
    return np.asarray(square * np.polynomial.polynomial.polyval(square, _hermite_weights()))


@lru_cache(maxsize=1)
def _hermite_weights() -> Array:
    """Squared Hermite coefficients of -2 log p at k = 2, 4, …, with the remainder at the end."""
    nodes, weights = np.polynomial.legendre.leggauss(2000)
    z = 20.0 * (nodes + 1)
    mass = 20.0 * weights * 2 * np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    height = -2 * (special.log_ndtr(-z) + math.log(2.0)) - 2.0
    before, now = np.ones_like(z), z.copy()
    squares = []
    for k in range(1, 2 * _TERMS):
        # Normalised polynomials: He_{k+1} = (z He_k - sqrt(k) He_{k-1}) / sqrt(k + 1).
        before, now = now, (z * now - math.sqrt(k) * before) / math.sqrt(k + 1)
        if k % 2 == 1:
            squares.append(float(np.sum(mass * height * now)) ** 2)
    return np.array([*squares, 4.0 - sum(squares)])


def fisher_rows(log10p: ArrayLike, covariance: ArrayLike | None = None) -> Array:
    """Return log10 of Fisher's (with a covariance: Brown's) combined p of each row.

    Parameters
    ----------
    log10p : array_like of float64 (m, k)
        Log10 of p-values; NaN is left out.
    covariance : array_like of float64 (m, k, k), (k, k) or None
        Of -2 log p, from `log_covariance` or `folded_covariance`; None = independent.

    Returns
    -------
    ndarray of float64 (m,)
        NaN where no p is known.

    Raises
    ------
    InputError
        If shapes do not fit, or a log10 p is positive.

    References
    ----------
    Brown (1975), Biometrics 31, 987-992.
    """
    value, known = _rows(log10p)
    count = known.sum(axis=1).astype(np.float64)
    statistic = -2 * _LN10 * np.where(known, value, 0.0).sum(axis=1)
    if covariance is None:
        return np.asarray(chi2_log10p(statistic, 2 * count))
    spread = np.broadcast_to(
        np.asarray(covariance, dtype=np.float64), (*value.shape, value.shape[1])
    )
    both = known[:, :, None] & known[:, None, :] & ~np.eye(value.shape[1], dtype=bool)
    if np.isnan(spread[both]).any():
        raise InputError("The covariance is missing for tests whose p-values are known.")
    beside = np.where(both, spread, 0.0).sum(axis=(1, 2))
    # Where dependence is negative overall, the independent reference is the safe one.
    scale = np.maximum(1 + beside / np.maximum(4 * count, 1), 1.0)
    return np.asarray(chi2_log10p(statistic / scale, 2 * count / scale))


def folded_covariance(data: ArrayLike) -> Array:
    """Return the covariance of -2 log p of two-sided tests, found in the data themselves.

    Parameters
    ----------
    data : array_like of float64 (n_samples, k)
        What the tests were made of, a column a test; no NaN.

    Returns
    -------
    ndarray of float64 (k, k)
        Covariance of -2 log of twice the smaller tail of each column's empirical
        distribution, with the diagonal 4.

    Raises
    ------
    InputError
        If a value is missing or there are fewer than three samples.

    References
    ----------
    Poole et al. (2016), Bioinformatics 32, i430-i436, whose tails are one-sided.
    """
    x = np.asarray(data, dtype=np.float64)
    if x.ndim != 2 or len(x) < 3 or not np.isfinite(x).all():
        raise InputError(f"Data {x.shape} need three samples or more, and no missing value.")
    n = len(x)
    rank = rankdata(x, axis=0)
    tail = 2 * (np.minimum(rank, n + 1 - rank) - 0.5) / n
    score = -2 * np.log(np.minimum(tail, 1.0))
    found = np.atleast_2d(np.cov(score, rowvar=False))
    # Scaled to the variance 4 of a continuous p-value, whatever the ties.
    spread = np.sqrt(np.diagonal(found))
    scaled = 4 * found / np.where(spread > 0, np.outer(spread, spread), np.inf)
    np.fill_diagonal(scaled, 4.0)
    return np.asarray(scaled)


def cauchy_rows(log10p: ArrayLike) -> Array:
    """Return log10 of the Cauchy combination (ACAT) of each row, with equal weights.

    Parameters
    ----------
    log10p : array_like of float64 (m, k)
        Log10 of p-values; NaN is left out. A p of 1 counts as 1 - 1/k.

    Returns
    -------
    ndarray of float64 (m,)
        NaN where no p is known.

    Raises
    ------
    InputError
        If a log10 p is positive.

    References
    ----------
    Liu & Xie (2020), JASA 115, 393-402.

    Examples
    --------
    >>> (10 ** cauchy_rows([[-2, -0.69897, -0.5228787]])).round(4).tolist()
    [0.0281]
    """
    value, known = _rows(log10p)
    count = np.maximum(known.sum(axis=1), 1).astype(np.float64)
    top = np.where(count > 1, 1 - 1 / count, 1.0)[:, None]
    p = np.where(value >= 0, top, 10.0 ** np.maximum(value, -300.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        shallow = np.where(known, 1.0 / np.tan(p * np.pi), 0.0).sum(axis=1) / count
        direct = np.log10(np.arctan2(1.0, shallow) / np.pi)
    deep = np.where(known, value, np.inf).min(axis=1) < _DEEP
    # Below 1e-15 the mean of 1/p alone counts: 1/(pi T) with T the mean of 1/(pi p).
    out = np.where(deep, -_log10_mean_inverse(value, known, count), direct)
    return np.where(known.any(axis=1), out, np.nan)


def harmonic_rows(log10p: ArrayLike) -> Array:
    """Return log10 of the asymptotically exact harmonic mean p-value of each row.

    Parameters
    ----------
    log10p : array_like of float64 (m, k)
        Log10 of p-values; NaN is left out.

    Returns
    -------
    ndarray of float64 (m,)
        NaN where no p is known.

    Raises
    ------
    InputError
        If a log10 p is positive.

    References
    ----------
    Wilson (2019), PNAS 116, 1195-1200.
    """
    value, known = _rows(log10p)
    count = np.maximum(known.sum(axis=1), 1).astype(np.float64)
    inverse = _log10_mean_inverse(value, known, count)
    location = np.log(count) + 1 - np.euler_gamma
    out = np.log10(landau_tail(10.0 ** np.minimum(inverse, 300.0) - location))
    # Far out the tail of Landau's distribution is 1/x.
    out = np.where(inverse > -_DEEP, -inverse, out)
    out = np.where(count == 1, np.where(known, value, 0.0).sum(axis=1), out)
    return np.where(known.any(axis=1), out, np.nan)


def _log10_mean_inverse(value: Array, known: NDArray[np.bool_], count: Array) -> Array:
    powers = np.where(known, -value, -np.inf)
    top = np.maximum(powers.max(axis=1), 0.0)
    finite = np.where(np.isfinite(top), top, 0.0)
    total = (10.0 ** (powers - finite[:, None])).sum(axis=1)
    with np.errstate(divide="ignore"):
        return np.where(np.isinf(top), np.inf, finite + np.log10(total / count))


def stouffer_rows(z: ArrayLike, correlations: ArrayLike | None = None) -> tuple[Array, Array]:
    """Return the sum of signed statistics of each row over its spread, and its two-sided p.

    Parameters
    ----------
    z : array_like of float64 (m, k)
        Standard normal statistics, turned so that agreement means equal signs; NaN is left
        out.
    correlations : array_like of float64 (m, k, k), (k, k) or None
        Theirs, turned alike; None = independent.

    Returns
    -------
    total : ndarray of float64 (m,)
        Standard normal; NaN where none is known.
    log10p : ndarray of float64 (m,)
        Two-sided.

    Raises
    ------
    InputError
        If the correlations are missing where statistics are known.
    """
    value = np.atleast_2d(np.asarray(z, dtype=np.float64))
    known = ~np.isnan(value)
    variance = known.sum(axis=1).astype(np.float64)
    if correlations is not None:
        matrix = _known_correlations(value, correlations)
        variance = variance + (matrix * ~np.eye(value.shape[1], dtype=bool)).sum(axis=(1, 2))
    usable = variance > 1e-8
    spread = np.sqrt(np.where(usable, variance, 1.0))
    total = np.where(usable, np.where(known, value, 0.0).sum(axis=1) / spread, np.nan)
    return total, np.asarray(normal_log10p(total))


def joint_rows(z: ArrayLike, correlations: ArrayLike) -> Array:
    """Return log10 p of each row's statistics jointly: z' R**-1 z against chi-square.

    Parameters
    ----------
    z : array_like of float64 (m, k)
        Standard normal statistics; NaN is left out.
    correlations : array_like of float64 (m, k, k) or (k, k)
        R. Directions with an eigenvalue below 1e-6 are left out, of the degrees of freedom too.

    Returns
    -------
    ndarray of float64 (m,)
        NaN where no statistic is known.

    Raises
    ------
    InputError
        If the correlations are missing where statistics are known.

    Examples
    --------
    >>> (10 ** joint_rows([[3.0, 3.0], [3.0, -3.0]], [[1, 0.8], [0.8, 1]])).round(6).tolist()
    [0.006738, 0.0]
    """
    value = np.atleast_2d(np.asarray(z, dtype=np.float64))
    known = ~np.isnan(value)
    matrix = _known_correlations(value, correlations)
    # What is not known stands by itself with a statistic of 0 and no degree of freedom.
    one = np.arange(value.shape[1])
    matrix[:, one, one] = 1.0
    size, axes = np.linalg.eigh(matrix)
    along = np.einsum("mkj,mk->mj", axes, np.where(known, value, 0.0))
    usable = size > _SMALLEST
    statistic = np.where(usable, along**2 / np.where(usable, size, 1.0), 0.0).sum(axis=1)
    return np.asarray(chi2_log10p(statistic, usable.sum(axis=1) - (~known).sum(axis=1)))


def _known_correlations(z: Array, correlations: ArrayLike) -> Array:
    """Return correlations (m, k, k) with 0 beside statistics that are not known."""
    known = ~np.isnan(z)
    matrix = np.broadcast_to(np.asarray(correlations, dtype=np.float64), (*z.shape, z.shape[1]))
    both = known[:, :, None] & known[:, None, :]
    if np.isnan(matrix[both]).any():
        raise InputError("The correlation is missing for statistics that are known.")
    return np.where(both, matrix, 0.0)


def partial_conjunction(log10p: ArrayLike, at_least: int = 2) -> Array:
    """Return log10 p that fewer than `at_least` of a row's hypotheses are false.

    Parameters
    ----------
    log10p : array_like of float64 (m, k)
        Log10 of p-values, dependent in any way; NaN is left out.
    at_least : int, default 2
        A small p says that so many effects are real.

    Returns
    -------
    ndarray of float64 (m,)
        (k - u + 1) times the u-th smallest p; NaN where fewer than u are known.

    Raises
    ------
    InputError
        If a log10 p is positive, or `at_least` is below 1.

    References
    ----------
    Benjamini & Heller (2008), Biometrics 64, 1215-1222.

    Examples
    --------
    >>> (10 ** partial_conjunction([[-5, -2, -1]])).round(4).tolist()
    [0.02]
    """
    if at_least < 1:
        raise InputError(f"At least one effect must be asked for, not {at_least}.")
    value, known = _rows(log10p)
    count = known.sum(axis=1)
    if value.shape[1] < at_least:
        return np.full(len(value), np.nan)
    nth = np.sort(np.where(known, value, np.inf), axis=1)[:, at_least - 1]
    enough = count >= at_least
    factor = np.log10(np.maximum(count - at_least + 1, 1))
    return np.where(enough, np.minimum(nth + factor, 0.0), np.nan)


def _rows(log10p: ArrayLike) -> tuple[Array, NDArray[np.bool_]]:
    value = np.atleast_2d(np.asarray(log10p, dtype=np.float64))
    if value.ndim != 2 or np.any(value > 0):
        raise InputError("Log10 of p-values is 0 or below, a row a hypothesis.")
    return value, ~np.isnan(value)
