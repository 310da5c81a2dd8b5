"""Many traits on many predictors by least squares, in block matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen._core.blocks import block_ranges, iter_units
from radgen._core.recycled import Recycled
from radgen._core.threads import n_threads, one_blas_thread
from radgen.errors import InputError
from radgen.stats._linear_fit import (
    COLLINEAR,
    CONSTANT_PREDICTOR,
    CONSTANT_TRAIT,
    EXPLAINED_TRAIT,
    LEVERAGE,
    OK,
    PERFECT_FIT,
    STATUS_TEXT,
    TOO_FEW,
    LinearFit,
    matrix,
)
from radgen.stats._linear_parts import covariate_basis, patterns, residualise
from radgen.stats._linear_robust import regress_robust
from radgen.stats._linear_side import TraitSide, prepare

__all__ = [
    "COLLINEAR",
    "CONSTANT_PREDICTOR",
    "CONSTANT_TRAIT",
    "EXPLAINED_TRAIT",
    "LEVERAGE",
    "OK",
    "PERFECT_FIT",
    "STATUS_TEXT",
    "TOO_FEW",
    "LinearFit",
    "TraitSide",
    "covariate_basis",
    "patterns",
    "prepare",
    "regress",
    "regress_blocks",
    "residualise",
]

Array = NDArray[np.float64]
_PAIRS = 1 << 19


def regress(
    traits: ArrayLike,
    predictors: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    robust: bool = False,
) -> LinearFit:
    """Return trait = intercept + covariates + slope x predictor for every pair.

    Parameters
    ----------
    traits : array_like of float64 (n_samples, n_traits)
        NaN = missing.
    predictors : array_like of float64 (n_samples, n_predictors)
        NaN = missing.
    covariates : array_like of float64 (n_samples, n_covariates) or None
        Samples with a missing covariate are not used.
    robust : bool, default False
        Standard errors by HC3 (heteroscedasticity-consistent), still referred to t.

    Returns
    -------
    LinearFit
        Arrays (n_predictors, n_traits).

    Raises
    ------
    InputError
        If the row counts differ or an array is not two-dimensional.

    Notes
    -----
    Frisch-Waugh-Lovell: both sides are residualised on the covariates, all cross products
    come from one matrix product, t has n - rank - 1 degrees of freedom. Each pair uses exactly
    the samples complete for it: columns with the same missing samples form a group, and the
    covariates are orthogonalised anew on each group's samples. Results of a pair do not
    depend on which other columns run with it, but for rounding (below 1e-12).
    Cost: with missing values on one side only, about (rank + 2) products; with both, that
    times the number of different missing patterns of the side that has fewer.

    References
    ----------
    MacKinnon & White (1985), J. Econometrics 29, 305-325 (HC3).

    Examples
    --------
    >>> y = np.array([[1.0], [2.0], [2.5], [4.1]])
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> float(regress(y, x).effect[0, 0].round(3))
    0.98
    """
    if robust:
        return regress_robust(*_checked(traits, predictors, covariates))
    return prepare(traits, covariates).regress(predictors)


def regress_blocks(
    traits: ArrayLike,
    predictors: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    block_size: int | None = None,
    threads: int | None = None,
) -> Iterator[tuple[int, int, LinearFit]]:
    """Yield the regressions of all traits on one block of predictors after the other.

    Parameters
    ----------
    traits, predictors, covariates : array_like
        As `regress` takes them.
    block_size : int or None
        Predictors per block; None = about half a million pairs. It bounds the memory and
        changes no result.
    threads : int or None
        Blocks that are computed at a time, each with one thread of the BLAS; None = the
        processors at hand.

    Yields
    ------
    start, stop : int
        Columns of `predictors`.
    fit : LinearFit
        Arrays (stop - start, n_traits).

    Raises
    ------
    InputError
        If the row counts differ or an array is not two-dimensional.

    Examples
    --------
    >>> y, x = np.arange(6.0).reshape(6, 1), np.arange(24.0).reshape(6, 4) ** 2
    >>> [(a, b, fit.t.shape) for a, b, fit in regress_blocks(y, x, block_size=3)]
    [(0, 3, (3, 1)), (3, 4, (1, 1))]
    """
    side = prepare(traits, covariates)
    x = matrix(predictors, "predictors")
    size = block_size or max(_PAIRS // max(side.traits.shape[1], 1), 1)
    blocks = list(block_ranges(x.shape[1], size))
    workers = min(n_threads(threads), max(len(blocks), 1))
    if len(x) != len(side.used):
        raise InputError(f"Traits have {len(side.used)} rows and predictors {len(x)}.")
    take = Recycled(5 * (workers + 2))

    def fit_block(part: Array) -> LinearFit:
        return side.block(part if side.used.all() else part[side.used], take)

    if workers == 1:
        for start, stop in blocks:
            yield start, stop, fit_block(x[:, start:stop])
        return
    with one_blas_thread(), ThreadPoolExecutor(workers) as pool:
        parts = (x[:, start:stop] for start, stop in blocks)
        fits = iter_units(fit_block, parts, executor=pool, ahead=workers + 1)
        for (start, stop), fit in zip(blocks, fits, strict=True):
            yield start, stop, fit


def _checked(
    traits: ArrayLike, predictors: ArrayLike, covariates: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    y, x = matrix(traits, "traits"), matrix(predictors, "predictors")
    if len(x) != len(y):
        raise InputError(f"Traits have {len(y)} rows and predictors {len(x)}.")
    if covariates is None:
        return y, x, None
    z = matrix(covariates, "covariates")
    if len(z) != len(y):
        raise InputError(f"Traits have {len(y)} rows and covariates {len(z)}.")
    full = np.isfinite(z).all(axis=1)
    return y[full], x[full], z[full]
