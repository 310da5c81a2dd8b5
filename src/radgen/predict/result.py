"""What an evaluation returns: tables, findings in words, methods, plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl

from radgen.errors import InputError
from radgen.predict._words import repeated
from radgen.types import Result

__all__ = ["CHANCE", "MAIN_METRIC", "METRIC_WORDS", "PredictionResult"]

MAIN_METRIC = {"binary": "auc", "censored": "harrell_c", "continuous": "r2"}
METRIC_WORDS = {
    "auc": "AUC",
    "harrell_c": "C",
    "uno_c": "Uno's C",
    "r2": "R²",
    "brier": "Brier score",
    "integrated_brier": "integrated Brier score",
    "mean_squared_error": "mean squared error",
}
CHANCE = {"auc": 0.5, "harrell_c": 0.5, "r2": 0.0}


def _frame() -> pl.DataFrame:
    return pl.DataFrame()


@dataclass(frozen=True, eq=False)
class PredictionResult(Result):
    """An honest evaluation of one outcome: every model on the same folds.

    Attributes
    ----------
    frame : polars.DataFrame
        ``model, blocks, metric, estimate, std_error, ci_low, ci_high, n, n_patients, events``.
    predictions : polars.DataFrame
        ``sample, patient, repeat, fold, model, y, event, score, high, risk, rank``: out-of-fold
        predictions. `score` is a probability, a log relative hazard or a value; `high` is the
        decision at the training threshold; `risk` the predicted risk at the horizon (survival);
        `rank` the share of held-out training scores below.
        `y` is the class, time or value; `event` is null unless survival.
    differences : polars.DataFrame
        ``first, second, metric, difference, std_error, ci_low, ci_high, p_value, detectable``:
        paired, on the same patients; the last is the smallest difference found with 80 % power.
    calibration : polars.DataFrame
        ``model, predicted, observed``: smoothed; of the risk at the horizon (survival).
    decision : polars.DataFrame
        ``model, threshold, net_benefit, ci_low, ci_high, standardised, treat_all``.
    roc : polars.DataFrame
        ``model, false_positive_rate, true_positive_rate``: pooled over folds and repeats.
    km : polars.DataFrame
        ``model, group, time, at_risk, survival, ci_low, ci_high``: first repeat, groups cut at
        the training median.
    risk_groups : polars.DataFrame
        ``model, repeat, hazard_ratio, ci_low, ci_high, logrank_p``: high against low risk.
    thresholds : polars.DataFrame
        ``model, repeat, fold, threshold, setting``: all fixed in training.
    fit_log, row_sets : polars.DataFrame
        ``repeat, fold, level, fitted, target, row_set, n_rows, inputs, fits`` and ``row_set,
        sample``: which rows every fitted object saw, of which blocks, and how many settings were
        fitted to them; `radgen.predict.audit` reads them.
    intervals : polars.DataFrame
        ``model, method, estimate, std_error, ci_low, ci_high``: the main metric's interval by
        influence functions (the default), patient-level bootstrap and corrected resampling.
    adequacy : polars.DataFrame
        ``model, candidates, n_patients, events, r2_cs, needed, criterion, supported,
        detectable``: sample size asked for by Riley's criteria, and the smallest main metric that
        the sample could have shown.
    abstention : polars.DataFrame
        How often each model decides at error levels and is right then, see
        `radgen.predict.abstain.abstention_table`; empty unless asked for.
    outcome, outcome_kind, primary : str
        Name and kind of the outcome; the model with most blocks.
    detectable : float
        Smallest value of the main metric that a test of a fixed score in as many patients finds
        with 80 % power.
    permutation_p : float
        Of the primary model, whole pipeline permuted; NaN where not asked for.
    """

    kind: ClassVar[str] = "prediction"
    version: ClassVar[int] = 6
    plots: ClassVar[tuple[str, ...]] = (
        "models", "roc", "calibration", "decision", "km", "abstention",
    )  # fmt: skip

    predictions: pl.DataFrame = field(default_factory=_frame)
    differences: pl.DataFrame = field(default_factory=_frame)
    calibration: pl.DataFrame = field(default_factory=_frame)
    decision: pl.DataFrame = field(default_factory=_frame)
    roc: pl.DataFrame = field(default_factory=_frame)
    km: pl.DataFrame = field(default_factory=_frame)
    risk_groups: pl.DataFrame = field(default_factory=_frame)
    thresholds: pl.DataFrame = field(default_factory=_frame)
    fit_log: pl.DataFrame = field(default_factory=_frame)
    row_sets: pl.DataFrame = field(default_factory=_frame)
    adequacy: pl.DataFrame = field(default_factory=_frame)
    intervals: pl.DataFrame = field(default_factory=_frame)
    abstention: pl.DataFrame = field(default_factory=_frame)
    outcome: str = ""
    outcome_kind: str = "binary"
    primary: str = ""
    detectable: float = float("nan")
    permutation_p: float = float("nan")

    @property
    def main_metric(self) -> str:
        """The metric by which models are compared first."""
        return MAIN_METRIC[self.outcome_kind]

    def estimate(self, model: str, metric: str | None = None) -> Mapping[str, Any]:
        """Return one row of the table as a mapping.

        Raises
        ------
        InputError
            If there is no such model or metric.
        """
        wanted = self.main_metric if metric is None else metric
        found = self.frame.filter((pl.col("model") == model) & (pl.col("metric") == wanted))
        if found.height != 1:
            raise InputError(
                f"No metric {wanted!r} of a model {model!r}; models are "
                f"{self.frame['model'].unique(maintain_order=True).to_list()}."
            )
        return found.row(0, named=True)

    def models(self) -> tuple[str, ...]:
        """Return the names of the models, in order."""
        return tuple(self.frame["model"].unique(maintain_order=True).to_list())

    def verdict(self, model: str) -> str:
        """Return one sentence on a model, generated from its numbers."""
        row = self.estimate(model)
        metric = self.main_metric
        chance = CHANCE[metric]
        word = METRIC_WORDS[metric]
        text = f"{word} {_two(row['estimate'])} ({_two(row['ci_low'])}–{_two(row['ci_high'])})"
        size = _size(self.outcome_kind, row)
        what = f"{self.outcome} can be predicted from {row['blocks']}"
        if not np.isfinite(row["estimate"]):
            return f"{model}: the {word} could not be estimated ({size})."
        if row["ci_low"] > chance:
            return f"{model}: evidence that {what}: {text}, {size}."
        out = f"{model}: no evidence that {what}: {text}, {size}"
        if row["ci_high"] < chance:
            out += " (below chance, as a null model is in one of forty data sets)"
        if np.isfinite(self.detectable) and model == self.primary:
            out += (
                f"; with {row['n_patients']} patients {'an' if word[0] in 'AR' else 'a'} {word} of "
                f"{_two(self.detectable)} would have been detected with 80 % power"
            )
        out += "."
        return out

    def statements(self) -> tuple[str, ...]:
        """Return a verdict per model, then what each adds to the next simpler one."""
        out = [self.verdict(name) for name in self.models() if name != "no information"]
        metric = self.main_metric
        word = METRIC_WORDS[metric]
        rows = self.differences.filter(
            (pl.col("metric") == metric)
            & (pl.col("first") == self.primary)
            & (pl.col("second") != "no information")
        )
        for row in rows.iter_rows(named=True):
            gap = f"{row['difference']:+.3f} ({row['ci_low']:+.3f} to {row['ci_high']:+.3f})"
            if row["ci_low"] > 0:
                out.append(f"{row['first']} is better than {row['second']}: {word} {gap}.")
            elif row["ci_high"] < 0:
                out.append(f"{row['first']} is worse than {row['second']}: {word} {gap}.")
            else:
                out.append(
                    f"No evidence that {row['first']} is better than {row['second']}: {word} {gap}."
                )
        kinds = ("binary", "continuous")
        if self.outcome_kind in kinds and self.estimate(self.primary)["ci_low"] > CHANCE[metric]:
            out += self._calibration_statement()  # risks that carry nothing have no calibration
        out += self._abstention_statement()
        out += self._size_statement()
        if np.isfinite(self.permutation_p):
            out.append(
                f"Permuting the outcome through the whole pipeline {self.params['permutations']} "
                f"times gives p = {self.permutation_p:.3g} for {self.primary}."
            )
        return tuple(out)

    def _abstention_statement(self) -> list[str]:
        if not self.abstention.height:
            return []
        level = float(self.params["abstain"])
        rows = self.abstention.filter(
            (pl.col("model") == self.primary) & (pl.col("level") == level)
        )
        if not rows.height:
            return []
        row = rows.row(0, named=True)
        covered = f"{row['covered']:.0%} ({row['covered_low']:.0%}–{row['covered_high']:.0%})"
        text = (
            f"Asked to leave out the true class of at most {level:.0%} of patients, {self.primary} "
            f"decides {row['decided']:.0%} of them and abstains from the others"
        )
        if row["decided"] > 0:
            right = f"{row['right']:.0%} ({row['right_low']:.0%}–{row['right_high']:.0%})"
            text += f"; {right} of its decisions are right"
        return [f"{text}. The set of plausible classes holds the true one in {covered}."]

    def _size_statement(self) -> list[str]:
        rows = self.adequacy
        if "model" in rows.columns:
            rows = rows.filter(pl.col("model") == self.primary)
        if not rows.height or rows["needed"][0] is None:
            return []
        row = rows.row(0, named=True)
        text = (
            f"Riley's criteria ask for {row['needed']:,} patients for the {row['candidates']} "
            f"candidate columns of {self.primary}"
        )
        if row["n_patients"] >= row["needed"]:
            return [f"{text}; there are {row['n_patients']}."]
        return [
            f"{text}; there are {row['n_patients']}, enough for {row['supported']} without a "
            "penalty."
        ]

    def _calibration_statement(self) -> list[str]:
        row = self.estimate(self.primary, "calibration_slope")
        if not np.isfinite(row["estimate"]):
            return []
        text = f"{_two(row['estimate'])} ({_two(row['ci_low'])} to {_two(row['ci_high'])})"
        what = "risks" if self.outcome_kind == "binary" else "values"
        if row["ci_high"] < 1:
            return [f"Predicted {what} of {self.primary} are too extreme: slope {text}."]
        if row["ci_low"] > 1:
            return [f"Predicted {what} of {self.primary} are not extreme enough: slope {text}."]
        return [f"The calibration slope of {self.primary} is compatible with 1: {text}."]

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        if p["scheme"] == "leave-site-out":
            outer = "leaving out one site at a time"
        elif p["scheme"] == "temporal":
            outer = (
                f"testing the later half of the patients in {p['folds']} parts, each by models of "
                "all earlier patients"
            )
        else:
            outer = (
                f"{repeated(p)}{p['folds']}-fold cross-validation, stratified by "
                "the outcome and grouped by patient"
            )
        harmonise = ""
        if p["harmonise"] != "none":
            named = p["harmonise"] in ("combat", "location-scale", "covbat")
            plain = " (no empirical Bayes)" if named else ""
            harmonise = f"site effects were removed with {p['harmonise']}{plain}, "
        reliable = f"{p['reliability']}, " if p.get("reliability") else ""
        selection = (
            f"features were selected ({p['selection']}), " if p["selection"] != "none" else ""
        )
        late = [how for how in p.get("fusion", ["early"]) if how != "early"]
        fused = (
            f"Blocks were also joined late ({' and '.join(late)}), from scores that inner folds "
            "held out. "
            if late
            else ""
        )
        abstains = (
            ""
            if p.get("abstain") is None
            else "Models abstain where both classes are plausible by conformal prediction, with "
            "p-values from the scores that inner folds held out, in each class by itself. "
        )
        return (
            f"Models of {self.outcome} ({p['model']}) were evaluated by {outer}; settings and "
            f"decision thresholds were chosen in {p['inner_folds']} inner folds of each training "
            "set. Within every training set alone missing values were imputed (median), "
            f"{reliable}imaging and genomic features were mapped to normal scores, {harmonise}"
            f"{selection}and blocks were scaled to equal largest variance. {fused}All models were "
            "compared on the same folds. Discrimination compares patients within a fold and is "
            f"averaged over repeats; {p['confidence']:.0%} intervals are {p['interval_text']}. "
            f"{abstains}Seed {p['seed']}."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw one of `plots` ("models", "roc", … "abstention") and return the Axes.

        Raises
        ------
        InputError
            If there is no such plot for this outcome.
        """
        from radgen.predict import _plots

        if kind not in self.plots:
            raise InputError(f"A prediction result has no plot {kind!r}; it has {self.plots}.")
        return getattr(_plots, f"draw_{kind}")(self, ax)


def _two(value: float) -> str:
    return "undefined" if not np.isfinite(value) else f"{value:.2f}"


def _size(kind: str, row: Mapping[str, Any]) -> str:
    what = {"binary": "positive", "censored": "events"}.get(kind)
    text = f"{row['n_patients']} patients"
    return text if what is None else f"{text}, {row['events']} {what}"
