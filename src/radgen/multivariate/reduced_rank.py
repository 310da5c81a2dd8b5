"""Reduced-rank regression of many phenotypes on many variants, dense and sparse."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from radgen.errors import FitError, InputError
from radgen.multivariate._blocks import Block
from radgen.multivariate._estimators import ManyTargets
from radgen.multivariate._shrink import soft_threshold

__all__ = ["ReducedRankRegression", "SparseReducedRank"]


class ReducedRankRegression(ManyTargets):
    """Least squares with a coefficient matrix of given rank.

    Parameters
    ----------
    rank : int, default 1
        Rank of the coefficient matrix; the full rank gives ordinary least squares.
    ridge : float, default 0
        l2 penalty on the coefficients, in units of ``X'X`` of centred columns.

    Attributes
    ----------
    coef_ : ndarray of float64 (n_features, n_targets)
        Coefficients of rank at most `rank`.
    intercept_ : ndarray of float64 (n_targets,)
        Intercepts.
    singular_values_ : ndarray of float64
        Singular values of the full-rank fit; their fall shows the rank.

    Raises
    ------
    InputError
        If the rank is below 1.

    Notes
    -----
    The closed form: the least-squares fit is projected on its own leading right singular
    vectors. Where samples are fewer than features and ridge is 0, the minimum-norm
    least-squares solution is used.

    References
    ----------
    Izenman (1975), J Multivar Anal 5:248. Mukherjee, Zhu (2011), Stat Anal Data Min 4:612.
    """

    def __init__(self, rank: int = 1, *, ridge: float = 0.0) -> None:
        self.rank = rank
        self.ridge = ridge

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to X (n_samples, n_features) and y (n_samples, n_targets)."""
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        if self.rank < 1 or self.ridge < 0:
            raise InputError(f"rank is {self.rank}, ridge {self.ridge}; needed are >= 1 and >= 0.")
        self._one_target = y.ndim == 1
        target = y.reshape(len(y), -1).astype(np.float64)
        x_mean, y_mean = X.mean(axis=0), target.mean(axis=0)
        xc, yc = X - x_mean, target - y_mean
        u, s, vt = np.linalg.svd(xc, full_matrices=False)
        kept = (
            s > s[0] * max(xc.shape) * np.finfo(float).eps if s[0] > 0 else np.zeros(len(s), bool)
        )
        u, s, vt = u[:, kept], s[kept], vt[kept]
        rotated = u.T @ yc
        gain = s / (s**2 + self.ridge)
        full = vt.T @ (gain[:, None] * rotated)
        fitted = np.sqrt(s**2 * gain / np.where(s > 0, s, 1))[:, None] * rotated
        _, strength, right = np.linalg.svd(fitted, full_matrices=False)
        top = right[: min(self.rank, len(right))]
        coef = full @ top.T @ top
        self.singular_values_ = strength
        intercept = y_mean - x_mean @ coef
        self.coef_ = coef
        self.intercept_ = intercept
        return self


class SparseReducedRank(ManyTargets):
    """Rank-by-rank factorised regression with a sparse weight vector on the variants.

    Each rank minimises ``|Y - X b a'|^2 / 2 + lam |b|_1`` over a unit vector a and a sparse b,
    with ``X'X`` taken as the identity after standardising, as in the published method; then
    the fitted part is removed from Y and the next rank follows.

    Parameters
    ----------
    n_components : int, default 1
        Number of ranks.
    n_selected : int or None, default None
        Number of features with non-zero weight a rank; sets the penalty at each step.
    penalty : float, default 0.5
        Where `n_selected` is None: the penalty as a fraction of the smallest one that removes
        every feature, in [0, 1).
    max_iter : int, default 500
        Alternations a rank.
    tol : float, default 1e-8
        Stop where a changes by less, or where the explained part of Y has not grown by a
        hundredth of it, relative to its size, in three alternations: a rank of noise has many
        directions that are nearly as good, among which a may wander for long.

    Attributes
    ----------
    x_weights_ : ndarray of float64 (n_features, n_components)
        Sparse b of each rank, on standardised columns.
    y_weights_ : ndarray of float64 (n_targets, n_components)
        Unit a of each rank, on standardised columns.
    coef_ : ndarray of float64 (n_features, n_targets)
        Coefficients on the original scale: least squares on the scores ``X b``.
    intercept_ : ndarray of float64 (n_targets,)
        Intercepts.

    Raises
    ------
    InputError
        If a parameter is out of range.
    FitError
        If a rank does not converge or no column varies.

    References
    ----------
    Vounou, Nichols, Montana (2010), NeuroImage 53:1147. doi:10.1016/j.neuroimage.2010.07.002
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        n_selected: int | None = None,
        penalty: float = 0.5,
        max_iter: int = 500,
        tol: float = 1e-8,
    ) -> None:
        self.n_components = n_components
        self.n_selected = n_selected
        self.penalty = penalty
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to X (n_samples, n_features) and y (n_samples, n_targets)."""
        X, y = validate_data(
            self,
            X,
            y,
            multi_output=True,
            y_numeric=True,
            dtype=[np.float64, np.float32],
            ensure_min_samples=2,
        )
        self._one_target = y.ndim == 1
        if not 0 <= self.penalty < 1:
            raise InputError(f"penalty is {self.penalty}; it lies in [0, 1).")
        left = Block(X, name="X")
        right = Block(np.asarray(y, dtype=np.float64).reshape(len(y), -1), name="y")
        if left.constant.all():
            raise FitError("No column of X varies.")
        residual = right.dense()
        weights, loads = [], []
        for _ in range(self.n_components):
            b, a = self._rank(left, residual)
            score = left.forward(b)
            norm = score @ score
            if norm > 0:
                residual = residual - np.outer(score, score @ residual / norm)
            weights.append(b)
            loads.append(a)
        self.x_weights_, self.y_weights_ = np.column_stack(weights), np.column_stack(loads)
        scores = np.column_stack([left.forward(b) for b in weights])
        back, *_ = np.linalg.lstsq(scores, right.dense(), rcond=None)
        standard = self.x_weights_ @ back
        self.coef_ = standard * right.scale / left.scale[:, None]
        self.intercept_ = right.mean - left.mean @ self.coef_
        return self

    def _rank(
        self, left: Block, residual: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        a = np.linalg.svd(residual, full_matrices=False)[2][0]
        b = np.zeros(left.shape[1])
        explained, stalled = 0.0, 0
        for _ in range(self.max_iter):
            product = left.adjoint(residual @ a)
            b = self._shrink(product)
            score = left.forward(b)
            new = residual.T @ score
            norm = np.linalg.norm(new)
            if norm == 0:
                return b, a
            new /= norm
            change = np.abs(new - a).max()
            a = new
            previous, explained = explained, float(norm / np.linalg.norm(score))
            stalled = stalled + 1 if explained - previous <= 1e-2 * self.tol * explained else 0
            if change < self.tol or stalled == 3:
                return b, a
        raise FitError(
            f"A rank did not converge in {self.max_iter} alternations (last change {change:.2g})."
        )

    def _shrink(self, product: NDArray[np.float64]) -> NDArray[np.float64]:
        magnitude = np.abs(product)
        if self.n_selected is None:
            return soft_threshold(product, self.penalty * magnitude.max())
        if not 1 <= self.n_selected <= len(product):
            raise InputError(f"n_selected is {self.n_selected}; there are {len(product)} features.")
        if self.n_selected == len(product):
            return product
        ordered = np.partition(magnitude, len(product) - self.n_selected - 1)
        return soft_threshold(product, ordered[len(product) - self.n_selected - 1])
