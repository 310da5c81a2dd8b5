"""Tails of weighted sums of chi-square variables."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from radgen._native._saddle import log_product
from radgen.errors import InputError
from radgen.stats.tail import chi2_log10p

__all__ = ["liu_moments", "liu_p", "mixture_log10p", "mixture_p"]

Array = NDArray[np.float64]
_STEP = 0.1
_CHUNK = 128
_UPHILL = 1e-6


def mixture_log10p(q: float, weights: ArrayLike) -> float:
    """Return log10 P(sum of weights * chi-square(1) > q).

    Parameters
    ----------
    q : float
        Observed value.
    weights : array_like of float64 (n_terms,)
        Non-negative weights; zeros are left aside.

    Returns
    -------
    float
        Exact to about 1e-11 relative to p, however small p is; 0 for q <= 0.

    Raises
    ------
    InputError
        If a weight is negative or not finite, or all are zero.

    Notes
    -----
    With K(s) = -1/2 sum log(1 - 2 w s), the tail is the integral of exp(K(s) - s q) / s over a
    vertical line, divided by 2 pi i. The line is bent into the parabola of steepest descent
    through the saddle point, where the integrand falls off like a Gaussian, and summed with the
    trapezoidal rule. Davies' and Imhof's inversion of the same transform keep to the straight
    line and have an absolute error.

    References
    ----------
    Davies (1980), doi:10.2307/2346911; Rice (1980), doi:10.1137/0901017.

    Examples
    --------
    >>> round(float(10 ** mixture_log10p(3.841458820694124, [1.0])), 12)
    0.05
    """
    p, log_scale = _tail(q, weights)
    return (math.log(p) + log_scale) / math.log(10.0)


def mixture_p(q: float, weights: ArrayLike) -> float:
    """Return P(sum of weights * chi-square(1) > q); see `mixture_log10p`."""
    p, log_scale = _tail(q, weights)
    return p * math.exp(log_scale)


def _clean(weights: ArrayLike) -> Array:
    w = np.asarray(weights, dtype=np.float64).ravel()
    if not np.isfinite(w).all() or (w < 0).any() or not (w > 0).any():
        raise InputError("A chi-square mixture needs finite weights >= 0, one of them above 0.")
    return np.asarray(w[w > 0])


def _tail(q: float, weights: ArrayLike) -> tuple[float, float]:
    """Return a number and the log of what it is to be multiplied with."""
    w = _clean(weights)
    if q <= 0:
        return 1.0, 0.0
    # In units of the largest weight the first singularity lies at s = 1/2.
    w, q = w / w.max(), q / w.max()
    saddle = _saddle(q, w)
    reach = 0.5 / math.sqrt(2.0 * float((w * w).sum()))
    reach = min(reach, 0.25)
    if abs(saddle) < reach:
        saddle = reach
    value, log_scale = _parabola(q, w, saddle)
    if saddle > 0:
        return value, log_scale
    return 1.0 + value * math.exp(log_scale), 0.0


def _derivatives(s: float, w: Array) -> tuple[float, float, float]:
    ratio = w / (1.0 - 2.0 * w * s)
    return float(ratio.sum()), float(2 * (ratio**2).sum()), float(8 * (ratio**3).sum())


def _saddle(q: float, w: Array) -> float:
    """Return s with K'(s) = q, below 1/2."""
    low = -0.5 * len(w) / q - 1.0
    high = 0.5 - 0.5 / (q + len(w)) * 1e-3
    s = 0.0
    for _ in range(200):
        first, second, _ = _derivatives(s, w)
        if first > q:
            high = s
        else:
            low = s
        step = s + (q - first) / second
        new = step if low < step < high else 0.5 * (low + high)
        if abs(new - s) <= 1e-12 * max(abs(new), 1e-6):
            break
        s = new
    return s


def _parabola(q: float, w: Array, saddle: float) -> tuple[float, float]:
    _, second, third = _derivatives(saddle, w)
    bend = start = third / (6.0 * second)
    unit = 1.0 / math.sqrt(second)
    top = -0.5 * float(np.log(1.0 - 2.0 * w * saddle).sum()) - saddle * q
    # The error of the sum is exp(-2 pi distance / step), to the pole at 0 or the branch at 1/2.
    step = min(_STEP, min(abs(saddle), 0.5 - saddle) / (6.0 * unit))
    total, largest, at, last = 0.0, 0.0, 0, 0.0
    log_of = np.empty(_CHUNK, np.complex128)
    while True:
        y = (np.arange(at, at + _CHUNK) + 0.5) * step * unit
        s = saddle + bend * y * y + 1j * y
        log_product(s, w, log_of)
        exponent = -0.5 * log_of - s * q - top
        if bend and float(np.diff(exponent.real, prepend=last).max()) > _UPHILL:
            # One weight far above many others: the parabola climbs. A straight line never does.
            bend = 0.25 * bend if bend > 1e-3 * start else 0.0
            total, largest, at, last = 0.0, 0.0, 0, 0.0
            continue
        last = float(exponent.real[-1])
        part = (np.exp(exponent) / s * (2.0 * bend * y + 1j)).imag
        total += float(part.sum())
        size = np.abs(part)
        largest = max(largest, float(size.max()))
        at += _CHUNK
        if size[-1] <= 1e-18 * largest or at > 2000 * _CHUNK:
            break
    return total * step * unit / math.pi, top


def liu_moments(weights: ArrayLike, *, modified: bool = True) -> tuple[float, float, float, float]:
    """Return the chi-square that matches the first moments of a mixture.

    Parameters
    ----------
    weights : array_like of float64 (n_terms,)
        Non-negative weights.
    modified : bool, default True
        Match the kurtosis where skewness and kurtosis cannot both be matched (Lee et al.);
        False: match the skewness (Liu et al.).

    Returns
    -------
    mean, sd : float
        Of the mixture.
    df, shift : float
        Degrees of freedom and non-centrality of the chi-square.
    """
    w = _clean(weights)
    c1, c2, c3, c4 = (float((w**k).sum()) for k in (1, 2, 3, 4))
    s1, s2 = c3 / c2**1.5, c4 / c2**2
    if s1 * s1 > s2:
        a = 1.0 / (s1 - math.sqrt(s1 * s1 - s2))
        shift = s1 * a**3 - a * a
        df = a * a - 2.0 * shift
    else:
        shift = 0.0
        df = 1.0 / s2 if modified else 1.0 / (s1 * s1)
    return c1, math.sqrt(2.0 * c2), df, shift


def liu_p(q: float, weights: ArrayLike, *, modified: bool = False) -> float:
    """Return the tail of a mixture by matching moments: fast and approximate.

    Parameters
    ----------
    q : float
        Observed value.
    weights : array_like of float64 (n_terms,)
        Non-negative weights.
    modified : bool, default False
        See `liu_moments`.

    References
    ----------
    Liu, Tang & Zhang (2009), doi:10.1016/j.csda.2008.11.025.
    """
    mean, sd, df, shift = liu_moments(weights, modified=modified)
    x = (q - mean) / sd * math.sqrt(2.0 * (df + 2.0 * shift)) + df + shift
    if x <= 0:
        return 1.0
    if shift > 0:
        return float(1.0 - special.chndtr(x, df, shift))
    return float(10.0 ** float(chi2_log10p(x, df)))
