"""Competing risks: Gray's test of equal incidence, and the Fine–Gray regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr, ndtri

from radgen.errors import FitError, InputError
from radgen.stats.survival import check_survival, kaplan_meier

__all__ = ["FineGrayFit", "GrayTest", "fit_fine_gray", "gray_test"]

FloatArray = NDArray[np.float64]
_STEPS = 60


@dataclass(frozen=True, eq=False)
class GrayTest:
    """A test of equal cumulative incidence of one cause in several groups.

    Attributes
    ----------
    statistic, p_value : float
    df : int
    groups : tuple
        Labels in the order of `score`.
    score : float64 (n_groups,)
        Observed minus expected events of the cause.
    covariance : float64 (n_groups, n_groups)
    """

    statistic: float
    p_value: float
    df: int
    groups: tuple[Any, ...]
    score: FloatArray
    covariance: FloatArray


@dataclass(frozen=True, eq=False)
class FineGrayFit:
    """A proportional subdistribution hazards model of one cause.

    Attributes
    ----------
    beta : float64 (p,)
        Log subdistribution hazard ratios.
    covariance : float64 (p, p)
        Robust, with the part that the estimated censoring curve adds.
    log_likelihood, null_log_likelihood : float
        Pseudo log-likelihoods.
    times, hazard : float64 (n_times,)
        Event times of the cause and cumulative baseline subdistribution hazard at x = 0.
    n, n_events, n_competing, n_iter : int
    """

    beta: FloatArray
    covariance: FloatArray
    log_likelihood: float
    null_log_likelihood: float
    times: FloatArray
    hazard: FloatArray
    n: int
    n_events: int
    n_competing: int
    n_iter: int

    @property
    def std_error(self) -> FloatArray:
        """Standard errors of beta."""
        return np.asarray(np.sqrt(np.diag(self.covariance)), dtype=np.float64)

    @property
    def p_values(self) -> FloatArray:
        """Two-sided Wald p of each coefficient."""
        return np.asarray(2 * ndtr(-np.abs(self.beta / self.std_error)), dtype=np.float64)

    def interval(self, confidence: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper Wald limits of beta."""
        spread = float(ndtri(0.5 + confidence / 2)) * self.std_error
        return self.beta - spread, self.beta + spread

    def incidence(self, covariates: Any, times: Any) -> FloatArray:
        """Return the predicted cumulative incidence (n, n_times)."""
        eta = np.asarray(covariates, dtype=np.float64) @ self.beta
        where = np.searchsorted(self.times, np.asarray(times, dtype=float), side="right")
        cumulative = np.concatenate(([0.0], self.hazard))[where]
        return np.asarray(-np.expm1(-np.exp(eta)[:, None] * cumulative), dtype=np.float64)


def _causes(time: Any, cause: Any, of: int) -> tuple[FloatArray, NDArray[np.int64]]:
    kinds = np.asarray(cause)
    times, _ = check_survival(time, kinds != 0)
    if not (kinds == of).any():
        raise InputError(f"No event has cause {of}; found {np.unique(kinds).tolist()}.")
    if of == 0:
        raise InputError("Cause 0 means censored; the causes are 1, 2, ….")
    return times, kinds.astype(np.int64)


