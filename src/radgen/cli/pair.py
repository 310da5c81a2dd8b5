"""``radgen pair``: look at one phenotype and one molecular feature."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import FIRST

__all__ = ["OPTIONS", "pair"]

OPTIONS = {
    "epilog": """Examples:

  radgen pair volume EGFR --phenotypes radiomics.csv --omics mutation=calls.csv --out pair.svg

  radgen pair entropy VEGFA --phenotypes radiomics.csv --omics expression:log2=rna.tsv
  --clinical clinical.csv --adjust age,sex --out pair.png

The samples are written beside the picture as .csv.

Exit codes: 0 done, 2 input must be mended."""
}

_OMICS = "layer=file or layer:scale=file, as of radgen associate."


def pair(
    phenotype: Annotated[str, typer.Argument(help="Column of the image features.")],
    feature: Annotated[str, typer.Argument(help="Gene, or other molecular feature.")],
    *,
    phenotypes: Annotated[Path, typer.Option(help="Table of image features, a row a sample.")],
    omics: Annotated[str, typer.Option(help=_OMICS)],
    out: Annotated[Path, typer.Option(help="Picture: .svg, .png or .pdf.")] = Path("pair.svg"),
    clinical: Annotated[Path | None, typer.Option(help="Table of covariates.")] = None,
    adjust: Annotated[str, typer.Option(help="Its columns to adjust for, by commas.")] = "",
    test: Annotated[str, typer.Option(help="As of radgen associate.")] = "auto",
    id_: Annotated[str | None, typer.Option("--id", help="Column of sample ids.")] = None,
    id_first: Annotated[int, typer.Option(help=FIRST)] = 0,
    dpi: Annotated[int, typer.Option(help="Dots an inch of .png.")] = 200,
) -> None:
    """Draw one pair as scatter plot or violins, with its test and its data."""
    from radgen.cli import _pair

    _pair.pair(locals())
