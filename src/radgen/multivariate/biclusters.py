"""Sets of people that share variants matched with sets that share phenotypes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.progress import progress
from radgen._core.rng import derive_seed, spawn
from radgen.errors import InputError
from radgen.stats.contingency import fisher_exact
from radgen.stats.multiplicity import bh
from radgen.types import Result

__all__ = ["BiclusterResult", "bicluster_sets", "link_biclusters"]

Array = NDArray[np.float64]

_FEWEST = 3


@dataclass(frozen=True, eq=False)
class BiclusterResult(Result):
    """Relations between variant sets and phenotype sets; `table` has a row a relation.

    Attributes
    ----------
    members : polars.DataFrame
        ``block, set, sample``: who is in which set.
    features : polars.DataFrame
        ``block, set, feature``: what they share.
    """

    kind: ClassVar[str] = "biclusters"

    members: pl.DataFrame = field(default_factory=pl.DataFrame)
    features: pl.DataFrame = field(default_factory=pl.DataFrame)

    def statements(self) -> tuple[str, ...]:
        """Return how many relations hold and the strongest one."""
        n_tests, kept = self.params["n_tests"], self.frame.filter(pl.col("p_fwe") <= 0.05)
        if not kept.height:
            return (
                f"No set of people that share variants overlaps a set that share phenotypes by "
                f"more than chance ({n_tests:,} pairs, family-wise error 5 %).",
            )
        best = kept.row(0, named=True)
        return (
            f"{kept.height} of {n_tests:,} pairs of sets overlap by more than chance (family-wise "
            f"error 5 %); the strongest shares {best['n_both']} of {best['n_x']} and "
            f"{best['n_y']} people, p {best['p']:.2g}, corrected {best['p_fwe']:.2g}.",
        )

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        return (
            f"Sets of people were found in each block by non-negative matrix factorisation with "
            f"{p['ranks'][0]} to {p['ranks'][-1]} components, without looking at the other block "
            "or at outcomes. All pairs of sets were compared by the hypergeometric test of their "
            f"overlap; family-wise error was controlled by {p['n_permutations']} permutations of "
            "the people between blocks. Outcomes were tested afterwards in the relations found."
        )


def bicluster_sets(
    values: NDArray[Any],
    *,
    ranks: Sequence[int],
    seed: int,
    signed: bool = False,
    n_starts: int = 2,
    max_overlap: float = 0.8,
) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Return sets of people that share features, found by factorisations of many ranks.

    Parameters
    ----------
    values : ndarray of float (n_samples, n_features)
        Not negative (dosages), or any numbers where `signed`; no NaN.
    ranks : sequence of int
        Numbers of components; each component gives one set.
    seed : int
        Seed of the starts.
    signed : bool, default False
        Standardise columns and hold what is above and below the mean in columns of their own, so
        that low values can be shared too.
    n_starts : int, default 2
        Starts a rank; the best fit is kept.
    max_overlap : float, default 0.8
        A set whose people have a Jaccard index above it with a larger one is left out.

    Returns
    -------
    list of (ndarray of bool (n_samples,), ndarray of bool (n_features,))
        People and features of each set. Both are cut where the two groups of their weights are
        furthest apart (the split with the least variance within).

    Raises
    ------
    InputError
        If a rank does not fit, or values are negative and `signed` is False.

    References
    ----------
    Arnedo et al. (2015), Am J Psychiatry 172:139. doi:10.1176/appi.ajp.2014.14040435
    """
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    block = np.asarray(values, dtype=np.float64)
    if not np.isfinite(block).all() or (block.min() < 0 and not signed):
        raise InputError("The block holds missing or negative values; impute, or use signed=True.")
    if not len(ranks) or min(ranks) < 2 or max(ranks) >= min(block.shape):
        raise InputError(f"ranks are {list(ranks)}; each lies in 2 to {min(block.shape) - 1}.")
    n_features = block.shape[1]
    if signed:
        spread = block.std(axis=0)
        z = (block - block.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        block = np.hstack([np.maximum(z, 0), np.maximum(-z, 0)])
    found: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]] = []
    for rank in ranks:
        fits = []
        for start in range(n_starts):
            state = derive_seed(seed, "nmf", rank, start) % 2**32
            model = NMF(rank, init="nndsvdar", random_state=state, max_iter=400, tol=1e-3)
            with warnings.catch_warnings():  # sets are read off: the last digits do not matter
                warnings.simplefilter("ignore", ConvergenceWarning)
                weights = model.fit_transform(block)
            fits.append((weights, model.components_, model.reconstruction_err_))
        people, shared, _ = min(fits, key=lambda fit: fit[2])
        for k in range(rank):
            size = shared[k].max()
            if size <= 0:
                continue
            inside = people[:, k] > _cut(people[:, k])
            features = shared[k] > _cut(shared[k])
            if signed:
                features = features[:n_features] | features[n_features:]
            if _FEWEST <= inside.sum() <= len(inside) - _FEWEST:
                found.append((inside, features))
    return _distinct(found, max_overlap)


