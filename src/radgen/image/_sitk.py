"""Volumes to SimpleITK and back; SimpleITK is imported only when it is used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.types import Geometry

__all__ = ["from_sitk", "to_sitk"]


def to_sitk(array: NDArray[Any], geometry: Geometry) -> Any:
    """Return a SimpleITK image that shares no memory with `array` (z, y, x).

    Raises
    ------
    InputError
        If the voxel axes are not at right angles (SimpleITK cannot hold such a grid).
    """
    import SimpleITK as sitk

    direction = geometry.direction
    if np.abs(direction.T @ direction - np.eye(3)).max() > 1e-4:
        raise InputError("The voxel axes are not at right angles; resample the image first.")
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing(geometry.spacing_mm[::-1])
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(direction.ravel().tolist())
    return image


def from_sitk(image: Any) -> NDArray[Any]:
    """Return the voxels (z, y, x) of a SimpleITK image."""
    import SimpleITK as sitk

    return np.asarray(sitk.GetArrayFromImage(image))
