"""Enhancement curves without a model: how much, how early, how long."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError

__all__ = ["ENHANCEMENT_UNITS", "enhancement_traits"]

Floats = NDArray[np.float64]

ENHANCEMENT_UNITS: Mapping[str, str] = {
    "peak enhancement": "1", "time to peak": "s", "early enhancement": "1",
    "late enhancement": "1", "wash-in": "1/min", "wash-out": "1/min",
    "signal enhancement ratio": "1", "area under the curve": "s", "curve type": "1",
}  # fmt: skip
"""Name and unit of each trait; enhancement is a share of the signal before contrast."""


def enhancement_traits(
    signals: ArrayLike,
    times_s: ArrayLike,
    *,
    baseline: tuple[int, int],
    early_s: float = 90.0,
    area_s: float = 60.0,
    plateau: float = 0.1,
) -> dict[str, Floats]:
    """Return traits of contrast enhancement curves.

    Parameters
    ----------
    signals : array_like of float (n_voxels, n_times)
        Dynamic series, any unit.
    times_s : array_like of float (n_times,)
        Rising times in seconds.
    baseline : tuple of int (2,)
        Frames before contrast: the first, and the one after the last. Times count from the
        last of them.
    early_s : float
        When enhancement is early, seconds after the baseline; the value there is interpolated.
    area_s : float
        The area under the curve is taken from the baseline to this time: 60 gives IAUC60.
    plateau : float
        A late signal within plus and minus this share of the early one is a plateau.

    Returns
    -------
    dict of str to ndarray of float64 (n_voxels,)
        The names of `ENHANCEMENT_UNITS`. "signal enhancement ratio": early over late
        enhancement. "curve type": 1 persistent, 2 plateau, 3 wash-out. NaN where the baseline
        is not positive or a frame is missing.

    Raises
    ------
    InputError
        If times do not rise, the baseline is empty or nothing follows it, or the series ends
        before `early_s` or `area_s`.

    References
    ----------
    Kuhl et al. 1999, doi:10.1148/radiology.211.1.r99ap38101 (curve types); Hylton et al. 2012,
    doi:10.1148/radiol.12110748 (signal enhancement ratio); Evelhoch 1999,
    doi:10.1002/(SICI)1522-2586(199909)10:3<254::AID-JMRI5>3.0.CO;2-9 (area).
    """
    data = np.atleast_2d(np.asarray(signals, dtype=np.float64))
    times = np.asarray(times_s, dtype=np.float64)
    first, stop = baseline
    if times.shape != (data.shape[1],) or not (np.diff(times) > 0).all():
        raise InputError(f"Needed are {data.shape[1]} rising times, one a frame.")
    if not 0 <= first < stop < len(times):
        raise InputError(
            f"The baseline is frames {first} to {stop - 1} of {len(times)}: it must hold a frame "
            "and leave one after it."
        )
    clock = times[stop - 1 :] - times[stop - 1]
    for name, value in (("early_s", early_s), ("area_s", area_s)):
        if not 0 < value <= clock[-1]:
            raise InputError(
                f"{name} is {value:g} s; the series lasts {clock[-1]:g} s after its baseline."
            )
    before = data[:, first:stop].mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(before > 0, data[:, stop - 1 :] / before - 1.0, np.nan)
        shares[:, 0] = np.where(before[:, 0] > 0, 0.0, np.nan)
        shares[~np.isfinite(shares).all(axis=1)] = np.nan
        return _traits(shares, clock, early_s, area_s, plateau)


def _traits(
    shares: Floats, clock: Floats, early_s: float, area_s: float, plateau: float
) -> dict[str, Floats]:
    rows = np.arange(len(shares))
    unknown = np.isnan(shares[:, 0])
    peak_at = np.where(np.isnan(shares), -np.inf, shares).argmax(axis=1)
    peak, when = shares[rows, peak_at], clock[peak_at]
    early = _at(shares, clock, early_s)
    late = shares[:, -1]
    steps = np.diff(shares, axis=1) / np.diff(clock)
    rest = clock[-1] - when
    change = (late - early) / (1.0 + early)
    kind = np.where(change > plateau, 1.0, np.where(change < -plateau, 3.0, 2.0))
    found = {
        "peak enhancement": peak,
        "time to peak": when,
        "early enhancement": early,
        "late enhancement": late,
        "wash-in": steps.max(axis=1) * 60.0,
        "wash-out": np.where(rest > 0, (late - peak) / rest * 60.0, 0.0),
        "signal enhancement ratio": np.where(late > 0, early / late, np.nan),
        "area under the curve": _area(shares, clock, area_s),
        "curve type": kind,
    }
    return {name: np.where(unknown, np.nan, value) for name, value in found.items()}


def _at(shares: Floats, clock: Floats, moment: float) -> Floats:
    right = int(np.searchsorted(clock, moment))
    left = max(right - 1, 0)
    gap = clock[right] - clock[left]
    weight = (moment - clock[left]) / gap if gap > 0 else 0.0
    found: Floats = shares[:, left] * (1.0 - weight) + shares[:, right] * weight
    return found


def _area(shares: Floats, clock: Floats, stop: float) -> Floats:
    inside = clock < stop
    times = np.append(clock[inside], stop)
    values = np.column_stack([shares[:, inside], _at(shares, clock, stop)])
    found: Floats = np.trapezoid(values, times, axis=1)
    return found