def link_biclusters(
    X: NDArray[Any],
    y: NDArray[Any],
    *,
    seed: int,
    ranks: Sequence[int] = (2, 3, 4, 5, 6, 7, 8),
    outcome: NDArray[Any] | None = None,
    n_permutations: int = 999,
    samples: Sequence[str] | None = None,
    x_names: Sequence[str] | None = None,
    y_names: Sequence[str] | None = None,
) -> BiclusterResult:
    """Return which variant sets and phenotype sets hold the same people.

    Parameters
    ----------
    X : ndarray of float (n_samples, n_x)
        Dosages, not negative; no NaN.
    y : ndarray of float (n_samples, n_y)
        Phenotypes; no NaN.
    seed : int
        Seed of factorisations and permutations.
    ranks : sequence of int, default 2 to 8
        Numbers of components tried, all of them kept.
    outcome : ndarray of bool (n_samples,) or None
        Looked at only after the relations are found: risk in the people of a relation against
        all others.
    n_permutations : int, default 999
        Permutations of people between the blocks.
    samples, x_names, y_names : sequence of str or None
        Names; numbered where None.

    Returns
    -------
    BiclusterResult
        Columns ``x_set, y_set, n_x, n_y, n_both, expected, p, p_fwe, q``, and with an outcome
        ``risk, risk_others, risk_p, risk_q`` (Fisher's exact test, corrected over the relations
        with ``p_fwe <= 0.05``; NaN for the others).

    Raises
    ------
    InputError
        If blocks differ in rows, or an outcome is not 0/1.

    Notes
    -----
    Sets are found in each block alone, so permuting people between the blocks needs no new
    factorisation: the null distribution of the smallest p is exact for the question whether the
    blocks are linked at all. It does not adjust for confounders: take them out of `y` first.

    References
    ----------
    Arnedo et al. (2015), Am J Psychiatry 172:139. doi:10.1176/appi.ajp.2014.14040435
    """
    X, y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(X) != len(y) or X.ndim != 2 or y.ndim != 2:
        raise InputError(f"X has shape {X.shape}, y {y.shape}: they need the same rows.")
    left = bicluster_sets(X, ranks=_possible(ranks, X), seed=seed)
    right = bicluster_sets(y, ranks=_possible(ranks, y), seed=seed, signed=True)
    if not left or not right:
        raise InputError("No set of people was found in one of the blocks; try other ranks.")
    a = np.stack([people for people, _ in left]).astype(np.float64)
    b = np.stack([people for people, _ in right]).astype(np.float64)
    table = _Overlaps(a.sum(axis=1), b.sum(axis=1), len(X))
    log10p = table.log10p(a @ b.T)
    largest = np.empty(n_permutations)
    with progress("Permuting people", n_permutations) as tick:
        for k in range(n_permutations):
            order = spawn(seed, "biclusters", k).permutation(len(X))
            largest[k] = table.log10p(a @ b[:, order].T).max()
            tick(1)
    frame = _relations(log10p, largest, a, b)
    if outcome is not None:
        frame = _with_risk(frame, a, b, outcome)
    named = [list(samples) if samples is not None else [f"s{i}" for i in range(len(X))]]
    for names, block, prefix in ((x_names, X, "x"), (y_names, y, "y")):
        known = [f"{prefix}{j}" for j in range(block.shape[1])] if names is None else list(names)
        named.append(known)
    params = {
        "ranks": [int(r) for r in ranks],
        "n_permutations": n_permutations,
        "seed": seed,
        "n_tests": int(log10p.size),
    }
    return BiclusterResult(
        frame, params, len(X), members=_listed(left, right, (named[0], named[0]), 0),
        features=_listed(left, right, (named[1], named[2]), 1),
    )  # fmt: skip


