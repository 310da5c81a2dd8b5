"""The result of a genome-wide scan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import counted
from radgen.associate.genomewide._rows import bin_edges
from radgen.associate.genomewide.levels import CANDIDATES, GENOME_WIDE, level_of, level_rule
from radgen.types import GenotypeMatrix, Result

__all__ = ["GENOME_WIDE", "GwasResult", "median_inflation"]


_TESTS = {
    "lmm": "The ratio of the variances was fitted by REML anew for each variant, with Wald tests.",
    "t": "Degrees of freedom follow from the numerical rank of the design.",
    "hybrid": "Wald tests were used; where maximum likelihood did not converge, Firth's penalised "
    "likelihood was.",
    "firth": "Firth's penalised likelihood was used throughout, with Wald tests.",
    "approx-firth": "Score tests were used, below p = 0.05 Firth's penalised likelihood ratio "
    "with the covariates' part held.",
    "wald": "Wald tests were used.",
    "score": "Score tests were used, below p = 0.05 with the saddle-point approximation.",
}
_MODELS = {
    "lmm": "the linear mixed model with the relationship matrix as a random effect",
    "linear": "linear regression (ordinary least squares, exact t-tests)",
    "logistic": "logistic regression",
    "ordinal": "proportional-odds regression",
    "cox": "Cox proportional hazards regression (Efron's ties)",
}


def median_inflation(counts: NDArray[np.int64], df: float) -> float:
    """Return the genomic inflation factor of squared t statistics counted by `bin_edges`.

    Parameters
    ----------
    counts : ndarray of int64 (n_bins,)
        Number of tests in each bin.
    df : float
        Residual degrees of freedom of the t statistics; infinity for chi-square ones.

    Returns
    -------
    float
        Median chi-square (1 df) of the same p, over 0.4549; NaN without tests.
    """
    from scipy import special

    total = counts.sum()
    if not total:
        return float("nan")
    edges = bin_edges()
    below = np.concatenate([[0], np.cumsum(counts)])
    at = int(np.searchsorted(below, total / 2.0, side="left")) - 1
    at = max(at, 0)
    share = (total / 2.0 - below[at]) / max(counts[at], 1)
    median = edges[at] + share * (edges[at + 1] - edges[at])
    if np.isfinite(df):
        upper = special.stdtr(df, -np.sqrt(median))
        median = float(np.square(special.ndtri(upper)))
    return float(median / np.square(special.ndtri(0.25)))


def _empty() -> pl.DataFrame:
    return pl.DataFrame()


@dataclass(frozen=True, eq=False)
class GwasResult(Result):
    """Tests of variants against traits.

    Attributes
    ----------
    frame : polars.DataFrame
        Columns phenotype, chrom, pos, id, ref, alt, n, alt_freq, beta, se, t, log10p, p, in
        the order of the variants, then of the traits. beta is per ALT allele, log10p is
        log10(p), which does not underflow. Where the scan was streamed to a file, rows with
        p <= 1e-5 only.
    summary : polars.DataFrame
        A row a trait: phenotype, n, df, n_tests, n_genome_wide, n_corrected, lambda_gc,
        lead_id, lead_chrom, lead_pos, lead_log10p.
    qq : polars.DataFrame
        Columns phenotype, log10p, count: number of tests by log10 p, all tests counted, in
        steps fine enough for a QQ plot.
    linkage : polars.DataFrame
        lead, id, r2: linkage of the variants around the strongest leads, for regional plots;
        empty unless `with_linkage` found it.
    places : polars.DataFrame
        chrom, start, end, name of genes, for pictures; empty unless `with_genes` gave them.
    """

    kind: ClassVar[str] = "gwas"
    version: ClassVar[int] = 1
    plots: ClassVar[tuple[str, ...]] = (
        "manhattan", "qq", "stacked", "miami", "regional", "forest", "heatmap", "phewas"
    )  # fmt: skip

    summary: pl.DataFrame = field(default_factory=_empty)
    qq: pl.DataFrame = field(default_factory=_empty)
    linkage: pl.DataFrame = field(default_factory=_empty)
    places: pl.DataFrame = field(default_factory=_empty)

    def with_linkage(self, genotypes: GenotypeMatrix, *, at_most: int = 6) -> GwasResult:
        """Return the result with the linkage around its strongest leads.

        Parameters
        ----------
        genotypes : GenotypeMatrix
            The people of the scan.
        at_most : int, default 6
            How many leads, of p at most 5e-8; the strongest variant where none is.
        """
        from radgen.associate.genomewide.plot import lead_linkage

        found = lead_linkage(self.frame, genotypes, threshold=GENOME_WIDE, at_most=at_most)
        return replace(self, linkage=found)

    def with_genes(self, genes: pl.DataFrame | None) -> GwasResult:
        """Return the result with the places of genes, which pictures then name loci by.

        Parameters
        ----------
        genes : polars.DataFrame or None
            As `radgen.io.read_genes` returns; those on the chromosomes of the scan are kept.
            None changes nothing.
        """
        if genes is None:
            return self
        chroms = self.frame["chrom"].unique().str.strip_prefix("chr")
        kept = genes.filter(pl.col("chrom").is_in(chroms.implode()))
        return replace(self, places=kept)

    def hits(self, p: float = GENOME_WIDE) -> pl.DataFrame:
        """Return the tests with p at or below `p`, the smallest first."""
        return self.frame.filter(pl.col("log10p") <= np.log10(p)).sort("log10p")

    def plot(self, kind: str, *, ax: Any = None, **options: Any) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "manhattan" (several traits over each other), "qq", "stacked" (a track a trait),
            "miami" (two traits mirrored), "regional" (around a lead), "forest", "heatmap" (traits
            by loci) or "phewas" (one variant over all traits).
        ax : matplotlib Axes or None
            Where to draw; None = a new figure.
        **options : object
            traits, threshold; lead, window_bp, genotypes (for LD) and genes (GTF, GFF3 or BED)
            of "regional"; lead of "forest" and "phewas"; groups (trait to group) of "phewas".

        Raises
        ------
        InputError
            If this result has no such plot, or the plot no such option.
        """
        from radgen.associate.genomewide import plot

        if kind == "regional" and self.linkage.height:
            options = {"linkage": self.linkage} | options
        if self.places.height and plot.takes(kind, "genes"):
            options = {"genes": self.places} | options
        if self.params["n_variants"] < CANDIDATES and plot.takes(kind, "threshold"):
            options = {"threshold": level_of(self.params["n_variants"], 1)} | options
        return plot.draw(
            kind, self.frame, ax=ax, options=options, qq_counts=self.qq, summary=self.summary
        )

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        p = self.params
        n_traits = self.summary.height
        limit, rule = level_rule(p, n_traits)
        tests = int(self.summary["n_tests"].sum()) if n_traits else 0
        words = [
            f"{p['n_variants']:,} variants were tested against {counted(n_traits, 'trait')} in "
            f"{self.n_used:,} people ({tests:,} tests)."
        ]
        found = self.summary.filter(pl.col("n_corrected") > 0)
        if not found.height:
            lead = self.summary.filter(pl.col("lead_log10p").is_not_null()).sort("lead_log10p")
            words.append(
                f"No association reached p < {limit:.2g} ({rule})"
                + (
                    f"; the smallest p was {_power(lead['lead_log10p'][0])}."
                    if lead.height
                    else "."
                )
            )
        for row in found.sort("lead_log10p").head(5).iter_rows(named=True):
            words.append(
                f"{row['phenotype']}: {row['n_corrected']} variant"
                f"{'s' if row['n_corrected'] != 1 else ''} at p < {limit:.2g} ({rule}); lead "
                f"{row['lead_id']}{_place(row['lead_chrom'], row['lead_pos'])}, "
                f"p = {_power(row['lead_log10p'])}."
            )
        inflation = self.summary["lambda_gc"].drop_nulls().drop_nans()
        if len(inflation) and p["n_variants"] >= CANDIDATES:
            low, high = inflation.min(), inflation.max()
            words.append(f"Genomic inflation lambda was {_range(float(low), float(high))}.")  # type: ignore[arg-type]
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        names = p.get("covariates") or ()
        beside = f"{len(names)} covariates ({', '.join(names)})" if names else "an intercept alone"
        text = [
            f"Each of {p['n_variants']:,} variants was tested with {_MODELS[p['model']]} "
            f"as the number of ALT alleles, adjusted for {beside}.",
            _TESTS[p["test"]],
            "Missing calls were taken at the mean, missing trait values dropped trait by trait."
            if p["model"] == "lmm"
            else "Missing calls were "
            "dropped variant by variant and missing trait values trait by trait; nothing was "
            "imputed.",
        ]
        if p.get("interaction"):
            spread = " with sandwich covariances" if p.get("robust") else ""
            text.insert(
                1,
                f"The product of the dosage with {p['interaction']} was tested beside both"
                f"{spread}; the joint test of variant and product has two degrees of freedom.",
            )
        if p.get("screened"):
            text.append(
                "All tests were screened in single precision; those that could reach "
                f"p <= {p['threshold']:g} were computed again in double precision."
            )
        if p.get("x_coding"):
            text.append(
                "On chromosome X outside the pseudo-autosomal regions a man's ALT allele counted "
                f"{p['x_coding']}, and sex was a covariate."
            )
        if p.get("loco"):
            text.append("Leave-one-chromosome-out predictions entered as offsets.")
        return " ".join(text)


