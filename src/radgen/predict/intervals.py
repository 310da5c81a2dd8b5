"""Three intervals of the main metric side by side: influence, bootstrap, corrected resampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import stdtrit

from radgen.predict.design import Design
from radgen.predict.engine import ModelPlan
from radgen.predict.result import MAIN_METRIC
from radgen.predict.scores import Estimate, Fold, interval

__all__ = ["bootstrap_values", "fold_values", "interval_table"]

FloatArray = NDArray[np.float64]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64], FloatArray, FloatArray]
"""Rows, columns, and for each pair of them whether it is concordant and whether it counts."""


def interval_table(
    design: Design,
    plans: Sequence[ModelPlan],
    repeats: dict[str, list[Fold]],
    found: dict[str, dict[str, Estimate]],
    *,
    confidence: float,
    ratio: float,
    draws: int,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return the main metric of each model with its interval by three methods.

    Parameters
    ----------
    design, plans, repeats, found
        What was evaluated, and the estimates.
    confidence : float
        Level.
    ratio : float
        Test rows by training rows of a fold.
    draws : int
        Of the bootstrap; 0 leaves it out.
    rng : numpy.random.Generator
        Of the bootstrap.

    Returns
    -------
    polars.DataFrame
        ``model, method, estimate, std_error, ci_low, ci_high``. "influence" is the interval of
        the comparison table; "bootstrap" draws patients, out-of-fold predictions fixed, and so
        leaves out what training adds; "corrected resampled" takes the spread over folds and
        repeats, enlarged for their overlap. All are within the metric's range.

    References
    ----------
    Nadeau & Bengio 2003, doi:10.1023/A:1024068626366. Bouckaert & Frank 2004,
    doi:10.1007/978-3-540-24775-3_3.
    """
    metric = MAIN_METRIC[design.kind]
    units = design.n_events
    units = min(units, design.n - units) if design.kind == "binary" else units
    low_end = 0.0 if metric != "r2" else -np.inf
    weights = _weights(design, draws, rng)
    rows = []
    for plan in plans:
        if not plan.blocks:
            continue
        value = found[plan.name][metric]
        error, low, high = interval(
            metric, value, design.patients, units=units, confidence=confidence, ratio=ratio
        )
        rows.append((plan.name, "influence", value.value, error, low, high))
        if draws > 1:
            drawn = bootstrap_values(design.kind, design.target, repeats[plan.name], weights)
            drawn = drawn[np.isfinite(drawn)]
            if drawn.size > 1:
                tail = (1 - confidence) / 2
                low, high = np.quantile(drawn, [tail, 1 - tail])
                error = float(drawn.std(ddof=1))
                rows.append((plan.name, "bootstrap", value.value, error, float(low), float(high)))
        by_fold = fold_values(design.kind, design.target, repeats[plan.name])
        by_fold = by_fold[np.isfinite(by_fold)]
        if by_fold.size > 1:
            error = float(by_fold.std(ddof=1) * np.sqrt(1 / by_fold.size + ratio))
            t = float(stdtrit(by_fold.size - 1, 0.5 + confidence / 2))
            middle = float(by_fold.mean())
            low = float(max(middle - t * error, low_end))
            high = float(min(middle + t * error, 1.0))
            rows.append((plan.name, "corrected resampled", middle, error, low, high))
    names = ("model", "method", "estimate", "std_error", "ci_low", "ci_high")
    kinds = [pl.String, pl.String, *[pl.Float64] * 4]
    return pl.DataFrame(rows, schema=dict(zip(names, kinds, strict=True)), orient="row")


def _weights(design: Design, draws: int, rng: np.random.Generator) -> FloatArray:
    """Return how often each row is drawn, patients as a whole, (draws, n)."""
    g = len(design.patient_names)
    if draws < 2:
        return np.zeros((0, design.n))
    count = rng.multinomial(g, np.full(g, 1 / g), size=draws)
    return np.asarray(count[:, design.patients], dtype=np.float64)


def _pairs(kind: str, y: FloatArray, fold: Fold) -> list[Pairs]:
    """Return the comparable pairs of each fold (AUC, Harrell's C)."""
    out = []
    for k in np.unique(fold.fold):
        own = np.flatnonzero(fold.fold == k)
        if kind == "binary":
            first, second = own[y[own] > 0.5], own[y[own] < 0.5]
            counts = np.ones((len(first), len(second)))
        else:
            time, event = y[own, 0], y[own, 1] > 0.5
            first, second = own[event], own
            t = y[first, 0][:, None]
            counts = ((time > t) | ((time == t) & ~event)).astype(np.float64)
        gap = fold.score[first][:, None] - fold.score[second][None, :]
        good = counts * np.where(np.abs(gap) <= 1e-8, 0.5, gap > 0)
        out.append((first, second, good, counts))
    return out


def bootstrap_values(
    kind: str, y: FloatArray, repeats: Sequence[Fold], weights: FloatArray
) -> FloatArray:
    """Return the main metric of each weighting of the rows, mean over repeats, (n_draws,)."""
    total = np.zeros(len(weights))
    for fold in repeats:
        if kind == "continuous":
            mean = weights @ y / weights.sum(axis=1)
            error = weights @ (y - fold.score) ** 2
            spread = weights @ y**2 - weights.sum(axis=1) * mean**2
            with np.errstate(divide="ignore", invalid="ignore"):
                total += 1 - error / spread
            continue
        good, all_ = np.zeros(len(weights)), np.zeros(len(weights))
        for first, second, right, counts in _pairs(kind, y, fold):
            left, rest = weights[:, first], weights[:, second]
            good += ((left @ right) * rest).sum(axis=1)
            all_ += ((left @ counts) * rest).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            total += good / all_
    return total / len(repeats)


def fold_values(kind: str, y: FloatArray, repeats: Sequence[Fold]) -> FloatArray:
    """Return the main metric of every fold of every repeat; NaN where it is undefined."""
    out = []
    for fold in repeats:
        if kind == "continuous":
            for k in np.unique(fold.fold):
                own = fold.fold == k
                spread = ((y[own] - y[~own].mean()) ** 2).mean()
                out.append(1 - ((y[own] - fold.score[own]) ** 2).mean() / spread)
            continue
        for _, _, right, counts in _pairs(kind, y, fold):
            total = counts.sum()
            out.append(right.sum() / total if total > 0 else float("nan"))
    return np.array(out, dtype=np.float64)
