"""Maps of T1, diffusion and vessel size."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.functional._voxels import ParameterMaps, curves_of, inside, maps_of, values_of
from radgen.functional.diffusion import (
    DIFFUSION_UNITS,
    apparent_diffusion,
    diffusion_kurtosis,
    diffusion_tensor,
    incoherent_motion,
)
from radgen.functional.relaxation import variable_flip_t1
from radgen.functional.vessels import vessel_size
from radgen.types import ImageVolume, Mask

__all__ = ["DiffusionModel", "diffusion_maps", "t1_maps", "vessel_size_maps"]

DiffusionModel = Literal["adc", "ivim", "kurtosis", "tensor"]


def t1_maps(
    series: ImageVolume,
    mask: Mask | None = None,
    *,
    flip_deg: ArrayLike,
    repetition_s: float,
    b1: ImageVolume | None = None,
    method: Literal["nonlinear", "linear"] = "nonlinear",
) -> ParameterMaps:
    """Return maps of T1 and of the fully relaxed signal from several flip angles.

    Parameters
    ----------
    series : ImageVolume
        Spoiled gradient echo images, one frame a flip angle.
    mask : Mask or None
        Voxels to fit; None = all that are measured.
    flip_deg : array_like of float (n_frames,)
        Nominal flip angles, degrees.
    repetition_s : float
        Repetition time, seconds.
    b1 : ImageVolume or None
        True flip angle over the nominal one.
    method : {"nonlinear", "linear"}
        See `variable_flip_t1`.

    Returns
    -------
    ParameterMaps
        "T1" in seconds and "S0".

    Raises
    ------
    InputError
        If angles and frames do not fit together.
    GeometryError
        If mask or B1 do not lie on the grid of the series.
    """
    chosen = inside(series, mask)
    share = None if b1 is None else values_of(b1, chosen, what="B1")
    t1, s0 = variable_flip_t1(
        curves_of(series, chosen), flip_deg=flip_deg, repetition_s=repetition_s, b1=share,
        method=method,
    )  # fmt: skip
    settings = {
        "technique": "T1", "flip_deg": np.asarray(flip_deg, dtype=float).tolist(),
        "repetition_s": repetition_s, "b1": b1 is not None, "method": method,
    }  # fmt: skip
    return maps_of({"T1": t1, "S0": s0}, {"T1": "s", "S0": "a.u."}, chosen, settings=settings)


def diffusion_maps(
    series: ImageVolume,
    mask: Mask | None = None,
    *,
    b_values: ArrayLike,
    model: DiffusionModel = "adc",
    directions: ArrayLike | None = None,
) -> ParameterMaps:
    """Return maps of a diffusion model.

    Parameters
    ----------
    series : ImageVolume
        Diffusion-weighted images, one a frame.
    mask : Mask or None
        Voxels to fit; None = all that are measured.
    b_values : array_like of float (n_frames,)
        s/mm2.
    model : {"adc", "ivim", "kurtosis", "tensor"}
        "adc": one exponential. "ivim": and a fast one of perfusion. "kurtosis": the deviation from
        it at high b-values. "tensor": FA and diffusivities, which needs `directions`.
    directions : array_like of float (n_frames, 3) or None
        Of the gradients; for the tensor.

    Returns
    -------
    ParameterMaps
        The parameters of the model; diffusivities in mm2/s.

    Raises
    ------
    InputError
        If the frames do not determine the model.
    GeometryError
        If the mask does not lie on the grid of the series.
    """
    require_choice(model, get_args(DiffusionModel), what="diffusion model")
    if (directions is not None) != (model == "tensor"):
        raise InputError("Gradient directions belong to the model tensor, which needs them.")
    chosen = inside(series, mask)
    data = curves_of(series, chosen)
    fits: dict[str, Any] = {
        "adc": apparent_diffusion, "ivim": incoherent_motion, "kurtosis": diffusion_kurtosis,
    }  # fmt: skip
    if directions is not None:
        found = diffusion_tensor(data, b_values, directions)
    else:
        found = fits[model](data, b_values)
    settings = {
        "technique": "diffusion", "model": model,
        "b_values": np.unique(np.asarray(b_values, dtype=float)).tolist(),
    }  # fmt: skip
    return maps_of(found, DIFFUSION_UNITS, chosen, settings=settings)


def vessel_size_maps(
    gradient_change: ImageVolume,
    spin_change: ImageVolume,
    adc: ImageVolume,
    mask: Mask | None = None,
    *,
    field_t: float,
    susceptibility: float = 9e-7,
) -> ParameterMaps:
    """Return maps of the vessel size index and of the vessel density index.

    Parameters
    ----------
    gradient_change, spin_change : ImageVolume
        Change of R2* and of R2 by contrast, 1/s.
    adc : ImageVolume
        mm2/s.
    mask : Mask or None
        Voxels to look at; None = all that are measured.
    field_t, susceptibility : float
        See `vessel_size`.

    Returns
    -------
    ParameterMaps
        "vessel size" in micrometres, "vessel density" in s^(-1/3).

    Raises
    ------
    InputError
        If field or susceptibility is not positive.
    GeometryError
        If the maps do not share a grid.
    """
    chosen = inside(gradient_change, mask)
    star, spin, diffusion = (
        values_of(volume, chosen, what=what)
        for volume, what in ((gradient_change, "R2*"), (spin_change, "R2"), (adc, "ADC"))
    )
    size, density = vessel_size(
        star, spin, diffusion, field_t=field_t, susceptibility=susceptibility
    )
    settings = {"technique": "vessel size", "field_t": field_t, "susceptibility": susceptibility}
    return maps_of(
        {"vessel size": size, "vessel density": density},
        {"vessel size": "um", "vessel density": "s^(-1/3)"}, chosen, settings=settings,
    )  # fmt: skip
