"""Linear mixed model with one random effect, on the eigenvectors of its kinship."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtri

from radgen.errors import FitError, InputError

__all__ = [
    "EDGES",
    "CrossFit",
    "MixedModel",
    "VarianceFit",
    "fit_variance",
    "haseman_elston",
    "haseman_elston_correlation",
    "heritability_limits",
    "restricted_slope",
    "restricted_value",
    "weights_of",
]

Array = NDArray[np.float64]
EDGES: Array = np.linspace(math.log(1e-5), math.log(1e5), 11)
"""Edges of the ranges in which the log ratio of the variances is sought."""


@dataclass(frozen=True, eq=False, slots=True)
class MixedModel:
    """Model y = X b + u + e, var u = s2 * lambda * K, var e = s2, rotated so that K is diagonal.

    Attributes
    ----------
    values : ndarray of float64 (n_samples,)
        Eigenvalues of K.
    vectors : ndarray of float64 (n_samples, n_samples)
        Eigenvectors of K, one a column.
    y : ndarray of float64 (n_samples,)
        Rotated trait.
    x : ndarray of float64 (n_samples, n_columns)
        Rotated intercept and covariates, of full column rank.
    """

    values: Array
    vectors: Array
    y: Array
    x: Array

    @classmethod
    def build(cls, y: Array, x: Array, kinship: Array) -> MixedModel:
        """Return the rotated model.

        Parameters
        ----------
        y : ndarray of float64 (n_samples,)
            Trait, no missing value.
        x : ndarray of float64 (n_samples, n_columns)
            Intercept and covariates.
        kinship : ndarray of float64 (n_samples, n_samples)
            Symmetric; slightly negative eigenvalues become 0.

        Raises
        ------
        InputError
            If the shapes disagree or `x` is rank-deficient.
        """
        from scipy.linalg import eigh

        n = len(y)
        if kinship.shape != (n, n) or len(x) != n:
            raise InputError(f"y has {n} samples, x {len(x)}, kinship {kinship.shape}.")
        if np.linalg.matrix_rank(x) < x.shape[1]:
            raise InputError("The covariates of the mixed model are rank-deficient.")
        values, vectors = eigh(kinship)
        return cls(np.maximum(values, 0.0), vectors, vectors.T @ y, vectors.T @ x)


@dataclass(frozen=True, slots=True)
class VarianceFit:
    """Variance components.

    Attributes
    ----------
    ratio : float
        lambda, the ratio of genetic to residual variance per unit of K.
    genetic, residual : float
        Variance per unit of K, and of the residuals.
    log_likelihood : float
        Restricted (REML) or full log likelihood.
    heritability, heritability_se : float
        genetic * mean diagonal of centred K over the sum with residual, and its SE from the
        curvature of the restricted likelihood in lambda (NaN where it is not concave there).
    genetic_se, residual_se : float
        From the inverse of the average of observed and expected information (REML); NaN where
        the kinship (zero, or the identity) cannot tell the components apart.
    """

    ratio: float
    genetic: float
    residual: float
    log_likelihood: float
    heritability: float
    heritability_se: float
    genetic_se: float
    residual_se: float


def weights_of(values: Array, ratio: Array) -> tuple[tuple[Array, Array, Array], Array]:
    """Return the weights of the likelihood at variance ratios, and three sums of each.

    Parameters
    ----------
    values : ndarray of float64 (n_samples,)
        Eigenvalues of the kinship.
    ratio : ndarray of float64 (k,)
        Ratios of genetic to residual variance.

    Returns
    -------
    tuple of ndarray of float64 (k, n_samples)
        w = 1 / (h + 1) with h = ratio * value, w d and w d^2 with d = h / (h + 1), minus the
        derivative of log w in log ratio.
    ndarray of float64 (k, 3)
        Sums of d, of d^2 and of log(h + 1).
    """
    h = ratio[:, None] * values
    w = 1.0 / (h + 1.0)
    d = h * w
    sums = np.stack([d.sum(axis=1), (d * d).sum(axis=1), np.log1p(h).sum(axis=1)], axis=1)
    return (w, w * d, w * d * d), sums


def restricted_slope(
    a: tuple[Array, ...], trace1: Array, trace2: Array, df: int
) -> tuple[Array, Array]:
    """Return slope and curvature of the restricted log likelihood in log ratio.

    Parameters
    ----------
    a : tuple of 3 ndarray of float64 (m, c + 1, c + 1)
        Cross-products of the design and, last, the trait under the three weights of
        `weights_of`.
    trace1, trace2 : ndarray of float64
        First two sums of `weights_of`.
    df : int
        Samples less columns of the design.
    """
    a0, a1, a2 = a
    x0, x1, x2 = (item[:, :-1, :-1] for item in a)
    inverse = np.linalg.inv(x0)
    beta = np.einsum("mij,mj->mi", inverse, a0[:, :-1, -1])
    rss = a0[:, -1, -1] - np.einsum("mi,mi->m", beta, a0[:, :-1, -1])
    p1 = _residual(a1, beta)
    u1 = a1[:, :-1, -1] - np.einsum("mij,mj->mi", x1, beta)
    p2 = _residual(a2, beta) - np.einsum("mi,mij,mj->m", u1, inverse, u1)
    back = inverse @ x1
    first = trace1 - np.trace(back, axis1=1, axis2=2)
    squares = np.einsum("mij,mji->m", back, back)
    second = trace2 - 2.0 * np.einsum("mij,mji->m", inverse, x2) + squares
    slope = 0.5 * (df * p1 / rss - first)
    curve = 0.5 * (second - first) + 0.5 * df * ((p1 - 2.0 * p2) / rss + (p1 / rss) ** 2)
    return np.asarray(slope), np.asarray(curve)


def restricted_value(a0: Array, design: Array, logs: Array, df: int) -> Array:
    """Return the restricted log likelihood, with all its constants.

    Parameters
    ----------
    a0 : ndarray of float64 (m, c + 1, c + 1)
        Cross-products under the first weights.
    design : ndarray of float64
        Log determinant of the unweighted cross-products of the design.
    logs : ndarray of float64
        Third sum of `weights_of`.
    df : int
        Samples less columns of the design.
    """
    beta = np.linalg.solve(a0[:, :-1, :-1], a0[:, :-1, -1:])[:, :, 0]
    rss = a0[:, -1, -1] - np.einsum("mi,mi->m", beta, a0[:, :-1, -1])
    constant = 0.5 * df * (math.log(df / (2 * math.pi)) - 1.0)
    weighted = np.linalg.slogdet(a0[:, :-1, :-1])[1]
    return np.asarray(constant + 0.5 * (design - logs - weighted - df * np.log(rss)))


def _residual(a: Array, beta: Array) -> Array:
    """Return e'We for residuals e of `beta` from weighted cross-products."""
    cross = np.einsum("mi,mi->m", beta, a[:, :-1, -1])
    square = np.einsum("mi,mij,mj->m", beta, a[:, :-1, :-1], beta)
    return np.asarray(a[:, -1, -1] - 2.0 * cross + square)


