"""Pseudo-observations: a value a sample in place of a censored time."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.stats.survival import check_survival, kaplan_meier

__all__ = ["pseudo_values"]

FloatArray = NDArray[np.float64]


def pseudo_values(
    time: Any, event: Any, horizon: float, *, of: Literal["survival", "rmst"] = "rmst"
) -> FloatArray:
    """Return jackknife pseudo-observations of survival at a horizon, or of restricted mean time.

    Parameters
    ----------
    time, event : array-like (n,)
        Times and events.
    horizon : float
        Within the follow-up.
    of : {"rmst", "survival"}
        Time lived up to the horizon, or survival beyond it.

    Returns
    -------
    float64 (n,)
        ``n * estimate - (n - 1) * estimate without the sample``. Their mean in a group estimates
        the group's value where censoring does not depend on the covariates at hand.

    Raises
    ------
    InputError
        If the data are malformed or nobody is followed up to the horizon.

    References
    ----------
    Andersen, Klein & Rosthøj 2003, doi:10.1093/biomet/90.1.15.

    Examples
    --------
    >>> pseudo_values([1.0, 2.0, 3.0], [1, 1, 1], 2.5).round(2).tolist()
    [1.0, 2.0, 2.5]
    """
    times, events = check_survival(time, event)
    if horizon <= 0 or not (times >= horizon).any():
        raise InputError(f"Nobody is followed up to {horizon:g}; choose an earlier horizon.")
    n = len(times)
    if n < 3:
        raise InputError("Pseudo-observations need three samples or more.")
    whole = _value(times, events, horizon, of)
    keep = np.ones(n, dtype=bool)
    out = np.empty(n)
    for i in range(n):
        keep[i] = False
        out[i] = n * whole - (n - 1) * _value(times[keep], events[keep], horizon, of)
        keep[i] = True
    return out


def _value(time: FloatArray, event: NDArray[np.bool_], horizon: float, of: str) -> float:
    curve = kaplan_meier(time, event)
    if of == "survival":
        return float(curve.at([horizon])[0])
    inside = curve.times < horizon
    knots = np.concatenate(([0.0], curve.times[inside], [horizon]))
    level = np.concatenate(([1.0], curve.estimate[inside]))
    return float(level @ np.diff(knots))
