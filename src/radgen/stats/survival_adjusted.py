"""Survival of groups made comparable: adjusted curves, and differences of restricted means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from radgen.errors import FitError, InputError
from radgen.stats.cox import fit_cox
from radgen.stats.glm import logistic
from radgen.stats.survival import check_survival, kaplan_meier, restricted_mean

__all__ = ["AdjustedCurve", "MeanDifference", "adjusted_survival", "restricted_mean_difference"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AdjustedCurve:
    """Survival of one group as if it had the covariates of all.

    Attributes
    ----------
    group : object
        Its label.
    times, survival, at_risk : float64 (n_times,)
        Number at risk: the plain count of the group, just before each time.
    effective : float
        Effective number of samples behind inverse-probability weights (Kish); the group's size
        for "cox".
    """

    group: Any
    times: FloatArray
    survival: FloatArray
    at_risk: FloatArray
    effective: float

    def at(self, times: Any) -> FloatArray:
        """Return the survival at `times`."""
        where = np.searchsorted(self.times, np.asarray(times, dtype=float), side="right")
        return np.asarray(np.concatenate(([1.0], self.survival))[where], dtype=np.float64)


@dataclass(frozen=True)
class MeanDifference:
    """Restricted mean survival time of the second group minus that of the first."""

    tau: float
    difference: float
    std_error: float
    ci_low: float
    ci_high: float
    p_value: float
    first: float
    second: float


def adjusted_survival(
    time: Any,
    event: Any,
    group: Any,
    covariates: Any,
    *,
    method: Literal["ipw", "cox"] = "ipw",
) -> tuple[AdjustedCurve, ...]:
    """Return survival curves of groups, adjusted for covariates.

    Parameters
    ----------
    time, event : array-like (n,)
        Times and events.
    group : array-like (n,)
        Two groups for "ipw", two or more for "cox".
    covariates : float (n, p)
        What the groups differ in; no missing values.
    method : {"ipw", "cox"}
        Kaplan–Meier with inverse-probability-of-group weights (logistic model); or the mean of
        the curves that a Cox model predicts for all samples in each group.

    Returns
    -------
    tuple of AdjustedCurve
        One a group, in order of the labels.

    Raises
    ------
    InputError
        If the data are malformed, or there are not two groups.
    FitError
        If covariates part the groups perfectly, or the Cox model cannot be fitted.

    References
    ----------
    Xie & Liu 2005, doi:10.1002/sim.2174 (weights). Makuch 1982, doi:10.1016/0021-9681(82)90059-0
    (direct adjustment).
    """
    times, events = check_survival(time, event)
    x = np.asarray(covariates, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    if x.shape[0] != len(times) or not np.isfinite(x).all():
        raise InputError(f"Covariates need {len(times)} rows without missing values.")
    labels, code = np.unique(np.asarray(group), return_inverse=True)
    if len(labels) < 2 or (method == "ipw" and len(labels) > 2):
        raise InputError(f"Found are {len(labels)} groups; needed are two.")
    if method == "cox":
        return _direct(times, events, x, labels, code)
    if method != "ipw":
        raise InputError(f"Unknown method {method!r}: ipw or cox.")
    fit = logistic((code == 1).astype(float), np.column_stack((np.ones(len(x)), x)))
    if fit.separated or not fit.converged:
        raise FitError("The covariates part the groups perfectly: they cannot be made comparable.")
    eta = np.column_stack((np.ones(len(x)), x)) @ fit.coef
    chance = 1 / (1 + np.exp(-eta))
    weight = np.where(code == 1, 1 / chance, 1 / (1 - chance))
    out = []
    for k, label in enumerate(labels.tolist()):
        rows = code == k
        curve = kaplan_meier(times[rows], events[rows], weights=weight[rows])
        effective = float(weight[rows].sum() ** 2 / (weight[rows] ** 2).sum())
        at_risk = _at_risk(times[rows], curve.times)
        out.append(AdjustedCurve(label, curve.times, curve.estimate, at_risk, effective))
    return tuple(out)


def _direct(
    time: FloatArray,
    event: NDArray[np.bool_],
    x: FloatArray,
    labels: NDArray[Any],
    code: NDArray[Any],
) -> tuple[AdjustedCurve, ...]:
    dummies = (code[:, None] == np.arange(1, len(labels))).astype(float)
    fit = fit_cox(np.hstack((dummies, x)), time, event)
    grid = np.unique(time[event])
    out = []
    for k, label in enumerate(labels.tolist()):
        moved = np.tile((np.arange(1, len(labels)) == k).astype(float), (len(x), 1))
        survival = fit.survival(np.hstack((moved, x)), grid).mean(axis=0)
        rows = code == k
        at_risk = _at_risk(time[rows], grid)
        out.append(AdjustedCurve(label, grid, survival, at_risk, float(rows.sum())))
    return tuple(out)


def _at_risk(time: FloatArray, grid: FloatArray) -> FloatArray:
    return (len(time) - np.searchsorted(np.sort(time), grid, side="left")).astype(np.float64)


def restricted_mean_difference(
    time: Any, event: Any, group: Any, *, tau: float | None = None, confidence: float = 0.95
) -> MeanDifference:
    """Return the difference of restricted mean survival times of two groups.

    Parameters
    ----------
    time, event : array-like (n,)
        Times and events.
    group : array-like (n,)
        Two groups; the second in order minus the first.
    tau : float or None
        Horizon; None = the smaller of the groups' last times.
    confidence : float, default 0.95
        Level.

    Returns
    -------
    MeanDifference
        In the unit of time; it needs no proportional hazards.

    Raises
    ------
    InputError
        If there are not two groups, or `tau` lies beyond a group's follow-up.

    References
    ----------
    Royston & Parmar 2013, doi:10.1186/1471-2288-13-152.
    """
    times, events = check_survival(time, event)
    labels, code = np.unique(np.asarray(group), return_inverse=True)
    if len(labels) != 2:
        raise InputError(f"Found are {len(labels)} groups; needed are two.")
    last = min(float(times[code == k].max()) for k in (0, 1))
    horizon = last if tau is None else float(tau)
    first, second = (
        restricted_mean(times[code == k], events[code == k], tau=horizon) for k in (0, 1)
    )
    gap = second.estimate - first.estimate
    error = float(np.hypot(first.std_error, second.std_error))
    spread = float(ndtri(0.5 + confidence / 2)) * error
    p = float(2 * ndtr(-abs(gap) / error)) if error > 0 else float("nan")
    return MeanDifference(
        horizon, gap, error, gap - spread, gap + spread, p, first.estimate, second.estimate
    )
