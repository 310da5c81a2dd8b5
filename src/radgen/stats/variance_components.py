"""Normal models whose covariance is a sum of known matrices times unknown components."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FitError, InputError

__all__ = ["Blocks", "ComponentFit", "fit_components"]

Array = NDArray[np.float64]
_STEPS = 200


@dataclass(frozen=True, eq=False, slots=True)
class Blocks:
    """Independent groups of the same size: families, pairs, or one group of everybody.

    Attributes
    ----------
    y : ndarray of float64 (n_blocks, size)
        The trait.
    x : ndarray of float64 (n_blocks, size, n_columns)
        Intercept and covariates.
    k : ndarray of float64 (n_components, n_blocks, size, size)
        Covariance of each component, symmetric.
    """

    y: Array
    x: Array
    k: Array


@dataclass(frozen=True, eq=False, slots=True)
class ComponentFit:
    """Fitted components.

    Attributes
    ----------
    theta : ndarray of float64 (n_components,)
        Variances and covariances.
    covariance : ndarray of float64 (n_components, n_components)
        Inverse of the average of observed and expected information; 0 for components held, or
        that ended, at 0.
    beta, beta_covariance : ndarray of float64
        Coefficients of `x` and their covariance.
    log_likelihood : float
        Full or restricted, with all constants.
    """

    theta: Array
    covariance: Array
    beta: Array
    beta_covariance: Array
    log_likelihood: float


@dataclass(frozen=True, eq=False, slots=True)
class _State:
    value: float
    score: Array
    information: Array
    beta: Array
    beta_covariance: Array


def fit_components(
    blocks: Sequence[Blocks],
    *,
    bounded: Sequence[bool],
    restricted: bool = True,
    held: Sequence[bool] | None = None,
    start: Sequence[float] | None = None,
) -> ComponentFit:
    """Return the (restricted) maximum-likelihood components.

    Parameters
    ----------
    blocks : sequence of Blocks
        Groups by size; all share the columns of `x` and the order of the components.
    bounded : sequence of bool (n_components,)
        True = a variance, at least 0; False = a covariance.
    restricted : bool, default True
        REML; False = maximum likelihood.
    held : sequence of bool or None
        True = the component stays at 0.
    start : sequence of float or None
        Where the search begins; None = the variance in equal parts, covariances 0.

    Returns
    -------
    ComponentFit

    Raises
    ------
    InputError
        If the numbers of components differ or there are too few samples.
    FitError
        If the iterations do not settle.

    Notes
    -----
    Newton's steps with the average information, halved where the likelihood would fall or the
    covariance would not be positive definite. A variance that runs into 0 stays there as long
    as the slope points down.

    References
    ----------
    Gilmour, Thompson & Cullis (1995), doi:10.2307/2533274.
    """
    limit = np.asarray(bounded, bool)
    q = len(limit)
    fixed = np.zeros(q, bool) if held is None else np.asarray(held, bool)
    if any(len(part.k) != q for part in blocks) or len(fixed) != q:
        raise InputError(f"There are {q} components by `bounded`, another number of matrices.")
    total = _residual_variance(blocks)
    theta = np.where(limit & ~fixed, total / max(int((limit & ~fixed).sum()), 1), 0.0)
    if start is not None:
        theta = np.where(fixed, 0.0, np.asarray(start, float))
    now = _evaluate(blocks, theta, restricted)
    if now is None:
        raise FitError("The covariance is not positive definite at the start of the search.")
    at_zero = np.zeros(q, bool)
    for _ in range(_STEPS):
        at_zero &= now.score <= 0
        free = ~fixed & ~at_zero
        step = np.zeros(q)
        part = np.ix_(free, free)
        step[free] = np.linalg.lstsq(now.information[part], now.score[free], rcond=1e-12)[0]
        if float(step @ now.score) < 1e-10:
            return _finish(theta, now, free)
        moved = _move(blocks, theta, step, limit, (now, restricted))
        if moved is None:
            return _finish(theta, now, free)
        theta, now = moved
        at_zero |= limit & (theta == 0.0) & ~fixed
    raise FitError(
        "The variance components do not settle.", diagnostics={"components": theta.tolist()}
    )


def _move(
    blocks: Sequence[Blocks],
    theta: Array,
    step: Array,
    limit: NDArray[np.bool_],
    how: tuple[_State, bool],
) -> tuple[Array, _State] | None:
    """Return the components after the longest step, halved as often as need be, that gains."""
    now, restricted = how
    for _ in range(50):
        new = theta + step
        new[limit] = np.maximum(new[limit], 0.0)
        after = _evaluate(blocks, new, restricted)
        if after is not None and after.value >= now.value - 1e-11 * abs(now.value):
            return new, after
        step = 0.5 * step
    return None


def _finish(theta: Array, state: _State, free: NDArray[np.bool_]) -> ComponentFit:
    covariance = np.zeros((len(theta), len(theta)))
    part = np.ix_(free, free)
    covariance[part] = np.linalg.pinv(state.information[part], rcond=1e-12)
    return ComponentFit(theta, covariance, state.beta, state.beta_covariance, state.value)


def _residual_variance(blocks: Sequence[Blocks]) -> float:
    y = np.concatenate([part.y.ravel() for part in blocks])
    x = np.concatenate([part.x.reshape(-1, part.x.shape[-1]) for part in blocks])
    if len(y) <= x.shape[1]:
        raise InputError(f"{len(y)} values do not suffice for {x.shape[1]} covariates.")
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    variance: float = float(residual @ residual) / (len(y) - x.shape[1])
    if variance <= 1e-14 * float(y @ y) / len(y) or variance == 0.0:
        raise FitError("The covariates explain the trait wholly.", diagnostics={"rss": variance})
    return float(variance)


def _evaluate(blocks: Sequence[Blocks], theta: Array, restricted: bool) -> _State | None:
    """Return likelihood, slope and information; None where the covariance is not definite."""
    p, q = blocks[0].x.shape[-1], len(theta)
    xvx, xvy, xx = np.zeros((p, p)), np.zeros(p), np.zeros((p, p))
    yvy, logs, n = 0.0, 0.0, 0
    inverses = []
    for part in blocks:
        v = np.tensordot(theta, part.k, axes=1)
        try:
            root = np.linalg.cholesky(v)
        except np.linalg.LinAlgError:
            return None
        logs += 2.0 * float(np.log(np.einsum("bii->bi", root)).sum())
        inverse = np.linalg.inv(v)
        vx = inverse @ part.x
        xvx += np.einsum("bsp,bst->pt", part.x, vx)
        xvy += np.einsum("bsp,bs->p", vx, part.y)
        yvy += float(np.einsum("bs,bst,bt->", part.y, inverse, part.y, optimize=True))
        xx += np.einsum("bsp,bst->pt", part.x, part.x)
        n += part.y.size
        inverses.append((inverse, vx))
    back = np.linalg.inv(xvx)
    beta = back @ xvy
    quadratic = yvy - float(beta @ xvy)
    df = n - p if restricted else n
    value = -0.5 * (df * math.log(2 * math.pi) + logs + quadratic)
    if restricted:
        value -= 0.5 * float(np.linalg.slogdet(xvx)[1] - np.linalg.slogdet(xx)[1])
    score = np.zeros(q)
    qvq, xvq = np.zeros((q, q)), np.zeros((p, q))
    for part, (inverse, vx) in zip(blocks, inverses, strict=True):
        py = (inverse @ (part.y - part.x @ beta)[:, :, None])[:, :, 0]
        turned = np.einsum("qbst,bt->bsq", part.k, py, optimize=True)
        score -= 0.5 * np.einsum("qbst,bst->q", part.k, inverse, optimize=True)
        score += 0.5 * np.einsum("bsq,bs->q", turned, py)
        if restricted:
            inner = np.einsum("bsp,qbst,btr->qpr", vx, part.k, vx, optimize=True)
            score += 0.5 * np.einsum("qpr,rp->q", inner, back)
        qvq += np.einsum("bsq,bst,btr->qr", turned, inverse, turned, optimize=True)
        xvq += np.einsum("bsp,bsq->pq", vx, turned)
    information: Array = 0.5 * (qvq - xvq.T @ back @ xvq)
    return _State(value, score, information, beta, np.asarray(back, np.float64))
