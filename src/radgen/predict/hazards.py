"""Multivariable Cox table: hazard ratios with intervals, tests of the assumption, C."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl

from radgen.errors import InputError
from radgen.predict.design import build_design
from radgen.stats.cox import fit_cox, proportional_hazards_test
from radgen.stats.survival_metrics import harrell_c
from radgen.types import Outcome, Result

__all__ = ["HazardResult", "survival_hazards"]


@dataclass(frozen=True, eq=False)
class HazardResult(Result):
    """A multivariable Cox model.

    Attributes
    ----------
    frame : polars.DataFrame
        ``variable, block, hazard_ratio, ci_low, ci_high, log_hazard_ratio, std_error, z, p_value,
        ph_p_value, n, events``. `ph_p_value` tests proportional hazards (rank of time).
    outcome : str
    c_index, c_low, c_high : float
        Harrell's C of the fit on its own data: optimistic, see `radgen.predict.evaluate`.
    likelihood_ratio_p, ph_global_p : float
    """

    kind: ClassVar[str] = "hazards"
    plots: ClassVar[tuple[str, ...]] = ("forest",)

    outcome: str = ""
    c_index: float = field(default=float("nan"))
    c_low: float = float("nan")
    c_high: float = float("nan")
    likelihood_ratio_p: float = float("nan")
    ph_global_p: float = float("nan")

    def statements(self) -> tuple[str, ...]:
        """Return a sentence per variable whose interval excludes 1, and on the assumption."""
        out = []
        for row in self.frame.iter_rows(named=True):
            text = f"{row['hazard_ratio']:.2f} ({row['ci_low']:.2f}–{row['ci_high']:.2f})"
            name = row["variable"]
            if row["ci_low"] > 1 or row["ci_high"] < 1:
                way = "worse" if row["hazard_ratio"] > 1 else "better"
                out.append(f"{name} goes with {way} {self.outcome}: hazard ratio {text}.")
            else:
                out.append(f"No evidence that {name} matters for {self.outcome}: {text}.")
        broken = self.frame.filter(pl.col("ph_p_value") < 0.05)["variable"].to_list()
        if broken:
            out.append(
                f"The hazard ratio of {', '.join(broken)} changes over time (p < 0.05): read it as "
                "an average over follow-up."
            )
        return tuple(out)

    def methods(self) -> str:
        """Return the methods paragraph."""
        return (
            f"A Cox proportional hazards model of {self.outcome} was fitted to {self.n_used} "
            f"samples with {self.frame['events'][0]} events (Efron's ties, "
            f"{'robust ' if self.params['robust'] else ''}Wald intervals, complete cases); "
            "proportional hazards were tested against the rank of time."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "forest" of hazard ratios and return the Axes."""
        if kind not in self.plots:
            raise InputError(f"A hazards result has no plot {kind!r}; it has {self.plots}.")
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(5, 0.4 * self.frame.height + 1)).add_subplot()
        for place, row in enumerate(self.frame.iter_rows(named=True)):
            ax.plot([row["ci_low"], row["ci_high"]], [place, place], color="0.4")
            ax.plot(row["hazard_ratio"], place, "s", color="C0")
        ax.set_yticks(range(self.frame.height), self.frame["variable"].to_list())
        ax.invert_yaxis()
        ax.set_xscale("log")
        ax.axvline(1, color="0.8", zorder=0)
        ax.set_xlabel("hazard ratio")
        return ax


def survival_hazards(
    blocks: Mapping[str, Any],
    outcome: Outcome,
    *,
    groups: Mapping[str, str] | None = None,
    standardise: bool = False,
    confidence: float = 0.95,
) -> HazardResult:
    """Return hazard ratios of all variables together in one Cox model.

    Parameters
    ----------
    blocks : mapping of str to PhenotypeTable, OmicsTable, Covariates or data frame
        Variables; choose few, ten events or more for each.
    outcome : Outcome
        Censored.
    groups : mapping of sample to patient, or None
        With several samples a patient the variance is robust, by patient.
    standardise : bool, default False
        Hazard ratios per standard deviation for variables with more than two values.
    confidence : float, default 0.95
        Level.

    Returns
    -------
    HazardResult
        A row per variable. Samples with a missing variable are dropped and listed.

    Raises
    ------
    InputError
        If the outcome is not censored, or there are more variables than events.
    FitError
        If variables are collinear or separate the events.
    """
    if outcome.kind != "censored":
        raise InputError(f"Outcome {outcome.name!r} is {outcome.kind}; hazards need times, events.")
    design = build_design(blocks, outcome, groups=groups, sites=None, roles=None)
    names = [name for block in design.blocks for name in block.columns]
    homes = [block.name for block in design.blocks for _ in block.columns]
    values = np.hstack([block.values for block in design.blocks])
    complete = np.isfinite(values).all(axis=1)
    values, target = values[complete].copy(), design.target[complete]
    time, event = target[:, 0], target[:, 1] > 0.5
    if len(names) >= event.sum():
        raise InputError(
            f"{len(names)} variables for {int(event.sum())} events: choose fewer, or use "
            "predict.evaluate, which penalises."
        )
    if standardise:
        for j in range(values.shape[1]):
            if len(np.unique(values[:, j])) > 2:
                values[:, j] = (values[:, j] - values[:, j].mean()) / values[:, j].std()
    patients = design.patients[complete]
    repeated = len(np.unique(patients)) < len(patients)
    fit = fit_cox(values, time, event, cluster=patients if repeated else None)
    low, high = fit.interval(confidence)
    _, ph_p, overall = proportional_hazards_test(values, time, event)
    c = harrell_c(time, event, fit.linear_predictor(values), cluster=patients)
    frame = pl.DataFrame(
        {
            "variable": names,
            "block": homes,
            "hazard_ratio": np.exp(fit.beta),
            "ci_low": np.exp(low),
            "ci_high": np.exp(high),
            "log_hazard_ratio": fit.beta,
            "std_error": fit.std_error,
            "z": fit.beta / fit.std_error,
            "p_value": fit.p_values,
            "ph_p_value": ph_p,
            "n": [len(time)] * len(names),
            "events": [int(event.sum())] * len(names),
        }
    )
    lost = [s for s, keep in zip(design.samples, complete, strict=True) if not keep]
    dropped = pl.concat(
        [
            design.dropped,
            pl.DataFrame(
                {"sample": lost, "reason": ["a variable is missing"] * len(lost)},
                schema={"sample": pl.String, "reason": pl.String},
            ),
        ]
    )
    per = event.sum() / len(names)
    notes = () if per >= 10 else (f"Only {per:.1f} events per variable: estimates are unstable.",)
    return HazardResult(
        frame=frame,
        params={"confidence": confidence, "standardise": standardise, "robust": repeated},
        n_used=len(time),
        dropped=dropped,
        warnings=notes,
        provenance={"step": "predict.survival_hazards", "version": 1},
        outcome=outcome.name,
        c_index=c.estimate,
        c_low=c.ci_low,
        c_high=c.ci_high,
        likelihood_ratio_p=fit.likelihood_ratio_test.p_value,
        ph_global_p=overall.p_value,
    )
