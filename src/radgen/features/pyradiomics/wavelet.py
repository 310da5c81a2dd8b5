"""One level of a periodic stationary wavelet transform, with the phase that PyRadiomics has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.image.filters.wavelet import wavelet_kernels

__all__ = ["stationary_bands"]


def _along(array: NDArray[Any], kernel: tuple[float, ...], axis: int) -> NDArray[Any]:
    """Return the circular convolution whose centre is the kernel's middle tap."""
    from scipy.ndimage import convolve1d

    return np.asarray(convolve1d(array, kernel, axis=axis, mode="wrap"))


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
            name + letter: _along(band, kernels[letter], axis)
            for name, band in bands.items()
            for letter in "LH"
        }
    return bands
