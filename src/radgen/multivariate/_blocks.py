"""A block of data as an operator: centred and scaled columns without a copy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError

__all__ = ["Block"]

_COLUMNS = 8192


class Block:
    """Samples by features, standardised implicitly.

    Parameters
    ----------
    array : ndarray of float32 or float64 (n_samples, n_features)
        No NaN. It is read, never copied nor changed.
    centre, scale : bool
        Whether columns are centred and divided by their standard deviation (ddof = 1).
        A constant column has scale 1 and so contributes nothing.
    name : str
        For messages.

    Notes
    -----
    ``X_std = (X - mean) / sd`` is never formed: ``X_std' w`` and ``X_std u`` are one pass over
    ``X`` each, so that memory stays that of the data.
    """

    def __init__(
        self,
        array: NDArray[np.floating],
        *,
        centre: bool = True,
        scale: bool = True,
        name: str = "X",
    ) -> None:
        if array.ndim != 2 or array.shape[0] < 2:
            raise InputError(
                f"{name} needs at least 2 samples in rows; it has shape {array.shape}."
            )
        self.array = array
        self.shape = array.shape
        self.mean = (
            array.mean(axis=0, dtype=np.float64) if centre or scale else np.zeros(self.shape[1])
        )
        self.scale = np.ones(self.shape[1])
        if scale:
            variance, size = _spread(array, self.mean)
            floor = 1e-12 * np.maximum(size, 1e-300)
            self.scale = np.where(variance > floor, np.sqrt(variance), 1.0)
            self.constant = variance <= floor
        else:
            self.constant = np.zeros(self.shape[1], dtype=np.bool_)
        if not centre:
            self.mean = np.zeros(self.shape[1])

    def adjoint(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``X_std' weights``, (n_features, …) of (n_samples, …)."""
        product = self.array.T @ weights.astype(self.array.dtype, copy=False)
        mean, scale = self._columns(weights)
        return np.asarray((product - mean * weights.sum(axis=0)) / scale, dtype=np.float64)

    def forward(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``X_std weights``, (n_samples, …) of (n_features, …)."""
        scaled = weights / self._columns(weights)[1]
        used = np.flatnonzero(scaled if scaled.ndim == 1 else scaled.any(axis=1))
        if len(used) * 50 < len(scaled):
            product = self.array[:, used] @ scaled[used].astype(self.array.dtype)
        else:
            product = self.array @ scaled.astype(self.array.dtype)
        return np.asarray(product - self.mean @ scaled, dtype=np.float64)

    def gram(self) -> NDArray[np.float64]:
        """Return ``X_std X_std'``, (n_samples, n_samples)."""
        total = np.zeros((self.shape[0], self.shape[0]))
        for start in range(0, self.shape[1], _COLUMNS):
            part = slice(start, start + _COLUMNS)
            block = (self.array[:, part] - self.mean[part]) / self.scale[part]
            block = block.astype(self.array.dtype, copy=False)
            total += block @ block.T
        return total

    def _columns(self, like: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        if like.ndim == 1:
            return self.mean, self.scale
        return self.mean[:, None], self.scale[:, None]

    def dense(self) -> NDArray[np.float64]:
        """Return the standardised block as a new float64 array."""
        return np.asarray((self.array - self.mean) / self.scale, dtype=np.float64)


def _spread(
    array: NDArray[np.floating], mean: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the variance (ddof = 1) and the mean square of each column, block by block."""
    n, n_features = array.shape
    variance, size = np.empty(n_features), np.empty(n_features)
    for start in range(0, n_features, _COLUMNS):
        part = slice(start, start + _COLUMNS)
        centred = array[:, part] - mean[part]
        variance[part] = np.einsum("ij,ij->j", centred, centred) / (n - 1)
        size[part] = variance[part] * (n - 1) / n + mean[part] ** 2
    return variance, size
