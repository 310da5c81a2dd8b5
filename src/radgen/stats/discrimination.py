"""Discrimination of a score: AUC with DeLong intervals, PR-AUC, ROC, thresholds, power."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtr, ndtri

from radgen.errors import InputError

__all__ = [
    "AucDifference",
    "AucEstimate",
    "Confusion",
    "auc",
    "auc_difference",
    "auc_interval",
    "average_precision",
    "average_precision_interval",
    "check_binary",
    "confusion_at",
    "logit_interval",
    "minimum_detectable_auc",
    "placements",
    "proportion_interval",
    "roc_curve",
    "youden_threshold",
]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class AucEstimate:
    """An AUC, its standard error and its interval within [0, 1]."""

    auc: float
    std_error: float
    ci_low: float
    ci_high: float
    n_positive: int
    n_negative: int


@dataclass(frozen=True)
class AucDifference:
    """First AUC minus second, on the same samples."""

    difference: float
    std_error: float
    ci_low: float
    ci_high: float
    z: float
    p_value: float


@dataclass(frozen=True)
class Confusion:
    """Counts at a threshold and the rates with exact (Clopper–Pearson) intervals."""

    threshold: float
    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int
    rates: tuple[tuple[str, float, float, float], ...]


def check_binary(outcome: Any, score: Any) -> tuple[NDArray[np.bool_], FloatArray]:
    """Return the outcome as bool (n,) and the score as float64 (n,).

    Raises
    ------
    InputError
        If shapes differ, a value is missing, or the outcome is not 0/1 with both classes.
    """
    y, s = np.asarray(outcome), np.asarray(score, dtype=np.float64)
    if y.ndim != 1 or y.shape != s.shape:
        raise InputError(f"Outcome has shape {y.shape} and score {s.shape}; needed is (n,) twice.")
    if y.dtype != np.bool_ and not np.isin(y, (0, 1)).all():
        raise InputError("The outcome must be 0 or 1 in every row.")
    if not np.isfinite(s).all():
        raise InputError("The score holds missing or infinite values.")
    positive = y.astype(np.bool_)
    if positive.all() or not positive.any():
        raise InputError("Both classes must be present: an AUC needs a positive and a negative.")
    return positive, s


def _midranks(values: FloatArray) -> FloatArray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    end = np.cumsum(count)
    return np.asarray((end - (count - 1) / 2)[place], dtype=np.float64)


def placements(positive: NDArray[np.bool_], score: FloatArray) -> FloatArray:
    """Return each sample's share of the other class that it is ranked rightly against, (n,).

    Notes
    -----
    The mean over the positives, and over the negatives, is the AUC (DeLong's structural
    components), computed with midranks in O(n log n).

    References
    ----------
    Sun & Xu 2014, doi:10.1109/LSP.2014.2337313.
    """
    pooled = _midranks(score)
    n1, n0 = int(positive.sum()), int((~positive).sum())
    out = np.empty(len(score))
    out[positive] = (pooled[positive] - _midranks(score[positive])) / n0
    out[~positive] = 1 - (pooled[~positive] - _midranks(score[~positive])) / n1
    return out


def auc(outcome: Any, score: Any) -> float:
    """Return the area under the ROC curve; ties count one half.

    Raises
    ------
    InputError
        As `check_binary`.

    Examples
    --------
    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    positive, values = check_binary(outcome, score)
    return float(placements(positive, values)[positive].mean())


def logit_interval(
    estimate: float, std_error: float, confidence: float, units: float
) -> tuple[float, float]:
    """Return an interval within [0, 1], symmetric on the logit scale.

    At an estimate of exactly 0 or 1, where the standard error is 0 and says nothing, the exact
    one-sided bound of `units` successes of as many trials is given.
    """
    tail = (1 - confidence) / 2
    if not np.isfinite(estimate) or not np.isfinite(std_error):
        return float("nan"), float("nan")
    if estimate >= 1 - 1e-12:
        return float(tail ** (1 / max(units, 1))), 1.0
    if estimate <= 1e-12:
        return 0.0, float(1 - tail ** (1 / max(units, 1)))
    z = float(ndtri(1 - tail))
    middle = np.log(estimate / (1 - estimate))
    spread = z * std_error / (estimate * (1 - estimate))
    low, high = 1 / (1 + np.exp(-(middle - spread))), 1 / (1 + np.exp(-(middle + spread)))
    return float(low), float(high)


def _components(positive: NDArray[np.bool_], score: FloatArray) -> tuple[float, FloatArray]:
    place = placements(positive, score)
    value = float(place[positive].mean())
    n1, n0 = int(positive.sum()), int((~positive).sum())
    influence = np.where(positive, (place - value) / n1, (place - value) / n0)
    return value, influence