class _Profile:
    """Restricted likelihood of a model without a variant, at one log ratio."""

    def __init__(self, model: MixedModel) -> None:
        self.values = model.values
        self.columns = np.column_stack([model.x, model.y])
        self.df = len(model.y) - model.x.shape[1]
        self.design = np.linalg.slogdet(model.x.T @ model.x)[1]

    def moments(self, at: float) -> tuple[tuple[Array, Array, Array], Array]:
        """Return the three cross-products (1, c + 1, c + 1) and the sums (3,)."""
        weights, sums = weights_of(self.values, np.array([math.exp(at)]))
        a0, a1, a2 = (((self.columns.T * w[0]) @ self.columns)[None] for w in weights)
        return (a0, a1, a2), sums[0]

    def slope(self, at: float) -> tuple[float, float]:
        """Return slope and curvature."""
        a, sums = self.moments(at)
        slope, curve = restricted_slope(a, sums[0], sums[1], self.df)
        return float(slope[0]), float(curve[0])

    def value(self, at: float) -> float:
        """Return the restricted log likelihood."""
        a, sums = self.moments(at)
        return float(restricted_value(a[0], self.design, sums[2], self.df)[0])

    def maximise(self) -> float:
        """Return the log ratio of the greatest likelihood within `EDGES`."""
        slopes = [self.slope(at)[0] for at in EDGES]
        places = [float(EDGES[0]), float(EDGES[-1])]
        for number in range(len(EDGES) - 1):
            if slopes[number] > 0 >= slopes[number + 1]:
                places.append(self._root(float(EDGES[number]), float(EDGES[number + 1])))
        return max(places, key=self.value)

    def _root(self, low: float, high: float) -> float:
        at = 0.5 * (low + high)
        for _ in range(60):
            slope, curve = self.slope(at)
            low, high = (at, high) if slope > 0 else (low, at)
            step = at - slope / curve if curve < 0 else math.nan
            new = step if low < step < high else 0.5 * (low + high)
            moved, at = abs(new - at), new
            # Newton's error is the square of its step.
            if moved < 1e-6:
                break
        return at


