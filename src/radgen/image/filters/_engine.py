"""Separable convolution with boundaries, regions and pooling over rotations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radgen._native._filter import correlate_axis

__all__ = [
    "BOUNDARIES",
    "Boundary",
    "Keep",
    "Pooling",
    "along",
    "convolve_axis",
    "crop_source",
    "full",
    "pad_boundary",
    "pooled",
    "reach_of",
    "rotations",
    "separable",
]

Boundary = Literal["zero", "nearest", "periodic", "mirror"]
Pooling = Literal["mean", "max", "min"]
Keep = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""For each axis (z, y, x) the first voxel of the response wanted, and one past the last."""

Chain = tuple[tuple[float, ...], ...]
"""Kernels applied one after the other along one axis."""

BOUNDARIES: dict[str, int] = {"zero": 0, "nearest": 1, "periodic": 2, "mirror": 3}


def full(shape: Sequence[int]) -> Keep:
    """Return the range that keeps the whole array."""
    return (0, int(shape[0])), (0, int(shape[1])), (0, int(shape[2]))


def convolve_axis(
    array: NDArray[Any],
    kernel: NDArray[np.float64] | Sequence[float],
    axis: int,
    boundary: Boundary,
    keep: tuple[int, int] | None = None,
) -> NDArray[Any]:
    """Return the convolution of a 3D array with a kernel along one axis.

    Parameters
    ----------
    array : ndarray of float32 or float64 (n_z, n_y, n_x)
        Values, C-ordered.
    kernel : sequence of float (n_taps,)
        Weight ``kernel[k]`` multiplies the voxel at distance ``n_taps // 2 - k``.
    axis : int
        0, 1 or 2.
    boundary : {"zero", "nearest", "periodic", "mirror"}
        What lies beyond the ends.
    keep : tuple of int (2,) or None
        First voxel wanted along the axis and one past the last; None = all.

    Returns
    -------
    ndarray
        Same dtype; accumulated in that dtype.
    """
    source = np.ascontiguousarray(array)
    weights = np.ascontiguousarray(np.asarray(kernel, dtype=np.float64)[::-1])
    size = source.shape[axis]
    first, stop = (0, size) if keep is None else keep
    shape = list(source.shape)
    shape[axis] = stop - first
    out = np.empty(shape, dtype=source.dtype)
    outer = int(np.prod(source.shape[:axis], dtype=np.int64))
    inner = int(np.prod(source.shape[axis + 1 :], dtype=np.int64))
    before = len(weights) - 1 - len(weights) // 2
    correlate_axis(
        source, out, weights, outer, size, inner, first, stop - first, before, BOUNDARIES[boundary]
    )
    return out


def crop_source(
    array: NDArray[Any], keep: Keep, reach: Sequence[int], boundary: Boundary
) -> tuple[NDArray[Any], Keep]:
    """Return the part of the array that the kept response depends on, and `keep` within it.

    `reach` is how many voxels the filter looks to either side along (z, y, x).
    """
    box, inside = [], []
    for (start, stop), extra, size in zip(keep, reach, array.shape, strict=True):
        low, high = start - extra, stop + extra
        if boundary == "periodic" and (low < 0 or high > size):
            low, high = 0, size
        low, high = max(low, 0), min(high, size)
        box.append(slice(low, high))
        inside.append((start - low, stop - low))
    return array[tuple(box)], (inside[0], inside[1], inside[2])


def pad_boundary(
    array: NDArray[Any], keep: Keep, reach: Sequence[int], boundary: Boundary
) -> NDArray[Any]:
    """Return the kept part widened by `reach` voxels (z, y, x), the boundary filled in."""
    out = array
    for axis, ((start, stop), extra) in enumerate(zip(keep, reach, strict=True)):
        size = array.shape[axis]
        at = np.arange(start - extra, stop + extra)
        outside = (at < 0) | (at >= size)
        if not outside.any():
            index = [slice(None)] * 3
            index[axis] = slice(int(at[0]), int(at[-1]) + 1)
            out = out[tuple(index)]
            continue
        if boundary == "periodic":
            at = at % size
        elif boundary == "mirror":
            at = at % (2 * size)
            at = np.where(at < size, at, 2 * size - 1 - at)
        out = np.take(out, np.clip(at, 0, size - 1), axis=axis)
        if boundary == "zero":
            index = [slice(None)] * 3
            out[(*index[:axis], outside)] = 0
    return out


def rotations(dimensions: int) -> list[tuple[tuple[int, int, int], tuple[bool, bool, bool]]]:
    """Return the right-angle rotations as (which kernel along x, y, z; whether it is flipped).

    Four in the axial plane where `dimensions` is 2, otherwise 24 in space.
    """
    found = []
    orders = list(permutations(range(3))) if dimensions == 3 else [(0, 1, 2), (1, 0, 2)]
    for order in orders:
        parity = round(np.linalg.det(np.eye(3)[list(order)]))
        for flips in product((False, True), repeat=3):
            if dimensions == 2 and flips[2]:
                continue
            if parity * (-1) ** sum(flips) == 1:
                found.append(((order[0], order[1], order[2]), (flips[0], flips[1], flips[2])))
    return found


