"""Combine p-values of one hypothesis, independent or correlated."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from radgen.errors import InputError
from radgen.stats.tail import chi2_log10p

__all__ = [
    "brown",
    "cauchy",
    "empirical_brown",
    "fisher",
    "harmonic_mean",
    "landau_tail",
    "stouffer",
    "tippett",
]

Array = NDArray[np.float64]

_LN10 = math.log(10.0)
_AT_ONCE = 2000


def fisher(p: ArrayLike, *, n_effective: float | None = None) -> float:
    """Return log10 of Fisher's combined p-value.

    Parameters
    ----------
    p : array_like of float64 (k,)
        In (0, 1]; NaN is left out.
    n_effective : float or None
        Effective number of tests, where they are correlated: the statistic and its degrees of
        freedom are scaled by n_effective / k.

    Returns
    -------
    float
        log10 p; NaN where no p is known.

    Raises
    ------
    InputError
        If a p lies outside [0, 1].

    Examples
    --------
    >>> round(10 ** fisher([0.01, 0.2, 0.3]), 4)
    0.0216
    """
    value = _checked(p)
    if not len(value):
        return math.nan
    count = len(value) if n_effective is None else n_effective
    with np.errstate(divide="ignore"):
        statistic = -2 * float(np.sum(np.log(value))) * count / len(value)
    return float(chi2_log10p(statistic, 2 * count))


def stouffer(
    p: ArrayLike, *, weights: ArrayLike | None = None, n_effective: float | None = None
) -> float:
    """Return log10 of Stouffer's combined one-sided p-value.

    Parameters
    ----------
    p : array_like of float64 (k,)
        In [0, 1]; NaN is left out.
    weights : array_like of float64 (k,) or None
        Weights of the z-values, the root of the sample size say; equal where None.
    n_effective : float or None
        Effective number of tests: z is scaled by the root of n_effective / k.

    Returns
    -------
    float
        log10 p; NaN where no p is known.

    Raises
    ------
    InputError
        If a p lies outside [0, 1] or the weights do not fit.
    """
    raw = np.asarray(p, dtype=np.float64).ravel()
    value = _checked(raw)
    weight = np.ones(len(raw)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(weight) != len(raw):
        raise InputError(f"There are {len(raw)} p-values and {len(weight)} weights.")
    weight = weight[~np.isnan(raw)]
    if not len(value):
        return math.nan
    z = -special.ndtri(value)
    total = float(weight @ z / np.sqrt(weight @ weight))
    if n_effective is not None:
        total *= math.sqrt(n_effective / len(value))
    return float(special.log_ndtr(-total) / _LN10)


def tippett(p: ArrayLike, *, n_effective: float | None = None) -> float:
    """Return log10 of Tippett's combined p-value, 1 - (1 - min p)**k.

    Parameters
    ----------
    p : array_like of float64 (k,)
        In [0, 1]; NaN is left out.
    n_effective : float or None
        Effective number of tests in place of k.

    Returns
    -------
    float
        log10 p; NaN where no p is known.

    Raises
    ------
    InputError
        If a p lies outside [0, 1].
    """
    value = _checked(p)
    if not len(value):
        return math.nan
    count = len(value) if n_effective is None else n_effective
    with np.errstate(divide="ignore"):
        return float(np.log10(-np.expm1(count * np.log1p(-value.min()))))


def brown(p: ArrayLike, correlations: ArrayLike) -> float:
    """Return log10 of Brown's combined p-value of correlated tests.

    Parameters
    ----------
    p : array_like of float64 (k,)
        One-sided p-values of normal statistics, in (0, 1]; no NaN.
    correlations : array_like of float64 (k, k)
        Correlations of the statistics.

    Returns
    -------
    float
        log10 p. The covariance of -2 log p is 3.263 r + 0.710 r**2 + 0.027 r**3 (r >= 0:
        Kost & McDermott's polynomial, used for negative r as well).

    Raises
    ------
    InputError
        If a p lies outside [0, 1] or the matrix does not fit.

    References
    ----------
    Brown (1975), Biometrics 31, 987-992. Kost & McDermott (2002), Stat. Probab. Lett. 60, 183-190.
    """
    value, matrix = _with_matrix(p, correlations, "correlations")
    covariance = 3.263 * matrix + 0.710 * matrix**2 + 0.027 * matrix**3
    np.fill_diagonal(covariance, 4.0)
    return _scaled_chi2(value, covariance)


def empirical_brown(p: ArrayLike, data: ArrayLike) -> float:
    """Return log10 of the combined p-value with the covariance found in the raw data.

    Parameters
    ----------
    p : array_like of float64 (k,)
        In (0, 1]; no NaN.
    data : array_like of float64 (n_samples, k)
        What the tests were made of, one column a test, no NaN.

    Returns
    -------
    float
        log10 p.

    Raises
    ------
    InputError
        If a p lies outside [0, 1] or the data do not fit.

    References
    ----------
    Poole et al. (2016), Bioinformatics 32, i430-i436.
    """
    x = np.asarray(data, dtype=np.float64)
    value = _checked(p)
    if x.ndim != 2 or x.shape[1] != len(value) or not np.isfinite(x).all():
        raise InputError(f"Data {x.shape} without missing values are needed, a column a p-value.")
    spread = x.std(axis=0)
    scaled = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    # -2 log of the empirical distribution function of each column at its own values.
    ranked = np.sort(scaled, axis=0)
    share = np.column_stack(
        [
            np.searchsorted(ranked[:, j], scaled[:, j], side="right") / len(scaled)
            for j in range(scaled.shape[1])
        ]
    )
    return _scaled_chi2(value, np.atleast_2d(np.cov(-2 * np.log(share), rowvar=False)))


def cauchy(p: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Return log10 of the Cauchy combination (ACAT), valid under dependence in the tail.

    Parameters
    ----------
    p : array_like of float64 (k,)
        In [0, 1]; NaN is left out.
    weights : array_like of float64 (k,) or None
        Not negative; equal where None.

    Returns
    -------
    float
        log10 p; NaN where no p is known. A p of 1 is replaced by 1 - 1/k.

    Raises
    ------
    InputError
        If a p lies outside [0, 1] or the weights do not fit.

    References
    ----------
    Liu & Xie (2020), JASA 115, 393-402. Liu et al. (2019), Am. J. Hum. Genet. 104, 410-421.

    Examples
    --------
    >>> round(10 ** cauchy([0.01, 0.2, 0.3]), 4)
    0.0281
    """
    raw = np.asarray(p, dtype=np.float64).ravel()
    value = _checked(raw)
    weight = np.ones(len(raw)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(weight) != len(raw) or (weight < 0).any():
        raise InputError(f"{len(raw)} weights are needed, none of them negative.")
    weight = weight[~np.isnan(raw)]
    if not len(value) or weight.sum() == 0:
        return math.nan
    if value.min() == 0:
        return -math.inf
    weight = weight / weight.sum()
    if len(value) > 1:
        value = np.where(value == 1.0, 1 - 1 / len(value), value)
    # tan((1/2 - p) pi) = 1/tan(p pi), which keeps the digits of a small p.
    statistic = float(weight @ (1.0 / np.tan(value * np.pi)))
    tail = math.atan2(1.0, statistic) / math.pi
    return math.log10(tail)


def harmonic_mean(p: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Return log10 of the asymptotically exact harmonic mean p-value.

    Parameters
    ----------
    p : array_like of float64 (k,)
        In (0, 1]; NaN is left out.
    weights : array_like of float64 (k,) or None
        Not negative; equal where None.

    Returns
    -------
    float
        log10 p from the Landau distribution of 1/(harmonic mean); a single p is itself; NaN where
        no p is known.

    Raises
    ------
    InputError
        If a p lies outside [0, 1] or the weights do not fit.

    References
    ----------
    Wilson (2019), PNAS 116, 1195-1200.
    """
    raw = np.asarray(p, dtype=np.float64).ravel()
    value = _checked(raw)
    weight = np.ones(len(raw)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(weight) != len(raw) or (weight < 0).any():
        raise InputError(f"{len(raw)} weights are needed, none of them negative.")
    weight = weight[~np.isnan(raw)]
    if not len(value) or weight.sum() == 0:
        return math.nan
    if value.min() == 0:
        return -math.inf
    if len(value) == 1:
        return math.log10(value[0])
    weight = weight / weight.sum()
    inverse = float(weight @ (1.0 / value))
    # 1/HMP of k uniform p-values is Landau with location log k + 1 - Euler's gamma.
    location = math.log(len(value)) + 1 - np.euler_gamma
    return math.log10(landau_tail(inverse - location))


def landau_tail(x: ArrayLike) -> Array:
    """Return the upper tail of Landau's distribution in its standard form.

    Parameters
    ----------
    x : array_like of float64
        Any shape.

    Returns
    -------
    ndarray of float64
        P(X > x), same shape, to about 1e-7 of itself; 1 below -4, where the lower tail is
        under 1e-9.

    Notes
    -----
    (1/pi) int exp(-t log t - x t) sin(pi t)/t dt; the substitution t = T u**3 smooths t log t at 0.

    Examples
    --------
    >>> landau_tail([0.0, 100.0]).round(4).tolist()
    [0.7132, 0.0104]
    """
    value = np.asarray(x, dtype=np.float64)
    flat = np.maximum(value.ravel(), -4.0)
    out = np.empty(len(flat))
    for start in range(0, len(flat), _AT_ONCE):
        out[start : start + _AT_ONCE] = _landau_integral(flat[start : start + _AT_ONCE])
    return np.where(value < -4.0, 1.0, out.reshape(value.shape))


def _landau_integral(x: Array) -> Array:
    # Beyond `stop` the exponent is below -45.
    stop = np.full(len(x), 45.0)
    for _ in range(60):
        stop = 45.0 / np.maximum(x + np.log(stop), 45.0 / 60.0)
    nodes, weights = _legendre()
    u = 0.5 * (nodes + 1)
    t = stop[:, None] * u**3
    height = np.exp(-t * np.log(t) - x[:, None] * t) * np.sinc(t) * u**2
    return np.asarray(np.clip(1.5 * stop * (height @ weights), 1e-300, 1.0))


@lru_cache(maxsize=1)
def _legendre() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(300)
    return nodes, weights


def _scaled_chi2(value: Array, covariance: Array) -> float:
    k = len(value)
    scale = float(covariance.sum()) / (4 * k)
    df = 2 * k / scale
    if scale < 1:
        # Negative dependence overall: Fisher's reference is the conservative one.
        scale, df = 1.0, 2.0 * k
    with np.errstate(divide="ignore"):
        statistic = -2 * float(np.sum(np.log(value)))
    return float(chi2_log10p(statistic / scale, df))


def _with_matrix(p: ArrayLike, matrix: ArrayLike, what: str) -> tuple[Array, Array]:
    value = np.asarray(p, dtype=np.float64).ravel()
    if np.isnan(value).any():
        raise InputError("Drop the missing p-values and their rows of the matrix first.")
    found = np.array(matrix, dtype=np.float64)
    if found.shape != (len(value), len(value)):
        raise InputError(f"The {what} have shape {found.shape} for {len(value)} p-values.")
    return _checked(value), found


def _checked(p: ArrayLike) -> Array:
    value = np.asarray(p, dtype=np.float64).ravel()
    value = value[~np.isnan(value)]
    if ((value < 0) | (value > 1)).any():
        raise InputError("P-values lie in [0, 1]; found one outside.")
    return value
