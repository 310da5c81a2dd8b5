"""Combine the tests of one predictor with many correlated traits into one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from radgen.errors import FitError, InputError
from radgen.stats.tail import chi2_log10p

__all__ = [
    "acat_rows",
    "beta_lower_log10",
    "fit_beta",
    "fit_gamma",
    "gamma_upper_log10",
    "normal_scores",
    "spu_p",
    "spu_statistics",
    "whitener",
]

Array = NDArray[np.float64]

_LN10 = math.log(10.0)
_TINY = -15.0


def acat_rows(log10p: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Return log10 of the Cauchy combination of each row of p-values.

    Parameters
    ----------
    log10p : array_like of float64 (n_rows, n_tests)
        log10 of p, at most 0; NaN is left out of its row.
    weights : array_like of float64 (n_tests,) or None
        Not negative; equal where None.

    Returns
    -------
    ndarray of float64 (n_rows,)
        NaN where nothing is known. Nothing underflows: p-values of 1e-1000 are combined on the
        log scale. A p of 1 is replaced by 1 - 1/k, k the tests of its row.

    Raises
    ------
    InputError
        If the weights do not fit, or a log10 p is positive.

    References
    ----------
    Liu & Xie (2020), doi:10.1080/01621459.2018.1554485.

    Examples
    --------
    >>> acat_rows([[-2.0, -2.0], [-1000.0, -0.1]]).round(3).tolist()
    [-2.0, -999.699]
    """
    value = np.atleast_2d(np.asarray(log10p, dtype=np.float64))
    known = ~np.isnan(value)
    weight = np.ones(value.shape[1]) if weights is None else np.asarray(weights, np.float64)
    if weight.shape != (value.shape[1],) or (weight < 0).any():
        raise InputError(f"{value.shape[1]} weights are needed, none of them negative.")
    if (value[known] > 0).any():
        raise InputError("log10 p is at most 0; found a positive one.")
    share = np.where(known, weight, 0.0)
    total = share.sum(axis=1)
    share /= np.where(total > 0, total, 1.0)[:, None]
    count = known.sum(axis=1)
    with np.errstate(under="ignore"):
        p = np.power(10.0, np.where(known, value, -1.0))
    top = 1.0 - 1.0 / np.maximum(count, 2)[:, None]
    p = np.where((p >= 1.0) & (count > 1)[:, None], top, p)
    small = value < _TINY
    with np.errstate(under="ignore", divide="ignore"):
        term = share / np.tan(np.pi * np.where(small & known, 0.25, p))
    statistic = np.where(known & ~small, term, 0.0).sum(axis=1)
    out = np.log10(np.arctan2(1.0, statistic) / np.pi)
    for row in np.flatnonzero((small & known & (share > 0)).any(axis=1)):
        use = small[row] & known[row] & (share[row] > 0)
        logs = np.log(share[row, use] / np.pi) - _LN10 * value[row, use]
        rest = statistic[row]
        largest = float(logs.max())
        summed = float(np.exp(logs - largest).sum()) + rest * math.exp(-min(largest, 700.0))
        out[row] = -(math.log(np.pi) + largest + math.log(max(summed, 1e-300))) / _LN10
    return np.where((count > 0) & (total > 0), out, np.nan)


def normal_scores(r: ArrayLike, df: ArrayLike) -> Array:
    """Return normal deviates of partial correlations, by Wallace's approximation to t.

    Parameters
    ----------
    r : array_like of float64
        Partial correlations in [-1, 1].
    df : array_like of float64
        Residual degrees of freedom of their t-tests, broadcast.

    Returns
    -------
    ndarray of float64
        sign(r) (8 df + 1)/(8 df + 3) sqrt(-df log(1 - r**2)): within 0.3 % of the exact deviate
        for df >= 20; infinite where |r| = 1.

    References
    ----------
    Wallace (1959), Ann. Math. Stat. 30, 1121-1130, equation 3.

    Examples
    --------
    >>> float(normal_scores(0.2, 100).round(3))
    2.015
    """
    value = np.clip(np.asarray(r, dtype=np.float64), -1.0, 1.0)
    free = np.asarray(df, dtype=np.float64)
    with np.errstate(divide="ignore"):
        deep = -np.log1p(-value * value) * free
    return np.asarray(np.sign(value) * np.sqrt(deep) * (8 * free + 1) / (8 * free + 3))


