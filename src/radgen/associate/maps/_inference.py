"""Family-wise error of maps by permutation: points, TFCE and clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen._core.progress import progress
from radgen.errors import InputError
from radgen.stats.maps import Neighbours, clusters, tfce
from radgen.stats.permutation import (
    adjusted,
    exact_orders,
    n_orders,
    random_order,
    stratum_codes,
)

__all__ = ["Clusters", "Inference", "MapRules", "orders_of", "permute_maps"]

Array = NDArray[np.float64]
Single = NDArray[np.float32]
Order = NDArray[np.int64]
_BATCH_BYTES = 128 << 20
_SINGLE = 1 - 1e-5


@dataclass(frozen=True, eq=False, slots=True)
class MapRules:
    """How a map is turned into statistics whose largest value is permuted.

    Attributes
    ----------
    neighbours : Neighbours or None
        Which points touch; None = points alone, no clusters.
    extent : ndarray of float64 (n_points,)
        Volume or area of each point.
    threshold : float or None
        Statistic that forms clusters; None = no clusters.
    enhance : bool
        Whether TFCE is computed.
    powers : (float, float)
        Extent and height power of TFCE.
    two_sided : bool
        Whether negative values count as well.
    """

    neighbours: Neighbours | None
    extent: Array
    threshold: float | None
    enhance: bool
    powers: tuple[float, float]
    two_sided: bool

    def tfce(self, map_: Single) -> Single:
        """Return the signed TFCE of a map."""
        assert self.neighbours is not None
        extent, height = self.powers
        mean = float(self.extent.mean()) or 1.0
        unit = self.extent / mean  # extents in points of mean size: no unit of length enters
        options = {"extent_power": extent, "height_power": height}
        out = tfce(map_, self.neighbours, unit, **options)
        return out - tfce(-map_, self.neighbours, unit, **options) if self.two_sided else out

    def clusters(self, map_: Single) -> Clusters:
        """Return the clusters of a map, positive ones first."""
        assert self.neighbours is not None
        assert self.threshold is not None
        label, count = clusters(map_, self.threshold, self.neighbours)
        sign = np.ones(count, np.int64)
        if self.two_sided:
            below, more = clusters(-map_, self.threshold, self.neighbours)
            label = np.where(below > 0, below + count, label)
            sign = np.concatenate([sign, -np.ones(more, np.int64)])
            count += more
        weight = np.bincount(label, self.extent, minlength=count + 1)[1:]
        over = np.where(label > 0, np.abs(map_) - self.threshold, 0.0) * self.extent
        mass = np.bincount(label, over, minlength=count + 1)[1:]
        return Clusters(label, sign, weight, mass)

    def maxima(self, map_: Single) -> tuple[float, float, float, float]:
        """Return the largest value, TFCE, cluster extent and cluster mass of a map."""
        high = np.abs(map_) if self.two_sided else map_
        peak = float(np.nanmax(high, initial=0.0))
        if self.neighbours is None:
            return peak, 0.0, 0.0, 0.0
        enhanced = float(np.abs(self.tfce(map_)).max(initial=0.0)) if self.enhance else 0.0
        if self.threshold is None:
            return peak, enhanced, 0.0, 0.0
        found = self.clusters(map_)
        return peak, enhanced, found.extent.max(initial=0.0), found.mass.max(initial=0.0)


@dataclass(frozen=True, eq=False, slots=True)
class Clusters:
    """Clusters of a map.

    Attributes
    ----------
    label : ndarray of int32 (n_points,)
        1, 2 …; 0 = in none.
    sign : ndarray of int64 (n_clusters,)
        1 or -1.
    extent, mass : ndarray of float64 (n_clusters,)
        Sum of the points' extents, and of extent times the excess over the threshold.
    """

    label: NDArray[np.int32]
    sign: NDArray[np.int64]
    extent: Array
    mass: Array


@dataclass(frozen=True, eq=False, slots=True)
class Inference:
    """Adjusted p-values of one map.

    Attributes
    ----------
    p_point : ndarray of float64 (n_points,)
        By the largest statistic over the points.
    tfce, p_tfce : ndarray of float64 (n_points,)
        TFCE and its adjusted p; NaN where it was not asked for.
    clusters : Clusters or None
        Clusters of the observed map.
    p_extent, p_mass : ndarray of float64 (n_clusters,)
        Adjusted p of clusters.
    """

    p_point: Array
    tfce: Array
    p_tfce: Array
    clusters: Clusters | None
    p_extent: Array
    p_mass: Array


def orders_of(
    strata: Sequence[object] | None, n_samples: int, n_permutations: int, seed: int
) -> tuple[Iterator[Order], int, bool]:
    """Return the permutations, their number, and whether they are all there are.

    Raises
    ------
    InputError
        If the number is negative or the strata do not fit.
    """
    if n_permutations < 0:
        raise InputError(f"n_permutations is {n_permutations}; needed is at least 0.")
    label = stratum_codes(strata, n_samples)
    total = n_orders(label) - 1
    if total <= n_permutations:
        return exact_orders(label), total, True
    return (random_order(label, seed, i) for i in range(n_permutations)), n_permutations, False


def permute_maps(
    observed: Single,
    statistics: Callable[[list[Order]], Single],
    orders: Iterator[Order],
    count: int,
    rules: MapRules,
    *,
    together: bool,
    jobs: int,
) -> list[Inference]:
    """Return the inference of each observed map.

    Parameters
    ----------
    observed : ndarray of float32 (n_maps, n_points)
        Statistics of the data; NaN = not tested.
    statistics : callable
        Maps float32 (n_orders, n_maps, n_points) of permuted data.
    orders : iterator of ndarray of int64 (n_samples,)
        Permutations.
    count : int
        How many.
    rules : MapRules
        What is permuted.
    together : bool
        Whether p-values are adjusted over all maps.
    jobs : int
        Threads.
    """
    n_maps, n_points = observed.shape
    step = int(np.clip(_BATCH_BYTES // (4 * n_maps * n_points), 1, max(count, 1)))
    maxima = np.zeros((count, n_maps, 4))
    with progress("Permuting", count) as tick, ThreadPoolExecutor(jobs) as pool:
        for first in range(0, count, step):
            number = min(step, count - first)
            maps = statistics([next(orders) for _ in range(number)]).reshape(-1, n_points)
            found = list(pool.map(rules.maxima, maps))
            maxima[first : first + number] = np.array(found).reshape(number, n_maps, 4)
            tick(number)
    if together:
        maxima = np.broadcast_to(maxima.max(axis=1, keepdims=True), maxima.shape)
    return [_judge(observed[at], maxima[:, at], rules) for at in range(n_maps)]


def _judge(map_: Single, maxima: Array, rules: MapRules) -> Inference:
    def reached(values: NDArray[np.float64], which: int) -> Array:
        if not len(maxima):
            return np.full(np.shape(values), np.nan)
        # Statistics are in single precision: what agrees within it counts as reached.
        return adjusted(np.asarray(values, np.float64) * _SINGLE, maxima[:, which])

    high = np.abs(map_) if rules.two_sided else map_
    blank = np.full(len(map_), np.nan)
    enhanced, p_tfce = blank, blank
    if rules.enhance and rules.neighbours is not None:
        enhanced = np.where(np.isnan(map_), np.nan, rules.tfce(map_))
        p_tfce = reached(np.abs(enhanced), 1)
    if rules.threshold is None or rules.neighbours is None:
        return Inference(reached(high, 0), enhanced, p_tfce, None, np.empty(0), np.empty(0))
    found = rules.clusters(map_)
    return Inference(
        reached(high, 0), enhanced, p_tfce, found, reached(found.extent, 2), reached(found.mass, 3)
    )
