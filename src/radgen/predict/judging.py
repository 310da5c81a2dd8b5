"""Measures of a frozen model on new samples, by kind of outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from radgen.errors import FitError, InputError
from radgen.predict.curves import binary_curves, group_ratio, survival_curve
from radgen.predict.fitting import FittedModel
from radgen.stats.calibration import (
    brier_score,
    calibration_error,
    calibration_line,
    scaled_brier,
)
from radgen.stats.cox import fit_cox
from radgen.stats.discrimination import auc_interval, average_precision_interval, confusion_at
from radgen.stats.survival_calibration import survival_calibration
from radgen.stats.survival_metrics import (
    brier_contributions,
    dynamic_auc,
    harrell_c,
    integrated_brier,
    support,
    uno_c,
)

__all__ = ["Judged", "Truth", "judge"]

FloatArray = NDArray[np.float64]
Row = tuple[str, float, float, float]
_NAN = float("nan")


@dataclass(frozen=True, eq=False)
class Truth:
    """What happened: value, class or time (n,), event (survival), code of the patient."""

    y: FloatArray
    event: NDArray[np.bool_] | None
    cluster: NDArray[Any]

    def take(self, rows: NDArray[np.bool_]) -> Truth:
        """Return some of the samples."""
        code = np.unique(self.cluster[rows], return_inverse=True)[1]
        return Truth(self.y[rows], None if self.event is None else self.event[rows], code)

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return len(np.unique(self.cluster))


@dataclass(eq=False)
class Judged:
    """Measures (name, estimate, low, high) and curves of one model on one set of samples."""

    rows: list[Row] = field(default_factory=list)
    calibration: pl.DataFrame = field(default_factory=pl.DataFrame)
    decision: pl.DataFrame = field(default_factory=pl.DataFrame)
    roc: pl.DataFrame = field(default_factory=pl.DataFrame)
    km: pl.DataFrame = field(default_factory=pl.DataFrame)
    risk_groups: pl.DataFrame = field(default_factory=pl.DataFrame)
    notes: list[str] = field(default_factory=list)


def judge(
    model: FittedModel, truth: Truth, score: FloatArray, *, confidence: float, horizon: float
) -> Judged:
    """Return all measures of scores against what happened.

    Raises
    ------
    InputError
        If the samples hold one class only, or no comparable pair.
    """
    if model.kind == "binary":
        return _binary(model, truth, score, confidence)
    if truth.event is not None:
        return _censored(model, truth, score, confidence, horizon)
    return _continuous(truth, score, confidence)


def _binary(model: FittedModel, truth: Truth, score: FloatArray, confidence: float) -> Judged:
    y, cluster = truth.y, truth.cluster
    area = auc_interval(y, score, cluster=cluster, confidence=confidence)
    out = Judged()
    out.rows = [
        ("auc", area.auc, area.ci_low, area.ci_high),
        (
            "average_precision",
            *average_precision_interval(y, score, cluster=cluster, confidence=confidence),
        ),
        ("brier", brier_score(y, score), _NAN, _NAN),
        ("scaled_brier", scaled_brier(y, score), _NAN, _NAN),
    ]
    error = calibration_error(y, score)
    out.rows += [("ici", error.ici, _NAN, _NAN), ("e50", error.e50, _NAN, _NAN)]
    out.rows.append(("e90", error.e90, _NAN, _NAN))
    try:
        line = calibration_line(y, score, confidence=confidence)
    except FitError as error_:
        out.notes.append(f"No calibration slope: {error_}")
        out.rows.append(("calibration_slope", _NAN, _NAN, _NAN))
    else:
        out.rows.append(("calibration_slope", line.slope, line.slope_low, line.slope_high))
        out.rows.append(
            ("calibration_intercept", line.intercept, line.intercept_low, line.intercept_high)
        )
    out.rows += confusion_at(y, score >= model.threshold, threshold=model.threshold).rates
    out.calibration, out.decision, out.roc = binary_curves("frozen model", y, score, cluster)
    return out


def _censored(
    model: FittedModel, truth: Truth, score: FloatArray, confidence: float, horizon: float
) -> Judged:
    y, event, cluster = truth.y, truth.event, truth.cluster
    assert event is not None
    out = Judged()
    c = harrell_c(y, event, score, cluster=cluster, confidence=confidence)
    u = uno_c(y, event, score, cluster=cluster, confidence=confidence)
    out.rows = [("harrell_c", c.estimate, c.ci_low, c.ci_high)]
    out.rows.append(("uno_c", u.estimate, u.ci_low, u.ci_high))
    try:
        fit = fit_cox(score[:, None], y, event, cluster=cluster)
    except FitError as error:
        out.notes.append(f"No calibration slope: {error}")
    else:
        low, high = fit.interval(confidence)
        slope = (float(fit.beta[0]), float(low[0]), float(high[0]))
        out.rows.append(("calibration_slope", *slope))
    _over_time(out, model, y, event, score)
    try:
        found = survival_calibration(y, event, model.risk(score, horizon), horizon)
    except (InputError, FitError) as error:
        out.notes.append(f"No calibration at {horizon:g}: {error}")
    else:
        out.rows.append(("observed_expected", found.ratio, found.ratio_low, found.ratio_high))
        out.rows += [("ici", found.ici, _NAN, _NAN), ("e90", found.e90, _NAN, _NAN)]
        out.calibration = pl.DataFrame(
            {
                "model": ["frozen model"] * len(found.predicted),
                "predicted": found.predicted,
                "observed": found.smoothed,
            }
        )
    _groups(out, model, truth, score)
    return out


def _groups(out: Judged, model: FittedModel, truth: Truth, score: FloatArray) -> None:
    y, event, cluster = truth.y, truth.event, truth.cluster
    assert event is not None
    high_risk = score >= model.threshold
    if high_risk.any() and not high_risk.all():
        out.risk_groups = pl.DataFrame(
            [("frozen model", 0, *group_ratio(y, event, high_risk, cluster))],
            schema=["model", "repeat", "hazard_ratio", "ci_low", "ci_high", "logrank_p"],
            orient="row",
        )
        out.km = pl.concat(
            [
                survival_curve("frozen model", "low", y[~high_risk], event[~high_risk]),
                survival_curve("frozen model", "high", y[high_risk], event[high_risk]),
            ]
        )


def _over_time(
    out: Judged, model: FittedModel, y: FloatArray, event: NDArray[np.bool_], score: FloatArray
) -> None:
    try:
        times = support(y, event)
    except InputError as error:
        out.notes.append(f"No measures over time: {error}")
        return
    out.rows.append(("dynamic_auc", dynamic_auc(y, event, score, times).mean, _NAN, _NAN))
    if len(times) > 1:
        hazard = np.concatenate(([0.0], model.hazard))
        cumulative = hazard[np.searchsorted(model.times, times, side="right")]
        relative = np.exp(np.clip(score, -300, 300))
        survival = np.exp(-relative[:, None] * cumulative)
        brier = brier_contributions(y, event, survival, times).mean(axis=0)
        out.rows.append(("integrated_brier", integrated_brier(times, brier), _NAN, _NAN))


def _continuous(truth: Truth, score: FloatArray, confidence: float) -> Judged:
    y, cluster = truth.y, truth.cluster
    out = Judged()
    error, spread = (y - score) ** 2, (y - y.mean()) ** 2
    if spread.sum() <= 0:
        raise InputError("The outcome is the same in all samples.")
    value = 1 - error.mean() / spread.mean()
    influence = -(error - error.mean() - (1 - value) * (spread - spread.mean()))
    influence /= spread.mean() * len(y)
    size = float(np.sqrt((np.bincount(cluster, weights=influence) ** 2).sum()))
    z = float(ndtri(0.5 + confidence / 2))
    low, high = float(value - z * size), float(min(value + z * size, 1.0))
    out.rows = [("r2", float(value), low, high)]
    out.rows.append(("mean_squared_error", float(error.mean()), _NAN, _NAN))
    out.rows += _line(y, score, cluster, z)
    return out


def _line(y: FloatArray, score: FloatArray, cluster: NDArray[Any], z: float) -> list[Row]:
    """Return calibration slope and mean error of predicted values, errors by patient."""
    centred = score - score.mean()
    size = float(centred @ centred)
    gap = y - score
    g = np.bincount(cluster, weights=(gap - gap.mean()) / len(y))
    shift, shift_error = float(gap.mean()), float(np.sqrt((g**2).sum()))
    rows: list[Row] = [
        ("calibration_intercept", shift, shift - z * shift_error, shift + z * shift_error)
    ]
    if size <= 0:
        return rows
    slope = float(centred @ y) / size
    residual = y - y.mean() - slope * centred
    parts = np.bincount(cluster, weights=residual * centred / size)
    error = float(np.sqrt((parts**2).sum()))
    return [("calibration_slope", slope, slope - z * error, slope + z * error), *rows]
