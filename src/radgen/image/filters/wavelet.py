"""Separable wavelets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.image.filters._coefficients import LOW_PASS
from radgen.image.filters._engine import (
    Keep,
    Pooling,
    along,
    convolve_axis,
    crop_source,
    full,
    pooled,
    reach_of,
    separable,
)
from radgen.image.filters.settings import FilterSettings, register

__all__ = ["SeparableWavelet", "wavelet_bands", "wavelet_kernels"]


def wavelet_kernels(wavelet: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the low-pass and high-pass decomposition filters of an orthogonal wavelet.

    Parameters
    ----------
    wavelet : str
        "haar", "db1" … "db10", "sym2" … "sym8", "coif1" … "coif5".

    Returns
    -------
    low, high : tuple of float
        Unit energy; the high-pass filter is the low-pass one reversed with alternating sign.

    Raises
    ------
    InputError
        If the wavelet is unknown.
    """
    name = "db1" if wavelet.lower() == "haar" else wavelet.lower()
    low = LOW_PASS[require_choice(name, LOW_PASS, what="wavelet")]
    high = tuple((-1.0) ** (at + 1) * weight for at, weight in enumerate(reversed(low)))
    return low, high


@register("wavelet")
@dataclass(frozen=True, kw_only=True)
class SeparableWavelet(FilterSettings):
    """One band of a separable wavelet transform.

    Attributes
    ----------
    wavelet : str
        "haar", "db1" … "db10", "sym2" … "sym8", "coif1" … "coif5".
    band : str
        L (low-pass) or H (high-pass) along x, y (and z): "LHL".
    level : int
        Level of decomposition; each level below passes the low band on.
    rotation_invariant : bool
        Pool over all right-angle rotations of the filter.
    pooling : {"mean", "max", "min"}
        How rotations are pooled.
    decimated : bool
        Drop every second voxel after each level and repeat the others, so that the response
        stays on the image's grid; otherwise the transform is stationary (à trous).

    Notes
    -----
    Kernels count voxels: on anisotropic grids the response depends on the direction, so resample
    to isotropic voxels first (in the plane, for a 2D filter).

    References
    ----------
    IBSI 2 reference manual, arXiv:2006.05470: 25BO.
    """

    wavelet: str = "coif1"
    band: str = "LLH"
    level: int = 1
    rotation_invariant: bool = False
    pooling: Pooling = "mean"
    decimated: bool = False

    def check(self) -> None:
        """Raise `InputError` where wavelet, band or level is not allowed."""
        wavelet_kernels(self.wavelet)
        if len(self.band) != self.dimensions or set(self.band.upper()) - {"L", "H"}:
            raise InputError(
                f"A band of a {self.dimensions}D wavelet has {self.dimensions} letters L or H, "
                f"not {self.band!r}."
            )
        if not 1 <= self.level <= 10:
            raise InputError(f"The level is a whole number from 1 to 10, not {self.level}.")
        if self.decimated and self.rotation_invariant:
            raise InputError("A decimated transform is not pooled over rotations.")

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the band."""
        if self.decimated:
            return self._decimated(array, keep)
        chains = self.chains()
        if self.rotation_invariant:
            return pooled(
                array,
                chains,
                dimensions=self.dimensions,
                pooling=self.pooling,
                boundary=self.boundary,
                keep=keep,
            )
        return separable(array, chains, self.boundary, keep)

    def chains(self) -> list[tuple[tuple[float, ...], ...]]:
        """Return the kernels along x, y and z: low-pass at each lower level, then the band's."""
        low, high = wavelet_kernels(self.wavelet)
        out: list[tuple[tuple[float, ...], ...]] = []
        for letter in self.band.upper():
            kernels = [_spread(low, 2**level) for level in range(self.level - 1)]
            last = _spread(low if letter == "L" else high, 2 ** (self.level - 1))
            out.append((*kernels, last))
        return out + [()] * (3 - len(out))

    def _decimated(self, array: NDArray[Any], keep: Keep) -> NDArray[Any]:
        low, high = wavelet_kernels(self.wavelet)
        part = array
        for level in range(self.level):
            for position, letter in enumerate(self.band.upper()):
                last = level == self.level - 1
                kernel = high if last and letter == "H" else low
                part = convolve_axis(part, kernel, 2 - position, self.boundary)
            part = part[:: 2 if self.dimensions == 3 else 1, ::2, ::2]
        index = [
            np.arange(*side) // (2**self.level if axis >= 3 - self.dimensions else 1)
            for axis, side in enumerate(keep)
        ]
        return np.ascontiguousarray(part[np.ix_(*index)])


def _spread(kernel: tuple[float, ...], step: int) -> tuple[float, ...]:
    out = np.zeros(len(kernel) * step)
    out[::step] = kernel
    return tuple(out.tolist())


def wavelet_bands(
    array: NDArray[Any],
    settings: SeparableWavelet,
    *,
    keep: Keep | None = None,
) -> dict[str, NDArray[Any]]:
    """Return all bands of one level at the price of a few passes more than one.

    Parameters
    ----------
    array : ndarray of float32 or float64 (n_z, n_y, n_x)
        Values without NaN.
    settings : SeparableWavelet
        Wavelet, level, dimensions and boundary; `band` is not used. Not rotation-invariant,
        not decimated.
    keep : Keep or None
        The part of the response wanted; None = all.

    Returns
    -------
    dict of str to ndarray
        The 8 (or 4) bands by name, letters along x, y (and z).
    """
    if settings.rotation_invariant or settings.decimated:
        raise InputError("wavelet_bands computes plain stationary bands only.")
    wanted = full(array.shape) if keep is None else keep
    bands = ["".join(letters) for letters in product("LH", repeat=settings.dimensions)]
    chains = {band: replace(settings, band=band).chains() for band in bands}
    boundary = settings.boundary
    source, inside = crop_source(array, wanted, reach_of(chains[bands[0]]), boundary)
    out: dict[str, NDArray[Any]] = {}
    rows: dict[str, NDArray[Any]] = {}
    planes: dict[str, NDArray[Any]] = {}
    for band in bands:
        x, y, z = chains[band]
        if band[0] not in rows:
            rows[band[0]] = along(source, x, 2, boundary, inside[2])
        if band[:2] not in planes:
            planes[band[:2]] = along(rows[band[0]], y, 1, boundary, inside[1])
        out[band] = along(planes[band[:2]], z, 0, boundary, inside[0])
    return out
