"""Non-separable wavelets: Simoncelli and Shannon, with or without a Riesz transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.image.filters._engine import Boundary, Keep, full, pad_boundary
from radgen.image.filters._fourier import RieszOrder, check_riesz, frequencies, riesz_response
from radgen.image.filters.settings import FilterSettings, register

__all__ = ["NonSeparableWavelet"]


@register("nonseparable-wavelet")
@dataclass(frozen=True, kw_only=True)
class NonSeparableWavelet(FilterSettings):
    """Isotropic band-pass wavelet, defined in the Fourier domain.

    Attributes
    ----------
    wavelet : {"simoncelli", "shannon"}
        Shape of the band.
    level : int
        Level of decomposition; level j passes frequencies around 2^-j of the first band.
    riesz_order : tuple of int or None
        Order of the Riesz transform along (x, y, z), or (x, y); None = no transform.
    steering_sigma_mm : float or None
        With `riesz_order`: see `LaplacianOfGaussian`.

    Notes
    -----
    The image is taken as periodic, as in the standard's reference values. With another
    boundary it is first widened by 8 * 2^level voxels.

    References
    ----------
    IBSI 2 reference manual, arXiv:2006.05470: LODD; chapter on Riesz transformations.
    """

    wavelet: Literal["simoncelli", "shannon"] = "simoncelli"
    level: int = 1
    boundary: Boundary = "periodic"
    riesz_order: RieszOrder | None = None
    steering_sigma_mm: float | None = None

    def check(self) -> None:
        """Raise `InputError` where level, wavelet or Riesz order is not allowed."""
        if not 1 <= self.level <= 12:
            raise InputError(f"The level is a whole number from 1 to 12, not {self.level}.")
        check_riesz(self.riesz_order, self.steering_sigma_mm, self.dimensions)

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the band of the image."""
        axes = (0, 1, 2)[3 - self.dimensions :]
        reach = [8 * 2**self.level if axis in axes else 0 for axis in range(3)]
        if self.boundary == "periodic":
            reach = [0, 0, 0]
        else:
            array = pad_boundary(array, full(array.shape), reach, self.boundary)
        sides = []
        for line in frequencies(array.shape, axes):
            sides.append(self._band(np.sqrt(sum(nu**2 for nu in line))))
        transfer = 0.5 * (sides[0] + sides[1])
        out = riesz_response(
            array,
            transfer.astype(array.dtype),
            axes,
            riesz_order=self.riesz_order,
            steering_sigma_mm=self.steering_sigma_mm,
            spacing_mm=spacing_mm,
        )
        inner = (slice(a + n, b + n) for (a, b), n in zip(keep, reach, strict=True))
        return out[tuple(inner)]

    def _band(self, radius: NDArray[np.float64]) -> NDArray[np.float64]:
        top = 0.5 ** (self.level - 1)
        if self.wavelet == "shannon":
            return ((radius >= top / 2) & (radius <= top)).astype(np.float64)
        band = (radius >= top / 4) & (radius <= top)
        safe = np.where(band, radius, top / 2)
        return np.where(band, np.cos(np.pi / 2 * np.log2(2 * safe / top)), 0.0)
