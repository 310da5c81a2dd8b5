"""Sparse inverse correlation matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FitError, InputError

__all__ = ["graphical_lasso"]

FloatArray = NDArray[np.float64]
_STEPS = 5000


def graphical_lasso(correlation: Any, penalty: float, *, tolerance: float = 1e-9) -> FloatArray:
    """Return the penalised inverse of a correlation matrix, zeros where there is no edge.

    Parameters
    ----------
    correlation : float (p, p)
        Symmetric, positive semidefinite.
    penalty : float
        Of the absolute values off the diagonal; above 0.
    tolerance : float, default 1e-9
        Largest root-mean-square residual of an element.

    Returns
    -------
    float64 (p, p)
        Symmetric, positive definite.

    Raises
    ------
    InputError
        If the matrix is not square and symmetric, or the penalty is not positive.
    FitError
        If it does not converge.

    Notes
    -----
    Alternating directions of multipliers, with the step adapted to the residuals.

    References
    ----------
    Friedman, Hastie & Tibshirani 2008, doi:10.1093/biostatistics/kxm045. Boyd et al. 2011,
    doi:10.1561/2200000016, section 6.5.

    Examples
    --------
    >>> graphical_lasso([[1.0, 0.6], [0.6, 1.0]], 0.1).round(3).tolist()
    [[1.333, -0.667], [-0.667, 1.333]]
    """
    s = np.asarray(correlation, dtype=np.float64)
    if s.ndim != 2 or s.shape[0] != s.shape[1] or not np.allclose(s, s.T, atol=1e-10):
        raise InputError(f"A correlation matrix is square and symmetric; its shape is {s.shape}.")
    if not penalty > 0:
        raise InputError(f"The penalty is positive, not {penalty}.")
    p = len(s)
    limit = penalty * (1 - np.eye(p))
    sparse, dual, step = np.eye(p), np.zeros((p, p)), 1.0
    for _ in range(_STEPS):
        value, vector = np.linalg.eigh(step * (sparse - dual) - s)
        root = (value + np.sqrt(value**2 + 4 * step)) / (2 * step)
        dense = (vector * root) @ vector.T
        moved = dense + dual
        before = sparse
        sparse = np.sign(moved) * np.maximum(np.abs(moved) - limit / step, 0)
        dual = moved - sparse
        primal = float(np.linalg.norm(dense - sparse))
        change = step * float(np.linalg.norm(sparse - before))
        if max(primal, change) <= tolerance * p:
            return np.asarray((sparse + sparse.T) / 2)
        if primal > 10 * change:
            step, dual = step * 2, dual / 2
        elif change > 10 * primal:
            step, dual = step / 2, dual * 2
    raise FitError(
        f"The graphical lasso did not converge in {_STEPS} steps.",
        diagnostics={"primal": primal, "dual": change},
    )
