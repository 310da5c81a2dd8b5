"""Groups of traits that miss the same people, each with its own exact design."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TraitGroup", "basis", "group_traits", "orthonormal"]

_RANK_TOLERANCE = 1e-9
_TOGETHER = 64


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
        Residuals of the traits, scaled to length 1; 0 where missing.
    norm : ndarray of float64 (n_traits,)
        Length of each residual before scaling; 0 = the covariates explain the trait wholly.
    n_samples : int
        Samples in use.
    """

    traits: NDArray[np.int64]
    off: NDArray[np.int64]
    q: NDArray[np.float64]
    y: NDArray[np.float64]
    norm: NDArray[np.float64]
    n_samples: int

    @property
    def rank(self) -> int:
        """Rank of intercept and covariates."""
        return int(self.q.shape[1])


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
    first = np.full((n, 1), 1.0 / np.sqrt(n))
    centred = x - x.mean(axis=0)
    scale = np.sqrt((x * x).sum(axis=0))
    centred[:, np.sqrt((centred * centred).sum(axis=0)) <= 1e-11 * scale] = 0.0
    return np.hstack([first, orthonormal(centred)])


def group_traits(values: NDArray[np.float64], covariates: NDArray[np.float64]) -> list[TraitGroup]:
    """Return the traits grouped by who misses them.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_traits)
        NaN = missing.
    covariates : ndarray of float64 (n_samples, n_covariates)
        Without intercept, no missing value.
    """
    known = np.isfinite(values)
    patterns: dict[bytes, list[int]] = {}
    if known.all():
        patterns[b""] = list(range(values.shape[1]))
    else:
        for trait in range(values.shape[1]):
            patterns.setdefault(known[:, trait].tobytes(), []).append(trait)
    return [
        _group(values, covariates, known[:, traits[0]], np.array(traits))
        for traits in patterns.values()
    ]


def _group(
    values: NDArray[np.float64],
    covariates: NDArray[np.float64],
    used: NDArray[np.bool_],
    traits: NDArray[np.int64],
) -> TraitGroup:
    inside = basis(covariates[used])
    # `take` gives C order, which kernels need; a fancy index would not.
    y = np.take(values, traits, axis=1) if used.all() else values[np.ix_(used, traits)]
    norm = np.empty(len(traits))
    # A few traits at a time: the temporaries of a million phenotypes would not fit.
    for low in range(0, len(traits), _TOGETHER):
        part = y[:, low : low + _TOGETHER] - y[:, low : low + _TOGETHER].mean(axis=0)
        total = np.sqrt(np.einsum("nk,nk->k", part, part))
        for _ in range(2):
            part -= inside @ (inside.T @ part)
        size = np.sqrt(np.einsum("nk,nk->k", part, part))
        size[size <= 1e-10 * total] = 0.0
        y[:, low : low + _TOGETHER] = np.where(size > 0, part / np.where(size > 0, size, 1.0), 0.0)
        norm[low : low + _TOGETHER] = size
    if used.all():
        return TraitGroup(traits, np.empty(0, np.int64), inside, y, norm, len(used))
    q_all = np.zeros((len(used), inside.shape[1]))
    y_all = np.zeros((len(used), len(traits)))
    q_all[used], y_all[used] = inside, y
    return TraitGroup(traits, np.flatnonzero(~used), q_all, y_all, norm, int(used.sum()))
