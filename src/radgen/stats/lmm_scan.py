"""The exact mixed-model test of many variants and traits at once.

Each pair of a variant and a trait has its own ratio of variances. As a function of its
logarithm, every weighted cross-product of the likelihood is analytic in a strip of half-width
pi. Its values at the Chebyshev points of a short range, which are plain matrix products for all
variants together, thus give it everywhere in the range to rounding, and Newton's steps cost
nothing that grows with the number of samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.stats.lmm import (
    EDGES,
    MixedModel,
    restricted_slope,
    restricted_value,
    weights_of,
)
from radgen.stats.tail import f_log10p

__all__ = ["mixed_tests"]

Array = NDArray[np.float64]
_POINTS = 20


@dataclass(frozen=True, eq=False, slots=True)
class _Products:
    """Weighted cross-products under several weights.

    `shared` (n_weights, C, C) of covariates and traits, `cross` (n_variants, n_weights, C) of
    variants with these, `square` (n_variants, n_weights) of variants, `sums` (n_weights, 3):
    two traces and a log determinant of `weights_of`.
    """

    shared: Array
    cross: Array
    square: Array
    sums: Array

    @classmethod
    def build(cls, columns: Array, g: Array, squares: Array, w: Array, sums: Array) -> _Products:
        n, c = columns.shape
        shared = np.stack([(columns.T * row) @ columns for row in w])
        wide = (w.T[:, :, None] * columns[:, None, :]).reshape(n, -1)
        cross = (g @ wide).reshape(len(g), len(w), c)
        return cls(shared, cross, squares @ w.T, sums)

    def moments(self, rows: NDArray[np.int64], basis: Array, at: slice, use: list[int]) -> Array:
        """Return (n_rows, c + 2, c + 2): covariates, variant, trait, the weights combined.

        `basis` (n_rows, n_points) combines the weights `at`; `use` names the columns of
        covariates and, last, of the trait.
        """
        c = len(use)
        shared = self.shared[at][:, use][:, :, use].reshape(-1, c * c)
        order = [*range(c - 1), c]
        out = np.empty((len(rows), c + 1, c + 1))
        out[np.ix_(np.arange(len(rows)), order, order)] = (basis @ shared).reshape(-1, c, c)
        cross = self.cross[rows, at][:, :, use]
        out[:, order, c - 1] = out[:, c - 1, order] = np.einsum("mk,mkc->mc", basis, cross)
        out[:, c - 1, c - 1] = np.einsum("mk,mk->m", basis, self.square[rows, at])
        return out


def mixed_tests(models: Sequence[MixedModel], g: Array) -> tuple[Array, Array, Array, Array]:
    """Return the Wald test of each variant, the variance ratio fitted anew (exact, as GEMMA).

    Parameters
    ----------
    models : sequence of MixedModel
        The models without a variant, of traits of the same samples: they share eigenvalues,
        eigenvectors and covariates.
    g : ndarray of float64 (n_variants, n_samples)
        Dosages without missing values, not rotated.

    Returns
    -------
    beta, se, log10p : ndarray of float64 (n_models, n_variants)
        Effect per allele, its standard error, log10 p of the F test with n - rank - 1 degrees
        of freedom. NaN where a variant does not vary beside the covariates.
    ratio : ndarray of float64 (n_models, n_variants)
        Ratio of genetic to residual variance of each.

    Raises
    ------
    InputError
        If the models do not share their eigenvectors.

    References
    ----------
    Zhou & Stephens (2012), doi:10.1038/ng.2310.
    """
    first = models[0]
    if any(model.vectors is not first.vectors for model in models):
        raise InputError("Models that are tested together share their eigenvectors.")
    rotated = g @ first.vectors
    q = np.linalg.qr(first.x)[0]
    left = rotated - (rotated @ q) @ q.T
    squares = np.einsum("mn,mn->m", rotated, rotated)
    use = np.einsum("mn,mn->m", left, left) > 1e-9 * np.maximum(squares, 1e-300)
    out = np.full((4, len(models), len(g)), np.nan)
    if use.any():
        some = rotated if use.all() else rotated[use]
        out[:, :, use] = _tests(models, some)
    return out[0], out[1], out[2], out[3]


def _tests(models: Sequence[MixedModel], g: Array) -> Array:
    values, x = models[0].values, models[0].x
    ratios = _ratios(models, g)
    out = np.empty((4, len(models), len(g)))
    df = len(values) - x.shape[1] - 1
    squares = g * g
    for number, (model, ratio) in enumerate(zip(models, ratios, strict=True)):
        # The last evaluation is exact, each variant at its own ratio.
        w = 1.0 / (ratio[:, None] * values + 1.0)
        a = _exact(w, g, squares, np.column_stack([x, model.y]))
        inverse = np.linalg.inv(a[:, :-1, :-1])
        beta = np.einsum("mij,mj->mi", inverse, a[:, :-1, -1])
        rss = a[:, -1, -1] - np.einsum("mi,mi->m", beta, a[:, :-1, -1])
        se = np.sqrt(rss / df * inverse[:, -1, -1])
        out[0, number], out[1, number], out[3, number] = beta[:, -1], se, ratio
        out[2, number] = f_log10p((beta[:, -1] / se) ** 2, 1, df)
    return out


def _exact(w: Array, g: Array, squares: Array, columns: Array) -> Array:
    """Return weighted cross-products (n_variants, c + 2, c + 2), each variant's own weights."""
    m, c = len(g), columns.shape[1]
    left, right = np.triu_indices(c)
    place = np.empty((c, c), np.int64)
    place[left, right] = place[right, left] = np.arange(len(left))
    order = [*range(c - 1), c]
    out = np.empty((m, c + 1, c + 1))
    out[np.ix_(np.arange(m), order, order)] = (w @ (columns[:, left] * columns[:, right]))[:, place]
    out[:, c - 1, c - 1] = np.einsum("mn,mn->m", w, squares)
    out[:, order, c - 1] = out[:, c - 1, order] = (w * g) @ columns
    return out


