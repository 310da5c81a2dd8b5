"""What remains of effects that were reported because they were large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from radgen.errors import InputError

__all__ = ["Z_EDGES", "EffectPrior", "fit_prior", "one_sided_power"]

Array = NDArray[np.float64]

Z_EDGES = np.concatenate([np.arange(0.0, 8.0, 0.04), np.geomspace(8.0, 400.0, 80)])
"""Edges of |z| at which tests are counted; the last bin is open."""

_SCALES = np.concatenate([[0.0], np.geomspace(0.25, 256.0, 21)])
_ROUNDS = 10_000
_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False, slots=True)
class EffectPrior:
    """Distribution of the true effects in standard errors: a mixture of normals around 0.

    Attributes
    ----------
    scales : ndarray of float64 (n_components,)
        Standard deviations; the first is 0, no effect.
    weights : ndarray of float64 (n_components,)
        Their shares, which sum to 1.
    """

    scales: Array
    weights: Array

    def responsibilities(self, z: ArrayLike) -> Array:
        """Return the posterior share of each component, (n_tests, n_components)."""
        value = np.asarray(z, dtype=np.float64)[..., None]
        variance = 1.0 + self.scales**2
        with np.errstate(divide="ignore"):
            log = np.log(self.weights) - 0.5 * np.log(variance) - 0.5 * value**2 / variance
        log -= log.max(axis=-1, keepdims=True)
        share = np.exp(log)
        return np.asarray(share / share.sum(axis=-1, keepdims=True))

    def mean(self, z: ArrayLike) -> Array:
        """Return the posterior mean of the true effect, in standard errors; NaN stays NaN."""
        keep = self.scales**2 / (1.0 + self.scales**2)
        value = np.asarray(z, dtype=np.float64)
        known = np.where(np.isnan(value), 0.0, value)
        return np.where(np.isnan(value), np.nan, known * (self.responsibilities(known) @ keep))

    def replication_power(self, z: ArrayLike, ratio: ArrayLike, level: float = 0.05) -> Array:
        """Return the chance that a second cohort finds the effect in the same direction.

        Parameters
        ----------
        z : array_like of float64 (n_tests,)
            Effects of the first cohort in its standard errors; NaN gives NaN.
        ratio : array_like of float64 (n_tests,)
            Standard error of the first cohort over that of the second.
        level : float, default 0.05
            One-sided level of the second.

        Returns
        -------
        ndarray of float64 (n_tests,)
            At `level` where there is certainly no effect.
        """
        value = np.asarray(z, dtype=np.float64)
        known = np.where(np.isnan(value), 0.0, np.abs(value))
        r = np.asarray(ratio, dtype=np.float64)[..., None]
        keep = self.scales**2 / (1.0 + self.scales**2)
        chance = ndtr((keep * known[..., None] * r + ndtri(level)) / np.sqrt(1.0 + keep * r**2))
        found = np.sum(self.responsibilities(known) * chance, axis=-1)
        return np.where(np.isnan(value), np.nan, found)


def fit_prior(counts: ArrayLike) -> EffectPrior:
    """Return the distribution of true effects that makes the observed z-values likely.

    Parameters
    ----------
    counts : array_like of int (n_bins,)
        How many tests have |z| from each value of `Z_EDGES` to the next, the last bin open.

    Returns
    -------
    EffectPrior
        All weight on no effect where there is no test.

    Raises
    ------
    InputError
        If there are not as many counts as edges.

    Notes
    -----
    Maximum likelihood of the weights of normals with fixed scales by the EM algorithm, on
    counts, so that a hundred million tests cost no more than ten. The likelihood is concave.
    Tests that depend on each other leave the estimate consistent, and more variable.

    References
    ----------
    Stephens (2017), Biostatistics 18, 275-294 (adaptive shrinkage; here without a penalty on
    the share of no effects).
    """
    n = np.asarray(counts, dtype=np.float64)
    if n.shape != Z_EDGES.shape:
        raise InputError(f"Counts of {len(Z_EDGES)} bins are needed; found shape {n.shape}.")
    total = n.sum()
    if total == 0:
        return EffectPrior(_SCALES, np.eye(len(_SCALES))[0])
    deviation = np.sqrt(1.0 + _SCALES**2)
    upper = ndtr(-Z_EDGES[:, None] / deviation)
    density = 2.0 * (upper - np.vstack([upper[1:], np.zeros(len(_SCALES))]))
    used = n > 0
    density, share = np.maximum(density[used], 1e-300), n[used] / total
    weights = np.full(len(_SCALES), 1.0 / len(_SCALES))
    for _ in range(_ROUNDS):
        mixed = density @ weights
        new = weights * (density.T @ (share / mixed))
        new /= new.sum()
        if np.max(np.abs(new - weights)) < _TOLERANCE:
            break
        weights = new
    return EffectPrior(_SCALES, new)


def one_sided_power(effect: ArrayLike, se: ArrayLike, level: float = 0.05) -> Array:
    """Return the chance that a true effect is found in its own direction.

    Parameters
    ----------
    effect : array_like of float64
        True effect.
    se : array_like of float64
        Standard error of the estimate.
    level : float, default 0.05
        One-sided level.

    Returns
    -------
    ndarray of float64
        `level` or more; NaN where the error is not known.

    Examples
    --------
    >>> float(one_sided_power(0.5, 0.2).round(3))
    0.804
    """
    size = np.abs(np.asarray(effect, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(ndtr(size / np.asarray(se, dtype=np.float64) + ndtri(level)))
