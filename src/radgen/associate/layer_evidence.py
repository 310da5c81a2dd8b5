"""Evidence of a gene across molecular layers: combined, and whether the layers agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from radgen._core.naming import require_choice
from radgen.associate._evidence_rows import combined, cube, dependence, evidence_frame, joined
from radgen.associate.association import scan
from radgen.associate.association_result import AssociationResult, power_of_ten
from radgen.errors import InputError, shown
from radgen.types import Covariates, OmicsTable, PhenotypeTable, Result

__all__ = ["EXPECTED", "METHODS", "EvidenceResult", "evidence"]

METHODS = ("cauchy", "harmonic", "joint", "brown", "empirical_brown", "stouffer", "fisher")
"""Ways to combine the layers' p-values."""

EXPECTED = {"mutation": 0, "methylation": -1}
"""Direction of a layer's effect where the gene's activity acts: 1 where not listed; 0 = either."""

_MATRIX_TESTS = ("joint", "brown", "empirical_brown", "stouffer")
_RANKED = ("spearman", "mann_whitney", "kruskal", "jonckheere")
_LEVEL = 0.05
_HEATMAP_ROWS = 30


@dataclass(frozen=True, eq=False)
class EvidenceResult(Result):
    """Each gene with each phenotype, over all layers.

    Attributes
    ----------
    frame : polars.DataFrame
        ``gene, phenotype, n_layers``; a column ``z_<layer>`` each (signed by the effect; blank =
        not tested); ``direction`` (1: more of the gene's activity goes with more of the
        phenotype; -1; 0 = the layers with a direction disagree or there is none), ``n_agree`` and
        ``n_oppose`` (layers that share, or contradict, the direction of the strongest one),
        ``agreement`` in words, ``log10p, p, p_bonferroni, q_bh`` of the combination, and ``p_two``
        with ``q_two``: that at least two layers hold an effect.
    """

    kind: ClassVar[str] = "evidence"
    version: ClassVar[int] = 1
    plots: ClassVar[tuple[str, ...]] = ("heatmap",)

    @property
    def layers(self) -> tuple[str, ...]:
        """The molecular layers, in the order of the columns."""
        return tuple(self.params["layers"])

    def significant(self, level: float = _LEVEL, *, by: str = "q_bh") -> pl.DataFrame:
        """Return rows whose adjusted value is at most `level`, smallest p first.

        Parameters
        ----------
        level : float, default 0.05
            Largest adjusted value.
        by : str, default "q_bh"
            Which column decides; "q_two" = two layers at least.

        Returns
        -------
        polars.DataFrame
            Rows of the table.
        """
        return self.frame.filter(pl.col(by) <= level).sort("log10p", "gene", "phenotype")

    def statements(self) -> tuple[str, ...]:
        """Return which genes the layers speak for, and whether they agree."""
        rows = self.frame.filter(pl.col("p").is_not_null())
        hits = self.significant()
        two = hits.filter(pl.col("q_two") <= _LEVEL).height
        lines = [
            f"{hits.height} of {rows.height} pairs of a gene and a phenotype have a false "
            f"discovery rate of at most {_LEVEL:g} over all layers; in {two} of them at least two "
            "layers hold an effect by themselves."
        ]
        for row in hits.head(5).iter_rows(named=True):
            lines.append(
                f"{row['gene']} and {row['phenotype']}: p = {power_of_ten(row['log10p'])}, "
                f"q = {row['q_bh']:.2g}; {row['agreement']}."
            )
        if hits.height > 5:
            lines.append(f"{hits.height - 5} more pairs are in the table.")
        return tuple(lines)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        return (
            f"Each phenotype was tested against the layers {joined(p['layers'])} of each gene "
            f"{_adjusted(p['covariates'])}. The p-values of a gene's layers were combined by "
            f"{_TEXT[p['method']]}, and corrected by Benjamini-Hochberg over all pairs of genes "
            f"and phenotypes with at least {p['min_layers']} layers. That at least two layers "
            "hold an effect was tested by the partial conjunction of Benjamini and Heller, which "
            "is valid under any dependence. A layer agrees where its effect has the sign that the "
            "strongest layer lets expect (methylation opposite to expression; mutations without "
            "an expected sign), and counts as silent where its own p is above 0.05."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the strongest pairs by layer and return the matplotlib Axes.

        Parameters
        ----------
        kind : {"heatmap"}
            Signed -log10 p of each layer and of the combination (without sign).
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
        if kind != "heatmap":
            return super().plot(kind, ax=ax)
        from radgen.plot import heatmap

        rows = self.frame.drop_nulls("log10p").sort("log10p", "gene").head(_HEATMAP_ROWS)
        z = rows.select(f"z_{name}" for name in self.layers).to_numpy().astype(np.float64)
        joint = -rows["log10p"].to_numpy()
        return heatmap(
            z,
            row_names=[
                f"{gene} - {trait} (p = {power_of_ten(-height)})"
                for (gene, trait), height in zip(
                    rows.select("gene", "phenotype").iter_rows(), joint, strict=True
                )
            ],
            column_names=[name.replace("_", " ") for name in self.layers],
            marks=np.abs(z) >= 1.96,
            label="z of the layer",
            ax=ax,
        )


_TEXT = {
    "joint": "the joint chi-square of their z-values with the correlation of the layers",
    "brown": "Brown's method with the correlation of the layers among the samples",
    "empirical_brown": "the empirical Brown's method with the layers' own distributions, both "
    "tails counted",
    "cauchy": "the Cauchy combination, valid under dependence",
    "harmonic": "the harmonic mean p-value",
    "fisher": "Fisher's method, which takes layers as independent",
    "stouffer": "the sum of their z-values, turned to the expected direction and scaled by the "
    "correlation of the layers",
}


def evidence(
    phenotypes: PhenotypeTable,
    layers: Sequence[OmicsTable],
    covariates: Covariates | None = None,
    *,
    method: str = "cauchy",
    expected: Mapping[str, int] | None = None,
    min_layers: int = 2,
    result: AssociationResult | None = None,
    **options: Any,
) -> EvidenceResult:
    """Return the evidence of each gene for each phenotype over several molecular layers.

    Parameters
    ----------
    phenotypes : PhenotypeTable
        Image phenotypes.
    layers : sequence of OmicsTable
        Two or more, each of another layer, with genes named alike (`radgen.io.gene_names`,
        `radgen.omics.methylation.gene_methylation`); genes and samples may differ.
    covariates : Covariates or None
        Adjusted for, in the tests and in the correlation of the layers.
    method : {"cauchy", "harmonic", "joint", "brown", "empirical_brown", "stouffer", "fisher"}
        "cauchy" and "harmonic" keep their level under any correlation in the tail; "joint" is the
        test of all layers' z-values with their correlation, exact for normal ones. "brown" is
        stronger where several layers hold moderate effects, but far out its p is too small (at
        1e-3 about twice, with four correlated layers). "stouffer" is strongest where layers act
        in the `expected` direction, and blind where they oppose. "fisher" takes layers as
        independent, which they are not in the same samples.
    expected : mapping of str to {-1, 0, 1} or None
        Direction of layers; None = `EXPECTED`. 0 is not compared, and no part of "stouffer".
    min_layers : int, default 2
        Genes with fewer tested layers are listed without a combined p.
    result : AssociationResult or None
        The scan of just these tables, where done already.
    **options
        As `radgen.associate.scan` takes them (test, transform, min_n …).

    Returns
    -------
    EvidenceResult
        Sorted by p.

    Raises
    ------
    InputError
        If there are fewer than two layers, two of one layer, no shared gene, or the scan lacks
        pairs because it was written to a file.
    AlignmentError
        If samples do not overlap.
    """
    require_choice(method, METHODS, what="method of combination")
    names = [table.layer for table in layers]
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"Two or more layers are needed, each another; given: {shown(names)}.")
    for key in {"by", "modifier", "clusters", "out"} & set(options):
        raise InputError(f"{key} is no option of evidence: it combines one test a layer.")
    if result is None:
        result = scan(phenotypes, layers, covariates, **options)
    if result.frame.height < result.summary["n_pairs"]:
        raise InputError("This scan was written to a file and lacks pairs here; leave it out.")
    sign = dict.fromkeys(names, 1) | EXPECTED | dict(expected or {})
    turn = np.array([sign[name] for name in names], dtype=np.float64)
    if not set(turn) <= {-1.0, 0.0, 1.0}:
        raise InputError("Expected directions are -1, 0 or 1.")
    genes, traits, log10p, z = cube(result.frame, names)
    if not len(genes):
        raise InputError("No gene was tested in two layers: are genes named alike in all?")
    ranked = bool(set(result.params.get("tests_used", ())) & set(_RANKED))
    matrix = None
    if method in _MATRIX_TESTS:
        matrix = dependence(genes, layers, phenotypes.samples, covariates, method, ranked=ranked)
    joint = combined(log10p, z, matrix, turn, method)
    n_layers = np.isfinite(log10p).sum(axis=2)
    joint = np.where(n_layers >= min_layers, joint, np.nan)
    frame = evidence_frame(genes, traits, names, z, log10p, joint, turn)
    params = {
        "layers": names, "method": method, "expected": {n: int(sign[n]) for n in names},
        "min_layers": min_layers, "covariates": list(result.params.get("covariates", ())),
        "tests_used": list(result.params.get("tests_used", ())),
        "n_genes": len(genes), "n_phenotypes": len(traits),
    }  # fmt: skip
    return EvidenceResult(frame, params, result.n_used, dropped=result.dropped)


def _adjusted(names: Sequence[str]) -> str:
    return f"adjusted for {', '.join(names)}" if names else "without covariates"
