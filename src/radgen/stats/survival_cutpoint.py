"""Maximally selected rank statistics: the best cut-point, and an honest p for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from radgen.errors import InputError
from radgen.stats.cox import RiskSets
from radgen.stats.survival import check_survival

__all__ = ["MaximalTest", "logrank_scores", "maximal_test"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MaximalTest:
    """The best cut-point of one variable.

    Attributes
    ----------
    cut : float
        Low is ``x <= cut``.
    statistic : float
        Largest absolute standardised statistic over all cuts.
    p_naive : float
        As if the cut had been fixed beforehand: too small.
    p_value : float
        Corrected for the search: permutation where asked for, otherwise the smaller of the two
        bounds below.
    p_lau92, p_lau94 : float
        Approximations of Miller & Siegmund and of Lausen & others (an improved Bonferroni bound).
    cuts, statistics : float64 (n_cuts,)
        All cuts that were tried, and the signed statistics.
    """

    cut: float
    statistic: float
    p_naive: float
    p_value: float
    p_lau92: float
    p_lau94: float
    cuts: FloatArray
    statistics: FloatArray


def logrank_scores(time: Any, event: Any) -> FloatArray:
    """Return log-rank scores: the event minus the cumulative hazard at its time, (n,).

    Raises
    ------
    InputError
        If the data are malformed or there is no event.

    References
    ----------
    Hothorn & Lausen 2003, doi:10.1016/S0167-9473(02)00225-6.
    """
    times, events = check_survival(time, event)
    if not events.any():
        raise InputError("Log-rank scores need at least one event.")
    risk = RiskSets(times, events, np.ones(len(times)), None, "breslow")
    at_risk = risk.at_risk(np.ones(len(times)))
    return np.asarray(events - risk.per_sample(1 / at_risk[risk.row_time]), dtype=np.float64)


def maximal_test(
    x: Any,
    scores: Any,
    *,
    smallest: float = 0.1,
    largest: float = 0.9,
    permutations: int = 0,
    rng: np.random.Generator | None = None,
) -> MaximalTest:
    """Return the cut of `x` that parts the scores best, with a p that knows of the search.

    Parameters
    ----------
    x : float (n,)
        Variable, finite.
    scores : float (n,)
        What is compared: log-rank scores of a survival outcome, the 0/1 outcome, a value.
    smallest, largest : float
        Shares of the samples that may lie at or below a cut.
    permutations : int, default 0
        Permutations of the scores for `p_value`; 0 uses the analytic bounds.
    rng : numpy.random.Generator or None
        Needed for permutations.

    Returns
    -------
    MaximalTest
        The cut lies at a value of `x`.

    Raises
    ------
    InputError
        If no cut is possible, or permutations are asked for without a generator.

    References
    ----------
    Lausen & Schumacher 1992, doi:10.2307/2532740. Lausen, Sauerbrei & Schumacher 1994 (improved
    Bonferroni). Altman et al. 1994, doi:10.1093/jnci/86.11.829 (why the naive p misleads).
    """
    value, a = np.asarray(x, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    n = len(value)
    if value.ndim != 1 or a.shape != value.shape or not np.isfinite(value).all():
        raise InputError("Needed is one finite value and one score a sample.")
    order = np.argsort(value, kind="stable")
    ranked = value[order]
    last = np.append(np.flatnonzero(np.diff(ranked) > 0), n - 1)
    low = last + 1
    inside = (low >= smallest * n) & (low <= largest * n) & (low < n)
    if not inside.any():
        raise InputError(
            f"No cut leaves {smallest:.0%} to {largest:.0%} of the samples at or below it."
        )
    low = low[inside].astype(np.float64)
    centred = a - a.mean()
    spread = float((centred**2).sum())
    if spread <= 0:
        raise InputError("All scores are equal: there is nothing to part.")
    scale = np.sqrt(low * (n - low) / (n * (n - 1)) * spread)
    place = low.astype(np.int64) - 1
    found = np.cumsum(centred[order])[place] / scale
    best = int(np.argmax(np.abs(found)))
    b = float(abs(found[best]))
    lau92, lau94 = _lau92(b, low[0] / n, low[-1] / n), _lau94(b, low, n)
    p = min(lau92, lau94)
    if permutations:
        if rng is None:
            raise InputError("Permutations need a random generator (rng).")
        shuffled = rng.permuted(np.tile(centred, (permutations, 1)), axis=1)
        largest_ = np.abs(np.cumsum(shuffled, axis=1)[:, place] / scale).max(axis=1)
        p = float(((largest_ >= b - 1e-12).sum() + 1) / (permutations + 1))
    return MaximalTest(
        float(ranked[place[best]]), b, float(2 * ndtr(-b)), p, lau92, lau94, ranked[place], found
    )


def _density(b: float) -> float:
    return float(np.exp(-0.5 * b * b) / np.sqrt(2 * np.pi))


def _lau92(b: float, first: float, last: float) -> float:
    if b <= 1:
        return 1.0
    odds = np.log(last * (1 - first) / ((1 - last) * first)) if last > first else 0.0
    p = 4 * _density(b) / b + _density(b) * (b - 1 / b) * odds
    return float(min(p, 1.0))


def _lau94(b: float, low: FloatArray, n: int) -> float:
    first, second = low[:-1], low[1:]
    t = np.sqrt(np.maximum(1 - first * (n - second) / ((n - first) * second), 0.0))
    terms = np.exp(-0.5 * b * b) / np.pi * (t - (b * b / 4 - 1) * t**3 / 6)
    return float(min(2 * ndtr(-b) + terms.sum(), 1.0))
