"""What a comparison of multivariate methods returns, with its figures and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl

from radgen.errors import InputError
from radgen.types import Result

__all__ = ["ComparisonResult", "MethodResult"]

_SHOWN_GENES = 30
_SHOWN_FEATURES = 20
_FEWEST_NULL = 19


@dataclass(frozen=True, eq=False)
class MethodResult(Result):
    """One method of a comparison: its weights, strongest first.

    Attributes
    ----------
    label, reference : str
        Name and publication of the method.
    folds : polars.DataFrame
        ``held_out``: correlation in each outer test set.
    """

    kind: ClassVar[str] = "multivariate_method"
    plots: ClassVar[tuple[str, ...]] = ("gene_loadings", "phenotype_loadings")

    label: str = ""
    reference: str = ""
    folds: pl.DataFrame = field(default_factory=lambda: pl.DataFrame({"held_out": []}))

    def references(self) -> tuple[str, ...]:
        """Return the publication of the method."""
        return (self.reference,)

    def gene_loadings(self) -> pl.DataFrame:
        """Return the sum of squared weights of each gene: ``group, share, n, strongest``."""
        frame = self.frame.filter(pl.col("block") == "x")
        key = pl.when(pl.col("group") == "").then("feature").otherwise("group").alias("group")
        return (
            frame.with_columns(key)
            .group_by("group")
            .agg(
                (pl.col("weight") ** 2).sum().alias("share"),
                pl.len().alias("n"),
                pl.col("feature").sort_by(pl.col("weight").abs(), descending=True).first()
                .alias("strongest"),
            )
            .sort(["share", "group"], descending=[True, False])
        )  # fmt: skip

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the shares of genes or the weights of phenotypes and return the Axes."""
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen.plot import style

        if kind == "gene_loadings":
            genes = self.gene_loadings().head(_SHOWN_GENES)
            names, values = genes["group"].to_list(), genes["share"].to_numpy()
            label = "Share of the squared weights"
        else:
            rows = self.frame.filter(pl.col("block") == "y").head(_SHOWN_FEATURES)
            names, values, label = rows["feature"].to_list(), rows["weight"].to_numpy(), "Weight"
        if not len(names):
            raise InputError("No weight differs from zero.")
        ax = ax or style.axes(4.6, 0.8 + 0.2 * len(names))
        place = np.arange(len(names))
        inks = [style.PALETTE[0] if v >= 0 else style.PALETTE[1] for v in values]
        ax.barh(place, values, height=0.7, color=inks)
        ax.axvline(0, color=style.INK, linewidth=0.8)
        ax.set_yticks(place, [style.safe(name, 30) for name in names], parse_math=False)
        ax.set_ylim(len(names) - 0.4, -0.6)
        return style.dress(ax, xlabel=label, grid="x")

    def statements(self) -> tuple[str, ...]:
        """Return what was found in plain words."""
        p = self.params
        first = _verdict(self.label, p, self.n_used, p)
        genes = self.gene_loadings()
        if not genes.height:
            return (first, f"{self.label} selects nothing in all samples.")
        top = ", ".join(
            f"{row['group']} ({row['share']:.0%})" for row in genes.head(3).iter_rows(named=True)
        )
        return (
            first,
            f"The largest shares of its variant weights lie in {top}.",
            f"Two disjoint halves of the people agree on the {p['top']} strongest variants to a "
            f"Kuncheva index of {p['stability']:.2f} (0 = as by chance, 1 = the same).",
        )

    def methods(self) -> str:
        """Return the methods sentence of this method."""
        return f"{self.label} ({self.reference}) was fitted with {self.params['settings']}."


