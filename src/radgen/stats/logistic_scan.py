"""Logistic regression of one outcome on many single variants at once.

Every function takes a block of genotypes and fits all of them together: the iterations of a
block are matrix products, and a variant leaves the block when it has converged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FitError

__all__ = [
    "BlockFit",
    "NullLogistic",
    "firth_beside",
    "firth_block",
    "firth_predictor",
    "fit_null",
    "wald_block",
]

Array = NDArray[np.float64]
_STEPS = 30
_TOLERANCE = 1e-9
_LARGEST_STEP = 5.0


@dataclass(frozen=True, eq=False, slots=True)
class NullLogistic:
    """The model without a variant.

    Attributes
    ----------
    y : ndarray of float64 (n_samples,)
        0 or 1.
    x : ndarray of float64 (n_samples, n_columns)
        Orthonormal basis of intercept and covariates.
    offset : ndarray of float64 (n_samples,)
        Known part of the linear predictor.
    beta : ndarray of float64 (n_columns,)
        Maximum-likelihood coefficients.
    mu : ndarray of float64 (n_samples,)
        Fitted probabilities.
    """

    y: Array
    x: Array
    offset: Array
    beta: Array
    mu: Array


@dataclass(frozen=True, eq=False, slots=True)
class BlockFit:
    """Fits of a block of variants.

    Attributes
    ----------
    beta, se : ndarray of float64 (n_variants,)
        Log odds ratio of one more ALT allele and its standard error.
    deviance_drop : ndarray of float64 (n_variants,)
        Twice the gain in (penalised) log likelihood over beta = 0; NaN where not asked for.
    converged : ndarray of bool (n_variants,)
        False where the iterations did not settle: the estimates are not to be used.
    """

    beta: Array
    se: Array
    deviance_drop: Array
    converged: NDArray[np.bool_]


def sigmoid(eta: Array) -> Array:
    """Return 1 / (1 + exp(-eta)) without overflow."""
    from scipy.special import expit

    return np.asarray(expit(eta))


def fit_null(y: Array, x: Array, offset: Array | None = None) -> NullLogistic:
    """Return the maximum-likelihood fit without a variant.

    Parameters
    ----------
    y : ndarray of float64 (n_samples,)
        0 or 1.
    x : ndarray of float64 (n_samples, n_columns)
        Intercept and covariates, of full column rank.
    offset : ndarray of float64 (n_samples,) or None
        Known part of the linear predictor.

    Raises
    ------
    FitError
        If the covariates separate the two classes, or the iterations do not settle.
    """
    known = np.zeros(len(y)) if offset is None else offset
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        mu = sigmoid(x @ beta + known)
        weight = mu * (1.0 - mu)
        information = (x.T * weight) @ x
        if np.linalg.cond(information) > 1e13:
            break
        step = np.linalg.solve(information, x.T @ (y - mu))
        most = max(float(np.abs(step).max()), 1e-300)
        beta = beta + step * min(1.0, _LARGEST_STEP * np.sqrt(len(y)) / most)
        if np.abs(x @ step).max() < 1e-10:
            return NullLogistic(y, x, known, beta, sigmoid(x @ beta + known))
    raise FitError(
        "The logistic model of the covariates alone does not converge: the covariates separate "
        "the two classes. Leave out the covariate that does so.",
        diagnostics={"n_samples": len(y), "n_columns": x.shape[1]},
    )


def _pairs(x: Array) -> tuple[Array, NDArray[np.int64]]:
    """Return the products of all pairs of columns, and where each stands in a square."""
    c = x.shape[1]
    left, right = np.triu_indices(c)
    place = np.empty((c, c), np.int64)
    place[left, right] = place[right, left] = np.arange(len(left))
    return x[:, left] * x[:, right], place


def _information(w: Array, g: Array, x: Array, pairs: Array, place: NDArray[np.int64]) -> Array:
    """Return the information matrices (n_variants, c + 1, c + 1), the variant last."""
    m, c = len(g), x.shape[1]
    out = np.empty((m, c + 1, c + 1))
    out[:, :c, :c] = (w @ pairs)[:, place]
    wg = w * g
    out[:, :c, c] = out[:, c, :c] = wg @ x
    out[:, c, c] = np.einsum("mn,mn->m", wg, g)
    return out


def _invertible(information: Array) -> NDArray[np.bool_]:
    """Return which matrices are far from singular, judged after scaling to unit diagonal."""
    diagonal = np.einsum("mii->mi", information)
    positive = (diagonal > 1e-12).all(axis=1)
    scale = 1.0 / np.sqrt(np.where(diagonal > 1e-12, diagonal, 1.0))
    scaled = information * scale[:, :, None] * scale[:, None, :]
    scaled[~positive] = np.eye(information.shape[1])
    return np.asarray(positive & (np.linalg.eigvalsh(scaled)[:, 0] > 1e-9))


def wald_block(g: Array, null: NullLogistic, *, known: NDArray[np.bool_] | None = None) -> BlockFit:
    """Return the maximum-likelihood fit of each variant with all covariates.

    Parameters
    ----------
    g : ndarray of float64 (n_variants, n_samples)
        Dosages; the value of a missing call does not matter where `known` marks it.
    null : NullLogistic
        The model without a variant: outcome, covariates, start.
    known : ndarray of bool (n_variants, n_samples) or None
        False = missing call: the sample is dropped for that variant. None = all known.

    Returns
    -------
    BlockFit
        ``converged`` is False under separation.
    """
    fit = _newton(g, null, known, firth=False)
    rest = np.flatnonzero(~fit.converged)
    if not len(rest):
        return fit
    # Plain steps may swing to and fro about a maximum, where few carriers hold it. Such rows, and
    # those without a maximum, set out again with steps that may not lose likelihood.
    again = _newton(g[rest], null, None if known is None else known[rest], firth=False, slow=True)
    beta, se, done = fit.beta.copy(), fit.se.copy(), fit.converged.copy()
    beta[rest], se[rest], done[rest] = again.beta, again.se, again.converged
    return BlockFit(beta, se, fit.deviance_drop, done)


def firth_block(
    g: Array,
    null: NullLogistic,
    *,
    known: NDArray[np.bool_] | None = None,
    likelihood_ratio: bool = False,
) -> BlockFit:
    """Return Firth's penalised fit of each variant with all covariates.

    Parameters
    ----------
    g, null, known
        As for `wald_block`.
    likelihood_ratio : bool, default False
        Also fit each model with beta = 0 and the penalty of the full model, for
        ``deviance_drop``.

    Returns
    -------
    BlockFit
        Finite also under separation.

    Notes
    -----
    The standard error is that of the weighted information of the augmented data, each sample
    weighing 1 + its leverage, as PLINK 2 and R's logistf have it.

    References
    ----------
    Firth (1993), doi:10.1093/biomet/80.1.27; Heinze & Schemper (2002), doi:10.1002/sim.1047.
    """
    full = _newton(g, null, known, firth=True)
    if not likelihood_ratio:
        return full
    held = _newton(g, null, known, firth=True, held=True)
    drop = 2.0 * (full.deviance_drop - held.deviance_drop)
    return BlockFit(full.beta, full.se, np.maximum(drop, 0.0), full.converged & held.converged)


def firth_predictor(null: NullLogistic) -> Array:
    """Return the linear predictor (n_samples,) of Firth's penalised fit without a variant.

    Raises
    ------
    FitError
        If the iterations do not settle.
    """
    beta = null.beta.copy()
    for _ in range(200):
        mu = sigmoid(null.x @ beta + null.offset)
        w = mu * (1.0 - mu)
        inverse = np.linalg.inv((null.x.T * w) @ null.x)
        hat = w * np.einsum("ni,ij,nj->n", null.x, inverse, null.x)
        step = inverse @ (null.x.T @ (null.y - mu + hat * (0.5 - mu)))
        reach = float(np.abs(null.x @ step).max())
        beta = beta + step * min(1.0, 2.0 / max(reach, 1e-300))
        if reach < 1e-10:
            return np.asarray(null.x @ beta + null.offset)
    raise FitError(
        "Firth's fit of the covariates alone does not converge. Leave out the covariate that "
        "separates the classes.",
        diagnostics={"n_samples": len(null.y)},
    )


def firth_beside(g: Array, y: Array, predictor: Array) -> BlockFit:
    """Return Firth's penalised fit of each variant alone, the covariates' predictor held.

    Parameters
    ----------
    g : ndarray of float64 (n_variants, n_samples)
        Dosages beside the covariates (weighted residuals), 0 where a call is missing.
    y : ndarray of float64 (n_samples,)
        0 or 1.
    predictor : ndarray of float64 (n_samples,)
        From `firth_predictor`.

    Returns
    -------
    BlockFit
        ``deviance_drop`` is the penalised likelihood-ratio statistic.

    Notes
    -----
    The approximation of REGENIE: one coefficient, penalty log(sum w g^2) / 2.

    References
    ----------
    Mbatchou et al. (2021), doi:10.1038/s41588-021-00870-7, Methods (approximate Firth).
    """
    m = len(g)
    beta, step = np.zeros(m), np.zeros(m)
    best, done = np.full(m, -np.inf), np.zeros(m, bool)
    first, se = np.zeros(m), np.full(m, np.nan)
    squares = g * g
    for turn in range(100):
        mu = sigmoid(beta[:, None] * g + predictor)
        w = mu * (1.0 - mu)
        information = np.maximum((w * squares).sum(axis=1), 1e-300)
        likely = np.log(np.maximum(np.where(y > 0.5, mu, 1.0 - mu), 1e-300))
        value = likely.sum(axis=1) + 0.5 * np.log(information)
        if not turn:
            first = value
        worse = value < best - 1e-10 * np.abs(best)
        best = np.where(worse, best, value)
        hat = w * squares / information[:, None]
        score = (g * (y - mu + hat * (0.5 - mu))).sum(axis=1)
        ahead = np.clip(score / information, -2.0, 2.0)
        done = ~worse & (np.abs(score) / np.sqrt(information) < 1e-8)
        se = 1.0 / np.sqrt(information)
        if done.all():
            break
        # A step that lost likelihood is halved, and halved again.
        step = np.where(done, 0.0, np.where(worse, -0.5 * np.abs(step) * np.sign(step), ahead))
        beta = beta + step
        step = np.where(worse, -step, step)
    drop = np.maximum(2.0 * (best - first), 0.0)
    return BlockFit(np.where(done, beta, np.nan), np.where(done, se, np.nan), drop, done)


def _newton(  # noqa: PLR0915 - one loop whose steps share their arrays
    g: Array,
    null: NullLogistic,
    known: NDArray[np.bool_] | None,
    *,
    firth: bool,
    held: bool = False,
    slow: bool = False,
) -> BlockFit:
    """Fit a block; with `held` the variant's coefficient stays 0 but counts in the penalty.

    Steps of Firth's fit, and all steps where `slow` is set, may not lose likelihood.
    """
    m, c = len(g), null.x.shape[1]
    pairs, place = _pairs(null.x)
    g = g if known is None else np.where(known, g, 0.0)
    beta = np.concatenate([np.tile(null.beta, (m, 1)), np.zeros((m, 1))], axis=1)
    last = np.zeros_like(beta)
    se, gain, best = np.full(m, np.nan), np.full(m, np.nan), np.full(m, -np.inf)
    damp, before = np.ones(m), np.full(m, np.inf)
    done = np.zeros(m, bool)
    active = np.arange(m)
    for _ in range(_STEPS * (5 if firth else 2 if slow else 1)):
        mask = None if known is None else known[active]
        ga, ba = g[active], beta[active]
        mu = sigmoid(ba[:, :c] @ null.x.T + ba[:, c:] * ga + null.offset)
        w: Array = mu * (1.0 - mu)
        residual = null.y - mu
        if mask is not None:
            w, residual = w * mask, residual * mask
        information = _information(w, ga, null.x, pairs, place)
        good = _invertible(information)
        information[~good] = np.eye(c + 1)
        inverse: Array = np.asarray(np.linalg.inv(information), np.float64)
        worse = ~good if firth or slow else np.zeros(len(active), bool)
        if firth or slow:
            value = _likelihood(null, mu, mask)
            if firth:
                value += 0.5 * np.linalg.slogdet(information)[1]
            worse |= value < best[active] - 1e-10 * np.abs(value)
            best[active] = np.where(worse, best[active], value)
        if firth:
            hat = _leverage(np.asarray(w, np.float64), ga, null.x, inverse)
            residual = residual + hat * (0.5 - mu)
        score = np.column_stack([residual @ null.x, np.einsum("mn,mn->m", residual, ga)])
        solver = _without_last(information) if held else inverse
        step = np.einsum("mij,mj->mi", solver, score)
        size = np.sqrt(np.maximum(np.einsum("mi,mi->m", step, score), 0.0))
        if firth:
            # Scoring with the unpenalised information may swing about the optimum: damp it.
            swings = (size > 0.5 * before[active]) & (size < 0.1)
            damp[active[swings]] = np.maximum(0.5 * damp[active[swings]], 0.25)
            before[active] = size
            step *= damp[active][:, None]
        step *= np.minimum(1.0, _LARGEST_STEP / _reach(step, ga, null.x))[:, None]
        # A step that lost likelihood is halved, and halved again.
        step[worse] = -0.5 * last[active[worse]]
        last[active] = np.where(worse[:, None], -step, step)
        move = good | worse
        beta[active[move]] += step[move]
        settled = good & ~worse & (size < (1e-7 if firth else _TOLERANCE))
        rows = active[settled]
        done[rows] = True
        if not firth:
            se[rows] = np.sqrt(inverse[settled, c, c])
        elif len(rows):
            heavier = w[settled] * (1.0 + hat[settled])
            augmented = _information(heavier, ga[settled], null.x, pairs, place)
            se[rows] = np.sqrt(np.linalg.inv(augmented)[:, c, c])
            gain[rows] = value[settled]
        active = active[move & ~settled]
        if not len(active):
            break
    return BlockFit(np.where(done, beta[:, c], np.nan), se, gain, done)


def _without_last(information: Array) -> Array:
    out = np.zeros_like(information)
    out[:, :-1, :-1] = np.linalg.inv(information[:, :-1, :-1])
    return out


def _reach(step: Array, g: Array, x: Array) -> Array:
    """Return the largest change of a linear predictor that each step makes."""
    change = step[:, :-1] @ x.T + step[:, -1:] * g
    return np.asarray(np.maximum(np.abs(change).max(axis=1), 1e-300))


def _leverage(w: Array, g: Array, x: Array, inverse: Array) -> Array:
    """Return the diagonal of each weighted hat matrix (n_variants, n_samples)."""
    c = x.shape[1]
    root = np.asarray(np.linalg.cholesky(inverse), np.float64)
    out = np.zeros_like(w)
    for column in range(c + 1):
        part = root[:, :c, column] @ x.T + root[:, c, column][:, None] * g
        out += part * part
    return out * w


def _likelihood(null: NullLogistic, mu: Array, mask: NDArray[np.bool_] | None) -> Array:
    """Return the log likelihood of each variant's fit."""
    each = np.log(np.maximum(np.where(null.y > 0.5, mu, 1.0 - mu), 1e-300))
    if mask is not None:
        each = each * mask
    return np.asarray(each.sum(axis=1))
