"""Many traits on many predictors by least squares, in block matrix products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.stats._t_series import MAX_DF, series
from radgen.stats.tail import t_log10p, t_quantile

__all__ = [
    "COLLINEAR",
    "CONSTANT_PREDICTOR",
    "CONSTANT_TRAIT",
    "EXPLAINED_TRAIT",
    "LEVERAGE",
    "OK",
    "PERFECT_FIT",
    "STATUS_TEXT",
    "TOO_FEW",
    "LinearFit",
    "covariate_basis",
    "patterns",
    "regress",
    "residualise",
]

Array = NDArray[np.float64]
Patterns = list[tuple[NDArray[np.bool_], NDArray[np.int64]]]

OK, TOO_FEW, CONSTANT_PREDICTOR, CONSTANT_TRAIT = range(4)
COLLINEAR, EXPLAINED_TRAIT, PERFECT_FIT, LEVERAGE = range(4, 8)
STATUS_TEXT = (
    "",
    "too few complete samples for the model",
    "the predictor is constant in the complete samples",
    "the trait is constant in the complete samples",
    "the predictor is a combination of the covariates",
    "the trait is a combination of the covariates",
    "the trait is an exact function of the predictor and the covariates",
    "one sample alone decides the fit (leverage 1), so that HC3 is undefined",
)

_RANK_RTOL = 1e-8
_CONSTANT_RTOL = 64 * np.finfo(np.float64).eps
_RECOMPUTE_BELOW = 1e-2


@dataclass(frozen=True, eq=False, slots=True)
class LinearFit:
    """Simple regressions of traits on predictors, adjusted for the same covariates.

    Attributes
    ----------
    effect, se, t : ndarray of float64 (n_predictors, n_traits)
        Slope in trait units per predictor unit, its standard error, their ratio; NaN where
        `status` is not `OK` (`PERFECT_FIT` keeps the effect).
    df : ndarray of float64 (n_predictors, n_traits)
        n minus the rank of intercept and covariates minus 1.
    log10p : ndarray of float64 (n_predictors, n_traits)
        Two-sided, from Student's t.
    n : ndarray of int64 (n_predictors, n_traits)
        Complete samples of the pair.
    status : ndarray of int8 (n_predictors, n_traits)
        Index into `STATUS_TEXT`.
    predictor_ss : ndarray of float64 (n_predictors, n_traits)
        Sum of squares of the predictor given the covariates: the residual variance of an
        ordinary fit is se**2 times this.
    """

    effect: Array
    se: Array
    t: Array
    df: Array
    log10p: Array
    n: NDArray[np.int64]
    status: NDArray[np.int8]
    predictor_ss: Array

    def interval(self, confidence: float = 0.95) -> tuple[Array, Array]:
        """Return the lower and upper confidence limits of `effect`.

        Parameters
        ----------
        confidence : float, default 0.95
            Coverage in (0, 1).

        Returns
        -------
        low, high : ndarray of float64 (n_predictors, n_traits)
            effect -/+ t quantile times se.
        """
        half = t_quantile(0.5 + confidence / 2, self.df) * self.se
        return self.effect - half, self.effect + half


def covariate_basis(covariates: ArrayLike | None, n_samples: int) -> Array:
    """Return an orthonormal basis of intercept and covariates; its width is their rank.

    Parameters
    ----------
    covariates : array_like of float64 (n_samples, n_covariates) or None
        Finite; no intercept column is needed, one does no harm.
    n_samples : int
        Number of rows.

    Returns
    -------
    ndarray of float64 (n_samples, rank)
        The first column is the constant.

    Notes
    -----
    Columns are centred and scaled to norm 1, then reduced by QR with column pivoting;
    pivots below 1e-8 are dropped.
    """
    from scipy.linalg import qr

    constant = np.full((n_samples, 1), 1.0 / np.sqrt(max(n_samples, 1)))
    if covariates is None or n_samples == 0:
        return constant
    z = np.asarray(covariates, dtype=np.float64)
    mean = z.mean(axis=0)
    centred = z - mean
    norm = np.sqrt(np.einsum("ij,ij->j", centred, centred))
    varies = norm > _CONSTANT_RTOL * np.abs(z).max(axis=0, initial=0.0) * np.sqrt(n_samples)
    if not varies.any():
        return constant
    q, r, _ = qr(centred[:, varies] / norm[varies], mode="economic", pivoting=True)
    rank = int(np.count_nonzero(np.abs(np.diag(r)) > _RANK_RTOL))
    return np.hstack([constant, q[:, :rank]])


def residualise(values: ArrayLike, basis: Array) -> Array:
    """Return what is left of each column after its projection on `basis` is taken out.

    Parameters
    ----------
    values : array_like of float64 (n_samples, n_columns)
        Finite.
    basis : ndarray of float64 (n_samples, rank)
        From `covariate_basis`.

    Returns
    -------
    ndarray of float64 (n_samples, n_columns)
        Orthogonal to `basis`. The mean goes first, so that large offsets cost no digits.
    """
    left = np.asarray(values, dtype=np.float64)
    left = left - left.mean(axis=0)
    rest = basis[:, 1:]
    if rest.shape[1]:
        left -= rest @ (rest.T @ left)
        left -= rest @ (rest.T @ left)
    return np.asarray(left)


def regress(
    traits: ArrayLike,
    predictors: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    robust: bool = False,
) -> LinearFit:
    """Return trait = intercept + covariates + slope x predictor for every pair.

    Parameters
    ----------
    traits : array_like of float64 (n_samples, n_traits)
        NaN = missing.
    predictors : array_like of float64 (n_samples, n_predictors)
        NaN = missing.
    covariates : array_like of float64 (n_samples, n_covariates) or None
        Samples with a missing covariate are not used.
    robust : bool, default False
        Standard errors by HC3 (heteroscedasticity-consistent), still referred to t.

    Returns
    -------
    LinearFit
        Arrays (n_predictors, n_traits).

    Raises
    ------
    InputError
        If the row counts differ or an array is not two-dimensional.

    Notes
    -----
    Frisch-Waugh-Lovell: both sides are residualised on the covariates, all cross products
    come from one matrix product, t has n - rank - 1 degrees of freedom. Each pair uses exactly
    the samples complete for it: columns with the same missing samples form a group, and the
    covariates are orthogonalised anew on each group's samples. Results of a pair do not
    depend on which other columns run with it, but for rounding (below 1e-12).
    Cost: with missing values on one side only, about (rank + 2) products; with both, that
    times the number of different missing patterns of the side that has fewer.

    References
    ----------
    MacKinnon & White (1985), J. Econometrics 29, 305-325 (HC3).

    Examples
    --------
    >>> y = np.array([[1.0], [2.0], [2.5], [4.1]])
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> float(regress(y, x).effect[0, 0].round(3))
    0.98
    """
    y = _matrix(traits, "traits")
    x = _matrix(predictors, "predictors")
    if len(x) != len(y):
        raise InputError(f"Traits have {len(y)} rows and predictors {len(x)}.")
    z = None
    if covariates is not None:
        z = _matrix(covariates, "covariates")
        if len(z) != len(y):
            raise InputError(f"Traits have {len(y)} rows and covariates {len(z)}.")
        full = np.isfinite(z).all(axis=1)
        y, x, z = y[full], x[full], z[full]
    if robust:
        return _regress_robust(y, x, z)
    x_patterns, y_patterns = patterns(x), patterns(y)
    if len(y) and all(len(p) == 1 and p[0][0].all() for p in (x_patterns, y_patterns)):
        return _regress_complete(y, x, z)
    if len(x_patterns) <= len(y_patterns):
        parts = _cross_moments(x, x_patterns, y, z)
        xy, xx, yy, x_var, y_var, rank, n = parts
    else:
        parts = _cross_moments(y, y_patterns, x, z)
        xy, yy, xx, y_var, x_var, rank, n = (item.T for item in parts)
    df = n - rank - 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = xy / xx
        left = yy - xy * effect
        se = np.sqrt(np.maximum(left, 0.0) / df / xx)
    return _finish(
        effect=effect, se=se, df=df, n=n, xx=xx, yy=yy, x_var=x_var, y_var=y_var, left=left
    )


def _regress_complete(y: Array, x: Array, z: Array | None) -> LinearFit:
    """The same without missing values: one product, and one pass over it in C."""
    from radgen._native._regress import finish as _native_finish

    basis = covariate_basis(z, len(y))
    x_left, y_left = residualise(x, basis), residualise(y, basis)
    xx, yy = np.einsum("ij,ij->j", x_left, x_left), np.einsum("ij,ij->j", y_left, y_left)
    x_var, y_var = _spread(x)[1], _spread(y)[1]
    n, df = len(y), len(y) - basis.shape[1] - 1
    shape = (x.shape[1], y.shape[1])
    status = np.zeros(shape, dtype=np.int8)
    floor = _RANK_RTOL**2
    status[:, yy <= floor * y_var] = EXPLAINED_TRAIT
    status[xx <= floor * x_var] = COLLINEAR
    status[:, y_var == 0] = CONSTANT_TRAIT
    status[x_var == 0] = CONSTANT_PREDICTOR
    if df < 1:
        status[:] = TOO_FEW
    effect = x_left.T @ y_left
    se, t, log10p = np.empty(shape), np.empty(shape), np.empty(shape)
    if 1 <= df <= MAX_DF:
        exact = _native_finish(effect, se, t, log10p, xx, yy, *series(float(df)), float(df))
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            cross = effect.copy()
            effect /= xx[:, None]
            left = yy - cross * effect
            np.sqrt(left / (df * xx[:, None]), out=se)
            np.divide(effect, se, out=t)
        exact = int(np.count_nonzero(left <= 1e-14 * yy))
        log10p[:] = t_log10p(t, max(df, 1))
    if exact:
        with np.errstate(invalid="ignore"):
            perfect = (effect**2 * xx[:, None] >= (1 - 1e-14) * yy) & (status == OK)
        status[perfect] = PERFECT_FIT
        se[perfect], log10p[perfect] = 0.0, -np.inf
        t[perfect] = np.copysign(np.inf, effect[perfect])
    if status.any():
        bad = (status != OK) & (status != PERFECT_FIT)
        for values in (effect, se, t, log10p):
            values[bad] = np.nan
    return LinearFit(
        effect,
        se,
        t,
        np.broadcast_to(float(df), shape),
        log10p,
        np.broadcast_to(np.int64(n), shape),
        status,
        np.broadcast_to(xx[:, None], shape),
    )


def _finish(
    *,
    effect: Array,
    se: Array,
    df: Array,
    n: Array,
    xx: Array,
    yy: Array,
    x_var: Array,
    y_var: Array,
    left: Array,
) -> LinearFit:
    status = np.zeros(effect.shape, dtype=np.int8)
    floor = _RANK_RTOL**2
    status[np.isnan(se)] = LEVERAGE
    status[left <= 1e-14 * yy] = PERFECT_FIT
    status[yy <= floor * y_var] = EXPLAINED_TRAIT
    status[xx <= floor * x_var] = COLLINEAR
    status[y_var == 0] = CONSTANT_TRAIT
    status[x_var == 0] = CONSTANT_PREDICTOR
    status[df < 1] = TOO_FEW
    bad = (status != OK) & (status != PERFECT_FIT)
    effect = np.where(bad, np.nan, effect)
    se = np.where(status == PERFECT_FIT, 0.0, np.where(bad, np.nan, se))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = effect / se
    log10p = t_log10p(t, np.where(bad, np.nan, df))
    return LinearFit(effect, se, t, df, log10p, n.astype(np.int64), status, xx)


def _matrix(values: ArrayLike, what: str) -> Array:
    out = np.asarray(values, dtype=np.float64)
    if out.ndim != 2:
        raise InputError(f"The {what} are an array (n_samples, n_columns); found {out.ndim}-d.")
    return np.where(np.isinf(out), np.nan, out) if np.isinf(out).any() else out


def patterns(values: Array) -> Patterns:
    """Return the columns grouped by which rows are known.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_columns)
        NaN = missing.

    Returns
    -------
    list of (ndarray of bool (n_samples,), ndarray of int64)
        Known rows and the columns that have just these.
    """
    known = ~np.isnan(values)
    if known.all():
        return [(np.ones(len(values), dtype=bool), np.arange(values.shape[1]))]
    packed = np.ascontiguousarray(np.packbits(known, axis=0).T)
    groups: dict[bytes, list[int]] = {}
    for column, row in enumerate(packed):
        groups.setdefault(row.tobytes(), []).append(column)
    return [(known[:, cols[0]], np.array(cols)) for cols in groups.values()]


def _spread(values: Array) -> tuple[Array, Array]:
    """Centred columns and their sums of squares; 0 where a column is constant."""
    if not len(values):
        return values, np.zeros(values.shape[1])
    centred = values - values.mean(axis=0)
    total = np.einsum("ij,ij->j", centred, centred)
    scale = np.abs(values).max(axis=0) * _CONSTANT_RTOL
    return centred, np.where(total <= len(values) * scale**2, 0.0, total)


def _cross_moments(
    outer: Array, outer_patterns: Patterns, inner: Array, z: Array | None
) -> tuple[Array, Array, Array, Array, Array, Array, Array]:
    """Residual cross products and sums of squares of every (outer, inner) pair.

    Returns cross, outer_ss, inner_ss, outer_total, inner_total, rank, n, all
    (n_outer, n_inner).
    """
    shape = (outer.shape[1], inner.shape[1])
    out = tuple(np.zeros(shape) for _ in range(7))
    for rows, columns in outer_patterns:
        sub_z = None if z is None else z[rows]
        if rows.all():
            parts = _one_outer_pattern(outer[:, columns], inner, sub_z)
        else:
            parts = _one_outer_pattern(outer[np.ix_(rows, columns)], inner[rows], sub_z)
        for target, part in zip(out, parts, strict=True):
            target[columns] = part
    return out  # type: ignore[return-value]


def _one_outer_pattern(outer: Array, inner: Array, z: Array | None) -> tuple[Array, ...]:
    """The pairs of complete outer columns with inner columns of any pattern."""
    n_rows, n_outer = outer.shape
    n_inner = inner.shape[1]
    if n_rows == 0:
        empty = np.zeros((n_outer, n_inner))
        return (empty,) * 7
    basis = covariate_basis(z, n_rows)
    outer_left = residualise(outer, basis)
    outer_centred, outer_total = _spread(outer)
    outer_ss = np.einsum("ij,ij->j", outer_left, outer_left)
    groups_of_inner = patterns(inner)
    left = np.zeros((n_rows, n_inner))
    inner_ss, inner_total = np.zeros(n_inner), np.zeros(n_inner)
    rank, n = np.zeros(n_inner), np.zeros(n_inner)
    big_ss = np.repeat(outer_ss[:, None], n_inner, axis=1)
    big_total = np.repeat(outer_total[:, None], n_inner, axis=1)
    redo: list[tuple[NDArray[np.bool_], NDArray[np.int64], Array, NDArray[np.int64]]] = []
    for rows, columns in groups_of_inner:
        whole = bool(rows.all())
        own = basis
        if not whole:
            own = covariate_basis(None if z is None else z[rows], int(rows.sum()))
        if not rows.any():
            continue
        part = inner[:, columns] if whole else inner[np.ix_(rows, columns)]
        kept = residualise(part, own)
        left[np.ix_(rows, columns)] = kept
        inner_ss[columns] = np.einsum("ij,ij->j", kept, kept)
        inner_total[columns] = _spread(part)[1]
        rank[columns], n[columns] = own.shape[1], rows.sum()
        if whole:
            continue
        ss, total = _subset_moments(outer_left, outer_centred, rows, own)
        weak = np.flatnonzero((ss < _RECOMPUTE_BELOW * outer_ss) & (outer_ss > 0))
        weak = np.union1d(weak, np.flatnonzero(total < _RECOMPUTE_BELOW * outer_total))
        if weak.size:
            exact = residualise(outer[np.ix_(rows, weak)], own)
            ss[weak] = np.einsum("ij,ij->j", exact, exact)
            total[weak] = _spread(outer[np.ix_(rows, weak)])[1]
            redo.append((rows, columns, exact, weak))
        big_ss[:, columns], big_total[:, columns] = ss[:, None], total[:, None]
    cross = outer_left.T @ left
    for rows, columns, exact, weak in redo:
        cross[np.ix_(weak, columns)] = exact.T @ left[np.ix_(rows, columns)]
    spread = np.ones((n_outer, 1))
    return (
        cross,
        big_ss,
        spread * inner_ss,
        big_total,
        spread * inner_total,
        spread * rank,
        spread * n,
    )


def _subset_moments(
    outer_left: Array, outer_centred: Array, rows: NDArray[np.bool_], own: Array
) -> tuple[Array, Array]:
    """Residual and total sums of squares of the outer columns on some rows only."""
    gone = ~rows
    lost = np.einsum("ij,ij->j", outer_left[gone], outer_left[gone])
    full = np.einsum("ij,ij->j", outer_left, outer_left)
    carried = np.zeros((len(rows), own.shape[1]))
    carried[rows] = own
    projected = carried.T @ outer_left
    ss = full - lost - np.einsum("ij,ij->j", projected, projected)
    dropped = outer_centred[gone]
    sums = -dropped.sum(axis=0)
    squares = np.einsum("ij,ij->j", outer_centred, outer_centred)
    total = squares - np.einsum("ij,ij->j", dropped, dropped) - sums**2 / rows.sum()
    return ss, total


def _regress_robust(y: Array, x: Array, z: Array | None) -> LinearFit:
    shape = (x.shape[1], y.shape[1])
    effect, se = np.full(shape, np.nan), np.full(shape, np.nan)
    xx, yy, x_var, y_var, left = (np.zeros(shape) for _ in range(5))
    df, n = np.full(shape, -1.0), np.zeros(shape)
    for x_rows, x_cols in patterns(x):
        for y_rows, y_cols in patterns(y):
            rows = x_rows & y_rows
            count = int(rows.sum())
            here = np.ix_(x_cols, y_cols)
            n[here] = count
            if count < 2:
                continue
            basis = covariate_basis(None if z is None else z[rows], count)
            df[here] = count - basis.shape[1] - 1.0
            if count - basis.shape[1] < 2:
                continue
            part_x, part_y = x[np.ix_(rows, x_cols)], y[np.ix_(rows, y_cols)]
            parts = _hc3(residualise(part_x, basis), residualise(part_y, basis), basis)
            effect[here], se[here], left[here], ss_x, ss_y = parts
            xx[here], yy[here] = ss_x[:, None], ss_y
            x_var[here], y_var[here] = _spread(part_x)[1][:, None], _spread(part_y)[1]
    return _finish(
        effect=effect, se=se, df=df, n=n, xx=xx, yy=yy, x_var=x_var, y_var=y_var, left=left
    )


def _hc3(x: Array, y: Array, basis: Array) -> tuple[Array, Array, Array, Array, Array]:
    xx = np.einsum("ij,ij->j", x, x)
    yy = np.einsum("ij,ij->j", y, y)
    leverage = np.einsum("ij,ij->i", basis, basis)
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = x.T @ y
        effect = cross / xx[:, None]
        free = 1.0 - leverage[:, None] - x**2 / xx
        # A sample with leverage 1 is fitted exactly: its residual is 0 and HC3 is undefined.
        weight = np.where(free > 1e-12, x**2 / free**2, np.nan)
        meat = (
            weight.T @ y**2
            - 2 * effect * ((weight * x).T @ y)
            + effect**2 * np.einsum("ij,ij,ij->j", weight, x, x)[:, None]
        )
        se = np.sqrt(np.maximum(meat, 0.0)) / xx[:, None]
    return effect, se, yy - cross * effect, xx, yy
