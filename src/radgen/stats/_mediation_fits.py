"""The same regression under many weights of the people at once: bootstrap draws as batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["RiskOrder", "batches", "cox_fits", "linear_fits", "logistic_fits", "risk"]

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_CELLS = 4_000_000
_STEPS = 40
_TOLERANCE = 1e-6
_LARGEST = 30.0
_WORST_CONDITION = 1e11


def batches(n_draws: int, cells: int) -> Iterator[int]:
    """Yield sizes of batches so that `cells` numbers a draw stay within a bounded memory."""
    size = max(1, _CELLS // max(cells, 1))
    for start in range(0, n_draws, size):
        yield min(size, n_draws - start)


def linear_fits(design: Array, traits: Array, weights: Array) -> tuple[Array, Array]:
    """Return weighted least squares and the covariance of residuals.

    Parameters
    ----------
    design : ndarray (n, p)
        Standardised, with intercept.
    traits : ndarray (n, k)
        Standardised.
    weights : ndarray (draws, n)
        Counts of people.

    Returns
    -------
    coef : ndarray (draws, p, k)
        NaN where the design of a draw is singular.
    residual : ndarray (draws, k, k)
        Divided by the sum of weights minus p.
    """
    both = np.hstack([design, traits])
    p, q = design.shape[1], both.shape[1]
    rows, columns = np.triu_indices(q)
    sums = weights @ (both[:, rows] * both[:, columns])
    gram = np.empty((len(weights), q, q))
    gram[:, rows, columns] = sums
    gram[:, columns, rows] = sums
    coef = _solved(gram[:, :p, :p], gram[:, :p, p:])
    residual = gram[:, p:, p:] - np.einsum("bpk,bpl->bkl", coef, gram[:, :p, p:])
    return coef, residual / (weights.sum(axis=1) - p)[:, None, None]


def logistic_fits(design: Array, y: Array, weights: Array) -> Array:
    """Return weighted logistic regressions (draws, p); NaN where one does not converge."""
    p = design.shape[1]
    rows, columns = np.triu_indices(p)
    products = design[:, rows] * design[:, columns]
    whole = weights.sum(axis=0)[None, :]
    start = _logistic_newton(design, y, whole, (products, rows, columns), np.zeros((1, p)))
    first = np.where(np.isfinite(start), start, 0.0)
    return _logistic_newton(
        design, y, weights, (products, rows, columns), np.repeat(first, len(weights), axis=0)
    )


def _logistic_newton(
    design: Array, y: Array, weights: Array, upper: tuple[Array, Index, Index], theta: Array
) -> Array:
    products, rows, columns = upper
    p = design.shape[1]
    theta = theta.copy()
    open_ = np.ones(len(weights), bool)
    failed = np.zeros(len(weights), bool)
    for _ in range(_STEPS):
        at = np.flatnonzero(open_)
        if not len(at):
            break
        mean = expit(theta[at] @ design.T)
        w = weights[at]
        sums = (w * mean * (1 - mean)) @ products
        info = np.empty((len(at), p, p))
        info[:, rows, columns] = sums
        info[:, columns, rows] = sums
        score = (w * (y - mean)) @ design
        step = _solved(info, score[:, :, None])[:, :, 0]
        size = np.abs(step).max(axis=1)
        step *= np.minimum(1.0, 4.0 / np.where(size > 0, size, 1.0))[:, None]
        theta[at] += step
        bad = ~np.isfinite(size) | (np.abs(theta[at]).max(axis=1) > _LARGEST)
        failed[at[bad]] = True
        open_[at[bad | (size < _TOLERANCE)]] = False
    theta[failed | open_] = np.nan
    return theta


@dataclass(frozen=True, eq=False, slots=True)
class RiskOrder:
    """Rows in order of time and what each death needs, made once for all draws.

    Attributes
    ----------
    order : ndarray of int64 (n,)
        Rows, the longest time first.
    last : ndarray of int64 (n_deaths,)
        Where in that order the risk set of each death ends.
    deaths : ndarray of int64 (n_deaths,)
        Rows in that order, the earliest time first.
    starts, group : ndarray of int64
        First death of each distinct time, and the number of the time of each death.
    fraction, count : ndarray of float64 (n_deaths,)
        Efron's share and the deaths at that time.
    before : ndarray of int64 (n,)
        For each row in that order, how many deaths are not later.
    """

    order: Index
    last: Index
    deaths: Index
    starts: Index
    group: Index
    fraction: Array
    count: Array
    before: Index


def risk(time: Array, event: NDArray[np.bool_]) -> RiskOrder:
    """Return the order of the risk sets of all deaths."""
    order = np.argsort(-time, kind="stable")
    late, happened = time[order], event[order]
    deaths = np.flatnonzero(happened)[::-1]
    when = late[deaths]
    _, starts, group, counts = np.unique(
        when, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.arange(len(deaths)) - starts[group]
    last = np.searchsorted(-late, -when, side="right") - 1
    before = np.searchsorted(when, late, side="right")
    share = rank / counts[group]
    return RiskOrder(
        order, last, deaths, starts, group, share, counts[group].astype(np.float64), before
    )


def cox_fits(design: Array, sets: RiskOrder, weights: Array) -> Array:
    """Return weighted Cox regressions with Efron's ties (draws, p); NaN where one fails.

    Tied deaths share the mean of their weights, as in R's coxph with case weights.
    """
    p = design.shape[1]
    x, w = design[sets.order], weights[:, sets.order]
    start = _cox_newton(x, sets, w.sum(axis=0)[None, :], np.zeros((1, p)))
    first = np.where(np.isfinite(start), start, 0.0)
    return _cox_newton(x, sets, w, np.repeat(first, len(w), axis=0))


def _cox_newton(x: Array, sets: RiskOrder, weights: Array, theta: Array) -> Array:
    p = x.shape[1]
    theta = theta.copy()
    tied = np.add.reduceat(weights[:, sets.deaths], sets.starts, axis=1)[:, sets.group]
    share = tied / sets.count
    gained = weights[:, sets.deaths] @ x[sets.deaths]
    open_ = np.ones(len(weights), bool)
    failed = np.zeros(len(weights), bool)
    rows, columns = np.triu_indices(p)
    products = x[:, rows] * x[:, columns]
    for _ in range(_STEPS):
        at = np.flatnonzero(open_)
        if not len(at):
            break
        eta = theta[at] @ x.T
        r = weights[at] * np.exp(eta - eta.max(axis=1, keepdims=True))
        dying = r[:, sets.deaths]
        s0 = np.cumsum(r, axis=1)[:, sets.last]
        d0 = np.add.reduceat(dying, sets.starts, axis=1)[:, sets.group]
        counted = share[at] > 0
        den = np.where(counted, s0 - sets.fraction * d0, 1.0)
        per = np.where(counted, share[at] / den, 0.0)
        mean = np.empty((len(at), len(sets.deaths), p))
        for j in range(p):
            sums = np.cumsum(r * x[:, j], axis=1)[:, sets.last]
            own = np.add.reduceat(dying * x[sets.deaths, j], sets.starts, axis=1)[:, sets.group]
            mean[:, :, j] = np.where(counted, (sums - sets.fraction * own) / den, 0.0)
        score = gained[at] - np.einsum("be,bej->bj", share[at], mean)
        total = np.concatenate([np.zeros((len(at), 1)), np.cumsum(per, axis=1)], axis=1)
        exposure = total[:, sets.before]
        tied_own = np.add.reduceat(per * sets.fraction, sets.starts, axis=1)[:, sets.group]
        exposure[:, sets.deaths] -= tied_own
        info = np.empty((len(at), p, p))
        sums = (r * exposure) @ products
        info[:, rows, columns] = sums
        info[:, columns, rows] = sums
        info -= np.einsum("bej,bel->bjl", mean * share[at][:, :, None], mean)
        step = _solved(info, score[:, :, None])[:, :, 0]
        size = np.abs(step).max(axis=1)
        step *= np.minimum(1.0, 2.0 / np.where(size > 0, size, 1.0))[:, None]
        theta[at] += step
        bad = ~np.isfinite(size) | (np.abs(theta[at]).max(axis=1) > _LARGEST)
        failed[at[bad]] = True
        open_[at[bad | (size < _TOLERANCE)]] = False
    theta[failed | open_] = np.nan
    return theta


def _solved(matrix: Array, right: Array) -> Array:
    """Return solutions of a batch of symmetric systems; NaN where one is singular."""
    scale = np.sqrt(np.maximum(np.einsum("bii->bi", matrix), 0.0))
    good = np.isfinite(matrix).all(axis=(1, 2)) & (scale > 0).all(axis=1)
    safe = np.where(good[:, None], scale, 1.0)
    unit = matrix / (safe[:, :, None] * safe[:, None, :])
    unit[~good] = np.eye(matrix.shape[1])
    good &= np.linalg.cond(unit) < _WORST_CONDITION
    unit[~good] = np.eye(matrix.shape[1])
    solved: Array = np.linalg.solve(unit, right / safe[:, :, None]) / safe[:, :, None]
    solved[~good] = np.nan
    return solved
