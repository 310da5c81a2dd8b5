"""Put a mask onto another grid of the same lattice: moved and padded, never interpolated."""

from __future__ import annotations

import numpy as np

from radgen.types import Geometry, Mask

__all__ = ["onto"]

_OFF_LATTICE = 1e-2


def onto(mask: Mask, target: Geometry) -> Mask:
    """Return the mask on `target` where both grids share one lattice, otherwise as it is.

    Parameters
    ----------
    mask : Mask
        A region whose voxels may be a part of the target's, in flipped or swapped order.
    target : Geometry
        The grid of the scan.

    Returns
    -------
    Mask
        On `target`, voxel for voxel; or `mask` itself, where a voxel of it would fall between
        voxels of the target, or outside of it.
    """
    if mask.geometry.same_as(target):
        return mask
    inside = np.argwhere(mask.array).astype(np.float64)
    axes = target.to_index(mask.geometry.to_world(np.eye(4, 3, -1))) - target.to_index(
        mask.geometry.to_world(np.zeros((1, 3)))
    )
    steps = axes[1:]
    whole = np.round(steps)
    reach = max(mask.geometry.shape)
    if (
        np.abs(steps - whole).max() * reach > _OFF_LATTICE * 10
        or not np.array_equal(np.abs(whole).sum(axis=0), np.ones(3))
        or not np.array_equal(np.abs(whole).sum(axis=1), np.ones(3))
    ):
        return mask
    places = target.to_index(mask.geometry.to_world(inside)) if len(inside) else inside
    index = np.round(places).astype(np.int64)
    if len(index) and (
        np.abs(places - index).max() > _OFF_LATTICE * 10
        or index.min() < 0
        or (index >= np.array(target.shape)).any()
    ):
        return mask
    array = np.zeros(target.shape, dtype=np.bool_)
    array[tuple(index.T)] = True
    return Mask(array, target, mask.region)
