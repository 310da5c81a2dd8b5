"""Voxel-wise maps: a feature of the window around each voxel, on the image's own grid."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen.errors import InputError
from radgen.features._region import Region
from radgen.features._registry import FAMILIES
from radgen.features._view import View
from radgen.features._windows import MAP_FAMILIES, MAPPERS, Windows, block_size, window_pairs
from radgen.features.extraction import process
from radgen.features.ivh import curve_of
from radgen.features.settings import ExtractionSettings
from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["MAP_FAMILIES", "chosen_maps", "feature_maps", "iter_feature_maps", "window_pairs"]

_IN_MEMORY = 1 << 28
"""Maps of more bytes than this are put together in a temporary file."""


def chosen_maps(texts: Iterable[str]) -> dict[str, tuple[str, ...] | None]:
    """Return families and features of texts like ``glcm`` or ``glcm:Contrast,Joint entropy``.

    Parameters
    ----------
    texts : iterable of str
        A family of `MAP_FAMILIES` each, alone for all of its features, or with some of them.
        A feature goes by its name in any case, or by its IBSI code.

    Returns
    -------
    dict of str to tuple of str or None
        For `feature_maps`; None = all features of the family.

    Raises
    ------
    InputError
        If a family or feature is unknown (the message names the nearest), or none is given.

    Examples
    --------
    >>> chosen_maps(["glcm:contrast,TU9B", "ngtdm"])
    {'glcm': ('Contrast', 'Joint entropy'), 'ngtdm': None}
    """
    out: dict[str, tuple[str, ...] | None] = {}
    for text in texts:
        family, _, rest = text.partition(":")
        family = require_choice(family.strip().lower(), MAP_FAMILIES, what="mapped family")
        if not rest.strip():
            out[family] = None
            continue
        found = tuple(_feature(family, name.strip()) for name in rest.split(","))
        if family not in out:
            out[family] = found
        elif (before := out[family]) is not None:
            out[family] = tuple(dict.fromkeys((*before, *found)))
    if not out:
        raise InputError(
            "No feature to map. Name a family, or features of one: glcm:Contrast,Joint entropy. "
            f"Families: {', '.join(MAP_FAMILIES)}."
        )
    return out


def _feature(family: str, name: str) -> str:
    known = {item.lower(): item for item in MAP_FAMILIES[family]}
    codes = {spec.ibsi_code: spec.name for spec in FAMILIES.get(family).specs}
    found = codes.get(name.upper()) or known.get(name.lower(), name)
    return require_choice(found, MAP_FAMILIES[family], what=f"feature of {family}")


def _wanted(features: Mapping[str, Iterable[str] | None]) -> dict[str, tuple[str, ...]]:
    out = {}
    for family, names in features.items():
        known = MAP_FAMILIES[require_choice(family, MAP_FAMILIES, what="mapped family")]
        chosen = known if names is None else tuple(names)
        out[family] = tuple(require_choice(name, known, what="feature") for name in chosen)
    return out


def _codes(family: str, settings: ExtractionSettings) -> list[str]:
    if family.startswith("intensity_"):
        return [""]
    known = ("BTW3", "SUJT") if settings.by_slice else ("ITBB", "IAZD")
    if family not in ("glcm", "glrlm"):
        known = ("8QNN",) if settings.by_slice else ("KOBO",)
    return [code for code in known if code in settings.aggregations]


def _windows_of(view: View, radius: int) -> Windows:
    region, settings = view.region, view.settings
    side = 2 * radius + 1
    return Windows(
        np.ascontiguousarray(view.padded, np.uint16),
        None,
        view.grey.n_levels,
        region.padded_flat(radius).astype(np.int64),
        (1 if settings.by_slice else side, side, side),
        settings.by_slice,
        settings.ngldm_alpha,
    )


def _windows_for(family: str, windows: Windows, view: View, radius: int) -> Windows:
    """Return the windows with what a family needs besides grey levels."""
    if family == "gldzm":
        return replace(windows, drawn=view.region.padded_mask(radius))
    if family not in ("intensity_statistics", "intensity_volume_histogram"):
        return windows
    found, curve = view.values, None
    if family == "intensity_volume_histogram":
        found, curve = curve_of(view)
    values = np.full(view.padded.shape, np.nan)
    values.ravel()[view.region.padded_flat(radius)] = found
    return replace(windows, values=values, curve=curve)


def _columns(n_maps: int, n_voxels: int, folder: str) -> NDArray[np.float32]:
    """Return room for maps as columns of voxels, in a file where memory would be large."""
    if 4 * n_maps * n_voxels <= _IN_MEMORY:
        return np.empty((n_maps, n_voxels), np.float32)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as stream:
        return np.memmap(stream, np.float32, "w+", shape=(n_maps, n_voxels))


def _fill(
    out: NDArray[np.float32], windows: Windows, what: tuple[str, str, tuple[str, ...]], threads: int
) -> None:
    family, code, names = what
    parts = list(block_ranges(windows.voxels.size, block_size(family, windows.n_levels)))

    def run(ends: tuple[int, int]) -> int:
        found = MAPPERS[family](windows, slice(*ends), code, names)
        for row, name in enumerate(names):
            out[row, slice(*ends)] = found[name]
        return ends[1] - ends[0]

    title = f"Maps of {family} {code}".strip()
    with progress(title, windows.voxels.size) as tick, ThreadPoolExecutor(threads) as pool:
        for count in pool.map(run, parts):
            tick(count)


def _nearest(source: ImageVolume, geometry: Geometry) -> ImageVolume:
    """Return the nearest voxel's value on a grid whose axes are those of the source."""
    places = []
    for axis, (size, limit) in enumerate(zip(geometry.shape, source.geometry.shape, strict=True)):
        line = np.zeros((size, 3))
        line[:, axis] = np.arange(size)
        at = source.geometry.to_index(geometry.to_world(line))[:, axis]
        places.append(np.clip(np.floor(np.round(at, 9) + 0.5).astype(np.intp), 0, limit - 1))
    return source.with_array(source.array[np.ix_(*places)], geometry=geometry)


