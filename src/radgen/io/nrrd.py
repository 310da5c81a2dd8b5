"""NRRD and MetaImage through SimpleITK, which speaks LPS as radgen does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FormatError, GeometryError, InputError, RadgenError
from radgen.io._guard import BROKEN, image_size, silenced
from radgen.types import Geometry, ImageVolume

__all__ = ["load_itk", "read_itk", "write_itk"]

_HEADER = 1 << 16
_FAR = 1e9
_GRID_FIELDS = frozenset(
    (
        b"space directions",
        b"space origin",
        b"spacings",
        b"measurement frame",
        b"transformmatrix",
        b"rotation",
        b"orientation",
        b"offset",
        b"origin",
        b"position",
        b"elementspacing",
        b"elementsize",
    )
)
"""Fields of NRRD and MetaImage headers that hold millimetres or directions."""


def read_itk(path: Path) -> ImageVolume:
    """Return the scan of a NRRD or MetaImage file."""
    array, geometry, _ = load_itk(path)
    return ImageVolume(array, geometry)


def load_itk(path: Path) -> tuple[NDArray[Any], Geometry, dict[str, str]]:
    """Return values (z, y, x), grid and header entries of a NRRD or MetaImage file.

    Raises
    ------
    FormatError
        If the file is broken, or is not one real number a voxel in three axes.
    """
    import SimpleITK as sitk

    _check_magic(path)
    _check_grid(path)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with silenced():
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            _check_kind(reader, path)
            image = reader.Execute()
            entries = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    except RadgenError:
        raise
    except BROKEN as error:
        raise FormatError(
            "The image is broken or cut off, or its data file is missing. Copy or convert it "
            "again.",
            path=path,
        ) from error
    array = sitk.GetArrayFromImage(image)
    n_axes = image.GetDimension()
    spacing, origin = np.ones(3), np.zeros(3)
    direction = np.eye(3)
    spacing[:n_axes] = image.GetSpacing()
    origin[:n_axes] = image.GetOrigin()
    direction[:n_axes, :n_axes] = np.reshape(image.GetDirection(), (n_axes, n_axes))
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:3, 3] = origin
    if array.ndim == 2:
        array = array[np.newaxis]
    try:
        return array, Geometry(affine, array.shape), entries
    except (InputError, GeometryError) as error:
        raise FormatError(f"The grid is unusable: {error}", path=path) from error


def write_itk(array: NDArray[Any], geometry: Geometry, path: Path) -> None:
    """Write an array (z, y, x) with its grid, compressed.

    Raises
    ------
    InputError
        If the array is a dynamic series.
    """
    import SimpleITK as sitk

    if array.ndim != 3:
        raise InputError("A dynamic series is written as NIfTI (.nii.gz).")
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing(geometry.spacing_mm[::-1])
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction.ravel().tolist())
    sitk.WriteImage(image, str(path), True)


def _check_magic(path: Path) -> None:
    with path.open("rb") as stream:
        head = stream.read(512)
    if path.suffix.lower() in (".nrrd", ".nhdr"):
        fine = head.startswith(b"NRRD")
        needed = "NRRD"
    else:
        fine = b"=" in head and head[:64].isascii()
        needed = "a MetaImage header"
    if not fine:
        raise FormatError(
            f"The name says {path.suffix}, but the content does not start with {needed}. "
            "Rename or convert the file.",
            path=path,
        )


def _check_grid(path: Path) -> None:
    """Raise where the header's grid holds a number that no scan has; ITK never ends on some."""
    with path.open("rb") as stream:
        head = stream.read(_HEADER)
    for line in head.split(b"\n"):
        name, _, rest = line.partition(b":" if head.startswith(b"NRRD") else b"=")
        name = name.strip().lower()
        if not line.strip() or name == b"elementdatafile":
            return  # the voxels begin
        if name not in _GRID_FIELDS:
            continue
        for word in re.split(rb"[\s(),]+", rest.strip()):
            try:
                number = float(word or b"0")
            except ValueError:
                continue  # "none", or a word that ITK refuses
            # "nan" spacings are how NRRD says that there is none
            if abs(number) > _FAR or (np.isnan(number) and name != b"spacings"):
                raise FormatError(
                    f"The grid is unusable: {name.decode()} holds {word.decode()}. Correct the "
                    "header.",
                    path=path,
                )


def _check_kind(reader: Any, path: Path) -> None:
    import SimpleITK as sitk

    shape = reader.GetSize()
    components = reader.GetNumberOfComponents()
    if components != 1:
        raise FormatError(
            f"Each voxel holds {components} numbers; a scan has one. Split the file.", path=path
        )
    pixel = reader.GetPixelID()
    if pixel in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise FormatError("Voxels are complex numbers; take magnitude or phase.", path=path)
    if len(shape) not in (2, 3):
        raise FormatError(
            f"The image has {len(shape)} axes {tuple(shape)}. Split it into one file a volume.",
            path=path,
        )
    image_size(
        tuple(shape), 8 if pixel in (sitk.sitkFloat64, sitk.sitkInt64) else 4, path, gzipped=False
    )
