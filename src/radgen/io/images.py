"""Read and write scans: the format is found by name and content, the reader is another's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from radgen._core.files import atomic_path
from radgen.errors import FormatError, InputError
from radgen.io._guard import existing
from radgen.types import ImageVolume, Mask

__all__ = ["read_image", "write_image", "write_mask"]

NIFTI = (".nii", ".nii.gz")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
WRITTEN = (".nii.gz", ".nii", ".nrrd", ".mha")
"""Suffixes that images are written with."""


def read_image(
    path: str | Path, *, modality: str = "", series: int | str | None = None, suv: bool = False
) -> ImageVolume:
    """Return the scan of a file or of a DICOM folder.

    Parameters
    ----------
    path : str or Path
        NIfTI (``.nii``, ``.nii.gz``), NRRD (``.nrrd``, ``.nhdr``), MetaImage (``.mha``,
        ``.mhd``), one DICOM file, or a folder that holds a DICOM series.
    modality : str, default ""
        DICOM code of the modality; a DICOM series brings its own.
    series : int, str or None
        Which series of a folder that holds several: its number in the list that the error
        message shows, or its description.
    suv : bool, default False
        Convert a PET series to standardised uptake values of body weight, see `radgen.io.suv`.

    Returns
    -------
    ImageVolume
        Axes (z, y, x), LPS millimetres. Slope and intercept are applied.

    Raises
    ------
    FormatError
        If the file is broken, of an unknown format, or a slice is missing or there twice.
    GeometryError
        If slices are unequally spaced or sheared.
    InputError
        If the series asked for is not there, or `suv` is asked of something else than PET.

    Warns
    -----
    RadgenWarning
        If the two orientations of a NIfTI file (sform, qform) disagree, or there is none.
    """
    where = existing(path, what="image", folder=True)
    kind = image_format(where)
    if kind == "dicom":
        from radgen.io.dicom import read_dicom

        return read_dicom(where, modality=modality, series=series, suv=suv)
    if series is not None:
        raise InputError(f"{where.name} is no DICOM folder: leave series out.")
    if suv:
        raise InputError("SUV needs the DICOM tags of a PET series; this is another format.")
    if kind == "nifti":
        from radgen.io.nifti import read_nifti

        return _named(read_nifti(where), modality)
    from radgen.io.nrrd import read_itk

    return _named(read_itk(where), modality)


def write_image(volume: ImageVolume, path: str | Path) -> None:
    """Write a scan with its exact grid as NIfTI, NRRD or MetaImage (``.mha``).

    Parameters
    ----------
    volume : ImageVolume
        The scan; a dynamic series is written as NIfTI alone.
    path : str or Path
        ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha``; the file appears in one step.

    Raises
    ------
    InputError
        If the suffix names no format that is written, or times are not evenly spaced.
    """
    where = _writable(path)
    with atomic_path(where) as temporary:
        if _suffix(where) in NIFTI:
            from radgen.io.nifti import write_nifti

            write_nifti(volume.array, volume.geometry, temporary, volume.times_s)
        else:
            from radgen.io.nrrd import write_itk

            write_itk(volume.array, volume.geometry, temporary)


def write_mask(mask: Mask, path: str | Path) -> None:
    """Write a mask as 0 and 1 (uint8) with its exact grid; see `write_image`."""
    where = _writable(path)
    array = mask.array.astype(np.uint8)
    with atomic_path(where) as temporary:
        if _suffix(where) in NIFTI:
            from radgen.io.nifti import write_nifti

            write_nifti(array, mask.geometry, temporary, None)
        else:
            from radgen.io.nrrd import write_itk

            write_itk(array, mask.geometry, temporary)


def image_format(path: Path) -> str:
    """Return "dicom", "nifti" or "itk".

    Raises
    ------
    FormatError
        If the name and the content fit no format.
    """
    suffix = _suffix(path)
    if path.is_dir():
        return "dicom"
    if suffix in NIFTI:
        return "nifti"
    if suffix in ITK:
        return "itk"
    with path.open("rb") as stream:
        head = stream.read(132)
    if head[128:] == b"DICM" or suffix in (".dcm", ".dicom", ".ima"):
        return "dicom"
    raise FormatError(
        "Unknown image format. Read are NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), MetaImage "
        "(.mha, .mhd) and DICOM (a folder or a .dcm file).",
        path=path,
    )


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def _writable(path: str | Path) -> Path:
    where = Path(path)
    if _suffix(where) not in WRITTEN:
        raise InputError(
            f"{where.name}: images are written as .nii, .nii.gz, .nrrd or .mha. Change the suffix."
        )
    return where


def _named(volume: ImageVolume, modality: str) -> ImageVolume:
    if not modality:
        return volume
    quantity, unit = ("HU", "HU") if modality == "CT" else (volume.quantity, volume.unit)
    return volume.with_array(volume.array, modality=modality, quantity=quantity, unit=unit)