class _Overlaps:
    """Upper-tail hypergeometric p of every pair of sets, from a table of all overlaps."""

    def __init__(self, sizes_a: Array, sizes_b: Array, n: int) -> None:
        from scipy.stats import hypergeom

        self.a, at_a = np.unique(sizes_a.astype(np.int64), return_inverse=True)
        self.b, at_b = np.unique(sizes_b.astype(np.int64), return_inverse=True)
        self.at = (at_a[:, None], at_b[None, :])
        most = int(min(self.a.max(), self.b.max()))
        k = np.arange(most + 1)
        log = hypergeom.logsf(k - 1, n, self.a[:, None, None], self.b[None, :, None])
        self.log10p_of = np.minimum(-log / np.log(10), 300.0)

    def log10p(self, overlaps: Array) -> Array:
        """Return -log10 p of overlaps (n_a, n_b)."""
        return np.asarray(self.log10p_of[(*self.at, np.rint(overlaps).astype(np.int64))])


def _possible(ranks: Sequence[int], block: Array) -> list[int]:
    possible = [r for r in ranks if 2 <= r < min(block.shape)]
    if not possible:
        raise InputError(f"No rank of {list(ranks)} fits a block of shape {block.shape}.")
    return possible


def _cut(weights: Array) -> float:
    """Return the value that splits weights into the two groups of least variance within."""
    order = np.sort(weights)
    n = len(order)
    left = np.cumsum(order)[:-1]
    size = np.arange(1, n)
    between = size * (n - size) * (left / size - (order.sum() - left) / (n - size)) ** 2
    distinct = order[1:] > order[:-1]
    if not distinct.any():
        return float(order[-1])
    at = int(np.argmax(np.where(distinct, between, -1.0)))
    return float((order[at] + order[at + 1]) / 2)


def _distinct(
    sets: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]], most: float
) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    kept: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]] = []
    for people, features in sorted(sets, key=lambda item: -int(item[0].sum())):
        alike = [(people & other).sum() / (people | other).sum() for other, _ in kept]
        if not alike or max(alike) <= most:
            kept.append((people, features))
    return kept


def _relations(log10p: Array, largest: Array, a: Array, b: Array) -> pl.DataFrame:
    row, column = np.indices(log10p.shape).reshape(2, -1)
    flat = log10p.ravel()
    above = len(largest) - np.searchsorted(np.sort(largest), flat - 1e-9, side="left")
    p = 10.0**-flat
    size_a, size_b = a.sum(axis=1)[row], b.sum(axis=1)[column]
    frame = pl.DataFrame(
        {
            "x_set": row,
            "y_set": column,
            "n_x": size_a.astype(np.int64),
            "n_y": size_b.astype(np.int64),
            "n_both": np.rint((a @ b.T).ravel()).astype(np.int64),
            "expected": size_a * size_b / a.shape[1],
            "p": p,
            "p_fwe": (1 + above) / (1 + len(largest)),
            "q": bh(p),
        }
    )
    return frame.sort("p", "x_set", "y_set")


def _with_risk(frame: pl.DataFrame, a: Array, b: Array, outcome: NDArray[Any]) -> pl.DataFrame:
    event = np.asarray(outcome, dtype=np.float64)
    if len(event) != a.shape[1] or not np.isin(event, (0.0, 1.0)).all():
        raise InputError("The outcome has one 0 or 1 a sample, and none is missing.")
    inside = (a[frame["x_set"].to_numpy()] * b[frame["y_set"].to_numpy()]) > 0
    n_in = inside.sum(axis=1)
    cases = inside @ event
    risk = np.where(n_in > 0, cases / np.maximum(n_in, 1), np.nan)
    others = (event.sum() - cases) / np.maximum(len(event) - n_in, 1)
    related = frame["p_fwe"].to_numpy() <= 0.05
    p = np.full(frame.height, np.nan)
    for i in np.flatnonzero(related):
        outside = event.sum() - cases[i]
        healthy = n_in[i] - cases[i], len(event) - n_in[i] - outside
        p[i] = 10.0 ** fisher_exact([[cases[i], healthy[0]], [outside, healthy[1]]]).log10p
    q = np.full(frame.height, np.nan)
    if related.any():
        q[related] = bh(p[related])
    return frame.with_columns(
        pl.Series("risk", risk),
        pl.Series("risk_others", others),
        pl.Series("risk_p", p),
        pl.Series("risk_q", q),
    )


def _listed(
    left: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    right: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    names: tuple[list[str], list[str]],
    which: int,
) -> pl.DataFrame:
    rows = [
        (block, number, known[i])
        for block, sets, known in (("x", left, names[0]), ("y", right, names[1]))
        for number, item in enumerate(sets)
        for i in np.flatnonzero(item[which])
    ]
    what = ("sample", "feature")[which]
    schema = {"block": pl.String, "set": pl.Int64, what: pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")
