"""``radgen dose``: dose-volume histograms of regions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "dose"]

OPTIONS = {
    "epilog": """
\b
Examples:
  radgen dose rtdose.dcm structures.dcm --image ct/ --out dvh.csv
  radgen dose dose.nii.gz organs.nii.gz --out dvh.csv --curve curves.csv
  radgen dose rtdose.dcm lung.nii.gz --fractions 30 --alpha-beta 3
      --eud 1 --td50 24.5 --m 0.18 --out lung.csv
  radgen extract rtdose.dcm lung.nii.gz --fit-mask --out dosiomics.csv

A row of OUT is a region: volume, mean, least and largest dose, D2, D50, D95, D98 (Gy), V5, V20, V30
(per cent), and what --eud and --td50 ask for. The dose is brought onto the grid of the regions."""
}


def dose(
    dose: Annotated[Path, typer.Argument(help="RTDOSE, or an image of the dose in Gy.")],
    masks: Annotated[Path, typer.Argument(help="Regions: label map, DICOM SEG or RTSTRUCT.")],
    *,
    out: Annotated[Path, typer.Option(help="Table: .csv, .tsv or .parquet.")],
    image: Annotated[Path | None, typer.Option(help="The scan that RTSTRUCT was drawn on.")] = None,
    curve: Annotated[Path | None, typer.Option(help="Also write the histograms here.")] = None,
    at_gy: Annotated[str, typer.Option("--at-gy", help="Doses of V, Gy.")] = "5,20,30",
    fractions: Annotated[float | None, typer.Option(help="Turn into EQD2: fractions.")] = None,
    alpha_beta: Annotated[float, typer.Option(help="Of EQD2, Gy.")] = 3.0,
    eud: Annotated[float | None, typer.Option(help="Equivalent uniform dose with this a.")] = None,
    td50: Annotated[float | None, typer.Option(help="Of the complication (with --eud).")] = None,
    m: Annotated[float, typer.Option(help="Slope of the complication.")] = 0.15,
) -> None:
    """Measure radiotherapy dose: histograms, uniform dose, complication probability."""
    from radgen.cli import _dose

    _dose.measure(locals())
