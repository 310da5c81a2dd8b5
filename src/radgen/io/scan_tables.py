"""Tables of scans, ours or of another program, as analyses of causes and cohorts take them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from radgen.errors import FormatError, InputError
from radgen.io.sample_table import read_sample_table
from radgen.io.summary_statistics import read_raw_summary, standard_summary

__all__ = ["read_scan", "scan_table"]

_OURS = {"chrom", "pos", "ref", "alt", "beta", "se"}
_KEPT = {"phenotype", "chrom", "pos", "id", "log10p"}


def read_scan(
    path: str | Path, *, n: float | None = None, phenotype: str | None = None
) -> pl.DataFrame:
    """Return a table of tests with an effect and a standard error per ALT allele.

    Parameters
    ----------
    path : str or Path
        Table of `radgen gwas`, `radgen meta` or `radgen omnibus`, returned as it is; or of another
        program, as `radgen.io.read_summary_statistics` takes it (GWAS-SSF, PLINK, REGENIE, SAIGE,
        METAL, …).
    n : float or None
        Sample size where the table has none; None = unknown.
    phenotype : str or None
        Trait of another program's table that names none; None = the name of the file.

    Returns
    -------
    polars.DataFrame
        Of another program: ``phenotype, chrom, pos, id, ref, alt, n, alt_freq, beta, se, log10p``;
        null where the file does not say.

    Raises
    ------
    FormatError
        If the file cannot be read, or its columns are not understood.
    """
    frame = read_raw_summary(path)
    if set(frame.columns) >= _OURS or set(frame.columns) >= _KEPT:
        return read_sample_table(path)
    try:
        named = Path(path).name.partition(".")[0] if phenotype is None else phenotype
        return scan_table(frame, named, n=n)
    except InputError as error:
        raise FormatError(str(error), path=path) from error


def scan_table(frame: pl.DataFrame, name: str, *, n: float | None = None) -> pl.DataFrame:
    """Return the tests of another program's table: see `read_scan`.

    Raises
    ------
    InputError
        If its columns are not understood.

    Notes
    -----
    Where a standard error is missing it is the effect over z, with z from the p-value. Where
    effects are missing (METAL by sample size) they are those of a standardised trait,
    z / sqrt(2 f (1 - f) (n + z^2)) (Zhu et al. 2016, Nat Genet 48:481).

    Examples
    --------
    >>> table = pl.DataFrame({"SNP": ["rs1"], "A1": ["g"], "A2": ["a"], "OR": [1.2], "P": [0.05]})
    >>> scan_table(table, "stroke").select("id", "alt", pl.col("se").round(3)).rows()
    [('rs1', 'G', 0.093)]
    """
    found = standard_summary(frame, n=n, need_n=False)
    f, z = pl.col("alt_freq"), pl.col("z")
    scale = (2 * f * (1 - f) * (pl.col("n") + z**2)).sqrt()
    usable = f.is_between(0, 1, closed="none") & (pl.col("n") > 0)
    found = found.with_columns(
        pl.coalesce("beta", pl.when(usable).then(z / scale)).alias("beta"),
        pl.when(pl.col("beta").is_not_null() & (z != 0))
        .then((pl.col("beta") / z).abs())
        .when(pl.col("beta").is_null() & usable)
        .then(1 / scale)
        .alias("from_z"),
    )
    if found["phenotype"].null_count() == found.height:
        found = found.with_columns(phenotype=pl.lit(name))
    return found.select(
        "phenotype", "chrom", "pos", "id", "ref", "alt", "n", "alt_freq", "beta",
        pl.coalesce("se", "from_z").alias("se"), "log10p",
    )  # fmt: skip
