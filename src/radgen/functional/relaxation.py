"""Relaxation of MR signals: T1 from several flip angles, contrast agent from signal."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.functional._least_squares import fit_curves

__all__ = ["concentration", "spoiled_signal", "variable_flip_t1"]

Floats = NDArray[np.float64]


def spoiled_signal(
    r1_per_s: ArrayLike, *, flip_deg: ArrayLike, repetition_s: ArrayLike, s0: ArrayLike = 1.0
) -> Floats:
    """Return the steady-state signal of a spoiled gradient echo.

    Parameters
    ----------
    r1_per_s : array_like of float
        Longitudinal relaxation rate, 1/s.
    flip_deg : array_like of float
        Flip angle in degrees.
    repetition_s : array_like of float
        Repetition time in seconds.
    s0 : array_like of float
        Signal at full relaxation and 90 degrees.

    Returns
    -------
    ndarray of float64
        Signal, in the unit of `s0`; T2* decay is left out.

    Examples
    --------
    >>> float(spoiled_signal(1.0, flip_deg=90.0, repetition_s=1e3).round(6))
    1.0
    """
    angle = np.deg2rad(np.asarray(flip_deg, dtype=np.float64))
    rate = np.asarray(r1_per_s, dtype=np.float64) * np.asarray(repetition_s, dtype=np.float64)
    rest = np.exp(-rate)
    signal: Floats = np.asarray(s0) * np.sin(angle) * -np.expm1(-rate) / (1 - np.cos(angle) * rest)
    return signal


def variable_flip_t1(
    signals: ArrayLike,
    *,
    flip_deg: ArrayLike,
    repetition_s: float,
    b1: ArrayLike | None = None,
    method: Literal["nonlinear", "linear"] = "nonlinear",
) -> tuple[Floats, Floats]:
    """Return T1 in seconds and the signal at full relaxation from several flip angles.

    Parameters
    ----------
    signals : array_like of float (n_voxels, n_angles)
        Spoiled gradient echo signals.
    flip_deg : array_like of float (n_angles,)
        Nominal flip angles in degrees.
    repetition_s : float
        Repetition time in seconds.
    b1 : array_like of float (n_voxels,) or None
        True flip angle over the nominal one; None = 1.
    method : {"nonlinear", "linear"}
        "nonlinear": least squares of the signals. "linear": of the straight line S / sin against
        S / tan, which weights noise unevenly.

    Returns
    -------
    t1_s, s0 : ndarray of float64 (n_voxels,)
        NaN where no positive T1 fits.

    Raises
    ------
    InputError
        If there are fewer than two different angles, or shapes do not fit.

    References
    ----------
    Fram et al. 1987, doi:10.1016/0730-725X(87)90021-X. Without B1 the flip angles, and so T1, can
    be wrong by tens of per cent at 3 T.
    """
    require_choice(method, ("nonlinear", "linear"), what="T1 method")
    data = np.atleast_2d(np.asarray(signals, dtype=np.float64))
    nominal = np.asarray(flip_deg, dtype=np.float64)
    if nominal.ndim != 1 or data.shape[1] != len(nominal):
        raise InputError(
            f"There are {data.shape[1]} signals a voxel and {nominal.size} flip angles: give one "
            "angle an image."
        )
    if len(np.unique(nominal)) < 2 or not (nominal > 0).all():
        raise InputError("T1 needs two different positive flip angles or more, in degrees.")
    if not repetition_s > 0:
        raise InputError(f"The repetition time is {repetition_s} s; it must be positive.")
    share = np.ones(len(data)) if b1 is None else np.asarray(b1, dtype=np.float64)
    if share.shape != (len(data),):
        raise InputError(f"B1 has shape {share.shape}; needed is one value a voxel ({len(data)},).")
    angle = np.deg2rad(nominal)[None, :] * share[:, None]
    rate, s0 = _line(data, angle, repetition_s)
    if method == "nonlinear":
        rate, s0 = _refined(data, angle, repetition_s, rate, s0)
    with np.errstate(divide="ignore", invalid="ignore"):
        good = np.isfinite(rate) & (rate > 0)
        return np.where(good, 1.0 / rate, np.nan), np.where(good, s0, np.nan)


def _line(data: Floats, angle: Floats, repetition_s: float) -> tuple[Floats, Floats]:
    up, along = data / np.sin(angle), data / np.tan(angle)
    centre = along - along.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (centre * up).sum(axis=1) / (centre**2).sum(axis=1)
        rate = np.where((slope > 0) & (slope < 1), -np.log(slope) / repetition_s, np.nan)
        s0 = (up.mean(axis=1) - slope * along.mean(axis=1)) / (1.0 - slope)
    return rate, s0


def _refined(
    data: Floats, angle: Floats, repetition_s: float, rate: Floats, s0: Floats
) -> tuple[Floats, Floats]:
    unit = np.abs(data).max(axis=1, keepdims=True)
    unit[~(unit > 0)] = np.nan
    first = np.where(np.isfinite(rate), rate, 1.0)
    bare = spoiled_signal(first[:, None], flip_deg=np.rad2deg(angle), repetition_s=repetition_s)
    amplitude = (bare * data).sum(axis=1) / (bare**2).sum(axis=1) / unit[:, 0]
    start = np.column_stack([amplitude.clip(1e-9), np.log(first.clip(1e-3, 1e3))])

    def model(parameters: Floats, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        high, r1 = parameters[:, :1], np.exp(parameters[:, 1:])
        sine, cosine = np.sin(angle[rows]), np.cos(angle[rows])
        rest = np.exp(-r1 * repetition_s)
        below = 1.0 - cosine * rest
        shape = sine * -np.expm1(-r1 * repetition_s) / below
        by_rate = high * sine * rest * repetition_s * (1.0 - cosine) / below**2 * r1
        return high * shape, np.stack([shape, by_rate], axis=1)

    found = fit_curves(
        model, start, data / unit,
        lower=np.array([0.0, np.log(1e-4)]), upper=np.array([np.inf, np.log(1e4)]),
    )  # fmt: skip
    inside = (found.parameters[:, 1] > np.log(1e-4)) & (found.parameters[:, 1] < np.log(1e4))
    good = inside & (found.parameters[:, 0] > 0) & found.converged
    return (
        np.where(good, np.exp(found.parameters[:, 1]), np.nan),
        found.parameters[:, 0] * unit[:, 0],
    )


def concentration(
    signals: ArrayLike,
    *,
    t1_s: ArrayLike,
    flip_deg: ArrayLike,
    repetition_s: float,
    relaxivity: float = 4.5,
    baseline: tuple[int, int],
) -> Floats:
    """Return the concentration of contrast agent from spoiled gradient echo signals.

    Parameters
    ----------
    signals : array_like of float (n_voxels, n_times)
        Dynamic series.
    t1_s : array_like of float (n_voxels,) or float
        T1 before contrast, seconds.
    flip_deg : array_like of float (n_voxels,) or float
        Flip angle in degrees (times B1, where that is known).
    repetition_s : float
        Repetition time in seconds.
    relaxivity : float
        r1 of the agent, 1/(s mM): about 4.5 for extracellular gadolinium agents at 1.5 and 3 T.
    baseline : tuple of int (2,)
        Frames before contrast: the first, and the one after the last.

    Returns
    -------
    ndarray of float64 (n_voxels, n_times)
        Millimolar; NaN where the signal is higher than any concentration can make it, or the
        baseline is not positive.

    Raises
    ------
    InputError
        If the baseline holds no frame, or a number that must be positive is not.

    Notes
    -----
    The steady-state equation is inverted exactly; decay by T2* is left out, so high arterial
    concentrations come out too low.

    References
    ----------
    Tofts 1997, doi:10.1002/jmri.1880070113; Dickie et al. 2024 (OSIPI CAPLEX),
    doi:10.1002/mrm.29840.
    """
    data = np.atleast_2d(np.asarray(signals, dtype=np.float64))
    first, stop = baseline
    if not 0 <= first < stop <= data.shape[1]:
        raise InputError(
            f"The baseline is frames {first} to {stop - 1} of {data.shape[1]}: it holds no frame, "
            "or one that is not there."
        )
    for name, value in (("repetition time", repetition_s), ("relaxivity", relaxivity)):
        if not value > 0:
            raise InputError(f"The {name} is {value}; it must be positive.")
    t1 = np.broadcast_to(np.asarray(t1_s, dtype=np.float64), (len(data),))[:, None]
    angle = np.broadcast_to(np.deg2rad(np.asarray(flip_deg, dtype=np.float64)), (len(data),))
    sine, cosine = np.sin(angle)[:, None], np.cos(angle)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        r10 = np.where(t1 > 0, 1.0 / t1, np.nan)
        rest = np.exp(-r10 * repetition_s)
        before = data[:, first:stop].mean(axis=1, keepdims=True)
        s0 = np.where(before > 0, before, np.nan) * (1 - cosine * rest) / (sine * (1 - rest))
        share = data / (s0 * sine)
        decay = (1.0 - share) / (1.0 - share * cosine)
        r1 = np.where(share < 1, -np.log(decay) / repetition_s, np.nan)
    found: Floats = (r1 - r10) / relaxivity
    return found
