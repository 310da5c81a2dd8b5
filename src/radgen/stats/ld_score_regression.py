"""LD score regression: heritability and genetic covariance from the tests of a scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError

__all__ = [
    "LdScoreFit",
    "block_edges",
    "correlation_of",
    "liability_factor",
    "regress_covariance",
    "regress_heritability",
]

Array = NDArray[np.float64]
Weigh = Callable[[float, float], Array]
_MEDIAN_CHI2 = 0.45493642311957283
_UPDATES = 2


@dataclass(frozen=True, eq=False, slots=True)
class LdScoreFit:
    """A regression of products of test statistics on LD scores.

    Attributes
    ----------
    value, se : float
        Heritability, or genetic covariance of standardised traits.
    intercept, intercept_se : float
        1 (heritability) or 0 (covariance) where nothing but LD inflates; the standard error is
        NaN where the intercept was given.
    mean, lambda_gc : float
        Mean of the products; median over that of a chi-square (NaN for a covariance).
    ratio, ratio_se : float
        (intercept - 1) / (mean - 1): the share of the inflation that LD does not explain; NaN
        where the mean is at most 1 or the intercept was given.
    n_variants, n_blocks : int
        Rows of the regression, and blocks of the jackknife.
    deleted : ndarray of float64 (n_blocks,)
        `value` with each block left out.
    """

    value: float
    se: float
    intercept: float
    intercept_se: float
    mean: float
    lambda_gc: float
    ratio: float
    ratio_se: float
    n_variants: int
    n_blocks: int
    deleted: Array


def block_edges(use: NDArray[np.bool_], n_blocks: int) -> NDArray[np.int64]:
    """Return where blocks of neighbours begin, with as many variants in use in each.

    Parameters
    ----------
    use : ndarray of bool (n_variants,)
        Variants of the first step.
    n_blocks : int
        At most the number of those in use.

    Returns
    -------
    ndarray of int64 (n_blocks + 1,)
        0 first, n_variants last.

    Raises
    ------
    InputError
        If there are fewer than 2 blocks, or more blocks than variants.
    """
    rows = np.flatnonzero(use)
    if not 2 <= n_blocks <= len(rows):
        raise InputError(
            f"A jackknife of {n_blocks} blocks needs 2 blocks or more, and a variant in each; "
            f"there are {len(rows)} variants."
        )
    inner = np.floor(np.linspace(0, len(rows), n_blocks + 1)).astype(np.int64)[1:-1]
    return np.concatenate([[0], rows[inner], [len(use)]]).astype(np.int64)


def regress_heritability(
    chi2: Array,
    scores: Array,
    n: Array,
    m: float,
    *,
    weight_scores: Array | None = None,
    intercept: float | None = None,
    two_step: float | None = 30.0,
    n_blocks: int = 200,
    edges: NDArray[np.int64] | None = None,
) -> LdScoreFit:
    """Return heritability on the observed scale and the intercept.

    Parameters
    ----------
    chi2 : ndarray of float64 (n_variants,)
        Squared test statistics, the variants in order of position.
    scores : ndarray of float64 (n_variants,)
        LD scores over the variants of the reference panel.
    n : ndarray of float64 (n_variants,)
        Samples of each test.
    m : float
        Variants that `value` is the heritability of (LDSC: those of the panel with a minor
        allele frequency above 5 %).
    weight_scores : ndarray of float64 (n_variants,) or None
        LD scores over the variants of the regression, for its weights; None = `scores`.
    intercept : float or None
        Held fixed; None = estimated.
    two_step : float or None
        Estimate the intercept from variants with a smaller chi-square, then the slope from all;
        None = both at once. Not used where the intercept is given.
    n_blocks : int, default 200
        Blocks of the jackknife.
    edges : ndarray of int64 or None
        From `block_edges`, instead of `n_blocks`.

    Returns
    -------
    LdScoreFit

    Raises
    ------
    InputError
        If shapes differ, a value is not finite, or the jackknife has too few variants.

    Notes
    -----
    E chi2_j = N h2 l_j / m + a. Weights are 1 / (l_j (a + N h2 l_j / m)^2), both scores at
    least 1, h2 within 0 and 1; they start from the moment estimate and are renewed twice. The
    jackknife keeps the last weights. As LDSC, which lets the weights of the first step depend
    on N l_j over the mean of N in place of l_j.

    References
    ----------
    Bulik-Sullivan et al. (2015), doi:10.1038/ng.3211.
    """
    y, ld, size, wld = _checked(m, chi2=chi2, scores=scores, n=n, weights=weight_scores)
    floor = np.maximum(ld, 1.0)
    near = np.ones(len(y), bool) if two_step is None else y < two_step

    def weigh(h2: float, a: float) -> Array:
        share = min(max(h2, 0.0), 1.0) * size / m
        return np.asarray(1.0 / (2.0 * np.square(a + share * floor) * wld))

    null = 1.0 if intercept is None else intercept
    first = m * (float(y.mean()) - null) / float((ld * size).mean())
    fit = _Regression(y, ld, size, m, weigh, near)
    how: dict[str, Any] = {"two_step": two_step, "n_blocks": n_blocks, "edges": edges}
    value, a, deleted, a_deleted = fit.run(first, null, intercept, **how)
    se, a_se = _jackknife_se(deleted, value), _jackknife_se(a_deleted, a)
    mean = float(y.mean())
    ratio = ratio_se = float("nan")
    if intercept is None and mean > 1:
        ratio, ratio_se = (a - 1.0) / (mean - 1.0), a_se / (mean - 1.0)
    if intercept is not None:
        a_se = float("nan")
    inflation = float(np.median(y)) / _MEDIAN_CHI2
    return LdScoreFit(
        value, se, a, a_se, mean, inflation, ratio, ratio_se, len(y), len(deleted), deleted
    )


def regress_covariance(
    z: tuple[Array, Array],
    scores: Array,
    n: tuple[Array, Array],
    m: float,
    *,
    fits: tuple[LdScoreFit, LdScoreFit],
    weight_scores: Array | None = None,
    intercept: float | None = None,
    two_step: float | None = 30.0,
    n_blocks: int = 200,
    edges: NDArray[np.int64] | None = None,
) -> LdScoreFit:
    """Return the genetic covariance of two traits and the intercept of sample overlap.

    Parameters
    ----------
    z : pair of ndarray of float64 (n_variants,)
        Test statistics of both traits for the same allele.
    scores : ndarray of float64 (n_variants,)
        As for `regress_heritability`.
    n : pair of ndarray of float64 (n_variants,)
        Samples of each test.
    m : float
        As for `regress_heritability`.
    fits : pair of LdScoreFit
        Heritabilities of both traits, for the weights.
    weight_scores, intercept, two_step, n_blocks, edges
        As for `regress_heritability`; both chi-squares lie below `two_step` in the first step.

    Returns
    -------
    LdScoreFit

    Raises
    ------
    InputError
        As `regress_heritability`.

    Notes
    -----
    E z1 z2 = sqrt(N1 N2) g l_j / m + c; c is the phenotypic correlation times the number of
    shared samples over sqrt(N1 N2).

    References
    ----------
    Bulik-Sullivan et al. (2015), doi:10.1038/ng.3406.
    """
    root = np.sqrt(np.asarray(n[0], np.float64) * np.asarray(n[1], np.float64))
    product = np.asarray(z[0], np.float64) * np.asarray(z[1], np.float64)
    y, ld, size, wld = _checked(m, chi2=product, scores=scores, n=root, weights=weight_scores)
    limit = np.inf if two_step is None else two_step
    near = (np.square(z[0]) < limit) & (np.square(z[1]) < limit)
    floor = np.maximum(ld, 1.0)
    a, b = (
        own / m * min(max(fit.value, 0.0), 1.0) * floor + fit.intercept
        for own, fit in zip(n, fits, strict=True)
    )

    def weigh(g: float, c: float) -> Array:
        cross = size * min(max(g, -1.0), 1.0) * floor / m + c
        return np.asarray(1.0 / ((a * b + np.square(cross)) * wld))

    null = 0.0 if intercept is None else intercept
    first = m * (float(y.mean()) - null) / float((ld * size).mean())
    fit = _Regression(y, ld, size, m, weigh, near)
    how: dict[str, Any] = {"two_step": two_step, "n_blocks": n_blocks, "edges": edges}
    value, c, deleted, c_deleted = fit.run(first, null, intercept, **how)
    c_se = _jackknife_se(c_deleted, c) if intercept is None else float("nan")
    nan = float("nan")
    se = _jackknife_se(deleted, value)
    mean = float(y.mean())
    return LdScoreFit(value, se, c, c_se, mean, nan, nan, nan, len(y), len(deleted), deleted)


def correlation_of(
    covariance: LdScoreFit, fits: tuple[LdScoreFit, LdScoreFit]
) -> tuple[float, float]:
    """Return the genetic correlation and its jackknife standard error.

    Both are NaN where a heritability is not positive, and the standard error also where one is
    not with some block left out. All fits have the same blocks.
    """
    one, two = fits
    if one.value <= 0 or two.value <= 0:
        return float("nan"), float("nan")
    value = covariance.value / np.sqrt(one.value * two.value)
    below = one.deleted * two.deleted
    if not ((one.deleted > 0) & (two.deleted > 0)).all():
        return float(value), float("nan")
    return float(value), _jackknife_se(covariance.deleted / np.sqrt(below), float(value))


def liability_factor(sample: float, population: float) -> float:
    """Return what takes a heritability of a 0/1 trait to the scale of liability.

    Parameters
    ----------
    sample, population : float
        Share of cases among the people of the scan, and in the population.

    Raises
    ------
    InputError
        If a share does not lie between 0 and 1.

    References
    ----------
    Lee et al. (2011), doi:10.1016/j.ajhg.2011.02.002, equation 23.

    Examples
    --------
    >>> round(liability_factor(0.5, 0.01), 4)
    0.5519
    """
    from scipy.stats import norm

    if not (0 < sample < 1 and 0 < population < 1):
        raise InputError("Shares of cases lie between 0 and 1.")
    height = float(norm.pdf(norm.isf(population)))
    spread = population * (1.0 - population)
    return spread**2 / (sample * (1.0 - sample) * height**2)


@dataclass(frozen=True, eq=False, slots=True)
class _Regression:
    """Regression of y on N l and an intercept; weights follow from slope and intercept."""

    y: Array
    ld: Array
    size: Array
    m: float
    weigh: Weigh
    near: NDArray[np.bool_]

    def run(
        self,
        first: float,
        null: float,
        intercept: float | None,
        *,
        two_step: float | None,
        n_blocks: int,
        edges: NDArray[np.int64] | None,
    ) -> tuple[float, float, Array, Array]:
        """Return slope in units of m, intercept, and both with each block left out."""
        scale = self.size.mean()
        x = self.size * self.ld / scale
        unit = self.m / scale
        start = self.weigh(first, null)
        split = intercept is None and two_step is not None
        if edges is None:
            use = self.near if split else np.ones(len(x), bool)
            edges = block_edges(use, min(n_blocks, int(use.sum())))
        every = np.ones(len(x), bool)
        if intercept is not None:
            b, gone = self._fit(x[:, None], intercept, unit, (start, every, edges))
            return b[0] * unit, intercept, gone[:, 0] * unit, np.full(len(gone), intercept)
        both = np.column_stack([x, np.ones(len(x))])
        if not split:
            b, gone = self._fit(both, None, unit, (start, every, edges))
            return b[0] * unit, float(b[1]), gone[:, 0] * unit, gone[:, 1]
        b, gone = self._fit(both, None, unit, (start, self.near, edges))
        a, a_gone = float(b[1]), gone[:, 1]
        slope, slope_gone = self._fit(x[:, None], a, unit, (start, every, edges))
        # What the slope loses where the intercept rises.
        trade = float((start * x).sum()) / float((start * x * x).sum())
        slopes = slope_gone[:, 0] - trade * (a_gone - a)
        return float(slope[0]) * unit, a, slopes * unit, a_gone

    def _fit(
        self,
        x: Array,
        intercept: float | None,
        unit: float,
        how: tuple[Array, NDArray[np.bool_], NDArray[np.int64]],
    ) -> tuple[Array, Array]:
        """Return coefficients, and those with each block left out (n_blocks, n_columns)."""
        w, use, edges = how
        y = self.y if intercept is None else self.y - intercept
        for _ in range(_UPDATES):
            wx = (w * use)[:, None] * x
            b = _solved(wx.T @ x, wx.T @ y)
            w = self.weigh(float(b[0]) * unit, float(b[1]) if intercept is None else intercept)
        wx = (w * use)[:, None] * x
        grams = np.add.reduceat(wx[:, :, None] * x[:, None, :], edges[:-1], axis=0)
        crosses = np.add.reduceat(wx * y[:, None], edges[:-1], axis=0)
        gram, cross = grams.sum(axis=0), crosses.sum(axis=0)
        gone = [_solved(gram - g, cross - c) for g, c in zip(grams, crosses, strict=True)]
        return _solved(gram, cross), np.array(gone)


def _solved(gram: Array, cross: Array) -> Array:
    try:
        return np.asarray(np.linalg.solve(gram, cross))
    except np.linalg.LinAlgError as error:
        raise InputError("The LD scores do not vary: there is no slope.") from error


def _jackknife_se(deleted: Array, value: float) -> float:
    n = len(deleted)
    pseudo = n * value - (n - 1) * deleted
    return float(pseudo.std(ddof=1) / np.sqrt(n))


def _checked(
    m: float, *, chi2: Array, scores: Array, n: Array, weights: Array | None
) -> tuple[Array, Array, Array, Array]:
    """Return the columns as float64, the scores at least 1 only in the weights."""
    y, ld, size = (np.asarray(item, np.float64) for item in (chi2, scores, n))
    wld = ld if weights is None else np.asarray(weights, np.float64)
    if any(item.shape != y.shape or y.ndim != 1 for item in (ld, size, wld)):
        raise InputError("Statistics, LD scores and sample sizes need one value a variant each.")
    if not all(np.isfinite(item).all() for item in (y, ld, size, wld)):
        raise InputError("A statistic, LD score or sample size is not finite.")
    if not m > 0 or not (size > 0).all():
        raise InputError("The number of variants and all sample sizes must be positive.")
    return y, ld, size, np.maximum(wld, 1.0)
