"""Many traits on many predictors by least squares, in block matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen._core.blocks import block_ranges, iter_units
from radgen._core.recycled import Recycled
from radgen._core.threads import n_threads, one_blas_thread
from radgen.errors import InputError
from radgen.stats._gaps import Holed, Moments, cross_moments, least_safe
from radgen.stats._linear_parts import (
    RANK_RTOL,
    covariate_basis,
    patterns,
    residualise,
    residuals,
    spread,
)
from radgen.stats._t_series import MAX_DF, near, series
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
    "TraitSide",
    "covariate_basis",
    "patterns",
    "prepare",
    "regress",
    "regress_blocks",
    "residualise",
]

Array = NDArray[np.float64]

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


_PAIRS = 1 << 19


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


@dataclass(frozen=True, eq=False, slots=True)
class TraitSide:
    """Traits and covariates made ready for many blocks of predictors, from `prepare`.

    Attributes
    ----------
    used : ndarray of bool (n_samples,)
        Samples with complete covariates.
    traits : ndarray of float64 (n_used, n_traits)
        NaN = missing.
    covariates : ndarray of float64 (n_used, n_covariates) or None
        Finite.
    basis : ndarray of float64 (n_used, rank)
        Intercept and covariates.
    left : ndarray of float64 (n_used, n_traits) or None
        Residuals on the covariates; None where values are missing.
    total, left_ss : ndarray of float64 (n_traits,)
        Sums of squares of the centred traits (0 = constant) and of `left`.
    holed : Holed or None
        The residuals where values are missing.
    """

    used: NDArray[np.bool_]
    traits: Array
    covariates: Array | None
    basis: Array
    left: Array | None
    total: Array
    left_ss: Array
    holed: Holed | None = None

    def regress(self, predictors: ArrayLike) -> LinearFit:
        """Return the regressions of all traits on a block of predictors.

        Parameters
        ----------
        predictors : array_like of float64 (n_samples, n_predictors)
            NaN = missing.

        Returns
        -------
        LinearFit
            Arrays (n_predictors, n_traits).

        Raises
        ------
        InputError
            If the number of rows is another one.
        """
        x = _matrix(predictors, "predictors")
        if len(x) != len(self.used):
            raise InputError(f"Traits have {len(self.used)} rows and predictors {len(x)}.")
        return self.block(x if self.used.all() else x[self.used], np.empty)

    def block(self, x: Array, take: Callable[[tuple[int, ...]], Array]) -> LinearFit:
        """Return the regressions on predictors that have the used rows alone.

        Parameters
        ----------
        x : ndarray of float64 (n_used, n_predictors)
            NaN = missing, no infinite value.
        take : callable
            Gives an uninitialised array of a shape.

        Returns
        -------
        LinearFit
            Arrays (n_predictors, n_traits).
        """
        made = residuals(x, self.basis) if len(x) else None
        if made is not None and self.left is not None:
            return self._complete(made, self.left, take)
        found = None
        if made is not None and self.holed is not None:
            found = self._gaps_in_traits(made, self.holed, take)
        elif self.left is not None and len(x):
            found = self._gaps_in_predictors(x, self.left, take)
        return _regress_missing(self, x) if found is None else found

    def _complete(
        self,
        made: tuple[Array, Array, Array],
        y_left: Array,
        take: Callable[[tuple[int, ...]], Array],
    ) -> LinearFit:
        """One product, and one pass over it in C."""
        from radgen._native._regress import finish as _native_finish

        # One projection was enough: the traits are orthogonal to the covariates.
        x_left, x_total, xx = made
        yy = self.left_ss
        n, df = len(x_left), len(x_left) - self.basis.shape[1] - 1
        shape = (len(xx), len(yy))
        effect, se, t, log10p = (take(shape) for _ in range(4))
        np.matmul(x_left.T, y_left, out=effect)
        if 1 <= df <= MAX_DF:
            tails = (*series(float(df)), float(df), near(float(df)))
            exact = _native_finish(effect, se, t, log10p, xx, yy, *tails)
        else:
            exact = _plain_finish(effect, se, t, log10p, xx, yy, df)
        status = np.zeros(shape, dtype=np.int8)
        degenerate = _degenerate(status, xx, yy, x_total, self.total, df)
        if exact:
            with np.errstate(invalid="ignore"):
                perfect = (effect**2 * xx[:, None] >= (1 - 1e-14) * yy) & (status == OK)
            status[perfect] = PERFECT_FIT
            se[perfect], log10p[perfect] = 0.0, -np.inf
            t[perfect] = np.copysign(np.inf, effect[perfect])
        if degenerate:
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

    def _gaps_in_traits(
        self,
        made: tuple[Array, Array, Array],
        y: Holed,
        take: Callable[[tuple[int, ...]], Array],
    ) -> LinearFit | None:
        """The same where traits have gaps; None where a pair needs another look."""
        x_left, x_total, whole = made
        df = y.n - y.rank - 1.0
        if not _sound(df, whole, x_total) or not _sound(df, y.ss, y.total):
            return None
        xx = y.shrunk(x_left, whole, take((len(whole), len(y.ss))))
        if (xx < least_safe(whole, x_total)[:, None]).any():
            return None
        effect = np.matmul(x_left.T, y.left, out=take(xx.shape))
        return _finish_gaps(effect, xx, y.ss, df, y.n, take)

    def _gaps_in_predictors(
        self, x: Array, y_left: Array, take: Callable[[tuple[int, ...]], Array]
    ) -> LinearFit | None:
        """The same where predictors have gaps."""
        side = Holed(x, self.covariates, self.basis)
        df = side.n - side.rank - 1.0
        if not _sound(df, side.ss, side.total) or not _sound(df, self.left_ss, self.total):
            return None
        shape = (len(side.ss), len(self.left_ss))
        yy = side.shrunk(y_left, self.left_ss, take(shape), turned=True)
        if (yy < least_safe(self.left_ss, self.total)).any():
            return None
        effect = np.matmul(side.left.T, y_left, out=take(shape))
        return _finish_gaps(effect, side.ss, yy, df, side.n, take)


def prepare(traits: ArrayLike, covariates: ArrayLike | None = None) -> TraitSide:
    """Return traits and covariates made ready for many blocks of predictors.

    Parameters
    ----------
    traits : array_like of float64 (n_samples, n_traits)
        NaN = missing.
    covariates : array_like of float64 (n_samples, n_covariates) or None
        Samples with a missing covariate are not used.

    Returns
    -------
    TraitSide
        Its method ``regress`` gives what the function `regress` gives, without doing the
        work on the traits anew for each block.

    Raises
    ------
    InputError
        If the row counts differ or an array is not two-dimensional.
    """
    y = _matrix(traits, "traits")
    used = np.ones(len(y), dtype=bool)
    z = None
    if covariates is not None:
        z = _matrix(covariates, "covariates")
        if len(z) != len(y):
            raise InputError(f"Traits have {len(y)} rows and covariates {len(z)}.")
        used = np.asarray(np.isfinite(z).all(axis=1))
        if not used.all():
            y, z = y[used], z[used]
    basis = covariate_basis(z, len(y))
    if not len(y) or np.isnan(y).any():
        blank = np.zeros(y.shape[1])
        return TraitSide(used, y, z, basis, None, blank, blank, Holed(y, z, basis))
    left = np.ascontiguousarray(residualise(y, basis))
    return TraitSide(used, y, z, basis, left, spread(y)[1], np.einsum("ij,ij->j", left, left))


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
    if robust:
        return _regress_robust(*_checked(traits, predictors, covariates))
    return prepare(traits, covariates).regress(predictors)


def regress_blocks(
    traits: ArrayLike,
    predictors: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    block_size: int | None = None,
    threads: int | None = None,
) -> Iterator[tuple[int, int, LinearFit]]:
    """Yield the regressions of all traits on one block of predictors after the other.

    Parameters
    ----------
    traits, predictors, covariates : array_like
        As `regress` takes them.
    block_size : int or None
        Predictors per block; None = about half a million pairs. It bounds the memory and
        changes no result.
    threads : int or None
        Blocks that are computed at a time, each with one thread of the BLAS; None = the
        processors at hand.

    Yields
    ------
    start, stop : int
        Columns of `predictors`.
    fit : LinearFit
        Arrays (stop - start, n_traits).

    Raises
    ------
    InputError
        If the row counts differ or an array is not two-dimensional.

    Examples
    --------
    >>> y, x = np.arange(6.0).reshape(6, 1), np.arange(24.0).reshape(6, 4) ** 2
    >>> [(a, b, fit.t.shape) for a, b, fit in regress_blocks(y, x, block_size=3)]
    [(0, 3, (3, 1)), (3, 4, (1, 1))]
    """
    side = prepare(traits, covariates)
    x = _matrix(predictors, "predictors")
    size = block_size or max(_PAIRS // max(side.traits.shape[1], 1), 1)
    blocks = list(block_ranges(x.shape[1], size))
    workers = min(n_threads(threads), max(len(blocks), 1))
    if len(x) != len(side.used):
        raise InputError(f"Traits have {len(side.used)} rows and predictors {len(x)}.")
    take = Recycled(5 * (workers + 2))

    def fit_block(part: Array) -> LinearFit:
        return side.block(part if side.used.all() else part[side.used], take)

    if workers == 1:
        for start, stop in blocks:
            yield start, stop, fit_block(x[:, start:stop])
        return
    with one_blas_thread(), ThreadPoolExecutor(workers) as pool:
        parts = (x[:, start:stop] for start, stop in blocks)
        fits = iter_units(fit_block, parts, executor=pool, ahead=workers + 1)
        for (start, stop), fit in zip(blocks, fits, strict=True):
            yield start, stop, fit


def _checked(
    traits: ArrayLike, predictors: ArrayLike, covariates: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    y, x = _matrix(traits, "traits"), _matrix(predictors, "predictors")
    if len(x) != len(y):
        raise InputError(f"Traits have {len(y)} rows and predictors {len(x)}.")
    if covariates is None:
        return y, x, None
    z = _matrix(covariates, "covariates")
    if len(z) != len(y):
        raise InputError(f"Traits have {len(y)} rows and covariates {len(z)}.")
    full = np.isfinite(z).all(axis=1)
    return y[full], x[full], z[full]


def _degenerate(  # noqa: PLR0917
    status: NDArray[np.int8], xx: Array, yy: Array, x_total: Array, y_total: Array, df: int
) -> bool:
    """Write why pairs have no test, in place; return whether there are such."""
    floor = RANK_RTOL**2
    bad_y, bad_x = yy <= floor * y_total, xx <= floor * x_total
    if df >= 1 and not bad_y.any() and not bad_x.any():
        return False
    status[:, bad_y] = EXPLAINED_TRAIT
    status[bad_x] = COLLINEAR
    status[:, y_total == 0] = CONSTANT_TRAIT
    status[x_total == 0] = CONSTANT_PREDICTOR
    if df < 1:
        status[:] = TOO_FEW
    return True


def _sound(df: Array, ss: Array, total: Array) -> bool:
    """Whether nothing is constant, explained by the covariates, or too short."""
    return bool((df >= 1).all() and (df <= MAX_DF).all() and (ss > RANK_RTOL**2 * total).all())


def _finish_gaps(  # noqa: PLR0917
    effect: Array,
    xx: Array,
    yy: Array,
    df: Array,
    n: Array,
    take: Callable[[tuple[int, ...]], Array],
) -> LinearFit | None:
    """One pass in C, df by trait (`xx` two-dimensional) or by predictor (`yy`)."""
    from radgen._native._regress import finish_gaps as _native_finish

    shape, by_row = effect.shape, yy.ndim == 2
    se, t, log10p = (take(shape) for _ in range(3))
    tails = np.ascontiguousarray(np.stack([near(float(value)) for value in df], axis=1))
    far = np.empty(effect.size, dtype=np.int64)
    exact, n_far = _native_finish(effect, se, t, log10p, xx, yy, 1.0 / df, tails, far, by_row)
    if exact:
        return None
    each = np.broadcast_to(df[:, None] if by_row else df, shape)
    count = np.broadcast_to((n[:, None] if by_row else n).astype(np.int64), shape)
    if n_far:
        where = np.unravel_index(far[:n_far], shape)
        log10p[where] = t_log10p(t[where], each[where])
    status = np.zeros(shape, dtype=np.int8)
    outer = np.broadcast_to(xx[:, None], shape) if by_row else xx
    return LinearFit(effect, se, t, each, log10p, count, status, outer)


def _plain_finish(  # noqa: PLR0917
    effect: Array, se: Array, t: Array, log10p: Array, xx: Array, yy: Array, df: int
) -> int:
    """What the compiled pass does, for degrees of freedom that it does not know."""
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = effect.copy()
        effect /= xx[:, None]
        left = yy - cross * effect
        np.sqrt(left / (df * xx[:, None]), out=se)
        np.divide(effect, se, out=t)
    log10p[:] = t_log10p(t, max(df, 1))
    return int(np.count_nonzero(left <= 1e-14 * yy))


def _regress_missing(side: TraitSide, x: Array) -> LinearFit:
    """The same where values are missing: covariates are orthogonalised on each pattern."""
    y, z = side.traits, side.covariates
    x_patterns, y_patterns = patterns(x), patterns(y)
    if len(x_patterns) <= len(y_patterns):
        m = cross_moments(x, x_patterns, y, z, side.holed)
    else:
        m = _turned(cross_moments(y, y_patterns, x, z))
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = m.cross / m.outer_ss
        left = m.cross * effect
        np.subtract(m.inner_ss, left, out=left)
        df = m.n - m.rank - 1.0
        se = np.sqrt(np.maximum(left, 0.0) / (df * m.outer_ss))
    return _finish(effect, se, left, m, df)


def _turned(m: Moments) -> Moments:
    """The moments with traits as the inner side."""
    return Moments(
        m.cross.T, m.inner_ss.T, m.outer_ss.T, m.inner_total.T, m.outer_total.T, m.rank.T, m.n.T
    )


def _finish(effect: Array, se: Array, left: Array, m: Moments, df: Array) -> LinearFit:
    status = np.zeros(effect.shape, dtype=np.int8)
    floor = RANK_RTOL**2
    status[np.isnan(se)] = LEVERAGE
    status[left <= 1e-14 * m.inner_ss] = PERFECT_FIT
    status[m.inner_ss <= floor * m.inner_total] = EXPLAINED_TRAIT
    status[m.outer_ss <= floor * m.outer_total] = COLLINEAR
    status[m.inner_total == 0] = CONSTANT_TRAIT
    status[m.outer_total == 0] = CONSTANT_PREDICTOR
    status[df < 1] = TOO_FEW
    if status.any():
        bad = (status != OK) & (status != PERFECT_FIT)
        effect[bad], se[bad] = np.nan, np.nan
        se[status == PERFECT_FIT] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        t = effect / se
    log10p = t_log10p(t, df)
    return LinearFit(effect, se, t, df, log10p, m.n.astype(np.int64), status, m.outer_ss)


def _matrix(values: ArrayLike, what: str) -> Array:
    out = np.asarray(values, dtype=np.float64)
    if out.ndim != 2:
        raise InputError(f"The {what} are an array (n_samples, n_columns); found {out.ndim}-d.")
    return np.where(np.isinf(out), np.nan, out) if np.isinf(out).any() else out


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
            x_var[here], y_var[here] = spread(part_x)[1][:, None], spread(part_y)[1]
    return _finish(effect, se, left, Moments(left, xx, yy, x_var, y_var, df, n), df)


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
