"""Tail probabilities on the log scale: they never underflow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from radgen.stats._t_series import MAX_DF, series_log10_p

__all__ = [
    "chi2_log10p",
    "f_log10p",
    "from_log10p",
    "log10p_to_z",
    "normal_log10p",
    "t_log10p",
    "t_quantile",
]

Array = NDArray[np.float64]

_LN10 = math.log(10.0)
_SMALL = 1e-280
_TINY = 1e-300
_MAX_TERMS = 2000
_STIRLING_FROM = 10.0
_SERIES_FROM = 20_000
_PER_SERIES = 500


def normal_log10p(z: ArrayLike, *, two_sided: bool = True) -> Array:
    """Return log10 of the normal tail probability.

    Parameters
    ----------
    z : array_like of float64
        Any shape; NaN gives NaN.
    two_sided : bool, default True
        P(|Z| >= |z|) where True, P(Z >= z) where False.

    Returns
    -------
    ndarray of float64
        log10(p), same shape as `z`.

    Examples
    --------
    >>> float(normal_log10p(40.0).round(4))
    -349.136
    """
    value = np.asarray(z, dtype=np.float64)
    if two_sided:
        log_p = special.log_ndtr(-np.abs(value)) + math.log(2.0)
        return np.asarray(np.minimum(log_p, 0.0) / _LN10)
    return np.asarray(special.log_ndtr(-value) / _LN10)


def t_log10p(t: ArrayLike, df: ArrayLike, *, two_sided: bool = True) -> Array:
    """Return log10 of the tail probability of Student's t.

    Parameters
    ----------
    t : array_like of float64
        Any shape; NaN gives NaN; an infinite value gives minus infinity.
    df : array_like of float64
        Degrees of freedom, broadcast against `t`; values that are not positive give NaN.
    two_sided : bool, default True
        P(|T| >= |t|) where True, P(T >= t) where False.

    Returns
    -------
    ndarray of float64
        log10(p), exact to about 1e-12 relative, however small p is.

    Notes
    -----
    P(|T| >= |t|) = I_x(df/2, 1/2) with x = df/(df + t**2); below 1e-280 the continued fraction
    of the incomplete beta function is evaluated on the log scale. Many values that share their
    df, or have few different ones, go through Chebyshev series, which agree within 1e-12.

    References
    ----------
    Abramowitz & Stegun, 26.5.8 and 26.7.1.

    Examples
    --------
    >>> float(t_log10p(1000.0, 500.0).round(3))
    -826.759
    """
    value, dof = np.broadcast_arrays(
        np.asarray(t, dtype=np.float64), np.asarray(df, dtype=np.float64)
    )
    if two_sided and value.size >= _SERIES_FROM:
        values = _distinct(dof)
        if values is not None:
            return series_log10_p(value, dof, values)
    good = dof > 0
    safe = np.where(good, dof, 1.0)
    # value**2 may overflow for |t| > 1e154: such a ratio is infinite and the tail is empty.
    with np.errstate(over="ignore"):
        ratio = np.square(value / np.sqrt(safe))
    log_two = log_beta_tail(ratio, 0.5 * safe, np.full_like(safe, 0.5))
    if two_sided:
        log_p = log_two
    else:
        half = log_two - math.log(2.0)
        log_p = np.where(value >= 0, half, np.log1p(-np.exp(half)))
    return np.where(good, log_p / _LN10, np.nan)


def _distinct(df: Array) -> Array | None:
    """Return the sorted values of many degrees of freedom where they are few, else None."""
    few = df[tuple(slice(None) if step else slice(1) for step in df.strides)]
    few = few[~np.isnan(few)]
    if not few.size or few.min() < 1 or few.max() > MAX_DF:
        return None
    whole = few.astype(np.int32)
    if (whole == few).all():
        there = np.zeros(int(MAX_DF) + 1, dtype=bool)
        there[whole] = True
        values = np.flatnonzero(there).astype(np.float64)
    else:
        values = np.unique(few)
    return values if len(values) * _PER_SERIES <= df.size else None


def f_log10p(f: ArrayLike, df1: ArrayLike, df2: ArrayLike) -> Array:
    """Return log10 of the upper tail probability of Fisher's F.

    Parameters
    ----------
    f : array_like of float64
        Any shape; NaN gives NaN; values below 0 give p = 1.
    df1, df2 : array_like of float64
        Degrees of freedom of numerator and denominator; not positive gives NaN.

    Returns
    -------
    ndarray of float64
        log10 P(F >= f).

    Examples
    --------
    >>> float(f_log10p(4.0, 1, 20).round(6)) == float(t_log10p(2.0, 20).round(6))
    True
    """
    value, one, two = np.broadcast_arrays(
        np.asarray(f, dtype=np.float64),
        np.asarray(df1, dtype=np.float64),
        np.asarray(df2, dtype=np.float64),
    )
    good = (one > 0) & (two > 0)
    first = np.where(good, one, 1.0)
    second = np.where(good, two, 1.0)
    ratio = np.maximum(value, 0.0) * first / second
    return np.where(good, log_beta_tail(ratio, 0.5 * second, 0.5 * first) / _LN10, np.nan)


def chi2_log10p(chi2: ArrayLike, df: ArrayLike) -> Array:
    """Return log10 of the upper tail probability of chi-square.

    Parameters
    ----------
    chi2 : array_like of float64
        Any shape; NaN gives NaN; values below 0 give p = 1.
    df : array_like of float64
        Degrees of freedom; not positive gives NaN.

    Returns
    -------
    ndarray of float64
        log10 P(X >= chi2).

    Examples
    --------
    >>> float(chi2_log10p(3000.0, 1).round(3))
    -653.278
    """
    value, dof = np.broadcast_arrays(
        np.asarray(chi2, dtype=np.float64), np.asarray(df, dtype=np.float64)
    )
    good = dof > 0
    a = np.where(good, 0.5 * dof, 0.5)
    x = 0.5 * np.maximum(value, 0.0)
    direct = special.gammaincc(a, x)
    deep = (direct < _SMALL) & np.isfinite(x)
    with np.errstate(divide="ignore"):
        log_p = np.asarray(np.log(direct))
    if deep.any():
        log_p[deep] = _log_gamma_tail(a[deep], x[deep])
    return np.where(good, log_p / _LN10, np.nan)


def from_log10p(log10p: ArrayLike) -> Array:
    """Return p = 10**log10p; what is below 1e-308 becomes 0."""
    with np.errstate(under="ignore"):
        return np.asarray(np.power(10.0, np.asarray(log10p, dtype=np.float64)))


def log10p_to_z(log10p: ArrayLike) -> Array:
    """Return the |z| whose two-sided normal tail has this log10 p.

    Parameters
    ----------
    log10p : array_like of float64
        Two-sided log10 p, 0 or below; NaN gives NaN.

    Returns
    -------
    ndarray of float64
        |z|; exact to about 1e-10 for any p, also those that underflow.

    Notes
    -----
    Newton steps on log_ndtr from the quantile of p (or its asymptote where p underflows).
    """
    target = np.asarray(log10p, dtype=np.float64) * _LN10 - math.log(2.0)
    z = np.where(target > -700, -special.ndtri_exp(np.maximum(target, -700.0)), 0.0)
    deep = target <= -700
    if np.any(deep):
        finite = np.where(deep & np.isfinite(target), target, -700.0)
        guess = np.sqrt(-2.0 * finite)
        for _ in range(30):
            value = special.log_ndtr(-guess)
            slope = -np.exp(-0.5 * guess**2 - 0.5 * math.log(2 * math.pi) - value)
            guess = guess - (value - finite) / slope
        z = np.where(deep, np.where(np.isinf(target), np.inf, guess), z)
    return np.asarray(np.where(np.isnan(target), np.nan, z))


def t_quantile(p: ArrayLike, df: ArrayLike) -> Array:
    """Return the quantile of Student's t: P(T <= q) = p.

    Parameters
    ----------
    p : array_like of float64
        Probability in (0, 1).
    df : array_like of float64
        Degrees of freedom; not positive gives NaN.

    Returns
    -------
    ndarray of float64
        The quantile.

    Examples
    --------
    >>> float(t_quantile(0.975, 10).round(4))
    2.2281
    """
    dof = np.asarray(df, dtype=np.float64)
    if dof.size > _SERIES_FROM and np.ndim(p) == 0:
        few = dof[tuple(slice(None) if step else slice(1) for step in dof.strides)]
        values, place = np.unique(few, return_inverse=True, equal_nan=True)
        found = t_quantile(p, values)[place.reshape(few.shape)]
        return np.asarray(np.broadcast_to(found, dof.shape))
    good = dof > 0
    return np.where(good, special.stdtrit(np.where(good, dof, 1.0), p), np.nan)


def log_beta_tail(ratio: Array, a: Array, b: Array) -> Array:
    """Return the natural log of I_x(a, b), x = 1/(1 + ratio): small where the ratio is large.

    Parameters
    ----------
    ratio : ndarray of float64
        (1 - x)/x, not negative.
    a, b : ndarray of float64
        Shapes, positive, of the shape of `ratio`.

    Returns
    -------
    ndarray of float64
        log I_x(a, b), exact also where it is far below the smallest float.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        x = 1.0 / (1.0 + ratio)
        y = np.where(np.isinf(ratio), 1.0, ratio / (1.0 + ratio))
    near = y < 0.5
    # The smaller of x and 1 - x carries the digits: each half has its own function.
    direct = np.asarray(
        np.where(
            near,
            special.betaincc(b, a, np.where(near, y, 0.0)),
            special.betainc(a, b, np.where(near, 1.0, x)),
        )
    )
    direct = np.where(np.isnan(ratio), np.nan, direct)
    with np.errstate(divide="ignore"):
        log_p = np.asarray(np.log(direct))
    deep = (direct < _SMALL) & np.isfinite(ratio)
    if deep.any():
        log_p[deep] = _log_beta_fraction(ratio[deep], a[deep], b[deep])
    return log_p


