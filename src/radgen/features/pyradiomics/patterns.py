"""PyRadiomics' local binary patterns in slices and on spheres."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError

__all__ = ["icosphere", "patterns_2d", "patterns_3d"]

Array = NDArray[Any]
_AT_ONCE = 20_000


def _sampled(plane: Array, down: float, right: float) -> Array:
    """Return the plane at a constant distance from each pixel, by bilinear interpolation.

    Pixels outside are 0. Terms are added in the order of the reference, whose comparisons
    with the centre see the last digit.
    """
    rows = np.arange(plane.shape[0]) + down
    columns = np.arange(plane.shape[1]) + right
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    dr, dc = (rows - top)[:, None], (columns - left)[None, :]
    bottom, end = np.ceil(rows).astype(np.intp), np.ceil(columns).astype(np.intp)

    def read(at: Array, to: Array) -> Array:
        inside = ((at >= 0) & (at < plane.shape[0]))[:, None]
        inside = inside & ((to >= 0) & (to < plane.shape[1]))[None, :]
        found = plane[np.clip(at, 0, plane.shape[0] - 1)][:, np.clip(to, 0, plane.shape[1] - 1)]
        return np.where(inside, found, 0.0)

    above = (1 - dc) * read(top, left) + dc * read(top, end)
    below = (1 - dc) * read(bottom, left) + dc * read(bottom, end)
    return np.asarray((1 - dr) * above + dr * below)


def _codes(samples: Array, plane: Array, method: str) -> Array:
    """Return the patterns of a plane from its samples (n_points, rows, columns)."""
    count = len(samples)
    if method == "var":
        variance = (samples**2).sum(axis=0) / count - (samples.sum(axis=0) / count) ** 2
        return np.where(variance != 0, variance, np.nan)
    bits = (samples >= plane).astype(np.int64)
    weights = (1 << np.arange(count)).reshape(-1, 1, 1)
    if method == "default":
        return np.asarray((bits * weights).sum(axis=0))
    if method == "ror":
        turned = [(np.roll(bits, turn, axis=0) * weights).sum(axis=0) for turn in range(count)]
        return np.min(turned, axis=0)
    changes = (bits[:-1] != bits[1:]).sum(axis=0)
    return np.where(changes <= 2, bits.sum(axis=0), count + 1)


def patterns_2d(array: Array, settings: Mapping[str, Any]) -> Array:
    """Return the local binary pattern of each slice, as scikit-image computes it.

    Parameters
    ----------
    array : ndarray (n_z, n_y, n_x)
        The image.
    settings : mapping
        ``lbp2DRadius`` (1), ``lbp2DSamples`` (8), ``lbp2DMethod`` ("uniform") and
        ``force2Ddimension`` (0), the axis across the slices.

    Returns
    -------
    ndarray (n_z, n_y, n_x)
        Patterns, in the dtype of the image, as PyRadiomics stores them.

    Raises
    ------
    InputError
        If the number of samples is out of range, or the method leaves voxels without a value.

    References
    ----------
    Ojala et al. 2002, doi:10.1109/TPAMI.2002.1017623.
    """
    radius = float(settings.get("lbp2DRadius", 1))
    count, method = int(settings.get("lbp2DSamples", 8)), settings.get("lbp2DMethod", "uniform")
    if not 1 <= count <= 24 or not radius > 0:
        raise InputError(
            f"LBP2D takes 1 to 24 samples and a positive radius, not {count} and {radius:g}."
        )
    angles = 2 * np.pi * np.arange(count) / count
    down, right = np.round(-radius * np.sin(angles), 5), np.round(radius * np.cos(angles), 5)
    axis = int(settings.get("force2Ddimension", 0))
    planes = np.swapaxes(array, 0, axis)
    out = np.empty(planes.shape, array.dtype)
    for number, plane in enumerate(planes):
        values = np.asarray(plane, dtype=np.float64)
        samples = np.stack([_sampled(values, a, b) for a, b in zip(down, right, strict=True)])
        found = _codes(samples, values, method)
        if np.isnan(found).any() and array.dtype.kind in "iu":
            raise InputError("lbp2DMethod 'var' has no value in flat places; use another method.")
        out[number] = found
    return np.swapaxes(out, 0, axis)


def icosphere(subdivisions: int, radius: float) -> NDArray[np.float64]:
    """Return the vertices (n, 3) of an icosahedron whose faces are cut in four so many times.

    Examples
    --------
    >>> [len(icosphere(n, 1.0)) for n in range(3)]
    [12, 42, 162]
    """
    from scipy.spatial import ConvexHull

    long = (1 + np.sqrt(5)) / 2
    corner = [(0.0, a, b) for a in (-1.0, 1.0) for b in (-long, long)]
    points = np.array([np.roll(item, turn) for turn in (2, 0, 1) for item in corner])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    for _ in range(subdivisions):
        faces = ConvexHull(points).simplices
        edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)), axis=0)
        middle = points[edges].mean(axis=1)
        points = np.concatenate([points, middle / np.linalg.norm(middle, axis=1, keepdims=True)])
    return points * radius


def _harmonics(degree: int, points: NDArray[np.float64], radius: float) -> Array:
    """Return spherical harmonics (n_points, 2 degree + 1), angles in PyRadiomics' order."""
    from scipy.special import lpmv

    around = np.arccos(np.clip(points[:, 2] / radius, -1, 1))
    down = np.cos(np.arctan2(points[:, 1], points[:, 0]))
    columns = []
    for m in range(-degree, degree + 1):
        k = abs(m)
        scale = (2 * degree + 1) / (4 * np.pi) * factorial(degree - k) / factorial(degree + k)
        value = np.sqrt(scale) * lpmv(k, degree, down) * np.exp(1j * k * around)
        columns.append((-1) ** k * np.conj(value) if m < 0 else value)
    return np.stack(columns, axis=1)


