"""Sections of prediction results: models beside their baselines, and hazard ratios."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import polars as pl

from radgen import plot
from radgen.report.blocks import Block, Figure, Row, Table
from radgen.report.sections import RENDERERS, closing, figures, opening, side_by_side
from radgen.types import Result

__all__ = ["render_hazards", "render_prediction", "render_validation"]

_MAIN = ("auc", "harrell_c", "r2")
_WORDS = {"auc": "AUC", "harrell_c": "Harrell's C", "r2": "R²"}
_NO_INFORMATION = "no information"
_CURVES = 6
_VARIABLES = 4
_SHIFTS = 12


def render_prediction(result: Result) -> tuple[Block, ...]:
    """Return findings, models with baselines, curves, differences and thresholds."""
    frame = result.table
    if not {"model", "metric", "estimate", "ci_low", "ci_high"} <= set(frame.columns):
        return (*opening(result), *side_by_side(figures(result)), *closing(result))
    blocks: list[Block] = opening(result)
    metric = next((name for name in _MAIN if name in frame["metric"].to_list()), "")
    if metric:
        blocks.append(_models(frame, metric))
    curves = [
        *_roc(result, frame),
        *_calibration(result, frame),
        *_decision(result),
        *_survival(result),
        *_abstention(result),
    ]
    if curves:
        blocks.append(Row(tuple(curves)))
    blocks.append(Table(f"Models and their measures ({result.n_used:,} samples)", frame))
    for name, caption in (
        ("differences", "Paired differences between models, on the same samples"),
        ("intervals", "The main measure with its interval by three methods"),
        ("adequacy", "Is the study large enough: Riley's sample sizes, smallest detectable effect"),
        ("risk_groups", "High against low predicted risk"),
        ("abstention", "Models that abstain: how often they decide, and are right, by error level"),
        ("thresholds", "Decision thresholds and settings, all chosen in training data"),
        ("predictions", "Out-of-fold predictions"),
    ):
        part = _frame_of(result, name)
        if part.height:
            blocks.append(Table(caption, part))
    return (*blocks, *_left_out(result))


def render_validation(result: Result) -> tuple[Block, ...]:
    """Return findings of a frozen model on new data: curves, measures, drift, predictions."""
    frame = result.table
    blocks: list[Block] = opening(result)
    curves = [*_roc(result, frame), *_calibration(result, frame), *_decision(result)]
    curves += [*_survival(result), *_drift(result)]
    if curves:
        blocks.append(Row(tuple(curves)))
    blocks.append(Table(f"Measures of the frozen model ({result.n_used:,} samples)", frame))
    for name, caption in (
        ("everyone", "The same with the samples that lie outside of the training range"),
        ("risk_groups", "High against low predicted risk, cut at the training threshold"),
        ("drift", "How each column differs from training (shift in training SD)"),
        ("predictions", "Predictions"),
    ):
        part = _frame_of(result, name)
        if part.height:
            blocks.append(Table(caption, part))
    return (*blocks, *_left_out(result))


def _left_out(result: Result) -> list[Block]:
    return [Table("Samples left out, and why", result.dropped)] if result.dropped.height else []


def _drift(result: Result) -> list[Figure]:
    data = _frame_of(result, "drift")
    if not {"column", "shift"} <= set(data.columns):
        return []
    rows = data.filter(pl.col("shift").is_finite())
    rows = rows.sort(pl.col("shift").abs(), descending=True).head(_SHIFTS)
    if not rows.height:
        return []
    error = 1 / np.sqrt(np.maximum(rows["n"].to_numpy(), 1))
    return [
        Figure(
            "Drift of the input",
            "Difference of each column's mean from its training mean, in training standard "
            "deviations, with its interval; the largest first.",
            lambda ax: plot.forest(
                plot.short_names(rows["column"].to_list()),
                rows["shift"],
                rows["shift"].to_numpy() - 1.96 * error,
                rows["shift"].to_numpy() + 1.96 * error,
                null=0.0,
                xlabel="Shift from training (SD)",
                ax=ax,
            ),
            data=rows,
            size=(5.4, 1.2 + 0.3 * rows.height),
        )
    ]


def render_hazards(result: Result) -> tuple[Block, ...]:
    """Return findings, the forest plot of hazard ratios and the table."""
    frame = result.table
    if not {"variable", "hazard_ratio", "ci_low", "ci_high"} <= set(frame.columns):
        return (*opening(result), *side_by_side(figures(result)), *closing(result))
    drawn = Figure(
        "Hazard ratios",
        "Hazard ratio of each variable with its confidence interval, on a log axis; 1 is no "
        "effect.",
        lambda ax: plot.forest(
            plot.short_names(frame["variable"].to_list()),
            frame["hazard_ratio"],
            frame["ci_low"],
            frame["ci_high"],
            null=1.0,
            log=True,
            xlabel="Hazard ratio (95 % interval)",
            ax=ax,
        ),
        data=frame,
        size=(8.4, 1.0 + 0.3 * frame.height),
    )
    curves = _variable_curves(result)
    shown: tuple[Block, ...] = (Row(tuple(curves)),) if curves else ()
    return (*opening(result), drawn, *shown, *closing(result, "Cox model"))


def _variable_curves(result: Result) -> list[Figure]:
    data = _frame_of(result, "km")
    if not {"variable", "group", "time", "at_risk", "survival"} <= set(data.columns):
        return []
    logrank = _frame_of(result, "logrank")
    tests = dict(logrank.select("variable", "p").iter_rows()) if logrank.height else {}
    names = data["variable"].unique(maintain_order=True).to_list()[:_VARIABLES]
    labels = plot.short_names(names)
    found = []
    for name, label in zip(names, labels, strict=True):
        rows = data.filter(pl.col("variable") == name)
        found.append(
            Figure(
                f"Kaplan–Meier curves: {label}",
                f"Survival by group of {label} with confidence bands and the numbers at risk.",
                partial(_draw_groups, rows, tests.get(name), str(getattr(result, "unit", ""))),
                data=rows,
                size=(5.4, 4.6),
            )
        )
    return found


def _draw_groups(rows: pl.DataFrame, p: float | None, unit: str, ax: Any) -> Any:
    note = "" if p is None else f"log-rank p = {p:.2g}"
    return plot.kaplan_meier(_groups(rows), note=note, unit=unit, ax=ax)


def _groups(rows: pl.DataFrame) -> dict[str, dict[str, Any]]:
    curves: dict[str, dict[str, Any]] = {}
    for group in rows["group"].unique(maintain_order=True).to_list():
        part = rows.filter(pl.col("group") == group).sort("time")
        curves[f"{group} risk" if group in ("low", "high") else str(group)] = {
            name: part[name].to_numpy()
            for name in ("time", "survival", "at_risk", "ci_low", "ci_high")
            if name in part.columns
        }
    return curves


def _frame_of(result: Result, name: str) -> pl.DataFrame:
    value = getattr(result, name, None)
    return value if isinstance(value, pl.DataFrame) else pl.DataFrame()


def _models(frame: pl.DataFrame, metric: str) -> Figure:
    rows = frame.filter(pl.col("metric") == metric)
    null = 0.0 if metric == "r2" else 0.5
    words = _WORDS[metric]
    return Figure(
        f"Models and baselines: {words}",
        f"{words} of each model with its confidence interval, all on the same folds; the dashed "
        f"line at {null:g} is no information.",
        lambda ax: plot.forest(
            rows["model"].to_list(),
            rows["estimate"],
            rows["ci_low"],
            rows["ci_high"],
            null=null,
            xlabel=f"{words} (95 % interval)",
            ax=ax,
        ),
        data=rows,
        size=(8.4, 1.0 + 0.32 * rows.height),
    )


def _names(frame: pl.DataFrame, primary: str) -> list[str]:
    names = [
        name
        for name in frame["model"].unique(maintain_order=True).to_list()
        if name != _NO_INFORMATION
    ]
    if len(names) <= _CURVES:
        return names
    return [*[name for name in names if name != primary][: _CURVES - 1], primary]


def _notes(frame: pl.DataFrame, metric: str) -> dict[str, str]:
    rows = frame.filter((pl.col("metric") == metric) & pl.col("estimate").is_finite())
    return {
        row["model"]: f"{row['estimate']:.2f} ({row['ci_low']:.2f}–{row['ci_high']:.2f})"
        for row in rows.iter_rows(named=True)
    }


def _pairs(frame: pl.DataFrame, names: list[str], x: str, y: str) -> dict[str, tuple[Any, Any]]:
    found = {}
    for name in names:
        rows = frame.filter(pl.col("model") == name)
        if rows.height:
            found[name] = (rows[x].to_numpy(), rows[y].to_numpy())
    return found


def _roc(result: Result, frame: pl.DataFrame) -> list[Figure]:
    data = _frame_of(result, "roc")
    if not data.height:
        return []
    names = _names(data, str(getattr(result, "primary", "")))
    curves = _pairs(data, names, "false_positive_rate", "true_positive_rate")
    return [
        Figure(
            "ROC curves",
            "Sensitivity against one minus specificity of out-of-fold predictions, a curve a "
            "model; the diagonal is no information.",
            lambda ax: plot.roc(curves, notes=_notes(frame, "auc"), ax=ax),
            data=data,
        )
    ]


def _calibration(result: Result, frame: pl.DataFrame) -> list[Figure]:
    data = _frame_of(result, "calibration")
    if not data.height:
        return []
    primary = str(getattr(result, "primary", ""))
    names = _names(data, primary)
    curves = _pairs(data, names, "predicted", "observed")
    predicted = None
    predictions = _frame_of(result, "predictions")
    column = "risk" if getattr(result, "outcome_kind", "") == "censored" else "score"
    if {"model", column} <= set(predictions.columns) and predictions.height:
        predicted = predictions.filter(pl.col("model") == primary)[column].to_numpy()
    slopes = {name: f"slope {text}" for name, text in _notes(frame, "calibration_slope").items()}
    return [
        Figure(
            "Calibration",
            "Observed frequency against predicted risk, smoothed, a curve a model; the diagonal "
            "is perfect agreement.",
            lambda ax: plot.calibration(
                curves, predicted=predicted, notes=slopes if len(names) < 4 else {}, ax=ax
            ),
            data=data,
            caption=f"Bars at the foot: predictions of {primary}." if predicted is not None else "",
        )
    ]


def _decision(result: Result) -> list[Figure]:
    data = _frame_of(result, "decision")
    if not data.height:
        return []
    primary = str(getattr(result, "primary", ""))
    names = _names(data, primary)
    threshold = data["threshold"].unique().sort()
    grid = threshold.to_numpy()
    first = data.unique("threshold", keep="first").sort("threshold")
    models: dict[str, Any] = {}
    bands: dict[str, tuple[Any, Any]] = {}
    for name in names:
        rows = data.filter(pl.col("model") == name).sort("threshold")
        at = rows["threshold"].to_numpy()
        models[name] = np.interp(grid, at, rows["net_benefit"].to_numpy())
        if name == primary and {"ci_low", "ci_high"} <= set(rows.columns):
            bands[name] = (
                np.interp(grid, at, rows["ci_low"].to_numpy()),
                np.interp(grid, at, rows["ci_high"].to_numpy()),
            )
    return [
        Figure(
            "Decision curves",
            "Net benefit over threshold probabilities, a curve a model, beside treating all and "
            "treating none.",
            lambda ax: plot.decision_curve(
                grid, models, first["treat_all"].to_numpy(), bands=bands, ax=ax
            ),
            data=data,
        )
    ]


def _abstention(result: Result) -> list[Figure]:
    data = _frame_of(result, "abstention")
    if not data.height:
        return []
    models = {
        name: (rows["decided"].to_numpy(), 1 - rows["right"].to_numpy())
        for name in _names(data, str(getattr(result, "primary", "")))
        for rows in (data.filter(pl.col("model") == name).sort("level"),)
    }
    return [
        Figure(
            "Wrong decisions of models that abstain",
            "Share of decisions that are wrong against the share of patients who are decided, a "
            "curve a model; a dot an error level.",
            lambda ax: plot.risk_coverage(models, ax=ax),
            data=data,
            caption="Decided is who has one plausible class alone. Left and low is cautious and "
            "right; a model that carries nothing decides few.",
        )
    ]


def _survival(result: Result) -> list[Figure]:
    data = _frame_of(result, "km")
    if not data.height:
        return []
    primary = str(getattr(result, "primary", ""))
    rows = data.filter(pl.col("model") == primary) if "model" in data.columns else data
    rows = rows if rows.height else data
    curves = _groups(rows)
    return [
        Figure(
            "Kaplan–Meier curves by predicted risk",
            "Survival of the groups of low and high predicted risk with confidence bands and the "
            "numbers at risk.",
            lambda ax: plot.kaplan_meier(curves, note=_ratio(result, primary), ax=ax),
            data=data,
            size=(5.4, 4.6),
            caption=f"Groups of {primary}, cut at the median of the training data.",
        )
    ]


def _ratio(result: Result, primary: str) -> str:
    groups = _frame_of(result, "risk_groups")
    if not {"model", "hazard_ratio", "ci_low", "ci_high"} <= set(groups.columns):
        return ""
    rows = groups.filter(pl.col("model") == primary)
    if not rows.height:
        return ""
    row = rows.row(0, named=True)
    return f"Hazard ratio {row['hazard_ratio']:.2f} ({row['ci_low']:.2f}–{row['ci_high']:.2f})"


RENDERERS.add("prediction", render_prediction)
RENDERERS.add("external_validation", render_validation)
RENDERERS.add("hazards", render_hazards)
