"""Learners of many traits at once, and their predictions for samples held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold

from radgen._core.rng import spawn
from radgen.associate._held_out import performance
from radgen.associate.surrogates._sides import standardised
from radgen.stats.ridge import RidgeBasis

__all__ = ["HeldOut", "Machine", "calibration_slope", "held_out", "machine_of"]

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Machine:
    """Samples that a learner can be trained on and asked about, by position.

    Attributes
    ----------
    model : estimator or None
        None = ridge regression through products of samples.
    values : ndarray of float64
        Products (n_samples, n_samples) for ridge, else predictors (n_samples, n_predictors).
    """

    model: Any
    values: Array

    def scores(
        self, train: Rows, targets: Array, test: Rows, penalties: Array | None = None
    ) -> tuple[Array, Array]:
        """Return predictions (n_test, n_targets) without intercept, and ridge penalties.

        `train` may name a sample several times; `targets` (n_train, n_targets) follows it.
        """
        if self.model is not None:
            return self._asked(train, targets, test), np.full(targets.shape[1], np.nan)
        own = self.values[np.ix_(train, train)]
        fit = RidgeBasis.of_products(own).fit(targets, penalties=penalties)
        level = own.mean(axis=0)
        across = self.values[np.ix_(test, train)]
        across = across - across.mean(axis=1, keepdims=True) - level + level.mean()
        return across @ fit.coefficients, fit.penalties

    def _asked(self, train: Rows, targets: Array, test: Rows) -> Array:
        x = self.values[train]
        out = np.empty((len(test), targets.shape[1]))
        middle = np.zeros((1, x.shape[1]))
        for k, y in enumerate(targets.T):
            fitted = clone(self.model).fit(x, y)
            out[:, k] = _score(fitted, self.values[test]) - _score(fitted, middle)[0]
        return out


def machine_of(model: Any, *parts: Array) -> Machine:
    """Return a learner of stacked samples, predictors standardised before."""
    z = np.concatenate(parts)
    return Machine(model, z @ z.T if model is None else z)


def _score(model: Any, z: Array) -> Array:
    if hasattr(model, "decision_function"):
        return np.asarray(np.ravel(model.decision_function(z)), dtype=np.float64)
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(z)[:, 1], dtype=np.float64)
    return np.asarray(np.ravel(model.predict(z)), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What predictions of held-out samples are worth.

    Attributes
    ----------
    scores : ndarray of float64 (n_samples, n_traits)
        Mean over the repeats; each sample by models that did not see it.
    performance : ndarray of float64 (n_traits,)
        Correlation, or AUC of 0/1 traits.
    slope : ndarray of float64 (n_traits,)
        Of the trait on its score: 1 = calibrated, below = overfitted.
    p : ndarray of float64 (n_traits,)
        (b + 1)/(m + 1) of the same procedure on permuted traits; NaN without permutations.
    """

    scores: Array
    performance: Array
    slope: Array
    p: Array


def held_out(
    values: Array,
    targets: Array,
    *,
    model: Any,
    binary: bool,
    folds: int,
    repeats: int,
    permutations: int,
    seed: int,
) -> HeldOut:
    """Return predictions of every sample by models that did not see it.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_predictors)
        Standardised within the training samples of each fold here.
    targets : ndarray of float64 (n_samples, n_traits)
        No NaN; one trait where `binary`, whose folds are stratified.
    model : estimator or None
        As `radgen.associate.surrogate` takes it.
    binary : bool
        0/1 traits, judged by AUC.
    folds, repeats, permutations, seed : int
        As `radgen.associate.surrogate` takes them.
    """
    n, k = targets.shape
    moved = [spawn(seed, "permuted trait", number).permutation(n) for number in range(permutations)]
    every = np.concatenate([targets, *(targets[order] for order in moved)], axis=1)
    total = np.zeros_like(every)
    for repeat in range(repeats):
        state = int(spawn(seed, "folds", repeat).integers(2**31))
        cut = (StratifiedKFold if binary else KFold)(folds, shuffle=True, random_state=state)
        for train, test in cut.split(values, targets[:, 0] if binary else None):
            x = values[train]
            machine = machine_of(model, standardised(x, x), standardised(values[test], x))
            first, rest = np.arange(len(train)), len(train) + np.arange(len(test))
            total[test] += machine.scores(first, every[train], rest)[0]
    mean = total / repeats
    found = performance(every, mean, binary)
    null = found[k:].reshape(permutations, k)
    p = np.full(k, np.nan)
    if permutations:
        p = ((null >= found[:k] - 1e-12).sum(axis=0) + 1) / (permutations + 1)
    slope = calibration_slope(targets, mean[:, :k])
    return HeldOut(mean[:, :k], found[:k], slope, np.asarray(p))


def calibration_slope(targets: Array, scores: Array, weights: Array | None = None) -> Array:
    """Return the least-squares slope of each trait on its score; NaN where that is constant."""
    w = np.ones(len(targets)) if weights is None else weights
    s = scores - np.average(scores, axis=0, weights=w)
    y = targets - np.average(targets, axis=0, weights=w)
    power = w @ s**2
    flat = power <= 1e-24 * np.maximum(w @ scores**2, np.finfo(float).tiny)
    return np.where(flat, np.nan, (w @ (s * y)) / np.where(flat, 1.0, power))
