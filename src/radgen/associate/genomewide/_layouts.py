"""The column layouts of other programs: PLINK 2, REGENIE, GWAS-SSF."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from radgen._core.files import atomic_path, write_text

__all__ = ["LAYOUTS", "TEXT_LAYOUTS", "ScanKind", "write_layout"]

TEXT_LAYOUTS = ("plink", "regenie", "gwas-ssf")
LAYOUTS = ("table", "compact", *TEXT_LAYOUTS)
_NUMBERED = {"X": "23", "Y": "24", "MT": "25"}


@dataclass(frozen=True, slots=True)
class ScanKind:
    """What a layout must know of a scan beside its tests.

    Attributes
    ----------
    model : str
        "linear", "logistic", …
    test : str
        Name of the test, as `gwas` has it.
    build : str
        "GRCh37", "GRCh38" or "".
    """

    model: str
    test: str
    build: str


def write_layout(
    tests: pl.LazyFrame, names: Sequence[str], out: Path, layout: str, kind: ScanKind
) -> list[Path]:
    """Write one text file a trait; return their paths.

    Parameters
    ----------
    tests : polars.LazyFrame
        Columns of `GwasResult.frame`, in order.
    names : sequence of str
        Traits.
    out : Path
        What the names of the files begin with.
    layout : {"plink", "regenie", "gwas-ssf"}
        OUT.TRAIT.glm.linear (or .glm.logistic, …), OUT_TRAIT.regenie, OUT.TRAIT.tsv.
    kind : ScanKind
        Decides columns and suffixes.
    """
    written = []
    for name in names:
        one = tests.filter(pl.col("phenotype") == name)
        stem = f"{out.name}_{_safe(name)}" if layout == "regenie" else f"{out.name}.{_safe(name)}"
        if layout == "plink":
            path, table = out.with_name(f"{stem}.glm.{kind.model}"), _plink(one, kind)
        elif layout == "regenie":
            path, table = out.with_name(f"{stem}.regenie"), _regenie(one)
        else:
            path, table = out.with_name(f"{stem}.tsv"), _ssf(one)
            write_text(path.with_name(f"{path.name}-meta.yaml"), _ssf_meta(name, kind))
        mark = " " if layout == "regenie" else "\t"
        with atomic_path(path) as temporary:
            table.sink_csv(temporary, separator=mark, null_value="NA", maintain_order=True)
        written.append(path)
    return written


def _safe(name: str) -> str:
    return re.sub(r"[^\w.=+-]", "_", name)


def _known(column: str) -> pl.Expr:
    return pl.col(column).fill_nan(None)


def _plink(tests: pl.LazyFrame, kind: ScanKind) -> pl.LazyFrame:
    odds = kind.model in ("logistic", "ordinal")
    effect = (
        [_known("beta").exp().alias("OR"), _known("se").alias("LOG(OR)_SE")]
        if odds
        else [_known("beta").alias("BETA"), _known("se").alias("SE")]
    )
    return tests.select(
        pl.col("chrom").alias("#CHROM"),
        pl.col("pos").alias("POS"),
        pl.col("id").alias("ID"),
        pl.col("ref").alias("REF"),
        pl.col("alt").alias("ALT"),
        pl.col("alt").alias("A1"),
        _known("alt_freq").alias("A1_FREQ"),
        pl.lit("ADD").alias("TEST"),
        pl.col("n").alias("OBS_CT"),
        *effect,
        _known("t").alias("T_STAT" if kind.model == "linear" else "Z_STAT"),
        _known("p").alias("P"),
        pl.when(pl.col("t").is_nan())
        .then(pl.lit("UNDEFINED"))
        .otherwise(pl.lit("."))
        .alias("ERRCODE"),
    )


def _regenie(tests: pl.LazyFrame) -> pl.LazyFrame:
    return tests.select(
        pl.col("chrom").replace(_NUMBERED).alias("CHROM"),
        pl.col("pos").alias("GENPOS"),
        pl.col("id").alias("ID"),
        pl.col("ref").alias("ALLELE0"),
        pl.col("alt").alias("ALLELE1"),
        _known("alt_freq").alias("A1FREQ"),
        pl.col("n").alias("N"),
        pl.lit("ADD").alias("TEST"),
        _known("beta").alias("BETA"),
        _known("se").alias("SE"),
        (_known("beta") / _known("se")).pow(2).alias("CHISQ"),
        (-_known("log10p")).alias("LOG10P"),
        pl.when(pl.col("t").is_nan()).then(pl.lit("TEST_FAIL")).otherwise(None).alias("EXTRA"),
    )


def _ssf(tests: pl.LazyFrame) -> pl.LazyFrame:
    return tests.filter(pl.col("t").is_not_nan()).select(
        pl.col("chrom").replace(_NUMBERED).alias("chromosome"),
        pl.col("pos").alias("base_pair_location"),
        pl.col("alt").alias("effect_allele"),
        pl.col("ref").alias("other_allele"),
        pl.col("beta"),
        pl.col("se").alias("standard_error"),
        pl.col("alt_freq").alias("effect_allele_frequency"),
        (-pl.col("log10p")).alias("neg_log_10_p_value"),
        pl.col("id").alias("variant_id"),
        pl.col("n"),
    )


def _ssf_meta(name: str, kind: ScanKind) -> str:
    build = kind.build or "unknown"
    return (
        "file_type: GWAS-SSF v1.0\n"
        f"trait_description: {name!r}\n"
        f"genome_assembly: {build}\n"
        "coordinate_system: 1-based\n"
        f"analysis_software: radgen ({kind.model}, {kind.test})\n"
        "effect_allele: ALT\n"
    )