def gray_test(
    time: Any, cause: Any, group: Any, *, of: int = 1, strata: Any = None, rho: float = 0.0
) -> GrayTest:
    """Return Gray's test that a cause has the same cumulative incidence in all groups.

    Parameters
    ----------
    time : float (n,)
        Time to the first event or censoring.
    cause : int (n,)
        0 = censored, 1, 2, … = cause of the event.
    group : array-like (n,)
        Labels of two or more groups.
    of : int, default 1
        The cause asked for.
    strata : array-like (n,) or None
        Scores and variances are summed over strata.
    rho : float, default 0
        Event times are weighted by (1 - incidence)^rho.

    Returns
    -------
    GrayTest
        Chi-square on (groups - 1) degrees of freedom.

    Raises
    ------
    InputError
        If the data are malformed, there is one group, or the cause does not occur.

    Notes
    -----
    A log-rank test of a cause that counts competing events as censored asks another question
    (equal cause-specific hazards).

    References
    ----------
    Gray 1988, doi:10.1214/aos/1176350951.
    """
    times, causes = _causes(time, cause, of)
    labels, code = np.unique(np.asarray(group), return_inverse=True)
    if len(labels) < 2:
        raise InputError("Gray's test needs at least two groups.")
    layer = np.zeros(len(times), dtype=np.int64)
    if strata is not None:
        layer = np.unique(np.asarray(strata), return_inverse=True)[1].astype(np.int64)
    score = np.zeros(len(labels))
    covariance = np.zeros((len(labels), len(labels)))
    for level in np.unique(layer):
        rows = layer == level
        part = _gray_part(times[rows], causes[rows], code[rows], len(labels), of=of, rho=rho)
        score += part[0]
        covariance += part[1]
    inner = covariance[:-1, :-1]
    df = int(np.linalg.matrix_rank(inner))
    statistic = float(score[:-1] @ np.linalg.pinv(inner) @ score[:-1])
    p_value = float(chdtrc(max(df, 1), statistic))
    return GrayTest(statistic, p_value, df, tuple(labels.tolist()), score, covariance)


def _gray_part(
    time: FloatArray,
    cause: NDArray[np.int64],
    code: NDArray[Any],
    n_groups: int,
    *,
    of: int,
    rho: float,
) -> tuple[FloatArray, FloatArray]:
    """Return score and covariance of one stratum.

    The score of group i sums a_ik dD_k, with D_k the error of the incidence of group k; D_k is
    an integral over the martingales of both kinds of event, whose coefficients are `own` and
    `other`. Hazards of the cause are pooled, as they are equal under the null.
    """
    unique, place = np.unique(time, return_inverse=True)
    size = (len(unique), n_groups)
    first, second, left = np.zeros(size), np.zeros(size), np.zeros(size)
    np.add.at(first, (place, code), (cause == of).astype(float))
    np.add.at(second, (place, code), ((cause != of) & (cause != 0)).astype(float))
    np.add.at(left, (place, code), 1.0)
    at_risk = np.cumsum(left[::-1], axis=0)[::-1]
    keep = (first + second).sum(axis=1) > 0
    first, second, at_risk = first[keep], second[keep], at_risk[keep]
    some = at_risk > 0
    safe = np.where(some, at_risk, 1.0)
    after = np.cumprod(np.where(some, 1 - (first + second) / safe, 1.0), axis=0)
    before = np.vstack((np.ones(n_groups), after[:-1]))
    own_incidence = np.cumsum(np.where(some, before * first / safe, 0.0), axis=0)
    own_before = np.vstack((np.zeros(n_groups), own_incidence[:-1]))
    scaled = np.where(some, at_risk / np.where(before > 0, before, 1.0), 0.0)
    total, events = scaled.sum(axis=1), first.sum(axis=1)
    step = events / total
    incidence = np.cumsum(step)
    pooled_before = np.concatenate(([0.0], incidence[:-1]))
    weight = (1 - pooled_before) ** rho
    expected = scaled * (1 - own_before)
    expected *= (events / np.maximum(expected.sum(axis=1), 1e-300))[:, None]
    score = weight @ (first - expected)
    a = -scaled[:, :, None] * scaled[:, None, :] / total[:, None, None]
    a[:, np.arange(n_groups), np.arange(n_groups)] += scaled
    a *= weight[:, None, None]
    grown = np.cumsum(a * (step / (1 - pooled_before))[:, None, None], axis=0)
    rest = grown[-1] - grown
    ratio = np.where(after > 0, before / np.where(after > 0, after, 1.0), 0.0)
    other = -rest * ((1 - incidence)[:, None] * ratio)[:, None, :]
    own = (a + np.where(after > 0, 1.0, 0.0)[:, None, :] * rest) * before[:, None, :] + other
    tied = _tie_factor(events[:, None], total[:, None] * before)
    variance = tied * events[:, None] / np.maximum(total[:, None] * before * safe, 1e-300)
    variance_other = _tie_factor(second, at_risk) * second / safe**2
    covariance = np.einsum("tik,tk,tjk->ij", own, np.where(some, variance, 0.0), own)
    covariance += np.einsum("tik,tk,tjk->ij", other, np.where(some, variance_other, 0.0), other)
    return score, covariance


