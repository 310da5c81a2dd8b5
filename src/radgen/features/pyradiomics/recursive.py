"""Laplacian of Gaussian by recursive filters, with the numbers that ITK gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._native._filter import recursive_axis

__all__ = ["recursive_laplacian", "recursive_weights"]

Box = tuple[slice, slice, slice]

_W1, _L1, _W2, _L2 = 0.6681, -1.3932, 2.0787, -1.3732
_A1, _B1 = {0: 1.3530, 2: -1.3563}, {0: 1.8151, 2: 5.2318}
_A2, _B2 = {0: -0.3531, 2: 0.3446}, {0: 0.0902, 2: -2.2355}
"""Farnebäck and Westin's fit of the Gaussian (order 0) and its second derivative (order 2)."""


def _numerator(sigma: float, order: int) -> NDArray[np.float64]:
    a1, b1, a2, b2 = _A1[order], _B1[order], _A2[order], _B2[order]
    s1, c1, e1 = np.sin(_W1 / sigma), np.cos(_W1 / sigma), np.exp(_L1 / sigma)
    s2, c2, e2 = np.sin(_W2 / sigma), np.cos(_W2 / sigma), np.exp(_L2 / sigma)
    second = (a1 + a2) * c2 * c1 - b1 * c2 * s1 - b2 * c1 * s2
    return np.array(
        [
            a1 + a2,
            e2 * (b2 * s2 - (a2 + 2 * a1) * c2) + e1 * (b1 * s1 - (a1 + 2 * a2) * c1),
            2 * e1 * e2 * second + a2 * e1 * e1 + a1 * e2 * e2,
            e2 * e1 * e1 * (b2 * s2 - a2 * c2) + e1 * e2 * e2 * (b1 * s1 - a1 * c1),
        ]
    )


def _denominator(sigma: float) -> NDArray[np.float64]:
    c1, e1 = np.cos(_W1 / sigma), np.exp(_L1 / sigma)
    c2, e2 = np.cos(_W2 / sigma), np.exp(_L2 / sigma)
    return np.array(
        [
            -2 * (e2 * c2 + e1 * c1),
            4 * c2 * c1 * e1 * e2 + e1 * e1 + e2 * e2,
            -2 * c1 * e1 * e2 * e2 - 2 * c2 * e2 * e1 * e1,
            e1 * e1 * e2 * e2,
        ]
    )


def recursive_weights(sigma: float, order: int) -> NDArray[np.float64]:
    """Return the weights of a recursive Gaussian, or of its second derivative.

    Parameters
    ----------
    sigma : float
        Standard deviation in voxels.
    order : {0, 2}
        Order of the derivative, per voxel squared.

    Returns
    -------
    ndarray of float64 (12,)
        Four weights of the values from here back, four of those ahead, four of the response.

    References
    ----------
    Deriche, INRIA report 1893 (1993); Farnebäck & Westin, J. Math. Imaging Vis. 26:293 (2006).
    """
    d = _denominator(sigma)
    power = np.arange(1, 5)
    sum_d, first_d, second_d = 1 + d.sum(), power @ d, power**2 @ d
    smooth = _numerator(sigma, 0)
    if order == 0:
        n = smooth / (2 * smooth.sum() / sum_d - smooth[0])
    else:
        n = _numerator(sigma, 2)
        n = n - (2 * n.sum() - sum_d * n[0]) / (2 * smooth.sum() - sum_d * smooth[0]) * smooth
        sum_n, first_n, second_n = n.sum(), power[:3] @ n[1:], power[:3] ** 2 @ n[1:]
        n = n / (
            (second_n * sum_d - second_d * sum_n - 2 * first_n * first_d) / sum_d**2
            + 2 * first_d * first_d * sum_n / sum_d**3
        )
    ahead = np.append(n[1:], 0.0) - d * n[0]
    return np.concatenate([n, ahead, d])


def _along(
    array: NDArray[Any], weights: NDArray[np.float64], axis: int, keep: slice
) -> NDArray[np.float32]:
    shape = list(array.shape)
    shape[axis] = keep.stop - keep.start
    out = np.empty(shape, array.dtype)
    outer, inner = int(np.prod(array.shape[:axis])), int(np.prod(array.shape[axis + 1 :]))
    size = array.shape[axis]
    recursive_axis(array, out, weights, outer, size, inner, keep.start, shape[axis])
    return out.astype(np.float32, copy=False)


def recursive_laplacian(
    array: NDArray[Any], spacing_mm: Sequence[float], sigma_mm: float, box: Box
) -> NDArray[np.float32]:
    """Return the scale-normalised Laplacian of Gaussian within a box.

    Parameters
    ----------
    array : ndarray of real numbers (n_z, n_y, n_x)
        The image, at least 4 voxels along each axis.
    spacing_mm : sequence of float (3,)
        Voxel size (z, y, x).
    sigma_mm : float
        Standard deviation of the Gaussian.
    box : tuple of slice (3,)
        The part wanted.

    Returns
    -------
    ndarray of float32
        Response times sigma squared. Each pass is rounded to single precision, as ITK does.
    """
    exact = array.dtype.kind == "f" or array.dtype.itemsize < 4
    source = np.ascontiguousarray(
        array, np.float32 if exact and array.dtype.itemsize <= 4 else np.float64
    )
    smooth = [recursive_weights(sigma_mm / size, 0) for size in spacing_mm]
    total: NDArray[np.float32] | None = None
    for bent in (2, 1, 0):
        curved = recursive_weights(sigma_mm / spacing_mm[bent], 2)
        curved[:8] *= sigma_mm**2
        part = _along(source, curved, bent, box[bent])
        for axis in (2, 1, 0):
            if axis != bent:
                part = _along(part, smooth[axis], axis, box[axis])
        scaled = part.astype(np.float64) / float(spacing_mm[bent]) ** 2
        total = (scaled if total is None else total + scaled).astype(np.float32)
    assert total is not None
    return total
