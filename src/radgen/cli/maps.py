"""``radgen maps``: voxel-wise maps of features, and filter responses, as images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "maps"]

OPTIONS = {
    "epilog": """Examples:

  radgen maps scan.nii.gz mask.nii.gz --features glcm --out maps

  radgen maps scan.nii.gz mask.nii.gz --features "glcm:Contrast,Joint entropy"
      --features intensity_statistics:Mean --radius 2 --out maps

  radgen maps scan.nii.gz mask.nii.gz --features glcm:ACUI --out contrast.nii.gz

  radgen maps scan.nii.gz --responses --settings filters.toml --out responses

Families: intensity_statistics, intensity_histogram, intensity_volume_histogram, glcm, glrlm,
glszm, gldzm, ngtdm, ngldm. Each voxel gets the feature
of the window around it, within the region. Maps lie on the grid of the image."""
}

_FEATURES = "Family, or features of one by name or IBSI code. Repeat for more families."
_OUT = "Folder for the maps; or an image file where there is a single map."


def maps(
    image: Annotated[Path, typer.Argument(help="Image file or folder.")],
    mask: Annotated[Path | None, typer.Argument(help="Mask file with the regions.")] = None,
    *,
    features: Annotated[list[str] | None, typer.Option(help=_FEATURES)] = None,
    responses: Annotated[
        bool, typer.Option("--responses", help="Also the responses to the settings' filters.")
    ] = False,
    out: Annotated[Path, typer.Option(help=_OUT)] = Path("maps"),
    radius: Annotated[
        int, typer.Option(min=1, max=7, help="Half width of the window in voxels.")
    ] = 1,
    preset: Annotated[str | None, typer.Option(help="Name of a preset.")] = None,
    settings: Annotated[Path | None, typer.Option(help="Settings file (.toml).")] = None,
    label: Annotated[list[str] | None, typer.Option(help='"1" or "tumour=1+2".')] = None,
    fit_mask: Annotated[
        bool, typer.Option("--fit-mask", help="Bring a mask on another grid onto the image's.")
    ] = False,
    suffix: Annotated[str, typer.Option("--format", help=".nii.gz, .nii, .nrrd or .mha")] = (
        ".nii.gz"
    ),
    modality: Annotated[str, typer.Option(help="CT, MR, PT, … where the file is mute.")] = "",
    overlay: Annotated[
        bool, typer.Option(help="Write a picture of each map over the scan.")
    ] = True,
) -> None:
    """Write maps of features of the window around each voxel, and pictures of them."""
    from radgen.features import files, map_files

    done = map_files.write_maps(
        image,
        mask,
        out,
        settings=files.chosen_settings(preset, settings, fit_mask=fit_mask),
        features=features or (),
        responses=responses,
        how=map_files.MapOptions(radius, tuple(label or ()), modality, suffix, overlay),
    )
    typer.echo(f"{len(done)} maps in {out}")
