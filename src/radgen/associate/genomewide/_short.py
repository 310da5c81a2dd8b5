"""All tests of a linear scan as quantised t, in single precision; hits in double."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radgen._native import _genotype
from radgen.associate.genomewide._design import TraitGroup
from radgen.associate.genomewide._linear import (
    FLAT,
    FULL_RANK,
    exact_tests,
    moments_inside,
    recompute,
)
from radgen.associate.genomewide._rows import (
    HIST_BINS,
    KEPT_P,
    QUANTA,
    UNDEFINED,
    Grid,
    TestRows,
    bin_counts,
    join_rows,
)
from radgen.genome._blocks import BlockProduct, BlockSource

if TYPE_CHECKING:
    from radgen.associate.genomewide._linear import LinearScan

__all__ = ["quantised", "short_rows"]

Array = NDArray[np.float64]
_SLACK = 2e-3
_LEFT_OUT = 5e-5


def quantised(t: Array) -> NDArray[np.int16]:
    """Return t in steps of 1 / QUANTA, at most 32767 of them; NaN = UNDEFINED."""
    steps = np.clip(np.rint(np.nan_to_num(t) * QUANTA), -32767, 32767)
    return np.where(np.isnan(t), UNDEFINED, steps).astype(np.int16)


def short_rows(scan: LinearScan, source: BlockSource) -> TestRows:
    """Return all tests of a block as quantised t, and those up to the threshold exactly."""
    screen = scan.screen
    assert screen is not None
    block = screen.product(source, scan.backend)
    m, groups = len(source), len(scan.groups)
    t = np.empty((scan.n_traits, m), np.int16)
    n, freq, spread = np.empty((m, groups)), np.empty((m, groups)), np.empty((m, groups))
    hist = np.empty((scan.n_traits if groups > 1 else 0, HIST_BINS), np.int64)
    hits: list[dict[str, NDArray[Any]]] = []
    first = 0
    for number, group in enumerate(scan.groups):
        first += group.rank
        found = _group(scan, block, source, number, first)
        first += len(group.traits)
        t[group.traits if groups > 1 else slice(None)] = found.t.T
        if groups > 1:
            hist[group.traits] = found.hist
        else:
            hist = found.hist
        n[:, number], freq[:, number], spread[:, number] = found.n, found.freq, found.spread
        if len(found.rows):
            hits.append(recompute(source, group, found.rows, found.columns))
    rows = join_rows(hits, source.start, scan.n_traits, scan.threshold or KEPT_P, hist)
    calls, alt = n.astype(np.int32), freq.astype(np.float32)
    return TestRows(rows.columns, rows.hist, Grid(source.start, t, calls, alt, spread))


@dataclass(frozen=True, eq=False, slots=True)
class _Short:
    t: NDArray[np.int16]
    hist: NDArray[np.int64]
    n: Array
    freq: Array
    spread: Array
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]


def _group(
    scan: LinearScan, block: BlockProduct, source: BlockSource, number: int, first: int
) -> _Short:
    """Return all tests of a group of traits, whose products begin at column `first`."""
    screen = scan.screen
    assert screen is not None
    group = scan.groups[number]
    n, mean, own, gg = moments_inside(block, source, group)
    b, _ = block.basis(slice(first - group.rank, first), group.q)
    by, bb, leverage = _fills(block, group, b, screen.leverage[number])
    df = np.maximum(n - group.rank - 1.0, 0.0)
    spread = gg - bb
    # Double precision where single precision, or what it leaves out of the sum of squares of a
    # trait with missing calls, could be seen in a step.
    exact = (spread <= 1e-5 * gg) | (leverage > 2.0 * _LEFT_OUT * group.n_samples)
    exact = (own > FLAT) & (exact | (leverage >= FULL_RANK))
    usable = (own > FLAT) & ~exact & (df > 0)
    inverse = np.where(usable, 1.0 / np.where(usable, spread, 1.0), 0.0)
    limit = _least_t2(df, scan.threshold or KEPT_P)
    k = len(group.traits)
    out, counts = np.empty((len(n), k), np.int16), np.zeros((k, HIST_BINS), np.int64)
    rows, columns = np.empty((2, len(n) * k), np.int32)
    bounds = np.stack([inverse, df, limit])
    where = first, k, screen.weights, block.missing, block.ends, by
    count = _genotype.quantise(block.product, *where, bounds, out, counts, rows, columns)
    rows, columns = rows[:count].copy(), columns[:count].copy()
    some = np.flatnonzero(exact)
    if len(some):
        tests = exact_tests(source.centred(np.float64, some), group, np.arange(k))
        squares = np.square(tests["t"])
        out[some], spread[some] = quantised(tests["t"]), tests["spread"]
        counts += bin_counts(squares)
        again = np.argwhere(squares >= limit[some, None]).astype(np.int32)
        rows = np.concatenate([rows, some[again[:, 0]].astype(np.int32)])
        columns = np.concatenate([columns, again[:, 1]])
    out[:, group.norm == 0] = UNDEFINED
    freq = np.where(n > 0, mean / 2.0, np.nan)
    spread = np.where(usable | exact, spread, np.nan)
    return _Short(out, counts, n, freq, spread, rows, columns)


def _fills(
    block: BlockProduct, group: TraitGroup, b: Array, leverage: Array
) -> tuple[NDArray[np.float32], Array, Array]:
    """Return what stands for each missing call, g'Hg, and the leverage of the missing calls.

    To drop a missing call is to put in what the covariates say of it.
    """
    if not len(block.missing):
        zero = np.zeros(len(b))
        return np.empty(0, np.float32), np.einsum("mi,mi->m", b, b), zero
    m, c = b.shape
    lost = block.lost(leverage)
    qq, none = np.empty((m, c, c)), np.empty(0)
    _genotype.missing_terms(
        block.missing, block.ends, len(group.q), c, group.q, 0, none, qq, none, none
    )
    a = np.eye(c) - qq
    a[lost >= FULL_RANK] = np.eye(c)
    x = np.linalg.solve(a, b[:, :, None])[:, :, 0]
    count = np.diff(block.ends, prepend=0)
    by = np.einsum("ic,ic->i", np.repeat(x, count, axis=0), group.q[block.missing])
    by += np.repeat(block.left, count)
    return by.astype(np.float32), np.einsum("mi,mi->m", x, b), lost


def _least_t2(df: Array, threshold: float) -> Array:
    from radgen.stats.tail import t_quantile  # loads scipy.special: not before the first block

    distinct, back = np.unique(np.maximum(df, 1.0), return_inverse=True)
    return np.asarray(np.square(t_quantile(threshold / 2.0, distinct))[back] * (1.0 - _SLACK))
