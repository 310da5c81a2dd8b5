"""Saddle-point approximation of score statistics."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from radgen._native._saddle import tails as _tails

__all__ = ["ResidualLaw", "saddle_log10p", "saddle_scores"]

Array = NDArray[np.float64]
_ORDERS = 14
_REACH = 0.5


@dataclass(frozen=True, eq=False, slots=True)
class ResidualLaw:
    """Distribution of the residual of each sample where the variant has no effect.

    Attributes
    ----------
    values : ndarray of float64 (n_samples, n_values)
        What the residual can be, with mean 0; or, of event counts, (n_samples, 1) their mean.
    chances : ndarray of float64 (n_samples, n_values) or None
        How likely each value is; None = event counts, Poisson less their mean.
    cumulants : ndarray of float64 (13, n_samples)
        Cumulants of order 2 to 14.
    reach : float
        Up to which |g t| their series serves.
    """

    values: Array
    chances: Array | None
    cumulants: Array
    reach: float

    @classmethod
    def binary(cls, mu: Array) -> ResidualLaw:
        """Return the law of y - mu, y Bernoulli(mu), mu float64 (n_samples,)."""
        clipped = np.clip(mu, 1e-12, 1.0 - 1e-12)
        values = np.column_stack([-clipped, 1.0 - clipped])
        return cls.finite(values, np.column_stack([1.0 - clipped, clipped]))

    @classmethod
    def finite(cls, values: Array, chances: Array) -> ResidualLaw:
        """Return the law of residuals with few values (n_samples, n_values), of mean 0."""
        x, p = np.ascontiguousarray(values), np.ascontiguousarray(chances)
        # The series of log E exp(x r) converges for |x| < pi / (largest r - smallest r).
        width = float(np.ptp(x, axis=1).max(initial=1e-300))
        return cls(x, p, _cumulants(x, p), _REACH / width)

    @classmethod
    def events(cls, mean: Array) -> ResidualLaw:
        """Return the law of martingale residuals: counts less their mean float64 (n_samples,)."""
        rate = np.ascontiguousarray(mean, np.float64)
        return cls(rate[:, None], None, np.tile(rate, (_ORDERS - 1, 1)), _REACH)


def _cumulants(values: Array, chances: Array) -> Array:
    """Return cumulants of order 2 to 14 (13, n_samples), from moments about the mean."""
    moments = [np.ones(len(values)), np.zeros(len(values))]
    power = values.copy()
    for _ in range(2, _ORDERS + 1):
        power *= values
        moments.append((power * chances).sum(axis=1))
    out = [np.zeros(len(values))] * 2
    for order in range(2, _ORDERS + 1):
        rest = [comb(order - 1, k - 1) * out[k] * moments[order - k] for k in range(2, order)]
        out.append(moments[order] - np.sum(rest, axis=0))
    return np.ascontiguousarray(np.stack(out[2:]))


def saddle_scores(
    score: Array, g: Array, law: ResidualLaw
) -> tuple[Array, NDArray[np.bool_], Array]:
    """Return log10 of the two-sided p of scores sum(g * residual).

    Parameters
    ----------
    score : ndarray of float64 (n_variants,)
        Observed scores.
    g : ndarray of float64 (n_variants, n_samples)
        Genotypes with the covariates projected out; 0 for a sample that is not used.
    law : ResidualLaw
        Of the residuals, which are independent.

    Returns
    -------
    log10p : ndarray of float64 (n_variants,)
        P(S >= |score|) + P(S <= -|score|) by the Lugannani-Rice formula.
    converged : ndarray of bool (n_variants,)
        False where a saddle point was not found (a score at the edge of its range).
    variance : ndarray of float64 (n_variants,)
        Of the scores.

    Notes
    -----
    K(t) = sum k_i(g_i t), k_i the cumulant generating function of a residual. With K'(t) = s,
    w = sign(t) sqrt(2 (t s - K(t))) and v = t sqrt(K''(t)), P(S >= s) = 1 - Phi(w + log(v / w)
    / w). k_i is its series of cumulants of order 2 to 14 where |g_i t| times the range of the
    residual is at most 0.5, which leaves out less than 2e-13 a sample.

    References
    ----------
    Dey et al. (2017), doi:10.1016/j.ajhg.2017.05.014; Lugannani & Rice (1980).
    """
    from scipy import special

    found = np.empty((len(score), 5))
    good = np.empty(len(score), np.uint8)
    scores = np.ascontiguousarray(score, np.float64)
    rows = np.ascontiguousarray(g, np.float64)
    _tails(scores, rows, law.cumulants, law.values, law.chances, law.reach, found, good)
    w, v = found[:, [0, 2]], found[:, [1, 3]]
    past = np.isinf(w)
    w[past] = 1.0
    halves = np.where(past, -np.inf, special.log_ndtr(-(w + np.log(v / w) / w)))
    log10p = np.logaddexp(halves[:, 0], halves[:, 1]) / np.log(10.0)
    return log10p, good.astype(bool), found[:, 4]


def saddle_log10p(score: Array, g: Array, mu: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return log10 of the two-sided p of scores sum(g * (y - mu)), y Bernoulli(mu).

    Parameters
    ----------
    score : ndarray of float64 (n_variants,)
        Observed scores.
    g : ndarray of float64 (n_variants, n_samples)
        Genotypes with the covariates projected out; 0 for a sample that is not used.
    mu : ndarray of float64 (n_samples,)
        Fitted probabilities without the variant.

    Returns
    -------
    log10p, converged
        As of `saddle_scores`.
    """
    log10p, good, _ = saddle_scores(score, g, ResidualLaw.binary(mu))
    return log10p, good
