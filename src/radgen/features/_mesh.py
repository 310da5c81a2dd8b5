"""Surface of a mask: area and volume of the marching-cubes mesh, and its outermost vertices."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image

__all__ = ["Mesh", "cube_triangles", "mesh_of"]

Array = NDArray[np.float64]
_FLIP = 1 << 3


class Mesh:
    """Area, volume and outermost vertices of the surface of a mask.

    Attributes
    ----------
    area_mm2, volume_mm3 : float
        Of the marching-cubes mesh at the level 0.5 (vertices halfway between voxels).
    places : ndarray of int32 (n, 3)
        Vertices (z, y, x) in half voxels that can be extreme: first or last along a grid line,
        and not between their neighbours. The convex hull of all vertices is theirs.
    half_mm : tuple of float (3,)
        Half of a voxel.
    """

    def __init__(
        self,
        area_mm2: float,
        volume_mm3: float,
        places: NDArray[np.int32],
        half_mm: tuple[float, float, float],
    ) -> None:
        self.area_mm2 = area_mm2
        self.volume_mm3 = volume_mm3
        self.places = places
        self.half_mm = half_mm


def _corner(bit: int) -> tuple[int, int, int]:
    """Return the corner (z, y, x) of a bit of a cube type."""
    return bit >> 1 & 1, bit & 1, bit >> 2 & 1


def _faces() -> list[list[int]]:
    """Return the bits of each face in counter-clockwise order seen from outside."""
    faces = []
    for axis in range(3):
        for side in range(2):
            u, v = [a for a in range(3) if a != axis]
            ring = []
            for a, b in ((0, 0), (1, 0), (1, 1), (0, 1)):
                place = [0, 0, 0]
                place[axis], place[u], place[v] = side, a, b
                ring.append(place[0] << 1 | place[1] | place[2] << 2)
            outward = 1 if side else -1
            # u x v points along +axis for axes 0 and 2 of (z, y, x), against it for axis 1.
            handed = -1 if axis == 1 else 1
            faces.append(ring if outward * handed > 0 else ring[::-1])
    return faces


def _loops(kind: int) -> list[list[tuple[int, int]]]:
    """Return the closed loops of crossed cube edges, each edge as (bit inside, bit outside)."""
    follow: dict[tuple[int, int], tuple[int, int]] = {}
    for ring in _faces():
        inside = [bool(kind >> bit & 1) for bit in ring]
        for start in range(4):
            if not inside[start] or inside[start - 1]:
                continue
            # A run of inside corners: it is entered behind `start` and left after `end`.
            end = start
            while inside[(end + 1) % 4] and (end + 1) % 4 != start:
                end = (end + 1) % 4
            leave = (ring[end], ring[(end + 1) % 4])
            enter = (ring[start], ring[start - 1])
            follow[leave] = enter
    loops = []
    while follow:
        first, here = next(iter(follow.items()))
        del follow[first]
        loop = [first]
        while here != first:
            loop.append(here)
            here = follow.pop(here)
        loops.append(loop)
    return loops


@cache
def cube_triangles(kind: int) -> Array:
    """Return the triangles (n, 3, 3) of one of the 256 cube types.

    Parameters
    ----------
    kind : int
        Bit b is set where corner b is inside; bits are those of the C kernel.

    Returns
    -------
    ndarray of float64 (n, 3, 3)
        Vertices (z, y, x) in voxels from the cube's corner. On a face with two opposite
        corners inside, the inside corners are kept apart, so the mesh has no holes. A
        polygon of more than three corners is cut into the fan of the largest area, one of
        seven corners into the fan that keeps its mirror symmetry; area and volume are those
        of the classic table of Lorensen and Cline.
    """
    triangles = []
    for loop in _loops(kind):
        points = [
            (np.array(_corner(a), dtype=float) + np.array(_corner(b), dtype=float)) / 2.0
            for a, b in loop
        ]
        triangles.append(_cut(points))
    return np.concatenate(triangles) if triangles else np.empty((0, 3, 3))


def _cut(points: list[Array]) -> Array:
    """Return the fan of triangles that a polygon is cut into."""
    fans = [_fan(points[k:] + points[:k]) for k in range(len(points))]
    areas = np.round([np.linalg.norm(_normals(fan), axis=1).sum() for fan in fans], 9)
    if len(points) == 7:
        # Mirrored fans have one area, so the fan that is its own mirror image has its alone.
        return fans[next(k for k, area in enumerate(areas) if np.sum(areas == area) == 1)]
    return fans[int(np.argmax(areas))]


def _fan(points: list[Array]) -> Array:
    """Return the triangles from the first point of a polygon to each of its edges."""
    return np.array([[points[0], points[k], points[k + 1]] for k in range(1, len(points) - 1)])


def _normals(triangles: Array) -> Array:
    """Return area vectors (n, 3) of triangles."""
    a, b, c = np.moveaxis(triangles, 1, 0)
    return np.asarray(np.cross(b - a, c - a) / 2.0)


_SPANS = [(a, b) for a in range(3) for b in range(-2, 3) if (a, b) > (0, 0)]


def _convex(ends: Array) -> NDArray[np.bool_]:
    """Return which lower ends (a, b) of parallel lines can be corners of the hull.

    An end that is not below the middle of two others, as far from it on one side as on the
    other, lies between them, so it is no corner. NaN = no line.
    """
    keep = ~np.isnan(ends)
    n_a, n_b = ends.shape
    for a, b in _SPANS:
        side = abs(b)
        if 2 * a >= n_a or 2 * side >= n_b:
            continue
        middle = (slice(a, n_a - a), slice(side, n_b - side))
        low, high = slice(0, n_b - 2 * side), slice(2 * side, n_b)
        before, after = (low, high) if b >= 0 else (high, low)
        one, other = ends[: n_a - 2 * a, before], ends[2 * a :, after]
        keep[middle] &= ~(ends[middle] >= (one + other) / 2.0)
    return keep


def _outermost(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return outermost vertices (n, 3) in half voxels from the corner of the first voxel."""
    nz, ny, nx = mask.shape
    ends = [np.empty((2, *size), np.int32) for size in ((ny, nx), (nz, nx), (nz, ny))]
    _image.line_ends(np.ascontiguousarray(mask).view(np.uint8), *ends)
    points = []
    for axis, (first, last) in enumerate(ends):
        used = last >= 0
        low = np.where(used, first - 0.5, np.nan)
        high = np.where(used, last + 0.5, np.nan)
        for found, keep in ((low, _convex(low)), (high, _convex(-high))):
            a, b = np.nonzero(keep)
            corners = np.stack([2 * a + 1, 2 * b + 1], axis=1)
            points.append(np.insert(corners, axis, (2 * found[a, b] + 1).astype(int), axis=1))
    return np.concatenate(points).astype(np.int32)


