"""Calibration of predicted probabilities: Brier, slope, intercept, ICI and the curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from radgen.errors import FitError, InputError
from radgen.stats.discrimination import check_binary

__all__ = [
    "BrierParts",
    "CalibrationError",
    "CalibrationLine",
    "brier_parts",
    "brier_score",
    "calibration_curve",
    "calibration_error",
    "calibration_line",
    "clip_probability",
    "fit_logistic_line",
    "local_regression",
    "scaled_brier",
]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class BrierParts:
    """Murphy's parts: brier = reliability - resolution + uncertainty + within_bin."""

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bin: float


@dataclass(frozen=True)
class CalibrationLine:
    """Logistic recalibration: slope (ideal 1), and intercept at slope 1 (ideal 0)."""

    slope: float
    slope_std_error: float
    slope_low: float
    slope_high: float
    intercept: float
    intercept_std_error: float
    intercept_low: float
    intercept_high: float
    intercept_with_slope: float


@dataclass(frozen=True)
class CalibrationError:
    """Absolute difference of prediction and smoothed outcome: mean, median, 90th centile, max."""

    ici: float
    e50: float
    e90: float
    emax: float


def clip_probability(probability: Any, margin: float = 1e-8) -> FloatArray:
    """Return probabilities within [margin, 1 - margin], for logits."""
    return np.clip(np.asarray(probability, dtype=np.float64), margin, 1 - margin)


def _check(outcome: Any, probability: Any) -> tuple[FloatArray, FloatArray]:
    positive, p = check_binary(outcome, probability)
    if (p < 0).any() or (p > 1).any():
        raise InputError(
            f"Probabilities lie in [0, 1]; found {p.min():.3g} to {p.max():.3g}. "
            "Give predicted probabilities, not scores."
        )
    return positive.astype(np.float64), p


def brier_score(outcome: Any, probability: Any) -> float:
    """Return the mean squared error of predicted probabilities.

    Raises
    ------
    InputError
        If an outcome is not 0/1 or a probability leaves [0, 1].
    """
    y, p = _check(outcome, probability)
    return float(((y - p) ** 2).mean())


def scaled_brier(outcome: Any, probability: Any) -> float:
    """Return 1 - Brier / Brier of the prevalence: 1 is perfect, 0 is no information.

    Raises
    ------
    InputError
        As `brier_score`.
    """
    y, p = _check(outcome, probability)
    return float(1 - ((y - p) ** 2).mean() / (y.mean() * (1 - y.mean())))


def brier_parts(outcome: Any, probability: Any, *, bins: int = 10) -> BrierParts:
    """Return the decomposition of the Brier score over bins of equal count.

    Parameters
    ----------
    outcome : bool (n,)
        True = positive.
    probability : float (n,)
        In [0, 1].
    bins : int, default 10
        Number of quantile bins; equal predictions share a bin.

    Returns
    -------
    BrierParts
        The within-bin part is 0 where predictions are constant within bins.

    Raises
    ------
    InputError
        As `brier_score`.

    References
    ----------
    Murphy 1973; Stephenson et al. 2008, doi:10.1175/2007WAF2006116.1.
    """
    y, p = _check(outcome, probability)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, p, side="right")
    count = np.bincount(place)
    used = count > 0
    share = count[used] / len(y)
    rate = np.bincount(place, weights=y)[used] / count[used]
    mean = np.bincount(place, weights=p)[used] / count[used]
    base = y.mean()
    brier = float(((y - p) ** 2).mean())
    reliability = float(share @ (mean - rate) ** 2)
    resolution = float(share @ (rate - base) ** 2)
    uncertainty = float(base * (1 - base))
    return BrierParts(
        brier, reliability, resolution, uncertainty, brier - reliability + resolution - uncertainty
    )


def fit_logistic_line(
    y: FloatArray, x: FloatArray, weights: FloatArray | None = None, *, max_iter: int = 60
) -> tuple[FloatArray, FloatArray]:
    """Return intercept and slope (2,) of a logistic regression and their covariance (2, 2).

    Raises
    ------
    FitError
        If `x` separates the classes, or is constant.
    """
    w = np.ones(len(y)) if weights is None else weights
    design = np.column_stack((np.ones(len(y)), x))
    beta = np.zeros(2)
    spread = float(np.ptp(x))
    if spread == 0:
        raise FitError("All predictions are equal: a calibration slope does not exist.")
    for _ in range(max_iter):
        p = expit(design @ beta)
        information = (design * (w * p * (1 - p))[:, None]).T @ design
        gradient = design.T @ (w * (y - p))
        try:
            move = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            break
        largest = np.abs(design @ move).max()
        beta = beta + move * min(1.0, 5.0 / max(largest, 1e-300))
        if largest < 1e-9:
            return beta, np.linalg.inv(information)
        if np.abs(design @ beta).max() > 60:
            break
    raise FitError(
        "The predictions separate the classes perfectly: the calibration slope is infinite."
    )


