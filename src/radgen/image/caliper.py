"""Diameters of a lesion as a reader measures them: in one slice, along the axes of the outline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radgen.errors import InputError
from radgen.types import Geometry, Mask

__all__ = ["AxialDiameters", "Plane", "plane_axis", "slice_diameters"]

FloatArray = NDArray[np.float64]
Plane = Literal["axial", "coronal", "sagittal"]
_WORLD = {"axial": 2, "coronal": 1, "sagittal": 0}


@dataclass(frozen=True, slots=True)
class AxialDiameters:
    """Longest diameter of a region in any slice, and the longest one across it.

    Attributes
    ----------
    longest_mm, short_mm : float
        Of a region in several pieces the sums over its pieces.
    slice_index : int
        Slice of the longest diameter (of the largest piece).
    ends, short_ends : tuple of tuple of float
        Both ends of the two diameters of the largest piece, LPS millimetres.
    n_parts : int
        Pieces that do not touch, corners included.
    slice_mm : float
        Distance of slices.
    """

    longest_mm: float
    short_mm: float
    slice_index: int
    ends: tuple[tuple[float, float, float], tuple[float, float, float]]
    short_ends: tuple[tuple[float, float, float], tuple[float, float, float]]
    n_parts: int
    slice_mm: float


def plane_axis(geometry: Geometry, plane: Plane) -> int:
    """Return the array axis along which the slices of a plane are stacked.

    Parameters
    ----------
    geometry : Geometry
        The grid.
    plane : {"axial", "coronal", "sagittal"}
        Oblique grids: the axis nearest to the patient's.

    Returns
    -------
    int
        Axis of the array (z, y, x).

    Raises
    ------
    InputError
        If the plane is unknown.
    """
    if plane not in _WORLD:
        raise InputError(f"Unknown plane {plane!r}: axial, coronal or sagittal.")
    share = np.abs(geometry.direction[_WORLD[plane]])
    return 2 - int(np.argmax(share))


def slice_diameters(mask: Mask, *, plane: Plane = "axial") -> AxialDiameters:
    """Return the longest diameter of a region in any slice, and the longest one across it.

    Parameters
    ----------
    mask : Mask
        One lesion; not empty.
    plane : {"axial", "coronal", "sagittal"}
        In which it is measured.

    Returns
    -------
    AxialDiameters
        In millimetres, whatever the size of voxels.

    Raises
    ------
    InputError
        If the region is empty.

    Notes
    -----
    The outline runs midway between voxels inside and outside, so that the diameter of a disc is
    not longer by a voxel than it was. Diameters are those of its convex hull: the longest is the
    largest distance of two points, the short axis the longest chord perpendicular to it in the same
    slice. Pieces are measured each in its own slice and added, as RECIST 1.1 has it of lesions that
    fragment.

    References
    ----------
    Eisenhauer et al. 2009, doi:10.1016/j.ejca.2008.10.026, sections 3 and 4 and appendix II.

    Examples
    --------
    >>> z, y, x = np.indices((3, 21, 21)) - 10
    >>> disc = Mask(y**2 + x**2 <= 81, Geometry.from_spacing((3, 21, 21), (5, 0.5, 0.5)))
    >>> round(slice_diameters(disc).longest_mm, 2)
    9.5
    """
    if not mask.n_voxels:
        raise InputError(f"Region {mask.region!r} is empty, so it has no diameter.")
    axis = plane_axis(mask.geometry, plane)
    labels, n_parts = ndimage.label(mask.array, structure=np.ones((3, 3, 3)))
    boxes = ndimage.find_objects(labels)
    order = np.argsort(-np.bincount(labels.ravel())[1:], kind="stable")
    found = [_piece(labels[boxes[k]] == k + 1, boxes[k], mask.geometry, axis) for k in order]
    long, short, where, ends, across = found[0]
    return AxialDiameters(
        longest_mm=float(long + sum(item[0] for item in found[1:])),
        short_mm=float(short + sum(item[1] for item in found[1:])),
        slice_index=where,
        ends=_points(ends),
        short_ends=_points(across),
        n_parts=int(n_parts),
        slice_mm=float(mask.geometry.spacing_mm[axis]),
    )


def _points(
    ends: FloatArray,
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    (a, b, c), (d, e, f) = ends.tolist()
    return (a, b, c), (d, e, f)


def _piece(
    array: NDArray[np.bool_], box: tuple[slice, ...], geometry: Geometry, axis: int
) -> tuple[float, float, int, FloatArray, FloatArray]:
    """Return both diameters of one piece, the slice and the ends of both (2, 3)."""
    best = (-1.0, 0.0, 0, np.zeros((2, 3)), np.zeros((2, 3)))
    start = np.array([part.start for part in box], dtype=np.float64)
    for k in range(array.shape[axis]):
        flat = array.take(k, axis=axis)
        if not flat.any():
            continue
        outline = np.insert(_outline(flat), axis, k, axis=1) + start
        world = geometry.to_world(outline)
        plane = _in_plane(geometry, axis)
        hull = _hull(world @ plane.T)
        gap = ((hull[:, None] - hull[None]) ** 2).sum(axis=2)
        i, j = np.unravel_index(int(np.argmax(gap)), gap.shape)
        length = float(np.sqrt(gap[i, j]))
        if length > best[0] + 1e-9:
            chord = _chord(hull, hull[j] - hull[i])
            level = world[0] - plane.T @ (plane @ world[0])
            ends = np.stack([hull[i], hull[j]]) @ plane + level
            across = chord @ plane + level
            short = float(np.linalg.norm(chord[1] - chord[0]))
            best = (length, short, int(start[axis]) + k, ends, across)
    return best


def _in_plane(geometry: Geometry, axis: int) -> FloatArray:
    """Return two orthonormal directions of the slices, (2, 3)."""
    columns = [geometry.direction[:, 2 - k] for k in range(3) if k != axis]
    first = columns[0]
    second = columns[1] - (columns[1] @ first) * first
    return np.stack([first, second / np.linalg.norm(second)])


def _outline(flat: NDArray[np.bool_]) -> FloatArray:
    """Return the points midway between voxels inside and outside, in voxels (n, 2)."""
    wide = np.pad(flat, 1)
    points = []
    for axis in (0, 1):
        at = np.argwhere(np.diff(wide.astype(np.int8), axis=axis)).astype(np.float64)
        at[:, axis] += 0.5
        points.append(at - 1)
    return np.concatenate(points)


def _hull(points: FloatArray) -> FloatArray:
    """Return the corners of the convex hull, (n, 2)."""
    from scipy.spatial import ConvexHull

    return np.asarray(points[ConvexHull(points).vertices])


def _chord(hull: FloatArray, along: FloatArray) -> FloatArray:
    """Return the ends (2, 2) of the longest chord of a convex outline perpendicular to a line.

    The length of the chord is concave along the line and linear between corners, so that one
    corner lies on the longest.
    """
    u = along / np.linalg.norm(along)
    v = np.array([-u[1], u[0]])
    at, height = hull @ u, hull @ v
    next_at, next_height = np.roll(at, -1), np.roll(height, -1)
    low, high = np.minimum(at, next_at), np.maximum(at, next_at)
    best = np.zeros((2, 2))
    length = -1.0
    for place in at:
        hit = (low <= place + 1e-12) & (high >= place - 1e-12)
        run = next_at[hit] - at[hit]
        flat = np.abs(run) < 1e-12
        share = np.where(flat, 0.0, (place - at[hit]) / np.where(flat, 1.0, run))
        reach = height[hit] + np.clip(share, 0, 1) * (next_height[hit] - height[hit])
        reach = np.concatenate([reach, next_height[hit][flat]])
        if np.ptp(reach) > length:
            length = float(np.ptp(reach))
            best = np.stack([place * u + reach.min() * v, place * u + reach.max() * v])
    return best
