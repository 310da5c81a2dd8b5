"""Simulate survival and binary outcomes with known coefficients."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from radgen.errors import InputError

__all__ = ["simulate_response", "simulate_survival"]


def simulate_survival(
    log_hazard: np.ndarray,
    *,
    rng: np.random.Generator,
    median_days: float = 600.0,
    shape: float = 1.2,
    censored: float = 0.3,
) -> tuple[np.ndarray, np.ndarray]:
    """Return follow-up times and event flags under a Weibull proportional-hazards model.

    Parameters
    ----------
    log_hazard : ndarray of float64 (n_samples,)
        Linear predictor: the log hazard ratio of each person.
    rng : numpy.random.Generator
        Source of randomness.
    median_days : float, default 600
        Median survival where the linear predictor is 0.
    shape : float, default 1.2
        Weibull shape; 1 = constant hazard.
    censored : float, default 0.3
        Wanted fraction of censored people, in [0, 1). Censoring is uniform and independent.

    Returns
    -------
    times : ndarray of float64 (n_samples,)
        Days to the event or to censoring, at least 1.
    events : ndarray of bool (n_samples,)
        True where the event was seen.

    Raises
    ------
    InputError
        If `censored` is not within [0, 1).

    Notes
    -----
    The length of the uniform censoring window is found by bisection on the drawn event times,
    so that the wanted fraction is met up to one person.
    """
    if not 0 <= censored < 1:
        raise InputError("The censored fraction lies in [0, 1).")
    scale = median_days / np.log(2) ** (1 / shape)
    uniform = rng.random(len(log_hazard))
    event_time = scale * (-np.log(uniform) * np.exp(-log_hazard)) ** (1 / shape)
    if censored == 0:
        return np.maximum(event_time, 1.0), np.ones(len(event_time), dtype=np.bool_)
    place = rng.random(len(log_hazard))
    low, high = 1e-6, float(event_time.max()) * 1e3
    for _ in range(200):
        middle = np.sqrt(low * high)
        if np.mean(place * middle < event_time) > censored:
            low = middle
        else:
            high = middle
    censor_time = place * high
    events = event_time <= censor_time
    return np.maximum(np.minimum(event_time, censor_time), 1.0), events


def simulate_response(log_odds: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Return 0/1 responses, ndarray of int64 (n_samples,), with the given log odds."""
    return (rng.random(len(log_odds)) < expit(log_odds)).astype(np.int64)