@cache
def _triangles(table: str) -> tuple[NDArray[np.intp], Array]:
    """Return the cube type of every triangle (n,), and its corners (n, 3, 3) in voxels."""
    kinds, corners = [], []
    for kind in range(1, 255):
        found = cube_triangles(kind)
        if table == "flipped" and kind & _FLIP:
            found = cube_triangles(255 - kind)[:, ::-1]
        kinds.append(np.full(len(found), kind))
        corners.append(found)
    return np.concatenate(kinds), np.concatenate(corners)


def mesh_of(
    mask: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    *,
    table: Literal["closed", "flipped"] = "closed",
) -> Mesh:
    """Return the mesh of a mask.

    Parameters
    ----------
    mask : ndarray of bool (n_z, n_y, n_x)
        Not empty.
    spacing_mm : tuple of float (3,)
        Voxel size (z, y, x).
    table : {"closed", "flipped"}
        "closed" has no holes. "flipped" gives a cube whose corner (z+1, y+1, x) is inside the
        surface of its complement, as PyRadiomics does to halve its table; where corners touch
        across a face the mesh then depends on the orientation of the region.

    Returns
    -------
    Mesh
        Area, volume and outermost vertices.

    Notes
    -----
    With vertices halfway along cube edges the shape of the surface within a cube depends on
    the cube's type alone, so area and volume (by the divergence theorem) are sums over the
    256 types of counts and places.
    """
    padded = np.pad(mask.view(np.uint8), 1)
    counts, places = np.zeros(256, np.int64), np.zeros((256, 3), np.int64)
    _image.cube_types(padded, counts, places)
    spacing = np.array(spacing_mm)
    kinds, corners = _triangles(table)
    corners = corners * spacing
    normal = _normals(corners)
    count = counts[kinds]
    area = count @ np.linalg.norm(normal, axis=1)
    reach = count[:, None] * corners.mean(axis=1) + places[kinds] * spacing
    volume = np.einsum("ij,ij->", reach, normal) / 3.0
    z, y, x = (0.5 * step for step in spacing_mm)
    return Mesh(float(area), abs(float(volume)), _outermost(mask), (z, y, x))
