"""Tails of Student's t for millions of values that share their degrees of freedom."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_DF", "series", "series_log_p"]

Array = NDArray[np.float64]

MAX_DF = 1e5
"""Largest degrees of freedom for which the series keeps 12 digits."""

_DEGREE, _DEGREE_FEW, _FEW = 36, 28, 1000.0
_WIDTH = 3.0
_CHUNK = 8192


def series_log_p(t: Array, df: float) -> Array:
    """Return the natural log of P(|T| >= |t|) by a Chebyshev series.

    Parameters
    ----------
    t : ndarray of float64
        Any shape; NaN gives NaN.
    df : float
        In [1, `MAX_DF`].

    Returns
    -------
    ndarray of float64
        Within 1e-12 max(1, |log p|) of the incomplete beta function.

    Notes
    -----
    With x = df/(df + t**2) and r = sqrt(1 - x), log p - (df/2) log x tends to a constant for
    large t and is smooth in log(1 + r sqrt(df)/w); this rest is expanded once per df.
    """
    coefficients, scale, top = series(float(df))
    flat = np.ascontiguousarray(t, dtype=np.float64).ravel()
    out = np.empty_like(flat)
    # Chunks that stay in the cache: the recursion passes over each many times.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for start in range(0, len(flat), _CHUNK):
            part = flat[start : start + _CHUNK]
            ratio = part * part
            ratio /= df
            r = ratio / (1.0 + ratio)
            np.sqrt(r, out=r)
            # For an infinite t, log p is minus infinity whatever r is.
            r[np.isinf(ratio)] = 1.0
            r /= scale
            r += 1.0
            np.log(r, out=r)
            r *= 4.0 / top
            r -= 2.0
            value = _clenshaw(coefficients, r)
            np.log1p(ratio, out=ratio)
            ratio *= -0.5 * df
            ratio += value
            out[start : start + _CHUNK] = np.minimum(ratio, 0.0)
    return out.reshape(np.shape(t))


def _clenshaw(coefficients: Array, twice: Array) -> Array:
    """Sum of the series at `twice` / 2."""
    before = np.full_like(twice, coefficients[-1])
    last = twice * before
    last += coefficients[-2]
    work = np.empty_like(twice)
    for coefficient in coefficients[-3:0:-1]:
        np.multiply(twice, last, out=work)
        work -= before
        work += coefficient
        before, last, work = last, work, before
    last *= twice
    last *= 0.5
    last -= before
    last += coefficients[0]
    return last


@lru_cache(maxsize=64)
def series(df: float) -> tuple[Array, float, float]:
    """Return the coefficients of the expansion, w/sqrt(df), and the end of its range.

    Parameters
    ----------
    df : float
        In [1, `MAX_DF`].

    Returns
    -------
    coefficients : ndarray of float64
        Chebyshev coefficients, at least 3.
    scale, top : float
        The argument is 2 log(1 + r/scale)/top - 1.
    """
    from radgen.stats.tail import log_beta_tail

    scale = _WIDTH / math.sqrt(df)
    top = math.log1p(1.0 / scale)
    degree = _DEGREE if df > _FEW else _DEGREE_FEW
    angle = (np.arange(degree + 1) + 0.5) * np.pi / (degree + 1)
    u = (np.cos(angle) + 1.0) * top / 2
    r = scale * np.expm1(u)
    ratio = r * r / ((1.0 - r) * (1.0 + r))
    full = np.full_like(u, df)
    rest = log_beta_tail(ratio, 0.5 * full, np.full_like(u, 0.5)) + 0.5 * df * np.log1p(ratio)
    table = np.cos(np.outer(np.arange(degree + 1), angle))
    coefficients = 2.0 / (degree + 1) * (table @ rest)
    coefficients[0] /= 2
    # What is below rounding at the tail of the series costs time and gives nothing.
    needed = np.flatnonzero(np.abs(coefficients) > 1e-15 * np.abs(coefficients).max())
    coefficients = coefficients[: max(int(needed[-1]) + 1, 3)].copy()
    coefficients.setflags(write=False)
    return coefficients, scale, top
