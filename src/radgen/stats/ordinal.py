"""Proportional-odds regression for ordered classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from radgen.errors import InputError
from radgen.stats.linear import covariate_basis

__all__ = ["OrdinalFit", "ordinal_logit", "ordinal_residuals"]

Array = NDArray[np.float64]

_MAX_STEPS = 100


@dataclass(frozen=True, eq=False, slots=True)
class OrdinalFit:
    """A fitted proportional-odds model, logit P(Y > j) = x'coef - threshold_j.

    Attributes
    ----------
    coef : ndarray of float64 (n_columns,)
        Log odds ratio of a higher class per unit of each column.
    thresholds : ndarray of float64 (n_classes - 1,)
        Rising cut-points.
    cov : ndarray of float64 (n_classes - 1 + n_columns, same)
        Inverse information; thresholds first.
    log_likelihood : float
        At the estimate.
    converged : bool
        False where the steps ran out or a class boundary runs to infinity.
    """

    coef: Array
    thresholds: Array
    cov: Array
    log_likelihood: float
    converged: bool

    @property
    def se(self) -> Array:
        """Standard errors of `coef`, (n_columns,)."""
        return np.sqrt(np.diag(self.cov)[len(self.thresholds) :])


def ordinal_logit(y: ArrayLike, design: ArrayLike | None = None) -> OrdinalFit:
    """Return the maximum-likelihood proportional-odds model.

    Parameters
    ----------
    y : array_like of float64 (n_samples,)
        Classes; only their order counts. At least two different values.
    design : array_like of float64 (n_samples, n_columns) or None
        Without an intercept, of full rank beside one.

    Returns
    -------
    OrdinalFit
        With two classes the same as logistic regression.

    Raises
    ------
    InputError
        If there is one class only, or the sizes differ.

    References
    ----------
    McCullagh (1980), J. R. Statist. Soc. B 42, 109-142.

    Examples
    --------
    >>> fit = ordinal_logit([0, 1, 0, 1, 1, 0], np.array([[0, 0, 1, 1, 1, 0]]).T)
    >>> float(fit.coef[0].round(4))
    1.3863
    """
    values = np.asarray(y, dtype=np.float64)
    levels, code = np.unique(values, return_inverse=True)
    if len(levels) < 2 or np.isnan(levels).any():
        raise InputError("An ordinal outcome needs two or more classes and no missing values.")
    x = np.zeros((len(values), 0)) if design is None else np.asarray(design, dtype=np.float64)
    if len(x) != len(values):
        raise InputError(f"y has {len(values)} rows and the design {len(x)}.")
    cuts = len(levels) - 1
    share = np.cumsum(np.bincount(code))[:-1] / len(values)
    theta = np.concatenate([special.logit(share), np.zeros(x.shape[1])])
    value, score, info = _likelihood(theta, code, x, cuts)
    converged = False
    for _ in range(_MAX_STEPS):
        try:
            step = np.linalg.solve(info, score)
        except np.linalg.LinAlgError:
            break
        gain = float(score @ step)
        if 0 <= gain < 1e-18 * max(1.0, abs(value)):
            converged = True
            break
        for _half in range(40):
            found, new_score, new_info = _likelihood(theta + step, code, x, cuts)
            if found >= value - 1e-13 * abs(value):
                break
            step = step / 2
        else:
            converged = gain < 1e-8
            break
        theta = theta + step
        value, score, info = found, new_score, new_info
    if x.shape[1] and np.max(np.abs(x @ theta[cuts:]), initial=0.0) > 30 * max(1.0, cuts):
        converged = False
    try:
        cov = np.asarray(np.linalg.inv(info))
    except np.linalg.LinAlgError:
        cov, converged = np.full(info.shape, np.nan), False
    return OrdinalFit(theta[cuts:], theta[:cuts], cov, value, converged)


def ordinal_residuals(y: ArrayLike, covariates: ArrayLike | None = None) -> Array:
    """Return the score residuals of the model with the covariates alone.

    Parameters
    ----------
    y : array_like of float64 (n_samples,)
        Classes, no missing values.
    covariates : array_like of float64 (n_samples, n_covariates) or None
        Finite; rank is computed.

    Returns
    -------
    ndarray of float64 (n_samples,)
        Derivative of the log likelihood by the linear predictor of each sample; orthogonal to
        intercept and covariates. NaN where the model does not converge.

    Raises
    ------
    InputError
        If there is one class only.
    """
    values = np.asarray(y, dtype=np.float64)
    basis = covariate_basis(covariates, len(values))[:, 1:] * np.sqrt(len(values))
    fit = ordinal_logit(values, basis)
    if not fit.converged:
        return np.full(len(values), np.nan)
    code = np.unique(values, return_inverse=True)[1]
    upper, lower = _edges(fit.thresholds, code, basis @ fit.coef)
    return np.asarray(1.0 - special.expit(upper) - special.expit(lower))


def _edges(thresholds: Array, code: NDArray[np.int64], eta: Array) -> tuple[Array, Array]:
    padded = np.concatenate([[-np.inf], thresholds, [np.inf]])
    return padded[code + 1] - eta, padded[code] - eta


def _likelihood(
    theta: Array, code: NDArray[np.int64], x: Array, cuts: int
) -> tuple[float, Array, Array]:
    """Log likelihood, score and observed information at (thresholds, coef)."""
    thresholds = theta[:cuts]
    size = len(theta)
    if np.any(np.diff(thresholds) <= 0):
        return -np.inf, np.zeros(size), np.eye(size)
    upper, lower = _edges(thresholds, code, x @ theta[cuts:])
    # P = F(upper) - F(lower), from the side on which no digits are lost.
    flip = lower > 0
    top = special.expit(np.where(flip, -lower, upper))
    low = special.expit(np.where(flip, -upper, lower))
    mass = np.maximum(top - low, 1e-300)
    f_up, f_low = _density(upper), _density(lower)
    g_up, g_low = _slope(upper, f_up), _slope(lower, f_low)
    # Jacobians of both edges by theta: one-hot thresholds, minus x.
    jac_up, jac_low = np.zeros((len(code), size)), np.zeros((len(code), size))
    rows = np.arange(len(code))
    has_up, has_low = code < cuts, code > 0
    jac_up[rows[has_up], code[has_up]] = 1.0
    jac_low[rows[has_low], code[has_low] - 1] = 1.0
    jac_up[:, cuts:], jac_low[:, cuts:] = -x, -x
    slope = (f_up[:, None] * jac_up - f_low[:, None] * jac_low) / mass[:, None]
    curve = (jac_up * (g_up / mass)[:, None]).T @ jac_up
    curve -= (jac_low * (g_low / mass)[:, None]).T @ jac_low
    return float(np.sum(np.log(mass))), slope.sum(axis=0), slope.T @ slope - curve


def _density(edge: Array) -> Array:
    p = special.expit(edge)
    return np.asarray(p * special.expit(-edge))


def _slope(edge: Array, density: Array) -> Array:
    return np.asarray(density * (special.expit(-edge) - special.expit(edge)))
