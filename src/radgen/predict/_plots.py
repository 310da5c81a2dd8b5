"""Figures of a prediction result."""

from __future__ import annotations

from typing import Any

import polars as pl

from radgen.errors import InputError

__all__ = [
    "draw_abstention",
    "draw_calibration",
    "draw_decision",
    "draw_km",
    "draw_models",
    "draw_roc",
]


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=(5, 5)).add_subplot()


def _need(frame: pl.DataFrame, what: str) -> None:
    if frame.height == 0:
        raise InputError(f"This outcome has no {what}.")


def draw_models(result: Any, ax: Any) -> Any:
    """Draw the main metric of every model with its interval."""
    ax = _axes(ax)
    rows = result.frame.filter(pl.col("metric") == result.main_metric)
    for place, row in enumerate(rows.iter_rows(named=True)):
        ax.plot([row["ci_low"], row["ci_high"]], [place, place], color="0.4")
        ax.plot(row["estimate"], place, "o", color="C0")
    ax.set_yticks(range(rows.height), rows["model"].to_list())
    ax.invert_yaxis()
    ax.axvline(0.0 if result.main_metric == "r2" else 0.5, color="0.8", zorder=0)
    ax.set_xlabel(result.main_metric)
    return ax


def draw_abstention(result: Any, ax: Any) -> Any:
    """Draw the share of wrong decisions against the share of patients decided, a curve a model."""
    _need(result.abstention, "abstention: ask for it with abstain=0.1, say")
    from radgen import plot

    rows = result.abstention.partition_by("model", as_dict=True)
    curves = {name: (part["decided"], 1 - part["right"]) for (name,), part in rows.items()}
    return plot.risk_coverage(curves, ax=ax)


def draw_roc(result: Any, ax: Any) -> Any:
    """Draw the pooled ROC curves."""
    _need(result.roc, "ROC curve")
    ax = _axes(ax)
    for name in result.models():
        rows = result.roc.filter(pl.col("model") == name)
        ax.plot(rows["false_positive_rate"], rows["true_positive_rate"], label=name)
    ax.plot([0, 1], [0, 1], color="0.8", zorder=0)
    ax.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
    ax.legend(frameon=False)
    return ax


def draw_calibration(result: Any, ax: Any) -> Any:
    """Draw observed frequency against predicted probability."""
    _need(result.calibration, "calibration curve")
    ax = _axes(ax)
    for name in result.calibration["model"].unique(maintain_order=True).to_list():
        rows = result.calibration.filter(pl.col("model") == name)
        ax.plot(rows["predicted"], rows["observed"], label=name)
    ax.plot([0, 1], [0, 1], color="0.8", zorder=0)
    ax.set(xlabel="predicted probability", ylabel="observed frequency", aspect="equal")
    ax.legend(frameon=False)
    return ax


def draw_decision(result: Any, ax: Any) -> Any:
    """Draw net benefit against threshold probability."""
    _need(result.decision, "decision curve")
    ax = _axes(ax)
    rows = result.decision
    for name in rows["model"].unique(maintain_order=True).to_list():
        part = rows.filter(pl.col("model") == name)
        ax.plot(part["threshold"], part["net_benefit"], label=name)
    ax.plot(part["threshold"], part["treat_all"], color="0.6", label="treat all")
    ax.axhline(0, color="0.8", zorder=0)
    top = float(rows["net_benefit"].max())
    ax.set(
        xlabel="threshold probability", ylabel="net benefit", ylim=(-0.2 * top - 0.01, 1.1 * top)
    )
    ax.legend(frameon=False)
    return ax


def draw_km(result: Any, ax: Any) -> Any:
    """Draw survival of the risk groups of the primary model."""
    _need(result.km, "survival curve")
    ax = _axes(ax)
    rows = result.km.filter(pl.col("model") == result.primary)
    for group in ("low", "high"):
        part = rows.filter(pl.col("group") == group)
        (line,) = ax.step(part["time"], part["survival"], where="post", label=f"{group} risk")
        ax.fill_between(
            part["time"],
            part["ci_low"],
            part["ci_high"],
            step="post",
            alpha=0.2,
            color=line.get_color(),
        )
    ax.set(xlabel="time", ylabel="survival", ylim=(0, 1.02))
    ax.legend(frameon=False)
    return ax
