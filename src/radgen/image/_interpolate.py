"""Interpolation along one axis: a few taps for every output position."""

from __future__ import annotations

from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radgen._native._filter import gather_axis, spline_axis

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
    axis %= array.ndim
    size = array.shape[axis]
    at: NDArray[Any] = np.round(np.asarray(positions, dtype=np.float64), _SNAP)
    at = np.clip(at, -1.0, float(size))
    if positions_are_grid(at):
        index = np.clip(np.round(at).astype(np.intp), 0, size - 1)
        if index.size == size and np.array_equal(index, np.arange(size)):
            return array
        return np.take(array, index, axis=axis)
    if method == "nearest":
        return np.take(array, np.clip(np.floor(at + 0.5).astype(np.intp), 0, size - 1), axis=axis)
    base = np.floor(at).astype(np.int64)
    weights, first = _weights(at - base, method)
    source = np.ascontiguousarray(array)
    if method == "cubic":
        # beyond an end the values are constant, and the filter starts from that
        least, most = int(base.min()) - 1, int(base.max()) + 2
        low = max(least - _SPLINE_MARGIN, min(least, 0))
        high = min(most + _SPLINE_MARGIN, max(most, size - 1))
        source = _coefficients(source, axis, low, high)
        base = base - low
    shape, sizes = _axis_shape(source, axis, at.size)
    out = np.empty(shape, dtype=source.dtype)
    taps = np.ascontiguousarray(weights.T)
    gather_axis(source, out, np.ascontiguousarray(base + first), taps, *sizes, at.size)
    return out


def _coefficients(array: NDArray[Any], axis: int, low: int, high: int) -> NDArray[Any]:
    """Return B-spline coefficients of voxels low..high; the ends are repeated for ever."""
    shape, sizes = _axis_shape(array, axis, high - low + 1)
    out = np.empty(shape, dtype=array.dtype)
    spline_axis(array, out, *sizes, high - low + 1, low)
    return out


def _axis_shape(
    array: NDArray[Any], axis: int, n_out: int
) -> tuple[tuple[int, ...], tuple[int, int, int]]:
    shape = list(array.shape)
    sizes = (prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]))
    shape[axis] = n_out
    return tuple(shape), sizes


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