def fit_variance(model: MixedModel) -> VarianceFit:
    """Return the REML variance components without a variant.

    Raises
    ------
    FitError
        If the covariates explain the trait wholly.
    """
    q = np.linalg.qr(model.x)[0]
    rest = model.y - q @ (q.T @ model.y)
    if float(rest @ rest) <= 1e-20 * float(model.y @ model.y):
        raise FitError(
            "The covariates explain the trait wholly.", diagnostics={"rss": float(rest @ rest)}
        )
    profile = _Profile(model)
    at = profile.maximise()
    ratio = math.exp(at)
    a0 = profile.moments(at)[0][0][0]
    beta = np.linalg.solve(a0[:-1, :-1], a0[:-1, -1])
    rss = float(a0[-1, -1] - beta @ a0[:-1, -1])
    df = profile.df
    residual = rss / df
    genetic = residual * ratio
    errors = _standard_errors(_average_information(model, genetic, residual))
    scale = _mean_diagonal(model)
    share = genetic * scale / (genetic * scale + residual)
    # d share / d log lambda = share (1 - share). Information is that of lambda, which at the edge,
    # where the slope is not 0, differs from that of log lambda by the slope.
    slope, curve = profile.slope(at)
    information = slope - curve
    share_se = share * (1.0 - share) / math.sqrt(information) if information > 0 else math.nan
    return VarianceFit(
        ratio,
        genetic,
        residual,
        profile.value(at),
        share,
        share_se,
        *errors,
    )


def heritability_limits(
    model: MixedModel, fit: VarianceFit, *, level: float = 0.95
) -> tuple[float, float]:
    """Return the limits of the profile likelihood of a heritability.

    Parameters
    ----------
    model : MixedModel
        What was fitted.
    fit : VarianceFit
        Its variance components, from `fit_variance`.
    level : float
        Coverage in (0, 1).

    Returns
    -------
    low, high : float
        Where twice the log likelihood has fallen by the quantile of one chi-square; 0 or 1 where
        it has not fallen so far at the end of the range.
    """
    profile = _Profile(model)
    floor = fit.log_likelihood - 0.5 * float(chdtri(1, 1.0 - level))
    best, scale = math.log(fit.ratio), _mean_diagonal(model)

    def limit(places: Sequence[float], end: float) -> float:
        inside = best
        for at in places:
            if profile.value(at) < floor:
                edge = brentq(lambda one: profile.value(one) - floor, inside, at, xtol=1e-8)
                ratio = math.exp(edge) * scale
                return ratio / (ratio + 1.0)
            inside = at
        return end

    low = limit([float(at) for at in EDGES[::-1] if at < best - 1e-9], 0.0)
    return low, limit([float(at) for at in EDGES if at > best + 1e-9], 1.0)


def _standard_errors(information: Array) -> tuple[float, float]:
    """Return the errors of two components; NaN where the kinship cannot tell them apart."""
    size = np.sqrt(np.diagonal(information))
    if not (size > 0).all() or abs(information[0, 1]) >= (1.0 - 1e-10) * size[0] * size[1]:
        return math.nan, math.nan
    covariance = np.linalg.inv(information)
    return float(np.sqrt(covariance[0, 0])), float(np.sqrt(covariance[1, 1]))


def _mean_diagonal(model: MixedModel) -> float:
    """Return the mean diagonal of K after centring: trace(MK) / n, M taking out the mean."""
    n = len(model.y)
    ones = model.vectors.sum(axis=0) / math.sqrt(n)
    return float((model.values.sum() - (model.values * ones * ones).sum()) / n)


def _average_information(model: MixedModel, genetic: float, residual: float) -> Array:
    """Return the AI-REML information of (genetic, residual)."""
    v = genetic * model.values + residual
    xw = model.x / v[:, None]
    inverse = np.linalg.inv(model.x.T @ xw)

    def project(z: Array) -> Array:
        return np.asarray(z / v[:, None] - xw @ (inverse @ (xw.T @ z)))

    py = project(model.y[:, None])[:, 0]
    both = np.column_stack([model.values * py, py])
    return 0.5 * both.T @ project(both)


