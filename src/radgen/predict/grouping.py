"""Groups of predicted risk, cut at training quantiles: survival, tests and hazard ratios."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import FitError, InputError
from radgen.predict.curves import survival_curve
from radgen.predict.result import PredictionResult
from radgen.stats.cox import fit_cox
from radgen.stats.survival import kaplan_meier, logrank
from radgen.types import Result

__all__ = ["RiskGroupResult", "risk_groups"]

FloatArray = NDArray[np.float64]
_NAMES = {2: ("low", "high"), 3: ("low", "medium", "high")}


@dataclass(frozen=True, eq=False)
class RiskGroupResult(Result):
    """Survival of groups of predicted risk, out of fold.

    Attributes
    ----------
    frame : polars.DataFrame
        ``group, n, events, median, survival, ci_low, ci_high, hazard_ratio, hr_low, hr_high``:
        survival at the horizon; hazard ratios against the lowest group; n is a mean over repeats.
    km : polars.DataFrame
        ``model, group, time, at_risk, survival, ci_low, ci_high``, first repeat.
    tests : polars.DataFrame
        ``repeat, logrank_p, trend_p``.
    outcome, model : str
    horizon : float
    """

    kind: ClassVar[str] = "risk_groups"
    plots: ClassVar[tuple[str, ...]] = ("kaplan_meier",)

    km: pl.DataFrame = field(default_factory=pl.DataFrame)
    tests: pl.DataFrame = field(default_factory=pl.DataFrame)
    outcome: str = ""
    model: str = ""
    horizon: float = float("nan")

    def statements(self) -> tuple[str, ...]:
        """Return survival of the groups, and whether they differ."""
        parts = [
            f"{row['group']} {row['survival']:.0%} ({row['ci_low']:.0%}–{row['ci_high']:.0%})"
            for row in self.frame.iter_rows(named=True)
        ]
        p = float(self.tests["trend_p"].median() or 1.0)  # type: ignore[arg-type]
        word = "differ" if p < 0.05 else "show no evidence of differing"
        last = self.frame.row(-1, named=True)
        return (
            f"Groups of predicted risk {word} in {self.outcome}: survival at {self.horizon:.3g} "
            f"{', '.join(parts)} (p of trend {p:.2g}).",
            f"Hazard ratio of the highest against the lowest group {last['hazard_ratio']:.2f} "
            f"({last['hr_low']:.2f}–{last['hr_high']:.2f}); cuts are quantiles of training scores.",
        )

    def methods(self) -> str:
        """Return the methods paragraph."""
        return (
            f"Out-of-fold scores of {self.model} were cut at quantiles of the scores that inner "
            "folds held out in training, so that no test patient set a cut. Groups were compared "
            "by the log-rank test and by a Cox model with the group as a trend; p and hazard "
            "ratios are medians and geometric means over repeats."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "kaplan_meier" curves with numbers at risk and return the Axes."""
        if kind not in self.plots:
            raise InputError(f"A risk-group result has no plot {kind!r}; it has {self.plots}.")
        from radgen import plot

        curves = {}
        for group in self.km["group"].unique(maintain_order=True).to_list():
            part = self.km.filter(pl.col("group") == group)
            names = ("time", "survival", "at_risk", "ci_low", "ci_high")
            curves[f"{group} risk"] = {name: part[name].to_numpy() for name in names}
        return plot.kaplan_meier(curves, ax=ax)


