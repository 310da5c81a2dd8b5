"""Ranks within samples, and random walks along them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["positions_from_top", "ranks_within", "walk"]

Array = NDArray[np.float64]


def ranks_within(values: Array, ties: Literal["average", "min"]) -> Array:
    """Return ascending ranks 1, 2, … of each row; NaN keeps NaN and takes no rank.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_features)
        NaN = not measured.
    ties : {"average", "min"}
        Rank of equal values.

    Returns
    -------
    ndarray of float64 (n_samples, n_features)
        1 = smallest.
    """
    missing = np.isnan(values)
    if not missing.any():
        return np.asarray(rankdata(values, method=ties, axis=1), dtype=np.float64)
    ranks = rankdata(np.where(missing, np.inf, values), method=ties, axis=1).astype(np.float64)
    ranks[missing] = np.nan
    return np.asarray(ranks)


def positions_from_top(values: Array) -> NDArray[np.int32]:
    """Return the place of each value in its row, 1 = largest; ties keep the column order.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_features)
        NaN stands last.

    Returns
    -------
    ndarray of int32 (n_features, n_samples)
        Transposed, so that the members of a set are rows.
    """
    order = np.argsort(-values, axis=1, kind="stable")
    place = np.empty(values.shape, dtype=np.int32)
    steps = np.arange(1, values.shape[1] + 1, dtype=np.int32)
    np.put_along_axis(place, order, np.broadcast_to(steps, values.shape), axis=1)
    return np.ascontiguousarray(place.T)


def walk(positions: NDArray[np.int32], weights: Array, length: Array) -> tuple[Array, Array]:
    """Return the highest and lowest point of weighted Kolmogorov-Smirnov walks.

    Parameters
    ----------
    positions : ndarray of int32 (n_walks, n_members)
        Places of the members in each ranked list, ascending, 1 = top. A place beyond `length`
        is a member that is absent from that list.
    weights : ndarray of float64 (n_walks, n_members)
        Step of each member, not negative; 0 where absent.
    length : ndarray of float64 (n_walks, 1)
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
    present = positions <= length
    count = present.sum(axis=1, keepdims=True)
    total = weights.sum(axis=1, keepdims=True)
    defined = (total > 0) & (length > count)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = weights / total
        ups = np.cumsum(step, axis=1)
        downs = (positions - np.arange(1, positions.shape[1] + 1)) / (length - count)
    after = np.where(present, ups - downs, 0.0)
    before = np.where(present, ups - step - downs, 0.0)
    highest = np.maximum(after.max(axis=1), 0.0)
    lowest = np.minimum(before.min(axis=1), 0.0)
    ok = defined[:, 0]
    return np.where(ok, highest, np.nan), np.where(ok, lowest, np.nan)
