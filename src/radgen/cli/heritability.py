"""The command ``radgen heritability``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["heritability"]


def heritability(
    *,
    kinship: Annotated[Path, typer.Option(help="Relationship matrix, or genotypes.")],
    phenotypes: Annotated[Path, typer.Option(help="Table with an id column and the traits.")],
    out: Annotated[Path, typer.Option(help="Results: .parquet, .tsv or .csv.")],
    covariates: Annotated[Path | None, typer.Option(help="Table of covariates.")] = None,
    traits: Annotated[str, typer.Option(help="Names of traits, parted by commas.")] = "",
    method: Annotated[str, typer.Option(help="reml or he (Haseman-Elston).")] = "reml",
) -> None:
    """Estimate how much of each trait's variance goes with relatedness."""
    from radgen import associate
    from radgen.cli import _genetics

    people, beside = map(_genetics.optional_table, (phenotypes, covariates))
    names = _genetics.parted(traits)
    matrix = _genetics.read_kinship(kinship)
    result = associate.heritability(people, matrix, beside, method=method, traits=names)  # type: ignore[arg-type]
    _genetics.write_table(result.table, out)
    _genetics.report(result, out)
