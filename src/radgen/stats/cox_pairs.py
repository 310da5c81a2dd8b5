"""Cox fits of many pairs of columns, each pair beside the same covariates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FitError
from radgen.stats.cox import RiskSets, fit_cox

__all__ = ["CoxPairs"]

FloatArray = NDArray[np.float64]
_FLAT = 1e-9
_COLLINEAR = 1e-6
_CLEAR = 1e-4
_STEPS = 15


@dataclass(frozen=True, eq=False, slots=True)
class CoxPairs:
    """Survival of some people beside covariates, to which pairs of columns are added in turn.

    Attributes
    ----------
    x : ndarray of float64 (n_samples, n_covariates)
        Covariates.
    time, event : ndarray (n_samples,)
        Times, and whether the event happened then.
    start : ndarray of float64 (n_covariates,)
        Log hazard ratios of the covariates alone, from which the fits set out.
    order : Ordered
        The people by time.
    """

    x: FloatArray
    time: FloatArray
    event: NDArray[np.bool_]
    start: FloatArray
    order: Ordered

    @classmethod
    def of(cls, x: FloatArray, time: FloatArray, event: NDArray[np.bool_]) -> CoxPairs:
        """Return the people with their covariates fitted."""
        try:
            start = fit_cox(x, time, event).beta
        except FitError:
            start = np.zeros(x.shape[1])
        return cls(x, time, event, start, Ordered.of(time, event))

    def fit(
        self, a: FloatArray, b: FloatArray, known: NDArray[np.bool_] | None, *, robust: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Return estimates and covariances of pairs of columns.

        Parameters
        ----------
        a, b : ndarray of float64 (n_pairs, n_samples)
            The columns.
        known : ndarray of bool (n_pairs, n_samples) or None
            False = the sample is left out of that pair's fit. None = all are in.
        robust : bool
            Lin and Wei's sandwich instead of the inverse information.

        Returns
        -------
        beta : ndarray of float64 (n_pairs, 2)
        covariance : ndarray of float64 (n_pairs, 2, 2)
            NaN where a column is constant, the columns are collinear, or no maximum is found.

        Notes
        -----
        The estimates are those of `fit_cox`, which takes over wherever Newton's steps from the
        covariates' estimates do not lead straight to the maximum.
        """
        beta, covariance = np.full((len(a), 2), np.nan), np.full((len(a), 2, 2), np.nan)
        for row in range(len(a)):
            whole = known is None or bool(known[row].all())
            keep = slice(None) if known is None or whole else np.flatnonzero(known[row])
            own = np.column_stack([self.x[keep], a[row, keep], b[row, keep]])
            found = self._one(own, keep, whole=whole, robust=robust)
            if found is not None:
                beta[row], covariance[row] = found
        return beta, covariance

    def _one(
        self, x: FloatArray, keep: Any, *, whole: bool, robust: bool
    ) -> tuple[FloatArray, FloatArray] | None:
        time, event = self.time[keep], self.event[keep]
        centred = x - x.mean(axis=0)
        length = np.sqrt((centred * centred).sum(axis=0))
        if (length[-2:] <= _FLAT).any() or not event.any():
            return None
        unit = centred / np.where(length > 0, length, 1.0)
        clear = float(np.linalg.eigvalsh(unit.T @ unit)[0]) > _CLEAR
        if not clear and np.linalg.svd(unit, compute_uv=False)[-1] < _COLLINEAR:
            return None
        order = self.order if whole else Ordered.of(time, event)
        quick = self._quick(unit, length, order, robust=robust) if clear else None
        if quick is not None:
            return quick
        try:
            slow = fit_cox(x, time, event, robust=robust)
        except FitError:
            return None
        return slow.beta[-2:], slow.covariance[-2:, -2:]

    def _quick(
        self, unit: FloatArray, length: FloatArray, order: Ordered, *, robust: bool
    ) -> tuple[FloatArray, FloatArray] | None:
        """Return Newton's estimates from the covariates' on; None where the way is not straight."""
        scale = length / np.sqrt(len(unit))
        z = unit[order.people] * np.sqrt(len(unit))
        beta = np.zeros(len(length))
        beta[:-2] = self.start * scale[:-2]
        value, gradient, information = order.derivatives(z, z @ beta)
        for _ in range(_STEPS):
            move = np.linalg.solve(information, gradient)
            beta = beta + move
            eta = z @ beta
            if not np.abs(eta).max() < _STEPS:
                return None
            before = value
            value, gradient, information = order.derivatives(z, eta)
            tolerance = 1.0 + abs(value)
            if not value >= before - 1e-10 * tolerance:
                return None
            if abs(value - before) <= 1e-11 * tolerance and np.abs(z @ move).max() < 1e-7:
                covariance = np.linalg.inv(information)
                if robust:
                    sets = RiskSets(order.time, order.event, np.ones(len(z)), None, "efron")
                    parts = sets.score_residuals(z, eta) @ covariance
                    covariance = parts.T @ parts
                last = scale[-2:]
                return beta[-2:] / last, covariance[-2:, -2:] / np.outer(last, last)
        return None


