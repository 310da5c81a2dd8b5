"""The geometry of a region: cropped masks, indices and distance maps, made once per region."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.types import Mask

__all__ = ["Region"]


class Region:
    """Masks of one region on the grid of the processed image, cropped to the region.

    Parameters
    ----------
    morphology : Mask
        The region as drawn.
    intensity : Mask
        The part of it whose intensities count (after resegmentation).

    Attributes
    ----------
    spacing_mm : tuple of float (3,)
        Voxel size (z, y, x).
    start : tuple of int (3,)
        First voxel of the crop in the full volume.
    morphology, intensity : ndarray of bool (n_z, n_y, n_x)
        The masks within the crop, which is the bounding box of `morphology`; one array where
        they are equal.
    """

    def __init__(self, morphology: Mask, intensity: Mask) -> None:
        self.name = morphology.region
        self.spacing_mm = morphology.geometry.spacing_mm
        self.full_shape = morphology.geometry.shape
        box = _box(morphology.array)
        self.box = box
        self.start = tuple(item.start for item in box)
        self.morphology = np.ascontiguousarray(morphology.array[box])
        part = intensity.array[box]
        same = intensity is morphology or np.array_equal(part, self.morphology)
        self.intensity = self.morphology if same else np.ascontiguousarray(part)
        self.shape = self.morphology.shape

    @cached_property
    def flat(self) -> NDArray[np.intp]:
        """Where the intensity voxels lie in the ravelled crop."""
        return np.flatnonzero(self.intensity)

    @cached_property
    def n_voxels(self) -> int:
        """Number of voxels of the intensity mask."""
        return int(np.count_nonzero(self.intensity))

    def places(self, numbers: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return where some intensity voxels lie in the crop (n, 3), by their ascending numbers."""
        behind = np.cumsum([np.count_nonzero(plane) for plane in self.intensity])
        slices = np.searchsorted(behind, numbers, side="right")
        within = numbers - np.where(slices > 0, behind[slices - 1], 0)
        found = [np.empty((0, 3), np.intp)]
        for z in np.unique(slices):
            flat = np.flatnonzero(self.intensity[z])[within[slices == z]]
            found.append(np.stack([np.full(flat.size, z), *np.divmod(flat, self.shape[2])], axis=1))
        return np.concatenate(found)

    @cached_property
    def n_slices(self) -> int:
        """Number of slices that hold voxels of the intensity mask."""
        return int(self.intensity.any(axis=(1, 2)).sum())

    def padded_shape(self, margin: int) -> tuple[int, int, int]:
        """Return the shape of the crop with `margin` voxels on every side."""
        z, y, x = self.shape
        return z + 2 * margin, y + 2 * margin, x + 2 * margin

    @cached_property
    def _padded_flats(self) -> dict[int, NDArray[np.intp]]:
        return {}

    def padded_flat(self, margin: int) -> NDArray[np.intp]:
        """Return where the intensity voxels lie in the ravelled padded crop."""
        if margin not in self._padded_flats:
            self._padded_flats[margin] = self._padded_flat(margin)
        return self._padded_flats[margin]

    def _padded_flat(self, margin: int) -> NDArray[np.intp]:
        _, ny, nx = self.shape
        z, rest = np.divmod(self.flat, ny * nx)
        y, x = np.divmod(rest, nx)
        _, wide_y, wide_x = self.padded_shape(margin)
        return np.asarray(((z + margin) * wide_y + y + margin) * wide_x + x + margin)

    def padded_mask(self, margin: int, *, intensity: bool = False) -> NDArray[np.uint8]:
        """Return a mask as 0 and 1 with a margin of zeros."""
        mask = self.intensity if intensity else self.morphology
        return np.pad(mask.view(np.uint8), margin)

    @cached_property
    def _distances(self) -> dict[tuple[int, bool], NDArray[np.uint16]]:
        return {}

    def distance_map(self, margin: int, *, in_plane: bool) -> NDArray[np.uint16]:
        """Return the city-block distance to the outside of the morphological mask, padded.

        Border voxels have distance 1. `in_plane` measures within the slice alone.
        """
        key = (margin, in_plane)
        if key not in self._distances:
            mask = self.padded_mask(margin)
            out = np.empty(mask.shape, np.uint16)
            _image.distance_map(mask, int(in_plane), out)
            self._distances[key] = out
        return self._distances[key]

    def positions_mm(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return voxel centres (n, 3) as (z, y, x) in millimetres from the crop's corner."""
        index = np.stack(np.nonzero(mask), axis=1)
        return np.asarray(index * np.array(self.spacing_mm))


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """Return the bounding box of a mask; one voxel at the origin where it is empty."""
    planes = mask.any(axis=(1, 2))
    if not planes.any():
        return slice(0, 1), slice(0, 1), slice(0, 1)
    first, last = _ends(planes)
    part = mask[first:last]
    y0, y1 = _ends(part.any(axis=(0, 2)))
    x0, x1 = _ends(part.any(axis=(0, 1)))
    return slice(first, last), slice(y0, y1), slice(x0, x1)


def _ends(line: NDArray[np.bool_]) -> tuple[int, int]:
    return int(line.argmax()), int(line.size - line[::-1].argmax())
