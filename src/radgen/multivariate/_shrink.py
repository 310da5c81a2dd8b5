"""Soft thresholding, and the unit vector inside an l1 ball."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["l1_unit", "soft_threshold"]


def soft_threshold(values: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Return ``sign(v) max(|v| - threshold, 0)``."""
    return np.asarray(np.sign(values) * np.maximum(np.abs(values) - threshold, 0.0))


def l1_unit(values: NDArray[np.float64], bound: float) -> NDArray[np.float64]:
    """Return the unit vector u that maximises ``u'values`` subject to ``|u|_1 <= bound``.

    Parameters
    ----------
    values : ndarray of float64 (n,)
        Direction.
    bound : float
        At least 1. At ``sqrt(n)`` or more nothing is shrunk.

    Returns
    -------
    ndarray of float64 (n,)
        Of norm 1; zero where `values` is zero.

    Notes
    -----
    The solution is a soft threshold of `values`. The l1-to-l2 ratio falls continuously with
    the threshold, so the active set is found from sorted magnitudes and the threshold from a
    quadratic equation: exact, where a bisection would leave an error.

    References
    ----------
    Witten, Tibshirani, Hastie (2009), Biostatistics 10:515, lemma 2.2.
    """
    norm = np.linalg.norm(values)
    if norm == 0:
        return np.zeros_like(values)
    if np.abs(values).sum() <= bound * norm:
        return np.asarray(values / norm)
    magnitude = np.sort(np.abs(values))[::-1]
    top = int(np.count_nonzero(magnitude == magnitude[0]))
    largest = np.where(np.abs(values) == magnitude[0], np.sign(values), 0.0) / np.sqrt(top)
    if bound * bound <= top:
        return largest
    magnitude = magnitude / norm
    s1 = np.cumsum(magnitude)
    s2 = np.cumsum(magnitude**2)
    count = np.arange(1, len(magnitude) + 1)
    delta = np.append(magnitude[1:], 0.0)
    l1 = s1 - count * delta
    l2 = np.sqrt(np.maximum(s2 - 2 * delta * s1 + count * delta**2, 0.0))
    k = int(np.argmax(l1 > bound * l2 * (1 + 1e-15))) if np.any(l1 > bound * l2) else len(count) - 1
    n_active, square = k + 1, bound * bound
    a = n_active * (n_active - square)
    half_b = s1[k] * (n_active - square)
    c = s1[k] ** 2 - square * s2[k]
    root = np.sqrt(max(half_b**2 - a * c, 0.0))
    threshold = (half_b - root) / a * norm
    shrunk = soft_threshold(values, threshold)
    if not shrunk.any():  # the bound is above that of the largest by rounding only
        return largest
    return np.asarray(shrunk / np.linalg.norm(shrunk))