def calibration_line(
    outcome: Any, probability: Any, *, confidence: float = 0.95
) -> CalibrationLine:
    """Return calibration slope and calibration-in-the-large.

    Parameters
    ----------
    outcome : bool (n,)
        True = positive.
    probability : float (n,)
        In [0, 1]; clipped to [1e-8, 1 - 1e-8] for the logit.
    confidence : float, default 0.95
        Level of the Wald intervals.

    Returns
    -------
    CalibrationLine
        A slope below 1 means too extreme predictions; an intercept below 0 too high ones.

    Raises
    ------
    InputError
        As `brier_score`.
    FitError
        If the predictions are constant or separate the classes.

    References
    ----------
    Cox 1958; Van Calster et al. 2016, doi:10.1016/j.jclinepi.2015.12.005.
    """
    y, p = _check(outcome, probability)
    x = np.asarray(logit(clip_probability(p)), dtype=np.float64)
    beta, covariance = fit_logistic_line(y, x)
    shift, shift_error = _offset_intercept(y, x)
    z = float(ndtri(0.5 + confidence / 2))
    error = float(np.sqrt(covariance[1, 1]))
    slope = float(beta[1])
    return CalibrationLine(
        slope, error, slope - z * error, slope + z * error,
        shift, shift_error, shift - z * shift_error, shift + z * shift_error,
        float(beta[0]),
    )  # fmt: skip


def _offset_intercept(y: FloatArray, x: FloatArray) -> tuple[float, float]:
    a = 0.0
    for _ in range(100):
        p = expit(a + x)
        information = float((p * (1 - p)).sum())
        move = float((y - p).sum()) / max(information, 1e-300)
        a += float(np.clip(move, -5, 5))
        if abs(move) < 1e-10:
            break
    return a, float(1 / np.sqrt(max(information, 1e-300)))


def local_regression(x: Any, y: Any, at: Any, *, span: float = 0.75, degree: int = 2) -> FloatArray:
    """Return loess values at `at`: local polynomials with tricube weights.

    Parameters
    ----------
    x, y : float (n,)
        Data.
    at : float (m,)
        Where to evaluate.
    span : float, default 0.75
        Share of the points in each neighbourhood.
    degree : int, default 2
        Of the local polynomial.

    Returns
    -------
    float64 (m,)
        As R's ``loess(surface = "direct")``. Where a neighbourhood has too few distinct x, the
        polynomial of lowest norm is used.

    Raises
    ------
    InputError
        If there are fewer points than coefficients.

    References
    ----------
    Cleveland & Devlin 1988, doi:10.1080/01621459.1988.10478639.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    points = np.asarray(at, dtype=np.float64)
    n = len(xs)
    if n < degree + 1:
        raise InputError(f"Local regression of degree {degree} needs {degree + 1} points.")
    q = min(max(int(np.floor(n * span + 1e-5)), degree + 1), n)
    out = np.empty(len(points))
    for i, point in enumerate(points):
        distance = np.abs(xs - point)
        width = np.partition(distance, q - 1)[q - 1]
        if span > 1:
            width *= span
        width = max(width, 1e-12) * (1.0 + 1e-9 if width == 0 else 1.0)
        weight = np.clip(1 - (distance / width) ** 3, 0, None) ** 3
        near = weight > 0
        basis = np.vander((xs[near] - point) / width, degree + 1, increasing=True)
        root = np.sqrt(weight[near])
        out[i] = np.linalg.lstsq(basis * root[:, None], ys[near] * root, rcond=1e-10)[0][0]
    return out


def calibration_curve(
    outcome: Any, probability: Any, *, points: int = 100, span: float = 0.75
) -> tuple[FloatArray, FloatArray]:
    """Return predicted probability and smoothed observed frequency along the observed range.

    Parameters
    ----------
    outcome : bool (n,)
        True = positive.
    probability : float (n,)
        In [0, 1].
    points : int, default 100
        Quantiles of the predictions at which the curve is evaluated.
    span : float, default 0.75
        Of the local regression.

    Returns
    -------
    predicted, observed : float64 (at most points,)
        Observed is clipped to [0, 1]. One point where predictions are all equal.

    Raises
    ------
    InputError
        As `brier_score`.
    """
    y, p = _check(outcome, probability)
    grid = np.unique(np.quantile(p, np.linspace(0, 1, points)))
    if len(grid) == 1:
        return grid, np.array([y.mean()])
    return grid, np.clip(local_regression(p, y, grid, span=span), 0, 1)


def calibration_error(
    outcome: Any, probability: Any, *, span: float = 0.75, points: int = 200
) -> CalibrationError:
    """Return ICI, E50, E90 and Emax of the loess calibration curve.

    Parameters
    ----------
    outcome : bool (n,)
        True = positive.
    probability : float (n,)
        In [0, 1].
    span : float, default 0.75
        Of the local regression.
    points : int, default 200
        With more distinct predictions than this the curve is evaluated at as many quantiles and
        interpolated linearly between them.

    Returns
    -------
    CalibrationError
        All in [0, 1].

    Raises
    ------
    InputError
        As `brier_score`.

    References
    ----------
    Austin & Steyerberg 2019, doi:10.1002/sim.8281.
    """
    y, p = _check(outcome, probability)
    distinct = np.unique(p)
    grid = distinct
    if len(distinct) > points:
        grid = np.unique(np.quantile(p, np.linspace(0, 1, points)))
    if len(grid) == 1:
        smooth = np.full(len(p), y.mean())
    else:
        smooth = np.interp(p, grid, np.clip(local_regression(p, y, grid, span=span), 0, 1))
    gap = np.abs(smooth - p)
    return CalibrationError(
        float(gap.mean()), float(np.median(gap)), float(np.quantile(gap, 0.9)), float(gap.max())
    )
