"""Risks at a horizon: calibration and decision curves of cross-validated survival models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import FitError, InputError
from radgen.predict.design import Design
from radgen.predict.engine import FoldOutput, ModelPlan
from radgen.stats.decision import survival_decision_curve
from radgen.stats.survival_calibration import survival_calibration

__all__ = ["horizon_tables", "mean_risk", "with_sizes"]

FloatArray = NDArray[np.float64]
_CUTS = np.round(np.arange(0.01, 1.0, 0.01), 2)
_MEASURES = ("observed_expected", "calibration_ici", "calibration_e90")


def mean_risk(n: int, outputs: Sequence[FoldOutput], name: str) -> FloatArray:
    """Return each row's out-of-fold risk at the horizon, mean over repeats, (n,)."""
    total, count = np.zeros(n), np.zeros(n)
    for item in outputs:
        total[item.test] += item.models[name].risk
        count[item.test] += 1
    return np.asarray(np.clip(total / np.maximum(count, 1), 0, 1), dtype=np.float64)


def horizon_tables(
    design: Design, plans: Sequence[ModelPlan], outputs: Sequence[FoldOutput], horizon: float
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return measures, calibration curves and decision curves of the risk at the horizon.

    A model whose curve cannot be estimated (too few events before the horizon) has NaN measures
    and no curve.
    """
    time, event = design.target[:, 0], design.target[:, 1] > 0.5
    rows: list[tuple[str, str, float, float, float]] = []
    nan = float("nan")
    calibration, decision = [], []
    for plan in plans:
        if not plan.blocks:
            continue
        risk = mean_risk(design.n, outputs, plan.name)
        try:
            found = survival_calibration(time, event, risk, horizon)
        except (InputError, FitError):
            rows += [(plan.name, name, nan, nan, nan) for name in _MEASURES]
            continue
        rows.append((plan.name, _MEASURES[0], found.ratio, found.ratio_low, found.ratio_high))
        rows += [(plan.name, _MEASURES[1], found.ici, nan, nan)]
        rows += [(plan.name, _MEASURES[2], found.e90, nan, nan)]
        k = len(found.predicted)
        calibration.append(
            pl.DataFrame(
                {"model": [plan.name] * k, "predicted": found.predicted,
                 "observed": found.smoothed}
            )
        )  # fmt: skip
        curve = survival_decision_curve(time, event, risk, horizon, _CUTS)
        decision.append(
            pl.DataFrame(
                {
                    "model": [plan.name] * len(_CUTS), "threshold": _CUTS,
                    "net_benefit": curve.net_benefit, "ci_low": curve.ci_low,
                    "ci_high": curve.ci_high, "standardised": curve.standardised,
                    "treat_all": curve.treat_all,
                }
            )
        )  # fmt: skip
    names = ("model", "metric", "estimate", "ci_low", "ci_high")
    kinds = [pl.String, pl.String, *[pl.Float64] * 3]
    table = pl.DataFrame(rows, schema=dict(zip(names, kinds, strict=True)), orient="row")
    return table, _joined(calibration), _joined(decision)


def _joined(parts: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(parts) if parts else pl.DataFrame()


def with_sizes(design: Design, plans: Sequence[ModelPlan], table: pl.DataFrame) -> pl.DataFrame:
    """Return measures with the columns of the comparison table."""
    blocks = {plan.name: " + ".join(plan.blocks) for plan in plans}
    return table.select(
        "model",
        pl.col("model").replace_strict(blocks, return_dtype=pl.String).alias("blocks"),
        "metric",
        "estimate",
        pl.lit(None, dtype=pl.Float64).fill_null(float("nan")).alias("std_error"),
        "ci_low",
        "ci_high",
        pl.lit(design.n, dtype=pl.Int64).alias("n"),
        pl.lit(len(design.patient_names), dtype=pl.Int64).alias("n_patients"),
        pl.lit(design.n_events, dtype=pl.Int64).alias("events"),
    )
