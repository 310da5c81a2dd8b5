"""Score tests of one variant beside covariates, the saddle point below p = 0.05.

Of each sample the model without the variant leaves a residual r and a working weight w. The
score of a variant is u = sum g r, its variance sum w g^2 less what the covariates explain of g.
With g and r divided by sqrt(w) this is the algebra of the linear scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._native import _genotype
from radgen.associate.genomewide._linear import largest_squares
from radgen.associate.genomewide._rows import HIST_BINS
from radgen.genome._blocks import BlockProduct, CentredBlock
from radgen.stats.saddle import ResidualLaw, saddle_scores
from radgen.stats.tail import normal_log10p

__all__ = [
    "SADDLE_BELOW",
    "ScoreNull",
    "ScoreScreen",
    "known_mask",
    "matching_se",
    "narrow",
    "one_step",
    "people_of",
]

Array = NDArray[np.float64]
SADDLE_BELOW = float(np.log10(0.05))
"""log10 of the normal p below which the saddle point is taken."""
_ROOM = 4 << 20
_FLAT = 1e-9
_FULL_RANK = 0.9
_SINGULAR = 1e-8
_LARGE = 1e9
_UNBOUNDED = 1e30


@dataclass(frozen=True, eq=False, slots=True)
class ScoreNull:
    """A model without the variant, as the score test needs it.

    Attributes
    ----------
    root : ndarray of float64 (n_samples,)
        Square root of the working weight.
    q : ndarray of float64 (n_samples, rank)
        Orthonormal basis of the covariates (the intercept among them) times `root`.
    residual : ndarray of float64 (n_samples,)
        Derivative of the log likelihood by the linear predictor.
    law : ResidualLaw
        How the residuals are distributed.
    """

    root: Array
    q: Array
    residual: Array
    law: ResidualLaw

    @classmethod
    def build(cls, x: Array, weight: Array, residual: Array, law: ResidualLaw) -> ScoreNull:
        """Return the null of covariates x (n_samples, n_columns), of full rank."""
        root = np.sqrt(weight)
        return cls(root, np.linalg.qr(x * root[:, None])[0], residual, law)

    def scores(self, block: CentredBlock) -> tuple[Array, Array, Array]:
        """Return scores, variances, and coefficients of g on the covariates (m, rank).

        A missing call drops its sample; the covariates' coefficients then take one Newton step
        on the samples that are left. The variance is NaN where a variant does not vary beside
        the covariates.
        """
        weight = self.root * self.root
        both = block.g @ np.column_stack([self.q * self.root[:, None], self.residual])
        b, u = both[:, :-1], both[:, -1]
        turned = b
        if block.any_missing:
            m, c = b.shape
            qq, qy, lost = np.empty((m, c, c)), np.empty((m, c, 1)), np.empty((m, 1))
            scaled = np.ascontiguousarray((self.residual / self.root)[:, None])
            n, q = len(self.q), np.ascontiguousarray(self.q)
            _genotype.missing_terms(block.missing, block.ends, n, c, q, 1, scaled, qq, qy, lost)
            left = np.eye(c) - qq
            poor = np.flatnonzero(np.trace(qq, axis1=1, axis2=2) > _FULL_RANK)
            poor = poor[np.linalg.eigvalsh(left[poor])[:, 0] < _SINGULAR]
            left[poor] = np.eye(c)
            turned = np.linalg.solve(left, b[:, :, None])[:, :, 0]
            turned[poor] = np.nan  # the covariates are collinear in those who are left
            u = u + (turned * qy[:, :, 0]).sum(axis=1)
        total = np.einsum("mn,mn,n->m", block.g, block.g, weight)
        variance = total - (turned * b).sum(axis=1)
        with np.errstate(invalid="ignore"):
            usable = (block.squares > _FLAT) & (variance > _FLAT * block.squares * weight.max())
        return u, np.where(usable, variance, np.nan), turned

    def cleaned(self, block: CentredBlock, rows: NDArray[np.int64], turned: Array) -> Array:
        """Return some genotypes with the covariates taken out, 0 where missing."""
        clean = block.g[rows] - (turned[rows] @ self.q.T) / self.root
        if block.any_missing:
            clean[~known_mask(block)[rows]] = 0.0
        return np.asarray(clean)


def one_step(block: CentredBlock, null: ScoreNull) -> dict[str, Array]:
    """Return one-step estimates and score tests of a block, beta, se, t and log10p (m,)."""
    u, variance, turned = null.scores(block)
    z = u / np.sqrt(variance)
    log10p = normal_log10p(z)
    rows = np.flatnonzero(log10p < SADDLE_BELOW)
    for low, high in block_ranges(len(rows), max(1, _ROOM // block.g.shape[1])):
        some = rows[low:high]
        better, good, _ = saddle_scores(u[some], null.cleaned(block, some, turned), null.law)
        log10p[some[good]] = np.minimum(better[good], 0.0)
    beta = u / variance
    return {"beta": beta, "se": matching_se(beta, log10p), "t": z, "log10p": log10p}


def matching_se(beta: Array, log10p: Array) -> Array:
    """Return the standard error at which beta / se has the p of the test."""
    from radgen.stats.tail import log10p_to_z

    z = log10p_to_z(log10p)
    return np.abs(beta) / np.where(z > 0, z, np.nan)


def known_mask(block: CentredBlock) -> NDArray[np.bool_]:
    """Return which calls of a block are known (n_variants, n_samples)."""
    known = np.ones(block.g.shape, bool)
    counts = np.diff(np.concatenate([[0], block.ends]))
    known[np.repeat(np.arange(len(counts)), counts), block.missing] = False
    return known


def narrow(block: CentredBlock, used: NDArray[np.int64]) -> CentredBlock:
    """Return the block of some of its samples, centred anew."""
    n = block.g.shape[1]
    if len(used) == n:
        return block
    known = known_mask(block)[:, used]
    dosage = np.where(known, block.g[:, used] + block.mean[:, None], 0.0)
    count = known.sum(axis=1).astype(float)
    mean = dosage.sum(axis=1) / np.maximum(count, 1.0)
    g = np.where(known, dosage - mean[:, None], 0.0)
    row, column = np.nonzero(~known)
    ends = np.searchsorted(row, np.arange(len(g)), side="right").astype(np.int64)
    squares = np.einsum("mn,mn->m", g, g)
    return CentredBlock(block.start, g, count, mean, squares, column.astype(np.int32), ends)


def people_of(block: CentredBlock) -> dict[str, Array]:
    """Return the calls and the ALT frequency of each variant."""
    return {"n": block.n_known, "freq": np.where(block.n_known > 0, block.mean / 2.0, np.nan)}


@dataclass(frozen=True, eq=False, slots=True)
class ScoreScreen:
    """Single-precision scores of several nulls, with bounds of what they leave out.

    Attributes
    ----------
    weights : ndarray of float32 (n_samples, n_columns)
        Of each null: basis times root, then the residual over its length.
    totals : ndarray of float64 (n_columns,)
        Column sums of the weights.
    squares : ndarray of float32 (n_nulls, n_samples)
        Working weights.
    leverage : ndarray of float64 (n_nulls, n_samples)
        Squared length of each row of the basis.
    lengths : ndarray of float64 (n_nulls,)
        Length of residual / root.
    most : tuple of ndarray of float32 (n_levels, 1)
        Sums of the largest squares of residual / root over its length, see `largest_squares`.
    first : tuple of int
        Columns of `weights` where each null begins, and where the last one ends.
    limit : float
        Squared normal statistic below which a test is not looked at again.
    """

    weights: NDArray[np.float32]
    totals: Array
    squares: NDArray[np.float32]
    leverage: Array
    lengths: Array
    most: tuple[NDArray[np.float32], ...]
    first: tuple[int, ...]
    limit: float

    @classmethod
    def build(
        cls, nulls: Sequence[tuple[NDArray[np.int64], ScoreNull]], n_samples: int
    ) -> ScoreScreen:
        """Return the screen of nulls, each with the samples (of n_samples) that it uses."""
        from scipy import special

        width = [null.q.shape[1] + 1 for _, null in nulls]
        weights = np.zeros((n_samples, sum(width)), np.float32)
        totals = np.zeros(sum(width))
        squares = np.zeros((len(nulls), n_samples), np.float32)
        leverage = np.zeros((len(nulls), n_samples))
        lengths, most, at = np.ones(len(nulls)), [], 0
        for number, (used, null) in enumerate(nulls):
            scaled = null.residual / null.root
            lengths[number] = np.sqrt(scaled @ scaled)
            part = np.column_stack([null.q * null.root[:, None], null.residual / lengths[number]])
            weights[used, at : at + width[number]] = part
            totals[at : at + width[number]] = part.sum(axis=0)
            squares[number, used] = null.root * null.root
            leverage[number, used] = np.einsum("nc,nc->n", null.q, null.q)
            most.append(largest_squares((scaled / lengths[number])[:, None]))
            at += width[number]
        limit = float(np.square(special.ndtri(0.5 * 10.0**SADDLE_BELOW))) * (1.0 - 1e-3)
        first = tuple(np.concatenate([[0], np.cumsum(width)]).tolist())
        return cls(weights, totals, squares, leverage, lengths, tuple(most), first, limit)

    def candidates(
        self, block: BlockProduct, squares: Array, number: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the variants that may fall below the limit, and the counts (1, n_bins) of all.

        Parameters
        ----------
        block : BlockProduct
            Products with `weights`.
        squares : ndarray of float64 (n_variants, n_nulls)
            Weighted squares, see `squares`.
        number : int
            Which null.
        """
        first, after = self.first[number : number + 2]
        rank = after - first - 1
        b = block.product[:, first : first + rank].astype(np.float64)
        bb, gg = np.einsum("mi,mi->m", b, b), squares[:, number]
        m = len(gg)
        leverage, gaps = np.zeros(m), np.zeros(m)
        if len(block.missing):
            leverage = block.lost(self.leverage[number])
            gaps = np.diff(block.ends, prepend=0).astype(np.float64)
        room = np.maximum(1.0 - leverage, 1e-3)
        varies = block.squares > _FLAT
        usable = varies & (gg - bb / room > 1e-5 * gg) & (leverage < _FULL_RANK)
        inside = np.where(usable, gg - bb / room, 1.0)
        # Unusable variants that vary are looked at exactly.
        limit = np.where(usable, self.limit / self.lengths[number] ** 2, 2.0)
        limit[varies & ~usable] = 0.0
        plain = np.where(usable, 1.0 / np.where(usable, gg - bb, 1.0), 0.0)
        bounds = np.stack(
            [
                np.where(usable, 1.0 / inside, 0.0),
                np.sqrt(bb * leverage) / room,
                np.zeros(m),
                limit,
                np.where(usable, _LARGE, 0.0),
                plain * self.lengths[number] ** 2 / _LARGE,
                gaps,
                np.full(m, _UNBOUNDED),
            ]
        )
        hist = np.zeros((1, HIST_BINS), np.int64)
        rows, columns = np.empty((2, m), np.int32)
        where = first + rank, 1, self.weights, block.missing, block.ends, self.most[number]
        count = _genotype.screen(block.product, *where, bounds, hist, rows, columns)
        return rows[:count].copy(), hist
