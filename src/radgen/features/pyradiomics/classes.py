"""PyRadiomics' feature classes, with its names and conventions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.errors import InputError
from radgen.features._cells import Cells, cells_of, cells_of_pairs, size_features
from radgen.features._view import directions
from radgen.features.ngtdm import ngtdm_features
from radgen.features.pyradiomics.glcm import GLCM_NAMES, glcm_values
from radgen.features.pyradiomics.images import Crop
from radgen.features.pyradiomics.shape import SHAPE_NAMES, SHAPE_NAMES_2D, shape, shape_2d

__all__ = ["CLASSES", "FEATURES", "SIZE_CLASSES", "Levels"]

Array = NDArray[Any]
EPS = float(np.spacing(1))

FIRST_ORDER = (
    "10Percentile",
    "90Percentile",
    "Energy",
    "Entropy",
    "InterquartileRange",
    "Kurtosis",
    "Maximum",
    "MeanAbsoluteDeviation",
    "Mean",
    "Median",
    "Minimum",
    "Range",
    "RobustMeanAbsoluteDeviation",
    "RootMeanSquared",
    "Skewness",
    "TotalEnergy",
    "Uniformity",
    "Variance",
)


def _size_names(small: str, large: str, noun: str, size: str, percent: str) -> dict[int, str]:
    """Return PyRadiomics' names of the features of `size_features`, by their place there."""
    pairs = [
        f"{small}Emphasis",
        f"{large}Emphasis",
        f"LowGrayLevel{noun}Emphasis",
        f"HighGrayLevel{noun}Emphasis",
        f"{small}LowGrayLevelEmphasis",
        f"{small}HighGrayLevelEmphasis",
        f"{large}LowGrayLevelEmphasis",
        f"{large}HighGrayLevelEmphasis",
        "GrayLevelNonUniformity",
        "GrayLevelNonUniformityNormalized",
        f"{size}NonUniformity",
        f"{size}NonUniformityNormalized",
        percent,
        "GrayLevelVariance",
        f"{noun or 'Dependence'}Variance",
        f"{noun or 'Dependence'}Entropy",
    ]
    return dict(enumerate(pairs))


_PLACES = tuple(str(place) for place in range(16))
_RLM = _size_names("ShortRun", "LongRun", "Run", "RunLength", "RunPercentage")
_SZM = _size_names("SmallArea", "LargeArea", "Zone", "SizeZone", "ZonePercentage")
_DM = _size_names("SmallDependence", "LargeDependence", "", "Dependence", "DependencePercentage")
_NOT_IN_DM = {"GrayLevelNonUniformityNormalized", "DependencePercentage"}
SIZE_CLASSES: Mapping[str, tuple[str, Mapping[int, str]]] = {
    "glrlm": ("glrlm", _RLM),
    "glszm": ("glszm", _SZM),
    "gldm": ("ngldm", {place: name for place, name in _DM.items() if name not in _NOT_IN_DM}),
}
"""Classes on sizes: the family whose kernel they share, and names by place in `size_features`."""


