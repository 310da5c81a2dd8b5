"""Clinical usefulness: decision curves, and reclassification with its caveats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from radgen.errors import InputError
from radgen.stats.discrimination import check_binary
from radgen.stats.survival import check_survival, kaplan_meier

__all__ = [
    "DecisionCurve",
    "Reclassification",
    "decision_curve",
    "reclassification",
    "survival_decision_curve",
]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit of a model along threshold probabilities, with the two default policies.

    Attributes
    ----------
    thresholds, net_benefit, std_error, ci_low, ci_high : float64 (n_thresholds,)
        Net benefit is in true positives per person.
    standardised : float64 (n_thresholds,)
        Net benefit / prevalence; 1 is the best possible.
    treat_all : float64 (n_thresholds,)
        Net benefit of treating everybody; treating nobody is 0.
    prevalence : float
    """

    thresholds: FloatArray
    net_benefit: FloatArray
    std_error: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    standardised: FloatArray
    treat_all: FloatArray
    prevalence: float


@dataclass(frozen=True)
class Reclassification:
    """NRI and IDI of a second model over a first, with z-test p values.

    Both are known to be positive for useless markers when models are miscalibrated: report them
    beside the difference in AUC and in net benefit, never alone.
    """

    nri_events: float
    nri_nonevents: float
    nri: float
    nri_std_error: float
    nri_p_value: float
    idi: float
    idi_std_error: float
    idi_p_value: float
    warning: str


def _check_thresholds(thresholds: Any) -> FloatArray:
    cuts = np.asarray(thresholds, dtype=np.float64)
    if cuts.ndim != 1 or (cuts <= 0).any() or (cuts >= 1).any():
        raise InputError("Threshold probabilities lie strictly between 0 and 1.")
    return cuts


def decision_curve(
    outcome: Any,
    probability: Any,
    thresholds: Any,
    *,
    cluster: Any = None,
    weights: Any = None,
    confidence: float = 0.95,
) -> DecisionCurve:
    """Return the decision curve of predicted probabilities.

    Parameters
    ----------
    outcome : bool (n,)
        True = positive.
    probability : float (n,)
        In [0, 1]; treated where probability >= threshold.
    thresholds : float (n_thresholds,)
        Strictly between 0 and 1.
    cluster : array-like (n,) or None
        Patients; rows of one patient (repeats of cross-validation, lesions) are summed.
    weights : float (n,) or None
        Weight of each row (1 / repeats for stacked repeats).
    confidence : float, default 0.95
        Level of the interval.

    Returns
    -------
    DecisionCurve
        Net benefit TP/n - FP/n * t / (1 - t), interval clipped to what is possible.

    Raises
    ------
    InputError
        If input is malformed.

    References
    ----------
    Vickers & Elkin 2006, doi:10.1177/0272989X06295361. Pfeiffer & Gail 2020,
    doi:10.1002/bimj.201800240.
    """
    positive, p = check_binary(outcome, probability)
    cuts = _check_thresholds(thresholds)
    w = np.ones(len(p)) if weights is None else np.asarray(weights, dtype=np.float64)
    odds = cuts / (1 - cuts)
    treated = p[:, None] >= cuts
    gain = np.where(positive[:, None], 1.0, -odds)
    benefit = treated * gain
    total = w.sum()
    mean = w @ benefit / total
    prevalence = float(w @ positive / total)
    influence = w[:, None] * (benefit - mean) / total
    if cluster is not None:
        code = np.unique(np.asarray(cluster), return_inverse=True)[1]
        summed = np.zeros((int(code.max()) + 1, len(cuts)))
        np.add.at(summed, code, influence)
        influence = summed
    g = len(influence)
    error = np.sqrt((influence**2).sum(axis=0) * g / max(g - 1, 1))
    z = float(ndtri(0.5 + confidence / 2))
    low = np.maximum(mean - z * error, -odds)
    high = np.minimum(mean + z * error, 1.0)
    treat_all = prevalence - (1 - prevalence) * odds
    return DecisionCurve(cuts, mean, error, low, high, mean / prevalence, treat_all, prevalence)


