"""Curves of predictions: calibration, decision, ROC; survival of risk groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import FitError
from radgen.predict.design import Design
from radgen.predict.engine import ModelPlan
from radgen.predict.scores import Fold
from radgen.stats.calibration import calibration_curve
from radgen.stats.cox import fit_cox
from radgen.stats.decision import decision_curve
from radgen.stats.discrimination import roc_curve
from radgen.stats.survival import kaplan_meier, logrank

__all__ = ["binary_curves", "curve_tables", "group_ratio", "survival_curve", "survival_tables"]

FloatArray = NDArray[np.float64]
_CUTS = np.round(np.arange(0.01, 1.0, 0.01), 2)


def binary_curves(
    name: str, y: FloatArray, p: FloatArray, patients: NDArray[Any]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return calibration, decision and ROC curve of one model's probabilities."""
    predicted, observed = calibration_curve(y, p, points=50)
    calibration = pl.DataFrame(
        {"model": [name] * len(predicted), "predicted": predicted, "observed": observed}
    )
    curve = decision_curve(y, p, _CUTS, cluster=patients)
    decision = pl.DataFrame(
        {
            "model": [name] * len(_CUTS),
            "threshold": _CUTS,
            "net_benefit": curve.net_benefit,
            "ci_low": curve.ci_low,
            "ci_high": curve.ci_high,
            "standardised": curve.standardised,
            "treat_all": curve.treat_all,
        }
    )
    alarms, hits, _ = roc_curve(y, p)
    keep = np.unique(np.linspace(0, len(alarms) - 1, 250).round().astype(int))
    roc = pl.DataFrame(
        {
            "model": [name] * len(keep),
            "false_positive_rate": alarms[keep],
            "true_positive_rate": hits[keep],
        }
    )
    return calibration, decision, roc


def curve_tables(
    design: Design, plans: Sequence[ModelPlan], repeats: dict[str, list[Fold]]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return calibration, decision and ROC curves of a binary outcome."""
    r = len(next(iter(repeats.values())))
    y, patients = np.tile(design.target, r), np.tile(design.patients, r)
    parts = []
    for plan in plans:
        p = np.clip(np.concatenate([fold.score for fold in repeats[plan.name]]), 0, 1)
        parts.append(binary_curves(plan.name, y, p, patients))
    calibration, decision, roc = zip(*parts, strict=True)
    return pl.concat(calibration), pl.concat(decision), pl.concat(roc)


def survival_tables(
    design: Design, plans: Sequence[ModelPlan], repeats: dict[str, list[Fold]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return survival curves of the risk groups and their hazard ratios."""
    time, event = design.target[:, 0], design.target[:, 1] > 0.5
    curves, rows = [], []
    for plan in plans:
        if not plan.blocks:
            continue
        for number, fold in enumerate(repeats[plan.name]):
            high = fold.decision
            if high.all() or not high.any():
                continue
            rows.append((plan.name, number, *group_ratio(time, event, high, design.patients)))
            if number == 0:
                curves += [survival_curve(plan.name, "low", time[~high], event[~high])]
                curves += [survival_curve(plan.name, "high", time[high], event[high])]
    names = ("model", "repeat", "hazard_ratio", "ci_low", "ci_high", "logrank_p")
    types = [pl.String, pl.Int64, *[pl.Float64] * 4]
    groups = pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")
    return (pl.concat(curves) if curves else pl.DataFrame()), groups


def group_ratio(
    time: FloatArray, event: NDArray[np.bool_], high: NDArray[np.bool_], patients: NDArray[Any]
) -> tuple[float, float, float, float]:
    """Return the hazard ratio of high against low risk, its limits, and the log-rank p."""
    test = logrank(time, event, high)
    try:
        fit = fit_cox(high.astype(float)[:, None], time, event, cluster=patients)
    except FitError:
        return float("nan"), float("nan"), float("nan"), test.p_value
    low, upper = fit.interval()
    return float(np.exp(fit.beta[0])), float(np.exp(low[0])), float(np.exp(upper[0])), test.p_value


def survival_curve(
    model: str, group: str, time: FloatArray, event: NDArray[np.bool_]
) -> pl.DataFrame:
    """Return the Kaplan–Meier curve of one group as rows of a table."""
    curve = kaplan_meier(time, event)
    return pl.DataFrame(
        {
            "model": [model] * (len(curve.times) + 1),
            "group": [group] * (len(curve.times) + 1),
            "time": np.concatenate(([0.0], curve.times)),
            "at_risk": np.concatenate(([float(len(time))], curve.at_risk)),
            "survival": np.concatenate(([1.0], curve.estimate)),
            "ci_low": np.concatenate(([1.0], curve.ci_low)),
            "ci_high": np.concatenate(([1.0], curve.ci_high)),
        }
    )
