"""The commands ``radgen reliability table | perturb | masks | effects``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Say which features can be relied on: test-retest, readers, perturbed scans.",
    epilog="""Examples:

  radgen reliability table visits.csv --repeat visit --id patient --out icc.csv

  radgen reliability table reader1.csv reader2.csv --form 2,1 --out icc.csv

  radgen reliability perturb --cohort scans.csv --preset ibsi-c --copies 10 --out icc.csv

  radgen reliability masks reader1.nii.gz reader2.nii.gz

  radgen reliability effects reader1.csv reader2.csv --outcomes clinic.csv --target days
  --event dead --out effects.csv

A feature is kept where the lower confidence bound of its intraclass correlation reaches the
threshold: a high estimate from few subjects is not enough.""",
)

_Form = Annotated[str, typer.Option(help="ICC form: 1,1 2,1 3,1 1,k 2,k or 3,k.")]
_INTERVAL = (
    "Of ICC 2,1 and 2,k: f (McGraw and Wong) or modified, which covers where few readers differ."
)
_Threshold = Annotated[float, typer.Option(help="Of the lower bound, to keep a feature.")]
_Id = Annotated[str | None, typer.Option("--id", help="Column of sample ids; default: first.")]
_Repeat = Annotated[str | None, typer.Option(help="Column of visit or reader, in one table.")]
_Leave = Annotated[str, typer.Option(help="Numeric columns that are no features.")]
_Tables = Annotated[list[Path], typer.Argument(help="One table with --repeat, or one a repeat.")]
_Out = Annotated[Path, typer.Option(help="Table to write: .csv, .tsv or .parquet.")]


@app.command()
def table(
    tables: _Tables,
    *,
    out: _Out = Path("reliability.csv"),
    repeat: _Repeat = None,
    id_: _Id = None,
    form: _Form = "1,1",
    interval: Annotated[str, typer.Option(help=_INTERVAL)] = "f",
    threshold: _Threshold = 0.75,
    leave: _Leave = "",
    picture: Annotated[
        Path | None, typer.Option(help="Coefficients with intervals: .png, .svg or .pdf.")
    ] = None,
    feature: Annotated[
        str | None, typer.Option(help="Draw this feature's Bland-Altman plot instead.")
    ] = None,
) -> None:
    """Measure the agreement of repeated feature tables."""
    from radgen.cli import _reliability

    repeats = _reliability.repeats(tables, repeat, id_, leave)
    how = (form, interval)
    _reliability.measure(repeats, out, how, threshold, picture=picture, feature=feature)


@app.command()
def perturb(
    image: Annotated[Path | None, typer.Argument(help="Image file or folder.")] = None,
    mask: Annotated[Path | None, typer.Argument(help="Mask file.")] = None,
    *,
    cohort: Annotated[
        Path | None, typer.Option(help="Or: table with columns sample, image, mask.")
    ] = None,
    out: _Out = Path("reliability.csv"),
    preset: Annotated[str | None, typer.Option(help="Name of a preset, ibsi-a say.")] = None,
    settings: Annotated[Path | None, typer.Option(help="Settings file (.toml).")] = None,
    copies: Annotated[int, typer.Option(min=2, help="Perturbed copies of each scan.")] = 10,
    rotation: Annotated[float, typer.Option(help="Largest rotation in degrees.")] = 10.0,
    translation: Annotated[float, typer.Option(help="Largest shift in voxels.")] = 0.5,
    noise: Annotated[float, typer.Option(help="Noise, times the scan's own level.")] = 1.0,
    volume: Annotated[float, typer.Option(help="Largest share of growth or shrinkage.")] = 0.15,
    contour: Annotated[bool, typer.Option(help="Redraw contours along supervoxels.")] = True,
    threshold: _Threshold = 0.75,
    seed: Annotated[int, typer.Option(help="Of the perturbations.")] = 1,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0 = one a processor.")] = 1,
) -> None:
    """Measure how features of scans bear perturbations, where no scan was repeated."""
    from radgen.cli import _reliability

    how = {"rotation_deg": rotation, "translation": translation, "noise": noise,
           "volume": volume, "contour": contour}  # fmt: skip
    options = {"copies": copies, "threshold": threshold, "seed": seed, "jobs": jobs}
    _reliability.perturb((image, mask, cohort), (preset, settings), out, how, options)


@app.command()
def masks(
    first: Annotated[Path, typer.Argument(help="Mask file of one reader.")],
    second: Annotated[Path, typer.Argument(help="Mask file of the other, on the same grid.")],
    *,
    image: Annotated[
        Path | None, typer.Option(help="The scan, where masks need it (RTSTRUCT, SEG).")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Of the surface Dice, in mm.")] = 1.0,
    out: Annotated[Path | None, typer.Option(help="Table, a row a region.")] = None,
) -> None:
    """Compare two readers' contours: Dice, surface Dice, Hausdorff distances, volume."""
    from radgen.cli import _reliability

    _reliability.masks(first, second, image, tolerance, out)


@app.command()
def effects(
    tables: _Tables,
    *,
    outcomes: Annotated[Path, typer.Option(help="Table with the outcome, a row a sample.")],
    target: Annotated[str, typer.Option(help="Column of the outcome; of the time with --event.")],
    out: _Out = Path("reader-effects.csv"),
    positive: Annotated[str | None, typer.Option(help="Value that counts as positive.")] = None,
    event: Annotated[str | None, typer.Option(help="Column that says whether it happened.")] = None,
    adjust: Annotated[str, typer.Option(help="Columns of outcomes to adjust for.")] = "",
    features: Annotated[str, typer.Option(help="Features, parted by commas; default: all.")] = "",
    repeat: _Repeat = None,
    id_: _Id = None,
    leave: _Leave = "",
    bootstrap: Annotated[int, typer.Option(min=0, help="Draws of the intervals.")] = 300,
    seed: Annotated[int, typer.Option(help="Of bootstrap and simulation.")] = 1,
) -> None:
    """Relate features of several readers to an outcome, corrected for the readers' error."""
    from radgen.cli import _reliability

    repeats = _reliability.repeats(tables, repeat, id_, leave)
    outcome = {"target": target, "positive": positive, "event": event, "id_name": id_}
    options = {"bootstrap": bootstrap, "seed": seed}
    _reliability.effects(repeats, outcomes, outcome, (adjust, features), out, options)
