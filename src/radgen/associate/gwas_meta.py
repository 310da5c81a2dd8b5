"""Pool scans of several cohorts, variant by variant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from radgen._core.naming import require_choice
from radgen.associate.gwas_result import GENOME_WIDE
from radgen.errors import InputError, shown
from radgen.stats.tail import chi2_log10p, normal_log10p
from radgen.types import FrameLike, Result, to_polars

__all__ = ["MetaResult", "meta_gwas"]

_KEY = ["phenotype", "chrom", "pos", "first", "second"]
_NEEDED = ("chrom", "pos", "ref", "alt", "beta", "se", "n")


@dataclass(frozen=True, eq=False)
class MetaResult(Result):
    """A pooled scan.

    Attributes
    ----------
    frame : polars.DataFrame
        phenotype, chrom, pos, id, ref, alt, n_studies, n, beta, se, z, log10p, p, q, q_log10p,
        i2, tau2; beta per ALT allele as the first cohort has it. For the sample-size weighted
        method beta, se and the heterogeneity columns are null.
    """

    kind: ClassVar[str] = "gwas_meta"

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        hits = self.frame.filter(pl.col("log10p") <= np.log10(GENOME_WIDE)).sort("log10p")
        words = [
            f"{self.frame.height:,} tests were pooled over {self.params['n_studies']} cohorts; "
            f"{hits.height} reached p < 5e-8."
        ]
        words += [
            f"{row['id']} and {row['phenotype']}: log10 p = {row['log10p']:.1f} in "
            f"{row['n_studies']} cohorts."
            for row in hits.head(3).iter_rows(named=True)
        ]
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        how = {
            "fixed": "inverse-variance weights (fixed effect)",
            "DL": "random effects (DerSimonian-Laird)",
            "sample_size": "sample-size weighted z statistics",
        }[self.params["method"]]
        text = f"Scans of {self.params['n_studies']} cohorts were pooled with {how}."
        if self.params["genomic_control"]:
            text += " Standard errors of each cohort were inflated by its genomic control factor."
        return text


def meta_gwas(
    studies: Mapping[str, FrameLike],
    *,
    method: Literal["fixed", "DL", "sample_size"] = "fixed",
    genomic_control: bool = False,
    min_studies: int = 1,
) -> MetaResult:
    """Return the pooled effect of each variant and trait.

    Parameters
    ----------
    studies : mapping of str to data frame
        For each cohort the columns of a `gwas` table (chrom, pos, ref, alt, beta, se, n; id and
        phenotype where there are several). Variants are matched by position and alleles; an
        exchange of REF and ALT turns the sign of beta.
    method : {"fixed", "DL", "sample_size"}
        Inverse-variance weights, DerSimonian-Laird random effects, or z weighted by sqrt(n).
    genomic_control : bool, default False
        Multiply each cohort's se by the square root of its inflation factor, where above 1.
    min_studies : int, default 1
        Fewest cohorts that a variant must stand in.

    Returns
    -------
    MetaResult

    Raises
    ------
    InputError
        If there are fewer than two cohorts, columns are missing, or a cohort holds a variant
        twice for a trait.

    References
    ----------
    Willer, Li & Abecasis (2010), doi:10.1093/bioinformatics/btq340; DerSimonian & Laird (1986),
    doi:10.1016/0197-2456(86)90046-2.
    """
    require_choice(method, ("fixed", "DL", "sample_size"), what="method")
    if len(studies) < 2:
        raise InputError("A meta-analysis needs at least two cohorts.")
    parts = [_cohort(name, table, genomic_control) for name, table in studies.items()]
    together = pl.concat(parts)
    pooled = _pool(together).filter(pl.col("n_studies") >= min_studies)
    if method == "DL":
        pooled = _random(together, pooled)
    turned = pooled["ref"] != pooled["first"]
    sign = np.where(turned.to_numpy(), -1.0, 1.0)
    if method == "sample_size":
        z, beta, se = pooled["z_n"].to_numpy() * sign, None, None
    else:
        beta, se = pooled["beta"].to_numpy() * sign, pooled["se"].to_numpy()
        z = beta / se
    log10p = normal_log10p(z)
    q, k = pooled["q"].to_numpy(), pooled["n_studies"].to_numpy()
    fields: dict[str, Any] = {"beta": beta, "se": se, "z": z, "log10p": log10p}
    with np.errstate(under="ignore", invalid="ignore", divide="ignore"):
        fields |= {"p": np.power(10.0, log10p), "q": q}
        fields |= {"q_log10p": np.where(k > 1, chi2_log10p(q, np.maximum(k - 1.0, 1.0)), np.nan)}
        fields |= {"i2": np.where(q > 0, np.maximum(100.0 * (q - k + 1.0) / q, 0.0), 0.0)}
    fields["tau2"] = pooled["tau2"].to_numpy() if method == "DL" else np.zeros(len(k))
    if method == "sample_size":
        fields |= dict.fromkeys(("q", "q_log10p", "i2", "tau2"))
    frame = pooled.select(
        "phenotype", "chrom", "pos", "id", "ref", "alt", "n_studies", "n"
    ).with_columns(
        *(
            pl.lit(None, pl.Float64).alias(name)
            if item is None
            else pl.Series(name, item, dtype=pl.Float64)
            for name, item in fields.items()
        )
    )
    params = {
        "method": method,
        "genomic_control": genomic_control,
        "n_studies": len(studies),
        "studies": tuple(studies),
        "min_studies": min_studies,
    }
    return MetaResult(frame, params, int(pooled["n"].max() or 0))  # type: ignore[arg-type]


def _cohort(name: str, table: FrameLike, genomic_control: bool) -> pl.DataFrame:
    frame = to_polars(table, what=f"table of cohort {name!r}")
    missing = [column for column in _NEEDED if column not in frame.columns]
    if missing:
        raise InputError(f"The table of cohort {name!r} lacks the columns {shown(missing)}.")
    if "phenotype" not in frame.columns:
        frame = frame.with_columns(pl.lit("").alias("phenotype"))
    if "id" not in frame.columns:
        frame = frame.with_columns(pl.format("{}:{}", "chrom", "pos").alias("id"))
    frame = frame.with_columns(
        pl.col("chrom").cast(pl.String),
        pl.col("beta", "se", "n").cast(pl.Float64),
        pl.min_horizontal("ref", "alt").alias("first"),
        pl.max_horizontal("ref", "alt").alias("second"),
    ).filter(pl.col("beta").is_finite() & pl.col("se").is_finite() & (pl.col("se") > 0))
    if frame.select(_KEY).is_duplicated().any():
        raise InputError(f"Cohort {name!r} holds a variant twice for the same trait.")
    if genomic_control:
        from radgen.stats.meta import genomic_control as inflation

        chi2 = np.square((frame["beta"] / frame["se"]).to_numpy())
        factor = max(float(inflation(chi2)), 1.0)
        frame = frame.with_columns(pl.col("se") * np.sqrt(factor))
    # Effects are per copy of the allele that is later in the alphabet, in every cohort.
    sign = pl.when(pl.col("alt") == pl.col("second")).then(1.0).otherwise(-1.0)
    return frame.select(*_KEY, "id", "ref", "alt", "se", "n", (pl.col("beta") * sign).alias("b"))


def _pool(together: pl.DataFrame) -> pl.DataFrame:
    w = 1.0 / pl.col("se").pow(2)
    return (
        together.group_by(_KEY, maintain_order=True)
        .agg(
            pl.col("id").first(),
            pl.col("ref").first(),
            pl.col("alt").first(),
            pl.len().alias("n_studies"),
            pl.col("n").sum().round().cast(pl.Int64),
            w.sum().alias("w"),
            (w * w).sum().alias("w2"),
            (w * pl.col("b")).sum().alias("wb"),
            # Q about the mean, and not as a difference of large sums
            (w * (pl.col("b") - (w * pl.col("b")).sum() / w.sum()).pow(2)).sum().alias("q"),
            (
                (pl.col("b") / pl.col("se") * pl.col("n").sqrt()).sum() / pl.col("n").sum().sqrt()
            ).alias("z_n"),
        )
        .with_columns(
            (pl.col("wb") / pl.col("w")).alias("beta"), (1.0 / pl.col("w").sqrt()).alias("se")
        )
    )


def _random(together: pl.DataFrame, pooled: pl.DataFrame) -> pl.DataFrame:
    spread = pl.col("w") - pl.col("w2") / pl.col("w")
    excess = pl.col("q") - (pl.col("n_studies").cast(pl.Float64) - 1.0)
    tau2 = pl.when(pl.col("n_studies") > 1).then((excess / spread).clip(0.0)).otherwise(0.0)
    pooled = pooled.with_columns(tau2.alias("tau2"))
    w = 1.0 / (pl.col("se").pow(2) + pl.col("tau2"))
    again = (
        together.join(pooled.select(*_KEY, "tau2"), on=_KEY, maintain_order="left")
        .group_by(_KEY, maintain_order=True)
        .agg(((w * pl.col("b")).sum() / w.sum()).alias("beta"), (1.0 / w.sum().sqrt()).alias("se"))
    )
    return pooled.drop("beta", "se").join(again, on=_KEY, maintain_order="left")