def whitener(correlations: ArrayLike, *, share: float = 0.999) -> tuple[Array, int]:
    """Return W with z'WW'z the Mahalanobis norm of z under a regularised correlation.

    Parameters
    ----------
    correlations : array_like of float64 (n_traits, n_traits)
        Correlations of the z-scores under the null; positive semidefinite.
    share : float, default 0.999
        The largest eigenvalues that hold this share of their sum stand; smaller ones are
        raised to the last of them, so that nearly redundant traits do not rule the statistic.

    Returns
    -------
    whitener : ndarray of float64 (n_traits, n_traits)
        Eigenvectors over the roots of the regularised eigenvalues.
    n_kept : int
        Eigenvalues that stood.

    Raises
    ------
    InputError
        If the matrix is not square or the share outside (0, 1].

    Examples
    --------
    >>> whitener(np.eye(3))[1]
    3
    """
    matrix = np.asarray(correlations, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not 0 < share <= 1:
        raise InputError(f"A square matrix and a share in (0, 1] are needed; found {share}.")
    size, vectors = np.linalg.eigh(matrix)
    size, vectors = np.maximum(size[::-1], 0.0), vectors[:, ::-1]
    held = np.cumsum(size) / size.sum()
    n_kept = int(np.searchsorted(held, share * (1 - 1e-12), side="left")) + 1
    n_kept = min(n_kept, int((size > 1e-10 * size[0]).sum()))
    return vectors / np.sqrt(np.maximum(size, size[n_kept - 1])), n_kept


def fit_gamma(values: ArrayLike) -> tuple[float, float]:
    """Return shape and scale of the gamma distribution of greatest likelihood.

    Parameters
    ----------
    values : array_like of float64 (n,)
        Positive; NaN is left out.

    Returns
    -------
    shape, scale : float

    Raises
    ------
    FitError
        If fewer than three values are positive or all are equal.

    Notes
    -----
    Newton's method on log(a) - digamma(a) = log(mean) - mean(log).
    """
    x = np.asarray(values, dtype=np.float64)
    x = x[np.isfinite(x) & (x > 0)]
    if len(x) < 3 or np.ptp(x) <= 1e-12 * x.max():
        raise FitError("A gamma distribution needs at least three different positive values.")
    gap = math.log(float(x.mean())) - float(np.log(x).mean())
    shape = (3 - gap + math.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
    for _ in range(50):
        slope = 1 / shape - float(special.polygamma(1, shape))
        step = (math.log(shape) - float(special.digamma(shape)) - gap) / slope
        shape = max(shape - step, shape / 2)
        if abs(step) < 1e-12 * shape:
            break
    return shape, float(x.mean()) / shape


def gamma_upper_log10(x: ArrayLike, shape: float, scale: float) -> Array:
    """Return log10 P(X >= x) of a gamma variable; it does not underflow.

    Examples
    --------
    >>> gamma_upper_log10([1.0, 5000.0], 1.0, 1.0).round(4).tolist()
    [-0.4343, -2171.4724]
    """
    value = np.asarray(x, dtype=np.float64)
    return np.asarray(chi2_log10p(2.0 * value / scale, np.full(value.shape, 2.0 * shape)))


def fit_beta(values: ArrayLike) -> tuple[float, float]:
    """Return both parameters of the beta distribution of greatest likelihood.

    Parameters
    ----------
    values : array_like of float64 (n,)
        In (0, 1); NaN is left out.

    Returns
    -------
    a, b : float

    Raises
    ------
    FitError
        If fewer than three values lie inside (0, 1), or Newton's method does not settle.
    """
    x = np.asarray(values, dtype=np.float64)
    x = x[(x > 0) & (x < 1)]
    if len(x) < 3 or np.ptp(x) <= 0:
        raise FitError("A beta distribution needs at least three different values in (0, 1).")
    means = np.array([np.log(x).mean(), np.log1p(-x).mean()])
    mean, variance = float(x.mean()), float(x.var())
    size = max(mean * (1 - mean) / variance - 1, 1e-3)
    at = np.array([mean * size, (1 - mean) * size])
    for _ in range(200):
        whole = at.sum()
        slope = special.digamma(at) - special.digamma(whole) - means
        curve = np.diag(special.polygamma(1, at)) - special.polygamma(1, whole)
        step = np.linalg.solve(curve, slope)
        at = np.where(at - step > 0, at - step, at / 2)
        if (np.abs(step) < 1e-10 * at).all():
            return float(at[0]), float(at[1])
    raise FitError("The beta distribution of the smallest p-values did not converge.")


def beta_lower_log10(log10x: ArrayLike, a: float, b: float) -> Array:
    """Return log10 P(X <= x) of a beta variable, from log10 x; it does not underflow.

    Examples
    --------
    >>> beta_lower_log10([-1.0, -500.0], 1.0, 10.0).round(3).tolist()
    [-0.186, -499.0]
    """
    log = np.asarray(log10x, dtype=np.float64) * _LN10
    with np.errstate(under="ignore"):
        x = np.exp(np.minimum(log, 0.0))
    # x**a/(a B(a, b)) (1 + a (1 - b)/(a + 1) x + ...) near 0
    near = a * log - math.log(a) - float(special.betaln(a, b))
    near = near + np.log1p(np.clip(a * (1 - b) / (a + 1) * x, -0.5, 0.5))
    with np.errstate(divide="ignore"):
        direct = np.log(special.betainc(a, b, x))
    out = np.where(x * max(b, 1.0) < 1e-9, near, direct)
    return np.minimum(out, 0.0) / _LN10


def spu_statistics(z: ArrayLike, powers: ArrayLike) -> Array:
    """Return |sum of z**power| over the last axis for each power; the largest |z| for infinity.

    Parameters
    ----------
    z : array_like of float64 (..., n_traits)
        Scores.
    powers : array_like of float64 (n_powers,)
        Whole numbers from 1, or infinity.

    Returns
    -------
    ndarray of float64 (..., n_powers)

    Raises
    ------
    InputError
        If a power is below 1 or broken.

    Examples
    --------
    >>> spu_statistics([3.0, -4.0], [1, 2, float("inf")]).tolist()
    [1.0, 25.0, 4.0]
    """
    score = np.asarray(z, dtype=np.float64)
    wanted = np.asarray(powers, dtype=np.float64)
    if ((wanted < 1) | (np.isfinite(wanted) & (wanted != np.round(wanted)))).any():
        raise InputError(f"Powers are whole numbers from 1, or infinity; found {wanted.tolist()}.")
    out = np.empty((*score.shape[:-1], len(wanted)))
    raised, now = np.ones_like(score), 0
    for at in np.argsort(wanted):
        if np.isinf(wanted[at]):
            out[..., at] = np.abs(score).max(axis=-1)
            continue
        while now < wanted[at]:
            raised = raised * score
            now += 1
        out[..., at] = np.abs(raised.sum(axis=-1))
    return out


def spu_p(observed: Array, null: Array) -> tuple[Array, float]:
    """Return the p of each power, and of the adaptive test over all of them.

    Parameters
    ----------
    observed : ndarray of float64 (n_powers,)
        From `spu_statistics`.
    null : ndarray of float64 (n_permutations, n_powers)
        The same of permuted data.

    Returns
    -------
    p : ndarray of float64 (n_powers,)
        (b + 1)/(m + 1).
    adaptive : float
        Of the smallest of them, by the same permutations: each permutation is ranked among the
        others, its smallest p is its adaptive statistic.

    References
    ----------
    Pan et al. (2014), doi:10.1534/genetics.114.165035; Kim et al. (2015),
    doi:10.1002/gepi.21931.
    """
    m = len(null)
    ranked = np.sort(null, axis=0)
    tolerance = 1 - 1e-9
    p = np.array(
        [
            (m - np.searchsorted(column, value * tolerance) + 1) / (m + 1)
            for column, value in zip(ranked.T, observed, strict=True)
        ]
    )
    least = np.full(m, np.inf)
    for column, values in zip(ranked.T, null.T, strict=True):
        least = np.minimum(least, (m - np.searchsorted(column, values * tolerance)) / m)
    reach = int((least <= p.min() + 1e-12).sum())
    return p, (reach + 1.0) / (m + 1.0)