class Levels:
    """Grey levels of a crop and the matrices made of them.

    Parameters
    ----------
    crop : Crop
        Values and mask.
    settings : mapping
        PyRadiomics settings.
    """

    def __init__(self, crop: Crop, settings: Mapping[str, Any]) -> None:
        self.crop = crop
        self.settings = settings
        self.flat_axis: int | None = None
        if settings.get("force2D", False):
            self.flat_axis = int(settings.get("force2Ddimension", 0))
        self.distances = tuple(int(d) for d in settings.get("distances", [1]))
        self.equal: NDArray[np.uint32] | None = None
        """Pairs of equal neighbours by direction and level, once glcm has counted them."""

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """Intensities of the region (n,)."""
        return np.asarray(self.crop.values[self.crop.mask], dtype=np.float64)

    @cached_property
    def levels(self) -> Array:
        """Grey levels of the region (n,), from 1."""
        values = self.values
        count = self.settings.get("binCount")
        if count is not None:
            edges = np.histogram_bin_edges(values, int(count))
            edges[-1] += 1.0
            return _binned(values, edges, (edges[-2] - edges[0]) / max(int(count) - 1, 1))
        width = float(self.settings.get("binWidth", 25))
        low, high = float(values.min()), float(values.max())
        start = low - low % width
        if (high - start) / width > 65530:
            raise InputError(
                f"A binWidth of {width:g} makes more than 65530 grey levels of "
                f"[{low:g}, {high:g}]. Use wider bins."
            )
        edges = np.arange(start, high + 2.0 * width, width)
        if edges.size == 1:
            edges = np.array([edges[0] - 0.5, edges[0] + 0.5])
        return _binned(values, edges, width)

    @cached_property
    def n_levels(self) -> int:
        """Highest level."""
        return int(self.levels.max())

    @cached_property
    def present(self) -> Array:
        """Levels that occur, ascending."""
        return np.flatnonzero(np.bincount(self.levels))

    @cached_property
    def _padded(self) -> dict[int, Array]:
        return {}

    def padded(self, margin: int) -> Array:
        """Return levels with margins of zeros; a flat axis comes first."""
        if margin not in self._padded:
            dtype = np.uint8 if self.n_levels < 256 else np.uint16
            full = np.zeros(self.crop.mask.shape, dtype)
            full[self.crop.mask] = self.levels
            if self.flat_axis is not None:
                full = np.moveaxis(full, self.flat_axis, 0)
            self._padded[margin] = np.ascontiguousarray(np.pad(full, margin))
        return self._padded[margin]

    def offsets(self, distances: tuple[int, ...]) -> NDArray[np.int32]:
        """Return one offset of each opposite pair at these Chebyshev distances."""
        far = max(distances)
        side = range(-far, far + 1)
        across = (0,) if self.flat_axis is not None else side
        steps = [
            (z, y, x)
            for z in across
            for y in side
            for x in side
            if (z, y, x) > (0, 0, 0) and max(abs(z), abs(y), abs(x)) in distances
        ]
        return np.array(steps, dtype=np.int32)

    def spacing_of(self, offsets: NDArray[np.int32]) -> Array:
        """Return the offsets in millimetres (n, 3), without sign."""
        spacing = np.array(self.crop.spacing_mm)
        if self.flat_axis is not None:
            spacing = np.concatenate(
                [spacing[[self.flat_axis]], np.delete(spacing, self.flat_axis)]
            )
        return np.abs(offsets) * spacing

    def box_reach(self, what: str) -> int:
        """Return the reach of a full neighbourhood; raise where distances leave gaps."""
        if sorted(self.distances) != list(range(1, max(self.distances) + 1)):
            raise InputError(
                f"{what} needs distances 1, 2, … without gaps, not {list(self.distances)}."
            )
        return max(self.distances)


def _binned(values: NDArray[np.float64], edges: NDArray[np.float64], width: float) -> Array:
    """Return what `numpy.digitize` returns for edges at equal distances, faster.

    The division finds the bin but for rounding; comparing with the edges settles the rest.
    """
    last = edges.size - 1
    if width <= 0:
        return np.digitize(values, edges)
    found = np.clip((values - edges[0]) / width, 0, last - 1).astype(np.int64)
    found -= values < edges[found]
    found += values >= edges[np.minimum(found + 1, last)]
    return found + 1


