"""Moran's I and Geary's C over all pairs of voxels, by Fourier transforms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from radgen.features._view import View

__all__ = ["inverse_distance_sums", "moran_geary"]


def _weight_spectrum(
    shape: tuple[int, ...], spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Return the half spectrum of 1/distance (0 at distance 0) on a periodic grid of even sizes.

    The weights are even along each axis, so a cosine transform of one octant is enough.
    """
    from scipy import fft

    square: NDArray[np.float64] | float = 0.0
    for axis, (size, step) in enumerate(zip(shape, spacing_mm, strict=True)):
        gap = (np.arange(size // 2 + 1) * step) ** 2
        square = square + gap.reshape([-1 if a == axis else 1 for a in range(3)])
    octant = np.asarray(square)
    octant[0, 0, 0] = np.inf
    octant = fft.dctn(1.0 / np.sqrt(octant), type=1)
    z, y = (np.minimum(np.arange(size), size - np.arange(size)) for size in shape[:2])
    return np.asarray(octant[z][:, y])


def _spectrum(
    mask: NDArray[np.bool_], values: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.complex128]:
    """Return the half spectrum of values within a mask, axis by axis: padding costs little."""
    from scipy import fft

    box = np.zeros(mask.shape)
    box[mask] = values
    rows = fft.rfft(box, shape[2], axis=2)
    planes = fft.fft(rows, shape[1], axis=1)
    return np.asarray(fft.fft(planes, shape[0], axis=0, overwrite_x=True))


def _power(
    weight: NDArray[np.float64], a: NDArray[np.complex128], b: NDArray[np.complex128]
) -> float:
    """Return the sum of weight times the real part of a conj(b)."""
    products = a.view(np.float64) * b.view(np.float64)
    return float(np.einsum("i,ij->", weight.ravel(), products.reshape(-1, 2)))


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

    shape = tuple(2 * fft.next_fast_len(size, real=True) for size in mask.shape)
    weight = _weight_spectrum(shape, spacing_mm)
    # Frequencies that the half spectrum leaves out count twice.
    half = np.full(weight.shape[2], 2.0)
    half[0] = half[-1] = 1.0
    weight *= half / np.prod(shape, dtype=np.float64)
    ones = _spectrum(mask, np.ones(deviations.size), shape)
    pairs = _power(weight, ones, ones)
    squares = _power(weight, ones, _spectrum(mask, deviations**2, shape))
    del ones
    other = _spectrum(mask, deviations, shape)
    return pairs, _power(weight, other, other), squares


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