def haseman_elston(y: Array, x: Array, kinship: Array) -> tuple[float, float]:
    """Return heritability by Haseman-Elston regression, and its jackknife standard error.

    Parameters
    ----------
    y : ndarray of float64 (n_samples,)
        Trait.
    x : ndarray of float64 (n_samples, n_columns)
        Intercept and covariates.
    kinship : ndarray of float64 (n_samples, n_samples)
        Relationship matrix with a diagonal of about 1.

    Returns
    -------
    heritability, se : float
        Slope of the products of standardised residuals on relationship, over all pairs of
        different samples; the standard error leaves out one sample at a time.

    Raises
    ------
    FitError
        If the covariates explain the trait wholly.

    References
    ----------
    Golan et al. (2014), doi:10.1073/pnas.1419064111.
    """
    z = _standard_residuals(y[:, None], x)[:, 0]
    whole, without = _cross_slopes(z, z, kinship)
    return whole, _jackknife(without)


@dataclass(frozen=True, eq=False, slots=True)
class CrossFit:
    """Haseman-Elston regression of two traits.

    Attributes
    ----------
    heritability, heritability_se : ndarray of float64 (2,)
        Of each trait.
    covariance, covariance_se : float
        Genetic covariance of the standardised traits.
    correlation, correlation_se : float
        Genetic correlation; NaN where a heritability is not positive.
    phenotypic : float
        Correlation of the residuals.
    """

    heritability: Array
    heritability_se: Array
    covariance: float
    covariance_se: float
    correlation: float
    correlation_se: float
    phenotypic: float


def haseman_elston_correlation(y: Array, x: Array, kinship: Array) -> CrossFit:
    """Return heritabilities and genetic correlation of two traits from products of residuals.

    Parameters
    ----------
    y : ndarray of float64 (n_samples, 2)
        Traits.
    x : ndarray of float64 (n_samples, n_columns)
        Intercept and covariates.
    kinship : ndarray of float64 (n_samples, n_samples)
        Relationship matrix with a diagonal of about 1.

    Returns
    -------
    CrossFit
        Standard errors leave out one sample at a time.

    References
    ----------
    Bulik-Sullivan (2015), doi:10.1101/018283.
    """
    z = _standard_residuals(y, x)
    (h1, without1), (h2, without2), (g, without12) = (
        _cross_slopes(z[:, a], z[:, b], kinship) for a, b in ((0, 0), (1, 1), (0, 1))
    )
    r, r_se = math.nan, math.nan
    if h1 > 0 and h2 > 0:
        r = g / math.sqrt(h1 * h2)
        room = without1 * without2
        if (room > 0).all():
            r_se = _jackknife(without12 / np.sqrt(room))
    return CrossFit(
        np.array([h1, h2]),
        np.array([_jackknife(without1), _jackknife(without2)]),
        g,
        _jackknife(without12),
        r,
        r_se,
        float(z[:, 0] @ z[:, 1]) / (len(z) - np.linalg.matrix_rank(x)),
    )


def _standard_residuals(y: Array, x: Array) -> Array:
    q = np.linalg.qr(x)[0]
    residual = y - q @ (q.T @ y)
    squares = (residual**2).sum(axis=0)
    if (squares <= 1e-20 * (y**2).sum(axis=0)).any():
        raise FitError(
            "The covariates explain the trait wholly.", diagnostics={"rss": float(squares.min())}
        )
    return np.asarray(residual / np.sqrt(squares / (len(y) - q.shape[1])))


def _cross_slopes(one: Array, two: Array, kinship: Array) -> tuple[float, Array]:
    """Return the slope of products on relationship over pairs, and without each sample."""
    n = len(one)
    k = kinship - np.diag(np.diag(kinship))
    own_k, own_kk = k.sum(axis=1), (k * k).sum(axis=1)
    # Of each pair of samples both products count: one_i two_j and one_j two_i.
    own_kz = 0.5 * (one * (k @ two) + two * (k @ one))
    own_zz = 0.5 * (one * (two.sum() - two) + two * (one.sum() - one))
    totals = np.array([own_kk.sum(), own_k.sum(), own_kz.sum(), own_zz.sum(), float(n * (n - 1))])

    def slope(kk: Array, k1: Array, kzz: Array, zz: Array, pairs: Array) -> Array:
        return np.asarray((kzz - k1 * zz / pairs) / (kk - k1 * k1 / pairs))

    own = np.stack([own_kk, own_k, own_kz, own_zz, np.full(n, float(n - 1))])
    return float(slope(*totals)), slope(*(totals[:, None] - 2.0 * own))


def _jackknife(without: Array) -> float:
    n = len(without)
    return float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))