def _variance(
    positive: NDArray[np.bool_], influence: FloatArray, other: FloatArray, cluster: Any
) -> float:
    if cluster is None:
        n1, n0 = int(positive.sum()), int((~positive).sum())
        total = 0.0
        if n1 > 1:
            total += n1 / (n1 - 1) * float(influence[positive] @ other[positive])
        if n0 > 1:
            total += n0 / (n0 - 1) * float(influence[~positive] @ other[~positive])
        return total
    code = np.unique(np.asarray(cluster), return_inverse=True)[1]
    a, b = np.bincount(code, weights=influence), np.bincount(code, weights=other)
    g = len(a)
    return float(g / max(g - 1, 1) * (a @ b))


def auc_interval(
    outcome: Any, score: Any, *, cluster: Any = None, confidence: float = 0.95
) -> AucEstimate:
    """Return the AUC with DeLong's standard error and a logit interval.

    Parameters
    ----------
    outcome : bool or 0/1 (n,)
        True = positive.
    score : float (n,)
        Higher = more likely positive.
    cluster : array-like (n,) or None
        Patients of several samples: components are summed per patient (Obuchowski).
    confidence : float, default 0.95
        Level.

    Returns
    -------
    AucEstimate
        The interval never leaves [0, 1]. At an AUC of 1 the lower limit is
        (alpha/2)^(1/m) with m the size of the smaller class: DeLong's own would be 1.

    Raises
    ------
    InputError
        As `check_binary`.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson 1988, doi:10.2307/2531595. Obuchowski 1997,
    doi:10.2307/2533958.
    """
    positive, values = check_binary(outcome, score)
    value, influence = _components(positive, values)
    error = float(np.sqrt(max(_variance(positive, influence, influence, cluster), 0.0)))
    n1, n0 = int(positive.sum()), int((~positive).sum())
    low, high = logit_interval(value, error, confidence, min(n1, n0))
    return AucEstimate(value, error, low, high, n1, n0)


def auc_difference(
    outcome: Any, first: Any, second: Any, *, cluster: Any = None, confidence: float = 0.95
) -> AucDifference:
    """Return DeLong's paired comparison of two scores on the same samples.

    Parameters
    ----------
    outcome : bool or 0/1 (n,)
        True = positive.
    first, second : float (n,)
        Two scores.
    cluster : array-like (n,) or None
        As in `auc_interval`.
    confidence : float, default 0.95
        Level of the interval, clipped to [-1, 1].

    Returns
    -------
    AucDifference
        p is 1 where the two scores rank alike.

    Raises
    ------
    InputError
        As `check_binary`.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson 1988, doi:10.2307/2531595.
    """
    positive, one = check_binary(outcome, first)
    _, two = check_binary(outcome, second)
    a, ia = _components(positive, one)
    b, ib = _components(positive, two)
    variance = _variance(positive, ia - ib, ia - ib, cluster)
    error = float(np.sqrt(max(variance, 0.0)))
    gap = a - b
    z = gap / error if error > 0 else (0.0 if gap == 0 else float(np.copysign(np.inf, gap)))
    half = float(ndtri(0.5 + confidence / 2)) * error
    return AucDifference(
        gap, error, max(-1.0, gap - half), min(1.0, gap + half), z, float(2 * ndtr(-abs(z)))
    )