def iter_feature_maps(
    image: ImageVolume,
    mask: Mask,
    *,
    features: Mapping[str, Iterable[str] | None],
    settings: ExtractionSettings,
    radius: int = 1,
    grid: Literal["image", "resampled"] = "image",
    threads: int | None = None,
) -> Iterator[tuple[str, ImageVolume]]:
    """Yield maps of features of the window around each voxel of a region, one after another.

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
    grid : {"image", "resampled"}
        "image": maps lie on the grid of `image`; where the settings resample, each voxel takes
        the value of the nearest voxel of the resampled grid. "resampled": maps stay there.
    threads : int or None
        Threads that share the blocks; None = as many as there are processors.

    Yields
    ------
    tuple of (str, ImageVolume)
        ``family|feature|aggregation`` and the float32 map; NaN outside the region and where the
        window does not determine the value.

    Raises
    ------
    InputError
        If a family or feature is unknown (the message names the nearest), the region is empty,
        or the radius is out of range.
    GeometryError
        If the mask does not lie on the image's grid.

    Notes
    -----
    Neighbours within a window are next to each other (distance 1). Work goes block by block and
    family by family; values of the region's voxels alone are kept, in a temporary file where
    they are many, so memory is bounded by the crop of the region and one map.
    """
    wanted = _wanted(features)
    require_choice(grid, ("image", "resampled"), what="grid of the maps")
    if not 1 <= radius <= 7:
        raise InputError(f"The radius of a window lies between 1 and 7 voxels, not {radius}.")
    done = process(image, mask, settings=settings)
    if not done.intensity.n_voxels:
        raise InputError("No voxel of the region is left to map.")
    region = Region(done.morphology, done.intensity)
    view = View(region, done.resampled.array, replace(settings, distance=radius))
    windows = _windows_of(view, radius)
    place = np.flatnonzero(done.intensity.array)
    n_threads = threads or os.cpu_count() or 1
    back = image.geometry if grid == "image" and settings.spacing_mm is not None else None
    with tempfile.TemporaryDirectory(prefix="radgen-maps-") as folder:
        for family, names in wanted.items():
            chosen = _windows_for(family, windows, view, radius)
            for code in _codes(family, settings):
                columns = _columns(len(names), place.size, folder)
                _fill(columns, chosen, (family, code, names), n_threads)
                for name, column in zip(names, columns, strict=True):
                    full = np.full(region.full_shape, np.nan, np.float32)
                    full.ravel()[place] = column
                    key = "|".join(part for part in (family, name, code) if part)
                    found = done.resampled.with_array(full, quantity=key, unit="")
                    yield key, found if back is None else _nearest(found, back)


def feature_maps(
    image: ImageVolume,
    mask: Mask,
    *,
    features: Mapping[str, Iterable[str] | None],
    settings: ExtractionSettings,
    radius: int = 1,
    grid: Literal["image", "resampled"] = "image",
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
        How to resample, resegment and discretise; see `iter_feature_maps`.
    radius : int
        Half width of the window in voxels, 1 to 7: 1 is 3 x 3 x 3.
    grid : {"image", "resampled"}
        Grid of the maps; see `iter_feature_maps`.
    threads : int or None
        Threads that share the blocks; None = as many as there are processors.

    Returns
    -------
    dict of str to ImageVolume
        float32 maps by ``family|feature|aggregation``; NaN outside the region and where the
        window does not determine the value. `iter_feature_maps` needs less memory.

    Raises
    ------
    InputError
        If a family or feature is unknown (the message names the nearest), the region is empty,
        or the radius is out of range.
    GeometryError
        If the mask does not lie on the image's grid.
    """
    return dict(
        iter_feature_maps(
            image,
            mask,
            features=features,
            settings=settings,
            radius=radius,
            grid=grid,
            threads=threads,
        )
    )
