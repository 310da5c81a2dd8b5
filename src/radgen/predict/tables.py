"""From fold outputs to the tables of a prediction result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr

from radgen.predict.adequacy import POWER_FACTOR
from radgen.predict.design import Design
from radgen.predict.engine import FoldOutput, ModelPlan
from radgen.predict.result import MAIN_METRIC
from radgen.predict.scores import Estimate, Fold, estimates, interval, paired
from radgen.stats.calibration import calibration_error
from radgen.stats.discrimination import average_precision

__all__ = [
    "by_repeat",
    "difference_table",
    "log_tables",
    "metric_table",
    "prediction_table",
    "tested_only",
    "threshold_table",
]

FloatArray = NDArray[np.float64]
_DIFFERENCES = {
    "binary": ("auc", "brier"),
    "censored": ("harrell_c", "uno_c", "integrated_brier"),
    "continuous": ("r2", "mean_squared_error"),
}


def tested_only(design: Design, outputs: Sequence[FoldOutput]) -> tuple[Design, list[FoldOutput]]:
    """Return design and outputs of the rows that were tested (a temporal split tests some)."""
    tested = np.unique(np.concatenate([item.test for item in outputs]))
    if len(tested) == design.n:
        return design, list(outputs)
    names, code = np.unique(design.patients[tested], return_inverse=True)
    some = replace(
        design,
        samples=tuple(design.samples[i] for i in tested),
        target=design.target[tested],
        patients=code.astype(np.int64),
        patient_names=tuple(design.patient_names[i] for i in names),
        sites=None if design.sites is None else tuple(design.sites[i] for i in tested),
        blocks=(),
    )
    moved = [replace(item, test=np.searchsorted(tested, item.test)) for item in outputs]
    return some, moved


def by_repeat(outputs: Sequence[FoldOutput], name: str, n: int) -> list[Fold]:
    """Return one `Fold` a repeat, rows in the order of the design."""
    out = []
    for repeat in sorted({item.repeat for item in outputs}):
        fold = np.full(n, -1, dtype=np.int64)
        score, brier = np.full(n, np.nan), np.full(n, np.nan)
        decision = np.zeros(n, dtype=bool)
        for item in outputs:
            if item.repeat == repeat:
                model = item.models[name]
                fold[item.test] = item.fold
                score[item.test], brier[item.test] = model.score, model.brier
                decision[item.test] = model.decision
        out.append(Fold(fold, score, decision, brier))
    return out


def metric_table(
    design: Design,
    plans: Sequence[ModelPlan],
    repeats: dict[str, list[Fold]],
    *,
    confidence: float,
    ratio: float,
    bootstrap: int,
    rng: np.random.Generator,
) -> tuple[pl.DataFrame, dict[str, dict[str, Estimate]]]:
    """Return the model comparison table and the estimates behind it."""
    n_patients = len(design.patient_names)
    units = design.n_events
    if design.kind == "binary":
        units = min(units, design.n - units)
    rows: list[dict[str, Any]] = []
    found: dict[str, dict[str, Estimate]] = {}
    for plan in plans:
        found[plan.name] = estimates(design.kind, design.target, repeats[plan.name])
        base = {"model": plan.name, "blocks": " + ".join(plan.blocks) or "nothing"}
        tail = {"n": design.n, "n_patients": n_patients, "events": design.n_events}
        for metric, value in found[plan.name].items():
            error, low, high = interval(
                metric, value, design.patients, units=units, confidence=confidence, ratio=ratio
            )
            rows.append(
                base
                | {"metric": metric, "estimate": value.value, "std_error": error}
                | {"ci_low": low, "ci_high": high}
                | tail
            )
        if design.kind == "binary":
            for extra in _binary_extras(design, repeats[plan.name], confidence, bootstrap, rng):
                rows.append(base | extra | tail)
    schema = {
        "model": pl.String, "blocks": pl.String, "metric": pl.String, "estimate": pl.Float64,
        "std_error": pl.Float64, "ci_low": pl.Float64, "ci_high": pl.Float64, "n": pl.Int64,
        "n_patients": pl.Int64, "events": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema), found


def _binary_extras(
    design: Design,
    repeats: list[Fold],
    confidence: float,
    bootstrap: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    y = design.target
    value = float(np.mean([average_precision(y, fold.score) for fold in repeats]))
    draws = []
    g = len(design.patient_names)
    for _ in range(bootstrap):
        weight = rng.multinomial(g, np.full(g, 1 / g))[design.patients].astype(np.float64)
        if 0 < weight @ y < weight.sum():
            draws.append(
                np.mean([average_precision(y, fold.score, weights=weight) for fold in repeats])
            )
    tail = (1 - confidence) / 2
    low, high = (
        np.quantile(draws, [tail, 1 - tail]) if len(draws) > 1 else (float("nan"), float("nan"))
    )
    out = [
        {
            "metric": "average_precision", "estimate": value,
            "std_error": float(np.std(draws, ddof=1)) if len(draws) > 1 else float("nan"),
            "ci_low": float(low), "ci_high": float(high),
        }
    ]  # fmt: skip
    stacked = np.clip(np.concatenate([fold.score for fold in repeats]), 0, 1)
    error = calibration_error(np.tile(y, len(repeats)), stacked, points=50)
    nan = float("nan")
    for metric, number in (("ici", error.ici), ("e50", error.e50), ("e90", error.e90)):
        out.append(
            {"metric": metric, "estimate": number, "std_error": nan, "ci_low": nan, "ci_high": nan}
        )
    return out


def difference_table(
    design: Design,
    plans: Sequence[ModelPlan],
    found: dict[str, dict[str, Estimate]],
    *,
    confidence: float,
    ratio: float,
) -> pl.DataFrame:
    """Return paired differences of all pairs of models, the richer one first."""
    rows = []
    main = MAIN_METRIC[design.kind]
    for j, second in enumerate(plans):
        for first in plans[j + 1 :]:
            for metric in _DIFFERENCES[design.kind]:
                a, b = found[first.name][metric], found[second.name][metric]
                if not np.isfinite(a.value) or not np.isfinite(b.value):
                    continue
                gap, error, low, high, z = paired(
                    metric, a, b, design.patients, confidence=confidence, ratio=ratio
                )
                bound = 1.0 if metric != "mean_squared_error" and main != "r2" else np.inf
                rows.append(
                    (
                        first.name, second.name, metric, gap, error,
                        max(low, -bound), min(high, bound), float(2 * ndtr(-abs(z))),
                        POWER_FACTOR * error,
                    )
                )  # fmt: skip
    names = ["first", "second", "metric", "difference"]
    names += ["std_error", "ci_low", "ci_high", "p_value", "detectable"]
    types = [pl.String] * 3 + [pl.Float64] * 6
    return pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")


def prediction_table(design: Design, outputs: Sequence[FoldOutput]) -> pl.DataFrame:
    """Return all out-of-fold predictions."""
    parts = []
    samples = np.array(design.samples, dtype=object)
    patients = np.array(design.patient_names, dtype=object)[design.patients]
    survival = design.kind == "censored"
    y = design.target[:, 0] if survival else design.target
    for item in outputs:
        for name, model in item.models.items():
            n = len(item.test)
            event = (design.target[item.test, 1] > 0.5).tolist() if survival else [None] * n
            parts.append(
                pl.DataFrame(
                    {
                        "sample": samples[item.test].tolist(),
                        "patient": patients[item.test].tolist(),
                        "repeat": [item.repeat] * n,
                        "fold": [item.fold] * n,
                        "model": [name] * n,
                        "y": y[item.test],
                        "event": pl.Series(event, dtype=pl.Boolean),
                        "score": model.score,
                        "high": model.decision,
                        "risk": model.risk,
                        "rank": model.rank,
                    }
                )
            )
    return pl.concat(parts)


def threshold_table(outputs: Sequence[FoldOutput]) -> pl.DataFrame:
    """Return the thresholds and settings that training chose."""
    rows = [
        (name, item.repeat, item.fold, model.threshold, model.setting)
        for item in outputs
        for name, model in item.models.items()
    ]
    types = [pl.String, pl.Int64, pl.Int64, pl.Float64, pl.String]
    names = ("model", "repeat", "fold", "threshold", "setting")
    return pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")


def log_tables(design: Design, outputs: Sequence[FoldOutput]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the fit log and the row sets it refers to."""
    sets: dict[bytes, int] = {}
    members: list[NDArray[np.int64]] = []
    rows = []
    for item in outputs:
        for record in item.log:
            key = record.rows.tobytes()
            if key not in sets:
                sets[key] = len(sets)
                members.append(record.rows)
            rows.append(
                (
                    item.repeat, item.fold, record.level, record.fitted, record.target,
                    sets[key], len(record.rows), record.inputs, record.fits,
                )
            )  # fmt: skip
    names = ("repeat", "fold", "level", "fitted", "target", "row_set", "n_rows", "inputs", "fits")
    types = [pl.Int64, pl.Int64, pl.String, pl.String, pl.String, pl.Int64, pl.Int64]
    types += [pl.String, pl.Int64]
    log = pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")
    samples = np.array(design.samples, dtype=object)
    counts = [len(member) for member in members]
    long = pl.DataFrame(
        {
            "row_set": np.repeat(np.arange(len(members)), counts),
            "sample": samples[np.concatenate(members)].tolist() if members else [],
        },
        schema={"row_set": pl.Int64, "sample": pl.String},
    )
    return log, long
