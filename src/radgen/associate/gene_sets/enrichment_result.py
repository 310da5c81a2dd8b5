"""What enrichment tests return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from radgen.associate.association_result import power_of_ten
from radgen.types import Result

__all__ = ["ENRICHMENT_COLUMNS", "EnrichmentResult"]

ENRICHMENT_COLUMNS = {
    "phenotype": pl.String,
    "set": pl.String,
    "layer": pl.String,
    "family": pl.String,
    "n": pl.Int64,
    "n_genes": pl.Int64,
    "n_members": pl.Int64,
    "n_overlap": pl.Int64,
    "score": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "nes": pl.Float64,
    "correlation": pl.Float64,
    "p": pl.Float64,
    "log10p": pl.Float64,
    "p_bonferroni": pl.Float64,
    "q_bh": pl.Float64,
    "q_hierarchical": pl.Float64,
    "leading": pl.String,
    "status": pl.String,
    "reason": pl.String,
}
"""Columns of the table of an enrichment test, with their types."""

_LEVEL = 0.05
_AT_MOST = 5
_ROWS = 40

_SCORE_TEXT = {
    "camera": "mean z of its genes less the mean of all others",
    "ranks": "probability that one of its genes is above another gene, less 0.5",
    "contrast": "mean correlation of its genes less the mean of all others",
    "mean": "mean correlation of its genes",
    "gsea": "enrichment score",
    "preranked": "enrichment score",
    "overlap": "observed over expected overlap",
}


@dataclass(frozen=True, eq=False)
class EnrichmentResult(Result):
    """All pairs of phenotypes and gene sets.

    Attributes
    ----------
    frame : polars.DataFrame
        Columns `ENRICHMENT_COLUMNS`, a row a pair. ``n_genes`` is the number of genes tested
        (the background), ``n_members`` how many of them are in the set. ``score`` depends on
        the method in ``params``: mean partial correlation of the members ("mean") or its
        difference from all others ("contrast"), difference of mean z ("camera"), probability
        that a member is above another gene less 0.5 ("ranks"), enrichment
        score ("gsea", "preranked"), or observed over expected overlap ("overlap"). ``nes`` is
        the enrichment score over the mean of permuted ones on the same side of 0,
        ``correlation`` the mean correlation between members that the test allowed for,
        ``leading`` the genes that carry the finding, strongest first. Adjusted values count
        tested pairs.
    left_out : mapping of str to str
        Sets that were not tested, and why.
    """

    kind: ClassVar[str] = "enrichment"
    version: ClassVar[int] = 1
    plots: ClassVar[tuple[str, ...]] = ("heatmap", "ranking")

    left_out: Any = None

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
        return self.frame.filter(pl.col(by) <= level).sort("log10p", "phenotype", "set")

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        tested = self.frame.filter(pl.col("p").is_not_null())
        hits = self.significant()
        text = (
            f"{tested.height} pairs of a phenotype and a gene set were tested; {hits.height} have "
            f"a false discovery rate (Benjamini-Hochberg) of at most {_LEVEL:g}"
        )
        if self.left_out:
            text += f". {len(self.left_out)} sets were left out for their size"
        lines = [f"{text}."]
        lines += [_finding(row, str(self.params["method"])) for row in _top(hits)]
        if hits.height > _AT_MOST:
            lines.append(f"{hits.height - _AT_MOST} more pairs are in the table.")
        if not hits.height and tested.height:
            lines.append(self._smallest(tested))
        return tuple(lines)

    def _smallest(self, tested: pl.DataFrame) -> str:
        row = tested.sort("log10p").row(0, named=True)
        text = (
            f"The smallest p is {power_of_ten(row['log10p'])} ({row['phenotype']} and "
            f"{row['set']}, q = {row['q_bh']:.2g})"
        )
        count = self.params.get("permutations")
        if count and self.params["method"] in ("gsea", "preranked"):
            text += f"; with {count} permutations none can be much below {1 / (count + 1):.1g}"
        return text + "."

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        return f"{_METHOD_TEXT[str(self.params['method'])](self.params)} {_COMMON}"

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : {"heatmap", "ranking"}
            Phenotypes against sets, or the pairs with the smallest p.
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
        if kind == "heatmap":
            return self._heatmap(ax)
        if kind == "ranking":
            return self._ranking(ax)
        return super().plot(kind, ax=ax)

    def _heatmap(self, ax: Any) -> Any:
        from radgen.plot import heatmap, trimmed

        rows = self.frame.filter(pl.col("log10p").is_not_null())
        names = [_strongest(rows, column) for column in ("set", "phenotype")]
        place = [{name: i for i, name in enumerate(part)} for part in names]
        values = np.full((len(names[0]), len(names[1])), np.nan)
        marks = np.zeros(values.shape, dtype=bool)
        null = 1.0 if self.params["method"] == "overlap" else 0.0
        for a, b, score, log10p, q in rows.select(
            "set", "phenotype", "score", "log10p", "q_bh"
        ).iter_rows():
            if a in place[0] and b in place[1]:
                at = place[0][a], place[1][b]
                values[at] = (-1.0 if (score or 0.0) < null else 1.0) * min(-log10p, 300.0)
                marks[at] = q <= _LEVEL
        return heatmap(
            values,
            row_names=trimmed(names[0]),
            column_names=trimmed(names[1]),
            marks=marks,
            label="-log10 p with the direction",
            ax=ax,
        )

    def _ranking(self, ax: Any) -> Any:
        from radgen.plot import set_ranking, trimmed

        rows = self.frame.filter(pl.col("log10p").is_not_null()).sort("log10p").head(20)
        labels = [trimmed(rows[name].to_list()) for name in ("phenotype", "set")]
        several = self.frame["phenotype"].n_unique() > 1
        return set_ranking(
            [f"{a} ~ {b}" if several else b for a, b in zip(*labels, strict=True)],
            rows["nes" if rows["nes"].is_not_null().any() else "score"].to_numpy(),
            rows["log10p"].to_numpy(),
            rows["n_members"].to_numpy(),
            significant=(rows["q_bh"] <= _LEVEL).to_numpy(),
            null=1.0 if self.params["method"] == "overlap" else 0.0,
            xlabel="Normalised enrichment score"
            if rows["nes"].is_not_null().any()
            else _SCORE_TEXT[str(self.params["method"])].capitalize(),
            ax=ax,
        )


def _top(hits: pl.DataFrame) -> list[dict[str, Any]]:
    return list(hits.head(_AT_MOST).iter_rows(named=True))


def _strongest(rows: pl.DataFrame, column: str) -> list[str]:
    best = rows.group_by(column, maintain_order=True).agg(pl.col("log10p").min())
    return list(best.sort("log10p", maintain_order=True).head(_ROWS)[column].to_list())


def _finding(row: dict[str, Any], method: str) -> str:
    what = f"q = {row['q_bh']:.2g}, {row['n_members']} of its genes measured"
    p = power_of_ten(row["log10p"])
    led = f"; led by {', '.join(row['leading'].split(',')[:4])}" if row["leading"] else ""
    if method == "overlap":
        return (
            f"{row['set']} is over-represented among the genes of {row['phenotype']}: "
            f"{row['n_overlap']} found, {row['score']:.2g} times what chance gives, p = {p}, "
            f"{what}{led}."
        )
    way = "higher" if row["score"] > 0 else "lower"
    score = row["score"] if row["nes"] is None else row["nes"]
    name = "NES" if row["nes"] is not None else _SCORE_NAME[method]
    spread = ""
    if row["ci_low"] is not None:
        spread = f" (interval {row['ci_low']:.2g} to {row['ci_high']:.2g})"
    head = f"Genes of {row['set']} go with {way} {row['phenotype']}"
    if not row["phenotype"]:
        head = f"Genes of {row['set']} stand {way} in the ranking"
    return f"{head}: {name} {score:.2g}{spread}, p = {p}, {what}{led}."


_SCORE_NAME = {
    "camera": "difference of z",
    "ranks": "probability above others − 0.5",
    "contrast": "difference of correlation",
    "mean": "mean correlation",
    "gsea": "score",
    "preranked": "score",
}

_COMMON = (
    "Multiplicity over all tested pairs was handled by Bonferroni, Benjamini-Hochberg, and the "
    "two-level procedure of Benjamini and Bogomolov over families of phenotypes."
)


def _camera_text(params: Any) -> str:
    fixed = params["inter_gene_correlation"]
    between = "estimated from the residuals" if fixed is None else f"taken as {fixed:g}"
    kind = "a competitive test of" if params["method"] == "camera" else "Wilcoxon tests of the"
    return (
        f"Gene sets were tested against all other genes by {kind} moderated "
        "t-statistics, with the variance inflated for the correlation between their genes "
        f"({between}; Wu & Smyth 2012)."
    )


_METHOD_TEXT = {
    "camera": _camera_text,
    "ranks": _camera_text,
    "mean": lambda _: (
        "The mean standardised expression of each set was tested against each phenotype by "
        "linear regression, which is valid whatever the correlation between genes."
    ),
    "contrast": lambda _: (
        "The mean standardised expression of each set less that of all other genes was tested "
        "against each phenotype by linear regression, which is valid whatever the correlation "
        "between genes."
    ),
    "gsea": lambda params: (
        "Genes were ranked by their partial t-statistic with each phenotype; enrichment scores "
        f"(power {params['power']:g}) were compared with those of {params['permutations']} "
        "permutations of the samples, which keep the correlation between genes "
        "(Subramanian et al. 2005)."
    ),
    "preranked": lambda params: (
        "Enrichment scores of ranked genes "
        f"(power {params['power']:g}) were compared with those of {params['permutations']} random "
        "sets of the same size. Random sets have no correlation between their genes, real ones "
        "have: such p-values are too small where genes of a set rise and fall together."
    ),
    "overlap": lambda params: (
        "Over-representation was tested by the hypergeometric law against a background of "
        f"{params['n_background']} genes; it treats genes as independent."
    ),
}
