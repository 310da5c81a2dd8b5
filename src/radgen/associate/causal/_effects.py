"""Tables of effects of two studies, brought onto the same alleles."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from radgen._core.naming import did_you_mean
from radgen.errors import InputError, shown
from radgen.genome.matching import VariantMatch, match_variants
from radgen.types import FrameLike, Result, to_polars

__all__ = ["effect_table", "matched", "of_trait", "traits_of"]

_NEEDED = ("chrom", "pos", "ref", "alt", "beta", "se")
_CHROM = {"23": "X", "24": "Y", "25": "XY", "26": "MT", "M": "MT"}


def effect_table(table: FrameLike | Result, *, what: str, also: Sequence[str] = ()) -> pl.DataFrame:
    """Return phenotype, chrom, pos, id, ref, alt, beta, se, n, alt_freq, log10p of a scan.

    Parameters
    ----------
    table : data frame or Result
        A `gwas` or `meta_gwas` result, or its table.
    what : str
        For messages: "exposure", "outcome".
    also : sequence of str
        Columns that must be there besides chrom, pos, ref, alt, beta and se.

    Raises
    ------
    InputError
        If columns are missing or no row has a finite effect.
    """
    frame = table.frame if isinstance(table, Result) else to_polars(table, what=f"{what} table")
    missing = [name for name in (*_NEEDED, *also) if name not in frame.columns]
    if missing:
        raise InputError(
            f"The {what} table lacks the columns {shown(missing)}; needed is a table of "
            "`radgen gwas` or `radgen meta`, all tests kept."
        )
    defaults = {
        "phenotype": pl.lit(what), "id": pl.format("{}:{}:{}:{}", "chrom", "pos", "ref", "alt"),
        "n": pl.lit(None, pl.Float64), "alt_freq": pl.lit(None, pl.Float64),
    }  # fmt: skip
    chrom = pl.col("chrom").cast(pl.String).str.replace("(?i)^chr", "").str.to_uppercase()
    frame = (
        frame.with_columns(
            item.alias(name) for name, item in defaults.items() if name not in frame.columns
        )
        .with_columns(
            chrom.replace(_CHROM).alias("chrom"),
            pl.col("phenotype", "id", "ref", "alt").cast(pl.String),
            pl.col("pos").cast(pl.Int64),
            pl.col("beta", "se", "n", "alt_freq").cast(pl.Float64),
        )
        .filter(pl.col("beta").is_finite() & pl.col("se").is_finite() & (pl.col("se") > 0))
    )
    if not frame.height:
        raise InputError(f"No row of the {what} table has a finite effect and standard error.")
    if "log10p" not in frame.columns:
        from radgen.stats.tail import normal_log10p

        z = (frame["beta"] / frame["se"]).to_numpy()
        frame = frame.with_columns(pl.Series("log10p", normal_log10p(z)))
    return frame.select(
        "phenotype", "chrom", "pos", "id", "ref", "alt", "beta", "se", "n", "alt_freq", "log10p"
    )


def traits_of(frame: pl.DataFrame, wanted: Sequence[str] | None, *, what: str) -> list[str]:
    """Return the traits of a table, or the wanted ones.

    Raises
    ------
    InputError
        If a wanted trait is not there.
    """
    known = frame["phenotype"].unique(maintain_order=True).to_list()
    for name in wanted or ():
        if name not in known:
            raise InputError(f"The {what} table has no trait {name!r}. {did_you_mean(name, known)}")
    return list(wanted) if wanted else known


def of_trait(frame: pl.DataFrame, trait: str, *, what: str) -> pl.DataFrame:
    """Return the rows of one trait.

    Raises
    ------
    InputError
        If a variant stands twice.
    """
    part = frame.filter(pl.col("phenotype") == trait)
    place = pl.when(pl.col("pos").is_null()).then("id").alias("place")
    twice = part.select("chrom", "pos", "ref", "alt", place).is_duplicated()
    if twice.any():
        ids = part.filter(twice)["id"].unique(maintain_order=True).to_list()
        raise InputError(
            f"The {what} table holds variants twice for {trait!r}: {shown(ids)}. "
            "Keep one row of each."
        )
    return part


def matched(
    left: pl.DataFrame, right: pl.DataFrame, *, palindromic: str, by: str = "position"
) -> tuple[pl.DataFrame, VariantMatch]:
    """Return variants of both tables, effects per ALT allele of the left one.

    Parameters
    ----------
    left, right : polars.DataFrame
        From `effect_table`, of one trait each.
    palindromic, by : str
        As for `radgen.genome.match_variants`.

    Returns
    -------
    frame : polars.DataFrame
        chrom, pos, id, ref, alt, and beta, se, n, alt_freq, log10p with the suffixes _x and _y.
    match : VariantMatch
        What was done, and what was lost.
    """
    if by == "position" and any(t.height and t["pos"].is_null().all() for t in (left, right)):
        raise InputError("A table has no positions of variants: match by id (--by id).")
    match = match_variants(left, right, palindromic=palindromic, by=by)  # type: ignore[arg-type]
    rows = match.table
    values = ["beta", "se", "n", "alt_freq", "log10p"]
    a = left[rows["left"]].select(
        "chrom", "pos", "id", "ref", "alt", *(pl.col(name).alias(f"{name}_x") for name in values)
    )
    b = right[rows["right"]].select(pl.col(name).alias(f"{name}_y") for name in values)
    sign = rows["sign"].cast(pl.Float64)
    both = pl.concat([a, b], how="horizontal").with_columns(
        sign.alias("_sign"), rows["action"].alias("action")
    )
    return both.with_columns(
        pl.col("beta_y") * pl.col("_sign"),
        pl.when(pl.col("_sign") < 0)
        .then(1 - pl.col("alt_freq_y"))
        .otherwise(pl.col("alt_freq_y"))
        .alias("alt_freq_y"),
    ).drop("_sign"), match
