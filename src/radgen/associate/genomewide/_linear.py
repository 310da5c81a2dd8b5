"""The linear scan: exact tests in double precision, and a single-precision screen.

Write g for a genotype (centred, 0 where missing), q for an orthonormal basis of intercept and
covariates, y for a residualised trait of length 1, and S for the missing calls of a variant.
Without missing calls the test needs g'g, q'g and g'y only. Dropping S changes q'q to
A = I - q_S'q_S, q'y to -q_S'y_S and y'y to 1 - y_S'y_S, which costs |S| and not n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.recycled import Recycled
from radgen._core.threads import n_threads
from radgen._native import _genotype
from radgen.associate.genomewide._design import TOGETHER, TraitGroup, group_traits
from radgen.associate.genomewide._rows import HIST_BINS, TestRows, join_rows
from radgen.genome._blocks import BlockProduct, BlockSource, CentredBlock, WholeWeights

__all__ = [
    "FLAT",
    "FULL_RANK",
    "SCREENED",
    "LinearScan",
    "exact_tests",
    "largest_squares",
    "moments_inside",
    "recompute",
]

Array = NDArray[np.float64]
FLAT = 1e-9
FULL_RANK = 0.9
SCREENED = 0.01
"""Thresholds up to which a scan screens in single precision."""
_WIDE = 32
"""Traits from which missing calls are bounded closely."""
_MUCH = 0.5
"""Leverage of missing calls from which it is bounded closely."""
_EPS32 = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False, slots=True)
class Screen:
    """What the single-precision screen knows of the traits.

    Attributes
    ----------
    weights : ndarray of float32 (n_samples, n_columns)
        Bases and traits of all groups side by side.
    totals : ndarray of float64 (n_columns,)
        Column sums of the weights.
    whole : WholeWeights or None
        The weights as whole numbers, where the processor multiplies these.
    leverage : tuple of ndarray of float64 (n_samples,)
        Of each group: squared length of each row of its basis.
    columns : tuple of slice
        Where the traits of each group stand among the weights.
    """

    weights: NDArray[np.float32]
    totals: Array
    whole: WholeWeights | None
    leverage: tuple[Array, ...]
    columns: tuple[slice, ...]
    _most: dict[int, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    _take: Recycled = field(default_factory=lambda: Recycled(n_threads() + 2), repr=False)

    @classmethod
    def build(cls, groups: Sequence[TraitGroup], *, whole: bool) -> Screen:
        """Return the screen of groups of traits."""
        parts = [group.single for group in groups if group.single is not None]
        weights = parts[0] if len(parts) == 1 else np.hstack(parts)
        totals = weights.sum(axis=0, dtype=np.float64)
        columns, at = [], 0
        for group in groups:
            at += group.rank
            columns.append(slice(at, at + len(group.traits)))
            at = columns[-1].stop
        leverage = tuple(np.einsum("nc,nc->n", group.q, group.q) for group in groups)
        digits = WholeWeights.of(weights) if whole else None
        return cls(weights, totals, digits, leverage, tuple(columns))

    def most(self, number: int) -> NDArray[np.float32]:
        """Return what missing calls can take of a group's traits, see `largest_squares`.

        It is computed when the first of them are met: complete genotypes need it not.
        """
        if number not in self._most:
            own = self.weights[:, self.columns[number]]
            parts = [
                largest_squares(own[:, low : low + TOGETHER])
                for low in range(0, own.shape[1], TOGETHER)
            ]
            self._most[number] = np.hstack(parts)
        return self._most[number]

    def product(self, source: BlockSource, backend: Any) -> BlockProduct:
        """Return the products of a block with bases and traits."""
        # Fresh pages for every block would cost as much as to decode it.
        return source.product(self.weights, self.totals, backend.product, self.whole, self._take)


def _level_sizes(n: int) -> NDArray[np.int64]:
    """Return ceil(2 ** (level / 2)) of each level; the last one holds all n samples."""
    steps = np.arange(int(np.ceil(2.0 * np.log2(max(n, 2)))) + 1)
    return np.asarray(np.minimum(np.ceil(np.exp2(0.5 * steps) - 1e-9), n).astype(np.int64))


def largest_squares(y: NDArray[Any]) -> NDArray[np.float32]:
    """Return the sums of each column's largest squares, float32 (n_levels, n_traits), from above.

    Level g sums ceil(2 ** (g / 2)) of them: as many missing calls take no more of a trait's sum
    of squares, whoever they are.
    """
    squares = np.sort(np.square(y.T, dtype=np.float32), axis=1)[:, ::-1]
    sums = np.cumsum(squares, axis=1, dtype=np.float64)[:, _level_sizes(len(y)) - 1]
    return np.ascontiguousarray((sums * (1.0 + 1e-5)).T.astype(np.float32))


@dataclass(frozen=True, eq=False, slots=True)
class LinearScan:
    """Everything a worker needs to test a block of variants against all traits.

    Attributes
    ----------
    groups : tuple of TraitGroup
        Traits by missing people.
    n_traits : int
        Number of traits.
    threshold : float or None
        Largest p that is kept; None keeps all.
    screen : Screen or None
        For the single-precision screen, where there is one.
    backend : object
        Offers ``product(g, weights)``.
    short : bool
        All tests are kept, as quantised t; those up to the threshold exactly.
    """

    groups: tuple[TraitGroup, ...]
    n_traits: int
    threshold: float | None
    screen: Screen | None
    backend: Any
    short: bool = False

    @classmethod
    def build(
        cls,
        values: Array,
        covariates: Array,
        *,
        threshold: float | None,
        backend: Any,
        short: bool = False,
    ) -> LinearScan:
        """Return the scan of traits (n_samples, n_traits), NaN = missing."""
        everything = not short and (threshold is None or threshold > SCREENED)
        groups = tuple(group_traits(values, covariates, keep=everything, workers=n_threads()))
        if everything:
            return cls(groups, values.shape[1], threshold, None, backend)
        screen = Screen.build(groups, whole=backend.here)
        groups = tuple(replace(group, single=None) for group in groups)
        return cls(groups, values.shape[1], threshold, screen, backend, short)

    def scan(self, source: BlockSource) -> TestRows:
        """Return the tests of one block that are kept, and the counts of all."""
        if self.screen is None:
            return self._everything(source)
        if self.short:
            from radgen.associate.genomewide._short import short_rows

            return short_rows(self, source)
        return self._screened(source)

    def dof(self) -> tuple[NDArray[np.int64], Array]:
        """Return of each trait its samples and its residual degrees of freedom."""
        n, df = np.zeros(self.n_traits, np.int64), np.zeros(self.n_traits)
        for group in self.groups:
            n[group.traits] = group.n_samples
            df[group.traits] = group.n_samples - group.rank - 1.0
        return n, df

    def _everything(self, source: BlockSource) -> TestRows:
        block = source.centred(np.float64)
        rows = [exact_tests(block, group) for group in self.groups]
        return join_rows(rows, source.start, self.n_traits, self.threshold)

    def _screened(self, source: BlockSource) -> TestRows:
        assert self.screen is not None
        block = self.screen.product(source, self.backend)
        hist = np.zeros((self.n_traits if len(self.groups) > 1 else 0, HIST_BINS), np.int64)
        found: list[dict[str, NDArray[Any]]] = []
        at = 0
        for number, group in enumerate(self.groups):
            counts, rows, columns = self._screen_group(block, source, number, at + group.rank)
            at += group.rank + len(group.traits)
            if len(self.groups) == 1:
                hist = counts
            else:
                hist[group.traits] = counts
            if len(rows):
                found.append(recompute(source, group, rows, columns))
        return join_rows(found, source.start, self.n_traits, self.threshold, hist)

    def _screen_group(
        self, block: BlockProduct, source: BlockSource, number: int, first: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
        assert self.screen is not None
        group, screen = self.groups[number], self.screen
        rank, k = group.rank, len(group.traits)
        n, _, spread, gg = moments_inside(block, source, group)
        b, taken = block.basis(slice(first - rank, first), group.q, mend=False)
        bb = np.einsum("mi,mi->m", b, b)
        leverage, gaps = np.zeros(len(n)), group.n_samples - n
        # A missing call counts minus `left`: sums over m of them are at most root m times longer.
        away = np.abs(block.left) * np.sqrt(gaps)
        least = 1e-6
        if len(block.missing):
            leverage = block.lost(screen.leverage[number])
        if k >= _WIDE and (leverage > _MUCH).any():
            b, _ = block.basis(slice(first - rank, first), group.q)
            # With many traits a close bound pays: fewer pairs are looked at again.
            leverage, most, slack, least = *_close_bounds(block, group, b), 1e-3
            residual = (gg - most) * (1.0 - 2e-3)
            room = np.maximum(1.0 - leverage, 1e-3)
        else:
            # With Q = q_S'q_S, x = b + Qx and |Q| <= leverage: |q_S x| <= |q_S b| / room, and so
            # x'b <= b'b + |q_S b|^2 / room.
            room = np.maximum(1.0 - leverage, 1e-3)
            far = away * np.sqrt(leverage)
            taken = np.sqrt(taken) + far * np.sqrt(leverage)
            most = np.square(np.sqrt(bb) + far) + taken * taken / room
            residual, slack = gg - most, taken / room
        slack = slack + away
        usable = (spread > FLAT) & (residual > least * spread) & (leverage < FULL_RANK)
        dubious = (spread > FLAT) & ~usable
        df = np.maximum(n - rank - 1.0, 0.0)
        limit = np.where(usable & (df > 0), _least_r2(df, self.threshold or 0.0), 2.0)
        limit[dubious] = 0.0
        scale = np.where(usable, 1.0 / np.where(usable, residual, 1.0), 0.0)
        counted = np.where(usable, df, 0.0)
        plain = np.where(usable, 1.0 / np.where(usable, gg - bb, 1.0), 0.0)
        bounds = np.stack([scale, slack, 1.0 / room, limit, counted, plain, gaps, n])
        hist = np.zeros((k, HIST_BINS), np.int64)
        rows, columns = np.empty((2, len(n) * k), np.int32)
        # Without a missing call what they can take is not asked for.
        most = screen.most(number) if len(block.missing) else np.zeros((1, k), np.float32)
        where = first, k, screen.weights, block.missing, block.ends, most
        count = _genotype.screen(block.product, *where, bounds, hist, rows, columns)
        return hist, rows[:count].copy(), columns[:count].copy()


def _close_bounds(block: BlockProduct, group: TraitGroup, b: Array) -> tuple[Array, Array, Array]:
    """Return bounds of q_S q_S', g'Hg without the missing calls, and the root of |q_S x|^2.

    S are the missing calls of a variant and x its coefficients without them. The bound is the
    Frobenius norm, which no eigenvalue exceeds; where it is near 1, the others are not of use.
    """
    m, c = b.shape
    qq, none = np.empty((m, c, c)), np.empty(0)
    _genotype.missing_terms(
        block.missing, block.ends, len(group.q), c, group.q, 0, none, qq, none, none
    )
    size = np.sqrt(np.einsum("mij,mij->m", qq, qq))
    a = np.eye(c) - qq
    a[size >= FULL_RANK] = np.eye(c)
    x = np.linalg.solve(a, b[:, :, None])[:, :, 0]
    lost = np.einsum("mi,mij,mj->m", x, qq, x)
    return size, np.einsum("mi,mi->m", x, b), np.sqrt(np.maximum(lost, 0.0)) * (1.0 + 1e-3)


def moments_inside(
    block: BlockProduct, source: BlockSource, group: TraitGroup
) -> tuple[Array, Array, Array, Array]:
    """Return calls and mean in a group, and two sums of squares: about its mean, the block's."""
    if not len(group.off):
        return block.n_known, block.mean, block.squares, block.squares
    away = source.among(group.off)
    n = block.n_known - away[:, 0]
    total = block.mean * block.n_known - away[:, 1]
    squares = block.squares + block.mean * block.mean * block.n_known - away[:, 2]
    about_block = np.maximum(squares - 2.0 * block.mean * total + n * block.mean**2, 0.0)
    about_own = np.maximum(squares - total * total / np.maximum(n, 1.0), 0.0)
    return n, total / np.maximum(n, 1.0), about_own, about_block


