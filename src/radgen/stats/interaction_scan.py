"""Regressions on two terms of each of many variants: the variant, and its product with a covariate.

Every function takes a block of variants and fits all of them together beside the same covariates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.stats.logistic_scan import NullLogistic, sigmoid

__all__ = ["PairFit", "linear_pairs", "logistic_pairs"]

Array = NDArray[np.float64]
_STEPS = 30
_TOLERANCE = 1e-9
_LARGEST_STEP = 5.0
_FLAT = 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class PairFit:
    """Fits of two terms of each variant.

    Attributes
    ----------
    beta : ndarray of float64 (n_variants, n_traits, 2)
        Coefficients of both terms; NaN where they cannot be told apart.
    covariance : ndarray of float64 (n_variants, n_traits, 2, 2)
        Of the coefficients.
    df : ndarray of float64 (n_variants,)
        Residual degrees of freedom; infinity where tests are normal.
    """

    beta: Array
    covariance: Array
    df: Array


def _pairs(x: Array) -> tuple[Array, NDArray[np.int64], Array]:
    """Return products of all pairs of columns, where each stands in a square, how often it does."""
    c = x.shape[1]
    left, right = np.triu_indices(c)
    place = np.empty((c, c), np.int64)
    place[left, right] = place[right, left] = np.arange(len(left))
    return x[:, left] * x[:, right], place, np.where(left == right, 1.0, 2.0)


def _inverse(a: Array) -> tuple[Array, Array]:
    """Return the pseudo-inverse of each symmetric matrix and its rank."""
    size, vectors = np.linalg.eigh(a)
    good = size > 1e-8
    scaled = vectors * np.where(good, 1.0 / np.where(good, size, 1.0), 0.0)[:, None, :]
    return scaled @ np.swapaxes(vectors, 1, 2), good.sum(axis=1).astype(float)


def linear_pairs(
    a: Array,
    b: Array,
    q: Array,
    y: Array,
    *,
    known: NDArray[np.bool_] | None = None,
    robust: bool = False,
) -> PairFit:
    """Return least-squares fits of y on a, b and the covariates.

    Parameters
    ----------
    a, b : ndarray of float64 (n_variants, n_samples)
        The two terms of each variant, 0 where the call is missing.
    q : ndarray of float64 (n_samples, rank)
        Orthonormal basis of intercept and covariates.
    y : ndarray of float64 (n_samples, n_traits)
        Traits, orthogonal to `q`.
    known : ndarray of bool (n_variants, n_samples) or None
        False = missing call: the sample is dropped for that variant. None = all known.
    robust : bool, default False
        HC3 covariance instead of that of equal variances.

    Notes
    -----
    HC3 divides each residual by 1 - its leverage (MacKinnon and White 1985,
    doi:10.1016/0304-4076(85)90158-7); both terms are first taken beside the covariates, which
    leaves their coefficients and their sandwich as they are (Frisch-Waugh-Lovell).
    """
    m, n = a.shape
    products, place, times = _pairs(q)
    fitted = np.zeros((m, q.shape[1], y.shape[1]))
    if known is None:
        inverse = np.broadcast_to(np.eye(q.shape[1]), (m, q.shape[1], q.shape[1]))
        rank, count = np.full(m, float(q.shape[1])), np.full(m, float(n))
        yy = np.broadcast_to((y * y).sum(axis=0), (m, y.shape[1]))
    else:
        weight = known.astype(float)
        inverse, rank = _inverse((weight @ products)[:, place])
        both = (q[:, :, None] * y[:, None, :]).reshape(n, -1)
        crossed = (weight @ both).reshape(fitted.shape)
        fitted = inverse @ crossed
        yy = weight @ (y * y) - (crossed * fitted).sum(axis=1)
        count = weight.sum(axis=1)
    own = (a * a).sum(axis=1), (b * b).sum(axis=1)
    a = _beside(a, q, inverse, known)
    b = _beside(b, q, inverse, known)
    moments, usable = _moments(a, b, own)
    inside: Array = np.asarray(np.linalg.inv(moments), np.float64)
    beta = np.einsum("mij,mkj->mki", inside, np.stack([a @ y, b @ y], axis=2))
    rss = np.maximum(yy - np.einsum("mki,mki->mk", beta, np.stack([a @ y, b @ y], axis=2)), 0.0)
    df = count - rank - 2.0
    usable &= df > 0
    if robust:
        lever = (inverse[:, *np.triu_indices(q.shape[1])] * times) @ products.T
        covariance = _hc3((a, b, lever), (q, y, fitted), (beta, inside), known)
    else:
        variance = rss / np.where(df > 0, df, np.nan)[:, None]
        covariance = variance[:, :, None, None] * inside[:, None]
    beta[~usable], covariance[~usable] = np.nan, np.nan
    return PairFit(beta, covariance, df)


def _beside(g: Array, q: Array, inverse: Array, known: NDArray[np.bool_] | None) -> Array:
    """Return what the covariates do not say of g, 0 where missing."""
    left = g - np.einsum("mij,mj->mi", inverse, g @ q) @ q.T
    return left if known is None else np.where(known, left, 0.0)


def _moments(a: Array, b: Array, own: tuple[Array, Array]) -> tuple[Array, NDArray[np.bool_]]:
    """Return the products of both terms, and where they are told apart; the unit matrix elsewhere.

    `own` are their sums of squares before the covariates were taken out.
    """
    aa, ab, bb = ((x * y).sum(axis=1) for x, y in ((a, a), (a, b), (b, b)))
    usable = (aa > _FLAT * own[0]) & (bb > _FLAT * own[1]) & (own[0] > _FLAT)
    usable &= aa * bb - ab * ab > _FLAT * aa * bb
    out = np.stack([np.stack([aa, ab], axis=1), np.stack([ab, bb], axis=1)], axis=2)
    out[~usable] = np.eye(2)
    return out, np.asarray(usable)


def _hc3(
    terms: tuple[Array, Array, Array],
    model: tuple[Array, Array, Array],
    fit: tuple[Array, Array],
    known: NDArray[np.bool_] | None,
) -> Array:
    """Return the HC3 covariance (n_variants, n_traits, 2, 2).

    `terms` are both terms and the leverage of the covariates, `model` basis, traits and their
    coefficients on it, `fit` the coefficients of the terms and the inverse of their moments.
    """
    (a, b, lever), (q, y, fitted), (beta, inside) = terms, model, fit
    own = inside[:, 0, 0, None] * a * a + 2.0 * inside[:, 0, 1, None] * a * b
    room = 1.0 - lever - own - inside[:, 1, 1, None] * b * b
    scale = 1.0 / np.maximum(room, 1e-9)
    out = np.empty((*beta.shape, 2))
    for trait in range(y.shape[1]):
        residual = y[:, trait] - fitted[:, :, trait] @ q.T
        residual = residual - beta[:, trait, :1] * a - beta[:, trait, 1:] * b
        if known is not None:
            residual = np.where(known, residual, 0.0)
        square = np.square(residual * scale)
        aa, ab, bb = ((square * x * z).sum(axis=1) for x, z in ((a, a), (a, b), (b, b)))
        meat = np.stack([np.stack([aa, ab], axis=1), np.stack([ab, bb], axis=1)], axis=2)
        out[:, trait] = inside @ meat @ inside
    return out


def logistic_pairs(
    a: Array,
    b: Array,
    null: NullLogistic,
    *,
    known: NDArray[np.bool_] | None = None,
    robust: bool = False,
) -> PairFit:
    """Return maximum-likelihood logistic fits of a, b and the covariates.

    Parameters
    ----------
    a, b : ndarray of float64 (n_variants, n_samples)
        As for `linear_pairs`.
    null : NullLogistic
        The model without a variant: outcome, covariates, offset, start.
    known : ndarray of bool (n_variants, n_samples) or None
        As for `linear_pairs`.
    robust : bool, default False
        Sandwich covariance (HC0) instead of the inverse information.

    Returns
    -------
    PairFit
        One trait; NaN where the iterations do not settle (separation).
    """
    m, c = len(a), null.x.shape[1]
    products, place, _ = _pairs(null.x)
    beta = np.concatenate([np.tile(null.beta, (m, 1)), np.zeros((m, 2))], axis=1)
    covariance, done = np.full((m, 2, 2), np.nan), np.zeros(m, bool)
    active = np.arange(m)
    for _ in range(_STEPS):
        terms = a[active], b[active]
        ba = beta[active]
        eta = ba[:, :c] @ null.x.T + ba[:, c, None] * terms[0] + ba[:, c + 1, None] * terms[1]
        mu = sigmoid(eta + null.offset)
        w, residual = mu * (1.0 - mu), null.y - mu
        if known is not None:
            w, residual = w * known[active], residual * known[active]
        information, good = _information(w, terms, null.x, products, place)
        score = np.column_stack(
            [residual @ null.x, *((residual * term).sum(axis=1) for term in terms)]
        )
        inverse = np.asarray(np.linalg.inv(information), np.float64)
        step = np.einsum("mij,mj->mi", inverse, score)
        size = np.sqrt(np.maximum((step * score).sum(axis=1), 0.0))
        change = step[:, :c] @ null.x.T
        change += step[:, c, None] * terms[0] + step[:, c + 1, None] * terms[1]
        reach = np.maximum(np.abs(change).max(axis=1), 1e-300)
        step *= np.minimum(1.0, _LARGEST_STEP / reach)[:, None]
        beta[active[good]] += step[good]
        settled = good & (size < _TOLERANCE)
        rows = active[settled]
        done[rows] = True
        if len(rows):
            some = inverse[settled]
            if robust:
                square = np.square(residual[settled])
                own = terms[0][settled], terms[1][settled]
                meat, _ = _information(square, own, null.x, products, place)
                some = some @ meat @ some
            covariance[rows] = some[:, c:, c:]
        active = active[good & ~settled]
        if not len(active):
            break
    out = np.where(done[:, None], beta[:, c:], np.nan)
    return PairFit(out[:, None], covariance[:, None], np.full(m, np.inf))


def _information(
    w: Array, terms: tuple[Array, Array], x: Array, products: Array, place: NDArray[np.int64]
) -> tuple[Array, NDArray[np.bool_]]:
    """Return weighted products of covariates and terms, and which are far from singular.

    The others are replaced by the unit matrix.
    """
    m, c = len(w), x.shape[1]
    out = np.empty((m, c + 2, c + 2))
    out[:, :c, :c] = (w @ products)[:, place]
    for at, term in enumerate(terms):
        weighted = w * term
        out[:, :c, c + at] = out[:, c + at, :c] = weighted @ x
        for other in range(at + 1):
            value = (weighted * terms[other]).sum(axis=1)
            out[:, c + at, c + other] = out[:, c + other, c + at] = value
    diagonal = np.einsum("mii->mi", out)
    positive = (diagonal > 1e-12).all(axis=1)
    scale = 1.0 / np.sqrt(np.where(diagonal > 1e-12, diagonal, 1.0))
    scaled = out * scale[:, :, None] * scale[:, None, :]
    scaled[~positive] = np.eye(c + 2)
    good = positive & (np.linalg.eigvalsh(scaled)[:, 0] > 1e-9)
    out[~good] = np.eye(c + 2)
    return out, np.asarray(good)
