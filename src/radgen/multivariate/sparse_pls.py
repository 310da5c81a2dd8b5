"""Sparse partial least squares: by soft-thresholded SVD, and by sparse directions."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen.errors import FitError, InputError
from radgen.multivariate._blocks import Block
from radgen.multivariate._estimators import ManyTargets, TwoBlocks
from radgen.multivariate._shrink import soft_threshold

__all__ = ["SparsePLS", "SparsePLSRegression"]


class SparsePLS(TwoBlocks):
    """Sparse PLS by a soft-thresholded SVD of ``X'Y``, with an optional univariate pre-filter.

    Each component keeps a stated number of features of each block. Then both blocks are
    deflated: X by its score, Y by its own score ("canonical") or by X's ("regression").

    Parameters
    ----------
    n_components : int, default 1
        Number of components.
    n_x, n_y : int or None, default None
        Features of each block with non-zero weight a component; None = all.
    prefilter : int or None, default None
        Keep this many features of X with the largest squared correlation with any column of Y
        before the PLS. It is part of `fit`, so resampling the estimator resamples the filter:
        a filter outside the resampling inflates the held-out correlation.
    mode : {"canonical", "regression"}, default "canonical"
        How Y is deflated.
    max_iter : int, default 500
        Alternations a component.
    tol : float, default 1e-8
        Stop where the weights of Y change by less.

    Attributes
    ----------
    x_weights_, y_weights_ : ndarray of float64 (n_features, n_components)
        Sparse weights of unit norm on the deflated, standardised blocks.
    x_rotations_, y_rotations_ : ndarray of float64 (n_features, n_components)
        What `transform` multiplies standardised columns with.
    kept_ : ndarray of int64
        Features of X that passed the pre-filter.
    correlations_ : ndarray of float64 (n_components,)
        Correlation of the scores in the training rows (optimistic).

    Raises
    ------
    InputError
        If a number of features is out of range.
    FitError
        If a component does not converge.

    References
    ----------
    Le Cao et al. (2008), Stat Appl Genet Mol Biol 7:35. Le Floch et al. (2012), NeuroImage 63:11.
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        n_x: int | None = None,
        n_y: int | None = None,
        prefilter: int | None = None,
        mode: str = "canonical",
        max_iter: int = 500,
        tol: float = 1e-8,
    ) -> None:
        self.n_components = n_components
        self.n_x = n_x
        self.n_y = n_y
        self.prefilter = prefilter
        self.mode = mode
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to X (n_samples, n_x_features) and y (n_samples, n_y_features); no NaN."""
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=np.float64, ensure_min_samples=2
        )
        if self.mode not in ("canonical", "regression"):
            raise InputError(f"mode is {self.mode!r}; it is 'canonical' or 'regression'.")
        target = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        left, right = Block(X, name="X"), Block(target, name="y")
        self._x_scale, self._y_scale = (left.mean, left.scale), (right.mean, right.scale)
        self.kept_ = self._filter(left, right)
        x, z = left.dense()[:, self.kept_], right.dense()
        parts: dict[str, list[NDArray[np.float64]]] = {k: [] for k in ("u", "v", "p", "q", "r")}
        for _ in range(self.n_components):
            u, v = self._component(x, z)
            t, s = x @ u, z @ v
            p = x.T @ t / (t @ t)
            q = z.T @ s / (s @ s)
            x = x - np.outer(t, p)
            z = z - (np.outer(s, q) if self.mode == "canonical" else np.outer(t, z.T @ t / (t @ t)))
            for key, value in zip("uvpq", (u, v, p, q), strict=True):
                parts[key].append(value)
        u, v, p, q = (np.column_stack(parts[key]) for key in "uvpq")
        n_features = X.shape[1]
        self.x_weights_ = _spread_rows(u, self.kept_, n_features)
        self.y_weights_ = v
        self.x_rotations_ = _spread_rows(u @ np.linalg.pinv(p.T @ u), self.kept_, n_features)
        self.y_rotations_ = v @ np.linalg.pinv(q.T @ v)
        a, b = self.transform(X, target)
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        norm = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
        self.correlations_ = (a * b).sum(axis=0) / norm
        return self

    def _filter(self, left: Block, right: Block) -> NDArray[np.int64]:
        if self.prefilter is None:
            return np.flatnonzero(~left.constant)
        if not 1 <= self.prefilter <= left.shape[1]:
            raise InputError(f"prefilter is {self.prefilter}; there are {left.shape[1]} features.")
        strength = np.abs(left.adjoint(right.dense())).max(axis=1)
        return np.sort(np.argsort(-strength, kind="stable")[: self.prefilter])

    def _component(
        self, x: NDArray[np.float64], z: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        cross = x.T @ z
        v = np.linalg.svd(cross, full_matrices=False)[2][0]
        for _ in range(self.max_iter):
            u = _keep(cross @ v, self.n_x, "n_x")
            new = _keep(cross.T @ u, self.n_y, "n_y")
            change = np.abs(new - v).max()
            v = new
            if change < self.tol:
                return u, v
        raise FitError(f"A component did not converge in {self.max_iter} alternations.")

    def transform(self, X: Any, y: Any = None) -> Any:
        """Return scores of new rows: those of X, or the pair where `y` is given."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        mean, scale = self._x_scale
        x_scores = (X - mean) / scale @ self.x_rotations_
        if y is None:
            return x_scores
        mean, scale = self._y_scale
        target = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
        return x_scores, (target - mean) / scale @ self.y_rotations_

    def pair_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the weights of the first pair of scores on unscaled columns, (n_x,) and (n_y,)."""
        check_is_fitted(self)
        left, right = self.x_rotations_[:, 0], self.y_rotations_[:, 0]
        return left / self._x_scale[1], right / self._y_scale[1]

    def score(self, X: Any, y: Any) -> float:
        """Return the correlation of the first pair of scores in these rows."""
        a, b = self.transform(X, y)
        return float(np.corrcoef(a[:, 0], b[:, 0])[0, 1])


class SparsePLSRegression(ManyTargets):
    """Sparse PLS regression: sparse direction vectors choose features, SIMPLS fits them.

    Parameters
    ----------
    n_components : int, default 1
        Number of latent components.
    sparsity : float, default 0.5
        Threshold as a fraction of the largest element of a direction, in [0, 1).
    standardise : bool, default True
        Scale columns of X to unit variance (Y is centred only).
    max_iter : int, default 100
        Alternations a direction.
    tol : float, default 1e-4
        Stop where a direction changes by less.

    Attributes
    ----------
    coef_ : ndarray of float64 (n_features, n_targets)
        Coefficients; zero rows are not selected.
    intercept_ : ndarray of float64 (n_targets,)
        Intercepts.
    selected_ : ndarray of int64
        Features with non-zero coefficients.

    Raises
    ------
    InputError
        If `sparsity` is out of range.

    Notes
    -----
    The mixing parameter kappa of the published method is fixed at 1/2, where it reduces to
    a thresholded alternation. The default tolerances are those of the reference program.

    References
    ----------
    Chun, Keles (2010), J R Stat Soc B 72:3. doi:10.1111/j.1467-9868.2009.00723.x
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        sparsity: float = 0.5,
        standardise: bool = True,
        max_iter: int = 100,
        tol: float = 1e-4,
    ) -> None:
        self.n_components = n_components
        self.sparsity = sparsity
        self.standardise = standardise
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to X (n_samples, n_features) and y (n_samples, n_targets); no NaN."""
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=np.float64, ensure_min_samples=2
        )
        if not 0 <= self.sparsity < 1 or self.n_components < 1:
            raise InputError("Needed are sparsity in [0, 1) and n_components >= 1.")
        self._one_target = y.ndim == 1
        target = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        block = Block(X, scale=self.standardise, name="X")
        x, y_mean = block.dense(), target.mean(axis=0)
        full = target - y_mean
        residual, coef = full, np.zeros((X.shape[1], target.shape[1]))
        for k in range(1, self.n_components + 1):
            direction = self._direction(x.T @ residual)
            chosen = np.flatnonzero((direction != 0) | (coef != 0).any(axis=1))
            if not len(chosen):
                break
            coef = np.zeros_like(coef)
            coef[chosen] = _simpls(x[:, chosen], full, min(k, len(chosen)))
            residual = full - x @ coef
        self.coef_ = coef / block.scale[:, None]
        self.intercept_ = y_mean - block.mean @ self.coef_
        self.selected_ = np.flatnonzero((coef != 0).any(axis=1))
        return self

    def _direction(self, cross: NDArray[np.float64]) -> NDArray[np.float64]:
        middle = np.median(np.abs(cross))
        z = cross / middle if middle > 0 else cross
        if z.shape[1] == 1:
            return _ust(z[:, 0], self.sparsity)
        c = np.full(len(z), 10.0)
        previous = c
        for _ in range(self.max_iter):
            image = z @ (z.T @ c)
            norm = np.linalg.norm(image)
            if norm == 0:
                return np.zeros(len(z))
            c = _ust(z @ (z.T @ (image / norm)), self.sparsity)
            if np.abs(c - previous).max() <= self.tol:
                break
            previous = c
        return c

    def loadings(self, names: list[str] | None = None) -> pl.DataFrame:
        """Return the selected features with the norm of their coefficients, strongest first."""
        check_is_fitted(self)
        known = names or [f"x{i}" for i in range(len(self.coef_))]
        frame = pl.DataFrame(
            {
                "feature": [known[i] for i in self.selected_],
                "norm": np.linalg.norm(self.coef_[self.selected_], axis=1),
            }
        )
        return frame.sort("norm", descending=True)


def _ust(values: NDArray[np.float64], fraction: float) -> NDArray[np.float64]:
    """Soft-threshold at a fraction of the largest magnitude."""
    return soft_threshold(values, fraction * np.abs(values).max())


def _keep(values: NDArray[np.float64], count: int | None, name: str) -> NDArray[np.float64]:
    """Soft-threshold so that `count` elements stay non-zero, and scale to unit norm."""
    shrunk = values
    if count is not None and count < len(values):
        if count < 1:
            raise InputError(f"{name} is {count}; needed is at least 1.")
        place = len(values) - count - 1
        shrunk = soft_threshold(values, float(np.partition(np.abs(values), place)[place]))
    norm = np.linalg.norm(shrunk)
    return np.asarray(shrunk / norm) if norm > 0 else shrunk


def _spread_rows(
    values: NDArray[np.float64], rows: NDArray[np.int64], n_rows: int
) -> NDArray[np.float64]:
    full = np.zeros((n_rows, values.shape[1]))
    full[rows] = values
    return full


def _simpls(
    x: NDArray[np.float64], y: NDArray[np.float64], n_components: int
) -> NDArray[np.float64]:
    """Return SIMPLS coefficients of centred blocks (de Jong 1993)."""
    cross = x.T @ y
    scores, back, basis = [], [], []
    for _ in range(n_components):
        q = np.linalg.svd(cross, full_matrices=False)[2][0]
        r = cross @ q
        t = x @ r
        norm = np.linalg.norm(t)
        if norm <= 1e-12 * np.linalg.norm(x):
            break
        t, r = t / norm, r / norm
        p = x.T @ t
        v = p
        for known in basis:
            v = v - known * (known @ p)
        v = v / np.linalg.norm(v)
        cross = cross - np.outer(v, v @ cross)
        scores.append(r)
        back.append(y.T @ t)
        basis.append(v)
    if not scores:
        return np.zeros((x.shape[1], y.shape[1]))
    return np.asarray(np.column_stack(scores) @ np.column_stack(back).T)
