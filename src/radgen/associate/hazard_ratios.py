"""Hazard ratios of named variables and image phenotypes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from radgen.errors import FitError, InputError
from radgen.stats.cox import fit_cox
from radgen.stats.tail import normal_log10p
from radgen.types import Covariates, Outcome, PhenotypeTable, Result, align

__all__ = ["HazardResult", "hazards"]

Array = NDArray[np.float64]

_SCHEMA = {
    "variable": pl.String,
    "n": pl.Int64,
    "n_events": pl.Int64,
    "unit": pl.String,
    "log_hazard": pl.Float64,
    "std_error": pl.Float64,
    "hazard_ratio": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "p": pl.Float64,
    "log10p": pl.Float64,
    "q_bh": pl.Float64,
    "status": pl.String,
    "reason": pl.String,
}


@dataclass(frozen=True, eq=False)
class HazardResult(Result):
    """Hazard ratios of single variables, each adjusted for the same covariates.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a variable: ``variable, n, n_events, unit, log_hazard, std_error, hazard_ratio,
        ci_low, ci_high, p, log10p, q_bh, status, reason``. The ratio is per ``unit``; the
        interval is Wald's. status is "ok" or "failed".
    km : polars.DataFrame
        ``variable, group, time, at_risk, survival, ci_low, ci_high``: Kaplan-Meier curves of
        the two groups of each 0/1 variable, and of phenotypes cut at the median.
    logrank : polars.DataFrame
        ``variable, statistic, p``: of the same groups.
    outcome, unit : str
        Name of the survival time and its unit.
    """

    kind: ClassVar[str] = "hazards"
    version: ClassVar[int] = 1
    plots: ClassVar[tuple[str, ...]] = ("km", "forest")

    km: pl.DataFrame = field(default_factory=pl.DataFrame)
    logrank: pl.DataFrame = field(default_factory=pl.DataFrame)
    outcome: str = ""
    unit: str = ""

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw Kaplan-Meier curves of the first variable, or a forest of hazard ratios."""
        from matplotlib import pyplot as plt

        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        ax = plt.subplots()[1] if ax is None else ax
        return self._draw_forest(ax) if kind == "forest" else self._draw_km(ax)

    def _draw_forest(self, ax: Any) -> Any:
        good = self.frame.filter(pl.col("status") == "ok").sort("log10p").head(20).reverse()
        ratio = good["hazard_ratio"].to_numpy()
        low, high = good["ci_low"].to_numpy(), good["ci_high"].to_numpy()
        rows = np.arange(good.height)
        ax.errorbar(ratio, rows, xerr=(ratio - low, high - ratio), fmt="s", color="#0b4f6c")
        ax.axvline(1.0, color="0.5", linewidth=0.8)
        ax.set_xscale("log")
        ax.set_yticks(rows, good["variable"].to_list())
        ax.set_xlabel("hazard ratio (95 % interval)")
        return ax

    def _draw_km(self, ax: Any) -> Any:
        if not self.km.height:
            return ax
        name = self.km["variable"][0]
        part = self.km.filter(pl.col("variable") == name)
        for group in part["group"].unique(maintain_order=True):
            curve = part.filter(pl.col("group") == group)
            times = np.concatenate(([0.0], curve["time"].to_numpy()))
            alive = np.concatenate(([1.0], curve["survival"].to_numpy()))
            ax.step(times, alive, where="post", label=f"{group} (n = {int(curve['at_risk'][0])})")
        ax.set_ylim(0, 1.02)
        ax.set_xlabel(f"time ({self.unit})")
        ax.set_ylabel(self.outcome)
        ax.legend(title=name)
        return ax

    def statements(self) -> tuple[str, ...]:
        """Return each clear hazard ratio as a sentence, the clearest first."""
        good = self.frame.filter(pl.col("status") == "ok")
        found = good.filter(pl.col("q_bh") <= 0.05).sort("log10p")
        words = [
            f"{row['variable']}: hazard ratio {row['hazard_ratio']:.2f} per {row['unit']} for "
            f"{self.outcome} (95 % interval {row['ci_low']:.2f} to {row['ci_high']:.2f}, "
            f"p = {row['p']:.2g}; {row['n']} people, {row['n_events']} events)."
            for row in found.head(5).iter_rows(named=True)
        ]
        rest = good.height - found.height
        if rest:
            words.append(
                f"For {rest} of {good.height} variables the hazard ratio is not distinguishable "
                "from 1 (false-discovery rate 5 %)."
            )
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph."""
        adjusted = ", ".join(self.params["covariates"]) or "nothing else"
        return (
            f"Hazard ratios for {self.outcome} come from Cox models (Efron ties), one for each "
            f"variable, adjusted for {adjusted}; phenotypes are in standard deviations. Intervals "
            "and p are Wald's; q-values are Benjamini-Hochberg's. Curves are Kaplan-Meier's; "
            "phenotypes are cut at their median."
        )


def hazards(
    outcome: Outcome,
    predictors: Covariates | PhenotypeTable | Sequence[Covariates | PhenotypeTable],
    covariates: Covariates | None = None,
) -> HazardResult:
    """Return the hazard ratio of each predictor, one Cox model for each.

    Parameters
    ----------
    outcome : Outcome
        A censored outcome; samples with a missing time are left out.
    predictors : Covariates, PhenotypeTable, or a sequence of them
        Columns to test; phenotypes are divided by their standard deviation in the samples of
        the model, covariates stay in their own unit.
    covariates : Covariates or None
        Adjusted for in every model. A column that is the predictor itself, or a level of the
        same category, is left out of its own model.

    Returns
    -------
    HazardResult
        A row a predictor; one that cannot be fitted has status "failed" and its reason.

    Raises
    ------
    InputError
        If the outcome is not censored.
    AlignmentError
        If too few samples are common to the tables.

    Notes
    -----
    Each model uses the samples that are complete for it; n is given in each row.

    Examples
    --------
    >>> import numpy as np
    >>> ids = tuple(f"s{i}" for i in range(40))
    >>> group = np.arange(40) % 2
    >>> time = np.where(group, 10.0, 5.0) + np.arange(40) % 7
    >>> death = Outcome("death", "censored", ids, time, np.ones(40, dtype=bool))
    >>> mutant = Covariates(ids, ("mutant",), group[:, None].astype(float))
    >>> bool(hazards(death, mutant).table["hazard_ratio"][0] < 1)
    True
    """
    if outcome.kind != "censored" or outcome.events is None:
        raise InputError(
            f"Outcome {outcome.name!r} is {outcome.kind}; a hazard needs censored times."
        )
    tables = (
        [predictors] if isinstance(predictors, Covariates | PhenotypeTable) else list(predictors)
    )
    rows: list[dict[str, Any]] = []
    curves: list[pl.DataFrame] = []
    tests: list[dict[str, Any]] = []
    used: set[str] = set()
    gone: dict[str, str] = {}
    for table in tables:
        setting = _match(outcome, table, covariates, gone)
        used |= set(setting.samples)
        for place, name in enumerate(table.names):
            rows.append(_fit(setting, place, name))
            _curves(setting, place, name, curves, tests)
    frame = pl.DataFrame(rows, schema={k: v for k, v in _SCHEMA.items() if k != "q_bh"})
    frame = frame.with_columns(pl.Series("q_bh", _adjusted(frame["p"].to_numpy()))).select(*_SCHEMA)
    lost = {sample: reason for sample, reason in gone.items() if sample not in used}
    return HazardResult(
        frame=frame,
        params={"covariates": list(covariates.names) if covariates else [], "ties": "efron"},
        n_used=len(used),
        dropped=pl.DataFrame(
            {"sample": list(lost), "reason": list(lost.values())},
            schema={"sample": pl.String, "reason": pl.String},
        ),
        km=pl.concat(curves) if curves else pl.DataFrame(),
        logrank=pl.DataFrame(
            tests, schema={"variable": pl.String, "statistic": pl.Float64, "p": pl.Float64}
        ),
        outcome=outcome.name,
        unit=outcome.unit,
    )


def _adjusted(p: Array) -> Array:
    from radgen.stats.multiplicity import bh

    return bh(p) if np.isfinite(p).any() else p


@dataclass(frozen=True, eq=False)
class _Setting:
    samples: tuple[str, ...]
    time: Array
    event: NDArray[np.bool_]
    values: Array
    standardised: bool
    extra: Array
    extra_names: tuple[str, ...]


def _match(
    outcome: Outcome,
    table: Covariates | PhenotypeTable,
    covariates: Covariates | None,
    gone: dict[str, str],
) -> _Setting:
    known = np.flatnonzero(outcome.known)
    tables: dict[str, Sequence[str]] = {
        outcome.name: [outcome.samples[i] for i in known],
        "predictors": table.samples,
    }
    gone |= {s: "outcome missing" for i, s in enumerate(outcome.samples) if not outcome.known[i]}
    if covariates is not None:
        tables["covariates"] = covariates.samples
    matched = align(tables, need=5)
    gone |= {
        row["sample"]: f"not in {row['absent_from']}"
        for row in matched.dropped.iter_rows(named=True)
        if row["sample"] not in gone
    }
    rows = known[matched.rows[outcome.name]]
    events = outcome.events
    assert events is not None
    extra = (
        np.empty((len(rows), 0))
        if covariates is None
        else covariates.values[matched.rows["covariates"]]
    )
    return _Setting(
        matched.samples,
        outcome.values[rows],
        events[rows],
        np.asarray(table.values[matched.rows["predictors"]], dtype=np.float64),
        isinstance(table, PhenotypeTable),
        extra,
        () if covariates is None else covariates.names,
    )


def _same(name: str, other: str) -> bool:
    return name == other or name.split("=", maxsplit=1)[0] == other.split("=", maxsplit=1)[0]


def _fit(setting: _Setting, place: int, name: str) -> dict[str, Any]:
    x = setting.values[:, place]
    others = [j for j, other in enumerate(setting.extra_names) if not _same(name, other)]
    design = np.column_stack((x, setting.extra[:, others]))
    whole = np.isfinite(design).all(axis=1)
    row: dict[str, Any] = {
        "variable": name,
        "n": int(whole.sum()),
        "n_events": int(setting.event[whole].sum()),
        "unit": "SD" if setting.standardised else "unit" if not _binary(x) else "yes against no",
    }
    blank = dict.fromkeys(
        ("log_hazard", "std_error", "hazard_ratio", "ci_low", "ci_high", "p", "log10p"),
        float("nan"),
    )
    design = design[whole]
    spread = design[:, 0].std(ddof=1) if whole.sum() > 1 else 0.0
    if not spread > 0:
        return row | blank | {"status": "failed", "reason": "it does not vary"}
    if setting.standardised:
        design[:, 0] /= spread
    try:
        fit = fit_cox(design, setting.time[whole], setting.event[whole])
    except (FitError, InputError) as error:
        return row | blank | {"status": "failed", "reason": str(error)}
    beta, error = float(fit.beta[0]), float(fit.std_error[0])
    half = float(ndtri(0.975)) * error
    log10p = float(normal_log10p(beta / error))
    return row | {
        "log_hazard": beta,
        "std_error": error,
        "hazard_ratio": float(np.exp(beta)),
        "ci_low": float(np.exp(beta - half)),
        "ci_high": float(np.exp(beta + half)),
        "p": 10.0**log10p,
        "log10p": log10p,
        "status": "ok",
        "reason": "",
    }


def _binary(values: Array) -> bool:
    return bool(np.isin(values[np.isfinite(values)], (0.0, 1.0)).all())


def _curves(
    setting: _Setting,
    place: int,
    name: str,
    curves: list[pl.DataFrame],
    tests: list[dict[str, Any]],
) -> None:
    from radgen.stats.survival import kaplan_meier, logrank

    x = setting.values[:, place]
    known = np.isfinite(x)
    if not (_binary(x) or setting.standardised) or not known.any():
        return
    high = x[known] > (0.5 if _binary(x) else float(np.median(x[known])))
    if high.all() or not high.any():
        return
    labels: Mapping[bool, str] = (
        {True: "yes", False: "no"} if _binary(x) else {True: "above median", False: "up to median"}
    )
    time, event = setting.time[known], setting.event[known]
    for flag in (True, False):
        curve = kaplan_meier(time[high == flag], event[high == flag])
        curves.append(
            pl.DataFrame(
                {
                    "variable": name,
                    "group": labels[flag],
                    "time": curve.times,
                    "at_risk": np.asarray(curve.at_risk, dtype=np.float64),
                    "survival": curve.estimate,
                    "ci_low": curve.ci_low,
                    "ci_high": curve.ci_high,
                }
            )
        )
    test = logrank(time, event, high)
    tests.append({"variable": name, "statistic": float(test.statistic), "p": float(test.p_value)})
