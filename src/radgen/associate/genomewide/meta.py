"""Pool scans of several cohorts, variant by variant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from radgen._core.blocks import block_ranges
from radgen._core.naming import require_choice
from radgen.associate.genomewide.result import GENOME_WIDE
from radgen.errors import InputError, shown
from radgen.io._variants import human_chromosomes
from radgen.stats.meta_rows import pool_rows
from radgen.stats.tail import from_log10p, normal_log10p
from radgen.types import FrameLike, Result, to_polars

__all__ = ["MetaResult", "meta_gwas"]

_KEY = ["phenotype", "chrom", "pos", "first", "second"]
_NEEDED = ("chrom", "pos", "ref", "alt", "beta", "se", "n")
_COLUMNS = (
    "phenotype", "chrom", "pos", "id", "ref", "alt", "n_studies", "n", "alt_freq", "freq_spread",
    "direction", "beta", "se", "ci_low", "ci_high", "z", "log10p", "p", "q", "q_log10p", "i2",
    "tau2",
)  # fmt: skip
_COMPLEMENT = {"A": "T", "T": "A", "C": "G", "G": "C"}
_MEDIAN_CHI2 = 0.454936423119572
_CHUNK = 500_000


@dataclass(frozen=True, eq=False)
class MetaResult(Result):
    """A pooled scan.

    Attributes
    ----------
    frame : polars.DataFrame
        phenotype, chrom, pos, id, ref, alt, n_studies, n, alt_freq, freq_spread (largest minus
        smallest frequency: above 0.2 an allele may be turned), direction (one sign a cohort, ?
        where it has none), beta, se, ci_low, ci_high, z, log10p, p, q, q_log10p, i2, tau2; beta
        per ALT allele as the first cohort has it. For the sample-size weighted method beta, se,
        the limits and the heterogeneity columns are null.
    """

    kind: ClassVar[str] = "gwas_meta"
    plots: ClassVar[tuple[str, ...]] = (
        "manhattan", "qq", "stacked", "miami", "regional", "forest", "heatmap", "phewas"
    )  # fmt: skip

    def plot(self, kind: str, *, ax: Any = None, **options: Any) -> Any:
        """Draw one of `plots` and return the matplotlib Axes; options as for `GwasResult.plot`.

        Raises
        ------
        InputError
            If this result has no such plot, or the plot no such option.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen.associate.genomewide import plot

        return plot.draw(kind, self.frame.with_columns(t=pl.col("z")), ax=ax, options=options)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        hits = self.frame.filter(pl.col("log10p") <= np.log10(GENOME_WIDE)).sort("log10p")
        words = [
            f"{self.frame.height:,} tests were pooled over {self.params['n_studies']} cohorts; "
            f"{hits.height} reached p < 5e-8."
        ]
        words += [
            f"{row['id']} and {row['phenotype']}: log10 p = {row['log10p']:.1f} in "
            f"{row['n_studies']} cohorts ({row['direction']})."
            for row in hits.head(3).iter_rows(named=True)
        ]
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        how = {
            "fixed": "inverse-variance weights (fixed effect)",
            "DL": "random effects (DerSimonian-Laird)",
            "REML": "random effects (restricted maximum likelihood)",
            "sample_size": "sample-size weighted z statistics",
        }[self.params["method"]]
        text = f"Scans of {self.params['n_studies']} cohorts were pooled with {how}."
        if self.params["hartung"]:
            text += " Standard errors and t-tests are those of Hartung, Knapp, Sidik and Jonkman."
        if self.params["genomic_control"]:
            text += (
                " Standard errors of each cohort and trait were inflated by their genomic control "
                "factor."
            )
        return text


