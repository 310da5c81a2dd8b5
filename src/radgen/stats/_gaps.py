"""Regressions where columns of one side miss samples: each on the samples that it has."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from radgen.stats._linear_parts import (
    CONSTANT_RTOL,
    Patterns,
    covariate_basis,
    patterns,
    residualise,
    spread,
)

__all__ = ["Holed", "Moments", "cross_moments"]

Array = NDArray[np.float64]

_RECOMPUTE_BELOW = 1e-2
_TINY_SHARE = 1e-10
_WELL_CONDITIONED = 0.1
_TRIANGLE, _CARRIED, _KNOWN = range(3)


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


def cross_moments(
    outer: Array,
    outer_patterns: Patterns,
    inner: Array,
    z: Array | None,
    ready: Holed | None = None,
) -> Moments:
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
    ready : Holed or None
        ``Holed(inner, z)`` where it is at hand.

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
            part = (ready or Holed(inner, sub_z)).against(outer[:, columns])
        else:
            part = Holed(inner[rows], sub_z).against(outer[np.ix_(rows, columns)])
        for item in fields(Moments):
            getattr(out, item.name)[columns] = getattr(part, item.name)
    return out


@dataclass(frozen=True, eq=False, slots=True)
class _Losses:
    """How sums of squares of complete residuals shrink on the rows of each pattern.

    A quadratic form in the residuals on `rows`, which the compiled pass takes; `kind` says
    which (see ``_native/regress``).
    """

    kind: NDArray[np.int32]
    row_start: NDArray[np.int64]
    rows: NDArray[np.int32]
    weight_start: NDArray[np.int64]
    weights: Array

    @classmethod
    def of(cls, parts: list[tuple[int, NDArray[np.int64], Array]]) -> _Losses:
        """Return the parts, (kind, rows, weights) of each pattern, one after the other."""
        rows = [np.asarray(item[1], dtype=np.int32) for item in parts]
        weights = [np.ravel(item[2]) for item in parts]
        return cls(
            np.array([item[0] for item in parts], dtype=np.int32),
            np.cumsum([0, *map(len, rows)], dtype=np.int64),
            np.concatenate([*rows, np.zeros(0, dtype=np.int32)]),
            np.cumsum([0, *map(len, weights)], dtype=np.int64),
            np.concatenate([*weights, np.zeros(0)]),
        )


class Holed:
    """Columns with missing values, residualised on the rows of each; for many outer blocks.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_columns)
        NaN = missing.
    z : ndarray of float64 (n_samples, n_covariates) or None
        Finite.
    basis : ndarray of float64 (n_samples, rank) or None
        ``covariate_basis(z, n_samples)`` where it is at hand.

    Attributes
    ----------
    left : ndarray of float64 (n_samples, n_columns)
        Residuals on the known rows of each column, 0 on the others.
    ss, total : ndarray of float64 (n_columns,)
        Sums of squares of `left` and of the centred columns (0 = constant).
    rank, n : ndarray of float64 (n_columns,)
        Of the covariates on the known rows, and how many these are.
    pattern : ndarray of int32 (n_columns,)
        Number of each column's pattern, -1 without a gap.

    Notes
    -----
    With B the basis and g what it holds on missing rows, the covariates of the known rows have
    the cross product A = I - g'g: where A is well conditioned, all columns are projected at
    once by A's inverse, and what a complete residual r loses is r_g'(I - gg')^-1 r_g. Where it
    is not, the basis of the known rows is made anew.
    """

    def __init__(self, values: Array, z: Array | None, basis: Array | None = None) -> None:
        n_rows, count = values.shape
        self.basis = covariate_basis(z, n_rows) if basis is None else basis
        self.values, self.z = values, z
        self.known = ~np.isnan(values)
        self.pattern = np.full(count, -1, dtype=np.int32)
        self.rank, self.n = np.zeros(count), self.known.sum(axis=0).astype(np.float64)
        self.rank[self.n > 0] = self.basis.shape[1]
        groups = [
            (rows, columns) for rows, columns in patterns(values) if rows.any() and not rows.all()
        ]
        for number, (_, columns) in enumerate(groups):
            self.pattern[columns] = number
        self.columns = [columns for _, columns in groups]
        self.rows = [rows for rows, _ in groups]
        inverse = self._prepare()
        self._project(inverse)

    def _prepare(self) -> Array:
        """Work out what patterns lose; return the inverse of A of each, NaN where it is weak."""
        rank = self.basis.shape[1]
        inverse = np.full((len(self.rows), rank, rank), np.nan)
        parts: list[tuple[int, NDArray[np.int64], Array] | None] = [None] * len(self.rows)
        gone = [np.flatnonzero(~rows) for rows in self.rows]
        size = np.array([len(item) for item in gone], dtype=np.int64)
        for m in np.unique(size):
            here = np.flatnonzero(size == m)
            g = self.basis[np.stack([gone[p] for p in here])]
            if 2 * m > len(self.basis):
                continue
            fine = np.einsum("pij,pij->p", g, g) < 1.0 - _WELL_CONDITIONED
            cross = np.eye(rank) - g.transpose(0, 2, 1) @ g
            # The trace bounds the largest eigenvalue, and costs little.
            fine[~fine] = np.linalg.eigvalsh(cross[~fine])[:, 0] > _WELL_CONDITIONED
            if not fine.any():
                continue
            here, g, cross = here[fine], g[fine], cross[fine]
            inverse[here] = np.linalg.inv(cross)
            kind = _TRIANGLE if m <= 2 * rank else _CARRIED
            if kind == _TRIANGLE:
                turned = np.eye(m) + g @ inverse[here] @ g.transpose(0, 2, 1)
                carried = np.linalg.cholesky(turned).transpose(0, 2, 1)
            else:
                root = np.linalg.cholesky(inverse[here]).transpose(0, 2, 1)
                carried = root @ g.transpose(0, 2, 1)
            for p, weights in zip(here, carried, strict=True):
                parts[p] = (kind, gone[p], weights)
        self.own: dict[int, Array] = {}
        done: list[tuple[int, NDArray[np.int64], Array]] = []
        for p, part in enumerate(parts):
            if part is None:
                own = self._own(p)
                part = (_KNOWN, np.flatnonzero(self.rows[p]), own.T)
            done.append(part)
        self.losses = _Losses.of(done)
        return inverse

    def _own(self, p: int) -> Array:
        """The basis of the known rows of a pattern, made anew."""
        if p not in self.own:
            rows = self.rows[p]
            self.own[p] = covariate_basis(None if self.z is None else self.z[rows], int(rows.sum()))
        return self.own[p]

    def _project(self, inverse: Array) -> None:
        count = np.maximum(self.n, 1.0)
        filled = np.where(self.known, self.values, 0.0)
        largest = np.abs(filled).max(axis=0, initial=0.0)
        left = np.where(self.known, filled - filled.sum(axis=0) / count, 0.0)
        total = np.einsum("ij,ij->j", left, left)
        self.total = np.where(total <= self.n * (largest * CONSTANT_RTOL) ** 2, 0.0, total)
        rank = self.basis.shape[1]
        each = np.concatenate([inverse, np.eye(rank)[None]])[self.pattern]
        weak = np.isnan(each[:, 0, 0])
        each[weak] = 0.0
        for _ in range(2):
            weights = np.einsum("jab,jb->ja", each, left.T @ self.basis)
            left -= np.where(self.known, self.basis @ weights.T, 0.0)
        self.left = left
        for p in sorted(set(self.pattern[weak].tolist())):
            rows, columns, own = self.rows[p], self.columns[p], self._own(p)
            self.left[np.ix_(rows, columns)] = residualise(self.values[np.ix_(rows, columns)], own)
            self.rank[columns] = own.shape[1]
        self.ss = np.einsum("ij,ij->j", self.left, self.left)

    def shrunk(self, left: Array, whole: Array, out: Array, *, turned: bool = False) -> Array:
        """Return sums of squares of complete residuals on the rows of each column.

        Parameters
        ----------
        left : ndarray of float64 (n_samples, n_outer)
            Orthogonal to the basis.
        whole : ndarray of float64 (n_outer,)
            Their sums of squares.
        out : ndarray of float64 (n_outer, n_columns), (n_columns, n_outer) where turned
            Written to.
        turned : bool
            Whether columns of `self` come first.

        Returns
        -------
        ndarray of float64
            `out`.
        """
        from radgen._native._regress import losses as _native_losses

        loss = self.losses
        _native_losses(
            out, np.ascontiguousarray(left), whole, self.pattern, loss.kind, loss.row_start,
            loss.rows, loss.weight_start, loss.weights, turned,
        )  # fmt: skip
        return out

    def against(self, outer: Array) -> Moments:
        """Return the moments of complete columns (n_samples, n_outer) with these."""
        n_outer, n_inner = outer.shape[1], len(self.ss)
        if not len(outer):
            return Moments(*(np.zeros((n_outer, n_inner)) for _ in fields(Moments)))
        outer_left = residualise(outer, self.basis)
        outer_total = spread(outer)[1]
        outer_ss = np.einsum("ij,ij->j", outer_left, outer_left)
        ss = self.shrunk(outer_left, outer_ss, np.empty((n_outer, n_inner)))
        cross = outer_left.T @ self.left
        big_total = np.broadcast_to(outer_total[:, None], ss.shape)
        # What is small beside what it lost has lost its digits too.
        floor = least_safe(outer_ss, outer_total)
        weak = (ss < floor[:, None]) & (outer_total > 0)[:, None] & (self.pattern >= 0)
        if weak.any():
            big_total = np.array(big_total)
            for p in sorted(set(self.pattern[weak.any(axis=0)].tolist())):
                columns, rows = self.columns[p], self.rows[p]
                few = np.flatnonzero(weak[:, columns[0]])
                part = outer[np.ix_(rows, few)]
                exact = residualise(part, self._own(p))
                here = np.ix_(few, columns)
                ss[here] = np.einsum("ij,ij->j", exact, exact)[:, None]
                cross[here] = exact.T @ self.left[np.ix_(rows, columns)]
                big_total[here] = spread(part)[1][:, None]
        inner = (np.broadcast_to(v, ss.shape) for v in (self.ss, self.total, self.rank, self.n))
        inner_ss, inner_total, rank, n = inner
        return Moments(cross, ss, inner_ss, big_total, inner_total, rank, n)


def least_safe(ss: Array, total: Array) -> Array:
    """Return the sums of squares below which a difference is taken anew from the values."""
    return np.maximum(_RECOMPUTE_BELOW * ss, _TINY_SHARE * total)
