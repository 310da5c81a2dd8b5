"""PyRadiomics' shape features, in the volume and in one slice."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.features._enclose import diameter_of, lattice_hull
from radgen.features._mesh import mesh_of
from radgen.features.pyradiomics.images import Crop

__all__ = ["SHAPE_NAMES", "SHAPE_NAMES_2D", "shape", "shape_2d"]

Array = NDArray[np.float64]

SHAPE_NAMES = (
    "Elongation",
    "Flatness",
    "LeastAxisLength",
    "MajorAxisLength",
    "Maximum2DDiameterColumn",
    "Maximum2DDiameterRow",
    "Maximum2DDiameterSlice",
    "Maximum3DDiameter",
    "MeshVolume",
    "MinorAxisLength",
    "Sphericity",
    "SurfaceArea",
    "SurfaceVolumeRatio",
    "VoxelVolume",
)
SHAPE_NAMES_2D = (
    "Elongation",
    "MajorAxisLength",
    "MaximumDiameter",
    "MeshSurface",
    "MinorAxisLength",
    "Perimeter",
    "PerimeterSurfaceRatio",
    "PixelSurface",
    "Sphericity",
)


def _axes(mask: NDArray[np.bool_], spacing: Array) -> Array:
    """Return axis lengths, largest first: four roots of the eigenvalues (divisor n)."""
    places = np.argwhere(mask) * spacing
    places = places - places.mean(axis=0)
    values = np.linalg.eigvalsh(places.T @ places / len(places))[::-1]
    return np.asarray(4.0 * np.sqrt(np.where((values < 0) & (values > -1e-10), 0.0, values)))


def _crossings(mask: NDArray[np.bool_], axis: int) -> Array:
    """Return midpoints (n, d) between neighbours along an axis of which one is inside."""
    padded = np.pad(mask, 1)
    found = np.argwhere(np.diff(padded.view(np.int8), axis=axis)).astype(np.float64)
    found[:, axis] += 0.5
    return found


def _widest_plane(points: Array, axis: int) -> float:
    """Return the largest distance between two vertices in one plane across an axis."""
    ordered = points[np.argsort(points[:, axis], kind="stable")]
    starts = np.flatnonzero(np.diff(ordered[:, axis], prepend=-np.inf))
    flat = np.delete(ordered, axis, axis=1)
    return max(diameter_of(_rim(part)) for part in np.split(flat, starts[1:]))


def _rim(points: Array) -> Array:
    """Return the points (n, 2) that are first or last in their row: no others are extreme."""
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    change = np.flatnonzero(np.diff(ordered[:, 0]))
    index = np.concatenate([[0], change, change + 1, [len(ordered) - 1]])
    return ordered[np.unique(index)]


def shape(crop: Crop) -> dict[str, float]:
    """Return the 14 features of a region in the volume."""
    mask, spacing = crop.mask, np.array(crop.spacing_mm)
    mesh = mesh_of(mask, crop.spacing_mm, table="flipped")  # type: ignore[arg-type]
    volume, area = mesh.volume_mm3, mesh.area_mm2
    points = np.concatenate([_crossings(mask, axis) for axis in range(3)]) * spacing
    major, minor, least = _axes(mask, spacing)
    return {
        "Elongation": minor / major,
        "Flatness": least / major,
        "LeastAxisLength": least,
        "MajorAxisLength": major,
        "Maximum2DDiameterColumn": _widest_plane(points, 1),
        "Maximum2DDiameterRow": _widest_plane(points, 2),
        "Maximum2DDiameterSlice": _widest_plane(points, 0),
        "Maximum3DDiameter": lattice_hull(mesh.places, mesh.half_mm).diameter,
        "MeshVolume": volume,
        "MinorAxisLength": minor,
        "Sphericity": float(np.cbrt(36.0 * np.pi * volume**2) / area),
        "SurfaceArea": area,
        "SurfaceVolumeRatio": area / volume,
        "VoxelVolume": float(np.count_nonzero(mask) * np.prod(spacing)),
    }


# Corners of a square in the order of its four bits: (y, x) = 00, 01, 10, 11. Each entry holds
# segments from and to edge midpoints; inside corners that touch at a point are kept apart.
_EDGES: Mapping[str, tuple[float, float]] = {
    "top": (0.0, 0.5),
    "right": (0.5, 1.0),
    "bottom": (1.0, 0.5),
    "left": (0.5, 0.0),
}
_RING = ((0, "top"), (1, "right"), (3, "bottom"), (2, "left"))


def _segments(kind: int) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Return the border segments of a square, walked with the inside on one side."""
    inside = [bool(kind >> corner & 1) for corner, _ in _RING]
    out = []
    for start in range(4):
        if not inside[start] or inside[start - 1]:
            continue
        end = start
        while inside[(end + 1) % 4]:
            end = (end + 1) % 4
        out.append((_EDGES[_RING[start - 1][1]], _EDGES[_RING[end][1]]))
    return out


def shape_2d(crop: Crop, axis: int | None) -> dict[str, float]:
    """Return the 9 features of a region in one slice.

    Raises
    ------
    InputError
        If `axis` (force2D) is not set, or the region has more than one slice.
    """
    if axis is None or crop.mask.shape[axis] > 1:
        raise InputError("shape2D needs force2D and a region of one slice.")
    mask = np.take(crop.mask, 0, axis)
    spacing = np.delete(np.array(crop.spacing_mm), axis)
    padded = np.pad(mask, 1).astype(np.int64)
    kinds = padded[:-1, :-1] | padded[:-1, 1:] << 1 | padded[1:, :-1] << 2 | padded[1:, 1:] << 3
    perimeter = surface = 0.0
    for kind in range(1, 15):
        corners = np.argwhere(kinds == kind)
        for start, end in _segments(kind):
            a, b = (corners + start) * spacing, (corners + end) * spacing
            perimeter += len(corners) * float(np.linalg.norm((np.array(start) - end) * spacing))
            surface += float(np.sum(a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1])) / 2.0
    surface = abs(surface)
    points = np.concatenate([_crossings(mask, k) for k in range(2)]) * spacing
    major, minor = _axes(mask, spacing)
    return {
        "Elongation": minor / major,
        "MajorAxisLength": major,
        "MaximumDiameter": diameter_of(_rim(points)),
        "MeshSurface": surface,
        "MinorAxisLength": minor,
        "Perimeter": perimeter,
        "PerimeterSurfaceRatio": perimeter / surface,
        "PixelSurface": float(np.count_nonzero(mask) * np.prod(spacing)),
        "Sphericity": 2.0 * float(np.sqrt(np.pi * surface)) / perimeter,
    }