def meta_gwas(
    studies: Mapping[str, FrameLike],
    *,
    method: Literal["fixed", "DL", "REML", "sample_size"] = "fixed",
    hartung: bool = False,
    genomic_control: bool = False,
    strands: bool = False,
    min_studies: int = 1,
) -> MetaResult:
    """Return the pooled effect of each variant and trait.

    Parameters
    ----------
    studies : mapping of str to data frame
        For each cohort the columns of a `gwas` table (chrom, pos, ref, alt, beta, se, n; alt_freq
        and id where known, phenotype where there are several). Variants are matched by position
        and alleles; an exchange of REF and ALT turns the sign of beta.
    method : {"fixed", "DL", "REML", "sample_size"}
        Inverse-variance weights, random effects by DerSimonian-Laird or restricted maximum
        likelihood, or z weighted by sqrt(n).
    hartung : bool, default False
        Hartung-Knapp-Sidik-Jonkman standard errors and t-tests; for "DL" and "REML".
    genomic_control : bool, default False
        Multiply each cohort's se by the square root of its inflation factor, where above 1, trait
        by trait.
    strands : bool, default False
        Match a variant also where a cohort names the complementary bases; palindromic variants
        (A/T, C/G) cannot be told apart then and are left out, and counted.
    min_studies : int, default 1
        Fewest cohorts that a variant must stand in.

    Returns
    -------
    MetaResult

    Raises
    ------
    InputError
        If there are fewer than two cohorts, columns are missing, an option does not fit, or a
        cohort holds a variant twice for a trait.

    References
    ----------
    Willer, Li & Abecasis (2010), doi:10.1093/bioinformatics/btq340; DerSimonian & Laird (1986),
    doi:10.1016/0197-2456(86)90046-2; Knapp & Hartung (2003), doi:10.1002/sim.1482.
    """
    require_choice(method, ("fixed", "DL", "REML", "sample_size"), what="method")
    if len(studies) < 2:
        raise InputError("A meta-analysis needs at least two cohorts.")
    if hartung and method not in ("DL", "REML"):
        raise InputError("hartung goes with random effects: method='DL' or 'REML'.")
    notes: list[str] = []
    parts = []
    for number, (name, table) in enumerate(studies.items()):
        part, lost = _cohort(name, table, genomic_control, strands)
        parts.append(part.with_columns(pl.lit(number).alias("cohort")))
        if lost:
            notes.append(f"{name}: {lost:,} palindromic variants were left out.")
    together = pl.concat(parts)
    base = (
        together.group_by(_KEY, maintain_order=True)
        .agg(
            pl.col("id", "ref", "alt", "turn").first(),
            pl.len().alias("n_studies"),
            pl.col("n").sum().round().cast(pl.Int64),
            (pl.col("f") * pl.col("n")).sum() / pl.col("n").sum(),
            (pl.col("f").max() - pl.col("f").min()).alias("freq_spread"),
        )
        .filter(pl.col("n_studies") >= min_studies)
        .with_row_index("row")
    )
    together = together.join(base.select(*_KEY, "row"), on=_KEY).sort("row", maintain_order=True)
    how = (len(studies), method, hartung)
    spans = list(block_ranges(base.height, _CHUNK)) or [(0, 0)]
    frame = pl.concat([_pooled(base, together, how, span) for span in spans])
    turned = pl.col("turn") < 0
    frame = frame.with_columns(
        pl.when(turned).then(1.0 - pl.col("f")).otherwise(pl.col("f")).alias("alt_freq")
    ).select(*_COLUMNS)
    if frame.height and frame["n_studies"].max() == 1:
        notes.append(
            "No test stands in two cohorts, so that nothing was pooled: are traits named alike, "
            "and positions of one genome build?"
        )
    params = {
        "method": method,
        "hartung": hartung,
        "genomic_control": genomic_control,
        "strands": strands,
        "n_studies": len(studies),
        "studies": tuple(studies),
        "min_studies": min_studies,
    }
    n_used = int(frame["n"].max() or 0)  # type: ignore[arg-type]
    return MetaResult(frame, params, n_used, warnings=tuple(notes))


