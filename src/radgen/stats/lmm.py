"""Linear mixed model with one random effect, on the eigenvectors of its kinship."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FitError, InputError
from radgen.stats.tail import f_log10p

__all__ = ["MixedModel", "VarianceFit", "fit_variance", "haseman_elston", "mixed_tests"]

Array = NDArray[np.float64]
_LOW, _HIGH, _REGIONS = 1e-5, 1e5, 10


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
        curvature of the restricted likelihood (NaN at an end of the range).
    genetic_se, residual_se : float
        From the inverse of the average of observed and expected information (REML).
    """

    ratio: float
    genetic: float
    residual: float
    log_likelihood: float
    heritability: float
    heritability_se: float
    genetic_se: float
    residual_se: float


class _Profile:
    """Log likelihood of many designs at their own lambda, up to shared constants.

    Parameters
    ----------
    values : ndarray (n_samples,)
        Eigenvalues.
    x : ndarray (n_samples, c - 1)
        Columns shared by all designs.
    y : ndarray (n_samples,)
        The trait.
    extra : ndarray (n_variants, n_samples) or None
        One more column of each design.
    start : float
        Where the search of log lambda begins.
    """

    def __init__(
        self, values: Array, x: Array, y: Array, extra: Array | None, start: float = 0.0
    ) -> None:
        self.values = values
        self.start = start
        self.n = len(y)
        self.shared = np.column_stack([x, y])
        self.extra = extra
        self.extra_squares = None if extra is None else extra * extra
        self.rank = x.shape[1] + (extra is not None)
        c = self.shared.shape[1]
        left, right = np.triu_indices(c)
        self.pairs = self.shared[:, left] * self.shared[:, right]
        self.place = np.empty((c, c), np.int64)
        self.place[left, right] = self.place[right, left] = np.arange(len(left))

    def moments(self, weight: Array, rows: NDArray[np.int64] | None = None) -> Array:
        """Return the weighted cross-products (m, rank + 1, rank + 1), the trait last."""
        shared = (weight @ self.pairs)[:, self.place]
        if self.extra is None:
            return shared
        g = self.extra if rows is None else self.extra[rows]
        m, c = len(g), self.shared.shape[1]
        out = np.empty((m, c + 1, c + 1))
        order = [*range(c - 1), c]  # the trait goes last, the extra column before it
        out[np.ix_(np.arange(m), order, order)] = shared
        if len(weight) == 1:  # one weight for all: the products are plain matrix products
            cross, square = g @ (weight[0][:, None] * self.shared), self.squares(rows) @ weight[0]
        else:
            weighted = weight * g
            cross, square = weighted @ self.shared, np.einsum("mn,mn->m", weighted, g)
        out[:, order, c - 1] = out[:, c - 1, order] = cross
        out[:, c - 1, c - 1] = square
        return out

    def squares(self, rows: NDArray[np.int64] | None) -> Array:
        """Return the squares of the extra columns."""
        assert self.extra_squares is not None
        return self.extra_squares if rows is None else self.extra_squares[rows]

    def reml(self, ratio: Array, rows: NDArray[np.int64] | None = None) -> tuple[Array, Array]:
        """Return the slope and curvature of the restricted log likelihood in log lambda."""
        h = ratio[:, None] * self.values
        w = 1.0 / (h + 1.0)
        dw = h * w  # minus the log-derivative of the weight
        a0, a1, a2 = (self.moments(item, rows) for item in (w, w * dw, w * dw * dw))
        x0, x1, x2 = (a[:, :-1, :-1] for a in (a0, a1, a2))
        inverse = np.linalg.inv(x0)
        beta = np.einsum("mij,mj->mi", inverse, a0[:, :-1, -1])
        rss = a0[:, -1, -1] - np.einsum("mi,mi->m", beta, a0[:, :-1, -1])
        e1 = _residual(a1, beta)
        u1 = a1[:, :-1, -1] - np.einsum("mij,mj->mi", x1, beta)
        p1 = e1
        p2 = _residual(a2, beta) - np.einsum("mi,mij,mj->m", u1, inverse, u1)
        df = self.n - self.rank
        back = np.einsum("mij,mjk->mik", inverse, x1)
        trace1 = dw.sum(axis=1) - np.trace(back, axis1=1, axis2=2)
        squares = np.einsum("mij,mji->m", back, back)
        mixed = np.trace(np.einsum("mij,mjk->mik", inverse, x2), axis1=1, axis2=2)
        trace2 = (dw * dw).sum(axis=1) - 2.0 * mixed + squares
        slope = 0.5 * (df * p1 / rss - trace1)
        # d/dlog(lambda): each P dV P V-derivative carries its own h.
        curve = 0.5 * (trace2 - trace1) + 0.5 * df * ((p1 - 2.0 * p2) / rss + (p1 / rss) ** 2)
        return slope, curve

    def value(self, ratio: Array, rows: NDArray[np.int64] | None = None) -> Array:
        """Return the restricted log likelihood, with all its constants."""
        h = ratio[:, None] * self.values + 1.0
        a0 = self.moments(1.0 / h, rows)
        beta = np.linalg.solve(a0[:, :-1, :-1], a0[:, :-1, -1:])[:, :, 0]
        rss = a0[:, -1, -1] - np.einsum("mi,mi->m", beta, a0[:, :-1, -1])
        logs = np.log(h).sum(axis=1)
        plain = self.moments(np.ones((1, self.n)), rows)
        df = self.n - self.rank
        constant = 0.5 * df * (math.log(df / (2 * math.pi)) - 1.0)
        base = 0.5 * np.linalg.slogdet(plain[:, :-1, :-1])[1]
        design = 0.5 * np.linalg.slogdet(a0[:, :-1, :-1])[1]
        return np.asarray(constant + base - 0.5 * logs - design - 0.5 * df * np.log(rss))