def risk_groups(
    result: PredictionResult,
    *,
    n_groups: int = 3,
    model: str | None = None,
    horizon: float | None = None,
    confidence: float = 0.95,
) -> RiskGroupResult:
    """Return survival of groups of predicted risk, cut at training quantiles.

    Parameters
    ----------
    result : PredictionResult
        Of a censored outcome.
    n_groups : int, default 3
        Groups of equal size in training (short, medium and long survivors, say).
    model : str or None
        None = the fullest.
    horizon : float or None
        Time at which survival is given; None = that of the evaluation.
    confidence : float, default 0.95
        Level.

    Returns
    -------
    RiskGroupResult
        A row a group.

    Raises
    ------
    InputError
        If the outcome is not censored, there are fewer than two groups, or the model does not
        exist or holds no information.
    """
    if result.outcome_kind != "censored":
        raise InputError(
            f"{result.outcome!r} is {result.outcome_kind}; groups need survival times."
        )
    if n_groups < 2:
        raise InputError("Needed are two groups or more.")
    name = result.primary if model is None else model
    rows = result.predictions.filter(pl.col("model") == name)
    if not rows.height:
        raise InputError(f"There is no model {name!r}; models are {result.models()}.")
    when = float(result.params["horizon"]) if horizon is None else float(horizon)
    labels = _NAMES.get(n_groups, tuple(str(k + 1) for k in range(n_groups)))
    options = {"n_groups": n_groups, "horizon": when, "confidence": confidence}
    tables, tests, curves = [], [], []
    for (repeat,), part in rows.group_by("repeat", maintain_order=True):
        code = np.minimum((part["rank"].to_numpy() * n_groups).astype(int), n_groups - 1)
        time = part["y"].to_numpy()
        event = part["event"].to_numpy()
        patients = part["patient"].to_list()
        present = np.unique(code)
        if len(present) < 2:
            raise InputError(f"All patients fall into one group: {name!r} holds no information.")
        tests.append((int(repeat), *_tests(time, event, code, patients)))  # type: ignore[call-overload]
        tables.append(_table(time, event, code, patients, **options))
        if not curves:
            curves = [
                survival_curve(name, labels[k], time[code == k], event[code == k]) for k in present
            ]
    mean = np.nanmean(np.array(tables), axis=0)
    columns = ["n", "events", "median", "survival", "ci_low", "ci_high"]
    columns += ["hazard_ratio", "hr_low", "hr_high"]
    frame = pl.DataFrame({"group": list(labels)} | {c: mean[:, j] for j, c in enumerate(columns)})
    ratios = ["hazard_ratio", "hr_low", "hr_high"]
    frame = frame.with_columns(pl.col(ratios).exp())
    schema = {"repeat": pl.Int64, "logrank_p": pl.Float64, "trend_p": pl.Float64}
    return RiskGroupResult(
        frame=frame,
        params={"n_groups": n_groups, "confidence": confidence, "model": name},
        n_used=result.n_used,
        provenance={"step": "predict.risk_groups", "version": 1},
        km=pl.concat(curves),
        tests=pl.DataFrame(tests, schema=schema, orient="row"),
        outcome=result.outcome,
        model=name,
        horizon=when,
    )


def _tests(
    time: FloatArray, event: NDArray[np.bool_], code: NDArray[np.int64], patients: list[str]
) -> tuple[float, float]:
    p = logrank(time, event, code).p_value
    try:
        fit = fit_cox(code.astype(float)[:, None], time, event, cluster=patients)
    except FitError:
        return p, float("nan")
    return p, float(fit.p_values[0])


def _table(
    time: FloatArray,
    event: NDArray[np.bool_],
    code: NDArray[np.int64],
    patients: list[str],
    *,
    n_groups: int,
    horizon: float,
    confidence: float,
) -> FloatArray:
    """Return the rows of one repeat; hazard ratios as logarithms, NaN where a group is empty."""
    out = np.full((n_groups, 9), np.nan)
    present = np.unique(code)
    for k in present:
        own = code == k
        curve = kaplan_meier(time[own], event[own], confidence=confidence)
        where = int(np.searchsorted(curve.times, horizon, side="right")) - 1
        level = (1.0, 1.0, 1.0)
        if where >= 0:
            level = (curve.estimate[where], curve.ci_low[where], curve.ci_high[where])
        out[k, :6] = (own.sum(), event[own].sum(), curve.quantile(), *level)
    out[present[0], 6:] = 0.0
    dummies = (code[:, None] == present[1:]).astype(float)
    try:
        fit = fit_cox(dummies, time, event, cluster=patients)
    except FitError:
        return out
    low, high = fit.interval(confidence)
    out[present[1:], 6:] = np.column_stack((fit.beta, low, high))
    return out
