"""The command ``radgen mr``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "mr"]

OPTIONS = {
    "epilog": """Examples:

  radgen mr hippocampus.parquet alzheimer.tsv --out mr

  radgen mr idps.parquet stroke.tsv --genotypes reference.bed --exposures wmh,icv --out mr

Both tables are scans with all tests, of radgen gwas or meta or of another program (GWAS-SSF,
PLINK, REGENIE, SAIGE, METAL …); the outcome's log odds where it is
a disease. OUT/estimates.tsv holds a row a pair and method, OUT/variants.tsv every instrument and
why one was left out, OUT/report.html all of it in words and pictures."""
}

_INSTRUMENTS = "Text file of ids of independent variants; default: the leads of the exposure."
_GENOTYPES = "People for the linkage of leads (clumping); default: leads are kept apart."
_PALINDROMIC = "A/T and C/G variants: frequency (resolve), drop or keep."
_METHODS = "ivw, ivw_fixed, egger, weighted_median, weighted_mode."


def mr(
    exposure: Annotated[Path, typer.Argument(help="Scan of the exposure: table of all tests.")],
    outcome: Annotated[Path, typer.Argument(help="Scan of the outcome, in other people.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for tables, pictures and report.")],
    exposures: Annotated[str, typer.Option(help="Traits of the first table.")] = "",
    outcomes: Annotated[str, typer.Option(help="Traits of the second table.")] = "",
    instruments: Annotated[Path | None, typer.Option(help=_INSTRUMENTS)] = None,
    p: Annotated[float, typer.Option(help="Largest p of a lead.")] = 5e-8,
    genotypes: Annotated[Path | None, typer.Option(help=_GENOTYPES)] = None,
    r2: Annotated[float, typer.Option(help="Largest r2 of two leads, with genotypes.")] = 0.001,
    apart_bp: Annotated[int, typer.Option(help="Window, or distance of leads.")] = 1_000_000,
    by: Annotated[str, typer.Option(help="Match variants by position or id.")] = "position",
    palindromic: Annotated[str, typer.Option(help=_PALINDROMIC)] = "frequency",
    methods: Annotated[str, typer.Option(help=_METHODS)] = "",
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
) -> None:
    """Mendelian randomisation: does the exposure change the outcome, judged by its variants?"""
    given = dict(locals())
    from radgen.cli import _causal

    _causal.run_mr(**given)
