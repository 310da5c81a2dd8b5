"""Test blocks of pairs: every kernel answers with the same arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from radgen.stats import linear
from radgen.stats.tail import t_log10p

__all__ = [
    "REASONS",
    "WARNED",
    "PairBlock",
    "blank_block",
    "from_fit",
    "group_sizes",
    "is_binary",
    "linear_block",
    "robust_block",
    "ruled_by_one",
    "spearman_block",
]

Array = NDArray[np.float64]

REASONS = (
    *linear.STATUS_TEXT,
    "fewer complete samples than the declared minimum",
    "fewer samples in one of the two groups than the declared minimum",
    "the outcome has one class only in the complete samples",
    "the model did not converge",
    "the classes are separated: effect and interval are Firth's",
    "the classes are separated: the effect is infinite",
    "the test needs another type of data",
    "one sample alone holds more than half of the variance of a side: the result hangs on it",
    "its own effect did not pass the filter",
)
TOO_FEW_SAMPLES, TOO_FEW_CARRIERS, ONE_CLASS, NOT_CONVERGED = range(
    len(linear.STATUS_TEXT), len(linear.STATUS_TEXT) + 4
)
SEPARATED, INFINITE, WRONG_TYPE, RULED_BY_ONE, FILTERED = range(NOT_CONVERGED + 1, len(REASONS))
WARNED = (linear.PERFECT_FIT, SEPARATED, INFINITE, RULED_BY_ONE)
"""Codes of pairs that have a p-value, but need a look."""


@dataclass(frozen=True, eq=False)
class PairBlock:
    """Tests of every predictor with every trait, all arrays (n_predictors, n_traits).

    `code` is an index into `REASONS`; `n_group1` is NaN where the predictor has no two groups.
    """

    n: Array
    n_group1: Array
    effect: Array
    se: Array
    ci_low: Array
    ci_high: Array
    statistic: Array
    df: Array
    log10p: Array
    code: NDArray[np.int8]

    def transposed(self) -> PairBlock:
        """Return the block with its axes swapped."""
        return PairBlock(*(getattr(self, item.name).T for item in fields(self)))

    def refuse(self, where: NDArray[np.bool_], code: int) -> PairBlock:
        """Return the block with the pairs at `where` not tested, for the reason `code`."""
        if not where.any():
            return self
        names = ("effect", "se", "ci_low", "ci_high", "statistic", "df", "log10p")
        changed = {name: np.where(where, np.nan, getattr(self, name)) for name in names}
        return replace(self, **changed, code=np.where(where, code, self.code).astype(np.int8))


Kernel = Callable[[Array, Array, "Array | None", float], PairBlock]
"""``kernel(traits, predictors, covariates, confidence) -> PairBlock``."""


def blank_block(predictors: Array, traits: Array) -> PairBlock:
    """Return a block that knows the sizes of the groups and nothing else."""
    known_x, known_y = np.isfinite(predictors), np.isfinite(traits)
    n = known_x.T.astype(np.float64) @ known_y.astype(np.float64)
    group = group_sizes(predictors, known_y)
    empty = np.full(n.shape, np.nan)
    return PairBlock(
        n, group, *(empty.copy() for _ in range(7)), code=np.zeros(n.shape, dtype=np.int8)
    )


def group_sizes(predictors: Array, known_y: NDArray[np.bool_]) -> Array:
    """Return how many complete samples have predictor 1; NaN where it is not 0/1."""
    binary = is_binary(predictors)
    out = np.full((predictors.shape[1], known_y.shape[1]), np.nan)
    if binary.any():
        ones = (predictors[:, binary] == 1).astype(np.float64)
        out[binary] = ones.T @ known_y.astype(np.float64)
    return out


def is_binary(values: Array) -> NDArray[np.bool_]:
    """Return which columns hold 0, 1 and missing values only, and at least one value."""
    known = np.isfinite(values)
    fits = (~known | (values == 0) | (values == 1)).all(axis=0)
    return np.asarray(fits & known.any(axis=0))


def ruled_by_one(values: Array) -> NDArray[np.bool_]:
    """Return which columns owe more than half of their variance to one sample.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_columns)
        NaN = missing; columns of 0 and 1 are left aside.

    Returns
    -------
    ndarray of bool (n_columns,)
        Of these a least-squares result hangs on one sample.
    """
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, values, 0.0)
    square = np.where(known, filled - filled.sum(axis=0) / count, 0.0) ** 2
    most = square.max(axis=0, initial=0.0)
    return np.asarray((most > 0.5 * square.sum(axis=0)) & ~is_binary(values) & (count > 4))


def linear_block(traits: Array, predictors: Array, z: Array | None, confidence: float) -> PairBlock:
    """Least squares with Student's t."""
    return _from_linear(traits, predictors, z, confidence, robust=False)


