"""Confounders regressed out of both blocks, with coefficients of the training rows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils.validation import check_is_fitted

from radgen.errors import InputError
from radgen.multivariate._pair import first_pair

__all__ = ["Adjusted", "Residuals"]

Array = NDArray[np.float64]


class Residuals:
    """What a block holds beyond confounders.

    Parameters
    ----------
    values : ndarray of float (n_samples, n_features)
        Training rows.
    confounders : ndarray of float (n_samples, n_confounders) or None
        Without the intercept, which is always there; None = centre only.

    Notes
    -----
    Least squares by the design's pseudo-inverse: confounders that are combinations of others
    change nothing. New rows are adjusted with the training coefficients.
    """

    def __init__(self, values: NDArray[Any], confounders: NDArray[Any] | None) -> None:
        design = _design(confounders, len(values))
        self.coef: Array = np.linalg.pinv(design) @ np.asarray(values, dtype=np.float64)

    def of(self, values: NDArray[Any], confounders: NDArray[Any] | None) -> Array:
        """Return the residuals of rows, training rows or new ones."""
        return np.asarray(values - _design(confounders, len(values)) @ self.coef)


class Adjusted(MetaEstimatorMixin, BaseEstimator):
    """A two-block or many-target model of what confounders leave of both blocks.

    Population structure, site, age and sex make variants and phenotypes correlate without any
    biology. This wrapper regresses them out of X and y with coefficients of the training rows,
    fits the model to the residuals, and adjusts new rows with the same coefficients, so that it
    can stand inside any resampling.

    Parameters
    ----------
    model : estimator
        Of `radgen.multivariate`, or any with ``fit(X, y)`` and ``coef_`` or ``pair_weights()``;
        it is cloned.

    Attributes
    ----------
    model_ : estimator
        The fitted clone.
    x_residuals_, y_residuals_ : Residuals
        The adjustments.
    n_confounders_ : int
        Number of confounders adjusted for.

    Raises
    ------
    InputError
        If confounders and blocks differ in rows, or hold missing values.

    Examples
    --------
    >>> from radgen.multivariate import SparsePLS
    >>> rng = np.random.default_rng(0)
    >>> site = rng.integers(0, 2, 200).astype(float)
    >>> X, y = rng.standard_normal((200, 30)), rng.standard_normal((200, 8))
    >>> X += 2 * site[:, None]; y += 2 * site[:, None]
    >>> half = np.arange(200) < 100
    >>> plain = SparsePLS().fit(X[half], y[half]).score(X[~half], y[~half])
    >>> model = Adjusted(SparsePLS()).fit(X[half], y[half], confounders=site[half])
    >>> adjusted = model.score(X[~half], y[~half], confounders=site[~half])
    >>> bool(plain > 0.7), bool(abs(adjusted) < 0.25)
    (True, True)
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def fit(self, X: Any, y: Any, *, confounders: Any = None) -> Self:
        """Fit to X (n_samples, n_x), y (n_samples, n_y) and confounders (n_samples, n)."""
        X, y = _two(X, y)
        z = _numbers(confounders, len(X))
        self.x_residuals_, self.y_residuals_ = Residuals(X, z), Residuals(y, z)
        left, right = self.x_residuals_.of(X, z), self.y_residuals_.of(y, z)
        self.model_ = clone(self.model).fit(left, right)
        self.n_confounders_ = 0 if z is None else z.shape[1]
        self._pair = first_pair(self.model_, left, right)
        return self

    def transform(self, X: Any, y: Any = None, *, confounders: Any = None) -> Any:
        """Return the model's scores of adjusted rows."""
        check_is_fitted(self)
        z = _numbers(confounders, len(X))
        left = self.x_residuals_.of(np.asarray(X, dtype=np.float64), z)
        if y is None:
            return self.model_.transform(left)
        return self.model_.transform(left, self.y_residuals_.of(_two(X, y)[1], z))

    def predict(self, X: Any, *, confounders: Any = None) -> Array:
        """Return predicted targets: those of the model plus what confounders predict."""
        check_is_fitted(self)
        z = _numbers(confounders, len(X))
        left = self.x_residuals_.of(np.asarray(X, dtype=np.float64), z)
        found = np.asarray(self.model_.predict(left), dtype=np.float64).reshape(len(left), -1)
        return np.asarray(found + _design(z, len(left)) @ self.y_residuals_.coef)

    def pair_scores(self, X: Any, y: Any, *, confounders: Any = None) -> tuple[Array, Array]:
        """Return the first pair of scores of rows, each (n_samples,), confounders taken out."""
        check_is_fitted(self)
        X, y = _two(X, y)
        z = _numbers(confounders, len(X))
        a, b = self._pair
        return self.x_residuals_.of(X, z) @ a, self.y_residuals_.of(y, z) @ b

    def score(self, X: Any, y: Any, *, confounders: Any = None) -> float:
        """Return the correlation of the first pair of scores; 0 where a score is constant."""
        a, b = self.pair_scores(X, y, confounders=confounders)
        a, b = a - a.mean(), b - b.mean()
        norm = float(np.linalg.norm(a) * np.linalg.norm(b))
        return float(a @ b) / norm if norm > 0 else 0.0

    @property
    def pair_weights_(self) -> tuple[Array, Array]:
        """Weights of the first pair on adjusted columns, (n_x,) and (n_y,)."""
        check_is_fitted(self)
        return self._pair


def _two(X: Any, y: Any) -> tuple[Array, Array]:
    X, y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
    y = y.reshape(len(y), -1)
    if X.ndim != 2 or len(X) != len(y):
        raise InputError(f"X has shape {X.shape}, y {y.shape}: they need the same rows.")
    return X, y


def _numbers(confounders: Any, n_samples: int) -> Array | None:
    if confounders is None:
        return None
    z = np.asarray(confounders, dtype=np.float64)
    z = z.reshape(len(z), -1)
    if len(z) != n_samples or not np.isfinite(z).all():
        raise InputError(
            f"Confounders have {len(z)} rows for {n_samples} samples, "
            f"{int((~np.isfinite(z)).sum())} of the values are missing. Drop or impute them first."
        )
    return z


def _design(confounders: NDArray[Any] | None, n_samples: int) -> Array:
    ones = np.ones((n_samples, 1))
    return ones if confounders is None else np.hstack([ones, confounders])
