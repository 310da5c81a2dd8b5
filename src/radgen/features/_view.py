"""One image seen through one region: values, grey levels and what families share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.errors import InputError
from radgen.features._once import Once
from radgen.features._region import Region
from radgen.features.settings import Discretisation, ExtractionSettings
from radgen.image.discretise import discretise

__all__ = ["Levels", "View", "Zones", "directions"]

_CHUNK_CELLS = 1 << 23
"""Texture matrices of this many cells are made at a time (32 MB)."""
_MOST_WHOLE = 1 << 16
"""Whole intensities are counted, not sorted, if they spread over no more than this."""


def directions(*, in_plane: bool, distance: int = 1) -> NDArray[np.int32]:
    """Return one offset (z, y, x) of each opposite pair: 4 in a plane, 13 in a volume.

    Offsets point forward in the order of memory and are `distance` voxels long (Chebyshev).
    """
    steps = [
        (z, y, x)
        for z in (range(1) if in_plane else range(2))
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
        if (z, y, x) > (0, 0, 0)
    ]
    return np.array(steps, dtype=np.int32) * distance


@dataclass(frozen=True, slots=True)
class Levels:
    """Grey levels of the region's voxels.

    Attributes
    ----------
    levels : ndarray of integers (n_voxels,)
        From 1.
    n_levels : int
        Number of levels (fixed bin number) or the highest level (fixed bin size, as is).
    minimum, bin_width : float
        Lower edge of level 1 and width of a level, in units of the image.
    """

    levels: NDArray[Any]
    n_levels: int
    minimum: float
    bin_width: float


@dataclass(frozen=True, slots=True)
class Zones:
    """Connected zones of one level: level, size in voxels, distance to the border, slice."""

    level: NDArray[np.uint16]
    size: NDArray[np.uint32]
    distance: NDArray[np.uint16]
    slice: NDArray[np.int32]


class View:
    """Values of one image within a region, and the grey levels made of them.

    Parameters
    ----------
    region : Region
        Masks and geometry.
    image : ndarray of float (n_z, n_y, n_x)
        The processed image, or a part of it that holds the region.
    settings : ExtractionSettings
        How to discretise and aggregate.
    discretisation : Discretisation or None
        Another way to discretise than the settings' (filter responses).
    start : tuple of int (3,)
        Which voxel of the full grid is the first of `image`.
    """

    def __init__(
        self,
        region: Region,
        image: NDArray[Any],
        settings: ExtractionSettings,
        *,
        discretisation: Discretisation | None = None,
        start: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        self.region = region
        self._start = start
        self.image = image
        self.settings = settings
        self.margin = max(1, settings.distance)
        self.once = Once()
        self._equal: NDArray[np.uint32] | None = None
        self._discretisation = discretisation or settings.discretisation

    @property
    def crop(self) -> NDArray[Any]:
        """The image within the bounding box of the region."""
        z, y, x = (
            slice(part.start - first, part.stop - first)
            for part, first in zip(self.region.box, self._start, strict=True)
        )
        return self.image[z, y, x]

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """Intensities of the region's voxels (n_voxels,), in the order of memory."""
        return np.asarray(self.crop[self.region.intensity], dtype=np.float64)

    @property
    def whole_counts(self) -> tuple[float, NDArray[np.int64]] | None:
        """The lowest intensity, and how many voxels have it, one more, two more, … up to the top.

        None where intensities are not whole numbers, or spread over more than 65,536.
        """

        def make() -> tuple[float, NDArray[np.int64]] | None:
            low = float(self.values.min())
            span = float(self.values.max()) - low
            if not (span < _MOST_WHOLE and abs(low) < 2.0**52 and low == np.rint(low)):
                return None
            counts = np.zeros(int(span) + 1, np.int64)
            return (low, counts) if _image.whole_counts(self.values, low, counts) else None

        return self.once("whole counts", make)

    @property
    def sorted_values(self) -> NDArray[np.float64]:
        """The intensities in ascending order."""

        def make() -> NDArray[np.float64]:
            found = self.whole_counts
            if found is None:
                return np.sort(self.values)
            low, counts = found
            return np.repeat(low + np.arange(counts.size), counts)

        return self.once("sorted values", make)

    @cached_property
    def grey(self) -> Levels:
        """Grey levels for histogram and texture."""
        return self.discretised(self._discretisation)

    def discretised(self, how: Discretisation) -> Levels:
        """Return grey levels made in a given way.

        Raises
        ------
        InputError
            If the values do not allow it.
        """
        if how.method == "none":
            return self._as_is()
        if how.method == "number":
            found = discretise(self.values, bin_number=int(how.value))
        else:
            low = how.minimum
            if low is None and self.settings.resegment_range is not None:
                low = self.settings.resegment_range[0]
            found = discretise(self.values, bin_width=how.value, minimum=low)
        return Levels(found.levels, found.n_levels, found.minimum, found.bin_width)

    def _as_is(self) -> Levels:
        values = self.values
        levels = np.rint(values)
        if (levels != values).any() or levels.min() < 1 or levels.max() > 65535:
            raise InputError(
                "Grey levels are used as they are (discretisation 'none'), but the region holds "
                f"values from {values.min():g} to {values.max():g} that are not whole numbers "
                "from 1 to 65535. Set a bin width or a number of bins."
            )
        return Levels(levels.astype(np.uint16), int(levels.max()), 0.5, 1.0)

    @cached_property
    def padded(self) -> NDArray[Any]:
        """Grey levels (uint8 or uint16) in the crop with margins of zeros."""
        grey = self.grey
        if grey.n_levels > 65535:
            raise InputError(
                f"{grey.n_levels} grey levels; texture is measured on at most 65535. "
                "Use wider bins."
            )
        dtype = np.uint8 if grey.n_levels < 256 else np.uint16
        out = np.zeros(self.region.padded_shape(self.margin), dtype)
        levels = np.ascontiguousarray(grey.levels, dtype)
        _image.scatter(self.region.intensity.view(np.uint8), levels, out)
        return out

    def share(self) -> None:
        """Make what several families use, before threads ask for it at the same time."""
        try:
            _ = self.padded
        except InputError:
            return  # Each family that needs grey levels reports it.

    def wants(self, code: str) -> bool:
        """Return whether the settings ask for an aggregation."""
        return code in self.settings.aggregations

    def matrices(
        self, kernel: Literal["glcm", "glrlm"], *, in_plane: bool, distance: int
    ) -> Iterator[NDArray[np.uint32]]:
        """Yield counts (slices, directions, n_levels, width) of "glcm" or "glrlm" in chunks.

        Row and column 0 of the kernels' output, which count the outside, are cut off.
        """
        offsets = directions(in_plane=in_plane, distance=distance)
        levels, n_levels = self.padded, self.grey.n_levels
        long = levels.shape[1:] if in_plane else levels.shape
        width = n_levels + 1 if kernel == "glcm" else max(long) + 1
        cells = len(offsets) * (n_levels + 1) * width
        step = max(1, _CHUNK_CELLS // cells) if in_plane else levels.shape[0]
        for first in range(0, levels.shape[0], step):
            part = np.ascontiguousarray(levels[first : first + step])
            if not part.any():
                continue
            groups = part.shape[0] if in_plane else 1
            out = np.zeros((groups, len(offsets), n_levels + 1, width), np.uint32)
            if kernel == "glrlm":
                equal = None if in_plane else self._equal
                _image.glrlm(part, offsets, n_levels, int(in_plane), equal, out)
            else:
                _image.glcm(part, offsets, n_levels, int(in_plane), out)
                if not in_plane and distance == 1:
                    # Pairs of equal neighbours, from which runs of two follow.
                    self._equal = np.ascontiguousarray(out.diagonal(axis1=2, axis2=3))
            yield out[:, :, 1:, 1:]

    @cached_property
    def _zones(self) -> dict[bool, Zones]:
        return {}

    def zones(self, *, in_plane: bool) -> Zones:
        """Return the connected zones within slices (8 neighbours) or the volume (26)."""
        if in_plane not in self._zones:
            levels = self.padded
            far = self.region.distance_map(self.margin, in_plane=in_plane)
            n = self.region.n_voxels
            level, size = np.empty(n, np.uint16), np.empty(n, np.uint32)
            distance, plane = np.empty(n, np.uint16), np.empty(n, np.int32)
            back = np.ascontiguousarray(-directions(in_plane=in_plane))
            count = _image.zones(levels, far, back, level, size, distance, plane)
            self._zones[in_plane] = Zones(
                level[:count], size[:count], distance[:count], plane[:count]
            )
        return self._zones[in_plane]
