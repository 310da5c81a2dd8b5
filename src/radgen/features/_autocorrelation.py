"""Moran's I and Geary's C over all pairs of voxels, by Fourier transforms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from radgen.features._view import View

__all__ = ["inverse_distance_sums", "moran_geary"]


def _inverse_distances(
    shape: tuple[int, ...], spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Return 1/distance on a periodic grid, 0 at distance 0."""
    square: NDArray[np.float64] | float = 0.0
    for axis, (size, step) in enumerate(zip(shape, spacing_mm, strict=True)):
        k = np.arange(size)
        gap = (np.minimum(k, size - k) * step) ** 2
        square = square + gap.reshape([-1 if a == axis else 1 for a in range(3)])
    out = np.asarray(square)
    out[0, 0, 0] = 1.0
    np.sqrt(out, out=out)
    np.divide(1.0, out, out=out)
    out[0, 0, 0] = 0.0
    return out


def inverse_distance_sums(
    mask: NDArray[np.bool_], deviations: NDArray[np.float64], spacing_mm: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return sums over ordered pairs of voxels of w, w y_i y_j and w y_i^2, w = 1 / distance.

    Parameters
    ----------
    mask : ndarray of bool (n_z, n_y, n_x)
        Which voxels count.
    deviations : ndarray of float64 (n_voxels,)
        Value y of each, in the order of memory.
    spacing_mm : tuple of float (3,)
        Voxel size (z, y, x).

    Returns
    -------
    tuple of float (3,)
        The three sums.

    Notes
    -----
    The box is padded to twice its size, so that the periodic convolution is the plain one.
    Sums come from the power spectra (Parseval); nothing is transformed back.
    """
    from scipy import fft

    shape = tuple(fft.next_fast_len(2 * size - 1, real=True) for size in mask.shape)

    def spectrum(values: NDArray[np.float64]) -> NDArray[np.complex128]:
        box = np.zeros(mask.shape)
        box[mask] = values
        return np.asarray(fft.rfftn(box, shape))

    weight = fft.rfftn(_inverse_distances(shape, spacing_mm)).real
    # Frequencies that the half spectrum leaves out count twice.
    half = np.full(weight.shape[2], 2.0)
    half[0] = 1.0
    if shape[2] % 2 == 0:
        half[-1] = 1.0
    weight *= half / np.prod(shape, dtype=np.float64)
    ones = spectrum(np.ones(deviations.size))
    pairs = float(np.sum(weight * (ones.real**2 + ones.imag**2)))
    other = spectrum(deviations**2)
    squares = float(np.sum(weight * (ones.real * other.real + ones.imag * other.imag)))
    del ones
    other = spectrum(deviations)
    products = float(np.sum(weight * (other.real**2 + other.imag**2)))
    return pairs, products, squares


def moran_geary(view: View) -> tuple[float, float]:
    """Return Moran's I and Geary's C; NaN where all intensities are equal."""
    values = view.values
    y = values - values.mean()
    square = float(y @ y)
    n = values.size
    if n < 2 or square <= n * (np.spacing(np.abs(values).max()) * 4) ** 2:
        return float("nan"), float("nan")
    y /= np.sqrt(square / n)
    mask = view.region.intensity
    pairs, products, squares = inverse_distance_sums(mask, y, view.region.spacing_mm)
    return products / pairs, (n - 1) / n * (squares - products) / pairs
