"""``radgen link``: which scan goes with which specimen, and who is lost on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import CASE, FIRST, PATTERN

__all__ = ["OPTIONS", "link"]

OPTIONS = {
    "epilog": """Example:

  radgen link --scans scans.csv --specimens specimens.csv --patients patients.csv
  --same-lesion --max-days 60 --before treatment --several-scans nearest --out linked

scans.csv has the columns scan and patient, specimens.csv specimen and patient; both may have date,
lesion, and x, y, z in mm. Ids that differ in spelling only are pointed at, never matched:
--id-case, --id-pattern and --id-first say how ids of patients are cleaned. OUT gets pairs.csv,
lost.csv (each record left out, with its reason), flow.csv and flow.svg (how many patients remain
at each step), and differences.csv (patients kept against patients lost, in standard deviations)."""
}

_DATES = "How dates are written, such as %d/%m/%Y."
_SEVERAL = "Which counts: refuse, first, last, nearest (in time), all."


def link(
    *,
    scans: Annotated[Path, typer.Option(help="Table with a row a scan.")],
    specimens: Annotated[Path, typer.Option(help="Table with a row a specimen.")],
    out: Annotated[Path, typer.Option(help="Folder for the tables.")],
    patients: Annotated[Path | None, typer.Option(help="Table with a row a patient.")] = None,
    same_lesion: Annotated[bool, typer.Option(help="Both name the same lesion.")] = False,
    max_days: Annotated[float | None, typer.Option(help="Largest distance in days.")] = None,
    max_mm: Annotated[float | None, typer.Option(help="Largest distance in mm.")] = None,
    before: Annotated[str, typer.Option(help="Date column of patients: no later scan.")] = "",
    specimens_before: Annotated[bool, typer.Option(help="Nor later specimen.")] = False,
    several_scans: Annotated[str, typer.Option(help=_SEVERAL)] = "refuse",
    several_specimens: Annotated[str, typer.Option(help=_SEVERAL)] = "refuse",
    date_format: Annotated[str, typer.Option(help=_DATES)] = "%Y-%m-%d",
    id_case: Annotated[str, typer.Option(help=CASE)] = "keep",
    id_pattern: Annotated[str, typer.Option(help=PATTERN)] = "",
    id_first: Annotated[int, typer.Option(help=FIRST)] = 0,
) -> None:
    """Match scans and specimens by declared rules, and count every loss."""
    from radgen.cli import _associations

    _associations.link(locals())
