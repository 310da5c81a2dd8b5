"""Saddle-point approximation of the score statistic of binary outcomes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["saddle_log10p"]

Array = NDArray[np.float64]
_STEPS = 60


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
    log10p : ndarray of float64 (n_variants,)
        P(S >= |score|) + P(S <= -|score|) by the Lugannani-Rice formula.
    converged : ndarray of bool (n_variants,)
        False where a saddle point was not found (a score at the edge of its range).

    Notes
    -----
    K(t) = sum log(1 - mu + mu exp(g t)) - t sum(g mu). With K'(t) = s, w = sign(t)
    sqrt(2 (t s - K(t))) and v = t sqrt(K''(t)), P(S >= s) = 1 - Phi(w + log(v / w) / w).

    References
    ----------
    Dey et al. (2017), doi:10.1016/j.ajhg.2017.05.014; Lugannani & Rice (1980).
    """
    logit = special.logit(np.clip(mu, 1e-12, 1.0 - 1e-12))
    size = np.abs(score)
    upper, good_upper = _tail(size, g, mu, logit)
    lower, good_lower = _tail(size, -g, mu, logit)
    return np.logaddexp(upper, lower) / np.log(10.0), good_upper & good_lower


def _tail(score: Array, g: Array, mu: Array, logit: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return log P(sum g (y - mu) >= score) for scores above 0."""
    root, inside = _root(score, g, mu, logit)
    eta = logit + g * root[:, None]
    fitted = special.expit(eta)
    k0 = (np.logaddexp(0.0, eta) - np.logaddexp(0.0, logit)).sum(axis=1) - root * (g @ mu)
    k2 = np.einsum("mn,mn->m", g * g, fitted * (1.0 - fitted))
    w = np.sqrt(np.maximum(2.0 * (root * score - k0), 0.0))
    v = root * np.sqrt(k2)
    good = inside & (w > 1e-6) & (v > 0)
    w, v = np.where(good, w, 1.0), np.where(good, v, 1.0)
    return np.where(good, special.log_ndtr(-(w + np.log(v / w) / w)), -np.inf), good


def _root(score: Array, g: Array, mu: Array, logit: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return t with K'(t) = score, by Newton steps kept inside a bracket."""
    centre = g @ mu
    most = np.where(g > 0, g, 0.0).sum(axis=1) - centre
    inside = score < most * (1.0 - 1e-9)
    variance = (g * g) @ (mu * (1.0 - mu))
    t = np.where(inside, score / np.maximum(variance, 1e-300), 0.0)
    low, high = np.zeros(len(t)), np.full(len(t), np.inf)
    active = np.flatnonzero(inside & (variance > 0))
    for _ in range(_STEPS):
        if not len(active):
            break
        now = t[active]
        fitted = special.expit(logit + g[active] * now[:, None])
        slope = np.einsum("mn,mn->m", g[active], fitted) - centre[active] - score[active]
        curve = np.einsum("mn,mn->m", g[active] * g[active], fitted * (1.0 - fitted))
        high[active] = np.where(slope > 0, now, high[active])
        low[active] = np.where(slope > 0, low[active], now)
        move = now - slope / np.maximum(curve, 1e-300)
        top = high[active]
        middle = np.where(np.isfinite(top), 0.5 * (low[active] + top), 2.0 * now + 1e-3)
        move = np.where((move > low[active]) & (move < top), move, middle)
        t[active] = move
        active = active[np.abs(move - now) > 1e-10 * np.maximum(np.abs(move), 1e-8)]
    inside[active] = False
    return t, inside
