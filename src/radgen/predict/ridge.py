"""Ridge models along a path of penalties: logistic, Cox and linear, by Newton in SVD space."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen.errors import FitError, InputError
from radgen.stats.cox import RiskSets
from radgen.stats.survival import check_survival

__all__ = ["RidgeCox", "RidgeLinear", "RidgeLogistic", "cox_path", "linear_path", "logistic_path"]

FloatArray = NDArray[np.float64]
_STEPS = 50


def reduce_columns(x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return scores (n, k), directions (k, p) and means (p,): centred x is scores @ directions."""
    center = x.mean(axis=0)
    u, s, vt = np.linalg.svd(x - center, full_matrices=False)
    keep = s > 1e-10 * max(float(s.max(initial=0.0)), 1e-300)
    return u[:, keep] * s[keep], vt[keep], center


def _solve(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    _, found, trouble = dposv(matrix, vector)
    if trouble:
        raise FitError("A penalised model has a singular information matrix.")
    return np.asarray(found)


def logistic_path(
    x: FloatArray, y: FloatArray, penalties: FloatArray, weights: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return coefficients (n_penalties, p) and intercepts (n_penalties,) of ridge logistic fits.

    Parameters
    ----------
    x : float64 (n, p)
        Features.
    y : float64 (n,)
        0 or 1.
    penalties : float64 (n_penalties,)
        Lambda in ``loglik - lambda / 2 |beta|^2``; the intercept is not penalised.
    weights : float64 (n,) or None
        Case weights.

    Raises
    ------
    FitError
        If Newton's method does not converge.
    """
    z, vt, center = reduce_columns(x)
    w = np.ones(len(y)) if weights is None else weights
    base = float(w @ y / w.sum())
    start = np.zeros(z.shape[1] + 1)
    start[0] = np.log(base / (1 - base))
    design = np.column_stack((np.ones(len(y)), z))
    coefficients = np.empty((len(penalties), x.shape[1]))
    intercepts = np.empty(len(penalties))
    theta = start
    for k in np.argsort(-np.asarray(penalties), kind="stable"):
        theta = _logistic_newton(design, y, w, float(penalties[k]), theta)
        coefficients[k] = theta[1:] @ vt
        intercepts[k] = theta[0] - center @ coefficients[k]
    return coefficients, intercepts


def _logistic_newton(
    design: FloatArray, y: FloatArray, w: FloatArray, penalty: float, theta: FloatArray
) -> FloatArray:
    ridge = np.full(design.shape[1], penalty)
    ridge[0] = 0.0

    def objective(t: FloatArray) -> float:
        eta = design @ t
        return float(w @ (y * eta - np.logaddexp(0, eta)) - 0.5 * (ridge @ t**2))

    value = objective(theta)
    for _ in range(_STEPS):
        p = expit(design @ theta)
        slope = design.T @ (w * (y - p)) - ridge * theta
        information = (design * (w * np.maximum(p * (1 - p), 1e-12))[:, None]).T @ design
        information.flat[:: len(theta) + 1] += ridge
        move = _solve(information, slope)
        gain = float(slope @ move)
        if gain < 1e-9 * (1 + abs(value)):
            return theta + move
        for _ in range(30):
            trial = objective(theta + move)
            if trial >= value:
                break
            move = move / 2
        theta, value = theta + move, trial
    raise FitError(f"Ridge logistic regression did not converge in {_STEPS} steps.")


def cox_path(
    x: FloatArray, time: FloatArray, event: NDArray[np.bool_], penalties: FloatArray
) -> FloatArray:
    """Return coefficients (n_penalties, p) of ridge Cox fits with Efron's ties.

    Parameters
    ----------
    x : float64 (n, p)
        Features.
    time, event : ndarray (n,)
        Times and events.
    penalties : float64 (n_penalties,)
        Lambda in ``log partial likelihood - lambda / 2 |beta|^2``.

    Raises
    ------
    InputError
        If there is no event.
    FitError
        If Newton's method does not converge.
    """
    if not event.any():
        raise InputError("A Cox model needs at least one event.")
    z, vt, _ = reduce_columns(x)
    risk = RiskSets(time, event, np.ones(len(time)), None, "efron")
    theta = np.zeros(z.shape[1])
    out = np.empty((len(penalties), x.shape[1]))
    for k in np.argsort(-np.asarray(penalties), kind="stable"):
        theta = _cox_newton(risk, z, float(penalties[k]), theta)
        out[k] = theta @ vt
    return out


def _cox_newton(risk: RiskSets, z: FloatArray, penalty: float, theta: FloatArray) -> FloatArray:
    value = -np.inf
    move = np.zeros_like(theta)
    for _ in range(_STEPS):
        for _ in range(30):
            loglik, gradient, information = risk.derivatives(z, z @ (theta + move))
            trial = loglik - 0.5 * penalty * float((theta + move) @ (theta + move))
            if trial >= value - 1e-12 * abs(value):
                break
            move = move / 2
        theta, value = theta + move, trial
        slope = gradient - penalty * theta
        information.flat[:: len(theta) + 1] += penalty
        move = _solve(information, slope)
        if float(slope @ move) < 1e-9 * (1 + abs(value)):
            return theta + move
    raise FitError(f"Ridge Cox regression did not converge in {_STEPS} steps.")


def linear_path(
    x: FloatArray, y: FloatArray, penalties: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return coefficients (n_penalties, p) and intercepts (n_penalties,) of ridge regressions."""
    center = x.mean(axis=0)
    u, s, vt = np.linalg.svd(x - center, full_matrices=False)
    target = u.T @ (y - y.mean())
    shrunk = s * target / (s**2 + np.asarray(penalties)[:, None])
    coefficients = shrunk @ vt
    return coefficients, y.mean() - coefficients @ center


class RidgeLogistic(ClassifierMixin, BaseEstimator):
    """Binary logistic regression with an L2 penalty on the sum of log-likelihoods.

    Parameters
    ----------
    penalty : float, default 1.0
        Lambda in ``loglik - lambda / 2 |beta|^2``; the intercept is free.
    """

    def __init__(self, penalty: float = 1.0) -> None:
        self.penalty = penalty

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the model.

        Raises
        ------
        ValueError
            If y has not exactly two classes.
        """
        values, target = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(target)
        self.classes_ = np.unique(target)
        if len(self.classes_) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is multiclass."
            )
        if len(self.classes_) < 2:
            raise ValueError(f"Classifier can't train when only one class is present: "
                             f"{self.classes_[0]}")  # fmt: skip
        beta, intercept = logistic_path(
            values, (target == self.classes_[1]).astype(float), np.array([float(self.penalty)])
        )
        self.coef_, self.intercept_ = beta, intercept
        return self

    def decision_function(self, X: Any) -> FloatArray:
        """Return log odds of the second class, (n,)."""
        check_is_fitted(self, "coef_")
        values = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray(values @ self.coef_[0] + self.intercept_[0])

    def predict_proba(self, X: Any) -> FloatArray:
        """Return probabilities (n, 2)."""
        p = expit(self.decision_function(X))
        return np.column_stack((1 - p, p))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likelier class, (n,)."""
        second = self.decision_function(X) > 0
        return np.asarray(self.classes_[second.astype(int)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


class RidgeLinear(RegressorMixin, BaseEstimator):
    """Linear regression with an L2 penalty on half the sum of squares.

    Parameters
    ----------
    penalty : float, default 1.0
        Lambda in ``|y - Xb|^2 / 2 + lambda / 2 |b|^2``; the intercept is free.
    """

    def __init__(self, penalty: float = 1.0) -> None:
        self.penalty = penalty

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the model."""
        values, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        beta, intercept = linear_path(
            values, np.asarray(target, dtype=np.float64), np.array([float(self.penalty)])
        )
        self.coef_, self.intercept_ = beta[0], float(intercept[0])
        return self

    def predict(self, X: Any) -> FloatArray:
        """Return predicted values, (n,)."""
        check_is_fitted(self, "coef_")
        values = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray(values @ self.coef_ + self.intercept_)


class RidgeCox(BaseEstimator):
    """Cox regression with an L2 penalty on the log partial likelihood.

    Parameters
    ----------
    penalty : float, default 1.0
        Lambda in ``log partial likelihood - lambda / 2 |beta|^2``.

    Notes
    -----
    The target is an array (n, 2) of time and event (1 or 0).
    """

    def __init__(self, penalty: float = 1.0) -> None:
        self.penalty = penalty

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the model to times and events, y (n, 2).

        Raises
        ------
        InputError
            If y is malformed or holds no event.
        """
        values = validate_data(self, X, dtype=np.float64)
        target = np.asarray(y, dtype=np.float64)
        if target.ndim != 2 or target.shape != (len(values), 2):
            raise InputError("The target of RidgeCox is an array (n, 2) of time and event.")
        time, event = check_survival(target[:, 0], target[:, 1])
        self.coef_ = cox_path(values, time, event, np.array([float(self.penalty)]))[0]
        self.center_ = values.mean(axis=0)
        risk = RiskSets(time, event, np.ones(len(time)), None, "efron")
        self.times_ = risk.times
        self.hazard_ = risk.hazard((values - self.center_) @ self.coef_)
        return self

    def predict(self, X: Any) -> FloatArray:
        """Return log relative hazards, (n,); 0 at the training mean."""
        check_is_fitted(self, "coef_")
        values = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray((values - self.center_) @ self.coef_)

    def predict_survival(self, X: Any, times: Any) -> FloatArray:
        """Return survival probabilities (n, n_times)."""
        risk = np.exp(np.clip(self.predict(X), -500, 500))
        where = np.searchsorted(self.times_, np.asarray(times, dtype=float), side="right")
        hazard = np.concatenate(([0.0], self.hazard_))[where]
        return np.asarray(np.exp(-risk[:, None] * hazard))
