"""Read NIfTI, NRRD and MetaImage files as arrays with a grid, through SimpleITK and nibabel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.files import atomic_path
from radgen.errors import FormatError, GeometryError
from radgen.types import Geometry

__all__ = [
    "MAX_VOXELS",
    "SUFFIXES",
    "geometry_of_itk",
    "is_volume_file",
    "read_volume",
    "write_volume",
]

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
MAX_VOXELS = 2**31
"""A header that announces more voxels than this is refused before anything is read."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SHEAR_TOLERANCE = 1e-3


def is_volume_file(path: Path) -> bool:
    """Return whether the name ends like a NIfTI, NRRD or MetaImage file."""
    return path.name.lower().endswith(SUFFIXES)


def read_volume(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Return the array (z, y, x) or (t, z, y, x) of a file, and its grid in LPS millimetres.

    Raises
    ------
    FormatError
        If the file cannot be read, is truncated or is not a volume.
    """
    if not path.exists():
        raise FormatError("There is no such file.", path=path)
    if path.stat().st_size == 0:
        raise FormatError("The file is empty.", path=path)
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return _read_nifti(path)
    return _read_itk(path)


def _read_nifti(path: Path) -> tuple[NDArray[Any], Geometry]:
    import zlib

    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    problems = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)
    try:
        nifti = nib.load(path)
        shape = tuple(int(size) for size in nifti.shape)
        _require_size(shape, path)
        raw = np.asanyarray(nifti.dataobj)
    except (*problems, OverflowError, MemoryError) as error:
        raise FormatError(
            f"Not a readable NIfTI file ({_first_line(error)}). It may be truncated or of "
            "another format; copy it again from its source.",
            path=path,
        ) from error
    while raw.ndim > 3 and raw.shape[-1] == 1:
        raw = raw[..., 0]
    if raw.ndim == 2:
        raw = raw[..., None]
    if raw.ndim not in (3, 4) or raw.dtype.kind not in "biuf":
        raise FormatError(
            f"The array has shape {raw.shape} of {raw.dtype}; needed is a volume.", path=path
        )
    _require_one_orientation(nifti, path)
    affine = _LPS_TO_RAS @ np.asarray(nifti.affine, dtype=np.float64) * _millimetres(nifti, path)
    affine[3] = (0, 0, 0, 1)
    return np.ascontiguousarray(raw.T), _geometry(affine, raw.T.shape[-3:], path)


def _millimetres(nifti: Any, path: Path) -> float:
    unit = nifti.header.get_xyzt_units()[0]
    scale = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 1e-3}.get(unit)
    if scale is None:
        raise FormatError(f"Unknown unit of length {unit!r} in the header.", path=path)
    return scale


def _require_one_orientation(nifti: Any, path: Path) -> None:
    """Raise where the two orientations of the header (qform, sform) disagree."""
    if not hasattr(nifti, "get_sform"):
        return
    sform, s_code = nifti.get_sform(coded=True)
    try:
        qform, q_code = nifti.get_qform(coded=True)
    except (ValueError, np.linalg.LinAlgError):
        return
    if not s_code or not q_code or sform is None or qform is None:
        return
    far = np.array(
        [
            [(n - 1) * bit for n, bit in zip(nifti.shape[:3], corner, strict=True)] + [1]
            for corner in np.ndindex(2, 2, 2)
        ]
    )
    gap = np.abs(far @ (np.asarray(sform) - np.asarray(qform)).T).max()
    size = np.linalg.norm(np.asarray(sform)[:3, :3], axis=0).min()
    if gap > max(size, 0.5):
        raise FormatError(
            f"The header holds two orientations (sform and qform) that differ by {gap:.3g} mm. "
            "Decide which is right and write the file again with that one.",
            path=path,
        )


def _read_itk(path: Path) -> tuple[NDArray[Any], Geometry]:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _require_size(reader.GetSize(), path)
        image = reader.Execute()
    except RuntimeError as error:
        raise FormatError(
            "Not a readable image file: it is truncated, damaged or of another format. "
            "Copy it again from its source.",
            path=path,
        ) from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise FormatError(
            "A voxel holds several values (colour or vector); needed is one.", path=path
        )
    array = sitk.GetArrayFromImage(image)
    if array.ndim == 2:
        array = array[None]
        image = sitk.JoinSeries(image)
    return array, geometry_of_itk(image, path)


def geometry_of_itk(image: Any, path: Path | None = None) -> Geometry:
    """Return the grid of a SimpleITK image (its first three axes)."""
    n_dim = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(n_dim, n_dim)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing()[:3])
    affine[:3, 3] = image.GetOrigin()[:3]
    return _geometry(affine, image.GetSize()[:3][::-1], path)


def _geometry(affine: NDArray[np.float64], shape: tuple[int, ...], path: Path | None) -> Geometry:
    columns = affine[:3, :3]
    norm = np.linalg.norm(columns, axis=0)
    if not np.isfinite(affine).all() or (norm <= 0).any():
        raise FormatError("The header gives voxels without a size.", path=path)
    unit = columns / norm
    if np.abs(unit.T @ unit - np.eye(3)).max() > _SHEAR_TOLERANCE:
        raise GeometryError(
            f"{path}: the axes of the grid are not at right angles (a gantry tilt or shear)."
        )
    return Geometry(affine, (int(shape[0]), int(shape[1]), int(shape[2])))


def _require_size(shape: tuple[int, ...], path: Path) -> None:
    total = int(np.prod([max(int(size), 0) for size in shape], dtype=object))
    if total <= 0 or total > MAX_VOXELS:
        raise FormatError(
            f"The header announces {total:,} voxels, shape {tuple(shape)}.", path=path
        )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:120] if lines else type(error).__name__


def write_volume(array: NDArray[Any], geometry: Geometry, path: Path) -> None:
    """Write an array (z, y, x) on its grid; the suffix chooses the format.

    Raises
    ------
    FormatError
        If the suffix is not one of `SUFFIXES`.
    """
    if not is_volume_file(path):
        raise FormatError(f"Unknown suffix; known: {', '.join(SUFFIXES)}.", path=path)
    if path.name.lower().endswith((".nii", ".nii.gz")):
        import nibabel as nib

        nifti = nib.Nifti1Image(array.T, _LPS_TO_RAS @ geometry.affine)
        nifti.set_qform(nifti.affine, 1)
        nifti.set_sform(nifti.affine, 1)
        nifti.header.set_xyzt_units("mm", "sec")
        with atomic_path(path) as temporary:
            nib.save(nifti, temporary)
        return
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.SetOrigin(geometry.origin_mm)
    image.SetSpacing(geometry.spacing_mm[::-1])
    image.SetDirection(geometry.direction.ravel().tolist())
    with atomic_path(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True)
