"""NIfTI through nibabel; RAS becomes LPS here and nowhere else."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FormatError, GeometryError, InputError, RadgenError, RadgenWarning
from radgen.io._guard import BROKEN, image_size
from radgen.types import Geometry, ImageVolume

__all__ = ["read_nifti", "write_nifti"]

_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
_MM = {"mm": 1.0, "meter": 1000.0, "micron": 1e-3, "unknown": 1.0}
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_AGREE_MM = 0.01
_SHEAR = 1e-2


def read_nifti(path: Path) -> ImageVolume:
    """Return the scan of a NIfTI file, axes (z, y, x) in LPS millimetres."""
    array, geometry, times = load_nifti(path)
    return ImageVolume(array, geometry, times_s=times)


def load_nifti(
    path: Path, *, untimed: bool = False
) -> tuple[NDArray[Any], Geometry, NDArray[np.float64] | None]:
    """Return scaled values, grid and times (None for one volume) of a NIfTI file.

    With `untimed`, frames whose times the header does not state have times NaN; otherwise they
    are an error.

    Raises
    ------
    FormatError
        If the file is broken, or has axes that cannot be understood.
    GeometryError
        If the grid is singular or sheared.
    """
    import nibabel

    with _explained(path), _quiet():
        image = nibabel.load(path)
        header: Any = image.header
        shape = tuple(int(size) for size in image.shape)
        dtype = header.get_data_dtype()
        if dtype.kind not in "iuf":
            raise FormatError(
                f"Voxels are {dtype}; a scan has one real number a voxel. Split the file.",
                path=path,
            )
        gzipped = _gz(path)
        image_size(shape, dtype.itemsize, path, gzipped=gzipped)
        # The header forgets the scale when the file is opened; the array keeps it.
        slope, inter = getattr(image.dataobj, "slope", 1.0), getattr(image.dataobj, "inter", 0.0)
        stored = np.asanyarray(image.dataobj.get_unscaled())
        space, time = header.get_xyzt_units()
        own = np.array(image.affine, dtype=np.float64)
        coded = "sform_code" in header
        codes = (int(header["sform_code"]), int(header["qform_code"])) if coded else (1, 0)
        other = np.array(header.get_qform(), dtype=np.float64) if all(codes) else own
    array = _scaled(stored, slope, inter)
    array, times = _frames(array, header, time, path, untimed=untimed)
    scale = np.array([[_MM[space]]] * 3 + [[1.0]])
    try:
        geometry = Geometry(_FLIP @ (own * scale), array.shape[-3:])
        other_grid = Geometry(_FLIP @ (other * scale), array.shape[-3:])
    except InputError as error:
        raise FormatError(f"The orientation is unusable: {error}", path=path) from error
    except GeometryError as error:
        raise GeometryError(f"{path}: {error} Correct the header.", left=own) from error
    require_orthogonal(geometry, path)
    _warn_orientation(codes, geometry, other_grid, path)
    return array, geometry, times


def require_orthogonal(geometry: Geometry, path: Path) -> None:
    """Raise where the axes of a grid are not at right angles.

    Raises
    ------
    GeometryError
        If they are not: distances and neighbourhoods would be wrong.
    """
    gram = geometry.direction.T @ geometry.direction
    off = float(np.abs(gram - np.eye(3)).max())
    if off > _SHEAR:
        raise GeometryError(
            f"{path}: the axes of the grid are not at right angles (gantry tilt or shear, cosine "
            f"{off:.3f}). Resample the scan onto an orthogonal grid first.",
            left=geometry,
        )


def write_nifti(
    array: NDArray[Any], geometry: Geometry, path: Path, times_s: NDArray[np.float64] | None
) -> None:
    """Write an array (z, y, x) or (t, z, y, x) with its grid."""
    import nibabel

    image = nibabel.Nifti1Image(array.T, _FLIP @ geometry.affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(_FLIP @ geometry.affine, code=1)
    image.set_qform(_FLIP @ geometry.affine, code=1, strip_shears=True)
    if times_s is not None:
        steps = np.diff(times_s)
        if len(steps) and not np.allclose(steps, steps[0], rtol=1e-5, atol=1e-6):
            raise InputError("NIfTI holds evenly spaced times alone; write one file a time point.")
        image.header["pixdim"][4] = steps[0] if len(steps) else 1.0
        image.header["toffset"] = times_s[0]
    image.to_filename(path)


def _gz(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _scaled(stored: NDArray[Any], slope: float | None, inter: float | None) -> NDArray[Any]:
    if slope in (None, 1.0) and inter in (None, 0.0):
        return stored.astype(stored.dtype.newbyteorder("="), copy=False)
    values = stored.astype(np.float64) * (1.0 if slope is None else slope) + (inter or 0.0)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    return single if np.array_equal(single, values, equal_nan=True) else values


def _warn_orientation(
    codes: tuple[int, int], chosen: Geometry, other: Geometry, path: Path
) -> None:
    if codes == (0, 0):
        warnings.warn(
            f"{path.name} says nothing about its orientation; left and right are unknown and "
            "taken as NIfTI's default.",
            RadgenWarning,
            stacklevel=5,
        )
    gap = chosen.distance_mm(other)
    if gap > max(_AGREE_MM, 1e-3 * min(chosen.spacing_mm) * max(chosen.shape)):
        warnings.warn(
            f"{path.name}: its two orientations (sform, qform) disagree by up to {gap:.3g} mm. "
            "The sform is used; correct the header if that is wrong.",
            RadgenWarning,
            stacklevel=5,
        )


def _frames(
    array: NDArray[Any], header: Any, unit: str, path: Path, *, untimed: bool
) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    while array.ndim < 3:
        array = array[..., np.newaxis]
    if array.ndim == 3:
        return array.T, None
    step = float(header["pixdim"][4]) if "pixdim" in header else 0.0
    stated = unit in _SECONDS and step > 0
    if array.ndim == 4 and untimed and not stated:
        return array.T, np.full(array.shape[3], np.nan)
    if array.ndim != 4 or not stated:
        raise FormatError(
            f"The image has {array.ndim} axes {array.shape} and no times (frame step {step:g}, "
            f"unit {unit}). Split it into one file a volume, or state the frame time in the "
            "header.",
            path=path,
        )
    offset = float(header["toffset"]) if "toffset" in header else 0.0
    return array.T, (offset + step * np.arange(array.shape[3])) * _SECONDS[unit]


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except RadgenError:
        raise
    except BROKEN as error:
        raise FormatError(
            f"The NIfTI file is broken or cut off ({type(error).__name__}). Copy or convert it "
            "again.",
            path=path,
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    from nibabel import imageglobals

    logger = imageglobals.logger
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