def _place(chrom: str, pos: int) -> str:
    return "" if chrom == "0" else f" (chr{chrom}:{pos})"


def summarise(
    names: tuple[str, ...],
    hist: NDArray[np.int64],
    frame: pl.DataFrame,
    best: pl.DataFrame,
    *,
    n: NDArray[np.int64],
    df: NDArray[np.float64],
    n_variants: int,
    kept: float | None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the summary and the QQ counts of a scan."""
    from radgen.stats.tail import t_log10p

    limit = level_of(n_variants, len(names), kept)
    counts = frame.group_by("phenotype").agg(
        (pl.col("log10p") <= np.log10(GENOME_WIDE)).sum().alias("n_genome_wide"),
        (pl.col("log10p") <= np.log10(limit)).sum().alias("n_corrected"),
    )
    base = pl.DataFrame(
        {
            "phenotype": list(names),
            "n": n,
            "df": df,
            "n_tests": hist.sum(axis=1),
            "lambda_gc": [median_inflation(row, dof) for row, dof in zip(hist, df, strict=True)],
        }
    )
    if best.height:
        lead = best.sort("log10p", maintain_order=True).group_by("phenotype").first()
    else:
        lead = frame.clear()
    lead = lead.select(
        "phenotype",
        pl.col("id").alias("lead_id"),
        pl.col("chrom").alias("lead_chrom"),
        pl.col("pos").alias("lead_pos"),
        pl.col("log10p").alias("lead_log10p"),
    )
    summary = (
        base.join(counts, on="phenotype", how="left", maintain_order="left")
        .join(lead, on="phenotype", how="left", maintain_order="left")
        .with_columns(pl.col("n_genome_wide", "n_corrected").fill_null(0).cast(pl.Int64))
    )
    trait, where = np.nonzero(hist)
    edges = bin_edges()
    middle = 0.5 * (edges[where] + edges[where + 1])
    qq = pl.DataFrame(
        {
            "phenotype": [names[i] for i in trait],
            "log10p": t_log10p(np.sqrt(middle), df[trait]),
            "count": hist[trait, where],
        },
        schema={"phenotype": pl.String, "log10p": pl.Float64, "count": pl.Int64},
    )
    return summary, qq


def _power(log10p: float) -> str:
    if log10p > -300:
        return f"{10**log10p:.2g}"
    whole = int(np.floor(log10p))
    return f"{10 ** (log10p - whole):.1f}e{whole}"


def _range(low: float, high: float) -> str:
    return f"{low:.3f}" if high - low < 5e-4 else f"{low:.3f} to {high:.3f}"
