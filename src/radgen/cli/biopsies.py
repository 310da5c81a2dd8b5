"""``radgen biopsies``: predict the molecular label of places, and paint it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "biopsies"]

OPTIONS = {
    "epilog": """Examples:

  radgen biopsies biopsies.csv --images scans.csv --label EGFR --frame RAS --out egfr

  radgen biopsies biopsies.csv --images scans.csv --label EGFR --zscore --inside
      --radius 4 --paint all --permutations 199 --out egfr

A row of biopsies.csv is a biopsy: patient, biopsy, x, y, z, and molecular labels (mutant and
wild-type, 1 and 0, or numbers); also frame and radius (mm). A row of scans.csv is a patient:
patient, mask, and a column an image (T1C, T2, ADC), all of them registered to each other.

x, y, z are millimetres in LPS (DICOM, ITK, files of 3D Slicer) or RAS (NIfTI, the display of
Slicer), or index: voxels of the first image from 0. A wrong frame mirrors every place, so it must
be said.

OUT gets predictions.csv (each biopsy by a model of other patients), schemes.csv, features.csv,
left-out.csv, report.html, and maps/ with --paint: predicted, uncertainty and certain, as NIfTI
and pictures.

A research result, not a medical device: maps must not guide the care of a patient."""
}

_FRAME = "What x, y, z are, where the table does not say: LPS, RAS or index."
_ZSCORE = "Bring each image to mean 0 and SD 1 within its mask first (MRI without units)."
_PAINT = "Paint maps of these patients, by commas, or of all."
_EVERY = "Measure every n-th voxel along each axis of a map; those between take the nearest."
_SURE = "A place is certain where its side of the threshold is this probable."
_CUT = "Of a label that is a number: above or below? [default: the median]"


def biopsies(
    table: Annotated[Path, typer.Argument(help="Table of biopsies, a row each.")],
    *,
    images: Annotated[Path, typer.Option(help="Table of images, a row a patient.")],
    label: Annotated[str, typer.Option(help="Column of the molecular label.")],
    out: Annotated[Path, typer.Option(help="Folder for tables, report and maps.")],
    frame: Annotated[str, typer.Option(help=_FRAME)] = "",
    radius: Annotated[float, typer.Option(help="Of the surroundings, mm.")] = 5.0,
    shape: Annotated[str, typer.Option(help="sphere or box.")] = "sphere",
    inside: Annotated[bool, typer.Option("--inside", help="Only voxels of the mask.")] = False,
    zscore: Annotated[bool, typer.Option("--zscore", help=_ZSCORE)] = False,
    settings: Annotated[Path | None, typer.Option(help="Features: settings file (.toml).")] = None,
    confidence: Annotated[float, typer.Option(help=_SURE)] = 0.9,
    threshold: Annotated[float | None, typer.Option(help=_CUT)] = None,
    permutations: Annotated[int, typer.Option(min=0, help="Of labels within patients.")] = 0,
    paint: Annotated[str, typer.Option(help=_PAINT)] = "",
    paint_images: Annotated[
        Path | None,
        typer.Option(help="Paint patients of this table instead: those without biopsies."),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help=_EVERY)] = 2,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0 = one a processor.")] = 1,
    seed: Annotated[int, typer.Option(help="Of permutations.")] = 0,
) -> None:
    """Predict the molecular state of places from image-localised biopsies, and paint maps."""
    from radgen.cli import _regional

    _regional.judge_biopsies(locals())
