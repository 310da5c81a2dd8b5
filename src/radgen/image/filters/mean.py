"""Mean filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.image.filters._engine import Keep, separable
from radgen.image.filters.settings import FilterSettings, register

__all__ = ["MeanFilter", "box_mean"]


@register("mean")
@dataclass(frozen=True, kw_only=True)
class MeanFilter(FilterSettings):
    """Mean over a cube (or square) of voxels.

    Attributes
    ----------
    size : int
        Odd width of the cube in voxels.

    References
    ----------
    IBSI 2 reference manual, arXiv:2006.05470: S60F.
    """

    size: int = 3

    def check(self) -> None:
        """Raise `InputError` where the size is not odd and positive."""
        if self.size < 1 or self.size % 2 == 0:
            raise InputError(f"A mean filter has an odd size in voxels, not {self.size}.")

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the local mean."""
        return box_mean(array, self.size, self.dimensions, self.boundary, keep)


def box_mean(
    array: NDArray[Any], size: int, dimensions: int, boundary: Any, keep: Keep
) -> NDArray[Any]:
    """Return the mean over a cube, or over a square in each slice."""
    chain = (tuple(np.full(size, 1.0 / size).tolist()),)
    return separable(array, (chain, chain, chain if dimensions == 3 else ()), boundary, keep)