def robust_block(traits: Array, predictors: Array, z: Array | None, confidence: float) -> PairBlock:
    """Least squares with HC3 standard errors."""
    return _from_linear(traits, predictors, z, confidence, robust=True)


def _from_linear(
    traits: Array, predictors: Array, z: Array | None, confidence: float, *, robust: bool
) -> PairBlock:
    fit = linear.regress(traits, predictors, z, robust=robust)
    return from_fit(fit, traits, predictors, confidence)


def from_fit(
    fit: linear.LinearFit, traits: Array, predictors: Array, confidence: float
) -> PairBlock:
    """Return the block of a fit of these columns."""
    low, high = fit.interval(confidence)
    df = fit.df if not fit.status.any() else np.where(np.isfinite(fit.effect), fit.df, np.nan)
    return PairBlock(
        n=fit.n.astype(np.float64),
        n_group1=group_sizes(predictors, np.isfinite(traits)),
        effect=fit.effect,
        se=fit.se,
        ci_low=low,
        ci_high=high,
        statistic=fit.t,
        df=df,
        log10p=fit.log10p,
        code=fit.status,
    )


def spearman_block(
    traits: Array, predictors: Array, z: Array | None, confidence: float
) -> PairBlock:
    """Spearman's rho, partial where there are covariates, with the t reference.

    Ranks are taken over the complete samples of each group of columns; the covariates enter
    as ranks too. The interval is Fisher's z with the Bonett-Wright variance.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    out = blank_block(predictors, traits)
    effect, df, code = out.effect, out.df, out.code
    for x_rows, x_cols in linear.patterns(predictors):
        for y_rows, y_cols in linear.patterns(traits):
            rows = x_rows & y_rows
            here = np.ix_(x_cols, y_cols)
            if rows.sum() < 3:
                code[here] = linear.TOO_FEW
                continue
            rank_x = rankdata(predictors[np.ix_(rows, x_cols)], axis=0)
            rank_y = rankdata(traits[np.ix_(rows, y_cols)], axis=0)
            rank_z = None if z is None else rankdata(z[rows], axis=0)
            fit = linear.regress(rank_y, rank_x, rank_z)
            with np.errstate(invalid="ignore"):
                square = fit.t**2
                rho = np.sign(fit.effect) * np.sqrt(square / (square + fit.df))
            exact = fit.status == linear.PERFECT_FIT
            rho = np.where(exact, np.sign(fit.effect), rho)
            effect[here], df[here], code[here] = rho, fit.df, fit.status
    with np.errstate(divide="ignore", invalid="ignore"):
        t = effect * np.sqrt(df / (1 - effect**2))
        # n - 3 - (covariates) of Fisher's z is df - 1.
        spread = np.sqrt((1 + effect**2 / 2) / (df - 1))
        half = ndtri(0.5 + confidence / 2) * spread
        low, high = np.tanh(np.arctanh(effect) - half), np.tanh(np.arctanh(effect) + half)
        se = np.sqrt((1 - effect**2) / df)
    known = np.isfinite(effect)
    return replace(
        out,
        effect=effect,
        se=se,
        ci_low=np.where(df > 1, low, np.nan),
        ci_high=np.where(df > 1, high, np.nan),
        statistic=t,
        df=np.where(known, df, np.nan),
        log10p=t_log10p(t, np.where(known, df, np.nan)),
        code=code,
    )
