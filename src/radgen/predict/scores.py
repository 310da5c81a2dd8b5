"""Metrics of out-of-fold predictions with patient-level intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from radgen.errors import FitError
from radgen.stats.calibration import clip_probability, fit_logistic_line
from radgen.stats.discrimination import logit_interval
from radgen.stats.survival_metrics import censoring_curve, concordance_parts

__all__ = ["Estimate", "Fold", "estimates", "honest_error", "interval", "paired", "std_error"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fold:
    """One repeat of out-of-fold predictions: all rows of the design, in order.

    Attributes
    ----------
    fold : int64 (n,)
        Fold in which the row was tested.
    score, decision, brier : arrays (n,)
        Prediction, yes/no at the training threshold, integrated Brier loss (survival).
    """

    fold: NDArray[np.int64]
    score: FloatArray
    decision: NDArray[np.bool_]
    brier: FloatArray


@dataclass(frozen=True, eq=False)
class Estimate:
    """A metric averaged over repeats and its influence functions, (n_repeats, n)."""

    value: float
    influence: FloatArray


Metric = Callable[[FloatArray, Fold], tuple[float, FloatArray]]


def _pairs_auc(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    n = len(y)
    good, pairs = np.zeros(n), np.zeros(n)
    for k in np.unique(fold.fold):
        one = np.flatnonzero((fold.fold == k) & (y > 0.5))
        zero = np.flatnonzero((fold.fold == k) & (y < 0.5))
        gap = fold.score[one, None] - fold.score[None, zero]
        right = np.where(gap == 0, 0.5, gap > 0)
        good[one] += right.sum(axis=1)
        good[zero] += right.sum(axis=0)
        pairs[one] += len(zero)
        pairs[zero] += len(one)
    return _ratio(good, pairs)


def _ratio(good: FloatArray, pairs: FloatArray) -> tuple[float, FloatArray]:
    total = pairs.sum() / 2
    if total <= 0:
        return float("nan"), np.full(len(good), np.nan)
    value = float(good.sum() / 2 / total)
    return value, (good - value * pairs) / total


def _harrell(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    good, pairs, _ = concordance_parts(y[:, 0], y[:, 1] > 0.5, fold.score, block=fold.fold)
    return _ratio(good, pairs)


def _uno(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    event = y[:, 1] > 0.5
    remain = censoring_curve(y[:, 0], event).at(y[:, 0], left=True)
    at_risk = (y[:, 0][None, :] > y[:, 0][:, None]).sum(axis=1)
    usable = event & (remain > 0) & (at_risk >= max(5, 0.02 * len(y)))
    weight = np.where(usable, 1 / np.where(remain > 0, remain, 1) ** 2, 0.0)
    good, pairs, _ = concordance_parts(
        y[:, 0], event, fold.score, pair_weight=weight, block=fold.fold
    )
    return _ratio(good, pairs)


def _mean(values: FloatArray) -> tuple[float, FloatArray]:
    value = float(values.mean())
    return value, (values - value) / len(values)


def _brier(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    return _mean((y - fold.score) ** 2)


def _log_loss(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    p = clip_probability(fold.score, 1e-12)
    return _mean(-(y * np.log(p) + (1 - y) * np.log1p(-p)))


def _integrated_brier(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    return _mean(fold.brier)


def _conditional(hit: NDArray[np.bool_], among: NDArray[np.bool_]) -> tuple[float, FloatArray]:
    total = int(among.sum())
    if total == 0:
        return float("nan"), np.full(len(hit), np.nan)
    value = float(hit[among].mean())
    return value, np.where(among, hit - value, 0.0) / total


def _sensitivity(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    return _conditional(fold.decision, y > 0.5)


def _specificity(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    return _conditional(~fold.decision, y < 0.5)


def _slope(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    x = np.asarray(logit(clip_probability(fold.score)), dtype=np.float64)
    if np.ptp(x) < 1e-9:
        return float("nan"), np.full(len(y), np.nan)
    try:
        beta, covariance = fit_logistic_line(y, x)
    except FitError:
        return float("nan"), np.full(len(y), np.nan)
    design = np.column_stack((np.ones(len(y)), x))
    residual = y - expit(design @ beta)
    return float(beta[1]), (design * residual[:, None]) @ covariance[1]


def _intercept(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    x = np.asarray(logit(clip_probability(fold.score)), dtype=np.float64)
    a = 0.0
    for _ in range(100):
        p = expit(a + x)
        information = max(float((p * (1 - p)).sum()), 1e-300)
        move = float((y - p).sum()) / information
        a += float(np.clip(move, -3, 3))
        if abs(move) < 1e-10:
            break
    return a, (y - expit(a + x)) / information


def _squared_error(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    return _mean((y - fold.score) ** 2)


def _r2(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    error, influence = _mean((y - fold.score) ** 2)
    spread, other = _mean((y - y.mean()) ** 2)
    value = 1 - error / spread
    return value, -(influence - (error / spread) * other) / spread


def _pearson(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    a, b = y - y.mean(), fold.score - fold.score.mean()
    size = float(np.sqrt((a**2).mean() * (b**2).mean()))
    if size < 1e-12:
        return float("nan"), np.full(len(y), np.nan)
    za, zb = a / np.sqrt((a**2).mean()), b / np.sqrt((b**2).mean())
    value = float((za * zb).mean())
    return value, (za * zb - value * (za**2 + zb**2) / 2) / len(y)


def _value_slope(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    x = fold.score - fold.score.mean()
    size = float(x @ x)
    if size < 1e-12 * len(y):
        return float("nan"), np.full(len(y), np.nan)
    value = float(x @ y) / size
    rest = y - y.mean() - value * x
    return value, x * rest / size


def _value_shift(y: FloatArray, fold: Fold) -> tuple[float, FloatArray]:
    return _mean(y - fold.score)


_METRICS: Mapping[str, Mapping[str, Metric]] = {
    "binary": {
        "auc": _pairs_auc,
        "brier": _brier,
        "log_loss": _log_loss,
        "calibration_slope": _slope,
        "calibration_intercept": _intercept,
        "sensitivity": _sensitivity,
        "specificity": _specificity,
    },
    "censored": {"harrell_c": _harrell, "uno_c": _uno, "integrated_brier": _integrated_brier},
    "continuous": {
        "r2": _r2,
        "mean_squared_error": _squared_error,
        "pearson_r": _pearson,
        "calibration_slope": _value_slope,
        "calibration_intercept": _value_shift,
    },
}

_RANGE = {
    "auc": (0.0, 1.0),
    "harrell_c": (0.0, 1.0),
    "uno_c": (0.0, 1.0),
    "sensitivity": (0.0, 1.0),
    "specificity": (0.0, 1.0),
    "brier": (0.0, 1.0),
    "integrated_brier": (0.0, 1.0),
    "log_loss": (0.0, np.inf),
    "mean_squared_error": (0.0, np.inf),
    "r2": (-np.inf, 1.0),
    "pearson_r": (-1.0, 1.0),
}
_CHANCE = {"auc": 0.5, "harrell_c": 0.5, "uno_c": 0.5, "r2": 0.0}
_ON_LOGIT = ("auc", "harrell_c", "uno_c", "sensitivity", "specificity")


def estimates(kind: str, y: FloatArray, repeats: list[Fold]) -> dict[str, Estimate]:
    """Return each metric averaged over the repeats, with its influence functions.

    Notes
    -----
    Samples are compared within their fold only (AUC, C): scores of different folds come from
    different models, and pooling them biases a null model below 0.5.

    References
    ----------
    LeDell, Petersen & van der Laan 2015, doi:10.1214/15-EJS1035.
    """
    out = {}
    for name, metric in _METRICS[kind].items():
        parts = [metric(y, fold) for fold in repeats]
        value = float(np.mean([part[0] for part in parts]))
        out[name] = Estimate(value, np.array([part[1] for part in parts]))
    return out


def std_error(influence: FloatArray, patients: NDArray[np.int64]) -> float:
    """Return the patient-level standard error, averaged over repeats and not shrunk by them."""
    variances = []
    for row in influence:
        summed = np.bincount(patients, weights=row)
        g = len(summed)
        variances.append((summed**2).sum() * g / max(g - 1, 1))
    return float(np.sqrt(np.mean(variances)))


def honest_error(error: float, ratio: float, z: float | None) -> float:
    """Return the standard error with the part that the training of the models adds.

    Parameters
    ----------
    error : float
        Of the tested patients alone, as if the models were fixed.
    ratio : float
        Test rows by training rows of a fold.
    z : float or None
        Distance of the estimate from its value under no association, in units of the error of
        the tested patients; None where there is no such value.

    Notes
    -----
    Every patient is tested once and trains the other folds, so test folds are not independent.
    Far from chance the variance is enlarged by `ratio` (Nadeau & Bengio). At chance the
    cross-validated statistic is a degenerate quadratic form, the sum over pairs of folds of
    the product of their class differences: each pair enters twice, once in each role, which
    doubles the variance exactly. In between, the doubling fades with the fourth power of the
    distance, from three standard errors on. `verification/coverage.py` measures the result.

    References
    ----------
    Nadeau & Bengio 2003, doi:10.1023/A:1024068626366. Bengio & Grandvalet 2004 (no unbiased
    estimator exists).
    """
    extra = ratio
    if z is not None and ratio < 1:
        extra += (1 - ratio) * min(1.0, (3.0 / max(abs(z), 1e-12)) ** 4)
    return float(error * np.sqrt(1 + extra))


def _distance(metric: str, found: Estimate, patients: NDArray[np.int64]) -> float | None:
    chance = _CHANCE.get(metric)
    if chance is None:
        return None
    error = std_error(found.influence, patients)
    if error == 0:
        return 0.0 if found.value == chance else float("inf")
    return (found.value - chance) / error


def interval(
    metric: str,
    found: Estimate,
    patients: NDArray[np.int64],
    *,
    units: int,
    confidence: float,
    ratio: float,
) -> tuple[float, float, float]:
    """Return standard error and limits, within the metric's range."""
    if not np.isfinite(found.value):
        return (float("nan"),) * 3
    error = std_error(found.influence, patients)
    error = honest_error(error, ratio, _distance(metric, found, patients))
    if metric in _ON_LOGIT:
        if error == 0 and 0 < found.value < 1:
            return error, found.value, found.value
        low, high = logit_interval(found.value, error, confidence, units)
        return error, low, high
    z = float(ndtri(0.5 + confidence / 2))
    floor, ceiling = _RANGE.get(metric, (-np.inf, np.inf))
    return (
        error,
        float(np.clip(found.value - z * error, floor, ceiling)),
        float(np.clip(found.value + z * error, floor, ceiling)),
    )


def paired(
    metric: str,
    first: Estimate,
    second: Estimate,
    patients: NDArray[np.int64],
    *,
    confidence: float,
    ratio: float,
) -> tuple[float, float, float, float, float]:
    """Return first minus second: difference, standard error, limits, z.

    Where both models are near chance, their difference is as unstable as they are; where one
    is far from it, its variance is.
    """
    gap = first.value - second.value
    far = [_distance(metric, item, patients) for item in (first, second)]
    known = [abs(item) for item in far if item is not None]
    error = std_error(first.influence - second.influence, patients)
    error = honest_error(error, ratio, max(known) if known else None)
    z = float(ndtri(0.5 + confidence / 2))
    score = gap / error if error > 0 else (0.0 if gap == 0 else float(np.copysign(np.inf, gap)))
    return gap, error, gap - z * error, gap + z * error, score
