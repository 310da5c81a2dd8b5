"""The command ``radgen coloc``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "coloc"]

OPTIONS = {
    "epilog": """Examples:

  radgen coloc hippocampus.parquet expression.parquet --out coloc

  radgen coloc hippocampus.parquet alzheimer.tsv --kinds quantitative,case_control
  --regions genes.gtf.gz --out coloc

Both tables are scans with all tests, of radgen gwas or meta or of another program (GWAS-SSF,
PLINK, REGENIE, SAIGE, METAL …). OUT/regions.tsv holds a row a pair of
traits and region: the posterior of no signal, one trait only, two variants, one shared variant;
OUT/variants.tsv the variants that may be the shared one; OUT/report.html the pictures."""
}

_KINDS = "quantitative or case_control of each scan, parted by a comma."
_REGIONS = "BED, GTF or GFF3 file; default: windows about the leads of the first scan."
_SDS = "SD of each trait, parted by a comma (1,1 where standardised); default: estimated."


def coloc(
    first: Annotated[Path, typer.Argument(help="Scan of one trait or many.")],
    second: Annotated[Path, typer.Argument(help="Scan of the other trait.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for tables, pictures and report.")],
    kinds: Annotated[str, typer.Option(help=_KINDS)] = "quantitative,quantitative",
    firsts: Annotated[str, typer.Option(help="Traits of the first table.")] = "",
    seconds: Annotated[str, typer.Option(help="Traits of the second table.")] = "",
    regions: Annotated[Path | None, typer.Option(help=_REGIONS)] = None,
    p: Annotated[float, typer.Option(help="Largest p of a lead.")] = 5e-8,
    window_bp: Annotated[int, typer.Option(help="Half window, or margin of regions.")] = 250_000,
    sds: Annotated[str, typer.Option(help=_SDS)] = "",
    p1: Annotated[float, typer.Option(help="Prior: causal for the first trait.")] = 1e-4,
    p2: Annotated[float, typer.Option(help="Prior: causal for the second trait.")] = 1e-4,
    p12: Annotated[float, typer.Option(help="Prior: causal for both.")] = 1e-5,
    by: Annotated[str, typer.Option(help="Match variants by position or id.")] = "position",
) -> None:
    """Colocalisation: do two traits share a causal variant?"""
    given = dict(locals())
    from radgen.cli import _causal

    _causal.run_coloc(**given)
