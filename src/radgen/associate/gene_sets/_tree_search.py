"""The best split of a node of a module tree, by normal-gamma likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

__all__ = ["Search", "Split", "log_evidence", "log_predictive"]

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

# Weak prior of a leaf in units of the root: mean 0 worth one sample, variance about 1.
_KAPPA, _ALPHA, _BETA = 1.0, 1.0, 0.5
_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Split:
    """A split: samples with values up to `threshold` of a trait go left.

    Attributes
    ----------
    trait : int
        Column of the trait.
    threshold : float
        Half-way between two neighbouring values.
    gain : float
        Log marginal likelihood of both children less that of the node.
    """

    trait: int
    threshold: float
    gain: float


def log_evidence(n: Array, total: Array, square: Array) -> Array:
    """Return the log marginal likelihood of samples of a leaf under the normal-gamma prior.

    Parameters
    ----------
    n, total, square : ndarray of float64
        Number, sum and sum of squares of the samples; any shape.
    """
    mean = total / np.maximum(n, 1)
    inner = np.maximum(square - n * mean**2, 0.0)
    kappa, alpha = _KAPPA + n, _ALPHA + n / 2
    beta = _BETA + inner / 2 + _KAPPA * n * mean**2 / (2 * kappa)
    return np.asarray(
        gammaln(alpha) - gammaln(_ALPHA) + _ALPHA * np.log(_BETA) - alpha * np.log(beta)
        + 0.5 * np.log(_KAPPA / kappa) - n / 2 * _LOG_2PI
    )  # fmt: skip


def log_predictive(new: Array, seen: Array) -> Array:
    """Return the log density of new samples given those of a leaf (Student's t)."""
    n = len(seen)
    mean = seen.mean() if n else 0.0
    inner = float(((seen - mean) ** 2).sum())
    kappa, alpha = _KAPPA + n, _ALPHA + n / 2
    beta = _BETA + inner / 2 + _KAPPA * n * mean**2 / (2 * kappa)
    middle = n * mean / kappa
    df, scale = 2 * alpha, beta * (kappa + 1) / (alpha * kappa)
    return np.asarray(
        gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(np.pi * df * scale)
        - (df + 1) / 2 * np.log1p((new - middle) ** 2 / (df * scale))
    )  # fmt: skip


class Search:
    """All splits of a node by all traits, ordered once and searched for any scores.

    Parameters
    ----------
    traits : ndarray of float64 (n_samples, n_traits)
        No NaN.
    min_leaf : int
        Fewest samples of a child.
    """

    def __init__(self, traits: Array, min_leaf: int) -> None:
        self.order = np.argsort(traits, axis=0, kind="stable")
        self.values = np.take_along_axis(traits, self.order, axis=0)
        n = len(traits)
        left = np.arange(1, n)
        enough = (left >= min_leaf) & (n - left >= min_leaf)
        self.allowed = enough[:, None] & (self.values[1:] > self.values[:-1])

    def best(self, scores: Array) -> tuple[Array, Rows, Rows]:
        """Return largest gain, its place in the order, and its trait, for each column.

        Parameters
        ----------
        scores : ndarray of float64 (n_samples, n_columns)
            Module scores, or permutations of them.
        """
        n, k = scores.shape
        gain, place, trait = np.full(k, -np.inf), np.zeros(k, np.int64), np.zeros(k, np.int64)
        total, square = scores.sum(axis=0), (scores**2).sum(axis=0)
        whole = log_evidence(np.full(k, float(n)), total, square)
        count = np.arange(1.0, n)[:, None]
        for column in range(self.order.shape[1]):
            allowed = self.allowed[:, column]
            if not allowed.any():
                continue
            ordered = scores[self.order[:, column]]
            part = np.cumsum(ordered, axis=0)[:-1][allowed]
            power = np.cumsum(ordered**2, axis=0)[:-1][allowed]
            left = count[allowed]
            found = log_evidence(left, part, power)
            found += log_evidence(n - left, total - part, square - power)
            found -= whole
            at = found.argmax(axis=0)
            own = found[at, np.arange(k)]
            better = own > gain + 1e-12
            gain = np.where(better, own, gain)
            trait = np.where(better, column, trait)
            place = np.where(better, np.flatnonzero(allowed)[at], place)
        return gain, place, trait

    def split(self, scores: Array) -> Split | None:
        """Return the best split of one column of scores (n_samples,); None where there is none."""
        gain, place, trait = self.best(scores[:, None])
        if not np.isfinite(gain[0]):
            return None
        column, at = int(trait[0]), int(place[0])
        middle = (self.values[at, column] + self.values[at + 1, column]) / 2
        # Halfway between neighbouring floats rounds up to the upper one: keep it on the left.
        threshold = middle if middle < self.values[at + 1, column] else self.values[at, column]
        return Split(column, float(threshold), float(gain[0]))
