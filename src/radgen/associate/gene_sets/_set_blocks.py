"""Set tests of a block of traits that share their samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.rng import spawn
from radgen.associate.gene_sets._gene_side import Residuals, residuals_of
from radgen.stats import permutation
from radgen.stats.moderated import squeeze_variances
from radgen.stats.running_sum import (
    enrichment_scores,
    farthest,
    positions_from_top,
    random_places,
    score_tail,
    walk,
)
from radgen.stats.set_tests import competitive, competitive_ranks
from radgen.stats.tail import log10p_to_z, t_log10p

__all__ = ["SetBlock", "SetUnit", "leading_edge", "preranked_block", "run_sets"]

Array = NDArray[np.float64]
Members = tuple[NDArray[np.int64], ...]

_AT_ONCE = 2_000_000
_TIE_RTOL = 1e-9
_FEW = 10


@dataclass(frozen=True, eq=False)
class SetUnit:
    """One block of traits as it travels to a worker.

    `traits` and `genes` have no missing values; `rows` are the places of their samples among
    all matched ones, whose strata are `label`. `correlation` None = estimated.
    """

    traits: Array
    genes: Array
    covariates: Array | None
    members: Members
    matrix: Any
    method: str
    correlation: float | None
    n_permutations: int
    seed: int
    label: NDArray[np.int64]
    rows: NDArray[np.int64]
    power: float


@dataclass(frozen=True, eq=False)
class SetBlock:
    """Answers, each (n_traits, n_sets) but `statistics` (n_traits, n_genes).

    `score` is the mean partial correlation ("mean") or its difference from the others
    ("contrast"), the difference of mean z ("camera"), the probability that a member is above the
    others less 0.5 ("ranks") or the enrichment score ("gsea"); NaN
    where it does not apply.
    """

    score: Array
    se: Array
    df: float
    nes: Array
    correlation: Array
    log10p: Array
    statistics: Array


def run_sets(unit: SetUnit) -> SetBlock:
    """Return the set tests of one block."""
    left = residuals_of(unit.traits, unit.genes, unit.covariates)
    found = _TESTS[unit.method](unit, left)
    flat = ~left.traits.any(axis=0)
    for values in (found.score, found.se, found.nes, found.correlation, found.log10p):
        values[flat] = np.nan
    return found


def _camera(unit: SetUnit, left: Residuals) -> SetBlock:
    slope, variance = left.statistics()
    z = np.empty(slope.shape)
    for row, (beta, spread) in enumerate(zip(slope, variance, strict=True)):
        prior = squeeze_variances(spread, left.df)
        z[row] = _z_of_t(beta / np.sqrt(prior.variance), prior.df_total)
    # A correlation that is estimated leaves its degrees of freedom; a fixed one costs none.
    df: int | None = None
    between = np.full((len(z), len(unit.members)), np.nan)
    if unit.correlation is None:
        between, df = _inter_gene(unit, left, slope, variance), left.df
    else:
        between[:] = unit.correlation
    if unit.method == "ranks":
        own = None if df is None else min(df, z.shape[1] - 2)
        found = competitive_ranks(z, unit.matrix, between, df=own)
    else:
        found = competitive(z, unit.matrix, between, df=df)
    return SetBlock(found.effect, found.se, found.df, _blank(found.se), between, found.log10p, z)


def _z_of_t(t: Array, df: Array) -> Array:
    t = np.nan_to_num(t, nan=0.0)
    return np.asarray(np.copysign(log10p_to_z(t_log10p(t, df)), t))


def _inter_gene(unit: SetUnit, left: Residuals, slope: Array, variance: Array) -> Array:
    """Mean correlation of the residuals of two members, of each trait and set."""
    size = np.array([len(item) for item in unit.members], dtype=np.float64)
    out = np.empty((len(slope), len(size)))
    for row in range(len(slope)):
        scale = 1 / np.sqrt(np.maximum(variance[row], 1e-8))
        weighed = unit.matrix.multiply(scale).tocsr()
        total = weighed @ left.genes.T
        along = weighed @ slope[row]
        square = np.einsum("ij,ij->i", total, total) - along**2
        inflation = square / (size * left.df)
        with np.errstate(divide="ignore", invalid="ignore"):
            out[row] = np.where(size > 1, (inflation - 1) / (size - 1), 0.0)
    return out


def set_means(genes: Array, matrix: Any, *, contrast: bool) -> Array:
    """Return mean members of genes of norm 1, (n_samples, n_sets); less the others' mean."""
    norm = np.sqrt(np.einsum("ij,ij->j", genes, genes))
    unit = genes / np.where(norm > 0, norm, np.inf)
    size = np.asarray(matrix.sum(axis=1)).ravel()
    inside = np.asarray(matrix @ unit.T).T
    if not contrast:
        return np.asarray(inside / size)
    outside = (unit.sum(axis=1, keepdims=True) - inside) / (unit.shape[1] - size)
    return np.asarray(inside / size - outside)


def _mean(unit: SetUnit, left: Residuals) -> SetBlock:
    scores = set_means(left.genes, unit.matrix, contrast=unit.method == "contrast")
    norm = np.sqrt(np.einsum("ij,ij->j", scores, scores))
    score = left.traits.T @ scores
    r = score / np.where(norm > 0, norm, np.nan)
    rest = np.sqrt(np.maximum(1 - r**2, 0.0) / left.df)
    with np.errstate(divide="ignore"):
        log10p = t_log10p(r / rest, float(left.df))
    slope, variance = left.statistics()
    t = slope / np.sqrt(np.where(variance > 0, variance, np.inf))
    return SetBlock(score, norm * rest, left.df, _blank(r), _blank(r), log10p, t)


