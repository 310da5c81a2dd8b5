"""Reduced-rank regression whose rows, the variants, are chosen by a group penalty."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from radgen.errors import FitError, InputError
from radgen.multivariate._estimators import ManyTargets
from radgen.multivariate.multitask import GroupSparseMultiTask
from radgen.multivariate.reduced_rank import ReducedRankRegression

__all__ = ["RowSparseReducedRank"]

Array = NDArray[np.float64]


class RowSparseReducedRank(ManyTargets):
    """Least squares of given rank in which whole variants drop out.

    Minimises ``|Y - X B A'|_F^2 / (2n) + alpha sum_j |B_j|_2`` over B (n_features, rank) and A
    (n_targets, rank) with ``A'A = I``: A by an orthogonal Procrustes step, B by row-sparse
    multi-task regression of ``Y A``, in turn.

    Parameters
    ----------
    rank : int, default 1
        Rank of the coefficients.
    alpha : float, default 0.1
        Penalty on the rows.
    max_iter : int, default 500
        Alternations.
    tol : float, default 1e-7
        Stop where the coefficients change by less, relative to their size.

    Attributes
    ----------
    coef_ : ndarray of float64 (n_features, n_targets)
        ``B A'``; zero rows are not selected.
    x_weights_, y_weights_ : ndarray of float64 (n_features, rank), (n_targets, rank)
        B and A.
    intercept_ : ndarray of float64 (n_targets,)
        Intercepts.
    n_iter_ : int
        Alternations used.

    Raises
    ------
    InputError
        If the rank or the penalty is out of range.
    FitError
        If the alternation does not settle.

    Notes
    -----
    Not convex: the start is the reduced-rank fit without the penalty (with a small ridge where
    features outnumber samples). With alpha = 0 that fit is the solution.

    References
    ----------
    Chen, Huang (2012), J Am Stat Assoc 107:1533. doi:10.1080/01621459.2012.734178
    """

    def __init__(
        self, rank: int = 1, *, alpha: float = 0.1, max_iter: int = 500, tol: float = 1e-7
    ) -> None:
        self.rank = rank
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to X (n_samples, n_features) and y (n_samples, n_targets); no NaN."""
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        self._one_target = y.ndim == 1
        target = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        rank = min(self.rank, target.shape[1])
        if self.rank < 1 or self.alpha < 0:
            raise InputError(f"rank is {self.rank}, alpha {self.alpha}; needed are >= 1 and >= 0.")
        x_mean, y_mean = X.mean(axis=0), target.mean(axis=0)
        xc, yc = X - x_mean, target - y_mean
        right, start = _start(xc, yc, rank)
        b = start if self.alpha == 0 else self._alternate(xc, yc, right)
        self.y_weights_, self.x_weights_ = (right, b) if self.alpha == 0 else (self._right, b)
        self.coef_ = self.x_weights_ @ self.y_weights_.T
        self.intercept_ = y_mean - x_mean @ self.coef_
        return self

    def _alternate(self, x: Array, y: Array, right: Array) -> Array:
        previous = np.zeros((x.shape[1], y.shape[1]))
        for n_iter in range(1, self.max_iter + 1):
            self.n_iter_ = n_iter
            rows = GroupSparseMultiTask(self.alpha, tol=1e-9, max_iter=20_000).fit(x, y @ right)
            b = rows.coef_.reshape(x.shape[1], -1)
            if not b.any():
                self._right = right
                return b
            u, _, vt = np.linalg.svd(y.T @ (x @ b), full_matrices=False)
            right = u @ vt
            coef = b @ right.T
            self._right = right
            size = np.linalg.norm(coef)
            if np.linalg.norm(coef - previous) <= self.tol * size:
                return b
            previous = coef
        raise FitError(
            f"Not settled in {self.max_iter} alternations. Raise max_iter or tol, or lower alpha."
        )


def _start(x: Array, y: Array, rank: int) -> tuple[Array, Array]:
    """Return A and B of the reduced-rank fit without the row penalty."""
    ridge = 1e-3 * float((x * x).sum()) / x.shape[1] if x.shape[1] >= len(x) else 0.0
    full = ReducedRankRegression(rank, ridge=ridge).fit(x, y).coef_.reshape(x.shape[1], -1)
    right = np.linalg.svd(x @ full, full_matrices=False)[2][:rank].T
    return right, full @ right
