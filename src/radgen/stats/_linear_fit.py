"""The simple regressions of many pairs: their numbers, and why some have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.stats._gaps import Moments
from radgen.stats._linear_parts import RANK_RTOL
from radgen.stats._t_series import MAX_DF, near
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
    "finish",
    "finish_gaps",
    "mark_degenerate",
    "matrix",
    "plain_finish",
    "sound",
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


def matrix(values: ArrayLike, what: str) -> Array:
    out = np.asarray(values, dtype=np.float64)
    if out.ndim != 2:
        raise InputError(f"The {what} are an array (n_samples, n_columns); found {out.ndim}-d.")
    return np.where(np.isinf(out), np.nan, out) if np.isinf(out).any() else out


def mark_degenerate(  # noqa: PLR0917
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


def sound(df: Array, ss: Array, total: Array) -> bool:
    """Whether nothing is constant, explained by the covariates, or too short."""
    return bool((df >= 1).all() and (df <= MAX_DF).all() and (ss > RANK_RTOL**2 * total).all())


def plain_finish(  # noqa: PLR0917
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


def finish_gaps(  # noqa: PLR0917
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


def finish(effect: Array, se: Array, left: Array, m: Moments, df: Array) -> LinearFit:
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
