"""Voxel-wise maps: a feature of the window around each voxel, on the image's own grid."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._core.naming import require_choice
from radgen._native import _image
from radgen.errors import InputError
from radgen.features import glrlm, glszm, ngldm, statistics
from radgen.features._cells import cells_of, cells_of_pairs, size_features
from radgen.features._region import Region
from radgen.features._view import View, directions
from radgen.features.extraction import process
from radgen.features.glcm import NAMES as GLCM_NAMES
from radgen.features.ngtdm import NAMES as NGTDM_NAMES
from radgen.features.ngtdm import ngtdm_features
from radgen.features.settings import ExtractionSettings
from radgen.types import ImageVolume, Mask

__all__ = ["MAP_FAMILIES", "feature_maps", "window_pairs"]

Array = NDArray[np.float64]
STATISTIC_NAMES = tuple(spec.name for spec in statistics.SPECS)
MAP_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "intensity_statistics": STATISTIC_NAMES,
    "glcm": GLCM_NAMES,
    "glrlm": glrlm.NAMES,
    "glszm": glszm.NAMES,
    "ngtdm": NGTDM_NAMES,
    "ngldm": ngldm.NAMES,
}
"""Families that can be mapped, and their features."""
_FAST_BLOCK = 16384
_TILE_CELLS = 1 << 22


@dataclass(frozen=True, slots=True)
class _Windows:
    """Windows around the voxels of a region: padded levels and values, and where they lie."""

    levels: NDArray[np.uint16]
    values: Array
    n_levels: int
    voxels: NDArray[np.int64]
    size: tuple[int, int, int]
    in_plane: bool
    alpha: int

    @property
    def steps(self) -> NDArray[np.int64]:
        """Steps from the centre to each voxel of the window (n,), in the order of memory."""
        _, ny, nx = self.levels.shape
        reach = [range(-(n // 2), n // 2 + 1) for n in self.size]
        return np.array([(z * ny + y) * nx + x for z, y, x in product(*reach)])

    def tiles(self, part: slice) -> tuple[NDArray[np.uint16], int]:
        """Return the windows of some voxels stacked, zeros between, and slices per window."""
        found = self.levels.ravel()[self.voxels[part, None] + self.steps]
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


def _glcm(windows: _Windows, part: slice, code: str) -> dict[str, Array]:
    steps = directions(in_plane=windows.in_plane)
    pairs, first = window_pairs(windows.levels.shape, windows.size, steps)
    voxels = np.ascontiguousarray(windows.voxels[part])
    out = np.empty((len(GLCM_NAMES), voxels.size))
    merged = int(code in ("SUJT", "IAZD"))
    places = int(np.prod(windows.size))
    _image.glcm_maps(
        windows.levels.ravel(), voxels, pairs, first, windows.n_levels, places, merged, out
    )
    return dict(zip(GLCM_NAMES, out, strict=True))


def _glrlm(windows: _Windows, part: slice, code: str) -> dict[str, Array]:
    tiles, period = windows.tiles(part)
    offsets = directions(in_plane=windows.in_plane)
    n = len(windows.voxels[part])
    long = max(period, *tiles.shape[1:])
    out = np.zeros((n, len(offsets), windows.n_levels + 1, long + 1), np.uint32)
    _image.glrlm(tiles, offsets, windows.n_levels, period, out)
    counts = out[:, :, 1:, 1:]
    if code in ("SUJT", "IAZD"):
        cells = cells_of(counts.sum(axis=1, dtype=np.int64))
        return size_features(cells, cells.per_group(cells.count * cells.j), glrlm.NAMES)
    cells = cells_of(counts.reshape(-1, *counts.shape[2:]))
    found = size_features(cells, cells.per_group(cells.count * cells.j), glrlm.NAMES)
    return {name: value.reshape(n, -1).mean(axis=1) for name, value in found.items()}


def _glszm(windows: _Windows, part: slice, _code: str) -> dict[str, Array]:
    tiles, period = windows.tiles(part)
    inside = np.count_nonzero(tiles)
    level, size = np.empty(inside, np.uint16), np.empty(inside, np.uint32)
    depth, plane = np.empty(inside, np.uint16), np.empty(inside, np.int32)
    back = np.ascontiguousarray(-directions(in_plane=windows.in_plane))
    none = np.zeros(tiles.shape, np.uint16)
    count = _image.zones(tiles, none, back, level, size, depth, plane)
    cells = cells_of_pairs(plane[:count] // period, level[:count], size[:count])
    return size_features(cells, cells.per_group(cells.count * cells.j), glszm.NAMES)


def _neighbours(windows: _Windows) -> int:
    return 9 if windows.in_plane else 27


def _ngldm(windows: _Windows, part: slice, _code: str) -> dict[str, Array]:
    tiles, period = windows.tiles(part)
    n, near = len(windows.voxels[part]), _neighbours(windows)
    out = np.zeros((n, windows.n_levels + 1, near + 1), np.uint32)
    _image.ngldm(tiles, 1, windows.n_levels, period, windows.alpha, out)
    cells = cells_of(out[:, 1:, 1:])
    return size_features(cells, cells.per_group(cells.count), ngldm.NAMES)


def _ngtdm(windows: _Windows, part: slice, _code: str) -> dict[str, Array]:
    tiles, period = windows.tiles(part)
    n, near = len(windows.voxels[part]), _neighbours(windows)
    shape = (n, windows.n_levels + 1, near)
    count, gap = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    _image.ngtdm(tiles, 1, windows.n_levels, period, count, gap)
    level = np.arange(1.0, windows.n_levels + 1)
    voxels = count[:, 1:, 1:].sum(axis=2).astype(np.float64)
    gaps = gap[:, 1:, 1:] @ (1.0 / np.arange(1, near))
    rows = [ngtdm_features(level, a, b) for a, b in zip(voxels, gaps, strict=True)]
    return {name: np.array([row[name] for row in rows]) for name in NGTDM_NAMES}


def _percentiles(ordered: Array, n: NDArray[np.intp], percent: float) -> Array:
    place = (n - 1) * percent / 100.0
    low = np.floor(place).astype(np.intp)
    row = np.arange(len(ordered))
    below, above = ordered[row, low], ordered[row, np.minimum(low + 1, n - 1)]
    return np.asarray(below + (above - below) * (place - low))


def _intensity(windows: _Windows, part: slice, _code: str) -> dict[str, Array]:
    """Return the 18 statistics of each window; NaN sorts last, so order statistics are easy."""
    x = np.sort(windows.values.ravel()[windows.voxels[part, None] + windows.steps], axis=1)
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
    found = (
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
    return dict(zip(STATISTIC_NAMES, found, strict=True))


_MAPPERS: Mapping[str, Callable[[_Windows, slice, str], dict[str, Array]]] = {
    "intensity_statistics": _intensity,
    "glcm": _glcm,
    "glrlm": _glrlm,
    "glszm": _glszm,
    "ngtdm": _ngtdm,
    "ngldm": _ngldm,
}


def _codes(family: str, settings: ExtractionSettings) -> list[str]:
    if family == "intensity_statistics":
        return [""]
    known = ("BTW3", "SUJT") if settings.by_slice else ("ITBB", "IAZD")
    if family not in ("glcm", "glrlm"):
        known = ("8QNN",) if settings.by_slice else ("KOBO",)
    return [code for code in known if code in settings.aggregations]


def _windows_of(
    image: ImageVolume, region: Region, settings: ExtractionSettings, radius: int
) -> _Windows:
    view = View(region, image.array, replace(settings, distance=radius))
    values = np.full(view.padded.shape, np.nan)
    flat = region.padded_flat(radius)
    values.ravel()[flat] = view.values
    side = 2 * radius + 1
    return _Windows(
        np.ascontiguousarray(view.padded, np.uint16),
        values,
        view.grey.n_levels,
        flat.astype(np.int64),
        (1 if settings.by_slice else side, side, side),
        settings.by_slice,
        settings.ngldm_alpha,
    )


def _block(family: str, windows: _Windows) -> int:
    if family == "glcm":
        return _FAST_BLOCK
    width = 13 * 8 if family == "glrlm" else 28
    return int(np.clip(_TILE_CELLS // (width * (windows.n_levels + 1)), 64, 4096))


def feature_maps(
    image: ImageVolume,
    mask: Mask,
    *,
    features: Mapping[str, Iterable[str] | None],
    settings: ExtractionSettings,
    radius: int = 1,
    threads: int | None = None,
) -> dict[str, ImageVolume]:
    """Return maps of features of the window around each voxel of a region.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan.
    mask : Mask
        The region; windows take in its voxels alone.
    features : mapping of str to iterable of str or None
        Families (see `MAP_FAMILIES`) and which of their features; None = all.
    settings : ExtractionSettings
        How to resample, resegment and discretise; ``by_slice`` makes the windows flat. Levels
        are those of the whole region. ``aggregations`` says whether GLCM and GLRLM are averaged
        over directions (ITBB, by slice BTW3) or merged (IAZD, SUJT).
    radius : int
        Half width of the window in voxels, 1 to 7: 1 is 3 x 3 x 3.
    threads : int or None
        Threads that share the blocks; None = as many as there are processors.

    Returns
    -------
    dict of str to ImageVolume
        float32 maps by ``family|feature|aggregation``, on the grid of the resampled image; NaN
        outside the region and where the window does not determine the value.

    Raises
    ------
    InputError
        If a family or feature is unknown (the message names the nearest), the region is empty,
        or the radius is out of range.
    GeometryError
        If the mask does not lie on the image's grid.

    Notes
    -----
    Neighbours within a window are next to each other (distance 1). Work goes block by block,
    so memory is bounded by the maps asked for.
    """
    wanted = {
        family: tuple(MAP_FAMILIES[require_choice(family, MAP_FAMILIES, what="mapped family")])
        if names is None
        else tuple(require_choice(n, MAP_FAMILIES[family], what="feature") for n in names)
        for family, names in features.items()
        if require_choice(family, MAP_FAMILIES, what="mapped family")
    }
    if not 1 <= radius <= 7:
        raise InputError(f"The radius of a window lies between 1 and 7 voxels, not {radius}.")
    done = process(image, mask, settings=settings)
    if not done.intensity.n_voxels:
        raise InputError("No voxel of the region is left to map.")
    region = Region(done.morphology, done.intensity)
    windows = _windows_of(done.resampled, region, settings, radius)
    place = np.flatnonzero(done.intensity.array)
    out: dict[str, NDArray[np.float32]] = {}
    jobs = [
        (family, code, slice(*ends))
        for family in wanted
        for code in _codes(family, settings)
        for ends in block_ranges(windows.voxels.size, _block(family, windows))
    ]
    for family, names in wanted.items():
        for code, name in product(_codes(family, settings), names):
            out[_key(family, name, code)] = np.full(region.full_shape, np.nan, np.float32)

    def run(job: tuple[str, str, slice]) -> None:
        family, code, part = job
        found = _MAPPERS[family](windows, part, code)
        for name in wanted[family]:
            out[_key(family, name, code)].ravel()[place[part]] = found[name]

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        list(pool.map(run, jobs))
    return {
        key: done.resampled.with_array(values, quantity=key, unit="") for key, values in out.items()
    }


def _key(family: str, name: str, code: str) -> str:
    return "|".join(part for part in (family, name, code) if part)
