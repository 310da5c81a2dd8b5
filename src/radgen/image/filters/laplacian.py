"""Laplacian of Gaussian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.image.filters._engine import Keep, convolve_axis, crop_source
from radgen.image.filters._fourier import RieszOrder, check_riesz, kernel_response
from radgen.image.filters.settings import FilterSettings, positive, register

__all__ = ["LaplacianOfGaussian"]


@register("log")
@dataclass(frozen=True, kw_only=True)
class LaplacianOfGaussian(FilterSettings):
    """Laplacian of Gaussian, with or without a Riesz transform.

    Attributes
    ----------
    sigma_mm : float
        Standard deviation of the Gaussian in millimetres.
    cutoff : float
        The kernel ends at this many standard deviations along each axis.
    riesz_order : tuple of int or None
        Order of the Riesz transform along (x, y, z), or (x, y); None = no transform.
    steering_sigma_mm : float or None
        With `riesz_order`: the axes are turned at each voxel to the structure tensor smoothed
        with this standard deviation; the first axis is the main direction of change.

    Notes
    -----
    The Laplacian is taken per voxel squared, so on an isotropic grid the response is the
    standard's. On an anisotropic grid lengths are millimetres, and the unit of length is the
    geometric mean of the voxel sizes.

    References
    ----------
    IBSI 2 reference manual, arXiv:2006.05470: L6PA; chapter on Riesz transformations.
    """

    sigma_mm: float = 1.0
    cutoff: float = 4.0
    riesz_order: RieszOrder | None = None
    steering_sigma_mm: float | None = None

    def check(self) -> None:
        """Raise `InputError` where a width is not positive or the Riesz order does not fit."""
        positive(self.sigma_mm, "sigma_mm")
        positive(self.cutoff, "cutoff")
        check_riesz(self.riesz_order, self.steering_sigma_mm, self.dimensions)

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the Laplacian of the smoothed image."""
        axes = (0, 1, 2)[3 - self.dimensions :]
        unit = float(np.prod([spacing_mm[axis] for axis in axes])) ** (1.0 / len(axes))
        kernels = {axis: self._kernels(spacing_mm[axis], unit) for axis in axes}
        if self.riesz_order is not None:
            kernel = _dense([kernels[axis] for axis in axes])
            if self.dimensions == 2:
                kernel = kernel[None]
            return kernel_response(
                array,
                kernel,
                self.boundary,
                keep,
                riesz_order=self.riesz_order,
                steering_sigma_mm=self.steering_sigma_mm,
                spacing_mm=spacing_mm,
            )
        return _laplacian(array, kernels, self.boundary, keep)

    def _kernels(
        self, spacing: float, unit: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sampled Gaussian and its second derivative along one axis."""
        sigma = self.sigma_mm / spacing
        radius = int(np.floor(self.cutoff * sigma + 0.5))
        if radius > 10_000:
            raise InputError(f"A Gaussian of {self.sigma_mm} mm reaches over {radius} voxels.")
        x = np.arange(-radius, radius + 1) / sigma
        gauss = np.exp(-0.5 * x**2) / (np.sqrt(2.0 * np.pi) * sigma)
        return gauss, gauss * (x**2 - 1.0) / (self.sigma_mm / unit) ** 2


def _laplacian(
    array: NDArray[Any],
    kernels: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]],
    boundary: Any,
    keep: Keep,
) -> NDArray[Any]:
    """Return the sum over axes of the second derivative along one, Gaussian along the others."""
    reach = [len(kernels[axis][0]) // 2 if axis in kernels else 0 for axis in range(3)]
    smooth, keep = crop_source(array, keep, reach, boundary)
    curved: NDArray[Any] | None = None
    for axis in sorted(kernels, reverse=True):
        gauss, second = kernels[axis]
        bent = convolve_axis(smooth, second, axis, boundary, keep[axis])
        if curved is not None:
            bent += convolve_axis(curved, gauss, axis, boundary, keep[axis])
        curved = bent
        if axis != min(kernels):
            smooth = convolve_axis(smooth, gauss, axis, boundary, keep[axis])
    assert curved is not None
    return curved


def _dense(
    kernels: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> NDArray[np.float64]:
    total: NDArray[np.float64] | None = None
    for which in range(len(kernels)):
        parts = [second if at == which else gauss for at, (gauss, second) in enumerate(kernels)]
        grid = parts[0]
        for part in parts[1:]:
            grid = np.multiply.outer(grid, part)
        total = grid if total is None else total + grid
    assert total is not None
    return total
