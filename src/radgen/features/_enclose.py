"""Bodies that enclose a set of points: hull, smallest oriented box, smallest ellipsoid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Hull", "enclosing_ellipsoid", "hull_of", "oriented_box"]

Array = NDArray[np.float64]
_TOLERANCE = 1e-5
_ANGLES = 8


@dataclass(frozen=True, slots=True)
class Hull:
    """A convex hull.

    Attributes
    ----------
    points : ndarray of float64 (n, 3)
        Its vertices.
    normals : ndarray of float64 (m, 3)
        Unit normals of its facets, each direction once.
    volume, area, diameter : float
        Volume, surface, and the largest distance between two vertices.
    """

    points: Array
    normals: Array
    volume: float
    area: float
    diameter: float


def hull_of(points: Array) -> Hull:
    """Return the convex hull of points (n, 3) that do not lie in a plane."""
    from scipy.spatial import ConvexHull

    hull = ConvexHull(points)
    corners = points[hull.vertices]
    normals = hull.equations[:, :3]
    first = np.argmax(np.abs(normals) > 1e-9, axis=1)
    normals = normals * np.sign(normals[np.arange(len(normals)), first])[:, None]
    normals = np.unique(np.round(normals, 9), axis=0)
    return Hull(corners, normals, float(hull.volume), float(hull.area), diameter_of(corners))


def diameter_of(points: Array) -> float:
    """Return the largest distance between two of the points (n, d)."""
    largest = 0.0
    columns = np.ascontiguousarray(points.T)
    for first in range(0, len(points), 64):
        gaps = sum((column[first : first + 64, None] - column) ** 2 for column in columns)
        largest = max(largest, float(np.max(gaps)))
    return float(np.sqrt(largest))


def _plane_axes(normals: Array) -> tuple[Array, Array]:
    """Return two unit vectors that span the plane across each normal."""
    helper = np.zeros_like(normals)
    helper[np.arange(len(normals)), np.abs(normals).argmin(axis=1)] = 1.0
    u = np.cross(normals, helper)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    return u, np.cross(normals, u)


def _rectangle(flat: Array) -> tuple[float, float, float]:
    """Return area and sides of the smallest rectangle around points (n, 2)."""
    from scipy.spatial import ConvexHull

    ring = flat[ConvexHull(flat).vertices]
    edges = np.roll(ring, -1, axis=0) - ring
    angle = np.unique(np.round(np.arctan2(edges[:, 1], edges[:, 0]) % (np.pi / 2), 9))
    c, s = np.cos(angle), np.sin(angle)
    along = np.outer(c, ring[:, 0]) + np.outer(s, ring[:, 1])
    across = np.outer(c, ring[:, 1]) - np.outer(s, ring[:, 0])
    a, b = np.ptp(along, axis=1), np.ptp(across, axis=1)
    best = int((a * b).argmin())
    return float(a[best] * b[best]), float(a[best]), float(b[best])


def _widths(points: Array, along: Array) -> Array:
    """Return how wide the points are along each direction (m, 3)."""
    places = along @ points.T
    return np.asarray(places.max(axis=1) - places.min(axis=1))


def _least_rectangle(points: Array, u: Array, v: Array) -> Array:
    """Return a lower bound of the area of any rectangle around the shadow in each plane (m,).

    A side of length a at one angle is at least a cos(t) - b sin(t) long at an angle that
    differs by t, where b is the side across.
    """
    slack = np.pi / (4.0 * _ANGLES)
    least = np.full(len(u), np.inf)
    for angle in np.arange(_ANGLES) * np.pi / (2.0 * _ANGLES):
        along = np.cos(angle) * u + np.sin(angle) * v
        across = np.cos(angle) * v - np.sin(angle) * u
        a, b = _widths(points, along), _widths(points, across)
        c, s = np.cos(slack), np.sin(slack)
        least = np.minimum(least, np.maximum(0.0, a * c - b * s) * np.maximum(0.0, b * c - a * s))
    return least


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
    base is the smallest rectangle around the hull's shadow. Directions are tried in the order
    of a lower bound of the volume, so that most need no exact rectangle.

    References
    ----------
    Chan, C. K. & Tan, S. T. (2001), doi:10.1016/S0010-4485(00)00139-0.
    """
    normals = hull.normals
    heights = _widths(hull.points, normals)
    u, v = _plane_axes(normals)
    bound = heights * _least_rectangle(hull.points, u, v)
    best, edges = np.inf, np.zeros(3)
    for k in np.argsort(bound, kind="stable"):
        if bound[k] >= best:
            break
        area, a, b = _rectangle(hull.points @ np.stack([u[k], v[k]], axis=1))
        if heights[k] * area < best:
            best, edges = heights[k] * area, np.array([heights[k], a, b])
    return edges


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

    Notes
    -----
    Khachiyan's algorithm with away steps (Todd & Yildirim); it ends where the volume is within
    0.01 % of the optimum, and the ellipsoid is then grown to hold every point.

    References
    ----------
    Todd, M. J. & Yildirim, E. A. (2007), doi:10.1016/j.dam.2007.02.013.
    """
    n, d = points.shape
    centre = points.mean(axis=0)
    scale = np.abs(points - centre).max()
    lifted = np.column_stack([(points - centre) / scale, np.ones(n)])
    weight = np.full(n, 1.0 / n)
    inverse = np.linalg.inv(lifted.T @ (weight[:, None] * lifted))
    distance = np.einsum("ij,jk,ik->i", lifted, inverse, lifted)
    for _ in range(20000):
        up = int(distance.argmax())
        active = np.where(weight > 0, distance, np.inf)
        down = int(active.argmin())
        high, low = distance[up] / (d + 1) - 1.0, 1.0 - distance[down] / (d + 1)
        if max(high, low) < _TOLERANCE:
            break
        at = up if high >= low else down
        k = distance[at]
        step = (k - d - 1) / ((d + 1) * (k - 1))
        if at == down and high < low:
            step = max(step, -weight[at] / (1.0 - weight[at]))
        weight *= 1.0 - step
        weight[at] += step
        if weight[at] < 1e-15:
            weight[at] = 0.0
        ray = inverse @ lifted[at]
        bend = step / (1.0 - step + step * k)
        inverse = (inverse - bend * np.outer(ray, ray)) / (1.0 - step)
        distance = (distance - bend * (lifted @ ray) ** 2) / (1.0 - step)
    flat = lifted[:, :d]
    middle = weight @ flat
    shape = (flat.T @ (weight[:, None] * flat) - np.outer(middle, middle)) * d
    gap = flat - middle
    grow = np.einsum("ij,ij->i", gap @ np.linalg.inv(shape), gap).max()
    values = np.linalg.eigvalsh(shape * grow)[::-1]
    return np.asarray(np.sqrt(values) * scale)