def _residual(a: Array, beta: Array) -> Array:
    """Return e'We for residuals e of `beta` from weighted cross-products."""
    cross = np.einsum("mi,mi->m", beta, a[:, :-1, -1])
    square = np.einsum("mi,mij,mj->m", beta, a[:, :-1, :-1], beta)
    return np.asarray(a[:, -1, -1] - 2.0 * cross + square)


def _maximise(profile: _Profile, m: int) -> Array:
    """Return the lambda of greatest restricted likelihood of each design.

    The range 1e-5 to 1e5 is cut in regions; each sign change of the slope is followed by
    Newton steps kept inside its bracket, and the best of the roots and the two ends is taken.
    """
    grid = np.linspace(math.log(_LOW), math.log(_HIGH), _REGIONS + 1)
    slopes = np.stack([profile.reml(np.array([math.exp(at)]))[0] for at in grid])
    best = np.full(m, _LOW)
    top, other = profile.value(np.array([_LOW])), profile.value(np.array([_HIGH]))
    best[other > top], top = _HIGH, np.maximum(top, other)
    for region in range(_REGIONS):
        rows = np.flatnonzero((slopes[region] > 0) & (slopes[region + 1] <= 0))
        if not len(rows):
            continue
        root = np.exp(_root(profile, rows, grid[region], grid[region + 1]))
        value = profile.value(root, rows)
        better = value > top[rows]
        best[rows[better]], top[rows[better]] = root[better], value[better]
    return best


def _root(profile: _Profile, rows: NDArray[np.int64], left: float, right: float) -> Array:
    low, high = np.full(len(rows), left), np.full(len(rows), right)
    at = np.full(len(rows), np.clip(profile.start, left + 1e-3, right - 1e-3))
    for _ in range(60):
        slope, curve = profile.reml(np.exp(at), rows)
        low, high = np.where(slope > 0, at, low), np.where(slope > 0, high, at)
        step = at - slope / np.where(curve < 0, curve, -1.0)
        inside = (curve < 0) & (step > low) & (step < high)
        new = np.where(inside, step, 0.5 * (low + high))
        # Newton's error is the square of its step.
        if np.abs(new - at).max() < 1e-5:
            return new
        at = new
    return at


