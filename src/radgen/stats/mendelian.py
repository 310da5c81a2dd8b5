"""Mendelian randomisation from effects of variants on an exposure and on an outcome."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.stats.tail import chi2_log10p, normal_log10p, t_log10p, t_quantile

__all__ = [
    "CausalEffect",
    "Direction",
    "EggerFit",
    "VariantEffects",
    "egger",
    "explained_variance",
    "i2_gx",
    "inverse_variance",
    "leave_one_out",
    "steiger",
    "weighted_median",
    "weighted_mode",
]

Array = NDArray[np.float64]

_Z95 = 1.959963984540054
_DRAWN = 2_000_000
_GRID = 512


@dataclass(frozen=True, eq=False, slots=True)
class VariantEffects:
    """Effects of the same alleles of k variants in two samples.

    Attributes
    ----------
    bx, sx : ndarray of float64 (k,)
        Effect on the exposure and its standard error.
    by, sy : ndarray of float64 (k,)
        Effect on the outcome and its standard error.
    correlation : ndarray of float64 (k, k) or None
        Correlation of the variants (signed, of the same alleles); None = independent.
    """

    bx: Array
    sx: Array
    by: Array
    sy: Array
    correlation: Array | None = None

    def __post_init__(self) -> None:
        for name in ("bx", "sx", "by", "sy"):
            object.__setattr__(self, name, np.array(getattr(self, name), np.float64))
        shape = self.bx.shape
        if len(shape) != 1 or any(a.shape != shape for a in (self.sx, self.by, self.sy)):
            raise InputError("bx, sx, by and sy are vectors of one length, an entry a variant.")
        if not all(np.isfinite(a).all() for a in (self.bx, self.sx, self.by, self.sy)):
            raise InputError("Effects and standard errors of instruments must be finite.")
        if (self.sx <= 0).any() or (self.sy <= 0).any() or (self.bx == 0).any():
            raise InputError(
                "Standard errors of instruments must be positive, and effects on the exposure "
                "not zero."
            )
        if self.correlation is not None:
            given = np.array(self.correlation, np.float64)
            if given.shape != (shape[0], shape[0]) or not np.allclose(given, given.T):
                raise InputError(
                    f"The correlation of {shape[0]} variants is a symmetric matrix of that size."
                )
            object.__setattr__(self, "correlation", given)

    @property
    def k(self) -> int:
        """Number of variants."""
        return len(self.bx)

    @property
    def ratio(self) -> Array:
        """Wald ratio by / bx of each variant, (k,)."""
        return self.by / self.bx

    @property
    def ratio_se(self) -> Array:
        """First-order standard error sy / |bx| of each ratio, (k,)."""
        return self.sy / np.abs(self.bx)

    @property
    def f(self) -> Array:
        """Strength (bx / sx)² of each instrument, (k,); weak below 10."""
        return np.square(self.bx / self.sx)

    def _whitened(self, columns: Array) -> tuple[Array, Array]:
        """Return columns and `by` with the unit matrix for covariance."""
        if self.correlation is None:
            return columns / self.sy[:, None], self.by / self.sy
        omega = self.correlation * np.outer(self.sy, self.sy)
        try:
            low = np.linalg.cholesky(omega)
        except np.linalg.LinAlgError as error:
            raise InputError(
                "The correlation of the variants is singular: some are in complete linkage. "
                "Prune them first (radgen genotypes clump)."
            ) from error
        both = np.linalg.solve(low, np.column_stack([columns, self.by]))
        return both[:, :-1], both[:, -1]


@dataclass(frozen=True, slots=True)
class CausalEffect:
    """The effect of the exposure on the outcome, by one method.

    Attributes
    ----------
    effect, se : float
        Outcome units per unit of the exposure.
    ci_low, ci_high, log10p : float
        95 % limits and two-sided test by Student's t with `df` (normal where infinite).
    df : float
        Degrees of freedom.
    q, q_df, q_log10p : float
        Heterogeneity of the variants about the fit (Cochran's Q, Rücker's Q' for Egger) and
        log10 of its chi-square p; NaN where the method has none.
    scale : float
        Factor of the standard error for heterogeneity, at least 1.
    """

    effect: float
    se: float
    ci_low: float
    ci_high: float
    log10p: float
    df: float = np.inf
    q: float = np.nan
    q_df: float = np.nan
    q_log10p: float = np.nan
    scale: float = 1.0

    @property
    def i2(self) -> float:
        """Share of Q beyond chance, in [0, 1]; NaN where there is no Q."""
        return float(np.fmax(0.0, 1 - self.q_df / self.q)) if self.q > 0 else np.nan


@dataclass(frozen=True, slots=True)
class EggerFit:
    """The slope of an Egger regression, and its intercept: the mean directional pleiotropy."""

    slope: CausalEffect
    intercept: CausalEffect


@dataclass(frozen=True, slots=True)
class Direction:
    """Which of two correlations with the instruments is the larger one.

    Attributes
    ----------
    r2_exposure, r2_outcome : float
        Variance that the instruments explain together.
    forward : bool
        True where they explain more of the exposure.
    z, log10p : float
        Difference of the correlations (Fisher's z) and log10 of its two-sided p.
    """

    r2_exposure: float
    r2_outcome: float
    forward: bool
    z: float
    log10p: float


def inverse_variance(data: VariantEffects, *, random: bool = True) -> CausalEffect:
    """Return the inverse-variance weighted mean of the ratios.

    Parameters
    ----------
    data : VariantEffects
        At least one variant; one gives the Wald ratio.
    random : bool, default True
        Multiplicative random effects: se times max(1, sqrt(Q / (k - 1))) and Student's t with
        k - 1 degrees of freedom. False = fixed effect, normal.

    Returns
    -------
    CausalEffect

    Notes
    -----
    Weighted regression of by on bx through the origin, weights 1 / sy²; generalised least
    squares where the variants are correlated. Valid where no variant reaches the outcome but
    through the exposure, or where such effects cancel and do not depend on bx.

    References
    ----------
    Burgess et al. (2013), doi:10.1002/gepi.21758; Bowden et al. (2017), doi:10.1002/sim.7221.
    """
    x, y = data._whitened(data.bx[:, None])
    weight = float(x[:, 0] @ x[:, 0])
    effect = float(x[:, 0] @ y) / weight
    left = y - x[:, 0] * effect
    df = data.k - 1
    q = float(left @ left) if df else np.nan
    scale = max(1.0, np.sqrt(q / df)) if random and df else 1.0
    return _estimate(effect, scale / np.sqrt(weight), df if random and df else np.inf,
                     q=q, q_df=float(df) if df else np.nan, scale=scale)  # fmt: skip


def egger(data: VariantEffects) -> EggerFit:
    """Return the Egger regression of by on bx with an intercept, bx turned positive.

    Parameters
    ----------
    data : VariantEffects
        At least three variants.

    Returns
    -------
    EggerFit
        Multiplicative random effects, Student's t with k - 2 degrees of freedom.

    Raises
    ------
    InputError
        If there are fewer than three variants, or all bx are equal.

    Notes
    -----
    Valid under directional pleiotropy that does not depend on bx (InSIDE). Diluted where `i2_gx`
    is below 0.9.

    References
    ----------
    Bowden, Davey Smith & Burgess (2015), doi:10.1093/ije/dyv080.
    """
    if data.k < 3:
        raise InputError(f"An Egger regression needs three variants; found {data.k}.")
    turn = np.sign(data.bx)
    linked = data.correlation
    linked = None if linked is None else linked * np.outer(turn, turn)
    up = VariantEffects(data.bx * turn, data.sx, data.by * turn, data.sy, linked)
    x, y = up._whitened(np.column_stack([np.ones(up.k), up.bx]))
    gram = x.T @ x
    if np.linalg.cond(gram / np.sqrt(np.outer(np.diag(gram), np.diag(gram)))) > 1e13:
        raise InputError("All instruments have the same effect on the exposure: no slope.")
    inverse = np.linalg.inv(gram)
    coef = inverse @ (x.T @ y)
    left = y - x @ coef
    df = up.k - 2
    q = float(left @ left)
    scale = max(1.0, np.sqrt(q / df))
    slope, base = (
        _estimate(float(coef[i]), scale * np.sqrt(inverse[i, i]), df, q=q, q_df=df, scale=scale)
        for i in (1, 0)
    )
    return EggerFit(slope, base)


def i2_gx(data: VariantEffects) -> float:
    """Return I² of the weighted effects on the exposure: 1 = the Egger slope is not diluted.

    Parameters
    ----------
    data : VariantEffects
        At least two variants.

    Returns
    -------
    float
        In [0, 1]; NaN for a single variant. The Egger slope is diluted by about this factor.

    References
    ----------
    Bowden et al. (2016), doi:10.1093/ije/dyw220.
    """
    if data.k < 2:
        return np.nan
    value, weight = np.abs(data.bx) / data.sy, np.square(data.sy / data.sx)
    mean = weight @ value / weight.sum()
    q = float(weight @ np.square(value - mean))
    return max(0.0, 1 - (data.k - 1) / q) if q > 0 else 0.0


def leave_one_out(data: VariantEffects) -> tuple[Array, Array]:
    """Return the random-effects estimate and its se without each variant in turn.

    Parameters
    ----------
    data : VariantEffects
        Independent or correlated variants.

    Returns
    -------
    effect, se : ndarray of float64 (k,)
        NaN where no variant is left.
    """
    found = np.full((2, data.k), np.nan)
    for i in range(data.k if data.k > 1 else 0):
        keep = np.arange(data.k) != i
        linked = data.correlation
        rest = inverse_variance(
            VariantEffects(data.bx[keep], data.sx[keep], data.by[keep], data.sy[keep],
                           None if linked is None else linked[np.ix_(keep, keep)])
        )  # fmt: skip
        found[:, i] = rest.effect, rest.se
    return found[0], found[1]


def weighted_median(
    data: VariantEffects, *, rng: np.random.Generator, n_bootstrap: int = 2000
) -> CausalEffect:
    """Return the median of the ratios, weighted by their precision.

    Parameters
    ----------
    data : VariantEffects
        At least three independent variants.
    rng : numpy.random.Generator
        For the standard error.
    n_bootstrap : int, default 2000
        Draws of the effects from their normal distributions; the weights stay.

    Returns
    -------
    CausalEffect
        Tested by the normal distribution.

    Raises
    ------
    InputError
        If there are fewer than three variants, or fewer than 100 draws.

    Notes
    -----
    Consistent where at least half of the weight lies on valid instruments.

    References
    ----------
    Bowden et al. (2016), doi:10.1002/gepi.21965.
    """
    _need(data, n_bootstrap, "A weighted median")
    weight = 1 / np.square(data.ratio_se)
    effect = float(_median(data.ratio[None], weight)[0])
    drawn = _drawn_ratios(data, rng, n_bootstrap, lambda ratio: _median(ratio, weight))
    return _estimate(effect, float(drawn.std(ddof=1)), np.inf)


def weighted_mode(
    data: VariantEffects,
    *,
    rng: np.random.Generator,
    n_bootstrap: int = 1000,
    bandwidth: float = 1.0,
) -> CausalEffect:
    """Return the mode of the ratios, smoothed by a normal kernel and weighted by precision.

    Parameters
    ----------
    data : VariantEffects
        At least three independent variants.
    rng : numpy.random.Generator
        For the standard error.
    n_bootstrap : int, default 1000
        Draws of the ratios.
    bandwidth : float, default 1
        Factor of the bandwidth 0.9 min(SD, MAD) k^(-1/5).

    Returns
    -------
    CausalEffect
        Tested by the normal distribution; se = median absolute deviation of the draws.

    Raises
    ------
    InputError
        If there are fewer than three variants, or fewer than 100 draws.

    Notes
    -----
    Consistent where the largest group of variants with one ratio is valid.

    References
    ----------
    Hartwig, Davey Smith & Bowden (2017), doi:10.1093/ije/dyx102.
    """
    _need(data, n_bootstrap, "A weighted mode")
    weight = 1 / np.square(data.ratio_se)
    effect = float(_mode(data.ratio[None], weight, bandwidth)[0])
    drawn = _drawn_ratios(data, rng, n_bootstrap, lambda r: _mode(r, weight, bandwidth))
    spread = 1.482602218505602 * float(np.median(np.abs(drawn - np.median(drawn))))
    return _estimate(effect, spread, np.inf)


def explained_variance(b: ArrayLike, se: ArrayLike, n: ArrayLike) -> Array:
    """Return the share of variance that each variant explains, from t = b / se and n.

    Parameters
    ----------
    b, se, n : array of float64 (k,)
        Effect, standard error, number of people.

    Returns
    -------
    ndarray of float64 (k,)
        t² / (t² + n - 2).

    Examples
    --------
    >>> explained_variance([0.2], [0.02], [1002]).round(4)
    array([0.0909])
    """
    t2 = np.square(np.asarray(b, np.float64) / np.asarray(se, np.float64))
    return np.asarray(t2 / (t2 + np.asarray(n, np.float64) - 2))


def steiger(
    r2_exposure: ArrayLike, n_exposure: float, r2_outcome: ArrayLike, n_outcome: float
) -> Direction:
    """Return whether the instruments explain more of the exposure than of the outcome.

    Parameters
    ----------
    r2_exposure : array of float64 (k,)
        Of independent variants, from `explained_variance`.
    n_exposure : float
        Number of people, above 3.
    r2_outcome : array of float64 (k,)
        Of the same variants.
    n_outcome : float
        Number of people, above 3.

    Returns
    -------
    Direction

    Raises
    ------
    InputError
        If a sample has no more than three people.

    Notes
    -----
    Measurement error of the exposure and unmeasured confounding can turn the direction.

    References
    ----------
    Hemani, Tilling & Davey Smith (2017), doi:10.1371/journal.pgen.1007081.
    """
    if min(n_exposure, n_outcome) <= 3:
        raise InputError("The direction of effects needs more than three people in each sample.")
    sums = [min(float(np.sum(r2)), 1.0) for r2 in (r2_exposure, r2_outcome)]
    with np.errstate(divide="ignore"):
        a, b = np.arctanh(np.sqrt(sums))
    z = float((a - b) / np.sqrt(1 / (n_exposure - 3) + 1 / (n_outcome - 3)))
    return Direction(sums[0], sums[1], sums[0] > sums[1], z, float(normal_log10p(z)))


def _need(data: VariantEffects, n_bootstrap: int, what: str) -> None:
    if data.k < 3:
        raise InputError(f"{what} needs three variants; found {data.k}.")
    if n_bootstrap < 100:
        raise InputError(f"n_bootstrap is {n_bootstrap}; needed are at least 100 draws.")


def _estimate(
    effect: float, se: float, df: float, *, q: float = np.nan, q_df: float = np.nan,
    scale: float = 1.0,
) -> CausalEffect:  # fmt: skip
    finite = np.isfinite(df)
    half = (float(t_quantile(0.975, df)) if finite else _Z95) * se
    t = effect / se
    log10p = float(t_log10p(t, df)) if finite else float(normal_log10p(t))
    q_log10p = float(chi2_log10p(q, q_df)) if np.isfinite(q) else np.nan
    return CausalEffect(
        float(effect), float(se), effect - half, effect + half, log10p, float(df), q,
        float(q_df), q_log10p, float(scale),
    )  # fmt: skip


def _drawn_ratios(data: VariantEffects, rng: np.random.Generator, m: int, take: object) -> Array:
    """Return an estimator of m draws of the ratios."""
    out = np.empty(m)
    step = max(1, _DRAWN // data.k)
    for start in range(0, m, step):
        size = (min(step, m - start), data.k)
        bx = rng.normal(data.bx, data.sx, size)
        by = rng.normal(data.by, data.sy, size)
        out[start : start + size[0]] = take(by / bx)  # type: ignore[operator]
    return out


def _median(ratio: Array, weight: Array) -> Array:
    """Return the interpolated weighted median of each row (m, k)."""
    order = np.argsort(ratio, axis=1)
    sorted_ratio = np.take_along_axis(ratio, order, axis=1)
    w = weight[order] / weight.sum()
    place = np.cumsum(w, axis=1) - 0.5 * w
    below = np.maximum((place < 0.5).sum(axis=1) - 1, 0)
    above = np.minimum(below + 1, ratio.shape[1] - 1)
    rows = np.arange(len(ratio))
    low, high = sorted_ratio[rows, below], sorted_ratio[rows, above]
    gap = place[rows, above] - place[rows, below]
    share = np.clip((0.5 - place[rows, below]) / np.where(gap > 0, gap, 1.0), 0.0, 1.0)
    return np.asarray(low + (high - low) * share)


def _mode(ratio: Array, weight: Array, factor: float) -> Array:
    """Return the place of the highest smoothed density of each row (m, k)."""
    m, k = ratio.shape
    middle = np.median(ratio, axis=1, keepdims=True)
    mad = 1.482602218505602 * np.median(np.abs(ratio - middle), axis=1)
    width = np.maximum(0.9 * np.minimum(ratio.std(axis=1, ddof=1), mad) / k**0.2 * factor, 1e-8)
    out = np.empty(m)
    for row in range(m):
        r, h = ratio[row], width[row]
        # A mode lies among the ratios; each is a start, the best is climbed by mean shift.
        at = r if k <= _GRID else np.linspace(r.min(), r.max(), _GRID)
        kernel = np.exp(-0.5 * np.square((at[:, None] - r) / h))
        x = float(at[np.argmax(kernel @ weight)])
        for _ in range(200):
            pull = weight * np.exp(-0.5 * np.square((x - r) / h))
            moved = float(pull @ r / pull.sum())
            if abs(moved - x) <= 1e-10 * h:
                break
            x = moved
        out[row] = x
    return out
