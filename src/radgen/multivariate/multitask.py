"""Multi-task regression of phenotypes on variants: group-sparse, low-rank and robust."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from radgen.errors import FitError, InputError
from radgen.multivariate._estimators import ManyTargets

__all__ = ["GroupSparseMultiTask", "LowRankMultiTask"]


class GroupSparseMultiTask(ManyTargets):
    """Multi-task least squares with an l2,1 penalty on variants and on groups of variants.

    Minimises ``|Y - XW|_F^2 / (2n) + alpha sum_j |W_j|_2 + alpha_group sum_g w_g |W_g|_F`` where
    W_j is the row of a variant over all phenotypes and W_g the rows of a gene or LD block.

    Parameters
    ----------
    alpha : float, default 0.1
        Penalty on rows.
    alpha_group : float, default 0
        Penalty on groups; weights w_g are the square roots of the group sizes.
    groups : sequence of hashable or None
        Group of each feature; needed where `alpha_group` > 0.
    max_iter : int, default 5000
        Accelerated gradient steps for each working set.
    tol : float, default 1e-6
        Largest allowed KKT residual relative to the largest gradient norm at W = 0.

    Attributes
    ----------
    coef_ : ndarray of float64 (n_features, n_targets)
        Coefficients; zero rows are not selected.
    intercept_ : ndarray of float64 (n_targets,)
        Intercepts.
    kkt_residual_ : float
        Certificate: how far W is from a fixed point of the proximal step, relative to the
        gradient at 0, over *all* features. At most `tol`.
    n_iter_ : int
        Gradient steps in all.

    Raises
    ------
    InputError
        If penalties are negative or groups are missing.
    FitError
        If the certificate cannot be reached.

    Notes
    -----
    Solved on a growing working set of groups: the full gradient (one product ``X'R``) is formed
    only to check the certificate, so that 100,000 variants cost a few passes over the data.
    Rows lie within groups, so the proximal step of the sum of both norms is the row step
    followed by the group step (Jenatton et al. 2011).

    References
    ----------
    Wang et al. (2012), Bioinformatics 28:229 (G-SMuRFS). doi:10.1093/bioinformatics/btr649
    """

    def __init__(
        self,
        alpha: float = 0.1,
        *,
        alpha_group: float = 0.0,
        groups: Sequence[Any] | None = None,
        max_iter: int = 5000,
        tol: float = 1e-6,
    ) -> None:
        self.alpha = alpha
        self.alpha_group = alpha_group
        self.groups = groups
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to X (n_samples, n_features) and y (n_samples, n_targets); no NaN."""
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=[np.float64, np.float32]
        )
        self._one_target = y.ndim == 1
        target = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        label = self._labels(X.shape[1])
        x_mean, y_mean = X.mean(axis=0, dtype=np.float64), target.mean(axis=0)
        solver = _Solver(X, x_mean, target - y_mean, label, (self.alpha, self.alpha_group))
        weights, self.kkt_residual_, self.n_iter_ = solver.solve(self.max_iter, self.tol)
        self.coef_ = weights
        self.intercept_ = y_mean - x_mean @ weights
        return self

    def _labels(self, n_features: int) -> NDArray[np.int64]:
        if self.alpha < 0 or self.alpha_group < 0:
            raise InputError("Penalties are not negative.")
        if self.groups is None:
            if self.alpha_group > 0:
                raise InputError("alpha_group > 0 needs `groups`, the group of each feature.")
            return np.arange(n_features)
        if len(self.groups) != n_features:
            raise InputError(f"groups names {len(self.groups)} features; X has {n_features}.")
        return np.unique([str(item) for item in self.groups], return_inverse=True)[1]


