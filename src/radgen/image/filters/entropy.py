"""Local entropy map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.image.discretise import discretise
from radgen.image.filters._engine import Keep, crop_source
from radgen.image.filters.mean import box_mean
from radgen.image.filters.settings import FilterSettings, positive, register

__all__ = ["LocalEntropy"]


@register("entropy")
@dataclass(frozen=True, kw_only=True)
class LocalEntropy(FilterSettings):
    """Shannon entropy, in bits, of the grey levels around each voxel.

    Attributes
    ----------
    size : int
        Odd width of the cube (or square) in voxels.
    bin_width : float or None
        Fixed bin size, in units of the image, counted from its lowest value.
    bin_number : int or None
        Fixed number of bins over the range of the whole image. One of the two is given.
    """

    size: int = 5
    bin_width: float | None = None
    bin_number: int | None = 32

    def check(self) -> None:
        """Raise `InputError` where a setting is not allowed."""
        if self.size < 1 or self.size % 2 == 0:
            raise InputError(f"The window has an odd size in voxels, not {self.size}.")
        if (self.bin_width is None) == (self.bin_number is None):
            raise InputError("Give exactly one of bin_width and bin_number (the other None).")
        if self.bin_width is not None:
            positive(self.bin_width, "bin_width")

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the entropy."""
        from scipy.special import entr

        found = discretise(array, bin_width=self.bin_width, bin_number=self.bin_number)
        half = self.size // 2
        reach = [half if axis >= 3 - self.dimensions else 0 for axis in range(3)]
        levels, inside = crop_source(found.levels, keep, reach, self.boundary)
        shape = [stop - start for start, stop in inside]
        total, share = np.zeros(shape), np.zeros(shape)
        for level in np.unique(levels):
            here = (levels == level).astype(np.float64)
            part = box_mean(here, self.size, self.dimensions, self.boundary, inside)
            total += entr(np.clip(part, 0.0, 1.0))
            share += part
        # beyond a zero boundary there is no voxel: the entropy is that of the voxels there are
        inner = np.where(share > 0, share, 1.0)
        return np.asarray((total / inner + np.log(inner)) / np.log(2.0), dtype=array.dtype)
