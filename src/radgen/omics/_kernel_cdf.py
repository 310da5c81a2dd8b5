"""Distribution functions smoothed by a Gaussian kernel, in time linear in the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["GaussianCdf"]

Array = NDArray[np.float64]

_REACH = 8.5
"""Bandwidths beyond which a Gaussian is 0 to rounding error, in space and in frequency."""
_BLOCK = 40_000
"""Values worked on at a time: they stay in the cache."""


@dataclass(frozen=True, eq=False)
class GaussianCdf:
    """Mean over a sample of Φ((x - x_j) / bandwidth), a column a variable.

    Attributes
    ----------
    low, period : ndarray of float64 (n_columns,)
        Where the Fourier series of each density begins, and its period.
    groups : tuple of (columns, coefficients)
        Columns with the same number of frequencies, and the complex coefficients
        (n_frequencies, n_columns_of_group) of their series.

    Notes
    -----
    The smoothed density is periodic on an interval that reaches 8.5 bandwidths beyond the
    sample, with coefficients exp(-ω²h²/2) mean_j exp(-iω x_j); the distribution function is its
    term-wise integral. Both truncations are below 1e-15.
    """

    low: Array
    period: Array
    groups: tuple[tuple[NDArray[np.int64], NDArray[np.complex128]], ...]

    @classmethod
    def of(cls, sample: Array, bandwidth: Array) -> Self:
        """Return the distribution functions of a sample.

        Parameters
        ----------
        sample : ndarray of float64 (n_samples, n_columns)
            NaN is left out; each column has a known value.
        bandwidth : ndarray of float64 (n_columns,)
            Positive.
        """
        least, most = np.nanmin(sample, axis=0), np.nanmax(sample, axis=0)
        low = least - _REACH * bandwidth
        period = most - least + 2 * _REACH * bandwidth
        relative = bandwidth / period
        number = np.ceil(_REACH / (2 * np.pi * relative)).astype(np.int64)
        groups = []
        for columns, count in _alike(number, len(sample)):
            angle = 2 * np.pi * (sample[:, columns] - low[columns]) / period[columns]
            known = np.isfinite(angle)
            turn = np.where(known, np.exp(-1j * np.where(known, angle, 0.0)), 0.0)
            share = 1.0 / known.sum(axis=0)
            power = turn.copy()
            found = np.empty((count, len(columns)), dtype=np.complex128)
            for k in range(count):
                frequency = 2 * np.pi * (k + 1) * relative[columns]
                damped = np.exp(-(frequency**2) / 2) * share
                found[k] = power.sum(axis=0) * damped / (2j * np.pi * (k + 1))
                power *= turn
            groups.append((columns, found))
        return cls(low, period, tuple(groups))

    def evaluate(self, values: Array) -> Array:
        """Return the distribution functions at values.

        Parameters
        ----------
        values : ndarray of float64 (n_values, n_columns)
            NaN stays NaN.

        Returns
        -------
        ndarray of float64 (n_values, n_columns)
            In [0, 1].
        """
        out = np.empty(values.shape)
        for columns, coefficients in self.groups:
            size = max(1, _BLOCK // max(1, len(columns)))
            for start in range(0, len(values), size):
                part = values[start : start + size, columns]
                place = np.clip((part - self.low[columns]) / self.period[columns], 0.0, 1.0)
                turn = np.exp(2j * np.pi * np.nan_to_num(place))
                total = np.zeros(turn.shape, dtype=np.complex128)
                for row in coefficients[::-1]:
                    total += row
                    total *= turn
                wave = 2 * (total.real - coefficients.sum(axis=0).real)
                out[start : start + size, columns] = np.clip(place + wave, 0.0, 1.0)
        out[np.isnan(values)] = np.nan
        return out


def _alike(number: NDArray[np.int64], n_samples: int) -> list[tuple[NDArray[np.int64], int]]:
    """Return blocks of columns that need about as many frequencies, and how many."""
    order = np.argsort(number, kind="stable")
    size = max(1, _BLOCK // max(1, n_samples))
    blocks = [order[start : start + size] for start in range(0, len(order), size)]
    return [(columns, int(number[columns].max())) for columns in blocks]
