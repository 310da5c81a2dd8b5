"""Optimal cut-points, found in training, with the optimism that the search brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from radgen._core.rng import spawn
from radgen.errors import FitError, InputError
from radgen.predict._words import repeated
from radgen.predict.design import Design, build_design
from radgen.predict.planning import strata_of
from radgen.predict.splits import group_folds
from radgen.stats.cox import fit_cox
from radgen.stats.multiplicity import holm
from radgen.stats.survival_cutpoint import logrank_scores, maximal_test
from radgen.types import Outcome, Result

__all__ = ["CutpointResult", "group_effect", "optimal_cutpoints", "outcome_scores"]

FloatArray = NDArray[np.float64]
EFFECTS = {"censored": "hazard ratio", "binary": "odds ratio", "continuous": "difference"}


@dataclass(frozen=True, eq=False)
class CutpointResult(Result):
    """Best cut of each variable, the honest p, and the effect in patients it was not found in.

    Attributes
    ----------
    frame : polars.DataFrame
        ``variable, n, events, cut, statistic, p_naive, p_value, p_adjusted, apparent,
        apparent_low, apparent_high, honest, honest_low, honest_high, optimism``. `p_naive` forgets
        the search, `p_value` knows it, `p_adjusted` is Holm's over variables. Effects compare
        high with low: `apparent` at the cut found in all patients, `honest` with cuts found in
        training folds; `optimism` is their ratio (difference for values), towards the apparent.
    outcome, effect : str
        Name of the outcome; "hazard ratio", "odds ratio" or "difference".
    """

    kind: ClassVar[str] = "cutpoints"

    outcome: str = ""
    effect: str = "hazard ratio"

    def statements(self) -> tuple[str, ...]:
        """Return one sentence a variable."""
        out = []
        for row in self.frame.sort("p_value").head(5).iter_rows(named=True):
            word = "parts" if row["p_adjusted"] < 0.05 else "shows no evidence of parting"
            out.append(
                f"{row['variable']} at its best cut of {row['cut']:.4g} {word} {self.outcome}: p "
                f"{row['p_value']:.2g} with the search counted, {row['p_naive']:.2g} without; "
                f"{self.effect} {row['apparent']:.2f} in the patients that gave the cut, "
                f"{row['honest']:.2f} ({row['honest_low']:.2f}–{row['honest_high']:.2f}) in others."
            )
        return tuple(out)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        how = (
            f"{p['permutations']} permutations"
            if p["permutations"]
            else "the bounds of Lausen et al."
        )
        return (
            f"The cut-point of each variable maximised the standardised rank statistic over cuts "
            f"between the quantiles {p['smallest']:g} and {p['largest']:g}; p counts the search "
            f"by {how}. Effects were also estimated with cuts found in {p['folds']} training "
            f"folds, {repeated(p)}and applied to the patients left out."
        )


def outcome_scores(kind: str, target: FloatArray) -> FloatArray:
    """Return what a rank statistic compares: log-rank scores, or the outcome itself, (n,)."""
    if kind == "censored":
        return logrank_scores(target[:, 0], target[:, 1] > 0.5)
    return np.asarray(target, dtype=np.float64)


def group_effect(
    kind: str, target: FloatArray, high: NDArray[np.bool_], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return hazard ratio, odds ratio or difference of high against low, with its interval.

    NaN where a group is empty or parts the events perfectly (odds: half a sample is added).
    """
    z = float(ndtri(0.5 + confidence / 2))
    if high.all() or not high.any():
        return (float("nan"),) * 3
    if kind == "censored":
        try:
            fit = fit_cox(high.astype(float)[:, None], target[:, 0], target[:, 1] > 0.5)
        except (FitError, InputError):
            return (float("nan"),) * 3
        low, top = fit.interval(confidence)
        return float(np.exp(fit.beta[0])), float(np.exp(low[0])), float(np.exp(top[0]))
    if kind == "binary":
        a, b = target[high].sum() + 0.5, (1 - target[high]).sum() + 0.5
        c, d = target[~high].sum() + 0.5, (1 - target[~high]).sum() + 0.5
        log_odds = float(np.log(a * d / (b * c)))
        error = float(np.sqrt(1 / a + 1 / b + 1 / c + 1 / d))
        return tuple(float(np.exp(log_odds + k * z * error)) for k in (0, -1, 1))  # type: ignore[return-value]
    gap = float(target[high].mean() - target[~high].mean())
    error = float(
        np.sqrt(target[high].var(ddof=1) / high.sum() + target[~high].var(ddof=1) / (~high).sum())
    )
    return gap, gap - z * error, gap + z * error


