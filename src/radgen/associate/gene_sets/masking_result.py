"""What gene masking returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from radgen.types import Result

__all__ = ["MASKING_COLUMNS", "MaskingResult"]

_LEVEL = 0.05
_AT_MOST = 5

MASKING_COLUMNS = {
    "phenotype": pl.String,
    "set": pl.String,
    "family": pl.String,
    "n": pl.Int64,
    "n_members": pl.Int64,
    "metric": pl.String,
    "whole": pl.Float64,
    "kept": pl.Float64,
    "random_mean": pl.Float64,
    "random_sd": pl.Float64,
    "z": pl.Float64,
    "p_random": pl.Float64,
    "p_chance": pl.Float64,
    "p": pl.Float64,
    "p_bonferroni": pl.Float64,
    "q_bh": pl.Float64,
    "q_hierarchical": pl.Float64,
    "status": pl.String,
    "reason": pl.String,
}
"""Columns of the table of gene masking, with their types."""


@dataclass(frozen=True, eq=False)
class MaskingResult(Result):
    """How well each phenotype is predicted from each gene set alone.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a phenotype and set: ``metric`` ("r", correlation of predictions of held-out
        samples with the phenotype; "auc" for 0/1), ``whole`` (all genes), ``kept`` (this set
        alone), ``random_mean, random_sd`` (random sets of the same size and expression),
        ``z``, ``p_random`` and ``p_chance`` ((b + 1)/(m + 1) that a random set does as well, and
        that this set does as well for the permuted phenotype), the larger of both as ``p``, and
        its adjusted values.
    left_out : mapping of str to str
        Sets that were not masked for, and why.
    """

    kind: ClassVar[str] = "gene_masking"
    version: ClassVar[int] = 1
    plots: ClassVar[tuple[str, ...]] = ("heatmap", "ranking")

    left_out: Any = None

    def significant(self, level: float = _LEVEL, *, by: str = "q_bh") -> pl.DataFrame:
        """Return the rows whose adjusted value is at most `level`, largest z first.

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
        return self.frame.filter(pl.col(by) <= level).sort("z", descending=True)

    def statements(self) -> tuple[str, ...]:
        """Return which sets carry the predictions, in plain words."""
        whole = self.frame.filter(pl.col("whole").is_not_null())
        best = whole.group_by("phenotype", maintain_order=True).agg(
            pl.col("whole").first(), pl.col("metric").first()
        )
        lines = []
        for metric, chance, name in (("r", 0.0, "correlation"), ("auc", 0.5, "AUC")):
            part = best.filter(pl.col("metric") == metric)
            if part.height:
                middle = float(part["whole"].median())  # type: ignore[arg-type]
                lines.append(
                    f"From all genes, {part.height} phenotypes are predicted in held-out samples "
                    f"with a median {name} of {middle:.2f} (best {part['whole'].max():.2f}, chance "
                    f"{chance:g})."
                )
        hits = self.significant()
        lines.append(
            f"{hits.height} of {whole.height} pairs of a phenotype and a gene set do better than "
            "random sets of the same size and expression, and than chance, at a false discovery "
            f"rate of {_LEVEL:g}."
        )
        for row in hits.head(_AT_MOST).iter_rows(named=True):
            lines.append(
                f"{row['set']} alone ({row['n_members']} genes) predicts {row['phenotype']} with "
                f"{row['metric']} {row['kept']:.2f}, random sets with {row['random_mean']:.2f} "
                f"(SD {row['random_sd']:.2f}), all genes with {row['whole']:.2f}; p = "
                f"{row['p']:.2g}, q = {row['q_bh']:.2g}."
            )
        return tuple(lines)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        params = self.params
        return (
            f"Models of each phenotype on {params['n_genes']} genes ({params['model']}) were "
            f"trained in {params['folds']}-fold cross-validation. Predictions for held-out samples "
            "were made anew with the genes of one set kept and all others masked (set to their "
            "training mean), and compared with those of "
            f"{params['n_random']} random sets ({params['n_more']} more where few did as well) of "
            "the same size drawn from other genes of the same deciles of mean expression (after "
            "Smedley et al. 2020), and with models of the permuted phenotype "
            f"({params['n_permutations']} permutations); the larger p counts."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : {"heatmap", "ranking"}
            z of sets and phenotypes, or the pairs with the largest z.
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
        rows = self.frame.filter(pl.col("z").is_not_null())
        rows = rows.sort("p", "z", descending=[False, True])
        if kind == "ranking":
            from radgen.plot import set_ranking, trimmed

            top = rows.head(20)
            labels = [trimmed(top[name].to_list()) for name in ("phenotype", "set")]
            return set_ranking(
                [f"{a} ~ {b}" for a, b in zip(*labels, strict=True)],
                top["z"].to_numpy(),
                np.log10(top["p"].to_numpy()),
                top["n_members"].to_numpy(),
                significant=(top["q_bh"] <= _LEVEL).to_numpy(),
                xlabel="z of the set alone against random sets",
                ax=ax,
            )
        from radgen.plot import heatmap, trimmed

        names = [rows[c].unique(maintain_order=True).to_list()[:40] for c in ("set", "phenotype")]
        place = [{name: i for i, name in enumerate(part)} for part in names]
        values = np.full((len(names[0]), len(names[1])), np.nan)
        marks = np.zeros(values.shape, dtype=bool)
        for a, b, z, q in rows.select("set", "phenotype", "z", "q_bh").iter_rows():
            if a in place[0] and b in place[1]:
                values[place[0][a], place[1][b]] = z
                marks[place[0][a], place[1][b]] = q <= _LEVEL
        label = "z against random sets"
        return heatmap(
            values,
            row_names=trimmed(names[0]),
            column_names=trimmed(names[1]),
            marks=marks,
            label=label,
            ax=ax,
        )