def patterns_3d(
    array: Array, inside: NDArray[np.bool_], settings: Mapping[str, Any]
) -> Iterator[tuple[str, Array]]:
    """Yield the powers of the pattern on a sphere by degree, and the kurtosis on the sphere.

    Parameters
    ----------
    array : ndarray (n_z, n_y, n_x)
        The image.
    inside : ndarray of bool (n_z, n_y, n_x)
        The region; elsewhere the responses are 0.
    settings : mapping
        ``lbp3DLevels`` (2), ``lbp3DIcosphereRadius`` (1) and ``lbp3DIcosphereSubdivision`` (1).

    Yields
    ------
    tuple of (str, ndarray of float64 (n_z, n_y, n_x))
        "lbp-3D-m1", …, "lbp-3D-k".

    Raises
    ------
    InputError
        If a setting is out of range, or a sphere is flat.

    References
    ----------
    Banerjee et al. 2013, doi:10.1007/978-3-642-37410-4_3.
    """
    from scipy.ndimage import map_coordinates, spline_filter

    levels = int(settings.get("lbp3DLevels", 2))
    radius = float(settings.get("lbp3DIcosphereRadius", 1))
    cuts = int(settings.get("lbp3DIcosphereSubdivision", 1))
    if not 1 <= levels <= 8 or not radius > 0 or not 0 <= cuts <= 4:
        raise InputError(
            "LBP3D takes 1 to 8 levels, a positive radius and 0 to 4 subdivisions, not "
            f"{levels}, {radius:g} and {cuts}."
        )
    points = icosphere(cuts, radius)
    harmonics = [_harmonics(degree, points, radius) for degree in range(levels)]
    squares = [y.T @ y for y in harmonics]
    smooth = spline_filter(array.astype(np.float64), 3, mode="constant")
    where = np.argwhere(inside)
    found = np.empty((levels + 1, len(where)))
    for first in range(0, len(where), _AT_ONCE):
        part = where[first : first + _AT_ONCE]
        at = (part[:, None, :] + points[None]).T
        samples = map_coordinates(
            smooth, at, output=array.dtype, order=3, prefilter=False, mode="constant"
        ).T
        bits = (samples >= array[tuple(part.T)][:, None]).astype(np.float64)
        columns = found[:, first : first + _AT_ONCE]
        for degree, (y, square) in enumerate(zip(harmonics, squares, strict=True)):
            c = bits @ y
            columns[degree] = np.sqrt(np.einsum("pi,ij,pj->p", c, square, c)).real
        mean = samples.mean(axis=1, keepdims=True, dtype=np.float64)
        gap = samples - mean
        second = (gap**2).mean(axis=1)
        if not (second > (np.finfo(np.float64).eps * mean[:, 0]) ** 2).all():
            raise InputError("LBP3D has no kurtosis where the image is flat around a voxel.")
        columns[levels] = (gap**4).mean(axis=1) / second**2 - 3.0
    names = [*(f"lbp-3D-m{level + 1}" for level in range(levels)), "lbp-3D-k"]
    for name, values in zip(names, found, strict=True):
        out = np.zeros(array.shape)
        out[inside] = values
        yield name, out
