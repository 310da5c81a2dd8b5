"""From series to curves of voxels, and from values back to maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.types import ImageVolume, Mask

__all__ = ["ParameterMaps", "curves_of", "inside", "maps_of", "mean_curve", "values_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class ParameterMaps:
    """Maps of the parameters of one model on one grid.

    Attributes
    ----------
    maps : mapping of str to ImageVolume
        Parameter to map, NaN outside the mask and where the fit failed; `quantity` and `unit` are
        set.
    mask : Mask
        The voxels that were looked at.
    n_failed : int
        Voxels of the mask without a value in the first map.
    settings : mapping
        What the maps depend on, as plain values.
    notes : tuple of str
        What a reader of the maps should know.
    """

    maps: Mapping[str, ImageVolume]
    mask: Mask
    n_failed: int
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> ImageVolume:
        return self.maps[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.maps)

    def __len__(self) -> int:
        return len(self.maps)


def inside(series: ImageVolume, mask: Mask | None) -> Mask:
    """Return the mask, or all voxels that are measured in every frame and not 0 in all.

    Raises
    ------
    InputError
        If nothing is left.
    GeometryError
        If the mask does not lie on the grid of the series.
    """
    if mask is not None:
        mask.require_on(series)
        chosen = mask
    else:
        frames = series.array if series.array.ndim == 4 else series.array[None]
        finite = np.isfinite(frames).all(axis=0)
        chosen = Mask(finite & (frames != 0).any(axis=0), series.geometry, "image")
    if chosen.n_voxels == 0:
        raise InputError(f"The mask {chosen.region!r} holds no voxel.")
    return chosen


def curves_of(series: ImageVolume, mask: Mask) -> Floats:
    """Return the curves of a mask's voxels (n_voxels, n_frames)."""
    if series.array.ndim != 4:
        raise InputError("Needed is a series with four axes; this scan has one volume.")
    mask.require_on(series)
    return np.ascontiguousarray(series.array[:, mask.array].T, dtype=np.float64)


def mean_curve(series: ImageVolume, mask: Mask, *, what: str) -> Floats:
    """Return the mean curve of a region (n_frames,).

    Raises
    ------
    InputError
        If the region holds no voxel that is measured in all frames.
    """
    curves = curves_of(series, mask)
    curves = curves[np.isfinite(curves).all(axis=1)]
    if not len(curves):
        raise InputError(f"The {what} {mask.region!r} holds no voxel that is measured throughout.")
    found: Floats = curves.mean(axis=0)
    return found


def values_of(volume: ImageVolume | float, mask: Mask, *, what: str) -> Floats:
    """Return one value a voxel of a mask, from a map on its grid or from a number."""
    if isinstance(volume, ImageVolume):
        if volume.array.ndim != 3:
            raise InputError(f"The {what} map must be one volume.")
        volume.geometry.require_same(
            mask.geometry, what=f"The {what} map does not lie on the grid of the series"
        )
        return volume.array[mask.array].astype(np.float64)
    if not (np.isfinite(volume) and volume > 0):
        raise InputError(f"The {what} is {volume}; it must be positive.")
    return np.full(mask.n_voxels, float(volume))


def maps_of(
    values: Mapping[str, Floats],
    units: Mapping[str, str],
    mask: Mask,
    *,
    settings: Mapping[str, Any],
    modality: str = "MR",
    notes: tuple[str, ...] = (),
) -> ParameterMaps:
    """Return maps of values of a mask's voxels."""
    maps = {}
    for name, found in values.items():
        array = np.full(mask.geometry.shape, np.nan, dtype=np.float32)
        with np.errstate(over="ignore"):
            array[mask.array] = found
        array[np.isinf(array)] = np.nan
        maps[name] = ImageVolume(
            array, mask.geometry, modality=modality, quantity=name, unit=units[name]
        )
    first = next(iter(maps.values())).array
    n_failed = int(np.isnan(first[mask.array]).sum())
    return ParameterMaps(maps, mask, n_failed, dict(settings), notes)
