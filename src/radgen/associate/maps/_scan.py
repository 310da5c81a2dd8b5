"""The scan of predictors against all points of images: a screen of tiles, then exact pairs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._core.progress import progress
from radgen._native import _maps
from radgen.associate.genomewide._backend import one_thread_each
from radgen.associate.genomewide._design import TraitGroup
from radgen.associate.genomewide._linear import exact_tests
from radgen.associate.genomewide._rows import HIST_BINS
from radgen.associate.maps._input import VoxelInput, missing_squares
from radgen.errors import InputError
from radgen.genome._blocks import CentredBlock
from radgen.stats.tail import t_log10p, t_quantile

__all__ = ["MOST_HITS", "Screen", "exact_pairs", "screen_points"]

Array = NDArray[np.float64]
MOST_HITS = 20_000_000
"""More tests below the threshold than this are refused."""

_FLAT = 1e-9
_EPS32 = float(np.finfo(np.float32).eps)
_CACHE_BYTES = 512 << 20
_TILE_BYTES = 256 << 20
_ROWS = 512


@dataclass(frozen=True, eq=False, slots=True)
class Screen:
    """What the screen of all pairs found.

    Attributes
    ----------
    hits : ndarray of int64 (n_hits, 2)
        Predictor and point of all pairs that may lie below the threshold.
    tops : ndarray of int64 (n_predictors, n_top)
        Points with the largest |r| of each predictor, falling; -1 = none.
    best : ndarray of int64 (n_points,)
        Predictor with the largest |r| of each point; -1 = none.
    hist : ndarray of int64 (HIST_BINS,)
        Number of tests by squared t.
    """

    hits: NDArray[np.int64]
    tops: NDArray[np.int64]
    best: NDArray[np.int64]
    hist: NDArray[np.int64]


class _Blocks:
    """Centred predictors, decoded once where all of them fit into 512 MiB."""

    def __init__(self, data: VoxelInput, size: int) -> None:
        self.size = size
        self._data = data
        self._kept: dict[int, CentredBlock] | None = (
            {} if 4 * data.n_samples * data.predictors.n <= _CACHE_BYTES else None
        )

    def centred(self, start: int, stop: int) -> CentredBlock:
        """Return predictors start to stop in single precision."""
        found = None if self._kept is None else self._kept.get(start)
        if found is None:
            found = self._data.predictors.source(start, stop).centred(np.float32)
            if self._kept is not None:
                self._kept[start] = found
        return found


def tile_width(n_samples: int, n_points: int, jobs: int) -> int:
    """Return how many points are tested at a time: at most 256 MiB, all workers busy."""
    width = int(np.clip(_TILE_BYTES // (4 * n_samples), 64, 6144))
    return max(1, min(width, -(-n_points // jobs)))


def screen_points(
    data: VoxelInput, *, threshold: float, n_top: int, block: int, jobs: int
) -> Screen:
    """Return hits, tops and counts of all pairs, in single precision.

    Raises
    ------
    InputError
        If more than `MOST_HITS` pairs lie below the threshold.
    """
    n_points, m = data.images.n_points, data.predictors.n
    width = tile_width(data.n_samples, n_points, jobs)
    tiles = list(block_ranges(n_points, width))
    blocks = _Blocks(data, block)
    best = np.full(n_points, -1, np.int64)
    top, at = np.zeros((m, n_top), np.float32), np.full((m, n_top), -1, np.int64)
    hist, hits, n_hits = np.zeros(HIST_BINS, np.int64), [], 0

    def work(tile: tuple[int, int]) -> _Part:
        return _screen_tile(data, tile, blocks, threshold=threshold, n_top=n_top)

    with (
        progress("Testing all points", n_points) as tick,
        one_thread_each(True),
        ThreadPoolExecutor(jobs) as pool,
    ):
        for (low, high), part in zip(tiles, _ahead(pool, work, tiles, jobs), strict=True):
            best[low:high] = part.best
            hist += part.hist
            hits.append(part.hits)
            n_hits += len(part.hits)
            if n_hits > MOST_HITS:
                raise InputError(
                    f"More than {MOST_HITS:,} tests lie below the threshold {threshold:g}: choose "
                    "a smaller one."
                )
            _merge(top, at, part.top, part.at)
            tick(high - low)
    return Screen(np.concatenate(hits), at, best, hist)


def _ahead(pool: ThreadPoolExecutor, work: Any, tiles: list[Any], jobs: int) -> Iterator[_Part]:
    """Yield the parts in order, at most one tile ahead of each worker."""
    waiting: list[Any] = []
    todo = iter(tiles)
    for tile in todo:
        waiting.append(pool.submit(work, tile))
        if len(waiting) > jobs:
            yield waiting.pop(0).result()
    while waiting:
        yield waiting.pop(0).result()


@dataclass(frozen=True, eq=False, slots=True)
class _Part:
    hits: NDArray[np.int64]
    top: NDArray[np.float32]
    at: NDArray[np.int64]
    best: NDArray[np.int64]
    hist: NDArray[np.int64]


def _merge(
    top: NDArray[np.float32], at: NDArray[np.int64], more: NDArray[np.float32], where: NDArray[Any]
) -> None:
    """Keep the largest of both, row by row; ties go to the earlier point."""
    both, places = np.concatenate([top, more], axis=1), np.concatenate([at, where], axis=1)
    order = np.argsort(-both, axis=1, kind="stable")[:, : top.shape[1]]
    top[:] = np.take_along_axis(both, order, axis=1)
    at[:] = np.take_along_axis(places, order, axis=1)


def _screen_tile(
    data: VoxelInput, tile: tuple[int, int], blocks: _Blocks, *, threshold: float, n_top: int
) -> _Part:
    low, high = tile
    groups = data.groups(low, high, np.float32)
    m = data.predictors.n
    top, at = np.zeros((m, n_top), np.float32), np.full((m, n_top), -1, np.int32)
    best = np.full(high - low, -1, np.int64)
    hist, found = np.zeros(HIST_BINS, np.int64), []
    for group in groups:
        k = len(group.traits)
        y = group.y.astype(np.float32, copy=False)
        q = group.q.astype(np.float32)
        space = np.empty((_ROWS, k), np.float32)
        largest, arg = np.zeros(k, np.float32), np.full(k, -1, np.int32)
        own_top = top if len(groups) == 1 else np.zeros_like(top)
        own_at = at if len(groups) == 1 else np.full_like(at, -1)
        for start, stop in block_ranges(m, blocks.size):
            centred = blocks.centred(start, stop)
            rows = _row_bounds(centred, group, q, threshold)
            for first, last in block_ranges(stop - start, _ROWS):
                part = _some_rows(centred, first, last)
                num = np.matmul(part.g, y, out=space[: last - first])
                ys = missing_squares(part, y, 0, k) if part.any_missing else None
                of = np.ascontiguousarray(rows[:, first:last])
                count, n = np.zeros(last - first, np.int64), last - first
                span = slice(start + first, start + last)
                _maps.summarise(
                    num, ys, of, n, k, largest, arg, own_top[span], own_at[span], n_top, hist,
                    count, start + first, 0,
                )  # fmt: skip
                total = int(count.sum())
                if total:
                    row, column = np.empty((2, total), np.int32)
                    _maps.collect(num, ys, of, n, k, count, row, column)
                    points = low + group.traits[column]
                    found.append(np.column_stack([row + np.int64(start + first), points]))
        best[group.traits] = np.where(largest > 0, arg, -1)
        if len(groups) > 1:
            there = own_at >= 0
            own_at[there] = group.traits[own_at[there]]
            _merge(top, at, own_top, own_at)
    points = np.where(at >= 0, at.astype(np.int64) + low, -1)
    hits = np.concatenate(found) if found else np.empty((0, 2), np.int64)
    return _Part(hits, top, points, best, hist)


def _some_rows(block: CentredBlock, first: int, last: int) -> CentredBlock:
    begin = int(block.ends[first - 1]) if first else 0
    end = int(block.ends[last - 1])
    return CentredBlock(
        block.start + first,
        block.g[first:last],
        block.n_known[first:last],
        block.mean[first:last],
        block.squares[first:last],
        block.missing[begin:end],
        block.ends[first:last] - begin,
    )


def _group_moments(block: CentredBlock, group: TraitGroup) -> tuple[Array, Array, Array]:
    """Return of each row in a group: calls, sum of squares about the group's mean, and g'g."""
    if not len(group.off):
        return block.n_known, block.squares, block.squares
    away = np.asarray(block.g[:, group.off], np.float64)
    outside = np.zeros(block.g.shape[1])
    outside[group.off] = 1.0
    n = block.n_known - (len(group.off) - block.lost(outside))
    total = np.maximum(block.squares - (away * away).sum(axis=1), 0.0)
    return n, np.maximum(total - away.sum(axis=1) ** 2 / np.maximum(n, 1.0), 0.0), total


def _row_bounds(
    block: CentredBlock, group: TraitGroup, q: NDArray[np.float32], threshold: float
) -> Array:
    """Return what `_maps.summarise` needs of each row, float64 (6, n_rows).

    With missing calls, |num| + slack sqrt(y'y at them) bounds the exact numerator, and
    1 - loss times that share bounds the exact y'y; see `radgen.associate.genomewide._linear`.
    """
    n, spread, gg = _group_moments(block, group)
    b = (block.g @ q).astype(np.float64)
    bb = (b * b).sum(axis=1)
    leverage = np.zeros(len(n))
    if block.any_missing:
        leverage = block.lost((group.q * group.q).sum(axis=1))
    room = np.maximum(1.0 - leverage, 1e-3)
    residual = gg - bb / room
    usable = (spread > _FLAT) & (residual > 1e-6 * spread) & (leverage < 0.9)
    df = np.maximum(n - group.rank - 1.0, 0.0)
    limit = np.where(usable & (df > 0), _least_r2(df, threshold), 2.0)
    limit[(spread > _FLAT) & ~usable] = 0.0
    return np.stack(
        [
            np.where(usable, 1.0 / np.where(usable, gg - bb, 1.0), 0.0),
            np.where(usable, 1.0 / np.where(usable, residual, 1.0), 0.0),
            np.sqrt(bb * leverage) / room,
            1.0 / room,
            limit,
            np.where(usable, df, 0.0),
        ]
    )


def _least_r2(df: Array, threshold: float) -> Array:
    """Return the squared correlation at p = threshold, less what single precision may lose."""
    distinct, back = np.unique(df, return_inverse=True)
    t = np.abs(t_quantile(threshold / 2.0, np.maximum(distinct, 1.0)))
    r = t / np.sqrt(distinct + t * t)
    lost = 8.0 * _EPS32 * np.sqrt(distinct + 2.0) + 1e-3 * r
    return np.asarray(np.square(np.maximum(r - lost, 0.0))[back])


def exact_pairs(
    data: VoxelInput, pairs: NDArray[np.int64], *, block: int, jobs: int
) -> dict[str, Array]:
    """Return n, freq, beta, se, t and log10p of pairs (n_pairs, 2), in double precision."""
    names = ("n", "freq", "beta", "se", "t", "log10p")
    out = np.full((len(names), len(pairs)), np.nan)
    width = tile_width(data.n_samples, data.images.n_points, jobs)
    order = np.lexsort((pairs[:, 0], pairs[:, 1] // width))
    tile = pairs[order, 1] // width
    edges = np.flatnonzero(np.diff(tile, prepend=-1, append=-1))

    def work(part: tuple[int, int]) -> tuple[NDArray[np.int64], Array]:
        rows = order[part[0] : part[1]]
        return rows, _exact_tile(data, pairs[rows], width, block)

    tasks = [(int(a), int(b)) for a, b in pairwise(edges)]
    with (
        progress("Exact tests of what was kept", len(pairs)) as tick,
        one_thread_each(True),
        ThreadPoolExecutor(jobs) as pool,
    ):
        for rows, values in pool.map(work, tasks):
            out[:, rows] = values
            tick(len(rows))
    return dict(zip(names, out, strict=True))


def _exact_tile(data: VoxelInput, pairs: NDArray[np.int64], width: int, block: int) -> Array:
    """Return the tests (6, n_pairs) of pairs whose points lie in one tile."""
    low = int(pairs[0, 1]) // width * width
    high = min(low + width, data.images.n_points)
    column = pairs[:, 1] - low
    out = np.full((6, len(pairs)), np.nan)
    for group in data.groups(low, high, by_point=True):
        inside = np.flatnonzero(np.isin(column, group.traits))
        place = np.empty(high - low, np.int64)
        place[group.traits] = np.arange(len(group.traits))
        columns = place[column[inside]]
        y = np.ascontiguousarray(group.y.T)
        for start in np.unique(pairs[inside, 0] // block) * block:
            mine = (pairs[inside, 0] >= start) & (pairs[inside, 0] < start + block)
            rows, row = np.unique(pairs[inside[mine], 0], return_inverse=True)
            stop = min(start + block, data.predictors.n)
            source = data.predictors.source(int(start), int(stop))
            centred = source.centred(np.float64, rows - start)
            tests = _pair_tests(centred, group, y, row, columns[mine])
            tests[1] = data.predictors.frequency(tests[1])
            out[:, inside[mine]] = tests
    return out


def _pair_tests(
    block: CentredBlock, group: TraitGroup, y: Array, row: NDArray[Any], column: NDArray[Any]
) -> Array:
    """Return n, mean, beta, se, t, log10p (6, n_pairs) of rows of a block with traits."""
    out = np.full((6, len(row)), np.nan)
    begins = np.concatenate([[0], block.ends[:-1]])
    gaps = block.ends > begins
    for at in np.flatnonzero(gaps):
        mine = np.flatnonzero(row == at)
        one = exact_tests(_some_rows(block, at, at + 1), group, column[mine])
        for place, name in ((2, "beta"), (3, "se"), (4, "t"), (5, "log10p")):
            out[place, mine] = one[name][0]
        out[0, mine], out[1, mine] = one["n"][0], 2.0 * one["freq"][0]
    n, spread, gg = _group_moments(block, group)
    b = block.g @ group.q
    residual = gg - (b * b).sum(axis=1)
    df = n - group.rank - 1.0
    usable = (spread > _FLAT) & (residual > _FLAT * spread) & (df > 0) & ~gaps
    rest = np.where(usable, residual, np.nan)
    mean = block.mean.copy()
    if len(group.off):
        mean -= block.g[:, group.off].sum(axis=1) / np.maximum(n, 1.0)
    norm = np.where(group.norm > 0, group.norm, np.nan)
    num = np.empty(len(row))
    _maps.dots(np.ascontiguousarray(block.g), y, y.shape[1], row, column, num)
    beta = num / rest[row]
    se = np.sqrt(np.maximum(1.0 - num * beta, 0.0) / (df[row] * rest[row]))
    with np.errstate(divide="ignore"):
        t = np.where(group.norm[column] > 0, beta / se, np.nan)
    dof = np.where(usable, df, np.nan)[row]
    scale = norm[column]
    tests = np.stack([n[row], mean[row], beta * scale, se * scale, t, t_log10p(t, dof)])
    out[:] = np.where(gaps[row], out, tests)
    return out
