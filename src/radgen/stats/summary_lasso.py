"""Lasso on correlations: joint effects of correlated predictors from one-by-one tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FitError, InputError

__all__ = ["summary_lasso"]

Array = NDArray[np.float64]
_STEPS = 5_000
_EXACT = 1e-6


def summary_lasso(
    correlation: Array, r: Array, penalties: Array, *, shrinkage: float = 0.5
) -> Array:
    """Return the joint effects of standardised predictors for each penalty.

    Parameters
    ----------
    correlation : ndarray of float64 (m, m)
        Correlations R between the predictors, of any people of the same kind.
    r : ndarray of float64 (m,)
        Correlation of each predictor with the outcome.
    penalties : ndarray of float64 (n_penalties,)
        Weights l of the absolute values, at least 0.
    shrinkage : float, default 0.5
        s in (0, 1]: R is taken as (1 - s) R + s I; 1 leaves each predictor alone.

    Returns
    -------
    ndarray of float64 (m, n_penalties)
        Minimisers of b'((1 - s) R + s I) b / 2 - r'b + l |b|; every one satisfies the optimality
        conditions to 1e-6 of the largest |r|.

    Raises
    ------
    InputError
        If shapes differ or an option is out of range.
    FitError
        If the iterations do not settle.

    Notes
    -----
    Accelerated proximal gradient with restarts, for all penalties at once.

    References
    ----------
    Mak et al. (2017), doi:10.1002/gepi.22050; Beck & Teboulle (2009), doi:10.1137/080716542.

    Examples
    --------
    >>> import numpy as np
    >>> found = summary_lasso(np.eye(2), np.array([0.3, 0.05]), np.array([0.1]), shrinkage=1.0)
    >>> found[:, 0].round(6).tolist()
    [0.2, 0.0]
    """
    q, target, limit = (np.asarray(item, np.float64) for item in (correlation, r, penalties))
    m = len(target)
    if q.shape != (m, m) or limit.ndim != 1:
        raise InputError("The correlations need a row and a column for each of the tests.")
    if not 0 < shrinkage <= 1 or (limit < 0).any():
        raise InputError("Shrinkage lies in (0, 1], and penalties are at least 0.")
    if shrinkage == 1.0:
        return _soft(np.repeat(target[:, None], len(limit), axis=1), limit)
    scale = float(np.abs(target).max(initial=0.0))
    q = (1.0 - shrinkage) * q + shrinkage * np.eye(m)
    step = 1.0 / float(np.linalg.eigvalsh(q)[-1])
    b = np.zeros((m, len(limit)))
    ahead, pace = b, 1.0
    for turn in range(_STEPS):
        new = _soft(ahead - step * (q @ ahead - target[:, None]), step * limit)
        if turn % 10 == 9 and _violation(q @ new - target[:, None], new, limit) <= _EXACT * scale:
            return new
        moved = new - b
        if float(((ahead - new) * moved).sum()) > 0:
            pace = 1.0  # the momentum points uphill: begin anew
        faster = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * pace * pace))
        ahead = new + (pace - 1.0) / faster * moved
        b, pace = new, faster
    raise FitError("The lasso on correlations does not settle: raise the shrinkage.")


def _soft(values: Array, limit: Array) -> Array:
    return np.asarray(np.sign(values) * np.maximum(np.abs(values) - limit, 0.0))


def _violation(gradient: Array, b: Array, limit: Array) -> float:
    """Return how far the optimality conditions are from met."""
    inside = np.maximum(np.abs(gradient) - limit, 0.0)
    active = np.abs(gradient + limit * np.sign(b))
    return float(np.where(b == 0, inside, active).max(initial=0.0))
