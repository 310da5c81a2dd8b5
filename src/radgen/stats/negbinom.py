"""Negative-binomial regression of counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from radgen.errors import InputError
from radgen.stats.linear import covariate_basis

__all__ = ["NegbinomFit", "negbinom", "negbinom_residuals"]

Array = NDArray[np.float64]

_MAX_STEPS = 200
_MOST_SIZE = 1e8
_LEAST_SIZE = 1e-6
_LARGE_SIZE = 1e5


@dataclass(frozen=True, eq=False, slots=True)
class NegbinomFit:
    """A fitted model with variance mu + dispersion mu**2 and log link.

    Attributes
    ----------
    coef : ndarray of float64 (n_columns,)
        Log ratios of the mean.
    cov : ndarray of float64 (n_columns, n_columns)
        Inverse expected information at the estimated dispersion (as R MASS).
    dispersion : float
        At most 1e6; 0 where the counts vary no more than Poisson's.
    log_likelihood : float
        At the estimate.
    mean : ndarray of float64 (n_samples,)
        Fitted means.
    converged : bool
        False where the steps ran out.
    """

    coef: Array
    cov: Array
    dispersion: float
    log_likelihood: float
    mean: Array
    converged: bool

    @property
    def se(self) -> Array:
        """Standard errors, (n_columns,)."""
        return np.sqrt(np.diag(self.cov))


def negbinom(y: ArrayLike, design: ArrayLike, *, offset: ArrayLike | None = None) -> NegbinomFit:
    """Return the negative-binomial regression with maximum-likelihood dispersion.

    Parameters
    ----------
    y : array_like of float64 (n_samples,)
        Counts, 0 or more, not all 0.
    design : array_like of float64 (n_samples, n_columns)
        With its intercept column, of full rank.
    offset : array_like of float64 (n_samples,) or None
        Added to the log mean: the log of the size factors.

    Returns
    -------
    NegbinomFit
        Estimates by alternating Fisher scoring of the coefficients and Newton steps of the
        dispersion.

    Raises
    ------
    InputError
        If a count is negative or missing, all are 0, or the sizes differ.

    References
    ----------
    Lawless (1987), Can. J. Statist. 15, 209-225.

    Examples
    --------
    >>> fit = negbinom([2, 9, 4, 1], np.ones((4, 1)))
    >>> float(np.exp(fit.coef[0]).round(6))
    4.0
    """
    counts = np.asarray(y, dtype=np.float64)
    x = np.asarray(design, dtype=np.float64)
    shift = np.zeros(len(counts)) if offset is None else np.asarray(offset, dtype=np.float64)
    if counts.ndim != 1 or x.ndim != 2 or not len(counts) == len(x) == len(shift):
        raise InputError(f"y {counts.shape}, design {x.shape}, offset {shift.shape} do not fit.")
    if not np.isfinite(counts).all() or (counts < 0).any() or not counts.any():
        raise InputError("Counts are 0 or more, none missing, and not all of them 0.")
    start = np.linalg.lstsq(x, np.log(np.maximum(counts, 0.5)) - shift, rcond=None)[0]
    coef: Array = np.asarray(start, dtype=np.float64)
    size = _moment_size(counts, np.exp(np.clip(x @ coef + shift, -30, 30)))
    value = -np.inf
    converged = False
    for _ in range(_MAX_STEPS):
        coef = _scoring(counts, x, shift, coef, size)
        mean = np.exp(np.clip(x @ coef + shift, -30, 30))
        size = _newton_size(counts, mean, size)
        # Beyond, the likelihood hardly depends on the size, and loses its digits: Poisson's.
        size = _MOST_SIZE if size > _LARGE_SIZE * max(1.0, float(mean.max())) else size
        found = _log_likelihood(counts, mean, size)
        if abs(found - value) < 1e-12 * max(1.0, abs(found)):
            converged = True
            break
        value = found
    coef = _scoring(counts, x, shift, coef, size)
    mean = np.exp(np.clip(x @ coef + shift, -30, 30))
    weight = mean / (1 + mean / size)
    cov = np.linalg.pinv((x * weight[:, None]).T @ x)
    dispersion = 0.0 if size >= _MOST_SIZE else 1 / size
    return NegbinomFit(
        coef, np.asarray(cov), dispersion, _log_likelihood(counts, mean, size), mean, converged
    )


def negbinom_residuals(
    y: ArrayLike, covariates: ArrayLike | None = None, *, offset: ArrayLike | None = None
) -> Array:
    """Return the score residuals (y - mu)/(1 + dispersion mu) given the covariates alone.

    Parameters
    ----------
    y : array_like of float64 (n_samples,)
        Counts.
    covariates : array_like of float64 (n_samples, n_covariates) or None
        Finite; rank is computed.
    offset : array_like of float64 (n_samples,) or None
        Log size factors.

    Returns
    -------
    ndarray of float64 (n_samples,)
        Orthogonal to intercept and covariates; NaN where the model does not converge.

    Raises
    ------
    InputError
        If the counts are broken or all 0.
    """
    counts = np.asarray(y, dtype=np.float64)
    basis = covariate_basis(covariates, len(counts)) * np.sqrt(len(counts))
    fit = negbinom(counts, basis, offset=offset)
    if not fit.converged:
        return np.full(len(counts), np.nan)
    return np.asarray((counts - fit.mean) / (1 + fit.dispersion * fit.mean))


def _scoring(counts: Array, x: Array, shift: Array, coef: Array, size: float) -> Array:
    eta = np.clip(x @ coef + shift, -30, 30)
    value = _log_likelihood(counts, np.exp(eta), size)
    for _ in range(50):
        mean = np.exp(eta)
        weight = mean / (1 + mean / size)
        score = x.T @ ((counts - mean) / (1 + mean / size))
        step = np.linalg.lstsq((x * weight[:, None]).T @ x, score, rcond=None)[0]
        if float(score @ step) < 1e-18 * max(1.0, abs(value)):
            break
        for _half in range(30):
            new = np.clip(x @ (coef + step) + shift, -30, 30)
            found = _log_likelihood(counts, np.exp(new), size)
            if found >= value - 1e-13 * abs(value):
                break
            step = step / 2
        else:
            break
        coef, eta, value = coef + step, new, found
    return np.asarray(coef)


def _newton_size(counts: Array, mean: Array, size: float) -> float:
    """Maximise over log size by Newton steps, from the last size."""
    at = np.log(size)
    for _ in range(100):
        r = np.exp(at)
        total = r + mean
        slope = float(
            np.sum(
                special.digamma(counts + r)
                - special.digamma(r)
                + np.log(r / total)
                + 1
                - (counts + r) / total
            )
        )
        curve = float(
            np.sum(
                special.polygamma(1, counts + r)
                - special.polygamma(1, r)
                + 1 / r
                - 2 / total
                + (counts + r) / total**2
            )
        )
        gradient, hessian = r * slope, r * slope + r * r * curve
        step = -gradient / hessian if hessian < 0 else np.sign(gradient)
        step = float(np.clip(step, -2.0, 2.0))
        at = float(np.clip(at + step, np.log(_LEAST_SIZE), np.log(_MOST_SIZE)))
        if abs(step) < 1e-10 or at == np.log(_MOST_SIZE):
            break
    return float(np.exp(at))


def _moment_size(counts: Array, mean: Array) -> float:
    excess = float(np.sum((counts - mean) ** 2 - mean)) / float(np.sum(mean**2))
    return float(np.clip(1 / max(excess, 1e-3), 1e-2, 1e3))


def _log_likelihood(counts: Array, mean: Array, size: float) -> float:
    if size >= _MOST_SIZE:
        return float(np.sum(special.xlogy(counts, mean) - mean - special.gammaln(counts + 1)))
    # log(size/(size + mean)) by log1p: the size is large where the counts are Poisson.
    parts = (
        special.gammaln(counts + size)
        - special.gammaln(size)
        - special.gammaln(counts + 1)
        - size * np.log1p(mean / size)
        + special.xlogy(counts, mean / (size + mean))
    )
    return float(np.sum(parts))
