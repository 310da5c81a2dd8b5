"""Validation of a frozen model on other data, and what may be called external."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.predict.bundle import bundle_digest
from radgen.predict.fitting import FittedModel, hashed
from radgen.predict.judging import Judged, Truth, judge
from radgen.types import Outcome, Result, align

__all__ = ["ExternalResult", "validate_external"]

FloatArray = NDArray[np.float64]
Claim = Literal["external", "temporal", "same-site"]
_MAIN = {"auc": "AUC", "harrell_c": "C", "r2": "R²"}


def _frame() -> pl.DataFrame:
    return pl.DataFrame()


@dataclass(frozen=True, eq=False)
class ExternalResult(Result):
    """Performance of a frozen model on other data.

    Attributes
    ----------
    frame : polars.DataFrame
        ``model, metric, estimate, ci_low, ci_high, n, n_patients, events``, of the samples that
        the model accepts.
    everyone : polars.DataFrame
        The same with the refused samples too; empty where none was refused.
    predictions : polars.DataFrame
        ``sample, score, high, outside, status, reason, y, event, risk``.
    drift : polars.DataFrame
        How each used column differs from training, see `radgen.predict.contract.drift_table`.
    calibration, decision, roc, km, risk_groups : polars.DataFrame
        Curves, as in `radgen.predict.PredictionResult`.
    outcome, outcome_kind, claim : str
        Name and kind of the outcome; what the validation may be called.
    bundle : str
        Digest of the frozen model.
    """

    kind: ClassVar[str] = "external_validation"
    version: ClassVar[int] = 2

    everyone: pl.DataFrame = field(default_factory=_frame)
    predictions: pl.DataFrame = field(default_factory=_frame)
    drift: pl.DataFrame = field(default_factory=_frame)
    calibration: pl.DataFrame = field(default_factory=_frame)
    decision: pl.DataFrame = field(default_factory=_frame)
    roc: pl.DataFrame = field(default_factory=_frame)
    km: pl.DataFrame = field(default_factory=_frame)
    risk_groups: pl.DataFrame = field(default_factory=_frame)
    outcome: str = ""
    outcome_kind: str = "binary"
    claim: str = "external"
    bundle: str = ""

    @property
    def primary(self) -> str:
        """Name of the model in the tables."""
        return "frozen model"

    def estimate(self, metric: str) -> Mapping[str, Any]:
        """Return the row of one metric.

        Raises
        ------
        InputError
            If there is no such metric.
        """
        found = self.frame.filter(pl.col("metric") == metric)
        if found.height != 1:
            known = self.frame["metric"].to_list()
            raise InputError(f"No metric {metric!r}; there are {shown(known, 20)}.")
        return found.row(0, named=True)

    def statements(self) -> tuple[str, ...]:
        """Return the main findings in words."""
        names = self.frame["metric"].to_list()
        main = next(item for item in _MAIN if item in names)
        row = self.estimate(main)
        text = f"{_MAIN[main]} {_interval(row)} in {row['n_patients']} patients"
        chance = 0.0 if main == "r2" else 0.5
        found = "the model predicts" if row["ci_low"] > chance else "no evidence that it predicts"
        out = [f"{self.claim.capitalize()} validation for {self.outcome}: {found}, {text}."]
        out += self._against_training(main, row)
        out += self._calibration_words(names)
        refused = self.predictions.filter(pl.col("status") == "refused")
        if refused.height:
            whole = self.everyone.filter(pl.col("metric") == main)
            value = f"; with them {_MAIN[main]} {whole['estimate'][0]:.2f}" if whole.height else ""
            out.append(
                f"{refused.height} samples lie outside of what the model knows and got no score"
                f"{value}."
            )
        moved = self.drift.filter((pl.col("p_adjusted") < 0.05) & (pl.col("shift").abs() > 0.5))
        if moved.height:
            names = moved.sort(pl.col("shift").abs(), descending=True)["column"].to_list()
            out.append(
                f"{moved.height} of {self.drift.height} columns differ from training by more than "
                f"half a standard deviation: {shown(names)}."
            )
        return tuple(out)

    def _against_training(self, main: str, row: Mapping[str, Any]) -> list[str]:
        card = self.params["training"].get("validation")
        if not card or main not in card["metrics"]:
            return []
        value, low, high = card["metrics"][main]
        if value is None or low is None:
            return []
        text = f"In internal validation it was {value:.2f} ({low:.2f}–{high:.2f})"
        if row["ci_high"] < low:
            return [f"{text}: the model does worse here."]
        return [f"{text}: no evidence that the model does worse here."]

    def _calibration_words(self, names: list[str]) -> list[str]:
        out = []
        if "calibration_slope" in names:
            row = self.estimate("calibration_slope")
            if np.isfinite(row["estimate"]):
                word = "compatible with 1"
                if row["ci_high"] < 1:
                    word = "below 1: predictions are too extreme here"
                elif row["ci_low"] > 1:
                    word = "above 1: predictions are not extreme enough here"
                out.append(f"The calibration slope {_interval(row)} is {word}.")
        if "calibration_intercept" in names:
            row = self.estimate("calibration_intercept")
            if row["ci_low"] > 0 or row["ci_high"] < 0:
                way = "low" if row["estimate"] > 0 else "high"
                out.append(
                    f"On average predictions are too {way} here (calibration in the large "
                    f"{_interval(row)}): recalibrate before use."
                )
        if "observed_expected" in names:
            row = self.estimate("observed_expected")
            if row["ci_low"] > 1 or row["ci_high"] < 1:
                out.append(
                    f"Observed over expected events at {self.params['horizon']:g} are "
                    f"{_interval(row)}: recalibrate before use."
                )
        return out

    def methods(self) -> str:
        """Return the methods paragraph."""
        return (
            f"A model of {self.outcome}, frozen beforehand (bundle {self.bundle[:12]}), was "
            f"applied to {self.n_used} samples of other patients ({self.claim} validation); "
            "nothing was refitted, and the decision threshold is that of training. Intervals are "
            f"at {self.params['confidence']:.0%}, by patient."
        )


def _interval(row: Mapping[str, Any]) -> str:
    dash = " to " if row["ci_low"] < 0 else "–"
    return f"{row['estimate']:.2f} ({row['ci_low']:.2f}{dash}{row['ci_high']:.2f})"


def validate_external(
    model: FittedModel,
    blocks: Mapping[str, Any],
    outcome: Outcome,
    *,
    groups: Mapping[str, str] | None = None,
    sites: Mapping[str, str] | None = None,
    claim: Claim = "external",
    confidence: float = 0.95,
    horizon: float | None = None,
    any_range: bool = False,
) -> ExternalResult:
    """Return how a frozen model performs on other data.

    Parameters
    ----------
    model : FittedModel
        From `radgen.predict.fit_model`.
    blocks, outcome
        New data with the columns of the training data.
    groups : mapping of sample to patient, or None
        None = every sample is a patient.
    sites : mapping of sample to site, or None
        For ``claim="external"`` needed here and in training.
    claim : {"external", "temporal", "same-site"}
        What the validation is to be called.
    confidence : float, default 0.95
        Level.
    horizon : float or None
        Time of the predicted risk (survival); None = median time of the new data.
    any_range : bool, default False
        Judge also samples outside of the training range.

    Returns
    -------
    ExternalResult
        Discrimination, calibration, thresholded performance, curves and drift.

    Raises
    ------
    InputError
        If a patient trained the model; if "external" is claimed and a site trained it or sites
        are unknown; if columns are missing, in another unit or beyond the training range; if
        the outcome is of another kind than the model's.
    """
    require_choice(claim, ("external", "temporal", "same-site"), what="claim")
    if outcome.kind != model.kind:
        raise InputError(f"The outcome is {outcome.kind}; the model predicts a {model.kind} one.")
    known = np.flatnonzero(outcome.known)
    found = model.predict(blocks, sites=sites, any_range=any_range)
    whole = model.predict(blocks, sites=sites, any_range=True)
    matched = align(
        {"predictions": found["sample"].to_list(), "outcome": [outcome.samples[i] for i in known]},
        need=2,
    )
    patients = [str(groups[s]) if groups is not None else s for s in matched.samples]
    _refuse_overlap(model, matched.samples, patients, sites, claim)
    rows = known[matched.rows["outcome"]]
    y = outcome.values[rows].astype(np.float64)
    event = None if outcome.events is None else outcome.events[rows]
    table = found[matched.rows["predictions"].tolist()]
    kept = (table["status"] == "ok").to_numpy()
    scored = whole[matched.rows["predictions"].tolist()]["score"].fill_null(np.nan).to_numpy()
    if int(kept.sum()) < 2:
        raise InputError(
            f"{len(kept) - int(kept.sum())} of {len(kept)} samples lie outside of what the model "
            f"knows (first: {table['reason'][0]}). Check units, or allow any_range."
        )
    cluster = np.unique(np.array(patients, dtype=object), return_inverse=True)[1]
    when = float(np.median(y)) if horizon is None else float(horizon)
    options: dict[str, Any] = {"confidence": confidence, "horizon": when}
    truth = Truth(y, event, cluster)
    frame, judged = _judged(model, truth, scored, kept, options)
    everyone = pl.DataFrame()
    usable = np.isfinite(scored)
    if not kept.all() and usable.sum() > kept.sum():
        everyone = _judged(model, truth, scored, usable, options)[0]
    return ExternalResult(
        frame=frame,
        params={"claim": claim, "training": dict(model.card), "any_range": any_range, **options},
        n_used=int(kept.sum()),
        dropped=matched.dropped.select("sample", reason=pl.lit("not in ") + pl.col("absent_from")),
        warnings=tuple(judged.notes),
        provenance={"step": "predict.validate_external", "version": 2},
        everyone=everyone,
        predictions=_with_outcome(model, table, truth, when),
        drift=model.drift(blocks),
        calibration=judged.calibration,
        decision=judged.decision,
        roc=judged.roc,
        km=judged.km,
        risk_groups=judged.risk_groups,
        outcome=outcome.name,
        outcome_kind=model.kind,
        claim=claim,
        bundle=_digest(model),
    )


def _digest(model: FittedModel) -> str:
    """Return the digest of the bundle; "" where the model cannot be written as one."""
    try:
        return bundle_digest(model)
    except InputError:
        return ""


def _with_outcome(
    model: FittedModel, table: pl.DataFrame, truth: Truth, horizon: float
) -> pl.DataFrame:
    n = len(truth.y)
    risk = np.full(n, np.nan)
    event: list[bool | None] = [None] * n
    if truth.event is not None:
        event = truth.event.tolist()
        score = table["score"].fill_null(np.nan).to_numpy()
        kept = np.isfinite(score)
        risk[kept] = model.risk(score[kept], horizon)
    return table.with_columns(
        y=pl.Series(truth.y),
        event=pl.Series(event, dtype=pl.Boolean),
        risk=pl.Series(risk).fill_nan(None),
    )


def _judged(
    model: FittedModel,
    truth: Truth,
    score: FloatArray,
    rows: NDArray[np.bool_],
    options: Mapping[str, Any],
) -> tuple[pl.DataFrame, Judged]:
    some = truth.take(rows)
    judged = judge(model, some, score[rows], **options)
    n_events = int(some.y.sum()) if model.kind == "binary" else int(rows.sum())
    if some.event is not None:
        n_events = int(some.event.sum())
    tail = (int(rows.sum()), some.n_patients, n_events)
    names = ["model", "metric", "estimate", "ci_low", "ci_high", "n", "n_patients", "events"]
    kinds = [pl.String, pl.String, *[pl.Float64] * 3, *[pl.Int64] * 3]
    frame = pl.DataFrame(
        [("frozen model", *item, *tail) for item in judged.rows],
        schema=dict(zip(names, kinds, strict=True)),
        orient="row",
    )
    return frame, judged


def _refuse_overlap(
    model: FittedModel,
    samples: tuple[str, ...],
    patients: list[str],
    sites: Mapping[str, str] | None,
    claim: str,
) -> None:
    seen = [
        sample
        for sample, patient in zip(samples, patients, strict=True)
        if hashed([sample]) & model.samples or hashed([patient]) & model.patients
    ]
    if seen:
        raise InputError(
            f"{len(seen)} samples of this set, or their patients, trained the model: "
            f"{shown(seen)}. Such a test is no validation at all: leave them out."
        )
    if claim != "external":
        return
    if sites is None or not model.sites:
        raise InputError(
            "The sites of training or validation are unknown, so this cannot be called external. "
            "Pass sites (in training too), or claim 'temporal' or 'same-site'."
        )
    common = hashed({str(sites[item]) for item in samples}) & model.sites
    if common:
        raise InputError(
            f"{len(common)} sites of this set trained the model, so it is not external. Leave them "
            "out, or claim 'temporal' or 'same-site'."
        )