def _least_r2(df: Array, threshold: float) -> Array:
    """Return the squared correlation at p = threshold, less what single precision may lose."""
    from radgen.stats.tail import t_quantile  # loads scipy.special: not before the first block

    distinct, back = np.unique(df, return_inverse=True)
    t = np.abs(t_quantile(threshold / 2.0, np.maximum(distinct, 1.0)))
    r = t / np.sqrt(distinct + t * t)
    lost = 8.0 * _EPS32 * np.sqrt(distinct + 2.0) + 1e-3 * r
    return np.asarray(np.square(np.maximum(r - lost, 0.0))[back])


def _moments(block: CentredBlock, group: TraitGroup) -> tuple[Array, Array, Array, Array]:
    """Return of each variant in a group: calls, mean dosage, and two sums of squares.

    The first is about the group's own mean, the second about the mean of the block.
    """
    if not len(group.off):
        return block.n_known, block.mean, block.squares, block.squares
    away = np.asarray(block.g[:, group.off], np.float64)
    outside = np.zeros(block.g.shape[1])
    outside[group.off] = 1.0
    n = block.n_known - (len(group.off) - block.lost(outside))
    shift = -away.sum(axis=1) / np.maximum(n, 1.0)
    total = np.maximum(block.squares - (away * away).sum(axis=1), 0.0)
    spread = np.maximum(total - n * shift * shift, 0.0)
    return n, block.mean + shift, spread, total


