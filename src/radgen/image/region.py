"""Regions made from regions: rings, shells, morphology in millimetres, components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.types import Geometry, Mask

__all__ = [
    "closing",
    "combine",
    "components",
    "depth_mm",
    "fill_holes",
    "grow",
    "largest_component",
    "opening",
    "ring",
    "shells",
    "shrink",
    "subregion_ratios",
]

_SLACK_MM = 1e-6


def depth_mm(mask: Mask) -> NDArray[np.float32]:
    """Return how deep each voxel lies inside a region, negative outside.

    Parameters
    ----------
    mask : Mask
        The region; not empty.

    Returns
    -------
    ndarray of float32 (n_z, n_y, n_x)
        Millimetres from the voxel's centre to the nearest centre on the other side of the
        contour. What lies beyond the grid counts as neither side.

    Raises
    ------
    InputError
        If the region is empty, or the voxel axes are not at right angles.
    """
    _require(mask)
    inside = _distance(mask.array, mask.geometry)
    outside = _distance(~mask.array, mask.geometry)
    return np.asarray(inside - outside, dtype=np.float32)


def grow(mask: Mask, distance_mm: float) -> Mask:
    """Return the region and all voxels whose centre lies within a distance of it.

    Parameters
    ----------
    mask : Mask
        The region; not empty.
    distance_mm : float
        Distance in millimetres, centre to centre.

    Returns
    -------
    Mask
        The grown region, cut off at the grid.

    Raises
    ------
    InputError
        If the region is empty or the distance negative.

    Examples
    --------
    >>> dot = np.zeros((1, 3, 5), bool)
    >>> dot[0, 1, 2] = True
    >>> grow(Mask(dot, Geometry.from_spacing((1, 3, 5), (1, 2, 1))), 1.5).array.astype(int)[0]
    array([[0, 0, 0, 0, 0],
           [0, 1, 1, 1, 0],
           [0, 0, 0, 0, 0]])
    """
    _require(mask, distance_mm)
    return replace(mask, array=_grown(mask.array, mask.geometry, distance_mm))


def shrink(mask: Mask, distance_mm: float) -> Mask:
    """Return the voxels of a region that lie further than a distance from all outside ones.

    Parameters
    ----------
    mask : Mask
        The region; not empty.
    distance_mm : float
        Distance in millimetres, centre to centre.

    Returns
    -------
    Mask
        The shrunk region; can be empty. The border of the grid is no contour.

    Raises
    ------
    InputError
        If the region is empty or the distance negative.
    """
    _require(mask, distance_mm)
    return replace(mask, array=~_grown(~mask.array, mask.geometry, distance_mm))


def opening(mask: Mask, radius_mm: float) -> Mask:
    """Return the region without parts thinner than twice a radius: shrunk, then grown.

    Parameters
    ----------
    mask : Mask
        The region; not empty.
    radius_mm : float
        Radius in millimetres.

    Returns
    -------
    Mask
        A part of the region; can be empty.

    Raises
    ------
    InputError
        If the region is empty or the radius negative.
    """
    small = shrink(mask, radius_mm)
    return grow(small, radius_mm) if small.n_voxels else small


def closing(mask: Mask, radius_mm: float) -> Mask:
    """Return the region with gaps narrower than twice a radius filled: grown, then shrunk.

    Parameters
    ----------
    mask : Mask
        The region; not empty.
    radius_mm : float
        Radius in millimetres.

    Returns
    -------
    Mask
        Holds the region.

    Raises
    ------
    InputError
        If the region is empty or the radius negative.
    """
    _require(mask, radius_mm)
    steps = [int(np.ceil(radius_mm / step)) + 1 for step in mask.geometry.spacing_mm]
    wide = np.pad(mask.array, [(step, step) for step in steps])
    closed = ~_grown(~_grown(wide, mask.geometry, radius_mm), mask.geometry, radius_mm)
    inner = tuple(slice(step, -step) for step in steps)
    return replace(mask, array=closed[inner] | mask.array)


def fill_holes(mask: Mask) -> Mask:
    """Return the region with all holes filled that no path in space leads out of.

    Parameters
    ----------
    mask : Mask
        The region.

    Returns
    -------
    Mask
        Holds the region.
    """
    from scipy import ndimage

    return replace(mask, array=ndimage.binary_fill_holes(mask.array))


def ring(mask: Mask, outer_mm: float, *, inner_mm: float = 0.0, within: Mask | None = None) -> Mask:
    """Return the voxels around a region: further than one distance, within another.

    Parameters
    ----------
    mask : Mask
        The region (the tumour); not empty.
    outer_mm : float
        Outer distance from the region in millimetres.
    inner_mm : float
        Inner distance; 0 starts at the contour, a negative value takes in a rim of the region
        itself.
    within : Mask or None
        The organ that the ring must not leave.

    Returns
    -------
    Mask
        Named after the region and the distances; can be empty.

    Raises
    ------
    GeometryError
        If `within` is on another grid.
    InputError
        If the region is empty or the distances do not rise.

    Examples
    --------
    >>> cube = np.zeros((5, 5, 5), bool)
    >>> cube[2, 2, 2] = True
    >>> ring(Mask(cube, Geometry.from_spacing((5, 5, 5))), 1.0).n_voxels
    6
    """
    _require(mask)
    if not outer_mm > inner_mm:
        raise InputError(f"The outer distance ({outer_mm} mm) must exceed the inner ({inner_mm}).")
    if outer_mm < 0:
        raise InputError(f"The outer distance is not negative, as is {outer_mm} mm.")
    array = _grown(mask.array, mask.geometry, outer_mm)
    if inner_mm >= 0:
        array &= ~_grown(mask.array, mask.geometry, inner_mm)
    else:
        array &= _grown(~mask.array, mask.geometry, -inner_mm)
    if within is not None:
        mask.geometry.require_same(within.geometry, what="The ring and the region it stays in")
        array &= within.array
    return replace(mask, array=array, region=f"{mask.region}_ring_{inner_mm:g}_{outer_mm:g}mm")


def shells(mask: Mask, edges_mm: Sequence[float] | None = None, *, n: int = 3) -> tuple[Mask, ...]:
    """Return a region cut by depth below its contour, outermost shell first.

    Parameters
    ----------
    mask : Mask
        The region; not empty.
    edges_mm : sequence of float or None
        Rising depths at which it is cut; None cuts into `n` shells of (nearly) equal volume.
    n : int
        Number of shells where no edges are given.

    Returns
    -------
    tuple of Mask
        Every voxel of the region lies in exactly one; some can be empty.

    Raises
    ------
    InputError
        If the region is empty, or the edges do not rise.
    """
    depth = depth_mm(mask)
    inside = depth[mask.array]
    if edges_mm is None:
        if n < 1:
            raise InputError(f"The number of shells is positive, not {n}.")
        cuts = np.quantile(inside, np.arange(1, n) / n, method="higher")
    else:
        cuts = np.asarray(edges_mm, dtype=np.float64)
        if cuts.ndim != 1 or (np.diff(cuts) <= 0).any() or (cuts <= 0).any():
            raise InputError(f"Depths of shells are positive and rise, not {list(edges_mm)}.")
    which = np.searchsorted(cuts, depth, side="left")
    return tuple(
        replace(mask, array=mask.array & (which == k), region=f"{mask.region}_shell_{k + 1}")
        for k in range(len(cuts) + 1)
    )


def components(mask: Mask, *, connectivity: Literal[6, 18, 26] = 26) -> tuple[Mask, ...]:
    """Return the connected parts of a region, largest first.

    Parameters
    ----------
    mask : Mask
        The region; an empty one has no parts.
    connectivity : {6, 18, 26}
        Whether voxels touch by faces, edges or corners.

    Returns
    -------
    tuple of Mask
        Named after the region and the rank.

    Raises
    ------
    InputError
        If the connectivity is none of the three.
    """
    from scipy import ndimage

    ranks = {6: 1, 18: 2, 26: 3}
    if connectivity not in ranks:
        raise InputError(f"Connectivity is 6, 18 or 26, not {connectivity}.")
    structure = ndimage.generate_binary_structure(3, ranks[connectivity])
    labels, count = ndimage.label(mask.array, structure)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    return tuple(
        replace(mask, array=labels == which + 1, region=f"{mask.region}_part_{rank + 1}")
        for rank, which in enumerate(order)
    )


def largest_component(mask: Mask, *, connectivity: Literal[6, 18, 26] = 26) -> Mask:
    """Return the largest connected part of a region, under the region's own name.

    Parameters
    ----------
    mask : Mask
        The region; an empty one is returned as it is.
    connectivity : {6, 18, 26}
        Whether voxels touch by faces, edges or corners.

    Returns
    -------
    Mask
        One connected part; of equal ones the first in array order.

    Raises
    ------
    InputError
        If the connectivity is none of the three.
    """
    parts = components(mask, connectivity=connectivity)
    return replace(parts[0], region=mask.region) if parts else mask


def combine(
    masks: Sequence[Mask], *, how: Literal["union", "intersection"] = "union", region: str
) -> Mask:
    """Return the union or intersection of regions on one grid.

    Parameters
    ----------
    masks : sequence of Mask
        At least one.
    how : {"union", "intersection"}
        Which.
    region : str
        Name of the result.

    Returns
    -------
    Mask
        On the same grid.

    Raises
    ------
    GeometryError
        If the grids differ.
    InputError
        If there is no mask.
    """
    if not masks:
        raise InputError("There is no region to combine.")
    first = masks[0]
    array = np.array(first.array)
    for other in masks[1:]:
        first.geometry.require_same(other.geometry, what="Regions to combine")
        array = array | other.array if how == "union" else array & other.array
    return replace(first, array=array, region=region)


def subregion_ratios(masks: Mapping[str, Mask], *, whole: str | None = None) -> dict[str, float]:
    """Return volumes of sub-regions, their shares of the whole, and ratios of every pair.

    Parameters
    ----------
    masks : mapping of str to Mask
        Sub-regions by name (enhancing, necrosis, oedema), on one grid.
    whole : str or None
        Name of the region that stands for the whole; None is the union of all.

    Returns
    -------
    dict of str to float
        ``volume_<name>`` in cubic millimetres, ``share_<name>`` of the whole,
        ``ratio_<name>_<other>`` for each pair in the order given. NaN where the divisor is
        empty.

    Raises
    ------
    GeometryError
        If the grids differ.
    InputError
        If there is no mask, or `whole` is not among them.
    """
    if whole is not None and whole not in masks:
        raise InputError(f"No region is called {whole!r}; given are {', '.join(masks)}.")
    full = masks[whole] if whole else combine(list(masks.values()), region="whole")
    unit = full.geometry.voxel_volume_mm3
    names = [name for name in masks if name != whole]
    volume = {name: masks[name].n_voxels * unit for name in masks}
    out = {f"volume_{name}": volume[name] for name in masks}
    for name in names:
        out[f"share_{name}"] = _ratio(masks[name].n_voxels, full.n_voxels)
    for at, name in enumerate(names):
        for other in names[at + 1 :]:
            out[f"ratio_{name}_{other}"] = _ratio(volume[name], volume[other])
    return out


def _ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom else float("nan")


def _require(mask: Mask, distance_mm: float = 0.0) -> None:
    if not mask.n_voxels:
        raise InputError(f"Region {mask.region!r} is empty.")
    if not (np.isfinite(distance_mm) and distance_mm >= 0):
        raise InputError(f"A distance is not negative, as is {distance_mm} mm.")


def _distance(array: NDArray[np.bool_], geometry: Geometry) -> NDArray[Any]:
    """Return millimetres to the nearest False voxel; inf where there is none."""
    from scipy import ndimage

    direction = geometry.direction
    if np.abs(direction.T @ direction - np.eye(3)).max() > 1e-3:
        raise InputError("The voxel axes are not at right angles; resample the mask first.")
    if array.all():
        return np.full(array.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(array, sampling=geometry.spacing_mm))


def _grown(array: NDArray[np.bool_], geometry: Geometry, distance_mm: float) -> NDArray[np.bool_]:
    """Return the voxels within a distance; only the box that can change is looked at."""
    if not array.any() or distance_mm == 0:
        return np.array(array)
    box = []
    for axis, step in enumerate(geometry.spacing_mm):
        others = tuple(other for other in range(3) if other != axis)
        where = np.flatnonzero(array.any(axis=others))
        extra = int(np.ceil(distance_mm / step)) + 1
        box.append(slice(max(0, int(where[0]) - extra), int(where[-1]) + 1 + extra))
    out = np.zeros(array.shape, dtype=bool)
    index = tuple(box)
    out[index] = _distance(~array[index], geometry) <= distance_mm + _SLACK_MM
    return out