def roc_curve(outcome: Any, score: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return false positive rate, true positive rate and threshold, from (0, 0) to (1, 1).

    Raises
    ------
    InputError
        As `check_binary`.
    """
    positive, values = check_binary(outcome, score)
    cut, place = np.unique(-values, return_inverse=True)
    hits = np.cumsum(np.bincount(place, weights=positive)) / positive.sum()
    alarms = np.cumsum(np.bincount(place, weights=~positive)) / (~positive).sum()
    zero = np.zeros(1)
    return (
        np.concatenate((zero, alarms)),
        np.concatenate((zero, hits)),
        np.concatenate(([np.inf], -cut)),
    )


def average_precision(outcome: Any, score: Any, *, weights: Any = None) -> float:
    """Return the area under the precision–recall steps; chance level is the prevalence.

    Parameters
    ----------
    outcome, score : array-like (n,)
        As in `auc`.
    weights : float (n,) or None
        Case weights.

    Returns
    -------
    float
        In (0, 1].

    Raises
    ------
    InputError
        As `check_binary`.
    """
    positive, values = check_binary(outcome, score)
    w = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    _, place = np.unique(-values, return_inverse=True)
    hits = np.cumsum(np.bincount(place, weights=w * positive))
    both = np.cumsum(np.bincount(place, weights=w))
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(both > 0, hits / both, 0.0)
    return float(precision @ np.diff(np.concatenate(([0.0], hits))) / hits[-1])


def average_precision_interval(
    outcome: Any, score: Any, *, cluster: Any = None, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the area under the precision-recall curve with its logit interval.

    Parameters
    ----------
    outcome : bool (n,)
        True = positive.
    score : float (n,)
        Higher = more likely positive.
    cluster : array-like (n,) or None
        Patients: the number of patients with a positive sample then sets the width.
    confidence : float, default 0.95
        Level.

    Returns
    -------
    estimate, ci_low, ci_high : float
        Within [0, 1].

    Raises
    ------
    InputError
        As `check_binary`.

    References
    ----------
    Boyd, Eng & Page 2013, doi:10.1007/978-3-642-40994-3_29 (the logit interval covers best).
    """
    value = average_precision(outcome, score)
    positive, _ = check_binary(outcome, score)
    units = int(positive.sum())
    if cluster is not None:
        units = len(np.unique(np.asarray(cluster)[positive]))
    error = float(np.sqrt(max(value * (1 - value), 0.0) / units))
    low, high = logit_interval(value, error, confidence, units)
    return value, low, high


def youden_threshold(outcome: Any, score: Any) -> float:
    """Return the cut that maximises sensitivity + specificity - 1.

    The cut lies midway between neighbouring scores; "positive" means score >= cut. Take it from
    training predictions only: a cut found on the test set is optimistic.

    Raises
    ------
    InputError
        As `check_binary`.
    """
    alarms, hits, cuts = roc_curve(outcome, score)
    best = int(np.argmax(hits - alarms))
    if best == 0:
        return float(np.nextafter(cuts[1], np.inf))
    if best + 1 < len(cuts):
        return float((cuts[best] + cuts[best + 1]) / 2)
    return float(cuts[best])


def proportion_interval(
    successes: float, trials: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the exact (Clopper–Pearson) interval of a proportion; (0, 1) for no trial."""
    tail = (1 - confidence) / 2
    if trials <= 0:
        return 0.0, 1.0
    low = 0.0 if successes <= 0 else float(betaincinv(successes, trials - successes + 1, tail))
    high = (
        1.0
        if successes >= trials
        else float(betaincinv(successes + 1, trials - successes, 1 - tail))
    )
    return low, high


def confusion_at(outcome: Any, decision: Any, *, threshold: float = float("nan")) -> Confusion:
    """Return counts and rates of yes/no decisions.

    Parameters
    ----------
    outcome : bool (n,)
        True = positive.
    decision : bool (n,)
        True = called positive.
    threshold : float
        Recorded with the answer; NaN where decisions come from several thresholds.

    Returns
    -------
    Confusion
        Rates ``(name, estimate, ci_low, ci_high)`` of sensitivity, specificity, ppv, npv and
        accuracy; NaN where the denominator is 0.

    Raises
    ------
    InputError
        As `check_binary`.
    """
    positive, called = check_binary(outcome, np.asarray(decision, dtype=np.float64))
    said = called > 0.5
    tp, fp = int((said & positive).sum()), int((said & ~positive).sum())
    tn, fn = int((~said & ~positive).sum()), int((~said & positive).sum())
    parts = (
        ("sensitivity", tp, tp + fn),
        ("specificity", tn, tn + fp),
        ("ppv", tp, tp + fp),
        ("npv", tn, tn + fn),
        ("accuracy", tp + tn, len(said)),
    )
    rates = tuple(
        (name, k / n if n else float("nan"), *proportion_interval(k, n)) for name, k, n in parts
    )
    return Confusion(threshold, tp, fp, tn, fn, rates)


def minimum_detectable_auc(
    n_positive: int, n_negative: int, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Return the smallest AUC above 0.5 that a two-sided test would find with given power.

    Parameters
    ----------
    n_positive, n_negative : int
        Class sizes.
    power : float, default 0.8
        Wanted power.
    alpha : float, default 0.05
        Two-sided level.

    Returns
    -------
    float
        NaN where not even an AUC of 1 reaches the power.

    Raises
    ------
    InputError
        If a class is empty.

    Notes
    -----
    The null standard error is exact, ((n1 + n0 + 1) / (12 n1 n0))^½; under the alternative
    Hanley and McNeil's.

    References
    ----------
    Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747.

    Examples
    --------
    >>> round(minimum_detectable_auc(302, 114), 2)
    0.59
    """
    if n_positive < 1 or n_negative < 1:
        raise InputError("Both classes must be present.")
    null_error = np.sqrt((n_positive + n_negative + 1) / (12 * n_positive * n_negative))
    z_alpha, z_power = float(ndtri(1 - alpha / 2)), float(ndtri(power))

    def missing(a: float) -> float:
        q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
        variance = a * (1 - a) + (n_positive - 1) * (q1 - a * a) + (n_negative - 1) * (q2 - a * a)
        error = np.sqrt(max(variance, 0.0) / (n_positive * n_negative))
        return float(a - 0.5 - z_alpha * null_error - z_power * error)

    low, high = 0.5, 1.0
    if missing(high) < 0:
        return float("nan")
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if missing(middle) < 0 else (low, middle)
    return float(high)
