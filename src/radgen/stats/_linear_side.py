"""Traits and covariates made ready for many blocks of predictors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.stats._gaps import Holed, Moments, cross_moments, least_safe
from radgen.stats._linear_fit import (
    OK,
    PERFECT_FIT,
    LinearFit,
    finish,
    finish_gaps,
    mark_degenerate,
    matrix,
    plain_finish,
    sound,
)
from radgen.stats._linear_parts import covariate_basis, patterns, residualise, residuals, spread
from radgen.stats._t_series import MAX_DF, near, series

__all__ = ["TraitSide", "prepare"]

Array = NDArray[np.float64]


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
        x = matrix(predictors, "predictors")
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
            exact = plain_finish(effect, se, t, log10p, xx, yy, df)
        status = np.zeros(shape, dtype=np.int8)
        degenerate = mark_degenerate(status, xx, yy, x_total, self.total, df)
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
        if not sound(df, whole, x_total) or not sound(df, y.ss, y.total):
            return None
        xx = y.shrunk(x_left, whole, take((len(whole), len(y.ss))))
        if (xx < least_safe(whole, x_total)[:, None]).any():
            return None
        effect = np.matmul(x_left.T, y.left, out=take(xx.shape))
        return finish_gaps(effect, xx, y.ss, df, y.n, take)

    def _gaps_in_predictors(
        self, x: Array, y_left: Array, take: Callable[[tuple[int, ...]], Array]
    ) -> LinearFit | None:
        """The same where predictors have gaps."""
        side = Holed(x, self.covariates, self.basis)
        df = side.n - side.rank - 1.0
        if not sound(df, side.ss, side.total) or not sound(df, self.left_ss, self.total):
            return None
        shape = (len(side.ss), len(self.left_ss))
        yy = side.shrunk(y_left, self.left_ss, take(shape), turned=True)
        if (yy < least_safe(self.left_ss, self.total)).any():
            return None
        effect = np.matmul(side.left.T, y_left, out=take(shape))
        return finish_gaps(effect, side.ss, yy, df, side.n, take)


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
    y = matrix(traits, "traits")
    used = np.ones(len(y), dtype=bool)
    z = None
    if covariates is not None:
        z = matrix(covariates, "covariates")
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
    return finish(effect, se, left, m, df)


def _turned(m: Moments) -> Moments:
    """The moments with traits as the inner side."""
    return Moments(
        m.cross.T, m.inner_ss.T, m.outer_ss.T, m.inner_total.T, m.outer_total.T, m.rank.T, m.n.T
    )
