"""Maps over voxels or vertices: neighbours, clusters, threshold-free cluster enhancement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen._native import _maps  # type: ignore[attr-defined]
from radgen.errors import InputError

__all__ = ["Neighbours", "clusters", "grid_neighbours", "mesh_areas", "mesh_neighbours", "tfce"]

Index = NDArray[np.int64]
_REACH = {6: 1, 18: 2, 26: 3}


@dataclass(frozen=True, eq=False, slots=True)
class Neighbours:
    """A graph of points.

    Attributes
    ----------
    starts : ndarray of int64 (n_points + 1,)
        Where the neighbours of each point begin in `indices`.
    indices : ndarray of int32 (n_edges,)
        Neighbours, point after point; each edge stands twice.
    """

    starts: Index
    indices: NDArray[np.int32]

    @property
    def n_points(self) -> int:
        """Number of points."""
        return len(self.starts) - 1


def grid_neighbours(index: ArrayLike, shape: tuple[int, ...], connectivity: int = 26) -> Neighbours:
    """Return which points of a grid touch.

    Parameters
    ----------
    index : array_like of int64 (n_points,)
        Positions in the flattened grid, rising.
    shape : tuple of int
        Shape of the grid, three axes.
    connectivity : {6, 18, 26}
        Voxels that share a face; a face or an edge; a face, an edge or a corner.

    Returns
    -------
    Neighbours

    Raises
    ------
    InputError
        If the connectivity is unknown, or the index leaves the grid or does not rise.

    Examples
    --------
    >>> grid_neighbours([0, 1, 3], (1, 1, 4), 6).indices.tolist()
    [1, 0]
    """
    if connectivity not in _REACH or len(shape) != 3:
        raise InputError(
            f"Needed are a grid of three axes and a connectivity of 6, 18 or 26; found {shape} "
            f"and {connectivity}."
        )
    flat = np.asarray(index, dtype=np.int64)
    if len(flat) and (flat[0] < 0 or flat[-1] >= np.prod(shape) or (np.diff(flat) <= 0).any()):
        raise InputError("The positions must rise and lie inside the grid.")
    place = np.full(tuple(size + 2 for size in shape), -1, np.int32)
    inside = place[1:-1, 1:-1, 1:-1]
    at = np.unravel_index(flat, shape)
    inside[at] = np.arange(len(flat), dtype=np.int32)
    z, y, x = (axis + 1 for axis in at)
    found = []
    for step in np.ndindex(3, 3, 3):
        move = np.array(step) - 1
        if 0 < np.abs(move).sum() <= _REACH[connectivity]:
            found.append(place[z + move[0], y + move[1], x + move[2]])
    table = np.array(found, dtype=np.int32).T.reshape(len(flat), -1)
    there = table >= 0
    starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)
    return Neighbours(starts, np.ascontiguousarray(table[there]))


def mesh_neighbours(faces: ArrayLike, index: ArrayLike, n_vertices: int) -> Neighbours:
    """Return which vertices of a triangle mesh share an edge.

    Parameters
    ----------
    faces : array_like of int64 (n_faces, 3)
        Vertices of each triangle.
    index : array_like of int64 (n_points,)
        Vertices in use, rising.
    n_vertices : int
        Vertices of the mesh.

    Returns
    -------
    Neighbours
        Among the vertices in use, numbered as in `index`.

    Raises
    ------
    InputError
        If a face names a vertex that is not there.

    Examples
    --------
    >>> mesh_neighbours([[0, 1, 2], [1, 2, 3]], [0, 1, 3], 4).indices.tolist()
    [1, 0, 2, 1]
    """
    triangles = np.asarray(faces, dtype=np.int64)
    if triangles.size and (triangles.min() < 0 or triangles.max() >= n_vertices):
        raise InputError(f"A face names a vertex outside 0 … {n_vertices - 1}.")
    place = np.full(n_vertices, -1, np.int64)
    used = np.asarray(index, dtype=np.int64)
    place[used] = np.arange(len(used))
    pairs = place[
        np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    ]
    pairs = pairs[(pairs >= 0).all(axis=1)]
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0).reshape(-1, 2)
    starts = np.searchsorted(pairs[:, 0], np.arange(len(used) + 1)).astype(np.int64)
    return Neighbours(starts, np.ascontiguousarray(pairs[:, 1], dtype=np.int32))


def mesh_areas(vertices: ArrayLike, faces: ArrayLike) -> NDArray[np.float64]:
    """Return the area of each vertex: a third of that of its triangles.

    Parameters
    ----------
    vertices : array_like of float64 (n_vertices, 3)
        Positions.
    faces : array_like of int64 (n_faces, 3)
        Vertices of each triangle.

    Returns
    -------
    ndarray of float64 (n_vertices,)

    Examples
    --------
    >>> mesh_areas([[0, 0, 0], [3, 0, 0], [0, 2, 0]], [[0, 1, 2]]).tolist()
    [1.0, 1.0, 1.0]
    """
    points = np.asarray(vertices, dtype=np.float64)
    triangles = np.asarray(faces, dtype=np.int64)
    a, b, c = (points[triangles[:, side]] for side in range(3))
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    share = np.repeat(area / 3.0, 3)
    return np.asarray(np.bincount(triangles.ravel(), share, minlength=len(points)), np.float64)


def tfce(
    values: ArrayLike,
    neighbours: Neighbours,
    extent: ArrayLike | None = None,
    *,
    extent_power: float = 0.5,
    height_power: float = 2.0,
) -> NDArray[np.float32]:
    """Return the threshold-free cluster enhancement of a map, exactly.

    Parameters
    ----------
    values : array_like of float32 (n_points,)
        Statistic; what is not positive (or NaN) gives 0. Give the negated map for the other
        direction.
    neighbours : Neighbours
        From `grid_neighbours` or `mesh_neighbours`.
    extent : array_like of float64 (n_points,) or None
        What each point adds to the extent of a cluster (its area); None = 1 each.
    extent_power, height_power : float, default 0.5 and 2
        E and H; on surfaces 1 and 2 are usual.

    Returns
    -------
    ndarray of float32 (n_points,)

    Raises
    ------
    InputError
        If the sizes disagree or a power is not positive.

    Notes
    -----
    The integral of e(h)**E h**H dh from 0 to the value, e(h) the extent of the cluster above h
    that holds the point. Extents change at the values of points only, so that the integral is
    a finite sum: no step of h is chosen, and the result is the limit of the stepwise sums of
    FSL and nilearn.

    References
    ----------
    Smith & Nichols (2009), doi:10.1016/j.neuroimage.2008.03.061.

    Examples
    --------
    >>> line = grid_neighbours([0, 1, 2], (1, 1, 3), 6)
    >>> tfce([1.0, 2.0, 0.0], line).astype(float).round(4).tolist()  # 7/3 more
    [0.4714, 2.8047, 0.0]
    """
    map_ = np.ascontiguousarray(values, dtype=np.float32)
    weight = np.ones(len(map_)) if extent is None else np.ascontiguousarray(extent, np.float64)
    if map_.shape != (neighbours.n_points,) or weight.shape != map_.shape:
        raise InputError(
            f"The map has {map_.shape} values and {weight.shape} extents for "
            f"{neighbours.n_points} points."
        )
    if not (extent_power > 0 and height_power > 0):
        raise InputError(f"Powers are positive; found {extent_power} and {height_power}.")
    out = np.empty(len(map_), np.float32)
    _maps.tfce(map_, neighbours.starts, neighbours.indices, weight, extent_power, height_power, out)
    return out


def clusters(
    values: ArrayLike, threshold: float, neighbours: Neighbours
) -> tuple[NDArray[np.int32], int]:
    """Return the cluster of each point above a threshold, and their number.

    Parameters
    ----------
    values : array_like of float32 (n_points,)
        Statistic; NaN lies below any threshold.
    threshold : float
        Points with a larger value form clusters.
    neighbours : Neighbours
        From `grid_neighbours` or `mesh_neighbours`.

    Returns
    -------
    label : ndarray of int32 (n_points,)
        1, 2, … in the order of their first points; 0 = below the threshold.
    n_clusters : int

    Raises
    ------
    InputError
        If the sizes disagree.

    Examples
    --------
    >>> line = grid_neighbours([0, 1, 2], (1, 1, 3), 6)
    >>> clusters([3.0, 0.0, 3.0], 1.0, line)[0].tolist()
    [1, 0, 2]
    """
    map_ = np.ascontiguousarray(values, dtype=np.float32)
    if map_.shape != (neighbours.n_points,):
        raise InputError(f"The map has {map_.shape} values for {neighbours.n_points} points.")
    label, stack = np.empty((2, len(map_)), np.int32)
    count = _maps.clusters(map_, threshold, neighbours.starts, neighbours.indices, label, stack)
    return label.copy(), int(count)