def _cohort(
    name: str, table: FrameLike, genomic_control: bool, strands: bool
) -> tuple[pl.DataFrame, int]:
    """Return effects per copy of the allele that is later in the alphabet, in every cohort."""
    frame = to_polars(table, what=f"table of cohort {name!r}")
    missing = [column for column in _NEEDED if column not in frame.columns]
    if missing:
        raise InputError(f"The table of cohort {name!r} lacks the columns {shown(missing)}.")
    if "phenotype" not in frame.columns:
        frame = frame.with_columns(pl.lit("").alias("phenotype"))
    if "id" not in frame.columns:
        frame = frame.with_columns(pl.format("{}:{}", "chrom", "pos").alias("id"))
    if "alt_freq" not in frame.columns:
        frame = frame.with_columns(pl.lit(None, pl.Float64).alias("alt_freq"))
    frame = frame.with_columns(
        human_chromosomes(pl.Series("chrom", frame["chrom"].cast(pl.String))),
        pl.col("pos").cast(pl.Int64),
        pl.col("id", "phenotype").cast(pl.String),
        pl.col("ref", "alt").str.to_uppercase(),
        pl.col("beta", "se", "n", "alt_freq").cast(pl.Float64),
    ).filter(pl.col("beta").is_finite() & pl.col("se").is_finite() & (pl.col("se") > 0))
    lost = 0
    first, second = pl.col("ref"), pl.col("alt")
    if strands:
        frame = frame.with_columns(
            first.replace(_COMPLEMENT).alias("ref_c"), second.replace(_COMPLEMENT).alias("alt_c")
        )
        palindromic = pl.col("ref_c") == second
        lost = frame.filter(palindromic).height
        frame = frame.filter(~palindromic)
        # Of both strands the one whose alleles come first in the alphabet names the variant.
        other = pl.min_horizontal("ref_c", "alt_c") < pl.min_horizontal("ref", "alt")
        first = pl.when(other).then("ref_c").otherwise("ref")
        second = pl.when(other).then("alt_c").otherwise("alt")
    frame = frame.with_columns(
        pl.min_horizontal(first, second).alias("first"),
        pl.max_horizontal(first, second).alias("second"),
        pl.when(second >= first).then(1.0).otherwise(-1.0).alias("turn"),
    )
    if frame.select(_KEY).is_duplicated().any():
        raise InputError(f"Cohort {name!r} holds a variant twice for the same trait.")
    if genomic_control:
        inflation = (pl.col("beta") / pl.col("se")).pow(2).median() / _MEDIAN_CHI2
        factor = inflation.over("phenotype").clip(1.0).sqrt()
        frame = frame.with_columns(pl.col("se") * factor)
    turn = pl.col("turn")
    frequency = pl.when(turn > 0).then("alt_freq").otherwise(1.0 - pl.col("alt_freq")).alias("f")
    return (
        frame.select(
            *_KEY, "id", "ref", "alt", "turn", "se", "n", (pl.col("beta") * turn).alias("b"),
            frequency,
        ),
        lost,
    )  # fmt: skip


def _pooled(
    base: pl.DataFrame,
    together: pl.DataFrame,
    how: tuple[int, str, bool],
    span: tuple[int, int],
) -> pl.DataFrame:
    """Return the pooled columns of some rows."""
    n_cohorts, method, hartung = how
    low, high = span
    part = together.filter((pl.col("row") >= low) & (pl.col("row") < high))
    rows = base[low:high]
    place = (part["row"].to_numpy().astype(np.int64) - low, part["cohort"].to_numpy())
    b, se, n = (np.full((high - low, n_cohorts), np.nan) for _ in range(3))
    for target, name in ((b, "b"), (se, "se"), (n, "n")):
        target[place] = part[name].to_numpy()
    turn = rows["turn"].to_numpy().astype(np.float64)
    signs = np.where(np.isnan(b), "?", np.where(b * turn[:, None] > 0, "+", "-"))
    direction = ["".join(row) for row in signs]
    none = np.full(high - low, np.nan)
    if method == "sample_size":
        root = np.sqrt(n)
        z = np.nansum(b / se * root, axis=1) / np.sqrt(np.nansum(n, axis=1)) * turn
        log10p = normal_log10p(z)
        fields = dict.fromkeys(("beta", "se", "ci_low", "ci_high"), none) | {"z": z}
        fields |= {"log10p": log10p} | dict.fromkeys(("q", "q_log10p", "i2", "tau2"), none)
    else:
        found = pool_rows(b, np.square(se), method=method, hartung=hartung)  # type: ignore[arg-type]
        limits = np.sort(np.stack([found.ci_low * turn, found.ci_high * turn]), axis=0)
        fields = {
            "beta": found.effect * turn, "se": found.se, "ci_low": limits[0],
            "ci_high": limits[1], "z": found.statistic * turn, "log10p": found.log10p,
            "q": found.q, "q_log10p": found.q_log10p, "i2": found.i2,
            "tau2": np.where(found.converged, found.tau2, np.nan),
        }  # fmt: skip
    fields["p"] = from_log10p(fields["log10p"])
    return rows.with_columns(
        pl.Series("direction", direction, dtype=pl.String),
        *(pl.Series(name, item, dtype=pl.Float64).fill_nan(None) for name, item in fields.items()),
    )
