"""How well a score orders and predicts survival: C-indices, time-dependent AUC, Brier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from radgen.errors import InputError
from radgen.stats.discrimination import logit_interval
from radgen.stats.survival import SurvivalCurve, check_survival, kaplan_meier

__all__ = [
    "Concordance",
    "TimeDependentAuc",
    "brier_contributions",
    "censoring_curve",
    "concordance_parts",
    "dynamic_auc",
    "gonen_heller",
    "harrell_c",
    "integrated_brier",
    "support",
    "uno_c",
]

FloatArray = NDArray[np.float64]
_BLOCK = 512


@dataclass(frozen=True)
class Concordance:
    """A concordance index with its infinitesimal-jackknife error and logit interval."""

    estimate: float
    std_error: float
    ci_low: float
    ci_high: float
    concordant: float
    discordant: float
    tied_risk: float
    tau: float


@dataclass(frozen=True, eq=False)
class TimeDependentAuc:
    """Cumulative/dynamic AUC at each of `times`, and its mean weighted by events."""

    times: FloatArray
    auc: FloatArray
    mean: float


def censoring_curve(time: Any, event: Any) -> SurvivalCurve:
    """Return the Kaplan–Meier curve of remaining uncensored.

    At tied times events come before censorings, so whoever has the event is not at risk of
    censoring at that time.

    Raises
    ------
    InputError
        If the data are malformed.
    """
    times, events = check_survival(time, event)
    unique, place = np.unique(times, return_inverse=True)
    died = np.bincount(place, weights=events, minlength=len(unique)).astype(np.float64)
    left = np.bincount(place, weights=~events, minlength=len(unique)).astype(np.float64)
    at_risk = np.cumsum((died + left)[::-1])[::-1] - died
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate: FloatArray = np.asarray(
            np.cumprod(np.where(left > 0, 1 - left / at_risk, 1.0)), dtype=np.float64
        )
    blank = np.full(len(unique), np.nan)
    return SurvivalCurve(unique, at_risk, left, died, estimate, blank, blank, blank)


def concordance_parts(
    time: FloatArray,
    event: NDArray[np.bool_],
    score: FloatArray,
    *,
    pair_weight: FloatArray | None = None,
    block: NDArray[Any] | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return each sample's concordant, comparable and tied pairs, (n,) each.

    Parameters
    ----------
    time, event, score : ndarray (n,)
        Checked; a higher score means an earlier event.
    pair_weight : ndarray (n,) or None
        Weight of a pair, taken from the sample whose event comes first; 0 leaves it out.
    block : ndarray (n,) or None
        Only pairs of one block (a fold) are compared.

    Returns
    -------
    concordant, comparable, tied : float64 (n,)
        Each pair counts for both of its samples. Pairs tied in the score are one half
        concordant, and are given in `tied` too.
    """
    n = len(time)
    good, all_pairs, tied = np.zeros(n), np.zeros(n), np.zeros(n)
    firsts = np.flatnonzero(event)
    for start in range(0, len(firsts), _BLOCK):
        i = firsts[start : start + _BLOCK]
        later = (time[None, :] > time[i, None]) | (
            (time[None, :] == time[i, None]) & ~event[None, :]
        )
        if block is not None:
            later &= block[None, :] == block[i, None]
        weight = later.astype(np.float64)
        if pair_weight is not None:
            weight *= pair_weight[i, None]
        gap = score[i, None] - score[None, :]
        same = np.abs(gap) <= 1e-8
        right = weight * np.where(same, 0.5, gap > 0)
        equal = weight * same
        good[i] += right.sum(axis=1)
        good += right.sum(axis=0)
        all_pairs[i] += weight.sum(axis=1)
        all_pairs += weight.sum(axis=0)
        tied[i] += equal.sum(axis=1)
        tied += equal.sum(axis=0)
    return good, all_pairs, tied


def _estimate(
    parts: tuple[FloatArray, FloatArray, FloatArray],
    cluster: Any,
    confidence: float,
    tau: float,
    n_events: int,
) -> Concordance:
    good, pairs, tied = parts
    total = pairs.sum() / 2
    if total <= 0:
        raise InputError("No pair of samples is comparable: too few events before the last time.")
    value = float(good.sum() / 2 / total)
    influence = (good - value * pairs) / total
    if cluster is not None:
        code = np.unique(np.asarray(cluster), return_inverse=True)[1]
        influence = np.bincount(code, weights=influence)
    error = float(np.sqrt((influence**2).sum()))
    low, high = logit_interval(value, error, confidence, n_events)
    half = float(tied.sum() / 2)
    concordant = float(good.sum() / 2) - half / 2
    return Concordance(
        value, error, low, high, concordant, float(total) - concordant - half, half, tau
    )


