"""Survival curves and tests: Kaplan–Meier, Nelson–Aalen, log-rank, Aalen–Johansen, RMST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtri

from radgen.errors import InputError

__all__ = [
    "CumulativeIncidence",
    "LogRankTest",
    "MeanSurvival",
    "SurvivalCurve",
    "aalen_johansen",
    "check_survival",
    "kaplan_meier",
    "logrank",
    "nelson_aalen",
    "restricted_mean",
]

FloatArray = NDArray[np.float64]
Transform = Literal["log-log", "log", "plain"]
Weighting = Literal["logrank", "gehan", "tarone-ware", "peto", "fleming-harrington"]


@dataclass(frozen=True, eq=False)
class SurvivalCurve:
    """A step function of time that starts at `start` (1 for survival, 0 for hazard).

    Attributes
    ----------
    times : float64 (n_times,)
        Distinct times of events and censorings, ascending.
    at_risk, events, censored : float64 (n_times,)
        (Weighted) numbers just before, and at, each time.
    estimate, std_error, ci_low, ci_high : float64 (n_times,)
        Value after each time. The standard error is that of the estimate itself.
    start : float
        Value before the first time.
    """

    times: FloatArray
    at_risk: FloatArray
    events: FloatArray
    censored: FloatArray
    estimate: FloatArray
    std_error: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    start: float = 1.0

    def at(self, times: Any, *, left: bool = False) -> FloatArray:
        """Return the estimate at `times`; `left` gives the value just before each."""
        side: Literal["left", "right"] = "left" if left else "right"
        where = np.searchsorted(self.times, np.asarray(times, dtype=float), side=side)
        return np.asarray(np.concatenate(([self.start], self.estimate))[where], dtype=np.float64)

    def at_risk_at(self, times: Any) -> FloatArray:
        """Return the number at risk just before each of `times`."""
        where = np.searchsorted(self.times, np.asarray(times, dtype=float), side="left")
        return np.asarray(np.concatenate((self.at_risk, [0.0]))[where], dtype=np.float64)

    def quantile(self, q: float = 0.5) -> float:
        """Return the first time at which survival is `q` or less; NaN where it is not reached.

        Where the curve is exactly `q` over a stretch, its midpoint is returned, as R does.
        """
        below = self.estimate <= q + 1e-12
        if not below.any():
            return float("nan")
        first = int(np.argmax(below))
        if abs(self.estimate[first] - q) < 1e-12:
            later = np.flatnonzero((self.estimate < q - 1e-12) & (self.events > 0))
            if later.size:
                return float((self.times[first] + self.times[later[0]]) / 2)
        return float(self.times[first])


@dataclass(frozen=True, eq=False)
class LogRankTest:
    """A (weighted, stratified) log-rank test.

    Attributes
    ----------
    statistic, p_value : float
    df : int
    groups : tuple
        Labels in the order of the arrays.
    observed, expected : float64 (n_groups,)
        (Weighted) events seen and expected under equal hazards.
    covariance : float64 (n_groups, n_groups)
        Of observed - expected.
    """

    statistic: float
    p_value: float
    df: int
    groups: tuple[Any, ...]
    observed: FloatArray
    expected: FloatArray
    covariance: FloatArray


@dataclass(frozen=True, eq=False)
class CumulativeIncidence:
    """Probability of one cause in the presence of the others, after each of `times`."""

    times: FloatArray
    at_risk: FloatArray
    estimate: FloatArray
    std_error: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray

    def at(self, times: Any) -> FloatArray:
        """Return the incidence at `times`."""
        where = np.searchsorted(self.times, np.asarray(times, dtype=float), side="right")
        return np.asarray(np.concatenate(([0.0], self.estimate))[where], dtype=np.float64)


@dataclass(frozen=True)
class MeanSurvival:
    """Restricted mean survival time up to `tau`, in the unit of time."""

    tau: float
    estimate: float
    std_error: float
    ci_low: float
    ci_high: float


def check_survival(time: Any, event: Any) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return time as float64 (n,) and event as bool (n,).

    Raises
    ------
    InputError
        If lengths differ, a time is missing or negative, or an event is neither 0 nor 1.
    """
    times = np.asarray(time, dtype=np.float64)
    events = np.asarray(event)
    if times.ndim != 1 or events.shape != times.shape:
        raise InputError(
            f"Times have shape {times.shape} and events {events.shape}; needed is one of each "
            "a sample."
        )
    if not np.isfinite(times).all() or (times < 0).any():
        raise InputError("Survival times must be known and not negative; drop such rows first.")
    if events.dtype != np.bool_ and not np.isin(events, (0, 1)).all():
        raise InputError("Events are 1 (happened) or 0 (censored); another value was found.")
    return times, events.astype(np.bool_)


