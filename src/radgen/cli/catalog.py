"""``radgen catalog``: open data sets, papers and reporting checklists of the field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "catalog"]

OPTIONS = {
    "epilog": """
\b
Examples:
  radgen catalog datasets
  radgen catalog datasets --find "breast CC BY"
  radgen catalog papers --find MGMT
  radgen catalog checklists
  radgen catalog datasets --out datasets.csv

Data sets carry their DOI, licence and, where there is one, the command that fetches the images;
look at the licence before you use one. A paper names the radgen commands that do the like."""
}


def catalog(
    what: Annotated[str, typer.Argument(help="datasets, papers or checklists.")] = "datasets",
    *,
    find: Annotated[str, typer.Option(help="Words that must all occur.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write a table: .csv, .tsv, .parquet.")] = None,
) -> None:
    """List open data sets, papers with the commands that do the like, and checklists."""
    from radgen.cli import _catalog

    _catalog.show(what, find=find, out=out)
