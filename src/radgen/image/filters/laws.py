"""Laws kernels and their energy maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.image.filters._engine import Keep, Pooling, full, pooled, separable
from radgen.image.filters.mean import box_mean
from radgen.image.filters.settings import FilterSettings, register

__all__ = ["LawsFilter"]

_KERNELS = {
    "L3": (1.0, 2.0, 1.0),
    "E3": (-1.0, 0.0, 1.0),
    "S3": (-1.0, 2.0, -1.0),
    "L5": (1.0, 4.0, 6.0, 4.0, 1.0),
    "E5": (-1.0, -2.0, 0.0, 2.0, 1.0),
    "S5": (-1.0, 0.0, 2.0, 0.0, -1.0),
    "W5": (-1.0, 2.0, 0.0, -2.0, 1.0),
    "R5": (1.0, -4.0, 6.0, -4.0, 1.0),
}


@register("laws")
@dataclass(frozen=True, kw_only=True)
class LawsFilter(FilterSettings):
    """Response to Laws kernels, each scaled to unit energy.

    Attributes
    ----------
    kernel : str
        Kernels along x, y (and z): "E5L5S5"; two for a 2D filter.
    rotation_invariant : bool
        Pool over all right-angle rotations of the filter.
    pooling : {"max", "mean", "min"}
        How rotations are pooled.
    energy_distance : int or None
        Chebyshev distance in voxels over which absolute responses are averaged to an energy
        map; None = the response itself.

    Notes
    -----
    Kernels count voxels: on anisotropic grids the response depends on the direction, so resample
    to isotropic voxels first (in the plane, for a 2D filter).

    References
    ----------
    IBSI 2 reference manual, arXiv:2006.05470: JTXT.
    """

    kernel: str = "L5E5E5"
    rotation_invariant: bool = False
    pooling: Pooling = "max"
    energy_distance: int | None = None

    def check(self) -> None:
        """Raise `InputError` where the kernel does not fit the dimensions."""
        for part in self.parts:
            require_choice(part, _KERNELS, what="Laws kernel")
        if len(self.parts) != self.dimensions:
            raise InputError(
                f"Laws kernel {self.kernel!r} names {len(self.parts)} kernels; a filter of "
                f"{self.dimensions} dimensions needs {self.dimensions}."
            )
        if self.energy_distance is not None and self.energy_distance < 0:
            raise InputError(f"energy_distance is not negative, as is {self.energy_distance}.")

    @property
    def parts(self) -> list[str]:
        """The kernels along x, y (and z)."""
        return [self.kernel[at : at + 2].upper() for at in range(0, len(self.kernel), 2)]

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the response, or its energy map."""
        if self.energy_distance is None:
            return self._response(array, keep)
        wide, inside = _widened(keep, self.energy_distance, array.shape, self.dimensions)
        if self.boundary == "periodic" and wide != full(array.shape):
            wide, inside = full(array.shape), keep
        response = np.abs(self._response(array, wide))
        size = 2 * self.energy_distance + 1
        return box_mean(response, size, self.dimensions, self.boundary, inside)

    def _response(self, array: NDArray[Any], keep: Keep) -> NDArray[Any]:
        chains: list[tuple[tuple[float, ...], ...]] = []
        for part in self.parts:
            kernel = np.array(_KERNELS[part])
            chains.append((tuple((kernel / np.linalg.norm(kernel)).tolist()),))
        chains += [()] * (3 - len(chains))
        if self.rotation_invariant:
            return pooled(
                array,
                chains,
                dimensions=self.dimensions,
                pooling=self.pooling,
                boundary=self.boundary,
                keep=keep,
            )
        return separable(array, chains, self.boundary, keep)


def _widened(keep: Keep, extra: int, shape: tuple[int, ...], dimensions: int) -> tuple[Keep, Keep]:
    """Return `keep` widened within the array, and `keep` counted from there."""
    wide, inside = [], []
    for axis, ((start, stop), size) in enumerate(zip(keep, shape, strict=True)):
        grow = extra if axis >= 3 - dimensions else 0
        low, high = max(0, start - grow), min(size, stop + grow)
        wide.append((low, high))
        inside.append((start - low, stop - low))
    return (wide[0], wide[1], wide[2]), (inside[0], inside[1], inside[2])
