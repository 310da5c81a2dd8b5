"""Bases, patterns of missing values and cross products that block regressions share."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CONSTANT_RTOL",
    "RANK_RTOL",
    "Holed",
    "Moments",
    "Patterns",
    "covariate_basis",
    "cross_moments",
    "patterns",
    "residualise",
    "spread",
]

Array = NDArray[np.float64]
Patterns = list[tuple[NDArray[np.bool_], NDArray[np.int64]]]

RANK_RTOL = 1e-8
CONSTANT_RTOL = 64 * np.finfo(np.float64).eps
_RECOMPUTE_BELOW = 1e-2
_TINY_SHARE = 1e-10
_WELL_CONDITIONED = 0.1


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
    varies = norm > CONSTANT_RTOL * np.abs(z).max(axis=0, initial=0.0) * np.sqrt(n_samples)
    if not varies.any():
        return constant
    q, r, _ = qr(centred[:, varies] / norm[varies], mode="economic", pivoting=True)
    rank = int(np.count_nonzero(np.abs(np.diag(r)) > RANK_RTOL))
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


def spread(values: Array) -> tuple[Array, Array]:
    """Centred columns and their sums of squares; 0 where a column is constant."""
    if not len(values):
        return values, np.zeros(values.shape[1])
    centred = values - values.mean(axis=0)
    total = np.einsum("ij,ij->j", centred, centred)
    scale = np.abs(values).max(axis=0) * CONSTANT_RTOL
    return centred, np.where(total <= len(values) * scale**2, 0.0, total)


@dataclass(frozen=True, eq=False, slots=True)
class Moments:
    """Residual moments of every (outer, inner) pair, all (n_outer, n_inner)."""

    cross: Array
    outer_ss: Array
    inner_ss: Array
    outer_total: Array
    inner_total: Array
    rank: Array
    n: Array


def cross_moments(outer: Array, outer_patterns: Patterns, inner: Array, z: Array | None) -> Moments:
    """Return the residual moments of all pairs, on the complete samples of each.

    Parameters
    ----------
    outer : ndarray of float64 (n_samples, n_outer)
        NaN = missing.
    outer_patterns : list
        Its `patterns`.
    inner : ndarray of float64 (n_samples, n_inner)
        NaN = missing.
    z : ndarray of float64 (n_samples, n_covariates) or None
        Finite.

    Returns
    -------
    Moments
        Of the outer columns with each inner one.
    """
    shape = (outer.shape[1], inner.shape[1])
    out = Moments(*(np.zeros(shape) for _ in fields(Moments)))
    for rows, columns in outer_patterns:
        sub_z = None if z is None else z[rows]
        if rows.all():
            part = Holed(inner, sub_z).against(outer[:, columns])
        else:
            part = Holed(inner[rows], sub_z).against(outer[np.ix_(rows, columns)])
        for item in fields(Moments):
            getattr(out, item.name)[columns] = getattr(part, item.name)
    return out


@dataclass(frozen=True, eq=False, slots=True)
class _Pattern:
    """Columns that miss the same rows, and the covariates on the rows that they have.

    ``carried`` times what complete columns, orthogonal to the covariates, hold on the missing
    rows is their product with the orthonormal covariates of the known rows.
    """

    rows: NDArray[np.bool_]
    gone: NDArray[np.int64]
    columns: NDArray[np.int64]
    own: Array
    carried: Array | None


class Holed:
    """Columns with missing values, residualised on the rows of each; for many outer blocks.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_columns)
        NaN = missing.
    z : ndarray of float64 (n_samples, n_covariates) or None
        Finite.
    """

    def __init__(self, values: Array, z: Array | None) -> None:
        n_rows, count = values.shape
        self.basis = covariate_basis(z, n_rows)
        self.left = np.zeros((n_rows, count))
        self.ss, self.total = np.zeros(count), np.zeros(count)
        self.rank, self.n = np.zeros(count), np.zeros(count)
        self.patterns: list[_Pattern] = []
        self.pattern_of = np.full(count, -1)
        for rows, columns in patterns(values):
            if not rows.any():
                continue
            whole = bool(rows.all())
            own = self.basis
            if not whole:
                own = covariate_basis(None if z is None else z[rows], int(rows.sum()))
                carried = _carried(self.basis, rows, own)
                self.pattern_of[columns] = len(self.patterns)
                self.patterns.append(_Pattern(rows, np.flatnonzero(~rows), columns, own, carried))
            part = values[:, columns] if whole else values[np.ix_(rows, columns)]
            kept = residualise(part, own)
            self.left[np.ix_(rows, columns)] = kept
            self.ss[columns] = np.einsum("ij,ij->j", kept, kept)
            self.total[columns] = spread(part)[1]
            self.rank[columns], self.n[columns] = own.shape[1], rows.sum()

    def against(self, outer: Array) -> Moments:
        """Return the moments of complete columns (n_samples, n_outer) with these."""
        n_outer, n_inner = outer.shape[1], len(self.ss)
        if not len(outer):
            return Moments(*(np.zeros((n_outer, n_inner)) for _ in fields(Moments)))
        outer_left = residualise(outer, self.basis)
        outer_total = spread(outer)[1]
        outer_ss = np.einsum("ij,ij->j", outer_left, outer_left)
        # A row a pattern and one of zeros for complete columns: rows are written as they lie.
        ss = np.repeat(outer_ss[None], len(self.patterns) + 1, axis=0)
        cross = outer_left.T @ self.left
        redo = []
        # What is small beside what it lost has lost its digits too.
        floor = np.maximum(_RECOMPUTE_BELOW * outer_ss, _TINY_SHARE * outer_total)
        for row, item in enumerate(self.patterns):
            ss[row] -= _lost(item, outer_left)
            weak = np.flatnonzero((ss[row] < floor) & (outer_total > 0))
            if weak.size:
                part = outer[np.ix_(item.rows, weak)]
                exact = residualise(part, item.own)
                ss[row, weak] = np.einsum("ij,ij->j", exact, exact)
                redo.append((np.ix_(weak, item.columns), spread(part)[1]))
                known = self.left[np.ix_(item.rows, item.columns)]
                cross[redo[-1][0]] = exact.T @ known
        big_ss = np.ascontiguousarray(ss[self.pattern_of].T)
        big_total = np.broadcast_to(outer_total[:, None], big_ss.shape)
        if redo:
            big_total = np.array(big_total)
        for where, exact_total in redo:
            big_total[where] = exact_total[:, None]
        shape = cross.shape
        inner = (np.broadcast_to(v, shape) for v in (self.ss, self.total, self.rank, self.n))
        inner_ss, inner_total, rank, n = inner
        return Moments(cross, big_ss, inner_ss, big_total, inner_total, rank, n)


def _carried(basis: Array, rows: NDArray[np.bool_], own: Array) -> Array | None:
    """Rows of the covariates that are missing, in the coordinates of those that are known.

    None where too little is left to express one by the other.
    """
    gone = ~rows
    if gone.sum() > rows.sum():
        return None
    turn, _, _, weights = np.linalg.lstsq(basis[rows], own, rcond=None)
    if weights.min() < _WELL_CONDITIONED:
        return None
    return np.asarray((basis[gone] @ turn).T)


def _lost(item: _Pattern, outer_left: Array) -> Array:
    """What sums of squares of residuals lose on the missing rows of a pattern."""
    gone = outer_left[item.gone]
    if item.carried is None:
        projected = item.own.T @ outer_left[item.rows]
    else:
        projected = item.carried @ gone
    return np.asarray(
        np.einsum("ij,ij->j", gone, gone) + np.einsum("ij,ij->j", projected, projected)
    )
