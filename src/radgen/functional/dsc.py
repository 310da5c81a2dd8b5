"""Dynamic susceptibility contrast series: maps of blood volume, flow and transit time."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.functional._voxels import ParameterMaps, curves_of, inside, maps_of, mean_curve
from radgen.functional.arterial import bolus_arrival
from radgen.functional.susceptibility import (
    DeconvolutionMethod,
    correct_leakage,
    deconvolve,
    relaxation_change,
)
from radgen.types import ImageVolume, Mask

__all__ = ["DSC_UNITS", "dsc_maps"]

Floats = NDArray[np.float64]

DSC_UNITS = {
    "rCBV": "1", "rCBV uncorrected": "1", "K2": "1/s", "time to peak": "s", "CBV": "mL/100mL",
    "CBF": "mL/100mL/min", "MTT": "s", "Tmax": "s",
}  # fmt: skip


def dsc_maps(
    series: ImageVolume,
    mask: Mask | None = None,
    *,
    echo_s: float,
    baseline: tuple[int, int] | None = None,
    arterial: Mask | ArrayLike | None = None,
    normal: Mask | None = None,
    intact: Mask | None = None,
    leakage: bool = True,
    method: DeconvolutionMethod = "osvd",
) -> ParameterMaps:
    """Return maps of blood volume, and with an artery of flow and transit time.

    Parameters
    ----------
    series : ImageVolume
        Signals with times, axes (t, z, y, x).
    mask : Mask or None
        Voxels to look at (the brain); None = all that are measured.
    echo_s : float
        Echo time, seconds.
    baseline : tuple of int (2,) or None
        Frames before contrast; None finds the arrival in the mean curve and leaves out the
        first frame, which is not in the steady state.
    arterial : Mask, array_like of float (n_times,) or None
        An artery in the series, or its change of R2* in 1/s. None gives relative blood volume
        alone.
    normal : Mask or None
        Normal-appearing white matter: "rCBV" is divided by its mean. None leaves the area under
        the curve.
    intact : Mask or None
        Tissue whose barrier is intact, for the correction of leakage. None takes the voxels of the
        mask whose signal at the end is back within one standard deviation of the baseline (or
        0.1 % of it).
    leakage : bool
        Whether leaking contrast is corrected.
    method : {"osvd", "csvd", "ssvd"}
        See `deconvolve`.

    Returns
    -------
    ParameterMaps
        "rCBV" (corrected, where asked for), "rCBV uncorrected", "K2", "time to peak"; with an
        artery "CBV", "CBF", "MTT", "Tmax".

    Raises
    ------
    InputError
        If no contrast arrives, a region holds no usable voxel, or times are uneven where an artery
        is given.
    GeometryError
        If a mask does not lie on the grid of the series.

    References
    ----------
    Boxerman et al. 2020 (consensus), doi:10.1093/neuonc/noaa141.
    """
    chosen = inside(series, mask)
    signals = curves_of(series, chosen)
    if series.times_s is None:
        raise InputError("Needed is a dynamic series with times.")
    times = np.asarray(series.times_s, dtype=np.float64)
    frames = baseline or _baseline(signals)
    change = relaxation_change(signals, echo_s=echo_s, baseline=frames)
    plain, values, notes = change, {}, []
    if leakage:
        reference, told = _intact(
            series, chosen, signals, change=change, intact=intact, frames=frames, echo_s=echo_s
        )
        notes.append(told)
        fit = correct_leakage(change, times, reference)
        change, values = fit.corrected, {"K2": fit.k2}
    unit = dict(DSC_UNITS)
    volumes = {"rCBV": _area(change, times, frames)}
    if leakage:
        volumes["rCBV uncorrected"] = _area(plain, times, frames)
    for name, volume in volumes.items():
        volumes[name] = volume / _normal_level(volume, chosen, normal)
        unit[name] = "1" if normal is not None else "1 (area)"
    values = {**volumes, **values, "time to peak": _peak_time(plain, times, frames)}
    if arterial is not None:
        curve = _artery(series, arterial, echo_s, frames)
        found = deconvolve(change, times, curve, method=method)
        values |= {"CBV": found.cbv, "CBF": found.cbf, "MTT": found.mtt, "Tmax": found.tmax}
    settings = {
        "technique": "DSC", "echo_s": echo_s, "baseline": list(frames), "leakage": leakage,
        "normalised": normal is not None, "method": method if arterial is not None else None,
    }  # fmt: skip
    return maps_of(values, unit, chosen, settings=settings, notes=tuple(notes))


def _baseline(signals: Floats) -> tuple[int, int]:
    finite = signals[np.isfinite(signals).all(axis=1)]
    if not len(finite):
        raise InputError("No voxel of the mask is measured in all frames.")
    arrival = bolus_arrival(finite.mean(axis=0)[1:]) + 1
    return 1, arrival


def _intact(
    series: ImageVolume,
    chosen: Mask,
    signals: Floats,
    *,
    change: Floats,
    intact: Mask | None,
    frames: tuple[int, int],
    echo_s: float,
) -> tuple[Floats, str]:
    """Return the mean curve of tissue that does not enhance, and which it is."""
    if intact is not None:
        mean = mean_curve(series, intact, what="intact tissue")
        curve = relaxation_change(mean[None], echo_s=echo_s, baseline=frames)[0]
        return curve, f"Leakage is corrected with the region {intact.region!r}."
    before = signals[:, frames[0] : frames[1]]
    tail = signals[:, -max(3, signals.shape[1] // 10) :].mean(axis=1)
    spread = before.std(axis=1, ddof=1) if before.shape[1] > 1 else np.zeros(len(signals))
    level = before.mean(axis=1)
    near = np.abs(tail - level) <= np.maximum(spread, 1e-3 * level)
    quiet: NDArray[np.bool_] = np.asarray(near) & np.isfinite(change).all(axis=1)
    if quiet.sum() < 10:
        raise InputError(
            f"Only {quiet.sum()} voxels return to their baseline, too few for the correction of "
            "leakage. Name a region of intact tissue, or switch the correction off."
        )
    share = quiet.sum() / chosen.n_voxels
    return change[quiet].mean(axis=0), (
        f"Leakage is corrected with the {quiet.sum()} voxels ({share:.0%}) that return to baseline."
    )


def _area(change: Floats, times: Floats, frames: tuple[int, int]) -> Floats:
    start = frames[1] - 1
    return np.asarray(np.trapezoid(change[:, start:], times[start:], axis=1))


def _normal_level(volume: Floats, chosen: Mask, normal: Mask | None) -> float:
    if normal is None:
        return 1.0
    normal.geometry.require_same(chosen.geometry, what="Mask of normal tissue is on another grid")
    values = volume[normal.array[chosen.array]]
    values = values[np.isfinite(values)]
    if not len(values) or not values.mean() > 0:
        raise InputError(
            f"The normal tissue {normal.region!r} has no positive blood volume inside the mask: it "
            "must overlap with it."
        )
    return float(values.mean())


def _peak_time(change: Floats, times: Floats, frames: tuple[int, int]) -> Floats:
    start = frames[1] - 1
    known: NDArray[np.bool_] = np.asarray(np.isfinite(change).all(axis=1))
    at = np.where(known[:, None], change[:, start:], 0.0).argmax(axis=1)
    found: Floats = np.where(known, times[start:][at] - times[start], np.nan)
    return found


def _artery(
    series: ImageVolume, arterial: Mask | ArrayLike, echo_s: float, frames: tuple[int, int]
) -> Floats:
    if isinstance(arterial, Mask):
        mean = mean_curve(series, arterial, what="artery")
        curve: Floats = relaxation_change(mean[None], echo_s=echo_s, baseline=frames)[0]
        return curve
    return np.asarray(arterial, dtype=np.float64)
