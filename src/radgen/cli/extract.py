"""``radgen extract``: features of one scan, or of every scan of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "extract"]

OPTIONS = {
    "epilog": """Examples:

  radgen extract scan.nii.gz mask.nii.gz --preset ibsi-a --out features.csv

  radgen extract scan.nii.gz mask.nii.gz --settings Params.yaml    (PyRadiomics' own file)

  radgen extract scan.nii.gz --preset ibsi2-p1-3.a.1 --out response.nii.gz

  radgen extract --cohort scans.csv --out features.parquet --jobs 8 --qc pictures

  radgen extract --cohort scans.csv --out features.parquet --cluster tcp://10.0.0.5:8786

A cohort that was stopped goes on where it was when the same command is given again.
Presets: ibsi-digital, ibsi-a to ibsi-e, pyradiomics, ibsi2-1.A to ibsi2-9.B,
ibsi2-p1-1.a.1 to ibsi2-p1-10.b.1 (response maps). See also: radgen maps --help

Exit codes: 0 done, 2 something must be mended, 3 done, but a scan or feature failed."""
}

_SCAN = "Image file or folder (NIfTI, NRRD, DICOM)."
_MASK = "Mask file (NIfTI, NRRD, RTSTRUCT, DICOM SEG)."
_OUT = "Table to write (.csv, .tsv, .parquet), or image (.nii.gz, .nrrd) for a filter response."
_SETTINGS = "Settings file: .toml, or a PyRadiomics parameter file (.yaml, .json)."
_LABEL = 'Mask value that is a region: "1" or "tumour=1+2". Repeat for more regions.'
_FIT = "Bring a mask on another grid onto the image's grid (nearest voxel)."
_TABLE = "Table with columns sample, image, mask (and labels, modality)."
_JOBS = "Processes; 0 = one a processor (with --cohort)."
_CLUSTER = "Address of a Dask scheduler, or its scheduler file (with --cohort)."
_PARTS = "Cut each scan into parts by region and image type; 0 = where there are few scans."
_STORE = "Folder that keeps finished scans (with --cohort). [default: OUT.scans]"
_QC = "Picture (.png) of the scan with its regions; with --cohort a folder of them."


def extract(
    image: Annotated[Path | None, typer.Argument(help=_SCAN)] = None,
    mask: Annotated[Path | None, typer.Argument(help=_MASK)] = None,
    *,
    out: Annotated[Path, typer.Option(help=_OUT)] = Path("features.csv"),
    preset: Annotated[str | None, typer.Option(help="Name of a preset, ibsi-a say.")] = None,
    settings: Annotated[Path | None, typer.Option(help=_SETTINGS)] = None,
    label: Annotated[list[str] | None, typer.Option(help=_LABEL)] = None,
    fit_mask: Annotated[bool, typer.Option("--fit-mask", help=_FIT)] = False,
    layout: Annotated[str, typer.Option("--format", help="long or wide.")] = "long",
    sample: Annotated[str, typer.Option(help="Id of the sample; the file name if blank.")] = "",
    modality: Annotated[str, typer.Option(help="CT, MR, PT, … where the file is mute.")] = "",
    qc: Annotated[Path | None, typer.Option(help=_QC)] = None,
    cohort: Annotated[Path | None, typer.Option(help=_TABLE)] = None,
    jobs: Annotated[int, typer.Option(min=0, help=_JOBS)] = 0,
    cluster: Annotated[str | None, typer.Option(help=_CLUSTER)] = None,
    parts: Annotated[int, typer.Option(min=0, help=_PARTS)] = 0,
    store: Annotated[Path | None, typer.Option(help=_STORE)] = None,
) -> None:
    """Measure the features of the regions of a scan, or of every scan of a table."""
    from radgen.features import files

    how = files.chosen_settings(preset, settings, fit_mask=fit_mask)
    if files.is_image_name(out) and cohort is None:
        typer.echo(files.response_of(image, how, out, modality=modality))
        return
    files.require_request(image, mask, cohort, out=out, layout=layout)
    scan = files.ScanFiles(image, mask, tuple(label or ()), sample, modality)
    work = files.CohortWork(cohort, jobs, cluster, parts, store or Path(f"{out}.scans"))
    table, notes = files.measured(scan, work, settings=how, qc=qc)
    files.write_features(table, out, layout=layout, settings=how)
    typer.echo("\n".join([files.summary(table, out), *notes]))
    raise typer.Exit(3 if files.any_failed(table) else 0)