def _gsea(unit: SetUnit, left: Residuals) -> SetBlock:
    def t_of(traits: Array) -> Array:
        slope, variance = left.statistics(traits)
        return slope / np.sqrt(np.where(variance > 0, variance, np.inf))

    t = t_of(left.traits)
    score = enrichment_scores(t, unit.members, power=unit.power)
    tally = _Tally(score)
    batch = max(1, _AT_ONCE // max(1, t.size))
    for start in range(0, unit.n_permutations, batch):
        stop = min(start + batch, unit.n_permutations)
        orders = [
            permutation.random_order(unit.label, unit.seed, number, unit.rows)
            for number in range(start, stop)
        ]
        lists = np.concatenate([t_of(left.permuted(order)) for order in orders])
        found = enrichment_scores(lists, unit.members, power=unit.power)
        for part in found.reshape(len(orders), *score.shape):
            tally.add(part)
    blank = _blank(score)
    return SetBlock(score, blank, np.nan, tally.nes(), blank.copy(), np.log10(tally.p()), t)


class _Tally:
    """Counts of permuted scores on the same side of 0 as the observed."""

    def __init__(self, score: Array) -> None:
        self.score = score
        self.same = np.zeros(score.shape)
        self.beyond = np.zeros(score.shape)
        self.total = np.zeros(score.shape)

    def add(self, permuted: Array) -> None:
        same = np.sign(permuted) == np.sign(self.score)
        size = np.abs(permuted)
        self.same += same
        self.beyond += same & (size >= np.abs(self.score) * (1 - _TIE_RTOL))
        self.total += np.where(same, size, 0.0)

    def nes(self) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.total > 0, self.score * self.same / self.total, np.nan)

    def p(self) -> Array:
        """(b + 1)/(m + 1) of the m scores on the same side; NaN where the score is undefined."""
        p = (self.beyond + 1) / (self.same + 1)
        return np.where(np.isfinite(self.score) & (self.score != 0), p, np.nan)


def preranked_block(
    statistics: Array,
    members: Members,
    *,
    power: float,
    n_permutations: int,
    floor: float | None,
    seed: int,
) -> tuple[Array, Array, Array]:
    """Return enrichment score, normalised score and log10 p of sets in ranked lists.

    Parameters
    ----------
    statistics : ndarray of float64 (n_lists, n_features)
        No NaN.
    members : tuple of ndarray of int64
        Columns of each set.
    power : float
        Power of the absolute statistic.
    n_permutations : int
        Random sets of each size.
    floor : float or None
        Follow probabilities that random sets do not reach down to this; None = do not.
    seed : int
        Seed of the random sets.
    """
    length = statistics.shape[1]
    score = enrichment_scores(statistics, members, power=power)
    by_place = -np.sort(-statistics, axis=1, kind="stable")
    sizes = np.abs(by_place) ** power
    number = np.array([len(item) for item in members])
    rng = spawn(seed, "preranked")
    draws = random_places(length, int(number.max()), n_permutations, rng)
    nes, p = np.full(score.shape, np.nan), np.full(score.shape, np.nan)
    for m in np.unique(number):
        places = np.sort(draws[:, :m], axis=1)
        columns = np.flatnonzero(number == m)
        for row, own in enumerate(sizes):
            null = farthest(*walk(places, own[places - 1], length))
            tally = _Tally(score[row, columns])
            for side in (1, -1):
                same = np.sort(np.abs(null[np.sign(null) == side]))
                chosen = np.sign(tally.score) == side
                least = np.abs(tally.score[chosen]) * (1 - _TIE_RTOL)
                tally.same[chosen] = len(same)
                tally.beyond[chosen] = len(same) - np.searchsorted(same, least)
                tally.total[chosen] = same.sum()
            nes[row, columns], p[row, columns] = tally.nes(), tally.p()
            if floor is not None:
                share = tally.same / n_permutations
                for k in np.flatnonzero(tally.beyond < _FEW):
                    at = (row, columns[k])
                    if np.isfinite(p[at]) and share[k] > 0:
                        p[at] = _followed(own, int(m), float(score[at]), share[k], floor, seed, at)
    return score, nes, np.log10(p)


def _followed(  # noqa: PLR0917
    sizes: Array, m: int, score: float, share: float, floor: float, seed: int, at: tuple[int, Any]
) -> float:
    """Far tail of a score among the random sets on its side of 0."""
    along = sizes if score > 0 else sizes[::-1]
    rng = spawn(seed, "tail", int(at[0]), int(at[1]))
    log10p, _ = score_tail(along, m, abs(score) * (1 - _TIE_RTOL), rng=rng, floor=floor * share)
    return float(min(1.0, max(10.0**log10p / share, floor)))


def leading_edge(statistics: Array, members: NDArray[np.int64], power: float) -> NDArray[np.int64]:
    """Return the members up to the peak of the walk, the strongest first."""
    place = positions_from_top(statistics[None])[:, 0][members]
    order = np.argsort(place)
    places = place[order]
    weights = np.abs(statistics[members[order]]) ** power
    total = weights.sum()
    if not total > 0:
        return members[:0]
    ups = np.cumsum(weights) / total
    downs = (places - np.arange(1, len(places) + 1)) / (len(statistics) - len(places))
    after, before = ups - downs, ups - weights / total - downs
    if after.max() >= -before.min():
        return np.asarray(members[order[: int(after.argmax()) + 1]])
    return np.asarray(members[order[int(before.argmin()) :]][::-1])


def _blank(like: Array) -> Array:
    return np.full(like.shape, np.nan)


_TESTS = {"camera": _camera, "ranks": _camera, "mean": _mean, "contrast": _mean, "gsea": _gsea}
