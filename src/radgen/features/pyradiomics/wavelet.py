"""One level of a periodic stationary wavelet transform, with the phase that PyRadiomics has."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from radgen.image.filters._engine import convolve_axis
from radgen.image.filters.wavelet import wavelet_kernels

__all__ = ["stationary_bands"]


def stationary_bands(array: NDArray[Any], wavelet: str, axes: list[int]) -> dict[str, NDArray[Any]]:
    """Return all bands of one level by name.

    Parameters
    ----------
    array : ndarray of float64 (n_z, n_y, n_x)
        Even sizes.
    wavelet : str
        Name of an orthogonal wavelet.
    axes : list of int
        Axes that are transformed; the first letter of a band belongs to the first of them.

    Returns
    -------
    dict of str to ndarray
        Bands "LL…" to "HH…".
    """
    kernels = dict(zip("LH", wavelet_kernels(wavelet), strict=True))
    bands = {"": array}
    for axis in axes:
        bands = {
            name + letter: convolve_axis(band, kernels[letter], axis, "periodic")
            for name, band in bands.items()
            for letter in "LH"
        }
    return bands