def fit_variance(model: MixedModel) -> VarianceFit:
    """Return the REML variance components without a variant.

    Raises
    ------
    FitError
        If the covariates explain the trait wholly.
    """
    profile = _Profile(model.values, model.x, model.y, None)
    ratio = _maximise(profile, 1)
    h = ratio[:, None] * model.values + 1.0
    a0 = profile.moments(1.0 / h)
    beta = np.linalg.solve(a0[:, :-1, :-1], a0[:, :-1, -1:])[:, :, 0]
    rss = float(a0[0, -1, -1] - beta[0] @ a0[0, :-1, -1])
    df = profile.n - profile.rank
    if rss <= 1e-12 * float(model.y @ model.y):
        raise FitError("The covariates explain the trait wholly.", diagnostics={"rss": rss})
    residual = rss / df
    genetic = residual * float(ratio[0])
    information = _average_information(model, genetic, residual)
    covariance = np.linalg.inv(information)
    scale = _mean_diagonal(model)
    share = genetic * scale / (genetic * scale + residual)
    # d share / d log lambda = share (1 - share); its variance is that of log lambda.
    curve = float(profile.reml(ratio)[1][0])
    share_se = share * (1.0 - share) / math.sqrt(-curve) if curve < 0 else float("nan")
    return VarianceFit(
        float(ratio[0]),
        genetic,
        residual,
        float(profile.value(ratio)[0]),
        share,
        share_se,
        float(np.sqrt(covariance[0, 0])),
        float(np.sqrt(covariance[1, 1])),
    )


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


def mixed_tests(model: MixedModel, g: Array) -> tuple[Array, Array, Array, Array]:
    """Return the Wald test of each variant, lambda fitted anew for each (exact, as GEMMA).

    Parameters
    ----------
    model : MixedModel
        The model without a variant.
    g : ndarray of float64 (n_variants, n_samples)
        Dosages without missing values, not rotated.

    Returns
    -------
    beta, se, log10p : ndarray of float64 (n_variants,)
        Effect per allele, its standard error, log10 p of the F test with n - rank - 1 degrees
        of freedom. NaN where a variant does not vary beside the covariates.
    ratio : ndarray of float64 (n_variants,)
        lambda of each variant.

    References
    ----------
    Zhou & Stephens (2012), doi:10.1038/ng.2310.
    """
    rotated = g @ model.vectors
    q = np.linalg.qr(model.x)[0]
    left = rotated - (rotated @ q) @ q.T
    use = (left * left).sum(axis=1) > 1e-9 * np.maximum((rotated * rotated).sum(axis=1), 1e-300)
    out = np.full((4, len(g)), np.nan)
    if not use.any():
        return out[0], out[1], out[2], out[3]
    start = float(np.log(_maximise(_Profile(model.values, model.x, model.y, None), 1)[0]))
    profile = _Profile(model.values, model.x, model.y, np.ascontiguousarray(rotated[use]), start)
    ratio = _maximise(profile, int(use.sum()))
    a0 = profile.moments(1.0 / (ratio[:, None] * model.values + 1.0))
    inverse = np.linalg.inv(a0[:, :-1, :-1])
    beta = np.einsum("mij,mj->mi", inverse, a0[:, :-1, -1])
    rss = a0[:, -1, -1] - np.einsum("mi,mi->m", beta, a0[:, :-1, -1])
    df = profile.n - profile.rank
    se = np.sqrt(rss / df * inverse[:, -1, -1])
    out[0, use], out[1, use], out[3, use] = beta[:, -1], se, ratio
    out[2, use] = f_log10p((beta[:, -1] / se) ** 2, 1, df)
    return out[0], out[1], out[2], out[3]


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

    References
    ----------
    Golan et al. (2014), doi:10.1073/pnas.1419064111.
    """
    q = np.linalg.qr(x)[0]
    residual = y - q @ (q.T @ y)
    n = len(y)
    z = residual / math.sqrt(float(residual @ residual) / (n - q.shape[1]))
    k = kinship - np.diag(np.diag(kinship))
    own_k, own_kk = k.sum(axis=1), (k * k).sum(axis=1)
    kz, own_zz = k @ z, z * (z.sum() - z)
    totals = np.array([own_kk.sum(), own_k.sum(), float(z @ kz), own_zz.sum(), float(n * (n - 1))])

    def slope(kk: Array, k1: Array, kzz: Array, zz: Array, pairs: Array) -> Array:
        return np.asarray((kzz - k1 * zz / pairs) / (kk - k1 * k1 / pairs))

    whole = float(slope(*totals))
    without = slope(
        totals[0] - 2 * own_kk,
        totals[1] - 2 * own_k,
        totals[2] - 2 * z * kz,
        totals[3] - 2 * own_zz,
        np.full(n, totals[4] - 2 * (n - 1)),
    )
    return whole, float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))
