"""Filters applied in the Fourier domain: dense kernels, Riesz transforms, steering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from math import factorial, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.image.filters._engine import Boundary, Keep, pad_boundary

__all__ = [
    "RieszOrder",
    "check_riesz",
    "frequencies",
    "kernel_response",
    "riesz_response",
]

RieszOrder = tuple[int, ...]


def check_riesz(order: RieszOrder | None, steering_sigma_mm: float | None, dimensions: int) -> None:
    """Raise where a Riesz order does not fit the dimensions, or steers nothing."""
    if order is None:
        if steering_sigma_mm is not None:
            raise InputError("steering_sigma_mm turns a Riesz transform; give riesz_order too.")
        return
    if len(order) != dimensions or min(order) < 0 or sum(order) < 1 or sum(order) > 8:
        raise InputError(
            f"A Riesz order has {dimensions} whole numbers that sum to 1..8, not {order}."
        )
    if steering_sigma_mm is not None and not steering_sigma_mm > 0:
        raise InputError(f"steering_sigma_mm is positive, not {steering_sigma_mm}.")


def frequencies(
    shape: Sequence[int], axes: Sequence[int]
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Return the standard's frequency grid for a real FFT, and the grid at negated indices.

    The grid spans [-1, 1] with its centre at (n - 1) / 2: for even sizes it lies half a sample
    off zero, and a transfer function on it is made Hermitian by averaging the two.

    Parameters
    ----------
    shape : sequence of int (3,)
        Array shape.
    axes : sequence of int
        Which axes are transformed; the last of them is the halved one.

    Returns
    -------
    plus, minus : list of ndarray of float64
        One line for each of `axes`, broadcastable to 3D; 1 is the highest frequency.
    """
    from scipy import fft

    plus, minus = [], []
    for axis in axes:
        size = shape[axis]
        centre = 0.5 * (size - 1)
        line = fft.ifftshift((np.arange(size) - centre) / max(centre, 0.5))
        back = line[-np.arange(size) % size]
        stop = size // 2 + 1 if axis == axes[-1] else size
        view = [1, 1, 1]
        view[axis] = -1
        plus.append(line[:stop].reshape(view))
        minus.append(back[:stop].reshape(view))
    return plus, minus


