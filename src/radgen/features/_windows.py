"""Features of the windows around voxels, family by family; `maps` puts them in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.features import gldzm, glrlm, glszm, histogram, ivh, ngldm, statistics
from radgen.features._cells import cells_of, cells_of_pairs, entropy, size_features
from radgen.features._view import directions
from radgen.features.glcm import NAMES as GLCM_NAMES
from radgen.features.ngtdm import NAMES as NGTDM_NAMES
from radgen.features.ngtdm import ngtdm_features

__all__ = ["MAPPERS", "MAP_FAMILIES", "Windows", "block_size", "window_pairs"]

Array = NDArray[np.float64]
MAXIMAL_CORRELATION = "Maximal correlation coefficient"
STATISTIC_NAMES = tuple(spec.name for spec in statistics.SPECS)
HISTOGRAM_NAMES = tuple(spec.name for spec in histogram.SPECS)
IVH_NAMES = tuple(spec.name for spec in ivh.SPECS)
MAP_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "intensity_statistics": STATISTIC_NAMES,
    "intensity_histogram": HISTOGRAM_NAMES,
    "intensity_volume_histogram": IVH_NAMES,
    "glcm": (*GLCM_NAMES, MAXIMAL_CORRELATION),
    "glrlm": glrlm.NAMES,
    "glszm": glszm.NAMES,
    "gldzm": gldzm.NAMES,
    "ngtdm": NGTDM_NAMES,
    "ngldm": ngldm.NAMES,
}
"""Families that can be mapped, and their features."""
_FAST_BLOCK = 4096
_TILE_CELLS = 1 << 22


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows around the voxels of a region: padded levels and values, and where they lie.

    `values` holds NaN outside the region; it is needed by the statistics alone. `drawn` is the
    mask as drawn, before resegmentation, from whose outside distance zones are measured; `curve`
    gives the intensity-volume values of the values in a window. `pyradiomics` gives its values
    to windows of one level and counts lone voxels in NGTDM.
    """

    levels: NDArray[np.uint16]
    values: Array | None
    n_levels: int
    voxels: NDArray[np.int64]
    size: tuple[int, int, int]
    in_plane: bool
    alpha: int
    pyradiomics: bool = False
    drawn: NDArray[np.uint8] | None = None
    curve: Callable[[Array], tuple[float, ...]] | None = None

    @property
    def steps(self) -> NDArray[np.int64]:
        """Steps from the centre to each voxel of the window (n,), in the order of memory."""
        _, ny, nx = self.levels.shape
        reach = [range(-(n // 2), n // 2 + 1) for n in self.size]
        return np.array([(z * ny + y) * nx + x for z, y, x in product(*reach)])

    def tiles(self, part: slice, source: NDArray[Any] | None = None) -> tuple[NDArray[Any], int]:
        """Return the windows of some voxels stacked, zeros between, and slices per window."""
        source = self.levels if source is None else source
        found = source.ravel()[self.voxels[part, None] + self.steps]
        boxes = found.reshape(-1, *self.size)
        if self.in_plane:
            return np.ascontiguousarray(np.pad(boxes[:, 0], ((0, 0), (1, 1), (1, 1)))), 1
        apart = np.pad(boxes, ((0, 0), (0, 1), (1, 1), (1, 1)))
        stack = apart.reshape(-1, *apart.shape[2:])
        return np.ascontiguousarray(np.pad(stack, ((1, 1), (0, 0), (0, 0)))), self.size[0] + 1


def window_pairs(
    shape: tuple[int, ...], size: tuple[int, int, int], steps: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return pairs of neighbours within a window, for the kernel of co-occurrence maps.

    Parameters
    ----------
    shape : tuple of int (3,)
        Shape of the padded volume.
    size : tuple of int (3,)
        Window size in voxels, odd.
    steps : ndarray of int32 (n_directions, 3)
        Offsets between neighbours.

    Returns
    -------
    pairs : ndarray of int32 (n_pairs, 2)
        Steps from the centre in the ravelled volume, sorted by direction.
    first : ndarray of int32 (n_directions + 1,)
        Where each direction starts.
    """
    _, ny, nx = shape
    reach = [range(-(n // 2), n // 2 + 1) for n in size]
    pairs, first = [], [0]
    for dz, dy, dx in steps.tolist():
        for z, y, x in product(*reach):
            to = (z + dz, y + dy, x + dx)
            if all(place in span for place, span in zip(to, reach, strict=True)):
                pairs.append([(z * ny + y) * nx + x, (to[0] * ny + to[1]) * nx + to[2]])
        first.append(len(pairs))
    return np.array(pairs, np.int32).reshape(-1, 2), np.array(first, np.int32)


def _glcm(windows: Windows, part: slice, code: str, names: Sequence[str]) -> dict[str, Array]:
    known = GLCM_NAMES
    if MAXIMAL_CORRELATION in names:
        known = MAP_FAMILIES["glcm"]
    steps = directions(in_plane=windows.in_plane)
    pairs, first = window_pairs(windows.levels.shape, windows.size, steps)
    voxels = np.ascontiguousarray(windows.voxels[part])
    out = np.empty((len(known), voxels.size))
    flags = int(code in ("SUJT", "IAZD")) + 2 * windows.pyradiomics
    _image.glcm_maps(windows.levels.ravel(), voxels, pairs, first, windows.n_levels, flags, out)
    return dict(zip(known, out, strict=True))


def _glrlm(windows: Windows, part: slice, code: str, _names: Sequence[str]) -> dict[str, Array]:
    tiles, period = windows.tiles(part)
    offsets = directions(in_plane=windows.in_plane)
    n = len(windows.voxels[part])
    long = max(period, *tiles.shape[1:])
    out = np.zeros((n, len(offsets), windows.n_levels + 1, long + 1), np.uint32)
    _image.glrlm(tiles, offsets, windows.n_levels, period, None, out)
    counts = out[:, :, 1:, 1:]
    if code in ("SUJT", "IAZD"):
        cells = cells_of(counts.sum(axis=1, dtype=np.int64))
        return size_features(cells, cells.per_group(cells.count * cells.j), glrlm.NAMES)
    if windows.pyradiomics:
        counts[~_with_lines(windows, part, offsets)] = 0
    flat = counts.reshape(-1, *counts.shape[2:])
    used = flat.any(axis=(1, 2))
    cells = cells_of(flat)
    found = size_features(cells, cells.per_group(cells.count * cells.j), glrlm.NAMES)
    places = np.flatnonzero(used) // len(offsets)
    n_used = np.bincount(places, minlength=n).astype(np.float64)
    n_used[n_used == 0] = np.nan
    return {name: np.bincount(places, value, n) / n_used for name, value in found.items()}


def _with_lines(windows: Windows, part: slice, offsets: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return (n_windows, n_directions): whether some line along it holds two voxels."""
    inside = windows.levels.ravel()[windows.voxels[part, None] + windows.steps] > 0
    boxes = inside.reshape(-1, *windows.size)
    found = np.zeros((len(boxes), len(offsets)), bool)
    for number, offset in enumerate(offsets):
        for far in range(1, max(windows.size)):
            step = offset * far
            if (np.abs(step) >= windows.size).any():
                break
            one = tuple(slice(max(0, -k), size - max(0, k)) for k, size in _sides(step, windows))
            two = tuple(slice(max(0, k), size - max(0, -k)) for k, size in _sides(step, windows))
            both = boxes[(slice(None), *one)] & boxes[(slice(None), *two)]
            found[:, number] |= both.any(axis=(1, 2, 3))
    return found


def _sides(step: NDArray[np.int32], windows: Windows) -> list[tuple[int, int]]:
    return [(int(k), size) for k, size in zip(step, windows.size, strict=True)]


def _zones(
    windows: Windows, tiles: NDArray[np.uint16], far: NDArray[np.uint16]
) -> tuple[NDArray[np.integer], ...]:
    """Return level, size, distance and slice of each zone of the stacked windows."""
    inside = np.count_nonzero(tiles)
    level, size = np.empty(inside, np.uint16), np.empty(inside, np.uint32)
    depth, plane = np.empty(inside, np.uint16), np.empty(inside, np.int32)
    back = np.ascontiguousarray(-directions(in_plane=windows.in_plane))
    count = _image.zones(tiles, far, back, level, size, depth, plane)
    return level[:count], size[:count], depth[:count], plane[:count]


def _glszm(windows: Windows, part: slice, _code: str, _names: Sequence[str]) -> dict[str, Array]:
    tiles, period = windows.tiles(part)
    level, size, _, plane = _zones(windows, tiles, np.zeros(tiles.shape, np.uint16))
    cells = cells_of_pairs(plane // period, level, size)
    return size_features(cells, cells.per_group(cells.count * cells.j), glszm.NAMES)


def _gldzm(windows: Windows, part: slice, _code: str, _names: Sequence[str]) -> dict[str, Array]:
    assert windows.drawn is not None
    tiles, period = windows.tiles(part)
    mask, _ = windows.tiles(part, windows.drawn)
    far = np.empty(mask.shape, np.uint16)
    _image.distance_map(mask, int(windows.in_plane), far)
    level, size, depth, plane = _zones(windows, tiles, far)
    cells = cells_of_pairs(plane // period, level, depth)
    voxels = np.bincount(plane // period, size)
    return size_features(cells, voxels[voxels > 0], gldzm.NAMES)


def _neighbours(windows: Windows) -> int:
    return 9 if windows.in_plane else 27


def _ngldm(windows: Windows, part: slice, _code: str, _names: Sequence[str]) -> dict[str, Array]:
    tiles, period = windows.tiles(part)
    n, near = len(windows.voxels[part]), _neighbours(windows)
    out = np.zeros((n, windows.n_levels + 1, near + 1), np.uint32)
    _image.ngldm(tiles, 1, windows.n_levels, period, windows.alpha, out)
    cells = cells_of(out[:, 1:, 1:])
    return size_features(cells, cells.per_group(cells.count), ngldm.NAMES)


def _ngtdm(windows: Windows, part: slice, _code: str, _names: Sequence[str]) -> dict[str, Array]:
    tiles, period = windows.tiles(part)
    n, near = len(windows.voxels[part]), _neighbours(windows)
    shape = (n, windows.n_levels + 1, near)
    count, gap = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    _image.ngtdm(tiles, 1, windows.n_levels, period, count, gap)
    level = np.arange(1.0, windows.n_levels + 1)
    first = 0 if windows.pyradiomics else 1
    voxels = count[:, 1:, first:].sum(axis=2).astype(np.float64)
    gaps = gap[:, 1:, 1:] @ (1.0 / np.arange(1, near))
    rows = [ngtdm_features(level, a, b) for a, b in zip(voxels, gaps, strict=True)]
    return {name: np.array([row[name] for row in rows]) for name in NGTDM_NAMES}


def _percentiles(ordered: Array, n: NDArray[np.intp], percent: float) -> Array:
    place = (n - 1) * percent / 100.0
    low = np.floor(place).astype(np.intp)
    row = np.arange(len(ordered))
    below, above = ordered[row, low], ordered[row, np.minimum(low + 1, n - 1)]
    return np.asarray(below + (above - below) * (place - low))


def _intensity(
    windows: Windows, part: slice, _code: str, _names: Sequence[str]
) -> dict[str, Array]:
    """Return the 18 statistics of each window."""
    assert windows.values is not None
    x = windows.values.ravel()[windows.voxels[part, None] + windows.steps]
    return dict(zip(STATISTIC_NAMES, _statistics(x), strict=True))


def _histogram(
    windows: Windows, part: slice, _code: str, _names: Sequence[str]
) -> dict[str, Array]:
    """Return the 23 histogram features of each window, over the levels of the whole region."""
    found = windows.levels.ravel()[windows.voxels[part, None] + windows.steps]
    n, wide = len(found), windows.n_levels + 1
    key = np.arange(n)[:, None] * wide + found
    counts = np.bincount(key.ravel(), minlength=n * wide).reshape(n, wide)[:, 1:].astype(np.float64)
    p = counts / counts.sum(axis=1, keepdims=True)
    basic = _statistics(np.where(found > 0, found, np.nan))
    level = np.arange(1.0, wide)
    far = np.where(
        counts == counts.max(axis=1, keepdims=True), np.abs(level - basic[0][:, None]), np.inf
    )
    steepest = [np.full(n, np.nan)] * 4
    if windows.n_levels > 1:
        slope = np.gradient(counts, axis=1)
        ends = slope.argmax(axis=1), slope.argmin(axis=1)
        steepest = [one for at in ends for one in (slope[np.arange(n), at], at + 1.0)]
    more = far.argmin(axis=1) + 1.0, entropy(p).sum(axis=1), (p * p).sum(axis=1)
    values = (*basic[:9], more[0], *basic[9:16], *more[1:], *steepest)
    return dict(zip(HISTOGRAM_NAMES, values, strict=True))


def _volume_histogram(
    windows: Windows, part: slice, _code: str, _names: Sequence[str]
) -> dict[str, Array]:
    """Return the intensity-volume values of each window, one window after another."""
    assert windows.values is not None
    assert windows.curve is not None
    x = windows.values.ravel()[windows.voxels[part, None] + windows.steps]
    rows = np.array([windows.curve(row[~np.isnan(row)]) for row in x])
    return dict(zip(IVH_NAMES, rows.T, strict=True))


def _statistics(x: Array) -> tuple[Array, ...]:
    """Return the 18 statistics of rows; NaN sorts last, so order statistics are easy."""
    x = np.sort(x, axis=1)
    inside = ~np.isnan(x)
    n = inside.sum(axis=1)
    row = np.arange(len(x))

    def mean(values: Array, where: NDArray[np.bool_] = inside) -> Array:
        count = where.sum(axis=1)
        total = np.where(where, values, 0.0).sum(axis=1)
        return np.divide(total, count, out=np.full(len(x), np.nan), where=count > 0)

    average = mean(x)
    gap = x - average[:, None]
    variance = mean(gap**2)
    flat = variance <= (np.spacing(np.abs(average)) * 4) ** 2
    safe = np.where(flat, np.nan, variance)
    p10, p25, p50, p75, p90 = (_percentiles(x, n, q) for q in (10, 25, 50, 75, 90))
    inner = inside & (x >= p10[:, None]) & (x <= p90[:, None])
    centre = mean(x, inner)
    energy = np.where(inside, x, 0.0)
    energy = (energy**2).sum(axis=1)
    last = x[row, n - 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(average != 0, np.sqrt(variance) / average, np.nan)
        quartile = np.where(p75 + p25 != 0, (p75 - p25) / (p75 + p25), np.nan)
    return (
        average,
        variance,
        mean(gap**3) / safe**1.5,
        mean(gap**4) / safe**2 - 3.0,
        p50,
        x[:, 0],
        p10,
        p90,
        last,
        p75 - p25,
        last - x[:, 0],
        mean(np.abs(gap)),
        mean(np.abs(x - centre[:, None]), inner),
        mean(np.abs(x - p50[:, None])),
        ratio,
        quartile,
        energy,
        np.sqrt(energy / n),
    )


MAPPERS: Mapping[str, Callable[[Windows, slice, str, Sequence[str]], dict[str, Array]]] = {
    "intensity_statistics": _intensity,
    "intensity_histogram": _histogram,
    "intensity_volume_histogram": _volume_histogram,
    "glcm": _glcm,
    "glrlm": _glrlm,
    "glszm": _glszm,
    "gldzm": _gldzm,
    "ngtdm": _ngtdm,
    "ngldm": _ngldm,
}


def block_size(family: str, n_levels: int) -> int:
    """Return how many windows are worked on at a time."""
    if family == "glcm":
        return _FAST_BLOCK
    width = 13 * 8 if family == "glrlm" else 28
    if family.endswith("volume_histogram"):
        return 4096
    return int(np.clip(_TILE_CELLS // (width * (n_levels + 1)), 64, 4096))
