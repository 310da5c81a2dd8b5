"""Pairs tested by ranks or by a table of counts; none of these adjusts for covariates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from radgen.associate import _pairs
from radgen.associate._pairs import PairBlock, blank_block
from radgen.stats import contingency, rank

__all__ = [
    "chi2_block",
    "fisher_block",
    "jonckheere_block",
    "kruskal_block",
    "mann_whitney_block",
    "trend_block",
]

Array = NDArray[np.float64]

_MAX_CLASSES = 20


@dataclass(frozen=True)
class _Test:
    """What one pair gives."""

    log10p: float
    effect: float = np.nan
    statistic: float = np.nan
    df: float = np.nan
    se: float = np.nan


_One = Callable[[Array, Array], "_Test | None"]


def mann_whitney_block(
    traits: Array, predictors: Array, _z: Array | None, confidence: float
) -> PairBlock:
    """Trait in the two groups of a 0/1 predictor; effect = rank-biserial correlation."""
    return _each(traits, predictors, confidence, _mann_whitney)


def kruskal_block(
    traits: Array, predictors: Array, _z: Array | None, confidence: float
) -> PairBlock:
    """Trait in the classes of the predictor, referred to F."""
    return _each(traits, predictors, confidence, _kruskal)


def jonckheere_block(
    traits: Array, predictors: Array, _z: Array | None, confidence: float
) -> PairBlock:
    """Trend of the trait over the ordered classes of the predictor."""
    return _each(traits, predictors, confidence, _jonckheere)


def fisher_block(
    traits: Array, predictors: Array, _z: Array | None, confidence: float
) -> PairBlock:
    """Two 0/1 columns; effect = log odds ratio with Woolf's limits."""
    return _each(traits, predictors, confidence, _fisher)


def chi2_block(traits: Array, predictors: Array, _z: Array | None, confidence: float) -> PairBlock:
    """Classes of the trait against classes of the predictor."""
    return _each(traits, predictors, confidence, _chi2)


def trend_block(traits: Array, predictors: Array, _z: Array | None, confidence: float) -> PairBlock:
    """A 0/1 column against ordered classes."""
    return _each(traits, predictors, confidence, _trend)


def _each(traits: Array, predictors: Array, confidence: float, one: _One) -> PairBlock:
    out = blank_block(predictors, traits)
    quantile = float(ndtri(0.5 + confidence / 2))
    for i in range(predictors.shape[1]):
        for j in range(traits.shape[1]):
            keep = np.isfinite(predictors[:, i]) & np.isfinite(traits[:, j])
            found = one(traits[keep, j], predictors[keep, i]) if keep.any() else _Test(np.nan)
            if found is None:
                out.code[i, j] = _pairs.WRONG_TYPE
            elif np.isnan(found.log10p):
                out.code[i, j] = _pairs.ONE_CLASS
            else:
                out.effect[i, j], out.se[i, j] = found.effect, found.se
                out.ci_low[i, j] = found.effect - quantile * found.se
                out.ci_high[i, j] = found.effect + quantile * found.se
                out.statistic[i, j], out.df[i, j] = found.statistic, found.df
                out.log10p[i, j] = found.log10p
    return out


def _mann_whitney(y: Array, x: Array) -> _Test | None:
    if not np.isin(x, (0, 1)).all():
        return None
    test = rank.mann_whitney(y[x == 1], y[x == 0])
    return _Test(test.log10p, test.effect, test.statistic)


def _kruskal(y: Array, x: Array) -> _Test | None:
    if len(np.unique(x)) > _MAX_CLASSES:
        return None
    test = rank.kruskal(y, x, reference="f")
    return _Test(test.log10p, np.nan, test.statistic, test.df)


def _jonckheere(y: Array, x: Array) -> _Test | None:
    if len(np.unique(x)) > _MAX_CLASSES:
        return None
    test = rank.jonckheere(y, x)
    return _Test(test.log10p, test.effect, test.statistic)


def _fisher(y: Array, x: Array) -> _Test | None:
    if not (np.isin(x, (0, 1)).all() and np.isin(y, (0, 1)).all()):
        return None
    table = _table(y, x, 2, 2)
    if (table.sum(axis=0) == 0).any() or (table.sum(axis=1) == 0).any():
        return _Test(np.nan)
    effect, se = contingency.log_odds_ratio(table)
    return _Test(contingency.fisher_exact(table).log10p, effect, np.nan, np.nan, se)


def _chi2(y: Array, x: Array) -> _Test | None:
    y_levels, x_levels = np.unique(y), np.unique(x)
    if max(len(y_levels), len(x_levels)) > _MAX_CLASSES:
        return None
    table = _table(
        np.searchsorted(y_levels, y), np.searchsorted(x_levels, x), len(y_levels), len(x_levels)
    )
    test = contingency.chi2_test(table)
    return _Test(test.log10p, np.nan, test.statistic, test.df)


def _trend(y: Array, x: Array) -> _Test | None:
    if not np.isin(y, (0, 1)).all():
        y, x = x, y
    levels = np.unique(x)
    if not np.isin(y, (0, 1)).all() or len(levels) > _MAX_CLASSES:
        return None
    table = _table(y, np.searchsorted(levels, x), 2, len(levels))
    test = contingency.trend_test(table, levels)
    return _Test(test.log10p, np.nan, test.statistic, test.df)


def _table(y: NDArray[np.generic], x: NDArray[np.generic], rows: int, columns: int) -> Array:
    out = np.zeros((rows, columns))
    np.add.at(out, (y.astype(np.int64), x.astype(np.int64)), 1.0)
    return out
