"""``radgen timeline``: images, molecules and treatments of patients on one time axis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "timeline"]

OPTIONS = {
    "epilog": """Examples:

  radgen timeline response/visits.csv ctdna.csv treatments.csv --out course

  radgen timeline suv.csv vaf.csv clones.csv --baseline baseline.csv --draw P017 --out course

A row of a table is a patient at a time: patient, day (from baseline) or date, and

  measurements   any columns of numbers (SUV, ADC, ctDNA); a column variant, clone, gene,
                 lesion or measure tells several of one day apart
  treatments     treatment, day or date, end or end date (blank = goes on)
  events         event (surgery, progression, death)

visits.csv of radgen response is read as it is. Dates become days from baseline and are never
written: day 0 is the date in --baseline (patient, date), or the earliest date of each patient
where all tables hold dates.

OUT gets timeline.parquet and timeline.csv (a row a measurement, treatment or event), swimmer.png,
a picture of each patient of --draw, and report.html."""
}


def timeline(
    tables: Annotated[list[Path], typer.Argument(help="Measurements, treatments, events.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for tables, pictures and report.")],
    baseline: Annotated[Path | None, typer.Option(help="Date of day 0 of each patient.")] = None,
    draw: Annotated[str, typer.Option(help="Draw these patients, by commas, or all.")] = "",
) -> None:
    """Put images, molecular measurements and treatments of patients on one time axis."""
    from radgen.cli import _regional

    _regional.write_timeline(locals())