def exact_tests(
    block: CentredBlock, group: TraitGroup, columns: NDArray[Any] | None = None
) -> dict[str, NDArray[Any]]:
    """Return the tests of all variants of a block with the traits of a group.

    Parameters
    ----------
    block : CentredBlock
        float64.
    group : TraitGroup
        Design and traits.
    columns : ndarray of int or None
        Some of the group's traits.

    Returns
    -------
    dict of ndarray
        trait (k,); n, freq, df and spread (sum of squares of the dosage beside the covariates)
        (n_variants,); beta, se, t, log10p (n_variants, k). NaN where a variant does not vary
        beside the covariates, or a trait does not.
    """
    from radgen.stats.tail import t_log10p  # loads scipy.special: not before the first block

    y = group.y if columns is None else group.residuals(columns)
    norm = group.norm if columns is None else group.norm[columns]
    traits = group.traits if columns is None else group.traits[columns]
    n, mean, spread, gg = _moments(block, group)
    b = block.g @ group.q
    num = block.g @ y
    bb = (b * b).sum(axis=1)
    rank = np.full(len(n), float(group.rank))
    yy = np.ones((1, y.shape[1]))
    if block.any_missing:
        num, bb, yy, rank = _drop_missing(block, group.q, y, b, num)
    residual = gg - bb
    df = n - rank - 1.0
    usable = (spread > FLAT) & (residual > FLAT * spread) & (df > 0)
    residual = np.where(usable, residual, np.nan)[:, None]
    dof = np.where(usable, df, np.nan)[:, None]
    scale = np.where(norm > 0, norm, np.nan)
    beta = num / residual
    se = np.sqrt(np.maximum(yy - num * beta, 0.0) / (dof * residual))
    with np.errstate(divide="ignore"):
        t = beta / se
    tests = {"beta": beta * scale, "se": se * scale, "t": np.where(norm > 0, t, np.nan)}
    tests["log10p"] = t_log10p(tests["t"], np.broadcast_to(dof, t.shape))
    each = {"n": n, "freq": np.where(n > 0, mean / 2.0, np.nan), "df": df}
    return tests | each | {"trait": traits, "spread": residual[:, 0]}


