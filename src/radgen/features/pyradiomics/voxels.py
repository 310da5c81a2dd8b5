"""Voxel-based extraction with PyRadiomics' names and conventions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen.errors import InputError
from radgen.features._windows import MAP_FAMILIES, MAPPERS, Windows, block_size
from radgen.features.pyradiomics.classes import FEATURES, SIZE_CLASSES, Levels

__all__ = ["Voxels", "class_maps"]

Array = NDArray[Any]
_GLCM = dict(
    zip(
        MAP_FAMILIES["glcm"],
        (
            ("MaximumProbability",),
            ("JointAverage",),
            ("SumSquares",),
            ("JointEntropy",),
            ("DifferenceAverage",),
            ("DifferenceVariance",),
            ("DifferenceEntropy",),
            ("SumAverage",),
            (),
            ("SumEntropy",),
            ("JointEnergy",),
            ("Contrast",),
            (),
            ("Id",),
            ("Idn",),
            ("Idm",),
            ("Idmn",),
            ("InverseVariance",),
            ("Correlation",),
            ("Autocorrelation",),
            ("ClusterTendency",),
            ("ClusterShade",),
            ("ClusterProminence",),
            ("Imc1",),
            ("Imc2",),
            ("MCC",),
        ),
        strict=True,
    )
)
_STATISTICS = {
    "Mean": "Mean intensity",
    "Variance": "Intensity variance",
    "Median": "Median intensity",
    "Minimum": "Minimum intensity",
    "10Percentile": "10th intensity percentile",
    "90Percentile": "90th intensity percentile",
    "Maximum": "Maximum intensity",
    "InterquartileRange": "Intensity interquartile range",
    "Range": "Intensity range",
    "MeanAbsoluteDeviation": "Intensity-based mean absolute deviation",
    "RobustMeanAbsoluteDeviation": "Intensity-based robust mean absolute deviation",
}
EPS = float(np.spacing(1))


@dataclass(frozen=True, eq=False)
class Voxels:
    """Levels of a crop that windows are cut from, and the voxels that get a value.

    Attributes
    ----------
    levels : Levels
        Values and mask of the crop; levels of all voxels that windows take in.
    inside : ndarray of bool (n_z, n_y, n_x)
        Voxels that get a value.
    """

    levels: Levels
    inside: NDArray[np.bool_]

    @property
    def radius(self) -> int:
        """Half width of the windows."""
        return int(self.levels.settings.get("kernelRadius", 1))


def _windows(voxels: Voxels) -> Windows:
    levels, radius = voxels.levels, voxels.radius
    settings, axis = levels.settings, levels.flat_axis
    if levels.distances != (1,):
        raise InputError("Voxel-based extraction needs the setting distances [1].")
    if not settings.get("symmetricalGLCM", True) or settings.get("weightingNorm") is not None:
        raise InputError(
            "Voxel-based extraction needs symmetrical matrices without weights "
            "(symmetricalGLCM true, no weightingNorm)."
        )
    if not 1 <= radius <= 7:
        raise InputError(f"kernelRadius lies between 1 and 7 voxels, not {radius}.")
    padded = levels.padded(radius)
    values = np.full(levels.crop.mask.shape, np.nan)
    values[levels.crop.mask] = levels.values
    inside = voxels.inside
    if axis is not None:
        values, inside = np.moveaxis(values, axis, 0), np.moveaxis(inside, axis, 0)
    side = 2 * radius + 1
    return Windows(
        np.ascontiguousarray(padded, np.uint16),
        np.pad(values, radius, constant_values=np.nan),
        levels.n_levels,
        np.flatnonzero(np.pad(inside, radius)).astype(np.int64),
        (1 if axis is not None else side, side, side),
        axis is not None,
        int(settings.get("gldm_a", 0)),
        pyradiomics=True,
    )


def _first_order(windows: Windows, part: slice, settings: Mapping[str, Any]) -> dict[str, Array]:
    found = MAPPERS["intensity_statistics"](windows, part, "", ())
    out = {mine: found[name] for mine, name in _STATISTICS.items()}
    at = windows.voxels[part, None] + windows.steps
    assert windows.values is not None
    values = windows.values.ravel()[at]
    shift = float(settings.get("voxelArrayShift", 0))
    energy = np.nansum((values + shift) ** 2, axis=1)
    count = np.sum(~np.isnan(values), axis=1)
    out["Energy"] = energy
    out["TotalEnergy"] = energy * float(settings["voxel_mm3"])
    out["RootMeanSquared"] = np.sqrt(energy / count)
    out["Skewness"] = np.nan_to_num(found["Intensity skewness"])
    out["Kurtosis"] = np.where(
        np.isnan(found["(Excess) intensity kurtosis"]),
        0.0,
        found["(Excess) intensity kurtosis"] + 3.0,
    )
    ordered = np.sort(windows.levels.ravel()[at], axis=1)
    # Ends of runs of one level: their lengths are the counts of the levels.
    last = np.ones(ordered.shape, bool)
    last[:, :-1] = ordered[:, 1:] != ordered[:, :-1]
    row, column = np.nonzero(last)
    start = np.where(np.r_[True, row[1:] != row[:-1]], -1, np.r_[-1, column[:-1]])
    p = np.where(ordered[row, column] > 0, column - start, 0) / count[row]
    out["Entropy"] = -np.bincount(row, p * np.log2(p + EPS), len(ordered))
    out["Uniformity"] = np.bincount(row, p * p, len(ordered))
    return out


def _co_occurrence(windows: Windows, part: slice, _settings: Mapping[str, Any]) -> dict[str, Array]:
    found = MAPPERS["glcm"](windows, part, "ITBB", MAP_FAMILIES["glcm"])
    return {mine: found[name] for name, names in _GLCM.items() for mine in names}


def _by_size(family: str, names: Mapping[int, str]) -> Callable[..., dict[str, Array]]:
    def measure(windows: Windows, part: slice, _settings: Mapping[str, Any]) -> dict[str, Array]:
        found = MAPPERS[family](windows, part, "ITBB", ())
        places = list(found)
        return {mine: found[places[place]] for place, mine in names.items()}

    return measure


def _differences(windows: Windows, part: slice, _settings: Mapping[str, Any]) -> dict[str, Array]:
    return MAPPERS["ngtdm"](windows, part, "KOBO", ())


_MEASURES: Mapping[str, tuple[str, Callable[..., dict[str, Array]]]] = {
    "firstorder": ("intensity_statistics", _first_order),
    "glcm": ("glcm", _co_occurrence),
    "ngtdm": ("ngtdm", _differences),
    **{name: (family, _by_size(family, names)) for name, (family, names) in SIZE_CLASSES.items()},
}


def class_maps(
    voxels: Voxels, name: str, wanted: tuple[str, ...], threads: int | None = None
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield maps of features of a class on the grid of the crop.

    Parameters
    ----------
    voxels : Voxels
        What is measured where.
    name : str
        Class of PyRadiomics; shape classes have no maps.
    wanted : tuple of str
        Features; () = all of the class.
    threads : int or None
        Threads that share the blocks; None = as many as there are processors.

    Yields
    ------
    tuple of (str, ndarray of float64 (n_z, n_y, n_x))
        Feature and its map; ``initValue`` where no value belongs.

    Raises
    ------
    InputError
        If a setting is out of range, or is not supported for maps.
    """
    settings = dict(voxels.levels.settings)
    settings["voxel_mm3"] = float(np.prod(voxels.levels.crop.spacing_mm))
    windows = _windows(voxels)
    family, measure = _MEASURES[name]
    names = wanted or FEATURES[name]
    columns = np.empty((len(names), windows.voxels.size))

    def run(ends: tuple[int, int]) -> None:
        found = measure(windows, slice(*ends), settings)
        for row, feature in enumerate(names):
            columns[row, slice(*ends)] = found[feature]

    parts = list(block_ranges(windows.voxels.size, block_size(family, windows.n_levels)))
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        list(pool.map(run, parts))
    axis = voxels.levels.flat_axis
    for feature, column in zip(names, columns, strict=True):
        out = np.full(voxels.inside.shape, float(settings.get("initValue", 0)))
        turned = out if axis is None else np.moveaxis(out, axis, 0)
        turned[voxels.inside if axis is None else np.moveaxis(voxels.inside, axis, 0)] = column
        yield feature, out