def _counts(
    time: FloatArray, event: NDArray[np.bool_], weights: FloatArray, entry: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    unique, place = np.unique(time, return_inverse=True)
    k = len(unique)
    died = np.bincount(place, weights=weights * event, minlength=k).astype(np.float64)
    left = np.bincount(place, weights=weights * ~event, minlength=k).astype(np.float64)
    at_risk = np.cumsum((died + left)[::-1])[::-1].copy()
    if entry is not None:
        order = np.argsort(entry, kind="stable")
        total = np.concatenate(([0.0], np.cumsum(weights[order])))
        entered = total[np.searchsorted(entry[order], unique, side="left")]
        gone = np.concatenate(([0.0], np.cumsum(died + left)[:-1]))
        at_risk = entered - gone
    return unique, at_risk, died, left


def _weights(weights: Any, n: int) -> FloatArray:
    if weights is None:
        return np.ones(n)
    found = np.asarray(weights, dtype=np.float64)
    if found.shape != (n,) or not np.isfinite(found).all() or (found < 0).any():
        raise InputError(f"Weights must be {n} finite numbers that are not negative.")
    return found


def kaplan_meier(
    time: Any,
    event: Any,
    *,
    weights: Any = None,
    entry: Any = None,
    confidence: float = 0.95,
    transform: Transform = "log-log",
) -> SurvivalCurve:
    """Return the Kaplan–Meier survival curve with Greenwood intervals.

    Parameters
    ----------
    time : float (n,)
        Time to event or censoring.
    event : bool (n,)
        True = event.
    weights : float (n,) or None
        Case weights (inverse-probability weights give adjusted curves).
    entry : float (n,) or None
        Left-truncation times; a sample is at risk for times above its entry.
    confidence : float, default 0.95
        Level of the interval.
    transform : {"log-log", "log", "plain"}
        Scale on which the interval is symmetric. It is clipped to [0, 1].

    Returns
    -------
    SurvivalCurve
        Estimates at each distinct time.

    Raises
    ------
    InputError
        If the data are malformed.

    References
    ----------
    Kaplan & Meier 1958, doi:10.1080/01621459.1958.10501452. Kalbfleisch & Prentice 2002.
    """
    times, events = check_survival(time, event)
    start = None if entry is None else np.asarray(entry, dtype=np.float64)
    unique, at_risk, died, left = _counts(times, events, _weights(weights, len(times)), start)
    with np.errstate(divide="ignore", invalid="ignore"):
        survival: FloatArray = np.asarray(
            np.cumprod(np.where(at_risk > 0, 1 - died / at_risk, 1.0)), dtype=np.float64
        )
        term = np.where(died > 0, died / (at_risk * (at_risk - died)), 0.0)
        log_variance = np.cumsum(term)
        std_error = np.where(survival > 0, survival * np.sqrt(log_variance), np.nan)
    low, high = _survival_interval(survival, log_variance, confidence, transform)
    return SurvivalCurve(unique, at_risk, died, left, survival, std_error, low, high)


def _survival_interval(
    survival: FloatArray, log_variance: FloatArray, confidence: float, transform: Transform
) -> tuple[FloatArray, FloatArray]:
    z = float(ndtri(0.5 + confidence / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = z * np.sqrt(log_variance)
        if transform == "plain":
            low, high = survival * (1 - spread), survival * (1 + spread)
        elif transform == "log":
            low, high = survival * np.exp(-spread), survival * np.exp(spread)
        elif transform == "log-log":
            theta = spread / np.log(survival)
            low, high = survival ** np.exp(-theta), survival ** np.exp(theta)
        else:
            raise InputError(f"Unknown transform {transform!r}: log-log, log or plain.")
    low, high = np.where(survival >= 1, 1.0, low), np.where(survival >= 1, 1.0, high)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def nelson_aalen(
    time: Any, event: Any, *, weights: Any = None, confidence: float = 0.95
) -> SurvivalCurve:
    """Return the Nelson–Aalen cumulative hazard with log-scale intervals.

    Parameters
    ----------
    time, event, weights : array-like (n,)
        As in `kaplan_meier`.
    confidence : float, default 0.95
        Level of the interval.

    Returns
    -------
    SurvivalCurve
        `estimate` is the cumulative hazard and `start` is 0.

    Raises
    ------
    InputError
        If the data are malformed.

    References
    ----------
    Aalen 1978, doi:10.1214/aos/1176344247.
    """
    times, events = check_survival(time, event)
    unique, at_risk, died, left = _counts(times, events, _weights(weights, len(times)), None)
    hazard = np.cumsum(died / at_risk)
    error = np.sqrt(np.cumsum(died / at_risk**2))
    z = float(ndtri(0.5 + confidence / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(hazard > 0, np.exp(z * error / hazard), 1.0)
    return SurvivalCurve(
        unique, at_risk, died, left, hazard, error, hazard / factor, hazard * factor, start=0.0
    )


def logrank(
    time: Any,
    event: Any,
    group: Any,
    *,
    strata: Any = None,
    weighting: Weighting = "logrank",
    rho: float = 0.0,
    gamma: float = 0.0,
) -> LogRankTest:
    """Return a log-rank test of equal hazards in two or more groups.

    Parameters
    ----------
    time, event : array-like (n,)
        Times and events.
    group : array-like (n,)
        Group labels.
    strata : array-like (n,) or None
        Observed and expected are summed over strata.
    weighting : {"logrank", "gehan", "tarone-ware", "peto", "fleming-harrington"}
        Weight of each event time: 1, n, sqrt(n), the Peto–Peto survival, or
        S(t-)^rho (1 - S(t-))^gamma.
    rho, gamma : float
        For Fleming–Harrington.

    Returns
    -------
    LogRankTest
        Chi-square on (groups - 1) degrees of freedom.

    Raises
    ------
    InputError
        If there are fewer than two groups or no event.

    References
    ----------
    Harrington & Fleming 1982, doi:10.1093/biomet/69.3.553.
    """
    times, events = check_survival(time, event)
    labels, code = np.unique(np.asarray(group), return_inverse=True)
    n_groups = len(labels)
    if n_groups < 2:
        raise InputError("A log-rank test needs at least two groups.")
    if not events.any():
        raise InputError("A log-rank test needs at least one event.")
    layer = np.zeros(len(times), int) if strata is None else _codes(strata)
    observed, expected = np.zeros(n_groups), np.zeros(n_groups)
    covariance = np.zeros((n_groups, n_groups))
    for level in np.unique(layer):
        rows = layer == level
        part = _logrank_part(
            times[rows],
            events[rows],
            code[rows],
            n_groups,
            weighting=weighting,
            powers=(rho, gamma),
        )
        observed += part[0]
        expected += part[1]
        covariance += part[2]
    gap = (observed - expected)[:-1]
    inner = covariance[:-1, :-1]
    df = int(np.linalg.matrix_rank(inner))
    statistic = float(gap @ np.linalg.pinv(inner) @ gap)
    p_value = float(chdtrc(max(df, 1), statistic))
    return LogRankTest(
        statistic, p_value, df, tuple(labels.tolist()), observed, expected, covariance
    )


def _codes(values: Any) -> NDArray[np.int64]:
    return np.unique(np.asarray(values), return_inverse=True)[1].astype(np.int64)


def _logrank_part(
    time: FloatArray,
    event: NDArray[np.bool_],
    code: NDArray[Any],
    n_groups: int,
    *,
    weighting: Weighting,
    powers: tuple[float, float],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    unique, place = np.unique(time, return_inverse=True)
    k = len(unique)
    died, left = np.zeros((k, n_groups)), np.zeros((k, n_groups))
    np.add.at(died, (place, code), event.astype(float))
    np.add.at(left, (place, code), 1.0)
    at_risk = np.cumsum(left[::-1], axis=0)[::-1]
    keep = died.sum(axis=1) > 0
    died, at_risk = died[keep], at_risk[keep]
    d, n = died.sum(axis=1), at_risk.sum(axis=1)
    weight = _logrank_weights(d, n, weighting, powers)
    share = at_risk / n[:, None]
    observed = (weight[:, None] * died).sum(axis=0)
    expected = ((weight * d)[:, None] * share).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(n > 1, weight**2 * d * (n - d) / (n - 1), 0.0)
    covariance = (
        np.diag((factor[:, None] * share).sum(axis=0)) - (factor[:, None] * share).T @ share
    )
    return observed, expected, covariance


def _logrank_weights(
    d: FloatArray, n: FloatArray, weighting: Weighting, powers: tuple[float, float]
) -> FloatArray:
    if weighting == "logrank":
        return np.ones_like(n)
    if weighting == "gehan":
        return n
    if weighting == "tarone-ware":
        return np.asarray(np.sqrt(n), dtype=np.float64)
    if weighting == "peto":
        return np.asarray(np.cumprod(1 - d / (n + 1)), dtype=np.float64)
    if weighting == "fleming-harrington":
        before = np.concatenate(([1.0], np.cumprod(1 - d / n)[:-1]))
        return np.asarray(before ** powers[0] * (1 - before) ** powers[1], dtype=np.float64)
    raise InputError(
        f"Unknown weighting {weighting!r}: logrank, gehan, tarone-ware, peto, fleming-harrington."
    )


def aalen_johansen(
    time: Any, cause: Any, *, of: int = 1, confidence: float = 0.95
) -> CumulativeIncidence:
    """Return the cumulative incidence of one cause with competing causes.

    Parameters
    ----------
    time : float (n,)
        Time to the first event or censoring.
    cause : int (n,)
        0 = censored, 1, 2, … = cause of the event.
    of : int, default 1
        The cause asked for.
    confidence : float, default 0.95
        Level of the log-log interval.

    Returns
    -------
    CumulativeIncidence
        With the delta-method variance of Aalen (as ``cmprsk`` and ``lifelines``).

    Raises
    ------
    InputError
        If the data are malformed or the cause does not occur.

    References
    ----------
    Aalen & Johansen 1978. Marubini & Valsecchi 1995, eq. 10.12.
    """
    causes = np.asarray(cause)
    times, events = check_survival(time, causes != 0)
    if not (causes == of).any():
        raise InputError(f"No event has cause {of}; found {np.unique(causes).tolist()}.")
    unique, at_risk, died, _ = _counts(times, events, np.ones(len(times)), None)
    place = np.searchsorted(unique, times)
    of_cause = np.bincount(place, weights=causes == of, minlength=len(unique)).astype(np.float64)
    before = np.concatenate(([1.0], np.cumprod(1 - died / at_risk)[:-1]))
    incidence = np.cumsum(before * of_cause / at_risk)
    error = np.sqrt(np.maximum(_incidence_variance(incidence, before, at_risk, died, of_cause), 0))
    z = float(ndtri(0.5 + confidence / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        theta = z * error / ((1 - incidence) * -np.log1p(-incidence))
        low = np.where(incidence > 0, 1 - (1 - incidence) ** np.exp(-theta), 0.0)
        high = np.where(incidence > 0, 1 - (1 - incidence) ** np.exp(theta), 0.0)
    return CumulativeIncidence(
        unique, at_risk, incidence, error, np.nan_to_num(low), np.nan_to_num(high, nan=1.0)
    )


def _incidence_variance(
    incidence: FloatArray, before: FloatArray, n: FloatArray, d: FloatArray, d1: FloatArray
) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.where(d > 0, d / (n * np.maximum(n - d, 1e-300)), 0.0)
        a = np.where((d > 0) & (n == d), 0.0, a)
    b = before**2 * (n - d1) * d1 / n**3
    c = before * d1 / n**2
    first = (
        incidence**2 * np.cumsum(a)
        - 2 * incidence * np.cumsum(incidence * a)
        + np.cumsum(incidence**2 * a)
    )
    third = incidence * np.cumsum(c) - np.cumsum(incidence * c)
    return np.asarray(first + np.cumsum(b) - 2 * third, dtype=np.float64)


def restricted_mean(
    time: Any, event: Any, *, tau: float | None = None, confidence: float = 0.95
) -> MeanSurvival:
    """Return the restricted mean survival time: the area under the curve up to `tau`.

    Parameters
    ----------
    time, event : array-like (n,)
        Times and events.
    tau : float or None
        Horizon; None = the largest time.
    confidence : float, default 0.95
        Level of the interval.

    Returns
    -------
    MeanSurvival
        With Greenwood's variance, the interval clipped to [0, tau].

    Raises
    ------
    InputError
        If `tau` lies beyond the last time, where the curve is unknown.

    References
    ----------
    Royston & Parmar 2013, doi:10.1186/1471-2288-13-152.
    """
    times, events = check_survival(time, event)
    horizon = float(times.max()) if tau is None else float(tau)
    if horizon > times.max() or horizon <= 0:
        raise InputError(f"tau is {horizon:g}; it must lie in (0, {times.max():g}].")
    curve = kaplan_meier(times, events)
    inside = (curve.times < horizon) & (curve.events > 0)
    knots = np.concatenate(([0.0], curve.times[inside], [horizon]))
    area = np.concatenate(([1.0], curve.estimate[inside])) * np.diff(knots)
    total = float(area.sum())
    rest = np.cumsum(area[::-1])[::-1][1:]
    n, d = curve.at_risk[inside], curve.events[inside]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(n > d, rest**2 * d / (n * (n - d)), 0.0)
    error = float(np.sqrt(terms.sum()))
    z = float(ndtri(0.5 + confidence / 2))
    low, high = max(0.0, total - z * error), min(horizon, total + z * error)
    return MeanSurvival(horizon, total, error, low, high)