def separable(
    array: NDArray[Any],
    chains: Sequence[Chain],
    boundary: Boundary,
    keep: Keep,
) -> NDArray[Any]:
    """Return the response to kernels along x, y and z (an empty chain leaves an axis alone)."""
    source, inside = crop_source(array, keep, reach_of(chains), boundary)
    for position, chain in enumerate(chains):
        source = along(source, chain, 2 - position, boundary, inside[2 - position])
    return source


def pooled(
    array: NDArray[Any],
    chains: Sequence[Chain],
    *,
    dimensions: int,
    pooling: Pooling,
    boundary: Boundary,
    keep: Keep,
) -> NDArray[Any]:
    """Return the response pooled over all right-angle rotations of the filter.

    Each different rotated filter counts once. `chains` are the kernels along x, y and z.
    """
    variants: dict[tuple[Chain, Chain, Chain], None] = {}
    for order, flips in rotations(dimensions):
        turned = [_flipped(chains[item], flip) for item, flip in zip(order, flips, strict=True)]
        variants[turned[0], turned[1], turned[2]] = None
    reach = [max(reach_of(chains)[3 - dimensions :])] * dimensions
    source, inside = crop_source(array, keep, [0] * (3 - dimensions) + reach, boundary)
    if pooling == "mean":
        return _mean(source, list(variants), boundary, inside)
    return _extreme(source, list(variants), pooling, boundary, inside)


def _mean(
    source: NDArray[Any],
    variants: list[tuple[Chain, Chain, Chain]],
    boundary: Boundary,
    keep: Keep,
) -> NDArray[Any]:
    """Sum first, convolve afterwards: convolution is linear."""
    along_x = {x: along(source, x, 2, boundary, keep[2]) for x in {item[0] for item in variants}}
    total: NDArray[Any] | None = None
    for z in dict.fromkeys(item[2] for item in variants):
        plane: NDArray[Any] | None = None
        for y in dict.fromkeys(item[1] for item in variants if item[2] == z):
            rows = [along_x[item[0]] for item in variants if item[1:] == (y, z)]
            part = along(_total(rows), y, 1, boundary, keep[1])
            plane = part if plane is None else plane + part
        assert plane is not None
        part = along(plane, z, 0, boundary, keep[0])
        total = part if total is None else total + part
    assert total is not None
    return np.asarray(total / total.dtype.type(len(variants)))


def _total(rows: list[NDArray[Any]]) -> NDArray[Any]:
    total = rows[0]
    for row in rows[1:]:
        total = total + row
    return total


def _extreme(
    source: NDArray[Any],
    variants: list[tuple[Chain, Chain, Chain]],
    pooling: Pooling,
    boundary: Boundary,
    keep: Keep,
) -> NDArray[Any]:
    """Convolve each filter once; one that is another's negative needs no convolution."""
    signs: dict[tuple[Chain, Chain, Chain], set[int]] = {}
    for variant in variants:
        sign, plain = 1, []
        for chain in variant:
            turn, kept = _positive(chain)
            sign *= turn
            plain.append(kept)
        signs.setdefault((plain[0], plain[1], plain[2]), set()).add(sign)
    pick = np.maximum if pooling == "max" else np.minimum
    best: NDArray[Any] | None = None
    cache_x: dict[Chain, NDArray[Any]] = {}
    cache_xy: dict[tuple[Chain, Chain], NDArray[Any]] = {}
    for (x, y, z), found in signs.items():
        if x not in cache_x:
            cache_x[x] = along(source, x, 2, boundary, keep[2])
        if (x, y) not in cache_xy:
            cache_xy[x, y] = along(cache_x[x], y, 1, boundary, keep[1])
        response = along(cache_xy[x, y], z, 0, boundary, keep[0])
        if found == {1, -1}:
            response = np.abs(response) if pooling == "max" else -np.abs(response)
        elif found == {-1}:
            response = -response
        best = response if best is None else pick(best, response, out=best)
    assert best is not None
    return best


def along(
    array: NDArray[Any], chain: Chain, axis: int, boundary: Boundary, keep: tuple[int, int]
) -> NDArray[Any]:
    """Return the response to kernels applied one after the other along one axis."""
    for step, kernel in enumerate(chain):
        last = step == len(chain) - 1
        array = convolve_axis(array, kernel, axis, boundary, keep if last else None)
    if not chain:
        index = [slice(None)] * 3
        index[axis] = slice(*keep)
        array = array[tuple(index)]
    return array


def reach_of(chains: Sequence[Chain]) -> list[int]:
    """Return the voxels looked at to either side, along (z, y, x)."""
    return [sum(len(kernel) // 2 for kernel in chain) for chain in chains][::-1]


def _flipped(chain: Chain, flip: bool) -> Chain:
    """Return the chain mirrored about its centre; an even kernel gets a zero to have one."""
    odd = tuple(kernel if len(kernel) % 2 else (*kernel, 0.0) for kernel in chain)
    return tuple(kernel[::-1] for kernel in odd) if flip else odd


def _positive(chain: Chain) -> tuple[int, Chain]:
    """Return a sign and the chain with first non-zero weights positive."""
    sign, out = 1, []
    for kernel in chain:
        lead = next((weight for weight in kernel if weight != 0), 1.0)
        turn = -1 if lead < 0 else 1
        sign *= turn
        out.append(tuple(turn * weight + 0.0 for weight in kernel))
    return sign, tuple(out)