def _drop_missing(
    block: CentredBlock, q: Array, y: Array, b: Array, num: Array
) -> tuple[Array, Array, Array, Array]:
    """Return g'y, g'Hg, y'y and rank with each variant's missing calls dropped."""
    m, c, k = len(b), q.shape[1], y.shape[1]
    qq, qy, lost = np.empty((m, c, c)), np.empty((m, c, k)), np.empty((m, k))
    _genotype.missing_terms(
        block.missing, block.ends, len(q), c, np.ascontiguousarray(q), k, y, qq, qy, lost
    )
    a = np.eye(c) - qq
    rank = np.full(m, float(c))
    full = np.trace(qq, axis1=1, axis2=2) < FULL_RANK
    inverse = np.empty_like(a)
    inverse[full] = np.linalg.inv(a[full])
    for row in np.flatnonzero(~full):
        size, vectors = np.linalg.eigh(a[row])
        good = size > 1e-8
        rank[row] = good.sum()
        inverse[row] = (vectors[:, good] / size[good]) @ vectors[:, good].T
    x = np.einsum("mij,mj->mi", inverse, b)
    num = num + np.matmul(x[:, None, :], qy)[:, 0, :]
    z = np.matmul(inverse, qy)
    yy = 1.0 - lost - np.einsum("mik,mik->mk", qy, z)
    return num, (x * b).sum(axis=1), yy, rank


def recompute(
    source: BlockSource, group: TraitGroup, rows: NDArray[np.int32], columns: NDArray[np.int32]
) -> dict[str, NDArray[Any]]:
    """Return exact tests of the pairs that the screen let through, one entry a pair."""
    variants, row = np.unique(rows, return_inverse=True)
    traits, column = np.unique(columns, return_inverse=True)
    block = source.centred(np.float64, variants)
    out = {name: np.empty(len(rows)) for name in ("beta", "se", "t", "log10p", "n", "freq", "df")}
    # A few traits at a time: their residuals are made anew, and take memory in every worker.
    for low in range(0, len(traits), TOGETHER):
        tests = exact_tests(block, group, traits[low : low + TOGETHER])
        here = np.flatnonzero((column >= low) & (column < low + TOGETHER))
        for name, values in out.items():
            where = (row[here],) if tests[name].ndim == 1 else (row[here], column[here] - low)
            values[here] = tests[name][where]
    return out | {"trait": group.traits[traits][column], "variant": variants[row]}