def optimal_cutpoints(
    blocks: Mapping[str, Any],
    outcome: Outcome,
    *,
    seed: int,
    groups: Mapping[str, str] | None = None,
    smallest: float = 0.1,
    largest: float = 0.9,
    permutations: int = 1000,
    folds: int = 5,
    repeats: int = 5,
    confidence: float = 0.95,
) -> CutpointResult:
    """Return the best cut of every variable, a p that counts the search, and the honest effect.

    Parameters
    ----------
    blocks : mapping of str to table
        Variables with three values or more; samples where one is missing are left out for it.
    outcome : Outcome
        Censored, binary or continuous.
    seed : int
        Of folds and permutations.
    groups : mapping of sample to patient, or None
        Rows of one patient share a fold.
    smallest, largest : float
        Shares of the samples that may lie at or below a cut.
    permutations : int, default 1000
        For p; 0 takes analytic bounds.
    folds, repeats : int
        Folds whose training rows give the cuts of the honest effect.
    confidence : float, default 0.95
        Level.

    Returns
    -------
    CutpointResult
        A row a variable that has a cut.

    Raises
    ------
    InputError
        If no variable has a cut.

    References
    ----------
    Altman et al. 1994, doi:10.1093/jnci/86.11.829. Hothorn & Lausen 2003,
    doi:10.1016/S0167-9473(02)00225-6. Hollander, Sauerbrei & Schumacher 2004,
    doi:10.1002/sim.1611.
    """
    design = build_design(blocks, outcome, groups=groups, sites=None, roles=None)
    strata = strata_of(design, None)
    assigned = [
        group_folds(strata, design.patients, folds, spawn(seed, "cut folds", r))
        for r in range(repeats)
    ]
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    shares = {"smallest": smallest, "largest": largest}
    for block in design.blocks:
        for j, name in enumerate(block.columns):
            x = block.values[:, j]
            known = np.isfinite(x)
            if len(np.unique(x[known])) < 3:
                notes.append(f"{name} has fewer than three values and needs no cut.")
                continue
            scores = outcome_scores(design.kind, design.target[known])
            try:
                found = maximal_test(
                    x[known], scores, permutations=permutations, rng=spawn(seed, "cut", name),
                    **shares,
                )  # fmt: skip
            except InputError as error:
                notes.append(f"{name}: {error}")
                continue
            row = {"variable": name, "n": int(known.sum())}
            row |= {"events": int(_events(design, known))}
            row |= {"cut": found.cut, "statistic": found.statistic, "p_naive": found.p_naive}
            row |= {"p_value": found.p_value}
            options = {"shares": shares, "confidence": confidence}
            folds_ = [fold[known] for fold in assigned]
            row |= _effects(
                design.kind, design.target[known], x[known], found.cut, folds_, **options
            )
            rows.append(row)
    if not rows:
        raise InputError("No variable has a cut: " + " ".join(notes[:3]))
    frame = pl.DataFrame(rows)
    adjusted = pl.Series("p_adjusted", holm(frame["p_value"].to_numpy()))
    frame.insert_column(frame.columns.index("p_value") + 1, adjusted)
    return CutpointResult(
        frame=frame,
        params={"permutations": permutations, "folds": folds, "repeats": repeats, "seed": seed,
                "confidence": confidence, **shares},
        n_used=design.n,
        dropped=design.dropped,
        warnings=tuple(notes),
        provenance={"step": "predict.optimal_cutpoints", "version": 1, "seed": seed},
        outcome=outcome.name,
        effect=EFFECTS[design.kind],
    )  # fmt: skip


def _events(design: Design, known: NDArray[np.bool_]) -> float:
    if design.kind == "censored":
        return float(design.target[known, 1].sum())
    return float(design.target[known].sum()) if design.kind == "binary" else float(known.sum())


def _effects(
    kind: str,
    target: FloatArray,
    x: FloatArray,
    cut: float,
    assigned: list[NDArray[np.int64]],
    *,
    shares: Mapping[str, float],
    confidence: float,
) -> dict[str, float]:
    apparent = group_effect(kind, target, x > cut, confidence)
    found = [
        group_effect(kind, target, _out_of_fold(kind, target, x, fold, shares), confidence)
        for fold in assigned
    ]
    log = kind != "continuous"
    honest, low, top = (_middle(list(values), log) for values in zip(*found, strict=True))
    first, second = apparent[0], honest
    if log:
        first, second = float(np.log(first)), float(np.log(second))
    optimism = abs(first) - float(np.sign(first)) * second
    optimism = float(np.exp(optimism)) if log else optimism
    names = ("apparent", "apparent_low", "apparent_high")
    return dict(zip(names, apparent, strict=True)) | {
        "honest": honest, "honest_low": low, "honest_high": top, "optimism": optimism,
    }  # fmt: skip


def _middle(values: list[float], log: bool) -> float:
    kept = np.array([v for v in values if np.isfinite(v)])
    if not kept.size:
        return float("nan")
    return float(np.exp(np.log(kept).mean())) if log else float(kept.mean())


def _out_of_fold(
    kind: str,
    target: FloatArray,
    x: FloatArray,
    fold: NDArray[np.int64],
    shares: Mapping[str, float],
) -> NDArray[np.bool_]:
    """Return which rows lie above the cut of the other folds, turned to one direction."""
    high = np.zeros(len(x), dtype=bool)
    for k in np.unique(fold):
        train, test = fold != k, fold == k
        try:
            scores = outcome_scores(kind, target[train])
            high[test] = x[test] > maximal_test(x[train], scores, **shares).cut
        except InputError:
            high[test] = x[test] > np.median(x[train])
    return high