def _check(time: Any, event: Any, score: Any) -> tuple[FloatArray, NDArray[np.bool_], FloatArray]:
    times, events = check_survival(time, event)
    values = np.asarray(score, dtype=np.float64)
    if values.shape != times.shape or not np.isfinite(values).all():
        raise InputError("Scores must be one finite number a sample.")
    return times, events, values


def harrell_c(
    time: Any, event: Any, score: Any, *, cluster: Any = None, confidence: float = 0.95
) -> Concordance:
    """Return Harrell's concordance index.

    Parameters
    ----------
    time, event : array-like (n,)
        Times and events.
    score : float (n,)
        Higher = earlier event.
    cluster : array-like (n,) or None
        Patients, for the standard error.
    confidence : float, default 0.95
        Level.

    Returns
    -------
    Concordance
        Pairs tied in time are compared where one had the event and the other was censored
        then; two events at one time are not; ties in score count one half. The error is the
        infinitesimal jackknife, as R's ``survival::concordance``.

    Raises
    ------
    InputError
        If data are malformed or no pair is comparable.

    References
    ----------
    Harrell et al. 1996, doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4.
    """
    times, events, values = _check(time, event, score)
    parts = concordance_parts(times, events, values)
    return _estimate(parts, cluster, confidence, float("nan"), int(events.sum()))


def uno_c(
    time: Any,
    event: Any,
    score: Any,
    *,
    tau: float | None = None,
    censoring: SurvivalCurve | None = None,
    cluster: Any = None,
    confidence: float = 0.95,
) -> Concordance:
    """Return Uno's concordance index, free of the censoring distribution.

    Parameters
    ----------
    time, event, score
        As in `harrell_c`.
    tau : float or None
        Pairs count where the first event comes before tau; None = the largest event time at
        which the censoring curve is still positive.
    censoring : SurvivalCurve or None
        From `censoring_curve` of the training data; None = of these data.
    cluster, confidence
        As in `harrell_c`.

    Returns
    -------
    Concordance
        The standard error takes the censoring curve as known.

    Raises
    ------
    InputError
        As `harrell_c`, or if the censoring curve is 0 before tau.

    References
    ----------
    Uno et al. 2011, doi:10.1002/sim.4154.
    """
    times, events, values = _check(time, event, score)
    curve = censoring_curve(times, events) if censoring is None else censoring
    remain = curve.at(times, left=True)
    if tau is None:
        usable = times[events & (remain > 0)]
        limit = float(np.nextafter(usable.max(), np.inf)) if usable.size else float("nan")
    else:
        limit = float(tau)
    counted = events & (times < limit)
    if (remain[counted] <= 0).any():
        raise InputError(f"Nobody is left uncensored before tau = {limit:g}; choose a smaller tau.")
    weight = np.zeros(len(times))
    weight[counted] = remain[counted] ** -2
    parts = concordance_parts(times, events, values, pair_weight=weight)
    return _estimate(parts, cluster, confidence, limit, int(counted.sum()))


def gonen_heller(linear_predictor: Any) -> float:
    """Return the concordance probability of a Cox model from its linear predictors alone.

    Parameters
    ----------
    linear_predictor : float (n,)
        Log relative hazards of a correctly specified, unpenalised Cox model.

    Returns
    -------
    float
        In [0.5, 1]; it does not see the outcome, so it says nothing of an overfitted model.

    Raises
    ------
    InputError
        If there are fewer than two samples.

    References
    ----------
    Gönen & Heller 2005, doi:10.1093/biomet/92.4.965.
    """
    eta = np.asarray(linear_predictor, dtype=np.float64)
    n = len(eta)
    if n < 2 or not np.isfinite(eta).all():
        raise InputError("Two or more finite linear predictors are needed.")
    total = 0.0
    for start in range(0, n, _BLOCK):
        gap = np.abs(eta[start : start + _BLOCK, None] - eta[None, :])
        total += float(expit(gap).sum())
    return (total - 0.5 * n) / (n * (n - 1))


def support(time: Any, event: Any, *, points: int = 50, at_least: int = 5) -> FloatArray:
    """Return times at which time-dependent measures are estimable.

    Parameters
    ----------
    time, event : array-like (n,)
        Times and events.
    points : int, default 50
        At most this many.
    at_least : int, default 5
        Samples that must have had the event before, and still be followed after, each time.

    Returns
    -------
    float64 (n_points,)
        Quantiles of the event times within the support.

    Raises
    ------
    InputError
        If there is no such time.
    """
    times, events = check_survival(time, event)
    candidates = np.unique(times[events])
    before = np.searchsorted(np.sort(times[events]), candidates, side="right")
    after = len(times) - np.searchsorted(np.sort(times), candidates, side="right")
    usable = candidates[(before >= at_least) & (after >= at_least)]
    if not usable.size:
        raise InputError(
            f"No time has {at_least} events before it and {at_least} samples followed after it."
        )
    if len(usable) <= points:
        return usable
    wanted = np.linspace(0, len(usable) - 1, points).round().astype(int)
    return np.asarray(usable[np.unique(wanted)], dtype=np.float64)


