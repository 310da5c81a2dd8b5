"""Interpolation along one axis: a few taps for every output position."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["REACH", "Interpolator", "along_axis", "positions_are_grid"]

Interpolator = Literal["nearest", "linear", "cubic", "cubic-convolution"]

_SPLINE_MARGIN = 24
"""Source voxels around what is read: the spline filter decays by 0.268 a voxel (2e-14)."""

REACH = _SPLINE_MARGIN + 2
"""No interpolator looks further than this many voxels."""

_SNAP = 9
"""Decimals to which positions are rounded, so that ties do not hang on rounding errors."""


def positions_are_grid(positions: NDArray[np.float64]) -> bool:
    """Return whether all positions are whole numbers (within 1e-6 voxels)."""
    return bool(np.abs(positions - np.round(positions)).max() < 1e-6)


def along_axis(
    array: NDArray[Any], positions: NDArray[np.float64], axis: int, method: Interpolator
) -> NDArray[Any]:
    """Return `array` read at `positions` along `axis`.

    Parameters
    ----------
    array : ndarray of float64 (…)
        Finite values.
    positions : ndarray of float64 (n_out,)
        Where to read, in voxels of that axis. Beyond the ends the end voxel is repeated.
    axis : int
        The axis that changes its length to n_out.
    method : {"nearest", "linear", "cubic", "cubic-convolution"}
        "cubic" is the interpolating cubic B-spline, "cubic-convolution" Keys' kernel
        (a = -1/2).

    Returns
    -------
    ndarray of float64 (…)
        Same axes, `axis` of length n_out.
    """
    size = array.shape[axis]
    at: NDArray[Any] = np.round(np.asarray(positions, dtype=np.float64), _SNAP)
    if positions_are_grid(at):
        index = np.clip(np.round(at).astype(np.intp), 0, size - 1)
        if index.size == size and np.array_equal(index, np.arange(size)):
            return array
        return np.take(array, index, axis=axis)
    if method == "nearest":
        return np.take(array, np.clip(np.floor(at + 0.5).astype(np.intp), 0, size - 1), axis=axis)
    base = np.floor(at).astype(np.intp)
    weights, first = _weights(at - base, method)
    if method == "cubic":
        low, high = int(base.min()) - _SPLINE_MARGIN, int(base.max()) + 2 + _SPLINE_MARGIN
        window = np.clip(np.arange(low, high + 1), 0, size - 1)
        array = ndimage.spline_filter1d(
            np.take(array, window, axis=axis), order=3, axis=axis, mode="mirror"
        )
        base = base - low
        size = array.shape[axis]
    return _tapped(array, base + first, weights, axis, size)


def _tapped(
    array: NDArray[Any], first: NDArray[np.intp], weights: NDArray[Any], axis: int, size: int
) -> NDArray[Any]:
    shape = [1] * array.ndim
    shape[axis] = -1
    total: NDArray[Any] | None = None
    for tap, weight in enumerate(weights):
        part = np.take(array, np.clip(first + tap, 0, size - 1), axis=axis)
        part *= weight.reshape(shape)
        if total is None:
            total = part
        else:
            total += part
    assert total is not None
    return total


def _weights(t: NDArray[np.float64], method: Interpolator) -> tuple[NDArray[np.float64], int]:
    """Return the weights (n_taps, n_out) and the offset of the first tap."""
    if method == "linear":
        return np.stack([1.0 - t, t]), 0
    if method == "cubic":
        u = 1.0 - t
        inner = (
            (4.0 - 6.0 * t**2 + 3.0 * t**3) / 6.0,
            (4.0 - 6.0 * u**2 + 3.0 * u**3) / 6.0,
        )
        return np.stack([u**3 / 6.0, inner[0], inner[1], t**3 / 6.0]), -1
    return (
        np.stack(
            [
                -0.5 * t + t**2 - 0.5 * t**3,
                1.0 - 2.5 * t**2 + 1.5 * t**3,
                0.5 * t + 2.0 * t**2 - 1.5 * t**3,
                -0.5 * t**2 + 0.5 * t**3,
            ]
        ),
        -1,
    )
