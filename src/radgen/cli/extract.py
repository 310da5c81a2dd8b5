"""``radgen extract``: features of one scan, or of every scan of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["extract"]

_SCAN = "Image file or folder (NIfTI, NRRD, DICOM)."
_MASK = "Mask file (NIfTI, NRRD, RTSTRUCT, DICOM SEG)."
_LABEL = 'Mask value that is a region: "1" or "tumour=1+2". Repeat for more regions.'
_TABLE = "Table with columns sample, image, mask (and labels, modality)."
_STORE = "Folder that keeps finished scans, so that a stopped run goes on (with --cohort)."


def extract(
    image: Annotated[Path | None, typer.Argument(help=_SCAN)] = None,
    mask: Annotated[Path | None, typer.Argument(help=_MASK)] = None,
    *,
    out: Annotated[Path, typer.Option(help="Table to write: .csv, .tsv or .parquet.")] = Path(
        "features.csv"
    ),
    preset: Annotated[str | None, typer.Option(help="Name of a preset, ibsi-a say.")] = None,
    settings: Annotated[Path | None, typer.Option(help="Settings file (.toml).")] = None,
    label: Annotated[list[str] | None, typer.Option(help=_LABEL)] = None,
    layout: Annotated[str, typer.Option("--format", help="long or wide.")] = "long",
    sample: Annotated[str, typer.Option(help="Id of the sample; the file name if blank.")] = "",
    modality: Annotated[str, typer.Option(help="CT, MR, PT, … where the file is mute.")] = "",
    cohort: Annotated[Path | None, typer.Option(help=_TABLE)] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes (with --cohort).")] = 1,
    store: Annotated[Path | None, typer.Option(help=_STORE)] = None,
) -> None:
    """Measure the features of the regions of a scan, or of every scan of a table."""
    from radgen.features import files

    how = files.chosen_settings(preset, settings)
    files.require_one_source(image, mask, cohort)
    if cohort is not None:
        table = files.extract_table(cohort, settings=how, jobs=jobs, store=store)
    else:
        options = {"settings": how, "labels": label or (), "sample": sample, "modality": modality}
        table = files.extract_files(image, mask, **options)
    files.write_features(table, out, layout=layout)
    typer.echo(files.summary(table, out))
    raise typer.Exit(3 if files.any_failed(table) else 0)
