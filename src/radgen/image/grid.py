"""Cut, extend and reorder voxel grids without touching the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["Box", "bounding_box", "crop", "crop_geometry", "pad", "to_canonical"]

Gridded = TypeVar("Gridded", ImageVolume, Mask)
Box = tuple[slice, slice, slice]


def bounding_box(
    mask: Mask | NDArray[np.bool_], *, margin: int | Sequence[int] = 0, clip: bool = True
) -> Box:
    """Return the smallest box of voxels around a region.

    Parameters
    ----------
    mask : Mask or ndarray of bool (n_z, n_y, n_x)
        The region.
    margin : int or sequence of int (3,)
        Voxels added on each side, for all axes or (z, y, x).
    clip : bool
        Whether the box is kept inside the grid.

    Returns
    -------
    tuple of slice (3,)
        Ranges along (z, y, x); where `clip` is False they can start below 0.

    Raises
    ------
    InputError
        If the region is empty.
    """
    array = mask.array if isinstance(mask, Mask) else mask
    extra = [margin] * 3 if isinstance(margin, int) else list(margin)
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        where = np.flatnonzero(array.any(axis=others))
        if where.size == 0:
            raise InputError("The region is empty, so it has no bounding box.")
        low, high = int(where[0]) - extra[axis], int(where[-1]) + 1 + extra[axis]
        if clip:
            low, high = max(low, 0), min(high, array.shape[axis])
        box.append(slice(low, high))
    return box[0], box[1], box[2]


def crop_geometry(geometry: Geometry, box: Box) -> Geometry:
    """Return the grid of a box of voxels; the box may reach beyond the grid.

    Parameters
    ----------
    geometry : Geometry
        The grid that the box counts in.
    box : tuple of slice (3,)
        Ranges along (z, y, x).

    Returns
    -------
    Geometry
        Same voxels, same places in the patient.

    Raises
    ------
    InputError
        If the box is empty.
    """
    start = np.array([part.start for part in box], dtype=np.float64)
    affine = np.array(geometry.affine)
    affine[:3, 3] = geometry.to_world(start)
    sizes = [part.stop - part.start for part in box]
    if min(sizes) < 1:
        raise InputError(f"A box of voxels has positive sizes, not {tuple(sizes)}.")
    return Geometry(affine, (sizes[0], sizes[1], sizes[2]))


def crop(source: Gridded, box: Box) -> Gridded:
    """Return the part of an image or mask inside a box of voxels.

    Parameters
    ----------
    source : ImageVolume or Mask
        What is cut.
    box : tuple of slice (3,)
        Ranges along (z, y, x), inside the grid.

    Returns
    -------
    ImageVolume or Mask
        The same voxels at the same places in the patient.

    Raises
    ------
    InputError
        If the box reaches beyond the grid or is empty.
    """
    shape = source.geometry.shape
    if any(part.start < 0 or part.stop > size for part, size in zip(box, shape, strict=True)):
        raise InputError(f"The box {_text(box)} reaches beyond the grid {shape}; use `pad` first.")
    part = source.array[(..., *box)]
    return replace(source, array=part, geometry=crop_geometry(source.geometry, box))


def pad(source: Gridded, width: int | Sequence[int], *, value: float | None = None) -> Gridded:
    """Return an image or mask with voxels added on all sides.

    Parameters
    ----------
    source : ImageVolume or Mask
        What is extended.
    width : int or sequence of int (3,)
        Voxels added on each side, for all axes or (z, y, x).
    value : float or None
        Value of the new voxels of an image; None repeats the outermost voxel. New voxels of a
        mask are always outside.

    Returns
    -------
    ImageVolume or Mask
        The old voxels stay at their places in the patient.

    Raises
    ------
    InputError
        If a width is negative.
    """
    extra = [width] * 3 if isinstance(width, int) else [int(size) for size in width]
    if len(extra) != 3 or min(extra) < 0:
        raise InputError(f"Padding takes one width or three (z, y, x), none negative: {width}.")
    box = tuple(
        slice(-size, length + size)
        for size, length in zip(extra, source.geometry.shape, strict=True)
    )
    geometry = crop_geometry(source.geometry, (box[0], box[1], box[2]))
    widths = [(0, 0)] * (source.array.ndim - 3) + [(size, size) for size in extra]
    array: NDArray[Any]
    if isinstance(source, Mask):
        array = np.pad(source.array, widths, constant_values=False)
    elif value is None:
        array = np.pad(source.array, widths, mode="edge")
    else:
        array = np.pad(source.array, widths, constant_values=value)
    return replace(source, array=array, geometry=geometry)


def to_canonical(source: Gridded) -> Gridded:
    """Return the image or mask with axes permuted and flipped to point along +L, +P, +S.

    Parameters
    ----------
    source : ImageVolume or Mask
        Any orientation; an oblique grid stays oblique, within 45 degrees of the patient axes.

    Returns
    -------
    ImageVolume or Mask
        No value is changed or interpolated; array order is (z, y, x) with x nearest to
        right-to-left, y to anterior-to-posterior and z to inferior-to-superior.
    """
    from scipy.optimize import linear_sum_assignment

    direction = source.geometry.direction
    rows, columns = linear_sum_assignment(-np.abs(direction))
    # world axis rows[i] is best followed by voxel axis columns[i] (x, y, z order)
    axes_xyz = [int(columns[list(rows).index(world)]) for world in range(3)]
    affine = np.take(source.geometry.affine, [*axes_xyz, 3], axis=1)
    array_axes = [2 - axes_xyz[2 - position] for position in range(3)]
    lead = source.array.ndim - 3
    array = source.array.transpose([*range(lead), *[lead + axis for axis in array_axes]])
    for axis in range(3):
        if affine[axis, axis] < 0:
            where = lead + 2 - axis
            affine[:3, 3] += affine[:3, axis] * (array.shape[where] - 1)
            affine[:3, axis] *= -1
            array = np.flip(array, axis=where)
    shape = array.shape[-3:]
    return replace(source, array=array, geometry=Geometry(affine, (shape[0], shape[1], shape[2])))


def _text(box: Box) -> str:
    return ", ".join(f"{part.start}:{part.stop}" for part in box)
