"""The inverse distance as a near part that ends, and a far part that a coarse grid can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from radgen._native._filter import correlate_axis

__all__ = ["Split", "choose", "far", "grid_length", "near", "reached", "restored", "taps"]

Array = NDArray[np.float64]
REACH = 10
"""The near part ends at so many steps of the coarse grid."""
WIDTH = 10
"""The filter that thins images out spans so many steps of the coarse grid (even)."""
TERMS = 12
"""Items on either side of the filter that undoes what the first one does to waves."""
_SHARP = 22.0
_ROUND = 0.8 * np.pi * WIDTH
_MOST = 6
_LONGEST = 2048
_GAIN = 0.8


def grid_length(size: int) -> int:
    """Return the least multiple of 4 without prime factors above 5 that is at least `size`."""
    found = -(-size // 4)
    while True:
        rest = found
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return 4 * found
        found += 1


def _bell(sharp: float, place: Array) -> Array:
    """Return the window of Kaiser and Bessel on [-1, 1], 1 in the middle."""
    return np.asarray(np.i0(sharp * np.sqrt(1.0 - place**2)) / np.i0(sharp))


def bell_spectrum(sharp: float, frequency: Array) -> Array:
    """Return the Fourier transform of the window, in closed form."""
    root = np.sqrt((sharp**2 - frequency**2).astype(complex))
    root[root == 0] = 1e-9
    return np.asarray(2.0 * (np.sinh(root) / root).real / np.i0(sharp))


@cache
def _far_series() -> Array:
    """Return the share of the far part at t = distance / reach, over t, as a series in 2 t^2 - 1.

    The series is one of Chebyshev's. The share is the integral of the window from 0 to t over
    that from 0 to 1.
    """
    place, weight = np.polynomial.legendre.leggauss(60)
    place = (place + 1.0) / 2.0
    whole = float(weight @ _bell(_SHARP, place))

    def mean(s: Array) -> Array:
        t = np.sqrt((np.asarray(s) + 1.0) / 2.0)
        return np.asarray(_bell(_SHARP, t[..., None] * place) @ weight / whole)

    return np.asarray(chebyshev.chebinterpolate(mean, 32))


def far(distance: Array, reach: float) -> Array:
    """Return the far part of 1 / distance: smooth at 0, and all of it from `reach` on."""
    t = np.minimum(distance / reach, 1.0)
    out = 1.0 / np.maximum(distance, reach)
    inside = t < 1.0
    out[inside] = chebyshev.chebval(2.0 * t[inside] ** 2 - 1.0, _far_series()) / reach
    return np.asarray(out)


def near(distance: Array, reach: float) -> Array:
    """Return the rest: 0 from `reach` on; at distance 0, where nothing counts, what far lacks."""
    out = np.zeros_like(distance)
    inside = distance < reach
    some = distance[inside]
    whole = np.divide(1.0, some, out=np.zeros_like(some), where=some > 0)
    out[inside] = whole - far(some, reach)
    return out


@cache
def taps(step: int) -> NDArray[np.float32]:
    """Return the filter that thins out an axis by a step: 1 for a step of 1."""
    if step == 1:
        return np.ones(1, np.float32)
    side = WIDTH * step // 2
    place = np.arange(1 - side, side) / side
    return _bell(_ROUND, place).astype(np.float32)


def reached(size: int, step: int) -> int:
    """Return how many items of the coarse axis the filter makes of `size` voxels."""
    return (size - 1 + len(taps(step)) - step) // step + 1


@cache
def restoring() -> Array:
    """Return the filter (TERMS + 1,) that undoes twice the first one, from its middle on.

    It minimises the error of waves, each weighted by what the far part holds of it and of
    shorter ones.
    """
    wave = np.linspace(1e-3, np.pi, 400)
    of_far = np.abs(bell_spectrum(_SHARP, wave * REACH)) / wave
    weight = np.cumsum(of_far[::-1])[::-1] / of_far.sum()
    weight = np.maximum(weight, 1e-11)
    squared = (bell_spectrum(_ROUND, wave * WIDTH / 2) * WIDTH / 2) ** 2
    terms = np.arange(TERMS + 1)
    waves = np.cos(wave[:, None] * terms) * np.where(terms, 2.0, 1.0)
    columns = waves * (squared * weight)[:, None]
    return np.asarray(np.linalg.lstsq(columns, weight, rcond=1e-17)[0])


def restored(kernel: Array, axis: int) -> Array:
    """Return a kernel, even along an axis, filtered along it: TERMS items less."""
    before = np.flip(kernel.take(range(1, TERMS + 1), axis=axis), axis=axis)
    whole = np.concatenate([before, kernel], axis=axis)
    outer, inner = (int(np.prod(part)) for part in (kernel.shape[:axis], kernel.shape[axis + 1 :]))
    size, left = whole.shape[axis], kernel.shape[axis] - TERMS
    out = np.empty((*kernel.shape[:axis], left, *kernel.shape[axis + 1 :]))
    weights = np.concatenate([restoring()[:0:-1], restoring()])
    # All items that the filter meets are there, so the rule for those beyond the ends is idle.
    correlate_axis(whole, out, weights, outer, size, inner, TERMS, left, TERMS, 0)
    return out


@dataclass(frozen=True, slots=True)
class Split:
    """How the inverse distance is split on a grid.

    Attributes
    ----------
    steps : tuple of int (3,)
        A step of the coarse grid in voxels, by axis; 1 = as fine as the image.
    reach : float
        Where the near part ends, in the unit of the voxel size.
    near, far : tuple of int (3,)
        Sizes of the padded grids.
    """

    steps: tuple[int, ...]
    reach: float
    near: tuple[int, ...]
    far: tuple[int, ...]


def _cost(given: Sequence[int], sizes: Sequence[int]) -> float:
    """Return about how long the transforms of a grid take, which holds so many voxels.

    Sixteen slices are worked on at a time, later sixteen of each fourth frequency along y.
    """
    slices = -(-given[0] // 16) * 16
    wide = 4 * (-(-sizes[1] // 64) * 16)
    return sizes[2] * (0.6 * slices * given[1] + 0.9 * slices * wide + sizes[0] * wide)


def choose(shape: Sequence[int], spacing: Sequence[float]) -> Split | None:
    """Return how to split the inverse distance; None where the whole costs no more.

    Parameters
    ----------
    shape : sequence of int (3,)
        Size of the image.
    spacing : sequence of float (3,)
        Voxel size.
    """
    best, least = None, _GAIN * _cost(shape, [grid_length(2 * n) for n in shape])
    for most in range(2, _MOST + 1):
        steps = tuple(max(1, int(most * min(spacing) / h * (1 + 1e-9))) for h in spacing)
        coarse = max(step * h for step, h in zip(steps, spacing, strict=True) if step > 1)
        reach = REACH * coarse
        reaches = [min(n - 1, int(reach / h)) for n, h in zip(shape, spacing, strict=True)]
        sizes = [reached(n, step) for n, step in zip(shape, steps, strict=True)]
        if max(n for n, step in zip(sizes, steps, strict=True) if step > 1) > _LONGEST:
            continue
        fine = tuple(grid_length(n + d) for n, d in zip(shape, reaches, strict=True))
        thin = tuple(grid_length(2 * n) for n in sizes)
        cost = _cost(shape, fine) + _cost(sizes, thin)
        if cost < least:
            best, least = Split(steps, reach, fine, thin), cost
    return best
