"""``radgen change``: what changed between two examinations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "change"]

OPTIONS = {
    "epilog": """Examples:

  radgen change before.csv after.csv --out delta.csv

  radgen change before.csv after.csv --out delta.csv --test scan.csv --retest rescan.csv

The table is one of features: give it to `radgen evaluate --features`. With --test and --retest (two
scans of other patients who did not change) it is also told which changes are larger than error."""
}

_HOW = "difference, relative (a share of before) or log_ratio."
_TEST = "Features of unchanged patients, first scan."


def change(
    before: Annotated[Path, typer.Argument(help="Features of the first examination.")],
    after: Annotated[Path, typer.Argument(help="Features of the second, same ids.")],
    *,
    out: Annotated[Path, typer.Option(help="Table of changes: .csv, .tsv or .parquet.")],
    how: Annotated[str, typer.Option(help=_HOW)] = "relative",
    test: Annotated[Path | None, typer.Option(help=_TEST)] = None,
    retest: Annotated[Path | None, typer.Option(help="Their second scan.")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Column of sample ids.")] = None,
) -> None:
    """Write the change of every feature between two examinations, and which changes are real."""
    from radgen.cli import _response

    _response.change(locals())
