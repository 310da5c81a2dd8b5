"""Ridge regression of many targets on more predictors than samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError

__all__ = ["RidgeBasis", "RidgeFit", "ridge"]

Array = NDArray[np.float64]

_GRID = np.logspace(-2, 4, 25)


@dataclass(frozen=True, eq=False, slots=True)
class RidgeFit:
    """Coefficients of several targets.

    Attributes
    ----------
    coefficients : ndarray of float64 (n_predictors, n_targets)
        Slopes.
    intercepts : ndarray of float64 (n_targets,)
        Value where all predictors are 0.
    penalties : ndarray of float64 (n_targets,)
        Penalty of each target, on the scale of the sum of squares.
    """

    coefficients: Array
    intercepts: Array
    penalties: Array

    def predict(self, predictors: ArrayLike) -> Array:
        """Return predictions, float64 (n_samples, n_targets)."""
        return np.asarray(self.intercepts + np.asarray(predictors) @ self.coefficients)


@dataclass(frozen=True, eq=False, slots=True)
class RidgeBasis:
    """One decomposition of the predictors, for any number of targets and penalties.

    Attributes
    ----------
    mean : ndarray of float64 (n_predictors,)
        Of each predictor.
    left : ndarray of float64 (n_samples, rank)
        Left singular vectors of the centred predictors.
    right : ndarray of float64 (n_predictors, rank)
        Right singular vectors times the singular values.
    value : ndarray of float64 (rank,)
        Squared singular values.
    """

    mean: Array
    left: Array
    right: Array
    value: Array

    @classmethod
    def of(cls, predictors: ArrayLike) -> Self:
        """Return the decomposition of predictors (n_samples, n_predictors).

        Raises
        ------
        InputError
            If values are missing or there are fewer than 3 samples.
        """
        x = np.asarray(predictors, dtype=np.float64)
        if x.ndim != 2 or len(x) < 3 or not np.isfinite(x).all():
            raise InputError("Ridge regression needs 3 samples without missing values.")
        mean = x.mean(axis=0)
        centred = x - mean
        wide = x.shape[1] > len(x)
        gram = centred @ centred.T if wide else centred.T @ centred
        value, vector = np.linalg.eigh(gram)
        keep = value > 1e-12 * max(float(value.max(initial=0.0)), np.finfo(float).tiny)
        value, vector = value[keep], vector[:, keep]
        if wide:
            return cls(mean, vector, centred.T @ vector, value)
        return cls(mean, (centred @ vector) / np.sqrt(value), vector * np.sqrt(value), value)

    @classmethod
    def of_products(cls, products: ArrayLike) -> Self:
        """Return the decomposition of samples whose products with each other are known.

        Coefficients are then weights of samples: a prediction is the sum over the samples of
        weight times centred product with the predicted sample.

        Parameters
        ----------
        products : array_like of float64 (n_samples, n_samples)
            Symmetric; need not be centred.

        Raises
        ------
        InputError
            If values are missing or there are fewer than 3 samples.
        """
        gram = np.asarray(products, dtype=np.float64)
        if gram.ndim != 2 or len(gram) < 3 or not np.isfinite(gram).all():
            raise InputError("Ridge regression needs 3 samples without missing values.")
        level = gram.mean(axis=0)
        value, vector = np.linalg.eigh(gram - level - level[:, None] + level.mean())
        keep = value > 1e-12 * max(float(value.max(initial=0.0)), np.finfo(float).tiny)
        value, vector = value[keep], vector[:, keep]
        return cls(np.zeros(len(gram)), vector, vector, value)

    def fit(self, targets: ArrayLike, *, penalties: ArrayLike | None = None) -> RidgeFit:
        """Return ridge regressions of targets (n_samples, n_targets); see `ridge`."""
        y = np.asarray(targets, dtype=np.float64)
        if y.ndim != 2 or len(y) != len(self.left):
            raise InputError("Predictors and targets are two tables with the same number of rows.")
        if not np.isfinite(y).all():
            raise InputError("Ridge regression needs targets without missing values.")
        y_mean = y.mean(axis=0)
        centred = y - y_mean
        turned = self.left.T @ centred
        chosen = self._penalties(centred, turned) if penalties is None else _given(penalties, y)
        coefficients = self.right @ (turned / (self.value[:, None] + chosen))
        return RidgeFit(coefficients, y_mean - self.mean @ coefficients, chosen)

    def _penalties(self, centred: Array, turned: Array) -> Array:
        """Penalty with the smallest generalised cross-validation error of each target."""
        n = len(centred)
        grid = _GRID * (float(self.value.mean()) if len(self.value) else 1.0)
        square = turned**2
        outside = np.maximum((centred**2).sum(axis=0) - square.sum(axis=0), 0.0)
        error = np.empty((len(grid), centred.shape[1]))
        for row, penalty in enumerate(grid):
            left = penalty / (self.value + penalty)
            freedom = n - 1 - (1 - left).sum()
            error[row] = (left**2 @ square + outside) / max(float(freedom), 1e-9) ** 2
        return np.asarray(grid[np.argmin(error, axis=0)])


def ridge(
    predictors: ArrayLike, targets: ArrayLike, *, penalties: ArrayLike | None = None
) -> RidgeFit:
    """Return ridge regressions with an unpenalised intercept.

    Parameters
    ----------
    predictors : array_like of float64 (n_samples, n_predictors)
        Finite; scale them before.
    targets : array_like of float64 (n_samples, n_targets)
        Finite.
    penalties : array_like of float64 (n_targets,) or None
        None = for each target that with the smallest generalised cross-validation error of 25
        between 0.01 and 10,000 times the mean eigenvalue.

    Returns
    -------
    RidgeFit
        One eigendecomposition of the smaller of both sides serves all targets and penalties.

    Raises
    ------
    InputError
        If the rows differ, values are missing, or there are fewer than 3 samples.

    References
    ----------
    Golub, Heath & Wahba (1979), Technometrics 21, 215, doi:10.1080/00401706.1979.10489751.

    Examples
    --------
    >>> x = np.array([[-1.0], [0.0], [1.0], [2.0]])
    >>> fit = ridge(x, 2 * x + 1, penalties=[0.0])
    >>> fit.coefficients.round(6).tolist(), fit.intercepts.round(6).tolist()
    ([[2.0]], [1.0])
    """
    return RidgeBasis.of(predictors).fit(targets, penalties=penalties)


def _given(penalties: ArrayLike, y: Array) -> Array:
    chosen = np.broadcast_to(np.asarray(penalties, dtype=np.float64), y.shape[1:]).copy()
    if (chosen < 0).any():
        raise InputError("Penalties are not negative.")
    return chosen
