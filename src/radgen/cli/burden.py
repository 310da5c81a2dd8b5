"""The command ``radgen burden``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import GENOTYPES

__all__ = ["burden"]

_SETS = "Set and variant a line, or REGENIE's set list (set, chromosome, position, variants)."
_LOCO = "Predictions of `radgen background`, or a REGENIE _pred.list."
_KINSHIP = "Relatives: matrix of `radgen genotypes grm`, or genotypes to compute it from."
_MAX_MAF = "Largest frequency; several, parted by commas, give a row each."


def burden(
    *,
    genotypes: Annotated[Path, typer.Option(help=GENOTYPES)],
    phenotypes: Annotated[Path, typer.Option(help="Table with an id column and the traits.")],
    sets: Annotated[Path, typer.Option(help=_SETS)],
    out: Annotated[Path, typer.Option(help="Results: .parquet, .tsv or .csv.")],
    annotations: Annotated[Path | None, typer.Option(help="Variant, set, annotation.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Mask and its annotations a line.")] = None,
    covariates: Annotated[Path | None, typer.Option(help="Table of covariates.")] = None,
    traits: Annotated[str, typer.Option(help="Names of traits, parted by commas.")] = "",
    model: Annotated[str, typer.Option(help="linear or logistic.")] = "linear",
    max_maf: Annotated[str, typer.Option(help=_MAX_MAF)] = "0.01",
    allele: Annotated[str, typer.Option(help="Count the minor allele, or alt.")] = "minor",
    loco: Annotated[Path | None, typer.Option(help=_LOCO)] = None,
    kinship: Annotated[Path | None, typer.Option(help=_KINSHIP)] = None,
    loco_kinship: Annotated[
        bool, typer.Option("--loco-kinship", help="Leave each chromosome out of the kinship.")
    ] = False,
) -> None:
    """Test sets of rare variants: burden, SKAT, SKAT-O, ACAT-V, and carriers.

    Where people are related, give --kinship (a mixed model, exact, up to some thousand people) or,
    for many more, --loco (predictions of a two-step ridge); without either, relatives make p too
    small.
    """
    from radgen.cli import _genetics

    beside, names = _genetics.optional_table(covariates), _genetics.parted(traits)
    result = _genetics.burden_of(
        genotypes, phenotypes, sets, annotations=annotations, masks=masks, max_maf=max_maf,
        covariates=beside, traits=names, model=model, allele=allele,
        loco=loco, kinship=kinship, loco_kinship=loco_kinship,
    )  # fmt: skip
    _genetics.write_table(result.table, out)
    _genetics.report(result, out)
