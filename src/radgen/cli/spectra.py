"""``radgen spectra``: metabolites of MR spectroscopy as phenotypes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "spectra"]

OPTIONS = {
    "epilog": """
\b
Examples:
  radgen spectra P01.csv P02.csv --ratio "GPC+PCh/Cr+PCr" --detect 2HG --out mrs.csv
  radgen spectra fits.csv --max-crlb 30 --ratio Cho/Cr --ratio Lip13/Cr --out mrs.csv
  radgen evaluate --features mrs.csv --outcomes clinical.csv --target IDH --out idh

Files are LCModel's .csv or TARQUIN's .csv (the name of the file is the sample), or a table with a
row a sample: 2HG, 2HG %SD, Cr, Cr %SD … (as exported from jMRUI).

What has a wider Cramér-Rao bound than --max-crlb is blank, with the reason in OUT's -status table.
A bound in per cent is wide where there is little: 2HG of a tumour without IDH mutation would be
blank. Name such metabolites with --detect: not measured well enough is then 0."""
}

_LIMIT = "Largest Cramér-Rao bound, per cent of the amount."
_DETECT = "Metabolites that tissue may lack, by commas: too uncertain = 0."


def spectra(
    files: Annotated[list[Path], typer.Argument(help="LCModel, TARQUIN, or a table.")],
    *,
    out: Annotated[Path, typer.Option(help="Table: .csv, .tsv or .parquet.")],
    max_crlb: Annotated[float, typer.Option(help=_LIMIT)] = 20.0,
    ratio: Annotated[list[str] | None, typer.Option(help="Cho/Cr. Repeat for more.")] = None,
    detect: Annotated[str, typer.Option(help=_DETECT)] = "",
) -> None:
    """Turn fitted MR spectra into phenotypes: amounts and ratios that were measured well."""
    from radgen.cli import _spectra

    _spectra.write(locals())
