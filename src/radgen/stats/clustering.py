"""Clusters of samples: k-means, how many there are, how stable they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError

__all__ = [
    "GapStatistic",
    "adjusted_rand",
    "consensus_matrix",
    "gap_statistic",
    "kmeans",
    "kmeans_by_distance",
    "within_dispersion",
]

FloatArray = NDArray[np.float64]
Labels = NDArray[np.int64]
_STEPS = 200


def kmeans(x: Any, k: int, *, rng: np.random.Generator, starts: int = 10) -> Labels:
    """Return the labels of the best of several k-means runs (k-means++ starts).

    Parameters
    ----------
    x : float (n, p)
        Complete, on comparable scales.
    k : int
        Clusters.
    rng : numpy.random.Generator
        Of the starts.
    starts : int, default 10
        Runs; the one of the least within-cluster sum of squares is kept.

    Returns
    -------
    int64 (n,)
        0 … k - 1, by first appearance.

    Raises
    ------
    InputError
        If there are fewer than `k` distinct rows.
    """
    values = np.asarray(x, dtype=np.float64)
    if len(np.unique(values, axis=0)) < k:
        raise InputError(f"There are fewer than {k} distinct samples.")
    best, least = np.zeros(len(values), dtype=np.int64), np.inf
    for _ in range(starts if k > 1 else 1):
        labels = _lloyd(values, _spread_out(values, k, rng))
        cost = within_dispersion(values, labels)
        if cost < least - 1e-12 * max(least if np.isfinite(least) else 0.0, 1.0):
            best, least = labels, cost
    return _renamed(best)


def _spread_out(values: FloatArray, k: int, rng: np.random.Generator) -> FloatArray:
    centres = [values[int(rng.integers(len(values)))]]
    distance = np.full(len(values), np.inf)
    for _ in range(1, k):
        distance = np.minimum(distance, ((values - centres[-1]) ** 2).sum(axis=1))
        centres.append(values[int(rng.choice(len(values), p=distance / distance.sum()))])
    return np.array(centres)


def _lloyd(values: FloatArray, centres: FloatArray) -> Labels:
    square = (values**2).sum(axis=1)
    labels = np.full(len(values), -1, dtype=np.int64)
    for _ in range(_STEPS):
        distance = square[:, None] - 2 * values @ centres.T + (centres**2).sum(axis=1)
        new = np.argmin(distance, axis=1)
        for empty in np.setdiff1d(np.arange(len(centres)), new):
            far = int(np.argmax(distance[np.arange(len(new)), new]))
            new[far], distance[far] = empty, 0.0
        if (new == labels).all():
            break
        labels = new
        count = np.bincount(labels, minlength=len(centres))
        sums = np.zeros(centres.shape)
        np.add.at(sums, labels, values)
        centres = sums / count[:, None]
    return labels


def _renamed(labels: Labels) -> Labels:
    _, first, place = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[place].astype(np.int64)


def kmeans_by_distance(
    distance: Any, k: int, *, rng: np.random.Generator, starts: int = 10
) -> Labels:
    """Return k-means labels from a matrix of distances alone.

    Parameters
    ----------
    distance : float (n, n)
        Symmetric. For Euclidean distances this is k-means; for others the sum of squared
        distances within clusters over twice their size is made small in the same way.
    k, rng, starts
        As in `kmeans`.

    Returns
    -------
    int64 (n,)
        0 … k - 1, by first appearance.

    Raises
    ------
    InputError
        If the matrix is not square and symmetric or has fewer rows than `k`.

    References
    ----------
    Hathaway, Davenport & Bezdek 1989, doi:10.1016/0031-3203(89)90066-6.
    """
    d = np.asarray(distance, dtype=np.float64)
    if d.ndim != 2 or d.shape[0] != d.shape[1] or not np.allclose(d, d.T):
        raise InputError("Distances must be a symmetric matrix.")
    n = len(d)
    if k > n:
        raise InputError(f"{k} clusters of {n} samples.")
    square = d**2
    best, least = np.zeros(n, dtype=np.int64), np.inf
    for _ in range(starts if k > 1 else 1):
        centres = [int(rng.integers(n))]
        for _ in range(1, k):
            near = square[:, centres].min(axis=1)
            spread = near.sum()
            weight = near / spread if spread > 0 else np.full(n, 1 / n)
            centres.append(int(rng.choice(n, p=weight)))
        labels = np.argmin(square[:, centres], axis=1).astype(np.int64)
        for _ in range(_STEPS):
            member = (labels[:, None] == np.arange(k)).astype(np.float64)
            count = np.maximum(member.sum(axis=0), 1)
            mean = square @ member / count
            inner = (member * mean).sum(axis=0) / count / 2
            new = np.argmin(mean - inner, axis=1).astype(np.int64)
            if (new == labels).all() or len(np.unique(new)) < k:
                break
            labels = new
        member = (labels[:, None] == np.arange(k)).astype(np.float64)
        count = np.maximum(member.sum(axis=0), 1)
        cost = float(((member * (square @ member)).sum(axis=0) / count / 2).sum())
        if cost < least:
            best, least = labels, cost
    return _renamed(best)


def within_dispersion(x: Any, labels: Any) -> float:
    """Return the sum of squared distances of samples to the mean of their cluster.

    Parameters
    ----------
    x : float (n, p)
        Samples.
    labels : int (n,)
        Cluster of each.
    """
    values, code = np.asarray(x, dtype=np.float64), np.unique(labels, return_inverse=True)[1]
    count = np.bincount(code)
    sums = np.zeros((len(count), values.shape[1]))
    np.add.at(sums, code, values)
    return float((values**2).sum() - ((sums**2) / count[:, None]).sum())


@dataclass(frozen=True, eq=False)
class GapStatistic:
    """How much tighter clusters are than those of data without any.

    Attributes
    ----------
    k : int64 (n_k,)
        1, 2, …
    gap, std_error : float64 (n_k,)
        Expected log dispersion of reference data less the observed, and its simulation error.
    log_dispersion : float64 (n_k,)
        Log of the observed dispersion.
    best : int
        Smallest k whose gap is within one standard error of the largest (so that a dip between
        few and the right number of groups does not end the search).
    """

    k: Labels
    gap: FloatArray
    std_error: FloatArray
    log_dispersion: FloatArray
    best: int


def gap_statistic(
    x: Any,
    cluster: Callable[[FloatArray, int, np.random.Generator], Labels],
    *,
    max_k: int,
    rng: np.random.Generator,
    references: int = 50,
) -> GapStatistic:
    """Return the gap statistic for 1 to `max_k` clusters.

    Parameters
    ----------
    x : float (n, p)
        Complete.
    cluster : callable
        ``cluster(x, k, rng)`` returns labels.
    max_k : int
        Most clusters.
    rng : numpy.random.Generator
        Of reference data and clusterings.
    references : int, default 50
        Reference data sets: uniform in the box around the data along their principal axes.

    Returns
    -------
    GapStatistic
        See there; `best` can be 1.

    Raises
    ------
    InputError
        If `max_k` is below 2 or not below the number of samples.

    References
    ----------
    Tibshirani, Walther & Hastie 2001, doi:10.1111/1467-9868.00293.
    """
    values = np.asarray(x, dtype=np.float64)
    if not 2 <= max_k < len(values):
        raise InputError(f"max_k lies between 2 and {len(values) - 1}, not at {max_k}.")
    centred = values - values.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    turned = centred @ axes.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    ks = np.arange(1, max_k + 1)

    def dispersions(data: FloatArray) -> FloatArray:
        found = [max(within_dispersion(data, cluster(data, int(k), rng)), 1e-300) for k in ks]
        return np.asarray(np.log(np.array(found)))

    observed = dispersions(turned)
    drawn = np.stack(
        [dispersions(rng.uniform(low, high, size=turned.shape)) for _ in range(references)]
    )
    gap = drawn.mean(axis=0) - observed
    error = drawn.std(axis=0) * np.sqrt(1 + 1 / references)
    top = int(np.argmax(gap))
    best = int(ks[np.flatnonzero(gap >= gap[top] - error[top])[0]])
    return GapStatistic(ks, gap, error, observed, best)


def consensus_matrix(
    x: Any,
    k: int,
    cluster: Callable[[FloatArray, int, np.random.Generator], Labels],
    *,
    rng: np.random.Generator,
    draws: int = 100,
    share: float = 0.8,
) -> FloatArray:
    """Return how often two samples fall into one cluster when both are drawn, (n, n).

    Parameters
    ----------
    x : float (n, p)
        Complete.
    k : int
        Clusters.
    cluster : callable
        ``cluster(x, k, rng)`` returns labels.
    rng : numpy.random.Generator
        Of draws and clusterings.
    draws : int, default 100
        Subsets of the samples.
    share : float, default 0.8
        Size of a subset.

    Returns
    -------
    float64 (n, n)
        1 on the diagonal; 0 for a pair that was never drawn together.

    References
    ----------
    Monti et al. 2003, doi:10.1023/A:1023949509487.
    """
    values = np.asarray(x, dtype=np.float64)
    n = len(values)
    size = max(k + 1, round(share * n))
    together, drawn = np.zeros((n, n)), np.zeros((n, n))
    for _ in range(draws):
        rows = np.sort(rng.choice(n, size=min(size, n), replace=False))
        labels = cluster(values[rows], k, rng)
        drawn[np.ix_(rows, rows)] += 1
        together[np.ix_(rows, rows)] += labels[:, None] == labels[None, :]
    out = np.divide(together, drawn, out=np.zeros((n, n)), where=drawn > 0)
    np.fill_diagonal(out, 1.0)
    return out


def adjusted_rand(first: Any, second: Any) -> float:
    """Return the Rand index of two labellings, corrected for chance.

    Parameters
    ----------
    first, second : array-like (n,)
        Labels of the same samples.

    Returns
    -------
    float
        1 = the same clusters, about 0 = no more alike than by chance.

    References
    ----------
    Hubert & Arabie 1985, doi:10.1007/BF01908075.
    """
    a, b = (np.unique(np.asarray(item), return_inverse=True)[1] for item in (first, second))
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)

    def pairs(count: FloatArray) -> float:
        return float((count * (count - 1) / 2).sum())

    both, left, right = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    total = pairs(np.array([float(len(a))]))
    expected = left * right / total if total else 0.0
    most = (left + right) / 2
    return 1.0 if most == expected else float((both - expected) / (most - expected))
