"""Groups of traits that miss the same people, each with its own exact design."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.threads import one_blas_thread

__all__ = ["TOGETHER", "TraitGroup", "basis", "group_traits", "orthonormal"]

_RANK_TOLERANCE = 1e-9
TOGETHER = 64
"""Traits whose residuals are computed at a time."""


@dataclass(frozen=True, eq=False, slots=True)
class TraitGroup:
    """Traits with the same missing people.

    Attributes
    ----------
    traits : ndarray of int64 (n_traits,)
        Columns of the trait matrix.
    off : ndarray of int64
        Samples that miss these traits.
    q : ndarray of float64 (n_samples, rank)
        Orthonormal basis of intercept and covariates over the samples in use; 0 elsewhere.
    y : ndarray of float64 (n_samples, n_traits)
        Residuals of the traits, scaled to length 1; 0 where missing. Without columns where a
        scan needs few of them: see `residuals`.
    norm : ndarray of float64 (n_traits,)
        Length of each residual before scaling; 0 = the covariates explain the trait wholly.
    n_samples : int
        Samples in use.
    values : ndarray of float64 (n_samples, n_all_traits) or None
        The trait matrix as given, where `y` has no columns.
    single : ndarray of float32 (n_samples, rank + n_traits) or None
        Basis and residuals side by side in single precision, where `y` has no columns.
    """

    traits: NDArray[np.int64]
    off: NDArray[np.int64]
    q: NDArray[np.float64]
    y: NDArray[np.float64]
    norm: NDArray[np.float64]
    n_samples: int
    values: NDArray[np.float64] | None = None
    single: NDArray[np.float32] | None = None

    @property
    def rank(self) -> int:
        """Rank of intercept and covariates."""
        return int(self.q.shape[1])

    def residuals(self, columns: NDArray[Any] | slice) -> NDArray[np.float64]:
        """Return the residuals of some of the traits, scaled to length 1; 0 where missing."""
        if self.values is None:
            return np.ascontiguousarray(self.y[:, columns])
        own = np.ascontiguousarray(self.values[:, self.traits[columns]])
        y, _ = _residuals(own, self.off, self.q)
        return y


def _residuals(
    y: NDArray[np.float64], off: NDArray[np.int64], q: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return residuals of length 1 and their lengths before scaling, `y` overwritten."""
    n = len(y) - len(off)
    y[off] = 0.0
    y -= y.sum(axis=0) / max(n, 1)
    y[off] = 0.0
    total = np.sqrt(np.einsum("nk,nk->k", y, y))
    for _ in range(2):
        y -= q @ (q.T @ y)
    size = np.sqrt(np.einsum("nk,nk->k", y, y))
    size[size <= 1e-10 * total] = 0.0
    y *= np.where(size > 0, 1.0 / np.where(size > 0, size, 1.0), 0.0)
    return y, size


def orthonormal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an orthonormal basis of the columns of `x`, of its numerical rank.

    Parameters
    ----------
    x : ndarray of float64 (n_samples, n_columns)
        Columns are scaled to length 1 before the decomposition, so that units do not matter.

    Returns
    -------
    ndarray of float64 (n_samples, rank)
    """
    length = np.sqrt((x * x).sum(axis=0))
    scaled = x[:, length > 0] / length[length > 0]
    if not scaled.shape[1]:
        return np.empty((len(x), 0))
    left, size, _ = np.linalg.svd(scaled, full_matrices=False)
    return np.asarray(left[:, : int((size > _RANK_TOLERANCE * size[0]).sum())])


def basis(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an orthonormal basis of intercept and covariates (n_samples, rank).

    The covariates are centred first: a year of birth is not lost beside the intercept.
    """
    n = len(x)
    if not n:  # no man has a trait that is tested on Y
        return np.empty((0, 0))
    first = np.full((n, 1), 1.0 / np.sqrt(n))
    centred = x - x.mean(axis=0)
    scale = np.sqrt((x * x).sum(axis=0))
    centred[:, np.sqrt((centred * centred).sum(axis=0)) <= 1e-11 * scale] = 0.0
    return np.hstack([first, orthonormal(centred)])


def group_traits(
    values: NDArray[np.float64],
    covariates: NDArray[np.float64],
    *,
    keep: bool = True,
    workers: int = 1,
) -> list[TraitGroup]:
    """Return the traits grouped by who misses them.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_traits)
        NaN = missing.
    covariates : ndarray of float64 (n_samples, n_covariates)
        Without intercept, no missing value.
    keep : bool, default True
        Hold the residuals of all traits in double precision; otherwise they are held in single
        precision, and computed again when asked for.
    workers : int, default 1
        Threads for many traits.
    """
    known = np.isfinite(values)
    patterns: dict[bytes, list[int]] = {}
    if known.all():
        patterns[b""] = list(range(values.shape[1]))
    else:
        for trait in range(values.shape[1]):
            patterns.setdefault(known[:, trait].tobytes(), []).append(trait)
    return [
        _group(
            values, covariates, known[:, traits[0]], np.array(traits), keep=keep, workers=workers
        )
        for traits in patterns.values()
    ]


def _columns(values: NDArray[np.float64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return a copy of some columns of a matrix, side by side."""
    first, last = int(columns[0]), int(columns[-1]) + 1
    if last - first == len(columns) and (columns == np.arange(first, last)).all():
        return values[:, first:last].copy()
    return np.ascontiguousarray(values[:, columns])


def _group(
    values: NDArray[np.float64],
    covariates: NDArray[np.float64],
    used: NDArray[np.bool_],
    traits: NDArray[np.int64],
    *,
    keep: bool,
    workers: int,
) -> TraitGroup:
    inside = basis(covariates[used])
    q = np.zeros((len(used), inside.shape[1]))
    q[used] = inside
    off = np.flatnonzero(~used)
    norm = np.empty(len(traits))
    rank = q.shape[1]
    y = np.empty((len(used), len(traits) if keep else 0))
    single = None if keep else np.empty((len(used), rank + len(traits)), np.float32)
    if single is not None:
        single[:, :rank] = q

    def fill(low: int) -> None:
        some = slice(low, low + TOGETHER)
        part, norm[some] = _residuals(_columns(values, traits[some]), off, q)
        if single is None:
            y[:, some] = part
        else:
            single[:, rank + low : rank + low + part.shape[1]] = part

    # A few traits at a time: the temporaries of a million phenotypes would not fit.
    lows = range(0, len(traits), TOGETHER)
    if workers > 1 and len(lows) > 1:
        with one_blas_thread(), ThreadPoolExecutor(workers) as pool:
            list(pool.map(fill, lows))
    else:
        for low in lows:
            fill(low)
    held = None if keep else values
    return TraitGroup(traits, off, q, y, norm, int(used.sum()), held, single)
