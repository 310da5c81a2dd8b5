"""The command ``radgen heritability``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "heritability"]

OPTIONS = {
    "epilog": """
One of --kinship, --pedigree and --twins says who is related to whom:

  --kinship   relationship matrix (radgen genotypes grm), or genotypes to compute it from

  --pedigree  table with id, father, mother (0 or empty: unknown), and optionally twin

  --twins     table with id, pair and zygosity (MZ or DZ)

  radgen heritability --pedigree families.tsv --phenotypes traits.tsv --covariates age_sex.tsv
    --household house --out h2.tsv

With --correlate the genetic correlations of all pairs of traits are estimated instead.
"""
}


def heritability(
    *,
    phenotypes: Annotated[Path, typer.Option(help="Table with an id column and the traits.")],
    out: Annotated[Path, typer.Option(help="Results: .parquet, .tsv or .csv.")],
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
) -> None:
    """Estimate how much of each trait's variance goes with relatedness."""
    from radgen.cli import _genetics, _relatives

    result = _relatives.heritability_of(
        phenotypes, covariates, {"kinship": kinship, "pedigree": pedigree, "twins": twins},
        household=household, traits=traits, method=method, correlate=correlate,
    )  # fmt: skip
    _genetics.write_table(result.table, out)
    _genetics.report(result, out)