def _tie_factor(events: FloatArray, at_risk: FloatArray) -> FloatArray:
    several = (events > 1) & (at_risk > 1)
    return np.where(several, 1 - (events - 1) / np.where(several, at_risk - 1, 1.0), 1.0)


def fit_fine_gray(covariates: Any, time: Any, cause: Any, *, of: int = 1) -> FineGrayFit:
    """Return a Fine–Gray model: covariates act on the cumulative incidence of one cause.

    Parameters
    ----------
    covariates : float (n, p)
        No missing values, no intercept.
    time : float (n,)
        Time to the first event or censoring.
    cause : int (n,)
        0 = censored, 1, 2, … = cause of the event.
    of : int, default 1
        The cause asked for.

    Returns
    -------
    FineGrayFit
        Breslow's ties, as ``cmprsk::crr``.

    Raises
    ------
    InputError
        If the data are malformed or the cause does not occur.
    FitError
        If covariates are collinear, or a covariate separates the events.

    Notes
    -----
    Whoever had a competing event stays at risk with the weight G(t-) / G(T-), G the
    Kaplan–Meier curve of censoring. Memory grows with samples times event times.

    References
    ----------
    Fine & Gray 1999, doi:10.1080/01621459.1999.10474144.
    """
    times, causes = _causes(time, cause, of)
    x = np.asarray(covariates, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    if x.shape[0] != len(times) or not np.isfinite(x).all():
        raise InputError(f"Covariates need {len(times)} rows without missing values.")
    rank = int(np.linalg.matrix_rank(x - x.mean(axis=0))) if x.shape[1] else 0
    if rank < x.shape[1]:
        raise FitError(
            f"The {x.shape[1]} covariates have rank {rank}: some are constant or combinations of "
            "others. Leave those out.",
            diagnostics={"rank": rank},
        )
    center = x.mean(axis=0)
    z = x - center
    event = causes == of
    grid, count = np.unique(times[event], return_counts=True)
    weight = _weights(times, causes, of, grid)
    beta, value, null, steps = _newton(z, event, weight, count)
    covariance, hazard = _robust(z, times, causes, of, grid, weight=weight, beta=beta)
    return FineGrayFit(
        beta, covariance, value, null, grid, hazard * np.exp(-center @ beta), len(times),
        int(event.sum()), int(((causes != 0) & ~event).sum()), steps,
    )  # fmt: skip


def _weights(time: FloatArray, cause: NDArray[np.int64], of: int, grid: FloatArray) -> FloatArray:
    """Return the weight of each sample in the risk set of each event time, (n, n_times)."""
    free = kaplan_meier(time, cause == 0)
    at_risk = (time[:, None] >= grid).astype(np.float64)
    other = (cause != 0) & (cause != of)
    own = free.at(time, left=True)
    stays = free.at(grid, left=True)[None, :] / np.where(own > 0, own, 1.0)[:, None]
    later = other[:, None] & (time[:, None] < grid)
    return np.where(later, stays, at_risk)


def _sums(
    z: FloatArray, weight: FloatArray, eta: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    risk = weight * np.exp(eta)[:, None]
    total = risk.sum(axis=0)
    return risk, total, (risk.T @ z) / total[:, None]


def _derivatives(
    z: FloatArray,
    event: NDArray[np.bool_],
    weight: FloatArray,
    count: NDArray[np.int64],
    beta: FloatArray,
) -> tuple[float, FloatArray, FloatArray]:
    eta = z @ beta
    risk, total, mean = _sums(z, weight, eta)
    value = float(eta[event].sum() - count @ np.log(total))
    gradient = z[event].sum(axis=0) - count @ mean
    share = (risk / total) @ count
    information = (z * share[:, None]).T @ z - (mean * count[:, None]).T @ mean
    return value, gradient, information


def _newton(
    z: FloatArray, event: NDArray[np.bool_], weight: FloatArray, count: NDArray[np.int64]
) -> tuple[FloatArray, float, float, int]:
    beta = np.zeros(z.shape[1])
    value, gradient, information = _derivatives(z, event, weight, count, beta)
    null = value
    for step in range(1, _STEPS + 1):
        try:
            move = np.linalg.solve(information, gradient) if len(beta) else gradient
        except np.linalg.LinAlgError:
            break
        for _ in range(30):
            trial = _derivatives(z, event, weight, count, beta + move)
            if np.isfinite(trial[0]) and trial[0] >= value - 1e-12 * (1 + abs(value)):
                break
            move = move / 2
        gain = trial[0] - value
        beta = beta + move
        value, gradient, information = trial
        if abs(gain) <= 1e-12 * (1 + abs(value)) and np.abs(z @ move).max(initial=0) < 1e-8:
            return beta, value, null, step
        if np.abs(z @ beta).max() > 100:
            break
    raise FitError(
        "The Fine–Gray model did not converge: a covariate probably separates the events of the "
        "cause from the rest. Drop it or merge its levels.",
        diagnostics={"beta": beta.tolist()},
    )


def _robust(
    z: FloatArray,
    time: FloatArray,
    cause: NDArray[np.int64],
    of: int,
    grid: FloatArray,
    *,
    weight: FloatArray,
    beta: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return the robust covariance and the cumulative baseline hazard."""
    event = cause == of
    place = np.searchsorted(grid, time[event])
    count = np.bincount(place, minlength=len(grid)).astype(np.float64)
    risk, total, mean = _sums(z, weight, z @ beta)
    jump = count / total
    expected = risk * jump
    information = (z * expected.sum(axis=1)[:, None]).T @ z - (mean * count[:, None]).T @ mean
    parts = -(z * expected.sum(axis=1)[:, None] - expected @ mean)
    parts[event] += z[event] - mean[place]
    parts += _censoring_part(z, time, cause, of, grid, expected=expected, mean=mean)
    inverse = np.linalg.inv(information) if z.shape[1] else information
    return inverse @ (parts.T @ parts) @ inverse, np.cumsum(jump)


def _censoring_part(
    z: FloatArray,
    time: FloatArray,
    cause: NDArray[np.int64],
    of: int,
    grid: FloatArray,
    *,
    expected: FloatArray,
    mean: FloatArray,
) -> FloatArray:
    """Return each sample's part of the score by way of the censoring curve, (n, p)."""
    moments, at = np.unique(time[cause == 0], return_inverse=True)
    if not len(moments):
        return np.zeros_like(z)
    other = (cause != 0) & (cause != of)
    # q(u): the score of those who stay at risk after a competing event before u, from u on.
    q = np.zeros((len(moments), z.shape[1]))
    from_u = np.searchsorted(grid, moments, side="left")
    for i in np.flatnonzero(other):
        terms = (z[i] - mean) * expected[i][:, None]
        after = np.concatenate((np.cumsum(terms[::-1], axis=0)[::-1], np.zeros((1, z.shape[1]))))
        q[moments > time[i]] += after[from_u[moments > time[i]]]
    at_risk = len(time) - np.searchsorted(np.sort(time), moments, side="left").astype(np.float64)
    censored = np.bincount(at).astype(np.float64)
    drift = np.cumsum(q * (censored / at_risk**2)[:, None], axis=0)
    until = np.searchsorted(moments, time, side="right")
    out = -np.concatenate((np.zeros((1, z.shape[1])), drift))[until]
    out[cause == 0] += (q / at_risk[:, None])[at]
    return np.asarray(out, dtype=np.float64)
