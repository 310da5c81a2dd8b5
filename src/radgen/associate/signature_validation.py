"""Does a published score hold in this cohort?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.associate.association_result import power_of_ten
from radgen.associate.screening import screen
from radgen.errors import InputError
from radgen.omics.signatures import SignatureScores
from radgen.stats.discrimination import auc_interval
from radgen.stats.rank import spearman
from radgen.stats.survival import kaplan_meier, logrank
from radgen.stats.survival_metrics import harrell_c
from radgen.stats.tail import chi2_log10p
from radgen.types import Covariates, Outcome, Result, align

__all__ = ["SignatureResult", "validate_signature"]

Array = NDArray[np.float64]

_SCHEMA = {
    "measure": pl.String,
    "what": pl.String,
    "n": pl.Int64,
    "n_events": pl.Int64,
    "estimate": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "log10p": pl.Float64,
}


@dataclass(frozen=True, eq=False)
class SignatureResult(Result):
    """How a score, taken as published, does on an outcome.

    Attributes
    ----------
    frame : polars.DataFrame
        ``measure`` ("c_index", "auc", "spearman", "hazard_ratio", "odds_ratio", "slope",
        "logrank"), ``what`` it is of, ``n``, ``n_events`` (events or samples with outcome 1),
        ``estimate, ci_low, ci_high, log10p``.
    scores : polars.DataFrame
        ``sample, score, group, outcome, event`` of the samples used.
    card : mapping
        Name, title, version, sources and notes of the signature.
    """

    kind: ClassVar[str] = "signature"
    version: ClassVar[int] = 1
    plots: ClassVar[tuple[str, ...]] = ("outcome",)

    scores: pl.DataFrame | None = None
    card: Any = None

    def statements(self) -> tuple[str, ...]:
        """Return how the score does, in plain words."""
        lines = []
        for row in self.frame.iter_rows(named=True):
            p = "" if row["log10p"] is None else f", p = {power_of_ten(row['log10p'])}"
            events = "" if row["n_events"] is None else f", {row['n_events']} events"
            if row["measure"] == "logrank":
                lines.append(f"{row['what']}: log-rank p = {power_of_ten(row['log10p'])}.")
                continue
            lines.append(
                f"{row['what']}: {_NAMES[row['measure']]} {row['estimate']:.2f} "
                f"({100 * self.params['confidence']:g} % interval {row['ci_low']:.2f} to "
                f"{row['ci_high']:.2f}){p}; n = {row['n']}{events}."
            )
        first = self.frame.row(0, named=True)
        chance = 0.0 if first["measure"] == "spearman" else 0.5
        if first["ci_low"] <= chance <= first["ci_high"]:
            lines.append(f"The interval holds {chance:g}: no evidence that the score tells more.")
        return tuple(lines)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        card = dict(self.card)
        return (
            f"{card['title']} ({card['version']}; {', '.join(card['sources'])}) was computed as "
            "published; neither weights nor cut-points were fitted to these data. "
            f"{self.params['n_undefined']} samples had no score. Its association with "
            f"{self.params['outcome']} was measured by {_HOW[str(self.params['kind'])]}."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw score and outcome and return the matplotlib Axes.

        Parameters
        ----------
        kind : {"outcome"}
            Survival by group (published groups, or halves at the median), the ROC curve, or a
            scatter plot, as the outcome is.
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
        if kind != "outcome":
            return super().plot(kind, ax=ax)
        assert self.scores is not None
        score, values = (self.scores[name].to_numpy() for name in ("score", "outcome"))
        if self.params["kind"] == "censored":
            from radgen import plot

            return plot.kaplan_meier(_curves(self.scores), ax=ax)
        if self.params["kind"] == "binary":
            from radgen.plot import roc
            from radgen.stats.discrimination import roc_curve

            low, high, _ = roc_curve(values, score)
            return roc({str(self.params["card"]): (low, high)}, ax=ax)
        from radgen.plot import scatter

        names = str(self.params["card"]), str(self.params["outcome"])
        return scatter(score, values, xlabel=names[0], ylabel=names[1], ax=ax)


_NAMES = {
    "c_index": "C-index",
    "auc": "AUC",
    "spearman": "Spearman's rho",
    "hazard_ratio": "hazard ratio",
    "odds_ratio": "odds ratio",
    "slope": "slope",
}
_HOW = {
    "censored": "Harrell's C-index, Cox regression, and the log-rank test between groups",
    "binary": "the area under the ROC curve and logistic regression",
    "ordinal": "Spearman's correlation and proportional-odds regression",
    "continuous": "Spearman's correlation and linear regression",
}


def validate_signature(
    scores: SignatureScores,
    outcome: Outcome,
    covariates: Covariates | None = None,
    *,
    confidence: float = 0.95,
) -> SignatureResult:
    """Return how a score does on an outcome, never refitted.

    Parameters
    ----------
    scores : SignatureScores
        From `radgen.omics.compute`.
    outcome : Outcome
        Any kind.
    covariates : Covariates or None
        The regression is adjusted for them; the C-index and AUC are of the score alone.
    confidence : float, default 0.95
        Coverage of the intervals.

    Returns
    -------
    SignatureResult
        Discrimination and effect per standard deviation of the score.

    Raises
    ------
    InputError
        If fewer than 10 samples have score and outcome, or the score does not vary.
    AlignmentError
        If ids do not match.

    Examples
    --------
    >>> from radgen.omics import compute, load_card
    >>> from radgen.types import OmicsTable
    >>> ids = [f"s{i}" for i in range(30)]
    >>> values = np.arange(60.0).reshape(30, 2)
    >>> found = compute(load_card("cyt"), OmicsTable(ids, ["GZMA", "PRF1"], values, "expression",
    ...                                              "TPM"))
    >>> answer = Outcome("response", "binary", ids, (np.arange(30) > 20).astype(float))
    >>> validate_signature(found, answer).table["estimate"][0]
    1.0
    """
    known = scores.frame.filter(pl.col("score").is_not_null())
    matched = align({"scores": known["sample"].to_list(), outcome.name: outcome.samples})
    rows = matched.rows[outcome.name]
    y = outcome.values[rows]
    events = None if outcome.events is None else outcome.events[rows]
    used = known[matched.rows["scores"].tolist()].with_columns(
        pl.Series("outcome", y),
        pl.Series("event", [None] * len(y) if events is None else events, dtype=pl.Boolean),
    )
    used = used.filter(pl.col("outcome").is_finite())
    if used.height < 10:
        raise InputError(f"Only {used.height} samples have score and outcome; needed are 10.")
    if used["score"].n_unique() < 2:
        raise InputError("The score is the same in all samples.")
    score, y = used["score"].to_numpy(), used["outcome"].to_numpy()
    table = [_discrimination(outcome.kind, score, y, used["event"], confidence)]
    table += _regression(scores, outcome, covariates, confidence)
    if outcome.kind == "censored" and used["group"].drop_nulls().n_unique() > 1:
        part = used.filter(pl.col("group").is_not_null())
        test = logrank(
            part["outcome"].to_numpy(), part["event"].to_numpy(), part["group"].to_list()
        )
        names = " / ".join(f"{g} {c}" for g, c in sorted(part["group"].value_counts().rows()))
        row = _row("logrank", f"Published groups ({names})", part.height, part["event"].sum())
        table.append(row | {"log10p": float(chi2_log10p(test.statistic, test.df))})
    undefined = scores.frame.filter(pl.col("score").is_null())
    return SignatureResult(
        frame=pl.DataFrame(table, schema=_SCHEMA),
        params={
            "card": scores.card.name,
            "outcome": outcome.name,
            "kind": outcome.kind,
            "covariates": list(covariates.names) if covariates is not None else [],
            "confidence": confidence,
            "n_undefined": undefined.height,
            "absent": list(scores.absent),
        },
        n_used=used.height,
        dropped=undefined.select("sample", "reason"),
        warnings=_warnings(scores),
        provenance={"step": "associate.validate_signature", "version": 1},
        scores=used.select("sample", "score", "group", "outcome", "event"),
        card=scores.card.model_dump(
            include={"name", "title", "version", "sources", "what", "higher_means", "notes"}
        ),
    )


def _row(measure: str, what: str, n: int, n_events: Any) -> dict[str, Any]:
    blank = dict.fromkeys(("estimate", "ci_low", "ci_high", "log10p"))
    count = None if n_events is None else int(n_events)
    return {"measure": measure, "what": what, "n": n, "n_events": count, **blank}


def _discrimination(
    kind: str, score: Array, y: Array, event: pl.Series, confidence: float
) -> dict[str, Any]:
    what = "The score alone"
    if kind == "censored":
        own = event.to_numpy()
        c = harrell_c(y, own, score, confidence=confidence)
        row = _row("c_index", what, len(y), own.sum())
        return row | {"estimate": c.estimate, "ci_low": c.ci_low, "ci_high": c.ci_high}
    if kind == "binary":
        a = auc_interval(y, score, confidence=confidence)
        row = _row("auc", what, len(y), y.sum())
        return row | {"estimate": a.auc, "ci_low": a.ci_low, "ci_high": a.ci_high}
    test = spearman(score, y)
    reach = float(_z(confidence) * np.sqrt(1.06 / (len(y) - 3)))
    middle = np.arctanh(np.clip(test.effect, -0.999999, 0.999999))
    row = _row("spearman", what, len(y), None)
    return row | {
        "estimate": float(test.effect),
        "ci_low": float(np.tanh(middle - reach)),
        "ci_high": float(np.tanh(middle + reach)),
        "log10p": float(test.log10p),
    }


def _z(confidence: float) -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + confidence) / 2))


def _regression(
    scores: SignatureScores, outcome: Outcome, covariates: Covariates | None, confidence: float
) -> list[dict[str, Any]]:
    found = screen(scores.to_phenotypes(), outcome, covariates, confidence=confidence)
    row = found.frame.row(0, named=True)
    if row["log10p"] is None or row["effect"] is None or row["ci_low"] is None:
        return []
    ratio = outcome.kind != "continuous"
    measure = {"censored": "hazard_ratio", "continuous": "slope"}.get(outcome.kind, "odds_ratio")
    adjusted = f", adjusted for {', '.join(covariates.names)}" if covariates is not None else ""
    out = _row(measure, f"Per standard deviation{adjusted}", row["n"], row["n_group1"])
    shown = {key: float(row[name]) for key, name in
             (("estimate", "effect"), ("ci_low", "ci_low"), ("ci_high", "ci_high"))}  # fmt: skip
    if ratio:
        shown = {key: float(np.exp(value)) for key, value in shown.items()}
    return [out | shown | {"log10p": row["log10p"]}]


def _curves(used: pl.DataFrame) -> dict[str, dict[str, Array]]:
    """Survival curves of the groups, with the numbers at risk."""
    time, event = used["outcome"].to_numpy(), used["event"].to_numpy()
    groups = np.array(_groups(used))
    curves = {}
    for name in sorted(set(groups.tolist())):
        rows = groups == name
        found = kaplan_meier(time[rows], event[rows])
        curves[f"{name} (n = {int(rows.sum())})"] = {
            "time": found.times,
            "survival": found.estimate,
            "at_risk": found.at_risk,
            "ci_low": found.ci_low,
            "ci_high": found.ci_high,
            "censored": found.times[found.censored > 0],
        }
    return curves


def _groups(used: pl.DataFrame) -> list[str]:
    """Published groups, or halves at the median where there are none."""
    if used["group"].drop_nulls().n_unique() > 1:
        return [group or "no group" for group in used["group"]]
    middle = used["score"].median()
    return ["above the median" if value > middle else "up to the median" for value in used["score"]]


def _warnings(scores: SignatureScores) -> tuple[str, ...]:
    notes = []
    if scores.absent:
        notes.append(f"{scores.card.name} was computed without {', '.join(scores.absent)}.")
    low = scores.frame["coverage"].min()
    if low is not None and float(low) < 1:  # type: ignore[arg-type]
        notes.append(
            f"Some samples lack inputs of {scores.card.name}; the lowest coverage is {low:.0%}."
        )
    return tuple(notes)
