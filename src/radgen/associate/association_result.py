"""What an association scan returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl

from radgen.stats.tail import t_quantile
from radgen.types import Result

__all__ = ["COLUMNS", "TEST_TEXT", "AssociationResult", "detectable_correlation", "power_of_ten"]

COLUMNS = (
    "phenotype",
    "omics",
    "layer",
    "stratum",
    "test",
    "model",
    "family",
    "n",
    "n_group1",
    "effect",
    "se",
    "ci_low",
    "ci_high",
    "statistic",
    "df",
    "detectable",
    "p",
    "log10p",
    "p_bonferroni",
    "p_effective",
    "q_bh",
    "q_by",
    "q_storey",
    "q_hierarchical",
    "p_maxt",
    "status",
    "reason",
)
"""Columns of the table of an association scan."""

_AT_MOST = 5
_LEVEL = 0.05
_FOREST_ROWS = 20
_HEATMAP_NAMES = 40


@dataclass(frozen=True, eq=False)
class AssociationResult(Result):
    """All pairs of phenotypes and molecular features, tested or not.

    Attributes
    ----------
    frame : polars.DataFrame
        Columns `COLUMNS`, a row a pair, in the order of phenotypes, then of the features.
        ``effect`` is in units of the left side of ``model`` per unit of its right side
        (log odds for logistic and ordinal models, rho for Spearman); ``n_group1`` is the
        number of carriers where the right side is 0/1; ``status`` is "ok", "warning" or
        "not_tested", and ``reason`` says why. ``detectable`` is the size of an effect that one
        test at 0.05 finds with 80 % power. The adjusted values count tested pairs only.
        Where the scan was written to a file, the pairs with the smallest p.
    summary : mapping
        Counts over all pairs: n_pairs, n_tested, n_bh, n_bonferroni and n_maxt (adjusted value
        at most 0.05), not_tested (pairs by reason), flagged, median_n, median_df,
        n_effective (effective number of tests), z_counts (tests by |z|, bins of
        `radgen.stats.selection.Z_EDGES`).
    places : polars.DataFrame
        chrom, start, name: where genes lie, for the segments of the circle of links; no rows =
        not given.
    """

    kind: ClassVar[str] = "association"
    version: ClassVar[int] = 2
    plots: ClassVar[tuple[str, ...]] = ("volcano", "heatmap", "forest", "circos")

    summary: Mapping[str, Any] = field(default_factory=dict)
    places: pl.DataFrame = field(default_factory=pl.DataFrame)

    def significant(self, level: float = _LEVEL, *, by: str = "q_bh") -> pl.DataFrame:
        """Return the pairs whose adjusted value is at most `level`, smallest p first.

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
        return self.frame.filter(pl.col(by) <= level).sort("log10p", "phenotype", "omics")

    def statements(self) -> tuple[str, ...]:
        """Return the findings, or what the nulls exclude, in plain words."""
        lines = [self._counts()]
        hits = self.significant()
        coverage = float(self.params["confidence"])
        lines += [_finding(row, coverage) for row in hits.head(_AT_MOST).iter_rows(named=True)]
        if self.summary["n_pairs"] - self.summary["n_bh"] <= _AT_MOST:
            rows = self.frame.filter(pl.col("p").is_not_null() & (pl.col("q_bh") > _LEVEL))
            lines += [_null(row, coverage) for row in rows.iter_rows(named=True)]
        more = self.summary["n_bh"] - min(hits.height, _AT_MOST)
        if more > 0:
            lines.append(f"{more} more pairs are in the table.")
        if self.summary["n_tested"]:
            lines.append(_detectable(self.summary))
        return tuple(lines)

    def _counts(self) -> str:
        counts = self.summary
        text = (
            f"{counts['n_tested']} of {counts['n_pairs']} pairs were tested; {counts['n_bh']} have "
            f"a false discovery rate (Benjamini-Hochberg) of at most {_LEVEL:g}, and "
            f"{counts['n_bonferroni']} pass Bonferroni"
        )
        if self.params.get("permutations"):
            text += (
                f", {counts['n_maxt']} pass max-T with {self.params['permutations']} permutations"
            )
        if counts["not_tested"]:
            most = list(counts["not_tested"].items())[:3]
            parts = "; ".join(f"{count} pairs: {reason}" for reason, count in most)
            text += f". Not tested were {parts}"
        return text + "."

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        params = self.params
        tests = ", ".join(TEST_TEXT.get(name, name) for name in params.get("tests_used", ()))
        names = params.get("covariates", ())
        adjusted = f"adjusted for {', '.join(names)}" if names else "without covariates"
        other = f"molecular features ({params['n_omics']})"
        if "outcome" in params:
            other = f"the outcome {params['outcome']}"
        text = (
            f"Image phenotypes ({params['n_phenotypes']}) were tested against {other} "
            f"in {self.n_used} samples, {adjusted}, by {tests}. "
            "Degrees of freedom follow from the rank of the design on the complete samples of "
            "each pair. Reported are the effect, its "
            f"{100 * params['confidence']:g} % confidence interval and two-sided p-values; "
            "multiplicity over all tested pairs was handled by Bonferroni, Šidák over the "
            "effective number of tests (Li and Ji, product of both blocks), Benjamini-Hochberg, "
            "Benjamini-Yekutieli, Storey's q-value, and the two-level procedure of Benjamini and "
            f"Bogomolov over {params['n_families']} families"
        )
        if params.get("permutations"):
            text += (
                "; family-wise error was also controlled by Westfall-Young max-T with "
                f"{params['permutations']} permutations of the residual molecular block"
            )
        return text + (
            f". Pairs with fewer than {params['min_n']} complete samples, or fewer than "
            f"{params['min_group']} in one of two groups, were not tested."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            One of `plots`.
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
        if kind == "volcano":
            return self._volcano(ax)
        if kind == "heatmap":
            return self._heatmap(ax)
        if kind == "forest":
            return self._forest(ax)
        if kind == "circos":
            return self._circos(ax)
        return super().plot(kind, ax=ax)

    def _volcano(self, ax: Any) -> Any:
        from radgen.plot import volcano

        rows = self.frame.filter(pl.col("log10p").is_not_null() & pl.col("effect").is_not_null())
        labels = [f"{a} - {b}" for a, b in rows.select("phenotype", "omics").iter_rows()]
        return volcano(
            rows["effect"].to_numpy(),
            rows["log10p"].to_numpy(),
            significant=(rows["q_bh"] <= _LEVEL).to_numpy(),
            labels=labels,
            ax=ax,
        )

    def _heatmap(self, ax: Any) -> Any:
        """Signed -log10 p of the phenotypes and features with the smallest p."""
        from radgen.plot import heatmap

        rows = self.frame.filter(pl.col("log10p").is_not_null())
        names = [_strongest(rows, column) for column in ("phenotype", "omics")]
        values = np.full((len(names[0]), len(names[1])), np.nan)
        marks = np.zeros(values.shape, dtype=bool)
        place = [{name: i for i, name in enumerate(part)} for part in names]
        columns = ("phenotype", "omics", "effect", "log10p", "q_bh")
        for a, b, effect, log10p, q in rows.select(columns).iter_rows():
            if a in place[0] and b in place[1]:
                sign = -1.0 if (effect or 0.0) < 0 else 1.0
                values[place[0][a], place[1][b]] = sign * min(-log10p, 300.0)
                marks[place[0][a], place[1][b]] = q <= _LEVEL
        label = "-log10 p with the sign of the effect"
        return heatmap(
            values, row_names=names[0], column_names=names[1], marks=marks, label=label, ax=ax
        )

    def _forest(self, ax: Any) -> Any:
        from radgen.plot import forest

        known = pl.col("log10p").is_not_null() & pl.col("ci_low").is_finite()
        rows = self.frame.filter(known & pl.col("ci_high").is_finite()).sort("log10p")
        rows = rows.head(_FOREST_ROWS)
        return forest(
            [f"{a} - {b}" for a, b in rows.select("phenotype", "omics").iter_rows()],
            rows["effect"].to_numpy(),
            rows["ci_low"].to_numpy(),
            rows["ci_high"].to_numpy(),
            ax=ax,
        )

    def _circos(self, ax: Any) -> Any:
        from radgen.associate.top_links import top_links
        from radgen.plot import link_circle, short_names

        rows = top_links(self.frame, self.places)
        return link_circle(
            short_names(rows["phenotype"].to_list()),
            rows["feature"].to_list(),
            rows["strength"].to_numpy(),
            left_groups=rows["family"].to_list(),
            right_groups=rows["segment"].to_list(),
            positions=rows["start"].fill_null(float("nan")).to_numpy(),
            passed=rows["passed"].to_numpy(),
            ax=ax,
        )


def _strongest(rows: pl.DataFrame, column: str) -> list[str]:
    best = rows.group_by(column, maintain_order=True).agg(pl.col("log10p").min())
    return list(best.sort("log10p").head(_HEATMAP_NAMES)[column].to_list())


TEST_TEXT = {
    "linear": "linear regression",
    "linear_hc3": "linear regression with HC3 standard errors",
    "logistic": "logistic regression",
    "firth": "Firth's penalised logistic regression",
    "ordinal": "proportional-odds regression",
    "negbinom": "negative-binomial regression",
    "moderated": "moderated t-tests",
    "spearman": "Spearman's rank correlation (partial where adjusted)",
    "mann_whitney": "the Mann-Whitney test",
    "kruskal": "the Kruskal-Wallis test",
    "jonckheere": "the Jonckheere-Terpstra test",
    "fisher": "Fisher's exact test",
    "chi2": "the chi-square test",
    "trend": "the Cochran-Armitage trend test",
    "cox": "Cox regression",
    "mixed": "linear mixed models with a random intercept of the patient (Satterthwaite's t)",
}
"""Tests by name, as a methods section calls them."""


_OUTCOME_TEXT = {
    "cox": "hazard (log hazard ratio)",
    "logistic": "odds (log odds ratio)",
    "firth": "odds (log odds ratio)",
    "ordinal": "odds (log odds ratio)",
}


def _number(value: float | None) -> str:
    return "not estimable" if value is None else f"{value:.3g}"


def power_of_ten(log10p: float) -> str:
    """Return p as text, also where it is too small for a float."""
    if log10p == -np.inf:
        return "0"
    if log10p > -4:
        return f"{10**log10p:.2g}"
    exponent = int(np.floor(log10p))
    lead = f"{10 ** (log10p - exponent):.1f}"
    return f"1.0e{exponent + 1}" if lead == "10.0" else f"{lead}e{exponent}"


def _log10(value: float) -> float:
    return float(np.log10(value)) if value > 0 else -np.inf


def _finding(row: dict[str, Any], confidence: float) -> str:
    numbers = (
        f"effect {_number(row['effect'])} ({100 * confidence:g} % interval "
        f"{_number(row['ci_low'])} to "
        f"{_number(row['ci_high'])}), p = {power_of_ten(row['log10p'])}, "
        f"q = {power_of_ten(_log10(row['q_bh']))}, n = {row['n']}"
    )
    effect = row["effect"]
    if effect is None:
        return f"{row['phenotype']} differs with {row['omics']} ({row['layer']}): {numbers}."
    way = "higher" if effect > 0 else "lower"
    if row["model"].endswith("x modifier"):
        return (
            f"The effect of {row['phenotype']} on {row['omics']} changes with the modifier: "
            f"{numbers}."
        )
    if row["model"] == "outcome ~ phenotype":
        scale = _OUTCOME_TEXT.get(row["test"], "values")
        return f"A higher {row['phenotype']} goes with {way} {scale} of {row['omics']}: {numbers}."
    odds = row["test"] in ("logistic", "firth")
    if odds and row["model"] == "phenotype ~ omics":
        way = "more frequent" if effect > 0 else "less frequent"
        where = (
            f"with {_group(row)}" if row["n_group1"] is not None else f"with higher {row['omics']}"
        )
        return f"{row['phenotype']} is {way} in samples {where}: {numbers}."
    if row["n_group1"] is not None and row["model"] == "phenotype ~ omics":
        return (
            f"{row['phenotype']} is {way} in the {row['n_group1']} samples with "
            f"{_group(row)}: {numbers}."
        )
    return (
        f"{row['phenotype']} is {way} where {row['omics']} ({row['layer']}) is higher: {numbers}."
    )


def _null(row: dict[str, Any], confidence: float) -> str:
    numbers = (
        f"effect {_number(row['effect'])} ({100 * confidence:g} % interval "
        f"{_number(row['ci_low'])} to {_number(row['ci_high'])}), p = "
        f"{power_of_ten(row['log10p'])}, n = {row['n']}"
    )
    end = "."
    if row["detectable"] is not None:
        end = f"; an effect of {row['detectable']:.3g} would have been found with 80 % power."
    return f"No evidence that {row['phenotype']} goes with {_group(row)}: {numbers}{end}"


def _group(row: dict[str, Any]) -> str:
    """Return what marks the samples that are coded 1, as a person says it."""
    name, layer = row["omics"], row["layer"]
    if "=" in name:  # a category that was expanded: "IDH=mutant"
        return " ".join(name.partition("="))
    return f"a {name} mutation" if layer == "mutation" else f"{name} ({layer})"


def _detectable(summary: Mapping[str, Any]) -> str:
    n = int(summary["median_n"] or 0)
    df = float(summary["median_df"] or max(n - 2, 1))
    parts = [
        f"{detectable_correlation(df, level):.2f} ({what})"
        for level, what in (
            (_LEVEL, "one test at 0.05"),
            (_LEVEL / summary["n_tested"], "Bonferroni"),
        )
    ]
    return (
        f"At the median n of {n}, a linear association is detected with 80 % power where the "
        f"partial correlation is at least {' or '.join(parts)}: pairs without a finding may hold "
        "weaker associations, and are no proof of absence."
    )


def detectable_correlation(df: float, level: float, *, power: float = 0.8) -> float:
    """Return the smallest partial correlation that a t-test finds with the given power.

    Parameters
    ----------
    df : float
        Degrees of freedom of the test.
    level : float
        Two-sided level.
    power : float, default 0.8
        Chance to find it.

    Returns
    -------
    float
        In (0, 1).
    """
    total = float(t_quantile(1 - level / 2, df) + t_quantile(power, df))
    return float(total / np.sqrt(df + total**2))