@dataclass(frozen=True, eq=False, slots=True)
class Ordered:
    """People from the last time to the first, so that risk sets are what stands before.

    Attributes
    ----------
    people : ndarray of int64 (n_samples,)
        The order.
    time, event : ndarray (n_samples,)
        In that order.
    size : ndarray of int64 (n_times,)
        People at risk at each time of events, the last time first.
    dead : ndarray of int64 (n_events,)
        Where the events stand.
    at : ndarray of int64 (n_events,)
        To which time each belongs.
    first : ndarray of int64 (n_times,)
        The first event of each time.
    fraction : ndarray of float64 (n_events,)
        Efron's share of tied events that are taken off; 0 throughout without ties.
    past : ndarray of int64 (n_samples,)
        Times of events, from the last, that lie after each person's own time.
    """

    people: NDArray[np.int64]
    time: FloatArray
    event: NDArray[np.bool_]
    size: NDArray[np.int64]
    dead: NDArray[np.int64]
    at: NDArray[np.int64]
    first: NDArray[np.int64]
    fraction: FloatArray
    past: NDArray[np.int64]

    @classmethod
    def of(cls, time: FloatArray, event: NDArray[np.bool_]) -> Ordered:
        """Return people in the order of their times."""
        people = np.argsort(-time, kind="stable")
        late, died = time[people], event[people]
        dead = np.flatnonzero(died)
        times, first, at, count = np.unique(
            -late[dead], return_index=True, return_inverse=True, return_counts=True
        )
        size = np.searchsorted(-late, times, side="right")
        fraction = (np.arange(len(dead)) - first[at]) / count[at]
        past = np.searchsorted(times, -late, side="left")
        return cls(people, late, died, size, dead, at, first, fraction, past)

    def derivatives(self, z: FloatArray, eta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Return the log partial likelihood (Efron), its gradient and the information.

        Parameters
        ----------
        z : ndarray of float64 (n_samples, n_columns)
            In this order.
        eta : ndarray of float64 (n_samples,)
            Their linear predictors.
        """
        shift = float(eta.max())
        risk = np.exp(eta - shift)
        weighted = risk[:, None] * z
        den = np.cumsum(risk)[self.size - 1][self.at]
        mean = np.cumsum(weighted, axis=0)[self.size - 1][self.at]
        if self.fraction.any():
            tied = np.add.reduceat(risk[self.dead], self.first)
            den = den - self.fraction * tied[self.at]
            tied = np.add.reduceat(weighted[self.dead], self.first, axis=0)
            mean = mean - self.fraction[:, None] * tied[self.at]
        mean = mean / den[:, None]
        value = float(eta[self.dead].sum() - (np.log(den) + shift).sum())
        rate = 1.0 / den
        each = np.add.reduceat(rate, self.first)
        # A person is at risk at the times from the first one up to his own.
        share = np.append(np.cumsum(each[::-1])[::-1], 0.0)[self.past]
        own = np.add.reduceat(rate * self.fraction, self.first)
        share[self.dead] -= own[self.at]
        held = risk * share
        gradient = z[self.dead].sum(axis=0) - held @ z
        information = (weighted * share[:, None]).T @ z - mean.T @ mean
        return value, gradient, information
