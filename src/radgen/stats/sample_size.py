"""How many samples a prediction model needs (Riley's criteria)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, stdtrit

from radgen.errors import InputError

__all__ = ["SampleSize", "riley_binary", "riley_continuous", "riley_survival"]


@dataclass(frozen=True)
class SampleSize:
    """Samples needed by each criterion; `n` is the largest.

    Attributes
    ----------
    criteria : tuple of (what, samples)
    n : int
    events : float
        Events expected among `n`; NaN for a continuous outcome.
    """

    criteria: tuple[tuple[str, int], ...]
    n: int
    events: float


def _shrinkage_n(parameters: int, r2_cs: float, shrinkage: float) -> int:
    inside = 1 - r2_cs / shrinkage
    if inside <= 0:
        raise InputError(
            f"A Cox–Snell R2 of {r2_cs:g} cannot be reached with a shrinkage of {shrinkage:g}."
        )
    return math.ceil(parameters / ((shrinkage - 1) * math.log(inside)))


def _check(parameters: int, r2: float) -> None:
    if parameters < 1 or not 0 < r2 < 1:
        raise InputError("Needed are one or more parameters and an R2 strictly between 0 and 1.")


def riley_binary(
    parameters: int,
    r2_cs: float,
    prevalence: float,
    *,
    shrinkage: float = 0.9,
    optimism: float = 0.05,
    margin: float = 0.05,
) -> SampleSize:
    """Return the sample size for a model of a binary outcome.

    Parameters
    ----------
    parameters : int
        Candidate predictor parameters, those tried included.
    r2_cs : float
        Anticipated Cox–Snell R2.
    prevalence : float
        Share of positives.
    shrinkage : float, default 0.9
        Wanted calibration slope.
    optimism : float, default 0.05
        Allowed optimism in Nagelkerke's R2.
    margin : float, default 0.05
        Allowed error of the mean risk.

    Returns
    -------
    SampleSize
        Three criteria and their maximum.

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    Riley et al. 2019, doi:10.1002/sim.7992; 2020, doi:10.1136/bmj.m441.

    Examples
    --------
    >>> [n for _, n in riley_binary(24, 0.288, 0.174).criteria]
    [623, 662, 221]
    """
    _check(parameters, r2_cs)
    if not 0 < prevalence < 1:
        raise InputError("The prevalence lies strictly between 0 and 1.")
    per_sample = prevalence * math.log(prevalence) + (1 - prevalence) * math.log1p(-prevalence)
    r2_max = 1 - math.exp(2 * per_sample)
    if r2_cs >= r2_max:
        raise InputError(
            f"A Cox–Snell R2 of {r2_cs:g} is impossible at this prevalence; at most {r2_max:.3g}."
        )
    needed = r2_cs / (r2_cs + optimism * r2_max)
    criteria = (
        (f"shrinkage of {shrinkage:g}", _shrinkage_n(parameters, r2_cs, shrinkage)),
        (f"optimism in R2 of {optimism:g}", _shrinkage_n(parameters, r2_cs, needed)),
        (
            f"mean risk within {margin:g}",
            math.ceil((1.96 / margin) ** 2 * prevalence * (1 - prevalence)),
        ),
    )
    n = max(item[1] for item in criteria)
    return SampleSize(criteria, n, n * prevalence)


def riley_survival(
    parameters: int,
    r2_cs: float,
    *,
    event_rate: float,
    mean_follow_up: float,
    horizon: float,
    shrinkage: float = 0.9,
    optimism: float = 0.05,
    margin: float = 0.05,
) -> SampleSize:
    """Return the sample size for a model of a censored outcome.

    Parameters
    ----------
    parameters : int
        Candidate predictor parameters.
    r2_cs : float
        Anticipated Cox–Snell R2.
    event_rate : float
        Events per person and unit of time.
    mean_follow_up : float
        Mean follow-up, in the unit of time.
    horizon : float
        Time at which risk is predicted.
    shrinkage, optimism : float
        As in `riley_binary`.
    margin : float, default 0.05
        Allowed error of the overall risk at the horizon.

    Returns
    -------
    SampleSize
        Three criteria and their maximum.

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    Riley et al. 2019, doi:10.1002/sim.7992.

    Examples
    --------
    >>> found = riley_survival(30, 0.051, event_rate=0.065, mean_follow_up=2.07, horizon=2)
    >>> found.criteria[0][1]
    5143
    """
    _check(parameters, r2_cs)
    if min(event_rate, mean_follow_up, horizon) <= 0:
        raise InputError("Event rate, follow-up and horizon are positive.")
    share = event_rate * mean_follow_up
    r2_max = 1 - math.exp(2 * (share * math.log(share) - share)) if share > 0 else 1.0
    if r2_cs >= r2_max:
        raise InputError(f"A Cox–Snell R2 of {r2_cs:g} is impossible; at most {r2_max:.3g}.")
    needed = r2_cs / (r2_cs + optimism * r2_max)
    criteria = (
        (f"shrinkage of {shrinkage:g}", _shrinkage_n(parameters, r2_cs, shrinkage)),
        (f"optimism in R2 of {optimism:g}", _shrinkage_n(parameters, r2_cs, needed)),
        (
            f"overall risk within {margin:g}",
            _overall_risk_n(event_rate, mean_follow_up, horizon, margin),
        ),
    )
    n = max(item[1] for item in criteria)
    return SampleSize(criteria, n, n * share)


def _overall_risk_n(rate: float, follow_up: float, horizon: float, margin: float) -> int:
    risk = 1 - math.exp(-rate * horizon)
    n = 1
    while True:
        error = 1.96 * math.sqrt(rate / (n * follow_up))
        high = 1 - math.exp(-(rate + error) * horizon)
        low = 1 - math.exp(-max(rate - error, 0) * horizon)
        if max(high - risk, risk - low) <= margin:
            return n
        n = max(n + 1, int(n * 1.001))


def riley_continuous(
    parameters: int,
    r2_adjusted: float,
    *,
    mean: float,
    sd: float,
    shrinkage: float = 0.9,
    optimism: float = 0.05,
    margin: float = 1.1,
) -> SampleSize:
    """Return the sample size for a model of a continuous outcome.

    Parameters
    ----------
    parameters : int
        Candidate predictor parameters.
    r2_adjusted : float
        Anticipated adjusted R2.
    mean, sd : float
        Of the outcome.
    shrinkage, optimism : float
        As in `riley_binary`.
    margin : float, default 1.1
        Multiplicative margin of error of residual SD and of the mean.

    Returns
    -------
    SampleSize
        Four criteria and their maximum.

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    Riley et al. 2019, doi:10.1002/sim.7993.
    """
    _check(parameters, r2_adjusted)
    first = parameters + 3
    while True:
        apparent = (r2_adjusted * (first - parameters - 1) + parameters) / (first - 1)
        if 1 + (parameters - 2) / (first * math.log1p(-min(apparent, 1 - 1e-12))) >= shrinkage:
            break
        first += 1
    second = math.ceil(1 + parameters * (1 - r2_adjusted) / optimism)
    third = parameters + 2
    while True:
        df = third - parameters - 1
        high, low = float(chdtri(df, 0.025)), float(chdtri(df, 0.975))
        if math.sqrt(max(high / df, df / low)) <= margin:
            break
        third += 1
    fourth = parameters + 2
    residual = sd**2 * (1 - r2_adjusted)
    while True:
        t = float(stdtrit(fourth - parameters - 1, 0.975))
        upper = mean + t * math.sqrt(residual / fourth)
        lower = mean - t * math.sqrt(residual / fourth)
        if mean == 0 or (
            abs(upper / mean) <= margin and abs(mean / lower if lower else np.inf) <= margin
        ):
            break
        fourth += 1
    criteria = (
        (f"shrinkage of {shrinkage:g}", first),
        (f"optimism in R2 of {optimism:g}", second),
        (f"residual SD within a factor of {margin:g}", third),
        (f"mean within a factor of {margin:g}", fourth),
    )
    return SampleSize(criteria, max(item[1] for item in criteria), float("nan"))
