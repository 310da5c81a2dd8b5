"""Recalibrate a frozen model to where it is used: intercept, or intercept and slope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.predict.fitting import FittedModel, hashed
from radgen.predict.learners import Fitted
from radgen.predict.portable import logistic, portable_logit
from radgen.stats.calibration import calibration_line, clip_probability
from radgen.stats.cox import RiskSets, fit_cox
from radgen.types import Outcome, align

__all__ = ["Recalibrated", "recalibrate"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Recalibrated:
    """A fitted model whose log odds, log hazards or values are ``shift + slope * score``."""

    inner: Fitted
    kind: str
    shift: float
    slope: float

    def predict(self, x: FloatArray) -> FloatArray:
        """Return probabilities, log relative hazards or values, (n,)."""
        score = self.inner.predict(x)
        if self.kind != "binary":
            return np.asarray(self.shift + self.slope * score)
        moved = self.shift + self.slope * logit(clip_probability(score, 1e-12))
        return np.asarray(expit(moved), dtype=np.float64)

    def portable(self, x: FloatArray) -> FloatArray:
        """Return what `predict` does, the same to the last bit on every machine, (n,)."""
        score = np.asarray(getattr(self.inner, "portable", self.inner.predict)(x))
        if self.kind != "binary":
            return np.asarray(self.shift + self.slope * score)
        return logistic(self.shift + self.slope * portable_logit(score))


def recalibrate(
    model: FittedModel,
    blocks: Mapping[str, Any],
    outcome: Outcome,
    *,
    how: Literal["intercept", "line"] = "line",
    groups: Mapping[str, str] | None = None,
    sites: Mapping[str, str] | None = None,
    any_range: bool = False,
) -> FittedModel:
    """Return a frozen model that is recalibrated to other data; its ranking stays the same.

    Parameters
    ----------
    model : FittedModel
        From `radgen.predict.fit_model` or a bundle.
    blocks, outcome
        Data of where the model is to be used; not those by which it is judged afterwards.
    how : {"intercept", "line"}
        Move predictions up or down only, or stretch them too. Few events allow the first only.
        Survival: the baseline hazard, or baseline and slope.
    groups : mapping of sample to patient, or None
        None = every sample is a patient.
    sites : mapping of sample to site, or None
        As in `FittedModel.predict`, and remembered with those of training.
    any_range : bool, default False
        Use also samples outside the training range.

    Returns
    -------
    FittedModel
        It remembers the new samples and patients with those that trained it, so that they are
        refused as a test set.

    Raises
    ------
    InputError
        If the outcome is of another kind, or the scores carry a slope of 0 or less.
    FitError
        If the line cannot be fitted.

    References
    ----------
    Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7.
    """
    require_choice(how, ("intercept", "line"), what="how")
    if outcome.kind != model.kind:
        raise InputError(f"The outcome is {outcome.kind}; the model predicts a {model.kind} one.")
    found = model.predict(blocks, sites=sites, any_range=any_range)
    found = found.filter(found["status"] == "ok")
    known = np.flatnonzero(outcome.known)
    matched = align(
        {"predictions": found["sample"].to_list(), "outcome": [outcome.samples[i] for i in known]},
        need=10,
    )
    score = found["score"].to_numpy()[matched.rows["predictions"]]
    rows = known[matched.rows["outcome"]]
    y = outcome.values[rows].astype(np.float64)
    event = None if outcome.events is None else outcome.events[rows]
    shift, slope = _line(model.kind, y, event, score, how)
    if slope <= 0:
        raise InputError(
            f"The calibration slope is {slope:.2f}: the model ranks patients the wrong way here. "
            "Recalibration cannot mend that."
        )
    changes: dict[str, Any] = {}
    moved = shift + slope * score
    if event is not None:
        sets = RiskSets(y, event, np.ones(len(y)), None, "efron")
        changes = {"times": sets.times, "hazard": sets.hazard(np.clip(moved, -300, 300))}
    patients = [str(groups[s]) if groups is not None else s for s in matched.samples]
    places = {str(sites[s]) for s in matched.samples} if sites is not None else set()
    done = {"how": how, "shift": shift, "slope": slope, "n": len(y)}
    return replace(
        model,
        model=Recalibrated(model.model, model.kind, shift, slope),
        threshold=_moved(model.kind, model.threshold, shift, slope),
        center=shift + slope * model.center if model.kind != "binary" else model.center,
        samples=model.samples | hashed(matched.samples),
        patients=model.patients | hashed(patients),
        sites=model.sites | hashed(places),
        card={**model.card, "recalibrated": done},
        held_out=(np.zeros(0), np.zeros(0)),  # of the scores before
        **changes,
    )


def _line(
    kind: str, y: FloatArray, event: NDArray[np.bool_] | None, score: FloatArray, how: str
) -> tuple[float, float]:
    if event is not None:
        if how == "intercept":
            return 0.0, 1.0
        return 0.0, float(fit_cox(score[:, None], y, event).beta[0])
    if kind == "binary":
        line = calibration_line(y, score)
        return (line.intercept, 1.0) if how == "intercept" else (
            line.intercept_with_slope, line.slope,
        )  # fmt: skip
    if how == "intercept":
        return float((y - score).mean()), 1.0
    centred = score - score.mean()
    size = float(centred @ centred)
    if size <= 0:
        raise InputError("All predictions are equal: there is no line.")
    slope = float(centred @ y) / size
    return float(y.mean() - slope * score.mean()), slope


def _moved(kind: str, threshold: float, shift: float, slope: float) -> float:
    """Return the decision threshold on the new scale: the same patients are called positive."""
    if kind != "binary" or not 0 < threshold < 1:
        return shift + slope * threshold if kind != "binary" else threshold
    return float(expit(shift + slope * logit(threshold)))