def _log_beta_fraction(ratio: Array, a: Array, b: Array) -> Array:
    log_x = -np.log1p(ratio)
    x = np.exp(log_x)
    prefix = a * log_x + b * (np.log(ratio) + log_x) - np.log(a) - _log_beta(a, b)
    # Lentz on the continued fraction; both convergents start at the first partial denominator.
    c = np.ones_like(x)
    d = 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    fraction = d.copy()
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / _away(1.0 + even * d)
        c = _away(1.0 + even / c)
        fraction *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / _away(1.0 + odd * d)
        c = _away(1.0 + odd / c)
        step = d * c
        fraction *= step
        if np.all(np.abs(step - 1.0) < 1e-15):
            break
    return np.asarray(prefix + np.log(fraction))


def _log_gamma_tail(a: Array, x: Array) -> Array:
    prefix = -x + a * np.log(x) - special.gammaln(a)
    b = x + 1.0 - a
    c = np.full_like(x, 1.0 / _TINY)
    d = 1.0 / _away(b)
    fraction = d.copy()
    for m in range(1, _MAX_TERMS):
        an = -m * (m - a)
        b = b + 2.0
        d = 1.0 / _away(an * d + b)
        c = _away(b + an / c)
        step = c * d
        fraction *= step
        if np.all(np.abs(step - 1.0) < 1e-15):
            break
    return np.asarray(prefix + np.log(fraction))


def _away(value: Any) -> Array:
    return np.where(np.abs(value) < _TINY, _TINY, value)


def _log_beta(a: Array, b: Array) -> Array:
    """Log of the beta function, without the cancellation of three log-gammas."""
    small, large = np.minimum(a, b), np.maximum(a, b)
    plain = special.gammaln(small) + special.gammaln(large) - special.gammaln(a + b)
    big = np.maximum(large, _STIRLING_FROM)
    total = small + big
    stable = (
        special.gammaln(small)
        + small
        - (big - 0.5) * np.log1p(small / big)
        - small * np.log(total)
        + _stirling(big)
        - _stirling(total)
    )
    return np.asarray(np.where(large >= _STIRLING_FROM, stable, plain))


def _stirling(z: Array) -> Array:
    inverse = 1.0 / (z * z)
    series = 1 / 1188 - inverse * (691 / 360360 - inverse / 156)
    series = 1 / 1680 - inverse * series
    series = 1 / 1260 - inverse * series
    series = 1 / 360 - inverse * series
    return np.asarray((1 / 12 - inverse * series) / z)
