"""Logistic mixed model with one random effect, by penalised quasi-likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FitError, InputError
from radgen.stats.logistic_scan import fit_null, sigmoid

__all__ = ["MixedLogistic", "mixed_logistic"]

Array = NDArray[np.float64]
_STEPS = 200
_TOLERANCE = 1e-9
_KEPT = 2
"""Earlier points that the next one is told from."""
_NOTHING = 1e-8
"""Variance of the random effect below which it is held to be 0."""


@dataclass(frozen=True, eq=False, slots=True)
class MixedLogistic:
    """Model logit P(y = 1) = X b + offset + u, var u = tau K.

    Attributes
    ----------
    y : ndarray of float64 (n_samples,)
        0 or 1.
    x : ndarray of float64 (n_samples, n_columns)
        Intercept and covariates, of full column rank.
    kinship : ndarray of float64 (n_samples, n_samples)
        K.
    tau : float
        Variance of the random effect per unit of K; 0 = no likeness of relatives was found.
    beta : ndarray of float64 (n_columns,)
        Coefficients.
    mu : ndarray of float64 (n_samples,)
        Fitted probabilities, with the random effects.
    slope : float
        Derivative of the restricted quasi-likelihood in tau; 0 within rounding unless tau is 0.
    """

    y: Array
    x: Array
    kinship: Array
    tau: float
    beta: Array
    mu: Array
    slope: float

    def covariance(self) -> Array:
        """Return V = diag(1 / (mu (1 - mu))) + tau K of the working trait."""
        return _covariance(self.mu, self.tau, self.kinship)

    def root(self) -> Array:
        """Return a lower triangle whose product root'root is the inverse of `covariance`."""
        from scipy.linalg import cholesky, solve_triangular

        lower = cholesky(self.covariance(), lower=True)
        return np.asarray(solve_triangular(lower, np.eye(len(lower)), lower=True))


def mixed_logistic(
    y: Array, x: Array, kinship: Array, offset: Array | None = None
) -> MixedLogistic:
    """Return the fit of a binary trait of related samples by penalised quasi-likelihood.

    Parameters
    ----------
    y : ndarray of float64 (n_samples,)
        0 or 1.
    x : ndarray of float64 (n_samples, n_columns)
        Intercept and covariates, of full column rank.
    kinship : ndarray of float64 (n_samples, n_samples)
        Symmetric, positive semi-definite.
    offset : ndarray of float64 (n_samples,) or None
        Known part of the linear predictor.

    Raises
    ------
    InputError
        If the shapes disagree.
    FitError
        If the covariates separate the classes, or the iterations do not settle.

    Notes
    -----
    Breslow & Clayton's working trait is fitted by REML with dispersion 1, tau by steps of the
    average information, one a working trait. The estimate of tau is known to be too small in
    binary traits; score tests that rest on it keep their level (Chen et al.). The time grows
    with the cube of the samples.

    References
    ----------
    Breslow & Clayton (1993), doi:10.1080/01621459.1993.10594284; Chen et al. (2016),
    doi:10.1016/j.ajhg.2016.02.012.
    """
    n = len(y)
    if kinship.shape != (n, n) or len(x) != n:
        raise InputError(f"y has {n} samples, x {len(x)}, kinship {kinship.shape}.")
    known = np.zeros(n) if offset is None else offset
    start = fit_null(y, x, known)
    point = np.append(x @ start.beta + known, 0.0)  # the predictor, and tau
    past: list[tuple[Array, Array]] = []
    for _ in range(_STEPS):
        eta, tau = point[:-1], float(point[-1])
        fit = _solve(y, x, kinship, (eta, known), tau)
        move = np.append(fit.eta, fit.next_tau) - point
        if np.abs(move).max() <= _TOLERANCE * (1.0 + np.abs(point).max()):
            return MixedLogistic(y, x, kinship, tau, fit.beta, sigmoid(fit.eta), fit.slope)
        past = [*past[-_KEPT:], (point, move)]
        point = _ahead(past)
    raise FitError(
        "The logistic mixed model does not settle. Use a two-step ridge (loco) in place of the "
        "kinship, or leave out covariates that nearly separate the classes.",
        diagnostics={"tau": float(point[-1]), "n_samples": n, "n_cases": int(y.sum())},
    )


def _ahead(past: list[tuple[Array, Array]]) -> Array:
    """Return the next point: where moves, linear in the points, would end (Anderson mixing).

    Plain steps swing about the solution and come a fifth nearer each time.
    """
    point, move = past[-1]
    plain = np.asarray(point + move)
    if len(past) <= 1 or past[0][0][-1] <= 0.0:
        return plain
    points = np.diff([one for one, _ in past], axis=0).T
    moves = np.diff([one for _, one in past], axis=0).T
    share = np.linalg.lstsq(moves, move, rcond=1e-10)[0]
    mixed = np.asarray(plain - (points + moves) @ share)
    return mixed if mixed[-1] > 0.0 else plain


@dataclass(frozen=True, eq=False, slots=True)
class _Step:
    eta: Array
    beta: Array
    slope: float
    next_tau: float


def _covariance(mu: Array, tau: float, kinship: Array) -> Array:
    v = tau * kinship
    v[np.diag_indices(len(v))] += 1.0 / np.maximum(mu * (1.0 - mu), 1e-12)
    return v


def _inverse(v: Array) -> Array:
    """Return the inverse of a positive definite matrix, a third of the work of a solution."""
    from scipy.linalg import cholesky, lapack

    half, failed = lapack.dpotri(cholesky(v, lower=True), lower=1)
    assert failed == 0
    return np.asarray(half + np.tril(half, -1).T)


def _solve(y: Array, x: Array, kinship: Array, at: tuple[Array, Array], tau: float) -> _Step:
    """Return predictor and coefficients of the working trait, and the next tau.

    `at` holds the predictor so far and its known part.
    """
    eta, known = at
    mu = sigmoid(eta)
    working = eta - known + (y - mu) / np.maximum(mu * (1.0 - mu), 1e-12)
    inverse = _inverse(_covariance(mu, tau, kinship))
    vx = inverse @ x
    small = np.linalg.inv(x.T @ vx)

    def project(columns: Array) -> Array:
        return np.asarray(inverse @ columns - vx @ (small @ (vx.T @ columns)))

    beta = small @ (vx.T @ working)
    py = project(working)
    kpy = kinship @ py
    trace = float((inverse * kinship).sum() - np.einsum("ij,ij->", small, vx.T @ kinship @ vx))
    slope = 0.5 * (float(py @ kpy) - trace)
    information = 0.5 * float(kpy @ project(kpy))
    return _Step(x @ beta + tau * kpy + known, beta, slope, _next(tau, slope, information))


def _next(tau: float, slope: float, information: float) -> float:
    """Return tau after a step of the average information, halved where it would turn negative."""
    if (tau <= 0.0 and slope <= 0.0) or information <= 0.0:
        return tau
    new = tau + slope / information
    if new > 0.0:
        return new
    return 0.5 * tau if tau > _NOTHING else 0.0
