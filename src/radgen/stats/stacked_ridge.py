"""Two levels of ridge regression: blocks of predictors first, their predictions after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FitError

__all__ = ["Stack", "block_predictions", "linear_stack", "logistic_stack"]

Array = NDArray[np.float64]
_CLIP = 1e-5
_STEPS = 100


@dataclass(frozen=True, eq=False, slots=True)
class Stack:
    """Out-of-fold predictions of the second level.

    Attributes
    ----------
    best : int
        Which penalty predicts best out of fold.
    loss : ndarray of float64 (n_penalties,)
        Sum of squared errors, or minus the log likelihood, out of fold.
    parts : ndarray of float64 (n_groups, n_samples)
        What the columns of each group add to the prediction, at the best penalty; their sum
        is the prediction.
    """

    best: int
    loss: Array
    parts: Array


def block_predictions(x: Array, y: Array, folds: Sequence[slice] | None, penalties: Array) -> Array:
    """Return out-of-fold ridge predictions of every trait from one block of predictors.

    Parameters
    ----------
    x : ndarray of float64 (n_predictors, n_samples)
        Predictors of mean 0 and variance 1.
    y : ndarray of float64 (n_samples, n_traits)
        Traits of mean 0 and variance 1, 0 where missing.
    folds : sequence of slice, or None
        Samples of each fold; None = leave one sample out.
    penalties : ndarray of float64 (n_penalties,)
        Added to the diagonal, positive.

    Returns
    -------
    ndarray of float64 (n_traits, n_penalties, n_samples)
    """
    if folds is None:
        return _leave_one_out(x, y, penalties)
    from scipy.linalg.blas import dgemm

    # One library for products and factors: those of NumPy and SciPy have threads of their own,
    # which wait on the same cores.
    out = np.empty((y.shape[1], len(penalties), x.shape[1]))
    inside = [np.ascontiguousarray(x[:, fold]).T for fold in folds]
    grams = [dgemm(1.0, part, part, trans_a=True) for part in inside]
    crosses = [
        dgemm(1.0, part, y[fold], trans_a=True) for part, fold in zip(inside, folds, strict=True)
    ]
    gram, cross = np.sum(grams, axis=0), np.sum(crosses, axis=0)
    corner = np.diag_indices(len(x))
    for fold, part, own, own_cross in zip(folds, inside, grams, crosses, strict=True):
        rest, right = gram - own, cross - own_cross
        diagonal = rest[corner]
        betas = []
        for penalty in penalties:
            rest[corner] = diagonal + penalty
            betas.append(_solve(rest, right))
        found = dgemm(1.0, part, np.hstack(betas)).T
        out[:, :, fold] = found.reshape(len(penalties), y.shape[1], -1).swapaxes(0, 1)
    return out


def _solve(matrix: Array, right: Array) -> Array:
    """Return the solution of a symmetric, positive definite system in column order."""
    from scipy.linalg.lapack import dpotrf, dpotrs

    factor, broken = dpotrf(matrix, lower=1, clean=0)
    if broken:
        raise np.linalg.LinAlgError("A block of predictors is not positive definite.")
    solution, _ = dpotrs(factor, right, lower=1)
    return np.asarray(solution)


def _leave_one_out(x: Array, y: Array, penalties: Array) -> Array:
    """Leave-one-out predictions in closed form: (fit - h y) / (1 - h), h the leverage."""
    from scipy.linalg import eigh

    values, vectors = eigh(x @ x.T)
    turned = vectors.T @ x
    right = turned @ y
    out = np.empty((y.shape[1], len(penalties), x.shape[1]))
    for at, penalty in enumerate(penalties):
        inverse = 1.0 / (np.maximum(values, 0.0) + penalty)
        leverage = inverse @ (turned * turned)
        fit = (inverse[:, None] * right).T @ turned
        out[:, at] = (fit - leverage * y.T) / (1.0 - leverage)
    return out


def linear_stack(
    w: Array,
    y: Array,
    *,
    known: NDArray[np.bool_],
    folds: Sequence[slice] | None,
    penalties: Array,
    groups: NDArray[np.int64],
) -> Stack:
    """Return the second level of a quantitative trait.

    Parameters
    ----------
    w : ndarray of float64 (n_samples, n_columns)
        Predictions of the first level, mean 0 and variance 1.
    y : ndarray of float64 (n_samples,)
        The trait; its missing values do not matter.
    known : ndarray of bool (n_samples,)
        Who has the trait. The others are predicted and take no part in the fit.
    folds : sequence of slice, or None
        Samples of each fold; None = leave one sample out.
    penalties : ndarray of float64 (n_penalties,)
        Added to the diagonal, positive.
    groups : ndarray of int64 (n_columns,)
        Group of each column, 0, 1, ...

    Returns
    -------
    Stack
    """
    y = np.where(known, y, 0.0)
    seen = np.where(known[:, None], w, 0.0)
    gram, cross = seen.T @ seen, seen.T @ y
    eye = np.eye(len(gram))
    if folds is None:
        return _linear_loo(w, (seen, y, known), (gram, cross), penalties, groups)
    betas = np.empty((len(folds), len(penalties), w.shape[1]))
    loss = np.zeros(len(penalties))
    for number, fold in enumerate(folds):
        part = seen[fold]
        rest, right = gram - part.T @ part, cross - part.T @ y[fold]
        for at, penalty in enumerate(penalties):
            betas[number, at] = np.linalg.solve(rest + penalty * eye, right)
            loss[at] += ((y[fold] - part @ betas[number, at]) ** 2).sum()
    best = int(loss.argmin())
    return Stack(best, loss, _fold_parts(w, folds, betas[:, best], groups))


def _linear_loo(
    w: Array,
    fitted: tuple[Array, Array, NDArray[np.bool_]],
    products: tuple[Array, Array],
    penalties: Array,
    groups: NDArray[np.int64],
) -> Stack:
    seen, y, known = fitted
    gram, cross = products
    loss = np.empty(len(penalties))
    shifts = []
    for at, penalty in enumerate(penalties):
        inverse = np.linalg.inv(gram + penalty * np.eye(len(gram)))
        beta = inverse @ cross
        turned = seen @ inverse
        leverage = (turned * seen).sum(axis=1)
        error = (y - seen @ beta) / (1.0 - leverage)
        loss[at] = (error[known] ** 2).sum()
        shifts.append((beta, -turned * error[:, None]))
    best = int(loss.argmin())
    return Stack(best, loss, _shifted_parts(w, *shifts[best], groups))


def logistic_stack(
    w: Array,
    y: Array,
    offset: Array,
    *,
    known: NDArray[np.bool_],
    folds: Sequence[slice] | None,
    penalties: Array,
    groups: NDArray[np.int64],
) -> Stack:
    """Return the second level of a binary trait, on the scale of log odds.

    Parameters
    ----------
    w : ndarray of float64 (n_samples, n_columns)
        Predictions of the first level, mean 0 and variance 1.
    y : ndarray of float64 (n_samples,)
        0 or 1; missing values do not matter.
    offset : ndarray of float64 (n_samples,)
        Log odds from intercept and covariates; held fixed.
    known, folds, penalties, groups
        As for `linear_stack`. One sample is left out by one Newton step from the fit of all.

    Returns
    -------
    Stack

    Raises
    ------
    FitError
        If the iterations do not settle.
    """
    rows = np.flatnonzero(known)
    loss = np.zeros(len(penalties))
    if folds is None:
        shifts = []
        beta = np.zeros(w.shape[1])
        x, yk, off = w[rows], y[rows], offset[rows]
        for at, penalty in enumerate(penalties):
            beta, mu, information = _penalised_logistic(x, yk, off, penalty, beta)
            turned = np.linalg.solve(information, x.T).T
            leverage = (turned * x).sum(axis=1) * mu * (1.0 - mu)
            shift = -turned * ((yk - mu) / (1.0 - leverage))[:, None]
            loss[at] = _minus_log_likelihood(yk, off + x @ beta + (x * shift).sum(axis=1))
            every = np.zeros_like(w)
            every[rows] = shift
            shifts.append((beta, every))
        best = int(loss.argmin())
        return Stack(best, loss, _shifted_parts(w, *shifts[best], groups))
    betas = np.empty((len(folds), len(penalties), w.shape[1]))
    for number, fold in enumerate(folds):
        held = np.zeros(len(w), bool)
        held[fold] = True
        train, test = np.flatnonzero(known & ~held), np.flatnonzero(known & held)
        beta = np.zeros(w.shape[1])
        for at, penalty in enumerate(penalties):
            beta, _, _ = _penalised_logistic(w[train], y[train], offset[train], penalty, beta)
            betas[number, at] = beta
            loss[at] += _minus_log_likelihood(y[test], offset[test] + w[test] @ beta)
    best = int(loss.argmin())
    return Stack(best, loss, _fold_parts(w, folds, betas[:, best], groups))


def _penalised_logistic(
    x: Array, y: Array, offset: Array, penalty: float, start: Array
) -> tuple[Array, Array, Array]:
    """Return coefficients, probabilities and information of a ridge logistic regression."""
    from scipy.special import expit

    def value(beta: Array) -> float:
        eta = offset + x @ beta
        return float(np.logaddexp(0.0, eta).sum() - y @ eta + 0.5 * penalty * (beta @ beta))

    beta, now = start, value(start)
    for _ in range(_STEPS):
        mu = np.asarray(expit(offset + x @ beta))
        score = x.T @ (y - mu) - penalty * beta
        information = (x.T * (mu * (1.0 - mu))) @ x
        information[np.diag_indices(len(beta))] += penalty
        step = np.linalg.solve(information, score)
        gain = float(step @ score)
        if gain < 1e-12:
            return beta, mu, information
        after = value(beta + step)
        while after > now and gain > 1e-10:
            step, gain = 0.5 * step, 0.5 * gain
            after = value(beta + step)
        beta, now = beta + step, after
    raise FitError(
        "The ridge logistic regression of the second level does not settle.",
        diagnostics={"penalty": penalty, "n_samples": len(y)},
    )


def _minus_log_likelihood(y: Array, eta: Array) -> float:
    from scipy.special import expit

    p = np.clip(expit(eta), _CLIP, 1.0 - _CLIP)
    return float(-np.log(np.where(y > 0.5, p, 1.0 - p)).sum())


def _fold_parts(w: Array, folds: Sequence[slice], betas: Array, groups: NDArray[np.int64]) -> Array:
    parts = np.zeros((int(groups.max()) + 1, len(w)))
    for group in range(len(parts)):
        columns = np.flatnonzero(groups == group)
        for fold, beta in zip(folds, betas, strict=True):
            parts[group, fold] = w[fold][:, columns] @ beta[columns]
    return parts


def _shifted_parts(w: Array, beta: Array, shift: Array, groups: NDArray[np.int64]) -> Array:
    parts = np.zeros((int(groups.max()) + 1, len(w)))
    for group in range(len(parts)):
        some = groups == group
        own = w[:, some]
        parts[group] = own @ beta[some] + (own * shift[:, some]).sum(axis=1)
    return parts