def _ratios(models: Sequence[MixedModel], g: Array) -> Array:
    """Return the ratio of greatest restricted likelihood (n_models, n_variants).

    The slope is known at the edges of ten ranges; each change of its sign is followed by
    Newton's steps kept inside the range, and the best of the roots and of the two ends is taken.
    """
    values, x = models[0].values, models[0].x
    columns = np.column_stack([x, *(model.y for model in models)])
    squares = g * g
    c = x.shape[1]
    n_edges = len(EDGES)
    df = len(values) - c - 1
    at_edges = _build(values, columns, (g, squares), EDGES)
    plain = np.ones((1, len(values)))
    base = _Products.build(columns, g, squares, plain, np.zeros((1, 3)))
    everyone = np.arange(len(g))
    one = np.ones((len(g), 1))
    best = np.full((len(models), len(g)), math.exp(EDGES[0]))
    top = np.empty((len(models), len(g)))
    slopes = np.empty((len(models), n_edges, len(g)))
    use = [[*range(c), c + number] for number in range(len(models))]
    design = np.linalg.slogdet(base.moments(everyone, one, slice(0, 1), use[0])[:, :-1, :-1])[1]
    for number in range(len(models)):
        ends = []
        for edge in range(n_edges):
            a0, a1, a2 = (
                at_edges.moments(everyone, one, slice(at, at + 1), use[number])
                for at in range(edge, 3 * n_edges, n_edges)
            )
            sums = at_edges.sums[edge]
            slopes[number, edge] = restricted_slope((a0, a1, a2), sums[0], sums[1], df)[0]
            if edge in (0, n_edges - 1):
                ends.append(restricted_value(a0, design, sums[2], df))
        higher = ends[1] > ends[0]
        best[number][higher] = math.exp(EDGES[-1])
        top[number] = np.maximum(*ends)
    for low, high, edge in zip(EDGES[:-1], EDGES[1:], range(n_edges - 1), strict=True):
        turns = (slopes[:, edge] > 0) & (slopes[:, edge + 1] <= 0)
        rows = np.flatnonzero(turns.any(axis=0))
        if not len(rows):
            continue
        knots = _Range(low, high)
        inside = _build(values, columns, (g[rows], squares[rows]), knots.points)
        for number in np.flatnonzero(turns.any(axis=1)).tolist():
            own = np.flatnonzero(turns[number, rows])
            found = _root((inside, knots), own, use[number], df)
            value = _value((inside, knots), own, use[number], (found, design[rows[own]], df))
            where = rows[own]
            better = value > top[number, where]
            best[number, where[better]] = np.exp(found[better])
            top[number, where[better]] = value[better]
    return best


def _build(values: Array, columns: Array, block: tuple[Array, Array], at: Array) -> _Products:
    """Return the products at log ratios `at`: all of weight 0, then of weights 1 and 2."""
    w, sums = weights_of(values, np.exp(at))
    return _Products.build(columns, *block, np.concatenate(w), sums)


class _Range:
    """Chebyshev points of a range, and the interpolation from them."""

    def __init__(self, low: float, high: float) -> None:
        angle = (2 * np.arange(_POINTS) + 1) * np.pi / (2 * _POINTS)
        self.low, self.high = low, high
        self.points: Array = 0.5 * (low + high) + 0.5 * (high - low) * np.cos(angle)
        self.weight: Array = np.sin(angle) * (-1.0) ** np.arange(_POINTS)

    def basis(self, at: Array) -> Array:
        """Return what each point adds to the value at `at` (n_values, n_points)."""
        distance = at[:, None] - self.points
        hit = distance == 0.0
        part = self.weight / np.where(hit, 1.0, distance)
        part[hit.any(axis=1)] = 0.0
        part[hit] = 1.0
        return np.asarray(part / part.sum(axis=1, keepdims=True))


def _root(
    at_knots: tuple[_Products, _Range], rows: NDArray[np.int64], use: list[int], df: int
) -> Array:
    """Return the log ratio where the slope falls through 0."""
    inside, knots = at_knots
    low, high = np.full(len(rows), knots.low), np.full(len(rows), knots.high)
    at: Array = 0.5 * (low + high)
    for _ in range(60):
        basis = knots.basis(at)
        a = tuple(
            inside.moments(rows, basis, slice(k * _POINTS, (k + 1) * _POINTS), use)
            for k in range(3)
        )
        sums = basis @ inside.sums
        slope, curve = restricted_slope(a, sums[:, 0], sums[:, 1], df)
        low, high = np.where(slope > 0, at, low), np.where(slope > 0, high, at)
        step = at - slope / np.where(curve < 0, curve, -1.0)
        good = (curve < 0) & (step > low) & (step < high)
        new = np.where(good, step, 0.5 * (low + high))
        moved = np.abs(new - at).max()
        at = new
        # Newton's error is the square of its step.
        if moved < 1e-5:
            break
    return at


def _value(
    at_knots: tuple[_Products, _Range],
    rows: NDArray[np.int64],
    use: list[int],
    where: tuple[Array, Array, int],
) -> Array:
    """Return the restricted log likelihood at log ratios."""
    inside, knots = at_knots
    at, design, df = where
    basis = knots.basis(at)
    a0 = inside.moments(rows, basis, slice(0, _POINTS), use)
    return restricted_value(a0, design, (basis @ inside.sums)[:, 2], df)