def dynamic_auc(
    time: Any,
    event: Any,
    score: Any,
    times: Any = None,
    *,
    censoring: SurvivalCurve | None = None,
) -> TimeDependentAuc:
    """Return the cumulative/dynamic AUC with inverse-probability-of-censoring weights.

    Parameters
    ----------
    time, event : array-like (n,)
        Times and events.
    score : float (n,)
        Higher = earlier event.
    times : float (n_times,) or None
        None = `support`, so that the question is never put where the data cannot answer.
    censoring : SurvivalCurve or None
        As in `uno_c`.

    Returns
    -------
    TimeDependentAuc
        The mean is weighted by the drop of the survival curve.

    Raises
    ------
    InputError
        If a time has no event before it or nobody after it.

    References
    ----------
    Uno et al. 2007, doi:10.1198/016214507000000149. Hung & Chiang 2010.
    """
    t, e, s = _check(time, event, score)
    grid = support(t, e) if times is None else np.unique(np.asarray(times, dtype=np.float64))
    curve = censoring_curve(t, e) if censoring is None else censoring
    remain = curve.at(t, left=True)
    weight = np.where(e & (remain > 0), 1 / np.where(remain > 0, remain, 1), 0.0)
    out = np.empty(len(grid))
    for k, point in enumerate(grid):
        case, control = e & (t <= point), t > point
        if not case.any() or not control.any():
            raise InputError(f"At time {point:g} there are no events before or nobody after it.")
        rank = np.sort(s[control])
        below = np.searchsorted(rank, s[case], side="left")
        upto = np.searchsorted(rank, s[case], side="right")
        out[k] = float(
            weight[case] @ (below + 0.5 * (upto - below)) / (weight[case].sum() * len(rank))
        )
    level = kaplan_meier(t, e).at(grid)
    drop = np.diff(np.concatenate(([1.0], level)))
    mean = float(out @ drop / drop.sum()) if len(grid) > 1 else float(out[0])
    return TimeDependentAuc(grid, out, mean)


def brier_contributions(
    time: Any, event: Any, survival: Any, times: Any, *, censoring: SurvivalCurve | None = None
) -> FloatArray:
    """Return each sample's weighted squared error at each time (n, n_times).

    Parameters
    ----------
    time, event : array-like (n,)
        Times and events.
    survival : float (n, n_times)
        Predicted survival at `times`.
    times : float (n_times,)
        Ascending.
    censoring : SurvivalCurve or None
        As in `uno_c`.

    Returns
    -------
    float64 (n, n_times)
        Column means are the Brier scores.

    Raises
    ------
    InputError
        If shapes disagree.

    References
    ----------
    Graf et al. 1999, doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5.
    """
    t, e = check_survival(time, event)
    grid = np.asarray(times, dtype=np.float64)
    predicted = np.asarray(survival, dtype=np.float64)
    if predicted.shape != (len(t), len(grid)):
        raise InputError(
            f"Predicted survival has shape {predicted.shape}; needed is {(len(t), len(grid))}."
        )
    curve = censoring_curve(t, e) if censoring is None else censoring
    at_event, at_grid = curve.at(t, left=True), curve.at(grid)
    with np.errstate(divide="ignore"):
        w_event = np.where(at_event > 0, 1 / at_event, 0.0)
        w_grid = np.where(at_grid > 0, 1 / at_grid, 0.0)
    died = (t[:, None] <= grid) & e[:, None]
    alive = t[:, None] > grid
    return np.asarray(
        predicted**2 * died * w_event[:, None] + (1 - predicted) ** 2 * alive * w_grid,
        dtype=np.float64,
    )


def integrated_brier(times: Any, brier: Any) -> float:
    """Return the Brier scores integrated over their times (trapezoid), per unit of time.

    Raises
    ------
    InputError
        If there are fewer than two times.
    """
    grid, values = np.asarray(times, dtype=np.float64), np.asarray(brier, dtype=np.float64)
    if len(grid) < 2:
        raise InputError("An integrated Brier score needs two or more times.")
    area = float(np.sum(np.diff(grid) * (values[1:] + values[:-1]) / 2))
    return area / float(grid[-1] - grid[0])
