"""The command ``radgen heritability``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "heritability"]

OPTIONS = {
    "epilog": """
One of --kinship, --pedigree and --twins says who is related to whom; or --ld-scores serves where
there are only the tests of a scan:

  --kinship   relationship matrix (radgen genotypes grm), or genotypes to compute it from

  --pedigree  table with id, father, mother (0 or empty: unknown), and optionally twin

  --twins     table with id, pair and zygosity (MZ or DZ)

  --ld-scores  LD scores of a reference panel (radgen genotypes ld-scores, or .l2.ldscore files)

  radgen heritability --pedigree families.tsv --phenotypes traits.tsv --covariates age_sex.tsv
    --household house --out h2.tsv

  radgen heritability --ld-scores eur_w_ld_chr --scans volume.parquet --scans height.regenie.gz
    --out h2.tsv --picture h2.png

With --correlate the genetic correlations of all pairs of traits are estimated instead.
"""
}


def heritability(
    *,
    out: Annotated[Path, typer.Option(help="Results: .parquet, .tsv or .csv.")],
    phenotypes: Annotated[
        Path | None, typer.Option(help="Table with an id column and the traits.")
    ] = None,
    kinship: Annotated[Path | None, typer.Option(help="Matrix, or genotypes.")] = None,
    pedigree: Annotated[Path | None, typer.Option(help="Table of parents.")] = None,
    twins: Annotated[Path | None, typer.Option(help="Table of pairs and zygosity.")] = None,
    covariates: Annotated[Path | None, typer.Option(help="Table of covariates.")] = None,
    household: Annotated[
        str, typer.Option(help="Pedigree: column of the covariates that names the household.")
    ] = "",
    traits: Annotated[str, typer.Option(help="Names of traits, parted by commas.")] = "",
    method: Annotated[
        str, typer.Option(help="reml, he (Haseman-Elston) or, for pedigrees, ml (default there).")
    ] = "",
    correlate: Annotated[bool, typer.Option(help="Genetic correlations of all pairs.")] = False,
    ld_scores: Annotated[
        Path | None, typer.Option(help="LD scores: a table, a .l2.ldscore file, or a folder.")
    ] = None,
    scans: Annotated[
        list[Path] | None,
        typer.Option(
            help="With --ld-scores: tests of radgen gwas, PLINK, REGENIE, LDSC …; again "
            "for more files."
        ),
    ] = None,
    intercept: Annotated[
        float | None, typer.Option(help="With --ld-scores: hold the intercept fixed.")
    ] = None,
    panel_variants: Annotated[
        str,
        typer.Option(
            help="With --ld-scores: variants the heritability is of: common (MAF "
            "above 5 %), all, or a number."
        ),
    ] = "common",
    samples: Annotated[
        float | None, typer.Option(help="With --scans: people, where a table has no column n.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the intervals: .png, .pdf or .svg.")
    ] = None,
) -> None:
    """Estimate how much of each trait's variance goes with relatedness."""
    from radgen.cli import _genetics, _relatives

    if ld_scores is not None or scans:
        result = _relatives.ld_regression_of(
            scans or [], ld_scores, traits=traits, correlate=correlate, intercept=intercept,
            panel_variants=panel_variants, samples=samples,
            others=(phenotypes, covariates, kinship, pedigree, twins, household, method),
        )  # fmt: skip
    else:
        result = _relatives.heritability_of(
            phenotypes, covariates, {"kinship": kinship, "pedigree": pedigree, "twins": twins},
            household=household, traits=traits, method=method, correlate=correlate,
        )  # fmt: skip
    _genetics.write_table(result.table, out)
    _genetics.report(result, out)
    if picture is not None:
        _genetics.save_plot(result, "forest", picture)
