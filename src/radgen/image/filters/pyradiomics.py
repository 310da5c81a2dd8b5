"""Filters that give the values of PyRadiomics' image types where the standard's differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.image._sitk import from_sitk, to_sitk
from radgen.image.filters._engine import Boundary, Keep, separable
from radgen.image.filters.settings import FilterSettings, positive, register
from radgen.image.filters.wavelet import SeparableWavelet
from radgen.types import Geometry

__all__ = ["PyradiomicsLoG", "PyradiomicsWavelet"]


@register("pyradiomics-log")
@dataclass(frozen=True, kw_only=True)
class PyradiomicsLoG(FilterSettings):
    """PyRadiomics' LoG image: a recursive approximation, scaled by sigma squared.

    Attributes
    ----------
    sigma_mm : float
        Standard deviation of the Gaussian in millimetres.

    Notes
    -----
    SimpleITK's LaplacianRecursiveGaussian with normalisation across scale. It is recursive, so
    the whole image is filtered whatever part is wanted.
    """

    sigma_mm: float = 1.0
    boundary: Boundary = "nearest"

    def check(self) -> None:
        """Raise `InputError` where the width is not positive."""
        positive(self.sigma_mm, "sigma_mm")

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the scaled Laplacian of the smoothed image."""
        if min(array.shape) < 4:
            raise InputError(
                f"The recursive LoG needs at least 4 voxels along each axis, not {array.shape}. "
                "Use the filter 'log', which has no such limit."
            )
        import SimpleITK as sitk

        image = to_sitk(array, Geometry.from_spacing(array.shape, spacing_mm))
        laplacian = sitk.LaplacianRecursiveGaussianImageFilter()
        laplacian.SetNormalizeAcrossScale(True)
        laplacian.SetSigma(self.sigma_mm)
        out = from_sitk(laplacian.Execute(image))
        return out[tuple(slice(*side) for side in keep)]


@register("pyradiomics-wavelet")
@dataclass(frozen=True, kw_only=True)
class PyradiomicsWavelet(SeparableWavelet):
    """PyRadiomics' wavelet image: the stationary transform of PyWavelets.

    Notes
    -----
    Periodic; an axis of odd length is first made even by repeating its first voxel at the end.
    Away from the image's border it equals `SeparableWavelet`.
    """

    boundary: Boundary = "periodic"

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the band."""
        axes = (0, 1, 2)[3 - self.dimensions :]
        odd = [(0, size % 2 if axis in axes else 0) for axis, size in enumerate(array.shape)]
        even = np.pad(array, odd, mode="wrap") if any(after for _, after in odd) else array
        return separable(even, self.chains(), self.boundary, keep)
