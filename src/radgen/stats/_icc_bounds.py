"""Bounds of ICC(2,1) that hold whatever share of the error lies between the readers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, fdtri

__all__ = ["modified_large_sample"]

FloatArray = NDArray[np.float64]
_HALVINGS = 60


def modified_large_sample(
    bms: FloatArray, jms: FloatArray, ems: FloatArray, *, n: int, k: int, tail: float
) -> tuple[FloatArray, FloatArray]:
    """Return lower and upper bounds of ICC(2,1) by the modified large-sample method.

    Parameters
    ----------
    bms, jms, ems : float64 (n_measures,)
        Mean squares between subjects, between raters and of the residual.
    n, k : int
        Subjects and raters.
    tail : float
        Probability beyond each bound, 0.025 for a 95 % interval.

    Returns
    -------
    low, high : float64 (n_measures,)
        Within [0, 1], as a share of variance is.

    Notes
    -----
    A value ρ is at most the coefficient where n (1 - ρ) E[bms] - k ρ E[jms] - (n + ρ (nk - n - k))
    E[ems] is not negative; its bounds by Ting et al. (1990), exact where one mean square
    dominates, are turned into bounds of ρ (Cappelleri & Ting 2003) by halving.

    References
    ----------
    Ting, Burdick, Graybill, Jeyaratnam & Lu 1990, doi:10.1080/00949659008811240. Cappelleri & Ting
    2003, doi:10.1002/sim.1466.
    """
    d = np.array([n - 1, k - 1, (n - 1) * (k - 1)], dtype=np.float64)
    g = 1 - d / chdtri(d, tail)
    h = d / chdtri(d, 1 - tail) - 1

    def parts(rho: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        return n * (1 - rho) * bms, k * rho * jms, (n + rho * (n * k - n - k)) * ems

    def across(tail_f: float, one: FloatArray, two: FloatArray, j: int) -> float:
        f = float(fdtri(d[0], d[j], 1 - tail_f))
        return float(((f - 1) ** 2 - (one[0] * f) ** 2 - two[j] ** 2) / f)

    both = float(d[1] + d[2])
    joint = 1 - both / float(chdtri(both, tail))
    raters = (joint * both) ** 2 / (d[1] * d[2])
    raters -= g[1] ** 2 * d[1] / d[2] + g[2] ** 2 * d[2] / d[1]

    def lower(rho: FloatArray) -> FloatArray:
        a, b, c = parts(rho)
        spread = (g[0] * a) ** 2 + (h[1] * b) ** 2 + (h[2] * c) ** 2
        spread += across(tail, g, h, 1) * a * b + across(tail, g, h, 2) * a * c
        return np.asarray(a - b - c - np.sqrt(np.maximum(spread, 0)))

    def upper(rho: FloatArray) -> FloatArray:
        a, b, c = parts(rho)
        spread = (h[0] * a) ** 2 + (g[1] * b) ** 2 + (g[2] * c) ** 2 + raters * b * c
        spread += across(1 - tail, h, g, 1) * a * b + across(1 - tail, h, g, 2) * a * c
        return np.asarray(a - b - c + np.sqrt(np.maximum(spread, 0)))

    return _crossing(lower, bms), _crossing(upper, bms)


def _crossing(function: Callable[[FloatArray], FloatArray], like: FloatArray) -> FloatArray:
    """Return where a function falls through zero between 0 and 1; 0 where it is below at 0."""
    low, high = np.zeros(like.shape), np.ones(like.shape)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = function(middle) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(low > 0, (low + high) / 2, 0.0)
