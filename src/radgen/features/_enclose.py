"""Bodies that enclose a set of points: hull, smallest oriented box, smallest ellipsoid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.errors import FitError

__all__ = ["Hull", "diameter_of", "enclosing_ellipsoid", "hull_of", "lattice_hull", "oriented_box"]

Array = NDArray[np.float64]
_TOLERANCE = 1e-6
_STEPS = 60
_JOIN = 400


@dataclass(frozen=True, slots=True)
class Hull:
    """A convex hull.

    Attributes
    ----------
    points : ndarray of float64 (n, 3)
        Its vertices.
    planes : ndarray of float64 (m, 3)
        Unit normals of its planes, pointing outwards.
    edges : ndarray of int32 (k, 4)
        Between different planes: the plane to the left, the plane to the right, and the
        vertices from which and to which it runs, seen from outside.
    volume, area, diameter : float
        Volume, surface, and the largest distance between two vertices.
    """

    points: Array
    planes: Array
    edges: NDArray[np.int32]
    volume: float
    area: float
    diameter: float


def hull_of(points: Array) -> Hull:
    """Return the convex hull of points (n, 3) that do not lie in a plane."""
    from scipy.spatial import ConvexHull

    hull = ConvexHull(points)
    corners = points[hull.vertices]
    number = np.empty(len(points), np.int32)
    number[hull.vertices] = np.arange(len(hull.vertices))
    normals = hull.equations[:, :3]
    # Triangles of one plane have normals that differ by rounding.
    _, first, plane = np.unique(
        np.round(normals, 9) + 0.0, axis=0, return_index=True, return_inverse=True
    )
    a, b, c = (points[hull.simplices[:, k]] for k in range(3))
    flipped = np.einsum("ij,ij->i", np.cross(b - a, c - a), normals) < 0
    order = np.where(flipped[:, None], [0, 2, 1], [0, 1, 2])
    triangles = np.take_along_axis(hull.simplices, order, axis=1)
    neighbours = np.take_along_axis(hull.neighbors, order, axis=1)
    edges = _edges(triangles, neighbours, plane.ravel())
    edges[:, 2:] = number[edges[:, 2:]]
    volume, area = float(hull.volume), float(hull.area)
    return Hull(corners, normals[first], edges, volume, area, diameter_of(corners))


def lattice_hull(places: NDArray[np.int32], spacing_mm: tuple[float, float, float]) -> Hull:
    """Return the convex hull of points on a grid, found in whole numbers.

    Parameters
    ----------
    places : ndarray of int32 (n, 3)
        Points that do not lie in a plane, from 0 to 262,144 steps along each axis.
    spacing_mm : tuple of float (3,)
        Length of a step along each axis.

    Returns
    -------
    Hull
        In millimetres. Points on an edge or a facet between others can be among its vertices.

    Raises
    ------
    ValueError
        If the points lie in a plane.
    """
    triangles, neighbours = (np.empty((2 * len(places), 3), np.int32) for _ in range(2))
    normals = np.empty((2 * len(places), 3), np.int64)
    count = _image.lattice_hull(places, triangles, neighbours, normals)
    triangles, neighbours, normals = triangles[:count], neighbours[:count], normals[:count]
    spacing = np.array(spacing_mm)
    across = normals * (np.prod(spacing) / spacing)  # twice the area of each triangle, in mm^2
    middle = (places[triangles[:, 0]] - places.mean(axis=0)) * spacing
    reduced = normals // np.gcd.reduce(normals, axis=1)[:, None]
    order = np.lexsort(reduced.T)
    differs = np.r_[True, (np.diff(reduced[order], axis=0) != 0).any(axis=1)]
    plane = np.empty(count, np.intp)
    plane[order] = np.cumsum(differs) - 1
    planes = across[order[differs]]
    edges = _edges(triangles, neighbours, plane)
    corners, ends = np.unique(edges[:, 2:], return_inverse=True)
    edges[:, 2:] = ends.reshape(-1, 2)
    points = places[corners] * spacing
    return Hull(
        points,
        planes / np.linalg.norm(planes, axis=1, keepdims=True),
        edges,
        volume=float(np.einsum("ij,ij->", middle, across)) / 6.0,
        area=float(np.linalg.norm(across, axis=1).sum()) / 2.0,
        diameter=diameter_of(points),
    )


def diameter_of(points: Array) -> float:
    """Return the largest distance between two of the points (n, 2) or (n, 3)."""
    columns = np.zeros((3, len(points)))
    columns[: points.shape[1]] = points.T
    return float(_image.diameter(columns))


def _edges(
    triangles: NDArray[np.int32], neighbours: NDArray[np.int32], plane: NDArray[np.intp]
) -> NDArray[np.int32]:
    """Return edges between triangles of different planes, once each: see `Hull`.

    Corners are counter-clockwise seen from outside; neighbours are across from each corner.
    """
    found = []
    for k in range(3):
        other = neighbours[:, k]
        start, end = triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        keep = (np.arange(len(triangles)) < other) & (plane != plane[other])
        found.append(np.stack([plane, plane[other], start, end], axis=1)[keep])
    return np.concatenate(found).astype(np.int32)


def oriented_box(hull: Hull) -> Array:
    """Return the edges (3,) of the smallest box that has a face on a facet of the hull.

    Parameters
    ----------
    hull : Hull
        The points' hull.

    Returns
    -------
    ndarray of float64 (3,)
        Lengths of the edges.

    Notes
    -----
    For each direction of a facet the box is as high as the hull is wide across it, and its
    base is the smallest rectangle around the hull's shadow. The outline of the shadow are the
    edges between facets that face the direction and facets that do not; calipers turn around it.

    References
    ----------
    Chan, C. K. & Tan, S. T. (2001), doi:10.1016/S0010-4485(00)00139-0.
    """
    out = np.zeros(3)
    which = _one_of_opposites(hull.planes)
    columns = [np.ascontiguousarray(item.T) for item in (hull.points, hull.planes)]
    _image.smallest_box(*columns, hull.edges, which.astype(np.int32), out)
    return out


def _one_of_opposites(planes: Array) -> NDArray[np.intp]:
    """Return which unit normals (n, 3) to keep so that no two are equal or opposite."""
    first = np.argmax(np.abs(planes) > 1e-9, axis=1)
    sign = np.sign(planes[np.arange(len(planes)), first])
    rounded = np.round(planes * sign[:, None], 9)
    order = np.lexsort(rounded.T)
    differs = (np.diff(rounded[order], axis=0) != 0.0).any(axis=1)
    return order[np.r_[True, differs]]


def _optimal_weights(lifted: Array) -> Array:
    """Return weights u (n,) that maximise log det sum u q q', with sum 1, by interior points.

    At the optimum q' X^-1 q <= k for each q (n, k), with equality where the weight is positive;
    slack and weight go to zero together. The matrix of squared products of n points has a rank
    of k (k + 1) / 2, so each step is solved in as many dimensions (Woodbury's identity).
    """
    n, k = lifted.shape
    weight, slack = np.full(n, 1.0 / n), np.full(n, float(k))
    row, column = np.triu_indices(k)
    twice = np.where(row == column, 1.0, np.sqrt(2.0))
    for _ in range(_STEPS):
        # Rows y of products with X^-1/2: (q_i' X^-1 q_j)^2 is the product of y_i y_i' and y_j y_j'.
        root = np.linalg.cholesky(np.linalg.inv(lifted.T @ (weight[:, None] * lifted)))
        y = lifted @ root
        squares = y[:, row] * y[:, column] * twice
        distance = np.einsum("ij,ij->i", y, y)
        mean_gap = float(np.einsum("i,i->", weight, slack)) / n
        if mean_gap * n < 1e-9 * k and np.abs(distance + slack - k).max() < 1e-9 * k:
            break
        target = 0.1 * mean_gap
        by = weight / slack
        gap = distance - k + target / weight
        scaled = squares * by[:, None]
        inner = scaled.T @ squares
        inner[np.diag_indices(row.size)] += 1.0
        change = by * (gap - squares @ np.linalg.solve(inner, scaled.T @ gap))
        slack_change = (target - weight * slack - slack * change) / weight
        step = min(1.0, _room(weight, change), _room(slack, slack_change))
        weight, slack = weight + step * change, slack + step * slack_change
    return np.asarray(weight / weight.sum())


def _room(value: Array, change: Array) -> float:
    """Return how far positive values can go along a change and stay positive."""
    falls = change < 0
    return float(0.95 * np.min(-value[falls] / change[falls])) if falls.any() else 1.0


def enclosing_ellipsoid(points: Array) -> Array:
    """Return the semi-axes (3,) of the smallest ellipsoid around points, largest first.

    Parameters
    ----------
    points : ndarray of float64 (n, 3)
        Vertices of a convex hull.

    Returns
    -------
    ndarray of float64 (3,)
        Semi-axes in the unit of the points.

    Raises
    ------
    FitError
        If the active set does not settle.

    Notes
    -----
    The ellipsoid of a few points is found by an interior-point method; the points farthest
    outside join them until none is outside by more than one part in a million, and the
    ellipsoid is then grown to hold every point.

    References
    ----------
    Sun, P. & Freund, R. M. (2004), doi:10.1287/opre.1040.0115 (active sets).
    Todd, M. J. & Yildirim, E. A. (2007), doi:10.1016/j.dam.2007.02.013 (optimality).
    """
    n, d = points.shape
    centre = points.mean(axis=0)
    scale = np.abs(points - centre).max()
    lifted = np.column_stack([(points - centre) / scale, np.ones(n)])
    active = _extreme(lifted[:, :d])
    for _ in range(_STEPS):
        chosen = lifted[active]
        weight = _optimal_weights(chosen)
        inverse = np.linalg.inv(chosen.T @ (weight[:, None] * chosen))
        distance = np.einsum("ij,jk,ik->i", lifted, inverse, lifted) / (d + 1)
        if distance.max() < 1.0 + _TOLERANCE:
            break
        far = np.argsort(-distance, kind="stable")[:_JOIN]
        active = np.union1d(active[weight > 1e-8], far[distance[far] > 1.0])
    else:
        raise FitError(
            f"The enclosing ellipsoid of {n} points did not settle in {_STEPS} rounds.",
            diagnostics={"outside": float(distance.max() - 1.0), "active": len(active)},
        )
    flat = lifted[active][:, :d]
    middle = weight @ flat
    shape = (flat.T @ (weight[:, None] * flat) - np.outer(middle, middle)) * d
    gap = lifted[:, :d] - middle
    grow = np.einsum("ij,ij->i", gap @ np.linalg.inv(shape), gap).max()
    values = np.linalg.eigvalsh(shape * grow)[::-1]
    return np.asarray(np.sqrt(values) * scale)


def _extreme(points: Array) -> NDArray[np.intp]:
    """Return which points lie farthest along 26 directions of the space made round."""
    round_space = np.linalg.inv(np.linalg.cholesky(np.cov(points.T)))
    grid = [-1.0, 0.0, 1.0]
    ways = np.array([(a, b, c) for a in grid for b in grid for c in grid if (a, b, c) != (0, 0, 0)])
    return np.unique((points @ round_space.T @ ways.T).argmax(axis=0))