def first_order(levels: Levels) -> dict[str, float]:
    """Return the 18 first order features; kurtosis is not reduced by 3."""
    x = np.sort(levels.values)
    shifted = x + levels.settings.get("voxelArrayShift", 0)
    energy = float(np.dot(shifted, shifted))
    p10, p25, p50, p75, p90 = np.percentile(x, (10, 25, 50, 75, 90))
    gap = x - x.mean()
    square = gap * gap
    m2, m3, m4 = float(square.mean()), float((square * gap).mean()), float((square * square).mean())
    flat = m2 == 0
    inner = x[np.searchsorted(x, p10) : np.searchsorted(x, p90, side="right")]
    robust = float(np.abs(inner - inner.mean()).mean()) if inner.size else float("nan")
    p = np.bincount(levels.levels)[levels.present] / x.size
    return {
        "10Percentile": float(p10),
        "90Percentile": float(p90),
        "Energy": energy,
        "Entropy": float(-np.sum(p * np.log2(p + EPS))),
        "InterquartileRange": float(p75 - p25),
        "Kurtosis": 0.0 if flat else m4 / m2**2,
        "Maximum": float(x[-1]),
        "MeanAbsoluteDeviation": float(np.abs(gap).mean()),
        "Mean": float(x.mean()),
        "Median": float(p50),
        "Minimum": float(x[0]),
        "Range": float(x[-1] - x[0]),
        "RobustMeanAbsoluteDeviation": robust,
        "RootMeanSquared": float(np.sqrt(energy / x.size)),
        "Skewness": 0.0 if flat else m3 / m2**1.5,
        "TotalEnergy": energy * float(np.prod(levels.crop.spacing_mm)),
        "Uniformity": float(p @ p),
        "Variance": m2,
    }


def glcm(levels: Levels) -> dict[str, float]:
    """Return the 24 co-occurrence features, averaged over directions unless weighted."""
    offsets = levels.offsets(levels.distances)
    n = levels.n_levels
    padded = levels.padded(max(levels.distances))
    counts = np.zeros((1, len(offsets), n + 1, n + 1), np.uint32)
    _image.glcm(padded, offsets, n, 0, counts)
    if levels.distances == (1,):
        levels.equal = np.ascontiguousarray(counts.diagonal(axis1=2, axis2=3))
    keep = levels.present
    matrices = counts[0][:, keep][:, :, keep].astype(np.float64)
    if levels.settings.get("symmetricalGLCM", True):
        matrices = matrices + matrices.swapaxes(1, 2)
    norm = levels.settings.get("weightingNorm")
    if norm is not None:
        size = levels.spacing_of(offsets)
        weight = {
            "infinity": lambda: np.exp(-(size.max(axis=1) ** 2)),
            "euclidean": lambda: np.exp(-(size**2).sum(axis=1)),
            "manhattan": lambda: np.exp(-(size.sum(axis=1) ** 2)),
            "no_weighting": lambda: np.ones(len(size)),
        }[norm]()
        matrices = np.einsum("d,dij->ij", weight, matrices)[None]
    matrices = matrices[matrices.any(axis=(1, 2))]
    return glcm_values(matrices, keep.astype(np.float64), n)


def _named(cells: Cells, n_voxels: Array, names: Mapping[int, str]) -> dict[str, float]:
    found = size_features(cells, n_voxels, _PLACES)
    return {names[int(place)]: float(np.mean(value)) for place, value in found.items()}


def _is_line(levels: Levels, offset: NDArray[np.int32]) -> bool:
    """Return whether some line along the offset holds two voxels of the region."""
    where = np.argwhere(levels.padded(1) > 0)
    axis = int(np.flatnonzero(offset)[0])
    start = where - (where[:, [axis]] * offset[axis]) * offset
    return len(np.unique(start, axis=0)) < len(start)


