"""Validation of a frozen model on other data, and what may be called external."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import FitError, InputError
from radgen.predict.fitting import FittedModel, hashed
from radgen.stats.calibration import brier_score, calibration_error, calibration_line
from radgen.stats.cox import fit_cox
from radgen.stats.discrimination import auc_interval, average_precision, confusion_at
from radgen.stats.survival_metrics import harrell_c, uno_c
from radgen.types import Outcome, Result, align

__all__ = ["ExternalResult", "validate_external"]

FloatArray = NDArray[np.float64]
Claim = Literal["external", "temporal", "same-site"]


@dataclass(frozen=True, eq=False)
class ExternalResult(Result):
    """Performance of a frozen model on other data.

    Attributes
    ----------
    frame : polars.DataFrame
        ``metric, estimate, ci_low, ci_high, n, n_patients, events``.
    predictions : polars.DataFrame
        ``sample, score, high, outside, y, event``.
    outcome, claim : str
        Name of the outcome; what the validation may be called.
    """

    kind: ClassVar[str] = "external_validation"

    predictions: pl.DataFrame = None  # type: ignore[assignment]
    outcome: str = ""
    claim: str = "external"

    def statements(self) -> tuple[str, ...]:
        """Return the main findings in words."""
        names = self.frame["metric"].to_list()
        main = next(item for item in ("auc", "harrell_c", "r2") if item in names)
        row = self.frame.row(names.index(main), named=True)
        word = {"auc": "AUC", "harrell_c": "C", "r2": "R²"}[main]
        out = [
            f"{self.claim.capitalize()} validation for {self.outcome}: {word} "
            f"{row['estimate']:.2f} ({row['ci_low']:.2f}–{row['ci_high']:.2f}) in "
            f"{row['n_patients']} patients."
        ]
        share = float((self.predictions["outside"] > 0.1).mean() or 0.0)
        if share > 0.05:
            out.append(
                f"{share:.0%} of the samples have more than a tenth of their values far outside "
                "the training range: the model extrapolates."
            )
        return tuple(out)

    def methods(self) -> str:
        """Return the methods paragraph."""
        return (
            f"A model of {self.outcome}, frozen beforehand, was applied to {self.n_used} samples "
            f"of other patients ({self.claim} validation); nothing was refitted."
        )


def validate_external(
    model: FittedModel,
    blocks: Mapping[str, Any],
    outcome: Outcome,
    *,
    groups: Mapping[str, str] | None = None,
    sites: Mapping[str, str] | None = None,
    claim: Claim = "external",
    confidence: float = 0.95,
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

    Returns
    -------
    ExternalResult
        Discrimination, calibration and thresholded performance.

    Raises
    ------
    InputError
        If a patient trained the model; if "external" is claimed and a site trained it or sites
        are unknown; if columns are missing.
    """
    require_choice(claim, ("external", "temporal", "same-site"), what="claim")
    known = np.flatnonzero(outcome.known)
    found = model.predict(blocks, sites=sites)
    matched = align(
        {"predictions": found["sample"].to_list(), "outcome": [outcome.samples[i] for i in known]}
    )
    patients = [str(groups[s]) if groups is not None else s for s in matched.samples]
    _refuse_overlap(model, matched.samples, patients, sites, claim)
    rows = known[matched.rows["outcome"]]
    y = outcome.values[rows]
    event = None if outcome.events is None else outcome.events[rows]
    table = found[matched.rows["predictions"].tolist()]
    score = table["score"].to_numpy()
    cluster = np.unique(np.array(patients, dtype=object), return_inverse=True)[1]
    measured = _measure(model, y, event, score, cluster=cluster, confidence=confidence)
    n_events = int(y.sum()) if model.kind == "binary" else len(y)
    if event is not None:
        n_events = int(event.sum())
    frame = pl.DataFrame(
        [(*item, len(y), int(cluster.max()) + 1, n_events) for item in measured],
        schema=["metric", "estimate", "ci_low", "ci_high", "n", "n_patients", "events"],
        orient="row",
    )
    return ExternalResult(
        frame=frame,
        params={"claim": claim, "confidence": confidence, "training": dict(model.card)},
        n_used=len(y),
        dropped=matched.dropped.select("sample", reason=pl.lit("not in ") + pl.col("absent_from")),
        predictions=table.with_columns(
            y=pl.Series(y),
            event=pl.Series([None] * len(y) if event is None else event.tolist(), dtype=pl.Boolean),
        ),
        outcome=outcome.name,
        claim=claim,
    )


def _refuse_overlap(
    model: FittedModel,
    samples: tuple[str, ...],
    patients: list[str],
    sites: Mapping[str, str] | None,
    claim: str,
) -> None:
    shared = len(hashed(samples) & model.samples) + len(hashed(set(patients)) & model.patients)
    if shared:
        raise InputError(
            f"{shared} samples or patients of this set trained the model. Such a test is no "
            "validation at all: leave them out."
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


def _measure(
    model: FittedModel,
    y: FloatArray,
    event: NDArray[np.bool_] | None,
    score: FloatArray,
    *,
    cluster: NDArray[Any],
    confidence: float,
) -> list[tuple[str, float, float, float]]:
    nan = float("nan")
    if model.kind == "binary":
        area = auc_interval(y, score, cluster=cluster, confidence=confidence)
        out = [
            ("auc", area.auc, area.ci_low, area.ci_high),
            ("average_precision", average_precision(y, score), nan, nan),
            ("brier", brier_score(y, score), nan, nan),
            ("ici", calibration_error(y, score).ici, nan, nan),
        ]
        try:
            line = calibration_line(y, score, confidence=confidence)
            out += [
                ("calibration_slope", line.slope, line.slope_low, line.slope_high),
                (
                    "calibration_intercept", line.intercept, line.intercept_low,
                    line.intercept_high,
                ),
            ]  # fmt: skip
        except FitError:
            out.append(("calibration_slope", nan, nan, nan))
        return [*out, *confusion_at(y, score >= model.threshold, threshold=model.threshold).rates]
    if event is not None:
        c = harrell_c(y, event, score, cluster=cluster, confidence=confidence)
        u = uno_c(y, event, score, cluster=cluster, confidence=confidence)
        out = [
            ("harrell_c", c.estimate, c.ci_low, c.ci_high),
            ("uno_c", u.estimate, u.ci_low, u.ci_high),
        ]
        fit = fit_cox(score[:, None], y, event, cluster=cluster)
        low, high = fit.interval(confidence)
        return [*out, ("calibration_slope", float(fit.beta[0]), float(low[0]), float(high[0]))]
    error = (y - score) ** 2
    value = 1 - error.mean() / y.var()
    influence = -(error - error.mean() - (1 - value) * ((y - y.mean()) ** 2 - y.var())) / y.var()
    spread = 1.96 * float(np.sqrt((np.bincount(cluster, weights=influence) ** 2).sum())) / len(y)
    return [("r2", float(value), float(value - spread), float(min(value + spread, 1.0)))]
