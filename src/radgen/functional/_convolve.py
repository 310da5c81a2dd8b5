"""Exponentials folded with a measured input: exact for inputs that are linear between samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen._native import _tracer  # type: ignore[attr-defined]

__all__ = ["delayed", "exponential_convolution"]

Floats = NDArray[np.float64]


def exponential_convolution(times: Floats, source: Floats, rates: Floats) -> Floats:
    r"""Return :math:`\int_0^t c(u) e^{-k (t - u)} du` at each time.

    Parameters
    ----------
    times : ndarray of float64 (n_times,)
        Rising times.
    source : ndarray of float64 (n_times,) or (n_rows, n_times)
        The input c, linear between samples and 0 before the first.
    rates : ndarray of float64 (n_rows,)
        k of each row, per unit of time; 0 gives the running integral.

    Returns
    -------
    ndarray of float64 (n_rows, n_times)
        One curve a row.
    """
    wide = np.ascontiguousarray(np.atleast_2d(source), dtype=np.float64)
    out = np.empty((len(rates), len(times)))
    if len(rates):
        _tracer.convolve(
            np.ascontiguousarray(times), wide if len(wide) > 1 else wide[0],
            np.ascontiguousarray(rates), out,
        )  # fmt: skip
    return out


def delayed(times: Floats, source: Floats, delays: Floats) -> Floats:
    """Return the input as it arrives later: c(t - delay), one row a delay (n_rows, n_times).

    Before its first sample the input is 0, after its last it keeps the last value.
    """
    wanted = times[None, :] - delays[:, None]
    shifted = np.interp(wanted.ravel(), times, source, left=0.0).reshape(wanted.shape)
    out: Floats = shifted
    return out
