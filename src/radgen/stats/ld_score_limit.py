"""The chi-square up to which a variant is polygenic background, for LD score regression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["polygenic_limit"]

Array = NDArray[np.float64]
_MEDIAN_CHI2 = 0.45493642311957283


def polygenic_limit(
    chi2: Array, scores: Array, n: Array, *, least: float = 30.0, share: float = 1e-4
) -> float:
    """Return the least chi-square that a polygenic trait's variants seldom exceed.

    Parameters
    ----------
    chi2, scores, n : ndarray of float64 (n_variants,)
        Squared test statistics, LD scores and samples of each test.
    least : float, default 30
        Smallest limit (LDSC's).
    share : float, default 1e-4
        Share of the variants that may be expected above.

    Returns
    -------
    float
        `least`, or more where a larger share than `share` is expected above it.

    Notes
    -----
    A first step of variants below a limit estimates the intercept without strong single
    effects. Where the polygenic effects themselves exceed the limit, they are cut, those of
    high LD scores most: the intercept comes out too high, and the heritability too low. Under
    the model chi2_j is 1 + c N_j l_j times a chi-square of 1 degree of freedom; c is that of the
    medians, which strong single effects hardly move.

    Examples
    --------
    >>> import numpy as np
    >>> polygenic_limit(np.array([0.2, 0.5, 1.1]), np.ones(3), np.full(3, 1000.0))
    30.0
    """
    from scipy.special import erfc

    x = np.maximum(scores, 1.0) * n
    slope = max(float(np.median(chi2)) / _MEDIAN_CHI2 - 1.0, 0.0) / float(np.median(x))
    expected = 1.0 + slope * x

    def above(limit: float) -> float:
        return float(erfc(np.sqrt(limit / (2.0 * expected))).mean())

    if above(least) <= share:
        return least
    low, high = least, least
    while above(high) > share:
        low, high = high, 2.0 * high
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if above(middle) <= share else (middle, high)
    return high
