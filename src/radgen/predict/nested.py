"""Nested models: what each block adds to those before it, in the sample and out of it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import chdtrc

from radgen._core.blocks import map_units
from radgen._core.threads import one_blas_thread
from radgen.errors import FitError, InputError
from radgen.predict._words import repeated
from radgen.predict.design import Design
from radgen.predict.engine import FoldOutput, ModelPlan, run_fold
from radgen.predict.horizon import mean_risk
from radgen.predict.planning import Setup, set_up
from radgen.predict.result import MAIN_METRIC, METRIC_WORDS
from radgen.predict.scores import Estimate, estimates, interval, paired
from radgen.predict.tables import by_repeat
from radgen.stats.cox import fit_cox
from radgen.stats.decision import reclassification
from radgen.stats.glm import full_rank, logistic
from radgen.types import Outcome, Result

__all__ = ["NestedResult", "nested_models"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NestedResult(Result):
    """Nested models of one outcome, each with one more block.

    Attributes
    ----------
    frame : polars.DataFrame
        ``step, adds, columns, n_complete, log_likelihood, lr_statistic, df, p_value, aic, note``:
        unpenalised models of complete cases, likelihood-ratio test against the step before (a
        note says why there is none); and ``estimate, ci_low, ci_high, gain, gain_low, gain_high,
        gain_p``: main metric of penalised models out of fold, and the paired gain.
    reclassification : polars.DataFrame
        ``step, nri, nri_p, idi, idi_p, n, warning``, from out-of-fold risks.
    outcome, metric : str
    """

    kind: ClassVar[str] = "nested_models"

    reclassification: pl.DataFrame = field(default_factory=pl.DataFrame)
    outcome: str = ""
    metric: str = "auc"

    def statements(self) -> tuple[str, ...]:
        """Return what each block adds."""
        out = []
        word = METRIC_WORDS[self.metric]
        for row in self.frame.iter_rows(named=True):
            if row["step"] == 1:
                out.append(
                    f"{row['adds']} alone: {word} {row['estimate']:.2f} "
                    f"({row['ci_low']:.2f}–{row['ci_high']:.2f}) out of fold."
                )
                continue
            test = ""
            if np.isfinite(row["p_value"]):
                test = f"likelihood-ratio p {row['p_value']:.2g} in the sample; "
            gain = f"{row['gain']:+.3f} ({row['gain_low']:+.3f} to {row['gain_high']:+.3f})"
            says = "shows no evidence of adding"
            if row["gain_low"] > 0:
                says = "adds to what came before"
            out.append(f"{row['adds']} {says}: {test}{word} {gain} out of fold.")
        return tuple(out)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        return (
            f"Models of {self.outcome} were nested: {' → '.join(p['blocks'])}. Likelihood-ratio "
            "tests compare unpenalised models of the same complete cases; gains compare "
            f"out-of-fold predictions of penalised models in {repeated(p)}"
            f"{p['folds']}-fold nested cross-validation, paired by patient. NRI and IDI are given "
            "for readers who ask for them and can be positive for useless markers."
        )


def nested_models(
    blocks: Mapping[str, Any],
    outcome: Outcome,
    *,
    seed: int,
    confidence: float = 0.95,
    horizon: float | None = None,
    executor: Executor | None = None,
    **settings: Any,
) -> NestedResult:
    """Return what each block adds to those named before it.

    Parameters
    ----------
    blocks : mapping of str to table
        In the order of nesting: clinical, imaging, genomic, say.
    outcome : Outcome
        Binary, censored or continuous.
    seed : int
        Of the folds.
    confidence : float, default 0.95
        Level.
    horizon : float or None
        Time at which risks are reclassified (survival); None = median time.
    executor : Executor or None
        Folds are its units of work.
    **settings
        As `radgen.predict.evaluate` takes them.

    Returns
    -------
    NestedResult
        A row a block.

    Raises
    ------
    InputError
        If there are fewer than two blocks.
    """
    if len(blocks) < 2:
        raise InputError("Nested models need two blocks or more, in the order of nesting.")
    setup = set_up(blocks, outcome, seed=seed, horizon=horizon, baselines=False, **settings)
    names = [block.name for block in setup.design.blocks]
    plans = tuple(ModelPlan(names[k], tuple(names[: k + 1])) for k in range(len(names)))
    setup = replace(setup, plans=plans)
    outputs = map_units(run_fold, setup.tasks(), executor=executor, what="Cross-validating")
    with one_blas_thread():
        rows = _in_sample(setup.design)
        found, gains = _out_of_fold(setup, outputs, confidence)
    table = [a | b | c for a, b, c in zip(rows, found, gains, strict=True)]
    return NestedResult(
        frame=pl.DataFrame(table, schema=_SCHEMA),
        params=setup.params | {"confidence": confidence},
        n_used=setup.design.n,
        dropped=setup.design.dropped,
        warnings=tuple(setup.notes),
        provenance={"step": "predict.nested_models", "version": 1, "seed": seed},
        reclassification=_reclassified(setup, outputs),
        outcome=outcome.name,
        metric=MAIN_METRIC[setup.design.kind],
    )


_SCHEMA = {
    "step": pl.Int64, "adds": pl.String, "columns": pl.Int64, "n_complete": pl.Int64,
    "log_likelihood": pl.Float64, "lr_statistic": pl.Float64, "df": pl.Int64,
    "p_value": pl.Float64, "aic": pl.Float64, "note": pl.String, "estimate": pl.Float64,
    "ci_low": pl.Float64, "ci_high": pl.Float64, "gain": pl.Float64, "gain_low": pl.Float64,
    "gain_high": pl.Float64, "gain_p": pl.Float64,
}  # fmt: skip


def _in_sample(design: Design) -> list[dict[str, Any]]:
    """Return likelihoods and tests of unpenalised models, all of the same complete cases."""
    values = [block.values for block in design.blocks]
    complete = np.isfinite(np.hstack(values)).all(axis=1)
    target = design.target[complete]
    units = int(complete.sum()) if design.kind == "continuous" else _rarer(design, target)
    rows: list[dict[str, Any]] = []
    before: tuple[float, int] | None = _likelihood(design.kind, np.zeros((len(target), 0)), target)
    for k, block in enumerate(design.blocks):
        x = np.hstack(values[: k + 1])[complete]
        row: dict[str, Any] = {
            "step": k + 1, "adds": block.name, "columns": x.shape[1],
            "n_complete": int(complete.sum()), "note": "", "p_value": float("nan"),
        }  # fmt: skip
        now: tuple[float, int] | None = None
        if x.shape[1] > units / 5:
            row["note"] = (
                f"{x.shape[1]} columns for {units} patients of the rarer class (or events): no "
                "unpenalised model"
            )
        else:
            try:
                now = _likelihood(design.kind, x, target)
            except (FitError, InputError) as error:
                row["note"] = " ".join(str(error).split())
        if now is not None:
            row |= {"log_likelihood": now[0], "aic": 2 * now[1] - 2 * now[0]}
            if before is not None and now[1] > before[1]:
                statistic, df = 2 * (now[0] - before[0]), now[1] - before[1]
                p = float(chdtrc(df, max(statistic, 0.0)))
                row |= {"lr_statistic": statistic, "df": df, "p_value": p}
        before = now
        rows.append(row)
    return rows


def _rarer(design: Design, target: FloatArray) -> int:
    if design.kind == "censored":
        return int(target[:, 1].sum())
    return int(min(target.sum(), len(target) - target.sum()))


def _likelihood(kind: str, x: FloatArray, target: FloatArray) -> tuple[float, int]:
    """Return log-likelihood and number of coefficients (without the intercept)."""
    design = np.column_stack((np.ones(len(x)), x))
    kept = full_rank(design)
    design = design[:, kept]
    p = int(kept.sum()) - 1
    if kind == "censored":
        fit = fit_cox(design[:, 1:], target[:, 0], target[:, 1] > 0.5)
        return fit.log_likelihood, p
    if kind == "binary":
        found = logistic(target, design)
        if found.separated or not found.converged:
            raise FitError("a column parts the classes perfectly: no likelihood-ratio test")
        return float(found.log_likelihood), p
    rest = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
    n = len(target)
    return float(-0.5 * n * (np.log(2 * np.pi * (rest @ rest) / n) + 1)), p


def _out_of_fold(
    setup: Setup, outputs: list[FoldOutput], confidence: float
) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    design, metric = setup.design, MAIN_METRIC[setup.design.kind]
    ratio = float(np.mean([len(s.test) / len(s.train) for s in setup.splits]))
    units = design.n_events
    units = min(units, design.n - units) if design.kind == "binary" else units
    options: dict[str, Any] = {"confidence": confidence, "ratio": ratio}
    found, gains = [], []
    before: Estimate | None = None
    for plan in setup.plans:
        folds = by_repeat(outputs, plan.name, design.n)
        now = estimates(design.kind, design.target, folds)[metric]
        _, low, high = interval(metric, now, design.patients, units=units, **options)
        found.append({"estimate": now.value, "ci_low": low, "ci_high": high})
        gain = dict.fromkeys(("gain", "gain_low", "gain_high", "gain_p"), float("nan"))
        if before is not None:
            gap, _, low, high, z = paired(metric, now, before, design.patients, **options)
            p = float(chdtrc(1, z * z))
            gain = {"gain": gap, "gain_low": low, "gain_high": high, "gain_p": p}
        gains.append(gain)
        before = now
    return found, gains


def _reclassified(setup: Setup, outputs: list[FoldOutput]) -> pl.DataFrame:
    """Return NRI and IDI of each step over the one before, from mean out-of-fold risks."""
    design = setup.design
    schema = {"step": pl.Int64, "nri": pl.Float64, "nri_p": pl.Float64, "idi": pl.Float64}
    schema |= {"idi_p": pl.Float64, "n": pl.Int64, "warning": pl.String}
    if design.kind == "continuous":
        return pl.DataFrame(schema=schema)
    happened, known = design.target, np.ones(design.n, dtype=bool)
    note = ""
    if design.kind == "censored":
        when = float(setup.common["horizon"])
        early = (design.target[:, 0] <= when) & (design.target[:, 1] > 0.5)
        known = early | (design.target[:, 0] > when)
        happened = early.astype(np.float64)
        note = f" Patients censored before {when:g} are left out."
    rows = []
    risks = [_risks(design, outputs, plan.name) for plan in setup.plans]
    for k in range(1, len(risks)):
        y = happened[known]
        if len(np.unique(y)) < 2:
            continue
        found = reclassification(y, risks[k - 1][known], risks[k][known])
        rows.append(
            (k + 1, found.nri, found.nri_p_value, found.idi, found.idi_p_value, len(y),
             found.warning + note)
        )  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _risks(design: Design, outputs: list[FoldOutput], name: str) -> FloatArray:
    if design.kind == "censored":
        return mean_risk(design.n, outputs, name)
    total, count = np.zeros(design.n), np.zeros(design.n)
    for item in outputs:
        total[item.test] += item.models[name].score
        count[item.test] += 1
    return np.asarray(np.clip(total / np.maximum(count, 1), 0, 1), dtype=np.float64)