def kernel_response(
    array: NDArray[Any],
    kernel: NDArray[np.float64],
    boundary: Boundary,
    keep: Keep,
    *,
    riesz_order: RieszOrder,
    steering_sigma_mm: float | None,
    spacing_mm: tuple[float, float, float],
) -> NDArray[Any]:
    """Return the Riesz transform of the response to a dense kernel.

    Parameters
    ----------
    array : ndarray of float32 or float64 (n_z, n_y, n_x)
        The image.
    kernel : ndarray of float64 (k_z, k_y, k_x)
        Odd sizes, centred; k_z = 1 filters slice by slice.
    boundary : {"zero", "nearest", "periodic", "mirror"}
        What lies beyond the image. The padding is as wide as the kernel's radius.
    keep : Keep
        The part of the response wanted.
    riesz_order : tuple of int
        Order along (x, y, z) or (x, y).
    steering_sigma_mm : float or None
        See `LaplacianOfGaussian`.
    spacing_mm : tuple of float (3,)
        Voxel size (z, y, x).

    Returns
    -------
    ndarray
        In the dtype of `array`.
    """
    from scipy import fft

    axes = (0, 1, 2)[3 - len(riesz_order) :]
    reach = [size // 2 if axis in axes else 0 for axis, size in enumerate(kernel.shape)]
    whole = tuple((0, size) for size in array.shape)
    wide = pad_boundary(array, (whole[0], whole[1], whole[2]), reach, boundary)
    shift = np.zeros([wide.shape[axis] if axis in axes else 1 for axis in range(3)])
    shift[tuple(slice(0, size) for size in kernel.shape)] = kernel
    shift = np.roll(shift, [-extra for extra in reach], axis=(0, 1, 2))
    transfer = fft.rfftn(shift, axes=axes).real.astype(wide.dtype)
    inner = tuple(
        slice(extra + start, extra + stop) for extra, (start, stop) in zip(reach, keep, strict=True)
    )
    out = riesz_response(
        wide,
        transfer,
        axes,
        riesz_order=riesz_order,
        steering_sigma_mm=steering_sigma_mm,
        spacing_mm=spacing_mm,
    )
    return out[inner]


def riesz_response(
    array: NDArray[Any],
    transfer: NDArray[Any],
    axes: Sequence[int],
    *,
    riesz_order: RieszOrder | None,
    steering_sigma_mm: float | None,
    spacing_mm: tuple[float, float, float],
) -> NDArray[Any]:
    """Return the response to a transfer function, Riesz-transformed on request.

    Parameters
    ----------
    array : ndarray of float32 or float64 (n_z, n_y, n_x)
        The image, taken as periodic along `axes`.
    transfer : ndarray (broadcastable to the half spectrum)
        Real, even.
    axes : sequence of int
        (0, 1, 2) or (1, 2).
    riesz_order : tuple of int or None
        Order along (x, y, z) or (x, y).
    steering_sigma_mm : float or None
        See `LaplacianOfGaussian`.
    spacing_mm : tuple of float (3,)
        Voxel size (z, y, x).

    Returns
    -------
    ndarray (n_z, n_y, n_x)
        In the dtype of `array`.
    """
    from scipy import fft

    shape = [array.shape[axis] for axis in axes]
    spectrum = fft.rfftn(array, axes=axes) * transfer
    order = riesz_order
    if order is None:
        return np.asarray(fft.irfftn(spectrum, s=shape, axes=axes), dtype=array.dtype)
    powers = order[::-1]
    grids = frequencies(array.shape, axes)

    def monomial(exponents: tuple[int, ...]) -> NDArray[Any]:
        from scipy import fft

        product_ = spectrum * _riesz(grids, exponents).astype(spectrum.dtype)
        return np.asarray(fft.irfftn(product_, s=shape, axes=axes), dtype=array.dtype)

    weight = np.sqrt(factorial(sum(order)) / prod(factorial(part) for part in order))
    if steering_sigma_mm is None:
        return np.asarray(weight * monomial(powers), dtype=array.dtype)
    sigma = [steering_sigma_mm / spacing_mm[axis] if axis in axes else 0.0 for axis in range(3)]
    directions = _structure_axes(monomial, len(axes), sigma)
    return np.asarray(weight * _steered(monomial, order, directions), dtype=array.dtype)


def _riesz(
    grids: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]], powers: tuple[int, ...]
) -> NDArray[np.complex128]:
    """Return (-j)^L prod(nu^l) / |nu|^L, made Hermitian; zero at the origin."""
    total = sum(powers)
    sides = []
    for line in grids:
        norm = np.sqrt(sum(nu**2 for nu in line))
        out: NDArray[Any] = 1.0 / np.where(norm == 0, 1.0, norm) ** total
        for nu, power in zip(line, powers, strict=True):
            if power:
                out = out * nu**power
        sides.append(out)
    return np.asarray((-1j) ** total * 0.5 * (sides[0] + (-1.0) ** total * sides[1]))


def _structure_axes(
    monomial: Callable[[tuple[int, ...]], NDArray[Any]], count: int, sigma: Sequence[float]
) -> NDArray[np.float64]:
    """Return (n_z, n_y, n_x, d, d): columns are directions, the main direction of change first."""
    from scipy import ndimage

    unit = np.eye(count, dtype=int)
    first = [monomial(tuple(int(part) for part in unit[k])) for k in range(count)]
    tensor = np.empty((*first[0].shape, count, count))
    for i, j in combinations_with_replacement(range(count), 2):
        square = first[i].astype(np.float64) * first[j]
        tensor[..., i, j] = tensor[..., j, i] = ndimage.gaussian_filter(square, sigma, mode="wrap")
    directions = np.linalg.eigh(tensor)[1][..., ::-1]
    largest = np.abs(directions).argmax(axis=-2, keepdims=True)
    lead = np.take_along_axis(directions, largest, axis=-2)
    return np.asarray(directions * np.where(lead < 0, -1.0, 1.0))


def _steered(
    monomial: Callable[[tuple[int, ...]], NDArray[Any]],
    order: RieszOrder,
    directions: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Expand prod_i (u_i . R)^l_i into the monomials of R, weighted voxel by voxel."""
    count = len(order)
    terms: dict[tuple[int, ...], NDArray[np.float64]] = {(0,) * count: np.ones(1)}
    for which, power in enumerate(order):
        for _ in range(power):
            grown: dict[tuple[int, ...], NDArray[np.float64]] = {}
            for powers, weight in terms.items():
                for axis in range(count):
                    key = tuple(part + (axis == k) for k, part in enumerate(powers))
                    term = weight * directions[..., axis, which]
                    grown[key] = grown[key] + term if key in grown else term
            terms = grown
    total = np.zeros(directions.shape[:3])
    for powers, weight in terms.items():
        total += weight * monomial(powers)
    return total