@dataclass(frozen=True, eq=False)
class ComparisonResult(Result):
    """Several multivariate methods on one study; `table` has a row a method.

    Attributes
    ----------
    weights : polars.DataFrame
        ``method, block, feature, group, weight, frequency``: weights on columns of unit
        variance (norm 1 a block) and how often a variant is among the strongest in half samples.
    null : polars.DataFrame
        ``method, held_out``: the same procedure on permuted data.
    pages : mapping of str to MethodResult
        One a method.
    """

    kind: ClassVar[str] = "multivariate_comparison"
    plots: ClassVar[tuple[str, ...]] = ("method_comparison", "method_agreement")

    weights: pl.DataFrame = field(default_factory=pl.DataFrame)
    null: pl.DataFrame = field(default_factory=pl.DataFrame)
    pages: Mapping[str, MethodResult] = field(default_factory=dict)

    def encode(self) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
        """Return the tables and plain values; pages repeat the weights and are left out."""
        return Result.encode(replace(self, pages={}))

    def agreement(self) -> pl.DataFrame:
        """Return for each gene (or variant) the share of weight each method gives it.

        Returns
        -------
        polars.DataFrame
            ``group``, a column a method, ``mean`` and ``n_methods`` (methods that give it a
            tenth of their weight or more), the most agreed first.
        """
        names = self.frame["method"].to_list()
        wide: pl.DataFrame | None = None
        for name in names:
            share = self.pages[name].gene_loadings().select("group", pl.col("share").alias(name))
            wide = share if wide is None else wide.join(share, "group", how="full", coalesce=True)
        assert wide is not None
        wide = wide.fill_null(0.0)
        return wide.with_columns(
            pl.mean_horizontal(names).alias("mean"),
            pl.sum_horizontal([pl.col(name) >= 0.1 for name in names]).alias("n_methods"),
        ).sort(["mean", "group"], descending=[True, False])

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw held-out association beside its null, or what methods agree on."""
        if kind == "method_comparison":
            return self._comparison(ax)
        if kind == "method_agreement":
            from radgen.plot import heatmap

            table = self.agreement().head(_SHOWN_GENES)
            names = self.frame["method"].to_list()
            labels = self.frame["label"].to_list()
            return heatmap(
                table.select(names).to_numpy().T,
                row_names=labels,
                column_names=table["group"].to_list(),
                label="Share of weight",
                centre=None,
                ax=ax,
            )
        return super().plot(kind, ax=ax)

    def _comparison(self, ax: Any) -> Any:
        from radgen.plot import forest, style

        rows = self.frame.sort("held_out", descending=True)
        notes = [
            f"p {row['p']:.2g} · stability {row['stability']:.2f} · {_seconds(row['seconds'])}"
            for row in rows.iter_rows(named=True)
        ]
        ax = ax or style.axes(7.6, 1.1 + 0.34 * rows.height)
        for place, name in enumerate(rows["method"]):
            null = self.null.filter(pl.col("method") == name)["held_out"].to_numpy()
            ax.scatter(
                null, np.full(len(null), place + 0.24), s=6, color=style.MUTED, alpha=0.55, zorder=1
            )
        return forest(
            rows["label"].to_list(), rows["held_out"], rows["ci_low"], rows["ci_high"], notes=notes,
            xlabel="Held-out correlation of the first pair (95 % interval); grey: permuted", ax=ax,
        )  # fmt: skip

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        rows = self.frame.sort("held_out", descending=True)
        best = rows.row(0, named=True)
        found = [_verdict(best["label"], best, self.n_used, self.params)]
        found += self._agreed(best)
        if "recall" in self.frame.columns:
            for row in rows.iter_rows(named=True):
                found.append(
                    f"{row['label']}: recall {row['recall']:.2f}, false discoveries "
                    f"{row['false_discovery']:.2f} among its strongest variants."
                )
        return tuple(found)

    def _agreed(self, best: Mapping[str, Any]) -> list[str]:
        """Return what the methods agree on; one method has nobody to agree with."""
        n_methods = self.frame.height
        if n_methods == 1:
            return []
        agreed = self.agreement().filter(pl.col("n_methods") > n_methods / 2)["group"].to_list()
        if not agreed:
            return [f"No gene gets a tenth of the weight from half of the {n_methods} methods."]
        beyond = self.params["n_null"] >= _FEWEST_NULL and best["p_adjusted"] <= 0.05
        doubt = "" if beyond else " Agreement on weights is no evidence where no method links."
        return [
            f"More than half of the {n_methods} methods give a tenth of their weight or more "
            f"to {', '.join(agreed[:5])}.{doubt}"
        ]

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        adjusted = ", ".join(p["adjusted_for"]) or "nothing"
        repeated = "" if p["repeats"] == 1 else f"{p['repeats']} times repeated, "
        return (
            f"{self.frame.height} multivariate methods were compared on {p['n_x']} variants and "
            f"{p['n_y']} phenotypes of {self.n_used} people by {repeated}{p['folds']}-"
            f"fold cross-validation; settings were chosen by {p['inner']} inner folds of the "
            f"training people. Adjusted for, with coefficients of the training people: {adjusted}. "
            "The figure of merit is the correlation of the first pair of scores in held-out "
            "people, with the corrected resampled t interval; its p-value comes from "
            f"{p['n_null']} permutations of the adjusted phenotypes through the whole procedure, "
            "and is adjusted for the number of methods by the largest of each permutation. "
            f"Stability is the Kuncheva index of the {p['top']} strongest variants in "
            f"{p['n_pairs']} splits into disjoint halves."
        )


def _verdict(label: str, row: Mapping[str, Any], n: int, params: Mapping[str, Any]) -> str:
    """Return the sentence on held-out association, judged by the p adjusted for all methods."""
    figure = f"{row['held_out']:.2f} ({row['ci_low']:.2f} to {row['ci_high']:.2f})"
    n_null, n_methods = params["n_null"], params["n_methods"]
    if n_null < _FEWEST_NULL:
        return (
            f"{label}: correlation {figure} in held-out people, {n} people; {n_null} permutations "
            "are too few for a verdict."
        )
    found = f"correlation {figure}, permutation p {row['p']:.2g}"
    if n_methods > 1:
        found += f" ({row['p_adjusted']:.2g} adjusted for {n_methods} methods)"
    if row["p_adjusted"] <= 0.05:
        return (
            f"{label}: variants and phenotypes are associated in held-out people, {found}, "
            f"{n} people."
        )
    return f"{label}: no evidence of an association in held-out people, {found}, {n} people."


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 60 else f"{value / 60:.1f} min"
