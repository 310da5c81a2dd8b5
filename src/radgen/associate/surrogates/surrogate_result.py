"""What traits that were predicted, not measured, say of survival."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl

from radgen.stats.survival import kaplan_meier
from radgen.types import Result

__all__ = ["SURROGATE_COLUMNS", "SurrogateResult"]

_LEVEL = 0.05
_AT_MOST = 5

SURROGATE_COLUMNS = {
    "trait": pl.String,
    "n": pl.Int64,
    "metric": pl.String,
    "held_out": pl.Float64,
    "held_out_low": pl.Float64,
    "held_out_high": pl.Float64,
    "slope": pl.Float64,
    "p_held_out": pl.Float64,
    "q_held_out": pl.Float64,
    "carried": pl.Boolean,
    "n_carried": pl.Int64,
    "n_events": pl.Int64,
    "log_hazard": pl.Float64,
    "se_naive": pl.Float64,
    "naive_low": pl.Float64,
    "naive_high": pl.Float64,
    "log10p_naive": pl.Float64,
    "se": pl.Float64,
    "df": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "log10p": pl.Float64,
    "p": pl.Float64,
    "q_bh": pl.Float64,
    "share_learner": pl.Float64,
    "p_random": pl.Float64,
    "trait_log_hazard": pl.Float64,
    "trait_low": pl.Float64,
    "trait_high": pl.Float64,
    "status": pl.String,
    "reason": pl.String,
}
"""Columns of the table of surrogates, with their types."""


@dataclass(frozen=True, eq=False)
class SurrogateResult(Result):
    """How well traits are predicted, and whether the predictions go with survival elsewhere.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a trait. In the paired cohort: ``n``, ``held_out`` (``metric`` "r" or "auc" of
        predictions for samples that the model did not see) with its interval, ``slope`` (of the
        trait on its prediction), ``p_held_out`` (permuted traits) and its q. In the second
        cohort, where ``carried``: ``log_hazard`` per standard deviation of the predicted trait;
        ``se_naive, naive_low, naive_high, log10p_naive`` take the prediction for given, ``se, df,
        ci_low, ci_high, log10p, p, q_bh`` allow for the learner's uncertainty, whose share of the
        variance is ``share_learner``; ``p_random`` is the share of learners of permuted traits
        that are as prognostic;
        ``trait_log_hazard, trait_low, trait_high`` are per standard deviation of the trait itself
        (present against absent for 0/1), if the predictors act on survival through it alone.
        status is "ok", "not_carried" or "not_tested".
    predictions : polars.DataFrame
        ``sample`` of the second cohort and a column a carried trait.
    held_out : polars.DataFrame
        ``sample`` of the paired cohort and the held-out prediction of each trait.
    survival : polars.DataFrame
        ``sample, time, event`` of the second cohort, as tested.
    """

    kind: ClassVar[str] = "surrogate"
    version: ClassVar[int] = 1
    plots: ClassVar[tuple[str, ...]] = ("held_out", "surrogate_hazards", "predicted_km")

    predictions: pl.DataFrame = field(default_factory=pl.DataFrame)
    held_out: pl.DataFrame = field(default_factory=pl.DataFrame)
    survival: pl.DataFrame = field(default_factory=pl.DataFrame)

    def significant(self, level: float = _LEVEL, *, by: str = "q_bh") -> pl.DataFrame:
        """Return the carried traits whose adjusted value is at most `level`, smallest p first.

        Parameters
        ----------
        level : float, default 0.05
            Largest adjusted value.
        by : str, default "q_bh"
            Which adjusted column decides.

        Returns
        -------
        polars.DataFrame
            Rows of the table.
        """
        return self.frame.filter(pl.col(by) <= level).sort("log10p")

    def statements(self) -> tuple[str, ...]:
        """Return what is predictable and what it says of survival, in plain words."""
        tested = self.frame.filter(pl.col("held_out").is_not_null())
        level = self.params["level"]
        good = tested.filter(pl.col("p_held_out") <= level)
        strict = tested.filter(pl.col("q_held_out") <= level).height
        lines = [
            f"{good.height} of {tested.height} traits are predicted in samples that the model did "
            f"not see better than permuted traits (p ≤ {level:g}; chance alone gives "
            f"{level * tested.height:.2g}, and {strict} have q ≤ {level:g})"
            + (
                ": " + ", ".join(_performance(row) for row in _first(good, "p_held_out")) + "."
                if good.height
                else "."
            )
        ]
        if not self.params["outcome"]:
            return tuple(lines)
        done = self.frame.filter(pl.col("log10p").is_not_null())
        if not done.height:
            return (*lines, "No trait was carried to the second cohort.")
        hits = self.significant()
        lines.append(
            f"Of {done.height} predicted traits {hits.height} go with {self.params['outcome']} in "
            f"the second cohort at a false discovery rate of {_LEVEL:g}, the learner's "
            "uncertainty included; taking predictions for given, "
            f"{done.filter(pl.col('log10p_naive') <= np.log10(_LEVEL)).height} have p ≤ "
            f"{_LEVEL:g}, with it {done.filter(pl.col('p') <= _LEVEL).height}."
        )
        lines += [_hazard(row) for row in done.sort("log10p").head(_AT_MOST).iter_rows(named=True)]
        return tuple(lines)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        params = self.params
        within = {
            "none": "",
            "rank": " Values became normal scores of their ranks within each sample.",
            "quantile": " Samples of the second cohort were given the mean distribution of the "
            "paired cohort.",
        }[str(params["within"])]
        text = (
            f"Each trait was learned from {params['n_predictors']} predictors by "
            f"{params['model']}; predictions of samples held out in {params['folds']}-fold "
            f"cross-validation ({params['repeats']} repeats, scaling within the training samples) "
            f"were compared with those of {params['permutations']} permuted traits.{within}"
        )
        if not params["outcome"]:
            return text
        scale = "its own cohort" if params["by_cohort"] else "the paired cohort"
        adjusted = ", ".join(params["covariates"])
        return (
            f"{text} Traits with p ≤ {params['level']:g}"
            f"{' (and all others, as asked)' if params['unpredictable'] else ''} were predicted in "
            f"a second cohort, each predictor standardised by {scale}, and tested in Cox models"
            f"{f' adjusted for {adjusted}' if adjusted else ''}. The learner was fitted anew to "
            f"{params['bootstraps']} bootstrap samples of the paired cohort; the variance of the "
            "log hazard ratios between them, less the part that the second cohort's own chance "
            "gives, was added by Rubin's rules. Effects per unit of the trait itself are "
            "regression calibration with held-out calibration slopes and Fieller's interval; they "
            "hold if the predictors act on survival through the trait alone."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : {"held_out", "surrogate_hazards", "predicted_km"}
            Performance in the paired cohort; hazard ratios with and without the learner's
            uncertainty; survival in thirds of the predicted trait with the smallest p.
        ax : matplotlib Axes or None
            Where to draw.

        Returns
        -------
        matplotlib Axes
            The drawing.

        Raises
        ------
        InputError
            If there is no such plot.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        if kind == "held_out":
            return self._draw_held_out(ax)
        return self._draw_hazards(ax) if kind == "surrogate_hazards" else self._draw_km(ax)

    def _draw_held_out(self, ax: Any) -> Any:
        from radgen.plot import forest, trimmed

        rows = self.frame.filter(pl.col("held_out").is_not_null())
        kind = rows["metric"].mode().sort()[0] if rows.height else "r"
        rows = rows.filter(pl.col("metric") == kind).sort("held_out", descending=True).head(25)
        return forest(
            trimmed(rows["trait"].to_list()), rows["held_out"], rows["held_out_low"],
            rows["held_out_high"], null=0.5 if kind == "auc" else 0.0,
            xlabel="AUC in held-out samples" if kind == "auc" else "r in held-out samples", ax=ax,
        )  # fmt: skip

    def _draw_hazards(self, ax: Any) -> Any:
        from radgen.plot import paired_forest, trimmed

        rows = self.frame.filter(pl.col("log10p").is_not_null()).sort("log10p").head(15)
        limits = [
            np.exp(np.array([rows["log_hazard"], rows[low], rows[high]]).T)
            for low, high in (("naive_low", "naive_high"), ("ci_low", "ci_high"))
        ]
        return paired_forest(
            trimmed(rows["trait"].to_list()),
            {"prediction taken for given": limits[0], "learner's uncertainty added": limits[1]},
            null=1.0,
            log=True,
            xlabel="Hazard ratio per SD of the predicted trait",
            ax=ax,
        )

    def _draw_km(self, ax: Any) -> Any:
        from radgen.plot import kaplan_meier as draw
        from radgen.plot.style import safe

        rows = self.frame.filter(pl.col("log10p").is_not_null()).sort("log10p")
        curves: dict[str, dict[str, Any]] = {}
        if rows.height:
            name = str(rows["trait"][0])
            both = self.survival.join(self.predictions.select("sample", name), on="sample")
            score = both[name].to_numpy()
            cuts = np.quantile(score, [1 / 3, 2 / 3])
            third = np.searchsorted(cuts, score, side="left")
            for level, words in enumerate(("low", "middle", "high")):
                part = both.filter(pl.Series(third == level))
                if part.height:
                    curves[f"{words} (n = {part.height})"] = _curve(part)
        drawn = draw(curves, ax=ax)
        if rows.height:
            drawn.set_title(safe(f"Thirds of predicted {rows['trait'][0]}", 60), fontsize=9,
                            loc="left", parse_math=False)  # fmt: skip
        return drawn


def _curve(part: pl.DataFrame) -> dict[str, Any]:
    found = kaplan_meier(part["time"].to_numpy(), part["event"].to_numpy())
    return {
        "time": found.times,
        "survival": found.estimate,
        "at_risk": found.at_risk,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "censored": found.times[found.censored > 0],
    }


def _first(frame: pl.DataFrame, by: str) -> list[dict[str, Any]]:
    best = frame.sort(by, pl.col("held_out"), descending=[False, True]).head(_AT_MOST)
    return best.to_dicts()


def _performance(row: dict[str, Any]) -> str:
    return (
        f"{row['trait']} ({row['metric']} {row['held_out']:.2f}, 95 % interval "
        f"{row['held_out_low']:.2f} to {row['held_out_high']:.2f})"
    )


def _hazard(row: dict[str, Any]) -> str:
    text = (
        f"Predicted {row['trait']}: hazard ratio {np.exp(row['log_hazard']):.2f} per SD "
        f"({np.exp(row['ci_low']):.2f} to {np.exp(row['ci_high']):.2f}; "
        f"{np.exp(row['naive_low']):.2f} to {np.exp(row['naive_high']):.2f} if the prediction is "
        f"taken for given), p = {row['p']:.2g}, q = {row['q_bh']:.2g}, {row['n_carried']} samples, "
        f"{row['n_events']} events"
    )
    if row["p_random"] is not None:
        text += f"; {100 * row['p_random']:.2g} % of learners of permuted traits are as prognostic"
    if row["trait_low"] is not None:
        text += (
            f"; per unit of the trait itself {np.exp(row['trait_log_hazard']):.2f} "
            f"({np.exp(row['trait_low']):.2f} to {np.exp(row['trait_high']):.2f})"
        )
    return f"{text}."
