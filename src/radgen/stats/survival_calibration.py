"""Calibration of predicted risks at a horizon, with censored follow-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from radgen.errors import InputError
from radgen.stats.cox import fit_cox
from radgen.stats.survival import check_survival, kaplan_meier

__all__ = ["SurvivalCalibration", "restricted_cubic", "survival_calibration"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SurvivalCalibration:
    """Predicted against observed risk of an event before a horizon.

    Attributes
    ----------
    horizon : float
    observed, expected : float
        Kaplan–Meier risk and mean predicted risk.
    ratio, ratio_low, ratio_high : float
        Observed / expected with its interval (log scale, Greenwood).
    predicted, smoothed : float64 (n_points,)
        The calibration curve.
    ici, e50, e90, emax : float
        Mean, median, 90th centile and maximum of the absolute difference over the samples.
    """

    horizon: float
    observed: float
    expected: float
    ratio: float
    ratio_low: float
    ratio_high: float
    predicted: FloatArray
    smoothed: FloatArray
    ici: float
    e50: float
    e90: float
    emax: float


def restricted_cubic(x: Any, knots: Any) -> FloatArray:
    """Return the restricted cubic spline basis of `x`: x itself and one column a spare knot.

    Parameters
    ----------
    x : float (n,)
        Values.
    knots : float (k,)
        Ascending; beyond the outer ones the curve is a line.

    Returns
    -------
    float64 (n, k - 1)
        Truncated power basis, scaled by the squared distance of the outer knots.

    Raises
    ------
    InputError
        If there are fewer than three distinct knots.

    References
    ----------
    Harrell 2015, Regression Modeling Strategies, section 2.4.5.
    """
    value, place = np.asarray(x, dtype=np.float64), np.asarray(knots, dtype=np.float64)
    if place.size < 3 or (np.diff(place) <= 0).any():
        raise InputError("A restricted cubic spline needs three or more ascending knots.")
    last, before = place[-1], place[-2]
    size = (last - place[0]) ** 2

    def cube(at: float) -> FloatArray:
        return np.asarray(np.maximum(value - at, 0.0) ** 3, dtype=np.float64)

    columns = [value]
    for knot in place[:-2]:
        a = (last - knot) / (last - before)
        b = (before - knot) / (last - before)
        columns.append((cube(float(knot)) - a * cube(float(before)) + b * cube(float(last))) / size)
    return np.column_stack(columns)


def survival_calibration(
    time: Any, event: Any, risk: Any, horizon: float, *, confidence: float = 0.95, points: int = 50
) -> SurvivalCalibration:
    """Return how predicted risks at a horizon agree with what happened.

    Parameters
    ----------
    time, event : array-like (n,)
        Times and events.
    risk : float (n,)
        Predicted probability of an event up to `horizon`.
    horizon : float
        In the unit of time, within the follow-up.
    confidence : float, default 0.95
        Level of the interval of observed / expected.
    points : int, default 50
        Quantiles of the predictions at which the curve is given.

    Returns
    -------
    SurvivalCalibration
        The curve is a Cox model of the complementary log-log risk on a restricted cubic spline
        with three knots (quantiles 0.1, 0.5, 0.9), or a straight line where those coincide; one
        point where predictions are all equal.

    Raises
    ------
    InputError
        If a risk leaves [0, 1], or nobody is followed up to the horizon.
    FitError
        If the Cox model of the curve does not converge.

    References
    ----------
    Austin, Harrell & van Klaveren 2020, doi:10.1002/sim.8570. Crowson, Atkinson & Therneau 2016,
    doi:10.1177/0962280213497434.
    """
    times, events = check_survival(time, event)
    p = np.asarray(risk, dtype=np.float64)
    if p.shape != times.shape or not np.isfinite(p).all() or (p < 0).any() or (p > 1).any():
        raise InputError("Risks are one probability a sample.")
    if not (times >= horizon).any() or not (events & (times <= horizon)).any():
        raise InputError(f"At {horizon:g} nobody is followed any more, or no event came before.")
    curve = kaplan_meier(times, events)
    where = int(np.searchsorted(curve.times, horizon, side="right")) - 1
    observed, expected = 1 - float(curve.estimate[where]), float(p.mean())
    z = float(ndtri(0.5 + confidence / 2))
    spread = float(np.exp(z * curve.std_error[where] / observed))
    ratio = observed / expected if expected > 0 else float("inf")
    grid, smooth, own = _smoothed(times, events, p, horizon, points)
    gap = np.abs(own - p)
    return SurvivalCalibration(
        float(horizon), observed, expected, ratio, ratio / spread, ratio * spread, grid, smooth,
        float(gap.mean()), float(np.median(gap)), float(np.quantile(gap, 0.9)), float(gap.max()),
    )  # fmt: skip


def _smoothed(
    time: FloatArray, event: NDArray[np.bool_], p: FloatArray, horizon: float, points: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    grid = np.unique(np.quantile(p, np.linspace(0, 1, points)))
    if len(grid) == 1:
        level = 1 - kaplan_meier(time, event).at([horizon])
        return grid, level, np.full(len(p), float(level[0]))
    x, at = _complementary(p), _complementary(grid)
    knots = np.quantile(x, [0.1, 0.5, 0.9])
    if (np.diff(knots) > 1e-9).all():
        basis, wanted = restricted_cubic(x, knots), restricted_cubic(at, knots)
    else:
        basis, wanted = x[:, None], at[:, None]
    fit = fit_cox(basis, time, event)
    own = 1 - fit.survival(basis, [horizon])[:, 0]
    return grid, 1 - fit.survival(wanted, [horizon])[:, 0], own


def _complementary(p: FloatArray) -> FloatArray:
    kept = np.clip(p, 1e-8, 1 - 1e-8)
    return np.asarray(np.log(-np.log1p(-kept)), dtype=np.float64)
