"""Gradient magnitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.image.filters._engine import Boundary, Keep, convolve_axis, crop_source
from radgen.image.filters.settings import FilterSettings, register

__all__ = ["GradientMagnitude"]


@register("gradient")
@dataclass(frozen=True, kw_only=True)
class GradientMagnitude(FilterSettings):
    """Length of the gradient by central differences.

    Attributes
    ----------
    use_spacing : bool
        Differences per millimetre; otherwise per voxel.

    Notes
    -----
    With the default boundary it equals PyRadiomics' gradient image (SimpleITK's
    GradientMagnitude).
    """

    boundary: Boundary = "nearest"
    use_spacing: bool = True

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the gradient magnitude."""
        axes = (0, 1, 2)[3 - self.dimensions :]
        reach = [1 if axis in axes else 0 for axis in range(3)]
        source, inside = crop_source(array, keep, reach, self.boundary)
        total: NDArray[Any] | None = None
        for axis in axes:
            index = [slice(*side) for side in inside]
            index[axis] = slice(None)
            step = spacing_mm[axis] if self.use_spacing else 1.0
            part = source[tuple(index)]
            slope = convolve_axis(
                part, (0.5 / step, 0.0, -0.5 / step), axis, self.boundary, inside[axis]
            )
            slope *= slope
            total = slope if total is None else total + slope
        assert total is not None
        return np.asarray(np.sqrt(total))
