"""Groups of phenotypes that measure the same thing, and tests of a whole group."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen.stats._linear_parts import RANK_RTOL
from radgen.stats.combine import cauchy
from radgen.stats.linear import covariate_basis, patterns, residualise
from radgen.stats.multiplicity import bh, hommel_simes
from radgen.stats.tail import t_log10p

__all__ = ["adaptive_bh", "group_log10p", "group_scores", "joint_tests", "phenotype_groups"]

Array = NDArray[np.float64]

_HALF = 0.5
_NULL = 1e-9


def phenotype_groups(values: Array, covariates: Array | None, least: float) -> NDArray[np.int64]:
    """Return the group of each phenotype by its correlations with the others.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_phenotypes)
        NaN = missing; counts as the mean.
    covariates : ndarray of float64 (n_samples, n_covariates) or None
        Finite; what they explain makes no group.
    least : float
        Smallest mean correlation (in size) of groups that are joined.

    Returns
    -------
    ndarray of int64 (n_phenotypes,)
        Numbers from 0, in order of first appearance. Average linkage of 1 - |r|.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    count = values.shape[1]
    if count < 2:
        return np.zeros(count, dtype=np.int64)
    left = residualise(_filled(values), covariate_basis(covariates, len(values)))
    norm = np.sqrt(np.einsum("ij,ij->j", left, left))
    unit = left / np.where(norm > 0, norm, 1.0)
    distance = np.clip(1.0 - np.abs(unit.T @ unit), 0.0, 1.0)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average")
    found = fcluster(tree, 1.0 - least, "distance")
    order = {label: number for number, label in enumerate(dict.fromkeys(found.tolist()))}
    return np.array([order[label] for label in found.tolist()], dtype=np.int64)


def group_scores(values: Array, groups: NDArray[np.int64]) -> Array:
    """Return a score of each group: the mean of its standardised, sign-aligned phenotypes.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_phenotypes)
        NaN = missing; the mean runs over those known.
    groups : ndarray of int64 (n_phenotypes,)
        From `phenotype_groups`.

    Returns
    -------
    ndarray of float64 (n_samples, n_groups)
        Signs are those of the first principal component of the group.
    """
    known = np.isfinite(values)
    filled = _filled(values)
    spread = filled.std(axis=0)
    unit = (filled - filled.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    out = np.full((len(values), int(groups.max(initial=-1)) + 1), np.nan)
    for number in range(out.shape[1]):
        columns = np.flatnonzero(groups == number)
        part = unit[:, columns]
        first = np.linalg.svd(part, full_matrices=False)[2][0]
        sign = np.where(first < 0, -1.0, 1.0) * (1.0 if first.sum() >= 0 else -1.0)
        count = known[:, columns].sum(axis=1)
        total = (part * sign * known[:, columns]).sum(axis=1)
        out[:, number] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return out


def group_log10p(
    scores: Array, predictors: Array, covariates: Array | None, log10p: Array, groups: Array
) -> Array:
    """Return log10 p of each (predictor, group): none of its phenotypes goes with the predictor.

    Parameters
    ----------
    scores : ndarray of float64 (n_samples, n_groups)
        From `group_scores`.
    predictors : ndarray of float64 (n_samples, n_predictors)
        Tested together, each given the others.
    covariates : ndarray of float64 (n_samples, n_covariates) or None
        Finite.
    log10p : ndarray of float64 (n_predictors, n_phenotypes)
        The same tests of single phenotypes; NaN = not tested.
    groups : ndarray of int64 (n_phenotypes,)
        Group of each.

    Returns
    -------
    ndarray of float64 (n_predictors, n_groups)
        Cauchy combination of the test of the score, strong where all phenotypes of a group
        are moved, and of Simes' test, strong where few are.
    """
    whole = joint_tests(scores, predictors, covariates)[2]
    out = np.full(whole.shape, np.nan)
    for row in range(out.shape[0]):
        for number in range(out.shape[1]):
            single = 10.0 ** log10p[row, groups == number]
            if np.isnan(single).all():
                continue
            pair = [10.0 ** whole[row, number], hommel_simes(single)]
            out[row, number] = cauchy(np.maximum(pair, 1e-300))
    return out


def joint_tests(
    traits: Array, predictors: Array, covariates: Array | None
) -> tuple[Array, Array, Array]:
    """Return effect, standard error and log10 p of each predictor given all others.

    Parameters
    ----------
    traits : ndarray of float64 (n_samples, n_traits)
        NaN = missing.
    predictors : ndarray of float64 (n_samples, n_predictors)
        Rows with a missing value are not used.
    covariates : ndarray of float64 (n_samples, n_covariates) or None
        Finite.

    Returns
    -------
    effect, se, log10p : ndarray of float64 (n_predictors, n_traits)
        NaN where a predictor is constant, or a combination of the others.
    """
    rows = np.isfinite(predictors).all(axis=1)
    y, x = traits[rows], predictors[rows]
    z = None if covariates is None else covariates[rows]
    out = tuple(np.full((x.shape[1], y.shape[1]), np.nan) for _ in range(3))
    for known, columns in patterns(y):
        parts = _all_at_once(y[np.ix_(known, columns)], x[known], None if z is None else z[known])
        for target, values in zip(out, parts, strict=True):
            target[:, columns] = values
    return out  # type: ignore[return-value]


def _all_at_once(y: Array, x: Array, z: Array | None) -> tuple[Array, Array, Array]:
    """Coefficients of one least-squares fit; those of indistinguishable predictors are NaN."""
    basis = covariate_basis(z, len(y))
    left, target = residualise(x, basis), residualise(y, basis)
    total = np.sqrt(np.einsum("ij,ij->j", x - x.mean(axis=0), x - x.mean(axis=0)))
    size = np.sqrt(np.einsum("ij,ij->j", left, left))
    flat = size <= RANK_RTOL * np.maximum(total, np.finfo(np.float64).tiny)
    unit = left / np.where(flat, 1.0, size)
    unit[:, flat] = 0.0
    values, vectors = np.linalg.eigh(unit.T @ unit)
    kept = values > _NULL
    # A predictor with a part in the null space is a combination of others.
    lost = flat | ((vectors[:, ~kept] ** 2).sum(axis=1) > _NULL)
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    coefficient = inverse @ (unit.T @ target)
    df = len(y) - basis.shape[1] - int(kept.sum())
    if df < 1:
        return (np.full(coefficient.shape, np.nan),) * 3
    rest = target - unit @ coefficient
    variance = np.einsum("ij,ij->j", rest, rest) / df
    error = np.sqrt(np.outer(np.diag(inverse), variance))
    with np.errstate(divide="ignore", invalid="ignore"):
        log10p = t_log10p(coefficient / error, float(df))
        scale = np.where(lost, np.nan, size)[:, None]
        return coefficient / scale, error / scale, np.where(lost[:, None], np.nan, log10p)


def adaptive_bh(p: Array) -> Array:
    """Return BH values times the estimated share of true nulls (Storey, lambda = 1/2).

    Parameters
    ----------
    p : ndarray of float64 (n_tests,)
        NaN = no test.

    Returns
    -------
    ndarray of float64 (n_tests,)
        At most 1; the share is at least that of one test, so that it is never 0.
    """
    known = p[np.isfinite(p)]
    if not len(known):
        return np.full(p.shape, np.nan)
    share = (1 + np.count_nonzero(known > _HALF)) / ((1 - _HALF) * len(known))
    return np.minimum(bh(p) * min(share, 1.0), 1.0)


def _filled(values: Array) -> Array:
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    return np.where(known, values, np.where(known, values, 0.0).sum(axis=0) / count)