def survival_decision_curve(
    time: Any, event: Any, risk: Any, horizon: float, thresholds: Any
) -> DecisionCurve:
    """Return the decision curve of predicted risks at a horizon with censored follow-up.

    Parameters
    ----------
    time, event : array-like (n,)
        Times and events.
    risk : float (n,)
        Predicted probability of an event before `horizon`.
    horizon : float
        In the unit of time.
    thresholds : float (n_thresholds,)
        Strictly between 0 and 1.

    Returns
    -------
    DecisionCurve
        Event rates among the treated come from Kaplan–Meier; errors treat the number treated as
        fixed.

    Raises
    ------
    InputError
        If input is malformed.

    References
    ----------
    Vickers et al. 2008, doi:10.1186/1472-6947-8-53.
    """
    times, events = check_survival(time, event)
    p = np.asarray(risk, dtype=np.float64)
    cuts = _check_thresholds(thresholds)
    odds = cuts / (1 - cuts)
    everyone = kaplan_meier(times, events)
    prevalence = float(1 - everyone.at(horizon))
    net, error = np.zeros(len(cuts)), np.zeros(len(cuts))
    for k, cut in enumerate(cuts):
        chosen = p >= cut
        if not chosen.any():
            continue
        curve = kaplan_meier(times[chosen], events[chosen])
        rate = float(1 - curve.at(horizon))
        share = float(chosen.mean())
        net[k] = share * (rate - (1 - rate) * odds[k])
        where = np.searchsorted(curve.times, horizon, side="right") - 1
        spread = curve.std_error[where] if where >= 0 else 0.0
        error[k] = share * (1 + odds[k]) * float(np.nan_to_num(spread))
    z = float(ndtri(0.975))
    low, high = np.maximum(net - z * error, -odds), np.minimum(net + z * error, 1.0)
    treat_all = prevalence - (1 - prevalence) * odds
    scaled = net / prevalence if prevalence > 0 else np.full_like(net, np.nan)
    return DecisionCurve(cuts, net, error, low, high, scaled, treat_all, prevalence)


def reclassification(outcome: Any, old: Any, new: Any, *, cuts: Any = None) -> Reclassification:
    """Return net reclassification and integrated discrimination improvement.

    Parameters
    ----------
    outcome : bool (n,)
        True = event.
    old, new : float (n,)
        Predicted probabilities of the two models.
    cuts : float (k,) or None
        Risk categories; None gives the category-free NRI.

    Returns
    -------
    Reclassification
        With the warning that belongs beside it.

    Raises
    ------
    InputError
        If input is malformed.

    References
    ----------
    Pencina et al. 2008, doi:10.1002/sim.2929. Hilden & Gerds 2014, doi:10.1002/sim.5804 (why
    they mislead).
    """
    positive, first = check_binary(outcome, old)
    _, second = check_binary(outcome, new)
    if cuts is None:
        move = np.sign(second - first)
    else:
        edges = np.sort(np.asarray(cuts, dtype=np.float64))
        move = np.sign(
            np.searchsorted(edges, second, side="right")
            - np.searchsorted(edges, first, side="right")
        ).astype(np.float64)
    up, down = move[positive], -move[~positive]
    gap = second - first
    n1, n0 = int(positive.sum()), int((~positive).sum())
    events, nonevents = float(up.mean()), float(down.mean())
    nri = events + nonevents
    nri_error = float(np.sqrt(up.var() / n1 + down.var() / n0))
    idi = float(gap[positive].mean() - gap[~positive].mean())
    idi_error = float(np.sqrt(gap[positive].var(ddof=1) / n1 + gap[~positive].var(ddof=1) / n0))
    return Reclassification(
        events, nonevents, nri, nri_error, _two_sided(nri, nri_error),
        idi, idi_error, _two_sided(idi, idi_error),
        "NRI and IDI can be positive for a useless marker; judge by AUC, calibration and net "
        "benefit.",
    )  # fmt: skip


def _two_sided(value: float, error: float) -> float:
    return float(2 * ndtr(-abs(value) / error)) if error > 0 else float("nan")
