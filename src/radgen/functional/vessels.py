"""Vessel size from gradient and spin echoes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError

__all__ = ["vessel_size"]

Floats = NDArray[np.float64]

_GYROMAGNETIC = 2.6752218744e8
_KISELEV = 0.425


def vessel_size(
    gradient_change: ArrayLike,
    spin_change: ArrayLike,
    diffusion: ArrayLike,
    *,
    field_t: float,
    susceptibility: float = 9e-7,
) -> tuple[Floats, Floats]:
    """Return the mean vessel size and the vessel density index of voxels.

    Parameters
    ----------
    gradient_change, spin_change : array_like of float (n_voxels,)
        Change of R2* (gradient echo) and of R2 (spin echo) by contrast, 1/s: both at the peak, or
        both with an intravascular agent in steady state.
    diffusion : array_like of float (n_voxels,)
        Apparent diffusion coefficient, mm2/s.
    field_t : float
        Field strength, tesla.
    susceptibility : float
        Difference between blood with contrast and tissue (SI), dimensionless.

    Returns
    -------
    size_um : ndarray of float64 (n_voxels,)
        Vessel size index, micrometres. NaN where a change or the diffusion is not positive.
    density : ndarray of float64 (n_voxels,)
        Q = R2 / R2*^(2/3), s^(-1/3): rises with the density of vessels.

    Raises
    ------
    InputError
        If field or susceptibility is not positive.

    References
    ----------
    Kiselev et al. 2005, doi:10.1002/mrm.20383: 0.425 (ADC / (gamma dchi B0))^(1/2) R2* / R2^(3/2);
    Jensen and Chandra 2000, doi:10.1002/1522-2594(200008)44:2<224::AID-MRM9>3.0.CO;2-M (Q).
    """
    if not (field_t > 0 and susceptibility > 0):
        raise InputError("Field strength and susceptibility must be positive.")
    star, spin, adc = (
        np.asarray(x, dtype=np.float64) for x in (gradient_change, spin_change, diffusion)
    )
    frequency = _GYROMAGNETIC * susceptibility * field_t
    with np.errstate(divide="ignore", invalid="ignore"):
        good = (star > 0) & (spin > 0) & (adc > 0)
        size = _KISELEV * np.sqrt(adc * 1e-6 / frequency) * star / spin**1.5 * 1e6
        density = spin / star ** (2 / 3)
        return np.where(good, size, np.nan), np.where(good, density, np.nan)
