"""Tails of Student's t for millions of values that share their degrees of freedom."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_DF", "NEAR", "near", "series", "series_log10_p"]

Array = NDArray[np.float64]

MAX_DF = 1e5
"""Largest degrees of freedom for which the series keeps 12 digits."""

_DEGREE, _DEGREE_FEW, _FEW = 36, 28, 1000.0
_WIDTH = 3.0
_MAX_TERMS = 64
NEAR = 20
"""Terms of the polynomial of small t."""

_REACHES = (4.5, 3.5, 2.5, 1.5, 1.0, 0.5)
_NODES = 40
_NEAR_ERROR = 5e-14


def series_log10_p(t: Array, df: Array, values: Array) -> Array:
    """Return log10 of P(|T| >= |t|) by a Chebyshev series for each value of df.

    Parameters
    ----------
    t : ndarray of float64
        Any shape; NaN gives NaN.
    df : ndarray of float64
        Of the shape of `t`, or one value; each in `values`, or NaN.
    values : ndarray of float64 (n_values,)
        Sorted, in [1, `MAX_DF`].

    Returns
    -------
    ndarray of float64
        Within 1e-12 max(1, |log p|) of the incomplete beta function; NaN where df is NaN.

    Notes
    -----
    With x = df/(df + t**2) and r = sqrt(1 - x), log p - (df/2) log x tends to a constant for
    large t and is smooth in log(1 + r sqrt(df)/w); this rest is expanded once per df.
    """
    from radgen._native._regress import tails

    known = np.ascontiguousarray(t, dtype=np.float64)
    table = np.zeros((len(values), 3 + _MAX_TERMS))
    for row, value in enumerate(values):
        terms, scale, top = series(float(value))
        table[row, :3] = scale, top, value
        table[row, 3 : 3 + len(terms)] = terms
    if len(values) == 1:
        which = np.zeros(known.shape, dtype=np.int32)
    else:
        last = len(values) - 1
        which = np.minimum(np.searchsorted(values, df), last).astype(np.int32)
    out = np.empty_like(known)
    tails(known, which, table, out)
    return np.where(np.isnan(df), np.nan, out)


@lru_cache(maxsize=4096)
def series(df: float) -> tuple[Array, float, float]:
    """Return the coefficients of the expansion, w/sqrt(df), and the end of its range.

    Parameters
    ----------
    df : float
        In [1, `MAX_DF`].

    Returns
    -------
    coefficients : ndarray of float64
        Chebyshev coefficients, at least 4.
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
    coefficients = coefficients[: max(int(needed[-1]) + 1, 4)].copy()
    coefficients.setflags(write=False)
    return coefficients, scale, top


@lru_cache(maxsize=4096)
def near(df: float) -> Array:
    """Return scale and terms of the polynomial of log10 p, the highest power first.

    Parameters
    ----------
    df : float
        In [1, `MAX_DF`].

    Returns
    -------
    ndarray of float64 (1 + NEAR,)
        log10 P(|T| >= |t|) within 1e-13, in powers of scale |t| - 1 where that is at most 1:
        for |t| up to 2/scale, the reach. It is 4.5 from some twenty degrees of freedom on, so that
        few tests of true null hypotheses need the series.
    """
    from numpy.polynomial.chebyshev import cheb2poly

    from radgen.stats.tail import log_beta_tail

    angle = (np.arange(_NODES) + 0.5) * np.pi / _NODES
    table = np.cos(np.outer(np.arange(_NODES), angle))
    full = np.full(_NODES, df)
    for reach in _REACHES:
        t = (np.cos(angle) + 1.0) * reach / 2
        values = log_beta_tail(t * t / df, 0.5 * full, np.full_like(full, 0.5)) / math.log(10.0)
        coefficients = 2.0 / _NODES * (table @ values)
        coefficients[0] /= 2
        if np.abs(coefficients[NEAR:]).sum() < _NEAR_ERROR:
            break
    out = np.concatenate([[2.0 / reach], cheb2poly(coefficients[:NEAR])[::-1]])
    out.setflags(write=False)
    return out
