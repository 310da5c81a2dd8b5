"""The command ``radgen background``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._adjusting import ADJUST, chosen_covariates, other_traits, source_of
from radgen.cli._ids import GENOTYPES

__all__ = ["OPTIONS", "background"]

OPTIONS = {
    "epilog": """
Two steps of a scan of related people, or of many traits in many people:

  radgen background --genotypes pruned.bed --phenotypes traits.tsv --out step1.parquet

  radgen gwas --genotypes all.bed --phenotypes traits.tsv --loco step1.parquet --out hits.parquet

Use some 100,000 common, well-called variants for the first step (radgen genotypes qc, ld), and
the same covariates in both.
"""
}


def background(
    *,
    genotypes: Annotated[Path, typer.Option(help=GENOTYPES)],
    phenotypes: Annotated[Path, typer.Option(help="Table with an id column and the traits.")],
    out: Annotated[Path, typer.Option(help="Predictions: .parquet, .tsv or .csv.")],
    covariates: Annotated[Path | None, typer.Option(help="Table of covariates.")] = None,
    adjust: Annotated[str, typer.Option(help=ADJUST)] = "",
    traits: Annotated[str, typer.Option(help="Names of traits, parted by commas.")] = "",
    model: Annotated[str, typer.Option(help="linear, or logistic for binary traits.")] = "linear",
    variants: Annotated[Path | None, typer.Option(help="File of ids of variants to use.")] = None,
    block_size: Annotated[int, typer.Option(help="Variants a block.")] = 1000,
    folds: Annotated[int | None, typer.Option(help="Folds; 0 leaves one person out.")] = None,
) -> None:
    """Predict traits from all chromosomes but one: the first step of a two-step scan."""
    from radgen import associate
    from radgen.cli import _genetics

    names, calls = _genetics.parted(traits), _genetics.opened(genotypes, variants)
    table, columns = _genetics.read_sample_table(phenotypes), _genetics.parted(adjust) or []
    source = source_of(covariates, phenotypes, columns)
    if names is None and source == phenotypes:
        names = other_traits(table, columns)
    people = _genetics.in_numbers(table, phenotypes, names, model)
    beside = _genetics.optional_table(source)
    if beside is not None and source is not None:
        beside = chosen_covariates(beside, columns, source)
    result = associate.polygenic_background(
        calls, people, beside, model=model, traits=names, block_size=block_size, n_folds=folds
    )  # type: ignore[call-overload, arg-type]
    _genetics.write_table(result.table, out)
    _genetics.report(result, out)
