"""Is the study large enough: Riley's sample sizes and the smallest effect it could have seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from radgen.errors import InputError
from radgen.predict.design import Design
from radgen.predict.engine import ModelPlan
from radgen.predict.result import MAIN_METRIC
from radgen.predict.scores import Estimate, honest_error, std_error
from radgen.stats.discrimination import minimum_detectable_auc
from radgen.stats.sample_size import riley_binary, riley_continuous, riley_survival

__all__ = ["POWER_FACTOR", "adequacy_table", "detectable_value", "supported_parameters"]

FloatArray = NDArray[np.float64]
POWER_FACTOR = float(ndtri(0.975) + ndtri(0.8))
"""Errors between null and an effect that a two-sided 5 % test finds with 80 % power."""
_SHRINKAGE = 0.9
_SHARE = 0.15


def detectable_value(design: Design, influence: FloatArray) -> float:
    """Return the smallest main metric that a test finds with 80 % power.

    Notes
    -----
    AUC: Hanley and McNeil, by patients, for a score that is fixed. C: from the error of the model
    at hand with the part that training adds at chance. R²: Fisher's z of the correlation of
    predicted and observed values.
    """
    if design.kind == "binary":
        positive = len(np.unique(design.patients[design.target > 0.5]))
        negative = len(np.unique(design.patients[design.target < 0.5]))
        return minimum_detectable_auc(positive, negative)
    if design.kind == "censored":
        error = honest_error(std_error(influence, design.patients), 1.0, 0.0)
        return float(min(0.5 + POWER_FACTOR * error, 1.0))
    n = len(design.patient_names)
    return float(np.tanh(POWER_FACTOR / np.sqrt(n - 3)) ** 2) if n > 3 else float("nan")


def supported_parameters(n: int, r2_cs: float) -> int:
    """Return how many candidate parameters `n` samples allow at a shrinkage of 0.9.

    Examples
    --------
    >>> supported_parameters(623, 0.288)
    24
    """
    return math.floor(n * (_SHRINKAGE - 1) * math.log1p(-r2_cs / _SHRINKAGE) + 1e-9)


def adequacy_table(
    design: Design,
    blocks: Mapping[str, int],
    plans: Sequence[ModelPlan],
    found: Mapping[str, Mapping[str, Estimate]],
) -> pl.DataFrame:
    """Return, for each model, candidate columns against what the sample supports.

    Parameters
    ----------
    design : Design
    blocks : mapping of str to int
        Columns of each block.
    plans, found
        Models and their estimates.

    Returns
    -------
    polars.DataFrame
        ``model, candidates, n_patients, events, r2_cs, needed, criterion, supported,
        detectable``. The Cox–Snell R² is that of the out-of-fold predictions where it exceeds
        15 % of its maximum, and that 15 % otherwise (adjusted R² for values); `needed` is the
        largest of Riley's sample sizes for the candidates, `supported` the candidates that the
        sample allows at a shrinkage of 0.9. Models of crops or bags have no row.
    """
    rows = []
    n = len(design.patient_names)
    events = design.n_events
    for plan in plans:
        if not plan.blocks:
            continue
        if any(block.layout != "table" for block in design.blocks if block.name in plan.blocks):
            continue  # the parameters of a network are no candidate columns
        candidates = sum(blocks[name] for name in plan.blocks)
        main = found[plan.name][MAIN_METRIC[design.kind]]
        seen = detectable_value(design, main.influence)
        r2, needed, criterion = _needed(design, candidates, found[plan.name])
        supported = supported_parameters(n, r2) if np.isfinite(r2) else 0
        rows.append(
            (plan.name, candidates, n, events, r2, needed, criterion, max(supported, 0), seen)
        )
    types = [pl.String, pl.Int64, pl.Int64, pl.Int64, pl.Float64, pl.Int64, pl.String]
    types += [pl.Int64, pl.Float64]
    names = ("model", "candidates", "n_patients", "events", "r2_cs", "needed", "criterion")
    names = (*names, "supported", "detectable")
    return pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")


def _needed(
    design: Design, candidates: int, found: Mapping[str, Estimate]
) -> tuple[float, int | None, str]:
    try:
        if design.kind == "binary":
            return _binary(design, candidates, found["log_loss"].value)
        if design.kind == "censored":
            return _censored(design, candidates)
        return _continuous(design, candidates, found["r2"].value)
    except InputError as error:
        return float("nan"), None, str(error)


def _binary(design: Design, candidates: int, log_loss: float) -> tuple[float, int, str]:
    rate = float(design.target.mean())
    null = -(rate * math.log(rate) + (1 - rate) * math.log1p(-rate))
    most = 1 - math.exp(-2 * null)
    r2 = max(1 - math.exp(-2 * (null - log_loss)), _SHARE * most)
    found = riley_binary(candidates, r2, rate)
    return r2, found.n, max(found.criteria, key=lambda item: item[1])[0]


def _censored(design: Design, candidates: int) -> tuple[float, int, str]:
    time, events = design.target[:, 0], float(design.target[:, 1].sum())
    share, follow_up = events / len(time), float(time.mean())
    rate = events / float(time.sum())
    most = 1 - math.exp(2 * (share * math.log(share) - share))
    r2 = _SHARE * most
    found = riley_survival(
        candidates, r2, event_rate=rate, mean_follow_up=follow_up, horizon=float(np.median(time))
    )
    return r2, found.n, max(found.criteria, key=lambda item: item[1])[0]


def _continuous(design: Design, candidates: int, r2: float) -> tuple[float, int, str]:
    used = max(r2, _SHARE)
    y = design.target
    found = riley_continuous(
        candidates, min(used, 0.99), mean=float(y.mean()), sd=float(y.std(ddof=1))
    )
    kept = found.criteria[:3]  # that of the mean has no meaning where the mean is near 0
    return used, max(n for _, n in kept), max(kept, key=lambda item: item[1])[0]