class _Solver:
    """Working-set proximal gradient for the row-and-group penalty."""

    def __init__(
        self,
        x: NDArray[Any],
        x_mean: NDArray[np.float64],
        y: NDArray[np.float64],
        label: NDArray[np.int64],
        penalties: tuple[float, float],
    ) -> None:
        self.x, self.x_mean, self.y, self.label = x, x_mean, y, label
        self.row_penalty, group_penalty = penalties
        self.n_groups = int(label.max()) + 1
        self.group_penalty = group_penalty * np.sqrt(np.bincount(label, minlength=self.n_groups))

    def solve(self, max_iter: int, tol: float) -> tuple[NDArray[np.float64], float, int]:
        weights = np.zeros((self.x.shape[1], self.y.shape[1]))
        gradient = self._gradient(self.y)
        scale = max(float(np.linalg.norm(gradient, axis=1).max()), 1e-300)
        working = np.zeros(self.n_groups, dtype=np.bool_)
        width, used = 16, 0
        for _ in range(60):
            excess = self._violations(weights, gradient)
            residual = float(excess.max()) / scale
            if residual <= tol:
                return weights, residual, used
            outside = np.where(working, 0.0, excess)
            fresh = np.argsort(-outside, kind="stable")[:width]
            working[fresh[outside[fresh] > 0]] = True
            width *= 2
            rows = np.flatnonzero(working[self.label])
            weights[rows], steps = self._inner(rows, weights[rows], max_iter, tol * scale / 2)
            used += steps
            product = self.x[:, rows] @ weights[rows].astype(self.x.dtype)
            gradient = self._gradient(self.y - product + self.x_mean[rows] @ weights[rows])
        raise FitError(
            f"No solution within tolerance: KKT residual {residual:.2g}, wanted {tol:.2g}. "
            "Raise max_iter or tol.",
            diagnostics={"kkt_residual": residual},
        )

    def _gradient(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        product = self.x.T @ residual.astype(self.x.dtype, copy=False)
        centred = product - np.outer(self.x_mean, residual.sum(axis=0))
        return np.asarray(-centred / len(self.y), dtype=np.float64)

    def _violations(
        self, weights: NDArray[np.float64], gradient: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return for each group how far it moves in a proximal step of unit length."""
        moved = self._prox(weights - gradient, self.label, 1.0)
        square = ((moved - weights) ** 2).sum(axis=1)
        return np.sqrt(np.bincount(self.label, weights=square, minlength=self.n_groups))

    def _inner(
        self, rows: NDArray[np.int64], weights: NDArray[np.float64], max_iter: int, tol: float
    ) -> tuple[NDArray[np.float64], int]:
        x = np.asarray(self.x[:, rows], dtype=np.float64) - self.x_mean[rows]
        n = len(x)
        gram, cross = x.T @ x / n, x.T @ self.y / n
        step = 1 / max(float(np.linalg.eigvalsh(gram)[-1]), 1e-300)
        label = self.label[rows]
        point, momentum = weights, 1.0
        for k in range(1, max_iter + 1):
            gradient = gram @ point - cross
            new = self._prox(point - step * gradient, label, step)
            if ((point - new) * (new - weights)).sum() > 0:
                momentum, point = 1.0, weights  # restart: the momentum points uphill
                continue
            following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            point = new + (momentum - 1) / following * (new - weights)
            momentum, weights = following, new
            if k % 10 == 0:
                moved = self._prox(weights - (gram @ weights - cross), label, 1.0)
                if np.linalg.norm(moved - weights, axis=1).max() <= tol:
                    break
        return weights, k

    def _prox(
        self, values: NDArray[np.float64], label: NDArray[np.int64], step: float
    ) -> NDArray[np.float64]:
        norm = np.linalg.norm(values, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            out = values * np.maximum(1 - step * self.row_penalty / norm, 0.0)[:, None]
        out[norm == 0] = 0.0
        if self.group_penalty.any():
            square = np.bincount(label, weights=(out**2).sum(axis=1), minlength=self.n_groups)
            size = np.sqrt(square)
            with np.errstate(divide="ignore", invalid="ignore"):
                shrink = np.maximum(1 - step * self.group_penalty / size, 0.0)
            shrink[size == 0] = 0.0
            out *= shrink[label][:, None]
        return np.asarray(out)


class LowRankMultiTask(ManyTargets):
    """Multi-task regression with an l2,1 and a nuclear-norm penalty, and an optional robust loss.

    Minimises ``loss(Y - XW) / n + alpha |W|_2,1 + alpha_rank |W|_*`` with the squared loss
    ``|.|_F^2 / 2`` or the robust loss that sums the (Huber-smoothed) norms of the residual rows,
    so that an outlying person counts linearly.

    Parameters
    ----------
    alpha : float, default 0.1
        l2,1 penalty on the rows of W: chooses variants.
    alpha_rank : float, default 0.1
        Nuclear-norm penalty: couples the phenotypes.
    loss : {"squared", "robust"}, default "squared"
        Loss of the residual rows.
    huber : float, default 1.0
        Row norm at which the robust loss turns from squared to linear, in units of the median
        row norm of the centred targets.
    max_iter : int, default 5000
        Steps of the alternating direction method of multipliers.
    tol : float, default 1e-6
        Stop where primal and dual residuals fall below it, relative to the size of W.

    Attributes
    ----------
    coef_ : ndarray of float64 (n_features, n_targets)
        Coefficients (the row-sparse copy).
    intercept_ : ndarray of float64 (n_targets,)
        Intercepts (of the centred columns).
    residuals_ : tuple of float
        Relative primal and dual residual at the end, the certificate of convergence.
    n_iter_ : int
        Steps used.

    Raises
    ------
    InputError
        If a parameter is out of range.
    FitError
        If the residuals stay above `tol`.

    References
    ----------
    Huo, Shen, Huang (2018), Pac Symp Biocomput 23:127 (low-rank multi-task with robust loss).
    Boyd et al. (2011), Found Trends Mach Learn 3:1, section 3.3 (stopping rule).
    """

    def __init__(
        self,
        alpha: float = 0.1,
        *,
        alpha_rank: float = 0.1,
        loss: str = "squared",
        huber: float = 1.0,
        max_iter: int = 5000,
        tol: float = 1e-6,
    ) -> None:
        self.alpha = alpha
        self.alpha_rank = alpha_rank
        self.loss = loss
        self.huber = huber
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to X (n_samples, n_features) and y (n_samples, n_targets); no NaN."""
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        if self.loss not in ("squared", "robust"):
            raise InputError(f"loss is {self.loss!r}; it is 'squared' or 'robust'.")
        if min(self.alpha, self.alpha_rank) < 0 or self.huber <= 0:
            raise InputError("Penalties are not negative, and huber is positive.")
        self._one_target = y.ndim == 1
        target = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        x_mean, y_mean = X.mean(axis=0), target.mean(axis=0)
        self.coef_ = self._admm(X - x_mean, target - y_mean)
        self.intercept_ = y_mean - x_mean @ self.coef_
        return self

    def _admm(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        n, p = x.shape
        delta = self.huber * max(float(np.median(np.linalg.norm(y, axis=1))), 1e-300)
        rho = max(float((x**2).sum()) / (n * p), 1e-12)
        shape = (p, y.shape[1])
        a, b = np.zeros(shape), np.zeros(shape)
        u, v = np.zeros(shape), np.zeros(shape)
        fit, w = np.zeros_like(y), np.zeros_like(y)
        solve = _ridge_solver(x, 2.0)
        for k in range(1, self.max_iter + 1):
            core = solve(x.T @ (fit - w) + a - u + b - v)
            fitted = x @ core
            previous = np.concatenate([a, b, x.T @ fit])
            a = _rows(core + u, self.alpha / rho)
            b = _singular_values(core + v, self.alpha_rank / rho)
            fit = self._loss_step(fitted + w, y, rho * n, delta)
            u, v, w = u + core - a, v + core - b, w + fitted - fit
            primal = np.sqrt(
                ((core - a) ** 2).sum() + ((core - b) ** 2).sum() + ((fitted - fit) ** 2).sum()
            )
            dual = rho * np.linalg.norm(np.concatenate([a, b, x.T @ fit]) - previous)
            size = 1 + np.linalg.norm(core) + np.linalg.norm(fitted)
            pull = 1 + rho * (np.linalg.norm(u) + np.linalg.norm(v) + np.linalg.norm(x.T @ w))
            self.residuals_, self.n_iter_ = (float(primal / size), float(dual / pull)), k
            if max(self.residuals_) < self.tol:
                return a
            if k % 20 == 0 and k <= self.max_iter // 2:
                factor = np.clip(
                    np.sqrt(self.residuals_[0] / max(self.residuals_[1], 1e-300)), 0.5, 2
                )
                rho *= factor
                u, v, w = u / factor, v / factor, w / factor
        raise FitError(
            f"Not converged in {self.max_iter} steps: residuals {self.residuals_[0]:.2g}, "
            f"{self.residuals_[1]:.2g}; wanted {self.tol:.2g}.",
            diagnostics={"residuals": self.residuals_},
        )

    def _loss_step(
        self, values: NDArray[np.float64], y: NDArray[np.float64], weight: float, delta: float
    ) -> NDArray[np.float64]:
        """Return argmin of ``loss(y - F) + weight |F - values|^2 / 2`` over F."""
        residual = y - values
        if self.loss == "squared":
            return np.asarray(y - residual * weight / (1 + weight))
        norm = np.linalg.norm(residual, axis=1, keepdims=True)
        inside = norm * weight / (1 + weight) <= delta
        with np.errstate(divide="ignore", invalid="ignore"):
            linear = np.where(norm > 0, np.maximum(1 - delta / (weight * norm), 0.0), 0.0)
        return np.asarray(y - residual * np.where(inside, weight / (1 + weight), linear))


def _ridge_solver(x: NDArray[np.float64], ridge: float) -> Any:
    """Return a function that solves ``(X'X + ridge I) W = B``, through the smaller side."""
    n, p = x.shape
    if p <= n:
        inverse = np.linalg.inv(x.T @ x + ridge * np.eye(p))
        return lambda b: inverse @ b
    inverse = np.linalg.inv(x @ x.T + ridge * np.eye(n))
    return lambda b: (b - x.T @ (inverse @ (x @ b))) / ridge


def _rows(values: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(norm > threshold, values * (1 - threshold / norm), 0.0))


def _singular_values(values: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    u, s, vt = np.linalg.svd(values, full_matrices=False)
    return np.asarray(u * np.maximum(s - threshold, 0.0) @ vt)
