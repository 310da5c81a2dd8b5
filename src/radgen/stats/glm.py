"""Logistic regression by maximum likelihood, and score tests with a t reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from radgen.errors import InputError
from radgen.stats.linear import LinearFit, covariate_basis, regress
from radgen.stats.tail import chi2_log10p, normal_log10p

__all__ = [
    "GlmFit",
    "full_rank",
    "likelihood_ratio_log10p",
    "logistic",
    "logistic_residuals",
    "score_scan",
]

Array = NDArray[np.float64]

_MAX_STEPS = 100
_SCORE_TOLERANCE = 1e-9
_MAX_ETA = 30.0
_FAR = 1e-3


@dataclass(frozen=True, eq=False, slots=True)
class GlmFit:
    """A fitted generalised linear model.

    Attributes
    ----------
    coef : ndarray of float64 (n_columns,)
        Coefficients of the design as given.
    cov : ndarray of float64 (n_columns, n_columns)
        Inverse of the information.
    log_likelihood : float
        At the estimate (penalised where the model is).
    converged : bool
        False where the steps ran out; the estimate is then not to be used.
    separated : bool
        True where fitted probabilities reach 0 or 1: estimates are infinite.
    """

    coef: Array
    cov: Array
    log_likelihood: float
    converged: bool
    separated: bool

    @property
    def se(self) -> Array:
        """Standard errors, (n_columns,)."""
        return np.sqrt(np.diag(self.cov))

    def wald_log10p(self) -> Array:
        """Return log10 p of the Wald test of each coefficient, (n_columns,)."""
        return normal_log10p(self.coef / self.se)


def full_rank(design: Array) -> NDArray[np.bool_]:
    """Return which columns to keep so that the design has full rank; earlier ones stay.

    Parameters
    ----------
    design : ndarray of float64 (n_samples, n_columns)
        Finite.

    Returns
    -------
    ndarray of bool (n_columns,)
        Columns that no combination of the columns before them equals.
    """
    keep = np.zeros(design.shape[1], dtype=bool)
    basis = np.zeros((len(design), 0))
    for column in range(design.shape[1]):
        value = design[:, column]
        norm = float(np.linalg.norm(value))
        if norm == 0:
            continue
        left = value / norm
        left = left - basis @ (basis.T @ left)
        left = left - basis @ (basis.T @ left)
        size = float(np.linalg.norm(left))
        if size > 1e-8:
            keep[column] = True
            basis = np.column_stack([basis, left / size])
    return keep


def logistic(y: ArrayLike, design: ArrayLike) -> GlmFit:
    """Return the maximum-likelihood logistic regression.

    Parameters
    ----------
    y : array_like of float64 (n_samples,)
        0 or 1, no missing values.
    design : array_like of float64 (n_samples, n_columns)
        With its intercept column, of full rank.

    Returns
    -------
    GlmFit
        ``separated`` is True where the maximum lies at infinity.

    Raises
    ------
    InputError
        If `y` is not 0/1 or the sizes differ.

    Notes
    -----
    Newton steps with halving; converged where the largest score, in units of its standard
    error, is below 1e-9.

    Examples
    --------
    >>> fit = logistic([0, 1, 0, 1, 1, 0], np.c_[np.ones(6), [0, 0, 1, 1, 1, 0]])
    >>> fit.coef.round(4).tolist()
    [-0.6931, 1.3863]
    """
    target, x = _checked(y, design)
    coef = np.zeros(x.shape[1])
    value = _log_likelihood(target, x @ coef)
    converged = separated = False
    info = np.eye(x.shape[1])
    for _ in range(_MAX_STEPS):
        eta = x @ coef
        mean = special.expit(eta)
        weight = mean * (1 - mean)
        info = (x * weight[:, None]).T @ x
        score = x.T @ (target - mean)
        spread = np.sqrt(np.maximum(np.diag(info), 1e-300))
        step = _solve(info, score)
        if np.max(np.abs(score) / spread) < _SCORE_TOLERANCE:
            # Without a slope, and yet far from the maximum: it lies at infinity.
            far = np.inf if step is None else float(np.max(np.abs(x @ step)))
            separated = far > _FAR
            converged = not separated
            break
        if step is None or (np.max(np.abs(eta)) > _MAX_ETA and value > -1e-6 * len(target)):
            separated = True
            break
        coef, value = _halved(target, x, coef, step, value)
    else:
        separated = bool(np.max(np.abs(x @ coef)) > _MAX_ETA)
    separated = separated or _is_separated(target, x, coef)
    cov = _inverse(info)
    return GlmFit(coef, cov, value, converged and not separated, separated)


def likelihood_ratio_log10p(full: GlmFit, reduced: GlmFit, df: int = 1) -> float:
    """Return log10 p of the likelihood-ratio test of two nested fits.

    Parameters
    ----------
    full, reduced : GlmFit
        The larger and the smaller model on the same samples.
    df : int, default 1
        Difference of their numbers of coefficients.

    Returns
    -------
    float
        From chi-square; liberal where there are few events per coefficient.
    """
    statistic = max(2 * (full.log_likelihood - reduced.log_likelihood), 0.0)
    return float(chi2_log10p(statistic, df))


def logistic_residuals(y: ArrayLike, covariates: ArrayLike | None = None) -> Array:
    """Return y minus its fitted probability on the covariates alone.

    Parameters
    ----------
    y : array_like of float64 (n_samples,)
        0 or 1, no missing values.
    covariates : array_like of float64 (n_samples, n_covariates) or None
        Finite; no intercept needed, rank is computed.

    Returns
    -------
    ndarray of float64 (n_samples,)
        Orthogonal to intercept and covariates. Where the covariates separate the classes,
        Firth's estimate gives the probabilities.

    Raises
    ------
    InputError
        If `y` is not 0/1 or the sizes differ.
    """
    target = np.asarray(y, dtype=np.float64)
    basis = covariate_basis(covariates, len(target)) * np.sqrt(len(target))
    fit = logistic(target, basis)
    if not fit.converged:
        from radgen.stats.firth import firth

        fit = firth(target, basis)
    return np.asarray(target - special.expit(basis @ fit.coef))


def score_scan(
    residuals: ArrayLike, predictors: ArrayLike, covariates: ArrayLike | None = None
) -> LinearFit:
    """Return score tests of many predictors from the residuals of a null model.

    Parameters
    ----------
    residuals : array_like of float64 (n_samples, n_traits)
        Score residuals of models with the covariates alone (`logistic_residuals`, say);
        NaN = missing.
    predictors : array_like of float64 (n_samples, n_predictors)
        NaN = missing.
    covariates : array_like of float64 (n_samples, n_covariates) or None
        The covariates of the null model.

    Returns
    -------
    LinearFit
        ``t`` is the score statistic, ``log10p`` its tail on n - rank - 1 degrees of freedom.

    Notes
    -----
    The score of a predictor x is the inner product of x and the residuals r. Given outcome and
    covariates, and x independent of the outcome with normal errors around a linear function of
    the covariates, x'r / (s |r|) is exactly Student's t, where s is the residual standard
    deviation of x given covariates and r. Hence the test keeps its level at any n, where Wald
    and likelihood-ratio tests with several covariates and few events do not.
    """
    return regress(residuals, predictors, covariates)


def _checked(y: ArrayLike, design: ArrayLike) -> tuple[Array, Array]:
    target = np.asarray(y, dtype=np.float64)
    x = np.asarray(design, dtype=np.float64)
    if target.ndim != 1 or x.ndim != 2 or len(x) != len(target):
        raise InputError(f"y {target.shape} and design {x.shape} do not fit together.")
    if not np.isin(target, (0, 1)).all():
        raise InputError("A logistic outcome is 0 or 1, without missing values.")
    return target, x


def _log_likelihood(target: Array, eta: Array) -> float:
    return float(np.sum(target * eta - np.logaddexp(0.0, eta)))


def _halved(target: Array, x: Array, coef: Array, step: Array, value: float) -> tuple[Array, float]:
    for _ in range(30):
        new = coef + step
        found = _log_likelihood(target, x @ new)
        if found >= value - 1e-12 * abs(value):
            return new, found
        step = step / 2
    return coef, value


def _solve(matrix: Array, vector: Array) -> Array | None:
    try:
        step = np.linalg.solve(matrix, vector)
    except np.linalg.LinAlgError:
        return None
    return np.asarray(step) if np.isfinite(step).all() else None


def _inverse(matrix: Array) -> Array:
    try:
        return np.asarray(np.linalg.inv(matrix))
    except np.linalg.LinAlgError:
        return np.full(matrix.shape, np.nan)


def _is_separated(target: Array, x: Array, coef: Array) -> bool:
    """Whether the direction of the estimate classifies without error, some samples strictly."""
    eta = x @ coef
    if np.max(np.abs(eta), initial=0.0) < 15.0:
        return False
    sign = np.where(target == 1, 1.0, -1.0)
    return bool(np.all(sign * eta > -1e-6)) or bool(np.max(np.abs(eta)) > _MAX_ETA)
