"""Several samples a person: linear models with a random intercept, by restricted likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.stats._linear_parts import RANK_RTOL, covariate_basis, residualise, spread
from radgen.stats.linear import (
    COLLINEAR,
    CONSTANT_PREDICTOR,
    CONSTANT_TRAIT,
    EXPLAINED_TRAIT,
    OK,
    PERFECT_FIT,
    TOO_FEW,
    regress,
)
from radgen.stats.tail import t_log10p

__all__ = ["InterceptFit", "random_intercept"]

Array = NDArray[np.float64]

_GRID = np.concatenate([[0.0], np.logspace(-4, 6, 41)])
_WITHIN = 1e-7
_STEPS = 60
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, eq=False, slots=True)
class InterceptFit:
    """One trait on many predictors, each in a model of its own.

    Attributes
    ----------
    effect, se, t, df : ndarray of float64 (n_predictors,)
        Generalised least squares at the restricted maximum; degrees of freedom by
        Satterthwaite. NaN where `status` is not `OK` of `radgen.stats.linear`;
        `PERFECT_FIT` has the effect, without error.
    log10p : ndarray of float64 (n_predictors,)
        Two-sided.
    between, within : ndarray of float64 (n_predictors,)
        Variance of the intercepts of the clusters, and of the samples within them.
    status : ndarray of int8 (n_predictors,)
        Index into `radgen.stats.linear.STATUS_TEXT`.
    """

    effect: Array
    se: Array
    t: Array
    df: Array
    log10p: Array
    between: Array
    within: Array
    status: NDArray[np.int8]


def random_intercept(
    y: ArrayLike, predictors: ArrayLike, covariates: ArrayLike | None, clusters: ArrayLike
) -> InterceptFit:
    """Return y = intercept + covariates + slope x predictor + random intercept of the cluster.

    Parameters
    ----------
    y : array_like of float64 (n_samples,)
        Finite.
    predictors : array_like of float64 (n_samples, n_predictors)
        Finite.
    covariates : array_like of float64 (n_samples, n_covariates) or None
        Finite.
    clusters : array_like of int (n_samples,)
        Who a sample comes from.

    Returns
    -------
    InterceptFit
        A value a predictor.

    Raises
    ------
    InputError
        If the lengths differ.

    Notes
    -----
    The variance ratio of each model maximises its restricted likelihood (a grid, then golden
    sections on the ratio's logarithm). Satterthwaite's degrees of freedom use the observed
    information of both variances; where the intercepts have no variance they are those of least
    squares. The covariance of a cluster of k samples has the inverse I - J w, w = r/(1 + k r), so
    that all is made of sums over clusters. A trait that does not vary within clusters is fitted
    by least squares to the means of the clusters, which is the limit of the model.

    References
    ----------
    Laird & Ware (1982), Biometrics 38, 963-974. Kuznetsova, Brockhoff & Christensen (2017),
    J. Stat. Softw. 82(13) (lmerTest; our degrees of freedom).

    Examples
    --------
    >>> y, x = np.array([1.0, 2, 4, 5, 4, 6, 1, 3]), np.array([0.0, 0, 1, 1, 1, 1, 0, 0])
    >>> fit = random_intercept(y, x[:, None], None, [0, 0, 1, 1, 2, 2, 3, 3])
    >>> float(fit.effect[0].round(6)), float(fit.df[0].round(1))
    (3.0, 6.0)
    """
    target = np.asarray(y, dtype=np.float64)
    x = np.asarray(predictors, dtype=np.float64)
    z = None if covariates is None else np.asarray(covariates, dtype=np.float64)
    code = np.unique(np.asarray(clusters), return_inverse=True)[1]
    n = len(target)
    if len(x) != n or len(code) != n or (z is not None and len(z) != n):
        raise InputError("Trait, predictors, covariates and clusters have different lengths.")
    if n < 3 or len(np.unique(code)) < 2:
        return _fitted(np.full((7, x.shape[1]), np.nan), TOO_FEW)
    sizes = np.bincount(code)
    own = np.bincount(code, target) / sizes
    total_y = spread(target[:, None])[1][0]
    if total_y > 0 and np.sum((target - own[code]) ** 2) <= _WITHIN * total_y:
        return _of_clusters(own, x, z, code, sizes)
    basis = covariate_basis(z, n)
    out = np.full((7, x.shape[1]), np.nan)
    status = np.zeros(x.shape[1], dtype=np.int8)
    x_left, total = residualise(x, basis), spread(x)[1]
    xx = np.einsum("ij,ij->j", x_left, x_left)
    status[xx <= RANK_RTOL**2 * total] = COLLINEAR
    status[total == 0] = CONSTANT_PREDICTOR
    y_left = residualise(target[:, None], basis)[:, 0]
    yy, usable = float(y_left @ y_left), status == OK
    slack = yy - (x_left[:, usable].T @ y_left) ** 2 / xx[usable]
    status[usable] = np.where(slack <= 1e-14 * total_y, PERFECT_FIT, OK)
    if yy <= RANK_RTOL**2 * total_y:
        status[:] = EXPLAINED_TRAIT if total_y > 0 else CONSTANT_TRAIT
    if n - basis.shape[1] - 1 < 2:
        # One degree of freedom cannot tell two variances apart.
        status[:] = TOO_FEW
    exact = np.flatnonzero(status == PERFECT_FIT)
    out[0, exact] = x_left[:, exact].T @ (target - target.mean()) / xx[exact]
    out[1, exact], out[4, exact] = 0.0, -np.inf
    good = np.flatnonzero(status == OK)
    if good.size:
        scale = np.sqrt(xx[good] / n)
        unit = float(np.sqrt(spread(target[:, None])[1][0] / n))
        centred = (target - target.mean()) / unit
        found = _fit(centred, x_left[:, good] / scale, basis * np.sqrt(n), code)
        slope, error, df, between, within = found
        t = slope / error
        values = (slope * unit / scale, error * unit / scale, t, df, t_log10p(t, df))
        out[:, good] = [*values, between * unit**2, within * unit**2]
    return _fitted(out, status)


def _fitted(out: Array, status: NDArray[np.int8] | int) -> InterceptFit:
    effect, se, t, df, log10p, between, within = out
    code = np.broadcast_to(np.asarray(status, dtype=np.int8), effect.shape)
    return InterceptFit(effect, se, t, df, log10p, between, within, np.array(code))


def _of_clusters(
    y: Array, x: Array, z: Array | None, code: NDArray[np.int64], sizes: NDArray[np.int64]
) -> InterceptFit:
    """Least squares on the means of clusters: samples of a cluster say nothing of their own."""

    def means(values: Array) -> Array:
        return np.column_stack([np.bincount(code, column) / sizes for column in values.T])

    fit = regress(y[:, None], means(x), None if z is None else means(z))
    columns = [getattr(fit, name)[:, 0] for name in ("effect", "se", "t", "df", "log10p")]
    between = columns[1] ** 2 * fit.predictor_ss[:, 0]
    within = np.where(np.isfinite(between), 0.0, np.nan)
    return _fitted(np.stack([*columns, between, within]), fit.status[:, 0])


class _Sums:
    """Cross products of [covariates, predictor, y] of each predictor, as a function of the ratio.

    `ratio` is the variance of intercepts in units of the variance within clusters.
    """

    def __init__(self, y: Array, x: Array, basis: Array, code: NDArray[np.int64]) -> None:
        shared = np.column_stack([basis, y])
        sizes = np.bincount(code)
        self.n, self.sizes = len(y), sizes
        self.width = basis.shape[1] + 1
        kinds = np.unique(sizes)
        self.kinds = kinds
        place = np.argsort(code, kind="stable")
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        sum_shared = np.add.reduceat(shared[place], starts)
        sum_x = np.add.reduceat(x[place], starts)
        parts = [_products(shared, x)]
        for kind in kinds:
            parts.append(_products(sum_shared[sizes == kind], sum_x[sizes == kind]))
        # (n_kinds + 1, n_predictors, width + 1, width + 1): covariates, predictor, y.
        self.parts = np.stack(parts)

    def at(self, ratio: Array) -> Array:
        """Return the weighted cross products for one ratio a predictor."""
        weight = ratio[:, None] / (1.0 + ratio[:, None] * self.kinds)
        return np.asarray(self.parts[0] - np.einsum("pk,kpij->pij", weight, self.parts[1:]))

    def solved(self, ratio: Array) -> tuple[Array, Array, Array, Array]:
        """Return slope, its variance per unit of the error's, residual ss and log determinant."""
        m = self.at(ratio)
        lower = np.linalg.cholesky(m)
        diagonal = np.diagonal(lower, axis1=1, axis2=2)
        k = self.width
        slope = lower[:, k, k - 1] / diagonal[:, k - 1]
        return slope, diagonal[:, k - 1] ** -2, diagonal[:, k] ** 2, self._log_det(diagonal, ratio)

    def _log_det(self, diagonal: Array, ratio: Array) -> Array:
        own = 2.0 * np.log(diagonal[:, : self.width]).sum(axis=1)
        counts = np.array([(self.sizes == kind).sum() for kind in self.kinds])
        return np.asarray(own + np.log1p(ratio[:, None] * self.kinds) @ counts)

    def deviance(self, ratio: Array) -> Array:
        """Return minus twice the restricted log likelihood, without constants."""
        _, _, left, log_det = self.solved(ratio)
        return np.asarray((self.n - self.width) * np.log(left) + log_det)


def _products(shared: Array, x: Array) -> Array:
    """Cross products ordered covariates, predictor, y, of each predictor."""
    count, k = x.shape[1], shared.shape[1] - 1
    out = np.empty((count, k + 2, k + 2))
    order = [*range(k), k + 1]
    both = shared.T @ shared
    cross = x.T @ shared
    out[:, np.array(order)[:, None], order] = both
    out[:, k, order] = cross
    out[:, order, k] = cross
    out[:, k, k] = np.einsum("ij,ij->j", x, x)
    return out


def _fit(
    y: Array, x: Array, basis: Array, code: NDArray[np.int64]
) -> tuple[Array, Array, Array, Array, Array]:
    sums = _Sums(y, x, basis, code)
    count = x.shape[1]
    grid = np.stack([sums.deviance(np.full(count, value)) for value in _GRID])
    best = np.argmin(grid, axis=0)
    low = _GRID[np.maximum(best - 1, 0)]
    high = _GRID[np.minimum(best + 1, len(_GRID) - 1)]
    low, high = np.log(np.maximum(low, 1e-8)), np.log(np.maximum(high, 1e-8))
    for _ in range(_STEPS):
        left = high - _GOLDEN * (high - low)
        right = low + _GOLDEN * (high - low)
        lower = sums.deviance(np.exp(left)) < sums.deviance(np.exp(right))
        low, high = np.where(lower, low, left), np.where(lower, right, high)
    ratio = np.exp((low + high) / 2)
    none = sums.deviance(np.zeros(count)) <= sums.deviance(ratio) + 1e-9
    ratio = np.where(none, 0.0, ratio)
    slope, unit, left_ss, _ = sums.solved(ratio)
    spare = sums.n - sums.width
    within = left_ss / spare
    df = np.where(none, float(spare), _satterthwaite(sums, ratio, within))
    return slope, np.sqrt(unit * within), df, ratio * within, within


def _satterthwaite(sums: _Sums, ratio: Array, within: Array) -> Array:
    """Degrees of freedom 2 v^2 / var(v) of v = within x unit(ratio), by observed information.

    The parameters are the logarithms of ratio and of the variance within clusters.
    """
    spare = sums.n - sums.width
    step = 1e-3
    safe = np.maximum(ratio, 1e-8)
    points = [safe * np.exp(step * k) for k in (-2, -1, 0, 1, 2)]
    solved = [sums.solved(point) for point in points]
    left = np.stack([item[2] for item in solved])
    log_det = np.stack([item[3] for item in solved])
    unit = np.log(np.stack([item[1] for item in solved]))
    # Deviance: spare log s2 + left(r)/s2 + log_det(r).
    first_left, second = _derivatives(left, step)[0], _derivatives(left / within + log_det, step)[1]
    a = second / 2  # d2/d(log r)2 of half the deviance
    b = -first_left / within / 2  # mixed
    c = np.full_like(a, spare / 2.0)  # d2/d(log s2)2: left/s2/2 = spare/2
    slope = _derivatives(unit, step)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = a * c - b * b
        variance = (slope**2 * c - 2 * slope * b + a) / determinant
        df = 2.0 / variance
    bad = ~(determinant > 0) | ~(df > 0)
    return np.where(bad, float(spare), np.minimum(np.maximum(df, 1.0), float(spare)))


def _derivatives(values: Array, step: float) -> tuple[Array, Array]:
    """First and second derivative at the middle of five points."""
    one, two, three, four, five = values
    first = (one - 8 * two + 8 * four - five) / (12 * step)
    second = (-one + 16 * two - 30 * three + 16 * four - five) / (12 * step**2)
    return first, second