def glrlm(levels: Levels) -> dict[str, float]:
    """Return the 16 run length features; directions without any line of voxels are left out."""
    offsets = levels.offsets((1,))
    n, padded = levels.n_levels, levels.padded(1)
    counts = np.zeros((1, len(offsets), n + 1, max(padded.shape) + 1), np.uint32)
    _image.glrlm(padded, offsets, n, 0, levels.equal, counts)
    matrices = counts[0][:, 1:, 1:].astype(np.float64)
    lines = [
        matrix[:, 1:].any() or _is_line(levels, offset)
        for matrix, offset in zip(matrices, offsets, strict=True)
    ]
    matrices[~np.array(lines)] = 0.0
    norm = levels.settings.get("weightingNorm")
    if norm is not None:
        size = levels.spacing_of(offsets)
        weight = {
            "infinity": lambda: size.max(axis=1),
            "euclidean": lambda: np.sqrt((size**2).sum(axis=1)),
            "manhattan": lambda: size.sum(axis=1),
            "no_weighting": lambda: np.ones(len(size)),
        }[norm]()
        matrices = np.einsum("d,dij->ij", weight, matrices)[None]
    cells = cells_of(matrices)
    return _named(cells, cells.per_group(cells.count * cells.j), _RLM)


def glszm(levels: Levels) -> dict[str, float]:
    """Return the 16 size zone features."""
    padded, n = levels.padded(1), levels.values.size
    back = np.ascontiguousarray(-directions(in_plane=levels.flat_axis is not None))
    level, size = np.empty(n, np.uint16), np.empty(n, np.uint32)
    other = np.empty(n, np.uint16), np.empty(n, np.int32)
    count = _image.zones(padded, np.zeros(padded.shape, np.uint16), back, level, size, *other)
    return _named(cells_of_pairs(None, level[:count], size[:count]), np.array([float(n)]), _SZM)


def gldm(levels: Levels) -> dict[str, float]:
    """Return the 14 dependence features."""
    reach, n = levels.box_reach("gldm"), levels.n_levels
    in_plane = levels.flat_axis is not None
    padded = levels.padded(reach)
    near = (2 * reach + 1) ** (2 if in_plane else 3)
    counts = np.zeros((padded.shape[0] if in_plane else 1, n + 1, near + 1), np.uint32)
    alpha = int(levels.settings.get("gldm_a", 0))
    _image.ngldm(padded, reach, n, int(in_plane), alpha, counts)
    cells = cells_of(counts[:, 1:, 1:].sum(axis=0, keepdims=True))
    found = _named(cells, np.array([float(levels.values.size)]), _DM)
    return {name: value for name, value in found.items() if name not in _NOT_IN_DM}


def ngtdm(levels: Levels) -> dict[str, float]:
    """Return the 5 grey tone difference features; lone voxels count with difference 0."""
    reach, n = levels.box_reach("ngtdm"), levels.n_levels
    in_plane = levels.flat_axis is not None
    padded = levels.padded(reach)
    near = (2 * reach + 1) ** (2 if in_plane else 3)
    shape = (padded.shape[0] if in_plane else 1, n + 1, near)
    count, gap = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    _image.ngtdm(padded, reach, n, int(in_plane), count, gap)
    mean_gap = gap[:, 1:, 1:].sum(axis=0) @ (1.0 / np.arange(1, near))
    voxels = count[:, 1:].sum(axis=(0, 2)).astype(np.float64)
    return ngtdm_features(np.arange(1.0, n + 1), voxels, mean_gap)


CLASSES: Mapping[str, Callable[[Levels], dict[str, float]]] = {
    "firstorder": first_order,
    "glcm": glcm,
    "glrlm": glrlm,
    "glszm": glszm,
    "gldm": gldm,
    "ngtdm": ngtdm,
    "shape": lambda levels: shape(levels.crop),
    "shape2D": lambda levels: shape_2d(levels.crop, levels.flat_axis),
}
FEATURES: Mapping[str, tuple[str, ...]] = {
    "firstorder": FIRST_ORDER,
    "glcm": GLCM_NAMES,
    "glrlm": tuple(sorted(_RLM.values())),
    "glszm": tuple(sorted(_SZM.values())),
    "gldm": tuple(sorted(set(_DM.values()) - _NOT_IN_DM)),
    "ngtdm": ("Busyness", "Coarseness", "Complexity", "Contrast", "Strength"),
    "shape": SHAPE_NAMES,
    "shape2D": SHAPE_NAMES_2D,
}
