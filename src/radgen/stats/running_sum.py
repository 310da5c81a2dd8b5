"""Running sums along a ranked list: enrichment scores, their null, and its far tail."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from radgen.errors import InputError

__all__ = [
    "enrichment_scores",
    "positions_from_top",
    "random_places",
    "score_tail",
    "walk",
]

Array = NDArray[np.float64]
Places = NDArray[np.int32]


def positions_from_top(values: Array) -> Places:
    """Return the place of each value in its row, 1 = largest; ties keep the column order.

    Parameters
    ----------
    values : ndarray of float64 (n_lists, n_features)
        NaN stands last.

    Returns
    -------
    ndarray of int32 (n_features, n_lists)
        Transposed, so that the members of a set are rows.
    """
    order = np.argsort(-values, axis=1, kind="stable")
    place = np.empty(values.shape, dtype=np.int32)
    steps = np.arange(1, values.shape[1] + 1, dtype=np.int32)
    np.put_along_axis(place, order, np.broadcast_to(steps, values.shape), axis=1)
    return np.ascontiguousarray(place.T)


def walk(places: Places, weights: Array, length: Array | float) -> tuple[Array, Array]:
    """Return the highest and lowest point of weighted Kolmogorov-Smirnov walks.

    Parameters
    ----------
    places : ndarray of int32 (n_walks, n_members)
        Places of the members in each ranked list, ascending, 1 = top. A place beyond `length`
        is a member that is absent from that list.
    weights : ndarray of float64 (n_walks, n_members)
        Step of each member, not negative; 0 where absent.
    length : ndarray of float64 (n_walks, 1) or float
        Number of entries of each list.

    Returns
    -------
    highest, lowest : ndarray of float64 (n_walks,)
        At least 0 and at most 0; NaN where no member has weight or no entry is outside the set.

    Notes
    -----
    The walk goes up by the weight over the sum of weights at members and down by
    1 / (length - members) elsewhere. It peaks at a member and is lowest just before one (or at
    the end, where it is 0), so that only members are visited.
    """
    present = places <= length
    count = present.sum(axis=1, keepdims=True)
    total = weights.sum(axis=1, keepdims=True)
    defined = (total > 0) & (length > count)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = weights / total
        ups = np.cumsum(step, axis=1)
        downs = (places - np.arange(1, places.shape[1] + 1)) / (length - count)
    after = np.where(present, ups - downs, 0.0)
    before = np.where(present, ups - step - downs, 0.0)
    highest = np.maximum(after.max(axis=1), 0.0)
    lowest = np.minimum(before.min(axis=1), 0.0)
    ok = defined[:, 0]
    return np.where(ok, highest, np.nan), np.where(ok, lowest, np.nan)


def enrichment_scores(
    statistics: Array, members: Sequence[NDArray[np.int64]], *, power: float = 1.0
) -> Array:
    """Return the enrichment score of each set in each ranked list.

    Parameters
    ----------
    statistics : ndarray of float64 (n_lists, n_features)
        What features are ranked by, largest first; no NaN.
    members : sequence of ndarray of int64
        Columns of each set.
    power : float, default 1
        A member's step grows with the power of its absolute statistic; 0 = equal steps.

    Returns
    -------
    ndarray of float64 (n_lists, n_sets)
        The farthest deviation of the walk from 0, in [-1, 1]; NaN where no member has weight.

    References
    ----------
    Subramanian et al. (2005), PNAS 102, 15545, doi:10.1073/pnas.0506580102.

    Examples
    --------
    >>> enrichment_scores(np.array([[3.0, 2.0, 1.0, -4.0]]), [np.array([0, 1])]).tolist()
    [[1.0]]
    """
    length = statistics.shape[1]
    place = positions_from_top(statistics)
    size = np.ascontiguousarray((np.abs(statistics) ** power).T)
    out = np.empty((len(statistics), len(members)))
    for j, columns in enumerate(members):
        own = place[columns].T
        order = np.argsort(own, axis=1)
        places = np.take_along_axis(own, order, axis=1)
        weights = np.take_along_axis(size[columns].T, order, axis=1)
        out[:, j] = farthest(*walk(places, weights, length))
    return out


def farthest(highest: Array, lowest: Array) -> Array:
    """Return the end of each walk that is farther from 0; the upper one where they tie."""
    return np.where(highest >= -lowest, highest, lowest)


def random_places(length: int, largest: int, n_draws: int, rng: np.random.Generator) -> Places:
    """Return places drawn without replacement, in random order, (n_draws, largest).

    The first m of a row are a random set of m members: one draw serves sets of all sizes.
    """
    out = np.empty((n_draws, largest), dtype=np.int32)
    for row in out:
        row[:] = rng.permutation(length)[:largest] + 1
    return out


def score_tail(
    sizes: Array,
    n_members: int,
    score: float,
    *,
    rng: np.random.Generator,
    n_chains: int = 201,
    floor: float = 1e-50,
) -> tuple[float, float]:
    """Return the log10 probability that the walk of a random set rises to a score, and its error.

    Parameters
    ----------
    sizes : ndarray of float64 (n_features,)
        Step of the feature at each place, top first.
    n_members : int
        Size of the random sets.
    score : float
        Positive; for a negative score reverse `sizes` and take its absolute value.
    rng : numpy.random.Generator
        Source of randomness.
    n_chains : int, default 201
        Random sets kept at each level; the error falls with its root.
    floor : float, default 1e-50
        Probabilities below are reported as it.

    Returns
    -------
    log10p : float
        Of P(highest point >= score) for a set drawn at random.
    error : float
        Standard error of its natural logarithm.

    Raises
    ------
    InputError
        If the score is not positive, or the sizes do not allow a set of that size.

    Notes
    -----
    Adaptive multilevel splitting: the lower half of the sets is replaced by copies of the upper
    half, which are then moved by exchanging members with other features as long as they stay
    above the median; each level halves the probability that remains, up to digamma terms.

    References
    ----------
    Korotkevich et al. (2021), bioRxiv, doi:10.1101/060012.
    """
    length = len(sizes)
    if not score > 0 or not 0 < n_members < length:
        raise InputError("A tail needs a positive score and a set smaller than the list.")
    places = np.sort(random_places(length, n_members, n_chains, rng), axis=1)
    value = walk(places, sizes[places - 1], length)[0]
    half = (n_chains + 1) // 2
    total, variance = 0.0, 0.0
    while total > np.log(floor):
        level = float(np.sort(value)[n_chains - half])
        if level >= score:
            break
        if level == value.min():
            higher = value[value > level]
            if not len(higher):
                return float(np.log10(floor)), float("nan")
            level = float(higher.min())
        # Ties at the level count as above it: classical walks have few distinct heights.
        kept = np.flatnonzero(value >= level)
        step, spread = _log_share(len(kept), n_chains)
        total, variance = total + step, variance + spread
        chosen = np.concatenate([kept, rng.choice(kept, n_chains - len(kept))])
        places, value = _stir(places[chosen], value[chosen], sizes, level, rng)
    above = int((value >= score).sum())
    if above == 0 or total <= np.log(floor):
        return float(np.log10(floor)), float("nan")
    step, spread = _log_share(above, n_chains)
    return (total + step) / np.log(10), float(np.sqrt(variance + spread))


def _log_share(above: int, n_chains: int) -> tuple[float, float]:
    """Return the expected log of a share of which `above` of `n_chains` draws are, and variance."""
    if above == n_chains:
        return 0.0, 0.0
    spread = np.sum(1.0 / np.arange(above, n_chains + 1) ** 2)
    return float(digamma(above) - digamma(n_chains + 1)), float(spread)


def _stir(
    places: Places, value: Array, sizes: Array, level: float, rng: np.random.Generator
) -> tuple[Places, Array]:
    """Exchange members at random, never falling below the level; ties are broken upwards."""
    n_chains, m = places.shape
    rows = np.arange(n_chains)
    accepted, wanted = 0, n_chains * m
    for _ in range(20 * m):
        out = rng.integers(0, m, n_chains)
        new = rng.integers(1, len(sizes) + 1, n_chains).astype(np.int32)
        moved = places.copy()
        moved[rows, out] = new
        moved.sort(axis=1)
        fresh = ~(np.diff(moved, axis=1) == 0).any(axis=1)
        height = walk(moved, sizes[moved - 1], len(sizes))[0]
        take = fresh & (height >= level)
        places = np.where(take[:, None], moved, places)
        value = np.where(take, height, value)
        accepted += int(take.sum())
        if accepted >= wanted:
            break
    return places, value
