"""The command ``radgen burden``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["burden"]


def burden(
    *,
    genotypes: Annotated[Path, typer.Option(help="Genotypes: .bed, .pgen, .vcf.gz, .bcf, .bgen.")],
    phenotypes: Annotated[Path, typer.Option(help="Table with an id column and the traits.")],
    sets: Annotated[Path, typer.Option(help="Two fields a line: set, variant id.")],
    out: Annotated[Path, typer.Option(help="Results: .parquet, .tsv or .csv.")],
    covariates: Annotated[Path | None, typer.Option(help="Table of covariates.")] = None,
    traits: Annotated[str, typer.Option(help="Names of traits, parted by commas.")] = "",
    model: Annotated[str, typer.Option(help="linear or logistic.")] = "linear",
    max_maf: Annotated[float, typer.Option(help="Largest minor allele frequency.")] = 0.01,
) -> None:
    """Test sets of rare variants: burden, SKAT, SKAT-O, ACAT-V."""
    from radgen.cli import _genetics

    beside, names = _genetics.optional_table(covariates), _genetics.parted(traits)
    options = {"covariates": beside, "traits": names, "model": model, "max_maf": max_maf}
    result = _genetics.burden_of(genotypes, phenotypes, sets, **options)
    _genetics.write_table(result.table, out)
    _genetics.report(result, out)
