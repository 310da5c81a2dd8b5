"""Dynamic contrast-enhanced series: maps of tracer kinetics and of enhancement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen._core.naming import counted, require_choice
from radgen.errors import InputError
from radgen.functional._voxels import (
    ParameterMaps,
    curves_of,
    inside,
    maps_of,
    mean_curve,
    values_of,
)
from radgen.functional.arterial import PopulationInput, bolus_arrival, population_input
from radgen.functional.enhancement import ENHANCEMENT_UNITS, enhancement_traits
from radgen.functional.relaxation import concentration
from radgen.functional.tracer import TRACER_UNITS, TracerModel, fit_tracer
from radgen.types import ImageVolume, Mask

__all__ = ["dce_maps", "enhancement_maps"]

Floats = NDArray[np.float64]


def dce_maps(
    series: ImageVolume,
    mask: Mask | None = None,
    *,
    arterial: Mask | ArrayLike | PopulationInput,
    flip_deg: float,
    repetition_s: float,
    t1: ImageVolume | float,
    t1_blood_s: float = 1.6,
    b1: ImageVolume | None = None,
    relaxivity: float = 4.5,
    haematocrit: float = 0.42,
    baseline: tuple[int, int] | None = None,
    model: TracerModel = "extended-tofts",
    delay_s: float | Literal["fit"] = 0.0,
) -> ParameterMaps:
    """Return maps of tracer kinetics of a dynamic spoiled gradient echo series.

    Parameters
    ----------
    series : ImageVolume
        Signals with times, axes (t, z, y, x).
    mask : Mask or None
        Voxels to fit; None = all that are measured.
    arterial : Mask, array_like of float (n_times,) or {"parker", "georgiou", "preclinical"}
        An artery in the series; or whole-blood concentration in mM at the times of the
        series; or a published population curve, which arrives when the tissue of the mask does.
    flip_deg : float
        Nominal flip angle, degrees.
    repetition_s : float
        Repetition time, seconds.
    t1 : ImageVolume or float
        Of tissue before contrast, seconds: a map on the grid of the series, or one value.
    t1_blood_s : float
        Of blood before contrast, where the artery is a mask; about 1.6 s at 3 T, 1.4 s at 1.5 T.
    b1 : ImageVolume or None
        True flip angle over the nominal one.
    relaxivity : float
        r1 of the agent, 1/(s mM).
    haematocrit : float
        Of the artery: plasma is whole blood over 1 - haematocrit.
    baseline : tuple of int (2,) or None
        Frames before contrast: the first, and the one after the last. None finds the arrival
        in the artery's mask, or in the mean curve of the voxels.
    model : {"tofts", "extended-tofts", "patlak", "uptake", "exchange"}
        See `fit_tracer`.
    delay_s : float or "fit"
        See `fit_tracer`.

    Returns
    -------
    ParameterMaps
        The parameters of the model, "r2" (share of the variation explained).

    Raises
    ------
    InputError
        If a number is impossible, no contrast arrives or the artery holds no contrast.
    GeometryError
        If a mask or map does not lie on the grid of the series.
    """
    chosen = inside(series, mask)
    data = curves_of(series, chosen)
    times = _times(series)
    if not 0 <= haematocrit < 1:
        raise InputError(f"The haematocrit is {haematocrit}; it must lie from 0 to below 1.")
    artery = mean_curve(series, arterial, what="artery") if isinstance(arterial, Mask) else None
    frames = baseline or _arrival(data if artery is None else artery[None])
    angles = flip_deg * (1.0 if b1 is None else values_of(b1, chosen, what="B1"))
    physics: dict[str, Any] = {
        "repetition_s": repetition_s,
        "relaxivity": relaxivity,
        "baseline": frames,
    }
    tissue = concentration(
        data, t1_s=values_of(t1, chosen, what="T1"), flip_deg=angles, **physics
    )  # fmt: skip
    blood, told = _blood(
        arterial, artery, times, t1_blood_s=t1_blood_s, flip_deg=flip_deg, physics=physics
    )
    fit = fit_tracer(
        tissue, times - times[0], blood / (1.0 - haematocrit), model=model, delay_s=delay_s
    )
    found = {**fit.parameters, "r2": fit.r_squared}
    values = {name: np.where(fit.converged, value, np.nan) for name, value in found.items()}
    settings = {
        "technique": "DCE", "model": model, "delay_s": delay_s, "flip_deg": flip_deg,
        "t1_s": "map" if isinstance(t1, ImageVolume) else t1, "b1": b1 is not None,
        "arterial": told, "haematocrit": haematocrit, "t1_blood_s": t1_blood_s,
        **physics, "baseline": list(frames),
    }  # fmt: skip
    return maps_of(
        values, {**TRACER_UNITS, "r2": "1"}, chosen, settings=settings,
        notes=_odd_volumes(fit.parameters),
    )  # fmt: skip


def _times(series: ImageVolume) -> Floats:
    if series.times_s is None:
        raise InputError("Needed is a dynamic series with times.")
    return np.asarray(series.times_s, dtype=np.float64)


def _arrival(data: Floats) -> tuple[int, int]:
    finite = data[np.isfinite(data).all(axis=1)]
    if not len(finite):
        raise InputError("No voxel of the mask is measured in all frames.")
    return 0, bolus_arrival(finite.mean(axis=0))


def _blood(
    arterial: Mask | ArrayLike | PopulationInput,
    artery: Floats | None,
    times: Floats,
    *,
    t1_blood_s: float,
    flip_deg: float,
    physics: Mapping[str, Any],
) -> tuple[Floats, str]:
    """Return whole-blood concentration at the times of the series, and where it is from."""
    if isinstance(arterial, str):
        arrival = float(times[physics["baseline"][1] - 1])
        name = cast("PopulationInput", arterial)
        return population_input(name, times, arrival_s=arrival), name
    if artery is not None:
        blood = concentration(artery[None], t1_s=t1_blood_s, flip_deg=flip_deg, **physics)[0]
        if not np.isfinite(blood).all():
            count = counted(int(np.isnan(blood).sum()), "frame")
            raise InputError(
                f"In {count} of the artery the signal is one that no concentration gives. Check "
                "flip angle, repetition time and T1 of blood, or draw the artery elsewhere: blood "
                "that flows in is brighter than the equation knows."
            )
        return blood, "mask"
    blood = np.asarray(arterial, dtype=np.float64)
    if blood.shape != times.shape:
        raise InputError(f"The arterial curve has {blood.size} values; needed are {len(times)}.")
    return blood, "curve"


def _odd_volumes(parameters: Mapping[str, Floats]) -> tuple[str, ...]:
    notes = []
    for name in sorted({"ve", "vp"} & set(parameters)):
        count = int((parameters[name] > 1).sum())
        if count:
            notes.append(
                f"{name} is above 1 in {count} voxels: the model or the arterial input does not "
                "fit there."
            )
    return tuple(notes)


def enhancement_maps(
    series: ImageVolume,
    mask: Mask | None = None,
    *,
    baseline: tuple[int, int] | None = None,
    early_s: float = 90.0,
    area_s: float = 60.0,
    traits: Sequence[str] | None = None,
) -> ParameterMaps:
    """Return maps of enhancement traits that need no model, no T1 and no artery.

    Parameters
    ----------
    series : ImageVolume
        Signals with times, axes (t, z, y, x).
    mask : Mask or None
        Voxels to look at; None = all that are measured.
    baseline : tuple of int (2,) or None
        Frames before contrast; None finds the arrival in the mean curve.
    early_s, area_s : float
        See `enhancement_traits`.
    traits : sequence of str or None
        Which traits; None = all.

    Returns
    -------
    ParameterMaps
        See `enhancement_traits`.

    Raises
    ------
    InputError
        If a trait is unknown, or the series does not reach far enough.
    GeometryError
        If the mask does not lie on the grid of the series.
    """
    wanted = [require_choice(t, tuple(ENHANCEMENT_UNITS), what="trait") for t in traits or ()]
    chosen = inside(series, mask)
    data = curves_of(series, chosen)
    frames = baseline or _arrival(data)
    found = enhancement_traits(
        data, _times(series), baseline=frames, early_s=early_s, area_s=area_s
    )
    values = {name: found[name] for name in wanted or ENHANCEMENT_UNITS}
    settings = {
        "technique": "enhancement", "baseline": list(frames), "early_s": early_s, "area_s": area_s,
    }  # fmt: skip
    return maps_of(values, ENHANCEMENT_UNITS, chosen, settings=settings)
