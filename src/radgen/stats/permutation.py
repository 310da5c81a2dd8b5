"""Family-wise error by Westfall-Young max-T permutation of one block of variables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen._core.rng import spawn
from radgen.errors import InputError
from radgen.stats.linear import covariate_basis, patterns, residualise

__all__ = [
    "MaxT",
    "PermutationDesign",
    "adjusted",
    "design",
    "exact_orders",
    "max_statistics",
    "max_t",
    "n_orders",
    "random_order",
]

Array = NDArray[np.float64]
Order = NDArray[np.int64]

_TIE_RTOL = 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class PermutationDesign:
    """What stays the same over permutations.

    Attributes
    ----------
    traits : ndarray of float64 (n_samples, n_traits)
        Residuals on the covariates, norm 1; 0 where missing.
    predictors : ndarray of float64 (n_samples, n_predictors)
        Residuals on the covariates; 0 where missing: the block that is permuted.
    basis : ndarray of float64 (n_samples, rank)
        Intercept and covariates.
    df : ndarray of float64 (n_predictors, n_traits)
        Degrees of freedom of each pair.
    tested : ndarray of bool (n_predictors, n_traits)
        Pairs that take part in the maximum.
    observed : ndarray of float64 (n_predictors, n_traits)
        Squared t of the data as they are; NaN where not tested.
    """

    traits: Array
    predictors: Array
    basis: Array
    df: Array
    tested: NDArray[np.bool_]
    observed: Array


@dataclass(frozen=True, eq=False, slots=True)
class MaxT:
    """Adjusted p-values of all pairs.

    Attributes
    ----------
    p : ndarray of float64 (n_predictors, n_traits)
        (b + 1)/(m + 1); NaN where a pair has no statistic.
    t_squared : ndarray of float64 (n_predictors, n_traits)
        The statistic whose maximum is permuted.
    maxima : ndarray of float64 (n_permutations,)
        Largest squared t of each permutation.
    exact : bool
        True where all distinct permutations were enumerated.
    """

    p: Array
    t_squared: Array
    maxima: Array
    exact: bool


def max_t(
    traits: ArrayLike,
    predictors: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    n_permutations: int,
    seed: int,
    strata: Sequence[object] | NDArray[np.generic] | None = None,
) -> MaxT:
    """Return Westfall-Young single-step max-T adjusted p-values of all pairs.

    Parameters
    ----------
    traits : array_like of float64 (n_samples, n_traits)
        NaN = missing.
    predictors : array_like of float64 (n_samples, n_predictors)
        NaN = missing. This block is permuted as a whole, so that the correlations within
        either block are kept.
    covariates : array_like of float64 (n_samples, n_covariates) or None
        Finite.
    n_permutations : int
        Number of random permutations. Where all distinct permutations (within strata) are no
        more than this, they are enumerated and the p-values are exact.
    seed : int
        Each permutation has a stream of its own, derived from the seed and its number.
    strata : sequence of n_samples labels or None
        Samples are exchanged within a stratum only.

    Returns
    -------
    MaxT
        Adjusted p-values with the maxima they come from.

    Raises
    ------
    InputError
        If the sizes disagree or no permutation was asked for.

    Notes
    -----
    Both blocks are residualised on the covariates; the predictor residuals are permuted and
    residualised again, and the statistic is the squared partial t (Freedman-Lane scheme applied
    to the predictors). Missing values count as residual 0, in the data and in every
    permutation. Without covariates and missing values the test is exact; with covariates it
    is so but for the dependence between residuals.

    References
    ----------
    Westfall & Young (1993), Resampling-Based Multiple Testing. Winkler et al. (2014),
    NeuroImage 92, 381-397. Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9, 39.

    Examples
    --------
    >>> y = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> round(float(max_t(y, y, n_permutations=100, seed=1).p[0, 0]), 4)  # 2 of 24
    0.0833
    """
    if n_permutations < 1:
        raise InputError(f"At least one permutation is needed; found {n_permutations}.")
    fixed = design(traits, predictors, covariates)
    n_samples = len(fixed.traits)
    label = stratum_codes(strata, n_samples)
    total = n_orders(label)
    exact = total - 1 <= n_permutations
    orders: Iterator[Order]
    if exact:
        orders = exact_orders(label)
    else:
        orders = (random_order(label, seed, i) for i in range(n_permutations))
    maxima = max_statistics(fixed, orders)
    return MaxT(adjusted(fixed.observed, maxima), fixed.observed, maxima, exact)


def design(
    traits: ArrayLike,
    predictors: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    tested: NDArray[np.bool_] | None = None,
) -> PermutationDesign:
    """Return the residual blocks and observed statistics of a permutation test.

    Parameters
    ----------
    traits : array_like of float64 (n_samples, n_traits)
        NaN = missing.
    predictors : array_like of float64 (n_samples, n_predictors)
        NaN = missing.
    covariates : array_like of float64 (n_samples, n_covariates) or None
        Finite.
    tested : ndarray of bool (n_predictors, n_traits) or None
        Pairs that take part; those without variation never do.

    Returns
    -------
    PermutationDesign
        What `max_statistics` needs.

    Raises
    ------
    InputError
        If the row counts differ.
    """
    y = np.asarray(traits, dtype=np.float64)
    x = np.asarray(predictors, dtype=np.float64)
    z = None if covariates is None else np.asarray(covariates, dtype=np.float64)
    if len(x) != len(y) or (z is not None and len(z) != len(y)):
        raise InputError("Traits, predictors and covariates have different numbers of rows.")
    basis = covariate_basis(z, len(y))
    left_y, varies_y = _residuals(y, z)
    left_x, varies_x = _residuals(x, z)
    n = np.isfinite(x).T.astype(np.float64) @ np.isfinite(y).astype(np.float64)
    df = n - basis.shape[1] - 1.0
    use = varies_x[:, None] & varies_y & (df >= 1)
    if tested is not None:
        use &= tested
    norm = np.sqrt(np.einsum("ij,ij->j", left_y, left_y))
    left_y = left_y / np.where(norm > 0, norm, 1.0)
    blank = np.full(df.shape, np.nan)
    fixed = PermutationDesign(left_y, left_x, basis, df, use, blank)
    observed = np.where(use, _statistics(fixed, np.arange(len(y))), np.nan)
    return PermutationDesign(left_y, left_x, basis, df, use, observed)


def max_statistics(fixed: PermutationDesign, orders: Iterator[Order]) -> Array:
    """Return the largest squared t of each permutation.

    Parameters
    ----------
    fixed : PermutationDesign
        From `design`.
    orders : iterator of ndarray of int64 (n_samples,)
        Row of the predictors that goes to each sample.

    Returns
    -------
    ndarray of float64 (n_permutations,)
        0 where no pair is tested.
    """
    if not fixed.tested.any():
        return np.array([0.0 for _ in orders])
    rows = fixed.tested.any(axis=1)
    columns = fixed.tested.any(axis=0)
    kept = PermutationDesign(
        np.ascontiguousarray(fixed.traits[:, columns]),
        np.ascontiguousarray(fixed.predictors[:, rows]),
        fixed.basis,
        fixed.df[np.ix_(rows, columns)],
        fixed.tested[np.ix_(rows, columns)],
        fixed.observed[np.ix_(rows, columns)],
    )
    df = kept.df.flat[0]
    common = bool(kept.tested.all() and (kept.df == df).all())
    if not common:
        return np.array([_statistics(kept, order)[kept.tested].max() for order in orders])
    # With one df, t is monotone in r: the largest |r| is enough.
    space = np.empty(kept.df.shape)
    out = []
    for order in orders:
        r = _correlations(kept, order, space)
        out.append(max(float(r.max()), -float(r.min())))
    square = np.square(np.array(out))
    with np.errstate(divide="ignore"):
        return np.asarray(square * df / np.maximum(1.0 - square, 0.0))


def adjusted(observed: Array, maxima: Array) -> Array:
    """Return (b + 1)/(m + 1), b = number of maxima at least as large as the observed.

    Parameters
    ----------
    observed : ndarray of float64
        Statistics; NaN = not tested.
    maxima : ndarray of float64 (n_permutations,)
        From `max_statistics`.

    Returns
    -------
    ndarray of float64
        Same shape as `observed`. Values equal to a maximum but for rounding count as ties.
    """
    ranked = np.sort(maxima)
    reach = len(ranked) - np.searchsorted(ranked, observed * (1 - _TIE_RTOL), side="left")
    return np.where(np.isnan(observed), np.nan, (reach + 1.0) / (len(ranked) + 1.0))


def stratum_codes(strata: Sequence[object] | NDArray[np.generic] | None, n_samples: int) -> Order:
    """Return 0, 1, 2 … for the strata of the samples; all 0 where None."""
    if strata is None:
        return np.zeros(n_samples, dtype=np.int64)
    labels = [str(item) for item in strata]
    if len(labels) != n_samples:
        raise InputError(f"There are {n_samples} samples and {len(labels)} strata labels.")
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)


def n_orders(label: Order) -> int:
    """Return how many permutations keep every sample in its stratum, the identity included."""
    return math.prod(math.factorial(int(count)) for count in np.bincount(label))


def exact_orders(label: Order) -> Iterator[Order]:
    """Yield all permutations within strata but the identity."""
    groups = [np.flatnonzero(label == code) for code in range(int(label.max(initial=-1)) + 1)]
    identity = np.arange(len(label))
    for parts in product(*(permutations(group.tolist()) for group in groups)):
        order = identity.copy()
        for group, part in zip(groups, parts, strict=True):
            order[group] = part
        if not np.array_equal(order, identity):
            yield order


def random_order(label: Order, seed: int, number: int, rows: Order | None = None) -> Order:
    """Return permutation `number` within strata.

    Parameters
    ----------
    label : ndarray of int64 (n_samples,)
        Stratum of each sample.
    seed, number : int
        The stream.
    rows : ndarray of int64 (n_rows,) or None
        Use these samples only: two tables with different samples are then permuted by the
        same random keys.

    Returns
    -------
    ndarray of int64
        Which row goes to each sample.
    """
    keys = spawn(seed, "max_t", number).random(len(label))
    used = label if rows is None else label[rows]
    keys = keys if rows is None else keys[rows]
    order = np.empty(len(used), dtype=np.int64)
    order[np.argsort(used, kind="stable")] = np.lexsort((keys, used))
    return order


def _residuals(values: Array, z: Array | None) -> tuple[Array, NDArray[np.bool_]]:
    left = np.zeros(values.shape)
    varies = np.zeros(values.shape[1], dtype=bool)
    for rows, columns in patterns(values):
        if rows.sum() < 2:
            continue
        part = values[np.ix_(rows, columns)]
        basis = covariate_basis(None if z is None else z[rows], int(rows.sum()))
        kept = residualise(part, basis)
        spread = part - part.mean(axis=0)
        total = np.einsum("ij,ij->j", spread, spread)
        floor = len(part) * (1e-14 * np.abs(part).max(axis=0)) ** 2
        fine = np.einsum("ij,ij->j", kept, kept) > np.maximum(1e-16 * total, floor)
        varies[columns] = fine
        left[np.ix_(rows, columns)] = np.where(fine, kept, 0.0)
    return left, varies


def _correlations(fixed: PermutationDesign, order: Order, space: Array | None = None) -> Array:
    moved = fixed.predictors[order]
    projected = fixed.basis.T @ moved
    norm = np.einsum("ij,ij->j", moved, moved) - np.einsum("ij,ij->j", projected, projected)
    moved *= 1.0 / np.sqrt(np.where(norm > 0, norm, np.inf))
    return np.asarray(np.matmul(moved.T, fixed.traits, out=space))


def _statistics(fixed: PermutationDesign, order: Order) -> Array:
    square = np.square(_correlations(fixed, order))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(square * fixed.df / np.maximum(1.0 - square, 0.0))
